/* journal.c - the list of implementations, and the calls handed on to the one that was opened. */
#include "journal/journal.h"

#include <string.h>
#include "journal_priv.h"

static const struct journal_ops *const implementations[] = {
    &journal_memory_ops,
    &journal_disk_ops,
#ifdef HAVE_REDIS
    &journal_redis_ops,
#endif
};

struct journal *journal_open(const char *type, const struct journal_options *options,
                             struct ev_loop *ev, struct stats *stats, struct error *why)
{
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++)
        if (strcmp(implementations[i]->type, type) == 0)
            return implementations[i]->open(options, ev, stats, why);
    error_set(why, "journal.type = %s: this binary has no such journal", type);
    return NULL;
}

void journal_start(struct journal *j, const struct journal_events *events, void *ctx)
{
    j->events = events;
    j->ctx = ctx;
    j->ops->start(j);
}

int journal_give_to(struct journal *j, uid_t uid, gid_t gid)
{
    return j->ops->give_to == NULL ? 0 : j->ops->give_to(j, uid, gid);
}

void journal_close(struct journal *j)
{
    if (j != NULL)
        j->ops->close(j);
}

void journal_append(struct journal *j, const struct notification *n, uint64_t wall_ms,
                    struct journal_append *append)
{
    j->ops->append(j, n, wall_ms, append);
}

void journal_read(struct journal *j, struct journal_read *read)
{
    j->ops->read(j, read);
}

void journal_cancel(struct journal *j, struct journal_read *read)
{
    j->ops->cancel(j, read);
}

void journal_retract(struct journal *j, struct channel_name channel, uint64_t seq,
                     struct journal_removal *removal)
{
    j->ops->retract(j, channel, seq, removal);
}

void journal_erase(struct journal *j, struct channel_name channel,
                   struct journal_removal *removal)
{
    j->ops->erase(j, channel, removal);
}

void journal_get_status(const struct journal *j, struct journal_status *out)
{
    j->ops->get_status(j, out);
}

void journal_tick(struct journal *j, uint64_t now_ms)
{
    j->ops->tick(j, now_ms);
}
