/* journal.h - the one ordered record of everything sent.
 *
 * A journal gives each notification its number, keeps it as long as retention says, and emits it,
 * in order, to whoever listens: the notification manager. That is the only way to the streams, so
 * a daemon alone and one among fifty run the same path. An implementation fills `struct
 * journal_ops` (src/journal/journal_priv.h) and calls back; calls back may come before the call
 * that causes them returns (memory), or much later (a disk, a network). One thread. */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/stats.h"
#include "message/id.h"
#include "message/message.h"
#include "message/notification.h"

struct ev_loop;
struct journal;
struct journal_page;

enum journal_sync {
    JOURNAL_SYNC_ALWAYS,   /* answered and delivered once it is safe from power loss */
    JOURNAL_SYNC_INTERVAL, /* delivered at once, safe within a second */
    JOURNAL_SYNC_NEVER,    /* delivered at once, safe when the system likes */
};

struct journal_options {
    uint64_t keep_ms;               /* age at which an entry goes */
    size_t keep_per_user;           /* entries of one user */
    size_t keep_bytes;              /* in all */
    uint64_t idempotency_window_ms; /* how long a key is remembered; 0: not at all */
    uint64_t now_ms;                /* the time of now, as journal_tick tells it, ... */
    uint64_t wall_ms;               /* ... and in milliseconds since 1970 */
    size_t window_bytes;            /* of the newest kept entries, emitted at the start */
    const char *path;               /* of a journal on disk: its directory */
    enum journal_sync sync;
    const char *redis_url;          /* of one in Redis, as the next five */
    const char *redis_sentinels;    /* NULL: none */
    const char *redis_sentinel_name;
    const char *redis_prefix;
    uint64_t redis_timeout_ms;
    const char *node_name;          /* of this daemon among all that use it */
};

/* One notification as it is recorded. Everything is borrowed for the call. */
struct journal_entry {
    struct channel_name to;
    struct message *message;       /* encoded, with its number */
    uint64_t ttl_ms;               /* TTL_DEFAULT, or as given */
    uint64_t age_ms;               /* how long ago it was recorded; over 0 before on_up only */
    struct slice collapse_key;
    struct journal_append *origin; /* the append of this process that made it, or NULL */
};

struct journal_events {
    /* Entries up to this number were recorded by an earlier process and will not be emitted:
     * whoever needs them reads them. The newest of them are emitted next, then on_up comes. */
    void (*on_floor)(void *ctx, uint64_t seq);
    /* Of this channel entries up to this number, which is over the floor, are lost, too. After the
     * first on_up: some that were not emitted never will be. */
    void (*on_lost)(void *ctx, struct channel_name channel, uint64_t seq);
    /* Continuity is broken: of any channel entries behind the last one emitted may be lost, and the
     * next ones have numbers over this one. Where the epoch is another one now (see
     * journal_get_status) ids of the old one mean nothing any more. */
    void (*on_break)(void *ctx, uint64_t seq);
    /* The next entry, in order of numbers. */
    void (*on_entry)(void *ctx, const struct journal_entry *entry);
    /* An entry was retracted (seq over 0), or a channel erased (seq 0): all of it that was emitted
     * so far. Pages may hold it still until the removal's on_done. */
    void (*on_removed)(void *ctx, struct channel_name channel, uint64_t seq);
    /* The journal can take entries, or cannot and why (a text that stays). What comes first, at the
     * start or later, is on_up: until then nothing is known of what is kept. */
    void (*on_up)(void *ctx);
    void (*on_down)(void *ctx, const char *why);
};

/* An append under way; the caller's, who keeps it until on_done. */
struct journal_append {
    void (*on_done)(struct journal_append *append);
    int status;          /* 0; or, with nothing recorded: -EAGAIN not now; -ENOSPC, -EIO the journal
                          * is full or fails; -ENOMEM; or -ETIMEDOUT: what became of it is not
                          * known, and its entry may come yet, without an origin */
    bool is_duplicate;   /* the idempotency key is known: `seq` is the first one's */
    uint64_t seq;
    uint32_t streams;    /* counted by whoever hears on_entry */
    uint64_t came_us;    /* when the request came in, by the loop's clock in microseconds; 0: it is
                          * not timed */
    bool is_alone;       /* the only one of its request: nothing comes with it that it could share
                          * system calls with */
};

