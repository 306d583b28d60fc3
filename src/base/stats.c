/* stats.c - the rows of stats.def. */
#include "base/stats.h"

const struct stat_info stat_infos[] = {
#define COUNTER(name, help) {#name, help, STAT_COUNTER, offsetof(struct stats, name)},
#define GAUGE(name, help) {#name, help, STAT_GAUGE, offsetof(struct stats, name)},
#define HISTOGRAM(name, help)
#include "base/stats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

const size_t stat_count = sizeof stat_infos / sizeof stat_infos[0];

const struct histogram_info histogram_infos[] = {
#define COUNTER(name, help)
#define GAUGE(name, help)
#define HISTOGRAM(name, help) {#name, help, offsetof(struct stats, name)},
#include "base/stats.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

const size_t histogram_count = sizeof histogram_infos / sizeof histogram_infos[0];
