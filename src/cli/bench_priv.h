/* bench_priv.h - the parts of `sse-notify bench`: what is asked for, and what is told of it. */
#ifndef CLI_BENCH_PRIV_H
#define CLI_BENCH_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "loadgen/loadgen.h"

/* Reads "unicast" or "latency:rate=5000,seconds=10" into `phase`, whose settings begin with the
 * kind's defaults and `ms`. `text` is borrowed. Returns 0, or -1 with a sentence in `why`. */
int bench_phase_parse(const char *text, uint64_t ms, struct load_phase *phase, struct error *why);

/* Appends what one report says, in a few lines for people. */
void bench_add_text(struct buf *out, const struct load_plan *plan, const struct load_report *r);

/* The same as a JSON object without a line end; what is not known is null. */
void bench_add_json(struct buf *out, const struct load_plan *plan, const struct load_report *r);

/* Whether all that was published came, once, in order, to whom it was for. */
bool bench_is_clean(const struct load_report *r);

/* Appends what went wrong, as a server's problem document says it or as it is. */
void bench_add_failure(struct buf *out, const char *failure);
#endif
