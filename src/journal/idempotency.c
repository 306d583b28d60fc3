/* idempotency.c - a key is in the table and in `by_age`, the oldest first. */
#include "idempotency_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct known_key {
    struct list by_age;
    uint64_t seq;
    uint64_t at_ms;
    uint32_t length;
    char text[];
};

static struct slice text_of(const void *item)
{
    const struct known_key *k = item;

    return slice_make(k->text, k->length);
}

void idempotency_init(struct idempotency *t, uint64_t window_ms, size_t max_keys,
                      struct stats *stats)
{
    hash_table_init(&t->keys, text_of);
    list_init(&t->by_age);
    t->window_ms = window_ms;
    t->max_keys = max_keys;
    t->stats = stats;
}

static void forget(struct idempotency *t, struct known_key *k)
{
    hash_table_remove(&t->keys, k);
    list_remove(&k->by_age);
    free(k);
    t->stats->idempotency_keys--;
}

static struct known_key *oldest(const struct idempotency *t)
{
    return LIST_HOLDER(t->by_age.next, struct known_key, by_age);
}

void idempotency_fini(struct idempotency *t)
{
    while (!list_is_empty(&t->by_age))
        forget(t, oldest(t));
    hash_table_fini(&t->keys);
}

bool idempotency_find(const struct idempotency *t, struct slice key, uint64_t *seq)
{
    const struct known_key *k = hash_table_find(&t->keys, key);

    if (k != NULL)
        *seq = k->seq;
    return k != NULL;
}

int idempotency_add(struct idempotency *t, struct slice key, uint64_t seq, uint64_t now_ms)
{
    struct known_key *k;

    if (hash_table_count(&t->keys) >= t->max_keys) {
        t->stats->idempotency_forgotten++;
        forget(t, oldest(t));
    }
    k = malloc(sizeof *k + key.n);
    if (k == NULL)
        return -ENOMEM;
    *k = (struct known_key){.seq = seq, .at_ms = now_ms, .length = (uint32_t)key.n};
    memcpy(k->text, key.p, key.n);
    if (hash_table_insert(&t->keys, k) != 0) {
        free(k);
        return -ENOMEM;
    }
    list_add_last(&t->by_age, &k->by_age);
    t->stats->idempotency_keys++;
    return 0;
}

void idempotency_remove(struct idempotency *t, struct slice key)
{
    struct known_key *k = hash_table_find(&t->keys, key);

    if (k != NULL)
        forget(t, k);
}

void idempotency_expire(struct idempotency *t, uint64_t now_ms, size_t steps)
{
    for (; steps > 0 && !list_is_empty(&t->by_age); steps--) {
        if (now_ms - oldest(t)->at_ms < t->window_ms)
            return;
        forget(t, oldest(t));
    }
}
