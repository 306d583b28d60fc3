/* conn.c - enter is the one writer of a connection's state; conn_settle, called last by whatever
 * came from outside, asks the loop for what the state needs. Nothing is freed here but bytes. */
#include "conn_priv.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/proxy_protocol.h"
#include "router_priv.h"

static struct conn *conn_of_sock(struct sock *s)
{
    return (struct conn *)(void *)((char *)s - offsetof(struct conn, sock));
}

struct conn *conn_of_stream(struct http_stream *s)
{
    return (struct conn *)(void *)((char *)s - offsetof(struct conn, stream));
}

static void enter(struct conn *c, enum conn_state next)
{
    c->state = (uint8_t)next;
}

static uint64_t now_ms(const struct conn *c)
{
    return loop_now_ms(conn_server(c)->socks.loop);
}

static uint64_t in_ms(const struct conn *c, uint64_t ms)
{
    return now_ms(c) + ms;
}

/* ---- bytes in waiting ---- */

static struct buf *need_bytes(struct conn *c, size_t offset)
{
    if (c->bytes == NULL)
        c->bytes = calloc(1, sizeof *c->bytes);
    return c->bytes == NULL ? NULL : (struct buf *)(void *)((char *)c->bytes + offset);
}

static void drop_bytes(struct conn *c)
{
    if (c->bytes == NULL)
        return;
    assert(!c->is_resumed); /* the list of those goes through them */
    buf_fini(&c->bytes->out);
    buf_fini(&c->bytes->stash);
    free(c->bytes);
    c->bytes = NULL;
}

static size_t stashed(const struct conn *c)
{
    return c->bytes == NULL ? 0 : c->bytes->stash.len;
}

static void stash(struct conn *c, const char *p, size_t n)
{
    struct buf *b = need_bytes(c, offsetof(struct conn_bytes, stash));

    if (b == NULL || buf_add(b, p, n) != 0)
        conn_cut_for_memory(c);
}

/* For one that has bytes in its stash. */
static void ask_resume(struct conn *c)
{
    struct http_server *server = conn_server(c);

    if (c->is_resumed)
        return;
    c->is_resumed = true;
    c->bytes->next_resumed = NULL;
    *server->resumed_end = c;
    server->resumed_end = &c->bytes->next_resumed;
    loop_wake(server->socks.loop);
}

/* ---- the end ---- */

void conn_cut(struct conn *c)
{
    struct http_server *server = conn_server(c);
    enum conn_state was = (enum conn_state)c->state;
    struct http_stream stream = was == CONN_STREAMING ? c->stream : (struct http_stream){0};
    struct http_request *r = was == CONN_STREAMING ? NULL : c->request;

    if (was == CONN_DEAD)
        return;
    enter(c, CONN_DEAD);
    sock_close(&c->sock);
    if (was != CONN_STREAMING && !c->is_resumed)
        drop_bytes(c);
    c->next_dead = server->dead;
    server->dead = c;
    server->count--;
    server->stats->connections_open--;
    if (r != NULL) {
        if (was == CONN_HANDLING && r->on_abandoned != NULL)
            r->on_abandoned(r->abandoned_ctx);
        server_put_request(server, r);
    }
    if (stream.events != NULL)
        stream.events->on_closed(stream.ctx);
}

void conn_cut_for_memory(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    conn_server(c)->stats->out_of_memory++;
    conn_cut(c);
}

void conn_linger(struct conn *c)
{
    if (c->has_end) { /* the peer sends no more, so nothing unread can reset the connection */
        conn_cut(c);
        return;
    }
    drop_bytes(c);
    sock_shut_write(&c->sock);
    enter(c, CONN_LINGERING);
    sock_deadline(&c->sock, in_ms(c, LINGER_MS));
}

/* ---- the answer ---- */

bool conn_may_keep(const struct conn *c)
{
    return !conn_server(c)->is_draining;
}

/* All of the answer is written. */
static void on_flushed(struct conn *c)
{
    if (!c->is_kept) {
        conn_linger(c);
        return;
    }
    enter(c, CONN_READING);
    sock_deadline(&c->sock, in_ms(c, conn_server(c)->limits->idle_timeout_ms));
    if (c->is_feeding)
        return; /* conn_feed goes on itself */
    if (stashed(c) > 0)
        ask_resume(c);
    else if (c->has_end || conn_server(c)->is_draining)
        conn_linger(c);
}

