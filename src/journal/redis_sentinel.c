/* redis_sentinel.c - where the master is, as the Sentinels say.
 *
 * They are asked before each attempt to connect, one after the other until one knows. What they
 * say may be out of date for a moment: redis_link.c leaves a server that is a replica. */
#include <stdlib.h>
#include <string.h>
#include "redis_priv.h"

/* The address that was answered is taken. */
static int take_address(struct redis *r, const redisReply *reply)
{
    uint64_t port = redis_number(reply->element[1]);
    char *host = strndup(reply->element[0]->str, (size_t)reply->element[0]->len);

    if (host == NULL || port == 0 || port > 65535) {
        free(host);
        return -1;
    }
    free(r->url.host);
    r->url.host = host;
    r->url.port = (unsigned)port;
    return 0;
}

static void on_address(redisAsyncContext *ac, void *data, void *ctx)
{
    struct redis *r = ctx;
    const redisReply *reply = data;
    struct redis_link *link = &r->sentinels.link;

    if (ac->data == NULL || reply == NULL)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_link_fail(link, "%.*s", (int)(reply->len < 120 ? reply->len : 120), reply->str);
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
             reply->element[0]->type != REDIS_REPLY_STRING)
        redis_link_fail(link, "it knows no master of the name %s", r->options.redis_sentinel_name);
    else if (take_address(r, reply) != 0)
        redis_link_fail(link, "its answer makes no sense");
    else {
        redis_link_close(link);
        link->failures = 0;
        redis_link_connect(&r->commands);
    }
}

static void on_ready(struct redis_link *link)
{
    struct redis *r = link->ctx;
    struct slice parts[] = {
        SLICE_LITERAL("SENTINEL"),
        SLICE_LITERAL("GET-MASTER-ADDR-BY-NAME"),
        slice_of(r->options.redis_sentinel_name),
    };

    redis_link_expect(link);
    if (redis_link_send(link, on_address, r, 3, parts) != 0)
        redis_link_fail(link, "out of memory");
}

/* The next one is asked when the link tries again. */
static void on_lost(struct redis_link *link)
{
    struct redis *r = link->ctx;
    struct redis_sentinels *s = &r->sentinels;
    char why[sizeof r->down_reason];

    snprintf(why, sizeof why, "Sentinel %.60s:%u: %.180s", link->url->host, link->url->port,
             link->trouble);
    s->at = (s->at + 1) % s->count;
    link->url = &s->urls[s->at];
    redis_go_down(r, why);
}

static void find(struct redis_link *commands)
{
    struct redis *r = commands->ctx;

    redis_link_open(&r->sentinels.link);
}

int redis_sentinels_init(struct redis *r, struct error *why)
{
    struct redis_sentinels *s = &r->sentinels;
    const char *list = r->options.redis_sentinels;
    struct slice rest = slice_of(list);
    struct slice item;

    redis_link_init(&s->link, &s->urls[0], r->ev, r->options.redis_timeout_ms);
    s->link.on_ready = on_ready;
    s->link.on_lost = on_lost;
    s->link.ctx = r;
    while (slice_cut_item(&rest, &item)) {
        if (s->count == REDIS_MAX_SENTINELS)
            return error_set(why, "journal.redis_sentinels: there may be up to %d",
                             REDIS_MAX_SENTINELS);
        if (redis_url_read_sentinel(&s->urls[s->count], item, why) != 0)
            return -1;
        s->count++;
    }
    if (s->count > 0)
        r->commands.find = find;
    return 0;
}

void redis_sentinels_fini(struct redis *r)
{
    redis_link_close(&r->sentinels.link);
    for (size_t i = 0; i < r->sentinels.count; i++)
        redis_url_fini(&r->sentinels.urls[i]);
}
