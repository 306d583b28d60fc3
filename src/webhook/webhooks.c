/* webhooks.c - there is a struct news of a user exactly while the receiver may not know what is
 * true: of all others it was told last what is.
 *
 *            online                    2xx
 *   (none) ----------> ready --> under way --> (none)
 *      |                 ^        |      |
 *      | offline         | grace  | else | 2xx, but it has turned meanwhile
 *      `------------> waiting <---'      `--> ready or waiting, as a new event
 *
 * A user who turns back while ready or waiting is no news any more, unless an attempt has failed:
 * the receiver may have understood it all the same, and is told how things are now.
 * A receiver that does not answer, or not as itself, is left alone for a while, with everything;
 * what it does not take of one event is that event's matter. */
#include "webhook/webhooks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "event_priv.h"

enum {
    WAITS = WEBHOOK_DOUBLINGS + 2, /* the grace, and one for each length of backoff */
    MOVES_A_TICK = 2000,           /* of each list: what comes at once for many is spread */
};

struct news {
    struct list link;     /* in waiting or ready; in none while under way, or for the opening */
    uint64_t number;      /* of the event: the same in all its attempts */
    uint64_t since_ms;    /* when it happened, ... */
    uint64_t at_ms;       /* ... and the same since 1970 */
    uint64_t first_ms;    /* when the first attempt was due, ... */
    uint64_t due_ms;      /* ... and when the next one is */
    uint32_t tries;
    uint16_t name_length; /* 0: the opening */
    bool is_online;       /* what is true */
    bool says_online;     /* what the request under way says */
    bool is_under_way;
    bool has_turned;      /* since it is */
    bool is_uncertain;    /* an attempt failed, and was understood or not */
    char name[];
};

enum drop { DROP_EXPIRED, DROP_QUEUE_FULL, DROP_GONE, DROP_NO_MEMORY, DROPS };

static const struct {
    const char *text;
    size_t counter; /* offset in struct stats */
} drops[DROPS] = {
    [DROP_EXPIRED] = {"keep_trying is over", offsetof(struct stats, webhook_events_expired)},
    [DROP_QUEUE_FULL] = {"the queue is full", offsetof(struct stats, webhook_events_queue_full)},
    [DROP_GONE] = {"the receiver has answered 410", offsetof(struct stats, webhook_events_gone)},
    [DROP_NO_MEMORY] = {"out of memory", offsetof(struct stats, webhook_events_no_memory)},
};

struct webhooks {
    struct webhooks_options options;
    const struct webhook_secrets *secrets;
    struct stats *stats;
    webhook_send_fn *send;
    void *ctx;
    struct webhook_time time;    /* of the last tick or answer */
    uint64_t at_ms;              /* of the last event, since 1970 */
    uint64_t key[2];             /* by chance: for ids, and for the jitter ... */
    uint64_t draws;              /* ... with how often it was asked for */
    uint64_t events;             /* numbered so far */
    struct hash_table users;     /* struct news, but for the opening */
    struct list ready;
    struct list waiting[WAITS];  /* for the end of their grace, or for another attempt: each in the
                                  * order in which they are due, but for the jitter */
    struct news *opening;        /* until it was told: nothing else is before */
    struct news *under_way[WEBHOOK_IN_FLIGHT]; /* by tag; NULL: free */
    size_t in_flight;
    unsigned failures;           /* in a row, of the receiver */
    uint64_t pause_until_ms;     /* nothing is sent before */
    bool is_stopped;             /* the receiver wants no more of it */
    bool is_draining;
    struct log_gate failed_gate;
    struct log_gate drop_gates[DROPS];
    struct event_text text;
};

/* ---- news that comes and goes ---- */

static struct slice name_of(const void *item)
{
    const struct news *n = item;

    return slice_make(n->name, n->name_length);
}

static struct news *holder(struct list *link)
{
    return LIST_HOLDER(link, struct news, link);
}

static struct news *news_create(struct webhooks *w, struct slice user)
{
    struct news *n = calloc(1, sizeof *n + user.n);

