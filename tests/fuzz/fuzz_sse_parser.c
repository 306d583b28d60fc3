/* fuzz_sse_parser.c - a stream must be heard alike whole and in pieces.
 *
 * The first byte chooses how the rest is cut. What is heard is kept as text in both readings and
 * compared; strings that are not UTF-8 or an event over the bound mean a broken parser. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/buf.h"
#include "message/sse_parser.h"

enum { MAX_EVENT_BYTES = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void note(struct buf *heard, char kind, struct slice text)
{
    if (!slice_is_utf8(text) || text.n > 3 * MAX_EVENT_BYTES)
        abort();
    buf_add_char(heard, kind);
    buf_add_u64(heard, text.n);
    buf_add_char(heard, ' ');
    buf_add_slice(heard, text);
}

static int hear_event(void *arg, const struct sse_event *event)
{
    if (event->data.n + event->last_event_id.n > MAX_EVENT_BYTES)
        abort();
    note(arg, 't', event->type);
    note(arg, 'd', event->data);
    note(arg, 'i', event->last_event_id);
    return 0;
}

static int hear_comment(void *arg, struct slice text)
{
    note(arg, 'c', text);
    return 0;
}

static int hear_retry(void *arg, uint64_t retry_ms)
{
    buf_add_char(arg, 'r');
    buf_add_u64(arg, retry_ms);
    return 0;
}

/* Reads all in pieces of 1 to `max_piece` bytes and returns how it ended. */
static int hear_all(struct buf *heard, const char *bytes, size_t n, size_t max_piece)
{
    static const struct sse_handlers handlers = {hear_event, hear_comment, hear_retry};
    struct sse_parser *p = sse_parser_create(MAX_EVENT_BYTES, &handlers, heard);
    int rc = 0;
    size_t piece = 1;

    if (p == NULL)
        abort();
    for (size_t at = 0; at < n && rc == 0; at += piece) {
        piece = max_piece >= n ? n : 1 + (at * 7) % max_piece;
        if (piece > n - at)
            piece = n - at;
        rc = sse_parser_feed(p, bytes + at, piece);
    }
    note(heard, 'l', sse_parser_last_event_id(p));
    sse_parser_destroy(p);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *text = (const char *)bytes;
    struct buf whole = {0};
    struct buf pieces = {0};
    int rc;

    if (n < 2)
        return 0;
    rc = hear_all(&whole, text + 1, n - 1, n);
    if (rc != 0 && rc != -EMSGSIZE)
        abort();
    if (hear_all(&pieces, text + 1, n - 1, 1 + bytes[0] % 16) != rc)
        abort();
    if (!slice_equal(buf_slice(&whole), buf_slice(&pieces)))
        abort();
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
