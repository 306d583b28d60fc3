/* notification_manager.h - user -> clients, and the one way of a notification to them.
 *
 * Everything that is sent goes into the journal first, and comes back from it, in order, to the
 * window in memory and to the streams of its channel. One thread; time is an argument. */
#ifndef NOTIFY_NOTIFICATION_MANAGER_H
#define NOTIFY_NOTIFICATION_MANAGER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/stats.h"
#include "journal/journal.h"
#include "notify/client.h"

struct notification_manager;

/* What happens when a client's queue is full. */
enum manager_overflow {
    OVERFLOW_CATCHUP,     /* it reads on from its cursor later: nothing is lost that is kept */
    OVERFLOW_DROP_OLDEST, /* the oldest queued go, and a gap says so */
    OVERFLOW_DISCONNECT,  /* it is ended; its reconnect resumes, for as long as that takes */
};

struct manager_options {
    uint64_t now_ms;           /* the time of now, as manager_tick tells it */
    uint64_t heartbeat_ms;
    uint64_t retry_ms;         /* reconnect time told to browsers */
    uint32_t queue;            /* messages that a client's ring holds */
    enum manager_overflow overflow;
    uint64_t max_age_ms;       /* 0: streams live as long as they like */
    size_t window_bytes;       /* the window: bounded by bytes, ... */
    uint64_t keep_ms;          /* ... age ... */
    size_t keep_per_user;      /* ... and per user */
    uint64_t max_memory;       /* bytes that queues and window are held to; 0: no limit */
    uint64_t (*read_us)(void); /* the clock of journal_append.came_us, asked now and then while
                                * streams are written; NULL: nothing is timed */
    bool has_shared_writes;    /* the sinks' write_many takes few system calls: a turn of a fan-out
                                * may be longer by number, and is not by time */
};

/* Makes the manager and listens to `journal` from then on; `journal` and `stats` are borrowed and
 * outlive it. NULL without memory. */
struct notification_manager *notification_manager_create(const struct manager_options *options,
                                                         struct journal *journal,
                                                         struct stats *stats);

/* Takes over heartbeat_ms, retry_ms, queue, overflow, max_age_ms and max_memory, for the streams
 * that are open too; their next heartbeat still comes when it was due. The rest of `options` is not
 * looked at. */
void manager_change_options(struct notification_manager *nm,
                            const struct manager_options *options);

/* Drops every client without a word to its sink. NULL is allowed. */
void notification_manager_destroy(struct notification_manager *nm);

/* The one way in: records the notification in the journal, from which it reaches the streams.
 * `n` is borrowed for the call; `append` is the caller's until its on_done, which may come before
 * this returns. append->streams is then the number of streams here that it was queued to. */
void manager_send_notification(struct notification_manager *nm, const struct notification *n,
                               uint64_t wall_ms, struct journal_append *append);

/* Writes what was queued and goes on with fan-outs that are under way, for a few milliseconds.
 * Call it before the loop sleeps; true: there is more, do not sleep. */
bool manager_turn_end(struct notification_manager *nm, uint64_t now_ms);

/* Tells the time; call it at least ten times a second. */
void manager_tick(struct notification_manager *nm, uint64_t now_ms);

/* From now on told when a user's first stream has been opened (`is_online`) and when the last one
 * has ended, but not of those that end with the manager. `user` is borrowed for the call, in which
 * the manager must not be called. NULL: nobody is told. */
typedef void manager_online_fn(void *ctx, struct slice user, bool is_online);
void manager_watch_users(struct notification_manager *nm, manager_online_fn *on_online, void *ctx);

/* Ends all streams with a bye, the oldest first, spread evenly over the ticks of `drain_ms`, each
 * told a reconnect time of its own, from the retry time on and less than that and the drain time
 * over it. New clients are ended likewise. */
void manager_drain(struct notification_manager *nm, uint64_t now_ms, uint64_t drain_ms);

