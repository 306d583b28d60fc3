/* client.c - what one stream is owed: queued and written. catch_up.c serves those behind.
 *
 * While a client is live, everything of its channels up to the manager's head is queued, written,
 * or owed by a fan-out that is under way. While it is behind, nothing after `cursor` is queued: it
 * resumes, its socket was too slow, or it waits for a page of the journal.
 * A client that ended is only marked: whoever is on the stack may still look at it, and it is
 * freed from the dirty list. */
#include "notify/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "manager_priv.h"
#include "message/sse.h"

enum {
    FLUSH_BYTES = 256 * 1024,  /* that one client writes before others have their turn */
    BYTES_A_FLUSH = 32 * 1024, /* so many cost as much as one flush more */
    CONTROL_ROOM = 64,         /* retracts that a full ring still takes, ... */
    LAST_ROOM = 3,             /* ... and behind them a gap, the bye and the last chunk */
    MAX_USER_AGENT = 256,
    CUT_AFTER_MS = 5000,       /* that an ending client has to take its bye */
    WRITES_A_READING = 16,     /* of the clock: a reading is about a hundredth of a write */
    WARN_MS = 60000,           /* before its token expires */
    TENTH_MS = 100,
};

/* The reasons as API and log name them, and what counts them. */
static const struct {
    const char *name;
    size_t counter;            /* in struct stats */
} closes[] = {
    [CLOSE_PEER] = {"peer", offsetof(struct stats, streams_closed_by_peer)},
    [CLOSE_OVERFLOW] = {"overflow", offsetof(struct stats, streams_closed_by_overflow)},
    [CLOSE_MEMORY] = {"out-of-memory", offsetof(struct stats, streams_closed_for_memory)},
    [CLOSE_PRESSURE] = {"max-memory", offsetof(struct stats, streams_closed_by_max_memory)},
    [CLOSE_BYE + BYE_SHUTDOWN] = {"shutdown", offsetof(struct stats, streams_closed_by_shutdown)},
    [CLOSE_BYE + BYE_KICKED] = {"kicked", offsetof(struct stats, streams_closed_by_kick)},
    [CLOSE_BYE + BYE_MAX_AGE] = {"max-age", offsetof(struct stats, streams_closed_by_age)},
    [CLOSE_BYE + BYE_TOKEN_EXPIRED] = {"token-expired",
                                       offsetof(struct stats, streams_closed_by_expiry)},
    [CLOSE_BYE + BYE_TOKEN_REVOKED] = {"token-revoked",
                                       offsetof(struct stats, streams_closed_by_revocation)},
};

static enum client_close close_of_bye(enum client_bye bye)
{
    return (enum client_close)(CLOSE_BYE + bye);
}

/* ---- the queue, and what waits in all queues ---- */

static int queue_push(struct client *c, struct message *m, uint32_t limit)
{
    int status = ring_push(&c->ring, m, limit);

    if (status == 0) {
        c->nm->stats->queued_messages++;
        c->nm->stats->queued_bytes += m->length;
        message_hold(m, &c->nm->stats->memory_held);
    }
    return status;
}

/* `m` is about to leave. */
static void count_off(struct client *c, struct message *m)
{
    c->nm->stats->queued_messages--;
    c->nm->stats->queued_bytes -= m->length;
    message_let_go(m, &c->nm->stats->memory_held);
}

static void queue_remove(struct client *c, uint32_t i)
{
    count_off(c, ring_at(&c->ring, i));
    ring_remove(&c->ring, i);
}

static void queue_clear(struct client *c)
{
    for (uint32_t i = 0; i < ring_count(&c->ring); i++)
        count_off(c, ring_at(&c->ring, i));
    ring_clear(&c->ring);
}

/* ---- ending ---- */

void client_mark_dirty(struct client *c)
{
    struct notification_manager *nm = c->nm;

    if (c->is_dirty)
        return;
    c->is_dirty = true;
    c->next_dirty = NULL;
    *nm->dirty_end = c;
    nm->dirty_end = &c->next_dirty;
}

