/* repair.c - what is whole in a damaged file goes into a new one.
 *
 * The new one is written into a directory of its own, and takes the other's name in one step when
 * it is on disk. Whenever the process or the machine ends, the next opening finds the damaged file
 * or the repaired one, and what is left of a repair that was cut short is removed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "check_priv.h"
#include "store/guard.h"
#include "store/replace.h"

enum {
    BATCH = 4096,            /* items in one transaction ... */
    BATCH_BYTES = 8 << 20,
    MEGABYTE = 1 << 20,
};

/* ---- what can be saved ---- */

struct item {
    uint64_t number;        /* of the entry or the key; the mark */
    struct slice bytes;     /* the value; the channel of a mark */
};

struct items {
    struct item *p;
    size_t n;
    size_t room;
};

struct numbers {
    uint64_t *p;
    size_t n;
    size_t room;
};

struct salvage {
    struct findings *f;
    struct walk walk;       /* that is under way */
    struct buf record;      /* likewise */
    struct items entries;
    struct items keys;
    struct items marks;
    struct numbers places;  /* of the entries that the channels know */
    bool is_by_channels;    /* only those are taken */
    bool is_whole;          /* nothing is missing */
    uint64_t kept;
    bool is_out_of_memory;
};

/* Makes room for one more of `size` bytes in `p`. Returns false, and notes it, without memory. */
static bool make_room(struct salvage *v, void **p, size_t n, size_t *room, size_t size)
{
    size_t more = *room + *room / 2 + 1024;
    void *q;

    if (n < *room)
        return true;
    q = realloc(*p, more * size);
    if (q == NULL) {
        v->is_out_of_memory = true;
        return false;
    }
    *p = q;
    *room = more;
    return true;
}

static void add(struct salvage *v, struct items *to, uint64_t number, struct slice bytes)
{
    void *p = to->p;

    if (!make_room(v, &p, to->n, &to->room, sizeof *to->p))
        return;
    to->p = p;
    to->p[to->n++] = (struct item){number, bytes};
}

static void add_place(struct salvage *v, uint64_t place)
{
    void *p = v->places.p;

    if (!make_room(v, &p, v->places.n, &v->places.room, sizeof *v->places.p))
        return;
    v->places.p = p;
    v->places.p[v->places.n++] = place;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int compare_items(const void *a, const void *b)
{
    return compare_numbers(&((const struct item *)a)->number, &((const struct item *)b)->number);
}

/* In order, each number once. */
static void sort(struct items *items)
{
    size_t n = 0;

    if (items->n == 0)
        return;
    qsort(items->p, items->n, sizeof *items->p, compare_items);
    for (size_t i = 0; i < items->n; i++)
        if (n == 0 || items->p[n - 1].number != items->p[i].number)
            items->p[n++] = items->p[i];
    items->n = n;
}

static struct slice key_of(const struct item *item)
{
    return slice_make((const char *)&item->number, sizeof item->number);
}

static void take_entry(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct salvage *v = ctx;
    struct record r;

    (void)count;
    if (entry_read(key, value, &r))
        add(v, &v->entries, r.seq, value);
}

static void take_key(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct salvage *v = ctx;
    struct stored_key head;
    struct slice text;
    uint64_t seq;

    (void)count;
    if (stored_key_read(key, value, &head, &seq, &text) && text.n <= MAX_KEY)
        add(v, &v->keys, seq, value);
}

static void take_channel(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct salvage *v = ctx;

    for (size_t i = 0; i < count && key.n <= MAX_CHANNEL_KEY; i++) {
        uint64_t number;

        memcpy(&number, value.p + i * sizeof number, sizeof number);
        if ((number & MARK) != 0)
            add(v, &v->marks, number, key);
        else
            add_place(v, place_in_channel(key, number >> 1));
    }
}

/* Takes what a snapshot has in one of its trees. Free pages hold what was removed, or never came to
 * be, should a damaged one lead there: who is wary takes no page that may be one of them. */
static void take(struct salvage *v, struct snapshot *s, enum db db, walk_visit *visit, bool is_wary)
{
    struct faults faults = {.count = 0};
    struct walk *w = &v->walk;

    if (!s->head->is_there)
        return;
    if (walk_init(w, &v->f->image, s->head, &faults) != 0) {
        v->is_out_of_memory = true;
        return;
    }
    if (is_wary)
        walk_free_list(w, s->head);
    w->is_wary = is_wary;
    snapshot_walk(s, w, db, visit, v);
    walk_fini(w);
}

static void drop_removed(struct salvage *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->entries.n; i++) {
        const struct item *item = &v->entries.p[i];
        struct record r;
        uint64_t place;

        if (v->places.n == 0 || !entry_read(key_of(item), item->bytes, &r))
            continue;
        place = place_of_record(&r);
        if (bsearch(&place, v->places.p, v->places.n, sizeof place, compare_numbers) != NULL)
            v->entries.p[n++] = *item;
    }
    v->entries.n = n;
}

