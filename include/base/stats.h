/* stats.h - the daemon's own counters: plain numbers, made from the list in stats.def.
 *
 * One `struct stats` lives in the server; each part is given a pointer and counts there. */
#ifndef BASE_STATS_H
#define BASE_STATS_H
#include <stddef.h>
#include <stdint.h>
#include "base/histogram.h"

struct stats {
#define COUNTER(name, help) uint64_t name;
#define GAUGE(name, help) uint64_t name;
#define HISTOGRAM(name, help) struct histogram name;
#include "base/stats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

enum stat_kind { STAT_COUNTER, STAT_GAUGE };

struct stat_info {
    const char *name;
    const char *help;
    enum stat_kind kind;
    size_t offset; /* of the uint64_t in struct stats */
};

struct histogram_info {
    const char *name;
    const char *help;
    size_t offset; /* of the struct histogram in struct stats */
};

/* One row a histogram, in the list's order; `histogram_count` rows. */
extern const struct histogram_info histogram_infos[];
extern const size_t histogram_count;

/* One row a counter or gauge, in the list's order; `stat_count` rows. */
extern const struct stat_info stat_infos[];
extern const size_t stat_count;

static inline uint64_t stat_value(const struct stats *stats, const struct stat_info *info)
{
    return *(const uint64_t *)(const void *)((const char *)stats + info->offset);
}

static inline const struct histogram *stat_histogram(const struct stats *stats,
                                                     const struct histogram_info *info)
{
    return (const struct histogram *)(const void *)((const char *)stats + info->offset);
}
#endif
