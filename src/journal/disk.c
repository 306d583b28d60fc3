/* disk.c - the journal that survives the process and the machine: the loop's side of it.
 *
 * An entry is numbered and encoded here and written by other threads (disk_priv.h). With
 * sync = always it is emitted when it is safe in the write-ahead log, else at once. Either way
 * entries are emitted in the order of their numbers; one that could not be logged leaves its number
 * unused. The store's trees are behind what is emitted; who reads them waits. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "disk_priv.h"
#include "message/sse.h"
#include "store/guard.h"

enum {
    MAX_FRESH = 256,      /* ops that the logger is not told of yet */
    MAX_WAITING = 100000, /* ops that the disk has not taken yet ... */
    MAX_WAITING_BYTES = 64 << 20,
    KEYS_PER_TICK = 20000,
    PAGES_A_TURN = 32, /* given to streams that are behind: each may be 256 notifications */
};

static struct disk *disk_of(struct journal *j)
{
    return (struct disk *)j; /* base comes first */
}

/* ---- the journal's clock ---- */

/* Runs with the loop's, which no setting of the system's clock touches, from where it ended when
 * the store was closed, or from the system's clock if that is ahead. */
static uint64_t time_at(const struct disk *d, uint64_t loop_ms)
{
    return d->time_ms + (loop_ms - d->time_at_ms);
}

/* ---- ops ---- */

static struct op *op_create(enum op_kind kind, size_t bytes)
{
    struct op *op = malloc(sizeof *op + bytes);

    if (op != NULL)
        *op = (struct op){.kind = kind};
    return op;
}

static void op_free(struct op *op)
{
    message_unref(op->message);
    free(op);
}

/* The writer sleeps only while nothing waits, or lets it gather: most ops need not wake it. With
 * `is_wanted_now` somebody waits for one of them. */
static void give_to_writer(struct disk *d, struct op_list *ops, bool is_wanted_now)
{
    bool was_empty;

    pthread_mutex_lock(&d->lock);
    was_empty = d->unwritten.count == 0;
    op_list_append(&d->unwritten, ops);
    d->is_wanted_now |= is_wanted_now;
    if (was_empty || d->unwritten.bytes >= group_limit(d) || d->is_wanted_now)
        pthread_cond_signal(&d->to_writer);
    pthread_mutex_unlock(&d->lock);
}

static void give_to_logger(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    op_list_append(&d->unlogged, &d->fresh);
    pthread_cond_signal(&d->to_logger);
    pthread_mutex_unlock(&d->lock);
}

/* What came in one turn is for one frame: the first of it alone is not worth a wait for the
 * disk. */
static void on_before_sleep(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    struct disk *d = watcher->data;

    (void)ev;
    (void)events;
    if (d->fresh.count > 0)
        give_to_logger(d);
}

static void enqueue(struct disk *d, struct op *op)
{
    struct op_list one;

    if (d->wal == NULL) {
        op_list_init(&one);
        op_list_add(&one, op);
        give_to_writer(d, &one, op->removal != NULL);
        return;
    }
    op_list_add(&d->fresh, op);
    if (d->fresh.count >= MAX_FRESH)
        give_to_logger(d);
}

/* Whether the threads have so much to do already that no more is taken. */
static bool is_swamped(struct disk *d)
{
    bool is_so;

    pthread_mutex_lock(&d->lock);
    is_so = d->fresh.count + d->unlogged.count + d->unwritten.count >= MAX_WAITING ||
            d->fresh.bytes + d->unlogged.bytes + d->unwritten.bytes >= MAX_WAITING_BYTES;
    pthread_mutex_unlock(&d->lock);
    return is_so;
}

/* A copy of the bytes at `at`. */
static struct slice put(char *at, struct slice s)
{
    slice_put(at, s);
    return slice_make(at, s.n);
}

/* The record of `n` as the next entry, and its idempotency key. */
static struct op *append_create(struct disk *d, const struct notification *n, uint64_t wall_ms)
{
    bool has_key = d->remembers_keys && n->idempotency_key.n > 0;
    struct record r = {
        .seq = d->head + 1,
        .wall_ms = wall_ms,
        .time_ms = d->time_ms,
        .expires_ms = RECORD_KEPT,
        .to = n->to,
        .event = n->event,
        .collapse_key = n->collapse_key,
        .data = n->data,
        .is_json = n->is_json,
    };
    size_t size = record_size(&r);
    struct op *op = op_create(OP_APPEND, size + (has_key ? n->idempotency_key.n : 0));

