/* server.h - the daemon: all parts made from one config, run by one loop. */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H
#include <ev.h>
#include "api/api.h"
#include "auth/credentials.h"
#include "auth/publish_keys.h"
#include "auth/revocations.h"
#include "base/error.h"
#include "base/stats.h"
#include "config/arguments.h"
#include "config/config.h"
#include "http/server.h"
#include "journal/journal.h"
#include "net/fetch.h"
#include "net/listener.h"
#include "notify/notification_manager.h"
#include "webhook/webhooks.h"

struct server;

struct revocation_file; /* src/daemon/revocation_file_priv.h */

/* A listener and what it serves: the ctx of its accepted connections. */
struct server_listener {
    struct server *server;
    struct listener *listener;
    struct http_door door;
    bool has_proxy_protocol;
};

struct server {
    struct config *config;         /* in force: a reload changes it in place */
    const struct config_arguments *arguments;
    const char *config_file;       /* that was read at the start, or NULL */
    int log_fd;                    /* of log.file; -1: the log is on standard error */
    struct stats stats;
    struct loop *loop;
    struct journal *journal;
    struct notification_manager *manager;
    struct fetcher *fetcher;           /* NULL where nothing is fetched or posted */
    struct credentials *credentials;   /* NULL where no tokens are taken */
    struct publish_keys *publish_keys; /* NULL where no keys are */
    struct revocations *revocations;   /* NULL where no tokens are taken */
    struct revocation_file *revocation_file; /* NULL where they are not kept on disk */
    struct webhooks *webhooks;         /* NULL where nobody is told */
    struct webhook_secrets *webhook_secrets; /* likewise */
    struct api *api;
    struct http_server *http;
    struct http_limits limits;
    struct network proxies[CONFIG_MAX_LIST];
    struct server_listener listeners[CONFIG_MAX_LISTENERS];
    size_t listener_count;
    ev_signal on_term;
    ev_signal on_int;
    ev_signal on_hup;
    ev_signal on_usr1;
    ev_timer tick;
    uint64_t drain_end_ms; /* 0: not draining; past it whoever is left is cut */
    uint64_t watchdog_ms;  /* between two signs of life to systemd; 0: none are wanted */
    uint64_t watchdog_due_ms;
};

/* What a server is made from, borrowed for its life. */
struct server_start {
    struct config *config;
    const struct config_arguments *arguments; /* by which it was read, and is when it is reloaded */
    int log_fd;                               /* as in struct server, which may replace it */
};

/* Makes and starts everything: on return the listeners accept. Returns 0, or -1 with `why`, and
 * then nothing is left to end. */
int server_init(struct server *s, const struct server_start *start, struct error *why);

/* Runs until SIGTERM or SIGINT has drained it. SIGHUP reloads the configuration, SIGUSR1 opens
 * log.file anew. */
void server_run(struct server *s);

/* Ends whatever was made, but for the log, which the last words still go to. */
void server_fini(struct server *s);
#endif
