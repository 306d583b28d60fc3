/* server.c - `all` holds every connection but the dead, which wait in `dead` for the turn's end. */
#include "http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "conn_priv.h"
#include "net/loop.h"
#include "router_priv.h"

enum { LOOKS_A_TURN = 500 };

/* Frees the dead but those that the list of resumed ones still points to. */
static void reap(struct http_server *server)
{
    struct conn *c = server->dead;

    server->dead = NULL;
    while (c != NULL) {
        struct conn *next = c->next;

        if (c->is_resumed) {
            c->next = server->dead;
            server->dead = c;
        } else {
            free(c);
        }
        c = next;
    }
}

static bool is_idle(const struct conn *c)
{
    return c->state == CONN_READING && c->request == NULL && c->bytes == NULL;
}

/* Closes some of the connections that were idle when the drain began: to close one takes some
 * microseconds. Returns whether more are to be looked at. */
static bool drain_some(struct http_server *server)
{
    for (int n = 0; n < LOOKS_A_TURN && server->to_drain != NULL; n++) {
        struct conn *c = server->to_drain;

        server->to_drain = c->next;
        if (is_idle(c) && !c->is_feeding)
            conn_cut(c);
    }
    return server->to_drain != NULL;
}

/* Goes on with the connections whose handler answered late: here, and not within that answer, so
 * that a handler is never called while another one answers. */
static bool on_turn_end(void *ctx)
{
    struct http_server *server = ctx;
    struct conn *c = server->resumed;
    bool has_more = c != NULL; /* hooks before this one may have to follow up on the requests */

    server->resumed = NULL;
    while (c != NULL) {
        struct conn *next = c->next_resumed;

        c->is_resumed = false;
        conn_resume(c);
        c = next;
    }
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
    server->loop = loop;
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

void http_server_destroy(struct http_server *server)
{
    if (server == NULL)
        return;
    while (server->all != NULL)
        conn_cut(server->all);
    for (struct conn *c = server->resumed; c != NULL; c = c->next_resumed)
        c->is_resumed = false;
    reap(server);
    while (server->pool != NULL) {
        struct http_request *r = server->pool;

        server->pool = r->next;
        request_destroy(r);
    }
    buf_fini(&server->head);
    router_destroy(server->router);
    free(server->answered);
    free(server);
}

void http_server_accept(struct http_server *server, int fd, const struct peer *peer,
                        enum http_role role)
{
    struct conn *c = calloc(1, sizeof *c);

    server->stats->connections_accepted++;
    if (c == NULL) {
        server->stats->out_of_memory++;
        close(fd);
        return;
    }
    c->server = server;
    c->peer = *peer;
    c->role = (uint8_t)role;
    c->next = server->all;
    if (c->next != NULL)
        c->next->prev = c;
    server->all = c;
    server->count++;
    server->stats->connections_open++;
    sock_open(&c->sock, server->loop, fd, &conn_ops);
    conn_begin(c);
}

void http_server_drain(struct http_server *server)
{
    server->is_draining = true;
    server->to_drain = server->all;
    if (drain_some(server))
        loop_wake(server->loop);
}

void http_server_each_stream(const struct http_server *server, http_visit_fn *visit, void *ctx)
{
    for (const struct conn *c = server->all; c != NULL; c = c->next)
        if (c->state == CONN_STREAMING)
            visit(ctx, &c->stream);
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
        request_destroy(r);
        return;
    }
    request_reset(r); /* now and not when it is taken: a large body is not kept until then */
    r->next = server->pool;
    server->pool = r;
    server->pool_count++;
}

struct slice server_date_line(struct http_server *server)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t now_ms = loop_now_ms(server->loop);
    uint64_t now_s;
    time_t seconds;
    struct tm tm;
    int n;

    if (now_ms == server->date_checked_ms)
        return server->date_line;
    server->date_checked_ms = now_ms;
    now_s = loop_wall_ms(server->loop) / 1000;
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
