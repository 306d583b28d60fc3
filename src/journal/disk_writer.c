/* disk_writer.c - one transaction for all that waits, and between them what retention asks for.
 *
 * With sync = always whoever publishes waits for the commit, so that while one commit is under way
 * the next group gathers. Without, entries are out already: they are gathered for a while, and a
 * commit that fails is tried again with all of them, for they must not be lost. */
#include <errno.h>
#include <time.h>
#include "disk_priv.h"

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

static int write_op(struct disk *d, struct op *op)
{
    switch (op->kind) {
    case OP_APPEND:
        return write_append(d, op);
    case OP_RETRACT:
        return store_retract(d->store, op->to, op->seq, &op->count);
    case OP_ERASE:
        return store_erase(d->store, op->to, &op->count);
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

static int write_group(struct disk *d, struct op_list *group, uint64_t now_ms, bool *has_more)
{
    uint64_t head = newest_number(group);
    size_t steps = group->count > 0 ? group->count * SWEEP_PER_OP : SWEEP_STEPS;
    int status = store_begin(d->store);

    if (status != 0)
        return status;
    for (struct op *op = group->first; op != NULL && status == 0; op = op->next)
        status = write_op(d, op);
    if (status == 0)
        status = store_sweep(d->store, now_ms, steps, has_more);
    if (status != 0) {
        store_abort(d->store);
        return status;
    }
    reserve(d, head > 0 ? head : store_state(d->store)->head);
    return store_commit(d->store, now_ms);
}

/* ---- the thread ---- */

/* With the lock: sleeps until there is something to write; false: it is all over. */
static bool wait_for_work(struct disk *d, bool has_more)
{
    if (d->options.sync != JOURNAL_SYNC_ALWAYS && !has_more)
        gather(d);
    while (d->waiting.count == 0 && !d->is_stopping && !has_more) {
        wait_ms(d, IDLE_MS);
        if (store_wants_sweep(d->store, d->clock_ms))
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

/* With the lock: tells the loop what became of the group. */
static void report(struct disk *d, struct op_list *group, int status)
{
    while (group->count > 0) {
        struct op *op = op_list_take(group);

        op->status = status;
        op_list_add(&d->done, op);
    }
    d->written = *store_state(d->store);
    d->write_trouble = status;
    ev_async_send(d->ev, &d->wake);
}

void *disk_write(void *ctx)
{
    struct disk *d = ctx;
    struct op_list group;
    bool has_more = false;

    op_list_init(&group);
    pthread_mutex_lock(&d->lock);
    while (wait_for_work(d, has_more)) {
        uint64_t now_ms = d->clock_ms;
        int status;

        take_group(d, &group);
        if (group.count == 0 && !has_more && !store_wants_sweep(d->store, now_ms))
            continue;
        pthread_mutex_unlock(&d->lock);
        has_more = false;
        status = write_group(d, &group, now_ms, &has_more);
        has_more = has_more && status == 0 && store_wants_sweep(d->store, now_ms);
        pthread_mutex_lock(&d->lock);
        while (status != 0 && d->options.sync != JOURNAL_SYNC_ALWAYS && !d->is_stopping) {
            d->write_trouble = status; /* what is out must get to the disk */
            ev_async_send(d->ev, &d->wake);
            wait_ms(d, RETRY_MS);
            now_ms = d->clock_ms;
            pthread_mutex_unlock(&d->lock);
            status = write_group(d, &group, now_ms, &has_more);
            pthread_mutex_lock(&d->lock);
        }
        report(d, &group, status);
        if (status != 0 && group.count == 0 && d->waiting.count == 0 && !d->is_stopping)
            wait_ms(d, RETRY_MS); /* nothing but retention has failed */
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