    if (op == NULL)
        return NULL;
    if (n->ttl_ms < d->options.keep_ms)
        r.expires_ms = r.time_ms + n->ttl_ms;
    record_write(&r, op->bytes);
    op->record_size = size;
    op->is_kept = n->ttl_ms > 0;
    op->seq = r.seq;
    op->time_ms = r.time_ms;
    op->ttl_ms = n->ttl_ms;
    op->to =
        (struct channel_name){n->to.kind, slice_make(op->bytes + RECORD_HEAD_SIZE, n->to.name.n)};
    op->collapse_key =
        slice_make(op->bytes + RECORD_HEAD_SIZE + n->to.name.n + n->event.n, n->collapse_key.n);
    if (has_key)
        op->key = put(op->bytes + size, n->idempotency_key);
    op->message = sse_encode(n, d->epoch, r.seq, wall_ms);
    if (op->message == NULL) {
        op_free(op);
        return NULL;
    }
    return op;
}

static void answer(struct journal_append *append, int status)
{
    append->status = status;
    append->on_done(append);
}

/* Until the store has got the entry, what it replaces is there still. */
static void note_replacing(struct disk *d, const struct op *op)
{
    uint64_t key = collapse_hash(d->hash_key, op->to, op->collapse_key);

    if (replacing_add(&d->replacing, key, op->seq) != 0)
        d->stats->out_of_memory++;
}

/* The entry becomes known; it is to be answered. What stays of the op is for the store. */
static struct journal_append *emit(struct disk *d, struct op *op)
{
    struct journal_append *append = op->append;
    struct journal_entry entry = {
        .to = op->to,
        .message = op->message,
        .ttl_ms = op->ttl_ms,
        .collapse_key = op->collapse_key,
        .origin = op->append,
    };

    d->emitted = op->seq;
    if (op->collapse_key.n > 0)
        note_replacing(d, op);
    d->stats->notifications_accepted++;
    d->base.events->on_entry(d->base.ctx, &entry);
    message_unref(op->message);
    op->message = NULL;
    op->append = NULL;
    return append;
}

/* ---- appending ---- */

/* The key is known. Where its entry is on its way to the disk, the repeat waits behind it. */
static void repeat(struct disk *d, struct slice key, struct journal_append *append)
{
    struct op *op;

    append->is_duplicate = true;
    if (append->seq <= d->emitted) {
        d->stats->notifications_duplicate++;
        answer(append, 0);
        return;
    }
    op = is_swamped(d) ? NULL : op_create(OP_REPEAT, key.n);
    if (op == NULL) {
        answer(append, -EAGAIN); /* it may be asked for again */
        return;
    }
    op->key = put(op->bytes, key);
    op->seq = append->seq;
    op->append = append;
    enqueue(d, op);
}

/* Why nothing can be taken now, or 0. */
static int refusal(struct disk *d)
{
    if (d->is_broken || d->is_stuck)
        return -EIO;
    if (d->tree_trouble != 0)
        return d->tree_trouble; /* what is out already has to get to the store first */
    if (is_swamped(d) || (d->state.reserved > 0 && d->head >= d->state.reserved))
        return -EAGAIN;
    return 0;
}

static void disk_append(struct journal *j, const struct notification *n, uint64_t wall_ms,
                        struct journal_append *append)
{
    struct disk *d = disk_of(j);
    struct op *op;

    append->is_duplicate = false;
    if (d->remembers_keys && n->idempotency_key.n > 0 &&
        idempotency_find(&d->keys, n->idempotency_key, &append->seq)) {
        repeat(d, n->idempotency_key, append);
        return;
    }
    append->status = refusal(d);
    if (append->status != 0) {
        append->on_done(append);
        return;
    }
    op = append_create(d, n, wall_ms);
    if (op == NULL ||
        (op->key.n > 0 && idempotency_add(&d->keys, op->key, op->seq, d->time_at_ms) != 0)) {
        d->stats->out_of_memory++;
        if (op != NULL)
            op_free(op);
        answer(append, -ENOMEM);
        return;
    }
    d->head = op->seq;
    append->seq = op->seq;
    op->append = append;
    if (d->wal == NULL)
        emit(d, op);
    enqueue(d, op); /* another thread may have it from here on */
    if (d->wal == NULL)
        answer(append, 0);
}

