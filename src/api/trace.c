/* trace.c - GET /users/:userID/trace?id=ID: why did it not arrive?
 *
 * The notification is looked for where the user could have got it from: their own channel,
 * everyone's, and the topics of their open streams; first in memory, then in the journal. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/clock.h"

enum { MAX_PLACES = 34 }; /* the user's, everyone's, and as many topics as a stream has */

struct tracing {
    struct journal_read read; /* comes first */
    struct api *api;
    struct http_request *r;
    uint64_t seq;
    uint64_t known;           /* of the place that is read */
    bool is_lost;             /* retention has taken it from one of the places, or would have */
    bool is_kept;
    uint64_t at_ms;           /* when it was accepted; 0: not known */
    size_t place;             /* that is looked at, or has it */
    size_t place_count;
    struct channel_name places[MAX_PLACES];
    char names[MAX_PLACES * MAX_CHANNEL_NAME];
    size_t names_length;
};

static const struct {
    const char *name;
    const char *detail;
} states[] = {
    [TRACE_WRITTEN] = {"written", "It was written to this stream."},
    [TRACE_QUEUED] = {"queued", "It waits: the peer does not take what is sent."},
    [TRACE_BEHIND] = {"behind", "The stream is behind, and reads on from before it."},
    [TRACE_PASSED] = {"passed", "The stream is past its number. It got it, unless it was "
                                "retracted, replaced or dropped before its turn."},
    [TRACE_OPENED_LATER] = {"opened-later", "The stream was opened later, and did not resume from "
                                            "before it; or its ttl was 0, for those connected "
                                            "then."},
    [TRACE_OTHER_TOPIC] = {"other-topic", "The stream does not listen to that topic."},
};

/* ---- the answer ---- */

static bool add_time(cJSON *to, const char *name, uint64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (wall_ms == 0)
        return cJSON_AddNullToObject(to, name) != NULL;
    clock_format(wall_ms, text);
    return cJSON_AddStringToObject(to, name, text) != NULL;
}

static bool add_target(cJSON *to, const struct channel_name *target)
{
    char text[MAX_CHANNEL_NAME + 8] = "broadcast";

    if (target == NULL)
        return cJSON_AddNullToObject(to, "sent_to") != NULL;
    if (target->kind != CHANNEL_EVERYONE)
        snprintf(text, sizeof text, "%s:%.*s", target->kind == CHANNEL_USER ? "user" : "topic",
                 SLICE_ARG(target->name));
    return cJSON_AddStringToObject(to, "sent_to", text) != NULL;
}

static bool add_count(cJSON *to, const char *name, bool is_known, uint32_t count)
{
    return (is_known ? cJSON_AddNumberToObject(to, name, count)
                     : cJSON_AddNullToObject(to, name)) != NULL;
}

static const char *detail_of(const struct tracing *t)
{
    if (t->seq == 0 || t->seq > manager_head(t->api->nm))
        return "This journal has not given out that id: it is of an earlier journal, or of another "
               "daemon.";
    if (t->is_kept)
        return "It is kept: a stream that resumes from before it gets it.";
    if (t->is_lost)
        return "It is not kept any more: journal.keep, keep_per_user or keep_bytes has taken what "
               "was sent then. A stream that comes for it is told a gap.";
    return "Nothing is kept under that id for this user: it was sent to somebody else, or "
           "retracted, erased, replaced by a newer one of its collapse_key, or its ttl is over.";
}

struct listing {
    const struct api *api;
    cJSON *streams;
    bool has_failed;
};

static void add_stream(void *ctx, const struct client_info *info, enum trace_state state)
{
    struct listing *l = ctx;
    cJSON *stream = cJSON_CreateObject();

    if (stream == NULL || !cJSON_AddItemToArray(l->streams, stream)) {
        cJSON_Delete(stream);
        l->has_failed = true;
    } else if (!presence_add_stream(l->api, stream, info) ||
               cJSON_AddStringToObject(stream, "state", states[state].name) == NULL ||
               cJSON_AddStringToObject(stream, "detail", states[state].detail) == NULL) {
        l->has_failed = true;
    }
}

static bool add_streams(cJSON *tree, const struct tracing *t)
{
    struct listing l = {.api = t->api, .streams = cJSON_AddArrayToObject(tree, "streams")};

    if (l.streams == NULL)
        return false;
    manager_trace_streams(t->api->nm, t->places[0].name, t->places[t->is_kept ? t->place : 0],
                          t->seq, t->is_kept, add_stream, &l);
    return !l.has_failed;
}