    if (n == NULL)
        return NULL;
    n->name_length = (uint16_t)user.n;
    slice_put(n->name, user);
    if (user.n > 0 && hash_table_insert(&w->users, n) != 0) {
        free(n);
        return NULL;
    }
    return n;
}

static void forget(struct webhooks *w, struct news *n)
{
    list_remove(&n->link);
    if (n == w->opening)
        w->opening = NULL;
    else
        hash_table_remove(&w->users, n);
    free(n);
    w->stats->webhook_users_waiting = hash_table_count(&w->users);
}

static void count_drop(struct webhooks *w, enum drop reason)
{
    uint64_t count;

    ++*(uint64_t *)(void *)((char *)w->stats + drops[reason].counter);
    if (reason != DROP_GONE && log_gate_opens(&w->drop_gates[reason], w->time.now_ms, &count))
        log_event(LOG_WARNING, "webhooks dropped", log_text("reason", drops[reason].text),
                  log_u64("count", count));
}

static void drop(struct webhooks *w, struct news *n, enum drop reason)
{
    count_drop(w, reason);
    forget(w, n);
}

/* It happens now. Receivers may order events by their time: a clock that is set back stands still
 * for them. */
static void date(struct webhooks *w, struct news *n, bool is_online)
{
    if (w->at_ms < w->time.wall_ms)
        w->at_ms = w->time.wall_ms;
    n->is_online = is_online;
    n->since_ms = w->time.now_ms;
    n->at_ms = w->at_ms;
}

/* Makes an event of what is true. */
static void stage(struct webhooks *w, struct news *n)
{
    n->number = ++w->events;
    n->tries = 0;
    n->has_turned = false;
    n->first_ms = n->due_ms = n->since_ms + (n->is_online ? 0 : w->options.grace_ms);
    list_add_last(n->due_ms <= w->time.now_ms ? &w->ready : &w->waiting[0], &n->link);
}

static void add(struct webhooks *w, struct slice user, bool is_online)
{
    struct news *n;

    if (w->is_stopped || hash_table_count(&w->users) >= w->options.queue) {
        count_drop(w, w->is_stopped ? DROP_GONE : DROP_QUEUE_FULL);
        return;
    }
    n = news_create(w, user);
    if (n == NULL) {
        count_drop(w, DROP_NO_MEMORY);
        return;
    }
    date(w, n, is_online);
    stage(w, n);
    w->stats->webhook_users_waiting = hash_table_count(&w->users);
}

void webhooks_on_online(struct webhooks *w, struct slice user, bool is_online)
{
    struct news *n;

    if (w->is_draining)
        return;
    n = hash_table_find(&w->users, user);
    if (n == NULL) {
        add(w, user, is_online);
    } else if (n->is_under_way) {
        date(w, n, is_online);
        n->has_turned = true;
    } else if (n->is_uncertain) {
        list_remove(&n->link);
        date(w, n, is_online);
        stage(w, n);
    } else {
        w->stats->webhook_events_cancelled++;
        forget(w, n);
    }
}

/* ---- sending ---- */

/* WEBHOOK_RETRY_MS for the first failure, doubled for each that follows, and up to half of it by
 * chance besides. */
static uint64_t backoff_ms(struct webhooks *w, unsigned failures, unsigned most_doublings)
{
    unsigned doublings = failures - 1 < most_doublings ? failures - 1 : most_doublings;
    uint64_t wait_ms = (uint64_t)WEBHOOK_RETRY_MS << doublings;
    uint64_t chance = hash_keyed(w->key, slice_make((const char *)&w->draws, sizeof w->draws));

    w->draws++;
    return wait_ms + chance % (wait_ms / 2);
}

static struct news *next(const struct webhooks *w)
{
    if (w->opening != NULL)
        return w->opening->is_under_way || w->opening->due_ms > w->time.now_ms ? NULL : w->opening;
    return list_is_empty(&w->ready) ? NULL : holder(w->ready.next);
}

