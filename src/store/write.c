/* write.c - one transaction at a time: entries in, entries out.
 *
 * After a failure the transaction is of no use any more, and neither is what was counted: `next`,
 * `evicted` and `collapsed` become the state's at the commit only. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "store_priv.h"

int store_begin(struct store *s)
{
    int dead;
    int code;

    assert(s->entries == NULL && s->channels == NULL);
    if (s->is_in_doubt)
        return -EIO;
    if (file_size(s) < s->file_size)
        return -EUCLEAN; /* what is written now would stand among holes */
    mdb_reader_check(s->env, &dead); /* else one that was killed keeps what it saw for ever */
    code = mdb_txn_begin(s->env, NULL, 0, &s->txn);
    if (code != 0) {
        s->txn = NULL;
        return store_error(code);
    }
    s->next = s->stored;
    s->evicted = s->collapsed = 0;
    code = mdb_cursor_open(s->txn, s->dbs.entries, &s->entries);
    if (code == 0)
        code = mdb_cursor_open(s->txn, s->dbs.channels, &s->channels);
    if (code != 0)
        store_abort(s);
    return store_error(code);
}

static void close_cursors(struct store *s)
{
    if (s->entries != NULL)
        mdb_cursor_close(s->entries);
    if (s->channels != NULL)
        mdb_cursor_close(s->channels);
    s->entries = s->channels = NULL;
}

void store_abort(struct store *s)
{
    close_cursors(s);
    if (s->txn != NULL)
        mdb_txn_abort(s->txn);
    s->txn = NULL;
}

static int put_state(struct store *s)
{
    MDB_val key = val_of("state", 5);
    MDB_val value = val_of(&s->next, sizeof s->next);

    s->next.txn = mdb_txn_id(s->txn);
    stored_state_seal(&s->next);
    return mdb_put(s->txn, s->dbs.state, &key, &value, 0);
}

