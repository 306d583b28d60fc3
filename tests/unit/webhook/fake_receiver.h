/* fake_receiver.h - webhooks with a clock in the test's hand, and whoever they are sent to. Inline,
 * as no program uses all of it. */
#ifndef WEBHOOK_FAKE_RECEIVER_H
#define WEBHOOK_FAKE_RECEIVER_H
#include "webhook/webhooks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "support/cm.h"
#include "support/scratch.h"

enum { MAX_REQUESTS = 4096, GRACE_MS = 10000, KEEP_TRYING_MS = 3600000, QUEUE = 2000 };

/* 2026-01-01T00:00:00Z, when the clock that never jumps says 1000. */
#define FIRST_MS UINT64_C(1767225600000)

struct request {
    size_t tag;
    char headers[WEBHOOK_HEADERS][256];
    char body[512];
    bool is_answered;
};

static struct world {
    struct stats stats;
    struct webhook_secrets *secrets;
    struct webhooks *w;
    struct webhook_time time;
    struct request requests[MAX_REQUESTS]; /* all that were sent */
    size_t count;
    size_t seen;                           /* of those, the ones that the test has looked at */
    bool has_no_memory;                    /* whoever sends */
} w;

static inline int receive(void *ctx, size_t tag, const struct webhook_request *request)
{
    struct request *r = &w.requests[w.count];

    assert_ptr_equal(ctx, &w);
    assert_true(w.count < MAX_REQUESTS);
    if (w.has_no_memory)
        return -ENOMEM;
    *r = (struct request){.tag = tag};
    for (size_t i = 0; i < WEBHOOK_HEADERS; i++)
        snprintf(r->headers[i], sizeof r->headers[i], "%s", request->headers[i]);
    snprintf(r->body, sizeof r->body, "%.*s", SLICE_ARG(request->body));
    w.count++;
    return 0;
}

static inline struct webhook_secrets *make_secrets(void)
{
    struct webhook_secrets *secrets = NULL;
    char folder[SCRATCH_SIZE];
    char path[SCRATCH_SIZE + 16];
    struct error why;
    FILE *file;

    scratch_make(folder);
    snprintf(path, sizeof path, "%s/secret", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(webhook_secrets_open(&secrets, path, &why), 0);
    scratch_remove(folder);
    return secrets;
}

static inline struct webhooks *make_webhooks(void)
{
    static const struct webhooks_options options = {GRACE_MS, KEEP_TRYING_MS, QUEUE};

    return webhooks_create(&options, w.secrets, &w.stats, receive, &w, w.time);
}

static inline void tick(void)
{
    webhooks_tick(w.w, w.time);
}

/* So long, in steps as the loop's. */
static inline void pass(uint64_t ms)
{
    for (uint64_t step; ms > 0; ms -= step) {
        step = ms < 100 ? ms : 100;
        w.time.now_ms += step;
        w.time.wall_ms += step;
        tick();
    }
}

/* The request is answered so; `retry_after_ms` as the answer asks. */
static inline void answer_with(struct request *r, unsigned status, uint64_t retry_after_ms)
{
    const struct post_answer answer = {
        .status = status,
        .retry_after_ms = retry_after_ms,
        .why_not = status / 100 == 2 ? NULL : "it is a test",
    };

    assert_false(r->is_answered);
    r->is_answered = true;
    webhooks_on_answer(w.w, r->tag, &answer, w.time);
}

static inline void answer(struct request *r, unsigned status)
{
    answer_with(r, status, 0);
}

/* The next request that the test has not seen: there must be one. */
static inline struct request *next_request(void)
{
    assert_true(w.seen < w.count);
    return &w.requests[w.seen++];
}

static inline void assert_quiet(void)
{
    if (w.seen != w.count)
        fail_msg("unexpected: %s", w.requests[w.seen].body);
}

static inline bool says(const struct request *r, const char *type, const char *user)
{
    char start[128];
    char end[128];
    size_t n = strlen(r->body);

    snprintf(start, sizeof start, "{\"type\":\"%s\",\"timestamp\":\"", type);
    snprintf(end, sizeof end, "\"data\":{\"user\":\"%s\"}}", user);
    return strncmp(r->body, start, strlen(start)) == 0 && n > strlen(end) &&
           strcmp(r->body + n - strlen(end), end) == 0;
}

/* The next request says that of the user. */
static inline struct request *expect(const char *type, const char *user)
{
    struct request *r = next_request();

    if (!says(r, type, user))
        fail_msg("expected %s of %s, got %s", type, user, r->body);
    return r;
}

static inline void online(const char *user)
{
    webhooks_on_online(w.w, slice_of(user), true);
}

static inline void offline(const char *user)
{
    webhooks_on_online(w.w, slice_of(user), false);
}

static inline void world_clear(void)
{
    memset(&w, 0, sizeof w);
    w.time = (struct webhook_time){1000, FIRST_MS};
    w.secrets = make_secrets();
}

/* A world whose opening has been told. */
static inline void world_begin(void)
{
    world_clear();
    w.w = make_webhooks();
    assert_non_null(w.w);
    tick();
    answer(next_request(), 200);
}

static inline void world_end(void)
{
    webhooks_destroy(w.w);
    webhook_secrets_destroy(w.secrets);
}

/* The user is online, and the receiver knows. */
static inline void told_online(const char *user)
{
    online(user);
    tick();
    answer(expect("user.online", user), 204);
}
#endif
