/* lines.c - a line that lies whole in the bytes fed is told from there; only the part of one that
 * ends in a later feed is copied. */
#include "lines_priv.h"

#include <errno.h>
#include <string.h>

void line_reader_fini(struct line_reader *r)
{
    buf_fini(&r->partial);
}

static int tell(struct line_reader *r, struct slice line)
{
    r->number++;
    if (r->is_too_long || line.n > r->max_bytes) {
        r->is_too_long = false;
        return r->on_line(r->arg, r->number, slice_make(NULL, 0));
    }
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.p == NULL)
        line.p = "";
    return r->on_line(r->arg, r->number, line);
}

/* Keeps the beginning of a line, or gives it up where it gets too long. */
static int keep(struct line_reader *r, struct slice part)
{
    if (r->is_too_long || part.n > r->max_bytes - r->partial.len) {
        r->is_too_long = true;
        r->partial.len = 0;
        return 0;
    }
    return buf_add_slice(&r->partial, part);
}

int line_reader_feed(struct line_reader *r, struct slice bytes)
{
    int rc = 0;

    while (bytes.n > 0 && rc == 0) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        size_t length = end == NULL ? bytes.n : (size_t)(end - bytes.p);
        struct slice part = {bytes.p, length};

        if (end == NULL)
            return keep(r, part);
        if (r->partial.len == 0) {
            rc = tell(r, part);
        } else {
            rc = keep(r, part);
            if (rc == 0)
                rc = tell(r, buf_slice(&r->partial));
            r->partial.len = 0;
        }
        bytes = slice_make(end + 1, bytes.n - length - 1);
    }
    return rc;
}

int line_reader_end(struct line_reader *r)
{
    int rc = 0;

    if (r->partial.len > 0 || r->is_too_long)
        rc = tell(r, buf_slice(&r->partial));
    r->partial.len = 0;
    return rc;
}

void batch_fini(struct batch *b)
{
    buf_fini(&b->body);
    b->count = 0;
}

void batch_clear(struct batch *b)
{
    b->body.len = 0;
    b->count = 0;
}

bool batch_has_room(const struct batch *b, size_t bytes)
{
    return b->count < BATCH_MAX_LINES && bytes < BATCH_MAX_BYTES - b->body.len;
}

int batch_add(struct batch *b, uint64_t number, struct slice line)
{
    if (buf_reserve(&b->body, line.n + 1) != 0)
        return -ENOMEM;
    buf_add_slice(&b->body, line);
    buf_add_char(&b->body, '\n');
    b->numbers[b->count++] = number;
    return 0;
}
