/* ring.c - see the header. */
#include "notify/ring.h"

#include <errno.h>
#include <stdlib.h>
#include "message/message.h"

enum { FIRST_SLOTS = 4 };

static struct message **slot(struct ring *r, uint32_t i)
{
    return r->cap == 0 ? &r->only : &r->slots[(r->head + i) & (r->cap - 1)];
}

void ring_clear(struct ring *r)
{
    while (r->count > 0)
        message_unref(ring_take(r));
    ring_relax(r);
}

static int grow(struct ring *r)
{
    uint32_t cap = r->cap == 0 ? FIRST_SLOTS : r->cap * 2;
    struct message **slots = malloc(cap * sizeof(struct message *));

    if (slots == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->count; i++)
        slots[i] = *slot(r, i);
    if (r->cap > 0)
        free(r->slots);
    r->slots = slots;
    r->cap = cap;
    r->head = 0;
    return 0;
}

int ring_reserve(struct ring *r)
{
    return r->cap == 0 ? grow(r) : 0;
}

int ring_push(struct ring *r, struct message *m, uint32_t limit)
{
    if (r->count >= limit)
        return -ENOBUFS;
    if (r->count > 0 && r->count >= r->cap && grow(r) != 0)
        return -ENOMEM;
    r->count++;
    *slot(r, r->count - 1) = message_ref(m);
    return 0;
}

struct message *ring_at(const struct ring *r, uint32_t i)
{
    return r->cap == 0 ? r->only : r->slots[(r->head + i) & (r->cap - 1)];
}

struct message *ring_take(struct ring *r)
{
    struct message *m = *slot(r, 0);

    if (r->cap == 0)
        r->only = NULL;
    else
        r->head = (r->head + 1) & (r->cap - 1);
    r->count--;
    return m;
}

void ring_remove(struct ring *r, uint32_t i)
{
    message_unref(*slot(r, i));
    for (; i + 1 < r->count; i++)
        *slot(r, i) = *slot(r, i + 1);
    r->count--;
    if (r->cap == 0)
        r->only = NULL;
}

void ring_relax(struct ring *r)
{
    if (r->count > 0)
        return;
    if (r->cap > 0)
        free(r->slots);
    *r = (struct ring){0};
}
