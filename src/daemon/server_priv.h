/* server_priv.h - from the config in force to what each part is told, at the start and again when
 * the config is reloaded. */
#ifndef DAEMON_SERVER_PRIV_H
#define DAEMON_SERVER_PRIV_H
#include "daemon/server.h"

struct manager_options server_manager_options(const struct server *s);
struct api_options server_api_options(struct server *s);
struct http_limits server_http_limits(const struct server *s);

/* Two heartbeats without an acknowledgement: the peer is gone. */
unsigned server_user_timeout_ms(const struct server *s);

/* http.trusted_proxies, of any config. Returns 0, or -1 with `why`. */
int server_parse_proxies(const struct config *cfg, struct network out[CONFIG_MAX_LIST],
                         struct error *why);

/* NULL without memory. */
struct fetcher *server_need_fetcher(struct server *s);

/* ---- webhook_post.c ---- */
/* Where the configuration has a URL for them. Once there is a manager. Returns 0, or -1 with
 * `why`. */
int server_make_webhooks(struct server *s, struct error *why);

struct webhooks_options server_webhooks_options(const struct server *s);
struct webhook_time server_webhook_time(const struct server *s);

/* Reads the secrets again; NULL in `*out` where the process, having become another user, may not,
 * which is told in the log. Returns 0, or -1 with `why`. */
int server_read_webhook_secrets(const struct server *s, struct webhook_secrets **out,
                                struct error *why);

/* ---- reload.c ---- */
/* Reads the configuration again and puts in force what can be, or nothing of it; the log tells. */
void server_reload(struct server *s);
#endif
