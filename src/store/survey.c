/* survey.c - what is in a store, for people. */
#include "store/survey.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>
#include "read_priv.h"

/* Pages that no tree uses: LMDB lists them in a tree of its own, by the transaction that has freed
 * them, each list behind its length. */
static int count_free(MDB_txn *txn, uint64_t *pages)
{
    const MDB_dbi free_lists = 0;
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val v;
    int code = mdb_cursor_open(txn, free_lists, &cursor);

    *pages = 0;
    if (code != 0)
        return code;
    while ((code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
        *pages += u64_of_val(v);
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* The entry that `op` leads to; *seq is 0 where there is none. */
static int find_end(struct store_reader *r, MDB_cursor_op op, uint64_t *seq, uint64_t *wall_ms)
{
    struct record record;
    MDB_val k;
    MDB_val v;
    int code = mdb_cursor_get(r->entries, &k, &v, op);

    if (code != 0)
        return code == MDB_NOTFOUND ? 0 : code;
    if (record_read(&record, slice_of_val(v)) != 0)
        return MDB_CORRUPTED;
    *seq = record.seq;
    *wall_ms = record.wall_ms;
    return 0;
}

static int survey(struct store_reader *r, struct store_survey *out)
{
    struct stored_state stored;
    struct stat file;
    MDB_stat keys;
    int fd;
    int code = reader_read_state(r, &stored);

    if (code == 0)
        code = state_measure(r->s, r->txn, &stored, &out->state);
    if (code == 0)
        code = count_free(r->txn, &out->free_bytes);
    if (code == 0)
        code = find_end(r, MDB_FIRST, &out->first_seq, &out->first_wall_ms);
    if (code == 0)
        code = find_end(r, MDB_LAST, &out->last_seq, &out->last_wall_ms);
    if (code == 0)
        code = mdb_stat(r->txn, r->s->dbs.keys, &keys);
    if (code == 0)
        code = mdb_env_get_fd(r->s->env, &fd);
    if (code == 0 && fstat(fd, &file) != 0)
        code = errno;
    if (code != 0)
        return code;
    out->free_bytes *= keys.ms_psize;
    out->file_bytes = (uint64_t)file.st_size;
    out->keys = keys.ms_entries;
    out->lost_all = stored.lost_all;
    out->lost_forgotten = stored.lost_forgotten;
    out->commit = mdb_txn_id(r->txn);
    out->is_backup = stored.is_backup != 0;
    return 0;
}

int store_survey(struct store_reader *r, struct store_survey *out)
{
    int code = reader_begin(r);

    *out = (struct store_survey){.free_bytes = 0};
    if (code == 0)
        code = survey(r, out);
    mdb_txn_reset(r->txn);
    return store_error(code);
}

/* ---- channels ---- */

enum { CHANNELS_A_SNAPSHOT = 4096 };

/* Visits channels behind `at` (n = 0: from the first on), which becomes the last one visited.
 * Returns a code, MDB_NOTFOUND at the end, or what `visit` has said, in *status. */
static int each_channel(struct store_reader *r, struct channel_key *at, store_channel_fn *visit,
                        void *ctx, int *status)
{
    MDB_cursor *cursor;
    MDB_val k = val_of(at->p, at->n);
    MDB_val v;
    int code = reader_channel_cursor(r, 0, &cursor);

    if (code == 0)
        code = mdb_cursor_get(cursor, &k, &v, at->n == 0 ? MDB_FIRST : MDB_SET_RANGE);
    if (code == 0 && at->n == k.mv_size && memcmp(at->p, k.mv_data, at->n) == 0)
        code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT_NODUP);
    for (int i = 0; code == 0 && *status == 0 && i < CHANNELS_A_SNAPSHOT; i++) {
        const char *name = k.mv_data;
        struct channel_name channel = {(enum channel_kind)name[0],
                                       slice_make(name + 1, k.mv_size - 1)};
        bool has_mark = (u64_of_val(v) & MARK) != 0;
        size_t count;

        if (k.mv_size < 1 || k.mv_size > sizeof at->p)
            return MDB_CORRUPTED;
        at->n = k.mv_size;
        memcpy(at->p, k.mv_data, at->n);
        code = mdb_cursor_count(cursor, &count);
        if (code == 0)
            *status = visit(ctx, channel, count - has_mark, has_mark ? u64_of_val(v) >> 1 : 0);
        if (code == 0)
            code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT_NODUP);
    }
    return code;
}

int store_each_channel(struct store_reader *r, store_channel_fn *visit, void *ctx)
{
    struct channel_key at = {.n = 0};
    int status = 0;
    int code = 0;

    while (code == 0 && status == 0) {
        code = reader_begin(r);
        if (code == 0)
            code = each_channel(r, &at, visit, ctx, &status);
        mdb_txn_reset(r->txn);
    }
    return status != 0 ? status : code == MDB_NOTFOUND ? 0 : store_error(code);
}

/* ---- entries of channels ---- */

static int each_of(struct store_reader *r, struct place *places, size_t count,
                   store_visit_fn *visit, void *ctx, int *status)
{
    for (;;) {
        struct place *p = place_nearest(places, count);
        struct record record;
        struct slice bytes;
        int code;

        if (p->next == UINT64_MAX)
            return 0;
        code = reader_read_entry(r, p->next, &record, &bytes);
        if (code != 0)
            return code;
        *status = visit(ctx, &record, bytes);
        if (*status != 0)
            return 0;
        code = place_step(p);
        if (code != 0)
            return code;
    }
}

int store_each_of(struct store_reader *r, const struct channel_name *channels, size_t count,
                  uint64_t after, store_visit_fn *visit, void *ctx)
{
    struct place places[STORE_MAX_CHANNELS];
    int status = 0;
    int code = reader_begin(r);

    assert(count >= 1 && count <= STORE_MAX_CHANNELS);
    for (size_t i = 0; code == 0 && i < count; i++) {
        uint64_t mark;

        code = place_find(r, i, channels[i], after, &places[i], &mark);
    }
    if (code == 0)
        code = each_of(r, places, count, visit, ctx, &status);
    mdb_txn_reset(r->txn);
    return status != 0 ? status : store_error(code);
}
