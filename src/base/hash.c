/* hash.c - slots of a table: linear probing, deletion by shifting back, so there are no
 * tombstones and a probe ends at the first free slot. While `old` is not empty, an item is in
 * exactly one of the two, and `old` below `moved` is free. */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/word.h"

static uint64_t seed[2];

static struct {
    uint64_t hash;
    size_t n;     /* 0: of no key yet */
    char key[64];
} last;

int hash_random_key(uint64_t key[2])
{
    ssize_t n = getrandom(key, sizeof seed, 0);

    return n == (ssize_t)sizeof seed ? 0 : n < 0 ? -errno : -EIO;
}

int hash_seed(void)
{
    last.n = 0;
    return hash_random_key(seed);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* The up to seven bytes from `whole` on, the first one lowest. */
static uint64_t last_bytes(struct slice key, size_t whole)
{
    size_t n = key.n - whole;
    uint64_t tail = 0;

    if (whole > 0 && n > 0) /* the last eight bytes, less those that are not the tail's */
        return word_load(key.p + key.n - 8) >> 8 * (8 - n);
    for (size_t i = 0; i < n; i++)
        tail |= (uint64_t)(unsigned char)key.p[i] << 8 * i;
    return tail;
}

uint64_t hash_keyed(const uint64_t key[2], struct slice bytes)
{
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575u,
        key[1] ^ 0x646f72616e646f6du,
        key[0] ^ 0x6c7967656e657261u,
        key[1] ^ 0x7465646279746573u,
    };
    uint64_t tail = (uint64_t)bytes.n << 56;
    size_t whole = bytes.n & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = word_load(bytes.p + i);

        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    tail |= last_bytes(bytes, whole);
    v[3] ^= tail;
    sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_of(struct slice key)
{
    uint64_t hash;

    if (key.n == last.n && key.n > 0 && memcmp(key.p, last.key, key.n) == 0)
        return last.hash;
    hash = hash_keyed(seed, key);
    if (key.n > 0 && key.n <= sizeof last.key) {
        last.hash = hash;
        last.n = key.n;
        memcpy(last.key, key.p, key.n);
    }
    return hash;
}

enum { MIN_SLOTS = 16, MOVES_PER_CHANGE = 16 };

static int slots_make(struct hash_slots *s, size_t cap)
{
    struct hash_slot *at = calloc(cap, sizeof *at);

    if (at == NULL)
        return -ENOMEM;
    s->at = at;
    s->cap = cap;
    s->count = 0;
    return 0;
}

static void slots_free(struct hash_slots *s)
{
    free(s->at);
    *s = (struct hash_slots){0};
}

static void slots_put(struct hash_slots *s, void *item, uint32_t hash)
{
    size_t i = hash & (s->cap - 1);

    while (s->at[i].item != NULL)
        i = (i + 1) & (s->cap - 1);
    s->at[i] = (struct hash_slot){item, hash};
    s->count++;
}

/* Frees slot `i` and closes the gap: each follower moves back unless it would pass its home. */
static void slots_clear(struct hash_slots *s, size_t i)
{
    size_t mask = s->cap - 1;
    size_t j = i;

    for (;;) {
        s->at[i].item = NULL;
        for (;;) {
            j = (j + 1) & mask;
            if (s->at[j].item == NULL) {
                s->count--;
                return;
            }
            size_t home = s->at[j].hash & mask;
            if (((j - home) & mask) >= ((j - i) & mask))
                break;
        }
        s->at[i] = s->at[j];
        i = j;
    }
}

/* Slot of the item with that key, or SIZE_MAX. */
static size_t slots_find(const struct hash_slots *s, hash_key_fn *key_of, struct slice key,
                         uint32_t hash)
{
    if (s->count == 0)
        return SIZE_MAX;
    for (size_t i = hash & (s->cap - 1); s->at[i].item != NULL; i = (i + 1) & (s->cap - 1))
        if (s->at[i].hash == hash && slice_equal(key_of(s->at[i].item), key))
            return i;
    return SIZE_MAX;
}

void hash_table_init(struct hash_table *t, hash_key_fn *key_of)
{
    *t = (struct hash_table){.key_of = key_of};
}

void hash_table_fini(struct hash_table *t)
{
    slots_free(&t->now);
    slots_free(&t->old);
    t->moved = 0;
}

void *hash_table_find(const struct hash_table *t, struct slice key)
{
    uint32_t hash = (uint32_t)hash_of(key);
    size_t i = slots_find(&t->now, t->key_of, key, hash);

    if (i != SIZE_MAX)
        return t->now.at[i].item;
    i = slots_find(&t->old, t->key_of, key, hash);
    return i != SIZE_MAX ? t->old.at[i].item : NULL;
}

void hash_table_fetch_slot(const struct hash_table *t, struct slice key)
{
    if (t->now.cap > 0)
        __builtin_prefetch(&t->now.at[hash_of(key) & (t->now.cap - 1)]);
}

void hash_table_fetch_item(const struct hash_table *t, struct slice key)
{
    uint32_t hash = (uint32_t)hash_of(key);
    const struct hash_slot *slot;

    if (t->now.cap == 0)
        return;
    slot = &t->now.at[hash & (t->now.cap - 1)];
    if (slot->item == NULL || slot->hash != hash)
        return; /* most are at home */
    __builtin_prefetch(slot->item);
    __builtin_prefetch((const char *)slot->item + 64);
}

static void move_some(struct hash_table *t, size_t steps)
{
    while (t->old.cap != 0 && steps-- > 0) {
        if (t->old.count == 0 || t->moved == t->old.cap) {
            slots_free(&t->old);
            t->moved = 0;
        } else if (t->old.at[t->moved].item == NULL) {
            t->moved++;
        } else {
            slots_put(&t->now, t->old.at[t->moved].item, t->old.at[t->moved].hash);
            slots_clear(&t->old, t->moved); /* a follower may have come into this slot */
        }
    }
}

/* Starts moving to slots of another size; what is still to be moved from before is moved first,
 * of which MOVES_PER_CHANGE has left next to nothing. */
static int resize(struct hash_table *t, size_t cap)
{
    struct hash_slots larger;

    if (slots_make(&larger, cap) != 0)
        return -ENOMEM;
    move_some(t, SIZE_MAX);
    t->old = t->now;
    t->now = larger;
    t->moved = 0;
    return 0;
}

int hash_table_insert(struct hash_table *t, void *item)
{
    size_t count = hash_table_count(t) + 1;

    if (count > t->now.cap / 4 * 3 &&
        resize(t, t->now.cap == 0 ? MIN_SLOTS : t->now.cap * 2) != 0 && count >= t->now.cap)
        return -ENOMEM; /* else it is fuller than wished, and works */
    slots_put(&t->now, item, (uint32_t)hash_of(t->key_of(item)));
    move_some(t, MOVES_PER_CHANGE);
    return 0;
}

bool hash_table_remove(struct hash_table *t, const void *item)
{
    struct slice key = t->key_of(item);
    uint32_t hash = (uint32_t)hash_of(key);
    struct hash_slots *in = &t->now;
    size_t i = slots_find(in, t->key_of, key, hash);

    if (i == SIZE_MAX) {
        in = &t->old;
        i = slots_find(in, t->key_of, key, hash);
    }
    if (i == SIZE_MAX || in->at[i].item != item)
        return false;
    slots_clear(in, i);
    move_some(t, MOVES_PER_CHANGE);
    if (t->old.cap == 0 && t->now.cap > MIN_SLOTS && t->now.count < t->now.cap / 8)
        (void)resize(t, t->now.cap / 2); /* without memory it stays large */
    return true;
}

void *hash_table_next(const struct hash_table *t, size_t *cursor)
{
    while (*cursor < t->now.cap + t->old.cap) {
        size_t i = (*cursor)++;
        void *item = i < t->now.cap ? t->now.at[i].item : t->old.at[i - t->now.cap].item;

        if (item != NULL)
            return item;
    }
    return NULL;
}
