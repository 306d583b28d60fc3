/* store.c - opening, closing, and what the store knows of itself. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/log.h"
#include "check_priv.h"
#include "store/guard.h"
#include "store/replace.h"

enum {
    MAX_DBS = 8,
    MAX_READERS = 126,
    LOCK_PAUSE_MS = 50,
    LOCK_PAUSES = 40,
    BYTES_PER_GRAVE = 2048, /* of keep_bytes: one takes 50 to 300, so that entries have room */
    BYTES_PER_KEY = 512,    /* likewise */
};

#define MAP_HEADROOM ((uint64_t)64 << 20)

/* ---- what is written of it ---- */

void stored_state_seal(struct stored_state *state)
{
    state->sum = crc32c(0, (const char *)state + sizeof state->sum,
                        sizeof *state - sizeof state->sum);
}

bool stored_state_is_sound(const struct stored_state *state)
{
    return state->sum == crc32c(0, (const char *)state + sizeof state->sum,
                                sizeof *state - sizeof state->sum) &&
           memchr(state->epoch, '\0', EPOCH_SIZE) == state->epoch + EPOCH_LENGTH;
}

uint32_t stored_key_sum(const struct stored_key *head, struct slice text, uint64_t seq)
{
    uint32_t sum = crc32c(0, (const char *)head + sizeof head->sum,
                          sizeof *head - sizeof head->sum);

    return crc32c(crc32c(sum, text.p, text.n), &seq, sizeof seq);
}

void channel_key_make(struct channel_key *key, struct channel_name channel)
{
    size_t n = channel.name.n > MAX_CHANNEL_NAME ? MAX_CHANNEL_NAME : channel.name.n;

    key->p[0] = (char)channel.kind;
    if (n > 0)
        memcpy(key->p + 1, channel.name.p, n);
    key->n = 1 + n;
}

uint64_t mark_sum(const struct channel_key *key, uint64_t mark)
{
    uint64_t x = crc32c(crc32c(0, key->p, key->n), &mark, sizeof mark);

    return x * 0x9e3779b97f4a7c15u ^ mark;
}

uint64_t collapse_hash(const uint64_t hash_key[2], struct channel_name to, struct slice key)
{
    struct channel_key channel;
    char text[MAX_CHANNEL_KEY + 1 + MAX_KEY];
    size_t n = key.n > MAX_KEY ? MAX_KEY : key.n;

    channel_key_make(&channel, to);
    memcpy(text, channel.p, channel.n);
    text[channel.n] = '\0'; /* which no name holds: no two pairs look alike */
    memcpy(text + channel.n + 1, key.p, n);
    return hash_keyed(hash_key, slice_make(text, channel.n + 1 + n));
}

uint64_t lost_of_channel(const struct stored_state *state, uint64_t mark)
{
    uint64_t lost = mark > 0 ? mark >> 1 : state->lost_forgotten;

    return lost > state->lost_all ? lost : state->lost_all;
}

uint64_t file_size(const struct store *s)
{
    struct stat file;
    int fd;

    return s->env != NULL && mdb_env_get_fd(s->env, &fd) == 0 && fstat(fd, &file) == 0
               ? (uint64_t)file.st_size
               : 0;
}

int store_error(int code)
{
    switch (code) {
    case 0:
        return 0;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case EFBIG:
    case EDQUOT:
        return -ENOSPC;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_TXN:
        return -EBADMSG;
    case MDB_PANIC: /* until it is opened again */
        return -EAGAIN;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_READERS_FULL:
        return -EAGAIN;
    default:
        return code > 0 ? -code : -EIO;
    }
}

/* ---- what is there ---- */

/* Pages in use, of all trees. The trees within `channels` (a channel of some hundred entries has
 * one) are in no count of LMDB's: twelve bytes an entry stand for them. */
static int measure_bytes(const struct store *s, MDB_txn *txn, uint64_t entries, uint64_t *bytes)
{
    const MDB_dbi all[] = {1, /* the tree of names */ s->dbs.entries, s->dbs.channels, s->dbs.ttl,
                           s->dbs.collapse, s->dbs.keys, s->dbs.state};
    uint64_t pages = 2; /* the two heads of the file */
    MDB_stat stat;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int code = mdb_stat(txn, all[i], &stat);

        if (code != 0)
            return code;
        pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    *bytes = pages * stat.ms_psize + 12 * entries;
    return 0;
}

