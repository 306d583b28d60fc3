/* server.h - the HTTP side of the daemon: connections, their limits, and the table of routes. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/stats.h"
#include "http/request.h"

struct loop;
struct http_server;

struct http_limits {
    uint64_t header_timeout_ms; /* from the first byte of a request to the end of its head: 408;
                                 * and for a PROXY header */
    uint64_t body_timeout_ms;   /* from the head's end to the body's: 408 */
    uint64_t idle_timeout_ms;   /* between requests: closed without a word */
    size_t max_header;          /* bytes of request line and headers: 414 or 431 */
    size_t max_body;            /* bytes, de-chunked: 413 */
    uint64_t max_pending;       /* bytes of all requests that are not answered; past it large ones
                                 * get 503; 0: no limit */
};

/* `ctx` is http_server_create's. */
typedef void http_handler(void *ctx, struct http_request *r);

struct http_route {
    enum http_method method; /* HEAD is answered by GET's row */
    const char *pattern;     /* "/users/:userID/streams/:clientID"; whole segments only */
    enum http_role role;     /* listeners of any of these roles have it */
    http_handler *handler;
};

/* Called for every request before routing, once it is complete. Returns true when it answered it
 * itself (a CORS preflight, an origin that is not allowed). */
typedef bool http_filter(void *ctx, struct http_request *r);

/* `routes` (ending in a row without handler), `limits` and `stats` are borrowed for the server's
 * life; `limits` may change, and requests that begin from then on have the new ones. Out of memory
 * gives NULL. */
struct http_server *http_server_create(struct loop *loop, const struct http_limits *limits,
                                       const struct http_route *routes, http_filter *filter,
                                       void *ctx, struct stats *stats);

/* Cuts all connections that are left (on_abandoned and on_closed are called) and frees all. The
 * loop must not run afterwards. NULL is allowed. */
void http_server_destroy(struct http_server *server);

/* By which way a connection has come. */
struct http_door {
    enum http_role role;
    bool is_local;         /* by TCP, to an address that only this machine can reach */
    bool has_proxy_header; /* it begins with a PROXY header, which is believed */
};

/* Takes an accepted connection: for listener_open's on_accept. */
void http_server_accept(struct http_server *server, int fd, const struct peer *peer,
                        const struct http_door *door);

/* Stops keep-alive: idle connections are closed, others after the answer to what they sent.
 * Open streams are not touched. */
void http_server_drain(struct http_server *server);

/* Calls `visit` for every open stream. */
struct http_stream;
typedef void http_visit_fn(void *ctx, const struct http_stream *s);
void http_server_each_stream(struct http_server *server, http_visit_fn *visit, void *ctx);

/* Calls `visit` with how many requests were answered with each status, by route; NULL is the route
 * of those that reached none. Status 0 is any that has no title. What never was is left out. */
typedef void http_count_fn(void *ctx, const struct http_route *route, int status, uint64_t count);
void http_server_each_count(const struct http_server *server, http_count_fn *visit, void *ctx);

/* "GET" */
const char *http_method_name(enum http_method method);

/* Connections open now, streams included; 0 after a drain means all is answered. */
size_t http_server_connections(const struct http_server *server);

/* The "Allow" list of the methods that `path` has for `role`, for an OPTIONS filter: "" if the
 * path is unknown; all that the role has for "*". 80 bytes hold any. Terminated. */
void http_server_allow(const struct http_server *server, struct slice path, enum http_role role,
                       char *out, size_t size);
#endif
