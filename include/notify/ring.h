/* ring.h - the messages one client has yet to receive.
 *
 * A bounded ring, so that a slow reader costs `limit` pointers and no more. Messages are shared
 * and counted: a broadcast stores its bytes once. Up to one message it holds no memory, as most
 * streams never have two waiting; it grows by doubling.
 * All zero is a valid ring of limit 0. Pure memory: no clock, no I/O, one thread. */
#ifndef NOTIFY_RING_H
#define NOTIFY_RING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message; /* message/message.h */

enum { RING_MAX = 1 << 20 };

struct ring {
    union {
        struct message **slots; /* cap pointers; NULL while cap is 0 and it is empty */
        struct message *only;   /* while cap is 0 and count 1 */
    };
    uint32_t cap;           /* power of two */
    uint32_t head;          /* slot of the oldest */
    uint32_t count;         /* slots head .. head+count-1, modulo cap, or `only`, own a reference */
};

/* Drops all messages and the memory; the ring may be used again. */
void ring_clear(struct ring *r);

/* Makes room for a few messages at once, so that the next pushes need no memory. Returns 0 or
 * -ENOMEM. */
int ring_reserve(struct ring *r);

/* Appends `m` and takes a reference of its own; the caller keeps theirs. Returns 0, -ENOBUFS when
 * `limit` messages are in, or -ENOMEM; then nothing has changed. */
int ring_push(struct ring *r, struct message *m, uint32_t limit);

/* Message `i` counted from the oldest; borrowed. `i` must be below count. */
struct message *ring_at(const struct ring *r, uint32_t i);

/* Removes the oldest, which must be there, and hands its reference over. */
struct message *ring_take(struct ring *r);

/* Removes message `i` and its reference. */
void ring_remove(struct ring *r, uint32_t i);

/* Gives the memory back if the ring is empty. */
void ring_relax(struct ring *r);
#endif
