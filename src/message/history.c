/* history.c - an entry is in its log's row, in `by_age` and, where it has them, in `by_ttl` and
 * the table of collapse keys: in all or in none. A log without entries stays only while it has a
 * loss to tell of, in `graves`, of which the oldest are forgotten into `forgotten_*`. */
#include "message/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/list.h"

enum { MAX_GRAVES = 65536, MIN_ROW = 4 };

struct entry {
    struct list by_age;
    struct list by_ttl;      /* linked only with a ttl of its own */
    struct history_log *log;
    struct message *message;
    uint64_t at_ms;
    uint64_t expires_ms;     /* UINT64_MAX: with age, like all others */
    bool is_transient;       /* ttl 0 */
    uint32_t key_length;     /* 0: no collapse key */
    char key[];              /* the log's key, then the collapse key */
};

struct history_log {
    struct list grave;       /* linked while it has no entries */
    struct entry **row;      /* power of two slots */
    size_t cap;
    size_t head;             /* slot of the oldest */
    size_t count;
    uint64_t lost;           /* highest number that a bound took */
    uint64_t lost_transient; /* the same for entries with a ttl of 0 */
    bool is_pinned;
    uint32_t key_length;
    char key[];              /* kind, then name */
};

struct history {
    struct history_limits limits;
    struct hash_table logs[CHANNEL_KINDS]; /* by name */
    struct hash_table collapse;
    struct list by_age; /* the oldest first */
    struct list by_ttl; /* in no order: looked through in turn */
    struct list graves;
    size_t grave_count;
    size_t count;
    size_t bytes;
    uint64_t evicted;
    uint64_t forgotten_lost;
    uint64_t forgotten_transient;
};

struct key {
    size_t n;
    char p[1 + MAX_CHANNEL_NAME];
};

static struct slice log_name_of(const void *item)
{
    const struct history_log *log = item;

    return slice_make(log->key + 1, log->key_length - 1);
}

static struct slice entry_key_of(const void *item)
{
    const struct entry *e = item;

    return slice_make(e->key, e->key_length);
}

static struct slice bounded(struct slice name)
{
    return slice_make(name.p, name.n > MAX_CHANNEL_NAME ? MAX_CHANNEL_NAME : name.n);
}

static struct key channel_key(struct channel_name channel)
{
    struct key key; /* its bytes past n are left as they are: this is on every delivery's way */

    key.n = 1 + bounded(channel.name).n;
    key.p[0] = (char)channel.kind;
    if (key.n > 1)
        memcpy(key.p + 1, channel.name.p, key.n - 1);
    return key;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void init(struct history *h, const struct history_limits *limits)
{
    *h = (struct history){.limits = *limits};
    for (size_t i = 0; i < CHANNEL_KINDS; i++)
        hash_table_init(&h->logs[i], log_name_of);
    hash_table_init(&h->collapse, entry_key_of);
    list_init(&h->by_age);
    list_init(&h->by_ttl);
    list_init(&h->graves);
}

struct history *history_create(const struct history_limits *limits)
{
    struct history *h = malloc(sizeof *h);