/* A retraction or an erasure under way; the caller's, who keeps it until on_done. */
struct journal_removal {
    void (*on_done)(struct journal_removal *removal);
    int status;          /* 0; -EAGAIN, -ENOSPC, -EIO, -ENOMEM: nothing was removed; -ETIMEDOUT: it
                          * is not known */
    size_t count;        /* entries that were kept and are gone now */
};

enum { JOURNAL_MAX_CHANNELS = 64 };

/* A page of kept entries; read by the caller, who keeps it until on_page or journal_cancel. */
struct journal_read {
    const struct channel_name *channels;
    size_t channel_count; /* at most JOURNAL_MAX_CHANNELS */
    uint64_t *known;     /* a number a channel: the highest lost of it that the reader has been
                          * told; 0 at first, brought up to date with each page. NULL: no matter */
    uint64_t after;      /* entries behind this number, the oldest first */
    bool is_fresh;       /* all that was emitted before is to be in the page, which may take a
                          * little longer; else its end may be missing */
    size_t max_entries;
    size_t max_bytes;    /* of messages; at least one comes all the same */
    void (*on_page)(struct journal_read *read, const struct journal_page *page);
    void *job;           /* the journal's own */
};

struct journal_page {
    int status;                /* 0, or -Exxx: nothing was read */
    struct message **messages; /* borrowed for the call */
    size_t count;
    uint64_t covered;          /* all that is kept up to this number has come with this page; at
                                * least the read's `after` */
    uint64_t lost;             /* highest number that retention has taken from a channel of which
                                * the reader knew of none that high */
};

struct journal_status {
    const char *type;
    const char *epoch;
    uint64_t head;       /* number of the newest entry; 0: none yet */
    bool is_up;
    bool is_shared;      /* other daemons use it too: an id may be over `head` */
    int trouble;         /* 0, or why the last write failed (-ENOSPC, -EIO) */
    size_t entries;
    size_t bytes;
    uint64_t hole_begin; /* numbers between these two are of what is lost: nothing else had them */
    uint64_t hole_end;
    uint64_t oldest_ms;  /* how long ago the oldest entry was recorded; 0: there is none */
};

/* Opens the journal of that type ("memory", "disk", "redis"). `stats` and `ev` are borrowed for its
 * life; `events` are not called before journal_start. NULL on failure, with `why`. */
struct journal *journal_open(const char *type, const struct journal_options *options,
                             struct ev_loop *ev, struct stats *stats, struct error *why);

/* The caller listens from now on. `events` is borrowed. */
void journal_start(struct journal *j, const struct journal_events *events, void *ctx);

/* Makes its files that user's, as whom the process goes on. Returns 0 or -errno. */
int journal_give_to(struct journal *j, uid_t uid, gid_t gid);

/* Ends what is under way (on_done with -EAGAIN, though it may be recorded) and closes. NULL is
 * allowed. */
void journal_close(struct journal *j);

/* Records `n` at `wall_ms` (milliseconds since 1970). All of `n` is borrowed for the call. The
 * outcome comes by append->on_done, after on_entry; never both an error and an entry, but with
 * -ETIMEDOUT. */
void journal_append(struct journal *j, const struct notification *n, uint64_t wall_ms,
                    struct journal_append *append);

void journal_read(struct journal *j, struct journal_read *read);

/* on_page does not come any more. */
void journal_cancel(struct journal *j, struct journal_read *read);

/* Removes one entry; where it was kept, on_removed comes before on_done. `channel` is borrowed for
 * the call. */
void journal_retract(struct journal *j, struct channel_name channel, uint64_t seq,
                     struct journal_removal *removal);

/* Removes all of a channel; on_removed comes before on_done. */
void journal_erase(struct journal *j, struct channel_name channel,
                   struct journal_removal *removal);

void journal_get_status(const struct journal *j, struct journal_status *out);

/* Tells the time: monotonic milliseconds, at least ten times a second. Old entries go then, in
 * small steps. */
void journal_tick(struct journal *j, uint64_t now_ms);
#endif
