/* subscribe.c - GET /notifications/:userID: from a request to an open stream.
 *
 * The client of the manager is the stream's ctx and the stream is the client's sink: nothing
 * stands between them. */
#include <stdlib.h>
#include <string.h>
#include "access_priv.h"
#include "addresses_priv.h"
#include "api_priv.h"
#include "base/log.h"
#include "notify/client.h"

/* What the query and the headers ask for. Slices are the request's. */
struct wishes {
    struct slice topics[MAX_TOPICS];
    size_t topic_count;
    struct slice resume;
    bool from_earliest;
    bool has_ping_events;
};

static ssize_t sink_writev(void *sink, const struct iovec *iov, int count)
{
    return http_stream_writev(sink, iov, count);
}

static void sink_write_many(struct write *writes, size_t count)
{
    http_streams_write(writes, count);
}

static void sink_expect(void *sink)
{
    http_stream_expect(sink);
}

static void sink_want_write(void *sink)
{
    http_stream_want_write(sink);
}

static void sink_deadline(void *sink, uint64_t due_ms)
{
    http_stream_deadline(sink, due_ms);
}

static void give_address_back(struct http_stream *s)
{
    struct api *api = http_stream_server_ctx(s);

    addresses_give_back(api, http_stream_peer(s));
}

static void sink_close(void *sink, bool is_graceful)
{
    give_address_back(sink);
    http_stream_close(sink, is_graceful);
}

static const struct client_sink sink_ops = {
    .writev = sink_writev,
    .write_many = sink_write_many,
    .expect = sink_expect,
    .want_write = sink_want_write,
    .deadline = sink_deadline,
    .close = sink_close,
};

static void on_writable(void *ctx)
{
    const struct api *api = http_stream_server_ctx(client_sink(ctx));

    client_on_writable(ctx, loop_now_ms(api->loop));
}

static void on_deadline(void *ctx, uint64_t now_ms)
{
    client_on_deadline(ctx, now_ms);
}

static void on_closed(void *ctx)
{
    give_address_back(client_sink(ctx));
    client_on_closed(ctx);
}

