/* redis_priv.h - the parts of the journal in Redis, shared by its files.
 *
 * redis_url.c reads URLs, redis_link.c keeps one connection, redis_sentinel.c finds the master,
 * redis_append.c writes, redis_window.c reads what a node begins with and redis_tail.c hears what
 * all nodes write, both by redis_entry.c, redis_page.c reads pages, and redis.c holds them
 * together.
 * What is done in Redis is all in redis.lua. */
#ifndef JOURNAL_REDIS_PRIV_H
#define JOURNAL_REDIS_PRIV_H
#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include "base/buf.h"
#include "base/list.h"
#include "journal_priv.h"

/* ---- redis_url.c ---- */

struct redis_url {
    char *host;      /* NULL: a Unix socket */
    char *path;      /* of the socket */
    char *user;      /* NULL: the default user */
    char *password;  /* NULL: no AUTH */
    unsigned port;
    unsigned db;
};

/* Reads redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix:///PATH[?db=N], parts of it
 * percent-encoded (RFC 3986). Returns 0, or -1 with a sentence that has no password in it. */
int redis_url_read(struct redis_url *url, struct slice text, struct error *why);

/* The same for a Sentinel: [redis://][USER:PASSWORD@]HOST[:PORT]. */
int redis_url_read_sentinel(struct redis_url *url, struct slice text, struct error *why);
void redis_url_fini(struct redis_url *url);

/* ---- redis_link.c ---- */

/* One connection, made again whenever it is gone. */
struct redis_link {
    const struct redis_url *url;
    struct ev_loop *ev;
    redisAsyncContext *ac;      /* NULL: there is none */
    ev_timer timer;             /* the next attempt, or the end of the patience with this one */
    double timeout_s;
    unsigned failures;          /* in a row; whoever finds it of use again sets it to 0 */
    bool is_ready;              /* connected, and let in */
    void (*find)(struct redis_link *link); /* NULL, or what is called to connect: it makes the url
                                            * right and calls redis_link_connect */
    char run_id[48];            /* of the server's process */
    char trouble[200];          /* why it is not ready */
    void (*on_ready)(struct redis_link *link);
    void (*on_lost)(struct redis_link *link); /* it was ready, or would have been */
    void *ctx;
};

void redis_link_init(struct redis_link *link, const struct redis_url *url, struct ev_loop *ev,
                     uint64_t timeout_ms);

/* Begins; on_ready comes when the server has let us in. */
void redis_link_open(struct redis_link *link);

/* Connects to where the url leads. */
void redis_link_connect(struct redis_link *link);

/* An answer is awaited: the link is lost if it is not closed in time. */
void redis_link_expect(struct redis_link *link);

/* Ends what is there: callbacks of commands under way come with a NULL reply, on_lost does not. */
void redis_link_close(struct redis_link *link);

