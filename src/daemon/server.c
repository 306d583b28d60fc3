/* server.c - the parts in the order of their making: loop, journal, manager, api, http, listeners.
 * They end in the reverse order. */
#include "daemon/server.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/log.h"
#include "net/loop.h"

enum { END_GRACE_MS = 2000 }; /* behind the drain time, for what was still being written */

static void on_accept(void *ctx, int fd, const struct peer *peer)
{
    struct server_listener *l = ctx;

    http_server_accept(l->server->http, fd, peer, l->role);
}

static bool on_turn_end(void *ctx)
{
    struct server *s = ctx;

    return manager_turn_end(s->manager, loop_now_ms(s->loop));
}

static void drain(struct server *s, const char *why)
{
    uint64_t now_ms = loop_now_ms(s->loop);

    if (s->drain_end_ms != 0) {
        log_warning("%s again: ending at once", why);
        loop_stop(s->loop);
        return;
    }
    log_info("%s: draining %zu streams over %llu ms", why, manager_stream_count(s->manager),
             (unsigned long long)s->config->server.drain_time_ms);
    s->drain_end_ms = now_ms + s->config->server.drain_time_ms + END_GRACE_MS;
    for (size_t i = 0; i < s->listener_count; i++) {
        listener_close(s->listeners[i].listener);
        s->listeners[i].listener = NULL;
    }
    http_server_drain(s->http);
    manager_drain(s->manager, now_ms, s->config->server.drain_time_ms);
}

static void on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    (void)ev;
    (void)revents;
    drain(w->data, w->signum == SIGINT ? "SIGINT" : "SIGTERM");
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct server *s = w->data;
    uint64_t now_ms = loop_now_ms(s->loop);

    (void)ev;
    (void)revents;
    journal_tick(s->journal, now_ms);
    manager_tick(s->manager, now_ms);
    if (s->drain_end_ms == 0)
        return;
    if (http_server_connections(s->http) == 0)
        loop_stop(s->loop);
    if (now_ms >= s->drain_end_ms) {
        log_warning("%zu connections are cut: the drain time is over",
                    http_server_connections(s->http));
        loop_stop(s->loop);
    }
}

static int make_journal(struct server *s, struct error *why)
{
    static const char *const types[] = {
        [CONFIG_JOURNAL_DISK] = "disk",
        [CONFIG_JOURNAL_MEMORY] = "memory",
        [CONFIG_JOURNAL_REDIS] = "redis",
    };
    static const enum journal_sync syncs[] = {
        [CONFIG_SYNC_ALWAYS] = JOURNAL_SYNC_ALWAYS,
        [CONFIG_SYNC_INTERVAL] = JOURNAL_SYNC_INTERVAL,
        [CONFIG_SYNC_NEVER] = JOURNAL_SYNC_NEVER,
    };
    const struct config *cfg = s->config;
    struct journal_options options = {
        .keep_ms = cfg->journal.keep_ms,
        .keep_per_user = cfg->journal.keep_per_user,
        .keep_bytes = cfg->journal.keep_bytes,
        .idempotency_window_ms = cfg->publish.idempotency_window_ms,
        .now_ms = loop_now_ms(s->loop),
        .wall_ms = loop_wall_ms(s->loop),
        .window_bytes = cfg->journal.window_bytes,
        .path = cfg->journal.path,
        .sync = syncs[cfg->journal.sync],
        .redis_url = cfg->journal.redis_url,
        .redis_prefix = cfg->journal.redis_prefix,
        .redis_timeout_ms = cfg->journal.redis_timeout_ms,
        .node_name = cfg->journal.node_name,
    };

    s->journal =
        journal_open(types[cfg->journal.type], &options, loop_ev(s->loop), &s->stats, why);
    return s->journal == NULL ? -1 : 0;
}