    if (h != NULL)
        init(h, limits);
    return h;
}

/* ---- rows ---- */

static struct entry *row_at(const struct history_log *log, size_t i)
{
    return log->row[(log->head + i) & (log->cap - 1)];
}

static void row_set(struct history_log *log, size_t i, struct entry *e)
{
    log->row[(log->head + i) & (log->cap - 1)] = e;
}

/* Index of the first entry whose number is over `after`; count if there is none. */
static size_t row_after(const struct history_log *log, uint64_t after)
{
    size_t low = 0;
    size_t high = log->count;

    if (high > 0 && row_at(log, high - 1)->message->seq <= after)
        return high; /* most readers are up to date, ... */
    if (high > 1 && row_at(log, high - 2)->message->seq <= after)
        return high - 1; /* ... or lack the newest only */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (row_at(log, middle)->message->seq > after)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Makes room for one entry more. */
static int row_reserve(struct history_log *log)
{
    size_t cap = log->cap == 0 ? MIN_ROW : log->cap * 2;
    struct entry **row;

    if (log->count < log->cap)
        return 0;
    row = malloc(cap * sizeof(struct entry *));
    if (row == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < log->count; i++)
        row[i] = row_at(log, i);
    free(log->row);
    log->row = row;
    log->cap = cap;
    log->head = 0;
    return 0;
}

/* Closes the hole at `i` from the side that has fewer to move. */
static void row_remove(struct history_log *log, size_t i)
{
    if (i < log->count / 2) {
        for (; i > 0; i--)
            row_set(log, i, row_at(log, i - 1));
        log->head = (log->head + 1) & (log->cap - 1);
    } else {
        for (; i + 1 < log->count; i++)
            row_set(log, i, row_at(log, i + 1));
    }
    log->count--;
}

/* ---- logs ---- */

static void log_free(struct history *h, struct history_log *log)
{
    hash_table_remove(&h->logs[(int)log->key[0]], log);
    free(log->row);
    free(log);
}

static void forget_oldest_grave(struct history *h)
{
    struct history_log *log = LIST_HOLDER(h->graves.next, struct history_log, grave);

    h->forgotten_lost = later(h->forgotten_lost, log->lost);
    h->forgotten_transient = later(h->forgotten_transient, log->lost_transient);
    list_remove(&log->grave);
    h->grave_count--;
    log_free(h, log);
}

/* A log without entries: freed, or kept for the loss that it tells of. */
static void bury(struct history *h, struct history_log *log)
{
    if (log->lost == 0 && log->lost_transient == 0) {
        log_free(h, log);
        return;
    }
    free(log->row);
    log->row = NULL;
    log->cap = 0;
    log->head = 0;
    list_add_last(&h->graves, &log->grave);
    if (++h->grave_count > MAX_GRAVES)
        forget_oldest_grave(h);
}

static struct history_log *log_of(struct history *h, const struct key *key)
{
    struct hash_table *logs = &h->logs[(int)key->p[0]];
    struct history_log *log = hash_table_find(logs, slice_make(key->p + 1, key->n - 1));

    if (log != NULL)
        return log;
    log = calloc(1, sizeof *log + key->n);
    if (log == NULL)
        return NULL;
    log->key_length = (uint32_t)key->n;
    memcpy(log->key, key->p, key->n);
    log->lost = h->forgotten_lost; /* it may be one of the forgotten */
    log->lost_transient = h->forgotten_transient;
    if (hash_table_insert(logs, log) != 0) {
        free(log);
        return NULL;
    }
    list_add_last(&h->graves, &log->grave);
    h->grave_count++;
    return log;
}

struct history_log *history_log(const struct history *h, struct channel_name channel)
{
    return hash_table_find(&h->logs[channel.kind], bounded(channel.name));
}

void history_fetch(const struct history *h, struct channel_name channel)
{
    hash_table_fetch_slot(&h->logs[channel.kind], bounded(channel.name));
}

/* ---- entries ---- */

static size_t entry_size(const struct entry *e)
{
    return sizeof *e + e->key_length + sizeof(struct entry *) + message_size(e->message);
}

static void count_in(struct history *h, const struct entry *e)
{
    h->count++;
    h->bytes += entry_size(e);
    if (h->limits.held == NULL)
        return;
    *h->limits.held += entry_size(e) - message_size(e->message);
    message_hold(e->message, h->limits.held);
}

static void count_out(struct history *h, const struct entry *e)
{
    h->count--;
    h->bytes -= entry_size(e);
    if (h->limits.held == NULL)
        return;
    *h->limits.held -= entry_size(e) - message_size(e->message);
    message_let_go(e->message, h->limits.held);
}

static void entry_free(struct entry *e)
{
    message_unref(e->message);
    free(e);
}

/* Takes the entry at index `i` of its log out of everything and frees it. The log is left alone,
 * also when it is empty now. */
static void take_out(struct history *h, struct history_log *log, size_t i)
{
    struct entry *e = row_at(log, i);

    row_remove(log, i);
    list_remove(&e->by_age);
    list_remove(&e->by_ttl);
    if (e->key_length > 0)
        hash_table_remove(&h->collapse, e);
    count_out(h, e);
    entry_free(e);
}

static void remove_entry(struct history *h, struct entry *e)
{
    struct history_log *log = e->log;

    /* Mostly the oldest; the search would look at others, which are long out of the cache. */
    take_out(h, log, row_at(log, 0) == e ? 0 : row_after(log, e->message->seq - 1));
    if (log->count == 0)
        bury(h, log);
}

static void note_lost(struct history_log *log, uint64_t seq, bool is_transient)
{
    uint64_t *lost = is_transient ? &log->lost_transient : &log->lost;

    *lost = later(*lost, seq); /* what found no memory may be newer than what is kept */
}

/* Removes because of a bound: what is lost by it is remembered. */
static void evict(struct history *h, struct entry *e, uint64_t now_ms)
{
    if (e->expires_ms > now_ms)
        note_lost(e->log, e->message->seq, e->is_transient);
    h->evicted++;
    remove_entry(h, e);
}

/* The next to be evicted will have been of no interest for as long as it was kept: what evicting
 * it looks at comes from memory while other things are done. */
static void fetch_oldest(const struct history *h)
{
    const struct entry *e = LIST_HOLDER(h->by_age.next, struct entry, by_age);

    __builtin_prefetch(e->log);
    __builtin_prefetch(e->message);
    __builtin_prefetch(e->by_age.next);
}

static void make_room(struct history *h, struct history_log *newest, uint64_t now_ms)
{
    size_t max = h->limits.max_per_user;

    while (newest->key[0] == CHANNEL_USER && !newest->is_pinned && newest->count > max &&
           newest->count > 1)
        evict(h, row_at(newest, 0), now_ms);
    while (h->bytes > h->limits.max_bytes && h->count > 1) {
        struct entry *oldest = LIST_HOLDER(h->by_age.next, struct entry, by_age);

        if (oldest->log->is_pinned)
            break;
        evict(h, oldest, now_ms);
        fetch_oldest(h);
    }
}

/* A NUL between, which no name holds: no two pairs look alike. Returns the length. */
static size_t put_collapse_key(char *to, const struct key *channel, struct slice collapse_key)
{
    memcpy(to, channel->p, channel->n);
    to[channel->n] = '\0';
    memcpy(to + channel->n + 1, collapse_key.p, collapse_key.n);
    return channel->n + 1 + collapse_key.n;
}

static struct entry *entry_create(const struct history_item *item, const struct key *key,
                                  uint64_t keep_ms, uint64_t now_ms)
{
    size_t key_length = item->collapse_key.n == 0 ? 0 : key->n + 1 + item->collapse_key.n;
    struct entry *e = malloc(sizeof *e + key_length);

    if (e == NULL)
        return NULL;
    *e = (struct entry){
        .message = message_ref(item->message),
        .at_ms = now_ms - item->age_ms, /* the clock may start below */
        .is_transient = item->ttl_ms == 0,
        .expires_ms = UINT64_MAX,
    };
    if (item->ttl_ms != 0 && item->ttl_ms < keep_ms)
        e->expires_ms = e->at_ms + item->ttl_ms;
    if (key_length > 0)
        e->key_length = (uint32_t)put_collapse_key(e->key, key, item->collapse_key);
    return e;
}

static bool collapse_older(struct history *h, const struct entry *newer)
{
    struct entry *older;

    if (newer->key_length == 0)
        return false;
    older = hash_table_find(&h->collapse, entry_key_of(newer));
    if (older == NULL)
        return false;
    older->message->is_withdrawn = true;
    take_out(h, older->log, row_after(older->log, older->message->seq - 1));
    return true; /* the log gets the newer one now: it is not buried */
}

/* Links `e` into everything, with room in the row, and takes out what it replaces. On failure
 * nothing has changed: the table of keys has room where one has just left. */
static int put_in(struct history *h, struct history_log *log, struct entry *e)
{
    bool is_collapsed = collapse_older(h, e);

    if (e->key_length > 0 && hash_table_insert(&h->collapse, e) != 0)
        return -ENOMEM;
    if (list_is_linked(&log->grave)) {
        list_remove(&log->grave);
        h->grave_count--;
    }
    row_set(log, log->count++, e);
    e->log = log;
    list_add_last(&h->by_age, &e->by_age);
    if (e->expires_ms != UINT64_MAX)
        list_add_last(&h->by_ttl, &e->by_ttl);
    count_in(h, e);
    return is_collapsed;
}

int history_add(struct history *h, const struct history_item *item, uint64_t now_ms)
{
    struct key key = channel_key(item->to);
    struct entry *e;
    struct history_log *log;
    int status;

    /* The entry is made while the log comes from memory, if history_fetch was called. */
    hash_table_fetch_item(&h->logs[item->to.kind], bounded(item->to.name));
    e = entry_create(item, &key, h->limits.keep_ms, now_ms);
    log = e == NULL ? NULL : log_of(h, &key);
    status = log == NULL || row_reserve(log) != 0 ? -ENOMEM : put_in(h, log, e);
    if (status >= 0)
        make_room(h, log, now_ms);
    else if (e != NULL)
        entry_free(e);
    return status;
}

void history_lose(struct history *h, const struct history_item *item)
{
    struct history_log *log = history_log(h, item->to);

    if (log != NULL) {
        note_lost(log, item->message->seq, item->ttl_ms == 0);
    } else if (item->ttl_ms == 0) {
        h->forgotten_transient = item->message->seq;
    } else {
        h->forgotten_lost = item->message->seq;
    }
}

bool history_collapse(struct history *h, struct channel_name channel, struct slice collapse_key)
{
    struct key key = channel_key(channel);
    char text[sizeof key.p + 1 + MAX_KEY];
    struct entry *older;

    if (collapse_key.n == 0 || collapse_key.n > MAX_KEY)
        return false;
    older = hash_table_find(&h->collapse,
                            slice_make(text, put_collapse_key(text, &key, collapse_key)));
    if (older == NULL)
        return false;
    older->message->is_withdrawn = true;
    remove_entry(h, older);
    return true;
}

void history_expire(struct history *h, uint64_t now_ms, size_t steps)
{
    while (steps > 0 && !list_is_empty(&h->by_age)) {
        struct entry *oldest = LIST_HOLDER(h->by_age.next, struct entry, by_age);

        if (now_ms - oldest->at_ms < h->limits.keep_ms)
            break;
        evict(h, oldest, now_ms);
        steps--;
    }
    for (; steps > 0 && !list_is_empty(&h->by_ttl); steps--) {
        struct entry *next = LIST_HOLDER(h->by_ttl.next, struct entry, by_ttl);

        if (next->expires_ms <= now_ms) {
            remove_entry(h, next);
        } else {
            list_remove(&next->by_ttl);
            list_add_last(&h->by_ttl, &next->by_ttl);
        }
    }
}

bool history_retract(struct history *h, struct channel_name channel, uint64_t seq)
{
    struct history_log *log = history_log(h, channel);
    size_t i;

    if (log == NULL || seq == 0)
        return false;
    i = row_after(log, seq - 1);
    if (i == log->count || row_at(log, i)->message->seq != seq)
        return false;
    row_at(log, i)->message->is_withdrawn = true;
    remove_entry(h, row_at(log, i));
    return true;
}

size_t history_erase(struct history *h, struct channel_name channel)
{
    struct history_log *log = history_log(h, channel);
    size_t erased = 0;

    if (log == NULL || log->count == 0)
        return 0;
    while (log->count > 0) {
        take_out(h, log, log->count - 1);
        erased++;
    }
    bury(h, log);
    return erased;
}

/* Whether it is for a reader who was there from number `since` on. */
static bool is_for(const struct entry *e, uint64_t since, uint64_t now_ms)
{
    return (!e->is_transient || e->message->seq > since) && e->expires_ms > now_ms;
}

struct message *history_next(struct history_log *const *logs, size_t count, uint64_t after,
                             uint64_t since, uint64_t now_ms)
{
    struct message *first = NULL;

    for (size_t i = 0; i < count; i++) {
        if (logs[i] == NULL)
            continue;
        for (size_t k = row_after(logs[i], after); k < logs[i]->count; k++) {
            struct entry *e = row_at(logs[i], k);

            if (first != NULL && first->seq <= e->message->seq)
                break;
            if (!is_for(e, since, now_ms))
                continue;
            first = e->message;
            break;
        }
    }
    return first;
}

uint64_t history_lost_anew(const struct history *h, struct history_log *const *logs, size_t count,
                           uint64_t *known)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t of_row = logs[i] == NULL ? h->forgotten_lost : logs[i]->lost;

        if (known != NULL && of_row <= known[i])
            continue; /* in one row the oldest go first: a new loss has a higher number */
        lost = later(lost, of_row);
        if (known != NULL)
            known[i] = of_row;
    }
    return lost;
}

