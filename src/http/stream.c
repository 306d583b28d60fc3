/* stream.c - a stream is its connection in the state "streaming": over HTTP/1 there is nothing
 * more to one. */
#include <assert.h>
#include "conn_priv.h"
#include "http/response.h"
#include "response_priv.h"

struct http_stream *http_stream_open(struct http_request *r,
                                     const struct http_stream_events *events, void *ctx,
                                     enum http_framing *framing, char **head, size_t *head_length)
{
    struct conn *c = r->conn;
    struct buf b = {0};

    assert(c->state == CONN_HANDLING && c->request == r);
    *framing = http_request_minor(r) > 0 ? HTTP_CHUNKED : HTTP_PLAIN;
    buf_reserve(&b, 512);
    response_begin(&b, r, 200);
    buf_add_text(&b, *framing == HTTP_CHUNKED ? "Transfer-Encoding: chunked\r\n"
                                              : "Connection: close\r\n");
    buf_add_text(&b, "X-Accel-Buffering: no\r\n");
    response_end(&b, r, "text/event-stream", "no-cache, no-store, no-transform");
    if (b.failed) {
        buf_fini(&b);
        r->on_abandoned = NULL; /* the caller learns it from the NULL */
        conn_cut_for_memory(c);
        return NULL;
    }
    *head = b.p;
    *head_length = b.len;
    return conn_open_stream(c, events, ctx);
}

static const struct conn *const_conn_of(const struct http_stream *s)
{
    return (const struct conn *)(const void *)((const char *)s - offsetof(struct conn, stream));
}

void http_stream_expect(const struct http_stream *s)
{
    __builtin_prefetch(&const_conn_of(s)->sock.fd);
}

ssize_t http_stream_writev(struct http_stream *s, const struct iovec *iov, int count)
{
    return sock_writev(&conn_of_stream(s)->sock, iov, count);
}

void http_streams_write(struct write *writes, size_t count)
{
    struct loop *loop = conn_server(conn_of_stream(writes[0].to))->socks.loop;

    for (size_t i = 0; i < count; i++)
        writes[i].to = &conn_of_stream(writes[i].to)->sock;
    socks_write(loop, writes, count);
}

void http_stream_want_write(struct http_stream *s)
{
    struct conn *c = conn_of_stream(s);

    c->wants_write = true;
    conn_settle(c);
}

void http_stream_deadline(struct http_stream *s, uint64_t due_ms)
{
    struct conn *c = conn_of_stream(s);

    if (c->state == CONN_STREAMING) /* the dead must stay out of the wheel */
        sock_deadline(&c->sock, due_ms);
}

void http_stream_close(struct http_stream *s, bool is_graceful)
{
    struct conn *c = conn_of_stream(s);

    if (c->state != CONN_STREAMING)
        return; /* the peer was quicker, and on_closed is running */
    c->stream = (struct http_stream){NULL, NULL}; /* on_closed is not called; no bytes wait */
    if (is_graceful)
        conn_linger(c);
    else
        conn_cut(c);
    conn_settle(c);
}

void http_stream_set_ctx(struct http_stream *s, void *ctx)
{
    s->ctx = ctx;
}

void *http_stream_server_ctx(const struct http_stream *s)
{
    return conn_server(const_conn_of(s))->ctx;
}

const struct peer *http_stream_peer(const struct http_stream *s)
{
    return &const_conn_of(s)->peer;
}