/* Writes what the socket takes and keeps the rest. Returns 0, or -errno when the peer is gone. */
static int send_answer(struct conn *c, struct slice head, struct slice body)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)head.p, head.n},
                           {(void *)(uintptr_t)body.p, body.n}};
    ssize_t taken = sock_writev(&c->sock, iov, body.n > 0 ? 2 : 1);
    size_t n = taken < 0 ? 0 : (size_t)taken;
    struct buf *out;

    if (taken < 0 && taken != -EAGAIN)
        return (int)taken;
    if (n == head.n + body.n)
        return 0;
    out = need_bytes(c, offsetof(struct conn_bytes, out));
    if (out == NULL || buf_reserve(out, head.n + body.n - n) != 0)
        return -ENOMEM;
    if (n < head.n)
        buf_add(out, head.p + n, head.n - n);
    n -= n < head.n ? n : head.n;
    buf_add(out, body.p + n, body.n - n);
    return 0;
}

static void log_answer(struct conn *c, const struct http_request *r, int status, size_t bytes)
{
    const struct h1_message *m = h1_message(r->reader);
    struct slice path = http_request_path(r);
    struct slice target = h1_slice(m, m->target);
    char peer[PEER_TEXT_SIZE];

    if (!log_enabled(LOG_INFO))
        return;
    if (r->path.n == 0 && target.n > 0)
        path = slice_cut(&target, '?'); /* never the query: it may hold a token */
    else if (r->path.n == 0)
        path = slice_of("-");
    peer_format(&r->peer, false, peer);
    log_event(LOG_INFO, "request",
              log_slice("method", m->method.n == 0 ? slice_of("-") : h1_slice(m, m->method)),
              log_slice("path", path), log_u64("status", (uint64_t)status), log_text("peer", peer),
              log_u64("bytes", bytes), log_u64("ms", now_ms(c) - r->began_ms));
}

static void end_request(struct conn *c, int status)
{
    struct http_request *r = c->request;
    struct http_server *server = conn_server(c);

    c->request = NULL;
    server->stats->requests++;
    if (status >= 400)
        server->stats->requests_refused++;
    server->answered[r->route * STATUS_SLOTS + status_slot(status)]++;
    server_put_request(server, r);
}

void conn_answer(struct conn *c, int status, struct slice head, struct slice body, bool is_kept)
{
    int error = send_answer(c, head, body);

    log_answer(c, c->request, status, head.n + body.n);
    end_request(c, status);
    c->is_kept = is_kept;
    if (error == -ENOMEM) {
        conn_cut_for_memory(c);
    } else if (error != 0) {
        conn_cut(c);
    } else if (c->bytes != NULL && c->bytes->out.len > 0) {
        enter(c, CONN_FLUSHING);
        sock_deadline(&c->sock, in_ms(c, WRITE_TIMEOUT_MS));
    } else {
        on_flushed(c);
    }
    if (!c->is_feeding)
        conn_settle(c);
}

struct http_stream *conn_open_stream(struct conn *c, const struct http_stream_events *events,
                                     void *ctx)
{
    c->peer = c->request->peer; /* a proxy's client, where the proxy is believed */
    end_request(c, 200);
    drop_bytes(c);
    c->stream = (struct http_stream){events, ctx};
    c->has_end = false; /* the socket tells it again */
    enter(c, CONN_STREAMING);
    sock_deadline(&c->sock, 0);
    if (!c->is_feeding)
        conn_settle(c);
    return &c->stream;
}

/* ---- the request ---- */

static void answer_options(struct http_request *r, unsigned methods)
{
    char allow[ROUTER_ALLOW_SIZE];

    router_allow(methods, allow, sizeof allow);
    http_response_header(r, "Allow", slice_of(allow));
    http_respond(r, 204, NULL, slice_make(NULL, 0));
}

