/* server.c - the parts in the order of their making: loop, journal, manager, api, http, listeners.
 * They end in the reverse order. */
#include "daemon/server.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "auth/from_config.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/describe.h"
#include "log_file_priv.h"
#include "net/loop.h"
#include "revocation_file_priv.h"
#include "server_priv.h"
#include "systemd_priv.h"

enum {
    END_GRACE_MS = 2000,   /* behind the drain time, for what was still being written */
    STOP_GRACE_MS = 10000, /* and behind that, for the journal to be closed */
};

static bool is_trusted_proxy(const struct server *s, const struct peer *peer)
{
    for (size_t i = 0; i < s->config->http.trusted_proxies.count; i++)
        if (network_has(&s->proxies[i], peer))
            return true;
    return false;
}

static void on_accept(void *ctx, int fd, const struct peer *peer)
{
    struct server_listener *l = ctx;

    if (l->has_proxy_protocol)
        l->door.has_proxy_header = peer_is_unix(peer) || is_trusted_proxy(l->server, peer);
    http_server_accept(l->server->http, fd, peer, &l->door);
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
    systemd_notify("STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
                   (unsigned long long)(s->drain_end_ms - now_ms + STOP_GRACE_MS) * 1000);
    for (size_t i = 0; i < s->listener_count; i++) {
        listener_close(s->listeners[i].listener);
        s->listeners[i].listener = NULL;
    }
    http_server_drain(s->http);
    if (s->webhooks != NULL)
        webhooks_drain(s->webhooks);
    manager_drain(s->manager, now_ms, s->config->server.drain_time_ms);
}

static void on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    struct server *s = w->data;

    (void)ev;
    (void)revents;
    switch (w->signum) {
    case SIGHUP:
        server_reload(s);
        break;
    case SIGUSR1:
        log_file_reopen(s);
        break;
    default:
        drain(s, w->signum == SIGINT ? "SIGINT" : "SIGTERM");
        break;
    }
}

/* Told by the loop itself: one that stands still tells nothing, and is restarted. */
static void tell_life(struct server *s, uint64_t now_ms)
{
    if (s->watchdog_ms == 0 || now_ms < s->watchdog_due_ms)
        return;
    s->watchdog_due_ms = now_ms + s->watchdog_ms;
    systemd_notify("WATCHDOG=1\nSTATUS=%zu streams of %llu users",
                   manager_stream_count(s->manager), (unsigned long long)s->stats.users_online);
}

/* Stops when all is done, or no time is left. */
static void end_drain(struct server *s, uint64_t now_ms)
{
    size_t connections = http_server_connections(s->http);

    if (connections == 0 && (s->webhooks == NULL || webhooks_are_idle(s->webhooks)))
        loop_stop(s->loop);
    if (now_ms < s->drain_end_ms)
        return;
    if (connections > 0)
        log_warning("%zu connections are cut: the drain time is over", connections);
    loop_stop(s->loop);
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct server *s = w->data;
    uint64_t now_ms = loop_now_ms(s->loop);

    (void)ev;
    (void)revents;
    tell_life(s, now_ms);
    journal_tick(s->journal, now_ms);
    manager_tick(s->manager, now_ms);
    api_tick(s->api, now_ms);
    if (s->credentials != NULL)
        credentials_tick(s->credentials, now_ms);
    if (s->revocations != NULL)
        revocations_tick(s->revocations, loop_wall_ms(s->loop));
    if (s->webhooks != NULL)
        webhooks_tick(s->webhooks, server_webhook_time(s));
    if (s->drain_end_ms != 0)
        end_drain(s, now_ms);
}

/* How streams are written to. */
static int choose_writing(struct server *s, struct error *why)
{
    enum config_uring wanted = s->config->server.io_uring;
    struct error cause;

    if (wanted == CONFIG_URING_OFF)
        return 0;
    if (loop_use_uring(s->loop, &cause) == 0)
        log_info("streams are written to by io_uring");
    else if (wanted == CONFIG_URING_ON)
        return error_set(why, "server.io_uring = on: io_uring is not to be had: %s", cause.text);
    else
        log_info("streams are written to by plain sends: io_uring is not to be had: %s",
                 cause.text);
    return 0;
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
        .redis_sentinels = cfg->journal.redis_sentinels,
        .redis_sentinel_name = cfg->journal.redis_sentinel_name,
        .redis_prefix = cfg->journal.redis_prefix,
        .redis_timeout_ms = cfg->journal.redis_timeout_ms,
        .node_name = cfg->journal.node_name,
    };

    s->journal =
        journal_open(types[cfg->journal.type], &options, loop_ev(s->loop), &s->stats, why);
    return s->journal == NULL ? -1 : 0;
}

