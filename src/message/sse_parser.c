/* sse_parser.c - a line is read where it lies in the caller's bytes; only the part of a line that
 * ends in a later feed is kept in `line`. What a block said so far is in `data`, `type` and `id`;
 * together with `line` they never hold more than `max_bytes`. */
#include "message/sse_parser.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include "base/buf.h"

struct sse_parser {
    struct sse_handlers handlers;
    void *arg;
    size_t max_bytes;
    struct buf line;     /* the beginning of a line whose end has not come */
    struct buf data;     /* each line of data followed by LF */
    struct buf type;     /* empty: none named */
    struct buf id;       /* the standard's "last event ID buffer": set before the block ends */
    struct buf last_id;  /* what `id` was at the last blank line */
    bool is_first_line;  /* which may begin with a byte order mark */
    bool after_cr;       /* an LF now belongs to the line end already seen */
    int failure;         /* what ended the parsing; 0: nothing yet */
};

struct sse_parser *sse_parser_create(size_t max_event_bytes, const struct sse_handlers *handlers,
                                     void *arg)
{
    struct sse_parser *p;

    if (max_event_bytes == 0 || handlers == NULL) {
        errno = EINVAL;
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->handlers = *handlers;
    p->arg = arg;
    p->max_bytes = max_event_bytes;
    p->is_first_line = true;
    return p;
}

void sse_parser_destroy(struct sse_parser *p)
{
    if (p == NULL)
        return;
    buf_fini(&p->last_id);
    buf_fini(&p->id);
    buf_fini(&p->type);
    buf_fini(&p->data);
    buf_fini(&p->line);
    free(p);
}

/* The bytes of the UTF-8 sequence at the beginning of `s` (n > 0); 0 where there is none, and then
 * `*bad` says how many bytes one replacement character stands for: those that could have begun a
 * sequence, at least one. Source: Encoding standard, "UTF-8 decoder". */
static size_t utf8_sequence(struct slice s, size_t *bad)
{
    unsigned char first = (unsigned char)s.p[0];
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    size_t length;

    *bad = 1;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    for (; *bad < length; (*bad)++) {
        unsigned char c = *bad < s.n ? (unsigned char)s.p[*bad] : 0;

        if (c < low || c > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

/* Appends `s` decoded. A line can be decoded by itself: no line end is ever inside a sequence. */
static int add_decoded(struct buf *b, struct slice s)
{
    if (slice_is_utf8(s))
        return buf_add_slice(b, s);
    while (s.n > 0) {
        size_t bad;
        size_t good = utf8_sequence(s, &bad);
        size_t used = good > 0 ? good : bad;

        if ((good > 0 ? buf_add(b, s.p, good) : buf_add(b, "\xef\xbf\xbd", 3)) != 0)
            return -ENOMEM;
        s.p += used;
        s.n -= used;
    }
    return 0;
}

/* Puts the decoded `s` in the place of what `b` held. */
static int set_decoded(struct buf *b, struct slice s)
{
    b->len = 0;
    return add_decoded(b, s);
}

/* The standard takes digits only; a number too large for 64 bits is still one. */
static int take_retry(struct sse_parser *p, struct slice value)
{
    uint64_t retry_ms;

    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return 0;
    }
    if (value.n == 0)
        return 0;
    if (slice_to_u64(value, &retry_ms) != 0)
        retry_ms = UINT64_MAX;
    return p->handlers.on_retry == NULL ? 0 : p->handlers.on_retry(p->arg, retry_ms);
}

static int take_comment(struct sse_parser *p, struct slice text)
{
    struct buf decoded = {0};
    int rc;

    if (p->handlers.on_comment == NULL)
        return 0;
    rc = add_decoded(&decoded, text);
    if (rc == 0)
        rc = p->handlers.on_comment(p->arg, buf_slice(&decoded));
    buf_fini(&decoded);
    return rc;
}

/* The blank line: the block is complete. Without data it fires nothing, but its id counts. */
static int take_blank(struct sse_parser *p)
{
    struct sse_event event;
    int rc = 0;

    p->last_id.len = 0;
    if (buf_add_slice(&p->last_id, buf_slice(&p->id)) != 0)
        return -ENOMEM;
    if (p->data.len > 0 && p->handlers.on_event != NULL) {
        event.type = p->type.len > 0 ? buf_slice(&p->type) : SLICE_LITERAL("message");
        event.data = slice_make(p->data.p, p->data.len - 1);
        event.last_event_id = buf_slice(&p->last_id);
        rc = p->handlers.on_event(p->arg, &event);
    }
    p->data.len = 0;
    p->type.len = 0;
    return rc;
}

static int take_field(struct sse_parser *p, struct slice name, struct slice value)
{
    if (slice_is(name, "data")) {
        if (add_decoded(&p->data, value) != 0)
            return -ENOMEM;
        return buf_add_char(&p->data, '\n');
    }
    if (slice_is(name, "event"))
        return set_decoded(&p->type, value);
    if (slice_is(name, "id"))
        return value.n > 0 && memchr(value.p, 0, value.n) != NULL ? 0
                                                                  : set_decoded(&p->id, value);
    if (slice_is(name, "retry"))
        return take_retry(p, value);
    return 0; /* unknown fields are ignored */
}

static int take_line(struct sse_parser *p, struct slice line)
{
    const char *colon;
    struct slice value = {"", 0};

    if (p->is_first_line && line.n >= 3 && memcmp(line.p, "\xef\xbb\xbf", 3) == 0)
        line = slice_make(line.p + 3, line.n - 3);
    p->is_first_line = false;
    if (line.n == 0)
        return take_blank(p);
    colon = memchr(line.p, ':', line.n);
    if (colon != NULL) {
        value = slice_make(colon + 1, line.n - (size_t)(colon + 1 - line.p));
        if (value.n > 0 && value.p[0] == ' ')
            value = slice_make(value.p + 1, value.n - 1);
        line.n = (size_t)(colon - line.p);
        if (line.n == 0)
            return take_comment(p, value);
    }
    return take_field(p, line, value);
}

/* What the event takes now, the unfinished line included. */
static size_t held_bytes(const struct sse_parser *p)
{
    return p->line.len + p->data.len + p->type.len + p->id.len;
}

/* A run of bytes without a line end; `ends` tells whether one follows. Bounded before it is kept,
 * and in a way that does not depend on how the line came in pieces. */
static int take_run(struct sse_parser *p, struct slice run, bool ends)
{
    int rc;

    if (run.n > p->max_bytes || held_bytes(p) > p->max_bytes - run.n)
        return -EMSGSIZE;
    if (!ends)
        return buf_add_slice(&p->line, run);
    if (p->line.len == 0) {
        rc = take_line(p, run);
    } else {
        rc = buf_add_slice(&p->line, run);
        if (rc == 0)
            rc = take_line(p, buf_slice(&p->line));
        p->line.len = 0;
    }
    /* Decoding can make three bytes of one. */
    return rc == 0 && held_bytes(p) > p->max_bytes ? -EMSGSIZE : rc;
}

/* Where the line ends, or the end of the bytes. */
static size_t line_length(const char *bytes, size_t n)
{
    size_t i = 0;

    while (i < n && bytes[i] != '\n' && bytes[i] != '\r')
        i++;
    return i;
}

int sse_parser_feed(struct sse_parser *p, const char *bytes, size_t n)
{
    size_t length;

    while (n > 0 && p->failure == 0) {
        if (p->after_cr && bytes[0] == '\n') {
            p->after_cr = false;
            bytes++;
            n--;
            continue;
        }
        length = line_length(bytes, n);
        p->failure = take_run(p, slice_make(bytes, length), length < n);
        p->after_cr = length < n && bytes[length] == '\r';
        length += length < n;
        bytes += length;
        n -= length;
    }
    return p->failure;
}

void sse_parser_restart(struct sse_parser *p)
{
    p->line.len = 0;
    p->data.len = 0;
    p->type.len = 0;
    p->id.len = 0;
    p->failure = 0;
    p->is_first_line = true;
    p->after_cr = false;
    if (buf_add_slice(&p->id, buf_slice(&p->last_id)) != 0)
        p->failure = -ENOMEM;
}

struct slice sse_parser_last_event_id(const struct sse_parser *p)
{
    return buf_slice(&p->last_id);
}
