/* ring.c - see the header. */
#include "notify/ring.h"

#include <errno.h>
#include <stdlib.h>
#include "message/message.h"

enum { FIRST_SLOTS = 4 };

static bool is_single(const struct ring *r)
{
    return (r->held & 1) != 0;
}

static struct message *single(const struct ring *r)
{
    return (struct message *)(r->held & ~(uintptr_t)1);
}

/* NULL while it holds at most one message without memory of its own. */
static struct ring_slots *slots_of(const struct ring *r)
{
    return is_single(r) ? NULL : (struct ring_slots *)r->held;
}

static struct message **slot(struct ring_slots *s, uint32_t i)
{
    return &s->at[(s->head + i) & (s->cap - 1)];
}

void ring_clear(struct ring *r)
{
    while (ring_count(r) > 0)
        message_unref(ring_take(r));
    ring_relax(r);
}

static int grow(struct ring *r)
{
    struct ring_slots *old = slots_of(r);
    uint32_t cap = old == NULL ? FIRST_SLOTS : old->cap * 2;
    uint32_t count = ring_count(r);
    struct ring_slots *s = malloc(sizeof *s + cap * sizeof s->at[0]);

    if (s == NULL)
        return -ENOMEM;
    *s = (struct ring_slots){.cap = cap, .count = count};
    for (uint32_t i = 0; i < count; i++)
        s->at[i] = ring_at(r, i);
    free(old);
    r->held = (uintptr_t)s;
    return 0;
}

int ring_reserve(struct ring *r)
{
    return slots_of(r) == NULL ? grow(r) : 0;
}

int ring_push(struct ring *r, struct message *m, uint32_t limit)
{
    uint32_t count = ring_count(r);
    struct ring_slots *s = slots_of(r);

    if (count >= limit)
        return -ENOBUFS;
    if (r->held == 0) {
        r->held = (uintptr_t)message_ref(m) | 1;
        return 0;
    }
    if (s == NULL || count == s->cap) {
        if (grow(r) != 0)
            return -ENOMEM;
        s = slots_of(r);
    }
    s->count++;
    *slot(s, count) = message_ref(m);
    return 0;
}

struct message *ring_at(const struct ring *r, uint32_t i)
{
    return is_single(r) ? single(r) : *slot(slots_of(r), i);
}

struct message *ring_take(struct ring *r)
{
    struct ring_slots *s = slots_of(r);
    struct message *m = ring_at(r, 0);

    if (s == NULL) {
        r->held = 0;
        return m;
    }
    s->head = (s->head + 1) & (s->cap - 1);
    s->count--;
    return m;
}

void ring_remove(struct ring *r, uint32_t i)
{
    struct ring_slots *s = slots_of(r);

    message_unref(ring_at(r, i));
    if (s == NULL) {
        r->held = 0;
        return;
    }
    for (; i + 1 < s->count; i++)
        *slot(s, i) = *slot(s, i + 1);
    s->count--;
}

void ring_relax(struct ring *r)
{
    if (r->held == 0 || ring_count(r) > 0)
        return;
    free(slots_of(r));
    r->held = 0;
}
