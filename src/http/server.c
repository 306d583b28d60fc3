/* server.c - `conns` holds every connection; the dead wait in `dead` for the turn's end. */
#include "http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "conn_priv.h"
#include "net/loop.h"
#include "router_priv.h"

enum { LOOKS_A_TURN = 500, RESUMES_US = 2000 };

/* Frees the dead but those that the list of resumed ones still points to. */
static void reap(struct http_server *server)
{
    struct conn *c = server->dead;

    server->dead = NULL;
    while (c != NULL) {
        struct conn *next = c->next_dead;

        if (c->is_resumed) {
            c->next_dead = server->dead;
            server->dead = c;
        } else {
            pool_give(&server->conns, c);
        }
        c = next;
    }
}

static bool is_idle(const struct conn *c)
{
    return c->state == CONN_ANNOUNCED ||
           (c->state == CONN_READING && c->request == NULL && c->bytes == NULL);
}

/* Closes some of the connections that are idle: to close one takes some microseconds. Returns
 * whether more are to be looked at. */
static bool drain_some(struct http_server *server)
{
    for (int n = 0; n < LOOKS_A_TURN && server->has_to_drain; n++) {
        struct conn *c = pool_walk_next(&server->conns);

        if (c == NULL)
            server->has_to_drain = false;
        else if (is_idle(c) && !c->is_feeding)
            conn_cut(c);
    }
    return server->has_to_drain;
}

/* Goes on with the connections that asked for it by now, in their order, for about that long. */
static void resume(struct http_server *server, uint64_t most_us)
{
    struct conn **end = server->resumed_end;
    uint64_t begun_us = clock_mono_us();
    bool is_last = server->resumed == NULL;

    while (!is_last) {
        struct conn *c = server->resumed;

        is_last = end == &c->bytes->next_resumed;
        server->resumed = c->bytes->next_resumed;
        if (server->resumed == NULL)
            server->resumed_end = &server->resumed;
        c->is_resumed = false;
        conn_resume(c);
        is_last |= clock_mono_us() - begun_us >= most_us;
    }
}

/* Goes on with the connections whose handler answered late: here, and not within that answer, so
 * that a handler is never called while another one answers. */
static bool on_turn_end(void *ctx)
{
    struct http_server *server = ctx;
    /* Hooks before this one may have to follow up on the requests. */
    bool has_more = server->resumed != NULL;

    if (has_more)
        resume(server, RESUMES_US);
    has_more |= drain_some(server);
    reap(server);
    return has_more;
}

struct http_server *http_server_create(struct loop *loop, const struct http_limits *limits,
                                       const struct http_route *routes, http_filter *filter,
                                       void *ctx, struct stats *stats)
{
    struct http_server *server = calloc(1, sizeof *server);

    if (server == NULL)
        return NULL;
    server->socks = (struct sock_owner){loop, conn_on_event, conn_on_deadline};
    pool_init(&server->conns, sizeof(struct conn));
    server->resumed_end = &server->resumed;
    server->limits = limits;
    server->filter = filter;
    server->ctx = ctx;
    server->stats = stats;
    server->date_s = UINT64_MAX;
    server->routes = routes;
    while (routes[server->route_count].handler != NULL)
        server->route_count++;
    server->answered = calloc((server->route_count + 1) * STATUS_SLOTS, sizeof(uint64_t));
    server->router = router_create(routes);
    if (server->answered == NULL || server->router == NULL ||
        loop_add_turn_end(loop, on_turn_end, server) != 0) {
        router_destroy(server->router);
        free(server->answered);
        free(server);
        return NULL;
    }
    return server;
}

/* What it has grown by, or shrunk. */
static void count_bytes(struct http_server *server, struct http_request *r)
{
    size_t size = h1_message(r->reader)->arena.cap;

    server->stats->request_bytes += size - r->counted;
    r->counted = size;
}

static void destroy_request(struct http_server *server, struct http_request *r)
{
    server->stats->request_bytes -= r->counted;
    request_destroy(r);
}