void history_begin_at(struct history *h, uint64_t seq)
{
    h->forgotten_lost = later(h->forgotten_lost, seq);
}

void history_begin_channel_at(struct history *h, struct channel_name channel, uint64_t seq)
{
    struct key key = channel_key(channel);
    struct history_log *log = log_of(h, &key);

    if (log == NULL) {
        history_begin_at(h, seq);
        return;
    }
    note_lost(log, seq, false);
    while (h->grave_count > MAX_GRAVES)
        forget_oldest_grave(h);
}

uint64_t history_lost(const struct history *h, struct history_log *const *logs, size_t count)
{
    return history_lost_anew(h, logs, count, NULL);
}

uint64_t history_lost_transient(const struct history *h, struct history_log *const *logs,
                                size_t count)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < count; i++)
        lost = later(lost, logs[i] == NULL ? h->forgotten_transient : logs[i]->lost_transient);
    return lost;
}

size_t history_count_after(struct history_log *const *logs, size_t count, uint64_t after,
                           uint64_t since, uint64_t now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (logs[i] == NULL)
            continue;
        for (size_t k = row_after(logs[i], after); k < logs[i]->count; k++)
            n += is_for(row_at(logs[i], k), since, now_ms);
    }
    return n;
}

void history_pin(struct history *h, struct channel_name channel, bool is_pinned)
{
    struct history_log *log = history_log(h, channel);

    if (log != NULL)
        log->is_pinned = is_pinned;
}

