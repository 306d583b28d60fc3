/* redis_entry.c - an entry of the log as Redis answers it, and as the manager gets it. */
#include "message/sse.h"
#include "redis_priv.h"

bool redis_sent_read(struct slice sent, struct notification *n, uint64_t *wall_ms)
{
    const unsigned char *p = (const unsigned char *)sent.p;
    size_t event;

    if (sent.n < REDIS_SENT_HEAD)
        return false;
    event = (size_t)(p[2] | p[3] << 8);
    if (event == 0 || event > sent.n - REDIS_SENT_HEAD)
        return false;
    *wall_ms = 0;
    for (int i = 7; i >= 0; i--)
        *wall_ms = *wall_ms << 8 | p[4 + i];
    n->is_json = p[0] != 0;
    n->event = slice_make(sent.p + REDIS_SENT_HEAD, event);
    n->data = slice_make(n->event.p + event, sent.n - REDIS_SENT_HEAD - event);
    return true;
}

static void read_field(struct redis_entry *e, struct slice name, struct slice value)
{
    if (name.n != 1)
        return;
    switch (name.p[0]) {
    case 'o':
        e->origin = value;
        break;
    case 'c':
        e->channel = value;
        break;
    case 'r':
        e->sent = value;
        break;
    case 'k':
        e->collapse_key = value;
        break;
    case 't':
        (void)slice_to_u64(value, &e->at_ms);
        break;
    case 'x':
        (void)slice_to_u64(value, &e->expires_ms);
        break;
    case 'z':
        e->is_transient = true;
        break;
    case 'b':
        e->broken = value;
        break;
    case 'd':
        e->has_removal = slice_to_u64(value, &e->removed) == 0;
        break;
    default: /* of a newer program */
        break;
    }
}

bool redis_entry_read(const redisReply *reply, struct redis_entry *e)
{
    const redisReply *fields;
    struct slice number;
    struct slice rest;

    *e = (struct redis_entry){.seq = 0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    e->id = rest = redis_text(reply->element[0]);
    number = slice_cut(&rest, '-');
    e->is_control = !slice_is(rest, "0");
    fields = reply->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        read_field(e, redis_text(fields->element[i]), redis_text(fields->element[i + 1]));
    return slice_to_u64(number, &e->seq) == 0;
}

uint64_t redis_server_now(const struct redis *r)
{
    return r->server_ms + (r->now_ms - r->server_at_ms);
}

bool redis_entry_make(const struct redis *r, const struct redis_entry *e,
                      struct journal_entry *out)
{
    uint64_t now_ms = redis_server_now(r);
    struct notification n = {.is_json = false};
    uint64_t wall_ms;

    *out = (struct journal_entry){
        .ttl_ms = e->is_transient            ? 0
                  : e->expires_ms == 0       ? TTL_DEFAULT
                  : e->expires_ms > e->at_ms ? e->expires_ms - e->at_ms
                                             : 1,
        .age_ms = r->state != REDIS_UP && now_ms > e->at_ms ? now_ms - e->at_ms : 0,
        .collapse_key = e->collapse_key,
    };
    if (!redis_channel_read(e->channel, &out->to))
        return false;
    n.to = out->to;
    if (!redis_sent_read(e->sent, &n, &wall_ms))
        return false;
    out->message = sse_encode(&n, r->epoch, e->seq, wall_ms);
    return out->message != NULL;
}

void redis_set_chunk(struct redis *r, size_t count, size_t bytes)
{
    enum { LEAST = 1, MOST = 500, ENTRY_COST = 200 };
    size_t n = count == 0 ? r->chunk : ((size_t)1 << 20) / (bytes / count + ENTRY_COST);

    r->chunk = n < LEAST ? LEAST : n > MOST ? MOST : n;
}
