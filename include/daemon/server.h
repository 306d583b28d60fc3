/* server.h - the daemon: all parts made from one config, run by one loop. */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H
#include <ev.h>
#include "api/api.h"
#include "auth/credentials.h"
#include "auth/publish_keys.h"
#include "base/error.h"
#include "base/stats.h"
#include "config/config.h"
#include "http/server.h"
#include "journal/journal.h"
#include "net/fetch.h"
#include "net/listener.h"
#include "notify/notification_manager.h"

struct server;

/* A listener and what it serves: the ctx of its accepted connections. */
struct server_listener {
    struct server *server;
    struct listener *listener;
    enum http_role role;
};

struct server {
    const struct config *config;
    struct stats stats;
    struct loop *loop;
    struct journal *journal;
    struct notification_manager *manager;
    struct fetcher *fetcher;           /* NULL where no keys are fetched */
    struct credentials *credentials;   /* NULL where no tokens are taken */
    struct publish_keys *publish_keys; /* NULL where no keys are */
    struct api *api;
    struct http_server *http;
    struct http_limits limits;
    struct network proxies[CONFIG_MAX_LIST];
    struct server_listener listeners[CONFIG_MAX_LISTENERS];
    size_t listener_count;
    ev_signal on_term;
    ev_signal on_int;
    ev_timer tick;
    uint64_t drain_end_ms; /* 0: not draining; past it whoever is left is cut */
};

/* Makes and starts everything: on return the listeners accept. `config` is borrowed for the
 * server's life. Returns 0, or -1 with `why`, and then nothing is left to end. */
int server_init(struct server *s, const struct config *config, struct error *why);

/* Runs until SIGTERM or SIGINT has drained it. */
void server_run(struct server *s);

/* Ends whatever was made. */
void server_fini(struct server *s);
#endif