void client_set_behind(struct client *c, bool is_behind)
{
    if (c->is_behind == is_behind)
        return;
    c->is_behind = is_behind;
    c->nm->stats->streams_behind += is_behind ? 1 : (uint64_t)-1;
}

/* A user's first stream is there, or the last one is gone. */
static void tell_online(struct client *c, bool is_online)
{
    struct notification_manager *nm = c->nm;

    nm->stats->users_online += is_online ? 1 : (uint64_t)-1;
    if (nm->on_online != NULL)
        nm->on_online(nm->online_ctx, channel_name_of(c->user).name, is_online);
}

static void leave_channels(struct client *c)
{
    struct notification_manager *nm = c->nm;

    for (size_t i = 0; i < client_topic_count(c); i++) {
        channel_remove(c->more->topics[i].channel, &c->more->topics[i].link);
        channel_release(nm, c->more->topics[i].channel);
    }
    free(c->more);
    c->more = NULL;
    if (c->user == NULL)
        return; /* it was never quite there */
    channel_remove(nm->everyone, &c->in_everyone);
    channel_remove(c->user, &c->in_user);
    if (c->user->count == 0)
        tell_online(c, false);
    channel_release(nm, c->user);
}

void client_release(struct client *c, enum client_close reason)
{
    struct notification_manager *nm = c->nm;
    uint64_t *counter = (uint64_t *)(void *)((char *)nm->stats + closes[reason].counter);

    assert(!c->is_dead && !c->is_writing);
    if (c->user != NULL)
        log_event(LOG_INFO, "stream closed", log_hex("client", c->id),
                  log_slice("user", channel_name_of(c->user).name),
                  log_text("reason", closes[reason].name), log_u64("delivered", c->delivered),
                  log_u64("queued", ring_count(&c->ring)),
                  log_u64("ms", nm->now_ms - c->opened_ms));
    client_stop_reading(c);
    leave_channels(c);
    nm->ending -= c->is_ending;
    client_set_behind(c, false);
    client_set_unread(c, false);
    queue_clear(c);
    intern_unref(&nm->user_agents, c->user_agent);
    nm->stats->streams_open--;
    nm->stats->streams_closed++;
    ++*counter;
    c->is_dead = true;
    client_mark_dirty(c);
}

static void finish(struct client *c, bool is_graceful, enum client_close reason)
{
    const struct client_sink *ops = c->nm->sink_ops;
    void *sink = c->sink;

    client_release(c, reason);
    if (!c->is_opening)
        ops->close(sink, is_graceful);
}

void client_cut_for_memory(struct client *c)
{
    c->nm->stats->out_of_memory++;
    finish(c, false, CLOSE_MEMORY);
}

uint64_t client_position(const struct client *c)
{
    if (c->is_dead || c->is_ending || !c->is_blocked || ring_is_empty(&c->ring))
        return UINT64_MAX;
    for (uint32_t i = 0; i < ring_count(&c->ring); i++)
        if (ring_at(&c->ring, i)->seq > 0)
            return ring_at(&c->ring, i)->seq;
    return c->cursor;
}

void client_cut_for_pressure(struct client *c)
{
    finish(c, false, CLOSE_PRESSURE);
}

/* ---- queueing ---- */

/* Queues a control event, which has room always, and drops the caller's reference; NULL is a
 * message that found no memory. The client may be dead afterwards. */
static void tell_and_unref(struct client *c, struct message *m)
{
    int status = -ENOMEM;

    if (m != NULL)
        status = queue_push(c, m, c->nm->most_queue + CONTROL_ROOM + LAST_ROOM);
    message_unref(m);
    assert(status != -ENOBUFS);
    if (status != 0)
        client_cut_for_memory(c);
    else
        client_mark_dirty(c);
}

void client_tell_retract(struct client *c, struct message *m)
{
    if (c->is_dead || c->is_ending)
        return;
    if (m == NULL || queue_push(c, m, c->nm->options.queue + CONTROL_ROOM) != 0) {
        c->nm->stats->retracts_untold++;
        c->owes_gap = true;
    }
    client_mark_dirty(c);
}