static void route(struct conn *c, struct http_request *r)
{
    struct http_server *server = conn_server(c);
    struct router_match match;
    char allow[ROUTER_ALLOW_SIZE];

    if (slice_is(http_request_path(r), "*")) {
        answer_options(r, router_methods(server->router, r->role));
        return;
    }
    router_match(server->router, http_request_path(r), r->role, r->method, &match);
    if (match.handler != NULL) {
        r->route = match.row;
        request_set_params(r, match.params, match.param_count);
        match.handler(server->ctx, r);
    } else if (match.methods == 0) {
        http_problem(r, 404, "There is nothing at this path.");
    } else if (r->method == HTTP_OPTIONS) {
        answer_options(r, match.methods);
    } else {
        router_allow(match.methods, allow, sizeof allow);
        http_response_header(r, "Allow", slice_of(allow));
        http_problem(r, 405, "This path takes the methods %s.", allow);
    }
}

static void dispatch(struct conn *c)
{
    struct http_server *server = conn_server(c);
    struct http_request *r = c->request;

    if (request_on_done(r) != 0) {
        conn_cut_for_memory(c);
        return;
    }
    enter(c, CONN_HANDLING);
    if (server->filter != NULL && server->filter(server->ctx, r))
        return;
    route(c, r);
}

static bool begin_request(struct conn *c)
{
    struct http_request *r = server_take_request(conn_server(c));

    if (r == NULL)
        return false;
    r->conn = c;
    r->peer = c->peer;
    r->role = (enum http_role)c->role;
    r->is_local = c->is_local;
    r->began_ms = now_ms(c);
    c->request = r;
    return true;
}

/* The head is there, and `more` bytes behind it. */
static void on_head(struct conn *c, size_t more)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_request *r = c->request;
    const struct h1_message *m = h1_message(r->reader);
    const char *detail = NULL;
    int status = request_on_head(r, &detail);
    ssize_t taken;

    r->has_head = true;
    if (status != 0) {
        response_refuse(r, status, detail);
        return;
    }
    if (m->expect == H1_EXPECT_UNKNOWN) {
        response_refuse(r, 417, "The only expectation met is \"100-continue\".");
        return;
    }
    if (m->expect != H1_EXPECT_CONTINUE || m->framing == H1_NO_BODY || more > 0)
        return;
    /* A socket that is full keeps nothing back: the client sends the body without being asked
     * when it has waited for a while (RFC 9110 10.1.1). Half a line cannot be mended. */
    taken = sock_write(&c->sock, go_on, sizeof go_on - 1);
    if (taken != (ssize_t)sizeof go_on - 1 && taken != -EAGAIN)
        conn_cut(c);
}

/* False: there is no room for what the request has grown by, which was answered. */
static bool has_room(struct conn *c)
{
    struct http_request *r = c->request;

    if (server_has_room(conn_server(c), r))
        return true;
    conn_server(c)->stats->requests_refused_for_memory++;
    http_response_header(r, "Retry-After", SLICE_LITERAL("1"));
    response_refuse(r, 503, "The requests that are being received hold as much memory as "
                            "limits.max_memory leaves them; try again later.");
    return false;
}

/* Reads on in the request, or begins one; *p and *n move on. False: more bytes are needed. */
static bool step(struct conn *c, const char **p, size_t *n)
{
    size_t used;
    enum h1_result result = h1_feed(c->request->reader, *p, *n, &used);

    *p += used;
    *n -= used;
    if (h1_message(c->request->reader)->arena.cap != c->request->counted && !has_room(c))
        return true;
    switch (result) {
    case H1_MORE:
        return false;
    case H1_HEAD:
        on_head(c, *n);
        break;
    case H1_DONE:
        dispatch(c);
        break;
    case H1_REFUSED:
        response_refuse(c->request, h1_message(c->request->reader)->status,
                        h1_message(c->request->reader)->detail);
        break;
    case H1_NO_MEMORY:
        conn_cut_for_memory(c);
        break;
    }
    return true;
}

