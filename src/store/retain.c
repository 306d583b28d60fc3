/* retain.c - what bounds and ttl take, a few entries at a time. */
#include <errno.h>
#include "store_priv.h"

struct sweep {
    struct store *s;
    uint64_t time_ms;
    size_t steps; /* that are left, ... */
    size_t bytes; /* ... or else so much of entries */
};

/* What goes because of a bound is lost, unless its own time was over. */
static int evict(const struct sweep *w, const struct record *r, struct slice bytes)
{
    return write_remove(w->s, r, bytes, r->expires_ms > w->time_ms);
}

/* Entries whose own ttl is over: nobody misses them. */
static int sweep_ttl(struct sweep *w)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(w->s->txn, w->s->dbs.ttl, &cursor);

    if (code != 0)
        return code;
    while (w->steps > 0) {
        struct record r;
        MDB_val k;
        MDB_val v;

        code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
        if (code != 0 || u64_of_val(k) > w->time_ms)
            break;
        w->steps--;
        k = val_of(v.mv_data, v.mv_size);
        code = mdb_get(w->s->txn, w->s->dbs.entries, &k, &v);
        if (code == 0 && record_read(&r, slice_of_val(v)) != 0)
            code = MDB_CORRUPTED;
        if (code == 0)
            code = write_remove(w->s, &r, slice_of_val(v), false);
        if (code != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

static int measure(struct sweep *w, uint64_t *bytes)
{
    struct store_state now;
    int code = state_measure(w->s, w->s->txn, &w->s->next, &now);

    *bytes = now.bytes;
    return code;
}

/* The oldest entries, by age and by what is kept in all. The size is measured every so often, and
 * what has gone in between is taken off: a few large ones may be half of it. */
static int sweep_entries(struct sweep *w)
{
    enum { MEASURE_EVERY = 32 };
    uint64_t bytes = 0;

    for (size_t n = 0; w->steps > 0 || w->bytes > 0; n++) {
        struct record r;
        MDB_val k;
        MDB_val v;
        int code = n % MEASURE_EVERY == 0 ? measure(w, &bytes) : 0;

        if (code == 0)
            code = mdb_cursor_get(w->s->entries, &k, &v, MDB_FIRST);
        if (code != 0)
            return code == MDB_NOTFOUND ? 0 : code;
        if (record_read(&r, slice_of_val(v)) != 0)
            return MDB_CORRUPTED;
        if (r.time_ms + w->s->options.keep_ms > w->time_ms && bytes <= w->s->options.keep_bytes)
            return 0;
        if (r.seq == w->s->next.head && r.time_ms + w->s->options.keep_ms > w->time_ms)
            return 0; /* the newest stays, however large it is */
        w->steps -= w->steps > 0;
        w->bytes -= v.mv_size < w->bytes ? v.mv_size : w->bytes;
        bytes -= v.mv_size < bytes ? v.mv_size : bytes;
        code = evict(w, &r, slice_of_val(v));
        if (code != 0)
            return code;
    }
    return 0;
}

static int sweep_keys(struct sweep *w)
{
    MDB_cursor *cursor;
    struct stored_state *next = &w->s->next;
    int code = mdb_cursor_open(w->s->txn, w->s->dbs.keys, &cursor);

    if (code != 0)
        return code;
    while (w->steps > 0) {
        struct stored_key key = {.sum = 0};
        MDB_val k;
        MDB_val v;

        code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
        if (code != 0)
            break;
        memcpy(&key, v.mv_data, v.mv_size < sizeof key ? v.mv_size : sizeof key);
        if (key.time_ms + w->s->options.keys_ms > w->time_ms && next->keys <= w->s->max_keys)
            break;
        w->steps--;
        next->keys--;
        next->keys_sum -= key.sum;
        code = mdb_cursor_del(cursor, 0);
        if (code != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Too many channels with nothing but a mark: some are forgotten, by name, from where the last sweep
 * ended. Those who come back to one of them may be told of a loss that was not theirs. */
static int sweep_graves(struct sweep *w)
{
    struct store *s = w->s;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(s->txn, s->dbs.channels, &cursor);

    if (code != 0)
        return code;
    while (w->steps > 0 && s->next.graves > s->max_graves) {
        MDB_val k = val_of(s->grave_at, s->grave_at_n);
        size_t count;
        MDB_val v;

        code = mdb_cursor_get(cursor, &k, &v, s->grave_at_n == 0 ? MDB_FIRST : MDB_SET_RANGE);
        if (code == MDB_NOTFOUND && s->grave_at_n > 0) {
            s->grave_at_n = 0; /* round again */
            continue;
        }
        if (code == 0)
            code = mdb_cursor_count(cursor, &count);
        if (code != 0)
            break;
        w->steps--;
        /* The next name is this one with a zero byte behind it, or later. */
        memcpy(s->grave_at, k.mv_data, k.mv_size);
        s->grave_at_n = k.mv_size;
        if (s->grave_at_n < sizeof s->grave_at)
            s->grave_at[s->grave_at_n++] = '\0';
        if (count == 1 && (u64_of_val(v) & MARK) != 0)
            code = write_remove_grave(s, &k, u64_of_val(v));
        if (code != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int store_sweep(struct store *s, uint64_t time_ms, size_t steps, size_t bytes, bool *has_more)
{
    struct sweep w = {.s = s, .time_ms = time_ms, .steps = steps, .bytes = bytes};
    int code = sweep_ttl(&w);

    if (code == 0)
        code = sweep_entries(&w);
    if (code == 0)
        code = sweep_keys(&w);
    if (code == 0)
        code = sweep_graves(&w);
    *has_more = w.steps == 0;
    return store_error(code);
}

bool store_wants_sweep(struct store *s, uint64_t time_ms)
{
    return s->due_ms <= time_ms || s->state.bytes > s->options.keep_bytes ||
           s->stored.graves > s->max_graves || s->stored.keys > s->max_keys;
}
