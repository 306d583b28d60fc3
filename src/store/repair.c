/* repair.c - what is whole in a damaged file goes into a new one.
 *
 * The new one is written into a directory of its own, and takes the other's name in one step when
 * it is on disk. Whenever the process or the machine ends, the next opening finds the damaged file
 * or the repaired one, and what is left of a repair that was cut short is removed. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "check_priv.h"

#define DATA "data.mdb"
#define ASIDE DATA ".damaged-"
#define WORKPLACE "repair"

enum { BATCH = 4096, MEGABYTE = 1 << 20 };

/* ---- what can be saved ---- */

struct item {
    uint64_t number;
    struct slice key;
    struct slice value;
};

struct items {
    struct item *p;
    size_t n;
    size_t room;
};

struct salvage {
    struct findings *f;
    struct items entries;
    struct items keys;
    struct items marks;
    struct items places;    /* of the entries that the channels know */
    bool is_by_channels;    /* only those are taken */
    bool is_whole;          /* nothing is missing */
    uint64_t kept;
    bool is_out_of_memory;
};

static void add(struct salvage *v, struct items *to, uint64_t number, struct slice key,
                struct slice value)
{
    if (to->n == to->room) {
        size_t room = to->room == 0 ? 1024 : 2 * to->room;
        struct item *p = realloc(to->p, room * sizeof *p);

        if (p == NULL) {
            v->is_out_of_memory = true;
            return;
        }
        to->p = p;
        to->room = room;
    }
    to->p[to->n++] = (struct item){number, key, value};
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct item *)a)->number;
    uint64_t y = ((const struct item *)b)->number;

    return x < y ? -1 : x > y;
}

/* In order, each number once. */
static void sort(struct items *items)
{
    size_t n = 0;

    if (items->n == 0)
        return;
    qsort(items->p, items->n, sizeof *items->p, by_number);
    for (size_t i = 0; i < items->n; i++)
        if (n == 0 || items->p[n - 1].number != items->p[i].number)
            items->p[n++] = items->p[i];
    items->n = n;
}

static void take_entry(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct salvage *v = ctx;
    struct record r;

    (void)count;
    if (entry_read(key, value, &r))
        add(v, &v->entries, r.seq, key, value);
}

static void take_key(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct salvage *v = ctx;
    struct stored_key head;
    struct slice text;
    uint64_t seq;

    (void)count;
    if (stored_key_read(key, value, &head, &seq, &text) && text.n <= MAX_KEY)
        add(v, &v->keys, seq, key, value);
}

static void take_channel(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct salvage *v = ctx;

    for (size_t i = 0; i < count && key.n <= MAX_CHANNEL_KEY; i++) {
        uint64_t number;

        memcpy(&number, value.p + i * sizeof number, sizeof number);
        if ((number & MARK) != 0)
            add(v, &v->marks, number, key, value);
        else
            add(v, &v->places, place_in_channel(key, number >> 1), key, value);
    }
}

/* Takes what a snapshot has in one of its trees. Other pages hold entries that were removed, should
 * a damaged one lead there: where the channels cannot tell these from the others, no page is taken
 * that may be one of those. */
static void take(struct salvage *v, struct snapshot *s, enum db db, walk_visit *visit)
{
    struct faults faults = {.count = 0};
    struct walk w;

    if (!s->head->is_there)
        return;
    if (walk_init(&w, &v->f->image, s->head, &faults) != 0) {
        v->is_out_of_memory = true;
        return;
    }
    if (db == DB_ENTRIES && !v->is_by_channels) {
        walk_free_list(&w, s->head);
        w.is_wary = true;
    }
    snapshot_walk(s, &w, db, visit, v);
    walk_fini(&w);
}

static void drop_removed(struct salvage *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->entries.n; i++) {
        struct item place = {.number = 0};
        struct record r;

        if (!entry_read(v->entries.p[i].key, v->entries.p[i].value, &r))
            continue;
        place.number = place_of_record(&r);
        if (v->places.n > 0 &&
            bsearch(&place, v->places.p, v->places.n, sizeof place, by_number) != NULL)
            v->entries.p[n++] = v->entries.p[i];
    }
    v->entries.n = n;
}

static uint64_t sum_of_entries(const struct items *items)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < items->n; i++)
        sum += record_sum(items->p[i].value);
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

        memcpy(&head, v->keys.p[i].value.p, sizeof head);
        sum += head.sum;
    }
    return v->keys.n == state->keys && sum == state->keys_sum;
}