/* ---- what the logger has done ---- */

/* Its key may be another's by now, where its window was over. */
static void refuse(struct disk *d, struct op *op)
{
    uint64_t seq;

    if (op->key.n > 0 && idempotency_find(&d->keys, op->key, &seq) && seq == op->seq)
        idempotency_remove(&d->keys, op->key);
    answer(op->append, op->status);
}

static void answer_repeat(struct disk *d, struct op *op)
{
    uint64_t seq;
    bool is_there = idempotency_find(&d->keys, op->key, &seq) && seq == op->seq;

    if (is_there)
        d->stats->notifications_duplicate++;
    else
        op->append->is_duplicate = false;
    answer(op->append, is_there ? 0 : -EAGAIN);
}

/* Whether the store is to have the op, too. */
static bool take_logged(struct disk *d, struct op *op)
{
    switch (op->kind) {
    case OP_APPEND:
        if (op->status == 0)
            answer(emit(d, op), 0);
        else
            refuse(d, op);
        return op->status == 0;
    case OP_REPEAT:
        answer_repeat(d, op);
        return false;
    case OP_ERASE: /* in its place among the entries, lest it takes what was emitted behind it */
        d->base.events->on_removed(d->base.ctx, op->to, 0);
        return true;
    case OP_RETRACT:
        break;
    }
    return true;
}

static void take_all_logged(struct disk *d, struct op_list *logged)
{
    struct op_list ops;
    bool is_wanted_now = false;

    op_list_init(&ops);
    while (logged->first != NULL) {
        struct op *op = op_list_take(logged);

        is_wanted_now |= op->removal != NULL;
        if (take_logged(d, op))
            op_list_add(&ops, op);
        else
            op_free(op);
    }
    if (ops.count > 0)
        give_to_writer(d, &ops, is_wanted_now);
}

/* ---- what the writer has done ---- */

static void finish_removal(struct disk *d, struct op *op)
{
    if (op->status == 0 && (op->count > 0 || op->kind == OP_ERASE)) {
        /* What is being read may still hold it. */
        for (struct list *at = d->reading.next; at != &d->reading; at = at->next)
            LIST_HOLDER(at, struct read_job, link)->is_stale = true;
        if (op->kind == OP_RETRACT) {
            d->stats->retracted++;
            d->base.events->on_removed(d->base.ctx, op->to, op->seq);
        } /* an erasure was told long ago: what came since then stays */
    }
    if (op->is_hopeless)
        log_error("the journal has a damaged record, which cannot be removed: "
                  "a restart repairs it");
    op->removal->status = op->status;
    op->removal->count = op->status == 0 ? op->count : 0;
    op->removal->on_done(op->removal);
}

static void finish(struct disk *d, struct op *op)
{
    if (op->removal != NULL)
        finish_removal(d, op);
    op_free(op);
}

static void note_trouble(struct disk *d, int trouble)
{
    if (trouble == d->trouble)
        return;
    if (trouble != 0)
        log_error("the journal cannot be written: %s; publishing is refused until it can",
                  strerror(-trouble));
    else
        log_info("the journal can be written again");
    d->trouble = trouble;
}

/* What is on the disk is not touched any more: it may be sound but for a page or two. */
static void note_broken(struct disk *d, int why)
{
    static const char reason[] =
        "the journal's file is cut short, damaged, or on a disk that fails";

    if (d->is_broken)
        return;
    d->is_broken = true;
    d->trouble = why;
    log_error("%s (%s): nothing is written to it or read from it until the next start, which "
              "repairs it",
              reason, d->options.path);
    d->base.events->on_down(d->base.ctx, reason);
}

static void update_stats(struct disk *d)
{
    d->stats->journal_entries = d->state.entries;
    d->stats->journal_bytes = d->state.bytes;
    d->stats->journal_evicted = d->state.evicted;
    d->stats->collapsed = d->state.collapsed;
}

/* ---- reading ---- */

