/* check.c - the trees of the last commit against each other, and against what its state says.
 *
 * One pass over the file: the records are read once, and what the other trees say of them is
 * compared as sums over good hashes. */
#include "store/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "check_priv.h"

/* ---- the file ---- */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* of Linux 5.14 */
#endif

/* A part that the disk cannot give is zeros: damage like any other, instead of a signal. */
static int read_in_parts(struct contents *c, int fd)
{
    enum { PART = 4096 };
    char *p = mmap(NULL, c->n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -1;
    for (size_t at = 0; at < c->n; at += PART)
        (void)!pread(fd, p + at, c->n - at < PART ? c->n - at : PART, (off_t)at);
    c->p = p;
    return 0;
}

static int map(struct contents *c, int fd)
{
    void *p = mmap(NULL, c->n, PROT_READ, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return -1;
    /* All at once: from a disk in its order, and out of the cache without a fault a page. */
    if (madvise(p, c->n, MADV_POPULATE_READ) == 0 || errno == EINVAL) {
        c->p = p;
        return 0;
    }
    munmap(p, c->n);
    return read_in_parts(c, fd);
}

int contents_open(struct contents *c, const char *file, struct error *why)
{
    struct stat info;
    int status = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    *c = (struct contents){.is_absent = fd < 0 && errno == ENOENT};
    if (c->is_absent)
        return 0;
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = error_set(why, "cannot read %s: %s", file, strerror(errno));
    } else {
        c->n = (size_t)info.st_size;
        if (c->n > 0 && map(c, fd) != 0)
            status = error_set(why, "cannot read %s: %s", file, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return status;
}

void contents_close(struct contents *c)
{
    if (c->p != NULL)
        munmap(c->p, c->n);
    c->p = NULL;
}

/* ---- one entry ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * 0x9e3779b97f4a7c15u ^ (b + 0x632be59bd9b4e019u);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t hash_channel(struct slice key)
{
    return (uint64_t)crc32c(0, key.p, key.n) << 32 | key.n;
}

uint64_t place_in_channel(struct slice channel_key, uint64_t seq)
{
    return mix(hash_channel(channel_key), seq);
}

uint64_t place_of_record(const struct record *r)
{
    struct channel_key key;

    channel_key_make(&key, r->to);
    return place_in_channel(slice_make(key.p, key.n), r->seq);
}

static uint64_t number_at(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

bool entry_read(struct slice key, struct slice value, struct record *r)
{
    return record_read(r, value) == 0 && r->seq == number_at(key.p) && r->seq > 0 &&
           r->to.name.n <= MAX_CHANNEL_NAME && r->collapse_key.n <= MAX_KEY;
}

bool stored_key_read(struct slice key, struct slice value, struct stored_key *head, uint64_t *seq,
                     struct slice *text)
{
    if (value.n < sizeof *head)
        return false;
    memcpy(head, value.p, sizeof *head);
    *seq = number_at(key.p);
    *text = slice_make(value.p + sizeof *head, value.n - sizeof *head);
    return head->sum == stored_key_sum(head, *text, *seq);
}

/* ---- a snapshot: its trees, and its state ---- */

static void note_tree(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct snapshot *s = ctx;

    (void)count;
    for (size_t i = 0; i < DB_COUNT; i++)
        if (slice_is(key, db_kinds[i].name)) {
            tree_read(&s->trees[i], value.p);
            s->has_tree[i] = true;
            return;
        }
    fault(&s->faults, "there is a tree of an unknown name");
}

/* A state of a newer format may be of any length; it is sealed all the same. */
static void note_state(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct snapshot *s = ctx;
    struct stored_state *state = &s->state;

    (void)count;
    if (!slice_is(key, "state"))
        return; /* a backup is marked here */
    if (value.n == sizeof *state) {
        memcpy(state, value.p, sizeof *state);
        s->has_state = state->format == STORE_FORMAT && stored_state_is_sound(state);
    }
    if (!s->has_state && value.n > offsetof(struct stored_state, txn)) {
        uint32_t sum;

        memcpy(&sum, value.p, sizeof sum);
        memcpy(&s->newer_format, value.p + sizeof sum, sizeof s->newer_format);
        if (s->newer_format <= STORE_FORMAT ||
            sum != crc32c(0, value.p + sizeof sum, value.n - sizeof sum))
            s->newer_format = 0;
    }
    if (!s->has_state)
        fault(&s->faults, "the state is damaged");
}

struct walked snapshot_walk(struct snapshot *s, struct walk *w, enum db db, walk_visit *visit,
                            void *ctx)
{
    const struct db_kind *kind = &db_kinds[db];
    const bool is_of_runs = (kind->flags & MDB_DUPSORT) != 0;

    if (!s->has_tree[db])
        return (struct walked){.is_whole = false};
    return walk_tree(w, kind->name, &s->trees[db], kind->flags,
                     is_of_runs ? WALK_RUNS : WALK_PAIRS, visit, ctx);
}

static int snapshot_init(struct snapshot *s, const struct image *image, const struct head *head)
{
    *s = (struct snapshot){.head = head};
    if (!head->is_there)
        return 0;
    if (walk_init(&s->walk, image, head, &s->faults) != 0)
        return -ENOMEM;
    walk_tree(&s->walk, "the tree of trees", &head->names, 0, WALK_TREES, note_tree, s);
    snapshot_walk(s, &s->walk, DB_STATE, note_state, s);
    return 0;
}

/* ---- which of the two is the last ---- */

/* As LMDB begins a file. */
static bool is_blank(const struct snapshot *s)
{
    return s->head->is_whole && s->head->txn == 0 && s->head->names.root == NO_PAGE &&
           s->head->free_list.root == NO_PAGE;
}

/* The commit that made the trees; the one after it has brought the state. */
static bool is_made(const struct snapshot *s)
{
    if (!s->head->is_whole || s->head->txn != 1 || s->faults.count > 0)
        return false;
    for (size_t i = 0; i < DB_COUNT; i++)
        if (s->has_tree[i] && s->trees[i].root != NO_PAGE)
            return false;
    return true;
}

/* A copy's transactions are numbered anew, its state is not. */
static bool is_copied(const struct snapshot *s, const struct snapshot *other)
{
    bool is_other_known = other->has_state && other->state.txn == other->head->txn;

    if (s->head->txn > 2 || !s->has_state || !s->head->is_whole)
        return false;
    /* Else its number was flipped: it belongs beside that of the other. */
    return !is_other_known || (s->state.txn != other->head->txn + 1 &&
                               s->state.txn + 1 != other->head->txn);
}

/* Whether the head is that of the commit that wrote its state, as far as the state can be read. The
 * older one's pages may be in use again after a commit that was not finished. */
static bool is_in_place(const struct snapshot *s, const struct snapshot *other)
{
    if (!s->head->is_whole)
        return false;
    return !s->has_state || s->state.txn == s->head->txn || is_copied(s, other);
}

static bool is_before(const struct snapshot *a, const struct snapshot *b)
{
    return a->has_state != b->has_state ? b->has_state : a->state.txn < b->state.txn;
}

/* The heads in their order, where that is certain. */
static bool order_by_heads(struct findings *f)
{
    struct snapshot *a = &f->snapshots[0];
    struct snapshot *b = &f->snapshots[1];

    if (!is_in_place(a, b) || !is_in_place(b, a) ||
        (a->head->txn + 1 != b->head->txn && b->head->txn + 1 != a->head->txn))
        return false;
    f->last = a->head->txn > b->head->txn ? a : b;
    f->other = f->last == a ? b : a;
    return true;
}

static void choose_last(struct findings *f)
{
    struct snapshot *a = &f->snapshots[0];
    struct snapshot *b = &f->snapshots[1];

    f->is_last = order_by_heads(f);
    if (f->is_last) {
        f->is_new = is_made(f->last) && is_blank(f->other);
        return;
    }
    fault(&f->faults, "its two heads do not belong together");
    f->last = is_before(a, b) ? b : a;
    f->other = f->last == a ? b : a;
    /* The other one is known to be the one before. */
    f->is_last = f->last->has_state &&
                 ((f->other->has_state && f->other->state.txn + 1 == f->last->state.txn) ||
                  (f->other->head->is_whole && f->other->head->txn + 1 == f->last->state.txn));
}

/* ---- what is in it ---- */

struct counting {
    struct tally *tally;
    struct faults *faults;
    const struct stored_state *state;
    const char *channel;     /* whose run is being counted */
    uint64_t mark;           /* that it has */
    uint64_t count;          /* with the mark */
};

static void count_entry(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct counting *c = ctx;
    struct tally *t = c->tally;
    struct record r;

    (void)count;
    if (!entry_read(key, value, &r)) {
        fault(c->faults, "the record %llu is damaged", (unsigned long long)number_at(key.p));
        return;
    }
    t->entries++;
    t->entries_sum += record_sum(value);
    t->highest = r.seq > t->highest ? r.seq : t->highest;
    t->in_records[DB_CHANNELS] += place_of_record(&r);
    if (r.expires_ms != RECORD_KEPT)
        t->in_records[DB_TTL] += mix(r.expires_ms, r.seq);
    /* The newest of a key is the only one: two keys with one hash of 64 bits are not to be feared,
     * as nobody knows what they are hashed with. */
    if (r.collapse_key.n > 0)
        t->in_records[DB_COLLAPSE] +=
            mix(collapse_hash(c->state->hash_key, r.to, r.collapse_key), r.seq);
}

static void end_channel(struct counting *c)
{
    if (c->channel != NULL && c->count == 1 && c->mark != 0)
        c->tally->graves++;
    c->channel = NULL;
}

static void begin_channel(struct counting *c, struct slice key)
{
    end_channel(c);
    c->channel = key.p;
    c->mark = c->count = 0;
    c->tally->channels++;
    if (key.n > MAX_CHANNEL_KEY || (unsigned char)key.p[0] > CHANNEL_EVERYONE)
        fault(c->faults, "channels: a name is damaged");
}

static void count_mark(struct counting *c, struct slice key, uint64_t mark)
{
    struct channel_key name = {.n = key.n < MAX_CHANNEL_KEY ? key.n : MAX_CHANNEL_KEY};

    if (c->count > 0)
        fault(c->faults, "channels: a mark is not where it is looked for");
    memcpy(name.p, key.p, name.n);
    c->mark = mark;
    c->tally->marks_sum += mark_sum(&name, mark);
}

static void count_channel(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct counting *c = ctx;
    uint64_t hash = hash_channel(key);

    if (key.p != c->channel)
        begin_channel(c, key);
    for (size_t i = 0; i < count; i++, c->count++) {
        uint64_t number = number_at(value.p + i * sizeof number);

        if ((number & MARK) != 0)
            count_mark(c, key, number);
        else
            c->tally->in_trees[DB_CHANNELS] += mix(hash, number >> 1);
    }
}

static void count_ttl(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct counting *c = ctx;

    for (size_t i = 0; i < count; i++)
        c->tally->in_trees[DB_TTL] +=
            mix(number_at(key.p), number_at(value.p + i * sizeof(uint64_t)));
}

static void count_collapse(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct counting *c = ctx;

    (void)count;
    if (value.n != sizeof(uint64_t))
        fault(c->faults, "collapse: a number is damaged");
    else
        c->tally->in_trees[DB_COLLAPSE] += mix(number_at(key.p), number_at(value.p));
}

static void count_key(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct counting *c = ctx;
    struct stored_key head;
    struct slice text;
    uint64_t seq;

    (void)count;
    if (!stored_key_read(key, value, &head, &seq, &text)) {
        fault(c->faults, "keys: a key is damaged");
        return;
    }
    c->tally->keys++;
    c->tally->keys_sum += head.sum;
}

static void compare(struct findings *f)
{
    struct faults *faults = &f->last->faults;
    const struct stored_state *state = &f->last->state;
    const struct tally *t = &f->tally;

    if (t->entries != state->entries || t->entries_sum != state->entries_sum)
        fault(faults, "it has %llu entries, and should have %llu", (unsigned long long)t->entries,
              (unsigned long long)state->entries);
    if (t->keys != state->keys || t->keys_sum != state->keys_sum)
        fault(faults, "it has %llu keys, and should have %llu", (unsigned long long)t->keys,
              (unsigned long long)state->keys);
    if (t->marks_sum != state->marks_sum || t->graves != state->graves)
        fault(faults, "channels: what they have lost is damaged");
    if (t->highest > state->head)
        fault(faults, "it has an entry that was never written");
    for (size_t i = 0; i < DB_COUNT; i++)
        if (t->in_records[i] != t->in_trees[i])
            fault(faults, "%s: it does not fit the entries", db_kinds[i].name);
}

static void look_at_trees(struct findings *f)
{
    static walk_visit *const visits[DB_COUNT] = {
        [DB_ENTRIES] = count_entry, [DB_CHANNELS] = count_channel, [DB_TTL] = count_ttl,
        [DB_COLLAPSE] = count_collapse, [DB_KEYS] = count_key,
    };
    struct snapshot *s = f->last;
    struct counting c = {.tally = &f->tally, .faults = &s->faults, .state = &s->state};

    for (size_t i = 0; i < DB_COUNT; i++) {
        if (!s->has_tree[i])
            fault(&s->faults, "there is no tree %s", db_kinds[i].name);
        else if (visits[i] != NULL)
            f->walked[i] = snapshot_walk(s, &s->walk, (enum db)i, visits[i], &c);
        end_channel(&c);
    }
    if (!s->has_state)
        fault(&s->faults, "there is no state");
    else
        compare(f);
}

/* What we cannot know is left alone: a newer LMDB says so in both heads, a newer store in its
 * state. */
static bool is_foreign(const struct findings *f)
{
    const struct head *a = &f->heads[0];
    const struct head *b = &f->heads[1];

    if (a->is_whole && b->is_whole && a->version == b->version && a->version != LMDB_VERSION)
        return true;
    return f->last->newer_format != 0 && f->is_last;
}

int findings_init(struct findings *f, const void *bytes, size_t n)
{
    *f = (struct findings){.is_last = false};
    image_read(&f->image, bytes, n, f->heads, &f->faults);
    for (size_t i = 0; i < HEADS; i++)
        if (snapshot_init(&f->snapshots[i], &f->image, &f->heads[i]) != 0) {
            findings_fini(f);
            return -ENOMEM;
        }
    choose_last(f);
    f->is_foreign = is_foreign(f);
    if (f->is_foreign || !f->last->head->is_there)
        return 0;
    if (f->last->head->version != LMDB_VERSION || f->other->head->version != LMDB_VERSION)
        fault(&f->faults, "one of its heads is of an unknown version");
    walk_free_list(&f->last->walk, f->last->head);
    if (!f->is_new)
        look_at_trees(f);
    walk_end(&f->last->walk);
    return 0;
}

void findings_fini(struct findings *f)
{
    for (size_t i = 0; i < HEADS; i++)
        walk_fini(&f->snapshots[i].walk);
}

bool findings_are_bad(const struct findings *f)
{
    return !f->is_foreign && f->faults.count + f->last->faults.count > 0;
}

void findings_describe(const struct findings *f, char *out, size_t size)
{
    const struct faults *first = f->last->faults.count > 0 ? &f->last->faults : &f->faults;
    uint64_t count = f->faults.count + f->last->faults.count;

    snprintf(out, size, "%s", first->first);
    if (count > 1)
        snprintf(out + strlen(out), size - strlen(out), ", and %llu faults more",
                 (unsigned long long)count - 1);
}

/* ---- for tools ---- */

static void report(const struct findings *f, const struct contents *c, struct store_report *out)
{
    out->bytes = c->n;
    out->is_new = f->is_new;
    out->is_foreign = f->is_foreign;
    out->is_damaged = findings_are_bad(f);
    out->pages = f->image.pages;
    out->free_pages = f->last->walk.free_count;
    out->entries = f->tally.entries;
    out->channels = f->tally.channels;
    out->keys = f->tally.keys;
    if (!out->is_damaged)
        return;
    out->faults = f->faults.count + f->last->faults.count;
    findings_describe(f, out->what, sizeof out->what);
}

/* Holds a process off that would write, and is refused by one that does. */
static int hold_off(const char *path, int *fd, struct error *why)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    char file[MAX_FILE_NAME];

    snprintf(file, sizeof file, "%s/sse-notify.lock", path);
    *fd = open(file, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fcntl(*fd, F_OFD_SETLK, &lock) == 0)
        return 0; /* without the file, nobody has ever written there */
    return error_set(why,
                     "journal.path = %s: a process is writing to it, which has checked it when it "
                     "was started: end that process, or check a copy",
                     path);
}

int store_check(const char *path, struct store_report *out, struct error *why)
{
    char file[MAX_FILE_NAME];
    struct contents c = {.p = NULL};
    struct findings f;
    int lock_fd;
    int status = hold_off(path, &lock_fd, why);

    *out = (struct store_report){.is_new = true};
    snprintf(file, sizeof file, "%s/data.mdb", path);
    if (status == 0)
        status = contents_open(&c, file, why);
    if (status == 0 && !c.is_absent) {
        if (findings_init(&f, c.p, c.n) == 0) {
            report(&f, &c, out);
            findings_fini(&f);
        } else {
            status = error_set(why, "out of memory for the check of %s", file);
        }
    }
    contents_close(&c);
    if (lock_fd >= 0)
        close(lock_fd);
    return status;
}