static bool has_all_marks(const struct salvage *v)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < v->marks.n; i++) {
        struct channel_key key = {.n = v->marks.p[i].key.n};

        memcpy(key.p, v->marks.p[i].key.p, key.n);
        sum += mark_sum(&key, v->marks.p[i].number);
    }
    return sum == v->f->last->state.marks_sum;
}

/* The snapshot before the last has most of the same entries, and may lead to them by other pages.
 * What the last commit has removed is among them: without its channels, nothing tells. So without
 * them it is taken only where there is nothing else. */
static void take_entries(struct salvage *v)
{
    struct findings *f = v->f;

    take(v, f->last, DB_ENTRIES, take_entry);
    sort(&v->entries);
    if (v->is_by_channels)
        drop_removed(v);
    if (has_all_entries(v) || (!v->is_by_channels && v->entries.n > 0))
        return;
    take(v, f->other, DB_ENTRIES, take_entry);
    sort(&v->entries);
    if (v->is_by_channels)
        drop_removed(v);
}

static void salvage_init(struct salvage *v, struct findings *f)
{
    *v = (struct salvage){.f = f};
    take(v, f->last, DB_CHANNELS, take_channel);
    v->is_by_channels = f->walked[DB_CHANNELS].is_whole && !f->walked[DB_CHANNELS].meets_free;
    sort(&v->places);
    take_entries(v);
    take(v, f->last, DB_KEYS, take_key);
    if (v->keys.n == 0 && (!f->last->has_state || f->last->state.keys > 0))
        take(v, f->other, DB_KEYS, take_key);
    sort(&v->keys);
    v->is_whole = f->is_last && has_all_entries(v) && has_all_keys(v) && has_all_marks(v);
}

static void salvage_fini(struct salvage *v)
{
    free(v->entries.p);
    free(v->keys.p);
    free(v->marks.p);
    free(v->places.p);
}

/* ---- the new file ---- */

typedef int put_fn(struct store *s, const struct item *item);

static int put_entry(struct store *s, const struct item *item)
{
    char *copy = malloc(item->value.n);
    int status;

    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, item->value.p, item->value.n);
    status = store_append(s, copy, item->value.n);
    free(copy);
    return status;
}

static int put_key(struct store *s, const struct item *item)
{
    struct stored_key head;
    struct slice text;
    uint64_t seq;

    if (!stored_key_read(item->key, item->value, &head, &seq, &text))
        return -EBADMSG;
    return store_add_key(s, seq, head.time_ms, text);
}

static int put_mark(struct store *s, const struct item *item)
{
    return write_mark(s, item->key, item->number);
}

static int put_all(struct store *s, const struct items *items, put_fn *put)
{
    int status = 0;

    for (size_t i = 0; i < items->n && status == 0;) {
        size_t end = items->n - i < BATCH ? items->n : i + BATCH;

        status = store_begin(s);
        for (; i < end && status == 0; i++)
            status = put(s, &items->p[i]);
        if (status == 0)
            status = store_commit(s, 0);
    }
    return status;
}

/* Nothing is missing: it goes on where it was. */
static void continue_state(struct stored_state *next, const struct stored_state *old)
{
    memcpy(next->epoch, old->epoch, sizeof next->epoch);
    next->head = old->head;
    next->time_ms = old->time_ms;
    next->lost_all = old->lost_all;
    next->lost_forgotten = old->lost_forgotten;
    next->lost_highest = old->lost_highest;
    if (old->reserved > old->head) /* as when it is opened */
        next->head = next->lost_all = old->reserved;
}

static void raise(uint64_t *x, uint64_t to)
{
    if (to > *x)
        *x = to;
}

/* The new store's own epoch stays. The numbers go on behind all that were ever given out, and who
 * comes back may have missed whatever there was up to them: that is more than any mark could say,
 * and none is kept. */
