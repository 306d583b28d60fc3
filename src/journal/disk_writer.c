/* disk_writer.c - one transaction for all that waits, and between them what retention asks for.
 *
 * With sync = always whoever publishes waits for the commit, so that while one commit is under way
 * the next group gathers. Without, entries are out already: they are gathered for a while, and a
 * commit that fails is tried again with all of them, for they must not be lost.
 *
 * A commit that fails in its very last step may be on the disk or not. Then the store is opened
 * again and looked at, and one more commit settles it, before anybody is told anything. */
#include <errno.h>
#include <time.h>
#include "disk_priv.h"
#include "store/guard.h"

enum {
    MAX_GROUP = 4096,        /* ops in one transaction */
    SWEEP_STEPS = 500,       /* entries that retention takes at a time when nothing else is to do */
    SWEEP_PER_OP = 2,        /* and beside each that comes in: it gains on them */
    GATHER_MS = 250,         /* without sync = always: the next commit comes this long after one */
    IDLE_MS = 500,           /* between looks at what is due */
    RETRY_MS = 1000,
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

/* With the lock: sleeps for so long, or until something comes. */
static void wait_ms(struct disk *d, unsigned ms)
{
    struct timespec at = in_ms(ms);

    pthread_cond_timedwait(&d->to_writer, &d->lock, &at);
}

/* With the lock: lets ops gather, unless a reader waits for them or they are very many. */
static void gather(struct disk *d)
{
    struct timespec end = in_ms(GATHER_MS);

    while (!d->is_stopping && !d->is_wanted_now && d->waiting.bytes < MAX_GROUP_BYTES &&
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
    return status == -EBADMSG ? -EIO : status; /* it may be this one record alone */
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

/* Numbers are kept in reserve well ahead of those that are given out. */
static void reserve(struct disk *d, uint64_t head)
{
    const struct store_state *state = store_state(d->store);

    if (d->options.sync != JOURNAL_SYNC_ALWAYS && head + RESERVE / 2 > state->reserved)
        store_reserve(d->store, head + RESERVE);
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
    uint64_t now_ms;
    bool has_more;      /* retention has not done all of its work */
    int doubtful;       /* why the group's commit failed that may be on the disk; 0: none has */
};

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
        status = write_op(d, op);
    if (status == 0)
        status = store_sweep(d->store, w->now_ms, steps, &w->has_more);
    if (status != 0) {
        store_abort(d->store);
        return status;
    }
    reserve(d, head > 0 ? head : store_state(d->store)->head);
    return store_commit(d->store, w->now_ms);
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

static int reopen(struct disk *d)
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

/* Finds out whether the group is on the disk, for good: with a commit on top of what is there. The
 * numbers given out are above all that were recorded, so the head tells. */
static int find_out(struct work *w, bool *is_there)
{
    struct disk *d = w->d;
    uint64_t newest = newest_number(&w->group);
    int status = d->reader == NULL || store_is_in_doubt(d->store) ? reopen(d) : 0;

    if (status == 0)
        status = store_begin(d->store);
    if (status == 0) {
        *is_there = newest > 0 && store_state(d->store)->head >= newest;
        reserve(d, store_state(d->store)->head);
        status = store_commit(d->store, w->now_ms);
    }
    return status;
}

/* Writes the group, or finds out what became of it. While w->doubtful is set afterwards, that is
 * not known. */
static int attempt(void *ctx)
{
    struct work *w = ctx;
    struct disk *d = w->d;
    bool is_there;
    int status;

    if (w->doubtful == 0) {
        status = write_group(w);
        if (status == 0 || !store_is_in_doubt(d->store))
            return status;
        w->doubtful = status;
    }
    status = find_out(w, &is_there);
    if (status != 0)
        return status;
    status = is_there ? 0 : w->doubtful;
    w->doubtful = 0;
    /* What is out already must get there, and removals may as well be made again. */
    if (!is_there && (d->options.sync != JOURNAL_SYNC_ALWAYS || newest_number(&w->group) == 0)) {
        status = write_group(w);
        w->doubtful = store_is_in_doubt(d->store) ? status : 0;
    }
    return status;
}

/* ---- the thread ---- */

/* Whether a write is to be tried for no other reason than that the last one failed. Where there was
 * no room it is of no use while there is none: little would fit still. */
static bool wants_trial(const struct disk *d)
{
    return d->write_trouble != 0 && (d->write_trouble != -ENOSPC || !store_is_full(d->store));
}

static bool has_duty(const struct disk *d)
{
    return store_wants_sweep(d->store, d->clock_ms) || wants_trial(d);
}

/* With the lock: sleeps until there is something to write; false: it is all over. */
static bool wait_for_work(struct disk *d, bool has_more)
{
    if (d->options.sync != JOURNAL_SYNC_ALWAYS && !has_more)
        gather(d);
    while (d->waiting.count == 0 && !d->is_stopping && !has_more) {
        wait_ms(d, IDLE_MS);
        if (d->broke == 0 && has_duty(d))
            break;
    }
    return d->waiting.count > 0 || !d->is_stopping;
}

static void take_group(struct disk *d, struct op_list *group)
{
    while (d->waiting.count > 0 && group->count < MAX_GROUP && group->bytes < MAX_GROUP_BYTES)
        op_list_add(group, op_list_take(&d->waiting));
    if (d->waiting.count == 0)
        d->is_wanted_now = false;
}

/* With the lock: tells the loop how the writing goes. */
static void tell_trouble(struct work *w, int status)
{
    struct disk *d = w->d;

    d->write_trouble = status;
    d->write_is_stuck = w->doubtful != 0;
    ev_async_send(d->ev, &d->wake);
}

/* With the lock: tells the loop what became of the group. */
static void report(struct work *w, int status)
{
    struct disk *d = w->d;

    if (status != 0 && w->group.count > 0 && d->options.sync != JOURNAL_SYNC_ALWAYS)
        store_note_loss(d->store);
    while (w->group.count > 0) {
        struct op *op = op_list_take(&w->group);

        op->status = status;
        op_list_add(&d->done, op);
    }
    d->written = *store_state(d->store);
    w->doubtful = 0;
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

    return !d->is_stopping && d->broke == 0 &&
           (w->doubtful != 0 || (d->options.sync != JOURNAL_SYNC_ALWAYS && w->group.count > 0));
}

void *disk_write(void *ctx)
{
    struct disk *d = ctx;
    struct work w = {.d = d};

    op_list_init(&w.group);
    pthread_mutex_lock(&d->lock);
    while (wait_for_work(d, w.has_more)) {
        int status;

        take_group(d, &w.group);
        if (w.group.count == 0 && (d->broke != 0 || (!w.has_more && !has_duty(d))))
            continue;
        w.has_more = false;
        status = run_attempt(&w);
        while (status != 0 && is_tried_again(&w)) {
            tell_trouble(&w, status);
            wait_ms(d, RETRY_MS);
            status = run_attempt(&w);
        }
        w.has_more = w.has_more && status == 0 && store_wants_sweep(d->store, w.now_ms);
        report(&w, status);
        if (status != 0 && d->waiting.count == 0 && !d->is_stopping)
            wait_ms(d, RETRY_MS); /* a trial comes no sooner */
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