/* The first pair of a tree; `key` is 0 where there is none. */
static int first_of(MDB_txn *txn, MDB_dbi dbi, uint64_t *key, MDB_val *value)
{
    MDB_cursor *cursor;
    MDB_val k;
    int code = mdb_cursor_open(txn, dbi, &cursor);

    *key = 0;
    if (code != 0)
        return code;
    code = mdb_cursor_get(cursor, &k, value, MDB_FIRST);
    if (code == 0)
        *key = u64_of_val(k);
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

static void note_due(uint64_t *due, uint64_t at)
{
    if (at < *due)
        *due = at;
}

int state_measure(struct store *s, MDB_txn *txn, const struct stored_state *stored,
                  struct store_state *out)
{
    struct stored_key key;
    struct record oldest;
    MDB_stat stat;
    MDB_val value;
    uint64_t at;
    int code = mdb_stat(txn, s->dbs.entries, &stat);

    if (code != 0)
        return code;
    s->due_ms = UINT64_MAX;
    memcpy(out->epoch, stored->epoch, EPOCH_SIZE);
    out->head = stored->head;
    out->time_ms = stored->time_ms;
    out->reserved = stored->reserved;
    out->entries = stat.ms_entries;
    out->oldest_ms = 0;
    code = measure_bytes(s, txn, out->entries, &out->bytes);
    if (code == 0)
        code = first_of(txn, s->dbs.entries, &at, &value);
    if (code == 0 && at > 0 && record_read(&oldest, slice_of_val(value)) == 0) {
        out->oldest_ms = oldest.time_ms;
        note_due(&s->due_ms, oldest.time_ms + s->options.keep_ms);
    }
    if (code == 0)
        code = first_of(txn, s->dbs.ttl, &at, &value);
    if (code == 0 && at > 0)
        note_due(&s->due_ms, at);
    if (code == 0)
        code = first_of(txn, s->dbs.keys, &at, &value);
    if (code == 0 && at > 0 && value.mv_size >= sizeof key) {
        memcpy(&key, value.mv_data, sizeof key);
        note_due(&s->due_ms, key.time_ms + s->options.keys_ms);
    }
    return code;
}

/* ---- opening ---- */

#define NUMBERS (MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP)

const struct db_kind db_kinds[DB_COUNT] = {
    [DB_ENTRIES] = {"entries", MDB_INTEGERKEY},
    [DB_CHANNELS] = {"channels", NUMBERS},
    [DB_TTL] = {"ttl", MDB_INTEGERKEY | NUMBERS},
    [DB_COLLAPSE] = {"collapse", MDB_INTEGERKEY},
    [DB_KEYS] = {"keys", MDB_INTEGERKEY},
    [DB_STATE] = {"state", 0},
};

int dbs_open(struct dbs *dbs, MDB_txn *txn, bool create)
{
    MDB_dbi *const all[DB_COUNT] = {&dbs->entries,  &dbs->channels, &dbs->ttl,
                                    &dbs->collapse, &dbs->keys,     &dbs->state};
    int code = 0;

    for (size_t i = 0; i < DB_COUNT && code == 0; i++)
        code = mdb_dbi_open(txn, db_kinds[i].name, db_kinds[i].flags | (create ? MDB_CREATE : 0),
                            all[i]);
    return code;
}

static int read_stored(struct store *s, MDB_txn *txn, struct error *why)
{
    MDB_val key = val_of("state", 5);
    MDB_val value;
    int code = mdb_get(txn, s->dbs.state, &key, &value);
    uint32_t format;

    if (code != 0)
        return code;
    if (value.mv_size < offsetof(struct stored_state, epoch))
        return MDB_CORRUPTED;
    memcpy(&format, (char *)value.mv_data + offsetof(struct stored_state, format), sizeof format);
    if (format > STORE_FORMAT) {
        error_set(why,
                  "journal.path = %s: it was written by a newer sse-notify (format %u, this one "
                  "knows %d): run that one, or give this daemon another path",
                  s->options.path, format, STORE_FORMAT);
        return MDB_VERSION_MISMATCH;
    }
    if (value.mv_size != sizeof s->stored)
        return MDB_CORRUPTED;
    memcpy(&s->stored, value.mv_data, sizeof s->stored);
    return stored_state_is_sound(&s->stored) ? 0 : MDB_CORRUPTED;
}

/* A new store's state; or what an earlier process could have handed out is lost to all. */
static int begin_state(struct store *s, bool is_new)
{
    struct stored_state *state = &s->next;
    int status = store_begin(s);

    if (status != 0)
        return status;
    if (is_new) {
        *state = (struct stored_state){.format = STORE_FORMAT};
        status = epoch_create(state->epoch);
        if (status == 0)
            status = hash_random_key(state->hash_key);
    } else if (state->reserved > state->head) {
        state->lost_all = state->reserved;
        state->head = state->reserved;
    }
    if (status == 0 && state->is_backup != 0) {
        state->is_backup = 0;
        state->wal_size = 0; /* what log there is goes on with something else */
        status = epoch_create(state->epoch);
    }
    state->reserved = 0;
    if (status != 0) {
        store_abort(s);
        return status;
    }
    status = store_commit(s, state->time_ms);
    /* A compact copy numbers its transactions from 1 on: both heads of the file get a state that
     * knows its number. */
    if (status == 0 && s->is_renumbered)
        status = store_begin(s);
    if (status == 0 && s->is_renumbered)
        status = store_commit(s, state->time_ms);
    return status;
}

/* An environment that is not there yet is made beside its place and moved there whole: of one that
 * the power has cut short nobody could tell that nothing was in it. */
static int make_env(const struct store *s)
{
    char path[MAX_FILE];
    char draft[MAX_FILE];
    struct stat file;
    MDB_env *env;
    int code;

    snprintf(path, sizeof path, "%s/" DATA_FILE, s->options.path);
    snprintf(draft, sizeof draft, "%s/" NEW_FILE, s->options.path);
    if (stat(path, &file) == 0 && file.st_size > 0)
        return 0;
    if (unlink(draft) != 0 && errno != ENOENT)
        return errno;
    code = mdb_env_create(&env);
    if (code != 0)
        return code;
    code = mdb_env_open(env, draft, MDB_NOSUBDIR | MDB_NOLOCK, FILE_MODE);
    if (code == 0)
        code = mdb_env_sync(env, 1);
    mdb_env_close(env);
    if (code == 0 && rename(draft, path) != 0)
        code = errno;
    return code != 0 ? code : -file_sync_directory(s->options.path);
}

/* LMDB has found a page that makes no sense; if this returns, it ends the process. */
static void on_assertion(MDB_env *env, const char *what)
{
    (void)env;
    (void)what;
    guard_fail();
}

static int open_env(struct store *s, unsigned flags)
{
    /* Freed pages may lie scattered when a large record wants several in a row: the map is larger
     * than the file is ever meant to get. */
    uint64_t map = s->options.keep_bytes * 2 + MAP_HEADROOM;
    struct stat file;
    char path[4096 + 32];
    int dead;
    int code = mdb_env_create(&s->env);

    snprintf(path, sizeof path, "%s/" DATA_FILE, s->options.path);
    if (stat(path, &file) == 0 && (uint64_t)file.st_size + MAP_HEADROOM > map)
        map = (uint64_t)file.st_size + MAP_HEADROOM;
    if (code == 0 && (flags & MDB_RDONLY) == 0)
        code = mdb_env_set_mapsize(s->env, map); /* else as large as whoever writes has made it */
    if (code == 0)
        code = mdb_env_set_maxdbs(s->env, MAX_DBS);
    if (code == 0)
        code = mdb_env_set_maxreaders(s->env, MAX_READERS);
    if (code == 0)
        code = mdb_env_set_assert(s->env, on_assertion);
    if (code == 0)
        code = mdb_env_open(s->env, s->options.path, MDB_NOTLS | flags, FILE_MODE);
    /* A process that was killed may have left a head that is in memory only: what the next commit
     * writes over belongs to the one that the disk has. */
    if (code == 0 && (flags & (MDB_RDONLY | MDB_NOSYNC)) == 0)
        code = mdb_env_sync(s->env, 1);
    if (code == 0)
        mdb_reader_check(s->env, &dead); /* of processes that were killed while they read */
    return code;
}

static int open_dbs(struct store *s, bool create, bool *is_new, struct error *why)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(s->env, NULL, create ? 0 : MDB_RDONLY, &txn);

    if (code != 0)
        return code;
    code = dbs_open(&s->dbs, txn, create);
    if (code == 0)
        code = read_stored(s, txn, why);
    *is_new = code == MDB_NOTFOUND;
    if (create && code == MDB_NOTFOUND)
        code = 0;
    s->is_renumbered = create && !*is_new && code == 0 && s->stored.txn + 1 != mdb_txn_id(txn);
    if (code != 0) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn); /* also of a reading one: the handles stay */
}

