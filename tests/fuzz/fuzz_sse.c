/* fuzz_sse.c - an event that is encoded and parsed is the event that was meant: its name, its
 * payload with every line end as LF, its id, and nothing besides. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "message/sse.h"
#include "message/sse_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct heard {
    struct slice event;
    struct slice data; /* as it must come */
    unsigned count;
};

static int hear_event(void *arg, const struct sse_event *event)
{
    struct heard *h = arg;

    if (!slice_equal(event->type, h->event) || !slice_equal(event->data, h->data) ||
        !slice_is(event->last_event_id, "epoch-77"))
        abort();
    h->count++;
    return 0;
}

static int hear_nothing_else(void *arg, struct slice text)
{
    (void)arg;
    (void)text;
    abort();
}

static int hear_no_retry(void *arg, uint64_t retry_ms)
{
    (void)arg;
    (void)retry_ms;
    abort();
}

/* CR, LF and CRLF all become LF. */
static void normalise(struct buf *out, struct slice data)
{
    for (size_t i = 0; i < data.n; i++) {
        if (data.p[i] == '\r' && i + 1 < data.n && data.p[i + 1] == '\n')
            continue;
        buf_add_char(out, data.p[i] == '\r' ? '\n' : data.p[i]);
    }
}

static void parse(struct slice wire, struct heard *h)
{
    static const struct sse_handlers handlers = {hear_event, hear_nothing_else, hear_no_retry};
    struct sse_parser *p = sse_parser_create(1 << 20, &handlers, h);

    if (p == NULL || sse_parser_feed(p, wire.p, wire.n) != 0 || h->count != 1)
        abort();
    sse_parser_destroy(p);
}

/* The chunk is the bare event in its framing, and nothing else. */
static void check_chunk(struct slice chunk, struct slice bare)
{
    char size_line[24];
    size_t n = (size_t)snprintf(size_line, sizeof size_line, "%zx\r\n", bare.n);

    if (chunk.n != n + bare.n + 2 || memcmp(chunk.p, size_line, n) != 0 ||
        memcmp(chunk.p + n, bare.p, bare.n) != 0 ||
        memcmp(chunk.p + chunk.n - 2, "\r\n", 2) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice all = slice_make((const char *)bytes, n);
    struct slice data = all;
    struct slice event = slice_cut(&data, '\n');
    struct notification notification = {.to = {CHANNEL_USER, SLICE_LITERAL("u")}};
    struct heard h = {.count = 0};
    struct buf normal = {0};
    struct buf back = {0};
    struct message *m;

    if (!slice_is_utf8(all) || !event_name_is_valid(event) || data.p == NULL)
        return 0;
    notification.event = event;
    notification.data = data;
    m = sse_encode(&notification, "epoch", 77, 0);
    if (m == NULL)
        abort();
    normalise(&normal, data);
    h.event = event;
    h.data = buf_slice(&normal);
    parse(message_wire(m, false), &h);
    check_chunk(message_wire(m, true), message_wire(m, false));
    if (sse_add_data(&back, m) != 0 || !slice_equal(buf_slice(&back), h.data) ||
        !slice_equal(sse_event(m), event))
        abort();
    buf_fini(&normal);
    buf_fini(&back);
    message_unref(m);
    return 0;
}