static void submit(struct disk *d, struct read_job *job)
{
    job->is_stale = false;
    job->awaits = 0;
    job->page.messages = job->messages;
    job->page.collapse = job->collapse;
    job->query.until = d->emitted;
    job->query.time_ms = d->time_ms;
    pthread_mutex_lock(&d->lock);
    job_list_add(&d->jobs, job);
    pthread_cond_signal(&d->to_reader);
    pthread_mutex_unlock(&d->lock);
}

/* Whether the store is going to have more than it has, however long that takes, ... */
static bool is_coming_one_day(const struct disk *d)
{
    return d->state.head < d->emitted && !d->is_broken;
}

/* ... or at once. */
static bool is_coming(const struct disk *d)
{
    return is_coming_one_day(d) && d->tree_trouble == 0;
}

/* Has the job read when the store has that number, which is on its way there. */
static void await(struct disk *d, struct read_job *job, uint64_t seq)
{
    job->awaits = seq;
    pthread_mutex_lock(&d->lock);
    d->is_wanted_now = true;
    pthread_cond_signal(&d->to_writer);
    pthread_mutex_unlock(&d->lock);
}

static struct read_job *job_create(const struct disk *d, struct journal_read *read)
{
    size_t names = 0;
    struct read_job *job;
    char *at;

    for (size_t i = 0; i < read->channel_count; i++)
        names += read->channels[i].name.n;
    job = calloc(1, sizeof *job + names +
                        read->max_entries * (sizeof(struct message *) + sizeof *job->collapse));
    if (job == NULL)
        return NULL;
    job->collapse = (uint64_t *)(job->messages + read->max_entries);
    at = (char *)(job->collapse + read->max_entries);
    for (size_t i = 0; i < read->channel_count; i++) {
        job->channels[i].kind = read->channels[i].kind;
        job->channels[i].name = put(at, read->channels[i].name);
        at += read->channels[i].name.n;
    }
    job->read = read;
    read->job = job;
    job->query = (struct store_query){
        .channels = job->channels,
        .channel_count = read->channel_count,
        .after = read->after,
        .max_entries = read->max_entries,
        .max_bytes = read->max_bytes,
        .hash_key = d->hash_key,
    };
    return job;
}

/* Gives up the messages of a page that was read. */
static void job_clear(struct read_job *job)
{
    for (size_t i = 0; job->status == 0 && i < job->page.count; i++)
        message_unref(job->messages[i]);
    job->page.count = 0;
}

static void job_free(struct read_job *job)
{
    job_clear(job);
    free(job);
}

static void disk_read_page(struct journal *j, struct journal_read *read)
{
    struct disk *d = disk_of(j);
    struct read_job *job = job_create(d, read);

    assert(read->channel_count >= 1 && read->channel_count <= JOURNAL_MAX_CHANNELS);
    if (job == NULL) {
        struct journal_page page = {.status = -ENOMEM};

        d->stats->out_of_memory++;
        read->on_page(read, &page);
        return;
    }
    list_add_last(&d->reading, &job->link);
    if (read->is_fresh && is_coming(d))
        await(d, job, d->emitted);
    else
        submit(d, job);
}

static void disk_cancel(struct journal *j, struct journal_read *read)
{
    struct read_job *job = read->job;

    (void)j;
    job->read = NULL; /* the thread may be at it: it is freed when it comes back */
}

/* The highest number lost of a channel of which the reader knew of none that high. */
static uint64_t lost_anew(const struct journal_read *read, const struct store_page *page)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < read->channel_count; i++) {
        if (read->known != NULL && page->lost[i] <= read->known[i])
            continue;
        if (read->known != NULL)
            read->known[i] = page->lost[i];
        if (page->lost[i] > lost)
            lost = page->lost[i];
    }
    return lost;
}

/* The store is behind what was emitted. A page with nothing in it for that reason would say no more
 * than "ask again". */
static bool is_too_early(const struct disk *d, const struct read_job *job)
{
    return job->status == 0 && job->page.count == 0 && job->page.covered < job->query.until &&
           !job->read->is_fresh && !d->is_broken;
}

/* What has been replaced since the page was read, or is going to be when the store gets so far. */
static void leave_out_replaced(struct disk *d, struct store_page *page)
{
    size_t kept = 0;

    for (size_t i = 0; i < page->count; i++) {
        struct message *m = page->messages[i];

        if (page->collapse[i] != 0 && replacing_find(&d->replacing, page->collapse[i]) > m->seq)
            message_unref(m);
        else
            page->messages[kept++] = m;
    }
    page->count = kept;
    /* Pages are read one after another: those to come know what this one knew. */
    replacing_forget(&d->replacing, page->head);
}

