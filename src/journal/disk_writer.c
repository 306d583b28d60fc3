/* disk_writer.c - one transaction for all that waits, and beside it what retention asks for.
 *
 * Entries are out already: they are gathered for a while, and a commit that fails is tried again
 * with all of them, for they must not be lost.
 *
 * A commit that fails in its very last step may be on the disk or not. Then it is taken back, and
 * the store opened again, before another is tried. */
#include <errno.h>
#include <time.h>
#include "disk_priv.h"
#include "store/guard.h"

enum {
    MAX_GROUP = 16384,       /* ops in one transaction */
    SWEEP_STEPS = 500,       /* entries that retention takes at a time when nothing else is to do */
    SWEEP_PER_OP = 2,        /* and beside each that comes in; and twice as much as that is */
    MAX_ROUNDS = 64,         /* of such, to make room */
    GATHER_MS = 250,         /* the next commit comes this long after one */
    IDLE_MS = 500,           /* between looks at what is due */
};

static struct timespec in_ms(unsigned ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    at.tv_sec += ms / 1000 + at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

void disk_wait(struct disk *d, pthread_cond_t *for_what, unsigned ms)
{
    struct timespec at = in_ms(ms);

    pthread_cond_timedwait(for_what, &d->lock, &at);
}

/* With the lock: lets ops gather, unless somebody waits for them or they are very many. */
static void gather(struct disk *d)
{
    struct timespec end = in_ms(GATHER_MS);

    while (!d->is_last && !d->is_wanted_now && d->unwritten.bytes < group_limit(d) &&
           pthread_cond_timedwait(&d->to_writer, &d->lock, &end) == 0)
        ;
}

/* ---- one transaction ---- */

static int write_append(struct disk *d, struct op *op)
{
    int status = op->is_kept ? store_append(d->store, op->bytes, op->record_size)
                             : store_skip(d->store, op->seq, op->to, op->collapse_key);

    if (status == 0 && op->key.n > 0)
        status = store_add_key(d->store, op->seq, op->time_ms, op->key);
    return status;
}

static int write_removal(struct disk *d, struct op *op)
{
    size_t count;
    int status = op->kind == OP_RETRACT ? store_retract(d->store, op->to, op->seq, &count)
                                        : store_erase(d->store, op->to, &count);

    /* A second try may find that the first one was not in vain. */
    if (status == 0 && count > op->count)
        op->count = count;
    op->is_hopeless = status == -EBADMSG; /* it may be this one record alone */
    return status;
}

static int write_op(struct disk *d, struct op *op)
{
    switch (op->kind) {
    case OP_APPEND:
        return write_append(d, op);
    case OP_RETRACT:
    case OP_ERASE:
        return write_removal(d, op);
    case OP_REPEAT:
        break;
    }
    return 0;
}

/* Numbers are kept in reserve well ahead of those that are given out; whether more are now. */
static bool reserve(struct disk *d, uint64_t head)
{
    bool are_few = head + RESERVE / 2 > store_state(d->store)->reserved;

    if (are_few)
        store_reserve(d->store, head + RESERVE);
    return are_few;
}

static uint64_t newest_number(const struct op_list *group)
{
    uint64_t newest = 0;

    for (const struct op *op = group->first; op != NULL; op = op->next)
        if (op->kind == OP_APPEND && op->seq > newest)
            newest = op->seq;
    return newest;
}

struct work {
    struct disk *d;
    struct op_list group;
    uint64_t frame;     /* of the log: with this group all up to it are in the store */
    uint64_t now_ms;
    bool has_more;      /* retention has not done all of its work */
    bool is_full;       /* there was no room for the group: removals are made first */
};

/* They are to be safe before they are given out, also where nothing else is. */
static int commit_numbers(struct work *w)
{
    struct disk *d = w->d;
    int status = store_commit(d->store, w->now_ms);

    if (status == 0 && d->options.sync == JOURNAL_SYNC_NEVER)
        (void)store_sync(d->store); /* there are half of them left, and the next sync has these */
    return status;
}

static int write_group(struct work *w)
{
    struct disk *d = w->d;
    uint64_t head = newest_number(&w->group);
    size_t steps = w->group.count > 0 ? w->group.count * SWEEP_PER_OP : SWEEP_STEPS;
    int status = store_begin(d->store);

    w->has_more = false;
    if (status != 0)
        return status;
    for (struct op *op = w->group.first; op != NULL && status == 0; op = op->next)
        status = op->is_hopeless ? 0 : write_op(d, op);
    if (status == 0)
        status = store_sweep(d->store, w->now_ms, steps, w->group.bytes * SWEEP_PER_OP,
                             &w->has_more);
    if (status != 0) {
        store_abort(d->store);
        return status;
    }
    if (d->wal != NULL)
        store_note_logged(d->store, w->frame);
    else if (reserve(d, head > 0 ? head : store_state(d->store)->head))
        return commit_numbers(w);
    return store_commit(d->store, w->now_ms);
}

/* ---- where there is no room ---- */

static bool takes(const struct op *removal, const struct op *op)
{
    return op->kind == OP_APPEND && op->is_kept &&
           (removal->kind == OP_ERASE || removal->seq == op->seq) &&
           removal->to.kind == op->to.kind && slice_equal(removal->to.name, op->to.name);
}

/* What the removal takes of the group itself need not be written. */
static size_t remove_from_group(const struct op_list *group, const struct op *removal)
{
    size_t count = 0;

    for (struct op *op = group->first; op != removal; op = op->next)
        if (takes(removal, op)) {
            op->is_kept = false;
            count++;
        }
    return count;
}

/* Removals, which come behind entries that there is no room for, and retention, in a transaction
 * before them. The group's own then finds nothing left to do for the former. */
static int make_room(struct work *w)
{
    struct disk *d = w->d;
    int status = store_begin(d->store);

    if (status != 0)
        return status;
    for (struct op *op = w->group.first; op != NULL && status == 0; op = op->next) {
        size_t unwritten;

        if (op->kind == OP_APPEND || op->is_hopeless)
            continue;
        unwritten = remove_from_group(&w->group, op);
        status = write_removal(d, op);
        op->count += unwritten;
    }
    if (status == 0)
        status = store_sweep(d->store, w->now_ms, SWEEP_STEPS, 0, &w->has_more);
    if (status == 0)
        return store_commit(d->store, w->now_ms);
    store_abort(d->store);
    return status;
}

/* Pages that one transaction frees are there for the next but one. */
static int make_all_room(struct work *w)
{
    int status = make_room(w);

    for (int i = 0; status == 0 && w->has_more && i < MAX_ROUNDS; i++)
        status = make_room(w);
    return status;
}

/* ---- a commit in doubt ---- */

static void hold_reader(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    d->is_held = true;
    while (d->is_reading)
        pthread_cond_wait(&d->to_writer, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

static void let_reader_go(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    d->is_held = false;
    pthread_cond_signal(&d->to_reader);
    pthread_mutex_unlock(&d->lock);
}

static int take_back(struct disk *d)
{
    int status;

    hold_reader(d);
    store_reader_destroy(d->reader);
    d->reader = NULL;
    status = store_reopen(d->store);
    if (status == 0)
        d->reader = store_reader_create(d->store);
    let_reader_go(d);
    return status != 0 ? status : d->reader == NULL ? -ENOMEM : 0;
}

/* Whether an op of the group has turned out to be hopeless, without which it is written now. */
static bool has_given_up(const struct work *w, size_t *hopeless)
{
    size_t before = *hopeless;

    *hopeless = 0;
    for (const struct op *op = w->group.first; op != NULL; op = op->next)
        *hopeless += op->is_hopeless;
    return *hopeless > before;
}

/* Writes the group. */
static int attempt(void *ctx)
{
    struct work *w = ctx;
    struct disk *d = w->d;
    size_t hopeless = 0;
    int status;

    has_given_up(w, &hopeless);
    do {
        status = d->reader == NULL || store_is_in_doubt(d->store) ? take_back(d) : 0;
        if (status == 0 && w->is_full)
            status = make_all_room(w);
        if (status == 0)
            status = write_group(w);
    } while (status == -EBADMSG && has_given_up(w, &hopeless));
    return status;
}

/* ---- the thread ---- */

/* With the lock, which it gives back while it asks the disk. Whether a write is to be tried for no
 * other reason than that the last one failed. Where there was no room it is of no use while there
 * is none: little would fit still. */
static bool wants_trial(struct disk *d)
{
    bool is_full;

    if (d->write_trouble != -ENOSPC)
        return d->write_trouble != 0;
    pthread_mutex_unlock(&d->lock);
    is_full = store_is_full(d->store);
    pthread_mutex_lock(&d->lock);
    return !is_full;
}

static bool has_duty(struct disk *d)
{
    return store_wants_sweep(d->store, d->clock_ms) || wants_trial(d);
}

/* With the lock: sleeps until there is something to write; false: it is all over. */
static bool wait_for_work(struct disk *d, bool has_more)
{
    if (!has_more)
        gather(d);
    while (d->unwritten.count == 0 && !d->is_last && !has_more) {
        disk_wait(d, &d->to_writer, IDLE_MS);
        if (d->broke == 0 && has_duty(d))
            break;
    }
    return d->unwritten.count > 0 || !d->is_last;
}

/* With the lock. A frame of which there is more to come is not all in the store yet. */
static void take_group(struct work *w)
{
    struct disk *d = w->d;

    while (d->unwritten.count > 0 && w->group.count < MAX_GROUP &&
           w->group.bytes < group_limit(d)) {
        struct op *op = op_list_take(&d->unwritten);

        op_list_add(&w->group, op);
        w->frame = op->frame;
    }
    if (d->unwritten.count == 0)
        d->is_wanted_now = false;
    else if (d->unwritten.first->frame == w->frame && w->frame > d->frames_written)
        w->frame--;
}

/* With the lock: no more room is left for what was to be written, unless something of all that
 * waits makes it. */
static void take_all(struct work *w)
{
    op_list_append(&w->group, &w->d->unwritten);
    for (const struct op *op = w->group.first; op != NULL; op = op->next)
        w->frame = op->frame;
    w->is_full = true;
    w->d->is_wanted_now = false;
}

/* With the lock: tells the loop how the writing goes. */
static void tell_trouble(struct work *w, int status)
{
    struct disk *d = w->d;

    d->write_trouble = status;
    pthread_cond_signal(&d->to_logger); /* it may wait for room in the log */
    ev_async_send(d->ev, &d->wake);
}

/* With the lock: tells the loop what became of the group. */
static void report(struct work *w, int status)
{
    struct disk *d = w->d;

    if (status != 0 && w->group.count > 0 && d->wal == NULL)
        store_note_loss(d->store);
    if (status == 0)
        d->frames_written = w->frame;
    while (w->group.count > 0) {
        struct op *op = op_list_take(&w->group);

        op->status = status == 0 && op->is_hopeless ? -EBADMSG : status;
        op_list_add(&d->done, op);
    }
    d->written = *store_state(d->store);
    w->is_full = false;
    tell_trouble(w, status);
}

/* With the lock, which it gives back for as long as it takes. A file that is not what it was is not
 * touched any more: the next start repairs it. */
static int run_attempt(struct work *w)
{
    struct disk *d = w->d;
    bool is_cut;
    int status;

    if (d->broke != 0)
        return d->broke;
    w->now_ms = d->clock_ms;
    pthread_mutex_unlock(&d->lock);
    status = guard_run(attempt, w, &is_cut);
    pthread_mutex_lock(&d->lock);
    if (is_cut || status == -EUCLEAN || status == -EBADMSG) {
        status = d->broke = status == -EUCLEAN ? -EIO : status;
        d->is_held = false;
        pthread_cond_signal(&d->to_reader); /* to tell all that wait */
    }
    return status;
}

/* Whether a group that has failed is tried again, until it is on the disk. */
static bool is_tried_again(const struct work *w)
{
    const struct disk *d = w->d;

    return !d->is_last && d->broke == 0 && w->group.count > 0;
}

void *disk_write(void *ctx)
{
    struct disk *d = ctx;
    struct work w = {.d = d, .frame = d->frames_written};

    op_list_init(&w.group);
    pthread_mutex_lock(&d->lock);
    while (wait_for_work(d, w.has_more)) {
        int status;

        take_group(&w);
        if (w.group.count == 0 && (d->broke != 0 || (!w.has_more && !has_duty(d))))
            continue;
        w.has_more = false;
        status = run_attempt(&w);
        while (status != 0 && is_tried_again(&w)) {
            tell_trouble(&w, status);
            disk_wait(d, &d->to_writer, RETRY_MS);
            if (status == -ENOSPC)
                take_all(&w);
            status = run_attempt(&w);
        }
        w.has_more = w.has_more && status == 0 && store_wants_sweep(d->store, w.now_ms);
        report(&w, status);
        if (status != 0 && d->unwritten.count == 0 && !d->is_last)
            disk_wait(d, &d->to_writer, RETRY_MS); /* a trial comes no sooner */
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