/* A request that is not whole gets its time, once for each of its parts. */
static void set_read_deadline(struct conn *c)
{
    struct http_request *r = c->request;
    const struct http_limits *limits = conn_server(c)->limits;

    if (!r->has_head && r->awaits == AWAITS_NOTHING) {
        r->awaits = AWAITS_HEAD;
        sock_deadline(&c->sock, in_ms(c, limits->header_timeout_ms));
    } else if (r->has_head && r->awaits != AWAITS_BODY) {
        r->awaits = AWAITS_BODY;
        sock_deadline(&c->sock, in_ms(c, limits->body_timeout_ms));
    }
}

/* Whether one more may be handled of those that came together. */
static bool has_turn(uint64_t *pipelined_us)
{
    uint64_t now_us = clock_mono_us();

    if (*pipelined_us == 0)
        *pipelined_us = now_us;
    return now_us - *pipelined_us < PIPELINED_US;
}

/* Reads requests out of the bytes and has them handled, one after another, as long as each is
 * answered within its handler; bytes behind one that is not are stashed, and so are those behind
 * many, for the turn's end. */
static void conn_feed(struct conn *c, const char *p, size_t n)
{
    uint64_t pipelined_us = 0; /* when the second was begun; 0: not yet */
    bool is_first = true;

    c->is_feeding = true;
    while (c->state == CONN_READING) {
        if (c->request == NULL) {
            while (n > 0 && (*p == '\r' || *p == '\n')) { /* empty lines begin no request */
                p++;
                n--;
            }
            if (n == 0 || (!is_first && !has_turn(&pipelined_us)))
                break;
            is_first = false;
            if (!begin_request(c)) {
                conn_cut_for_memory(c);
                break;
            }
        }
        if (!step(c, &p, &n))
            break;
    }
    c->is_feeding = false;
    if (c->state == CONN_HANDLING || (c->state == CONN_FLUSHING && c->is_kept)) {
        if (n > 0)
            stash(c, p, n);
    } else if (c->state == CONN_READING && c->request == NULL && n > 0) {
        stash(c, p, n);
        if (c->state == CONN_READING)
            ask_resume(c);
    } else if (c->state == CONN_READING && c->has_end) {
        conn_cut(c);
    } else if (c->state == CONN_READING && c->request != NULL) {
        set_read_deadline(c);
    }
}

/* ---- what comes before the first request ---- */

static void await_request(struct conn *c)
{
    if (c->state == CONN_READING && c->request == NULL)
        sock_deadline(&c->sock, in_ms(c, conn_server(c)->limits->idle_timeout_ms));
}

/* The header so far, with what may come behind it. */
static void read_proxy_header(struct conn *c)
{
    struct slice bytes = buf_slice(&c->bytes->stash);
    ssize_t used = proxy_header_read(bytes, &c->peer);
    struct buf stash;

    if (used == 0)
        return;
    if (used < 0) {
        conn_server(c)->stats->proxy_headers_refused++;
        conn_cut(c);
        return;
    }
    stash = c->bytes->stash;
    c->bytes->stash = (struct buf){0};
    drop_bytes(c);
    enter(c, CONN_READING);
    conn_feed(c, bytes.p + used, bytes.n - (size_t)used);
    buf_fini(&stash);
    await_request(c);
}

/* ---- what comes from outside ---- */

static void on_end(struct conn *c)
{
    if (c->state == CONN_HANDLING || (c->state == CONN_READING && stashed(c) > 0))
        c->has_end = true; /* half-closed: it may still read the answers */
    else
        conn_cut(c);
}

static void on_readable(struct conn *c)
{
    struct http_server *server = conn_server(c);
    ssize_t n = sock_read(&c->sock, server->read, sizeof server->read);

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        if (n == 0)
            on_end(c);
        else
            conn_cut(c);
        return;
    }
    switch ((enum conn_state)c->state) {
    case CONN_ANNOUNCED:
        stash(c, server->read, (size_t)n);
        if (c->state == CONN_ANNOUNCED)
            read_proxy_header(c);
        break;
    case CONN_READING:
        if (stashed(c) > 0) /* not gone on with yet: these come after it */
            stash(c, server->read, (size_t)n);
        else
            conn_feed(c, server->read, (size_t)n);
        break;
    case CONN_HANDLING:
        stash(c, server->read, (size_t)n);
        break;
    case CONN_LINGERING:
        c->lingered += (uint32_t)n;
        if (c->lingered > MAX_LINGER)
            conn_cut(c);
        break;
    case CONN_FLUSHING:
    case CONN_STREAMING:
    case CONN_DEAD:
        break; /* thrown away: nothing is expected here */
    }
}

