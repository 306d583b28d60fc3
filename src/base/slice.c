/* slice.c - reading slices; none of this allocates. */
#include "base/slice.h"

#include <errno.h>
#include "base/word.h"

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct slice slice_cut(struct slice *rest, char delimiter)
{
    struct slice head = *rest;
    const char *at = head.n == 0 ? NULL : memchr(head.p, delimiter, head.n);

    if (at == NULL) {
        *rest = (struct slice){NULL, 0};
        return head;
    }
    head.n = (size_t)(at - head.p);
    rest->p = at + 1;
    rest->n -= head.n + 1;
    return head;
}

bool slice_cut_item(struct slice *rest, struct slice *item)
{
    static const char separators[] = {' ', '\t', ','};

    while (rest->n > 0 && memchr(separators, rest->p[0], sizeof separators) != NULL)
        *rest = slice_make(rest->p + 1, rest->n - 1);
    *item = slice_make(rest->p, 0);
    while (item->n < rest->n && memchr(separators, rest->p[item->n], sizeof separators) == NULL)
        item->n++;
    *rest = slice_make(rest->p + item->n, rest->n - item->n);
    return item->n > 0;
}

int slice_to_u64(struct slice s, uint64_t *out)
{
    uint64_t value = 0;

    if (s.n == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value))
            return -ERANGE;
    }
    *out = value;
    return 0;
}

/* Length of the well-formed sequence at `p` with `n` bytes left, or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    size_t length;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        length = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        length = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (n < length)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* else overlong */
    else if (p[0] == 0xed)
        high = 0x9f; /* else a surrogate */
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f; /* else past U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

size_t slice_utf8_prefix(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t at = 0;

    while (at < s.n) {
        uint64_t eight;
        size_t length;

        if (s.n - at >= sizeof eight) { /* nearly all text is ASCII */
            memcpy(&eight, p + at, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        length = utf8_sequence(p + at, s.n - at);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}

bool slice_has_control(struct slice s)
{
    size_t i = 0;

    for (; s.n - i >= WORD_SIZE; i += WORD_SIZE) {
        uint64_t w = word_load(s.p + i);

        if ((word_below(w, 0x20) | word_equal(w, 0x7f)) != 0)
            return true;
    }
    for (; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}