void http_server_destroy(struct http_server *server)
{
    struct conn *c;

    if (server == NULL)
        return;
    pool_walk_start(&server->conns);
    while ((c = pool_walk_next(&server->conns)) != NULL)
        conn_cut(c);
    resume(server, UINT64_MAX);
    pool_fini(&server->conns);
    while (server->pool != NULL) {
        struct http_request *r = server->pool;

        server->pool = r->next;
        destroy_request(server, r);
    }
    buf_fini(&server->head);
    router_destroy(server->router);
    free(server->answered);
    free(server);
}

void http_server_accept(struct http_server *server, int fd, const struct peer *peer,
                        const struct http_door *door)
{
    struct conn *c = pool_take(&server->conns);

    server->stats->connections_accepted++;
    if (c == NULL) {
        server->stats->out_of_memory++;
        close(fd);
        return;
    }
    c->peer = *peer;
    c->role = (unsigned)door->role & 3;
    c->is_local = door->is_local;
    if (door->has_proxy_header)
        c->state = CONN_ANNOUNCED;
    server->count++;
    server->stats->connections_open++;
    sock_open(&c->sock, &server->socks, fd);
    conn_begin(c);
}

void http_server_drain(struct http_server *server)
{
    server->is_draining = true;
    server->has_to_drain = true;
    pool_walk_start(&server->conns);
    if (drain_some(server))
        loop_wake(server->socks.loop);
}

void http_server_each_stream(struct http_server *server, http_visit_fn *visit, void *ctx)
{
    struct conn *c;

    pool_walk_start(&server->conns);
    while ((c = pool_walk_next(&server->conns)) != NULL)
        if (c->state == CONN_STREAMING)
            visit(ctx, &c->stream);
    pool_walk_start(&server->conns); /* a drain that has lost its place looks at all again */
}

void http_server_each_count(const struct http_server *server, http_count_fn *visit, void *ctx)
{
    for (size_t i = 0; i < (server->route_count + 1) * STATUS_SLOTS; i++)
        if (server->answered[i] > 0)
            visit(ctx, i < STATUS_SLOTS ? NULL : &server->routes[i / STATUS_SLOTS - 1],
                  status_of_slot(i % STATUS_SLOTS), server->answered[i]);
}

size_t http_server_connections(const struct http_server *server)
{
    return server->count;
}

void http_server_allow(const struct http_server *server, struct slice path, enum http_role role,
                       char *out, size_t size)
{
    struct router_match match;

    if (slice_is(path, "*")) {
        router_allow(router_methods(server->router, role), out, size);
        return;
    }
    router_match(server->router, path, role, HTTP_OPTIONS, &match);
    router_allow(match.methods, out, size);
}

struct http_request *server_take_request(struct http_server *server)
{
    struct http_request *r = server->pool;

    if (r != NULL) {
        server->pool = r->next;
        server->pool_count--;
        h1_set_limits(r->reader, server->limits->max_header, server->limits->max_body);
        return r;
    }
    return request_create(server->limits->max_header, server->limits->max_body);
}

void server_put_request(struct http_server *server, struct http_request *r)
{
    if (server->pool_count == MAX_POOL) {
        destroy_request(server, r);
        return;
    }
    request_reset(r); /* now and not when it is taken: a large body is not kept until then */
    if (h1_message(r->reader)->arena.cap != r->counted)
        count_bytes(server, r);
    r->next = server->pool;
    server->pool = r;
    server->pool_count++;
}

bool server_has_room(struct http_server *server, struct http_request *r)
{
    count_bytes(server, r);
    return server->limits->max_pending == 0 || r->counted <= LARGE_REQUEST ||
           server->stats->request_bytes <= server->limits->max_pending;
}

struct slice server_date_line(struct http_server *server)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t now_ms = loop_now_ms(server->socks.loop);
    uint64_t now_s;
    time_t seconds;
    struct tm tm;
    int n;

    if (now_ms == server->date_checked_ms)
        return server->date_line;
    server->date_checked_ms = now_ms;
    now_s = loop_wall_ms(server->socks.loop) / 1000;
    if (now_s == server->date_s)
        return server->date_line;
    server->date_s = now_s;
    seconds = (time_t)now_s;
    gmtime_r(&seconds, &tm);
    n = snprintf(server->date, sizeof server->date,
                 "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
                 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    server->date_line = slice_make(server->date, (size_t)n);
    return server->date_line;
}
