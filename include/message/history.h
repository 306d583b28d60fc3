/* history.h - messages that are kept, in order and by channel, within bounds.
 *
 * Each channel has its messages in a row sorted by number, so that the first one behind a cursor
 * is found by halving, never by a scan from the oldest. What goes because of a bound is remembered
 * as lost: the highest number lost of each channel tells a reader who comes late whether anything
 * is missing. What goes because somebody wished so (collapse, retract, erase, a ttl of its own) is
 * not lost. The memory journal and the manager's window are both made of this.
 * Pure memory: no clock, no I/O, one thread. */
#ifndef MESSAGE_HISTORY_H
#define MESSAGE_HISTORY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "message/message.h"
#include "message/notification.h"

struct history;
struct history_log; /* one channel's row */

struct history_limits {
    size_t max_bytes;      /* of messages and their bookkeeping; the oldest go first */
    uint64_t keep_ms;      /* age at which an entry goes */
    size_t max_per_user;   /* entries of one user's channel */
    uint64_t *held;        /* counts the memory of what is in here, as message_hold does; or NULL */
};

struct history_item {
    struct channel_name to;
    struct message *message;   /* its seq must be above all before; a reference is taken */
    uint64_t ttl_ms;           /* TTL_DEFAULT, or as given; 0: kept for those who were connected */
    struct slice collapse_key; /* empty: none */
    uint64_t age_ms;           /* how long ago it was sent: over 0 for what was kept elsewhere */
};

/* NULL without memory. */
struct history *history_create(const struct history_limits *limits);
void history_destroy(struct history *h);

/* As if it were new. */
void history_clear(struct history *h);

/* Adds the newest entry at `now_ms` (any clock that only grows) and makes room by the bounds. If
 * an entry of the same channel and collapse key is kept, it goes, and its message is marked
 * withdrawn. Returns 0 (1: something was collapsed), or -ENOMEM: nothing has changed. */
int history_add(struct history *h, const struct history_item *item, uint64_t now_ms);

/* Counts as lost what history_add has refused, for those who go without it. */
void history_lose(struct history *h, const struct history_item *item);

/* Removes the entry of that collapse key, as a newer one would that is not added itself; its
 * message is marked withdrawn. False if none is kept. */
bool history_collapse(struct history *h, struct channel_name channel, struct slice collapse_key);

/* Removes what has outlived its time, looking at no more than `steps` entries. */
void history_expire(struct history *h, uint64_t now_ms, size_t steps);

/* Removes one entry; its message is marked withdrawn. False if it is not kept. */
bool history_retract(struct history *h, struct channel_name channel, uint64_t seq);

/* Removes all of a channel; returns how many. */
size_t history_erase(struct history *h, struct channel_name channel);

/* The row of a channel, or NULL if nothing of it is known; valid until the history changes. */
struct history_log *history_log(const struct history *h, struct channel_name channel);

/* For a history_add to come: begins to fetch from memory where the channel is found. */
void history_fetch(const struct history *h, struct channel_name channel);

/* The oldest message behind `after` in any of the rows (NULL rows are empty), or NULL. Those with
 * a ttl of 0 come only if their number is over `since`. Borrowed. */
struct message *history_next(struct history_log *const *logs, size_t count, uint64_t after,
                             uint64_t since, uint64_t now_ms);

/* The highest number that a bound has taken from any of the rows; for a row of NULL, the highest
 * of the channels that were forgotten. Entries with a ttl of 0 count in the second only. */
uint64_t history_lost(const struct history *h, struct history_log *const *logs, size_t count);
uint64_t history_lost_transient(const struct history *h, struct history_log *const *logs,
                                size_t count);

/* As history_lost, but of rows that have lost a number over the one in `known`, which is then
 * brought up to date; NULL: nothing is known. */
uint64_t history_lost_anew(const struct history *h, struct history_log *const *logs, size_t count,
                           uint64_t *known);

/* Entries up to `seq` are kept elsewhere, or nowhere, and will not be added: they count as lost,
 * for all. Only before anything is added. */
void history_begin_at(struct history *h, uint64_t seq);

/* The same for one channel, at any time. Without memory it is so for all. */
void history_begin_channel_at(struct history *h, struct channel_name channel, uint64_t seq);

/* How many messages history_next would bring, one after the other. */
size_t history_count_after(struct history_log *const *logs, size_t count, uint64_t after,
                           uint64_t since, uint64_t now_ms);

/* While a row is pinned only age takes from it, and nothing that is newer goes by bytes: its
 * readers are coming. Whoever pins looks at history_bytes and ends that in time. */
void history_pin(struct history *h, struct channel_name channel, bool is_pinned);

size_t history_count(const struct history *h);
size_t history_bytes(const struct history *h);

/* How long ago the oldest entry was sent; 0: there is none. */
uint64_t history_oldest_ms(const struct history *h, uint64_t now_ms);

/* Entries that a bound or their age has taken since the start. */
uint64_t history_evicted(const struct history *h);
#endif