static int begin(struct webhooks *w, struct news *n)
{
    struct event event = {
        .process = w->key[0],
        .number = n->number,
        .at_ms = n->at_ms,
        .user = name_of(n),
        .is_online = n->is_online,
    };
    struct webhook_request request;
    size_t tag = 0;
    int status = event_write(&event, w->secrets, w->time.wall_ms, &w->text, &request);

    while (w->under_way[tag] != NULL)
        tag++;
    if (status == 0)
        status = w->send(w->ctx, tag, &request);
    if (status != 0)
        return status;
    list_remove(&n->link);
    n->is_under_way = true;
    n->says_online = n->is_online;
    w->under_way[tag] = n;
    w->stats->webhook_requests_in_flight = ++w->in_flight;
    return 0;
}

/* A receiver that has failed is asked with one request whether it is back. */
static void send_some(struct webhooks *w)
{
    size_t most = w->failures > 0 ? 1 : WEBHOOK_IN_FLIGHT;
    struct news *n;

    while (!w->is_stopped && w->in_flight < most && w->time.now_ms >= w->pause_until_ms &&
           (n = next(w)) != NULL) {
        if (begin(w, n) != 0) {
            w->stats->out_of_memory++;
            w->pause_until_ms = w->time.now_ms + WEBHOOK_RETRY_MS;
        }
    }
}

/* ---- answers ---- */

static void on_delivered(struct webhooks *w, struct news *n)
{
    w->stats->webhook_events_delivered++;
    if (w->failures > 0 && w->time.now_ms >= w->pause_until_ms) {
        log_info("webhooks are delivered again");
        w->failures = 0;
    }
    n->is_uncertain = false;
    if (n->has_turned && n->is_online != n->says_online) {
        stage(w, n);
        return;
    }
    w->stats->webhook_events_cancelled += n->has_turned;
    forget(w, n);
}

/* Whether such an answer is about what was sent, and not about where. */
static bool is_about_event(unsigned status)
{
    return status == 400 || status == 409 || status == 413 || status == 422 || status == 500;
}

/* Of several that were under way together the first one counts. */
static void leave_alone(struct webhooks *w, const struct post_answer *answer)
{
    uint64_t now_ms = w->time.now_ms;
    uint64_t asked_ms = answer->retry_after_ms < WEBHOOK_MOST_ASKED_MS ? answer->retry_after_ms
                                                                       : WEBHOOK_MOST_ASKED_MS;

    if (now_ms >= w->pause_until_ms)
        w->pause_until_ms = now_ms + backoff_ms(w, ++w->failures, WEBHOOK_PAUSE_DOUBLINGS);
    if (w->pause_until_ms < now_ms + asked_ms)
        w->pause_until_ms = now_ms + asked_ms;
}

static bool is_expired(const struct webhooks *w, const struct news *n)
{
    return w->time.now_ms - n->first_ms >= w->options.keep_trying_ms;
}

static void try_later(struct webhooks *w, struct news *n, unsigned most_doublings)
{
    size_t wait;

    n->tries++;
    wait = n->tries <= most_doublings ? n->tries : most_doublings + 1;
    n->due_ms = w->time.now_ms + backoff_ms(w, n->tries, most_doublings);
    if (n != w->opening)
        list_add_last(&w->waiting[wait], &n->link);
}

static void on_failed(struct webhooks *w, struct news *n, const struct post_answer *answer)
{
    bool is_own = is_about_event(answer->status);
    uint64_t count;

    w->stats->webhook_attempts_failed++;
    if (log_gate_opens(&w->failed_gate, w->time.now_ms, &count))
        log_event(LOG_WARNING, "webhooks are not delivered", log_text("reason", answer->why_not),
                  log_u64("count", count));
    if (!is_own || answer->retry_after_ms > 0)
        leave_alone(w, answer);
    n->is_uncertain = true;
    if (n->has_turned)
        stage(w, n);
    else if (is_expired(w, n))
        drop(w, n, DROP_EXPIRED);
    else
        try_later(w, n, is_own ? WEBHOOK_DOUBLINGS : WEBHOOK_PAUSE_DOUBLINGS);
}

/* Source: Standard Webhooks, "Delivery success and failure". */
static void stop(struct webhooks *w, struct news *n)
{
    log_error("webhooks are over until the next start: the receiver has answered 410 (Gone)");
    w->is_stopped = true;
    drop(w, n, DROP_GONE);
}