static void begin_anew(struct stored_state *next, const struct salvage *v)
{
    for (size_t i = 0; i < HEADS; i++) {
        const struct snapshot *s = &v->f->snapshots[i];

        if (!s->has_state)
            continue;
        raise(&next->head, s->state.head);
        raise(&next->head, s->state.reserved);
        raise(&next->time_ms, s->state.time_ms);
    }
    for (size_t i = 0; i < v->entries.n; i++) {
        struct record r;

        if (entry_read(v->entries.p[i].key, v->entries.p[i].value, &r))
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
                  s->next.entries_sum == old->entries_sum && s->next.keys == old->keys;
    if (v->is_whole)
        continue_state(&s->next, old);
    else
        begin_anew(&s->next, v);
    status = store_commit(s, 0);
    v->kept = store_state(s)->entries;
    return status != 0 ? status : store_error(mdb_env_sync(s->env, 1));
}

static int fill(struct store *s, struct salvage *v)
{
    int status = v->is_whole ? put_all(s, &v->marks, put_mark) : 0;

    if (status == 0)
        status = put_all(s, &v->entries, put_entry);
    if (status == 0)
        status = put_all(s, &v->keys, put_key);
    return status == 0 ? put_end(s, v) : status;
}

/* Whether the new file is what it should be: it is not worth a second damaged one. */
static int check_result(const char *file, struct error *why)
{
    struct contents c;
    struct findings f;
    int status = contents_open(&c, file, why);

    if (status == 0 && findings_init(&f, c.p, c.n) != 0)
        status = error_set(why, "out of memory");
    if (status != 0) {
        contents_close(&c);
        return status;
    }
    if (findings_are_bad(&f) || f.is_new)
        status = error_set(why, "%s did not come out whole: is the memory or the disk at fault?",
                           file);
    findings_fini(&f);
    contents_close(&c);
    return status;
}

static int build(const char *workplace, struct salvage *v, struct error *why)
{
    struct store_options options = {
        .path = workplace,
        .keep_per_user = SIZE_MAX,
        .keep_bytes = v->f->image.pages * v->f->image.page_size,
        .is_unsynced = true, /* until it is whole */
    };
    struct store *s = store_open(&options, why);
    char file[MAX_FILE_NAME + 16];
    int status;

    if (s == NULL)
        return -1;
    status = fill(s, v);
    store_close(s);
    if (status != 0)
        return error_set(why, "%s", strerror(-status));
    snprintf(file, sizeof file, "%s/" DATA, workplace);
    return check_result(file, why);
}

/* ---- files ---- */

static void remove_workplace(const char *workplace)
{
    static const char *const files[] = {DATA, "lock.mdb", "sse-notify.lock"};
    char file[MAX_FILE_NAME + 32];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(file, sizeof file, "%s/%s", workplace, files[i]);
        unlink(file);
    }
    rmdir(workplace);
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = fd < 0 || fsync(fd) != 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return code;
}

static bool is_aside(const char *name)
{
    return strncmp(name, ASIDE, sizeof ASIDE - 1) == 0;
}

/* The damaged files that are kept: their names are their times. */
struct asides {
    size_t count;
    char oldest[256];
    char newest[256];
};

static void find_asides(const char *path, struct asides *a)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;

    *a = (struct asides){.count = 0};
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (!is_aside(entry->d_name))
            continue;
        if (a->count == 0 || strcmp(entry->d_name, a->oldest) < 0)
            snprintf(a->oldest, sizeof a->oldest, "%s", entry->d_name);
        if (a->count == 0 || strcmp(entry->d_name, a->newest) > 0)
            snprintf(a->newest, sizeof a->newest, "%s", entry->d_name);
        a->count++;
    }
    if (directory != NULL)
        closedir(directory);
}

static void remove_old_asides(const char *path)
{
    struct asides all;
    char file[MAX_FILE_NAME + 256];

    for (find_asides(path, &all); all.count > STORE_MAX_DAMAGED; find_asides(path, &all)) {
        snprintf(file, sizeof file, "%s/%s", path, all.oldest);
        if (unlink(file) != 0)
            return;
    }
}

/* A name behind those that there are, also within one second. */
static void name_aside(const char *path, char *name, size_t size)
{
    time_t now = time(NULL);
    struct asides all;
    struct tm utc;
    char at[32];
    size_t n;

    gmtime_r(&now, &utc);
    strftime(at, sizeof at, "%Y%m%dT%H%M%S", &utc);
    n = (size_t)snprintf(name, size, ASIDE "%s", at);
    find_asides(path, &all);
    if (strncmp(all.newest, name, n) == 0)
        snprintf(name + n, size - n, ".%03ld",
                 all.newest[n] == '.' ? strtol(all.newest + n + 1, NULL, 10) + 1 : 1);
}

static int write_whole(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);

        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            p += written;
            n -= (size_t)written;
        }
    }
    return fsync(fd) != 0 ? errno : 0;
}

/* Gives the damaged file its second name, or where the file system knows no second names, a copy.
 * The first one stays: without it the store would look like a new one. Returns 0 or errno. */
