/* disk_priv.h - the disk journal's threads and what passes between them.
 *
 *   loop: disk.c                  logger: disk_logger.c       writer: disk_writer.c
 *   numbers and encodes each      takes all that waits and
 *   entry -> `fresh`; with the    writes it as one frame of
 *   turn's end -> `unlogged`      the log -> `logged`
 *   emits it, answers it
 *   -> `unwritten`                                            gathers for a while, writes all
 *                                                             in one transaction -> `done`
 *   frees it
 *
 * That is sync = always. Else there is no logger and no log: an entry is emitted and answered as it
 * comes, and goes into `unwritten`. In either case removals are answered when they are done. The
 * reader, disk_reader.c, reads a page at a time from the last commit: `jobs` -> `read`.
 *
 * Everything else in here is the loop's alone. Messages are counted without a lock: only the loop
 * touches those of an op, and a page's change hands with its job. */
#ifndef JOURNAL_DISK_PRIV_H
#define JOURNAL_DISK_PRIV_H
#include <ev.h>
#include <pthread.h>
#include "base/list.h"
#include "idempotency_priv.h"
#include "journal_priv.h"
#include "replacing_priv.h"
#include "store/store.h"
#include "store/wal.h"

enum op_kind {
    OP_APPEND,  /* an entry; with sync = always it is emitted when it is in the log */
    OP_REPEAT,  /* of an idempotency key whose first append has no outcome yet */
    OP_RETRACT,
    OP_ERASE,
};

struct op {
    struct op *next;
    enum op_kind kind;
    int status;                      /* of the frame, then of the transaction that it was in */
    uint64_t frame;                  /* its number, or of the one before */
    bool is_kept;                    /* append: a ttl of 0 is not */
    bool is_hopeless;                /* retract, erase: what it would remove is damaged */
    uint64_t seq;                    /* append, retract: the entry's; repeat: the first one's */
    uint64_t time_ms;                /* append: by the journal's clock */
    uint64_t ttl_ms;                 /* append: as given */
    struct message *message;         /* append: to be emitted; NULL: it was */
    struct journal_append *append;   /* append, repeat: to be answered; NULL: it was */
    struct journal_removal *removal; /* retract, erase */
    size_t count;                    /* retract, erase: what was removed */
    struct channel_name to;          /* slices point into `bytes` */
    struct slice collapse_key;
    struct slice key;                /* the idempotency key; empty: none */
    size_t record_size;
    char bytes[];                    /* append: the record, then the key; else name or key */
};

struct op_list {
    struct op *first;
    struct op **end;
    size_t count;
    size_t bytes;
};

struct read_job {
    struct list link;                /* in the loop's list of those under way */
    struct read_job *next;           /* in `jobs` or `read` */
    struct journal_read *read;       /* NULL: it was cancelled */
    int status;
    bool is_stale;                   /* something was removed meanwhile: it is read again */
    uint64_t awaits;                 /* it is read when the store has come so far; 0: now */
    struct store_query query;
    struct store_page page;
    struct channel_name channels[JOURNAL_MAX_CHANNELS];
    uint64_t *collapse;              /* the page's, and what the channels' names point into, ... */
    struct message *messages[];      /* ... behind these, in the same allocation */
};

struct job_list {
    struct read_job *first;
    struct read_job **end;
};

struct disk {
    struct journal base;
    struct journal_options options;
    struct ev_loop *ev;
    ev_async wake;
    ev_prepare before_sleep;
    struct stats *stats;
    struct store *store;
    struct wal *wal;                 /* NULL: sync is not always */
    struct store_reader *reader;     /* NULL: the writer could not open the store again yet */
    char epoch[EPOCH_SIZE];
    uint64_t head;                   /* highest number given out */
    uint64_t emitted;                /* highest number emitted */
    uint64_t time_ms;                /* the journal's clock, which never goes back ... */
    uint64_t time_at_ms;             /* ... at this loop time */
    bool remembers_keys;
    bool is_started;
    struct op_list fresh;            /* of this turn, for the logger */
    struct idempotency keys;
    struct list reading;             /* struct read_job, all that are under way */
    struct replacing replacing;      /* what was emitted since the oldest page under way was read */
    uint64_t hash_key[2];            /* of the collapse keys in there */
    struct store_state state;        /* as of the last commit that the loop has heard of */
    int tree_trouble;                /* why the last commit failed; 0: it did not */
    int trouble;                     /* that, or why the last frame failed */
    bool is_stuck;                   /* what became of the last frame is not known yet */
    bool is_broken;                  /* the file is of no use any more: see guard.h */
    pthread_t logger_thread;
    pthread_t writer_thread;
    pthread_t reader_thread;
    bool has_logger;
    bool has_writer;
    bool has_reader;