static struct message *encode_gap(struct client *c, const char *reason, struct slice after,
                                  uint64_t resumed_at)
{
    struct buf data = {0};
    char id[ID_TEXT_SIZE];
    size_t n = id_format(c->nm->epoch, resumed_at, id);
    struct message *m = NULL;

    buf_printf(&data, "{\"reason\":\"%s\",\"after\":", reason);
    json_add_string(&data, after);
    buf_printf(&data, ",\"resumed_at\":\"%s\"}", id);
    if (!data.failed)
        m = sse_encode_control("gap", slice_make(id, n), 0, buf_slice(&data));
    if (m != NULL)
        m->is_gap = strcmp(reason, "unknown-id") != 0; /* that one comes first, and once */
    buf_fini(&data);
    log_event(LOG_INFO, "gap", log_hex("client", c->id),
              log_slice("user", channel_name_of(c->user).name),
              log_text("reason", reason), log_slice("after", after), log_text("resumed_at", id));
    return m;
}

void client_tell_gap(struct client *c, const char *reason, struct slice after, uint64_t resumed_at)
{
    tell_and_unref(c, encode_gap(c, reason, after, resumed_at));
}

/* A gap that the client has done nothing for: where there is no room it is owed. */
static void tell_of_journal(struct client *c, const char *epoch, uint64_t resumed_at)
{
    char after[ID_TEXT_SIZE];
    size_t n = id_format(epoch, c->cursor, after);

    c->cursor = resumed_at;
    if (ring_count(&c->ring) >= c->nm->options.queue + CONTROL_ROOM) {
        c->owes_gap = true;
        return;
    }
    c->nm->stats->gaps_expired++;
    client_tell_gap(c, "expired", slice_make(after, n), resumed_at);
}

void client_tell_break(struct client *c)
{
    struct notification_manager *nm = c->nm;

    c->break_parity = nm->break_parity;
    if (c->is_dead || c->is_ending)
        return;
    client_stop_reading(c); /* a page that is under way may be of what is no more */
    if (nm->break_seq > 0 && c->since > nm->break_seq)
        c->since = nm->break_seq;
    tell_of_journal(c, nm->last_epoch, nm->break_seq > 0 ? nm->break_seq : c->cursor);
}

void client_tell_lost(struct client *c)
{
    if (c->is_dead || c->is_ending || c->is_behind)
        return;
    if (!list_is_empty(&c->nm->fanouts))
        client_update(c); /* what a walk owes it comes first */
    if (!c->is_dead && !c->is_behind)
        tell_of_journal(c, c->nm->epoch, c->nm->head);
}

/* Tells the gap for a retract that was not told. Without memory for it the client owes it still. */
static void pay_debt(struct client *c)
{
    char id[ID_TEXT_SIZE];
    struct message *m;

    if (!c->owes_gap || c->is_ending)
        return;
    m = encode_gap(c, "overflow", slice_make(id, id_format(c->nm->epoch, c->cursor, id)),
                   c->cursor);
    if (m != NULL &&
        queue_push(c, m, c->nm->options.queue + CONTROL_ROOM + LAST_ROOM) == 0) {
        c->nm->stats->gaps_overflow++;
        c->owes_gap = false;
    }
    message_unref(m);
}

bool client_queue(struct client *c, struct message *m)
{
    int status = queue_push(c, m, c->nm->options.queue);

    if (status == 0) {
        if (c->nm->sink_ops->expect != NULL)
            c->nm->sink_ops->expect(c->sink);
        c->cursor = m->seq;
    } else if (status == -ENOMEM) {
        client_cut_for_memory(c);
    }
    return status == 0;
}

/* ---- writing ---- */

/* Also takes the oldest messages that were withdrawn before a byte of them was written out of the
 * queue. */
