/* stream_reader.c - see the header. */
#include "support/stream_reader.h"

#include <errno.h>
#include "message/id.h"

enum { SIZE_FIRST, SIZE_MORE, SIZE_END, BODY, BODY_CR, BODY_END, LAST_CR, LAST_END, OVER };
enum { MAX_EVENT_BYTES = 1 << 20 };

int stream_reader_init(struct stream_reader *r, struct slice head, bool is_chunked,
                       const struct sse_handlers *handlers, void *arg)
{
    *r = (struct stream_reader){.head = head, .is_chunked = is_chunked};
    r->parser = sse_parser_create(MAX_EVENT_BYTES, handlers, arg);
    return r->parser == NULL ? -ENOMEM : 0;
}

void stream_reader_fini(struct stream_reader *r)
{
    sse_parser_destroy(r->parser);
    r->parser = NULL;
}

static int size_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of the framing. The chunk of size 0 ends the body, and nothing comes after it. */
static int read_framing(struct stream_reader *r, char c)
{
    int digit = size_digit(c);

    switch (r->state) {
    case SIZE_FIRST:
        r->left = 0;
        if (digit < 0)
            return -EPROTO;
        /* fall through */
    case SIZE_MORE:
        if (digit >= 0)
            r->left = r->left * 16 + (size_t)digit;
        else if (c != '\r')
            return -EPROTO;
        r->state = digit >= 0 ? SIZE_MORE : SIZE_END;
        return 0;
    case SIZE_END:
        r->state = r->left == 0 ? LAST_CR : BODY;
        return c == '\n' ? 0 : -EPROTO;
    case BODY_CR:
        r->state = BODY_END;
        return c == '\r' ? 0 : -EPROTO;
    case LAST_CR:
        r->state = LAST_END;
        return c == '\r' ? 0 : -EPROTO;
    case LAST_END:
        r->state = OVER;
        return c == '\n' ? 0 : -EPROTO;
    case OVER:
        return -EPROTO;
    default:
        r->state = SIZE_FIRST;
        return c == '\n' ? 0 : -EPROTO;
    }
}

static int read_chunks(struct stream_reader *r, struct slice s)
{
    while (s.n > 0) {
        size_t part = 1;
        int status;

        if (r->state == BODY) {
            part = s.n < r->left ? s.n : r->left;
            status = sse_parser_feed(r->parser, s.p, part);
            r->left -= part;
            if (r->left == 0)
                r->state = BODY_CR;
        } else {
            status = read_framing(r, s.p[0]);
        }
        if (status != 0)
            return status;
        s = slice_make(s.p + part, s.n - part);
    }
    return 0;
}

int stream_reader_feed(struct stream_reader *r, struct slice bytes)
{
    size_t n = r->head.n - r->head_seen;

    if (n > bytes.n)
        n = bytes.n;
    if (n > 0 && memcmp(bytes.p, r->head.p + r->head_seen, n) != 0)
        return -EPROTO;
    r->head_seen += n;
    bytes = slice_make(bytes.p + n, bytes.n - n);
    return r->is_chunked ? read_chunks(r, bytes) : sse_parser_feed(r->parser, bytes.p, bytes.n);
}

bool stream_reader_is_whole(const struct stream_reader *r)
{
    return !r->is_chunked || r->state == OVER;
}

/* ---- as a text ---- */

struct transcript {
    struct buf *out;
    const char *epoch;
};

/* Appends `text` with each "EPOCH-" as "#". */
static void add_shortened(const struct transcript *t, struct slice text)
{
    for (size_t i = 0; i < text.n;) {
        if (text.n - i > EPOCH_LENGTH && text.p[i + EPOCH_LENGTH] == '-' &&
            memcmp(text.p + i, t->epoch, EPOCH_LENGTH) == 0) {
            buf_add_char(t->out, '#');
            i += EPOCH_LENGTH + 1;
        } else {
            buf_add_char(t->out, text.p[i++]);
        }
    }
}

static int hear_event(void *arg, const struct sse_event *event)
{
    const struct transcript *t = arg;

    buf_printf(t->out, "%.*s(", SLICE_ARG(event->type));
    add_shortened(t, event->data);
    buf_add_char(t->out, ')');
    add_shortened(t, event->last_event_id);
    buf_add_char(t->out, ' ');
    return 0;
}

static int hear_comment(void *arg, struct slice text)
{
    const struct transcript *t = arg;
    struct slice rest = text;

    if (slice_is(slice_cut(&rest, ' '), "connected"))
        text.n = strlen("connected");
    buf_printf(t->out, "{%.*s} ", SLICE_ARG(text));
    return 0;
}

static int hear_retry(void *arg, uint64_t retry_ms)
{
    const struct transcript *t = arg;

    buf_printf(t->out, "<%llu> ", (unsigned long long)retry_ms);
    return 0;
}

int stream_reader_transcribe(struct slice bytes, struct slice head, bool is_chunked,
                             const char *epoch, struct buf *out)
{
    static const struct sse_handlers handlers = {hear_event, hear_comment, hear_retry};
    struct transcript t = {out, epoch};
    struct stream_reader r;
    int status = stream_reader_init(&r, head, is_chunked, &handlers, &t);

    if (status == 0)
        status = stream_reader_feed(&r, bytes);
    stream_reader_fini(&r);
    return status;
}