void webhooks_on_answer(struct webhooks *w, size_t tag, const struct post_answer *answer,
                        struct webhook_time time)
{
    struct news *n = w->under_way[tag];

    w->time = time;
    w->under_way[tag] = NULL;
    w->stats->webhook_requests_in_flight = --w->in_flight;
    n->is_under_way = false;
    if (answer->status / 100 == 2)
        on_delivered(w, n);
    else if (w->is_stopped)
        drop(w, n, DROP_GONE);
    else if (answer->status == 410)
        stop(w, n);
    else
        on_failed(w, n, answer);
    send_some(w);
}

/* ---- time ---- */

/* Drops the first ones of a list, those that are expired or all of them. */
static void drop_some(struct webhooks *w, struct list *list, enum drop reason)
{
    for (int i = 0; i < MOVES_A_TICK && !list_is_empty(list); i++) {
        struct news *n = holder(list->next);

        if (reason == DROP_EXPIRED && !is_expired(w, n))
            break;
        drop(w, n, reason);
    }
}

static void make_ready(struct webhooks *w, struct list *list)
{
    for (int i = 0; i < MOVES_A_TICK && !list_is_empty(list); i++) {
        struct news *n = holder(list->next);

        if (n->due_ms > w->time.now_ms)
            break;
        list_remove(&n->link);
        list_add_last(&w->ready, &n->link);
    }
}

void webhooks_tick(struct webhooks *w, struct webhook_time time)
{
    w->time = time;
    for (size_t i = 0; i < WAITS; i++) {
        if (w->is_stopped)
            drop_some(w, &w->waiting[i], DROP_GONE);
        else
            make_ready(w, &w->waiting[i]);
    }
    drop_some(w, &w->ready, w->is_stopped ? DROP_GONE : DROP_EXPIRED);
    if (w->opening != NULL && !w->opening->is_under_way && is_expired(w, w->opening))
        drop(w, w->opening, DROP_EXPIRED);
    send_some(w);
}

void webhooks_drain(struct webhooks *w)
{
    w->is_draining = true;
}

bool webhooks_are_idle(const struct webhooks *w)
{
    return w->is_stopped || w->failures > 0 || (w->in_flight == 0 && next(w) == NULL);
}

/* ---- life ---- */

struct webhooks *webhooks_create(const struct webhooks_options *options,
                                 const struct webhook_secrets *secrets, struct stats *stats,
                                 webhook_send_fn *send, void *ctx, struct webhook_time time)
{
    struct webhooks *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->options = *options;
    w->secrets = secrets;
    w->stats = stats;
    w->send = send;
    w->ctx = ctx;
    w->time = time;
    hash_table_init(&w->users, name_of);
    list_init(&w->ready);
    for (size_t i = 0; i < WAITS; i++)
        list_init(&w->waiting[i]);
    w->opening = news_create(w, slice_make("", 0));
    if (w->opening == NULL || hash_random_key(w->key) != 0) {
        webhooks_destroy(w);
        return NULL;
    }
    date(w, w->opening, false);
    w->opening->number = ++w->events;
    w->opening->first_ms = w->opening->due_ms = time.now_ms;
    return w;
}

static void free_all(struct list *list)
{
    while (!list_is_empty(list)) {
        struct news *n = holder(list->next);

        list_remove(&n->link);
        free(n);
    }
}

void webhooks_destroy(struct webhooks *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++)
        if (w->under_way[i] != w->opening)
            free(w->under_way[i]);
    free(w->opening);
    free_all(&w->ready);
    for (size_t i = 0; i < WAITS; i++)
        free_all(&w->waiting[i]);
    hash_table_fini(&w->users);
    event_text_fini(&w->text);
    free(w);
}

void webhooks_change_options(struct webhooks *w, const struct webhooks_options *options)
{
    w->options = *options;
}

void webhooks_change_secrets(struct webhooks *w, const struct webhook_secrets *secrets)
{
    w->secrets = secrets;
}