struct manager_options server_manager_options(const struct server *s)
{
    static const enum manager_overflow overflows[] = {
        [CONFIG_OVERFLOW_CATCHUP] = OVERFLOW_CATCHUP,
        [CONFIG_OVERFLOW_DROP_OLDEST] = OVERFLOW_DROP_OLDEST,
        [CONFIG_OVERFLOW_DISCONNECT] = OVERFLOW_DISCONNECT,
    };
    const struct config *cfg = s->config;

    return (struct manager_options){
        .now_ms = loop_now_ms(s->loop),
        .heartbeat_ms = cfg->streams.heartbeat_ms,
        .retry_ms = cfg->streams.retry_ms,
        .queue = cfg->streams.queue,
        .overflow = overflows[cfg->streams.overflow],
        .max_age_ms = cfg->streams.max_age_ms,
        .window_bytes = cfg->journal.window_bytes,
        .keep_ms = cfg->journal.keep_ms,
        .keep_per_user = cfg->journal.keep_per_user,
        .max_memory = cfg->limits.max_memory_bytes,
        .read_us = clock_mono_us,
        .has_shared_writes = loop_uses_uring(s->loop),
    };
}

static int make_manager(struct server *s, struct error *why)
{
    struct manager_options options = server_manager_options(s);

    s->manager = notification_manager_create(&options, s->journal, &s->stats);
    if (s->manager == NULL || loop_add_turn_end(s->loop, on_turn_end, s) != 0)
        return error_set(why, "out of memory for the notification manager");
    return 0;
}

static void on_fetched(void *ctx, size_t issuer, struct slice body, const char *why_not)
{
    struct server *s = ctx;

    credentials_on_fetched(s->credentials, issuer, body, why_not, loop_now_ms(s->loop));
}

struct fetcher *server_need_fetcher(struct server *s)
{
    if (s->fetcher == NULL)
        s->fetcher = fetcher_create(loop_ev(s->loop));
    return s->fetcher;
}

static int fetch_keys(void *ctx, size_t issuer, const char *url)
{
    static const struct fetch_limits limits = {.total_ms = 10000, .max_bytes = 256 * 1024};
    struct server *s = ctx;

    return server_need_fetcher(s) == NULL
               ? -ENOMEM
               : fetcher_get(s->fetcher, url, &limits, on_fetched, s, issuer);
}

/* Whoever could read this process's memory would have all keys and tokens. */
static void hide_memory(void)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        log_warning("a dump of this process's memory cannot be prevented: %s", strerror(errno));
}

static int make_credentials(struct server *s, struct error *why)
{
    const struct config_auth *auth = &s->config->auth;
    bool takes_tokens =
        auth->subscribe == CONFIG_SUBSCRIBE_JWT || (auth->publish & CONFIG_BY_JWT) != 0;

    if (!takes_tokens && config_has_keys(&auth->tokens))
        log_warning("[auth] has keys for tokens, and nothing asks for one; set subscribe = jwt");
    if ((auth->publish & CONFIG_BY_KEY) == 0 && auth->publish_keys_file != NULL)
        log_warning("[auth] has a publish_keys_file, and nothing asks for a key; set publish = "
                    "key");
    if (takes_tokens && credentials_from_config(s->config, fetch_keys, s, loop_now_ms(s->loop),
                                                &s->stats, &s->credentials, why) != 0)
        return -1;
    if ((auth->publish & CONFIG_BY_KEY) == 0)
        return 0;
    s->publish_keys = publish_keys_open(auth->publish_keys_file,
                                        s->config->limits.publishes_per_second_per_key, why);
    return s->publish_keys == NULL ? -1 : 0;
}

static void save_revocation(void *ctx, struct slice line, struct revocation_waiter *waiter)
{
    struct server *s = ctx;

    if (s->revocation_file == NULL)
        waiter->on_done(waiter, 0);
    else
        revocation_file_add(s->revocation_file, line, waiter);
}

/* Once the journal has made its directory and taken its lock. */
static int make_revocations(struct server *s, struct error *why)
{
    if (s->credentials == NULL)
        return 0;
    s->revocations = revocations_create(&s->stats);
    if (s->revocations == NULL)
        return error_set(why, "out of memory for revocations");
    credentials_set_revocations(s->credentials, s->revocations);
    if (s->config->journal.type != CONFIG_JOURNAL_DISK)
        return 0;
    s->revocation_file = revocation_file_open(s->config->journal.path, s->revocations,
                                              loop_wall_ms(s->loop), loop_ev(s->loop), why);
    return s->revocation_file == NULL ? -1 : 0;
}

