/* store.h - the record on disk: one LMDB environment in a directory of its own.
 *
 * Everything here blocks on the disk, and knows no loop and no streams. One thread writes; any
 * number of readers, each in a thread of its own, see the last commit. What a commit has returned 0
 * for survives the death of the process and, unless it was made without sync, of the machine.
 *
 * Entries stand in order of their numbers, and by channel; the highest number that a bound has
 * taken from a channel is remembered with it, so that a reader knows what it has missed. */
#ifndef STORE_STORE_H
#define STORE_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "message/id.h"
#include "message/message.h"
#include "store/record.h"

struct store;
struct store_lock; /* replace.h */
struct store_reader;

enum {
    STORE_FORMAT = 2,          /* version of what is written; a newer one is refused */
    STORE_MAX_CHANNELS = 64,   /* of one page */
    STORE_MAX_KEYS = 1000000,  /* idempotency keys kept; see store_max_keys */
};

struct store_options {
    const char *path;          /* directory; made if it is missing */
    uint64_t keep_ms;          /* age at which an entry goes */
    size_t keep_per_user;      /* entries of one user's channel */
    uint64_t keep_bytes;       /* of pages in use; the file stays within 1.5 times that */
    uint64_t keys_ms;          /* how long an idempotency key is kept */
    bool is_unsynced;          /* commits survive the process only */
};

/* What the store knows of itself; of the last commit. */
struct store_state {
    char epoch[EPOCH_SIZE];
    uint64_t head;             /* highest number that was ever recorded or skipped */
    uint64_t time_ms;          /* the journal's clock at the last commit */
    uint64_t reserved;         /* numbers up to this may be handed out before they are recorded */
    uint64_t entries;
    uint64_t bytes;            /* of pages in use */
    uint64_t oldest_ms;        /* time_ms of the oldest entry; 0: none */
    uint64_t evicted;          /* entries that a bound has taken, and what collapse keys have */
    uint64_t collapsed;        /* replaced: both since the store was opened */
};

/* Opens the directory for writing and takes its lock. What an earlier process could have handed out
 * without recording it counts as lost to all (see store_reserve). The file is checked first; where
 * it is damaged that is logged, what is whole of it goes into a new one, and has a new epoch if
 * anything is lost (see store_repair in check.h). NULL, with a sentence in `why` that names the
 * cause and its cure: another process holds it (and which), it is of a newer format or somebody
 * else's, no permission, no room. */
struct store *store_open(const struct store_options *options, struct error *why);

/* Opens for reading beside a process that may be writing: for tools. Never makes a store, and
 * neither checks nor repairs one. What was acknowledged before is there, if it takes a moment: what
 * a process that was killed has left in the write-ahead log is brought in now. Where that cannot be
 * done a warning is logged; or, with a lock of the caller's (NULL: none), the store is not
 * opened. */
struct store *store_open_read_only(const char *path, const struct store_lock *own,
                                   struct error *why);

/* Makes the files that user's, as whom this process goes on: they may have to be opened again. Of
 * any thread. Returns 0 or -errno. */
int store_give_to(const struct store *s, uid_t uid, gid_t gid);

/* Closes; a store that was written to remembers that nothing is missing, unless store_note_loss was
 * called. NULL is allowed. */
void store_close(struct store *s);

/* The state as of the last commit; for the writing thread, or before it begins. */
const struct store_state *store_state(const struct store *s);

/* ---- writing: all in the one thread, between store_begin and store_commit or store_abort ---- */

/* Each returns 0 or -errno: -ENOSPC the disk or the map is full, -EIO and others. After a failure
 * only store_abort may follow, and nothing of what was written since store_begin is there, but for
 * a commit that is in doubt. store_begin returns -EUCLEAN when the file is shorter than it was. */
int store_begin(struct store *s);

/* Appends a record, which record_write has made, of a number above all before. Takes what it
 * replaces by its collapse key, and the oldest of its user past keep_per_user. */
int store_append(struct store *s, char *record, size_t size);

/* A number above all before that is not kept (a ttl of 0); what has the collapse key goes. */
int store_skip(struct store *s, uint64_t seq, struct channel_name to, struct slice collapse_key);

/* How many idempotency keys a store of that size keeps: the oldest go when there are more. */
uint64_t store_max_keys(uint64_t keep_bytes);

/* Keeps an idempotency key of that number, which must be above those of all keys before. */
int store_add_key(struct store *s, uint64_t seq, uint64_t time_ms, struct slice key);

/* Removes one entry; *count is 1 if it was there. */
int store_retract(struct store *s, struct channel_name channel, uint64_t seq, size_t *count);

/* Removes all of a channel, and says how many. */
int store_erase(struct store *s, struct channel_name channel, size_t *count);

/* Numbers up to `seq` may be handed out before they are recorded: an open that finds no clean end
 * goes on behind them. 0: none may. */
void store_reserve(struct store *s, uint64_t seq);

/* All frames of the write-ahead log (wal.h) up to that number are in the trees with the commit to
 * come. */
void store_note_logged(struct store *s, uint64_t number);

/* Removes what bounds and ttl ask for by `time_ms`: at most `steps` entries or, where that is more,
 * `bytes` of them; *has_more: there may be more to do. */
