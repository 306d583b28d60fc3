/* notification_manager.c - hears the journal, and tells the streams. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/log.h"
#include "manager_priv.h"
#include "message/sse.h"

enum {
    DIRECT_CLIENTS = 64, /* a channel of up to so many is served at once, a larger one in slices */
    CLIENTS_AT_ONCE = 4,
    FLUSHES_A_TURN = 128, /* a millisecond or two: those of streams that come back are long */
    VISITS_A_TURN = 128, /* of a fan-out: about a millisecond of system calls ... */
    SHARED_VISITS = 256, /* ... and of sends that share them */
    WINDOW_STEPS = 8000, /* each is up to a microsecond: what expires is long out of the cache */
    ENDS_A_TURN = 2000,  /* streams that a drain ends at a time */
    LOOKS_A_TURN = 4000, /* at streams whose credential may be revoked */
    TICK_MS = 100,
};

/* ---- what the journal says ---- */

/* What was published alone goes at once to few streams: they have it before the publisher has its
 * answer. What else comes in the same turn shares system calls at its end. */
static void serve_directly(struct notification_manager *nm, struct channel *channel,
                           struct message *m, bool is_alone)
{
    bool is_at_once = is_alone && channel->count <= CLIENTS_AT_ONCE && !nm->has_served_at_once;
    struct list *next;

    nm->has_served_at_once |= is_at_once;

    for (struct list *at = channel->clients.next; at != &channel->clients; at = next) {
        next = at->next; /* a delivery ends at most its own client */
        if (is_at_once)
            client_deliver_at_once(channel_client(channel, at), m);
        else
            client_deliver(channel_client(channel, at), m);
    }
}

static void update_stats(struct notification_manager *nm)
{
    nm->stats->window_entries = history_count(nm->window);
    nm->stats->window_bytes = history_bytes(nm->window);
    nm->stats->window_evicted = history_evicted(nm->window);
}

static void on_floor(void *ctx, uint64_t seq)
{
    struct notification_manager *nm = ctx;

    history_begin_at(nm->window, seq);
}

/* Those that are live are told at once; those that are behind find out when they read. */
static void tell_lost(struct channel *channel)
{
    struct list *next;

    for (struct list *at = channel->clients.next; at != &channel->clients; at = next) {
        next = at->next;
        client_tell_lost(channel_client(channel, at));
    }
}

static void on_lost(void *ctx, struct channel_name name, uint64_t seq)
{
    struct notification_manager *nm = ctx;
    struct channel *channel = nm->was_up ? channel_find(nm, name) : NULL;

    history_begin_channel_at(nm->window, name, seq);
    if (channel != NULL)
        tell_lost(channel);
}

/* Everybody is told of a break, and who waits for the journal goes on; in slices: what comes
 * meanwhile comes behind that. */
static void walk_everyone(struct notification_manager *nm)
{
    if (nm->everyone->count == 0 || fanout_start(nm, nm->everyone, NULL) == 0)
        return;
    for (struct list *at = nm->everyone->clients.next; at != &nm->everyone->clients;) {
        struct client *c = channel_client(nm->everyone, at);

        at = at->next;
        client_update(c);
    }
}

static void on_break(void *ctx, uint64_t seq)
{
    struct notification_manager *nm = ctx;
    struct journal_status status;

    while (!list_is_empty(&nm->fanouts)) /* what they owe may be gone in a moment */
        fanouts_run(nm, SIZE_MAX);
    journal_get_status(nm->journal, &status);
    nm->break_seq = 0;
    strcpy(nm->last_epoch, nm->epoch);
    if (strcmp(nm->epoch, status.epoch) != 0) {
        strcpy(nm->epoch, status.epoch);
        history_clear(nm->window);
        history_begin_at(nm->window, seq);
        nm->break_seq = nm->head = seq; /* which may be less than the last one's */
    }
    if (nm->head < seq)
        nm->head = seq;
    nm->break_parity = !nm->break_parity;
    walk_everyone(nm);
}

/* The time of this turn's entries, which come together: of a batch the clock is read once. 0: they
 * are of an earlier process. */
static uint32_t emitted_ms(struct notification_manager *nm)
{
    if (!nm->is_up)
        return 0;
    if (!nm->is_emitting) {
        nm->is_emitting = true;
        nm->emitted_ms = (uint32_t)(nm->options.read_us == NULL ? nm->now_ms
                                                                : nm->options.read_us() / 1000);
        nm->emitted_ms += nm->emitted_ms == 0;
    }
    return nm->emitted_ms;
}