static cJSON *make_answer(const struct tracing *t)
{
    const struct api *api = t->api;
    uint64_t now_ms = loop_now_ms(api->loop);
    uint64_t wall_ms = loop_wall_ms(api->loop);
    const struct channel_name *target = t->is_kept ? &t->places[t->place] : NULL;
    struct manager_trace m = {.at_ms = t->at_ms};
    bool is_held = target != NULL && manager_trace(api->nm, *target, t->seq, now_ms, &m) &&
                   m.is_ours;
    cJSON *tree = cJSON_CreateObject();

    if (tree != NULL && presence_add_name(tree, "user", t->places[0].name) &&
        cJSON_AddBoolToObject(tree, "kept", t->is_kept) != NULL &&
        cJSON_AddStringToObject(tree, "detail", detail_of(t)) != NULL &&
        add_target(tree, target) && add_time(tree, "accepted_at", m.at_ms) &&
        add_time(tree, "stored_at", is_held ? wall_ms - m.emitted_ago_ms : 0) &&
        add_count(tree, "queued_to", is_held, m.streams) &&
        add_count(tree, "written", is_held, m.written) &&
        add_time(tree, "last_written_at", m.written > 0 ? wall_ms - m.written_ago_ms : 0) &&
        (t->seq == 0 ? cJSON_AddArrayToObject(tree, "streams") != NULL : add_streams(tree, t)))
        return tree;
    cJSON_Delete(tree);
    return NULL;
}

static void answer(struct tracing *t)
{
    struct http_request *r = t->r;
    cJSON *tree = make_answer(t);

    free(t);
    api_respond_cjson(r, tree);
}

/* ---- the search ---- */

static void read_next(struct tracing *t);

static void on_page(struct journal_read *read, const struct journal_page *page)
{
    struct tracing *t = (struct tracing *)read;

    if (page->status != 0) {
        struct http_request *r = t->r;

        free(t);
        api_refuse_for_now(r, 503, 1000, "The journal cannot be read now; try again later.");
        return;
    }
    t->is_lost |= page->lost >= t->seq;
    if (page->count > 0 && page->messages[0]->seq == t->seq) {
        t->is_kept = true;
        t->at_ms = page->messages[0]->at_ms;
        answer(t);
        return;
    }
    t->place++;
    read_next(t);
}

static void read_next(struct tracing *t)
{
    if (t->place == t->place_count) {
        answer(t);
        return;
    }
    t->known = 0;
    t->read = (struct journal_read){
        .channels = &t->places[t->place],
        .channel_count = 1,
        .known = &t->known,
        .after = t->seq - 1,
        .max_entries = 1,
        .max_bytes = 1,
        .on_page = on_page,
    };
    journal_read(manager_journal(t->api->nm), &t->read);
}

static void on_abandoned(void *ctx)
{
    struct tracing *t = ctx;

    journal_cancel(manager_journal(t->api->nm), &t->read);
    free(t);
}

/* A copy: streams and their topics may be gone when a page comes. */
static void add_place(struct tracing *t, enum channel_kind kind, struct slice name)
{
    char *copy = t->names + t->names_length;

    for (size_t i = 0; i < t->place_count; i++)
        if (t->places[i].kind == kind && slice_equal(t->places[i].name, name))
            return;
    if (t->place_count == MAX_PLACES)
        return;
    if (name.n > 0)
        memcpy(copy, name.p, name.n);
    t->names_length += name.n;
    t->places[t->place_count++] = (struct channel_name){kind, slice_make(copy, name.n)};
}

static void add_topic(void *ctx, struct slice topic)
{
    add_place(ctx, CHANNEL_TOPIC, topic);
}

/* Whether memory has it. */
static bool is_in_memory(struct tracing *t)
{
    struct manager_trace m;

    for (t->place = 0; t->place < t->place_count; t->place++)
        if (manager_trace(t->api->nm, t->places[t->place], t->seq, loop_now_ms(t->api->loop), &m))
            return true;
    t->place = 0;
    return false;
}

static void search(struct tracing *t)
{
    if (t->seq == 0 || t->seq > manager_head(t->api->nm)) {
        answer(t);
        return;
    }
    add_place(t, CHANNEL_EVERYONE, slice_make(NULL, 0));
    manager_each_topic(t->api->nm, t->places[0].name, add_topic, t);
    t->is_kept = is_in_memory(t);
    if (t->is_kept) {
        answer(t);
        return;
    }
    http_request_on_abandoned(t->r, on_abandoned, t);
    read_next(t);
}

/* False: what is wrong was answered. An id of another epoch is number 0. */
static bool read_id(const struct api *api, struct http_request *r, uint64_t *seq)
{
    struct slice name;
    struct slice value;
    size_t cursor = 0;
    int status = -EINVAL;

    while (http_request_query_next(r, &cursor, &name, &value))
        if (slice_is(name, "id"))
            status = id_parse(value, manager_epoch(api->nm), seq);
    if (status != 0)
        *seq = 0;
    if (status == -EINVAL)
        http_problem(r, 400, "The query needs id=ID, as POST /notify answered with it.");
    return status != -EINVAL;
}

void api_trace(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct tracing *t;
    struct slice user;
    uint64_t seq;

    if (!api_user(r, &user) || !access_manage(api, r, user, api_trace) || !read_id(api, r, &seq))
        return;
    t = calloc(1, sizeof *t);
    if (t == NULL) {
        api_out_of_memory(r);
        return;
    }
    t->api = api;
    t->r = r;
    t->seq = seq;
    add_place(t, CHANNEL_USER, user);
    search(t);
}