static int add_config(void *ctx, struct buf *out)
{
    const struct server *s = ctx;

    return config_describe_in_force(s->config, out);
}

struct api_options server_api_options(struct server *s)
{
    const struct config *cfg = s->config;

    return (struct api_options){
        .allowed_origins = cfg->http.allowed_origins.items,
        .allowed_origin_count = cfg->http.allowed_origins.count,
        .server_names = cfg->http.server_names.items,
        .server_name_count = cfg->http.server_names.count,
        .trusted_proxies = s->proxies,
        .trusted_proxy_count = cfg->http.trusted_proxies.count,
        .proxies_say_forwarded = cfg->http.proxy_header == CONFIG_FORWARDED,
        .max_payload = cfg->publish.max_payload_bytes,
        .max_streams = cfg->streams.max_streams,
        .max_streams_per_user = cfg->streams.max_streams_per_user,
        .max_streams_per_ip = cfg->streams.max_streams_per_ip,
        .streams_per_second_per_ip = cfg->limits.streams_per_second_per_ip,
        .retry_ms = cfg->streams.retry_ms,
        .streams_need_token = cfg->auth.subscribe == CONFIG_SUBSCRIBE_JWT,
        .sending_takes_key = (cfg->auth.publish & CONFIG_BY_KEY) != 0,
        .sending_takes_token = (cfg->auth.publish & CONFIG_BY_JWT) != 0,
        .cookie = cfg->auth.cookie,
        .credentials = s->credentials,
        .publish_keys = s->publish_keys,
        .revocations = s->revocations,
        .revocation_ms = cfg->auth.revocation_time_ms,
        .save_revocation = save_revocation,
        .save_ctx = s,
        .add_config = add_config,
        .config_ctx = s,
    };
}

struct http_limits server_http_limits(const struct server *s)
{
    const struct config *cfg = s->config;

    return (struct http_limits){
        .header_timeout_ms = cfg->http.header_timeout_ms,
        .body_timeout_ms = cfg->http.body_timeout_ms,
        .idle_timeout_ms = cfg->http.idle_timeout_ms,
        .max_header = cfg->http.max_header_bytes,
        .max_body = cfg->publish.max_body_bytes,
        .max_pending = cfg->limits.max_memory_bytes / 4,
    };
}

unsigned server_user_timeout_ms(const struct server *s)
{
    return (unsigned)(2 * s->config->streams.heartbeat_ms);
}

int server_parse_proxies(const struct config *cfg, struct network out[CONFIG_MAX_LIST],
                         struct error *why)
{
    for (size_t i = 0; i < cfg->http.trusted_proxies.count; i++)
        if (network_parse(slice_of(cfg->http.trusted_proxies.items[i]), &out[i]) != 0)
            return error_set(why, "http.trusted_proxies: %s is no address or network",
                             cfg->http.trusted_proxies.items[i]);
    return 0;
}

static int make_http(struct server *s, struct error *why)
{
    struct api_options options = server_api_options(s);

    if (server_parse_proxies(s->config, s->proxies, why) != 0)
        return -1;
    s->limits = server_http_limits(s);
    s->api = api_create(&options, s->manager, s->loop, &s->stats);
    if (s->api == NULL)
        return error_set(why, "out of memory for the endpoints");
    s->http = http_server_create(s->loop, &s->limits, api_routes, api_filter, s->api, &s->stats);
    if (s->http == NULL)
        return error_set(why, "out of memory for the HTTP server");
    api_set_server(s->api, s->http);
    return 0;
}

/* Where it listens, or is about to. */
static int find_address(const struct config_listener *l, int inherited,
                        struct sockaddr_storage *out, struct error *why)
{
    socklen_t length = sizeof *out;

    if (inherited < 0)
        return address_parse(slice_of(l->address), out, &length, why);
    if (getsockname(inherited, (struct sockaddr *)out, &length) == 0)
        return 0;
    return error_set(why, "listener.%s: descriptor %d, which was handed over: %s", l->name,
                     inherited, strerror(errno));
}

/* `inherited` is a socket that listens for it already, or -1. */
static int open_listener(struct server *s, const struct config_listener *l, int inherited,
                         struct error *why)
{
    struct server_listener *to = &s->listeners[s->listener_count];
    struct listener_options options = {
        .address = slice_of(l->address),
        .mode = l->mode,
        .user_timeout_ms = server_user_timeout_ms(s),
        .is_inherited = inherited >= 0,
        .fd = inherited,
    };
    struct sockaddr_storage address;

