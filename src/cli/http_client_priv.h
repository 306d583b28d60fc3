/* http_client_priv.h - one HTTP request at a time, its answer gathered or streamed.
 *
 * The only face of libcurl in the program. Redirects are not followed: a POST would change into a
 * GET, and a token would travel. */
#ifndef CLI_HTTP_CLIENT_PRIV_H
#define CLI_HTTP_CLIENT_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "remote_priv.h"

struct http_client; /* opaque */

struct http_request {
    const struct remote *remote; /* socket, token and certificates; not the address */
    const char *url;             /* the whole address */
    const char *content_type;    /* of a POST; NULL: a GET */
    struct slice body;           /* of a POST */
    const char *last_event_id;   /* NULL: none */
    uint64_t total_ms;           /* from start to end, 0: no limit */
    uint64_t head_ms;            /* from start to the answer's head, 0: no limit */
    uint64_t idle_ms;            /* from one byte of the body to the next, 0: no limit */
    int wake_fd;                 /* readable: stop; -1: none */
    int output_fd;               /* its reader is gone: stop; -1: none */

    /* Set: a 200 of type text/event-stream is not gathered but told in pieces. Anything but 0
     * stops the request. */
    int (*on_stream)(void *arg, struct slice bytes);
    void *arg;
};

enum http_outcome {
    HTTP_ANSWERED,      /* the answer has come to its end */
    HTTP_STOPPED,       /* by on_stream, wake_fd or output_fd */
    HTTP_UNCONNECTED,   /* nothing of the request can have been read */
    HTTP_BROKEN,        /* lost or late after that: the request may have been acted on */
    HTTP_UNTRUSTED,     /* the server's certificate: trying again is no use */
    HTTP_IMPOSSIBLE,    /* the request cannot be made at all: the address, no memory */
};

enum { HTTP_MAX_ANSWER = 1024 * 1024 }; /* bytes of a gathered body */

struct http_answer {
    int status;              /* 0: no head came */
    bool is_stream;          /* it was told to on_stream */
    uint64_t retry_after_ms; /* 0: none given */
    char content_type[128];
    char redirect[512]; /* where a 3xx points to */
    struct buf body;    /* what was gathered */
    struct error why;   /* for all outcomes but the first two */
};

/* Returns NULL without memory. Pair: http_client_destroy, which takes NULL. */
struct http_client *http_client_create(void);
void http_client_destroy(struct http_client *client);

/* Does the request and waits for its end. `answer` must be all zero or from an earlier call; the
 * caller ends it with buf_fini of its body. */
enum http_outcome http_client_run(struct http_client *client, const struct http_request *request,
                                  struct http_answer *answer);

/* The library's name and version, for `sse-notify version`. */
const char *http_client_library(void);
#endif
