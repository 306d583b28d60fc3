/* read.c - pages of entries, from a snapshot that lasts as long as one call: a reader that stays
 * keeps pages from being used again. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "base/crc32c.h"
#include "read_priv.h"

struct store_reader *store_reader_create(struct store *s)
{
    struct store_reader *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->s = s;
    if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &r->txn) != 0) {
        free(r);
        return NULL;
    }
    if (mdb_cursor_open(r->txn, s->dbs.entries, &r->entries) != 0) {
        mdb_txn_abort(r->txn);
        free(r);
        return NULL;
    }
    mdb_txn_reset(r->txn);
    return r;
}

void store_reader_destroy(struct store_reader *r)
{
    if (r == NULL)
        return;
    mdb_cursor_close(r->entries);
    for (size_t i = 0; i < STORE_MAX_CHANNELS; i++)
        if (r->channels[i] != NULL)
            mdb_cursor_close(r->channels[i]);
    mdb_txn_abort(r->txn);
    free(r);
}

int reader_begin(struct store_reader *r)
{
    int code = mdb_txn_renew(r->txn);

    if (code == MDB_MAP_RESIZED && r->s->lock_fd < 0) { /* whoever writes has made it larger */
        code = mdb_env_set_mapsize(r->s->env, 0);
        if (code == 0)
            code = mdb_txn_renew(r->txn);
    }
    return code != 0 ? code : mdb_cursor_renew(r->txn, r->entries);
}

int reader_read_state(struct store_reader *r, struct stored_state *state)
{
    MDB_val key = val_of("state", 5);
    MDB_val value;
    int code = mdb_get(r->txn, r->s->dbs.state, &key, &value);

    if (code != 0)
        return code;
    if (value.mv_size != sizeof *state)
        return MDB_CORRUPTED;
    memcpy(state, value.mv_data, sizeof *state);
    return stored_state_is_sound(state) ? 0 : MDB_CORRUPTED;
}

/* ---- a page ---- */

int reader_channel_cursor(struct store_reader *r, size_t i, MDB_cursor **cursor)
{
    int code = r->channels[i] != NULL
                   ? mdb_cursor_renew(r->txn, r->channels[i])
                   : mdb_cursor_open(r->txn, r->s->dbs.channels, &r->channels[i]);

    *cursor = r->channels[i];
    return code;
}

/* Takes the number at the cursor, which is at `v`, or goes over a mark. */
static int take_place(struct place *p, int code, MDB_val v)
{
    MDB_val k;

    if (code == 0 && (u64_of_val(v) & MARK) != 0)
        code = mdb_cursor_get(p->cursor, &k, &v, MDB_NEXT_DUP);
    p->next = code == 0 ? u64_of_val(v) >> 1 : UINT64_MAX;
    return code == MDB_NOTFOUND ? 0 : code;
}

int place_find(struct store_reader *r, size_t i, struct channel_name channel, uint64_t after,
               struct place *p, uint64_t *mark)
{
    struct channel_key key;
    uint64_t from;
    MDB_val k;
    MDB_val v;
    int code;

    *mark = 0;
    *p = (struct place){.next = UINT64_MAX};
    if (after >= UINT64_MAX >> 1)
        return 0; /* nothing has a number behind that */
    from = (after + 1) << 1;
    code = reader_channel_cursor(r, i, &p->cursor);
    if (code != 0)
        return code;
    channel_key_make(&key, channel);
    k = val_of(key.p, key.n);
    code = mdb_cursor_get(p->cursor, &k, &v, MDB_SET);
    if (code != 0)
        return code == MDB_NOTFOUND ? 0 : code;
    if ((u64_of_val(v) & MARK) != 0)
        *mark = u64_of_val(v);
    if (u64_of_val(v) < from) {
        k = val_of(key.p, key.n);
        v = val_of(&from, sizeof from);
        code = mdb_cursor_get(p->cursor, &k, &v, MDB_GET_BOTH_RANGE);
    }
    return take_place(p, code, v);
}

int place_step(struct place *p)
{
    MDB_val k;
    MDB_val v = {0, NULL};
    int code = mdb_cursor_get(p->cursor, &k, &v, MDB_NEXT_DUP);

    return take_place(p, code, v);
}

int reader_read_entry(struct store_reader *r, uint64_t seq, struct record *record,
                      struct slice *bytes)
{
    MDB_val k = val_of(&seq, sizeof seq);
    MDB_val v;
    int code = mdb_cursor_get(r->entries, &k, &v, MDB_SET);

    if (code != 0)
        return code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
    *bytes = slice_of_val(v);
    return record_read(record, *bytes) == 0 && record->seq == seq ? 0 : MDB_CORRUPTED;
}

struct place *place_nearest(struct place *places, size_t count)
{
    struct place *first = &places[0];

    for (size_t i = 1; i < count; i++)
        if (places[i].next < first->next)
            first = &places[i];
    return first;
}

static uint64_t hash_of_key(const struct store_query *q, const struct record *r)
{
    return r->collapse_key.n > 0 ? collapse_hash(q->hash_key, r->to, r->collapse_key) : 0;
}

static int fill_page(struct store_reader *r, const struct store_query *q, struct place *places,
                     const char *epoch, struct store_page *page)
{
    uint64_t after = q->after;
    size_t bytes = 0;

    for (;;) {
        struct place *p = place_nearest(places, q->channel_count);
        struct record record;
        struct slice bytes_of;
        struct message *m;
        int code;

        if (p->next == UINT64_MAX || p->next > page->covered)
            return 0;
        code = reader_read_entry(r, p->next, &record, &bytes_of);
        if (code != 0)
            return code;
        if (record.expires_ms > q->time_ms) {
            if (page->count == q->max_entries || (page->count > 0 && bytes >= q->max_bytes)) {
                page->covered = after;
                return 0;
            }
            m = record_encode(&record, epoch);
            if (m == NULL)
                return ENOMEM;
            if (q->hash_key != NULL)
                page->collapse[page->count] = hash_of_key(q, &record);
            page->messages[page->count++] = m;
            bytes += m->length;
        }
        after = record.seq;
        code = place_step(p);
        if (code != 0)
            return code;
    }
}