/* The connection is no good; on_lost comes, and a new attempt later. */
void redis_link_fail(struct redis_link *link, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A command of `count` parts. `fn` hears of it once, with a NULL reply if the connection ends; but
 * not where this returns -ENOMEM or -ENOTCONN instead of 0. */
int redis_link_send(struct redis_link *link, redisCallbackFn *fn, void *ctx, size_t count,
                    const struct slice *parts);

/* ---- redis_sentinel.c ---- */

enum { REDIS_MAX_SENTINELS = 8 };

struct redis_sentinels {
    struct redis_url urls[REDIS_MAX_SENTINELS];
    size_t count;               /* 0: there are none */
    size_t at;                  /* the one that is asked */
    struct redis_link link;
};

struct redis;

/* Reads the options. Returns 0, or -1 with `why`. Pair: redis_sentinels_fini, also then. */
int redis_sentinels_init(struct redis *r, struct error *why);
void redis_sentinels_fini(struct redis *r);

/* ---- redis.c ---- */

enum {
    REDIS_CHANNEL_SIZE = 1 + MAX_CHANNEL_NAME,
    REDIS_LOSSES = 1000,  /* channels of which it is told at a time that something was lost */
    REDIS_SENT_HEAD = 12, /* of what is sent of a notification: see redis_append.c */
};

/* Where the journal is on its way to being up. */
enum redis_state {
    REDIS_DOWN,      /* no connection for commands */
    REDIS_ADOPTING,  /* what is there? */
    REDIS_LOADING,   /* the window's entries, or what was lost meanwhile */
    REDIS_TAILING,   /* the second connection is awaited */
    REDIS_UP,
};

struct redis {
    struct journal base;
    struct journal_options options;
    struct ev_loop *ev;
    struct stats *stats;
    struct redis_url url;
    struct redis_sentinels sentinels;
    struct redis_link commands;
    struct redis_link tail;
    enum redis_state state;
    bool was_up;
    bool is_sweeping;
    int trouble;                /* why the last change was refused (-ENOSPC, -EIO), or 0 */
    char prefix[80];
    char node[64];
    char script[41];            /* its SHA-1, as EVALSHA wants it; empty: not loaded yet */
    char epoch[EPOCH_SIZE];     /* empty: nothing is known yet */
    uint64_t emitted;           /* newest number */
    char tail_id[48];           /* of the last entry of the log that was heard */
    uint64_t adopted_head;      /* the head when this connection was made */
    uint64_t hole_begin;        /* numbers between these two were never given out */
    uint64_t hole_end;
    uint64_t transient;
    uint64_t server_ms;         /* the server's clock ... */
    uint64_t server_at_ms;      /* ... at this time of the loop */
    uint64_t now_ms;
    uint64_t entries;
    uint64_t bytes;
    uint64_t evicted;
    uint64_t oldest_ms;         /* age of the oldest entry when it was last asked for */
    struct redis_op **ops;      /* ring by counter, of ops_cap; NULL where one is done */
    size_t ops_cap;             /* a power of two, or 0 */
    uint64_t first_op;          /* counter of the oldest that is not done */
    uint64_t next_op;           /* counter of the next */
    uint64_t next_sent;         /* those from here on wait for the end of the turn */
    size_t op_bytes;
    ev_prepare flush;           /* sends at the end of the turn what came in it */
    struct redis_window *window; /* while REDIS_LOADING for the first time */
    struct list pages;          /* struct redis_read that wait for their turn, ... */
    struct list pages_under_way; /* ... and the others, ... */
    size_t page_count;          /* ... of which there are so many */
    size_t chunk;               /* entries of the log to ask for at a time, ... */
    size_t asked;               /* ... and that were asked for */
    uint64_t swept_ms;          /* when the last sweep was asked for */
    uint64_t heard_ms;          /* when the way up, or then the tail, last had an answer */
    char down_reason[300];
};

/* Calls the script: `fn` hears of it as of every command. */
int redis_call(struct redis *r, redisCallbackFn *fn, void *ctx, const char *operation,
               size_t count, const struct slice *arguments);

static inline struct redis *redis_of(struct journal *j)
{
    return (struct redis *)j; /* base comes first */
}

/* Whether there is a reply, which there is none of where the connection has ended, and it is no
 * error. One ends the connections. */
bool redis_reply_is_good(struct redis *r, const redisAsyncContext *ac, const redisReply *reply);

/* The same for the reply to a change, which the server may refuse and live on: 0, or what it comes
 * to (-ENOSPC, -EIO; -EAGAIN: the connections have ended). */
int redis_judge(struct redis *r, const redisReply *reply);

/* A number as Redis wants it, written to `text`. */
enum { REDIS_NUMBER_SIZE = 24 };
static inline struct slice redis_decimal(char text[REDIS_NUMBER_SIZE], uint64_t number)
{
    return slice_make(text, (size_t)(format_u64(text, number) - text));
}

/* The number in a reply or in a part of one; 0 where there is none. */
uint64_t redis_number(const redisReply *reply);
struct slice redis_text(const redisReply *reply);

/* `channel` as Redis has it, in `out` of REDIS_CHANNEL_SIZE; and the other way round: false where
 * it is none. */
struct slice redis_channel_write(struct channel_name channel, char *out);
bool redis_channel_read(struct slice text, struct channel_name *channel);

/* Both connections are given up; what was under way has failed. */
void redis_go_down(struct redis *r, const char *why);

/* ---- redis_append.c ---- */

enum redis_op_kind { REDIS_APPEND, REDIS_RETRACT, REDIS_ERASE };

/* An append or a removal, until it is both answered and heard of. */
struct redis_op {
    enum redis_op_kind kind;
    uint64_t counter;
    uint64_t sent_ms;
    struct journal_append *append;
    struct journal_removal *removal;
    bool is_answered;
    bool is_heard;
    size_t count;                /* entries removed */
    struct slice parts[6];       /* of an append: what the script wants, cut from bytes; of a
                                  * removal: origin, channel, number */
    size_t size;
    char bytes[];
};

void redis_append_init(struct redis *r);
void redis_append_fini(struct redis *r);
void redis_do_append(struct journal *j, const struct notification *n, uint64_t wall_ms,
                     struct journal_append *append);
void redis_do_retract(struct journal *j, struct channel_name channel, uint64_t seq,
                      struct journal_removal *removal);
void redis_do_erase(struct journal *j, struct channel_name channel,
                    struct journal_removal *removal);

/* The op of this node that an entry of the log came from, or NULL. */
struct redis_op *redis_op_find(struct redis *r, struct slice origin);

/* The tail has brought it, and it was emitted. */
void redis_op_heard(struct redis *r, struct redis_op *op);

/* Those that wait for an answer get -ETIMEDOUT, or -EAGAIN if they were not sent; those that have
 * one are done. */
void redis_ops_fail(struct redis *r);

/* The oldest answer is overdue. */
bool redis_ops_are_overdue(const struct redis *r);

/* ---- redis_entry.c ---- */

/* An entry of the log, read. Borrowed from the reply. */
struct redis_entry {
    uint64_t seq;
    bool is_control;
    struct slice id;
    struct slice origin;
    struct slice channel;
    struct slice sent;
    struct slice collapse_key;
    struct slice broken;     /* the new epoch */
    bool has_removal;
    uint64_t removed;        /* 0: the channel is erased */
    uint64_t at_ms;          /* by the server's clock */
    uint64_t expires_ms;     /* 0: with the others */
    bool is_transient;
};

/* One element of what XREAD or XREVRANGE answers: an id, and fields with their values. False: it
 * makes no sense. */
bool redis_entry_read(const redisReply *reply, struct redis_entry *e);

/* What was sent, cut from its bytes; `n->to` stays. False: it makes no sense. */
bool redis_sent_read(struct slice sent, struct notification *n, uint64_t *wall_ms);

/* As the manager gets it; the message is the caller's. False: it makes no sense, or no memory. */
bool redis_entry_make(const struct redis *r, const struct redis_entry *e,
                      struct journal_entry *out);

/* The time by the server's clock. */
uint64_t redis_server_now(const struct redis *r);

/* `count` entries of so many bytes came: about a mebibyte is asked for next. */
void redis_set_chunk(struct redis *r, size_t count, size_t bytes);

/* ---- redis_window.c ---- */

/* Begins to fill the window from the newest backwards; then redis_begin_tail. */
void redis_load(struct redis *r);
void redis_load_cancel(struct redis *r);

/* Asks what was lost while the node was away; then redis_begin_tail. */
void redis_find_losses(struct redis *r);

/* ---- redis_tail.c ---- */

void redis_begin_tail(struct redis *r);
void redis_on_tail_ready(struct redis *r);

/* ---- redis_page.c ---- */

void redis_do_read(struct journal *j, struct journal_read *read);
void redis_do_cancel(struct journal *j, struct journal_read *read);

/* The tail has brought a removal: what is under way of that channel may be from before it, and is
 * asked for again. */
void redis_pages_note_removal(struct redis *r, struct channel_name channel);

/* Those that wait for their turn are told that it does not come. */
void redis_pages_fail(struct redis *r);
#endif
