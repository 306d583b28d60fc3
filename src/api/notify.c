/* notify.c - POST /notify: one notification, an array of them, or NDJSON.
 *
 * Each goes into the journal on its own; the answer is made when the journal has said of all what
 * became of them, which may be before the handler returns or much later. Until then the post
 * stays, even if the caller is gone. */
#include <errno.h>
#include <stdlib.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/json.h"
#include "notify_item_priv.h"

enum {
    MAX_BATCH = 1000,   /* notifications in one request ... */
    MAX_APPENDS = 5000, /* ... and entries that they may become: a few milliseconds of work */
};

/* One entry of the journal; `append` comes first. */
struct sending {
    struct journal_append append;
    struct post *post;
};

/* One notification of the request. */
struct result {
    struct refusal refusal;
    struct sending *sendings; /* one, or one a user */
    size_t count;
    bool has_users;
};

struct post {
    struct api *api;
    struct http_request *r; /* NULL: the caller is gone */
    const struct sender *sender; /* the caller, while the handler runs */
    size_t pending;         /* appends without an outcome, and one for the handler */
    size_t appends;         /* so far */
    bool is_batch;
    size_t result_count;
    struct result *results;
    struct result first;    /* what `results` is for a single notification */
    struct sending single;  /* what its `sendings` is for a single entry */
};

/* ---- the answer ---- */

static void judge_append(const struct journal_append *a, struct refusal *why)
{
    switch (a->status) {
    case -EAGAIN:
        refuse(why, 503, "The journal cannot take notifications now; nothing was sent.");
        break;
    case -ETIMEDOUT:
        refuse(why, 503,
               "The journal has not answered in time, and may have taken it all the same: repeat "
               "it with its idempotency key, and it is sent once.");
        break;
    case -ENOSPC:
        refuse(why, 507, "The journal is full; nothing was sent.");
        break;
    case -EIO:
    case -EBADMSG:
        refuse(why, 503, "The journal cannot be written; nothing was sent.");
        break;
    default:
        refuse(why, 503, "The daemon is out of memory; nothing was sent.");
        break;
    }
}

/* With several users a failure may come in the middle: it says how many were told. */
static void judge(struct result *result)
{
    size_t done = 0;

    for (size_t i = 0; i < result->count; i++)
        if (result->sendings[i].append.status == 0)
            done++;
        else
            judge_append(&result->sendings[i].append, &result->refusal);
    if (result->refusal.status != 0 && done > 0)
        refuse(&result->refusal, result->refusal.status,
               "The journal took %zu of %zu entries; repeat with the same idempotency_key.", done,
               result->count);
}

static void add_success(struct buf *b, const struct api *api, const struct result *result)
{
    char id[ID_TEXT_SIZE];
    uint64_t streams = 0;
    bool is_duplicate = true;
    size_t n;

    for (size_t i = 0; i < result->count; i++) {
        streams += result->sendings[i].append.streams;
        is_duplicate = is_duplicate && result->sendings[i].append.is_duplicate;
    }
    n = id_format(manager_epoch(api->nm), result->sendings[result->count - 1].append.seq, id);
    buf_add_text(b, "{\"id\":\"");
    buf_add(b, id, n);
    buf_add_text(b, "\",");
    if (result->has_users)
        buf_printf(b, "\"count\":%zu,", result->count);
    buf_add_text(b, "\"streams\":");
    buf_add_u64(b, streams);
    if (is_duplicate)
        buf_add_text(b, ",\"duplicate\":true");
    buf_add_char(b, '}');
}

static void respond_batch(struct post *post)
{
    struct buf b = {0};

    buf_add_text(&b, "{\"results\":[");
    for (size_t i = 0; i < post->result_count; i++) {
        struct result *result = &post->results[i];

        if (i > 0)
            buf_add_char(&b, ',');
        if (result->refusal.status == 0) {
            add_success(&b, post->api, result);
            continue;
        }
        buf_add_text(&b, "{\"error\":");
        api_add_problem(&b, result->refusal.status, result->refusal.detail);
        buf_add_char(&b, '}');
    }
    buf_add_text(&b, "]}");
    api_respond_json(post->r, &b);
}

