/* fanout.c - a large channel gets what is new in slices, so that no turn of the loop is long.
 *
 * One walk a channel, around its ring of clients. What comes while it walks needs no second walk:
 * each client that is visited gets all that it has not got, which also puts several messages into
 * one write, and the walk goes on until it has come round to where the newest one found it. A
 * client that gets anything else meanwhile gets what the walk owes it first (client_deliver). */
#include <errno.h>
#include <stdlib.h>
#include "manager_priv.h"
#include "message/message.h"

struct fanout {
    struct list link;       /* in the manager's fanouts */
    struct channel *channel;
    struct list *next;      /* the next to visit; the list's head is passed over */
    struct message *only;   /* all that its live clients lack, or NULL where more may be owed */
    struct list *stop;      /* coming here ends the walk ... */
    bool is_round;          /* ... unless nothing was visited since `stop` was set */
};

/* A visit that finds nothing to do costs a little too. */
enum { IDLE_VISITS_PER_UNIT = 32 };

/* What a walk owes is in the window, or else in the journal: of a topic and of everyone that keeps
 * as many as bytes allow, but of a user it may keep fewer than come during one walk. */
static void pin(struct notification_manager *nm, const struct channel *channel, bool is_pinned)
{
    if (channel->kind == CHANNEL_USER)
        history_pin(nm->window, channel_name_of(channel), is_pinned);
}

int fanout_start(struct notification_manager *nm, struct channel *channel, struct message *m)
{
    struct fanout *f = channel->fanout;

    if (f == NULL) {
        f = calloc(1, sizeof *f);
        if (f == NULL)
            return -ENOMEM;
        f->channel = channel;
        /* Where there is another walk, that may owe them something older. */
        if (m != NULL && list_is_empty(&nm->fanouts))
            f->only = message_ref(m);
        f->next = channel->clients.next;
        channel->fanout = f;
        list_add_last(&nm->fanouts, &f->link);
    } else {
        message_unref(f->only);
        f->only = NULL;
    }
    pin(nm, channel, true); /* each time: the row may be a new one */
    f->stop = f->next;
    f->is_round = true;
    return 0;
}

void fanout_end(struct notification_manager *nm, struct fanout *f)
{
    pin(nm, f->channel, false);
    f->channel->fanout = NULL;
    list_remove(&f->link);
    message_unref(f->only);
    free(f);
}

void fanout_skip(struct fanout *f, struct list *link)
{
    if (f->stop == link) {
        f->stop = link->next;
        if (f->next == f->stop) /* all that was visited so far is going: the round is to come */
            f->is_round = true;
    }
    if (f->next == link)
        f->next = link->next;
}

/* Of very many clients each is cold: the next one comes from memory while this one is seen to. */
static void fetch_next(const struct fanout *f)
{
    const char *c;

    __builtin_prefetch(f->next);
    if (f->channel->kind == CHANNEL_TOPIC || f->next == &f->channel->clients)
        return;
    c = (const char *)channel_client(f->channel, f->next);
    for (size_t at = 0; at < offsetof(struct client, since); at += 64)
        __builtin_prefetch(c + at);
}

/* Visits the next client; false: the walk is over. The visit may end the channel, and the walk with
 * it. */
static bool step(struct notification_manager *nm, struct fanout *f, bool *has_cost)
{
    struct list *at = f->next;
    struct client *c = at == &f->channel->clients ? NULL : channel_client(f->channel, at);

    *has_cost = false;
    if (at == f->stop && !f->is_round)
        return false;
    if (c != NULL && c->is_writing) { /* another walk was here just now: first things first */
        outgoing_write(nm);
        return true;
    }
    f->is_round = false;
    f->next = at->next; /* before the visit: it may end the client */
    fetch_next(f);
    if (c == NULL)
        return true;
    if (f->only != NULL && !f->only->is_withdrawn)
        *has_cost = client_queue_only(c, f->only);
    else
        *has_cost = client_update(c);
    if (*has_cost && !c->is_dead)
        outgoing_add(nm, c, true); /* it must not stay behind, as if it were slow */
    return true;
}

void fanouts_run(struct notification_manager *nm, size_t most)
{
    size_t idle = 0;
    bool has_cost;

    while (most > 0 && !list_is_empty(&nm->fanouts)) {
        struct fanout *f = LIST_HOLDER(nm->fanouts.next, struct fanout, link);

        if (f->channel->count == 0 || !step(nm, f, &has_cost)) {
            fanout_end(nm, f);
            continue;
        }
        if (has_cost || ++idle % IDLE_VISITS_PER_UNIT == 0)
            most--;
    }
    outgoing_write(nm);
    if (!list_is_empty(&nm->fanouts)) { /* the next slice is another channel's */
        struct list *first = nm->fanouts.next;

        list_remove(first);
        list_add_last(&nm->fanouts, first);
    }
}

static struct fanout *first_of_user(const struct notification_manager *nm)
{
    for (struct list *at = nm->fanouts.next; at != &nm->fanouts; at = at->next) {
        struct fanout *f = LIST_HOLDER(at, struct fanout, link);

        if (f->channel->kind == CHANNEL_USER)
            return f;
    }
    return NULL;
}

void fanouts_finish_pinned(struct notification_manager *nm)
{
    struct fanout *f;
    bool has_cost;

    manager_read_clock_soon(nm);
    while ((f = first_of_user(nm)) != NULL)
        if (!step(nm, f, &has_cost))
            fanout_end(nm, f);
    outgoing_write(nm);
}
