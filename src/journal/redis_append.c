/* redis_append.c - appends and removals on their way to Redis.
 *
 * What comes in one turn of the loop is sent at its end, many appends in one call of the script. An
 * append is done when it is answered and the tail has brought its entry, whichever comes first. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "message/sse.h"
#include "redis_priv.h"

enum {
    MAX_OPS = 100000,
    MAX_OP_BYTES = 64 << 20,
    FIRST_OPS = 64,
    BATCH = 128,               /* appends in one call ... */
    BATCH_BYTES = 1 << 20,
    PARTS = 6,                 /* of an append in the script's arguments */
    MAX_ORIGIN = 96,
};

/* ---- the ring ---- */

static struct redis_op **slot(struct redis *r, uint64_t counter)
{
    return &r->ops[counter & (r->ops_cap - 1)];
}

static int grow(struct redis *r)
{
    size_t cap = r->ops_cap == 0 ? FIRST_OPS : r->ops_cap * 2;
    struct redis_op **ops = calloc(cap, sizeof(struct redis_op *));

    if (ops == NULL)
        return -ENOMEM;
    for (uint64_t i = r->first_op; i < r->next_op; i++)
        ops[i & (cap - 1)] = *slot(r, i);
    free(r->ops);
    r->ops = ops;
    r->ops_cap = cap;
    return 0;
}

/* Why nothing can be taken now, or 0. */
static int refusal(const struct redis *r)
{
    if (r->state != REDIS_UP || r->next_op - r->first_op >= MAX_OPS || r->op_bytes >= MAX_OP_BYTES)
        return -EAGAIN;
    return 0;
}

static struct redis_op *op_create(struct redis *r, enum redis_op_kind kind, size_t bytes)
{
    struct redis_op *op;

    if (r->next_op - r->first_op == r->ops_cap && grow(r) != 0)
        return NULL;
    op = malloc(sizeof *op + bytes + MAX_ORIGIN);
    if (op != NULL)
        *op = (struct redis_op){.kind = kind, .size = bytes + MAX_ORIGIN};
    return op;
}

/* The op is sent at the end of the turn. */
static void enqueue(struct redis *r, struct redis_op *op)
{
    op->counter = r->next_op++;
    op->sent_ms = r->now_ms;
    *slot(r, op->counter) = op;
    r->op_bytes += op->size;
    if (!ev_is_active(&r->flush))
        ev_prepare_start(r->ev, &r->flush);
}

static void take_out(struct redis *r, struct redis_op *op)
{
    *slot(r, op->counter) = NULL;
    r->op_bytes -= op->size;
    while (r->first_op < r->next_op && *slot(r, r->first_op) == NULL)
        r->first_op++;
}

/* Done: whoever waits is told. */
static void finish(struct redis *r, struct redis_op *op, int status)
{
    struct journal_append *append = op->append;
    struct journal_removal *removal = op->removal;
    size_t count = op->count;

    take_out(r, op);
    free(op);
    if (append != NULL) {
        append->status = status;
        append->on_done(append);
    } else {
        removal->status = status;
        removal->count = status == 0 ? count : 0;
        removal->on_done(removal);
    }
}

struct redis_op *redis_op_find(struct redis *r, struct slice origin)
{
    size_t n = strlen(r->node);
    uint64_t counter;

    if (origin.n <= n + 1 || memcmp(origin.p, r->node, n) != 0 || origin.p[n] != ':' ||
        slice_to_u64(slice_make(origin.p + n + 1, origin.n - n - 1), &counter) != 0 ||
        counter < r->first_op || counter >= r->next_op)
        return NULL;
    return *slot(r, counter);
}

void redis_op_heard(struct redis *r, struct redis_op *op)
{
    op->is_heard = true;
    if (op->is_answered)
        finish(r, op, 0);
}

void redis_ops_fail(struct redis *r)
{
    uint64_t end = r->next_op;
    uint64_t unsent = r->next_sent;

    r->next_sent = end;
    for (uint64_t i = r->first_op; i < end; i++) {
        struct redis_op *op = *slot(r, i);

        if (op != NULL && (op->is_answered || op->is_heard)) /* it is there */
            finish(r, op, 0);
        else if (op != NULL)
            finish(r, op, i < unsent ? -ETIMEDOUT : -EAGAIN);
    }
}

bool redis_ops_are_overdue(const struct redis *r)
{
    const struct redis_op *op;

    if (r->first_op == r->next_op)
        return false;
    op = r->ops[r->first_op & (r->ops_cap - 1)];
    return r->now_ms - op->sent_ms > r->options.redis_timeout_ms;
}

/* ---- answers ---- */

/* What a call was made for: ops by their counters. */
struct call {
    struct redis *r;
    uint64_t first;
    size_t count;
};

static struct call *call_create(struct redis *r, uint64_t first, size_t count)
{
    struct call *call = malloc(sizeof *call);

    if (call != NULL)
        *call = (struct call){r, first, count};
    return call;
}

static struct redis_op *op_at(struct redis *r, uint64_t counter)
{
    return counter >= r->first_op && counter < r->next_op ? *slot(r, counter) : NULL;
}

