/* store_priv.h - what is in the environment, and what the files of this folder share.
 *
 *   name      flags                       key                     value
 *   entries   INTEGERKEY                  number, u64             record (record.h)
 *   channels  DUPSORT DUPFIXED INTEGERDUP kind u8, name           number << 1, u64, one an entry;
 *                                                                 and at most one mark: the highest
 *                                                                 number a bound took << 1 | 1
 *   ttl       INTEGERKEY and those three  expires_ms, u64         number, one an entry
 *   collapse  INTEGERKEY                  hash, u64 (below)       number
 *   keys      INTEGERKEY                  number                  struct stored_key, the key's text
 *   state     -                           "state"                 struct stored_state
 *
 * An entry has one place in `entries` and one in `channels`, one in `ttl` where it has a ttl of its
 * own, and one in `collapse` where it has a collapse key and is the newest with that hash. In a
 * channel the oldest entries go first, so its mark stands before all of its numbers. A channel with
 * a mark and nothing else is a grave.
 *
 * LMDB is known to this folder alone. */
#ifndef STORE_PRIV_H
#define STORE_PRIV_H
#include <lmdb.h>
#include "base/file.h"
#include "store/store.h"


enum { MARK = 1, MAX_CHANNEL_KEY = 1 + MAX_CHANNEL_NAME };

/* Each of the file's two heads, which are its first two pages: the page's own, then an MDB_meta. */
enum { HEAD_SIZE = 152 };

struct stored_key {
    uint32_t sum;           /* CRC-32C of what follows, of the text, and of the number */
    uint32_t zero;
    uint64_t time_ms;
};

/* Sums are modulo 2^64 and tell a damaged tree from a whole one. The first two fields stay where
 * they are in every format, and the sum is over all that follows it, however long that is: what is
 * damaged is not taken for something newer. */
struct stored_state {
    uint32_t sum;           /* CRC-32C of what follows */
    uint32_t format;        /* STORE_FORMAT */
    uint64_t txn;           /* LMDB's number of the transaction that wrote this: the two heads of
                               the file have no checksum, and a flipped bit may make the older one
                               the newer */
    char epoch[16];         /* terminated */
    uint64_t head;
    uint64_t reserved;
    uint64_t time_ms;
    uint64_t lost_all;      /* what may have been handed out and was not recorded, to anybody */
    uint64_t lost_forgotten;/* highest mark of the graves that were removed: of whoever has none */
    uint64_t lost_highest;  /* highest number in any mark that there ever was */
    uint64_t graves;
    uint64_t entries;
    uint64_t entries_sum;   /* of record_sum of all entries */
    uint64_t keys;
    uint64_t keys_sum;      /* of stored_key.sum of all keys */
    uint64_t marks_sum;     /* of mark_sum of all marks */
    uint64_t hash_key[2];   /* of the hashes in `collapse` */
    uint64_t is_backup;     /* 1: a copy; it draws a new epoch when it is opened for writing */
    uint64_t wal_id;        /* of the write-ahead log, by which its frames are known */
    uint64_t wal_number;    /* all frames up to this one are in the trees */
    uint64_t wal_size;      /* its files have at least; 0: they need not be there, for the trees
                               have everything */
};

/* What the databases are called, in the order of struct dbs, and how LMDB keeps them. */
enum db { DB_ENTRIES, DB_CHANNELS, DB_TTL, DB_COLLAPSE, DB_KEYS, DB_STATE, DB_COUNT };

struct db_kind {
    const char *name;
    unsigned flags;
};

extern const struct db_kind db_kinds[DB_COUNT];

struct dbs {
    MDB_dbi entries;
    MDB_dbi channels;
    MDB_dbi ttl;
    MDB_dbi collapse;
    MDB_dbi keys;
    MDB_dbi state;
};

struct store {
    struct store_options options;
    MDB_env *env;
    struct dbs dbs;
    int lock_fd;                 /* -1: read only */
    bool is_in_doubt;            /* a commit failed in its last step */
    bool is_head_lost;           /* and the head that it wrote is not yet again ... */
    off_t head_at;               /* ... what it was, there */
    unsigned char head[HEAD_SIZE];
    bool has_loss;               /* see store_note_loss */
    uint64_t file_size;          /* after the last commit */
    bool is_renumbered;          /* the last commit's number is not the one that it knows */
    uint64_t max_graves;
    uint64_t max_keys;
    struct store_state state;    /* of the last commit */
    struct stored_state stored;  /* likewise */
    uint64_t due_ms;             /* when a sweep has something to do next */
    /* while a transaction writes: */
    MDB_txn *txn;
    MDB_cursor *entries;
    MDB_cursor *channels;
    struct stored_state next;    /* what `stored` becomes */
    uint64_t evicted;            /* what is added to the state's counters */
    uint64_t collapsed;
    char grave_at[MAX_CHANNEL_KEY]; /* where the sweep for graves goes on */
    size_t grave_at_n;
};

struct channel_key {
    size_t n;
    char p[MAX_CHANNEL_KEY];
};

void channel_key_make(struct channel_key *key, struct channel_name channel);

