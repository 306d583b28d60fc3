/* history.c - what is kept for a user: shown, retracted, erased. */
#include <errno.h>
#include <stdlib.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/clock.h"
#include "base/json.h"
#include "message/sse.h"

enum { DEFAULT_LIMIT = 100, MAX_LIMIT = 1000, PAGE_BYTES = 4 << 20 };

/* A listing that waits for its page of the journal. */
struct listing {
    struct journal_read read;
    struct channel_name channel;
    struct api *api;
    struct http_request *r;
    size_t limit;
};

static void add_notification(const struct api *api, struct buf *b, const struct message *m)
{
    char id[ID_TEXT_SIZE];
    char at[CLOCK_TEXT_SIZE];
    struct buf data = {0};

    id_format(manager_epoch(api->nm), m->seq, id);
    clock_format(m->at_ms, at);
    buf_printf(b, "{\"id\":\"%s\",\"event\":", id);
    json_add_string(b, sse_event(m));
    buf_add_text(b, ",\"data\":");
    if (sse_add_data(&data, m) != 0)
        b->failed = true;
    else if (m->is_json)
        buf_add_slice(b, buf_slice(&data));
    else
        json_add_string(b, buf_slice(&data));
    buf_printf(b, ",\"at\":\"%s\"}", at);
    buf_fini(&data);
}

static void on_page(struct journal_read *read, const struct journal_page *page)
{
    struct listing *l = (struct listing *)read; /* read comes first */
    size_t count = page->count > l->limit ? l->limit : page->count;
    bool has_more = page->count > count || page->covered < manager_head(l->api->nm);
    struct http_request *r = l->r;
    struct buf text = {0};

    if (page->status != 0) {
        free(l);
        api_refuse_for_now(r, 503, 1000, "The journal cannot be read now; try again later.");
        return;
    }
    buf_add_text(&text, "{\"user\":");
    json_add_string(&text, l->channel.name);
    buf_add_text(&text, ",\"notifications\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(&text, ',');
        add_notification(l->api, &text, page->messages[i]);
    }
    buf_printf(&text, "],\"more\":%s}", has_more ? "true" : "false");
    free(l);
    api_respond_json(r, &text);
}

static void on_abandoned(void *ctx)
{
    struct listing *l = ctx;

    journal_cancel(manager_journal(l->api->nm), &l->read);
    free(l);
}

/* ?after=ID&limit=N; false: what is wrong was answered. */
static bool read_query(const struct api *api, struct http_request *r, uint64_t *after,
                       uint64_t *limit)
{
    struct slice name;
    struct slice value;
    size_t cursor = 0;

    *after = 0;
    *limit = DEFAULT_LIMIT;
    while (http_request_query_next(r, &cursor, &name, &value)) {
        if (slice_is(name, "after") && id_parse(value, manager_epoch(api->nm), after) != 0) {
            http_problem(r, 400,
                         "after must be an id that this journal gave out; leave it out for all "
                         "that is kept.");
            return false;
        }
        if (slice_is(name, "limit") &&
            (slice_to_u64(value, limit) != 0 || *limit < 1 || *limit > MAX_LIMIT)) {
            http_problem(r, 400, "limit must be a number from 1 to %d.", MAX_LIMIT);
            return false;
        }
    }
    return true;
}

static void list(struct api *api, struct http_request *r, struct slice user)
{
    struct listing *l;
    uint64_t after;
    uint64_t limit;

    if (!read_query(api, r, &after, &limit))
        return;
    l = malloc(sizeof *l);
    if (l == NULL) {
        api_out_of_memory(r);
        return;
    }
    *l = (struct listing){
        .read = {.channel_count = 1,
                 .after = after,
                 .is_fresh = true, /* who was answered sees what it sent */
                 .max_entries = limit + 1, /* one more tells whether there is more */
                 .max_bytes = PAGE_BYTES,
                 .on_page = on_page},
        .channel = {CHANNEL_USER, user},
        .api = api,
        .r = r,
        .limit = limit,
    };
    l->read.channels = &l->channel;
    http_request_on_abandoned(r, on_abandoned, l);
    journal_read(manager_journal(api->nm), &l->read);
}

