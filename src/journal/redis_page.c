/* redis_page.c - pages of what is kept, for streams that the window cannot serve. A few are under
 * way at a time, so that very many that want one do not hold up what is published. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "message/sse.h"
#include "redis_priv.h"

enum { MOST_UNDER_WAY = 16 };

/* A page that is wanted. One that is under way may come back when nobody wants it any more. */
struct redis_read {
    struct list link;            /* in redis.pages, or pages_under_way */
    struct redis *r;
    bool is_under_way;
    bool is_stale;               /* something was removed since it was asked for */
    struct journal_read *read;   /* NULL: cancelled */
    size_t channel_count;
    struct channel_name channels[JOURNAL_MAX_CHANNELS];
    char *names;                 /* what the channels' names are cut from */
};

static void read_free(struct redis_read *job)
{
    free(job->names);
    free(job);
}

static void fail(struct redis_read *job, int status)
{
    struct journal_page page = {.status = status};
    struct journal_read *read = job->read;

    read_free(job);
    if (read != NULL)
        read->on_page(read, &page);
}

/* The highest number lost of a channel of which the reader knew of none that high. */
static uint64_t lost_anew(const struct journal_read *read, const redisReply *lost)
{
    uint64_t highest = 0;

    for (size_t i = 0; i < lost->elements && i < read->channel_count; i++) {
        uint64_t number = redis_number(lost->element[i]);

        if (read->known != NULL && number <= read->known[i])
            continue;
        if (read->known != NULL)
            read->known[i] = number;
        if (number > highest)
            highest = number;
    }
    return highest;
}

/* Encodes the entries. One that makes no sense is left out; without memory the page ends there. */
static size_t encode(const struct redis_read *job, const redisReply *entries,
                     struct message **messages, struct journal_page *page)
{
    size_t n = 0;

    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *e = entries->element[i];
        struct notification sent = {.is_json = false};
        uint64_t seq;
        uint64_t place;
        uint64_t ms;

        if (e->type != REDIS_REPLY_ARRAY || e->elements != 3)
            continue;
        seq = redis_number(e->element[0]);
        place = redis_number(e->element[2]);
        if (place >= job->channel_count || !redis_sent_read(redis_text(e->element[1]), &sent, &ms))
            continue;
        sent.to = job->channels[place];
        messages[n] = sse_encode(&sent, job->r->epoch, seq, ms);
        if (messages[n] == NULL) {
            page->covered = seq - 1;
            page->status = n == 0 ? -ENOMEM : 0;
            break;
        }
        n++;
    }
    return n;
}

static void give_page(struct redis_read *job, const redisReply *reply)
{
    struct journal_page page = {.covered = redis_number(reply->element[0])};
    const redisReply *entries = reply->element[2];
    struct journal_read *read = job->read;
    struct message **messages = calloc(entries->elements + 1, sizeof(struct message *));

    if (messages == NULL) {
        fail(job, -ENOMEM);
        return;
    }
    page.messages = messages;
    page.count = encode(job, entries, messages, &page);
    page.lost = lost_anew(read, reply->element[1]);
    job->r->stats->journal_reads++;
    read_free(job);
    read->on_page(read, &page);
    for (size_t i = 0; i < page.count; i++)
        message_unref(messages[i]);
    free(messages);
}

static void send_some(struct redis *r);

static void enqueue(struct redis *r, struct redis_read *job)
{
    job->is_under_way = job->is_stale = false;
    list_add_last(&r->pages, &job->link);
}

static void on_page(redisAsyncContext *ac, void *data, void *ctx)
{
    struct redis_read *job = ctx;
    struct redis *r = job->r;
    const redisReply *reply = data;

    list_remove(&job->link);
    r->page_count--;
    /* Where the connection has ended hiredis calls back without a reply. */
    if (job->read == NULL || !redis_reply_is_good(r, ac, reply) ||
        reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        fail(job, -EAGAIN);
    else if (job->is_stale)
        enqueue(r, job);
    else
        give_page(job, reply);
    send_some(r);
}

static int send_page(struct redis *r, struct redis_read *job)
{
    const struct journal_read *read = job->read;
    struct slice arguments[4 + JOURNAL_MAX_CHANNELS];
    uint64_t numbers[] = {read->after, r->emitted, read->max_entries, read->max_bytes};
    char texts[4][REDIS_NUMBER_SIZE];

    for (size_t i = 0; i < 4; i++)
        arguments[i] = redis_decimal(texts[i], numbers[i]);
    for (size_t i = 0; i < read->channel_count; i++) /* the letter stands before the name */
        arguments[4 + i] = slice_make(job->channels[i].name.p - 1, job->channels[i].name.n + 1);
    return redis_call(r, on_page, job, "page", 4 + read->channel_count, arguments);
}

static void send_some(struct redis *r)
{
    while (r->state == REDIS_UP && r->page_count < MOST_UNDER_WAY &&
           !list_is_empty(&r->pages)) {
        struct redis_read *job = LIST_HOLDER(r->pages.next, struct redis_read, link);
        int status = send_page(r, job);

        list_remove(&job->link);
        if (status == 0) {
            job->is_under_way = true;
            list_add_last(&r->pages_under_way, &job->link);
            r->page_count++;
        } else {
            fail(job, status);
        }
    }
}

static struct redis_read *read_create(struct redis *r, struct journal_read *read)
{
    struct redis_read *job = calloc(1, sizeof *job);
    char *at = job == NULL ? NULL : malloc(read->channel_count * REDIS_CHANNEL_SIZE);

    if (at == NULL) {
        free(job);
        return NULL;
    }
    job->r = r;
    job->read = read;
    job->names = at;
    job->channel_count = read->channel_count;
    for (size_t i = 0; i < read->channel_count; i++) {
        struct slice text = redis_channel_write(read->channels[i], at);

        (void)redis_channel_read(text, &job->channels[i]);
        at += REDIS_CHANNEL_SIZE;
    }
    return job;
}

void redis_do_read(struct journal *j, struct journal_read *read)
{
    struct redis *r = redis_of(j);
    struct journal_page page = {.status = -EAGAIN};
    struct redis_read *job = NULL;

    assert(read->channel_count >= 1 && read->channel_count <= JOURNAL_MAX_CHANNELS);
    if (r->state == REDIS_UP) {
        job = read_create(r, read);
        page.status = -ENOMEM;
    }
    if (job == NULL) {
        read->on_page(read, &page);
        return;
    }
    read->job = job;
    enqueue(r, job);
    send_some(r);
}

void redis_do_cancel(struct journal *j, struct journal_read *read)
{
    struct redis_read *job = read->job;

    (void)j;
    job->read = NULL;
    if (job->is_under_way)
        return; /* it is freed when it comes back */
    list_remove(&job->link);
    read_free(job);
}

static bool is_of(const struct redis_read *job, struct channel_name channel)
{
    for (size_t i = 0; i < job->channel_count; i++)
        if (job->channels[i].kind == channel.kind &&
            slice_equal(job->channels[i].name, channel.name))
            return true;
    return false;
}

void redis_pages_note_removal(struct redis *r, struct channel_name channel)
{
    for (struct list *at = r->pages_under_way.next; at != &r->pages_under_way; at = at->next) {
        struct redis_read *job = LIST_HOLDER(at, struct redis_read, link);

        job->is_stale = job->is_stale || is_of(job, channel);
    }
}

void redis_pages_fail(struct redis *r)
{
    while (!list_is_empty(&r->pages)) {
        struct redis_read *job = LIST_HOLDER(r->pages.next, struct redis_read, link);

        list_remove(&job->link);
        fail(job, -EAGAIN);
    }
}
