/* loadgen.h - many streams and publishers against a server of event streams: counted and timed.
 *
 * One process publishes and measures, others hold the streams. Every payload carries the time, its
 * channel and a number in it, so that each stream is checked for what is lost, doubled, out of
 * order or another's. Nothing here knows a particular server: paths and bodies are templates.
 * What is told is numbers: for the words see cli/bench. */
#ifndef LOADGEN_LOADGEN_H
#define LOADGEN_LOADGEN_H
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "loadgen/histogram.h"
#include "loadgen/target.h"

struct load_report; /* below */

enum { LOAD_MAX_SLOW_RATE = 25 << 20 };

enum load_kind {
    LOAD_OPEN,    /* told first, of the streams' opening; not a phase to ask for */
    LOAD_MEMORY,  /* told after it, likewise */
    LOAD_IDLE,    /* nothing is published */
    LOAD_UNICAST, /* closed loop: to users at random, as fast as deliveries come back */
    LOAD_FANOUT,  /* closed loop: each publish to all streams, or to those of the crowd */
    LOAD_LATENCY, /* open loop: unicast at a rate, whatever comes back */
    LOAD_MIXED,   /* open loop of unicasts to a few streams, amid fan-outs one after another */
    LOAD_PUBLISH, /* closed loop on the answers alone: to users at random, heard or not */
    LOAD_STORM,   /* all streams break, come back with their last id and get what they missed */
    LOAD_CATCHUP, /* nothing is published; each stream begins anew once it has read so much */
};

enum { LOAD_MAX_BATCH = 1000, LOAD_MAX_STREAMS = 4000000 };

struct load_phase {
    enum load_kind kind;
    const char *text;     /* as it was asked for */
    uint64_t ms;          /* how long; not of LOAD_STORM */
    uint64_t count;       /* publish no more than about this; 0: the time alone counts */
    uint64_t rate;        /* unicasts a second; LOAD_LATENCY, LOAD_MIXED */
    uint64_t publishers;  /* keep-alive connections */
    uint64_t pipeline;    /* requests under way on each */
    uint64_t window;      /* closed loops: publishes not yet delivered everywhere */
    uint64_t batch;       /* notifications in a request, as a JSON array if above 1; LOAD_UNICAST,
                             LOAD_STORM */
    uint64_t each;        /* notifications: LOAD_STORM publishes so many to each user while all are
                             away, LOAD_CATCHUP reads so many on each stream */
};

/* In templates {user} is the number of the user, {stream} that of the stream (in paths and headers
 * of streams), {payload} the payload. */
struct load_plan {
    struct load_target streams_at;
    struct load_target publish_at;
    const char *stream_path;     /* template */
    const char *stream_headers;  /* template of header lines with CRLF; "" for none */
    const char *crowd_path;      /* template of the crowd's streams */
    const char *publish_path;    /* template */
    const char *publish_type;    /* content type */
    const char *publish_headers; /* header lines with CRLF */
    const char *publish_body;    /* template */
    const char *fanout_path;     /* template without {user} */
    const char *fanout_body;     /* likewise */
    uint64_t streams;            /* in all, at least 1 */
    uint64_t crowd;              /* the last so many have no user and get the fan-outs alone; 0:
                                    there is no crowd, and fan-outs go to all */
    uint64_t users;              /* stream i of the others is of user i % users */
    uint64_t slow;               /* the first so many streams read by the clock, */
    uint64_t slow_rate;          /* so many bytes a second, at most LOAD_MAX_SLOW_RATE */
    uint64_t payload;            /* bytes, at least; the mark takes 30 to 50 */
    uint64_t processes;          /* to hold the streams; 0: as many as the descriptors ask for */
    uint64_t opening;            /* connects under way at once */
    uint64_t sources;            /* source addresses 127.1.x.y to connect from; 0: the system's
                                    choice, UINT64_MAX: as many as ports ask for */
    uint64_t open_ms;            /* all streams must be open by then */
    uint64_t look_ms;            /* we look for what came this often, and are never woken; 0: as
                                    each phase needs it */
    uint64_t settle_ms;          /* from then to the first phase; memory is read at its end */
    const pid_t *servers;        /* processes whose CPU and memory are told, children included */
    size_t server_count;
    int core;                    /* whose busy time is told too; -1: none */
    const struct load_phase *phases;
    size_t phase_count;
    const volatile sig_atomic_t *is_stopped; /* set by a signal: end soon; may be NULL */

