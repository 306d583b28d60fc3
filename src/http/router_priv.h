/* router_priv.h - finds the row of the table of routes that serves a path. */
#ifndef HTTP_ROUTER_PRIV_H
#define HTTP_ROUTER_PRIV_H
#include "http/server.h"

enum {
    ROUTER_ALLOW_SIZE = 80,
    ROUTER_MAX_SEGMENTS = 8, /* of a pattern, with the empty one before its first slash */
};

struct router; /* the table of routes with its patterns cut, once and not for each request */

struct router_match {
    http_handler *handler;  /* NULL: none for that method */
    size_t row;             /* of the handler in the table, from 1; 0: none */
    unsigned methods;       /* without a handler: bits 1 << enum http_method, of all rows of that
                             * path; 0: unknown */
    size_t param_count;
    struct slice params[HTTP_MAX_PARAMS]; /* of the handler's row, as sent, never empty */
};

/* `routes` (ending in a row without handler) is borrowed. NULL without memory. */
struct router *router_create(const struct http_route *routes);
void router_destroy(struct router *router); /* NULL is allowed */

/* The first row of `method`, `role` and a pattern that fits wins; a HEAD takes GET's. Literal
 * segments fit whatever their percent-encoding. `path` must pass percent_is_valid. */
void router_match(const struct router *router, struct slice path, enum http_role role,
                  enum http_method method, struct router_match *out);

/* Writes "GET, HEAD, POST, OPTIONS": the rows' methods, HEAD with GET, OPTIONS always; "" for 0.
 * Terminated. */
void router_allow(unsigned methods, char *out, size_t size);

/* The methods of all rows of that role: for "OPTIONS *". */
unsigned router_methods(const struct router *router, enum http_role role);
#endif
