/* disk_logger.c - with sync = always: one frame of the write-ahead log for all that waits, so that
 * while one is written the next gathers.
 *
 * A frame that could not be written may be on the disk or not. It is made certain that it is not,
 * before anybody is told anything. */
#include <errno.h>
#include <sched.h>
#include "disk_priv.h"

/* Only entries are logged; what else there is passes through, in its place among them. Returns 0,
 * or -ENOMEM; *has_entries: there is something to be written. */
static int make_frame(struct disk *d, const struct op_list *group, bool *has_entries)
{
    int status = 0;

    *has_entries = false;
    wal_begin(d->wal);
    for (const struct op *op = group->first; op != NULL && status == 0; op = op->next) {
        if (op->kind != OP_APPEND)
            continue;
        *has_entries = true;
        status = wal_add(d->wal, slice_make(op->bytes, op->record_size), op->key, op->is_kept);
    }
    return status;
}

/* With the lock: tells the loop how it goes. */
static void tell(struct disk *d, int status, bool is_stuck)
{
    d->log_trouble = status;
    d->log_is_stuck = is_stuck;
    ev_async_send(d->ev, &d->wake);
}

/* With the lock: waits until so much of the log is in the store that the frame has room. Returns 0,
 * or why it gets none. */
static int await_room(struct disk *d)
{
    while (!wal_has_room(d->wal, d->frames_written)) {
        if (d->broke != 0 || d->write_trouble != 0)
            return d->broke != 0 ? d->broke : d->write_trouble;
        if (d->is_stopping)
            return -EAGAIN;
        d->is_wanted_now = true;
        pthread_cond_signal(&d->to_writer);
        pthread_cond_wait(&d->to_logger, &d->lock);
    }
    return 0;
}

/* With the lock, which it gives back for as long as it takes. Returns when it is known whether the
 * frame is there. */
static int write_frame(struct disk *d)
{
    uint64_t written = d->frames_written;
    bool is_in_doubt;
    int status;

    pthread_mutex_unlock(&d->lock);
    status = wal_write(d->wal, written);
    is_in_doubt = status != 0 && wal_clear(d->wal) != 0;
    pthread_mutex_lock(&d->lock);
    while (is_in_doubt && !d->is_stopping) {
        tell(d, status, true);
        disk_wait(d, &d->to_logger, RETRY_MS);
        pthread_mutex_unlock(&d->lock);
        is_in_doubt = wal_clear(d->wal) != 0;
        pthread_mutex_lock(&d->lock);
    }
    tell(d, status, false);
    return status;
}

/* Likewise: whether what has failed would succeed now. */
static void try_again(struct disk *d)
{
    int status;

    pthread_mutex_unlock(&d->lock);
    status = wal_clear(d->wal);
    pthread_mutex_lock(&d->lock);
    tell(d, status, false);
}

/* Likewise. */
static void log_group(struct disk *d, struct op_list *group)
{
    bool has_entries;
    int status;

    pthread_mutex_unlock(&d->lock);
    status = make_frame(d, group, &has_entries);
    pthread_mutex_lock(&d->lock);
    if (status == 0 && has_entries)
        status = await_room(d);
    if (status == 0 && has_entries)
        status = write_frame(d);
    for (struct op *op = group->first; op != NULL; op = op->next) {
        op->status = status;
        op->frame = wal_number(d->wal);
    }
    op_list_append(&d->logged, group);
    ev_async_send(d->ev, &d->wake);
}

/* With the lock: sleeps until there is something to do; false: it is all over. */
static bool wait_for_work(struct disk *d)
{
    while (d->unlogged.count == 0 && !d->is_stopping) {
        if (d->log_trouble == 0) {
            pthread_cond_wait(&d->to_logger, &d->lock);
            continue;
        }
        disk_wait(d, &d->to_logger, RETRY_MS);
        if (d->unlogged.count == 0 && !d->is_stopping)
            try_again(d);
    }
    return d->unlogged.count > 0;
}

/* With the lock, which it gives back meanwhile. Where the loop waits for this processor, it first
 * takes in what else has come for the same frame: a wait for the disk costs more than all of
 * that. */
static void let_loop_finish(struct disk *d)
{
    pthread_mutex_unlock(&d->lock);
    sched_yield();
    pthread_mutex_lock(&d->lock);
}

static void take_group(struct disk *d, struct op_list *group)
{
    size_t limit = wal_frame_limit(d->wal);

    do
        op_list_add(group, op_list_take(&d->unlogged));
    while (d->unlogged.count > 0 && group->bytes + op_size(d->unlogged.first) <= limit);
}

void *disk_log(void *ctx)
{
    struct disk *d = ctx;
    struct op_list group;

    op_list_init(&group);
    pthread_mutex_lock(&d->lock);
    while (wait_for_work(d)) {
        let_loop_finish(d);
        take_group(d, &group);
        log_group(d, &group);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