/* All of the call failed, with nothing recorded. */
static void fail_call(const struct call *call, int status)
{
    for (size_t i = 0; i < call->count; i++) {
        struct redis_op *op = op_at(call->r, call->first + i);

        if (op != NULL)
            finish(call->r, op, status);
    }
}

/* Whether the call was carried out. If not, it is over. */
static bool was_done(const struct call *call, const redisReply *reply, size_t parts)
{
    int status = redis_judge(call->r, reply);

    if (status == 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements >= parts &&
        slice_is(redis_text(reply->element[0]), "OK"))
        return true;
    if (status == 0) { /* another node has begun an epoch, or the data is gone */
        redis_go_down(call->r, "the record in Redis is another one now");
        status = -EAGAIN;
    }
    fail_call(call, status);
    return false;
}

static void answer_append(struct redis *r, struct redis_op *op, struct slice number)
{
    struct journal_append *append = op->append;

    append->is_duplicate = number.n > 0 && number.p[0] == '=';
    if (append->is_duplicate)
        number = slice_make(number.p + 1, number.n - 1);
    (void)slice_to_u64(number, &append->seq);
    op->is_answered = true;
    if (append->is_duplicate)
        r->stats->notifications_duplicate++;
    if (append->is_duplicate || op->is_heard)
        finish(r, op, 0);
}

static void on_appended(redisAsyncContext *ac, void *data, void *ctx)
{
    struct call *call = ctx;
    const redisReply *reply = data;
    struct redis *r = call->r;

    if (ac->data == NULL || reply == NULL) { /* redis_ops_fail tells those that wait */
        free(call);
        return;
    }
    if (was_done(call, reply, 4 + call->count)) {
        r->entries = redis_number(reply->element[1]);
        r->bytes = redis_number(reply->element[2]);
        r->evicted = redis_number(reply->element[3]);
        for (size_t i = 0; i < call->count; i++) {
            struct redis_op *op = op_at(r, call->first + i);

            if (op != NULL)
                answer_append(r, op, redis_text(reply->element[4 + i]));
        }
    }
    free(call);
}

/* ---- appending ---- */

/* Batches a run of appends: those from next_sent on, as many as go into one call. */
static size_t batch_of(struct redis *r)
{
    size_t bytes = 0;
    size_t n = 0;

    while (n < BATCH && r->next_sent + n < r->next_op && bytes < BATCH_BYTES) {
        struct redis_op *op = *slot(r, r->next_sent + n);

        if (op->kind != REDIS_APPEND)
            break;
        bytes += op->size;
        n++;
    }
    return n;
}