static void respond_refusal(struct api *api, struct http_request *r, const struct refusal *why)
{
    if (why->status == 503)
        api_refuse_for_now(r, why->status, 1000, why->detail);
    else if (why->status == 403)
        access_forbid(api, r, why->detail);
    else
        http_problem(r, why->status, "%s", why->detail);
}

/* In a buffer that stays: this is what nearly every publish comes to. */
static void respond_success(struct post *post)
{
    struct buf *b = &post->api->answer;

    buf_clear(b);
    add_success(b, post->api, &post->results[0]);
    if (b->failed)
        api_out_of_memory(post->r);
    else
        http_respond(post->r, 200, "application/json", buf_slice(b));
}

static void respond(struct post *post)
{
    if (post->is_batch)
        respond_batch(post);
    else if (post->results[0].refusal.status != 0)
        respond_refusal(post->api, post->r, &post->results[0].refusal);
    else
        respond_success(post);
}

static void post_free(struct post *post)
{
    for (size_t i = 0; i < post->result_count; i++)
        if (post->results[i].sendings != &post->single)
            free(post->results[i].sendings);
    if (post->results != &post->first)
        free(post->results);
    free(post);
}

/* Whose fault it is; status 0: nobody's, it was taken. */
static void count_refusal(struct stats *stats, int status)
{
    if (status >= 500)
        stats->notifications_failed++;
    else if (status != 0)
        stats->notifications_refused++;
}

/* One outcome less to wait for; with the last the post ends. */
static void settle(struct post *post)
{
    if (--post->pending > 0)
        return;
    for (size_t i = 0; i < post->result_count; i++) {
        judge(&post->results[i]);
        count_refusal(post->api->stats, post->results[i].refusal.status);
    }
    if (post->r != NULL)
        respond(post);
    post_free(post);
}

static void on_appended(struct journal_append *append)
{
    struct api *api = ((struct sending *)append)->post->api;

    if (append->status == 0 && !append->is_duplicate)
        histogram_add(&api->stats->journal_append, loop_turn_us(api->loop) - append->came_us);
    settle(((struct sending *)append)->post);
}

static void on_abandoned(void *ctx)
{
    ((struct post *)ctx)->r = NULL;
}

/* ---- sending ---- */

/* There is room for as many as post_create was told of. */
static struct result *add_result(struct post *post)
{
    struct result *result = &post->results[post->result_count++];

    result->refusal.status = 0; /* its detail, the largest part of all this, is left as it is */
    result->sendings = NULL;
    result->count = 0;
    result->has_users = false;
    return result;
}

static struct sending *make_sendings(struct post *post, size_t count)
{
    struct sending *sendings =
        count == 1 && !post->is_batch ? &post->single : malloc(count * sizeof *sendings);

    for (size_t i = 0; sendings != NULL && i < count; i++)
        sendings[i] = (struct sending){
            .append = {.on_done = on_appended,
                       .came_us = loop_turn_us(post->api->loop),
                       .is_alone = count == 1 && !post->is_batch},
            .post = post,
        };
    return sendings;
}

/* The key of one of several entries that share the caller's: the entry's own name behind it, with
 * a NUL between, which no caller's key holds. */
static struct slice key_of_part(struct buf *b, struct slice key, struct slice part)
{
    if (key.n == 0)
        return key;
    b->len = 0;
    buf_add_slice(b, key);
    buf_add_char(b, '\0');
    buf_add_slice(b, part);
    return buf_slice(b);
}

static void send_item(struct post *post, struct notify_item *item, struct result *result)
{
    struct notification_manager *nm = post->api->nm;
    struct slice shared_key = item->n.idempotency_key;
    uint64_t wall_ms = loop_wall_ms(post->api->loop);
    struct buf key = {0};

    post->pending += result->count;
    for (size_t i = 0; i < result->count; i++) {
        if (result->has_users) {
            item->n.to.name = item->users[i];
            item->n.idempotency_key = key_of_part(&key, shared_key, item->users[i]);
        }
        if (key.failed) {
            result->sendings[i].append.status = -ENOMEM;
            settle(post);
        } else {
            manager_send_notification(nm, &item->n, wall_ms, &result->sendings[i].append);
        }
    }
    buf_fini(&key);
}

