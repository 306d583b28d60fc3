/* histogram.c - values below 32 have a bucket each; above, each power of two has 32. */
#include "loadgen/histogram.h"

static unsigned bucket_of(uint64_t value)
{
    unsigned power, at;

    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    power = 63 - (unsigned)__builtin_clzll(value);
    at = (power - 4) * HISTOGRAM_STEPS + (unsigned)((value >> (power - 5)) % HISTOGRAM_STEPS);
    return at < HISTOGRAM_BUCKETS ? at : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned bucket)
{
    unsigned power;
    uint64_t step;

    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    power = bucket / HISTOGRAM_STEPS + 4;
    step = (uint64_t)1 << (power - 5);
    return (HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) * step + step / 2;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    h->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t wanted = (uint64_t)(q * (double)h->count + 0.5);
    uint64_t below = 0;

    if (wanted < 1)
        wanted = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += h->buckets[i];
        if (below == h->count)
            break;
        if (below >= wanted)
            return value_of(i);
    }
    return h->max;
}
