/* trace.c - what became of a notification: nearly all of it is known already, by the cursors of the
 * streams that are open and by what the message itself has counted. */
#include "manager_priv.h"

enum { TURN_MS = 60000 }; /* is longer than any turn of the loop */

/* How long before `now_ms` the clock stood at these low bits. It may have been read within the turn
 * that began at `now_ms`. */
static uint64_t ago_ms(uint64_t now_ms, uint32_t low_bits)
{
    uint32_t ago = (uint32_t)now_ms - low_bits;

    return ago > UINT32_MAX - TURN_MS ? 0 : ago;
}

/* As a stream has it that was opened at number `since`: what was only for those connected then is
 * nothing to it. */
static const struct message *find(const struct notification_manager *nm,
                                  struct channel_name channel, uint64_t seq, uint64_t since)
{
    struct history_log *log = history_log(nm->window, channel);
    const struct message *m = history_next(&log, 1, seq - 1, since, nm->tick_ms);

    return m != NULL && m->seq == seq ? m : NULL;
}

bool manager_trace(const struct notification_manager *nm, struct channel_name channel,
                   uint64_t seq, uint64_t now_ms, struct manager_trace *out)
{
    const struct message *m = find(nm, channel, seq, 0);

    if (m == NULL)
        return false;
    *out = (struct manager_trace){.at_ms = m->at_ms};
    if (m->emitted_ms == 0)
        return true;
    *out = (struct manager_trace){
        .is_ours = true,
        .streams = m->streams,
        .written = m->written,
        .at_ms = m->at_ms,
        .emitted_ago_ms = ago_ms(now_ms, m->emitted_ms),
        .written_ago_ms = m->written > 0 ? ago_ms(now_ms, m->written_ms) : 0,
    };
    return true;
}

static bool is_listening(const struct client *c, struct channel_name channel)
{
    bool is_one = channel.kind != CHANNEL_TOPIC;

    for (size_t i = 0; !is_one && i < client_topic_count(c); i++)
        is_one = slice_equal(client_topic(c, i), channel.name);
    return is_one;
}

static bool has_queued(const struct client *c, uint64_t seq)
{
    for (uint32_t i = 0; i < ring_count(&c->ring); i++)
        if (ring_at(&c->ring, i)->seq == seq)
            return true;
    return false;
}

/* Whether a stream past its number got it, as far as that follows. */
static bool is_sure(const struct client *c, uint64_t seq, bool is_kept)
{
    return c->last_seq == seq ||
           (is_kept && c->last_seq > seq && c->nm->options.overflow != OVERFLOW_DROP_OLDEST);
}

static enum trace_state state_of(const struct client *c, struct channel_name channel, uint64_t seq,
                                 bool is_kept)
{
    uint64_t start = c->since > c->resumed ? c->since - c->resumed : 0;

    if (!is_listening(c, channel))
        return TRACE_OTHER_TOPIC;
    if (has_queued(c, seq))
        return TRACE_QUEUED;
    if (start >= seq)
        return TRACE_OPENED_LATER;
    if (c->cursor < seq)
        return TRACE_BEHIND;
    return is_sure(c, seq, is_kept) ? TRACE_WRITTEN : TRACE_PASSED;
}

void manager_trace_streams(const struct notification_manager *nm, struct slice user,
                           struct channel_name channel, uint64_t seq, bool is_kept,
                           manager_trace_fn *visit, void *ctx)
{
    struct channel *of_user = channel_find(nm, (struct channel_name){CHANNEL_USER, user});
    bool is_held = find(nm, channel, seq, 0) != NULL;

    if (of_user == NULL)
        return;
    for (struct list *at = of_user->clients.next; at != &of_user->clients; at = at->next) {
        const struct client *c = channel_client(of_user, at);
        struct client_info info = client_describe(c);

        if (is_held && find(nm, channel, seq, c->since) == NULL)
            visit(ctx, &info, TRACE_OPENED_LATER);
        else
            visit(ctx, &info, state_of(c, channel, seq, is_kept));
    }
}

void manager_each_topic(const struct notification_manager *nm, struct slice user,
                        manager_topic_fn *visit, void *ctx)
{
    struct channel *of_user = channel_find(nm, (struct channel_name){CHANNEL_USER, user});

    if (of_user == NULL)
        return;
    for (struct list *at = of_user->clients.next; at != &of_user->clients; at = at->next) {
        const struct client *c = channel_client(of_user, at);

        for (size_t i = 0; i < client_topic_count(c); i++)
            visit(ctx, client_topic(c, i));
    }
}