/* Whether the caller may send to all that the item names; else `why` names one. */
static bool may_send(const struct sender *sender, const struct notify_item *item,
                     struct refusal *why)
{
    static const char *const kinds[] = {
        [CHANNEL_USER] = "the user ",
        [CHANNEL_TOPIC] = "the topic ",
        [CHANNEL_EVERYONE] = "everyone",
    };
    size_t count = item->user_count > 0 ? item->user_count : 1;

    for (size_t i = 0; i < count; i++) {
        struct channel_name to = item->n.to;

        if (item->user_count > 0)
            to.name = item->users[i];
        if (sender_may(sender, to))
            continue;
        refuse(why, 403, "This credential may not send to %s%.*s.", kinds[to.kind],
               to.name.n > 100 ? 100 : (int)to.name.n, to.name.p);
        return false;
    }
    return true;
}

/* Takes one notification on its own: whatever becomes of it is in its result. */
static void take_item(struct post *post, struct notify_item *item, struct slice object, size_t at,
                      struct slice default_key)
{
    struct result *result = add_result(post);
    size_t count;

    if (notify_item_read(item, object, at, post->api->options.max_payload, &result->refusal) != 0 ||
        !may_send(post->sender, item, &result->refusal))
        return;
    if (item->n.idempotency_key.n == 0)
        item->n.idempotency_key = default_key;
    result->has_users = item->user_count > 0;
    count = result->has_users ? item->user_count : 1;
    if (post->appends + count > MAX_APPENDS) {
        refuse(&result->refusal, 413,
               "One request can make at most %d entries; send the rest in another.", MAX_APPENDS);
        return;
    }
    result->sendings = make_sendings(post, count);
    if (result->sendings == NULL) {
        refuse(&result->refusal, 503, "The daemon is out of memory; nothing was sent.");
        return;
    }
    post->appends += count;
    result->count = count;
    send_item(post, item, result);
}

/* An item of a batch has the request's key with its place in the batch. */
static void take_batch_item(struct post *post, struct notify_item *item, struct slice object,
                            size_t at, struct slice request_key)
{
    struct buf key = {0};
    char place[24];
    char *end = format_u64(place, post->result_count);
    struct slice own_key = key_of_part(&key, request_key, slice_make(place, (size_t)(end - place)));

    if (key.failed)
        refuse(&add_result(post)->refusal, 503, "The daemon is out of memory; nothing was sent.");
    else
        take_item(post, item, object, at, own_key);
    buf_fini(&key);
}

static bool is_ndjson(struct slice content_type)
{
    struct slice type = slice_trim(slice_cut(&content_type, ';'));

    return slice_is_nocase(type, "application/x-ndjson") ||
           slice_is_nocase(type, "application/ndjson") ||
           slice_is_nocase(type, "application/jsonl");
}

static void take_line(struct post *post, struct notify_item *item, struct slice body,
                      struct slice line, struct slice request_key)
{
    size_t at = (size_t)(line.p - body.p);
    size_t offset;
    const char *reason;

    if (json_check(line, &offset, &reason) == 0) {
        line = json_trim(line);
        take_batch_item(post, item, line, (size_t)(line.p - body.p), request_key);
        return;
    }
    refuse(&add_result(post)->refusal, 400,
           "This line is not JSON: expected %s at byte %zu of the body.", reason, at + offset);
}

static bool is_blank(struct slice line)
{
    return json_trim(line).n == 0;
}

static size_t count_lines(struct slice body)
{
    size_t n = 0;

    while (body.p != NULL)
        n += !is_blank(slice_cut(&body, '\n'));
    return n;
}

static size_t count_elements(struct slice array)
{
    struct slice element;
    size_t cursor = 0;
    size_t n = 0;

    while (n <= MAX_BATCH && json_array_next(array, &cursor, &element))
        n++;
    return n;
}