uint64_t store_max_keys(uint64_t keep_bytes)
{
    uint64_t keys = keep_bytes / BYTES_PER_KEY;

    return keys < STORE_MAX_KEYS ? keys : STORE_MAX_KEYS;
}

struct store *store_make(const struct store_options *options, struct error *why)
{
    struct store *s = calloc(1, sizeof *s);

    if (s == NULL) {
        error_set(why, "out of memory for the journal");
        return NULL;
    }
    s->options = *options;
    s->lock_fd = -1;
    s->options.path = strdup(options->path);
    s->max_graves = options->keep_bytes / BYTES_PER_GRAVE;
    s->max_keys = store_max_keys(options->keep_bytes);
    if (s->options.path == NULL) {
        free(s);
        error_set(why, "out of memory for the journal");
        return NULL;
    }
    return s;
}

static void explain(const struct store *s, int code, struct error *why)
{
    if (why != NULL && why->text[0] == '\0')
        error_set(why, "journal.path = %s: cannot open the journal: %s", s->options.path,
                  code == MDB_NOTFOUND ? DATA_FILE " is not a journal of this program's"
                  : code == MDB_INVALID || code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND
                      ? "it is damaged (see 'sse-notify journal repair')"
                      : mdb_strerror(code));
}

static int repair_and_log(const char *path, struct error *why)
{
    const struct pass pass = {NULL, NULL};
    struct store_repair repair;

    if (repair_directory(path, &pass, &repair, why) != 0)
        return -1;
    if (repair.was_damaged && repair.is_lossy)
        log_error("journal.path = %s: %s", path, repair.what);
    else if (repair.was_damaged)
        log_warning("journal.path = %s: %s", path, repair.what);
    return 0;
}