static int send_appends(struct redis *r, size_t n)
{
    char window[REDIS_NUMBER_SIZE];
    char per_user[REDIS_NUMBER_SIZE];
    char bytes[REDIS_NUMBER_SIZE];
    struct slice arguments[4 + BATCH * PARTS] = {
        slice_of(r->epoch),
        redis_decimal(window, r->options.idempotency_window_ms),
        redis_decimal(per_user, r->options.keep_per_user),
        redis_decimal(bytes, r->options.keep_bytes),
    };
    struct call *call = call_create(r, r->next_sent, n);
    int status;

    if (call == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        memcpy(&arguments[4 + i * PARTS], (*slot(r, r->next_sent + i))->parts,
               PARTS * sizeof(struct slice));
    status = redis_call(r, on_appended, call, "append", 4 + n * PARTS, arguments);
    if (status != 0)
        free(call);
    return status;
}

/* Where the piece was put; the next goes to *at. */
static struct slice put(char **at, struct slice s)
{
    struct slice out = slice_make(*at, s.n);

    *at = slice_put(*at, s);
    return out;
}

static struct slice put_origin(struct redis *r, char **at)
{
    char *start = *at;

    *at += sprintf(start, "%s:", r->node);
    *at = format_u64(*at, r->next_op);
    return slice_make(start, (size_t)(*at - start));
}

/* What is sent of a notification: whether its data is JSON, the length of its event's name, its
 * time, then both. Little-endian. */
static struct slice put_sent(char **at, const struct notification *n, uint64_t wall_ms)
{
    char *start = *at;

    start[0] = n->is_json ? 1 : 0;
    start[1] = 0;
    for (int i = 0; i < 2; i++)
        start[2 + i] = (char)(n->event.n >> 8 * i);
    for (int i = 0; i < 8; i++)
        start[4 + i] = (char)(wall_ms >> 8 * i);
    *at = slice_put(slice_put(start + REDIS_SENT_HEAD, n->event), n->data);
    return slice_make(start, (size_t)(*at - start));
}

static struct redis_op *append_create(struct redis *r, const struct notification *n,
                                      uint64_t wall_ms)
{
    bool has_key = r->options.idempotency_window_ms > 0 && n->idempotency_key.n > 0;
    char channel[REDIS_CHANNEL_SIZE];
    struct slice to = redis_channel_write(n->to, channel);
    struct redis_op *op = op_create(r, REDIS_APPEND,
                                    to.n + REDIS_SENT_HEAD + n->event.n + n->data.n + 24 +
                                        n->collapse_key.n + n->idempotency_key.n);
    char *at;

    if (op == NULL)
        return NULL;
    at = op->bytes;
    op->parts[0] = put_origin(r, &at);
    op->parts[1] = put(&at, to);
    op->parts[2] = put_sent(&at, n, wall_ms);
    op->parts[3] = slice_make(at, 0);
    if (n->ttl_ms < r->options.keep_ms) {
        op->parts[3] = redis_decimal(at, n->ttl_ms);
        at += op->parts[3].n;
    }
    op->parts[4] = put(&at, n->collapse_key);
    op->parts[5] = put(&at, has_key ? n->idempotency_key : slice_make(NULL, 0));
    return op;
}

void redis_do_append(struct journal *j, const struct notification *n, uint64_t wall_ms,
                     struct journal_append *append)
{
    struct redis *r = redis_of(j);
    struct redis_op *op;

    append->is_duplicate = false;
    append->status = refusal(r);
    if (append->status == 0) {
        op = append_create(r, n, wall_ms);
        if (op != NULL) {
            op->append = append;
            enqueue(r, op);
            return;
        }
        r->stats->out_of_memory++;
        append->status = -ENOMEM;
    }
    append->on_done(append);
}

/* ---- removing ---- */

static void on_removed(redisAsyncContext *ac, void *data, void *ctx);

/* A step of a removal. An erasure of very many takes several, all up to the same number. */
static int send_removal(struct redis *r, struct redis_op *op, struct slice till)
{
    bool is_erasure = op->kind == REDIS_ERASE;
    struct call *call = call_create(r, op->counter, 1);
    struct slice arguments[] = {slice_of(r->epoch), op->parts[0], op->parts[1],
                                is_erasure ? till : op->parts[2], SLICE_LITERAL("1000")};
    int status;

    if (call == NULL)
        return -ENOMEM;
    status = redis_call(r, on_removed, call, is_erasure ? "erase" : "retract", is_erasure ? 5 : 4,
                        arguments);
    if (status != 0)
        free(call);
    return status;
}

static void on_removed(redisAsyncContext *ac, void *data, void *ctx)
{
    struct call *call = ctx;
    struct redis *r = call->r;
    const redisReply *reply = data;
    struct redis_op *op;

    if (ac->data == NULL || reply == NULL) {
        free(call);
        return;
    }
    op = was_done(call, reply, 3) ? op_at(r, call->first) : NULL;
    free(call);
    if (op == NULL)
        return;
    op->count += redis_number(reply->element[1]);
    if (op->kind == REDIS_ERASE && reply->elements > 3 && redis_number(reply->element[3]) != 0) {
        op->sent_ms = r->now_ms;
        if (send_removal(r, op, redis_text(reply->element[2])) != 0)
            finish(r, op, -ENOMEM);
        return;
    }
    op->is_answered = true;
    if (op->is_heard || (op->kind == REDIS_RETRACT && op->count == 0))
        finish(r, op, 0);
}

static void remove_later(struct redis *r, enum redis_op_kind kind, struct channel_name channel,
                         uint64_t seq, struct journal_removal *removal)
{
    struct redis_op *op = NULL;
    char name[REDIS_CHANNEL_SIZE];
    char *at;

    removal->count = 0;
    removal->status = refusal(r);
    if (removal->status == 0) {
        op = op_create(r, kind, REDIS_CHANNEL_SIZE + 24);
        removal->status = op == NULL ? -ENOMEM : 0;
    }
    if (op == NULL) {
        removal->on_done(removal);
        return;
    }
    op->removal = removal;
    at = op->bytes;
    op->parts[0] = put_origin(r, &at);
    op->parts[1] = put(&at, redis_channel_write(channel, name));
    op->parts[2] = redis_decimal(at, seq);
    enqueue(r, op);
}

void redis_do_retract(struct journal *j, struct channel_name channel, uint64_t seq,
                      struct journal_removal *removal)
{
    remove_later(redis_of(j), REDIS_RETRACT, channel, seq, removal);
}

void redis_do_erase(struct journal *j, struct channel_name channel,
                    struct journal_removal *removal)
{
    remove_later(redis_of(j), REDIS_ERASE, channel, 0, removal);
}

/* ---- the end of the turn ---- */

static void on_flush(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    struct redis *r = watcher->data;
    int status = 0;

    (void)events;
    ev_prepare_stop(ev, watcher);
    while (status == 0 && r->next_sent < r->next_op) {
        size_t n = batch_of(r);

        if (n > 0) {
            status = send_appends(r, n);
        } else {
            n = 1;
            status = send_removal(r, *slot(r, r->next_sent), slice_make("", 0));
        }
        if (status == 0)
            r->next_sent += n;
    }
    if (status != 0)
        redis_go_down(r, strerror(-status));
}

void redis_append_init(struct redis *r)
{
    r->first_op = r->next_op = r->next_sent = 1;
    ev_prepare_init(&r->flush, on_flush);
    r->flush.data = r;
}

void redis_append_fini(struct redis *r)
{
    ev_prepare_stop(r->ev, &r->flush);
    redis_ops_fail(r);
    free(r->ops);
}
