/* slice.h - a borrowed run of bytes: a pointer and a length, no terminator.
 *
 * Whoever holds a slice does not own its bytes; they live as long as what the
 * slice was cut from. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *p;
    size_t n;
};

/* For printf("%.*s", SLICE_ARG(s)); only for slices shorter than INT_MAX. */
#define SLICE_ARG(s) (int)(s).n, (s).p
#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})

static inline struct slice slice_make(const char *p, size_t n)
{
    return (struct slice){p, n};
}

/* NULL gives the empty slice. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_of(text));
}

/* ASCII letters compare without case, as header names do (RFC 9110 5.1). */
static inline bool slice_is_nocase(struct slice a, const char *text)
{
    return a.n == strlen(text) && strncasecmp(a.p, text, a.n) == 0;
}

/* Copies the bytes to `p`, which has room for them; returns their end there. */
static inline char *slice_put(char *p, struct slice s)
{
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

/* Without the blanks and tabs at both ends. */
struct slice slice_trim(struct slice s);

/* Cuts off and returns what stands before the first `delimiter`; `*rest` goes on after it, and is
 * {NULL, 0} where there was none. */
struct slice slice_cut(struct slice *rest, char delimiter);

/* Cuts the next item off a list whose items stand between blanks, tabs or commas; false at its
 * end. */
bool slice_cut_item(struct slice *rest, struct slice *item);

/* Reads all of `s` as a decimal number without sign.
 * Returns 0, -EINVAL (not a number), -ERANGE (over 64 bits). */
int slice_to_u64(struct slice s, uint64_t *out);

/* The value of a hexadecimal digit in lower case, or -1. */
static inline int hex_lower_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The same in either case. */
static inline int hex_value(char c)
{
    return hex_lower_value(c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c);
}

/* How many bytes at the start of `s` are well-formed UTF-8 (RFC 3629: no surrogates, nothing
 * overlong): all of it, or up to the first byte that is wrong. */
size_t slice_utf8_prefix(struct slice s);

static inline bool slice_is_utf8(struct slice s)
{
    return slice_utf8_prefix(s) == s.n;
}

/* Whether a byte of `s` is a control character: under 0x20, or 0x7f. */
bool slice_has_control(struct slice s);
#endif
