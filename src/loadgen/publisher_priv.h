/* publisher_priv.h - keep-alive connections that publish, and what came back on them. */
#ifndef LOADGEN_PUBLISHER_PRIV_H
#define LOADGEN_PUBLISHER_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "answer_priv.h"
#include "base/buf.h"
#include "base/error.h"
#include "crew_priv.h"
#include "loadgen/loadgen.h"
#include "template_priv.h"

struct publishers;

struct publisher {
    struct publishers *all;
    struct answer answer;
    struct buf out;        /* requests; those before `out_at` are sent */
    size_t out_at;
    uint64_t *due_ns;      /* when those under way were due: a ring of `max_pipeline` */
    unsigned *notifications; /* in each of them */
    unsigned head;         /* of the ring: the one to be answered next */
    unsigned under_way;
    unsigned number;
    int status;            /* of the answer that is coming */
    int fd;                /* -1: none */
    bool is_connected;
    char body[FAILURE_SIZE]; /* of a refusal, terminated and cut */
    size_t body_n;
};

struct publishers {
    const struct load_plan *plan;
    const struct templates *templates;
    struct crew *crew;
    struct publisher *at;  /* `count` for users' notifications, and one more for fan-outs */
    unsigned count;        /* of this phase; not above `users`, unless there are none */
    uint64_t users;        /* that this phase publishes to: the first so many */
    unsigned made;         /* of all phases, the one for fan-outs left out */
    unsigned pipeline;     /* of this phase: requests under way on each */
    unsigned max_pipeline; /* of all phases */
    unsigned next;         /* whose turn it is */
    int epoll_fd;
    uint64_t *streams_of;  /* by channel */
    char *filler;          /* what a payload is filled up with: plan->payload bytes */
    struct buf body;       /* being made */
    uint64_t random;       /* state of the generator */
    unsigned failures;     /* connections lost since the last answer */

    /* Counted since publishers_clear. */
    uint64_t sent, answered, refused, reconnects;
    uint64_t expected[CLASSES]; /* deliveries, since the beginning */
    struct histogram answer_ns;
    char failure[FAILURE_SIZE]; /* the first one */
};

/* `p` is all zero. Returns 0, or -1 with a sentence in `why`; end with publishers_fini. */
int publishers_init(struct publishers *p, struct crew *crew, const struct templates *templates,
                    struct error *why);
void publishers_fini(struct publishers *p);

/* As the phase wants them; nothing may be under way. */
void publishers_begin(struct publishers *p, const struct load_phase *phase);

/* Counts and histogram. */
void publishers_clear(struct publishers *p);

/* One with room for a request, whose turn it is; NULL: none has. */
struct publisher *publishers_free(struct publishers *p);
struct publisher *publishers_fanout(struct publishers *p); /* the one for fan-outs, likewise */

/* A user of the phase's at random, of those whose notifications take this connection. A user's
 * always take the same one: else their order at the server would not be defined. */
uint64_t publisher_pick_user(struct publisher *c);

/* Puts a request together with a notification for each of the `n` channels, due at `due_ns`; only
 * one may be for all. Opens the connection where there is none. */
void publisher_ask(struct publisher *c, const uint64_t *channels, unsigned n, uint64_t due_ns);

/* Sends what is put together, as much as the sockets take. */
void publishers_flush(struct publishers *p);

/* Reads answers and sends on; waits at most so long for something to happen, also to a reader that
 * was asked to tell (load_shared.wants_news). */
void publishers_poll(struct publishers *p, uint64_t wait_ns);

/* Whether `c` has room for a request. */
bool publisher_has_room(const struct publisher *c);

/* Whether so many connections failed in a row that the server must be gone. */
bool publishers_are_lost(const struct publishers *p);

/* Whether requests are under way. */
bool publishers_are_busy(const struct publishers *p);
#endif
