/* webhooks.h - a back end is told who is online and who is not any more.
 *
 * It is about states: what counts is what the receiver was told last and what is true. So a user
 * who is away for less than the grace is no news, and news that has turned back before it was told
 * is none either. One request of a user is under way at a time, so the receiver has them in order;
 * those of several users are side by side. Only users of whom there is news take memory.
 * Whoever has the loop sends; time is an argument. One thread.
 * Source: the Standard Webhooks specification. */
#ifndef WEBHOOK_WEBHOOKS_H
#define WEBHOOK_WEBHOOKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "auth/webhook_secrets.h"
#include "base/slice.h"
#include "base/stats.h"
#include "net/fetch.h"

enum {
    WEBHOOK_HEADERS = 4,
    WEBHOOK_IN_FLIGHT = 16,             /* requests under way at a time */
    WEBHOOK_RETRY_MS = 1000,            /* after a failure, doubled with each that follows ... */
    WEBHOOK_DOUBLINGS = 8,              /* ... so many times, and up to half as much more; */
    WEBHOOK_PAUSE_DOUBLINGS = 6,        /* so many where the receiver is at fault, not the event */
    WEBHOOK_MOST_ASKED_MS = 10 * 60 * 1000, /* that a Retry-After is heeded */
};

struct webhooks;

struct webhooks_options {
    uint64_t grace_ms;       /* without a stream for this long a user is offline */
    uint64_t keep_trying_ms; /* what could not be told for this long is dropped */
    uint64_t queue;          /* users of whom there is news, at most */
};

/* The two clocks: one that never jumps, and the time since 1970. */
struct webhook_time {
    uint64_t now_ms;
    uint64_t wall_ms;
};

/* What is to be posted, borrowed for the call. */
struct webhook_request {
    const char *headers[WEBHOOK_HEADERS]; /* lines "name: value" */
    struct slice body;
};

/* Begins to post. Returns 0, and then webhooks_on_answer is called once for `tag`, but not from
 * within; or -ENOMEM. */
typedef int webhook_send_fn(void *ctx, size_t tag, const struct webhook_request *request);

/* The first request tells that nobody is online any more who was: the daemon begins anew. The
 * others wait for it. `secrets` and `stats` are borrowed and outlive it. NULL without memory.
 * Pair: webhooks_destroy. */
struct webhooks *webhooks_create(const struct webhooks_options *options,
                                 const struct webhook_secrets *secrets, struct stats *stats,
                                 webhook_send_fn *send, void *ctx, struct webhook_time time);

/* Forgets all; whoever sends must not answer any more. NULL is allowed. */
void webhooks_destroy(struct webhooks *w);

/* The options, and the secrets, from now on; what waits within a grace keeps the one it has. */
void webhooks_change_options(struct webhooks *w, const struct webhooks_options *options);
void webhooks_change_secrets(struct webhooks *w, const struct webhook_secrets *secrets);

/* A user's first stream has opened, or the last one has ended, at the time of the last tick. Sends
 * nothing yet. */
void webhooks_on_online(struct webhooks *w, struct slice user, bool is_online);

/* What came of the request of that tag; sends what is next. */
void webhooks_on_answer(struct webhooks *w, size_t tag, const struct post_answer *answer,
                        struct webhook_time time);

/* Tells the time, and sends what is due; call it at least ten times a second. */
void webhooks_tick(struct webhooks *w, struct webhook_time time);

/* The daemon is about to end: who goes offline from now on is no news, as the first request of the
 * next start tells it. */
void webhooks_drain(struct webhooks *w);

/* Whether nothing is under way or due, or nothing can be delivered at present. */
bool webhooks_are_idle(const struct webhooks *w);
#endif
