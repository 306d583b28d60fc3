/* fetch.h - gets what is at a URL, or posts to it, on the loop, which never waits for it.
 *
 * libcurl's sockets and its timer are the loop's; names are resolved in a thread of libcurl's.
 * Redirects are not followed: what is fetched is to be trusted for where it comes from. */
#ifndef NET_FETCH_H
#define NET_FETCH_H
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

struct ev_loop;
struct fetcher;

/* NULL without memory. Pair: fetcher_destroy. */
struct fetcher *fetcher_create(struct ev_loop *ev);

/* Gives up what is under way without calling anybody. NULL is allowed. */
void fetcher_destroy(struct fetcher *f);

/* Told once of each fetch: the body of an answer 200, or {NULL, 0} and in `why_not` a sentence.
 * Both are borrowed for the call. Not called within fetcher_get. */
typedef void fetched_fn(void *ctx, size_t tag, struct slice body, const char *why_not);

struct fetch_limits {
    unsigned total_ms; /* from the beginning to the answer's end */
    size_t max_bytes;  /* of the body */
};

/* Begins to fetch `url`, which is borrowed for the call; `tag` is handed to `on_fetched`. Returns
 * 0, or -ENOMEM: nothing was begun and nobody is called. */
int fetcher_get(struct fetcher *f, const char *url, const struct fetch_limits *limits,
                fetched_fn *on_fetched, void *ctx, size_t tag);

/* What came of a request that was posted. */
struct post_answer {
    unsigned status;         /* of the answer; 0: none came */
    uint64_t retry_after_ms; /* when it asks to be tried again; 0: it does not */
    const char *why_not;     /* a sentence where the status is not of 2xx, else NULL */
};

/* Told once of each; the answer is borrowed for the call. Not called within fetcher_post. */
typedef void posted_fn(void *ctx, size_t tag, const struct post_answer *answer);

struct fetch_post {
    const char *url;
    const char *const *headers; /* `header_count` lines "Name: value" */
    size_t header_count;
    struct slice body;
};

/* Begins to post; all of `post` is borrowed for the call. Of an answer's body at most
 * limits->max_bytes are read, and dropped. Connections are kept for the posts that follow.
 * Returns as fetcher_get. */
int fetcher_post(struct fetcher *f, const struct fetch_post *post,
                 const struct fetch_limits *limits, posted_fn *on_posted, void *ctx, size_t tag);
#endif
