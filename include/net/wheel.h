/* wheel.h - deadlines of very many things at the cost of two pointers and a number each.
 *
 * A hashed timing wheel (Varghese, Lauck 1987, scheme 6): slots of WHEEL_TICK_MS; a node further
 * away than one turn waits in its slot. Adding, moving and removing are O(1), and moving to a later
 * time is one store: the node stays where it is and is put on when its slot comes round. Nothing
 * fires early, and late by at most one tick plus what the budget puts off. */
#ifndef NET_WHEEL_H
#define NET_WHEEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEEL_TICK_MS = 100, WHEEL_SLOTS = 1024 };

struct wheel_node {
    struct wheel_node *next; /* NULL: in no wheel */
    struct wheel_node *prev;
    uint32_t due_tick;       /* the first at or after its time: for 13 years of uptime */
    uint32_t tag;            /* the owner's, for whatever it likes */
};

typedef void wheel_due_fn(struct wheel_node *node, uint64_t now_ms);

struct wheel {
    wheel_due_fn *on_due;  /* the node is out of the wheel when called; may add it again */
    uint64_t tick;         /* the tick that advance goes on from */
    size_t count;          /* nodes in */
    struct wheel_node due; /* taken out of their slot, still to be looked at */
    struct wheel_node slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms, wheel_due_fn *on_due);

/* Puts the node in for `due_ms`, or moves it there. */
void wheel_set(struct wheel *w, struct wheel_node *node, uint64_t due_ms);

/* Takes the node out; one that is not in is left alone. */
void wheel_clear(struct wheel *w, struct wheel_node *node);

/* Fires what is due, at most `budget` nodes. Returns true when it stopped for the budget: call
 * again soon. on_due may set and clear any node, its own included. */
bool wheel_advance(struct wheel *w, uint64_t now_ms, size_t budget);
#endif
