/* run_priv.h - one call of loadgen_run, and the phases it is made of. */
#ifndef LOADGEN_RUN_PRIV_H
#define LOADGEN_RUN_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "crew_priv.h"
#include "loadgen/loadgen.h"
#include "publisher_priv.h"
#include "template_priv.h"
#include "usage_priv.h"

struct run {
    const struct load_plan *plan;
    struct templates templates;
    struct crew crew;
    struct publishers publishers;
    struct memory_now memory_before;
    uint64_t told_ns;           /* when progress was told last */
    struct load_report report;  /* of this phase; its histograms are the ones below */
    struct histogram head_ns;
    struct histogram latency_ns[CLASSES];
    struct histogram late_ns;
};

/* What had been counted when something began. */
struct tally {
    struct crew_totals totals;
    uint64_t expected[CLASSES];
};

void tally_begin(struct tally *t, struct run *run);

/* Fills the report's counts with what came since. */
void tally_end(const struct tally *t, struct run *run);

/* Deliveries of a class that are still to come; 0 also where more came than was expected. */
uint64_t tally_missing(const struct tally *t, const struct run *run, enum channel_class class);

/* Waits until all that is expected has come and all is answered, nothing came for a while, or half
 * a minute, or `ms` if that is longer, have passed. */
void run_drain(struct run *run, const struct tally *t, uint64_t ms);

/* Opens all streams and waits for it. Returns whether all are open. */
bool run_open(struct run *run);

bool run_is_stopped(const struct run *run);
void run_tell_progress(struct run *run, const char *phase, double share);
void run_sleep(struct run *run, uint64_t ms, const char *phase);

/* Tells the report. */
void run_report(struct run *run, enum load_kind kind, const struct load_phase *phase);

/* The phases. Each tells its report; storm returns whether the streams are open again. */
void phase_publish(struct run *run, const struct load_phase *phase);
bool phase_storm(struct run *run, const struct load_phase *phase);
#endif