static void on_entry(void *ctx, const struct journal_entry *entry)
{
    struct notification_manager *nm = ctx;
    struct history_item item = {
        .to = entry->to,
        .message = entry->message,
        .ttl_ms = entry->ttl_ms,
        .collapse_key = entry->collapse_key,
        .age_ms = entry->age_ms,
    };
    struct channel *channel;
    uint32_t streams = 0;

    nm->head = entry->message->seq;
    if (entry->origin != NULL && entry->origin->came_us != 0) {
        entry->message->is_timed = true;
        entry->message->came_us = (uint32_t)entry->origin->came_us;
    }
    entry->message->emitted_ms = emitted_ms(nm);
    channel_fetch(nm, entry->to, true);
    if (history_add(nm->window, &item, nm->tick_ms) < 0) {
        nm->stats->out_of_memory++;
        history_lose(nm->window, &item); /* whoever needs it reads it from the journal */
    }
    update_stats(nm);
    channel = channel_find(nm, entry->to);
    if (channel != NULL && channel->count > 0) {
        streams = channel->count;
        entry->message->streams = streams;
        if (streams <= DIRECT_CLIENTS || fanout_start(nm, channel, entry->message) != 0)
            serve_directly(nm, channel, entry->message,
                           entry->origin != NULL && entry->origin->is_alone);
    }
    if (history_bytes(nm->window) / 2 > nm->options.window_bytes)
        fanouts_finish_pinned(nm);
    if (entry->origin != NULL)
        entry->origin->streams = streams;
}

static void tell_retracted(struct notification_manager *nm, struct channel_name name, uint64_t seq)
{
    struct channel *channel = channel_find(nm, name);
    char id[ID_TEXT_SIZE];
    char data[ID_TEXT_SIZE + 16];
    struct message *m;

    if (channel == NULL)
        return;
    id_format(nm->epoch, seq, id);
    snprintf(data, sizeof data, "{\"id\":\"%s\"}", id);
    m = sse_encode_control("retract", slice_make(NULL, 0), 0, slice_of(data));
    if (m == NULL)
        nm->stats->out_of_memory++;
    for (struct list *at = channel->clients.next; at != &channel->clients; at = at->next)
        client_tell_retract(channel_client(channel, at), m);
    message_unref(m);
}

static void on_removed(void *ctx, struct channel_name channel, uint64_t seq)
{
    struct notification_manager *nm = ctx;

    if (seq == 0) {
        history_erase(nm->window, channel);
    } else {
        history_retract(nm->window, channel, seq);
        tell_retracted(nm, channel, seq);
    }
    update_stats(nm);
}

static void on_up(void *ctx)
{
    struct notification_manager *nm = ctx;
    struct journal_status status;

    journal_get_status(nm->journal, &status);
    strcpy(nm->epoch, status.epoch);
    nm->head = status.head;
    nm->is_up = nm->was_up = true;
    nm->is_shared = status.is_shared;
    nm->hole_begin = status.hole_begin;
    nm->hole_end = status.hole_end;
    nm->down_reason = NULL;
    if (nm->unread > 0)
        walk_everyone(nm);
}

static void on_down(void *ctx, const char *why)
{
    struct notification_manager *nm = ctx;

    nm->is_up = false;
    nm->down_reason = why;
    log_error("the journal cannot take notifications: %s", why);
}

static const struct journal_events events = {
    .on_floor = on_floor,
    .on_lost = on_lost,
    .on_break = on_break,
    .on_entry = on_entry,
    .on_removed = on_removed,
    .on_up = on_up,
    .on_down = on_down,
};

/* ---- life ---- */

static int create_parts(struct notification_manager *nm)
{
    struct history_limits limits = {
        .max_bytes = nm->options.window_bytes,
        .keep_ms = nm->options.keep_ms,
        .max_per_user = nm->options.keep_per_user,
        .held = &nm->stats->memory_held,
    };

    nm->heartbeat = sse_encode_comment();
    nm->ping = sse_encode_control("ping", slice_make(NULL, 0), 0, SLICE_LITERAL("{}"));
    nm->last_chunk = message_create(0);
    nm->window = history_create(&limits);
    if (nm->heartbeat == NULL || nm->ping == NULL || nm->last_chunk == NULL || nm->window == NULL)
        return -1;
    return channels_init(nm);
}

struct notification_manager *notification_manager_create(const struct manager_options *options,
                                                         struct journal *journal,
                                                         struct stats *stats)
{
    struct notification_manager *nm = calloc(1, sizeof *nm);

    if (nm == NULL)
        return NULL;
    nm->options = *options;
    nm->most_queue = options->queue;
    nm->now_ms = nm->tick_ms = options->now_ms;
    nm->journal = journal;
    nm->stats = stats;
    nm->dirty_end = &nm->dirty;
    nm->next_client = hash_of(SLICE_LITERAL("first client")); /* random: the hash's key is */
    nm->down_reason = "it is not open yet";
    list_init(&nm->fanouts);
    intern_init(&nm->user_agents);
    pool_init(&nm->clients, sizeof(struct client));
    if (create_parts(nm) != 0) {
        notification_manager_destroy(nm);
        return NULL;
    }
    journal_start(journal, &events, nm);
    return nm;
}

