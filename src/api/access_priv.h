/* access_priv.h - who may do what: a request's credential is found, checked and, where it will not
 * do, refused here.
 *
 * Functions that take `again` may find that the keys for a token are still being fetched: then they
 * return false too, nothing is answered yet, and `again` is called with the request when they are
 * there. So an endpoint asks before it does anything else. */
#ifndef API_ACCESS_PRIV_H
#define API_ACCESS_PRIV_H
#include <stdbool.h>
#include "auth/access.h"
#include "auth/publish_keys.h"
#include "http/server.h"
#include "message/notification.h"
#include "notify/client.h"

struct api;

/* Who wants to hear. */
struct listener_access {
    bool is_open;        /* nothing is asked for: the token is empty */
    struct access token;
};

/* Whether the caller may hear that user; false: refused (401, 403, 503). The slices are good until
 * the next request. */
bool access_listen(struct api *api, struct http_request *r, struct slice user, http_handler *again,
                   struct listener_access *out);

/* The same of a token that came otherwise, `token` with a p of NULL: as usual. */
bool access_listen_with(struct api *api, struct http_request *r, struct slice token,
                        struct slice user, http_handler *again, struct listener_access *out);

bool access_has_topic(const struct listener_access *a, struct slice topic);

/* What it may be revoked by, for the stream that is opened. */
struct client_credential access_credential(const struct listener_access *a);

/* When it ends, on loop_now_ms's clock; 0: never. */
uint64_t access_end_ms(const struct api *api, const struct listener_access *a);

/* Who wants to send, or to use another internal route. */
struct sender {
    bool may_all;
    struct grants grants;    /* else */
    struct publish_key *key; /* NULL: it is none */
};

/* False: refused (401, 403, 503). A sender may send to something, if not to everything. */
bool access_send(struct api *api, struct http_request *r, http_handler *again, struct sender *out);

bool sender_may(const struct sender *sender, struct channel_name target);

/* For the internal routes that are about one user: whether the caller may send to that user. */
bool access_manage(struct api *api, struct http_request *r, struct slice user,
                   http_handler *again);

/* For what is about every user: whether the caller may send to them all. */
bool access_manage_all(struct api *api, struct http_request *r, http_handler *again);

/* For those that are about the daemon: whether the caller may send at all. */
bool access_operate(struct api *api, struct http_request *r, http_handler *again);

/* For those that show of everybody: whether the caller may send to everyone. */
bool access_oversee(struct api *api, struct http_request *r, http_handler *again);

/* 403: the credential is good, but not for this. */
void access_forbid(struct api *api, struct http_request *r, const char *detail);
#endif
