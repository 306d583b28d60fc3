/* base64url.c - four characters are three bytes; two or three at the end are one or two. */
#include "base64url_priv.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 0 to 63, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Decodes up to four characters; returns the bytes they stand for, or -1. */
static int decode_group(const char *p, size_t n, unsigned char out[3])
{
    unsigned bits = 0;
    int wrong = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < n ? value_of(p[i]) : 0;

        wrong |= value;
        bits = bits << 6 | ((unsigned)value & 63);
    }
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    if (wrong < 0 || n == 1 || (n == 2 && (bits & 0xffff) != 0) || (n == 3 && (bits & 0xff) != 0))
        return -1;
    return (int)n - 1;
}

int base64url_decode(struct buf *out, struct slice text)
{
    size_t start = out->len;

    if (buf_reserve(out, text.n / 4 * 3 + 3) != 0)
        return -ENOMEM;
    while (text.n > 0) {
        size_t n = text.n < 4 ? text.n : 4;
        unsigned char bytes[3];
        int count = decode_group(text.p, n, bytes);

        if (count < 0) {
            out->len = start;
            return -EINVAL;
        }
        buf_add(out, bytes, (size_t)count);
        text = slice_make(text.p + n, text.n - n);
    }
    return 0;
}

int base64url_encode(struct buf *out, struct slice bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;

    if (buf_reserve(out, bytes.n / 3 * 4 + 4) != 0)
        return -ENOMEM;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        unsigned bits = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                        (n > 2 ? (unsigned)p[i + 2] : 0);

        for (size_t j = 0; j <= n; j++)
            buf_add_char(out, alphabet[bits >> (18 - 6 * j) & 63]);
    }
    return 0;
}
