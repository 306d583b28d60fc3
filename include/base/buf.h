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
#include "base/slice.h"

struct buf {
    char *p;
    size_t len;
    size_t cap;
    bool failed; /* an append found no memory; the bytes before it are whole */
};

/* Frees the bytes; the buffer is then empty and may be used again. */
void buf_fini(struct buf *b);

/* Makes room for `more` bytes behind the end. Returns 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t more);

/* Each appends, and returns 0 or -ENOMEM (nothing appended, `failed` set). */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_add_slice(struct buf *b, struct slice s);
int buf_add_text(struct buf *b, const char *text);
int buf_add_char(struct buf *b, char c);
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
#endif
