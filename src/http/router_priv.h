/* router_priv.h - finds the row of the table of routes that serves a path. */
#ifndef HTTP_ROUTER_PRIV_H
#define HTTP_ROUTER_PRIV_H
#include "http/server.h"

enum { ROUTER_ALLOW_SIZE = 80 };

struct router_match {
    http_handler *handler;  /* NULL: none for that method */
    unsigned methods;       /* bit 1 << enum http_method of all rows of that path; 0: unknown */
    size_t param_count;
    struct slice params[HTTP_MAX_PARAMS]; /* of the handler's row, as sent, never empty */
};

/* The first row of `method`, `role` and a pattern that fits wins; a HEAD takes GET's. Literal
 * segments fit whatever their percent-encoding. `path` must pass percent_is_valid. */
void router_match(const struct http_route *routes, struct slice path, enum http_role role,
                  enum http_method method, struct router_match *out);

/* Writes "GET, HEAD, POST, OPTIONS": the rows' methods, HEAD with GET, OPTIONS always; "" for 0.
 * Terminated. */
void router_allow(unsigned methods, char *out, size_t size);

/* The methods of all rows of that role: for "OPTIONS *". */
unsigned router_methods(const struct http_route *routes, enum http_role role);
#endif