static uint64_t sum_of_entries(const struct items *items)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < items->n; i++)
        sum += record_sum(items->p[i].bytes);
    return sum;
}

static bool has_all_entries(const struct salvage *v)
{
    const struct snapshot *s = v->f->last;

    return s->has_state && v->entries.n == s->state.entries &&
           sum_of_entries(&v->entries) == s->state.entries_sum;
}

static bool has_all_keys(const struct salvage *v)
{
    const struct stored_state *state = &v->f->last->state;
    uint64_t sum = 0;

    for (size_t i = 0; i < v->keys.n; i++) {
        struct stored_key head;

        memcpy(&head, v->keys.p[i].bytes.p, sizeof head);
        sum += head.sum;
    }
    return v->f->last->has_state && v->keys.n == state->keys && sum == state->keys_sum;
}

static bool has_all_marks(const struct salvage *v)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < v->marks.n; i++) {
        struct channel_key key = {.n = v->marks.p[i].bytes.n};

        memcpy(key.p, v->marks.p[i].bytes.p, key.n);
        sum += mark_sum(&key, v->marks.p[i].number);
    }
    return sum == v->f->last->state.marks_sum;
}

static void take_sound_entries(struct salvage *v, struct snapshot *s)
{
    take(v, s, DB_ENTRIES, take_entry, true);
    sort(&v->entries);
    if (v->is_by_channels)
        drop_removed(v);
}

/* The sums tell whether it is all of them, and nothing else. Where it is not, the snapshot before
 * the last has most of the same entries, and may lead to them by other pages. What the last commit
 * has removed is among them: without its channels, nothing tells. So without them it is taken only
 * where there is nothing else. */
static void take_entries(struct salvage *v)
{
    take(v, v->f->last, DB_ENTRIES, take_entry, false);
    sort(&v->entries);
    if (has_all_entries(v))
        return;
    v->entries.n = 0;
    take_sound_entries(v, v->f->last);
    if (v->is_by_channels || v->entries.n == 0)
        take_sound_entries(v, v->f->other);
}

static void take_keys(struct salvage *v)
{
    take(v, v->f->last, DB_KEYS, take_key, false);
    sort(&v->keys);
    if (has_all_keys(v))
        return;
    v->keys.n = 0;
    take(v, v->f->last, DB_KEYS, take_key, true);
    if (v->keys.n == 0)
        take(v, v->f->other, DB_KEYS, take_key, true);
    sort(&v->keys);
}

/* Whether the channels know each entry: they do not where a page is one from before. */
static bool can_tell_by_channels(const struct salvage *v)
{
    const struct findings *f = v->f;

    return f->walked[DB_CHANNELS].is_whole && !f->walked[DB_CHANNELS].meets_free &&
           (!f->last->has_state || v->places.n == f->last->state.entries);
}

static void salvage_init(struct salvage *v, struct findings *f)
{
    *v = (struct salvage){.f = f};
    take(v, f->last, DB_CHANNELS, take_channel, false);
    if (v->places.n > 0)
        qsort(v->places.p, v->places.n, sizeof *v->places.p, compare_numbers);
    v->is_by_channels = can_tell_by_channels(v);
    take_entries(v);
    take_keys(v);
    v->is_whole = f->is_last && has_all_entries(v) && has_all_keys(v) && has_all_marks(v);
}