static int make_manager(struct server *s, struct error *why)
{
    static const enum manager_overflow overflows[] = {
        [CONFIG_OVERFLOW_CATCHUP] = OVERFLOW_CATCHUP,
        [CONFIG_OVERFLOW_DROP_OLDEST] = OVERFLOW_DROP_OLDEST,
        [CONFIG_OVERFLOW_DISCONNECT] = OVERFLOW_DISCONNECT,
    };
    const struct config *cfg = s->config;
    struct manager_options options = {
        .now_ms = loop_now_ms(s->loop),
        .heartbeat_ms = cfg->streams.heartbeat_ms,
        .retry_ms = cfg->streams.retry_ms,
        .queue = cfg->streams.queue,
        .overflow = overflows[cfg->streams.overflow],
        .max_age_ms = cfg->streams.max_age_ms,
        .window_bytes = cfg->journal.window_bytes,
        .keep_ms = cfg->journal.keep_ms,
        .keep_per_user = cfg->journal.keep_per_user,
    };

    s->manager = notification_manager_create(&options, s->journal, &s->stats);
    if (s->manager == NULL || loop_add_turn_end(s->loop, on_turn_end, s) != 0)
        return error_set(why, "out of memory for the notification manager");
    return 0;
}

static int make_http(struct server *s, struct error *why)
{
    const struct config *cfg = s->config;
    struct api_options options = {
        .allowed_origins = cfg->http.allowed_origins.items,
        .allowed_origin_count = cfg->http.allowed_origins.count,
        .trusted_proxies = s->proxies,
        .trusted_proxy_count = cfg->http.trusted_proxies.count,
        .max_payload = cfg->publish.max_payload_bytes,
        .max_streams = cfg->streams.max_streams,
        .max_streams_per_user = cfg->streams.max_streams_per_user,
        .max_streams_per_ip = cfg->streams.max_streams_per_ip,
        .retry_ms = cfg->streams.retry_ms,
    };

    for (size_t i = 0; i < cfg->http.trusted_proxies.count; i++)
        if (network_parse(slice_of(cfg->http.trusted_proxies.items[i]), &s->proxies[i]) != 0)
            return error_set(why, "http.trusted_proxies: %s is no address or network",
                             cfg->http.trusted_proxies.items[i]);
    s->limits = (struct http_limits){
        .header_timeout_ms = cfg->http.header_timeout_ms,
        .body_timeout_ms = cfg->http.body_timeout_ms,
        .idle_timeout_ms = cfg->http.idle_timeout_ms,
        .max_header = cfg->http.max_header_bytes,
        .max_body = cfg->publish.max_body_bytes,
    };
    s->api = api_create(&options, s->manager, s->loop, &s->stats);
    if (s->api == NULL)
        return error_set(why, "out of memory for the endpoints");
    s->http = http_server_create(s->loop, &s->limits, api_routes, api_filter, s->api, &s->stats);
    if (s->http == NULL)
        return error_set(why, "out of memory for the HTTP server");
    api_set_server(s->api, s->http);
    return 0;
}

/* Until there are credentials, a listener that others can reach is opened only where the
 * configuration says that it is meant so. */
static int check_is_meant(const struct config *cfg, const struct config_listener *l,
                          struct error *why)
{
    struct sockaddr_storage address;
    socklen_t length;

    if (address_parse(slice_of(l->address), &address, &length, why) != 0)
        return -1;
    if (address_is_local((struct sockaddr *)&address))
        return 0;
    if ((l->role & CONFIG_ROLE_PUBLIC) != 0 && !cfg->streams.allow_anonymous)
        return error_set(why,
                         "listener.%s.address = %s: other machines can reach it, and its streams "
                         "need no credential; set streams.allow_anonymous = yes if that is meant, "
                         "or listen on 127.0.0.1",
                         l->name, l->address);
    if ((l->role & CONFIG_ROLE_INTERNAL) != 0 && !cfg->publish.allow_anonymous)
        return error_set(why,
                         "listener.%s.address = %s: other machines can reach it, and publishing "
                         "needs no credential; set publish.allow_anonymous = yes if that is meant, "
                         "role = public, or listen on 127.0.0.1",
                         l->name, l->address);
    return 0;
}

