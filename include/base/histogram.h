/* histogram.h - how often something took how long, in buckets that double: counting costs an
 * instruction to find the bucket and two additions. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H
#include <stdint.h>

/* Bucket i holds what took less than 2^i microseconds and was not in the one before; the last one
 * all that took longer than half a minute. */
enum { HISTOGRAM_BUCKETS = 27 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    unsigned i = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);

    h->counts[i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1]++;
    h->sum_us += us;
}
#endif