static void salvage_fini(struct salvage *v)
{
    walk_fini(&v->walk);
    buf_fini(&v->record);
    free(v->entries.p);
    free(v->keys.p);
    free(v->marks.p);
    free(v->places.p);
}

/* ---- the new file ---- */

/* The writing of the new one, and how far it is. */
struct writing {
    struct store *s;
    struct buf *record;  /* that is being appended */
    const struct pass *pass;
    uint64_t bytes;
    uint64_t of;
};

typedef int put_fn(const struct writing *w, const struct item *item);

static int put_entry(const struct writing *w, const struct item *item)
{
    buf_clear(w->record);
    if (buf_add_slice(w->record, item->bytes) != 0)
        return -ENOMEM;
    return store_append(w->s, w->record->p, w->record->len);
}

static int put_key(const struct writing *w, const struct item *item)
{
    struct stored_key head;
    struct slice text;
    uint64_t seq;

    if (!stored_key_read(key_of(item), item->bytes, &head, &seq, &text))
        return -EBADMSG;
    return store_add_key(w->s, seq, head.time_ms, text);
}

static int put_mark(const struct writing *w, const struct item *item)
{
    const struct channel_name channel = {(enum channel_kind)item->bytes.p[0],
                                         slice_make(item->bytes.p + 1, item->bytes.n - 1)};

    return store_add_loss(w->s, channel, item->number >> 1);
}

static int put_all(struct writing *w, const struct items *items, put_fn *put)
{
    int status = 0;

    for (size_t i = 0; i < items->n && status == 0;) {
        size_t end = items->n - i < BATCH ? items->n : i + BATCH;
        uint64_t before = w->bytes;

        status = store_begin(w->s);
        for (; i < end && w->bytes - before < BATCH_BYTES && status == 0; i++) {
            status = put(w, &items->p[i]);
            w->bytes += items->p[i].bytes.n;
        }
        if (status == 0)
            status = store_commit(w->s, 0);
        pass_tell(w->pass, w->bytes, w->of);
    }
    return status;
}

static uint64_t size_of(const struct items *items)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < items->n; i++)
        bytes += items->p[i].bytes.n;
    return bytes;
}

/* What is in the write-ahead log is brought in at the next open. */
static void take_log(struct stored_state *next, const struct stored_state *old)
{
    next->wal_id = old->wal_id;
    next->wal_number = old->wal_number;
    next->wal_size = old->wal_size;
}

/* Nothing is missing: it goes on where it was. */
static int go_on(struct store *s, const struct stored_state *old)
{
    struct store_origin origin = {
        .head = old->head,
        .time_ms = old->time_ms,
        .lost_all = old->lost_all,
        .lost_forgotten = old->lost_forgotten,
    };

    memcpy(origin.epoch, old->epoch, sizeof origin.epoch);
    if (old->reserved > old->head) /* as when it is opened */
        origin.head = origin.lost_all = old->reserved;
    s->next.is_backup = old->is_backup;
    take_log(&s->next, old);
    return store_continue(s, &origin);
}

static void raise(uint64_t *x, uint64_t to)
{
    if (to > *x)
        *x = to;
}

/* The new store's own epoch stays. The numbers go on behind all that were ever given out, but for
 * those in the write-ahead log; and who comes back may have missed whatever there was up to them:
 * that is more than any mark could say, and none is kept. */
static void begin_anew(struct stored_state *next, const struct salvage *v)
{
    for (size_t i = 0; i < HEADS; i++) {
        const struct snapshot *s = &v->f->snapshots[i];

        if (!s->has_state)
            continue;
        raise(&next->head, s->state.head);
        raise(&next->head, s->state.reserved);
        raise(&next->time_ms, s->state.time_ms);
        if (s->state.wal_number >= next->wal_number)
            take_log(next, &s->state);
    }
    for (size_t i = 0; i < v->entries.n; i++) {
        struct record r;

        if (entry_read(key_of(&v->entries.p[i]), v->entries.p[i].bytes, &r))
            raise(&next->time_ms, r.time_ms);
    }
    if (v->keys.n > 0)
        raise(&next->head, v->keys.p[v->keys.n - 1].number);
    next->lost_all = next->head;
}

