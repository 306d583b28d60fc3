/* catch_up.c - a client that is behind reads on from its cursor: from the window, and what fell out
 * of that from the journal, until nothing is left and it is live.
 *
 * What neither keeps is told as a gap before whatever comes next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "manager_priv.h"

enum { PAGE_BYTES = 256 * 1024, MAX_CHANNELS = MAX_TOPICS + 2 };

void client_stop_reading(struct client *c)
{
    struct catch_up *reading = client_reading(c);

    if (reading == NULL)
        return;
    if (reading->is_under_way)
        journal_cancel(c->nm->journal, &reading->read);
    free(reading);
    c->more->reading = NULL;
    if (c->more->topic_count > 0 || client_has_credential(c))
        return;
    free(c->more);
    c->more = NULL;
}

/* Whether a page is on its way. */
static bool is_reading(const struct client *c)
{
    const struct catch_up *reading = client_reading(c);

    return reading != NULL && reading->is_under_way;
}

static void tell_gap_after_cursor(struct client *c, uint64_t resumed_at)
{
    char after[ID_TEXT_SIZE];
    size_t n = id_format(c->nm->epoch, c->cursor, after);

    if (c->is_resuming)
        c->nm->stats->gaps_expired++;
    else
        c->nm->stats->gaps_overflow++;
    client_tell_gap(c, c->is_resuming ? "expired" : "overflow", slice_make(after, n), resumed_at);
}

static size_t channel_names(const struct client *c, struct channel_name names[MAX_CHANNELS])
{
    size_t n = 0;

    names[n++] = channel_name_of(c->user);
    names[n++] = (struct channel_name){.kind = CHANNEL_EVERYONE};
    for (size_t i = 0; i < client_topic_count(c); i++)
        names[n++] = channel_name_of(c->more->topics[i].channel);
    return n;
}

static size_t channel_logs(const struct client *c, struct history_log *logs[MAX_CHANNELS])
{
    struct channel_name names[MAX_CHANNELS];
    size_t n = channel_names(c, names);

    for (size_t i = 0; i < n; i++)
        logs[i] = history_log(c->nm->window, names[i]);
    return n;
}

/* The highest number lost to this client, where `lost` is that of what is kept for replay. What had
 * a ttl of 0 and came before it was opened was never meant for it. */
static uint64_t lost_to(const struct client *c, struct history_log *const *logs, size_t count,
                        uint64_t lost)
{
    uint64_t transient = history_lost_transient(c->nm->window, logs, count);

    return transient > c->since && transient > lost ? transient : lost;
}

/* The highest number of a channel that is lost and was not told: the journal has not got it, and
 * the window, which may keep more of the channel than the journal, has not got it either. */
static uint64_t lost_anew(const struct catch_up *reading, struct history_log *const *logs,
                          size_t count)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t number = history_lost(reading->client->nm->window, &logs[i], 1);

        if (number > reading->known[i])
            number = reading->known[i];
        if (number <= reading->told[i])
            continue;
        reading->told[i] = number;
        if (number > lost)
            lost = number;
    }
    return lost;
}

/* Whether anything is lost that the client has not got and does not know of: `lost` of what is kept
 * for replay, or `transient`, with a ttl of 0. */
static bool misses(struct client *c, uint64_t lost, uint64_t transient)
{
    uint64_t known = c->cursor;

    if (c->is_from_start && c->since > known)
        known = c->since; /* but what came after it was opened is its business */
    c->is_from_start = false;
    return lost > known || (transient > c->since && transient > c->cursor &&
                            transient > client_reading(c)->told_transient);
}

/* Queues what the window has up to number `end`; false: no room, or dead. */
static bool queue_from_window(struct client *c, struct history_log *const *logs, size_t count,
                              uint64_t end)
{
    for (;;) {
        struct message *m = c->cursor >= end
                                ? NULL
                                : history_next(logs, count, c->cursor, c->since, c->nm->now_ms);

        if (m == NULL || m->seq > end)
            return true;
        if (!client_queue(c, m))
            return false;
        c->nm->stats->replayed++;
    }
}

/* The place right before what comes next, be it from the page or, with a ttl of 0, from the window:
 * an id that is told must not be over one that follows. */
static uint64_t resume_place(const struct client *c, const struct journal_page *page,
                             struct history_log *const *logs, size_t count)
{
    const struct message *m = history_next(logs, count, c->cursor, c->since, c->nm->now_ms);
    uint64_t place = page->count > 0 ? page->messages[0]->seq - 1 : page->covered;

    return m != NULL && m->seq <= place ? m->seq - 1 : place;
}

/* A page could not be read. Where the journal is down it is asked for again when that is up, for
 * want of memory with the client's heartbeat; what is damaged will not get better: it is told as
 * lost, and the window goes on. */
static void on_unread(struct client *c, int status, struct history_log *const *logs, size_t count)
{
    uint64_t lost = lost_to(c, logs, count, history_lost(c->nm->window, logs, count));

    if (status == -EAGAIN) {
        client_set_unread(c, true);
        return;
    }
    log_warning("client %llx: reading the journal: %s", (unsigned long long)c->id,
                strerror(-status));
    if (status == -ENOMEM || lost <= c->cursor)
        return;
    client_mark_dirty(c);
    tell_gap_after_cursor(c, lost);
    c->cursor = lost;
}

