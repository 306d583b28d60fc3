/* buf.c - capacity doubles, so appending is linear in the bytes. */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

int buf_grow(struct buf *b, size_t more)
{
    size_t want;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    char *p;

    if (__builtin_add_overflow(b->len, more, &want) || want > SIZE_MAX / 2) {
        b->failed = true;
        return -ENOMEM;
    }
    while (cap < want)
        cap *= 2;
    p = realloc(b->p, cap);
    if (p == NULL) {
        b->failed = true;
        return -ENOMEM;
    }
    b->p = p;
    b->cap = cap;
    return 0;
}

char *format_u64(char *p, uint64_t value)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324"
        "25262728293031323334353637383940414243444546474849"
        "50515253545556575859606162636465666768697071727374"
        "75767778798081828384858687888990919293949596979899";
    char digits[20];
    char *first = digits + sizeof digits;
    size_t n;

    for (; value >= 100; value /= 100) { /* dividing is what costs: two digits each time */
        first -= 2;
        memcpy(first, &pairs[value % 100 * 2], 2);
    }
    if (value >= 10) {
        first -= 2;
        memcpy(first, &pairs[value * 2], 2);
    } else {
        *--first = (char)('0' + value);
    }
    n = (size_t)(digits + sizeof digits - first);
    memcpy(p, first, n);
    return p + n;
}

char *format_hex(char *p, uint64_t value, unsigned least)
{
    unsigned digits = (64 - (unsigned)__builtin_clzll(value | 1) + 3) / 4;

    if (digits < least)
        digits = least;
    for (unsigned i = digits; i > 0; value >>= 4)
        p[--i] = "0123456789abcdef"[value & 15];
    return p + digits;
}

int buf_add_u64(struct buf *b, uint64_t value)
{
    char digits[20];

    return buf_add(b, digits, (size_t)(format_u64(digits, value) - digits));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || buf_reserve(b, (size_t)n + 1) != 0) {
        b->failed = true;
        return -ENOMEM;
    }
    va_start(args, format);
    vsnprintf(b->p + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return 0;
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->p, b->p + n, b->len - n);
    b->len -= n;
}
