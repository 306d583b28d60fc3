/* manager_priv.h - the manager's own structs, shared by the files of this folder.
 *
 * channel.c finds channels, client.c queues and writes, catch_up.c serves clients that are behind,
 * fanout.c walks large channels, pressure.c ends clients when memory is short, outgoing.c has many
 * written to at once, trace.c tells what became of a notification, and notification_manager.c hears
 * the journal and the world. */
#ifndef NOTIFY_MANAGER_PRIV_H
#define NOTIFY_MANAGER_PRIV_H
#include "base/hash.h"
#include "base/intern.h"
#include "base/list.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/write.h"
#include "message/history.h"
#include "notify/notification_manager.h"
#include "notify/ring.h"

struct fanout;

/* Who listens to one user, to one topic, or to everyone. It is there while somebody does. Like a
 * client it is there once for each of very many: it comes from the pool of its size. */
struct channel {
    struct list clients;    /* links of client.in_user, client.in_everyone or topic_link.link */
    struct fanout *fanout;  /* the walk that is under way, or NULL */
    uint32_t count;         /* clients */
    uint16_t name_length;
    uint8_t kind;           /* enum channel_kind */
    char name[];
};

enum {
    CHANNEL_STEP = 8, /* from one size of a channel to the next */
    CHANNEL_SIZES = MAX_CHANNEL_NAME / CHANNEL_STEP + 1,
};

struct topic_link {
    struct list link;       /* in the topic's clients */
    struct channel *channel;
    struct client *client;
};

/* What only a client that reads pages from the journal needs. */
struct catch_up {
    struct journal_read read;
    struct client *client;
    bool is_under_way;
    uint64_t told_transient;    /* number up to which losses with a ttl of 0 are told */
    uint64_t *known;            /* behind the names, in the same allocation: the read's, ... */
    uint64_t *told;             /* ... and what of it is lost to the client and told to it */
    struct channel_name channels[];
};

/* Why a client ended, for the log and the counters. */
enum client_close {
    CLOSE_PEER,
    CLOSE_OVERFLOW,
    CLOSE_MEMORY,
    CLOSE_PRESSURE,
    CLOSE_BYE, /* and a number of enum client_bye */
};

/* What many clients are without: topics, a token, and pages that are read for them. */
struct client_more {
    struct catch_up *reading;       /* NULL unless the journal is read for it */
    struct client_credential credential; /* all zero: none */
    size_t topic_count;
    struct topic_link topics[];
};

/* What a delivery looks at comes first, in 64 bytes, then what a visit of a fan-out does besides:
 * of one of very many streams all of it is cold. Every byte is there once for each stream. */
struct client {
    struct list in_user;
    struct notification_manager *nm;
    struct client *next_dirty;
    struct ring ring;
    uint64_t cursor;                /* number up to which all that is its own was queued */
    void *sink;
    uint32_t offset;                /* bytes of the oldest message in the ring that were written */
    uint8_t bye;                    /* enum client_bye, while is_ending */
    bool is_chunked : 1;
    bool has_ping_events : 1;
    bool is_opening : 1;            /* its sink knows nothing of it yet */
    bool is_behind : 1;             /* takes nothing from live delivery, reads from its cursor */
    bool is_resuming : 1;           /* behind since it was opened */
    bool is_from_start : 1;         /* what was lost before is none of its business */
    bool is_dropping : 1;           /* behind, and only the newest of what it missed is wanted */
    bool owes_gap : 1;              /* a retract found no room or memory: a gap is due for it */
    bool is_warned : 1;             /* that its token expires soon */
    bool is_blocked : 1;            /* the socket took less than was given: want_write is on */
    bool is_untimed : 1;            /* what is queued waited for its peer, or is from before it was
                                     * opened: how long it took says nothing of us */
    bool is_ending : 1;             /* its bye is queued: nothing more is */
    bool break_parity : 1;          /* as the manager's: it was told of the last break */
    bool is_unread : 1;             /* the journal was down when a page was asked for */
    bool is_writing : 1;            /* in what goes out together */
    bool is_dirty : 1;              /* in the list of those to be flushed, or freed */
    bool is_dead : 1;               /* gone, and freed at its turn in that list */
    uint64_t last_seq;              /* number of the last notification written whole */
    uint32_t written_ms;            /* when bytes last left, modulo 2^32 */
    uint32_t delivered;             /* notifications written whole */
    struct channel *user;
    struct client_more *more;       /* NULL: nothing of it */
    uint64_t since;                 /* newest number when it was opened */
    struct list in_everyone;
    struct interned *user_agent;
    uint64_t id;
    uint64_t opened_ms;
    uint32_t expires_tenths;        /* of a second: when its token does; 0: never */
    uint32_t resumed;               /* how many numbers before `since` it resumed, at most; 0: from
                                     * there */
};

enum {
    MAX_IOV = 64, /* of one client's write */
    OUTGOING_WRITES = 256,
    OUTGOING_IOV = 1024,
};

