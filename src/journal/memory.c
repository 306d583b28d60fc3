/* memory.c - the journal that dies with the process: a history in memory.
 *
 * Everything is done within the call; on_done comes before journal_append returns. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "idempotency_priv.h"
#include "journal_priv.h"
#include "message/history.h"
#include "message/sse.h"

/* Entries and keys that one tick looks at: some milliseconds, as each is up to a microsecond, and
 * ten ticks a second are faster than notifications come in. */
enum { STEPS_PER_TICK = 8000, PAGE_ENTRIES = 1024 };

struct memory {
    struct journal base;
    char epoch[EPOCH_SIZE];
    uint64_t head;
    uint64_t now_ms;
    struct history *history;
    struct idempotency keys;
    bool remembers_keys;
    struct stats *stats;
};

static struct memory *memory_of(struct journal *j)
{
    return (struct memory *)j; /* base comes first */
}

static void memory_close(struct journal *j)
{
    struct memory *m = memory_of(j);

    idempotency_fini(&m->keys);
    history_destroy(m->history);
    free(m);
}

static struct journal *memory_open(const struct journal_options *options, struct ev_loop *ev,
                                   struct stats *stats, struct error *why)
{
    struct history_limits limits = {
        .max_bytes = options->keep_bytes,
        .keep_ms = options->keep_ms,
        .max_per_user = options->keep_per_user,
    };
    struct memory *m = calloc(1, sizeof *m);

    (void)ev;
    if (m == NULL) {
        error_set(why, "out of memory for the journal");
        return NULL;
    }
    m->base.ops = &journal_memory_ops;
    m->stats = stats;
    idempotency_init(&m->keys, options->idempotency_window_ms, IDEMPOTENCY_MAX_KEYS, stats);
    m->remembers_keys = options->idempotency_window_ms > 0;
    m->history = history_create(&limits);
    if (m->history == NULL || epoch_create(m->epoch) != 0) {
        error_set(why, "out of memory or of random numbers for the journal");
        memory_close(&m->base);
        return NULL;
    }
    return &m->base;
}

static void memory_start(struct journal *j)
{
    j->events->on_up(j->ctx);
}

static void update_stats(const struct memory *m)
{
    m->stats->journal_entries = history_count(m->history);
    m->stats->journal_bytes = history_bytes(m->history);
    m->stats->journal_evicted = history_evicted(m->history);
}

static int record(struct memory *m, const struct notification *n, struct message *message,
                  struct journal_append *append)
{
    struct journal_entry entry = {
        .to = n->to,
        .message = message,
        .ttl_ms = n->ttl_ms,
        .collapse_key = n->collapse_key,
        .origin = append,
    };
    struct history_item item = {n->to, message, n->ttl_ms, n->collapse_key, 0};

    if (n->ttl_ms == 0) { /* what only those get who are connected is not kept */
        m->stats->collapsed += history_collapse(m->history, n->to, n->collapse_key);
    } else {
        int status = history_add(m->history, &item, m->now_ms);

        if (status < 0)
            return status;
        m->stats->collapsed += (uint64_t)status;
    }
    m->head = message->seq;
    append->seq = message->seq;
    m->stats->notifications_accepted++;
    update_stats(m);
    m->base.events->on_entry(m->base.ctx, &entry);
    return 0;
}

static void memory_append(struct journal *j, const struct notification *n, uint64_t wall_ms,
                          struct journal_append *append)
{
    struct memory *m = memory_of(j);
    bool has_key = m->remembers_keys && n->idempotency_key.n > 0;
    struct message *message = NULL;

    history_fetch(m->history, n->to);
    append->status = 0;
    append->is_duplicate = has_key && idempotency_find(&m->keys, n->idempotency_key, &append->seq);
    if (append->is_duplicate) {
        m->stats->notifications_duplicate++;
        append->on_done(append);
        return;
    }
    message = sse_encode(n, m->epoch, m->head + 1, wall_ms);
    if (message == NULL ||
        (has_key && idempotency_add(&m->keys, n->idempotency_key, m->head + 1, m->now_ms) != 0))
        append->status = -ENOMEM;
    else
        append->status = record(m, n, message, append);
    if (append->status != 0) {
        m->stats->out_of_memory++;
        if (has_key)
            idempotency_remove(&m->keys, n->idempotency_key);
    }
    message_unref(message);
    append->on_done(append);
}

static void memory_read(struct journal *j, struct journal_read *read)
{
    struct memory *m = memory_of(j);
    struct history_log *logs[JOURNAL_MAX_CHANNELS];
    struct message *messages[PAGE_ENTRIES];
    struct journal_page page = {.messages = messages, .covered = m->head};
    size_t bytes = 0;
    uint64_t after = read->after;

    assert(read->channel_count <= JOURNAL_MAX_CHANNELS);
    for (size_t i = 0; i < read->channel_count; i++)
        logs[i] = history_log(m->history, read->channels[i]);
    page.lost = history_lost_anew(m->history, logs, read->channel_count, read->known);
    for (;;) {
        struct message *next =
            history_next(logs, read->channel_count, after, UINT64_MAX, m->now_ms);

        if (next == NULL)
            break;
        if (page.count == read->max_entries || page.count == PAGE_ENTRIES ||
            (page.count > 0 && bytes + next->length > read->max_bytes)) {
            page.covered = after;
            break;
        }
        messages[page.count++] = message_ref(next); /* on_page may change the history */
        bytes += next->length;
        after = next->seq;
    }
    m->stats->journal_reads++;
    read->on_page(read, &page);
    for (size_t i = 0; i < page.count; i++)
        message_unref(messages[i]);
}

static void memory_cancel(struct journal *j, struct journal_read *read)
{
    (void)j;
    (void)read; /* nothing is ever under way */
}

static void memory_retract(struct journal *j, struct channel_name channel, uint64_t seq,
                           struct journal_removal *removal)
{
    struct memory *m = memory_of(j);

    removal->status = 0;
    removal->count = history_retract(m->history, channel, seq) ? 1 : 0;
    if (removal->count > 0) {
        m->stats->retracted++;
        update_stats(m);
        j->events->on_removed(j->ctx, channel, seq);
    }
    removal->on_done(removal);
}

static void memory_erase(struct journal *j, struct channel_name channel,
                         struct journal_removal *removal)
{
    struct memory *m = memory_of(j);

    removal->status = 0;
    removal->count = history_erase(m->history, channel);
    update_stats(m);
    j->events->on_removed(j->ctx, channel, 0);
    removal->on_done(removal);
}

static void memory_get_status(const struct journal *j, struct journal_status *out)
{
    const struct memory *m = (const struct memory *)j;

    *out = (struct journal_status){
        .type = "memory",
        .epoch = m->epoch,
        .head = m->head,
        .is_up = true,
        .entries = history_count(m->history),
        .bytes = history_bytes(m->history),
        .oldest_ms = history_oldest_ms(m->history, m->now_ms),
    };
}

static void memory_tick(struct journal *j, uint64_t now_ms)
{
    struct memory *m = memory_of(j);

    m->now_ms = now_ms;
    history_expire(m->history, now_ms, STEPS_PER_TICK);
    idempotency_expire(&m->keys, now_ms, STEPS_PER_TICK);
    update_stats(m);
}

const struct journal_ops journal_memory_ops = {
    .type = "memory",
    .open = memory_open,
    .start = memory_start,
    .close = memory_close,
    .append = memory_append,
    .read = memory_read,
    .cancel = memory_cancel,
    .retract = memory_retract,
    .erase = memory_erase,
    .get_status = memory_get_status,
    .tick = memory_tick,
};