static void on_writable(struct conn *c)
{
    struct conn_bytes *b;
    ssize_t taken;

    if (c->state == CONN_STREAMING && c->wants_write) {
        c->wants_write = false;
        c->stream.events->on_writable(c->stream.ctx);
    }
    if (c->state != CONN_FLUSHING)
        return;
    b = c->bytes;
    taken = sock_write(&c->sock, b->out.p + b->sent, b->out.len - b->sent);
    if (taken < 0) {
        if (taken != -EAGAIN)
            conn_cut(c);
        return;
    }
    b->sent += (size_t)taken;
    if (b->sent < b->out.len) {
        sock_deadline(&c->sock, in_ms(c, WRITE_TIMEOUT_MS));
        return;
    }
    buf_fini(&b->out);
    b->sent = 0;
    if (b->stash.len == 0)
        drop_bytes(c);
    on_flushed(c);
}

void conn_on_event(struct sock *s, unsigned events)
{
    struct conn *c = conn_of_sock(s);

    if ((events & NET_WRITE) != 0)
        on_writable(c);
    if ((events & NET_READ) != 0 && c->state != CONN_DEAD && c->state != CONN_FLUSHING)
        on_readable(c);
    conn_settle(c);
}

static void on_read_timeout(struct conn *c)
{
    struct stats *stats = conn_server(c)->stats;

    if (c->request == NULL) {
        if (stashed(c) == 0) {
            stats->timeouts_idle++;
            conn_cut(c);
        }
    } else if (!c->request->has_head) {
        stats->timeouts_header++;
        response_refuse(c->request, 408, "The request's head did not come in time.");
    } else {
        stats->timeouts_body++;
        response_refuse(c->request, 408, "The request's body did not come in time.");
    }
}

void conn_on_deadline(struct sock *s, uint64_t at_ms)
{
    struct conn *c = conn_of_sock(s);

    switch ((enum conn_state)c->state) {
    case CONN_ANNOUNCED:
        conn_server(c)->stats->timeouts_header++;
        conn_cut(c);
        break;
    case CONN_READING:
        on_read_timeout(c);
        break;
    case CONN_HANDLING: /* set for the reading; the answer sets a new one */
    case CONN_DEAD:
        break;
    case CONN_FLUSHING:
        conn_server(c)->stats->timeouts_write++;
        conn_cut(c);
        break;
    case CONN_STREAMING:
        c->stream.events->on_deadline(c->stream.ctx, at_ms);
        break;
    case CONN_LINGERING:
        conn_cut(c);
        break;
    }
    conn_settle(c);
}

static unsigned wanted(const struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_ANNOUNCED:
        return NET_READ;
    case CONN_READING:
    case CONN_HANDLING:
        return c->has_end || stashed(c) >= MAX_STASH ? 0 : NET_READ;
    case CONN_FLUSHING:
        return NET_WRITE;
    case CONN_STREAMING:
        return NET_READ | (c->wants_write ? NET_WRITE : 0u);
    case CONN_LINGERING:
        return NET_READ;
    case CONN_DEAD:
        break;
    }
    return 0;
}

void conn_settle(struct conn *c)
{
    if (c->state != CONN_DEAD)
        sock_want(&c->sock, wanted(c));
}

void conn_begin(struct conn *c)
{
    on_readable(c);
    if (c->state == CONN_ANNOUNCED)
        sock_deadline(&c->sock, in_ms(c, conn_server(c)->limits->header_timeout_ms));
    else
        await_request(c);
    conn_settle(c);
}

void conn_resume(struct conn *c)
{
    struct buf bytes;

    if (c->state == CONN_DEAD)
        drop_bytes(c);
    if (c->state != CONN_READING || c->bytes == NULL)
        return;
    bytes = c->bytes->stash;
    c->bytes->stash = (struct buf){0};
    drop_bytes(c);
    conn_feed(c, bytes.p, bytes.len);
    buf_fini(&bytes);
    conn_settle(c);
}