int client_gather(struct client *c, struct iovec iov[MAX_IOV], size_t *total)
{
    int n = 0;

    assert(!c->is_writing);
    *total = 0;
    for (uint32_t i = 0; i < ring_count(&c->ring) && n < MAX_IOV && *total < FLUSH_BYTES;) {
        struct message *m = ring_at(&c->ring, i);
        struct slice wire = message_wire(m, c->is_chunked);
        size_t skip = i == 0 ? c->offset : 0;

        if (m->is_withdrawn && skip == 0) {
            queue_remove(c, i);
            continue;
        }
        /* iovec has no const; the bytes are only read. */
        iov[n++] = (struct iovec){(void *)(uintptr_t)(wire.p + skip), wire.n - skip};
        *total += wire.n - skip;
        i++;
    }
    return n;
}

/* The time of a write that has just been done, or up to WRITES_A_READING writes ago. */
static uint32_t written_us(struct notification_manager *nm)
{
    if (nm->unread_writes == 0) {
        nm->written_us = nm->options.read_us == NULL ? 0 : (uint32_t)nm->options.read_us();
        nm->unread_writes = WRITES_A_READING;
    }
    nm->unread_writes--;
    return nm->written_us;
}

static void note_delivered(struct client *c, struct message *m, uint32_t now_us)
{
    struct stats *stats = c->nm->stats;

    m->written++;
    m->written_ms = c->written_ms;
    c->last_seq = m->seq;
    c->delivered++;
    stats->deliveries++;
    if (m->is_timed && !c->is_untimed)
        histogram_add(&stats->publish_to_written, now_us - m->came_us);
}

static void note_written(struct client *c, size_t bytes)
{
    struct stats *stats = c->nm->stats;
    uint32_t now_us = written_us(c->nm);

    stats->bytes_streamed += bytes;
    c->written_ms = (uint32_t)c->nm->now_ms;
    while (bytes > 0) {
        struct message *m = ring_at(&c->ring, 0);
        size_t left = message_wire(m, c->is_chunked).n - c->offset;

        if (bytes < left) {
            c->offset += (uint32_t)bytes;
            return;
        }
        bytes -= left;
        c->offset = 0;
        if (m->seq > 0)
            note_delivered(c, m, now_us);
        count_off(c, m);
        message_unref(ring_take(&c->ring));
    }
}

/* Takes all that is not begun out of the queue, from its first notification on, and goes back to
 * before that. Gaps behind it are told again: in their place they would have too high an id. */
static void unqueue(struct client *c)
{
    uint32_t first = c->offset > 0 ? 1 : 0;

    while (first < ring_count(&c->ring) && ring_at(&c->ring, first)->seq == 0)
        first++;
    if (first == ring_count(&c->ring))
        return;
    c->cursor = ring_at(&c->ring, first)->seq - 1;
    client_stop_reading(c); /* a page that is under way goes on from too far */
    for (uint32_t i = ring_count(&c->ring); i > first; i--)
        if (ring_at(&c->ring, i - 1)->seq > 0 || ring_at(&c->ring, i - 1)->is_gap)
            queue_remove(c, i - 1);
}

static void overflow(struct client *c)
{
    switch (c->nm->options.overflow) {
    case OVERFLOW_DISCONNECT:
        finish(c, false, CLOSE_OVERFLOW);
        return;
    case OVERFLOW_DROP_OLDEST: /* all that is not begun is read again, the newest of it */
        unqueue(c);
        c->is_dropping = true;
        break;
    case OVERFLOW_CATCHUP:
        break;
    }
    client_set_behind(c, true);
}

/* The socket takes no more: all that the client has not got fits into its queue, or it overflows.
 * But what it resumes with may be as long as it likes. */
static void check_room(struct client *c)
{
    if (!c->is_behind || c->is_resuming || c->is_dropping || c->is_ending ||
        c->nm->options.overflow == OVERFLOW_CATCHUP)
        return;
    client_catch_up(c);
    if (!c->is_dead && c->is_behind && ring_count(&c->ring) >= c->nm->options.queue)
        overflow(c);
}

/* Ends a round of writing as client_on_written says; whether there is more to write now. The client
 * may be dead afterwards. */