void manager_change_options(struct notification_manager *nm, const struct manager_options *options)
{
    nm->options.heartbeat_ms = options->heartbeat_ms;
    nm->options.retry_ms = options->retry_ms;
    nm->options.queue = options->queue;
    nm->options.overflow = options->overflow;
    nm->options.max_age_ms = options->max_age_ms;
    nm->options.max_memory = options->max_memory;
    nm->pressure = PRESSURE_NONE;
    if (options->queue > nm->most_queue)
        nm->most_queue = options->queue;
}

void notification_manager_destroy(struct notification_manager *nm)
{
    if (nm == NULL)
        return;
    nm->on_online = NULL;
    while (nm->everyone != NULL && nm->everyone->count > 0)
        client_release(channel_client(nm->everyone, nm->everyone->clients.next),
                       (enum client_close)(CLOSE_BYE + BYE_SHUTDOWN));
    while (!list_is_empty(&nm->fanouts))
        fanouts_run(nm, 1);
    clients_flush(nm, SIZE_MAX);
    pool_fini(&nm->clients);
    channels_fini(nm);
    intern_fini(&nm->user_agents);
    history_destroy(nm->window);
    message_unref(nm->heartbeat);
    message_unref(nm->ping);
    message_unref(nm->last_chunk);
    free(nm);
}

/* ---- the world ---- */

void manager_send_notification(struct notification_manager *nm, const struct notification *n,
                               uint64_t wall_ms, struct journal_append *append)
{
    append->streams = 0;
    if (!nm->is_up) {
        append->status = -EAGAIN;
        append->on_done(append);
        return;
    }
    history_fetch(nm->window, n->to);
    channel_fetch(nm, n->to, false);
    journal_append(nm->journal, n, wall_ms, append);
}

void manager_watch_users(struct notification_manager *nm, manager_online_fn *on_online, void *ctx)
{
    nm->on_online = on_online;
    nm->online_ctx = ctx;
}

/* Ends the streams that are due by now, or so many of them that no turn is long. */
static void drain_some(struct notification_manager *nm)
{
    uint64_t most = nm->drain_due < ENDS_A_TURN ? nm->drain_due : ENDS_A_TURN;

    nm->drain_due -= most;
    for (struct list *at = nm->everyone->clients.next; at != &nm->everyone->clients && most > 0;) {
        struct client *c = channel_client(nm->everyone, at);

        at = at->next;
        if (c->is_ending)
            continue;
        client_end(c, BYE_SHUTDOWN);
        most--;
    }
}

/* Ends the share of the streams that is due by now. */
static void drain_share(struct notification_manager *nm)
{
    uint64_t left_ms = nm->drain_end_ms > nm->now_ms ? nm->drain_end_ms - nm->now_ms : 0;
    uint64_t rounds = left_ms / TICK_MS + 1;

    nm->drain_due = (nm->everyone->count - nm->ending + rounds - 1) / rounds;
    drain_some(nm);
}

static void end_some_revoked(struct notification_manager *nm)
{
    for (int i = 0; i < LOOKS_A_TURN && nm->is_revoked != NULL; i++) {
        struct client *c = pool_walk_next(&nm->clients);

        if (c != NULL) {
            if (!c->is_dead && client_has_credential(c) &&
                nm->is_revoked(nm->revoked_ctx, &c->more->credential))
                client_end(c, BYE_TOKEN_REVOKED);
        } else if (nm->is_revoked_anew) {
            nm->is_revoked_anew = false;
            pool_walk_start(&nm->clients);
        } else {
            nm->is_revoked = NULL;
        }
    }
}

void manager_end_revoked(struct notification_manager *nm, manager_revoked_fn *is_revoked,
                         void *ctx)
{
    nm->is_revoked_anew = nm->is_revoked != NULL;
    if (nm->is_revoked == NULL)
        pool_walk_start(&nm->clients);
    nm->pressure = PRESSURE_NONE; /* a pool has one walk: it begins again after this one */
    nm->is_revoked = is_revoked;
    nm->revoked_ctx = ctx;
    nm->has_walk = true;
}

/* Through all clients, for either of the two that they are walked for. */
static void walk_on(struct notification_manager *nm)
{
    if (nm->is_revoked != NULL)
        end_some_revoked(nm);
    else
        pressure_relieve(nm);
    nm->has_walk = nm->is_revoked != NULL || nm->pressure != PRESSURE_NONE;
}

