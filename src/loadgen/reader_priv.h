/* reader_priv.h - a process that holds streams, and one stream of it: request, answer, events. */
#ifndef LOADGEN_READER_PRIV_H
#define LOADGEN_READER_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "answer_priv.h"
#include "base/buf.h"
#include "loadgen/loadgen.h"
#include "shared_priv.h"
#include "template_priv.h"

enum {
    STREAM_ID_SIZE = 64,      /* of an event's id, the terminator included */
    STREAM_MAX_LINE = 1 << 22, /* bytes */
    SLOW_ROOM = 8192,          /* bytes of a slow stream's socket: or the kernel reads for it */
    SLOW_LOOKS = 100,          /* a second, at slow streams */
    READER_INPUT = 256 * 1024,
};
_Static_assert(LOAD_MAX_SLOW_RATE / SLOW_LOOKS <= READER_INPUT, "a look at a slow stream fits");
#define STREAM_NO_USER UINT32_MAX

/*   idle -> connecting -> head -> open -> closed
 *     ^                     |-> refused --^   |
 *     |_______________________________________|  dropped, to come back */
enum stream_state {
    STREAM_IDLE,
    STREAM_CONNECTING,
    STREAM_HEAD,    /* the request is sent */
    STREAM_REFUSED, /* a status other than 200: its body tells why */
    STREAM_OPEN,
    STREAM_CLOSED,
};

struct reader;

struct load_stream {
    struct reader *reader;
    struct answer answer;
    struct buf line;          /* the beginning of one whose end has not come */
    uint64_t began_ns;        /* connecting */
    uint32_t number;          /* among all streams */
    uint32_t user;            /* STREAM_NO_USER: of the crowd */
    uint32_t seen[CLASSES];   /* number of the last event by class */
    int fd;                   /* -1: none */
    enum stream_state state;
    char id[STREAM_ID_SIZE];  /* of the last event; "": none, or longer than this */
};

/* What a reader is started with. */
struct reader_task {
    const struct load_plan *plan;
    const struct templates *templates;
    struct load_shared *shared;
    struct reader_part *part;
    int command_fd;      /* eventfd */
    uint64_t first;      /* of its streams */
    uint64_t count;
    uint64_t opening;    /* under way at once */
    bool is_prompt;      /* see load_shared.look_us */
    pid_t parent;
};

struct reader {
    struct reader_task task;
    struct load_stream *streams;
    struct buf request;          /* the one being made */
    char *input;                 /* READER_INPUT bytes */
    uint64_t next;               /* to be opened */
    uint64_t under_way;          /* opening */
    uint64_t finished;           /* opened or failed */
    uint64_t turn_ns;            /* when this turn's events were fetched */
    uint64_t now_ns;             /* when the bytes at hand came; 0: not asked yet */
    uint64_t delivered[CLASSES]; /* what will be written to `part` at the end of the turn, as are */
    uint64_t bytes;
    uint64_t reads;
    uint64_t delivered_ns;       /* when the last event came */
    uint64_t slow_ns;            /* when slow streams were looked at */
    int epoll_fd;
    unsigned command_number;     /* the last one seen */
    bool is_opening;
    bool is_resuming;            /* streams ask for what they missed */
    bool is_rereading;           /* streams begin anew */
};

/* The life of a process that has just been forked: holds its streams and does what is commanded. */
_Noreturn void reader_main(const struct reader_task *task);

/* Connects. What becomes of it is counted in the reader. */
void stream_start(struct load_stream *s);

/* `events` is what epoll says. */
void stream_on_event(struct load_stream *s, uint32_t events);

/* Whether it does not read what comes but when it pleases: by stream_read_slowly. */
bool stream_is_slow(const struct load_stream *s);
void stream_read_slowly(struct load_stream *s);

/* From its beginning, if it has read as much as that takes. */
void stream_reread(struct load_stream *s);

/* Ends it with a reset and lets it come back later. */
void stream_drop(struct load_stream *s);
#endif
