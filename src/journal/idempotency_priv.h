/* idempotency_priv.h - the keys of recent notifications, so that a repeat sends nothing.
 *
 * Bounded by time and by number; where the number is reached the oldest key is forgotten early,
 * which stats->idempotency_forgotten counts. */
#ifndef JOURNAL_IDEMPOTENCY_PRIV_H
#define JOURNAL_IDEMPOTENCY_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/hash.h"
#include "base/list.h"
#include "base/stats.h"

enum { IDEMPOTENCY_MAX_KEYS = 1000000 };

struct idempotency {
    struct hash_table keys;
    struct list by_age;
    uint64_t window_ms;
    size_t max_keys;
    struct stats *stats;
};

void idempotency_init(struct idempotency *t, uint64_t window_ms, size_t max_keys,
                      struct stats *stats);
void idempotency_fini(struct idempotency *t);

/* Whether `key` is known; then its number is in `*seq`. */
bool idempotency_find(const struct idempotency *t, struct slice key, uint64_t *seq);

/* Remembers a key that is not known. Returns 0 or -ENOMEM. */
int idempotency_add(struct idempotency *t, struct slice key, uint64_t seq, uint64_t now_ms);

/* Forgets a key, for an append that failed. */
void idempotency_remove(struct idempotency *t, struct slice key);

/* Forgets what is older than the window, at most `steps` keys. */
void idempotency_expire(struct idempotency *t, uint64_t now_ms, size_t steps);
#endif