bool manager_turn_end(struct notification_manager *nm, uint64_t now_ms)
{
    bool has_walk = nm->has_walk;

    nm->now_ms = now_ms;
    nm->is_emitting = false;
    nm->has_served_at_once = false;
    manager_read_clock_soon(nm);
    if (has_walk)
        walk_on(nm);
    clients_flush(nm, FLUSHES_A_TURN);
    fanouts_run(nm, nm->options.has_shared_writes ? SHARED_VISITS : VISITS_A_TURN);
    if (nm->drain_due > 0)
        drain_some(nm);
    return nm->dirty != NULL || nm->drain_due > 0 || has_walk || !list_is_empty(&nm->fanouts);
}

void manager_tick(struct notification_manager *nm, uint64_t now_ms)
{
    nm->now_ms = now_ms;
    nm->tick_ms = now_ms;
    history_expire(nm->window, now_ms, WINDOW_STEPS);
    update_stats(nm);
    pressure_begin(nm);
    if (nm->drain_end_ms != 0)
        drain_share(nm);
}

void manager_drain(struct notification_manager *nm, uint64_t now_ms, uint64_t drain_ms)
{
    if (nm->drain_end_ms != 0)
        return;
    nm->now_ms = now_ms;
    nm->drain_ms = drain_ms;
    nm->drain_end_ms = now_ms + drain_ms;
    if (drain_ms == 0)
        drain_share(nm);
}

size_t manager_kick(struct notification_manager *nm, struct slice user, uint64_t client_id)
{
    struct channel *channel = channel_find(nm, (struct channel_name){CHANNEL_USER, user});
    size_t kicked = 0;

    if (channel == NULL)
        return 0;
    for (struct list *at = channel->clients.next; at != &channel->clients;) {
        struct client *c = channel_client(channel, at);
        bool is_last = at->next == &channel->clients;

        at = at->next;
        if (!c->is_ending && (client_id == 0 || c->id == client_id)) {
            client_end(c, BYE_KICKED);
            kicked++;
        }
        if (is_last)
            break; /* without memory the last client takes its channel along */
    }
    return kicked;
}

struct client *manager_find_client(const struct notification_manager *nm, struct slice user,
                                   uint64_t client_id)
{
    struct channel *channel = channel_find(nm, (struct channel_name){CHANNEL_USER, user});

    if (channel == NULL)
        return NULL;
    for (struct list *at = channel->clients.next; at != &channel->clients; at = at->next) {
        struct client *c = channel_client(channel, at);

        if (c->id == client_id)
            return c->is_ending ? NULL : c;
    }
    return NULL;
}

struct client_info client_describe(const struct client *c)
{
    return (struct client_info){
        .id = c->id,
        .opened_ms = c->opened_ms,
        .user_agent = c->user_agent->text,
        .queued = ring_count(&c->ring),
        .is_lagging = c->is_behind || c->is_blocked,
        .last_seq = c->last_seq,
        .sink = c->sink,
    };
}

size_t manager_presence(const struct notification_manager *nm, struct slice user,
                        manager_visit_fn *visit, void *ctx)
{
    struct channel *channel = channel_find(nm, (struct channel_name){CHANNEL_USER, user});

    if (channel == NULL)
        return 0;
    for (struct list *at = channel->clients.next; at != &channel->clients; at = at->next) {
        struct client_info info = client_describe(channel_client(channel, at));

        visit(ctx, &info);
    }
    return channel->count;
}

size_t manager_stream_count(const struct notification_manager *nm)
{
    return nm->everyone->count;
}

size_t manager_user_stream_count(const struct notification_manager *nm, struct slice user)
{
    struct channel *channel = channel_find(nm, (struct channel_name){CHANNEL_USER, user});

    return channel == NULL ? 0 : channel->count;
}

bool manager_is_ready(const struct notification_manager *nm, const char **why)
{
    struct journal_status status;

    *why = manager_is_draining(nm) ? "the daemon is shutting down" : nm->down_reason;
    if (*why != NULL)
        return false;
    journal_get_status(nm->journal, &status);
    if (status.trouble != 0)
        *why = status.trouble == -ENOSPC ? "the journal is full" : "the journal cannot be written";
    return *why == NULL;
}

bool manager_knows_journal(const struct notification_manager *nm)
{
    return nm->was_up;
}

bool manager_is_full(struct notification_manager *nm)
{
    pressure_begin(nm);
    return nm->options.max_memory > 0 && nm->stats->memory_held >= nm->options.max_memory;
}

bool manager_is_draining(const struct notification_manager *nm)
{
    return nm->drain_end_ms != 0;
}

const char *manager_epoch(const struct notification_manager *nm)
{
    return nm->epoch;
}

uint64_t manager_head(const struct notification_manager *nm)
{
    return nm->head;
}

struct journal *manager_journal(const struct notification_manager *nm)
{
    return nm->journal;
}
