/* buf.h - a growing run of bytes.
 *
 * All zero is a valid empty buffer. A failed allocation is remembered in `failed`, so that a text
 * can be put together without a check behind each piece and with one at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/slice.h"

struct buf {
    char *p;
    size_t len;
    size_t cap;
    bool failed; /* an append found no memory; the bytes before it are whole */
};

/* Frees the bytes; the buffer is then empty and may be used again. */
void buf_fini(struct buf *b);

/* Empties the buffer, whose memory stays for what comes next. */
static inline void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

/* buf_reserve where there is not room yet. */
int buf_grow(struct buf *b, size_t more);

/* Makes room for `more` bytes behind the end. Returns 0 or -ENOMEM. */
static inline int buf_reserve(struct buf *b, size_t more)
{
    return b->cap - b->len >= more ? 0 : buf_grow(b, more);
}

/* Each appends, and returns 0 or -ENOMEM (nothing appended, `failed` set). Those that a text is put
 * together with are inline: of a literal the length is known then. */
static inline int buf_add(struct buf *b, const void *p, size_t n)
{
    int status = buf_reserve(b, n);

    if (status != 0 || n == 0) /* no memcpy from NULL */
        return status;
    memcpy(b->p + b->len, p, n);
    b->len += n;
    return 0;
}

static inline int buf_add_slice(struct buf *b, struct slice s)
{
    return buf_add(b, s.p, s.n);
}

static inline int buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

static inline int buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_add_u64(struct buf *b, uint64_t value);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `n` bytes (at most all). */
void buf_drop_front(struct buf *b, size_t n);

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->len};
}

/* Writes `value` in decimal at `p` (at least 20 bytes); returns the end. No terminator. */
char *format_u64(char *p, uint64_t value);

/* The same in hexadecimal, of at least `least` digits (at most 16, and as many bytes at `p`). */
char *format_hex(char *p, uint64_t value, unsigned least);
#endif