static int read_page(struct store_reader *r, const struct store_query *q, struct store_page *page)
{
    struct place places[STORE_MAX_CHANNELS];
    struct stored_state state;
    int code = reader_read_state(r, &state);

    if (code != 0)
        return code;
    page->head = state.head;
    page->covered = q->until < state.head ? q->until : state.head;
    if (page->covered < q->after) /* the reader has got what is not on the disk yet */
        page->covered = q->after;
    for (size_t i = 0; i < q->channel_count; i++) {
        uint64_t mark;

        code = place_find(r, i, q->channels[i], q->after, &places[i], &mark);
        if (code != 0)
            return code;
        page->lost[i] = lost_of_channel(&state, mark);
    }
    return fill_page(r, q, places, state.epoch, page);
}

int store_read(struct store_reader *r, const struct store_query *query, struct store_page *page)
{
    int code = reader_begin(r);

    assert(query->channel_count >= 1 && query->channel_count <= STORE_MAX_CHANNELS);
    page->count = 0;
    if (code == 0)
        code = read_page(r, query, page);
    mdb_txn_reset(r->txn);
    if (code == 0)
        return 0;
    while (page->count > 0)
        message_unref(page->messages[--page->count]);
    return store_error(code);
}

/* ---- all of it ---- */

/* What a walk comes to, that the visitor has ended or the tree has. */
static int end_walk(struct store_reader *r, int status, int code)
{
    mdb_txn_reset(r->txn);
    return status != 0 ? status : code == MDB_NOTFOUND ? 0 : store_error(code);
}

int store_each(struct store_reader *r, uint64_t from, store_visit_fn *visit, void *ctx)
{
    MDB_val k = val_of(&from, sizeof from);
    MDB_val v;
    int status = 0;
    int code = reader_begin(r);

    if (code == 0)
        code = mdb_cursor_get(r->entries, &k, &v, MDB_SET_RANGE);
    while (code == 0) {
        struct record record;

        if (record_read(&record, slice_of_val(v)) != 0) {
            code = MDB_CORRUPTED;
            break;
        }
        status = visit(ctx, &record, slice_of_val(v));
        if (status != 0)
            break;
        code = mdb_cursor_get(r->entries, &k, &v, MDB_NEXT);
    }
    return end_walk(r, status, code);
}

int store_find_tail(struct store_reader *r, size_t bytes, uint64_t *from, uint64_t *floor)
{
    struct stored_state state;
    MDB_val k;
    MDB_val v;
    size_t sum = 0;
    int code = reader_begin(r);

    *from = UINT64_MAX;
    if (code == 0)
        code = reader_read_state(r, &state);
    if (code == 0)
        code = mdb_cursor_get(r->entries, &k, &v, MDB_LAST);
    while (code == 0) {
        sum += v.mv_size;
        if (sum > bytes)
            break;
        *from = u64_of_val(k);
        code = mdb_cursor_get(r->entries, &k, &v, MDB_PREV);
    }
    mdb_txn_reset(r->txn);
    if (code != 0 && code != MDB_NOTFOUND)
        return store_error(code);
    *floor = *from == UINT64_MAX ? state.head : *from - 1;
    if (lost_of_channel(&state, 0) > *floor)
        *floor = lost_of_channel(&state, 0);
    return 0;
}

int store_each_lost(struct store_reader *r, uint64_t above, store_lost_fn *visit, void *ctx)
{
    struct stored_state state;
    MDB_cursor *channels = NULL;
    MDB_val k;
    MDB_val v;
    int status = 0;
    int code = reader_begin(r);

    if (code == 0)
        code = reader_read_state(r, &state);
    if (code == 0 && state.lost_highest <= above)
        code = MDB_NOTFOUND; /* the tree is large, and this is the usual case */
    if (code == 0)
        code = reader_channel_cursor(r, 0, &channels);
    if (code == 0)
        code = mdb_cursor_get(channels, &k, &v, MDB_FIRST);
    while (code == 0 && status == 0) {
        const char *name = k.mv_data;
        struct channel_name channel = {(enum channel_kind)name[0],
                                       slice_make(name + 1, k.mv_size - 1)};

        if ((u64_of_val(v) & MARK) != 0 && u64_of_val(v) >> 1 > above)
            status = visit(ctx, channel, u64_of_val(v) >> 1);
        code = mdb_cursor_get(channels, &k, &v, MDB_NEXT_NODUP);
    }
    return end_walk(r, status, code);
}

int store_each_key(struct store_reader *r, store_key_fn *visit, void *ctx)
{
    MDB_cursor *cursor = NULL;
    MDB_val k;
    MDB_val v;
    int status = 0;
    int code = reader_begin(r);

    if (code == 0)
        code = mdb_cursor_open(r->txn, r->s->dbs.keys, &cursor);
    if (code == 0)
        code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    while (code == 0) {
        struct stored_key key;
        struct slice text;

        if (v.mv_size < sizeof key) {
            code = MDB_CORRUPTED;
            break;
        }
        memcpy(&key, v.mv_data, sizeof key);
        text = slice_make((char *)v.mv_data + sizeof key, v.mv_size - sizeof key);
        status = visit(ctx, u64_of_val(k), key.time_ms, text);
        if (status != 0)
            break;
        code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return end_walk(r, status, code);
}