static void on_page(struct journal_read *read, const struct journal_page *page)
{
    struct catch_up *reading = LIST_HOLDER(read, struct catch_up, read);
    struct client *c = reading->client;
    struct history_log *logs[MAX_CHANNELS];
    size_t count;
    uint64_t transient;

    reading->is_under_way = false;
    count = channel_logs(c, logs);
    if (page->status != 0) {
        on_unread(c, page->status, logs, count);
        return;
    }
    client_mark_dirty(c);
    transient = history_lost_transient(c->nm->window, logs, count);
    if (misses(c, lost_anew(reading, logs, count), transient)) {
        uint64_t place = resume_place(c, page, logs, count);

        reading->told_transient = transient;
        tell_gap_after_cursor(c, place);
        c->cursor = place; /* whatever is lost next is lost behind it */
    }
    for (size_t i = 0; i < page->count && !c->is_dead; i++) {
        /* Those with a ttl of 0 are in the window only. */
        if (!queue_from_window(c, logs, count, page->messages[i]->seq - 1) ||
            !client_queue(c, page->messages[i]))
            return;
        c->nm->stats->replayed++;
    }
    if (!c->is_dead && queue_from_window(c, logs, count, page->covered) &&
        c->cursor < page->covered)
        c->cursor = page->covered;
}

static int start_reading(struct client *c)
{
    struct channel_name names[MAX_CHANNELS];
    size_t n = channel_names(c, names);
    struct catch_up *reading =
        calloc(1, sizeof *reading + n * (sizeof names[0] + 2 * sizeof(uint64_t)));

    if (reading != NULL && c->more == NULL)
        c->more = calloc(1, sizeof *c->more);
    if (reading == NULL || c->more == NULL) {
        free(reading);
        return -ENOMEM;
    }
    reading->client = c;
    reading->known = (uint64_t *)(void *)(reading->channels + n);
    reading->told = reading->known + n;
    reading->read = (struct journal_read){
        .channels = reading->channels,
        .channel_count = n,
        .known = reading->known,
        .on_page = on_page,
    };
    memcpy(reading->channels, names, n * sizeof names[0]);
    c->more->reading = reading;
    return 0;
}

/* Reads a page of as much as the ring has room for. It may come before this returns. */
static void read_journal(struct client *c)
{
    struct catch_up *reading;

    if (client_reading(c) == NULL && start_reading(c) != 0) {
        client_cut_for_memory(c);
        return;
    }
    reading = client_reading(c);
    reading->is_under_way = true;
    reading->read.after = c->cursor;
    reading->read.max_entries = c->nm->options.queue - ring_count(&c->ring);
    reading->read.max_bytes = PAGE_BYTES;
    journal_read(c->nm->journal, &reading->read);
}

/* overflow = drop-oldest: passes over all but the newest `queue` of what it missed. */
static void skip_to_newest(struct client *c, struct history_log *const *logs, size_t count)
{
    struct notification_manager *nm = c->nm;
    uint64_t lost = history_lost(nm->window, logs, count);
    size_t waiting = history_count_after(logs, count, c->cursor, c->since, nm->now_ms);
    uint64_t at = c->cursor;

    c->is_dropping = false;
    for (; waiting > nm->options.queue; waiting--) {
        at = history_next(logs, count, at, c->since, nm->now_ms)->seq;
        nm->stats->dropped_oldest++;
    }
    if (lost > at)
        at = lost;
    if (at == c->cursor)
        return;
    tell_gap_after_cursor(c, at);
    c->cursor = at;
}

static void set_live(struct client *c)
{
    client_set_behind(c, false);
    client_stop_reading(c);
    if (c->cursor < c->nm->head)
        c->cursor = c->nm->head;
    c->is_resuming = false;
    c->is_from_start = false;
}

/* One step nearer to live: fills the ring from the window or asks the journal. Returns whether
 * another step may get further now. */
static bool catch_up_step(struct client *c)
{
    struct history_log *logs[MAX_CHANNELS];
    size_t count = channel_logs(c, logs);
    uint64_t before = c->cursor;
    uint64_t lost;

    if (c->is_dropping) {
        skip_to_newest(c, logs, count);
        return true; /* if its gap has left room */
    }
    lost = lost_to(c, logs, count, history_lost(c->nm->window, logs, count));
    if (lost > c->cursor) {
        read_journal(c);
        return !c->is_dead && !is_reading(c) && c->cursor > before;
    }
    c->is_from_start = false; /* nothing was lost so far: all that goes now does */
    if (queue_from_window(c, logs, count, c->nm->head))
        set_live(c);
    return false;
}

void client_catch_up(struct client *c)
{
    client_mind_break(c);
    while (!c->is_dead && c->is_behind && !c->is_ending &&
           ring_count(&c->ring) < c->nm->options.queue && !is_reading(c) && catch_up_step(c))
        ;
    if (!c->is_dead && c->is_behind && c->cursor >= c->nm->head)
        set_live(c); /* its ring is full, but of all that there is */
}