static bool end_round(struct client *c, ssize_t taken, size_t total)
{
    if (taken < 0 && taken != -EAGAIN) {
        finish(c, false, CLOSE_PEER);
        return false;
    }
    if (taken > 0)
        note_written(c, (size_t)taken);
    if (taken < (ssize_t)total) {
        c->is_blocked = c->is_untimed = true;
        c->nm->sink_ops->want_write(c->sink);
    }
    if (c->is_blocked) {
        check_room(c);
        return false;
    }
    if (ring_is_empty(&c->ring)) {
        pay_debt(c);
        client_catch_up(c);
    }
    if (c->is_dead || !ring_is_empty(&c->ring))
        return !c->is_dead;
    ring_relax(&c->ring);
    if (!c->is_behind)
        c->is_untimed = false;
    if (c->is_ending)
        finish(c, true, close_of_bye(c->bye));
    return false;
}

/* Writes what is queued and catches up, as far as the socket goes. The client may be dead
 * afterwards. */
static void flush(struct client *c)
{
    struct iovec iov[MAX_IOV];
    size_t total = 0;
    ssize_t taken;

    do {
        int n = c->is_blocked ? 0 : client_gather(c, iov, &total);

        taken = n == 0 ? 0 : c->nm->sink_ops->writev(c->sink, iov, n);
    } while (end_round(c, taken, total));
}

void client_on_written(struct client *c, ssize_t taken, size_t total, bool is_whole)
{
    if (!end_round(c, taken, total))
        return;
    if (is_whole)
        flush(c);
    else
        client_mark_dirty(c);
}

/* Returns what it cost, in flushes. */
static size_t flush_first(struct notification_manager *nm)
{
    struct client *c = nm->dirty;

    nm->dirty = c->next_dirty;
    if (nm->dirty == NULL)
        nm->dirty_end = &nm->dirty;
    c->is_dirty = false;
    if (!c->is_dead)
        return 1 + outgoing_add(nm, c, false) / BYTES_A_FLUSH;
    pool_give(&nm->clients, c);
    return 1;
}

void clients_flush(struct notification_manager *nm, size_t most)
{
    size_t cost = 0;

    do {
        while (nm->dirty != NULL && cost < most)
            cost += flush_first(nm);
        outgoing_write(nm); /* those that have more are at the end of the list then */
    } while (nm->dirty != NULL && cost < most);
}

/* ---- what comes for it ---- */

/* Whether it takes what comes, and has not got that of number `seq` yet. */
static bool lacks(const struct client *c, uint64_t seq)
{
    return !c->is_dead && !c->is_behind && !c->is_ending && c->cursor < seq;
}

/* Queues the one that a live client lacks. It may be dead or behind afterwards. */
static void queue_or_overflow(struct client *c, struct message *m)
{
    if (ring_count(&c->ring) >= c->nm->options.queue && !c->is_blocked) {
        manager_read_clock_soon(c->nm);
        flush(c); /* full of what came in this turn: it is not slow */
    }
    if (!c->is_dead && !c->is_behind && !client_queue(c, m) && !c->is_dead)
        overflow(c);
}

void client_deliver(struct client *c, struct message *m)
{
    if (!lacks(c, m->seq))
        return;
    if (!list_is_empty(&c->nm->fanouts)) { /* a walk may owe it something older */
        manager_read_clock_soon(c->nm);
        if (client_update(c) && !c->is_dead)
            flush(c); /* it must not stay behind, as if it were slow */
        return;
    }
    queue_or_overflow(c, m);
    client_mark_dirty(c);
}

void client_deliver_at_once(struct client *c, struct message *m)
{
    client_deliver(c, m);
    manager_read_clock_soon(c->nm);
    if (!c->is_dead)
        flush(c);
    m->written_ms = m->emitted_ms; /* the manager's own time is still that of the last turn */
}

bool client_queue_only(struct client *c, struct message *m)
{
    if (!lacks(c, m->seq))
        return false;
    queue_or_overflow(c, m);
    return true;
}

void client_set_unread(struct client *c, bool is_unread)
{
    if (c->is_unread == is_unread)
        return;
    c->is_unread = is_unread;
    c->nm->unread += is_unread ? 1 : (size_t)-1;
}

