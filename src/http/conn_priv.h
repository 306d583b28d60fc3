/* conn_priv.h - one client connection, and what the server keeps for all of them.
 *
 * server.c makes connections and ends with them, conn.c moves them through their states,
 * response.c and stream.c answer. */
#ifndef HTTP_CONN_PRIV_H
#define HTTP_CONN_PRIV_H
#include <stddef.h>
#include "base/buf.h"
#include "base/pool.h"
#include "http/response.h"
#include "http/server.h"
#include "net/sock.h"
#include "request_priv.h"

enum {
    READ_SIZE = 65536,      /* of the one buffer that all connections read into */
    MAX_STASH = 65536,      /* bytes kept of what comes while a request has no answer yet */
    LARGE_REQUEST = 65536,  /* smaller ones are let in past max_pending */
    MAX_POOL = 64,          /* request objects kept for the next requests */
    PIPELINED_US = 300,     /* of requests behind a first, before other connections have theirs */
    WRITE_TIMEOUT_MS = 30000,
    LINGER_MS = 3000,
    MAX_LINGER = 16 << 20,  /* bytes thrown away while lingering */
};

/* A connection's life; any state may go to dead.
 *
 *   announced -> reading (it begins with a PROXY header)
 *   reading -> handling -> reading (kept alive)
 *           \           \-> flushing -> reading or lingering
 *            \           \-> streaming -> lingering
 *             \-> flushing, lingering (refused, timed out)                */
enum conn_state {
    CONN_READING,   /* between requests, or in the middle of one: then it has a request */
    CONN_HANDLING,  /* its request is with the handler */
    CONN_FLUSHING,  /* the socket did not take the answer at once */
    CONN_STREAMING, /* it is an open stream, which has no request any more */
    CONN_LINGERING, /* our end is sent: awaits the peer's, so that the answer is not lost */
    CONN_ANNOUNCED, /* its PROXY header is awaited, and stashed as it comes */
    CONN_DEAD,      /* closed; on the list of the dead, freed at the end of the turn */
};

/* Bytes in waiting: there only while there are some. */
struct conn_bytes {
    struct buf out;   /* of the answer, from `sent` on not taken yet */
    size_t sent;
    struct buf stash; /* came after the request that is being handled */
    struct conn *next_resumed; /* in the server's list of those to go on with */
};

struct http_stream {
    const struct http_stream_events *events;
    void *ctx;
};

/* Every byte is there once for each stream. */
struct conn {
    struct sock sock;
    union {
        struct {                       /* not streaming: */
            struct http_request *request; /* being read or handled, else NULL */
            struct conn_bytes *bytes;     /* NULL: none wait */
        };
        struct http_stream stream;     /* streaming; beside the descriptor, as a write to a stream
                                        * needs nothing else */
        struct conn *next_dead;        /* dead: in the server's list of those */
    };
    uint32_t lingered;          /* bytes thrown away in lingering */
    struct peer peer;
    uint8_t state;              /* enum conn_state */
    uint8_t role : 2;
    bool is_local : 1;
    bool is_feeding : 1;        /* conn_feed is running: it goes on itself */
    bool is_resumed : 1;        /* in the list of those to go on with; has bytes, even if dead */
    bool has_end : 1;           /* the peer has sent its end */
    bool is_kept : 1;           /* flushing: reading comes after it */
    bool wants_write : 1;       /* streaming: on_writable is asked for */
};

struct http_server {
    struct sock_owner socks;
    const struct http_limits *limits;
    struct router *router;
    http_filter *filter;
    void *ctx;
    struct stats *stats;
    struct pool conns;          /* struct conn */
    struct conn *dead;
    struct conn *resumed;       /* the first of those to go on with */
    struct conn **resumed_end;
    size_t count;               /* connections that are not dead */
    struct http_request *pool;
    size_t pool_count;
    const struct http_route *routes;
    size_t route_count;
    uint64_t *answered;         /* a row of STATUS_SLOTS a route, the first for none */
    bool is_draining;
    bool has_to_drain;          /* the walk of `conns` looks for idle ones to close */
    struct buf head;            /* the response head being made */
    uint64_t date_checked_ms;   /* loop_now_ms of the last look at the clock */
    uint64_t date_s;            /* the second that `date_line` is of */
    struct slice date_line;     /* in `date` */
    char date[48];
    char read[READ_SIZE];
};

static inline struct http_server *conn_server(const struct conn *c)
{
    return (struct http_server *)(void *)((char *)sock_owner(&c->sock) -
                                          offsetof(struct http_server, socks));
}

/* ---- server.c ---- */
struct http_request *server_take_request(struct http_server *server); /* NULL: no memory */
void server_put_request(struct http_server *server, struct http_request *r);
/* Counts what the request has grown by; false: it is too large for what is left of max_pending. */
bool server_has_room(struct http_server *server, struct http_request *r);
struct slice server_date_line(struct http_server *server); /* RFC 9110 6.6.1, of now, with CRLF */

/* ---- conn.c ---- */
/* What the server's socks call. */
void conn_on_event(struct sock *s, unsigned events);
void conn_on_deadline(struct sock *s, uint64_t now_ms);

/* What a new connection does first: a request may be there already. */
void conn_begin(struct conn *c);

/* Goes on with what was stashed: from the turn's end. */
void conn_resume(struct conn *c);

/* Closes at once, telling the handler or the stream's owner unless they know. */
void conn_cut(struct conn *c);

/* The same, when the cause is a failed allocation. */
void conn_cut_for_memory(struct conn *c);

/* Whether an answer may leave the connection open after it. */
bool conn_may_keep(const struct conn *c);

/* Writes the answer to c->request and is done with the request: reads on where `is_kept`, else
 * closes when the peer has had the time to read it. */
void conn_answer(struct conn *c, int status, struct slice head, struct slice body, bool is_kept);

/* The request is answered by what is streamed from now on; `events` and `ctx` hear of it. */
struct http_stream *conn_open_stream(struct conn *c, const struct http_stream_events *events,
                                     void *ctx);

struct conn *conn_of_stream(struct http_stream *s);

/* Ends our side, then waits shortly for the peer's. */
void conn_linger(struct conn *c);

/* Asks the loop for what the state needs now. */
void conn_settle(struct conn *c);

/* ---- response.c ---- */

/* Every status that http_status_title knows has a slot, and all others one together. */
enum { STATUS_SLOTS = 37 };
size_t status_slot(int status);
int status_of_slot(size_t slot); /* 0 for the others' */

/* http_problem for what never became a request: answers and does not keep the connection. */
void response_refuse(struct http_request *r, int status, const char *detail);
#endif