void api_history(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct listener_access access;
    struct slice user;

    if (api_user(r, &user) && access_listen(api, r, user, api_history, &access))
        list(api, r, user);
}

void api_user_history(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct slice user;

    if (api_user(r, &user) && access_manage(api, r, user, api_user_history))
        list(api, r, user);
}

/* A removal that waits for the journal. */
struct removing {
    struct journal_removal removal;
    struct http_request *r; /* NULL: the caller is gone */
};

static void on_caller_gone(void *ctx)
{
    ((struct removing *)ctx)->r = NULL;
}

/* NULL: no memory, and that was answered. */
static struct removing *removing_create(struct http_request *r,
                                        void (*on_done)(struct journal_removal *removal))
{
    struct removing *removing = malloc(sizeof *removing);

    if (removing == NULL) {
        api_out_of_memory(r);
        return NULL;
    }
    *removing = (struct removing){.removal = {.on_done = on_done}, .r = r};
    http_request_on_abandoned(r, on_caller_gone, removing);
    return removing;
}

/* Frees it; the request, if there is one to answer and the journal did what it was asked. */
static struct http_request *removing_end(struct removing *removing)
{
    struct http_request *r = removing->r;
    int status = removing->removal.status;

    free(removing);
    if (r == NULL || status == 0)
        return r;
    if (status == -ENOSPC)
        http_problem(r, 507, "The journal is full; nothing was removed.");
    else if (status == -ETIMEDOUT)
        api_refuse_for_now(r, 503, 1000,
                           "The journal has not answered in time; repeat the removal.");
    else
        api_refuse_for_now(r, 503, 1000, "The journal cannot be written now; nothing was removed.");
    return NULL;
}

static void on_erased(struct journal_removal *removal)
{
    size_t count = removal->count;
    struct http_request *r = removing_end((struct removing *)removal); /* it comes first */
    struct buf text = {0};

    if (r == NULL)
        return;
    buf_printf(&text, "{\"erased\":%zu}", count);
    api_respond_json(r, &text);
}

void api_erase(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct removing *removing;
    struct slice user;

    if (!api_user(r, &user) || !access_manage(api, r, user, api_erase))
        return;
    removing = removing_create(r, on_erased);
    if (removing != NULL)
        journal_erase(manager_journal(api->nm), (struct channel_name){CHANNEL_USER, user},
                      &removing->removal);
}

static void refuse_unkept(struct http_request *r)
{
    http_problem(r, 404, "No notification of this user is kept under that id.");
}

static void on_retracted(struct journal_removal *removal)
{
    size_t count = removal->count;
    struct http_request *r = removing_end((struct removing *)removal);

    if (r == NULL)
        return;
    if (count == 0)
        refuse_unkept(r);
    else
        http_respond(r, 200, "application/json", SLICE_LITERAL("{\"retracted\":true}"));
}

void api_retract(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct removing *removing;
    struct slice user;
    uint64_t seq = 0;
    int status;

    if (!api_user(r, &user) || !access_manage(api, r, user, api_retract))
        return;
    if (!manager_knows_journal(api->nm)) { /* nor which ids it has */
        api_refuse_for_now(r, 503, 1000,
                           "The journal has not been reached yet; nothing was removed.");
        return;
    }
    status = id_parse(http_request_param(r, 1), manager_epoch(api->nm), &seq);
    if (status == -EINVAL) {
        http_problem(r, 400, "The path must end in the id that POST /notify answered with.");
        return;
    }
    if (status != 0 || seq == 0) {
        refuse_unkept(r);
        return;
    }
    removing = removing_create(r, on_retracted);
    if (removing != NULL)
        journal_retract(manager_journal(api->nm), (struct channel_name){CHANNEL_USER, user}, seq,
                        &removing->removal);
}
