/* webhook_post.c - what webhooks stand between: the configuration, the manager, libcurl. */
#include <errno.h>
#include "base/log.h"
#include "net/loop.h"
#include "server_priv.h"

struct webhooks_options server_webhooks_options(const struct server *s)
{
    const struct config_webhooks *cfg = &s->config->webhooks;

    return (struct webhooks_options){
        .grace_ms = cfg->grace_ms,
        .keep_trying_ms = cfg->keep_trying_ms,
        .queue = cfg->queue,
    };
}

struct webhook_time server_webhook_time(const struct server *s)
{
    return (struct webhook_time){loop_now_ms(s->loop), loop_wall_ms(s->loop)};
}

int server_read_webhook_secrets(const struct server *s, struct webhook_secrets **out,
                                struct error *why)
{
    struct error sentence = {""};
    int status = webhook_secrets_open(out, s->config->webhooks.secret_file, &sentence);

    if (status == -EACCES) {
        *out = NULL;
        log_warning("%s; the secret of before is used, and a restart reads it", sentence.text);
        return 0;
    }
    return status == 0 ? 0 : error_set(why, "%s", sentence.text);
}

static void on_posted(void *ctx, size_t tag, const struct post_answer *answer)
{
    struct server *s = ctx;

    webhooks_on_answer(s->webhooks, tag, answer, server_webhook_time(s));
}

static int send_post(void *ctx, size_t tag, const struct webhook_request *request)
{
    struct server *s = ctx;
    const struct config_webhooks *cfg = &s->config->webhooks;
    const struct fetch_limits limits = {(unsigned)cfg->timeout_ms, 64 * 1024};
    const struct fetch_post post = {
        .url = cfg->url,
        .headers = request->headers,
        .header_count = WEBHOOK_HEADERS,
        .body = request->body,
    };

    return fetcher_post(s->fetcher, &post, &limits, on_posted, s, tag);
}

static void on_online(void *ctx, struct slice user, bool is_online)
{
    struct server *s = ctx;

    webhooks_on_online(s->webhooks, user, is_online);
}

int server_make_webhooks(struct server *s, struct error *why)
{
    struct webhooks_options options = server_webhooks_options(s);
    const struct config_webhooks *cfg = &s->config->webhooks;

    if (cfg->url == NULL)
        return 0;
    if (webhook_secrets_open(&s->webhook_secrets, cfg->secret_file, why) != 0)
        return -1;
    if (server_need_fetcher(s) != NULL)
        s->webhooks = webhooks_create(&options, s->webhook_secrets, &s->stats, send_post, s,
                                      server_webhook_time(s));
    if (s->webhooks == NULL)
        return error_set(why, "out of memory for webhooks");
    manager_watch_users(s->manager, on_online, s);
    return 0;
}