static const struct http_stream_events stream_events = {
    .on_writable = on_writable,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

static bool add_topic(struct http_request *r, struct wishes *w, struct slice topic)
{
    if (!channel_name_is_valid(topic)) {
        http_problem(r, 400,
                     "A topic must be 1 to 256 bytes of UTF-8 without control characters.");
        return false;
    }
    if (w->topic_count == MAX_TOPICS) {
        http_problem(r, 400, "A stream can have at most %d topics.", MAX_TOPICS);
        return false;
    }
    w->topics[w->topic_count++] = topic;
    return true;
}

/* False: what is wrong was answered. */
static bool read_wishes(struct http_request *r, struct wishes *w)
{
    struct slice header = http_request_header(r, "Last-Event-ID");
    struct slice name;
    struct slice value;
    size_t cursor = 0;

    *w = (struct wishes){.topic_count = 0};
    while (http_request_query_next(r, &cursor, &name, &value)) {
        if (slice_is(name, "topic")) {
            if (!add_topic(r, w, value))
                return false;
        } else if (slice_is(name, "last_event_id")) {
            w->resume = value;
        } else if (slice_is(name, "heartbeat")) {
            if (!slice_is(value, "event")) {
                http_problem(r, 400, "heartbeat can only be \"event\"; leave it out for comments.");
                return false;
            }
            w->has_ping_events = true;
        }
    }
    if (header.n > 0)
        w->resume = header;
    if (slice_is(w->resume, "earliest")) {
        w->from_earliest = true;
        w->resume = slice_make(NULL, 0);
    }
    return true;
}

/* False: a topic is none of the caller's, and that was answered. */
static bool has_topics(struct api *api, struct http_request *r,
                       const struct listener_access *access, const struct wishes *w)
{
    for (size_t i = 0; i < w->topic_count; i++)
        if (!access_has_topic(access, w->topics[i])) {
            access_forbid(api, r, "The token's sse_notify.subscribe does not list this topic.");
            return false;
        }
    return true;
}

/* What a limit of streams answers, and counts. */
static const struct {
    size_t counter; /* in struct stats */
    int status;
    const char *detail;
} refusals[] = {
    [GATE_MAX_STREAMS] = {offsetof(struct stats, streams_refused_total), 503,
                          "The daemon holds as many streams as streams.max_streams allows."},
    [GATE_MAX_STREAMS_PER_USER] = {
        offsetof(struct stats, streams_refused_per_user), 429,
        "This user has as many streams as streams.max_streams_per_user allows."},
    [GATE_MAX_STREAMS_PER_IP] = {
        offsetof(struct stats, streams_refused_per_ip), 429,
        "This address has as many streams as streams.max_streams_per_ip allows."},
    [GATE_STREAMS_PER_SECOND] = {
        offsetof(struct stats, streams_refused_by_rate), 429,
        "This address opens streams faster than limits.streams_per_second_per_ip allows."},
};

static bool refuse(struct http_request *r, struct api *api, enum api_gate gate, struct slice user)
{
    ++*(uint64_t *)(void *)((char *)api->stats + refusals[gate].counter);
    api_note_refusal(api, r, gate, user);
    api_refuse_for_now(r, refusals[gate].status, api->options.retry_ms, refusals[gate].detail);
    return false;
}

/* False: the stream is one too many, and that was answered. */
static bool is_within_limits(struct api *api, struct http_request *r, struct slice user)
{
    const struct api_options *o = &api->options;

    if (o->max_streams > 0 && manager_stream_count(api->nm) >= o->max_streams)
        return refuse(r, api, GATE_MAX_STREAMS, user);
    if (o->max_streams_per_user > 0 &&
        manager_user_stream_count(api->nm, user) >= o->max_streams_per_user)
        return refuse(r, api, GATE_MAX_STREAMS_PER_USER, user);
    switch (addresses_take(api, http_request_peer(r))) {
    case ADDRESS_TAKEN:
        break;
    case ADDRESS_FULL:
        return refuse(r, api, GATE_MAX_STREAMS_PER_IP, user);
    case ADDRESS_TOO_FAST:
        return refuse(r, api, GATE_STREAMS_PER_SECOND, user);
    }
    return true;
}

static void log_opened(const struct client_options *o, const struct client *c,
                       const struct peer *peer)
{
    char text[PEER_TEXT_SIZE];

    if (!log_enabled(LOG_INFO))
        return;
    peer_format(peer, peer->port != 0, text);
    log_event(LOG_INFO, "stream opened", log_hex("client", client_id(c)),
              log_slice("user", o->user), log_text("peer", text),
              log_u64("topics", o->topic_count), log_slice("resume", o->resume),
              log_slice("user_agent", o->user_agent));
}

/* What outlives the request, which is gone once its stream is open. */
struct copies {
    size_t used;
    char bytes[(2 + MAX_TOPICS) * MAX_CHANNEL_NAME + MAX_ID_BYTES];
};

static struct slice keep(struct copies *copies, struct slice s, size_t most)
{
    char *p = copies->bytes + copies->used;

    if (s.n > most)
        s.n = most;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    copies->used += s.n;
    return slice_make(p, s.n);
}

static void open_stream(struct api *api, struct http_request *r, struct slice user,
                        struct wishes *w, const struct listener_access *access)
{
    struct copies copies;
    struct client_credential credential;
    struct peer peer = *http_request_peer(r);
    struct client_options o = {
        .topics = w->topics,
        .topic_count = w->topic_count,
        .from_earliest = w->from_earliest,
        .has_ping_events = w->has_ping_events,
        .expires_ms = access_end_ms(api, access),
        .ops = &sink_ops,
    };
    enum http_framing framing;
    struct http_stream *s;
    struct client *c;
    char *head;
    size_t head_length;

    if (!access->is_open) {
        credential = access_credential(access);
        o.credential = &credential;
    }
    copies.used = 0;
    o.user = keep(&copies, user, MAX_CHANNEL_NAME);
    o.resume = keep(&copies, w->resume, MAX_ID_BYTES);
    o.user_agent = keep(&copies, http_request_header(r, "User-Agent"), MAX_CHANNEL_NAME);
    for (size_t i = 0; i < w->topic_count; i++)
        w->topics[i] = keep(&copies, w->topics[i], MAX_CHANNEL_NAME);
    s = http_stream_open(r, &stream_events, NULL, &framing, &head, &head_length);
    if (s == NULL) {
        addresses_give_back(api, &peer);
        return;
    }
    o.sink = s;
    o.head = slice_make(head, head_length);
    o.is_chunked = framing == HTTP_CHUNKED;
    c = client_open(api->nm, &o, loop_now_ms(api->loop));
    free(head);
    if (c == NULL) {
        sink_close(s, false);
        return;
    }
    http_stream_set_ctx(s, c);
    log_opened(&o, c, &peer);
}

void api_subscribe(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct listener_access access;
    struct wishes w;
    struct slice user;

    if (!api_user(r, &user) || !access_listen(api, r, user, api_subscribe, &access) ||
        !read_wishes(r, &w) || !has_topics(api, r, &access, &w))
        return;
    if (http_request_method(r) == HTTP_HEAD) {
        http_response_header(r, "Cache-Control",
                             SLICE_LITERAL("no-cache, no-store, no-transform"));
        http_response_header(r, "X-Accel-Buffering", SLICE_LITERAL("no"));
        http_respond(r, 200, "text/event-stream", slice_make(NULL, 0));
        return;
    }
    if (manager_is_draining(api->nm)) {
        api_refuse_for_now(r, 503, api->options.retry_ms, "The daemon is shutting down.");
        return;
    }
    if (!manager_knows_journal(api->nm)) {
        api_refuse_for_now(r, 503, api->options.retry_ms,
                           "The journal has not been reached yet; try again later.");
        return;
    }
    if (is_within_limits(api, r, user))
        open_stream(api, r, user, &w, &access);
}
