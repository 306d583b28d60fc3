/* pool.c - a chunk lies at a multiple of its size, so that the chunk of an object is found by its
 * address. Bits tell which of a chunk's objects are free; those with room are in a list of their
 * own, and of the empty ones at most one is kept, if no other has room. */
#include "base/pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_IS_POISONED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_IS_POISONED 1
#endif
#endif

#ifdef POOL_IS_POISONED /* what is free is as good as freed to the sanitizer */
#include <sanitizer/asan_interface.h>
#define poison(p, n) __asan_poison_memory_region(p, n)
#define unpoison(p, n) __asan_unpoison_memory_region(p, n)
#else
#define poison(p, n) ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

enum {
    ALLOCATED = POOL_CHUNK - 64, /* the allocator's own header goes into the rest, so that chunks
                                    can lie side by side */
    WORDS = POOL_CHUNK / POOL_LEAST / 64,
};

struct pool_chunk {
    struct list link;     /* in the pool's chunks */
    struct list room;     /* in its with_room */
    size_t used;          /* objects in use */
    uint64_t free[WORDS]; /* a bit for each object: it is free */
    _Alignas(64) char objects[];
};

static struct pool_chunk *chunk_of(const void *object)
{
    return (struct pool_chunk *)((uintptr_t)object & ~(uintptr_t)(POOL_CHUNK - 1));
}

static void *object_at(const struct pool *p, struct pool_chunk *chunk, size_t i)
{
    return chunk->objects + i * p->size;
}

void pool_init(struct pool *p, size_t size)
{
    assert(size >= POOL_LEAST && size <= POOL_MOST && size % 8 == 0);
    *p = (struct pool){.size = size};
    p->capacity = (ALLOCATED - sizeof(struct pool_chunk)) / size;
    list_init(&p->chunks);
    list_init(&p->with_room);
}

static void chunk_destroy(struct pool *p, struct pool_chunk *chunk)
{
    if (p->at == chunk) {
        struct list *next = chunk->link.next;

        p->at = next == &p->chunks ? NULL : LIST_HOLDER(next, struct pool_chunk, link);
        p->at_object = 0;
    }
    list_remove(&chunk->link);
    list_remove(&chunk->room);
    unpoison(chunk->objects, p->capacity * p->size);
    free(chunk);
}

void pool_fini(struct pool *p)
{
    while (p->chunks.next != NULL && !list_is_empty(&p->chunks))
        chunk_destroy(p, LIST_HOLDER(p->chunks.next, struct pool_chunk, link));
}

static struct pool_chunk *chunk_create(struct pool *p)
{
    struct pool_chunk *chunk;
    void *memory;

    if (posix_memalign(&memory, POOL_CHUNK, ALLOCATED) != 0)
        return NULL;
    chunk = memory;
    memset(chunk, 0, sizeof *chunk);
    for (size_t i = 0; i < p->capacity; i++)
        chunk->free[i / 64] |= UINT64_C(1) << i % 64;
    list_add_last(&p->chunks, &chunk->link);
    list_add_last(&p->with_room, &chunk->room);
    poison(chunk->objects, p->capacity * p->size);
    return chunk;
}

void *pool_take(struct pool *p)
{
    struct pool_chunk *chunk;
    size_t i = 0;
    void *object;

    if (!list_is_empty(&p->with_room))
        chunk = LIST_HOLDER(p->with_room.next, struct pool_chunk, room);
    else
        chunk = chunk_create(p);
    if (chunk == NULL)
        return NULL;
    while (chunk->free[i] == 0)
        i++;
    object = object_at(p, chunk, i * 64 + (size_t)__builtin_ctzll(chunk->free[i]));
    chunk->free[i] &= chunk->free[i] - 1; /* without its lowest bit */
    if (++chunk->used == p->capacity)
        list_remove(&chunk->room);
    p->count++;
    unpoison(object, p->size);
    return memset(object, 0, p->size);
}

void pool_give(struct pool *p, void *object)
{
    struct pool_chunk *chunk = chunk_of(object);
    size_t i = (size_t)((char *)object - chunk->objects) / p->size;

    assert((chunk->free[i / 64] >> i % 64 & 1) == 0);
    chunk->free[i / 64] |= UINT64_C(1) << i % 64;
    p->count--;
    poison(object, p->size);
    if (chunk->used-- == p->capacity)
        list_add_last(&p->with_room, &chunk->room);
    if (chunk->used == 0 && p->with_room.next != p->with_room.prev)
        chunk_destroy(p, chunk);
}

void pool_walk_start(struct pool *p)
{
    p->at_object = 0;
    p->at = list_is_empty(&p->chunks) ? NULL
                                      : LIST_HOLDER(p->chunks.next, struct pool_chunk, link);
}

/* The first object in use from `i` on, or the chunk's capacity. */
static size_t next_used(const struct pool *p, const struct pool_chunk *chunk, size_t i)
{
    while (i < p->capacity) {
        uint64_t used = ~chunk->free[i / 64] >> i % 64;

        if (used != 0) {
            i += (size_t)__builtin_ctzll(used);
            return i < p->capacity ? i : p->capacity;
        }
        i = (i / 64 + 1) * 64;
    }
    return p->capacity;
}

void *pool_walk_next(struct pool *p)
{
    while (p->at != NULL) {
        size_t i = next_used(p, p->at, p->at_object);

        if (i < p->capacity) {
            p->at_object = i + 1;
            return object_at(p, p->at, i);
        }
        p->at_object = 0;
        p->at = p->at->link.next == &p->chunks
                    ? NULL
                    : LIST_HOLDER(p->at->link.next, struct pool_chunk, link);
    }
    return NULL;
}
