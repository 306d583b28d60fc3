/* redis_tail.c - hearing the log: all entries of all nodes, in order. After every interruption a
 * blocking read goes on behind the last one heard. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "redis_priv.h"

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
    redis_pages_note_removal(r, channel);
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
    if (redis_entry_make(r, e, &entry)) {
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
    size_t bytes = 0;

    for (size_t i = 0; i < entries->elements; i++) {
        struct redis_entry e;

        if (!redis_entry_read(entries->element[i], &e))
            continue;
        if (!may_skip && is_behind_hole(r, &e))
            return false;
        snprintf(r->tail_id, sizeof r->tail_id, "%.*s", SLICE_ARG(e.id));
        bytes += e.sent.n;
        if (e.is_control)
            hear_control(r, &e);
        else
            hear_entry(r, &e);
    }
    redis_set_chunk(r, entries->elements, bytes);
    return true;
}

/* ---- the tail ---- */

static void on_heard(redisAsyncContext *ac, void *data, void *ctx);

/* With `block` it waits for something to come, a third of what may pass in silence. */
static void listen_on(struct redis *r, bool block)
{
    char key[sizeof r->prefix + 8];
    char ms[REDIS_NUMBER_SIZE];
    char count[REDIS_NUMBER_SIZE];
    struct slice parts[8] = {SLICE_LITERAL("XREAD"), SLICE_LITERAL("COUNT")};
    size_t n = 2;

    snprintf(key, sizeof key, "%s:log", r->prefix);
    r->asked = r->chunk;
    parts[n++] = redis_decimal(count, r->asked);
    if (block) {
        parts[n++] = SLICE_LITERAL("BLOCK");
        parts[n++] =
            redis_decimal(ms, r->options.redis_timeout_ms / 3 + 1);
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
    r->commands.failures = r->tail.failures = 0;
    r->down_reason[0] = '\0';
    r->base.events->on_up(r->base.ctx);
}

static void hear_on(struct redis *r, size_t count)
{
    if (r->state == REDIS_TAILING && count < r->asked)
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

    if (!redis_reply_is_good(r, ac, reply))
        return;
    if (reply->elements != 4) {
        redis_go_down(r, "it answers what nobody understands");
        return;
    }
    r->heard_ms = r->now_ms;
    tell_losses(r, reply->element[2],
                reply->element[2]->elements >= 2 * REDIS_LOSSES ||
                    redis_number(reply->element[0]) > r->emitted ||
                    redis_number(reply->element[1]) > r->emitted);
    (void)hear(r, reply->element[3], true);
    hear_on(r, reply->element[3]->elements);
}

/* What is lost in a hole and what comes behind it, as of one moment. */
static void catch_up(struct redis *r)
{
    char after[REDIS_NUMBER_SIZE];
    char losses[REDIS_NUMBER_SIZE];
    char entries[REDIS_NUMBER_SIZE];
    struct slice arguments[] = {
        redis_decimal(after, r->emitted),
        slice_of(r->tail_id),
        redis_decimal(losses, REDIS_LOSSES),
        redis_decimal(entries, r->chunk),
    };

    r->asked = r->chunk;
    if (redis_call(r, on_caught_up, r, "catch_up", 4, arguments) != 0)
        redis_go_down(r, "out of memory");
}

static void on_heard(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;
    const redisReply *entries = NULL;

    if (!redis_reply_is_good(r, ac, reply))
        return;
    r->heard_ms = r->now_ms;
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
    r->heard_ms = r->now_ms;
    listen_on(r, false);
}

void redis_begin_tail(struct redis *r)
{
    r->state = REDIS_TAILING;
    redis_link_open(&r->tail);
}