/* For `count` notifications. NULL: no memory, and that was answered. */
static struct post *post_create(struct api *api, struct http_request *r,
                                const struct sender *sender, bool is_batch, size_t count)
{
    struct post *post = malloc(sizeof *post);

    if (post != NULL) {
        post->results = count <= 1 ? &post->first : malloc(count * sizeof *post->results);
        post->api = api;
        post->r = r;
        post->sender = sender;
        post->is_batch = is_batch;
        post->pending = 1;
        post->appends = 0;
        post->result_count = 0;
    }
    if (post == NULL || post->results == NULL) {
        free(post);
        api->stats->notifications_failed += count;
        http_problem(r, 503, "The daemon is out of memory; nothing was sent.");
        return NULL;
    }
    http_request_on_abandoned(r, on_abandoned, post);
    return post;
}

/* True: these are too many at once, or for now, and that was answered. */
static bool are_too_many(struct api *api, struct http_request *r, const struct sender *sender,
                         size_t count)
{
    if (count > MAX_BATCH) {
        api->stats->notifications_refused++;
        http_problem(r, 413, "A batch can hold at most %d notifications; nothing was sent.",
                     MAX_BATCH);
        return true;
    }
    if (sender->key == NULL || publish_keys_take(api->options.publish_keys, sender->key, count,
                                                 loop_now_ms(api->loop)))
        return false;
    api->stats->requests_over_rate++;
    api_note_refusal(api, r, GATE_PUBLISHES_PER_SECOND, slice_of(sender->key->name));
    api_refuse_for_now(r, 429, 1000, "This key has sent as much as its rate allows; nothing was "
                                     "sent.");
    return true;
}

static void take_ndjson(struct api *api, struct http_request *r, const struct sender *sender,
                        struct slice body, struct slice key)
{
    struct slice rest = body;
    size_t count = count_lines(body);
    struct post *post;

    if (are_too_many(api, r, sender, count))
        return;
    post = post_create(api, r, sender, true, count);
    if (post == NULL)
        return;
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');

        if (!is_blank(line))
            take_line(post, api->item, body, line, key);
    }
    notify_item_relax(api->item);
    settle(post);
}

static void take_json(struct api *api, struct http_request *r, const struct sender *sender,
                      struct slice body, struct slice key)
{
    struct slice value = json_trim(body);
    bool is_batch = json_type_of(value) == JSON_ARRAY;
    size_t count = is_batch ? count_elements(value) : 1;
    struct slice element;
    size_t cursor = 0;
    struct post *post;

    if (are_too_many(api, r, sender, count))
        return;
    post = post_create(api, r, sender, is_batch, count);
    if (post == NULL)
        return;
    if (!is_batch)
        take_item(post, api->item, value, (size_t)(value.p - body.p), key);
    while (is_batch && json_array_next(value, &cursor, &element))
        take_batch_item(post, api->item, element, (size_t)(element.p - body.p), key);
    notify_item_relax(api->item);
    settle(post);
}

static bool key_is_valid(struct slice key)
{
    return key.p == NULL || (key.n >= 1 && key.n <= MAX_KEY && !slice_has_control(key));
}

void api_notify(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct slice body = http_request_body(r);
    struct slice key = http_request_header(r, "Idempotency-Key");
    struct sender sender;
    size_t offset;
    const char *reason;

    if (!access_send(api, r, api_notify, &sender))
        return;
    if (manager_is_full(api->nm)) {
        api->stats->publishes_refused_for_memory++;
        api_note_refusal(api, r, GATE_MAX_MEMORY, slice_make(NULL, 0));
        api_refuse_for_now(r, 503, 1000,
                           "The queues of slow streams hold as much as limits.max_memory allows; "
                           "nothing was sent, try again later.");
    } else if (!key_is_valid(key)) {
        http_problem(r, 400, "Idempotency-Key must be 1 to %d bytes.", MAX_KEY);
    } else if (is_ndjson(http_request_header(r, "Content-Type"))) {
        take_ndjson(api, r, &sender, body, key);
    } else if (json_check(body, &offset, &reason) != 0) {
        api->stats->notifications_refused++;
        http_problem(r, 400, "The body is not JSON: expected %s at byte %zu.", reason, offset);
    } else {
        take_json(api, r, &sender, body, key);
    }
}