/* The clients that are written to together, and what each is sent. */
struct outgoing {
    size_t count;
    size_t iov_count;
    struct write writes[OUTGOING_WRITES];
    struct outgoing_item {
        struct client *client;
        size_t total;               /* bytes */
        bool is_whole;              /* what it has besides is written too, as far as it goes */
    } items[OUTGOING_WRITES];
    struct iovec iov[OUTGOING_IOV];
};

struct notification_manager {
    struct manager_options options;
    uint32_t most_queue;            /* the longest that options.queue was: rings may hold it */
    struct journal *journal;
    struct stats *stats;
    char epoch[EPOCH_SIZE];
    char last_epoch[EPOCH_SIZE];    /* the one before the last break */
    uint64_t head;                  /* newest number heard */
    bool is_up;
    bool was_up;                    /* at least once */
    bool is_shared;                 /* the journal has other daemons, which may be ahead of us */
    bool break_parity;              /* turned over with each break: see the client's */
    uint64_t hole_begin;            /* numbers between these two were never given out */
    uint64_t hole_end;
    size_t unread;                  /* clients that are so */
    uint64_t break_seq;             /* what is up to it is of the epoch before; 0: nothing is */
    const char *down_reason;        /* while not is_up */
    struct history *window;
    struct hash_table users;        /* struct channel */
    struct hash_table topics;
    struct channel *everyone;
    struct pool clients;            /* struct client */
    struct pool channels[CHANNEL_SIZES]; /* struct channel, by size */
    const struct client_sink *sink_ops; /* of all clients; NULL before the first */
    struct intern_table user_agents;
    struct client *dirty;           /* the first to be flushed */
    struct client **dirty_end;
    struct list fanouts;
    struct message *heartbeat;      /* the comment, and the ping event, shared by all */
    struct message *ping;
    struct message *last_chunk;     /* what ends a chunked body (RFC 9112 7.1) */
    uint64_t now_ms;
    uint64_t tick_ms;               /* of the last tick, which is the journal's time: what has a
                                     * ttl is gone from the window no later than from there */
    uint32_t emitted_ms;            /* the clock in milliseconds, read once in a turn with
                                     * entries, ... */
    bool is_emitting;               /* ... as it was in this one */
    bool has_served_at_once;        /* in this turn: what was published alone */
    uint32_t written_us;            /* the clock of options.read_us when it was last read, ... */
    uint32_t unread_writes;         /* ... and how many writes may follow before it is read again */
    uint64_t next_client;           /* mixed into an id */
    size_t ending;                  /* clients whose bye is queued */
    uint64_t drain_end_ms;          /* 0: not draining */
    uint64_t drain_ms;
    uint64_t drain_due;             /* streams still to be ended of the share that is due */
    manager_online_fn *on_online;   /* or NULL */
    void *online_ctx;
    manager_revoked_fn *is_revoked; /* while `clients` is walked for it, or NULL */
    void *revoked_ctx;
    bool has_walk;                  /* `clients` is walked, for the one above or for memory */
    bool is_revoked_anew;           /* there is more to look for than when that walk began */
    enum {
        PRESSURE_NONE,
        PRESSURE_LOOKS,             /* `clients` is walked for who is furthest behind */
        PRESSURE_ENDS,              /* and for those that have read up to `ends_until` at most */
    } pressure;
    uint64_t ends_until;
    uint64_t pressure_ended;        /* streams that were ended and not told of yet */
    struct log_gate pressure_gate;
    struct outgoing outgoing;       /* empty but within a walk or a flush */
};

/* ---- channel.c ---- */
int channels_init(struct notification_manager *nm);
void channels_fini(struct notification_manager *nm);

/* NULL: nobody listens. */
struct channel *channel_find(const struct notification_manager *nm, struct channel_name name);

/* For a channel_find to come: begins to fetch its slot, and when that `is_begun`, the channel. */
void channel_fetch(const struct notification_manager *nm, struct channel_name name, bool is_begun);

/* The channel, made if need be; NULL without memory. Pair: channel_release. */
struct channel *channel_need(struct notification_manager *nm, struct channel_name name);

/* Frees the channel if nobody listens any more. */
void channel_release(struct notification_manager *nm, struct channel *channel);

void channel_add(struct channel *channel, struct list *link);
void channel_remove(struct channel *channel, struct list *link);

/* The client whose link in the channel this is. */
struct client *channel_client(const struct channel *channel, struct list *link);

static inline struct channel_name channel_name_of(const struct channel *channel)
{
    return (struct channel_name){channel->kind, slice_make(channel->name, channel->name_length)};
}

static inline size_t client_topic_count(const struct client *c)
{
    return c->more == NULL ? 0 : c->more->topic_count;
}

static inline bool client_has_credential(const struct client *c)
{
    return c->more != NULL && (c->more->credential.id != 0 || c->more->credential.holder != 0);
}

/* NULL: the journal is not read for it. */
static inline struct catch_up *client_reading(const struct client *c)
{
    return c->more == NULL ? NULL : c->more->reading;
}

