/* outgoing.c - what streams are sent one after the other is handed over together: system calls are
 * what costs most, and sinks may do with one for many.
 *
 * Within a batch a client is left alone: what was gathered of its queue stays there until it is
 * written. A batch never outlives the function that began it. */
#include "manager_priv.h"

size_t outgoing_add(struct notification_manager *nm, struct client *c, bool is_whole)
{
    struct outgoing *b = &nm->outgoing;
    struct iovec *iov;
    size_t total = 0;
    int n = 0;

    if (b->count == OUTGOING_WRITES || b->iov_count + MAX_IOV > OUTGOING_IOV)
        outgoing_write(nm);
    iov = b->iov + b->iov_count;
    if (!c->is_blocked)
        n = client_gather(c, iov, &total);
    if (n == 0) {
        client_on_written(c, 0, 0, is_whole);
        return 0;
    }
    c->is_writing = true;
    b->writes[b->count].to = c->sink;
    b->writes[b->count].iov = iov;
    b->writes[b->count].count = n;
    b->items[b->count].client = c;
    b->items[b->count].total = total;
    b->items[b->count].is_whole = is_whole;
    b->count++;
    b->iov_count += (size_t)n;
    return total;
}

void outgoing_write(struct notification_manager *nm)
{
    struct outgoing *b = &nm->outgoing;
    size_t count = b->count;
    const struct client_sink *ops = nm->sink_ops;

    if (count == 0)
        return;
    if (count > 1 && ops->write_many != NULL)
        ops->write_many(b->writes, count);
    else
        for (size_t i = 0; i < count; i++)
            b->writes[i].taken = ops->writev(b->writes[i].to, b->writes[i].iov, b->writes[i].count);
    manager_read_clock_soon(nm);
    for (size_t i = 0; i < count; i++) {
        const struct outgoing_item *item = &b->items[i];

        item->client->is_writing = false; /* what it does now may go further than its own queue */
        client_on_written(item->client, b->writes[i].taken, item->total, item->is_whole);
    }
    b->count = 0;
    b->iov_count = 0;
}