int store_open_locked(struct store *s, struct error *why)
{
    bool is_new = false;
    int code = make_env(s);

    if (code == 0)
        code = open_env(s, s->options.is_unsynced ? MDB_NOSYNC : 0);
    if (code == 0)
        code = open_dbs(s, true, &is_new, why);
    if (code != 0) {
        explain(s, code, why);
        return -1;
    }
    code = begin_state(s, is_new);
    if (code == 0)
        code = store_replay(s);
    return code == 0 ? 0
                     : error_set(why, "journal.path = %s: cannot write: %s", s->options.path,
                                 strerror(-code));
}

/* A command that reads may have the lock for a moment: it brings the write-ahead log in. */
static int lock_patiently(struct store *s, struct error *why)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
    const char *path = s->options.path;

    for (int i = 0; i < LOCK_PAUSES && store_is_locked(path); i++)
        nanosleep(&pause, NULL);
    return directory_lock(path, &s->lock_fd, why);
}

struct store *store_open(const struct store_options *options, struct error *why)
{
    struct store *s = store_make(options, why);

    if (s == NULL)
        return NULL;
    why->text[0] = '\0';
    if (directory_make(options->path, why) == 0 && lock_patiently(s, why) == 0) {
        directory_clear_draft(options->path);
        if (repair_and_log(options->path, why) == 0 && store_open_locked(s, why) == 0)
            return s;
    }
    store_close(s);
    return NULL;
}