static void give_page(struct disk *d, struct read_job *job)
{
    struct journal_page page = {
        .status = job->status,
        .messages = job->messages,
        .count = job->page.count,
        .covered = job->page.covered,
    };

    d->stats->journal_reads++;
    if (page.status == 0)
        page.lost = lost_anew(job->read, &job->page);
    else
        log_error("the journal cannot be read: %s", strerror(-page.status));
    job->read->on_page(job->read, &page);
}

static void finish_job(struct disk *d, struct read_job *job)
{
    if (job->read != NULL && is_too_early(d, job)) {
        await(d, job, job->page.covered + 1);
        return;
    }
    if (job->read != NULL && job->is_stale) {
        job_clear(job);
        submit(d, job);
        return;
    }
    list_remove(&job->link);
    if (job->status == 0)
        leave_out_replaced(d, &job->page);
    if (job->read != NULL)
        give_page(d, job);
    job_free(job);
}

/* What was read too early waits however long the store takes; what is to be fresh is content with
 * what there is while the store cannot be written. */
static bool has_to_wait(const struct disk *d, const struct read_job *job)
{
    return job->read != NULL && d->state.head < job->awaits &&
           (job->read->is_fresh ? is_coming(d) : is_coming_one_day(d));
}

/* Reads those that had to wait, when the store has come so far, or will not. */
static void resume_early(struct disk *d)
{
    struct list *next;

    for (struct list *at = d->reading.next; at != &d->reading; at = next) {
        struct read_job *job = LIST_HOLDER(at, struct read_job, link);

        next = at->next;
        if (job->awaits == 0 || has_to_wait(d, job))
            continue;
        if (job->read != NULL) {
            submit(d, job);
        } else {
            list_remove(&job->link);
            job_free(job);
        }
    }
}

/* ---- news of the threads ---- */

static void on_wake(struct ev_loop *ev, ev_async *watcher, int events)
{
    struct disk *d = watcher->data;
    struct op_list logged;
    struct op_list done;
    struct job_list read;
    int trouble;
    int broke;

    (void)ev;
    (void)events;
    pthread_mutex_lock(&d->lock);
    op_list_move(&logged, &d->logged);
    op_list_move(&done, &d->done);
    job_list_init(&read);
    for (int n = 0; n < PAGES_A_TURN && d->read.first != NULL; n++)
        job_list_add(&read, job_list_take(&d->read));
    if (d->read.first != NULL)
        ev_async_send(d->ev, &d->wake);
    d->state = d->written;
    d->is_stuck = d->log_is_stuck;
    d->tree_trouble = d->write_trouble;
    trouble = d->write_trouble != 0 ? d->write_trouble : d->log_trouble;
    broke = d->broke;
    pthread_mutex_unlock(&d->lock);
    if (broke != 0)
        note_broken(d, broke);
    else
        note_trouble(d, trouble);
    take_all_logged(d, &logged);
    while (done.first != NULL)
        finish(d, op_list_take(&done));
    while (read.first != NULL)
        finish_job(d, job_list_take(&read));
    resume_early(d);
    if (list_is_empty(&d->reading))
        replacing_forget(&d->replacing, d->state.head);
    update_stats(d);
}

/* ---- removing ---- */

static void remove_later(struct disk *d, enum op_kind kind, struct channel_name channel,
                         uint64_t seq, struct journal_removal *removal)
{
    struct op *op = op_create(kind, channel.name.n);

    removal->count = 0;
    removal->status = op == NULL ? -ENOMEM : refusal(d);
    if (removal->status == -ENOSPC)
        removal->status = 0; /* it makes room */
    if (removal->status != 0) {
        free(op);
        removal->on_done(removal);
        return;
    }
    op->to = (struct channel_name){channel.kind, put(op->bytes, channel.name)};
    op->seq = seq;
    op->removal = removal;
    enqueue(d, op);
    if (kind == OP_ERASE && d->wal == NULL)
        d->base.events->on_removed(d->base.ctx, channel, 0); /* see take_logged */
}

static void disk_retract(struct journal *j, struct channel_name channel, uint64_t seq,
                         struct journal_removal *removal)
{
    remove_later(disk_of(j), OP_RETRACT, channel, seq, removal);
}