    pthread_mutex_t lock;            /* of what follows */
    pthread_cond_t to_logger;
    pthread_cond_t to_writer;
    pthread_cond_t to_reader;
    struct op_list unlogged;
    struct op_list logged;
    struct op_list unwritten;
    struct op_list done;
    struct job_list jobs;
    struct job_list read;
    struct store_state written;      /* state, trouble and the like, as the threads have them */
    int write_trouble;
    int log_trouble;
    bool log_is_stuck;
    uint64_t frames_written;         /* all up to this one are in the store */
    int broke;                       /* why nothing can be read or written any more, or 0 */
    bool is_reading;                 /* the reader is in the store */
    bool is_held;                    /* the reader must keep out of it */
    uint64_t clock_ms;               /* time_ms as of the last tick */
    bool is_wanted_now;              /* somebody waits for what is not written yet */
    bool is_stopping;                /* the logger writes what it has, and ends like the reader */
    bool is_last;                    /* nothing more comes for the writer: it likewise */
};

static inline void op_list_init(struct op_list *l)
{
    *l = (struct op_list){.end = &l->first};
}

static inline size_t op_size(const struct op *op)
{
    return sizeof *op + op->record_size + op->key.n;
}

static inline void op_list_add(struct op_list *l, struct op *op)
{
    op->next = NULL;
    *l->end = op;
    l->end = &op->next;
    l->count++;
    l->bytes += op_size(op);
}

/* All of `from` goes behind what is in the list. */
static inline void op_list_append(struct op_list *to, struct op_list *from)
{
    if (from->first == NULL)
        return;
    *to->end = from->first;
    to->end = from->end;
    to->count += from->count;
    to->bytes += from->bytes;
    op_list_init(from);
}

/* All of `from` becomes the list; what it was is forgotten. */
static inline void op_list_move(struct op_list *to, struct op_list *from)
{
    *to = *from;
    if (to->first == NULL)
        to->end = &to->first;
    op_list_init(from);
}

/* The first, which must be there. */
static inline struct op *op_list_take(struct op_list *l)
{
    struct op *op = l->first;

    l->first = op->next;
    if (l->first == NULL)
        l->end = &l->first;
    l->count--;
    l->bytes -= op_size(op);
    return op;
}

static inline void job_list_init(struct job_list *l)
{
    *l = (struct job_list){.end = &l->first};
}

static inline void job_list_add(struct job_list *l, struct read_job *job)
{
    job->next = NULL;
    *l->end = job;
    l->end = &job->next;
}

static inline struct read_job *job_list_take(struct job_list *l)
{
    struct read_job *job = l->first;

    l->first = job->next;
    if (l->first == NULL)
        l->end = &l->first;
    return job;
}

enum {
    RESERVE = 1 << 20,         /* numbers that may be given out ahead of the disk, where they are */
    MAX_GROUP_BYTES = 8 << 20, /* of ops in one transaction; more do not gather */
    RETRY_MS = 1000,           /* between tries of what has failed */
};

/* Bytes of ops in one transaction; more do not gather. Of a small store they are a small part, for
 * what goes for them is there to be written over two commits later only. */
static inline size_t group_limit(const struct disk *d)
{
    uint64_t part = d->options.keep_bytes / 16;

    return part < MAX_GROUP_BYTES ? (size_t)part : MAX_GROUP_BYTES;
}

/* ---- the bodies of the threads; `ctx` is the struct disk ---- */
void *disk_log(void *ctx);   /* disk_logger.c */
void *disk_write(void *ctx); /* disk_writer.c */
void *disk_read(void *ctx);  /* disk_reader.c */

/* With the lock: sleeps for so long, or until something comes. */
void disk_wait(struct disk *d, pthread_cond_t *for_what, unsigned ms); /* disk_writer.c */
#endif
