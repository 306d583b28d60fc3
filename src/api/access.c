/* access.c - from a request to what its credential allows (RFC 6750). */
#include "access_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api_priv.h"
#include "base/log.h"

/* ---- refusing ---- */

/* `description` is of the characters that RFC 6750 3 allows, as all sentences here are. */
static void challenge(struct http_request *r, const char *error, const char *description)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "Bearer realm=\"sse-notify\", error=\"%s\", error_description=\"%s\"", error,
                     description);

    http_response_header(r, "WWW-Authenticate", slice_make(text, (size_t)n));
}

void access_forbid(struct api *api, struct http_request *r, const char *detail)
{
    api->stats->requests_forbidden++;
    challenge(r, "insufficient_scope", "The credential is good, but not for this.");
    http_problem(r, 403, "%s", detail);
}

static void refuse(struct api *api, struct http_request *r, const char *why, const char *sentence)
{
    char peer[PEER_TEXT_SIZE];

    api->stats->requests_unauthorized++;
    peer_format(http_request_peer(r), false, peer);
    log_event(LOG_INFO, "credential refused", log_text("why", why), log_text("peer", peer));
    challenge(r, "invalid_token", sentence);
    http_problem(r, 401, "%s", sentence);
}

/* ---- finding the credential ---- */

/* What is behind "Bearer " in Authorization, {NULL, 0} where there is none. */
static struct slice find_bearer(const struct http_request *r)
{
    struct slice value = http_request_header(r, "Authorization");
    struct slice scheme = slice_cut(&value, ' ');

    return slice_is_nocase(scheme, "Bearer") ? slice_trim(value) : slice_make(NULL, 0);
}

/* The value of the cookie (RFC 6265 4.2.1). A second one of that name, which another host of the
 * domain may have set, is counted, too. */
static unsigned find_cookie(const struct http_request *r, const char *name, struct slice *out)
{
    struct slice rest = http_request_header(r, "Cookie");
    unsigned count = 0;

    while (name != NULL && rest.p != NULL) {
        struct slice value = slice_cut(&rest, ';');
        struct slice key = slice_trim(slice_cut(&value, '='));

        if (value.p == NULL || !slice_is(key, name))
            continue;
        *out = slice_trim(value);
        count++;
    }
    return count;
}

static unsigned find_in_query(const struct http_request *r, struct slice *out)
{
    struct slice name;
    struct slice value;
    size_t cursor = 0;
    unsigned count = 0;

    while (http_request_query_next(r, &cursor, &name, &value))
        if (slice_is(name, "token")) {
            *out = slice_make(value.p == NULL ? "" : value.p, value.n);
            count++;
        }
    return count;
}

/* The token in Authorization, else in the cookie, else in the query; how many there are in the
 * first of these places that has any. A page that may call only because every page may does not act
 * for its user: the cookie that the browser sends along is not looked at. */
static unsigned find_token(const struct api *api, const struct http_request *r, struct slice *out)
{
    unsigned count = 0;

    *out = find_bearer(r);
    if (out->p != NULL) {
        struct slice last = http_request_header_last(r, "Authorization");

        return http_request_header(r, "Authorization").p == last.p ? 1 : 2;
    }
    if (!api_is_any_origin(api, r))
        count = find_cookie(r, api->options.cookie, out);
    return count > 0 ? count : find_in_query(r, out);
}

/* ---- waiting for keys ---- */

/* A request whose token's key may be among those that are being fetched. */
struct held {
    struct credentials_waiter waiter; /* comes first */
    struct api *api;
    struct http_request *r;
    http_handler *again;
};

static void on_keys(struct credentials_waiter *waiter)
{
    struct held held = *(struct held *)waiter;

    free(waiter);
    http_request_on_abandoned(held.r, NULL, NULL);
    held.again(held.api, held.r);
}

static void on_abandoned(void *ctx)
{
    struct held *held = ctx;

    credentials_leave(&held->waiter);
    free(held);
}

static void hold(struct api *api, struct http_request *r, http_handler *again)
{
    struct held *held = malloc(sizeof *held);

    if (held == NULL) {
        api_out_of_memory(r);
        return;
    }
    *held = (struct held){.waiter = {.on_keys = on_keys}, .api = api, .r = r, .again = again};
    http_request_on_abandoned(r, on_abandoned, held);
    credentials_wait(api->options.credentials, &held->waiter);
}

/* ---- tokens ---- */

static bool check_token(struct api *api, struct http_request *r, struct slice token,
                        http_handler *again, struct access *out)
{
    enum token_fault fault = credentials_check(api->options.credentials, token,
                                               loop_wall_ms(api->loop), out);

    switch (fault) {
    case TOKEN_GOOD:
        return true;
    case TOKEN_WAITS:
        hold(api, r, again);
        return false;
    case TOKEN_WITHOUT_KEYS:
    case TOKEN_NO_MEMORY:
        api_refuse_for_now(r, 503, 1000, token_fault_text(fault));
        return false;
    default:
        refuse(api, r, token_fault_name(fault), token_fault_text(fault));
        return false;
    }
}

/* The token of the request, or the sentence where there is not one exactly. */
static bool need_token(struct api *api, struct http_request *r, const char *missing,
                       struct slice *token)
{
    switch (find_token(api, r, token)) {
    case 0:
        refuse(api, r, "missing", missing);
        return false;
    case 1:
        return true;
    default:
        refuse(api, r, "several", "There is more than one token in the request.");
        return false;
    }
}

