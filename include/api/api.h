/* api.h - the endpoints: where HTTP and the notification manager meet.
 *
 * One file an endpoint under src/api/, and one row in the table of routes.c. */
#ifndef API_API_H
#define API_API_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "auth/credentials.h"
#include "auth/publish_keys.h"
#include "auth/revocations.h"
#include "base/stats.h"
#include "http/server.h"
#include "notify/notification_manager.h"

struct api;
struct buf;
struct loop;

struct api_options {
    char *const *allowed_origins; /* exact ones, ones with "*." before the host, or "*" */
    size_t allowed_origin_count;
    char *const *server_names;    /* likewise; none: those of localhost where that is called */
    size_t server_name_count;
    const struct network *trusted_proxies;
    size_t trusted_proxy_count;
    bool proxies_say_forwarded;   /* the client's address, in Forwarded; else X-Forwarded-For */
    size_t max_payload;           /* bytes of one notification's data as it goes out */
    uint64_t max_streams;         /* each 0: no limit */
    uint64_t max_streams_per_user;
    uint64_t max_streams_per_ip;  /* IPv6: per /64 */
    uint64_t streams_per_second_per_ip;
    uint64_t retry_ms;            /* Retry-After of a stream that is refused */
    bool streams_need_token;      /* and histories */
    bool sending_takes_key;       /* sending, and every other route of role internal, needs one of
                                   * these two; neither: nothing */
    bool sending_takes_token;
    const char *cookie;           /* that may hold a token, or NULL */
    struct credentials *credentials;   /* where one of them takes tokens */
    struct publish_keys *publish_keys; /* where one takes keys */
    struct revocations *revocations;   /* where one of them takes tokens */
    uint64_t revocation_ms;            /* how long one is kept that does not say */
    /* Keeps the line of a revocation for the next process; on_done may come before it returns. */
    void (*save_revocation)(void *ctx, struct slice line, struct revocation_waiter *waiter);
    void *save_ctx;
    int (*add_config)(void *ctx, struct buf *out); /* what GET /config answers; 0 or -ENOMEM */
    void *config_ctx;
};

/* All that is given is borrowed for its life. NULL without memory. */
struct api *api_create(const struct api_options *options, struct notification_manager *nm,
                       struct loop *loop, struct stats *stats);

/* Other options from now on, borrowed as those before. */
void api_change_options(struct api *api, const struct api_options *options);

/* Tells the time; call it at least ten times a second. */
void api_tick(struct api *api, uint64_t now_ms);

/* After the last connection is gone. NULL is allowed. */
void api_destroy(struct api *api);

/* For http_server_create, with the api as ctx; the filter needs api_set_server first. */
extern const struct http_route api_routes[];
http_filter api_filter;
void api_set_server(struct api *api, struct http_server *server);
#endif
