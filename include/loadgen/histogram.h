/* histogram.h - how often a duration was seen, in steps of 3 %.
 *
 * Pure memory of fixed size, all zero is empty: it may lie in memory shared by processes, of which
 * one writes. */
#ifndef LOADGEN_HISTOGRAM_H
#define LOADGEN_HISTOGRAM_H
#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 32, /* of one power of two */
    HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * 60,
};

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that a share `q` (0 to 1) of all is not above; 0 where there is none. The largest one
 * is exact. */
uint64_t histogram_quantile(const struct histogram *h, double q);
#endif
