/* check.c - the trees of the last commit against each other, and against what its state says.
 *
 * One pass over the file: the records are read once, and what the other trees say of them is
 * compared as sums over good hashes. */
#include "store/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "check_priv.h"
#include "store/guard.h"
#include "store/replace.h"

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

    for (size_t i = 0; i < DB_COUNT && count > 0; i++)
        if (slice_is(key, db_kinds[i].name)) {
            tree_read(&s->trees[i], value.p);
            s->has_tree[i] = true;
            return;
        }
    s->unknown++;
    fault(&s->faults, "there is a tree of an unknown name");
}

/* A state of a newer format may be of any length; it is sealed all the same. */
static void note_state(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct snapshot *s = ctx;
    struct stored_state *state = &s->state;

    (void)count;
    if (!slice_is(key, "state")) {
        fault(&s->faults, "there is a state of an unknown name");
        return;
    }
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
    if (is_blank(a) && is_blank(b)) {
        f->last = a;
        f->other = b;
        f->is_last = f->is_new = true;
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

static void compare_count(struct faults *faults, const char *what, uint64_t there, uint64_t said)
{
    if (there != said)
        fault(faults, "%s: there are %llu whole ones, and should be %llu", what,
              (unsigned long long)there, (unsigned long long)said);
    else
        fault(faults, "%s: they are not those that there should be", what);
}

/* Of a tree that is damaged in itself it says nothing new that it does not fit the others. */
static void compare(struct findings *f)
{
    struct faults *faults = &f->last->faults;
    const struct stored_state *state = &f->last->state;
    const struct tally *t = &f->tally;

    if (t->entries != state->entries || t->entries_sum != state->entries_sum)
        compare_count(faults, "entries", t->entries, state->entries);
    if (t->keys != state->keys || t->keys_sum != state->keys_sum)
        compare_count(faults, "keys", t->keys, state->keys);
    if (f->walked[DB_CHANNELS].is_whole &&
        (t->marks_sum != state->marks_sum || t->graves != state->graves))
        fault(faults, "channels: what they have lost is damaged");
    if (t->highest > state->head)
        fault(faults, "it has an entry that was never written");
    for (size_t i = 0; i < DB_COUNT; i++)
        if (f->walked[DB_ENTRIES].is_whole && f->walked[i].is_whole &&
            t->in_records[i] != t->in_trees[i])
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

static bool has_trees(const struct snapshot *s)
{
    for (size_t i = 0; i < DB_COUNT; i++)
        if (s->has_tree[i])
            return true;
    return false;
}

/* What we cannot know is left alone: a newer LMDB says so in every head that is one, a newer store
 * in a state that is sealed, and what another program keeps with LMDB has trees, but none of ours.
 */
static enum foreign find_foreign(const struct findings *f)
{
    bool is_of_lmdb = false;
    bool has_whole = false;

    for (size_t i = 0; i < HEADS; i++) {
        if (f->snapshots[i].newer_format != 0)
            return FOREIGN_FORMAT;
        has_whole |= f->heads[i].is_whole;
        is_of_lmdb |= f->heads[i].is_whole && f->heads[i].version == LMDB_VERSION;
    }
    if (has_whole && !is_of_lmdb)
        return FOREIGN_LMDB;
    if (f->heads[0].is_whole && f->heads[1].is_whole && f->last->unknown > 0 &&
        !has_trees(f->last) && !has_trees(f->other))
        return FOREIGN_PROGRAM;
    return FOREIGN_NOT;
}

bool findings_are_foreign(const struct findings *f, const char *path, struct error *why)
{
    uint32_t format = f->snapshots[0].newer_format;
    const struct head *whole = &f->heads[f->heads[0].is_whole ? 0 : 1];

    switch (f->foreign) {
    case FOREIGN_NOT:
        return false;
    case FOREIGN_FORMAT:
        error_set(why,
                  "journal.path = %s: it was written by a newer sse-notify (format %u, this one "
                  "knows %d): run that one, or give this daemon another path",
                  path, format != 0 ? format : f->snapshots[1].newer_format, STORE_FORMAT);
        break;
    case FOREIGN_LMDB:
        error_set(why,
                  "journal.path = %s: " DATA_FILE " was written by another version of LMDB (%u, "
                  "this one is %d): run an sse-notify with that one, or give this daemon another "
                  "path",
                  path, whole->version, LMDB_VERSION);
        break;
    case FOREIGN_PROGRAM:
        error_set(why,
                  "journal.path = %s: " DATA_FILE " is another program's: give this daemon another "
                  "path",
                  path);
        break;
    }
    return true;
}

/* Beside a process that writes, the other head may change at any time. */
static void choose_only(struct findings *f)
{
    f->last = &f->snapshots[0];
    f->other = &f->snapshots[1];
    f->is_last = true;
    f->is_new = is_made(f->last);
    if (!is_in_place(f->last, f->other))
        fault(&f->faults, "its head does not belong to its state");
}

static void read_heads(struct findings *f, const void *bytes, size_t n, const struct head *only)
{
    image_read(&f->image, bytes, n, f->heads, &f->faults);
    if (only == NULL)
        return;
    f->heads[0] = *only;
    f->heads[1] = (struct head){.is_there = false};
    f->faults.count = 0;
}

int findings_init(struct findings *f, const void *bytes, size_t n, const struct head *only,
                  const struct pass *pass)
{
    *f = (struct findings){.is_last = false};
    read_heads(f, bytes, n, only);
    for (size_t i = 0; i < HEADS; i++)
        if (snapshot_init(&f->snapshots[i], &f->image, &f->heads[i]) != 0) {
            findings_fini(f);
            return -ENOMEM;
        }
    if (only == NULL)
        choose_last(f);
    else
        choose_only(f);
    f->foreign = find_foreign(f);
    if (f->foreign != FOREIGN_NOT || !f->last->head->is_there)
        return 0;
    if (f->last->head->version != LMDB_VERSION ||
        (f->other->head->is_there && f->other->head->version != LMDB_VERSION))
        fault(&f->faults, "one of its heads is of an unknown version");
    f->last->walk.pass = pass;
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

struct looking {
    struct findings *f;
    const struct contents *c;
    const struct head *only;
    const struct pass *pass;
};

static int look(void *ctx)
{
    const struct looking *l = ctx;

    return findings_init(l->f, l->c->p, l->c->n, l->only, l->pass);
}

int findings_of(struct findings *f, struct contents *c, const struct head *only,
                const struct pass *pass)
{
    struct looking looking = {f, c, only, pass};

    for (int i = 0;; i++) {
        bool is_cut;
        int status = guard_run(look, &looking, &is_cut);

        if (!is_cut)
            return status;
        findings_fini(f);
        status = i < MAX_PATCHES ? contents_patch(c) : -EIO;
        if (status != 0)
            return status;
    }
}

uint64_t findings_count(const struct findings *f)
{
    return f->faults.count + f->last->faults.count;
}

bool findings_are_bad(const struct findings *f)
{
    return f->foreign == FOREIGN_NOT && findings_count(f) > 0;
}

static size_t in_words(const struct faults *f)
{
    return f->count < STORE_MAX_FINDINGS ? (size_t)f->count : STORE_MAX_FINDINGS;
}

const char *findings_text(const struct findings *f, size_t i)
{
    size_t first = in_words(&f->last->faults);

    if (i < first)
        return f->last->faults.first[i];
    return i - first < in_words(&f->faults) ? f->faults.first[i - first] : NULL;
}

void findings_describe(const struct findings *f, char *out, size_t size)
{
    uint64_t more = findings_count(f) - 1;

    snprintf(out, size, "%s", findings_text(f, 0));
    if (more > 0)
        snprintf(out + strlen(out), size - strlen(out), ", and %llu fault%s more",
                 (unsigned long long)more, more == 1 ? "" : "s");
}

/* ---- for tools ---- */

static void report(const struct findings *f, const struct contents *c, struct store_report *out)
{
    const struct walk *walk = &f->last->walk;

    out->is_damaged = findings_are_bad(f);
    out->bytes = c->n;
    out->free_bytes = walk->free_count * f->image.page_size;
    out->entries = f->tally.entries;
    out->channels = f->tally.channels;
    out->keys = f->tally.keys;
    out->faults = findings_count(f);
    for (size_t i = 0; i < STORE_MAX_FINDINGS && findings_text(f, i) != NULL; i++)
        snprintf(out->findings[i], sizeof out->findings[i], "%s", findings_text(f, i));
}

/* A transaction that reads, for as long as the pages of its commit must stay as they are. */
struct pin {
    MDB_env *env;
    MDB_txn *txn;
};

static int pin_begin(struct pin *pin, const char *path)
{
    int code;

    *pin = (struct pin){.env = NULL};
    code = mdb_env_create(&pin->env);
    if (code == 0)
        code = mdb_env_open(pin->env, path, MDB_RDONLY | MDB_NOTLS, FILE_MODE);
    if (code == 0)
        code = mdb_txn_begin(pin->env, NULL, MDB_RDONLY, &pin->txn);
    return code;
}

static void pin_end(struct pin *pin)
{
    if (pin->txn != NULL)
        mdb_txn_abort(pin->txn);
    if (pin->env != NULL)
        mdb_env_close(pin->env);
}

/* Reads the head of the commit that is pinned. The second commit after it writes over it, which has
 * not begun while there is none after it. */
static bool pin_read_head(const struct pin *pin, const char *file, struct head *head)
{
    char bytes[HEADS * MAX_PAGE_SIZE];
    uint64_t txn = mdb_txn_id(pin->txn);
    struct head heads[HEADS];
    struct faults faults = {.count = 0};
    struct image image;
    MDB_envinfo info;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, 0);

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    image_read(&image, bytes, (size_t)n, heads, &faults);
    *head = heads[txn % HEADS];
    return head->is_whole && head->txn == txn && mdb_env_info(pin->env, &info) == 0 &&
           info.me_last_txnid == txn;
}

/* Pins the last commit of a store that is being written to. */
static int pin_last(struct pin *pin, const char *path, const char *file, struct head *head,
                    struct error *why)
{
    enum { TRIES = 1000 };
    int code = 0;

    for (int i = 0; i < TRIES && code == 0; i++) {
        code = pin_begin(pin, path);
        if (code == 0 && pin_read_head(pin, file, head))
            return 0;
        pin_end(pin);
    }
    return error_set(why, "journal.path = %s: %s while a process writes to it: %s", path,
                     "it cannot be checked",
                     code == 0 ? "its head cannot be read" : mdb_strerror(code));
}

/* Looks at the file, or at the commit in it that `only` is the head of. */
static int check_file(const char *path, const char *file, const struct head *only,
                      const struct pass *pass, struct store_report *out, struct error *why)
{
    struct contents c;
    struct findings f;
    int status = contents_open(&c, file, pass, why);

    if (status == 0) {
        int code = findings_of(&f, &c, only, pass);

        if (code != 0)
            status = error_set(why, "journal.path = %s: it cannot be checked: %s", path,
                               strerror(-code));
        else if (findings_are_foreign(&f, path, why))
            status = -1;
        else
            report(&f, &c, out);
        if (code == 0)
            findings_fini(&f);
    }
    contents_close(&c);
    return status;
}

static int check_live(const char *path, const char *file, const struct pass *pass,
                      struct store_report *out, struct error *why)
{
    struct pin pin;
    struct head head;
    int status;

    if (pin_last(&pin, path, file, &head, why) != 0)
        return -1;
    status = check_file(path, file, &head, pass, out, why);
    pin_end(&pin);
    out->is_live = true;
    return status;
}

int store_check(const char *path, const struct store_lock *lock, store_progress_fn *on_progress,
                void *ctx, struct store_report *out, struct error *why)
{
    const struct pass pass = {on_progress, ctx};
    char file[MAX_FILE];
    int status;

    *out = (struct store_report){.is_live = false};
    if (store_find(path, why) != 0)
        return -1;
    snprintf(file, sizeof file, "%s/" DATA_FILE, path);
    if (lock == NULL && store_is_locked(path))
        return check_live(path, file, &pass, out, why);
    status = check_file(path, file, NULL, &pass, out, why);
    /* A process may have begun to write meanwhile, and what it changes looks damaged. */
    if ((status != 0 || out->is_damaged) && lock == NULL && store_is_locked(path)) {
        *out = (struct store_report){.is_live = false};
        status = check_live(path, file, &pass, out, why);
    }
    return status;
}
