/* redis_window.c - what a node needs to know before it hears the log: at its start the newest
 * entries, read from the end backwards, as many as the window takes; then, and whenever it was
 * away, what bounds took meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "redis_priv.h"

enum { FIRST_CHUNK = 32 };

/* A kept entry that was read. */
struct kept {
    struct kept *newer;
    struct journal_entry entry;
    char text[]; /* channel and collapse key */
};

struct redis_window {
    struct kept *oldest;
    size_t bytes;
    uint64_t floor;        /* entries up to it are not read */
    char newest_id[48];
    char next_id[48];      /* of the oldest that was read, as the end of the next read */
};

void redis_load_cancel(struct redis *r)
{
    struct redis_window *w = r->window;

    if (w == NULL)
        return;
    while (w->oldest != NULL) {
        struct kept *k = w->oldest;

        w->oldest = k->newer;
        message_unref(k->entry.message);
        free(k);
    }
    free(w);
    r->window = NULL;
}

static void on_losses(redisAsyncContext *ac, void *data, void *ctx);

static void ask_losses(struct redis *r, uint64_t after)
{
    char number[REDIS_NUMBER_SIZE];
    char most[REDIS_NUMBER_SIZE];
    struct slice arguments[] = {
        redis_decimal(number, after),
        redis_decimal(most, REDIS_LOSSES),
    };

    if (redis_call(r, on_losses, r, "losses", 2, arguments) != 0)
        redis_go_down(r, "out of memory");
}

/* The window's entries, now that it is known what is lost behind its floor. */
static void emit_window(struct redis *r)
{
    for (struct kept *k = r->window->oldest; k != NULL; k = k->newer) {
        r->base.events->on_entry(r->base.ctx, &k->entry);
        r->emitted = k->entry.message->seq;
    }
    if (r->window->newest_id[0] != '\0')
        memcpy(r->tail_id, r->window->newest_id, sizeof r->tail_id);
    redis_load_cancel(r);
}

static void on_losses(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;
    uint64_t last = 0;

    if (!redis_reply_is_good(r, ac, reply) || reply->elements == 0)
        return;
    r->heard_ms = r->now_ms;
    for (size_t i = 1; i + 1 < reply->elements; i += 2) {
        struct channel_name channel;

        last = redis_number(reply->element[i + 1]);
        if (redis_channel_read(redis_text(reply->element[i]), &channel))
            r->base.events->on_lost(r->base.ctx, channel, last);
    }
    if (reply->elements > 2 * REDIS_LOSSES) {
        ask_losses(r, last);
        return;
    }
    if (r->window != NULL)
        emit_window(r);
    else if (redis_number(reply->element[0]) > r->emitted || r->transient > r->emitted)
        r->base.events->on_break(r->base.ctx, r->emitted); /* whose it was is not known */
    redis_begin_tail(r);
}

void redis_find_losses(struct redis *r)
{
    ask_losses(r, r->emitted);
}

/* Puts what was read before the others. Returns 0 or -ENOMEM. */
static int window_add(struct redis *r, const struct redis_entry *e)
{
    struct redis_window *w = r->window;
    struct kept *k;
    char *at;

    k = malloc(sizeof *k + e->channel.n + e->collapse_key.n);
    if (k == NULL)
        return -ENOMEM;
    if (!redis_entry_make(r, e, &k->entry)) {
        free(k);
        return -ENOMEM;
    }
    at = slice_put(k->text, e->channel);
    slice_put(at, e->collapse_key);
    k->entry.to.name = slice_make(k->text + 1, e->channel.n - 1);
    k->entry.collapse_key = slice_make(at, e->collapse_key.n);
    k->newer = w->oldest;
    w->oldest = k;
    w->floor = e->seq - 1;
    w->bytes += sizeof *k + message_size(k->entry.message);
    return 0;
}

static bool is_over(const struct redis *r, const struct redis_entry *e)
{
    return e->expires_ms != 0 && e->expires_ms <= redis_server_now(r);
}

static void set_floor(struct redis *r, uint64_t floor)
{
    r->base.events->on_floor(r->base.ctx, floor);
    ask_losses(r, floor);
}

/* All that is kept was read: what is missing below is lost, and told by channel as far back as it
 * is remembered and not too much. */
static void on_reach(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;
    uint64_t reach;

    if (!redis_reply_is_good(r, ac, reply) || r->window == NULL)
        return;
    reach = redis_number(reply);
    set_floor(r, reach < r->window->floor ? reach : r->window->floor);
}

static void load_more(struct redis *r);

static void on_loaded(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;
    struct redis_window *w = r->window;
    bool is_full = false;
    size_t bytes = 0;

    if (!redis_reply_is_good(r, ac, reply) || w == NULL)
        return;
    r->heard_ms = r->now_ms;
    for (size_t i = 0; i < reply->elements && !is_full; i++) {
        struct redis_entry e;

        if (!redis_entry_read(reply->element[i], &e))
            continue;
        if (w->newest_id[0] == '\0') {
            snprintf(w->newest_id, sizeof w->newest_id, "%.*s", SLICE_ARG(e.id));
            w->floor = e.seq; /* but for the very first, nothing is below it yet */
        }
        snprintf(w->next_id, sizeof w->next_id, "(%.*s", SLICE_ARG(e.id));
        bytes += e.sent.n;
        if (!e.is_control && !is_over(r, &e))
            is_full = window_add(r, &e) != 0 || w->bytes >= r->options.window_bytes;
    }
    redis_set_chunk(r, reply->elements, bytes);
    if (is_full)
        set_floor(r, w->floor);
    else if (reply->elements == r->asked)
        load_more(r);
    else if (redis_call(r, on_reach, r, "reach", 1, &SLICE_LITERAL("10000")) != 0)
        redis_go_down(r, "out of memory");
}

static void load_more(struct redis *r)
{
    char key[sizeof r->prefix + 8];
    char count[REDIS_NUMBER_SIZE];
    struct slice parts[] = {
        SLICE_LITERAL("XREVRANGE"),
        {key, 0},
        slice_of(r->window->next_id),
        SLICE_LITERAL("-"),
        SLICE_LITERAL("COUNT"),
        {count, 0},
    };

    r->asked = r->chunk;
    parts[5] = redis_decimal(count, r->asked);
    parts[1].n = (size_t)snprintf(key, sizeof key, "%s:log", r->prefix);
    if (redis_link_send(&r->commands, on_loaded, r, 6, parts) != 0)
        redis_go_down(r, "out of memory");
}

void redis_load(struct redis *r)
{
    r->window = calloc(1, sizeof *r->window);
    if (r->window == NULL) {
        redis_go_down(r, "out of memory");
        return;
    }
    r->window->floor = r->emitted;
    r->chunk = FIRST_CHUNK;
    strcpy(r->window->next_id, "+");
    load_more(r);
}