/* ---- client.c ---- */
/* The newest entry of one of its channels: queued if it is live. May end the client. */
void client_deliver(struct client *c, struct message *m);

/* The same, and written before this returns, as far as the socket takes it. */
void client_deliver_at_once(struct client *c, struct message *m);

/* The same for one of which it is known that a live client lacks nothing older, but the caller has
 * it written. Returns whether there is anything to write. May end the client. */
bool client_queue_only(struct client *c, struct message *m);

/* All that it has not got yet of its channels is queued, if it is live; the caller has it written.
 * Returns whether there is anything to write. May end the client. */
bool client_update(struct client *c);

/* A retract, NULL where it found no memory: queued, even a little over the limit. Where that fails
 * the client gets a gap as soon as it has room, so that its page loads its state again. */
void client_tell_retract(struct client *c, struct message *m);

/* Queues the bye and ends the client when all is written. */
void client_end(struct client *c, enum client_bye reason);

/* Takes the client out of everything, without a word to its sink; it is freed later. */
void client_release(struct client *c, enum client_close reason);

/* It waits for its flush, or, dead, to be freed. */
void client_mark_dirty(struct client *c);

void client_set_behind(struct client *c, bool is_behind);

/* A page could not be read for it: it is asked for when the journal is up again. */
void client_set_unread(struct client *c, bool is_unread);

/* Ends the client for want of memory. */
void client_cut_for_memory(struct client *c);

/* Tells it that the journal's continuity has broken. The client may be dead afterwards. */
void client_tell_break(struct client *c);

/* The same where that has happened and was not told. */
static inline void client_mind_break(struct client *c)
{
    if (c->break_parity != c->nm->break_parity)
        client_tell_break(c);
}

/* Tells one that is live that something was lost that it has not got. It may be dead afterwards. */
void client_tell_lost(struct client *c);

/* Up to where it has read, if messages wait and its peer takes none; else UINT64_MAX. */
uint64_t client_position(const struct client *c);

/* Ends the client because its queue's memory is wanted. */
void client_cut_for_pressure(struct client *c);

/* Queues one notification of its own, for a flush to come; false: there was no room, or the client
 * is dead. */
bool client_queue(struct client *c, struct message *m);

/* Tells of a loss: what came behind `after` up to some number at or over `resumed_at` is not to be
 * had; whatever is kept behind `resumed_at` comes next. The client may be dead afterwards. */
void client_tell_gap(struct client *c, const char *reason, struct slice after,
                     uint64_t resumed_at);

/* Gathers what is to be written of its queue next, which must stay as it is until it is told. */
int client_gather(struct client *c, struct iovec iov[MAX_IOV], size_t *total);

/* Of `total` gathered bytes (0: none were to be written) its sink has taken `taken`, or -errno.
 * What there is besides goes out too if `is_whole`, or else has its turn with the dirty ones. May
 * end the client. */
void client_on_written(struct client *c, ssize_t taken, size_t total, bool is_whole);

/* The next write that is timed reads the clock: the last reading may be long ago. */
static inline void manager_read_clock_soon(struct notification_manager *nm)
{
    nm->unread_writes = 0;
}

/* Flushes, or frees, up to `most` of the clients that wait for it. */
void clients_flush(struct notification_manager *nm, size_t most);

/* ---- notification_manager.c ---- */
/* What there is to say of an open stream. */
struct client_info client_describe(const struct client *c);

/* ---- outgoing.c ---- */
/* What the client has queued is written with that of others, at the latest by outgoing_write; see
 * client_on_written for the rest. Returns its bytes. May end the client. */
size_t outgoing_add(struct notification_manager *nm, struct client *c, bool is_whole);
void outgoing_write(struct notification_manager *nm);

/* ---- catch_up.c ---- */
/* Queues what a client that is behind has not got, as far as there is room, and makes it live when
 * nothing is left. The client may be dead afterwards. */
void client_catch_up(struct client *c);

/* Gives up a page that was asked for, and forgets which losses were told. */
void client_stop_reading(struct client *c);

/* ---- pressure.c ---- */
/* Where memory is near options.max_memory, those that are furthest behind are to be ended. */
void pressure_begin(struct notification_manager *nm);

/* Looks at some, and ends some. */
void pressure_relieve(struct notification_manager *nm);

/* ---- fanout.c ---- */
/* Every client of the channel gets what is new, of which `m` is the newest (NULL: it is a break
 * that is told), in slices, from manager_turn_end on. Returns 0 or -ENOMEM. */
int fanout_start(struct notification_manager *nm, struct channel *channel, struct message *m);

/* Walks on, for at most `most` clients that cost something. */
void fanouts_run(struct notification_manager *nm, size_t most);

/* Walks those to their end that keep the window from making room. */
void fanouts_finish_pinned(struct notification_manager *nm);

/* `link` is about to leave the channel. */
void fanout_skip(struct fanout *f, struct list *link);

/* Ends a walk whose channel is going. */
void fanout_end(struct notification_manager *nm, struct fanout *f);
#endif
