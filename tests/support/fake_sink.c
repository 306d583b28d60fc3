/* fake_sink.c - see the header. */
#include "support/fake_sink.h"

#include <errno.h>

static size_t wanted(const struct iovec *iov, int count)
{
    size_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static void take(struct fake_sink *s, struct slice bytes)
{
    if (s->on_bytes != NULL)
        s->on_bytes(s->ctx, bytes);
    else
        buf_add_slice(&s->bytes, bytes);
}

static ssize_t fake_writev(void *sink, const struct iovec *iov, int count)
{
    struct fake_sink *s = sink;
    size_t n = wanted(iov, count);
    size_t left;

    s->writes++;
    if (s->error != 0)
        return s->error;
    if (n > s->room)
        n = s->room;
    if (s->most > 0 && n > s->most)
        n = s->most;
    if (n == 0)
        return -EAGAIN;
    left = n;
    for (int i = 0; i < count && left > 0; i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

        take(s, slice_make(iov[i].iov_base, part));
        left -= part;
    }
    if (s->room != FAKE_SINK_ENDLESS)
        s->room -= n;
    return (ssize_t)n;
}

/* Not in order: no sink's outcome may hang on another's. */
static void fake_write_many(struct write *writes, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        void *sink = writes[i].to;

        writes[i].to = NULL;
        writes[i].taken = fake_writev(sink, writes[i].iov, writes[i].count);
    }
}

static void fake_want_write(void *sink)
{
    struct fake_sink *s = sink;

    s->wants_write = true;
}

static void fake_deadline(void *sink, uint64_t due_ms)
{
    struct fake_sink *s = sink;

    s->due_ms = due_ms;
}

static void fake_close(void *sink, bool is_graceful)
{
    struct fake_sink *s = sink;

    s->is_closed = true;
    s->is_graceful = is_graceful;
    if (s->on_close != NULL)
        s->on_close(s->ctx);
}

const struct client_sink fake_sink_ops = {
    .writev = fake_writev,
    .write_many = fake_write_many,
    .want_write = fake_want_write,
    .deadline = fake_deadline,
    .close = fake_close,
};

void fake_sink_open_up(struct fake_sink *sink, struct client *c, size_t room, uint64_t now_ms)
{
    sink->room = room > SIZE_MAX - sink->room ? SIZE_MAX : sink->room + room;
    if (!sink->wants_write || sink->is_closed || room == 0)
        return;
    sink->wants_write = false;
    client_on_writable(c, now_ms);
}

void fake_sink_fini(struct fake_sink *sink)
{
    buf_fini(&sink->bytes);
}
