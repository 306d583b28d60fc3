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

/* ---- reload.c ---- */
/* Reads the configuration again and puts in force what can be, or nothing of it; the log tells. */
void server_reload(struct server *s);
#endif