static void disk_erase(struct journal *j, struct channel_name channel,
                       struct journal_removal *removal)
{
    remove_later(disk_of(j), OP_ERASE, channel, 0, removal);
}

/* ---- life ---- */

static int take_key(void *ctx, uint64_t seq, uint64_t time_ms, struct slice key)
{
    struct disk *d = ctx;
    uint64_t known;
    uint64_t age_ms = d->time_ms > time_ms ? d->time_ms - time_ms : 0;

    if (age_ms >= d->options.idempotency_window_ms || idempotency_find(&d->keys, key, &known))
        return 0;
    return idempotency_add(&d->keys, key, seq, d->time_at_ms - age_ms);
}

static int start_threads(struct disk *d)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    d->has_logger = d->wal != NULL && pthread_create(&d->logger_thread, NULL, disk_log, d) == 0;
    d->has_writer = pthread_create(&d->writer_thread, NULL, disk_write, d) == 0;
    d->has_reader = pthread_create(&d->reader_thread, NULL, disk_read, d) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return (d->has_logger || d->wal == NULL) && d->has_writer && d->has_reader ? 0 : -EAGAIN;
}

/* Without a log numbers are given out ahead of the disk, from the first on. */
static int reserve_numbers(struct disk *d)
{
    int status;

    if (d->wal != NULL)
        return 0;
    status = store_begin(d->store);
    if (status != 0)
        return status;
    store_reserve(d->store, d->head + RESERVE);
    status = store_commit(d->store, d->time_ms);
    return status == 0 ? store_sync(d->store) : status;
}

struct opening {
    struct disk *d;
    struct error *why;
};

static int open_store(void *ctx)
{
    struct opening *opening = ctx;
    struct disk *d = opening->d;
    struct error *why = opening->why;
    const struct journal_options *o = &d->options;
    struct store_options options = {
        .path = o->path,
        .keep_ms = o->keep_ms,
        .keep_per_user = o->keep_per_user,
        .keep_bytes = o->keep_bytes,
        .keys_ms = o->idempotency_window_ms,
        .is_unsynced = o->sync == JOURNAL_SYNC_NEVER,
    };
    const struct store_state *state;
    int status;

    d->store = store_open(&options, why);
    if (d->store == NULL)
        return -1;
    state = store_state(d->store);
    memcpy(d->epoch, state->epoch, sizeof d->epoch);
    d->head = d->emitted = state->head;
    d->time_ms = o->wall_ms > state->time_ms ? o->wall_ms : state->time_ms;
    d->time_at_ms = o->now_ms;
    d->clock_ms = d->time_ms;
    if (o->sync == JOURNAL_SYNC_ALWAYS) {
        d->wal = wal_open(d->store, why);
        if (d->wal == NULL)
            return -1;
        d->frames_written = wal_number(d->wal);
    }
    d->reader = store_reader_create(d->store);
    status = d->reader == NULL ? -ENOMEM : hash_random_key(d->hash_key);
    if (status == 0)
        status = store_each_key(d->reader, take_key, d);
    if (status == 0)
        status = reserve_numbers(d);
    if (status != 0)
        return error_set(why, "journal.path = %s: cannot use the journal: %s", o->path,
                         strerror(-status));
    d->state = d->written = *state;
    return 0;
}

static void init_shared(struct disk *d)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&d->to_logger, &attributes);
    pthread_cond_init(&d->to_writer, &attributes);
    pthread_cond_init(&d->to_reader, &attributes);
    pthread_condattr_destroy(&attributes);
    op_list_init(&d->fresh);
    op_list_init(&d->unlogged);
    op_list_init(&d->logged);
    op_list_init(&d->unwritten);
    op_list_init(&d->done);
    job_list_init(&d->jobs);
    job_list_init(&d->read);
}

static void disk_close(struct journal *j);

static struct journal *disk_open(const struct journal_options *options, struct ev_loop *ev,
                                 struct stats *stats, struct error *why)
{
    struct disk *d = calloc(1, sizeof *d);
    struct opening opening = {d, why};
    bool is_cut;

