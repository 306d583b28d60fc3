/* wheel.c - each list is circular through its head; a node is in the list of a tick that comes no
 * later than its own, or in `due`, and `count` counts both. */
#include "net/wheel.h"

static void list_init(struct wheel_node *head)
{
    head->next = head;
    head->prev = head;
}

static void list_add(struct wheel_node *head, struct wheel_node *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static void list_remove(struct wheel_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
}

/* Moves all nodes of `from` into `to`, which must be empty. */
static void list_take(struct wheel_node *to, struct wheel_node *from)
{
    if (from->next == from)
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

void wheel_init(struct wheel *w, uint64_t now_ms, wheel_due_fn *on_due)
{
    w->on_due = on_due;
    w->tick = now_ms / WHEEL_TICK_MS + 1;
    w->count = 0;
    list_init(&w->due);
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
}

/* Puts an unlinked node into the slot of its tick. */
static void place(struct wheel *w, struct wheel_node *node)
{
    uint64_t tick = node->due_tick;

    if (tick < w->tick)
        tick = w->tick; /* its slot has been passed: the next one that is looked at */
    list_add(&w->slots[tick % WHEEL_SLOTS], node);
}

void wheel_set(struct wheel *w, struct wheel_node *node, uint64_t due_ms)
{
    uint32_t tick = (uint32_t)((due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS);

    if (node->next != NULL && tick >= node->due_tick) {
        node->due_tick = tick; /* its slot comes too early, and place is called then */
        return;
    }
    if (node->next != NULL)
        list_remove(node);
    else
        w->count++;
    node->due_tick = tick;
    place(w, node);
}

void wheel_clear(struct wheel *w, struct wheel_node *node)
{
    if (node->next == NULL)
        return;
    list_remove(node);
    w->count--;
}

/* Looks at what was taken out of a slot, until the budget is spent. */
static void fire(struct wheel *w, uint64_t now_ms, size_t *budget)
{
    while (w->due.next != &w->due && *budget > 0) {
        struct wheel_node *node = w->due.next;

        list_remove(node);
        --*budget;
        if (node->due_tick > now_ms / WHEEL_TICK_MS) {
            place(w, node);
            continue;
        }
        w->count--;
        w->on_due(node, now_ms);
    }
}

bool wheel_advance(struct wheel *w, uint64_t now_ms, size_t budget)
{
    uint64_t last = now_ms / WHEEL_TICK_MS;

    fire(w, now_ms, &budget);
    if (w->tick + WHEEL_SLOTS <= last)
        w->tick = last - WHEEL_SLOTS + 1; /* after a long sleep one look at each slot is enough */
    while (w->due.next == &w->due && w->tick <= last) {
        list_take(&w->due, &w->slots[w->tick % WHEEL_SLOTS]);
        w->tick++;
        fire(w, now_ms, &budget);
    }
    return w->due.next != &w->due;
}