size_t history_count(const struct history *h)
{
    return h->count;
}

size_t history_bytes(const struct history *h)
{
    return h->bytes;
}

uint64_t history_oldest_ms(const struct history *h, uint64_t now_ms)
{
    if (list_is_empty(&h->by_age))
        return 0;
    return now_ms - LIST_HOLDER(h->by_age.next, struct entry, by_age)->at_ms;
}

uint64_t history_evicted(const struct history *h)
{
    return h->evicted;
}

static void free_logs(struct hash_table *logs)
{
    struct history_log *log;
    size_t cursor = 0;

    while ((log = hash_table_next(logs, &cursor)) != NULL) {
        free(log->row);
        free(log);
    }
    hash_table_fini(logs);
}

static void fini(struct history *h)
{
    while (!list_is_empty(&h->by_age)) {
        struct entry *e = LIST_HOLDER(h->by_age.next, struct entry, by_age);

        list_remove(&e->by_age);
        count_out(h, e);
        entry_free(e);
    }
    for (size_t i = 0; i < CHANNEL_KINDS; i++)
        free_logs(&h->logs[i]);
    hash_table_fini(&h->collapse);
}

void history_destroy(struct history *h)
{
    if (h == NULL)
        return;
    fini(h);
    free(h);
}

void history_clear(struct history *h)
{
    struct history_limits limits = h->limits;

    fini(h);
    init(h, &limits);
}
