/* revoke.c - POST /tokens/revoke: one token by its jti, or a user's by when they were issued. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "access_priv.h"
#include "api_priv.h"
#include "auth/revocations.h"
#include "base/json.h"
#include "base/log.h"

enum { MAX_NAME = 256, MAX_NUMBER = 40 };

/* What the body says. */
struct revoking {
    struct buf id;       /* jti, ... */
    struct buf user;     /* ... or user and before */
    uint64_t before_ms;  /* 0: not said */
    uint64_t expires_ms; /* 0: not said */
};

/* An answer that waits for the disk. */
struct answer {
    struct revocation_waiter waiter; /* comes first */
    struct api *api;
    struct http_request *r;
    uint64_t expires_ms;
};

static bool read_name(struct http_request *r, struct slice value, struct buf *out)
{
    buf_clear(out);
    if (json_type_of(value) != JSON_STRING || json_add_unescaped(out, value) != 0 ||
        out->len == 0 || out->len > MAX_NAME)
        return api_refuse_body(r, "jti and user must be strings of 1 to 256 bytes.");
    return true;
}

/* Seconds since 1970, perhaps with a fraction, as in a token (RFC 7519 2). */
static bool read_time(struct http_request *r, struct slice value, uint64_t *ms)
{
    const double last = 253402300800.0; /* the year 10000 */
    char text[MAX_NUMBER];
    double seconds = -1;

    if (json_type_of(value) == JSON_NUMBER && value.n < sizeof text) {
        snprintf(text, sizeof text, "%.*s", SLICE_ARG(value));
        seconds = strtod(text, NULL);
    }
    if (!(seconds > 0 && seconds < last))
        return api_refuse_body(
            r, "before and expires must be seconds since 1970, as in a token's claims.");
    *ms = (uint64_t)ceil(seconds * 1000);
    return true;
}

static bool read_member(void *ctx, struct http_request *r, struct slice key, struct slice value)
{
    struct revoking *out = ctx;

    if (json_string_is(key, "jti"))
        return read_name(r, value, &out->id);
    if (json_string_is(key, "user"))
        return read_name(r, value, &out->user);
    if (json_string_is(key, "before"))
        return read_time(r, value, &out->before_ms);
    if (json_string_is(key, "expires"))
        return read_time(r, value, &out->expires_ms);
    return api_refuse_member(r, key);
}

/* False: what is wrong was answered. */
static bool read_body(struct http_request *r, struct revoking *out)
{
    if (!api_read_object(r, "jti, or with user and before", read_member, out))
        return false;
    if ((out->id.len > 0) == (out->user.len > 0) || (out->user.len > 0) != (out->before_ms > 0))
        return api_refuse_body(r, "The body must have either jti, or user and before.");
    return true;
}

static bool is_revoked(void *ctx, const struct client_credential *c)
{
    const struct api *api = ctx;
    struct token_mark mark = {c->id, c->holder, c->issued_ms};

    return revocations_have(api->options.revocations, &mark);
}

static void on_saved(struct revocation_waiter *waiter, int status)
{
    struct answer a = *(struct answer *)waiter;
    struct buf text = {0};

    free(waiter);
    http_request_on_abandoned(a.r, NULL, NULL);
    if (status != 0) {
        a.api->stats->revocations_refused++;
        api_refuse_for_now(a.r, status == -ENOSPC ? 507 : 503, 1000,
                           "The revocation is in force, but could not be written to the disk: the "
                           "next start would not know of it; repeat it.");
        return;
    }
    a.api->stats->revocations++;
    buf_printf(&text, "{\"expires\":%llu}", (unsigned long long)(a.expires_ms / 1000));
    api_respond_json(a.r, &text);
}

static void on_abandoned(void *ctx)
{
    struct answer *a = ctx;

    list_remove(&a->waiter.link);
    free(a);
}

/* In force at once; answered when it is safe. */
static void take(struct api *api, struct http_request *r, const struct revocation *what)
{
    const struct api_options *o = &api->options;
    struct answer *a = malloc(sizeof *a);
    struct buf line = {0};

    revocation_write(&line, what);
    if (a == NULL || line.failed || revocations_add(o->revocations, what) != 0) {
        free(a);
        buf_fini(&line);
        api_out_of_memory(r);
        return;
    }
    log_event(LOG_INFO, "token revoked", log_text("by", what->kind == REVOKED_ID ? "jti" : "user"),
              log_slice("name", what->name));
    manager_end_revoked(api->nm, is_revoked, api);
    *a = (struct answer){
        .waiter = {.on_done = on_saved}, .api = api, .r = r, .expires_ms = what->expires_ms};
    http_request_on_abandoned(r, on_abandoned, a);
    o->save_revocation(o->save_ctx, buf_slice(&line), &a->waiter);
    buf_fini(&line);
}

static void revoke(struct api *api, struct http_request *r, const struct revoking *what)
{
    uint64_t wall_ms = loop_wall_ms(api->loop);
    struct revocation revocation = {
        .kind = what->id.len > 0 ? REVOKED_ID : REVOKED_USER,
        .name = buf_slice(what->id.len > 0 ? &what->id : &what->user),
        .before_ms = what->before_ms,
        .expires_ms =
            what->expires_ms > 0 ? what->expires_ms : wall_ms + api->options.revocation_ms,
    };

    if (revocations_are_full(api->options.revocations, &revocation)) {
        api->stats->revocations_refused++;
        http_problem(r, 507,
                     "%d revocations are kept, and there is room for no more until some expire: "
                     "give expires with each, or revoke by user.",
                     REVOCATIONS_MAX);
        return;
    }
    take(api, r, &revocation);
}

void api_revoke(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct revoking what = {.before_ms = 0};

    if (!access_operate(api, r, api_revoke))
        return;
    if (api->options.revocations == NULL)
        http_problem(r, 409, "The daemon takes no tokens: set auth.subscribe = jwt.");
    else if (read_body(r, &what) &&
             (what.id.len > 0 ? access_manage_all(api, r, api_revoke)
                              : access_manage(api, r, buf_slice(&what.user), api_revoke)))
        revoke(api, r, &what);
    buf_fini(&what.id);
    buf_fini(&what.user);
}
