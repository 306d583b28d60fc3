/* hash.h - a table from byte strings to pointers that nobody outside can flood.
 *
 * Keys come from the network, so the hash is SipHash-1-3 under a key made at random once a
 * process (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). Open addressing with linear
 * probing; growing and shrinking move a few slots with each change instead of all at once, so
 * that no insert stalls the loop at a million entries. The table holds pointers and borrows
 * everything: the key is read out of the item by `key_of`, and must not change while it is in. */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

/* Draws the process's key; without it the key is zero, as unit tests may like. Call once, before
 * the first table is filled. Returns 0 or -Exxx of getrandom. */
int hash_seed(void);

/* The keyed hash of `key`. The last one is remembered: a name is looked up in several tables one
 * after another. */
uint64_t hash_of(struct slice key);

/* The same under a key of the caller's, for what outlives the process. */
uint64_t hash_keyed(const uint64_t key[2], struct slice bytes);

/* Draws such a key. Returns 0 or -Exxx of getrandom. */
int hash_random_key(uint64_t key[2]);

typedef struct slice hash_key_fn(const void *item);

/* Item and hash side by side: in a large table each look-up costs one cold cache line, not two. */
struct hash_slot {
    void *item;    /* NULL: free */
    uint32_t hash; /* low half of the item's */
};

struct hash_slots {
    struct hash_slot *at; /* cap of them */
    size_t cap;           /* a power of two, or 0 */
    size_t count;
};

struct hash_table {
    hash_key_fn *key_of;
    struct hash_slots now;  /* where items go */
    struct hash_slots old;  /* what is being moved over; cap 0 when nothing is */
    size_t moved;           /* slots of `old` below this are empty */
};

void hash_table_init(struct hash_table *t, hash_key_fn *key_of);

/* Frees the slots, not the items. */
void hash_table_fini(struct hash_table *t);

/* The item of that key, or NULL. */
void *hash_table_find(const struct hash_table *t, struct slice key);

/* Two steps of a look-up to come: begin to fetch the slot of that key from memory, and, when that
 * has come, the item. Done early, they let several look-ups wait for memory at the same time. */
void hash_table_fetch_slot(const struct hash_table *t, struct slice key);
void hash_table_fetch_item(const struct hash_table *t, struct slice key);

/* Puts `item` in; its key must not be there yet. Returns 0 or -ENOMEM (nothing changed). */
int hash_table_insert(struct hash_table *t, void *item);

/* Takes `item` out. Returns whether it was there. Never fails for want of memory. */
bool hash_table_remove(struct hash_table *t, const void *item);

static inline size_t hash_table_count(const struct hash_table *t)
{
    return t->now.count + t->old.count;
}

/* Walks all items in no order: start with *cursor = 0, NULL is the end. The table must not be
 * changed during the walk. */
void *hash_table_next(const struct hash_table *t, size_t *cursor);
#endif