int store_sweep(struct store *s, uint64_t time_ms, size_t steps, size_t bytes, bool *has_more);

/* Whether store_sweep has anything to do; in no transaction. */
bool store_wants_sweep(struct store *s, uint64_t time_ms);

int store_commit(struct store *s, uint64_t time_ms);
void store_abort(struct store *s);

/* Numbers that were handed out will not be recorded: the next open finds no clean end. */
void store_note_loss(struct store *s);

/* Whether a failed commit has left in doubt what is on the disk: nothing can be read or written
 * until store_reopen has succeeded. */
bool store_is_in_doubt(const struct store *s);

/* Takes the commit in doubt back, for good, and opens the environment anew; all readers must be
 * destroyed. store_state is then as before that commit. Returns 0, or -errno: try it again. */
int store_reopen(struct store *s);

/* Whether there is so little room left that writing is bound to fail for it. */
bool store_is_full(const struct store *s);

/* Commits that were made without sync are safe from power loss too. Returns 0 or -errno. */
int store_sync(struct store *s);

/* ---- writing: what was recorded by another store; between store_begin and store_commit ---- */

/* What a store may take over from another whose record it continues. */
struct store_origin {
    char epoch[EPOCH_SIZE];
    uint64_t head;
    uint64_t time_ms;        /* the other's clock */
    uint64_t lost_all;       /* as in survey.h */
    uint64_t lost_forgotten;
};

/* The store goes on as the other, all of whose entries it has: ids given out there mean the same
 * here. Returns 0; -EINVAL where its head is below a number that is recorded here. */
int store_continue(struct store *s, const struct store_origin *origin);

/* A bound took this number from the channel. Returns 0; -EINVAL where the channel has an entry of
 * that number or an older one; -errno. */
int store_add_loss(struct store *s, struct channel_name channel, uint64_t seq);

/* ---- reading ---- */

/* A reader is used by one thread at a time. NULL without memory. Pair: store_reader_destroy,
 * before store_close. */
struct store_reader *store_reader_create(struct store *s);
void store_reader_destroy(struct store_reader *r);

struct store_query {
    const struct channel_name *channels;
    size_t channel_count;    /* at most STORE_MAX_CHANNELS */
    uint64_t after;          /* entries behind this number ... */
    uint64_t until;          /* ... up to this one */
    uint64_t time_ms;        /* what has outlived its ttl by then is left out */
    size_t max_entries;
    size_t max_bytes;        /* of messages; at least one comes all the same */
    const uint64_t *hash_key; /* two numbers, for the page's `collapse`, or NULL */
};

/* The hash of a channel's collapse key, under a key of the caller's. */
uint64_t collapse_hash(const uint64_t hash_key[2], struct channel_name to, struct slice key);

struct store_page {
    struct message **messages; /* room for max_entries, the caller's; each gets one reference */
    uint64_t *collapse;      /* likewise, where the query has a hash_key: the hash of each one's
                              * collapse key, or 0 where it has none */
    size_t count;
    uint64_t head;           /* of the store, as it was read */
    uint64_t covered;        /* all that is kept up to this number has come; at least `after` */
    uint64_t lost[STORE_MAX_CHANNELS]; /* the highest number that a bound took, by channel */
};

/* Reads a page of the channels' entries, the oldest first. Returns 0 or -errno (-EBADMSG: a record
 * is damaged, -ENOMEM); then no message is the caller's. */
int store_read(struct store_reader *r, const struct store_query *query, struct store_page *page);

/* Calls `visit` with the records from `from` on, in order of their numbers, until it returns
 * something other than 0, which is returned. `bytes` is the record as it stands. */
typedef int store_visit_fn(void *ctx, const struct record *record, struct slice bytes);
int store_each(struct store_reader *r, uint64_t from, store_visit_fn *visit, void *ctx);

/* The number from which on the records hold about `bytes`, counted back from the newest, or
 * UINT64_MAX if there are none; and *floor, up to which any channel may have lost something. */
int store_find_tail(struct store_reader *r, size_t bytes, uint64_t *from, uint64_t *floor);

/* Calls `visit` with the channels that have lost a number over `above`, and the highest of each. */
typedef int store_lost_fn(void *ctx, struct channel_name channel, uint64_t lost);
int store_each_lost(struct store_reader *r, uint64_t above, store_lost_fn *visit, void *ctx);

/* Calls `visit` with the idempotency keys, the oldest first. */
typedef int store_key_fn(void *ctx, uint64_t seq, uint64_t time_ms, struct slice key);
int store_each_key(struct store_reader *r, store_key_fn *visit, void *ctx);

/* Copies the store, as of its last commit, into the directory `to`, which must be empty or absent,
 * without its free pages; what is there at the end is safe on disk, and whole or not there at all.
 * Ids that are given out after the copy may name other notifications there: a backup draws a new
 * epoch when it is opened for writing. `on_progress` (NULL: none) is told every so often how many
 * bytes of about how many there are. Returns 0, or -1 with `why`. */
typedef void store_progress_fn(void *ctx, uint64_t bytes, uint64_t of);
int store_copy(struct store *s, const char *to, bool is_backup, store_progress_fn *on_progress,
               void *ctx, struct error *why);
#endif