int store_look(struct store *s)
{
    struct error why;
    MDB_txn *txn;
    int code = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

    if (code != 0)
        return code;
    code = read_stored(s, txn, &why);
    if (code == 0)
        code = state_measure(s, txn, &s->stored, &s->state);
    mdb_txn_abort(txn);
    return code;
}

static int find_bytes(const char *path, struct error *why)
{
    char file[MAX_FILE];
    struct stat info;

    if (store_find(path, why) != 0)
        return -1;
    snprintf(file, sizeof file, "%s/" DATA_FILE, path);
    if (stat(file, &info) == 0 && info.st_size == 0)
        return error_set(why, "journal.path = %s: %s is empty (see 'sse-notify journal repair')",
                         path, file);
    return 0;
}

static int open_to_read(struct store *s, struct error *why)
{
    bool is_new;
    int code = open_env(s, MDB_RDONLY);

    if (code == 0)
        code = open_dbs(s, false, &is_new, why);
    return code != 0 ? code : store_look(s);
}

/* The trees lack what the log has, and no process is about to give it to them. */
static int bring_in_log(struct store *s, const struct store_lock *own, struct error *why)
{
    struct error cause = {.text = ""};
    int status;
    int code;

    mdb_env_close(s->env); /* a process may not have it open twice */
    s->env = NULL;
    status = store_bring_in_log(s->options.path, own, &cause);
    if (status != 0 && own != NULL) {
        error_set(why, "%s", cause.text);
        return EIO;
    }
    code = open_to_read(s, why);
    /* Who could not have the lock: a process has begun to write meanwhile, and brings it in. */
    if (code == 0 && status != 0 && !store_await_log(s, own))
        store_note_left_out(s->options.path, cause.text);
    return code;
}

struct store *store_open_read_only(const char *path, const struct store_lock *own,
                                   struct error *why)
{
    struct store_options options = {.path = path};
    struct store *s = store_make(&options, why);
    int code;

    if (s == NULL)
        return NULL;
    why->text[0] = '\0';
    code = find_bytes(path, why) != 0 ? ENOENT : open_to_read(s, why);
    if (code == 0 && !store_await_log(s, own))
        code = bring_in_log(s, own, why);
    if (code != 0) {
        explain(s, code, why);
        store_close(s);
        return NULL;
    }
    return s;
}

/* All that could have been handed out is recorded. */
static void end_cleanly(struct store *s)
{
    if (s->stored.reserved == 0 || s->has_loss || store_begin(s) != 0)
        return;
    s->next.reserved = 0;
    (void)store_commit(s, s->stored.time_ms); /* else the next open skips numbers */
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    if (s->txn != NULL)
        store_abort(s);
    if (s->lock_fd >= 0 && s->env != NULL && s->stored.format != 0)
        end_cleanly(s);
    if (s->env != NULL)
        (void)store_restore_head(s);
    if (s->env != NULL && s->options.is_unsynced)
        mdb_env_sync(s->env, 1);
    if (s->env != NULL)
        mdb_env_close(s->env);
    directory_give_to_owner(s->options.path);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free((void *)(uintptr_t)s->options.path);
    free(s);
}

int store_give_to(const struct store *s, uid_t uid, gid_t gid)
{
    return directory_give_to(s->options.path, uid, gid);
}

void store_note_loss(struct store *s)
{
    s->has_loss = true;
}

bool store_is_in_doubt(const struct store *s)
{
    return s->is_in_doubt;
}

int store_reopen(struct store *s)
{
    struct error why = {.text = ""};
    bool is_new;
    int code;

    s->is_in_doubt = true;
    code = store_restore_head(s);
    if (code != 0)
        return code;
    if (s->env != NULL)
        mdb_env_close(s->env);
    s->env = NULL;
    code = open_env(s, s->options.is_unsynced ? MDB_NOSYNC : 0);
    if (code == 0)
        code = open_dbs(s, false, &is_new, &why);
    if (code == 0)
        code = store_look(s);
    if (code != 0) {
        if (s->env != NULL)
            mdb_env_close(s->env);
        s->env = NULL;
        return store_error(code);
    }
    s->file_size = file_size(s);
    s->is_in_doubt = false;
    return 0;
}

const struct store_state *store_state(const struct store *s)
{
    return &s->state;
}