    /* At most five times a second, for people; may be NULL. `share` is from 0 to 1. */
    void (*on_progress)(void *arg, const char *phase, double share);
    void (*on_report)(void *arg, const struct load_report *report);
    void *arg;
};

/* Of a phase with what it takes until its last delivery is seen to have come. */
struct load_cost {
    double seconds;
    uint64_t server_ns;    /* processor time of the servers' processes */
    uint64_t generator_ns; /* and of ours */
    double core_busy;      /* share of the time in which `core` was busy, with whatever */
    uint64_t steal_ticks;  /* 10 ms each, of all cores: time that the hypervisor took */
};

struct load_counts {
    uint64_t sent;      /* notifications published */
    uint64_t answered;  /* requests */
    uint64_t refused;   /* notifications whose request failed */
    uint64_t reconnects; /* of publishers */
    uint64_t expected;  /* deliveries */
    uint64_t delivered; /* all that came */
    int64_t lost;       /* expected, and did not come */
    uint64_t gaps;      /* of those, missing in the middle: a later one had come */
    uint64_t doubled;
    uint64_t reordered;
    uint64_t misrouted; /* another user's */
    uint64_t closed;    /* streams that ended */
    uint64_t bytes;     /* came on streams */
    uint64_t reads;     /* calls of recv that they took */
};

/* The servers' processes together, and the machine's kernel, before and after opening. */
struct load_memory {
    uint64_t rss_before, rss;
    uint64_t pss_before, pss; /* proportional set size: shared pages count by share */
    uint64_t slab_before, slab; /* kernel objects, of both ends where both are on this machine */
    uint64_t generator_pss_before, generator_pss;
};

struct load_report {
    enum load_kind kind;
    const struct load_phase *phase; /* NULL: opening, memory */
    double seconds;                 /* from the beginning to the last stream or delivery */
    struct load_cost cost;
    struct load_counts counts;
    uint64_t open;   /* streams open at the end of it */
    uint64_t failed; /* opening, storm: streams that did not open */
    bool is_late;    /* opening, storm: the time was over first */
    uint64_t reread; /* LOAD_CATCHUP: streams that came to their end and began anew */
    struct load_memory memory;
    struct {
        uint64_t wanted, replayed; /* notifications that were missed, and that came then */
        double replayed_ms;        /* the last of them came so long after the reconnects began */
        uint64_t checked, heard;   /* one more published to each stream, and how many heard it */
    } storm;
    const struct histogram *head_ns;    /* opening, storm: from connect to the answer's head */
    const struct histogram *unicast_ns; /* from when a publish was due to its delivery */
    const struct histogram *fanout_ns;  /* the same of fan-outs */
    const struct histogram *answer_ns;  /* from when a publish was due to its answer */
    const struct histogram *late_ns;    /* open loops: the generator's own lateness */
    const char *failure;                /* the first thing that went wrong, as the server or the
                                           system said it; "" if nothing */
};

enum load_outcome {
    LOAD_DONE,
    LOAD_SHORT,       /* not all streams opened, so that nothing was published */
    LOAD_STOPPED,     /* by is_stopped; reports came of what was done before */
    LOAD_UNREACHABLE, /* nothing listens there */
    LOAD_IMPOSSIBLE,  /* descriptors, memory, processes: `why` has the cure */
};

/* Opens the streams, runs the phases in their order and ends. `why` is set with the last two.
 * Takes at most `open_ms` + `settle_ms`, each phase's time and, for what is under way then, as long
 * again or half a minute. Forks: call it without threads. */
enum load_outcome loadgen_run(const struct load_plan *plan, struct error *why);

/* The process of this machine that listens at `target`, or 0: none, or not ours to see. */
pid_t loadgen_find_server(const struct load_target *target);
#endif
