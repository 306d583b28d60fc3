/* ring.h - the messages one client has yet to receive.
 *
 * A bounded ring, so that a slow reader costs `limit` pointers and no more. Messages are shared
 * and counted: a broadcast stores its bytes once. Up to one message it holds no memory, as most
 * streams never have two waiting; it grows by doubling.
 * All zero is a valid empty ring. Pure memory: no clock, no I/O, one thread. */
#ifndef NOTIFY_RING_H
#define NOTIFY_RING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message; /* message/message.h */

enum { RING_MAX = 1 << 20 };

/* 0: empty; with the lowest bit set: its only message; else a struct ring_slots. */
struct ring {
    uintptr_t held;
};

struct ring_slots {
    uint32_t cap;           /* power of two */
    uint32_t head;          /* slot of the oldest */
    uint32_t count;         /* slots head .. head+count-1, modulo cap, own a reference */
    struct message *at[];
};

static inline bool ring_is_empty(const struct ring *r)
{
    return r->held == 0 || ((r->held & 1) == 0 && ((const struct ring_slots *)r->held)->count == 0);
}

static inline uint32_t ring_count(const struct ring *r)
{
    if ((r->held & 1) != 0 || r->held == 0)
        return r->held != 0;
    return ((const struct ring_slots *)r->held)->count;
}

/* Drops all messages and the memory; the ring may be used again. */
void ring_clear(struct ring *r);

/* Makes room for a few messages at once, so that the next pushes need no memory. Returns 0 or
 * -ENOMEM. */
int ring_reserve(struct ring *r);

/* Appends `m` and takes a reference of its own; the caller keeps theirs. Returns 0, -ENOBUFS when
 * `limit` messages are in, or -ENOMEM; then nothing has changed. */
int ring_push(struct ring *r, struct message *m, uint32_t limit);

/* Message `i` counted from the oldest; borrowed. `i` must be below ring_count. */
struct message *ring_at(const struct ring *r, uint32_t i);

/* Removes the oldest, which must be there, and hands its reference over. */
struct message *ring_take(struct ring *r);

/* Removes message `i` and its reference. */
void ring_remove(struct ring *r, uint32_t i);

/* Gives the memory back if the ring is empty. */
void ring_relax(struct ring *r);
#endif
