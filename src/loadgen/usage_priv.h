/* usage_priv.h - what processes and the machine have used, from /proc. */
#ifndef LOADGEN_USAGE_PRIV_H
#define LOADGEN_USAGE_PRIV_H
#include <stdint.h>
#include <sys/types.h>
#include "crew_priv.h"
#include "loadgen/loadgen.h"

struct usage {
    uint64_t at_ns;
    uint64_t server_ns;
    uint64_t generator_ns;
    uint64_t core_ticks; /* busy ones of plan->core */
    uint64_t steal_ticks;
};

/* Looks at the servers' processes and their children of this moment. */
void usage_read(struct usage *u, const struct crew *crew);

/* What was used from one to the other. */
struct load_cost usage_between(const struct usage *from, const struct usage *to);

/* Memory as it is now. */
struct memory_now {
    uint64_t rss, pss, slab, generator_pss;
};

void memory_read(struct memory_now *m, const struct crew *crew);
#endif
