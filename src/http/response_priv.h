/* response_priv.h - the head that whole answers and streams have in common. */
#ifndef HTTP_RESPONSE_PRIV_H
#define HTTP_RESPONSE_PRIV_H
#include "request_priv.h"

/* Appends the status line and Date. A failed append leaves b->failed set, here and below. */
void response_begin(struct buf *b, struct http_request *r, int status);

/* Appends the usual headers that http_response_header did not give, those that it did, and the
 * empty line. `content_type` may be NULL. */
void response_end(struct buf *b, struct http_request *r, const char *content_type,
                  const char *cache_control);
#endif