bool client_update(struct client *c)
{
    client_mind_break(c);
    if (c->is_unread && !c->is_dead) { /* its next flush asks again */
        client_set_unread(c, false);
        client_mark_dirty(c);
    }
    if (!lacks(c, c->nm->head))
        return false;
    client_set_behind(c, true);
    client_catch_up(c);
    return true;
}

void client_end(struct client *c, enum client_bye reason)
{
    char data[64];
    struct notification_manager *nm = c->nm;
    uint64_t retry_ms = 0;

    if (c->is_dead || c->is_ending)
        return;
    if (reason == BYE_SHUTDOWN) { /* not all at once, when whoever comes next is there */
        uint64_t spread = nm->options.retry_ms + nm->drain_ms;

        retry_ms = nm->options.retry_ms +
                   hash_of(slice_make((const char *)&c->id, sizeof c->id)) % spread;
    }
    client_stop_reading(c);
    pay_debt(c);
    snprintf(data, sizeof data, "{\"reason\":\"%s\"}", closes[close_of_bye(reason)].name);
    tell_and_unref(c, sse_encode_control("bye", slice_make(NULL, 0), retry_ms, slice_of(data)));
    if (c->is_dead)
        return;
    c->bye = reason;
    if (c->is_chunked)
        tell_and_unref(c, message_ref(nm->last_chunk));
    if (c->is_dead)
        return;
    c->is_ending = true;
    nm->ending++;
    c->nm->sink_ops->deadline(c->sink, nm->now_ms + CUT_AFTER_MS);
}

/* ---- its own clock and socket ---- */

uint64_t client_id(const struct client *c)
{
    return c->id;
}

void *client_sink(const struct client *c)
{
    return c->sink;
}

/* For how long nothing has left. */
static uint32_t idle_ms(const struct client *c)
{
    return (uint32_t)c->nm->now_ms - c->written_ms;
}

/* When its token expires. */
static uint64_t token_end(const struct client *c)
{
    return (uint64_t)c->expires_tenths * TENTH_MS;
}

/* Rounded up, as the wheel does; what is too far to be held is as far as can be. */
static void set_end(struct client *c, uint64_t expires_ms)
{
    uint64_t tenths = (expires_ms + TENTH_MS - 1) / TENTH_MS;

    c->expires_tenths = tenths < UINT32_MAX ? (uint32_t)tenths : UINT32_MAX;
}

/* When its token asks for something next, which may be at once. */
static uint64_t token_due(const struct client *c)
{
    if (c->is_warned)
        return token_end(c);
    return token_end(c) > WARN_MS ? token_end(c) - WARN_MS : 0;
}

static void set_deadline(struct client *c)
{
    const struct manager_options *o = &c->nm->options;
    uint64_t due = c->nm->now_ms + o->heartbeat_ms;

    if (idle_ms(c) < o->heartbeat_ms)
        due -= idle_ms(c);
    if (o->max_age_ms > 0 && c->opened_ms + o->max_age_ms < due)
        due = c->opened_ms + o->max_age_ms;
    if (c->expires_tenths > 0 && token_due(c) < due)
        due = token_due(c);
    c->nm->sink_ops->deadline(c->sink, due);
}

/* Tells a client that its token expires soon, with the id that it renews itself by. A slow one that
 * has no room is not told: it would read it too late. */
static void warn(struct client *c)
{
    char data[80];
    uint64_t left_ms = token_end(c) > c->nm->now_ms ? token_end(c) - c->nm->now_ms : 0;
    struct message *m;

    snprintf(data, sizeof data, "{\"in\":%llu,\"client_id\":\"%016llx\"}",
             (unsigned long long)((left_ms + 999) / 1000), (unsigned long long)c->id);
    m = sse_encode_control("expiring", slice_make(NULL, 0), 0, slice_of(data));
    if (m != NULL && queue_push(c, m, c->nm->options.queue + CONTROL_ROOM) == 0)
        client_mark_dirty(c);
    message_unref(m);
    c->is_warned = true;
}

