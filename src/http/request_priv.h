/* request_priv.h - the request object between its reader, the router and its answer. */
#ifndef HTTP_REQUEST_PRIV_H
#define HTTP_REQUEST_PRIV_H
#include "base/buf.h"
#include "h1_priv.h"
#include "http/request.h"

struct conn; /* conn_priv.h */

enum { REQUEST_KEEP_ARENA = 16384 };

struct http_request {
    struct http_request *next; /* in the server's pool of free ones */
    struct h1 *reader;
    struct conn *conn;         /* NULL in tests that have none */
    struct peer peer;
    enum http_role role;
    bool is_local;
    enum http_method method;
    size_t route;              /* its row in the table of routes, from 1; 0: it has reached none */
    struct h1_span path;       /* in the reader's arena; empty: "/" */
    struct h1_span query;
    size_t param_count;
    struct slice params[HTTP_MAX_PARAMS];
    char *scratch;             /* room for the decoded path and query behind one another, or NULL */
    struct buf headers;        /* of the response: "Name: value\r\n" lines */
    unsigned given;            /* which of the usual headers are among them: GIVEN_ bits */
    uint64_t began_ms;         /* its first byte was read */
    enum { AWAITS_NOTHING, AWAITS_HEAD, AWAITS_BODY } awaits; /* what its deadline is set for */
    bool has_head;
    size_t counted;            /* bytes of the reader's arena, as in stats.request_bytes */
    http_abandoned_fn *on_abandoned;
    void *abandoned_ctx;
};

enum { GIVEN_CACHE_CONTROL = 1, GIVEN_CONTENT_TYPE_OPTIONS = 2, GIVEN_CONTENT_TYPE = 4 };

/* NULL for want of memory. The limits are h1_create's. Pair: request_destroy. */
struct http_request *request_create(size_t max_head, size_t max_body);
void request_destroy(struct http_request *r);

/* Makes it ready for a new message. */
void request_reset(struct http_request *r);

/* After H1_HEAD: reads method and target. Returns 0, or the status to refuse it with and the line
 * for the caller in *detail. */
int request_on_head(struct http_request *r, const char **detail);

/* After H1_DONE: from here on the request's bytes stay where they are. Returns 0 or -ENOMEM. */
int request_on_done(struct http_request *r);

/* Takes over the path's parts that a route's pattern names, as sent, and decodes them. */
void request_set_params(struct http_request *r, const struct slice *raw, size_t count);
#endif