static int put_end(struct store *s, struct salvage *v)
{
    const struct stored_state *old = &v->f->last->state;
    int status = store_begin(s);

    if (status != 0)
        return status;
    v->is_whole = v->is_whole && s->next.entries == old->entries &&
                  s->next.entries_sum == old->entries_sum && s->next.keys == old->keys &&
                  s->next.head <= old->head;
    if (v->is_whole)
        status = go_on(s, old);
    else
        begin_anew(&s->next, v);
    if (status == 0)
        status = store_commit(s, 0);
    v->kept = store_state(s)->entries;
    return status == 0 ? store_sync(s) : status;
}

static int fill(struct store *s, struct salvage *v, const struct pass *pass)
{
    struct writing w = {
        .s = s,
        .record = &v->record,
        .pass = pass,
        .of = size_of(&v->entries) + size_of(&v->keys),
    };
    int status = 0;

    if (v->is_whole) {
        w.of += size_of(&v->marks);
        status = put_all(&w, &v->marks, put_mark);
    }
    if (status == 0)
        status = put_all(&w, &v->entries, put_entry);
    if (status == 0)
        status = put_all(&w, &v->keys, put_key);
    return status == 0 ? put_end(s, v) : status;
}

/* ---- the whole of it ---- */

struct repairing {
    const char *path;
    const struct pass *pass;
    struct contents contents;
    struct findings findings;
    struct salvage salvage;
    struct store *draft;
    struct error cause;
    char aside[ASIDE_NAME];
};

/* Whether the new file is what it should be: it is not worth a second damaged one. */
static int check_draft(struct repairing *r)
{
    static const struct pass quiet = {NULL, NULL};
    char file[MAX_FILE];
    struct contents c;
    struct findings f;
    int status;

    snprintf(file, sizeof file, "%s/" DRAFT "/" DATA_FILE, r->path);
    status = contents_open(&c, file, &quiet, &r->cause);
    if (status == 0) {
        int code = findings_of(&f, &c, NULL, &quiet);

        if (code != 0)
            status = error_set(&r->cause, "%s", strerror(-code));
        else if (findings_are_bad(&f) || f.is_new)
            status = error_set(&r->cause, "it did not come out whole: is the memory or the disk at "
                                          "fault?");
        if (code == 0)
            findings_fini(&f);
    }
    contents_close(&c);
    return status;
}

/* Writes what can be saved into the draft. */
static int save(void *ctx)
{
    struct repairing *r = ctx;
    char draft[MAX_FILE];
    struct store_options options = {
        .path = draft,
        .keep_per_user = SIZE_MAX,
        .keep_bytes = 2 * (uint64_t)r->contents.n, /* room for what is written over and over */
        .is_unsynced = true, /* until it is whole */
    };
    int status;

    salvage_init(&r->salvage, &r->findings);
    if (r->salvage.is_out_of_memory)
        return error_set(&r->cause, "out of memory");
    snprintf(draft, sizeof draft, "%s/" DRAFT, r->path);
    r->draft = store_open(&options, &r->cause);
    if (r->draft == NULL)
        return -1;
    status = fill(r->draft, &r->salvage, r->pass);
    store_close(r->draft);
    r->draft = NULL;
    return status == 0 ? check_draft(r) : error_set(&r->cause, "%s", strerror(-status));
}

static void forget(struct repairing *r)
{
    store_close(r->draft);
    r->draft = NULL;
    salvage_fini(&r->salvage);
    r->salvage = (struct salvage){.f = NULL};
    directory_clear_draft(r->path);
}

/* Looks at it again, when the file was cut short meanwhile or its disk has failed. */
static int look_again(struct repairing *r)
{
    int status = contents_patch(&r->contents);

    findings_fini(&r->findings);
    if (status == 0)
        status = findings_of(&r->findings, &r->contents, NULL, r->pass);
    return status == 0 ? 0 : error_set(&r->cause, "%s", strerror(-status));
}

static int save_under_guard(struct repairing *r)
{
    for (int i = 0;; i++) {
        bool is_cut;
        int status = guard_run(save, r, &is_cut);

        if (!is_cut)
            return status;
        forget(r);
        if (i == MAX_PATCHES)
            return error_set(&r->cause, "its disk fails");
        if (look_again(r) != 0)
            return -1;
    }
}

