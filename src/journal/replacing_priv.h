/* replacing_priv.h - collapse keys of entries that are out, and not in the store yet: what they
 * replace is there still, and nobody gets it any more. */
#ifndef JOURNAL_REPLACING_PRIV_H
#define JOURNAL_REPLACING_PRIV_H
#include <stdint.h>
#include "base/hash.h"
#include "base/list.h"

struct replacing {
    struct hash_table by_key;
    struct list by_age;
};

void replacing_init(struct replacing *t);
void replacing_fini(struct replacing *t);

/* Entry `seq`, the newest, has the collapse key with that hash. Returns 0 or -ENOMEM. */
int replacing_add(struct replacing *t, uint64_t key, uint64_t seq);

/* The newest entry with that key; 0: none is known. */
uint64_t replacing_find(const struct replacing *t, uint64_t key);

/* Forgets the entries up to `seq`. */
void replacing_forget(struct replacing *t, uint64_t seq);
#endif
