/* disk_reader.c - pages for streams that are behind, one after another, away from the loop. */
#include "disk_priv.h"

void *disk_read(void *ctx)
{
    struct disk *d = ctx;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct read_job *job;

        while (d->jobs.first == NULL && !d->is_stopping)
            pthread_cond_wait(&d->to_reader, &d->lock);
        if (d->is_stopping)
            break;
        job = job_list_take(&d->jobs);
        pthread_mutex_unlock(&d->lock);
        job->status = store_read(d->reader, &job->query, &job->page);
        pthread_mutex_lock(&d->lock);
        job_list_add(&d->read, job);
        ev_async_send(d->ev, &d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