bool store_is_full(const struct store *s)
{
    enum { LITTLE = 1 << 20 };
    struct statvfs disk;
    struct rlimit limit;

    if (statvfs(s->options.path, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < (uint64_t)LITTLE)
        return true;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           file_size(s) + LITTLE > limit.rlim_cur;
}

/* ---- the head that a commit writes ---- */

/* LMDB commits by writing over the older of the file's two heads. Where that fails it takes back
 * the number that it has written, but not the trees; and it may have written nothing, a part, or
 * all of it, of which the disk has got whatever it likes. So the head is made what it was, and is
 * that on the disk, before anything else is written: else the next commit, which writes over the
 * pages of the failed one, would leave a head that leads to a mixture of both. */
static int keep_head(struct store *s)
{
    MDB_stat stat;
    ssize_t n;
    int fd;
    int code = mdb_env_stat(s->env, &stat);

    if (code == 0)
        code = mdb_env_get_fd(s->env, &fd);
    if (code != 0)
        return code;
    s->head_at = (off_t)(mdb_txn_id(s->txn) % 2) * stat.ms_psize;
    n = pread(fd, s->head, sizeof s->head, s->head_at);
    if (n < 0)
        return errno;
    return n == sizeof s->head ? 0 : EIO;
}

int store_restore_head(struct store *s)
{
    ssize_t n;
    int fd;

    if (!s->is_head_lost)
        return 0;
    if (mdb_env_get_fd(s->env, &fd) != 0)
        return -EIO;
    n = pwrite(fd, s->head, sizeof s->head, s->head_at);
    if (n != sizeof s->head)
        return n < 0 ? -errno : -EIO;
    if (fdatasync(fd) != 0)
        return -errno;
    s->is_head_lost = false;
    return 0;
}

/* What a failed commit is called: a write that finds room for a part only is an I/O error to LMDB.
 * Where the last step has failed, LMDB refuses all that follows. */
static int commit_error(struct store *s, int code)
{
    MDB_txn *next;
    int status = code == EIO && store_is_full(s) ? -ENOSPC : store_error(code);

    code = mdb_txn_begin(s->env, NULL, 0, &next);
    if (code == 0)
        mdb_txn_abort(next);
    s->is_in_doubt = s->is_head_lost = code == MDB_PANIC;
    (void)store_restore_head(s); /* else when the store is opened again */
    return status;
}

int store_commit(struct store *s, uint64_t time_ms)
{
    struct store_state state = s->state;
    int code;

    if (time_ms > s->next.time_ms)
        s->next.time_ms = time_ms;
    code = put_state(s);
    if (code == 0)
        code = state_measure(s, s->txn, &s->next, &state);
    if (code == 0)
        code = keep_head(s);
    if (code != 0) {
        store_abort(s);
        return store_error(code);
    }
    close_cursors(s);
    code = mdb_txn_commit(s->txn);
    s->txn = NULL;
    if (code != 0)
        return commit_error(s, code);
    s->file_size = file_size(s);
    state.evicted += s->evicted;
    state.collapsed += s->collapsed;
    s->state = state;
    s->stored = s->next;
    return 0;
}

int store_sync(struct store *s)
{
    return store_error(mdb_env_sync(s->env, 1));
}

void store_reserve(struct store *s, uint64_t seq)
{
    s->next.reserved = seq;
}

void store_note_logged(struct store *s, uint64_t number)
{
    if (number > s->next.wal_number)
        s->next.wal_number = number;
}

/* ---- entries out ---- */

/* Removes a pair that should be there. */
static int remove_pair(struct store *s, MDB_dbi dbi, const void *key, size_t key_n, uint64_t value)
{
    MDB_val k = val_of(key, key_n);
    MDB_val v = val_of(&value, sizeof value);
    int code = mdb_del(s->txn, dbi, &k, &v);

    return code == MDB_NOTFOUND ? 0 : code;
}

/* The channel's mark becomes that of `seq`, which goes. */
static int move_mark(struct store *s, const struct channel_key *key, uint64_t seq)
{
    uint64_t mark = seq << 1 | MARK;
    MDB_val k = val_of(key->p, key->n);
    MDB_val v;
    int code = mdb_cursor_get(s->channels, &k, &v, MDB_SET);

    if (code != 0 && code != MDB_NOTFOUND)
        return code;
    if (code == 0 && (u64_of_val(v) & MARK) != 0) {
        uint64_t old = u64_of_val(v);

        if (old > mark)
            return 0;
        s->next.marks_sum -= mark_sum(key, old);
        code = mdb_cursor_del(s->channels, 0);
        if (code != 0)
            return code;
    }
    s->next.marks_sum += mark_sum(key, mark);
    if (seq > s->next.lost_highest)
        s->next.lost_highest = seq;
    k = val_of(key->p, key->n);
    v = val_of(&mark, sizeof mark);
    return mdb_cursor_put(s->channels, &k, &v, 0);
}

/* Counts the channel among the graves if there is nothing but a mark now. */
static int note_grave(struct store *s, const struct channel_key *key, int change)
{
    MDB_val k = val_of(key->p, key->n);
    MDB_val v;
    size_t count;
    int code = mdb_cursor_get(s->channels, &k, &v, MDB_SET);

    if (code == MDB_NOTFOUND)
        return 0;
    if (code == 0)
        code = mdb_cursor_count(s->channels, &count);
    if (code == 0 && count == (change > 0 ? 1 : 2) && (u64_of_val(v) & MARK) != 0)
        s->next.graves += (uint64_t)(int64_t)change;
    return code;
}

static int remove_from_channel(struct store *s, const struct record *r, bool is_lost)
{
    struct channel_key key;
    int code;

    channel_key_make(&key, r->to);
    code = is_lost ? move_mark(s, &key, r->seq) : 0;
    if (code == 0)
        code = remove_pair(s, s->dbs.channels, key.p, key.n, r->seq << 1);
    return code != 0 ? code : note_grave(s, &key, 1);
}

/* The collapse key leads to nothing any more, if it led to `seq`. */
static int unmap_key(struct store *s, const struct record *r)
{
    uint64_t hash = collapse_hash(s->next.hash_key, r->to, r->collapse_key);
    MDB_val k = val_of(&hash, sizeof hash);
    MDB_val v;
    int code = mdb_get(s->txn, s->dbs.collapse, &k, &v);

    if (code != 0 || u64_of_val(v) != r->seq)
        return code == MDB_NOTFOUND ? 0 : code;
    return mdb_del(s->txn, s->dbs.collapse, &k, NULL);
}

int write_remove(struct store *s, const struct record *record, struct slice bytes, bool is_lost)
{
    struct record r = *record;
    char copy[RECORD_HEAD_SIZE + MAX_CHANNEL_NAME + MAX_KEY];
    MDB_val key = val_of(&r.seq, sizeof r.seq);
    size_t name_n = r.to.name.n;
    int code;

    /* The record's page may move or change while the trees are. */
    assert(name_n <= MAX_CHANNEL_NAME && r.collapse_key.n <= MAX_KEY);
    if (name_n > 0)
        memcpy(copy, r.to.name.p, name_n);
    if (r.collapse_key.n > 0)
        memcpy(copy + name_n, r.collapse_key.p, r.collapse_key.n);
    r.to.name.p = copy;
    r.collapse_key.p = copy + name_n;
    s->next.entries--;
    s->next.entries_sum -= record_sum(bytes);
    code = mdb_del(s->txn, s->dbs.entries, &key, NULL);
    if (code == 0)
        code = remove_from_channel(s, &r, is_lost);
    if (code == 0 && r.expires_ms != RECORD_KEPT)
        code = remove_pair(s, s->dbs.ttl, &r.expires_ms, sizeof r.expires_ms, r.seq);
    if (code == 0 && r.collapse_key.n > 0)
        code = unmap_key(s, &r);
    if (is_lost)
        s->evicted++;
    return code;
}

/* The entry of that number; MDB_NOTFOUND. */
static int find_entry(struct store *s, uint64_t seq, struct record *r, struct slice *bytes)
{
    MDB_val k = val_of(&seq, sizeof seq);
    MDB_val v;
    int code = mdb_get(s->txn, s->dbs.entries, &k, &v);

    if (code != 0)
        return code;
    *bytes = slice_of_val(v);
    return record_read(r, *bytes) == 0 ? 0 : MDB_CORRUPTED;
}

/* Removes what has the collapse key. */
static int collapse(struct store *s, struct channel_name to, struct slice collapse_key)
{
    uint64_t hash = collapse_hash(s->next.hash_key, to, collapse_key);
    MDB_val k = val_of(&hash, sizeof hash);
    struct record older;
    struct slice bytes;
    MDB_val v;
    int code = mdb_get(s->txn, s->dbs.collapse, &k, &v);

    if (code == 0)
        code = find_entry(s, u64_of_val(v), &older, &bytes);
    if (code != 0)
        return code == MDB_NOTFOUND ? 0 : code;
    if (older.to.kind != to.kind || !slice_equal(older.to.name, to.name) ||
        !slice_equal(older.collapse_key, collapse_key))
        return 0; /* another key with the same hash */
    s->collapsed++;
    return write_remove(s, &older, bytes, false);
}

/* Removes the oldest of a user's entries until it has no more than its share. The cursor stands at
 * the newest. What has outlived its own ttl by `time_ms` is no loss. */
static int keep_share(struct store *s, const struct channel_key *key, uint64_t time_ms)
{
    for (;;) {
        MDB_val k = val_of(key->p, key->n);
        struct record oldest;
        struct slice bytes;
        size_t count;
        MDB_val v;
        bool has_mark;
        int code = mdb_cursor_get(s->channels, &k, &v, MDB_SET);

        if (code == 0)
            code = mdb_cursor_count(s->channels, &count);
        if (code != 0)
            return code;
        has_mark = (u64_of_val(v) & MARK) != 0;
        if (count - has_mark <= s->options.keep_per_user)
            return 0;
        if (has_mark)
            code = mdb_cursor_get(s->channels, &k, &v, MDB_NEXT_DUP);
        if (code == 0)
            code = find_entry(s, u64_of_val(v) >> 1, &oldest, &bytes);
        if (code == 0)
            code = write_remove(s, &oldest, bytes, oldest.expires_ms > time_ms);
        if (code != 0)
            return code;
    }
}

/* ---- entries in ---- */

static int add_to_channel(struct store *s, const struct record *r)
{
    struct channel_key key;
    uint64_t number = r->seq << 1;
    MDB_val k;
    MDB_val v;
    size_t count;
    int code;

    channel_key_make(&key, r->to);
    k = val_of(key.p, key.n);
    v = val_of(&number, sizeof number);
    code = mdb_cursor_put(s->channels, &k, &v, 0);
    if (code == 0)
        code = mdb_cursor_count(s->channels, &count);
    if (code == 0 && count == 2)
        code = note_grave(s, &key, -1);
    if (code == 0 && r->to.kind == CHANNEL_USER && count > s->options.keep_per_user)
        code = keep_share(s, &key, r->time_ms);
    return code;
}

static int put_number(struct store *s, MDB_dbi dbi, uint64_t key, uint64_t value)
{
    MDB_val k = val_of(&key, sizeof key);
    MDB_val v = val_of(&value, sizeof value);

    return mdb_put(s->txn, dbi, &k, &v, 0);
}

int store_append(struct store *s, char *record, size_t size)
{
    struct record r = {.seq = 0};
    MDB_val k = val_of(&r.seq, sizeof r.seq);
    MDB_val v = val_of(record, size);
    int code = 0;

    record_seal(record, size);
    if (record_read(&r, slice_make(record, size)) != 0 || r.seq <= s->next.head)
        return -EINVAL;
    s->next.head = r.seq;
    if (r.collapse_key.n > 0)
        code = collapse(s, r.to, r.collapse_key);
    if (code == 0)
        code = mdb_cursor_put(s->entries, &k, &v, MDB_APPEND);
    s->next.entries++;
    s->next.entries_sum += record_sum(slice_make(record, size));
    if (code == 0)
        code = add_to_channel(s, &r);
    if (code == 0 && r.expires_ms != RECORD_KEPT)
        code = put_number(s, s->dbs.ttl, r.expires_ms, r.seq);
    if (code == 0 && r.collapse_key.n > 0)
        code = put_number(s, s->dbs.collapse,
                          collapse_hash(s->next.hash_key, r.to, r.collapse_key), r.seq);
    return store_error(code);
}

int store_skip(struct store *s, uint64_t seq, struct channel_name to, struct slice collapse_key)
{
    if (seq <= s->next.head)
        return -EINVAL;
    s->next.head = seq;
    return collapse_key.n == 0 ? 0 : store_error(collapse(s, to, collapse_key));
}

int store_add_key(struct store *s, uint64_t seq, uint64_t time_ms, struct slice key)
{
    struct stored_key head = {.time_ms = time_ms};
    MDB_val k = val_of(&seq, sizeof seq);
    MDB_val v = {sizeof head + key.n, NULL};
    int code = mdb_put(s->txn, s->dbs.keys, &k, &v, MDB_APPEND | MDB_RESERVE);

    if (code != 0)
        return store_error(code);
    head.sum = stored_key_sum(&head, key, seq);
    s->next.keys++;
    s->next.keys_sum += head.sum;
    memcpy(v.mv_data, &head, sizeof head);
    memcpy((char *)v.mv_data + sizeof head, key.p, key.n);
    return 0;
}

/* ---- what people ask to be removed ---- */

int store_retract(struct store *s, struct channel_name channel, uint64_t seq, size_t *count)
{
    struct record r;
    struct slice bytes;
    int code = find_entry(s, seq, &r, &bytes);

    *count = 0;
    if (code == MDB_NOTFOUND)
        return 0;
    if (code != 0)
        return store_error(code);
    if (r.to.kind != channel.kind || !slice_equal(r.to.name, channel.name))
        return 0;
    *count = 1;
    return store_error(write_remove(s, &r, bytes, false));
}

int store_erase(struct store *s, struct channel_name channel, size_t *count)
{
    struct channel_key key;

    *count = 0;
    channel_key_make(&key, channel);
    for (;;) {
        MDB_val k = val_of(key.p, key.n);
        struct record r;
        struct slice bytes;
        MDB_val v;
        int code = mdb_cursor_get(s->channels, &k, &v, MDB_SET);

        if (code == 0 && (u64_of_val(v) & MARK) != 0)
            code = mdb_cursor_get(s->channels, &k, &v, MDB_NEXT_DUP);
        if (code == MDB_NOTFOUND)
            return 0;
        if (code == 0)
            code = find_entry(s, u64_of_val(v) >> 1, &r, &bytes);
        if (code == 0)
            code = write_remove(s, &r, bytes, false);
        if (code != 0)
            return store_error(code);
        ++*count;
    }
}

int write_remove_grave(struct store *s, const MDB_val *key, uint64_t mark)
{
    struct channel_key k = {.n = key->mv_size};

    assert(k.n <= sizeof k.p);
    memcpy(k.p, key->mv_data, k.n);
    s->next.marks_sum -= mark_sum(&k, mark);
    s->next.graves--;
    if (mark >> 1 > s->next.lost_forgotten)
        s->next.lost_forgotten = mark >> 1;
    return remove_pair(s, s->dbs.channels, k.p, k.n, mark);
}

/* ---- what another store has recorded ---- */

int store_continue(struct store *s, const struct store_origin *origin)
{
    if (origin->head < s->next.head)
        return -EINVAL;
    memcpy(s->next.epoch, origin->epoch, EPOCH_SIZE);
    s->next.head = origin->head;
    if (origin->time_ms > s->next.time_ms)
        s->next.time_ms = origin->time_ms;
    s->next.lost_all = origin->lost_all;
    s->next.lost_forgotten = origin->lost_forgotten;
    return 0;
}

int store_add_loss(struct store *s, struct channel_name channel, uint64_t seq)
{
    struct channel_key key;
    uint64_t oldest = UINT64_MAX;
    MDB_val k;
    MDB_val v;
    bool has_mark = false;
    int code;

    channel_key_make(&key, channel);
    k = val_of(key.p, key.n);
    code = mdb_cursor_get(s->channels, &k, &v, MDB_SET);
    if (code == 0 && (u64_of_val(v) & MARK) != 0) {
        has_mark = true;
        code = mdb_cursor_get(s->channels, &k, &v, MDB_NEXT_DUP);
    }
    if (code == 0)
        oldest = u64_of_val(v) >> 1;
    else if (code != MDB_NOTFOUND)
        return store_error(code);
    if (seq >= oldest)
        return -EINVAL;
    code = move_mark(s, &key, seq);
    /* A channel of which there was nothing is a grave now. */
    if (code == 0 && !has_mark && oldest == UINT64_MAX)
        s->next.graves++;
    return store_error(code);
}