static int add_name(const char *from, const char *to, const struct contents *c)
{
    int code;
    int fd;

    if (link(from, to) == 0)
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return errno;
    fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    code = write_whole(fd, c->p, c->n);
    close(fd);
    if (code != 0)
        unlink(to);
    return code;
}

/* Keeps the damaged file under a name of its own. Returns 0 or errno. */
static int keep_aside(const char *path, const char *data, const struct contents *c, char *name,
                      size_t size)
{
    char file[MAX_FILE_NAME + 64];

    name[0] = '\0';
    if (c->n == 0)
        return 0;
    name_aside(path, name, size);
    snprintf(file, sizeof file, "%s/%s", path, name);
    return add_name(data, file, c); /* which fails where there is one of that name */
}

/* The new file takes the damaged one's place. Who reads that one still is left alone with it, by
 * a new table of readers: LMDB keeps the number of the last transaction in there. */
static int swap(const char *path, const char *workplace, const struct contents *c,
                struct store_opening *out, struct error *why)
{
    char data[MAX_FILE_NAME];
    char built[MAX_FILE_NAME + 16];
    char readers[MAX_FILE_NAME];
    int code;

    snprintf(data, sizeof data, "%s/" DATA, path);
    snprintf(built, sizeof built, "%s/" DATA, workplace);
    snprintf(readers, sizeof readers, "%s/lock.mdb", path);
    code = keep_aside(path, data, c, out->aside, sizeof out->aside);
    if (code == 0)
        code = sync_directory(path);
    if (code == 0 && rename(built, data) != 0)
        code = errno;
    if (code == 0)
        code = sync_directory(path);
    unlink(readers);
    return code == 0 ? 0 : error_set(why, "%s", strerror(code));
}

/* ---- the whole of it ---- */

static void describe(const struct salvage *v, struct store_opening *out)
{
    char what[200];
    char aside[128];

    out->was_damaged = true;
    out->was_lost = !v->is_whole;
    out->kept = v->kept;
    findings_describe(v->f, what, sizeof what);
    snprintf(aside, sizeof aside, "; the damaged file is %s (the newest %d are kept)", out->aside,
             STORE_MAX_DAMAGED);
    snprintf(out->what, sizeof out->what, DATA " was damaged (%s); %s%llu entries are kept%s%s",
             what, v->is_whole ? "all " : "", (unsigned long long)out->kept,
             v->is_whole ? "" : ", and the epoch is a new one",
             out->aside[0] == '\0' ? "" : aside);
}

static int rebuild(const char *path, struct salvage *v, const struct contents *c,
                   struct store_opening *out, struct error *why)
{
    char workplace[MAX_FILE_NAME];
    struct error cause = {.text = ""};
    char what[200];
    int status;

    snprintf(workplace, sizeof workplace, "%s/" WORKPLACE, path);
    status = v->is_out_of_memory ? error_set(&cause, "out of memory") : build(workplace, v, &cause);
    if (status == 0)
        status = swap(path, workplace, c, out, &cause);
    remove_workplace(workplace);
    if (status == 0)
        return 0;
    findings_describe(v->f, what, sizeof what);
    return error_set(why,
                     "journal.path = %s: " DATA " is damaged (%s) and cannot be repaired: %s: make "
                     "room for %llu MB there, or move that file away to begin without it; it is as "
                     "it was",
                     path, what, cause.text, (unsigned long long)(c->n / MEGABYTE + 1));
}

static int look_and_repair(const char *path, const struct contents *c, struct store_opening *out,
                           struct error *why)
{
    struct findings f;
    struct salvage v;
    int status = 0;

    if (findings_init(&f, c->p, c->n) != 0)
        return error_set(why, "journal.path = %s: out of memory for its check", path);
    if (findings_are_bad(&f)) {
        salvage_init(&v, &f);
        status = rebuild(path, &v, c, out, why);
        if (status == 0) {
            describe(&v, out);
            remove_old_asides(path);
        }
        salvage_fini(&v);
    }
    findings_fini(&f);
    return status;
}

int repair(const char *path, struct store_opening *out, struct error *why)
{
    char name[MAX_FILE_NAME];
    struct contents c;
    int status;

    *out = (struct store_opening){.was_damaged = false};
    snprintf(name, sizeof name, "%s/" WORKPLACE, path);
    remove_workplace(name);
    snprintf(name, sizeof name, "%s/" DATA, path);
    status = contents_open(&c, name, why);
    if (status == 0 && !c.is_absent)
        status = look_and_repair(path, &c, out, why);
    contents_close(&c);
    return status;
}
