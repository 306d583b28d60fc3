/* redis_tail.c - hearing the log: all entries of all nodes, in order.
 *
 * At the start the newest are read from the end backwards, as many as the window takes; then, and
 * after every interruption, a blocking read goes on behind the last one heard. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "message/sse.h"
#include "redis_priv.h"

enum { READ_ENTRIES = 500, LOAD_ENTRIES = 500, LOSSES = 1000 };

/* ---- an entry ---- */

struct message *redis_encode(const struct redis *r, uint64_t seq, struct channel_name to,
                             struct slice sent)
{
    const unsigned char *p = (const unsigned char *)sent.p;
    struct notification n = {.to = to};
    uint64_t wall_ms = 0;
    size_t event;

    if (sent.n < REDIS_SENT_HEAD)
        return NULL;
    event = (size_t)(p[2] | p[3] << 8);
    if (event == 0 || event > sent.n - REDIS_SENT_HEAD)
        return NULL;
    for (int i = 7; i >= 0; i--)
        wall_ms = wall_ms << 8 | p[4 + i];
    n.is_json = p[0] != 0;
    n.event = slice_make(sent.p + REDIS_SENT_HEAD, event);
    n.data = slice_make(n.event.p + event, sent.n - REDIS_SENT_HEAD - event);
    return sse_encode(&n, r->epoch, seq, wall_ms);
}

static void read_field(struct redis_entry *e, struct slice name, struct slice value)
{
    if (name.n != 1)
        return;
    switch (name.p[0]) {
    case 'o':
        e->origin = value;
        break;
    case 'c':
        e->channel = value;
        break;
    case 'r':
        e->sent = value;
        break;
    case 'k':
        e->collapse_key = value;
        break;
    case 't':
        (void)slice_to_u64(value, &e->at_ms);
        break;
    case 'x':
        (void)slice_to_u64(value, &e->expires_ms);
        break;
    case 'z':
        e->is_transient = true;
        break;
    case 'b':
        e->broken = value;
        break;
    case 'd':
        e->has_removal = slice_to_u64(value, &e->removed) == 0;
        break;
    default: /* of a newer program */
        break;
    }
}