    if (d == NULL) {
        error_set(why, "out of memory for the journal");
        return NULL;
    }
    d->base.ops = &journal_disk_ops;
    d->options = *options;
    d->ev = ev;
    d->stats = stats;
    d->remembers_keys = options->idempotency_window_ms > 0;
    idempotency_init(&d->keys, options->idempotency_window_ms, store_max_keys(options->keep_bytes),
                     stats);
    list_init(&d->reading);
    replacing_init(&d->replacing);
    init_shared(d);
    ev_async_init(&d->wake, on_wake);
    d->wake.data = d;
    ev_prepare_init(&d->before_sleep, on_before_sleep);
    d->before_sleep.data = d;
    if (guard_run(open_store, &opening, &is_cut) != 0) {
        if (is_cut) {
            d->broke = -EIO;
            error_set(why, "journal.path = %s: data.mdb there is cut short, or its disk fails",
                      options->path);
        }
        disk_close(&d->base);
        return NULL;
    }
    return &d->base;
}

/* An entry of an earlier process, for the window. */
static int emit_kept(void *ctx, const struct record *record, struct slice bytes)
{
    struct disk *d = ctx;
    struct journal_entry entry = {
        .to = record->to,
        .message = record_encode(record, d->epoch),
        .ttl_ms =
            record->expires_ms == RECORD_KEPT ? TTL_DEFAULT : record->expires_ms - record->time_ms,
        .age_ms = d->time_ms > record->time_ms ? d->time_ms - record->time_ms : 0,
        .collapse_key = record->collapse_key,
    };

    (void)bytes;
    if (entry.message == NULL) {
        d->stats->out_of_memory++;
        d->base.events->on_lost(d->base.ctx, record->to, record->seq);
        return 0;
    }
    d->base.events->on_entry(d->base.ctx, &entry);
    message_unref(entry.message);
    return 0;
}

static int tell_lost(void *ctx, struct channel_name channel, uint64_t lost)
{
    struct disk *d = ctx;

    d->base.events->on_lost(d->base.ctx, channel, lost);
    return 0;
}

static int pass_record(void *ctx, const struct record *record, struct slice bytes)
{
    (void)ctx;
    (void)record;
    (void)bytes;
    return 0;
}

static int pass_lost(void *ctx, struct channel_name channel, uint64_t lost)
{
    (void)ctx;
    (void)channel;
    (void)lost;
    return 0;
}

/* The newest entries, which go into the window. */
struct tail {
    struct disk *d;
    uint64_t from;
    uint64_t floor;
};

/* Whether all of it can be read: once something is emitted there is no way back. */
static int try_tail(void *ctx)
{
    struct tail *tail = ctx;
    struct disk *d = tail->d;
    /* An entry takes about twice its record's size in the window. */
    int status = store_find_tail(d->reader, d->options.window_bytes / 2, &tail->from, &tail->floor);

    if (status == 0)
        status = store_each_lost(d->reader, tail->floor, pass_lost, NULL);
    if (status == 0 && tail->from != UINT64_MAX)
        status = store_each(d->reader, tail->from, pass_record, NULL);
    return status;
}

static int emit_tail(void *ctx)
{
    struct tail *tail = ctx;
    struct disk *d = tail->d;
    int status;

    d->base.events->on_floor(d->base.ctx, tail->floor);
    status = store_each_lost(d->reader, tail->floor, tell_lost, d);
    if (status == 0 && tail->from != UINT64_MAX)
        status = store_each(d->reader, tail->from, emit_kept, d);
    return status;
}

static void disk_start(struct journal *j)
{
    struct disk *d = disk_of(j);
    struct tail tail = {.d = d};
    bool is_cut;
    int status = guard_run(try_tail, &tail, &is_cut);

    if (status == 0)
        status = guard_run(emit_tail, &tail, &is_cut);
    else
        j->events->on_floor(j->ctx, d->head); /* whoever needs it tries to read it again */
    if (status != 0)
        log_error("the newest of the journal cannot be read: %s", strerror(-status));
    d->broke = is_cut ? status : 0;
    ev_async_start(d->ev, &d->wake);
    if (d->wal != NULL)
        ev_prepare_start(d->ev, &d->before_sleep);
    d->is_started = true;
    if (start_threads(d) != 0) {
        j->events->on_down(j->ctx, "the system gives the journal no threads");
        return;
    }
    j->events->on_up(j->ctx);
    if (is_cut)
        note_broken(d, status);
}