/* Ends one user's streams, or the one of `client_id` unless that is 0. Returns how many. */
size_t manager_kick(struct notification_manager *nm, struct slice user, uint64_t client_id);

/* Looks through all streams, some at each turn's end, and ends those with a credential of which
 * `is_revoked` says so; one that is opened meanwhile may be passed over. Called again before it is
 * through, it looks through all once more. */
typedef bool manager_revoked_fn(void *ctx, const struct client_credential *credential);
void manager_end_revoked(struct notification_manager *nm, manager_revoked_fn *is_revoked,
                         void *ctx);

/* The user's open stream of that id, or NULL: there is none, or it is ending. */
struct client *manager_find_client(const struct notification_manager *nm, struct slice user,
                                   uint64_t client_id);

/* Calls `visit` for each open stream of the user; returns their number. */
typedef void manager_visit_fn(void *ctx, const struct client_info *info);
size_t manager_presence(const struct notification_manager *nm, struct slice user,
                        manager_visit_fn *visit, void *ctx);

/* What became of one notification, as far as the window in memory tells. */
struct manager_trace {
    bool is_ours;         /* it was sent to this process; else only at_ms is known */
    uint32_t streams;     /* that it was for when it came from the journal */
    uint32_t written;     /* writes of it to streams, those of later resumes from memory included */
    uint64_t at_ms;       /* when it was accepted, since 1970 */
    uint64_t emitted_ago_ms; /* how long ago it came from the journal, ... */
    uint64_t written_ago_ms; /* ... and was written last, if it was */
};

/* False: it is not in the window. Times of over 49 days ago are told wrongly. */
bool manager_trace(const struct notification_manager *nm, struct channel_name channel,
                   uint64_t seq, uint64_t now_ms, struct manager_trace *out);

/* What became of it at one stream. */
enum trace_state {
    TRACE_WRITTEN,      /* it was written */
    TRACE_QUEUED,       /* it waits for the peer to take it */
    TRACE_BEHIND,       /* the stream reads on from before it */
    TRACE_PASSED,       /* the stream is past its number; whether it was still there is not known */
    TRACE_OPENED_LATER, /* the stream began behind it, or it was for those connected only */
    TRACE_OTHER_TOPIC,  /* the stream does not listen there */
};

/* Calls `visit` for each open stream of the user, with what became of number `seq` of `channel`,
 * which `is_kept` or not any more. */
typedef void manager_trace_fn(void *ctx, const struct client_info *info, enum trace_state state);
void manager_trace_streams(const struct notification_manager *nm, struct slice user,
                           struct channel_name channel, uint64_t seq, bool is_kept,
                           manager_trace_fn *visit, void *ctx);

/* Calls `visit` for each topic that the user's open streams listen to, maybe more than once. */
typedef void manager_topic_fn(void *ctx, struct slice topic);
void manager_each_topic(const struct notification_manager *nm, struct slice user,
                        manager_topic_fn *visit, void *ctx);

size_t manager_stream_count(const struct notification_manager *nm);
size_t manager_user_stream_count(const struct notification_manager *nm, struct slice user);

/* Whether the journal takes notifications now; else the reason is in `*why`. */
bool manager_is_ready(const struct notification_manager *nm, const char **why);

/* Whether queues and window hold options.max_memory: nothing is to be sent until the streams that
 * are furthest behind are ended, which begins at the turn's end. */
bool manager_is_full(struct notification_manager *nm);

/* Whether manager_drain was called: no stream is to be opened any more. */
bool manager_is_draining(const struct notification_manager *nm);

/* Whether the journal has been up since the start: before, nobody can tell which ids it knows. */
bool manager_knows_journal(const struct notification_manager *nm);

/* The journal's epoch and its newest number. */
const char *manager_epoch(const struct notification_manager *nm);
uint64_t manager_head(const struct notification_manager *nm);

struct journal *manager_journal(const struct notification_manager *nm);
#endif