static int replace(struct repairing *r)
{
    int code = aside_keep(r->path, &r->contents, r->aside);
    int status = code == 0 ? directory_replace(r->path, true, &r->cause)
                           : error_set(&r->cause, "cannot keep it as %s: %s", r->aside,
                                       strerror(code));

    aside_remove_old(r->path);
    return status;
}

static int rebuild(struct repairing *r, struct error *why)
{
    char what[200];
    int status;

    findings_describe(&r->findings, what, sizeof what);
    status = save_under_guard(r);
    if (status == 0)
        status = replace(r);
    if (status == 0)
        return 0;
    return error_set(why,
                     "journal.path = %s: " DATA_FILE " is damaged (%s) and cannot be repaired: %s. "
                     "It is as it was; a repair needs some %llu MB of room there. Move that file "
                     "away to begin without it",
                     r->path, what, r->cause.text,
                     (unsigned long long)(r->contents.n / MEGABYTE + 1));
}

/* What became of the entries. */
static void describe_kept(const struct repairing *r, char *out, size_t size)
{
    const struct salvage *v = &r->salvage;
    const struct snapshot *last = r->findings.last;
    uint64_t had = r->findings.is_last && last->has_state ? last->state.entries : UINT64_MAX;
    unsigned long long kept = v->kept;

    if (v->is_whole)
        snprintf(out, size, "all %llu entries are kept", kept);
    else if (had == UINT64_MAX)
        snprintf(out, size, "%llu entries are kept, of how many cannot be told, and ids get a new "
                            "epoch", kept);
    else if (had > kept)
        snprintf(out, size, "%llu of %llu entries are kept, and ids get a new epoch", kept,
                 (unsigned long long)had);
    else
        snprintf(out, size, "all %llu entries are kept, but not all that was known of them, and "
                            "ids get a new epoch", kept);
}

static void describe(const struct repairing *r, struct store_repair *out)
{
    char what[200];
    char kept[128];

    out->was_damaged = true;
    out->is_lossy = !r->salvage.is_whole;
    out->entries = r->salvage.kept;
    findings_describe(&r->findings, what, sizeof what);
    describe_kept(r, kept, sizeof kept);
    snprintf(out->what, sizeof out->what, DATA_FILE " was damaged (%s); %s", what, kept);
    if (r->aside[0] != '\0')
        snprintf(out->what + strlen(out->what), sizeof out->what - strlen(out->what),
                 "; the damaged file is %s (the newest %d are kept)", r->aside, STORE_MAX_DAMAGED);
}

static int look_and_repair(struct repairing *r, struct store_repair *out, struct error *why)
{
    int status = findings_of(&r->findings, &r->contents, NULL, r->pass);

    if (status != 0)
        return error_set(why, "journal.path = %s: it cannot be checked: %s", r->path,
                         strerror(-status));
    if (findings_are_foreign(&r->findings, r->path, why)) {
        status = -1;
    } else if (findings_are_bad(&r->findings)) {
        status = rebuild(r, why);
        if (status == 0)
            describe(r, out);
        forget(r);
    }
    findings_fini(&r->findings);
    return status;
}

int repair_directory(const char *path, const struct pass *pass, struct store_repair *out,
                     struct error *why)
{
    struct repairing r = {.path = path, .pass = pass};
    char file[MAX_FILE];
    struct stat info;
    int status;

    *out = (struct store_repair){.was_damaged = false};
    snprintf(file, sizeof file, "%s/" DATA_FILE, path);
    if (stat(file, &info) != 0 && errno == ENOENT)
        return 0;
    status = contents_open(&r.contents, file, pass, why);
    if (status == 0)
        status = look_and_repair(&r, out, why);
    contents_close(&r.contents);
    return status;
}

int store_repair(struct store_lock *lock, store_progress_fn *on_progress, void *ctx,
                 struct store_repair *out, struct error *why)
{
    const struct pass pass = {on_progress, ctx};
    const char *path = store_locked_path(lock);

    if (store_find(path, why) != 0)
        return -1;
    return repair_directory(path, &pass, out, why);
}
