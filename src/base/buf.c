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
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (n > 0)
        *p++ = digits[--n];
    return p;
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
