/* disk_logger.c - with sync = always: one frame of the write-ahead log for all that waits, so that
 * while one is written the next gathers.
 *
 * A frame that could not be written may be on the disk or not. It is made certain that it is not,
 * before anybody is told anything. */
#include <errno.h>
#include "disk_priv.h"

/* Only entries are logged; what else there is passes through, in its place among them. */
static int write_frame(struct disk *d, const struct op_list *group, uint64_t written)
{
    bool has_entries = false;
    int status = 0;

    wal_begin(d->wal);
    for (const struct op *op = group->first; op != NULL && status == 0; op = op->next) {
        if (op->kind != OP_APPEND)
            continue;
        has_entries = true;
        status = wal_add(d->wal, slice_make(op->bytes, op->record_size), op->key, op->is_kept);
    }
    if (status == 0 && (has_entries || group->count == 0)) /* an empty one is a trial */
        status = wal_write(d->wal, written);
    return status;
}

/* With the lock: tells the loop how it goes. */
static void tell(struct disk *d, int status, bool is_stuck)
{
    d->log_trouble = status;
    d->log_is_stuck = is_stuck;
    ev_async_send(d->ev, &d->wake);
}

/* With the lock, which it gives back for as long as it takes. */
static int log_group(struct disk *d, const struct op_list *group)
{
    uint64_t written = d->frames_written;
    bool is_in_doubt;
    int status;

    pthread_mutex_unlock(&d->lock);
    status = write_frame(d, group, written);
    is_in_doubt = status != 0 && wal_undo(d->wal) != 0;
    pthread_mutex_lock(&d->lock);
    while (is_in_doubt && !d->is_stopping) {
        tell(d, status, true);
        disk_wait(d, &d->to_logger, RETRY_MS);
        pthread_mutex_unlock(&d->lock);
        is_in_doubt = wal_undo(d->wal) != 0;
        pthread_mutex_lock(&d->lock);
    }
    return status;
}

/* With the lock: sleeps until there is something to log, be it a trial; false: it is all over. */
static bool wait_for_work(struct disk *d)
{
    while (d->unlogged.count == 0 && !d->is_stopping) {
        if (d->log_trouble == 0) {
            pthread_cond_wait(&d->to_logger, &d->lock);
            continue;
        }
        disk_wait(d, &d->to_logger, RETRY_MS);
        break;
    }
    return d->unlogged.count > 0 || !d->is_stopping;
}

static void take_group(struct disk *d, struct op_list *group)
{
    while (d->unlogged.count > 0 && group->bytes < MAX_GROUP_BYTES)
        op_list_add(group, op_list_take(&d->unlogged));
}

void *disk_log(void *ctx)
{
    struct disk *d = ctx;
    struct op_list group;

    op_list_init(&group);
    pthread_mutex_lock(&d->lock);
    while (wait_for_work(d)) {
        int status;

        take_group(d, &group);
        status = log_group(d, &group);
        for (struct op *op = group.first; op != NULL; op = op->next) {
            op->status = status;
            op->frame = wal_number(d->wal);
        }
        op_list_append(&d->logged, &group);
        tell(d, status, false);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
