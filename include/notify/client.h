/* client.h - one open stream as the manager sees it: a cursor over its channels and a small queue.
 *
 * The manager knows no sockets and no HTTP: it writes through a table of functions given when the
 * client is opened. A client is live while it keeps up: what comes for it is queued and written.
 * When its queue is full, or it comes back with an id, it is behind: it takes nothing from live
 * delivery and reads on from its cursor, from the window in memory and then from the journal,
 * until it has caught up. */
#ifndef NOTIFY_CLIENT_H
#define NOTIFY_CLIENT_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/slice.h"
#include "base/write.h"

struct client;
struct notification_manager;

/* Where a client's bytes go. Each is called with the `sink` of client_options. */
struct client_sink {
    /* Bytes taken, -EAGAIN, or another -errno: the client is gone then, and close is called. */
    ssize_t (*writev)(void *sink, const struct iovec *iov, int count);
    /* The same for several sinks of this table at once: `to` is a sink, no two are the same, and
     * may be overwritten. NULL: writev does it. */
    void (*write_many)(struct write *writes, size_t count);
    /* A write comes soon: a chance to fetch what it needs. NULL is allowed. */
    void (*expect)(void *sink);
    /* client_on_writable is wanted once. */
    void (*want_write)(void *sink);
    /* client_on_deadline is wanted at or after due_ms. */
    void (*deadline)(void *sink, uint64_t due_ms);
    /* The stream is over, by the manager or a failed write; is_graceful: all was written. The
     * client is gone. Not called after client_on_closed. */
    void (*close)(void *sink, bool is_graceful);
};

/* Why the daemon ends a stream: the `reason` of its bye event. */
enum client_bye {
    BYE_SHUTDOWN,
    BYE_KICKED,
    BYE_MAX_AGE,
    BYE_TOKEN_EXPIRED,
    BYE_TOKEN_REVOKED
};

enum { MAX_TOPICS = 32 };

/* What a stream's credential may be revoked by. The manager only keeps it; all zero is none. */
struct client_credential {
    uint64_t id;
    uint64_t holder;
    uint64_t issued_ms;
};

struct client_options {
    struct slice user;
    const struct slice *topics;   /* besides the user's own; repeated ones count once */
    size_t topic_count;           /* at most MAX_TOPICS */
    struct slice resume;          /* Last-Event-ID; empty: from now on */
    bool from_earliest;           /* all that is kept; `resume` is empty then */
    bool is_chunked;              /* frame for HTTP/1.1 */
    bool has_ping_events;         /* heartbeat=event: a heartbeat that a page can see */
    uint64_t expires_ms;          /* when its token does, on client_open's clock; 0: never */
    const struct client_credential *credential; /* NULL: none */
    struct slice user_agent;      /* cut at 256 bytes */
    const struct client_sink *ops; /* the same for all clients of a manager */
    void *sink;
    struct slice head;            /* response head, written before the stream's first bytes */
};

/* Opens a stream: it is counted, and its preamble and what it missed are queued; they are written
 * at the end of the turn. Everything in `options` is borrowed for the call, but `ops` and `sink`.
 * Returns NULL for want of memory, and then no function of `ops` was or will be called.
 * The client is the manager's until client_on_closed, or until it calls ops->close. */
struct client *client_open(struct notification_manager *nm, const struct client_options *options,
                           uint64_t now_ms);

uint64_t client_id(const struct client *c);
void *client_sink(const struct client *c);

/* A minute before its token expires a client is told so, by the event expiring; when it does, the
 * client is ended. This gives it another end, and another credential; one that is ending already
 * ends all the same. Returns 0, or -ENOMEM: nothing has changed. */
int client_renew(struct client *c, uint64_t expires_ms, const struct client_credential *credential,
                 uint64_t now_ms);

/* Topic `i` of those that it listens to besides its user; {NULL, 0} past the last one. */
struct slice client_topic(const struct client *c, size_t i);

/* News of the sink. */
void client_on_writable(struct client *c, uint64_t now_ms);
void client_on_deadline(struct client *c, uint64_t now_ms);
void client_on_closed(struct client *c); /* the peer is gone; the client is invalid after it */

/* What GET /users/:userID shows of one stream. */
struct client_info {
    uint64_t id;
    uint64_t opened_ms; /* client_open's now_ms */
    const char *user_agent;
    size_t queued;      /* messages waiting */
    bool is_lagging;    /* it is behind, or its socket takes nothing now */
    uint64_t last_seq;  /* number of the last notification written whole; 0: none yet */
    void *sink;
};
#endif