/* One element of what XREAD or XREVRANGE answers: an id, and fields with their values. */
static bool read_entry(const redisReply *reply, struct redis_entry *e)
{
    const redisReply *fields;
    struct slice number;
    struct slice rest;

    *e = (struct redis_entry){.seq = 0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    e->id = rest = redis_text(reply->element[0]);
    number = slice_cut(&rest, '-');
    e->is_control = !slice_is(rest, "0");
    fields = reply->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        read_field(e, redis_text(fields->element[i]), redis_text(fields->element[i + 1]));
    return slice_to_u64(number, &e->seq) == 0;
}

static uint64_t server_now(const struct redis *r)
{
    return r->server_ms + (r->now_ms - r->server_at_ms);
}

/* As the manager gets it; the message is the caller's. False: it makes no sense, or no memory. */
static bool make_entry(const struct redis *r, const struct redis_entry *e,
                       struct journal_entry *out)
{
    uint64_t now_ms = server_now(r);

    *out = (struct journal_entry){
        .ttl_ms = e->is_transient                 ? 0
                  : e->expires_ms == 0            ? TTL_DEFAULT
                  : e->expires_ms > e->at_ms ? e->expires_ms - e->at_ms
                                                  : 1,
        .age_ms = r->state != REDIS_UP && now_ms > e->at_ms ? now_ms - e->at_ms : 0,
        .collapse_key = e->collapse_key,
    };
    if (!redis_channel_read(e->channel, &out->to))
        return false;
    out->message = redis_encode(r, e->seq, out->to, e->sent);
    return out->message != NULL;
}

/* ---- what is heard ---- */

static void hear_control(struct redis *r, const struct redis_entry *e)
{
    struct channel_name channel;
    struct redis_op *op;

    if (e->broken.n == EPOCH_LENGTH) {
        slice_put(r->epoch, e->broken);
        r->emitted = e->seq;
        log_warning("Redis has lost entries that were sent (epoch %s begins): streams are told of "
                    "a gap",
                    r->epoch);
        r->base.events->on_break(r->base.ctx, e->seq);
        return;
    }
    if (!e->has_removal || !redis_channel_read(e->channel, &channel))
        return;
    if (e->removed > 0)
        r->stats->retracted++;
    r->base.events->on_removed(r->base.ctx, channel, e->removed);
    op = redis_op_find(r, e->origin);
    if (op != NULL)
        redis_op_heard(r, op);
}

static void hear_entry(struct redis *r, const struct redis_entry *e)
{
    struct redis_op *op = redis_op_find(r, e->origin);
    struct journal_entry entry;

    r->emitted = e->seq;
    if (make_entry(r, e, &entry)) {
        entry.origin = op == NULL ? NULL : op->append;
        r->stats->notifications_accepted += op != NULL;
        r->base.events->on_entry(r->base.ctx, &entry);
        message_unref(entry.message);
    } else if (entry.to.name.n > 0 || entry.to.kind == CHANNEL_EVERYONE) {
        r->stats->out_of_memory++;
        r->base.events->on_lost(r->base.ctx, entry.to, e->seq);
    }
    if (op != NULL && op->append != NULL) {
        op->append->seq = e->seq;
        redis_op_heard(r, op);
    }
}

/* Whether numbers are missing before this one: they may have been taken away by somebody's wish, or
 * by a bound before we were there to hear of them, or never given out at all. */
static bool is_behind_hole(const struct redis *r, const struct redis_entry *e)
{
    return e->seq > r->emitted + !e->is_control;
}

/* Returns false where it stops before a hole. */
static bool hear(struct redis *r, const redisReply *entries, bool may_skip)
{
    for (size_t i = 0; i < entries->elements; i++) {
        struct redis_entry e;

        if (!read_entry(entries->element[i], &e))
            continue;
        if (!may_skip && is_behind_hole(r, &e))
            return false;
        snprintf(r->tail_id, sizeof r->tail_id, "%.*s", SLICE_ARG(e.id));
        if (e.is_control)
            hear_control(r, &e);
        else
            hear_entry(r, &e);
    }
    return true;
}

/* ---- the tail ---- */

static void on_heard(redisAsyncContext *ac, void *data, void *ctx);

/* With `block` it waits for something to come, a third of what may pass in silence. */
static void listen_on(struct redis *r, bool block)
{
    char key[sizeof r->prefix + 8];
    char ms[24];
    char count[24];
    struct slice parts[8] = {SLICE_LITERAL("XREAD"), SLICE_LITERAL("COUNT")};
    size_t n = 2;

    snprintf(key, sizeof key, "%s:log", r->prefix);
    parts[n++] = slice_make(count, (size_t)(format_u64(count, READ_ENTRIES) - count));
    if (block) {
        parts[n++] = SLICE_LITERAL("BLOCK");
        parts[n++] =
            slice_make(ms, (size_t)(format_u64(ms, r->options.redis_timeout_ms / 3 + 1) - ms));
    }
    parts[n++] = SLICE_LITERAL("STREAMS");
    parts[n++] = slice_of(key);
    parts[n++] = slice_of(r->tail_id);
    if (redis_link_send(&r->tail, on_heard, r, n, parts) != 0)
        redis_go_down(r, "out of memory");
}

static void come_up(struct redis *r)
{
    r->state = REDIS_UP;
    if (r->emitted < r->adopted_head)
        r->emitted = r->adopted_head; /* what is missing in between is kept by nobody */
    if (r->was_up)
        log_info("Redis is back");
    r->was_up = true;
    r->down_reason[0] = '\0';
    r->base.events->on_up(r->base.ctx);
}

static void hear_on(struct redis *r, size_t count)
{
    if (r->state == REDIS_TAILING && count < READ_ENTRIES)
        come_up(r);
    if (r->state == REDIS_UP || r->state == REDIS_TAILING)
        listen_on(r, r->state == REDIS_UP);
}

static void tell_losses(struct redis *r, const redisReply *lost, bool is_all)
{
    if (is_all) { /* whose they were is not known, or they are very many */
        r->base.events->on_break(r->base.ctx, r->emitted);
        return;
    }
    for (size_t i = 0; i + 1 < lost->elements; i += 2) {
        struct channel_name channel;

        if (redis_channel_read(redis_text(lost->element[i]), &channel))
            r->base.events->on_lost(r->base.ctx, channel, redis_number(lost->element[i + 1]));
    }
}

static void on_caught_up(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;

    if (ac->data == NULL || reply == NULL || !redis_reply_is_good(r, reply))
        return;
    if (reply->elements != 4) {
        redis_go_down(r, "it answers what nobody understands");
        return;
    }
    r->tail_heard_ms = r->now_ms;
    tell_losses(r, reply->element[2],
                reply->element[2]->elements >= 2 * LOSSES ||
                    redis_number(reply->element[0]) > r->emitted ||
                    redis_number(reply->element[1]) > r->emitted);
    (void)hear(r, reply->element[3], true);
    hear_on(r, reply->element[3]->elements);
}

/* What is lost in a hole and what comes behind it, as of one moment. */
static void catch_up(struct redis *r)
{
    char after[24];
    char losses[24];
    char entries[24];
    struct slice arguments[] = {
        slice_make(after, (size_t)(format_u64(after, r->emitted) - after)),
        slice_of(r->tail_id),
        slice_make(losses, (size_t)(format_u64(losses, LOSSES) - losses)),
        slice_make(entries, (size_t)(format_u64(entries, READ_ENTRIES) - entries)),
    };

    if (redis_call(r, on_caught_up, r, "catch_up", 4, arguments) != 0)
        redis_go_down(r, "out of memory");
}

static void on_heard(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;
    const redisReply *entries = NULL;

    if (ac->data == NULL || reply == NULL || !redis_reply_is_good(r, reply))
        return;
    r->tail_heard_ms = r->now_ms;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        reply->element[0]->elements == 2)
        entries = reply->element[0]->element[1];
    if (entries != NULL && !hear(r, entries, false))
        catch_up(r);
    else
        hear_on(r, entries == NULL ? 0 : entries->elements);
}

