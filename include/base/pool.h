/* pool.h - very many objects of one size, side by side.
 *
 * An object costs its own bytes and one bit: no allocator's header, nothing rounded up. Chunks of
 * POOL_CHUNK bytes are filled from the front and given back once they are empty. One thread. */
#ifndef BASE_POOL_H
#define BASE_POOL_H
#include <stddef.h>
#include "base/list.h"

enum { POOL_CHUNK = 32768, POOL_LEAST = 32, POOL_MOST = 2048 };

struct pool_chunk; /* private to pool.c */

struct pool {
    size_t size;             /* of an object */
    size_t capacity;         /* objects that a chunk holds */
    size_t count;            /* objects in use */
    struct list chunks;      /* all, the oldest first */
    struct list with_room;   /* of those, the ones that are not full */
    struct pool_chunk *at;   /* the walk's place: the chunk, NULL at the end, ... */
    size_t at_object;        /* ... and the next of its objects to be looked at */
};

/* A pool of objects of `size` bytes, from POOL_LEAST to POOL_MOST and a multiple of 8. Pair:
 * pool_fini. */
void pool_init(struct pool *p, size_t size);

/* Frees all, and with it the objects that are still in use. All zero is allowed. */
void pool_fini(struct pool *p);

/* An object, all zero, aligned to 8 bytes (to 16 if its size is a multiple of that, and so on up to
 * 64); NULL without memory. */
void *pool_take(struct pool *p);

/* Gives an object of the pool back. */
void pool_give(struct pool *p, void *object);

/* Walks the objects in use: start, then NULL is the end. Objects may be taken and given back at
 * any time of the walk, which may come to those that are new or not. A pool has one walk. */
void pool_walk_start(struct pool *p);
void *pool_walk_next(struct pool *p);
#endif