static int open_listener(struct server *s, const struct config_listener *l, struct error *why)
{
    struct server_listener *to = &s->listeners[s->listener_count];
    struct listener_options options = {
        .address = slice_of(l->address),
        .mode = l->mode,
        /* Two heartbeats without an acknowledgement: the peer is gone. */
        .user_timeout_ms = (unsigned)(2 * s->config->streams.heartbeat_ms),
    };

    if (check_is_meant(s->config, l, why) != 0)
        return -1;
    to->server = s;
    to->role = (enum http_role)l->role;
    to->listener = listener_open(&options, s->loop, &s->stats, on_accept, to, why);
    if (to->listener == NULL)
        return -1;
    s->listener_count++;
    log_event(LOG_INFO, "listening", log_text("listener", l->name),
              log_text("address", listener_address(to->listener)),
              log_text("role", l->role == CONFIG_ROLE_ALL      ? "all"
                               : l->role == CONFIG_ROLE_PUBLIC ? "public"
                                                               : "internal"));
    return 0;
}

static void start_watchers(struct server *s)
{
    struct ev_loop *ev = loop_ev(s->loop);

    ev_signal_init(&s->on_term, on_signal, SIGTERM);
    ev_signal_init(&s->on_int, on_signal, SIGINT);
    ev_timer_init(&s->tick, on_tick, 0.1, 0.1);
    s->on_term.data = s;
    s->on_int.data = s;
    s->tick.data = s;
    ev_signal_start(ev, &s->on_term);
    ev_signal_start(ev, &s->on_int);
    ev_timer_start(ev, &s->tick);
    on_tick(ev, &s->tick, 0);
}

/* As many descriptors as the system lets us have: each stream is one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("the limit of descriptors could not be raised: %s", strerror(errno));
}

/* So that `mode` is about that user and its group, and not about root. */
static int give_listeners_to(struct server *s, const struct passwd *user, struct error *why)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = s->listeners[i].listener;
        int rc = listener_give_to(l, user->pw_uid, user->pw_gid);

        if (rc != 0)
            return error_set(why, "server.user = %s: cannot be given %s: %s", user->pw_name,
                             listener_address(l), strerror(-rc));
    }
    return 0;
}

static int become_user(struct server *s, const char *name, struct error *why)
{
    struct passwd *user;

    if (name == NULL)
        return 0;
    user = getpwnam(name);
    if (geteuid() != 0) {
        if (user == NULL || user->pw_uid != geteuid())
            log_warning("server.user = %s is ignored: only root can become another user", name);
        return 0;
    }
    if (user == NULL)
        return error_set(why, "server.user = %s: there is no such user", name);
    if (give_listeners_to(s, user, why) != 0)
        return -1;
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        return error_set(why, "server.user = %s: %s", name, strerror(errno));
    return 0;
}

int server_init(struct server *s, const struct config *config, struct error *why)
{
    *s = (struct server){.config = config};
    raise_descriptor_limit();
    s->loop = loop_create(&s->stats, why);
    if (s->loop == NULL || make_journal(s, why) != 0 || make_manager(s, why) != 0 ||
        make_http(s, why) != 0)
        goto fail;
    start_watchers(s);
    for (size_t i = 0; i < config->listener_count; i++)
        if (open_listener(s, &config->listeners[i], why) != 0)
            goto fail;
    if (become_user(s, config->server.user, why) != 0)
        goto fail;
    return 0;
fail:
    server_fini(s);
    return -1;
}

void server_run(struct server *s)
{
    loop_run(s->loop);
}

void server_fini(struct server *s)
{
    struct ev_loop *ev = s->loop == NULL ? NULL : loop_ev(s->loop);

    for (size_t i = 0; i < s->listener_count; i++)
        listener_close(s->listeners[i].listener);
    if (ev != NULL && ev_is_active(&s->tick)) {
        ev_timer_stop(ev, &s->tick);
        ev_signal_stop(ev, &s->on_term);
        ev_signal_stop(ev, &s->on_int);
    }
    http_server_destroy(s->http);
    notification_manager_destroy(s->manager);
    journal_close(s->journal);
    api_destroy(s->api);
    loop_destroy(s->loop);
    *s = (struct server){0};
}