void redis_on_tail_ready(struct redis *r)
{
    if (strcmp(r->tail.run_id, r->commands.run_id) != 0) {
        redis_go_down(r, "two connections lead to two servers");
        return;
    }
    r->tail_heard_ms = r->now_ms;
    listen_on(r, false);
}

void redis_begin_tail(struct redis *r)
{
    r->state = REDIS_TAILING;
    redis_link_open(&r->tail);
}

/* ---- the window, and what was lost ---- */

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
    char number[24];
    struct slice arguments[] = {
        slice_make(number, (size_t)(format_u64(number, after) - number)),
        SLICE_LITERAL("1000"),
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

    if (ac->data == NULL || reply == NULL || !redis_reply_is_good(r, reply) ||
        reply->elements == 0)
        return;
    for (size_t i = 1; i + 1 < reply->elements; i += 2) {
        struct channel_name channel;

        last = redis_number(reply->element[i + 1]);
        if (redis_channel_read(redis_text(reply->element[i]), &channel))
            r->base.events->on_lost(r->base.ctx, channel, last);
    }
    if (reply->elements > 2 * LOSSES) {
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
    if (!make_entry(r, e, &k->entry)) {
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
    return e->expires_ms != 0 && e->expires_ms <= server_now(r);
}

static void load_more(struct redis *r);

static void on_loaded(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;
    struct redis_window *w = r->window;
    bool is_full = false;

    if (ac->data == NULL || reply == NULL || !redis_reply_is_good(r, reply) || w == NULL)
        return;
    for (size_t i = 0; i < reply->elements && !is_full; i++) {
        struct redis_entry e;

        if (!read_entry(reply->element[i], &e))
            continue;
        if (w->newest_id[0] == '\0') {
            snprintf(w->newest_id, sizeof w->newest_id, "%.*s", SLICE_ARG(e.id));
            w->floor = e.seq; /* but for the very first, nothing is below it yet */
        }
        snprintf(w->next_id, sizeof w->next_id, "(%.*s", SLICE_ARG(e.id));
        if (!e.is_control && !is_over(r, &e))
            is_full = window_add(r, &e) != 0 || w->bytes >= r->options.window_bytes;
    }
    if (!is_full && reply->elements == LOAD_ENTRIES) {
        load_more(r);
        return;
    }
    r->base.events->on_floor(r->base.ctx, w->floor);
    ask_losses(r, w->floor);
}

static void load_more(struct redis *r)
{
    char key[sizeof r->prefix + 8];
    char count[24];
    struct slice parts[] = {
        SLICE_LITERAL("XREVRANGE"),
        {key, 0},
        slice_of(r->window->next_id),
        SLICE_LITERAL("-"),
        SLICE_LITERAL("COUNT"),
        slice_make(count, (size_t)(format_u64(count, LOAD_ENTRIES) - count)),
    };

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
    strcpy(r->window->next_id, "+");
    load_more(r);
}