static void join(bool has_thread, pthread_t thread)
{
    if (has_thread)
        pthread_join(thread, NULL);
}

/* No answer comes any more. */
static void give_up(struct op *op)
{
    if (op->append != NULL)
        answer(op->append, -EAGAIN);
    op->append = NULL;
    if (op->removal != NULL) {
        op->removal->status = -EAGAIN;
        op->removal->count = 0;
        op->removal->on_done(op->removal);
    }
    op->removal = NULL;
}

static void drop_all(struct op_list *ops)
{
    while (ops->first != NULL) {
        struct op *op = op_list_take(ops);

        give_up(op);
        op_free(op);
    }
}

/* Everything that was taken is written; who waits for an answer is told that none comes. */
static void stop_threads(struct disk *d)
{
    struct op_list logged;

    pthread_mutex_lock(&d->lock);
    op_list_append(&d->unlogged, &d->fresh);
    d->is_stopping = true;
    pthread_cond_signal(&d->to_logger);
    pthread_cond_signal(&d->to_reader);
    pthread_mutex_unlock(&d->lock);
    join(d->has_logger, d->logger_thread);
    join(d->has_reader, d->reader_thread);
    op_list_move(&logged, &d->logged);
    for (struct op *op = logged.first; op != NULL; op = op->next)
        give_up(op);
    pthread_mutex_lock(&d->lock);
    while (logged.first != NULL) {
        struct op *op = op_list_take(&logged);

        op_list_add(op->kind == OP_REPEAT || op->status != 0 ? &d->done : &d->unwritten, op);
    }
    d->is_last = true;
    pthread_cond_signal(&d->to_writer);
    pthread_mutex_unlock(&d->lock);
    join(d->has_writer, d->writer_thread);
}

static void disk_close(struct journal *j)
{
    struct disk *d = disk_of(j);

    stop_threads(d);
    if (d->is_started) {
        ev_async_stop(d->ev, &d->wake);
        ev_prepare_stop(d->ev, &d->before_sleep);
    }
    drop_all(&d->done);
    drop_all(&d->unlogged);
    drop_all(&d->unwritten);
    while (d->read.first != NULL)
        job_list_take(&d->read)->read = NULL;
    while (!list_is_empty(&d->reading)) {
        struct read_job *job = LIST_HOLDER(d->reading.next, struct read_job, link);

        list_remove(&job->link);
        job_free(job);
    }
    idempotency_fini(&d->keys);
    replacing_fini(&d->replacing);
    store_reader_destroy(d->reader);
    if (d->store != NULL && d->broke != 0)
        store_note_loss(d->store);
    wal_close(d->wal);
    store_close(d->store);
    pthread_cond_destroy(&d->to_logger);
    pthread_cond_destroy(&d->to_writer);
    pthread_cond_destroy(&d->to_reader);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static int disk_give_to(struct journal *j, uid_t uid, gid_t gid)
{
    return store_give_to(disk_of(j)->store, uid, gid);
}

static void disk_get_status(const struct journal *j, struct journal_status *out)
{
    const struct disk *d = (const struct disk *)j;

    *out = (struct journal_status){
        .type = "disk",
        .epoch = d->epoch,
        .head = d->emitted,
        .is_up = !d->is_broken,
        .trouble = d->trouble,
        .entries = d->state.entries,
        .bytes = d->state.bytes,
        .oldest_ms = d->state.entries > 0 && d->state.oldest_ms < d->time_ms
                         ? d->time_ms - d->state.oldest_ms
                         : 0,
    };
}

static void disk_tick(struct journal *j, uint64_t now_ms)
{
    struct disk *d = disk_of(j);

    d->time_ms = time_at(d, now_ms);
    d->time_at_ms = now_ms;
    pthread_mutex_lock(&d->lock);
    d->clock_ms = d->time_ms;
    pthread_mutex_unlock(&d->lock);
    idempotency_expire(&d->keys, now_ms, KEYS_PER_TICK);
}

const struct journal_ops journal_disk_ops = {
    .type = "disk",
    .open = disk_open,
    .start = disk_start,
    .give_to = disk_give_to,
    .close = disk_close,
    .append = disk_append,
    .read = disk_read_page,
    .cancel = disk_cancel,
    .retract = disk_retract,
    .erase = disk_erase,
    .get_status = disk_get_status,
    .tick = disk_tick,
};
