/* reload.c - SIGHUP: another configuration for the daemon that runs, whole or not at all.
 *
 * Whatever can fail comes first, beside what is in force: reading and checking the settings, then
 * each part's own preparation (a file to be opened, keys to be read). Only when all of that is done
 * is anything changed, and that cannot fail. */
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "config/reload.h"
#include "log_file_priv.h"
#include "server_priv.h"
#include "systemd_priv.h"

/* What has been made of the fresh settings so far. */
struct reload {
    struct server *s;
    struct config fresh;
    int log_fd;
    struct network proxies[CONFIG_MAX_LIST];
    struct webhook_secrets *webhook_secrets; /* NULL: those of before stay */
};

/* What one part of the daemon does in a reload; NULL where there is nothing to do. */
struct part {
    int (*prepare)(struct reload *r, struct error *why); /* from r->fresh; -1 with `why` */
    void (*commit)(struct reload *r); /* s->config has the settings, r->fresh what they replace */
    void (*cancel)(struct reload *r); /* a later part could not be prepared */
};

static int prepare_proxies(struct reload *r, struct error *why)
{
    return server_parse_proxies(&r->fresh, r->proxies, why);
}

static void commit_api(struct reload *r)
{
    struct server *s = r->s;
    struct api_options options;

    memcpy(s->proxies, r->proxies, sizeof s->proxies);
    options = server_api_options(s);
    api_change_options(s->api, &options);
}

static void commit_streams(struct reload *r)
{
    struct server *s = r->s;
    struct manager_options options = server_manager_options(s);

    manager_change_options(s->manager, &options);
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].listener != NULL)
            listener_set_user_timeout(s->listeners[i].listener, server_user_timeout_ms(s));
}

static void commit_http(struct reload *r)
{
    r->s->limits = server_http_limits(r->s);
}

static int prepare_log(struct reload *r, struct error *why)
{
    r->log_fd = -1;
    if (r->fresh.log.file != NULL)
        r->log_fd = log_file_open(r->fresh.log.file, why);
    return r->fresh.log.file == NULL || r->log_fd >= 0 ? 0 : -1;
}

static void commit_log(struct reload *r)
{
    struct server *s = r->s;

    log_file_use(s->config, r->log_fd);
    if (s->log_fd >= 0)
        close(s->log_fd);
    s->log_fd = r->log_fd;
}

static void cancel_log(struct reload *r)
{
    if (r->log_fd >= 0)
        close(r->log_fd);
}

static int prepare_keys(struct reload *r, struct error *why)
{
    return r->s->credentials == NULL ? 0 : credentials_prepare_keys(r->s->credentials, why);
}

static void commit_keys(struct reload *r)
{
    if (r->s->credentials != NULL)
        credentials_commit_keys(r->s->credentials);
}

static void cancel_keys(struct reload *r)
{
    if (r->s->credentials != NULL)
        credentials_cancel_keys(r->s->credentials);
}

static int prepare_webhooks(struct reload *r, struct error *why)
{
    return r->s->webhooks == NULL
               ? 0
               : server_read_webhook_secrets(r->s, &r->webhook_secrets, why);
}

static void commit_webhooks(struct reload *r)
{
    struct server *s = r->s;
    struct webhooks_options options;

    if (s->webhooks == NULL)
        return;
    options = server_webhooks_options(s);
    webhooks_change_options(s->webhooks, &options);
    if (r->webhook_secrets == NULL)
        return;
    webhooks_change_secrets(s->webhooks, r->webhook_secrets);
    webhook_secrets_destroy(s->webhook_secrets);
    s->webhook_secrets = r->webhook_secrets;
}

static void cancel_webhooks(struct reload *r)
{
    webhook_secrets_destroy(r->webhook_secrets);
}

/* A part that reads files of its own (keys, certificates) is a row here. */
static const struct part parts[] = {
    {prepare_keys, commit_keys, cancel_keys},
    {prepare_webhooks, commit_webhooks, cancel_webhooks},
    {prepare_log, commit_log, cancel_log},
    {prepare_proxies, commit_api, NULL},
    {NULL, commit_streams, NULL},
    {NULL, commit_http, NULL},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

/* Returns 0, or -1 with `why` and nothing left of what was prepared. */
static int prepare_parts(struct reload *r, struct error *why)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].prepare == NULL || parts[i].prepare(r, why) == 0)
            continue;
        while (i-- > 0)
            if (parts[i].cancel != NULL)
                parts[i].cancel(r);
        return -1;
    }
    return 0;
}

static void refuse(struct server *s, const struct config_errors *errors)
{
    s->stats.reloads_refused++;
    s->stats.reload_failed = 1;
    for (size_t i = 0; i < errors->count; i++)
        log_error("%s", errors->items[i].text);
    if (errors->more > 0)
        log_error("and %zu more", errors->more);
    log_error("SIGHUP: the configuration is refused; what was in force stays in force");
}

static void take_over(struct reload *r)
{
    struct server *s = r->s;
    struct buf taken = {0};
    struct buf waiting = {0};

    config_take_over(s->config, &r->fresh, &taken, &waiting);
    for (size_t i = 0; i < PARTS; i++)
        parts[i].commit(r);
    s->stats.reloads++;
    s->stats.reload_failed = 0;
    log_event(LOG_INFO, "configuration reloaded", log_slice("changed", buf_slice(&taken)));
    if (waiting.len > 0)
        log_event(LOG_WARNING, "these settings have changed, but take a restart",
                  log_slice("settings", buf_slice(&waiting)));
    buf_fini(&taken);
    buf_fini(&waiting);
}

static void reload(struct server *s)
{
    const struct config_arguments *a = s->arguments;
    const char *file = s->config_file != NULL ? s->config_file : a->file;
    struct reload r = {.s = s};
    struct config_errors errors = {.count = 0};
    struct error why = {.text = ""};

    if (config_load_again(&r.fresh, s->config, file, a->overrides, a->override_count,
                          &errors) != 0) {
        refuse(s, &errors);
        return;
    }
    if (prepare_parts(&r, &why) != 0) {
        config_error(&errors, NULL, "%s", why.text);
        refuse(s, &errors);
    } else {
        take_over(&r);
    }
    config_fini(&r.fresh);
}

void server_reload(struct server *s)
{
    systemd_notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_mono_us());
    reload(s);
    systemd_notify("READY=1");
}