/* What its token asks for by now. May end the client. */
static void mind_token(struct client *c)
{
    if (c->expires_tenths == 0 || c->is_ending)
        return;
    if (c->nm->now_ms >= token_end(c))
        client_end(c, BYE_TOKEN_EXPIRED);
    else if (!c->is_warned && c->nm->now_ms >= token_due(c))
        warn(c);
}

/* Returns 0 or -ENOMEM. */
static int set_credential(struct client *c, const struct client_credential *credential)
{
    if (credential == NULL ||
        (c->more == NULL && credential->id == 0 && credential->holder == 0))
        return 0;
    if (c->more == NULL)
        c->more = calloc(1, sizeof *c->more);
    if (c->more == NULL)
        return -ENOMEM;
    c->more->credential = *credential;
    return 0;
}

int client_renew(struct client *c, uint64_t expires_ms, const struct client_credential *credential,
                 uint64_t now_ms)
{
    c->nm->now_ms = now_ms;
    if (c->is_dead || c->is_ending)
        return 0;
    if (set_credential(c, credential) != 0)
        return -ENOMEM;
    c->nm->stats->streams_renewed++;
    set_end(c, expires_ms);
    c->is_warned = false;
    mind_token(c);
    if (!c->is_dead && !c->is_ending)
        set_deadline(c);
    return 0;
}

void client_on_deadline(struct client *c, uint64_t now_ms)
{
    struct notification_manager *nm = c->nm;

    nm->now_ms = now_ms;
    if (c->is_ending) {
        finish(c, false, close_of_bye(c->bye));
        return;
    }
    if (nm->options.max_age_ms > 0 && now_ms - c->opened_ms >= nm->options.max_age_ms) {
        client_end(c, BYE_MAX_AGE);
        return;
    }
    mind_token(c);
    if (c->is_dead || c->is_ending)
        return;
    if (ring_is_empty(&c->ring) && idle_ms(c) >= nm->options.heartbeat_ms) {
        nm->stats->heartbeats++;
        tell_and_unref(c, message_ref(c->has_ping_events ? nm->ping : nm->heartbeat));
        if (c->is_dead)
            return;
    }
    set_deadline(c);
}

void client_on_writable(struct client *c, uint64_t now_ms)
{
    c->nm->now_ms = now_ms;
    c->is_blocked = false;
    client_mark_dirty(c);
}

void client_on_closed(struct client *c)
{
    client_release(c, c->is_ending ? close_of_bye(c->bye) : CLOSE_PEER);
}

/* ---- opening ---- */

/* An id that no client of this process had, and that nobody can guess from another's: a counter
 * that started at random, through a mixing that is one to one (Stafford's variant 13). */
