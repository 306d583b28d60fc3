/* disk_reader.c - pages for streams that are behind, one after another, away from the loop. */
#include <errno.h>
#include "base/process.h"
#include "disk_priv.h"
#include "store/guard.h"

enum { NICE = 10 }; /* a tenth of the loop's share, where both want the processor */

struct reading {
    struct store_reader *reader;
    struct read_job *job;
};

static int read_job_page(void *ctx)
{
    struct reading *r = ctx;

    return store_read(r->reader, &r->job->query, &r->job->page);
}

/* Without the lock. False: the file is of no use any more. */
static bool read_page(struct store_reader *reader, struct read_job *job)
{
    struct reading reading = {reader, job};
    struct store_page *page = &job->page;
    bool is_cut;

    if (reader == NULL) {
        job->status = -EAGAIN;
        return true;
    }
    job->status = guard_run(read_job_page, &reading, &is_cut);
    while (is_cut && page->count > 0)
        message_unref(page->messages[--page->count]);
    return !is_cut;
}

void *disk_read(void *ctx)
{
    struct disk *d = ctx;

    /* What is missed can wait; what is new must not wait for it. Refused, it goes on as it is. */
    process_yield_thread(NICE);
    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct read_job *job;
        bool is_whole;

        while ((d->jobs.first == NULL || d->is_held) && !d->is_stopping)
            pthread_cond_wait(&d->to_reader, &d->lock);
        if (d->is_stopping)
            break;
        job = job_list_take(&d->jobs);
        if (d->broke != 0) {
            job->status = d->broke;
        } else {
            struct store_reader *reader = d->reader;

            d->is_reading = true;
            pthread_mutex_unlock(&d->lock);
            is_whole = read_page(reader, job);
            pthread_mutex_lock(&d->lock);
            d->is_reading = false;
            if (d->is_held)
                pthread_cond_signal(&d->to_writer);
            if (!is_whole && d->broke == 0)
                d->broke = job->status;
        }
        job_list_add(&d->read, job);
        ev_async_send(d->ev, &d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
