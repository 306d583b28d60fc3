/* survey.h - a store as a whole, for tools: what is in it, by channel and in all. */
#ifndef STORE_SURVEY_H
#define STORE_SURVEY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/store.h"

struct store_survey {
    struct store_state state;
    uint64_t file_bytes;
    uint64_t free_bytes;     /* of the file: pages that are used again before it grows */
    uint64_t first_seq;      /* the oldest entry, 0: there is none, ... */
    uint64_t first_wall_ms;
    uint64_t last_seq;       /* ... and the newest */
    uint64_t last_wall_ms;
    uint64_t keys;           /* idempotency keys */
    uint64_t lost_all;       /* numbers up to this one may be missing in any channel, ... */
    uint64_t lost_forgotten; /* ... up to this one in those that have no entry */
    uint64_t commit;         /* grows with each commit */
    bool is_backup;          /* it draws a new epoch when it is opened for writing */
};

/* All of it as of one commit. Returns 0 or -errno. */
int store_survey(struct store_reader *r, struct store_survey *out);

/* Calls `visit` with each channel, in order of their kinds and names; `entries` is 0 where there is
 * nothing but a loss, and `lost` the channel's own highest number that a bound took, or 0. Some
 * thousand channels come from one snapshot, the next from a later one. Ends early as store_each. */
typedef int store_channel_fn(void *ctx, struct channel_name channel, uint64_t entries,
                             uint64_t lost);
int store_each_channel(struct store_reader *r, store_channel_fn *visit, void *ctx);

/* As store_each, of these channels alone (at most STORE_MAX_CHANNELS), behind the number
 * `after`. */
int store_each_of(struct store_reader *r, const struct channel_name *channels, size_t count,
                  uint64_t after, store_visit_fn *visit, void *ctx);
#endif
