/* request.h - one HTTP request, complete: handlers see it only after its head and body were read
 * and found to be well-formed. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H
#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"
#include "net/address.h"

enum http_method {
    HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_PATCH, HTTP_OTHER
};

/* What a listener serves; a route that is not of the listener's role does not exist there. */
enum http_role { HTTP_PUBLIC = 1, HTTP_INTERNAL = 2, HTTP_ALL = 3 };

enum { HTTP_MAX_PARAMS = 4 };

struct http_request;

/* All slices below live until the response is finished (or http_stream_open was called). */
enum http_method http_request_method(const struct http_request *r);
struct slice http_request_path(const struct http_request *r);  /* as sent, without the query */
struct slice http_request_query(const struct http_request *r); /* as sent, without the '?' */
struct slice http_request_body(const struct http_request *r);  /* de-chunked; empty if none */
int http_request_minor(const struct http_request *r);          /* HTTP/1.minor: 0 or 1 */
enum http_role http_request_role(const struct http_request *r);
bool http_request_is_local(const struct http_request *r);       /* as its http_door says */
const struct peer *http_request_peer(const struct http_request *r);

/* Percent-decoded path parameter `i` of the route's pattern ("/users/:userID/streams"). Never
 * empty; may hold any byte. */
struct slice http_request_param(const struct http_request *r, int i);

/* The first header of that name (case does not matter), trimmed; {NULL, 0} if absent. */
struct slice http_request_header(const struct http_request *r, const char *name);

/* The value of the header Host; {NULL, 0} if absent. */
struct slice http_request_host(const struct http_request *r);

/* The last header of that name: what the nearest proxy has added. */
struct slice http_request_header_last(const struct http_request *r, const char *name);

/* Says whose request it is, where a proxy that is believed has told: for http_request_peer, the
 * stream that is opened and the log. */
void http_request_set_peer(struct http_request *r, const struct peer *peer);

/* Walks the query's members, percent-decoded ('+' is a space; what is no escape stays as it is):
 * start with *cursor = 0; returns false at the end. `value` of a member without '=' is empty. */
bool http_request_query_next(const struct http_request *r, size_t *cursor, struct slice *name,
                             struct slice *value);

/* What a handler needs beside it between its call and its answer: NULL at first. When the
 * connection ends before the answer, `on_abandoned` is called once, and the request is gone
 * after it. */
typedef void http_abandoned_fn(void *ctx);
void http_request_on_abandoned(struct http_request *r, http_abandoned_fn *on_abandoned, void *ctx);
#endif
