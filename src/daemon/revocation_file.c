/* revocation_file.c - one batch at a time is with the thread; what comes meanwhile waits in `next`.
 * While `has_thread`, the bytes and the status of `now` are the thread's. */
#include "revocation_file_priv.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/slurp.h"

enum {
    MAX_PATH = 4096,
    MAX_FILE = 256 << 20,
    MIN_REWRITE = 64 * 1024, /* bytes that are appended before the file is written anew */
};

/* What is written at once. */
struct batch {
    struct buf bytes;
    struct list waiters;
    bool is_whole;  /* all that there is, to take the file's place */
    int status;     /* what came of it */
};

struct revocation_file {
    struct revocations *revocations;
    struct ev_loop *ev;
    ev_async written;
    pthread_t thread;
    bool is_writing;         /* `now` is a batch, of which nothing was told yet, ... */
    bool has_thread;         /* ... and which is with the thread */
    bool is_doubtful;        /* the file's end may be half a line: the next batch is whole */
    size_t whole_bytes;      /* of the last whole one, ... */
    size_t appended_bytes;   /* ... and of those behind it */
    struct batch now;
    struct batch next;
    char directory[MAX_PATH];
    char path[MAX_PATH + 32];
    char draft[MAX_PATH + 40];
};

/* ---- the thread's side ---- */

/* Writes and syncs. Returns 0 or -errno. */
static int write_file(const char *path, int flags, struct slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    int status;

    if (fd < 0)
        return -errno;
    status = file_write_all(fd, bytes);
    if (status == 0 && fdatasync(fd) != 0)
        status = -errno;
    if (close(fd) != 0 && status == 0)
        status = -errno;
    return status;
}

static int replace_file(const struct revocation_file *f, struct slice bytes)
{
    int status = write_file(f->draft, O_TRUNC, bytes);

    if (status == 0 && rename(f->draft, f->path) != 0)
        status = -errno;
    return status != 0 ? status : file_sync_directory(f->directory);
}

static void write_batch(struct revocation_file *f)
{
    struct slice bytes = buf_slice(&f->now.bytes);

    f->now.status = f->now.is_whole ? replace_file(f, bytes) : write_file(f->path, O_APPEND, bytes);
}

static void *run(void *ctx)
{
    struct revocation_file *f = ctx;

    write_batch(f);
    ev_async_send(f->ev, &f->written);
    return NULL;
}

/* ---- the loop's side ---- */

static void move_waiters(struct list *from, struct list *to)
{
    while (!list_is_empty(from)) {
        struct list *link = from->next;

        list_remove(link);
        list_add_last(to, link);
    }
}

/* The batch that waits is the one to be written now: the whole file, where that is due. */
static void take_next(struct revocation_file *f)
{
    struct buf whole = {0};

    f->now.bytes = f->next.bytes;
    f->next.bytes = (struct buf){0};
    move_waiters(&f->next.waiters, &f->now.waiters);
    f->now.is_whole = f->is_doubtful || f->appended_bytes > f->whole_bytes + MIN_REWRITE;
    if (!f->now.is_whole)
        return;
    revocations_write(f->revocations, &whole);
    if (!whole.failed) {
        buf_fini(&f->now.bytes);
        f->now.bytes = whole;
        return;
    }
    buf_fini(&whole);
    f->now.bytes.failed = true;
}

/* Tells what came of the batch, which is empty afterwards. */
static void settle(struct revocation_file *f)
{
    struct list waiters;

    if (f->now.status != 0)
        log_error("%s cannot be written: %s", f->path, strerror(-f->now.status));
    f->is_doubtful = f->now.status != 0;
    if (f->now.status == 0 && f->now.is_whole) {
        f->whole_bytes = f->now.bytes.len;
        f->appended_bytes = 0;
    } else {
        f->appended_bytes += f->now.bytes.len;
    }
    buf_fini(&f->now.bytes);
    list_init(&waiters);
    move_waiters(&f->now.waiters, &waiters);
    while (!list_is_empty(&waiters)) {
        struct revocation_waiter *w = LIST_HOLDER(waiters.next, struct revocation_waiter, link);

        list_remove(&w->link);
        w->on_done(w, f->now.status);
    }
}

/* Signals are the loop's. */
static int start_thread(struct revocation_file *f)
{
    sigset_t all;
    sigset_t before;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&f->thread, NULL, run, f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -code;
}

static void begin(struct revocation_file *f)
{
    int status;

    if (f->is_writing || (f->next.bytes.len == 0 && !f->next.bytes.failed))
        return;
    take_next(f);
    f->is_writing = true;
    status = f->now.bytes.failed ? -ENOMEM : start_thread(f);
    f->has_thread = status == 0;
    if (f->has_thread)
        return; /* what comes of it is the thread's to say, and may be said already */
    f->now.status = status;
    ev_async_send(f->ev, &f->written); /* told later, as any outcome is */
}

static void on_written(struct ev_loop *ev, ev_async *w, int revents)
{
    struct revocation_file *f = w->data;

    (void)ev;
    (void)revents;
    if (f->has_thread)
        pthread_join(f->thread, NULL);
    f->has_thread = f->is_writing = false;
    settle(f);
    begin(f);
}

void revocation_file_add(struct revocation_file *f, struct slice line,
                         struct revocation_waiter *waiter)
{
    buf_add_slice(&f->next.bytes, line); /* what fails here fails in take_next */
    list_add_last(&f->next.waiters, &waiter->link);
    begin(f);
}

/* ---- life ---- */

static int read_file(struct revocation_file *f, uint64_t wall_ms, struct error *why)
{
    struct buf text = {0};
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int status = fd < 0 ? -errno : slurp(fd, MAX_FILE, &text);
    size_t damaged;

    if (fd >= 0)
        close(fd);
    if (status == 0) {
        damaged = revocations_read(f->revocations, buf_slice(&text), wall_ms);
        if (damaged > 0)
            log_error("%s: %zu lines are damaged; their tokens are good again until they expire",
                      f->path, damaged);
    }
    buf_fini(&text);
    if (status == 0 || status == -ENOENT)
        return 0;
    return error_set(why, "%s cannot be read: %s", f->path, strerror(-status));
}

struct revocation_file *revocation_file_open(const char *path, struct revocations *revocations,
                                             uint64_t wall_ms, struct ev_loop *ev,
                                             struct error *why)
{
    struct revocation_file *f = calloc(1, sizeof *f);

    if (f == NULL) {
        error_set(why, "out of memory for revocations");
        return NULL;
    }
    f->revocations = revocations;
    f->ev = ev;
    f->is_doubtful = true; /* an earlier process may have died within a line */
    list_init(&f->now.waiters);
    list_init(&f->next.waiters);
    snprintf(f->directory, sizeof f->directory, "%s", path);
    snprintf(f->path, sizeof f->path, "%s/revocations", f->directory);
    snprintf(f->draft, sizeof f->draft, "%s.new", f->path);
    if (read_file(f, wall_ms, why) != 0) {
        free(f);
        return NULL;
    }
    ev_async_init(&f->written, on_written);
    f->written.data = f;
    ev_async_start(ev, &f->written);
    return f;
}

void revocation_file_close(struct revocation_file *f)
{
    if (f == NULL)
        return;
    if (f->has_thread)
        pthread_join(f->thread, NULL);
    f->is_doubtful |= f->is_writing && f->now.status != 0;
    buf_fini(&f->now.bytes);
    if (f->next.bytes.len > 0) {
        take_next(f);
        write_batch(f);
        buf_fini(&f->now.bytes);
    }
    ev_async_stop(f->ev, &f->written);
    free(f);
}