    if (find_address(l, inherited, &address, why) != 0 ||
        (!address_is_local((const struct sockaddr *)&address) &&
         config_check_open(s->config, l, why) != 0))
        return -1;
    to->server = s;
    to->door.role = (enum http_role)l->role;
    to->door.is_local =
        address.ss_family != AF_UNIX && address_is_local((const struct sockaddr *)&address);
    to->has_proxy_protocol = l->proxy_protocol;
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

/* A socket that nobody serves would let its clients wait for ever. */
static int check_all_taken(const struct systemd_socket *sockets, size_t count, struct error *why)
{
    for (size_t i = 0; i < count; i++)
        if (sockets[i].fd >= 0)
            return error_set(why,
                             "socket \"%s\", which was handed over, has neither the address nor "
                             "the name of a listener: add [listener.NAME] for it",
                             sockets[i].name);
    return 0;
}

static int open_listeners(struct server *s, struct error *why)
{
    const struct config_listener *listeners = s->config->listeners;
    struct systemd_socket sockets[CONFIG_MAX_LISTENERS];
    int inherited[CONFIG_MAX_LISTENERS];
    int count = systemd_sockets(sockets, why);

    if (count < 0)
        return -1;
    systemd_take(sockets, (size_t)count, listeners, s->config->listener_count, inherited);
    for (size_t i = 0; i < s->config->listener_count; i++)
        if (open_listener(s, &listeners[i], inherited[i], why) != 0)
            return -1;
    return check_all_taken(sockets, (size_t)count, why);
}

static void start_signal(struct server *s, ev_signal *w, int number)
{
    ev_signal_init(w, on_signal, number);
    w->data = s;
    ev_signal_start(loop_ev(s->loop), w);
}

static void start_watchers(struct server *s)
{
    struct ev_loop *ev = loop_ev(s->loop);

    start_signal(s, &s->on_term, SIGTERM);
    start_signal(s, &s->on_int, SIGINT);
    start_signal(s, &s->on_hup, SIGHUP);
    start_signal(s, &s->on_usr1, SIGUSR1);
    ev_timer_init(&s->tick, on_tick, 0.1, 0.1);
    s->tick.data = s;
    ev_timer_start(ev, &s->tick);
    on_tick(ev, &s->tick, 0);
}

/* As many descriptors as the system lets us have: each stream is one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
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
    int status;

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
    if (s->log_fd >= 0 && fchown(s->log_fd, user->pw_uid, user->pw_gid) != 0)
        return error_set(why, "server.user = %s: cannot be given log.file: %s", name,
                         strerror(errno));
    status = journal_give_to(s->journal, user->pw_uid, user->pw_gid);
    if (status != 0)
        return error_set(why, "server.user = %s: cannot be given the files in journal.path: %s",
                         name, strerror(-status));
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        return error_set(why, "server.user = %s: %s", name, strerror(errno));
    return 0;
}

int server_init(struct server *s, const struct server_start *start, struct error *why)
{
    struct config *config = start->config;

    *s = (struct server){
        .config = config,
        .arguments = start->arguments,
        .config_file = config_file_of(start->arguments->file),
        .log_fd = start->log_fd,
        .watchdog_ms = systemd_watchdog_ms(),
    };
    raise_descriptor_limit();
    s->loop = loop_create(&s->stats, why);
    if (s->loop == NULL || choose_writing(s, why) != 0 || make_credentials(s, why) != 0 ||
        make_journal(s, why) != 0 || make_revocations(s, why) != 0 || make_manager(s, why) != 0 ||
        server_make_webhooks(s, why) != 0 || make_http(s, why) != 0)
        goto fail;
    start_watchers(s);
    if (open_listeners(s, why) != 0)
        goto fail;
    if (become_user(s, config->server.user, why) != 0)
        goto fail;
    if (s->credentials != NULL || s->publish_keys != NULL || s->webhooks != NULL)
        hide_memory(); /* last: to become another user has its own say in it */
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
        ev_signal_stop(ev, &s->on_hup);
        ev_signal_stop(ev, &s->on_usr1);
    }
    http_server_destroy(s->http);
    notification_manager_destroy(s->manager);
    revocation_file_close(s->revocation_file); /* while the journal holds the directory's lock */
    journal_close(s->journal);
    api_destroy(s->api);
    fetcher_destroy(s->fetcher);
    webhooks_destroy(s->webhooks);
    webhook_secrets_destroy(s->webhook_secrets);
    credentials_destroy(s->credentials);
    revocations_destroy(s->revocations);
    publish_keys_close(s->publish_keys);
    loop_destroy(s->loop);
    *s = (struct server){0};
}