static uint64_t new_client_id(struct notification_manager *nm)
{
    uint64_t x = nm->next_client++;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool has_topic(const struct client *c, struct slice topic)
{
    for (size_t i = 0; i < client_topic_count(c); i++)
        if (slice_equal(channel_name_of(c->more->topics[i].channel).name, topic))
            return true;
    return false;
}

static int join_topics(struct client *c, const struct client_options *o)
{
    if (o->topic_count == 0)
        return 0;
    c->more = calloc(1, sizeof *c->more + o->topic_count * sizeof c->more->topics[0]);
    if (c->more == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < o->topic_count; i++) {
        struct topic_link *t = &c->more->topics[c->more->topic_count];

        if (has_topic(c, o->topics[i]))
            continue;
        t->client = c;
        t->channel = channel_need(c->nm, (struct channel_name){CHANNEL_TOPIC, o->topics[i]});
        if (t->channel == NULL)
            return -ENOMEM;
        channel_add(t->channel, &t->link);
        c->more->topic_count++;
    }
    return 0;
}

static int join(struct client *c, const struct client_options *o)
{
    c->user = channel_need(c->nm, (struct channel_name){CHANNEL_USER, o->user});
    if (c->user == NULL)
        return -ENOMEM;
    if (c->user->count == 0)
        tell_online(c, true);
    channel_add(c->user, &c->in_user);
    channel_add(c->nm->everyone, &c->in_everyone);
    return join_topics(c, o) != 0 ? -ENOMEM : set_credential(c, o->credential);
}

/* Where the stream starts; returns whether the resume id means nothing here. */
static bool place_cursor(struct client *c, const struct client_options *o)
{
    bool is_known = o->resume.n > 0 && id_parse(o->resume, c->nm->epoch, &c->cursor) == 0 &&
                    (c->cursor <= c->nm->head || c->nm->is_shared) &&
                    (c->cursor <= c->nm->hole_begin || c->cursor >= c->nm->hole_end);

    c->since = c->nm->head;
    if (o->resume.n == 0 && !o->from_earliest) {
        c->cursor = c->nm->head;
        return false;
    }
    c->resumed = UINT32_MAX;
    if (is_known && c->since - c->cursor < UINT32_MAX)
        c->resumed = (uint32_t)(c->since - c->cursor);
    c->nm->stats->streams_resumed++;
    c->is_resuming = c->is_untimed = true;
    if (!is_known) {
        c->cursor = 0;
        c->is_from_start = true;
    }
    client_set_behind(c, true);
    return !is_known && !o->from_earliest;
}

static int queue_preamble(struct client *c, const struct client_options *o)
{
    char id[ID_TEXT_SIZE];
    size_t n = id_format(c->nm->epoch, c->cursor, id);
    struct message *m = sse_encode_preamble(o->head, c->is_chunked, c->nm->options.retry_ms, c->id,
                                            slice_make(id, n));
    int status = m == NULL ? -ENOMEM : ring_reserve(&c->ring);

    /* With room for more: who is cut before it has read its first id misses what came so far. */
    if (status == 0)
        status = queue_push(c, m, RING_MAX);
    message_unref(m);
    return status;
}

struct slice client_topic(const struct client *c, size_t i)
{
    return i < client_topic_count(c) ? channel_name_of(c->more->topics[i].channel).name
                                     : slice_make(NULL, 0);
}

static struct client *client_create(struct notification_manager *nm,
                                    const struct client_options *o, uint64_t now_ms)
{
    struct client *c = pool_take(&nm->clients);
    size_t n = o->user_agent.n > MAX_USER_AGENT ? MAX_USER_AGENT : o->user_agent.n;

    if (c == NULL)
        return NULL;
    c->nm = nm;
    assert(nm->sink_ops == NULL || nm->sink_ops == o->ops);
    nm->sink_ops = o->ops;
    c->sink = o->sink;
    c->break_parity = nm->break_parity;
    c->id = new_client_id(nm);
    c->opened_ms = now_ms;
    c->written_ms = (uint32_t)now_ms;
    set_end(c, o->expires_ms);
    c->is_chunked = o->is_chunked;
    c->has_ping_events = o->has_ping_events;
    c->user_agent = intern_ref(&nm->user_agents, slice_make(o->user_agent.p, n));
    if (c->user_agent == NULL) {
        pool_give(&nm->clients, c);
        return NULL;
    }
    return c;
}

struct client *client_open(struct notification_manager *nm, const struct client_options *o,
                           uint64_t now_ms)
{
    struct client *c = client_create(nm, o, now_ms);
    bool is_unknown;

    if (c == NULL) {
        nm->stats->out_of_memory++;
        return NULL;
    }
    nm->now_ms = now_ms;
    nm->stats->streams_open++;
    nm->stats->streams_opened++;
    c->is_opening = true; /* whoever opens it ends the sink if this fails */
    if (join(c, o) != 0) {
        client_cut_for_memory(c);
        return NULL;
    }
    is_unknown = place_cursor(c, o);
    if (queue_preamble(c, o) != 0) {
        client_cut_for_memory(c);
        return NULL;
    }
    client_mark_dirty(c);
    if (is_unknown) {
        nm->stats->gaps_unknown_id++;
        client_tell_gap(c, "unknown-id", o->resume, 0);
    }
    client_catch_up(c);
    if (!c->is_dead)
        mind_token(c);
    if (c->is_dead)
        return NULL;
    c->is_opening = false;
    if (!c->is_ending)
        set_deadline(c);
    return c;
}