/* What a mark adds to marks_sum. */
uint64_t mark_sum(const struct channel_key *key, uint64_t mark);

/* The sum of a key as it is stored; `head` is its struct stored_key, whatever its own sum says. */
uint32_t stored_key_sum(const struct stored_key *head, struct slice text, uint64_t seq);

void stored_state_seal(struct stored_state *state);
bool stored_state_is_sound(const struct stored_state *state);

/* After a commit in doubt, before the environment is closed: takes it back. Returns 0 or -errno;
 * then it is to be tried again, and nothing may be written before. */
int store_restore_head(struct store *s);

/* ---- directory.c ---- */
#define DATA_FILE "data.mdb"             /* the first two are LMDB's names; the log's own files are
                                            named in wal_priv.h */
#define READERS_FILE "lock.mdb"
#define NEW_FILE "data.mdb.new"           /* one that is being made */
#define PART_FILE "data.mdb.part"        /* a copy under way */
#define LOCK_FILE "sse-notify.lock"      /* held, with its pid, by the process that writes */
#define DRAFT "draft"                    /* a directory: what may take the store's place */

enum {
    MAX_PATH = 4096,               /* of the directory */
    MAX_FILE = MAX_PATH + 64,      /* of a file in it */
    FILE_MODE = 0600,
    DIRECTORY_MODE = 0700,
};

/* Makes the directory and those above it where they are missing. */
int directory_make(const char *path, struct error *why);

/* Takes the directory's lock; *fd (-1: not even opened) is the caller's to close in any case. */
int directory_lock(const char *path, int *fd, struct error *why);

/* Fails where there is anything but the file `but_for` in the directory. */
int directory_check_empty(const char *path, const char *but_for, struct error *why);

/* What was made or renamed beside the path is safe then. Returns 0 or errno. */
int directory_sync_parent(const char *path);

/* What root has made in a directory of somebody else's is given to them: it is the daemon's, which
 * must be able to open it. Nobody but root can, and for others it does nothing. */
void directory_give_to_owner(const char *path);

/* What is root's becomes that user's. Returns 0 or -errno. */
int directory_give_to(const char *path, uid_t uid, gid_t gid);

/* Removes what a process that was killed has left; with the lock. */
void directory_clear_draft(const char *path);

/* The draft becomes the store, as store_replace says; or in any case: who reads the old one is left
 * alone with it, and whoever is opening it at this moment may see the new one's commit before the
 * last. */
int directory_replace(const char *path, bool in_any_case, struct error *why);

/* The directory that the lock is of. */
const char *store_locked_path(const struct store_lock *lock);

/* Of the data file; 0 where it cannot be told. */
uint64_t file_size(const struct store *s);

/* LMDB's codes as -errno. */
int store_error(int code);

/* Sets the names of the databases up; `create` makes those that are missing. */
int dbs_open(struct dbs *dbs, MDB_txn *txn, bool create);

/* The highest number that a bound took from a channel, given its mark (0: none). */
uint64_t lost_of_channel(const struct stored_state *state, uint64_t mark);

/* What the store is as `txn` sees it, where its state is `stored`; and when a sweep is due. */
int state_measure(struct store *s, MDB_txn *txn, const struct stored_state *stored,
                  struct store_state *out);

/* Opens what is in the directory, whose lock the caller has, and makes it whole. */
int store_open_locked(struct store *s, struct error *why);

/* As for a store of these options, which has no bounds. */
struct store *store_make(const struct store_options *options, struct error *why);

/* Reads the state of the last commit. Returns 0 or LMDB's code. */
int store_look(struct store *s);

/* ---- replay.c ---- */
/* Gives the trees what the write-ahead log has, which nothing is needed of then. That some of it is
 * lost is logged, and begins a new epoch. */
int store_replay(struct store *s);

/* For one who reads only: waits until the trees have what the log has now, if a process is about to
 * give it to them; that it does not is logged. False: none is. */
bool store_await_log(struct store *s, const struct store_lock *own);

/* Logs that, for one who reads. */
void store_note_left_out(const char *path, const char *why);

/* Opens the store for writing for as long as that takes, with the lock that is the caller's, or
 * else one of its own. Returns 0, or -1 with `why`. */
int store_bring_in_log(const char *path, const struct store_lock *own, struct error *why);

/* ---- write.c ---- */
/* Removes an entry with all that belongs to it. With `is_lost` its channel remembers it. */
int write_remove(struct store *s, const struct record *record, struct slice bytes, bool is_lost);

/* Takes one grave away. */
int write_remove_grave(struct store *s, const MDB_val *key, uint64_t mark);

static inline MDB_val val_of(const void *p, size_t n)
{
    return (MDB_val){n, (void *)(uintptr_t)p}; /* LMDB has no const; it only reads */
}

static inline struct slice slice_of_val(MDB_val v)
{
    return slice_make(v.mv_data, v.mv_size);
}

/* Numbers may stand anywhere in a page. */
static inline uint64_t u64_of_val(MDB_val v)
{
    uint64_t x;

    memcpy(&x, v.mv_data, sizeof x);
    return x;
}
#endif
