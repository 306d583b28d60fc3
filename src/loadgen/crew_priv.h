/* crew_priv.h - the processes that hold the streams, as the one that publishes sees them. */
#ifndef LOADGEN_CREW_PRIV_H
#define LOADGEN_CREW_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "loadgen/loadgen.h"
#include "shared_priv.h"
#include "template_priv.h"

enum {
    MIXED_STREAMS = 100, /* that LOAD_MIXED publishes to: they have a process of their own */
};

struct crew {
    const struct load_plan *plan;
    struct load_shared *shared;
    size_t shared_size;
    pid_t pids[MAX_READERS];
    unsigned count;
};

/* The counts of all readers together. */
struct crew_totals {
    uint64_t delivered[CLASSES];
    uint64_t doubled, reordered, gaps, misrouted;
    uint64_t open, failed, closed, reread;
    uint64_t bytes, reads;
    uint64_t opened_ns, delivered_ns; /* of the last one */
};

/* Raises the soft limit of descriptors, makes what is shared and starts the processes. `crew` is
 * all zero. Returns 0, or -1 with a sentence in `why`; end it with crew_end in any case. */
int crew_start(struct crew *crew, const struct load_plan *plan, const struct templates *templates,
               struct error *why);

/* Closes all streams and waits for the processes' end. */
void crew_end(struct crew *crew);

void crew_command(struct crew *crew, enum reader_command command);

/* Whether all have done the last command. */
bool crew_is_done(const struct crew *crew);

/* The last command and its end, for those that take no time to speak of. */
void crew_do(struct crew *crew, enum reader_command command);

/* Whether one of the processes has ended, for want of memory as a rule. */
bool crew_has_lost(const struct crew *crew);

/* Sleeps until a reader has something to tell, `ms` at most. */
void crew_wait(const struct crew *crew, int ms);

void crew_read(const struct crew *crew, struct crew_totals *totals);

/* Adds up a histogram of theirs: of latencies by class, or of heads. */
void crew_latency(const struct crew *crew, enum channel_class class, struct histogram *into);
void crew_heads(const struct crew *crew, struct histogram *into);

/* The first failure that a reader noted, or "". */
const char *crew_failure(const struct crew *crew);
#endif