/* ---- listening ---- */

bool access_listen_with(struct api *api, struct http_request *r, struct slice token,
                        struct slice user, http_handler *again, struct listener_access *out)
{
    *out = (struct listener_access){.is_open = !api->options.streams_need_token};
    if (out->is_open)
        return true;
    if (token.p == NULL &&
        !need_token(api, r, "A token is needed, in Authorization: Bearer, in the cookie or in "
                            "?token=.", &token))
        return false;
    if (!check_token(api, r, token, again, &out->token))
        return false;
    if (access_has_user(&out->token, user))
        return true;
    access_forbid(api, r,
                  "The token is of another user, and its sse_notify.subscribe does not list this "
                  "one.");
    return false;
}

bool access_listen(struct api *api, struct http_request *r, struct slice user, http_handler *again,
                   struct listener_access *out)
{
    return access_listen_with(api, r, slice_make(NULL, 0), user, again, out);
}

bool access_has_topic(const struct listener_access *a, struct slice topic)
{
    return a->is_open || grants_have(&a->token.subscribe, ACCESS_TOPIC, topic);
}

struct client_credential access_credential(const struct listener_access *a)
{
    struct token_mark mark;

    if (a->is_open)
        return (struct client_credential){0};
    mark = token_mark_of(&a->token);
    return (struct client_credential){mark.id, mark.user, mark.issued_ms};
}

uint64_t access_end_ms(const struct api *api, const struct listener_access *a)
{
    uint64_t wall_ms = loop_wall_ms(api->loop);

    if (a->is_open)
        return 0;
    return loop_now_ms(api->loop) +
           (a->token.expires_ms > wall_ms ? a->token.expires_ms - wall_ms : 0);
}

/* ---- sending ---- */

static bool check_key(struct api *api, struct http_request *r, struct slice text,
                      struct sender *out)
{
    struct publish_key *key =
        publish_keys_find(api->options.publish_keys, text, loop_now_ms(api->loop));

    if (key == NULL) {
        refuse(api, r, "unknown-key", "This is not one of the keys that may send.");
        return false;
    }
    *out = (struct sender){.may_all = !key->is_restricted, .grants = key->grants, .key = key};
    return true;
}

static bool check_sender(struct api *api, struct http_request *r, struct slice token,
                         http_handler *again, struct sender *out)
{
    struct access access;

    if (!check_token(api, r, token, again, &access))
        return false;
    if (access.publish.count == 0) {
        access_forbid(api, r, "The token has no sse_notify.publish, and may send nothing.");
        return false;
    }
    *out = (struct sender){.grants = access.publish};
    return true;
}

/* A token has dots, and a key has none. */
static bool is_key(const struct api *api, struct slice text)
{
    if (!api->options.sending_takes_token)
        return true;
    return api->options.sending_takes_key && memchr(text.p, '.', text.n) == NULL;
}

bool access_send(struct api *api, struct http_request *r, http_handler *again, struct sender *out)
{
    const struct api_options *o = &api->options;
    struct slice text;

    *out = (struct sender){.may_all = true};
    if (!o->sending_takes_key && !o->sending_takes_token)
        return true;
    if (!need_token(api, r,
                    !o->sending_takes_token ? "A publish key is needed, in Authorization: Bearer."
                    : !o->sending_takes_key
                        ? "A token with sse_notify.publish is needed, in Authorization: Bearer."
                        : "A publish key, or a token with sse_notify.publish, is needed, in "
                          "Authorization: Bearer.",
                    &text))
        return false;
    return is_key(api, text) ? check_key(api, r, text, out)
                             : check_sender(api, r, text, again, out);
}

bool sender_may(const struct sender *sender, struct channel_name target)
{
    static const enum access_target targets[] = {
        [CHANNEL_USER] = ACCESS_USER,
        [CHANNEL_TOPIC] = ACCESS_TOPIC,
        [CHANNEL_EVERYONE] = ACCESS_EVERYONE,
    };

    return sender->may_all || grants_have(&sender->grants, targets[target.kind], target.name);
}

bool access_manage(struct api *api, struct http_request *r, struct slice user,
                   http_handler *again)
{
    struct sender sender;

    if (!access_send(api, r, again, &sender))
        return false;
    if (sender_may(&sender, (struct channel_name){CHANNEL_USER, user}))
        return true;
    access_forbid(api, r, "This credential may not send to this user, nor look after them.");
    return false;
}

bool access_manage_all(struct api *api, struct http_request *r, http_handler *again)
{
    /* No user has that name: only a pattern for all of them allows it. */
    const struct channel_name all = {CHANNEL_USER, {NULL, 0}};
    struct sender sender;

    if (!access_send(api, r, again, &sender))
        return false;
    if (sender_may(&sender, all))
        return true;
    access_forbid(api, r, "This credential may not send to every user (user:*).");
    return false;
}

bool access_operate(struct api *api, struct http_request *r, http_handler *again)
{
    struct sender sender;

    return access_send(api, r, again, &sender);
}

bool access_oversee(struct api *api, struct http_request *r, http_handler *again)
{
    struct sender sender;

    if (!access_send(api, r, again, &sender))
        return false;
    if (sender_may(&sender, (struct channel_name){CHANNEL_EVERYONE, slice_make(NULL, 0)}))
        return true;
    access_forbid(api, r, "This needs a credential that may send to everyone.");
    return false;
}
