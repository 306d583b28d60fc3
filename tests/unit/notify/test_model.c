/* What a stream is owed, checked against a model while thousands of random worlds run.
 *
 * A world is a memory journal, a manager with a window, and viewers: clients whose sinks take,
 * block and break at random. The model is no second implementation. It knows what was sent, asks
 * the journal after each operation what it still keeps, and so knows of every notification whether
 * a bound took it, somebody wished it away, or it is still there. Each viewer's bytes are read as
 * they are written, and judged on the spot:
 *
 *   - ids grow, over gaps too; each event is one of its channels, byte for byte, and comes once;
 *   - what was passed over was wished away, outlived its own ttl, was never meant for it (a ttl of
 *     0, before it connected), or is covered by a gap that was told before anything newer;
 *   - what the journal still keeps is never passed over, unless overflow is drop-oldest;
 *   - what was collapsed or retracted is not begun any more;
 *   - a gap tells of a notification that was indeed lost.
 *
 * A world that fails is run again with operations left out, as long as it fails, and the rest is
 * printed. TEST_SEED=N runs one seed, TEST_SEEDS=N so many. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "message/json.h"
#include "message/sse.h"
#include "support/cm.h"
#include "support/fake_sink.h"
#include "support/stream_reader.h"

enum {
    USERS = 3,
    TOPICS = 3,
    CHANNELS = USERS + TOPICS + 1,
    EVERYONE = CHANNELS - 1,
    MAX_VIEWERS = 256,
    MAX_NOTES = 1024,
    MAX_OPS = 320,
    MAX_DATA = 320,
    MAX_GAPS = 128,
    KEYS = 4,
    RETRY_MS = 1000,
};

static const char *const channel_names[CHANNELS] = {"ann", "bob", "cat", "x", "y", "z", ""};

/* ---- the world ---- */

enum op_kind {
    OP_OPEN,
    OP_CROWD,
    OP_CLOSE,
    OP_BREAK,
    OP_SEND,
    OP_BURST,
    OP_RETRACT,
    OP_ERASE,
    OP_TIME,
    OP_BLOCK,
    OP_UNBLOCK,
    OP_TURN,
    OP_KICK,
    OP_SETTLE,
};

struct op {
    enum op_kind kind;
    uint64_t random; /* all that the operation draws comes from here, so that others may go */
};

struct shape {
    struct manager_options manager;
    struct journal_options journal;
    unsigned max_viewers;
    unsigned user_count; /* that viewers belong to */
};

struct note {
    unsigned channel;
    unsigned collapse_key; /* 0: none */
    uint64_t at_ms;
    uint64_t ttl_ms;
    bool is_kept;      /* the journal has it */
    bool is_lost;      /* a bound of the journal took it ... */
    unsigned lost_at;  /* ... in this step */
    bool is_withdrawn; /* collapsed, retracted or erased */
    bool is_retracted;
    unsigned dropped_at; /* the step in which it was taken out of the journal by wish; 0: none */
    size_t length;
    char data[MAX_DATA];
};

/* A loss that was told: some of what is over `after` and not over `until`. */
struct told {
    uint64_t after;
    uint64_t until;
};

struct viewer {
    struct world *world;
    struct client *client;
    struct fake_sink sink;
    struct stream_reader reader;
    unsigned number;
    unsigned channels;      /* a bit each */
    bool is_open;
    bool is_ending;         /* its bye is due */
    bool is_earliest;
    bool is_stale;          /* its resume id means nothing here */
    bool had_bye;
    uint64_t start;
    uint64_t since;         /* newest number when it was opened */
    unsigned opened_at;
    uint64_t checked;       /* all up to this number was received or is excused */
    uint64_t floor;         /* ids must be over this one */
    unsigned heard_at;      /* the step in which the last event came */
    unsigned retracts_due;
    struct told told[MAX_GAPS];
    unsigned told_count;
    bool retracts[MAX_NOTES];
};

struct key_seen {
    uint64_t seq;
    uint64_t at_ms;
};

struct world {
    struct shape shape;
    struct stats stats;
    struct journal *journal;
    struct notification_manager *manager;
    uint64_t now_ms;
    unsigned step;
    uint64_t random;
    bool is_traced;
    const char *failure; /* the kind of it: the format of `reason`; NULL while all is well */
    char reason[512];
    struct note notes[MAX_NOTES + 1]; /* by number */
    uint64_t head;
    uint64_t serial;
    struct key_seen keys[KEYS + 1];
    struct viewer *viewers[MAX_VIEWERS];
    unsigned viewer_count;            /* so many were opened; those behind it are NULL */
    struct journal_append append;
    bool is_done;
    bool must_look;                   /* the journal has changed since the last look into it */
    bool seen[MAX_NOTES + 1];         /* by one look into the journal */
    uint64_t page_after;
    bool page_more;
};

static const struct slice head = {"HTTP/1.1 200 OK\r\n\r\n", 19};

__attribute__((format(printf, 2, 3))) static void fail_world(struct world *w, const char *format,
                                                             ...)
{
    va_list args;

    if (w->failure != NULL)
        return;
    w->failure = format;
    va_start(args, format);
    vsnprintf(w->reason, sizeof w->reason, format, args);
    va_end(args);
}

#define TRACE(w, ...)                                                                              \
    do {                                                                                           \
        if ((w)->is_traced)                                                                        \
            print_message(__VA_ARGS__);                                                            \
    } while (0)

static unsigned draw(struct world *w, unsigned below)
{
    return (unsigned)(support_random(&w->random) >> 33) % below;
}

static struct channel_name name_of(unsigned channel)
{
    enum channel_kind kind = channel == EVERYONE ? CHANNEL_EVERYONE
                             : channel < USERS   ? CHANNEL_USER
                                                 : CHANNEL_TOPIC;

    return (struct channel_name){kind, slice_of(channel_names[channel])};
}

static bool listens(const struct viewer *v, unsigned channel)
{
    return (v->channels >> channel & 1) != 0;
}

/* ---- what a viewer may miss ---- */

static bool is_expired(const struct world *w, const struct note *n)
{
    return n->ttl_ms != 0 && n->ttl_ms < w->shape.journal.keep_ms &&
           n->at_ms + n->ttl_ms <= w->now_ms;
}

static bool is_told(const struct viewer *v, uint64_t seq)
{
    for (unsigned i = 0; i < v->told_count; i++)
        if (v->told[i].after < seq && seq <= v->told[i].until)
            return true;
    return false;
}

/* Whether the viewer may go without it. */
static bool is_excused(const struct viewer *v, uint64_t seq)
{
    const struct world *w = v->world;
    const struct note *n = &w->notes[seq];
    bool is_drop_oldest = w->shape.manager.overflow == OVERFLOW_DROP_OLDEST;

    if (!listens(v, n->channel) || n->is_withdrawn || is_expired(w, n))
        return true;
    if (n->ttl_ms == 0 && seq <= v->since)
        return true;
    /* `earliest` asks for what is kept when the replay begins: with a queue of one that is when
     * the preamble has left. */
    if (v->is_earliest && n->is_lost && seq <= v->since &&
        (n->lost_at <= v->opened_at || w->shape.manager.queue == 1))
        return true;
    return is_told(v, seq) && (!n->is_kept || is_drop_oldest);
}

/* All below `end` that did not come will not come any more. */
static void check_missing(struct viewer *v, uint64_t end)
{
    for (uint64_t seq = v->checked + 1; seq < end; seq++)
        if (!is_excused(v, seq))
            fail_world(v->world, "viewer %u misses %llu%s, and was told of no gap", v->number,
                       (unsigned long long)seq, v->world->notes[seq].is_kept ? " (kept)" : "");
    if (end > 0 && end - 1 > v->checked)
        v->checked = end - 1;
}

/* ---- what a viewer hears ---- */

static void hear_notification(struct viewer *v, const struct sse_event *event)
{
    struct world *w = v->world;
    const struct note *n;
    uint64_t seq;

    if (id_parse(event->last_event_id, manager_epoch(w->manager), &seq) != 0 || seq == 0 ||
        seq > w->head) {
        fail_world(w, "viewer %u got the id %.*s", v->number, SLICE_ARG(event->last_event_id));
        return;
    }
    n = &w->notes[seq];
    TRACE(w, "        viewer %u gets %llu\n", v->number, (unsigned long long)seq);
    if (seq <= v->floor)
        fail_world(w, "viewer %u got %llu behind %llu", v->number, (unsigned long long)seq,
                   (unsigned long long)v->floor);
    if (!listens(v, n->channel))
        fail_world(w, "viewer %u got %llu, which is not its own", v->number,
                   (unsigned long long)seq);
    if (n->ttl_ms == 0 && seq <= v->since)
        fail_world(w, "viewer %u got %llu, which was for those connected then", v->number,
                   (unsigned long long)seq);
    if (n->dropped_at != 0 && v->heard_at > n->dropped_at) /* else it was begun before */
        fail_world(w, "viewer %u got %llu, which had been taken back", v->number,
                   (unsigned long long)seq);
    if (v->retracts[seq - 1])
        fail_world(w, "viewer %u got %llu after it was retracted", v->number,
                   (unsigned long long)seq);
    if (!slice_equal(event->data, slice_make(n->data, n->length)) || !slice_is(event->type, "e"))
        fail_world(w, "viewer %u got other bytes for %llu", v->number, (unsigned long long)seq);
    check_missing(v, seq);
    v->checked = seq;
    v->floor = seq;
}

/* The member's string without its quotes; empty where there is none. */
static struct slice member(struct slice object, const char *name)
{
    struct slice key;
    struct slice value;
    size_t cursor = 0;

    while (json_object_next(object, &cursor, &key, &value))
        if (json_string_is(key, name))
            return slice_make(value.p + 1, value.n - 2);
    return slice_make("", 0);
}

static void add_told(struct viewer *v, uint64_t after, uint64_t until)
{
    if (v->told_count == MAX_GAPS)
        fail_world(v->world, "viewer %u was told of more than %d gaps", v->number, MAX_GAPS);
    else
        v->told[v->told_count++] = (struct told){after, until};
}

/* Whether anything that the viewer has not got is gone indeed. */
static bool has_loss(const struct viewer *v, uint64_t after, uint64_t resumed_at)
{
    const struct world *w = v->world;

    for (uint64_t seq = after + 1; seq <= w->head; seq++) {
        const struct note *n = &w->notes[seq];

        if (!listens(v, n->channel))
            continue;
        if (n->is_lost || (n->ttl_ms == 0 && seq > v->since))
            return true;
        if (w->shape.manager.overflow == OVERFLOW_DROP_OLDEST && seq <= resumed_at)
            return true;
    }
    return false;
}

static void hear_gap(struct viewer *v, const struct sse_event *event)
{
    struct world *w = v->world;
    const char *epoch = manager_epoch(w->manager);
    struct slice reason = member(event->data, "reason");
    uint64_t after = 0;
    uint64_t resumed_at = 0;

    TRACE(w, "        viewer %u gets gap %.*s\n", v->number, SLICE_ARG(event->data));
    if (id_parse(member(event->data, "resumed_at"), epoch, &resumed_at) != 0 ||
        !slice_equal(member(event->data, "resumed_at"), event->last_event_id))
        fail_world(w, "viewer %u: the gap's id is not where it resumes", v->number);
    if (slice_is(reason, "unknown-id")) {
        if (!v->is_stale || v->told_count > 0 || v->checked > 0 || resumed_at != 0)
            fail_world(w, "viewer %u was told that its id is unknown", v->number);
        add_told(v, 0, v->since);
        return;
    }
    if (!slice_is(reason, "expired") && !slice_is(reason, "overflow"))
        fail_world(w, "viewer %u got a gap for %.*s", v->number, SLICE_ARG(reason));
    if (id_parse(member(event->data, "after"), epoch, &after) != 0 || after < v->floor ||
        resumed_at < after)
        fail_world(w, "viewer %u: a gap from %llu to %llu behind %llu", v->number,
                   (unsigned long long)after, (unsigned long long)resumed_at,
                   (unsigned long long)v->floor);
    if (!has_loss(v, after, resumed_at))
        fail_world(w, "viewer %u was told of a gap behind %llu, and nothing was lost", v->number,
                   (unsigned long long)after);
    check_missing(v, after + 1);
    add_told(v, after, w->head);
    check_missing(v, resumed_at + 1);
    v->floor = resumed_at;
}

static void hear_retract(struct viewer *v, const struct sse_event *event)
{
    struct world *w = v->world;
    uint64_t seq = 0;

    if (id_parse(member(event->data, "id"), manager_epoch(w->manager), &seq) != 0 || seq == 0 ||
        seq > w->head || !w->notes[seq].is_retracted || !listens(v, w->notes[seq].channel)) {
        fail_world(w, "viewer %u was told to retract %.*s", v->number, SLICE_ARG(event->data));
        return;
    }
    if (v->retracts[seq - 1] || v->retracts_due == 0)
        fail_world(w, "viewer %u was told twice to retract %llu", v->number,
                   (unsigned long long)seq);
    v->retracts[seq - 1] = true;
    v->retracts_due--;
}

static int hear_event(void *arg, const struct sse_event *event)
{
    struct viewer *v = arg;

    if (v->had_bye)
        fail_world(v->world, "viewer %u got something behind its bye", v->number);
    if (slice_is(event->type, "gap")) {
        hear_gap(v, event);
    } else if (slice_is(event->type, "retract")) {
        hear_retract(v, event);
    } else if (slice_is(event->type, "bye")) {
        v->had_bye = true;
        if (!v->is_ending)
            fail_world(v->world, "viewer %u was told bye", v->number);
    } else if (!slice_is(event->type, "ping")) {
        hear_notification(v, event);
    }
    v->heard_at = v->world->step;
    return 0;
}

static void look_into_journal(struct world *w);

static void on_bytes(void *ctx, struct slice bytes)
{
    struct viewer *v = ctx;
    int status;

    if (v->world->must_look) /* these come while something is being sent */
        look_into_journal(v->world);
    status = stream_reader_feed(&v->reader, bytes);
    if (status != 0)
        fail_world(v->world, "viewer %u cannot read its bytes: %d", v->number, status);
}

static void on_close(void *ctx)
{
    struct viewer *v = ctx;
    struct world *w = v->world;

    TRACE(w, "        viewer %u is closed\n", v->number);
    if (!v->is_open)
        fail_world(w, "viewer %u was closed twice", v->number);
    if (!v->is_ending && v->sink.error == 0 && w->shape.manager.overflow != OVERFLOW_DISCONNECT)
        fail_world(w, "viewer %u was closed for no reason", v->number);
    if (v->sink.is_graceful && !v->had_bye)
        fail_world(w, "viewer %u was closed without a bye", v->number);
    v->is_open = false;
}

static const struct sse_handlers viewer_handlers = {.on_event = hear_event};

/* ---- the journal is asked what it keeps ---- */

struct look {
    struct journal_read read; /* first, so that it is the look */
    struct world *world;
};

static void on_page(struct journal_read *read, const struct journal_page *page)
{
    struct world *w = ((struct look *)read)->world;

    for (size_t i = 0; i < page->count; i++)
        w->seen[page->messages[i]->seq] = true;
    w->page_after = page->covered;
    w->page_more = page->covered < w->head;
}

static void check_bounds(struct world *w)
{
    size_t kept[CHANNELS] = {0};
    struct journal_status status;

    journal_get_status(w->journal, &status);
    for (uint64_t seq = 1; seq <= w->head; seq++)
        kept[w->notes[seq].channel] += w->notes[seq].is_kept;
    for (unsigned i = 0; i < USERS; i++)
        if (kept[i] > w->shape.journal.keep_per_user)
            fail_world(w, "the journal keeps %zu of %s", kept[i], channel_names[i]);
    if (status.bytes > w->shape.journal.keep_bytes && status.entries > 1)
        fail_world(w, "the journal keeps %zu bytes", status.bytes);
    if (status.head != w->head)
        fail_world(w, "the journal's head is %llu", (unsigned long long)status.head);
}

static void look_into_journal(struct world *w)
{
    struct channel_name names[CHANNELS];
    struct look look = {
        .read = {.channels = names, .channel_count = CHANNELS, .on_page = on_page,
                 .max_entries = 100, .max_bytes = SIZE_MAX},
        .world = w,
    };

    for (unsigned i = 0; i < CHANNELS; i++)
        names[i] = name_of(i);
    memset(w->seen, 0, sizeof w->seen);
    w->must_look = false;
    w->page_after = 0;
    do {
        look.read.after = w->page_after;
        journal_read(w->journal, &look.read);
    } while (w->page_more);
    for (uint64_t seq = 1; seq <= w->head; seq++) {
        struct note *n = &w->notes[seq];

        if (w->seen[seq] && !n->is_kept)
            fail_world(w, "%llu came back into the journal", (unsigned long long)seq);
        if (n->is_kept && !w->seen[seq] && !n->is_withdrawn && !is_expired(w, n)) {
            n->is_lost = true;
            n->lost_at = w->step;
            TRACE(w, "        %llu is lost\n", (unsigned long long)seq);
        }
        n->is_kept = w->seen[seq];
    }
    check_bounds(w);
}

/* ---- operations ---- */

static struct viewer *any_viewer(struct world *w)
{
    unsigned open = 0;
    unsigned chosen;

    for (unsigned i = 0; i < w->viewer_count; i++)
        open += w->viewers[i]->is_open;
    if (open == 0)
        return NULL;
    chosen = draw(w, open);
    for (unsigned i = 0;; i++)
        if (w->viewers[i]->is_open && chosen-- == 0)
            return w->viewers[i];
}

static unsigned open_viewers(const struct world *w, unsigned channel)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->viewer_count; i++)
        n += w->viewers[i]->is_open && listens(w->viewers[i], channel);
    return n;
}

/* The resume id, written to `text`; sets what the viewer may expect of it. */
static struct slice draw_resume(struct world *w, struct viewer *v, char *text, size_t size)
{
    const char *epoch = manager_epoch(w->manager);

    switch (draw(w, 8)) {
    case 0:
    case 1:
    case 2:
        v->start = draw(w, (unsigned)w->head + 1);
        if (draw(w, 2) == 0 && w->head > 6)
            v->start = w->head - draw(w, 6);
        snprintf(text, size, "%s-%llu", epoch, (unsigned long long)v->start);
        return slice_of(text);
    case 3:
        v->is_earliest = true;
        return slice_make(NULL, 0);
    case 4:
        v->is_stale = true;
        switch (draw(w, 4)) {
        case 0:
            snprintf(text, size, "other000-%u", draw(w, 20));
            break;
        case 1:
            snprintf(text, size, "%s-%llu", epoch, (unsigned long long)w->head + 1 + draw(w, 9));
            break;
        case 2:
            snprintf(text, size, "%s-x\"\\", epoch);
            break;
        default:
            snprintf(text, size, "%s-007", epoch);
        }
        return slice_of(text);
    default:
        v->start = w->head;
        return slice_make(NULL, 0);
    }
}

static void draw_room(struct world *w, struct viewer *v)
{
    v->sink.room = draw(w, 3) == 0 ? draw(w, 600) : FAKE_SINK_ENDLESS;
    v->sink.most = draw(w, 4) == 0 ? 1 + draw(w, 100) : 0;
}

static void op_open(struct world *w)
{
    struct viewer *v;
    struct slice topics[TOPICS + 1];
    char resume[64];
    struct client_options o = {.topics = topics, .ops = &fake_sink_ops, .head = head};
    unsigned user = draw(w, w->shape.user_count);

    if (w->viewer_count == MAX_VIEWERS || manager_stream_count(w->manager) >= w->shape.max_viewers)
        return;
    v = calloc(1, sizeof *v);
    assert_non_null(v);
    w->viewers[w->viewer_count] = v;
    v->world = w;
    v->number = w->viewer_count++;
    v->since = w->head;
    v->opened_at = w->step;
    v->channels = 1u << user | 1u << EVERYONE;
    o.topic_count = draw(w, 4);
    for (size_t i = 0; i < o.topic_count; i++) {
        unsigned topic = USERS + draw(w, TOPICS);

        topics[i] = slice_of(channel_names[topic]);
        v->channels |= 1u << topic;
    }
    o.resume = draw_resume(w, v, resume, sizeof resume);
    o.from_earliest = v->is_earliest;
    o.user = slice_of(channel_names[user]);
    o.is_chunked = draw(w, 2) == 0;
    o.has_ping_events = draw(w, 2) == 0;
    o.sink = &v->sink;
    v->sink.on_bytes = on_bytes;
    v->sink.on_close = on_close;
    v->sink.ctx = v;
    draw_room(w, v);
    v->checked = v->start;
    v->floor = v->start;
    assert_int_equal(stream_reader_init(&v->reader, head, o.is_chunked, &viewer_handlers, v), 0);
    v->is_open = true;
    v->client = client_open(w->manager, &o, w->now_ms);
    TRACE(w, "    open viewer %u: channels %02x, resume \"%.*s\"%s, room %zd\n", v->number,
          v->channels, SLICE_ARG(o.resume), v->is_earliest ? " earliest" : "",
          (ssize_t)v->sink.room);
    if (v->client == NULL)
        fail_world(w, "viewer %u was not opened", v->number);
}

static void op_crowd(struct world *w)
{
    unsigned n = w->shape.max_viewers > 64 ? 80 : 3;

    for (unsigned i = 0; i < n; i++)
        op_open(w);
}

static void op_close(struct world *w)
{
    struct viewer *v = any_viewer(w);

    if (v == NULL)
        return;
    TRACE(w, "    viewer %u leaves\n", v->number);
    v->is_open = false;
    client_on_closed(v->client);
}

static void op_break(struct world *w)
{
    struct viewer *v = any_viewer(w);

    if (v != NULL)
        v->sink.error = -ECONNRESET;
}

static void on_done(struct journal_append *append)
{
    struct world *w = (struct world *)((char *)append - offsetof(struct world, append));

    w->is_done = true;
}

/* Data that tells itself from all other, of one line or several. */
static void draw_data(struct world *w, struct note *n)
{
    size_t most = draw(w, 4) == 0 ? 280 : 24;
    size_t filler = draw(w, (unsigned)most);

    n->length = (size_t)snprintf(n->data, 24, "%llu:", (unsigned long long)++w->serial);
    for (size_t i = 0; i < filler; i++)
        n->data[n->length++] = "abc\n d:"[draw(w, 7)];
}

static uint64_t draw_ttl(struct world *w)
{
    unsigned r = draw(w, 20);

    return r < 12 ? TTL_DEFAULT : r < 15 ? 0 : 100 + draw(w, 4000);
}

/* The model's own list of keys; a repeat is one within the window. */
static bool is_repeat(const struct world *w, unsigned key)
{
    const struct key_seen *k = &w->keys[key];

    return key != 0 && k->seq != 0 &&
           w->now_ms - k->at_ms < w->shape.journal.idempotency_window_ms;
}

/* The journal took it: what is true from now on. It is written down before the manager hears of
 * it, as viewers judge while it is delivered. */
static void note_sent(struct world *w, const struct note *n, unsigned key)
{
    w->notes[++w->head] = *n;
    w->notes[w->head].is_kept = n->ttl_ms != 0;
    if (key != 0)
        w->keys[key] = (struct key_seen){w->head, w->now_ms};
    if (n->collapse_key == 0)
        return;
    for (uint64_t seq = 1; seq < w->head; seq++) {
        struct note *older = &w->notes[seq];

        if (older->channel != n->channel || older->collapse_key != n->collapse_key)
            continue;
        older->is_withdrawn = true;
        if (older->is_kept)
            older->dropped_at = w->step;
    }
}

static void send_one(struct world *w, unsigned channel)
{
    static const char *const keys[KEYS + 1] = {"", "k1", "k2", "k3", "k4"};
    struct note n = {.channel = channel, .at_ms = w->now_ms, .ttl_ms = draw_ttl(w)};
    unsigned key = draw(w, 6) == 0 ? 1 + draw(w, KEYS) : 0;
    struct notification sent = {.to = name_of(channel), .event = SLICE_LITERAL("e")};
    bool is_duplicate = is_repeat(w, key);
    uint64_t expected;
    unsigned streams = 0;

    if (w->head == MAX_NOTES)
        return;
    n.collapse_key = draw(w, 5) == 0 ? 1 + draw(w, 3) : 0;
    draw_data(w, &n);
    sent.data = slice_make(n.data, n.length);
    sent.ttl_ms = n.ttl_ms;
    sent.collapse_key = slice_of(keys[n.collapse_key]);
    sent.idempotency_key = slice_of(keys[key]);
    expected = is_duplicate ? w->keys[key].seq : w->head + 1;
    TRACE(w, "    send %llu to \"%s\": %zu bytes, ttl %lld, collapse %u, key %u%s\n",
          (unsigned long long)expected, channel_names[channel], n.length, (long long)n.ttl_ms,
          n.collapse_key, key, is_duplicate ? " (repeat)" : "");
    if (!is_duplicate) {
        note_sent(w, &n, key);
        streams = open_viewers(w, channel);
    }
    w->append = (struct journal_append){.on_done = on_done};
    w->is_done = false;
    w->must_look = true;
    manager_send_notification(w->manager, &sent, 1000000 + w->now_ms, &w->append);
    if (!w->is_done || w->append.status != 0 || w->append.is_duplicate != is_duplicate ||
        w->append.seq != expected || w->append.streams != streams)
        fail_world(w, "send: done %d, status %d, duplicate %d, number %llu, streams %u of %u",
                   w->is_done, w->append.status, w->append.is_duplicate,
                   (unsigned long long)w->append.seq, w->append.streams, streams);
    look_into_journal(w);
}

static unsigned draw_channel(struct world *w)
{
    unsigned r = draw(w, 10);

    if (r < 5)
        return draw(w, w->shape.user_count);
    return r < 8 ? USERS + draw(w, TOPICS) : EVERYONE;
}

static void op_burst(struct world *w)
{
    unsigned channel = draw_channel(w);

    for (unsigned n = 2 + draw(w, 12); n > 0; n--)
        send_one(w, draw(w, 4) == 0 ? draw_channel(w) : channel);
}

static void on_removed(struct journal_removal *removal)
{
    (void)removal; /* the memory journal is done within the call */
}

static void op_retract(struct world *w)
{
    uint64_t seq;
    struct note *n;
    bool was_kept;
    struct journal_removal removal = {.on_done = on_removed};

    if (w->head == 0)
        return;
    seq = 1 + draw(w, (unsigned)w->head);
    if (draw(w, 2) == 0 && w->head > 4)
        seq = w->head - draw(w, 4);
    n = &w->notes[seq];
    was_kept = n->is_kept;
    TRACE(w, "    retract %llu\n", (unsigned long long)seq);
    if (was_kept) {
        n->is_withdrawn = true;
        n->is_retracted = true;
        n->dropped_at = w->step;
        for (unsigned i = 0; i < w->viewer_count; i++) {
            struct viewer *v = w->viewers[i];

            v->retracts_due += v->is_open && !v->is_ending && listens(v, n->channel);
        }
    }
    journal_retract(w->journal, name_of(n->channel), seq, &removal);
    if (removal.count != was_kept)
        fail_world(w, "retracting %llu: kept %d", (unsigned long long)seq, was_kept);
    look_into_journal(w);
}

static void op_erase(struct world *w)
{
    unsigned channel = draw(w, CHANNELS);
    size_t kept = 0;
    struct journal_removal removal = {.on_done = on_removed};

    TRACE(w, "    erase \"%s\"\n", channel_names[channel]);
    for (uint64_t seq = 1; seq <= w->head; seq++) {
        if (w->notes[seq].channel != channel)
            continue;
        kept += w->notes[seq].is_kept;
        w->notes[seq].is_withdrawn = true;
    }
    /* What outlived its ttl may be there still: it is not shown, and goes in turn. */
    journal_erase(w->journal, name_of(channel), &removal);
    if (removal.count < kept)
        fail_world(w, "erasing %s left something", channel_names[channel]);
    look_into_journal(w);
}

static void op_time(struct world *w)
{
    w->now_ms += 1 + draw(w, draw(w, 6) == 0 ? 9000 : 900);
    TRACE(w, "    time %llu\n", (unsigned long long)w->now_ms);
    journal_tick(w->journal, w->now_ms);
    look_into_journal(w);
    manager_tick(w->manager, w->now_ms);
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *v = w->viewers[i];

        if (v->is_open && v->sink.due_ms <= w->now_ms)
            client_on_deadline(v->client, w->now_ms);
    }
}

static void op_block(struct world *w)
{
    struct viewer *v = any_viewer(w);

    if (v == NULL)
        return;
    v->sink.room = draw(w, 2) == 0 ? 0 : draw(w, 400);
    TRACE(w, "    viewer %u has room for %zu\n", v->number, v->sink.room);
}

static void op_unblock(struct world *w)
{
    struct viewer *v = any_viewer(w);
    size_t room = draw(w, 2) == 0 ? FAKE_SINK_ENDLESS : 1 + draw(w, 500);

    if (v == NULL)
        return;
    TRACE(w, "    viewer %u takes %zd more\n", v->number, (ssize_t)room);
    fake_sink_open_up(&v->sink, v->client, room, w->now_ms);
}

static void op_kick(struct world *w)
{
    struct viewer *v = any_viewer(w);
    bool is_one = draw(w, 2) == 0;
    unsigned expected = 0;
    unsigned user = 0;
    size_t kicked;

    if (v == NULL)
        return;
    while (!listens(v, user))
        user++;
    TRACE(w, "    kick %s of %s\n", is_one ? "one" : "all", channel_names[user]);
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *at = w->viewers[i];

        if (!at->is_open || at->is_ending || (is_one ? at != v : !listens(at, user)))
            continue;
        at->is_ending = true;
        expected++;
    }
    kicked = manager_kick(w->manager, slice_of(channel_names[user]),
                          is_one ? client_id(v->client) : 0);
    if (kicked != expected)
        fail_world(w, "kicked %zu of %u", kicked, expected);
}

static void check_settled(struct world *w)
{
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *v = w->viewers[i];

        if (!v->is_open)
            continue;
        if (v->is_ending)
            fail_world(w, "viewer %u was never closed", v->number);
        check_missing(v, w->head + 1);
        if (v->retracts_due != 0)
            fail_world(w, "viewer %u was not told to retract %u", v->number, v->retracts_due);
    }
}

/* Everybody takes everything, until there is nothing more to do. */
static void op_settle(struct world *w)
{
    TRACE(w, "    settle\n");
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *v = w->viewers[i];

        v->sink.most = 0;
        if (v->is_open)
            fake_sink_open_up(&v->sink, v->client, FAKE_SINK_ENDLESS, w->now_ms);
    }
    for (unsigned turns = 0; manager_turn_end(w->manager, w->now_ms); turns++) {
        if (turns > 10000) {
            fail_world(w, "the turns have no end");
            return;
        }
    }
    check_settled(w);
}

static void op_send(struct world *w)
{
    send_one(w, draw_channel(w));
}

static void op_turn(struct world *w)
{
    TRACE(w, "    turn\n");
    manager_turn_end(w->manager, w->now_ms);
}

static void (*const operations[])(struct world *w) = {
    [OP_OPEN] = op_open,       [OP_CROWD] = op_crowd,     [OP_CLOSE] = op_close,
    [OP_BREAK] = op_break,     [OP_SEND] = op_send,       [OP_BURST] = op_burst,
    [OP_RETRACT] = op_retract, [OP_ERASE] = op_erase,     [OP_TIME] = op_time,
    [OP_BLOCK] = op_block,     [OP_UNBLOCK] = op_unblock, [OP_TURN] = op_turn,
    [OP_KICK] = op_kick,       [OP_SETTLE] = op_settle,
};

static void apply(struct world *w, const struct op *op)
{
    w->random = op->random | 1;
    w->step++;
    operations[op->kind](w);
}

/* What must hold between any two operations. */
static void check_counts(struct world *w)
{
    unsigned open = open_viewers(w, EVERYONE);

    if (manager_stream_count(w->manager) != open || w->stats.streams_open != open)
        fail_world(w, "%zu streams are counted, %u are open", manager_stream_count(w->manager),
                   open);
    for (unsigned i = 0; i < USERS; i++)
        if (manager_user_stream_count(w->manager, slice_of(channel_names[i])) !=
            open_viewers(w, i))
            fail_world(w, "the streams of %s are not counted well", channel_names[i]);
}

/* ---- a run, and the search for a shorter one ---- */

static unsigned pick(uint64_t *random, unsigned low, unsigned high)
{
    return low + (unsigned)(support_random(random) >> 33) % (high - low + 1);
}

static struct shape make_shape(uint64_t *random)
{
    static const size_t bytes[] = {400, 900, 2500, 8000, 1 << 20};
    struct shape s = {.user_count = pick(random, 1, USERS)};
    bool is_crowd = pick(random, 0, 7) == 0;

    s.journal.keep_ms = pick(random, 0, 2) == 0 ? pick(random, 500, 6000) : 1000000;
    s.journal.keep_per_user = pick(random, 2, 20);
    s.journal.keep_bytes = bytes[pick(random, 1, 4)];
    s.journal.idempotency_window_ms = pick(random, 0, 3) == 0 ? 0 : pick(random, 200, 5000);
    s.manager.heartbeat_ms = pick(random, 500, 5000);
    s.manager.retry_ms = RETRY_MS;
    s.manager.queue = pick(random, 1, 8);
    s.manager.overflow = (enum manager_overflow)pick(random, 0, 2);
    s.manager.window_bytes = bytes[pick(random, 0, 4)];
    s.manager.keep_ms = s.journal.keep_ms;
    s.manager.keep_per_user = s.journal.keep_per_user;
    s.max_viewers = is_crowd ? 200 : pick(random, 1, 12);
    return s;
}

/* What is done how often, in percent; and in a crowd, where openings come eighty at a time. */
static size_t make_ops(uint64_t *random, bool is_crowd, struct op *ops)
{
    static const struct {
        enum op_kind kind;
        unsigned percent;
    } mix[] = {
        {OP_SEND, 30},   {OP_BURST, 8}, {OP_OPEN, 12},   {OP_CLOSE, 4}, {OP_BREAK, 1},
        {OP_RETRACT, 4}, {OP_ERASE, 1}, {OP_TIME, 8},    {OP_BLOCK, 8}, {OP_UNBLOCK, 9},
        {OP_TURN, 12},   {OP_KICK, 1},  {OP_SETTLE, 2},
    };
    size_t n = pick(random, 20, is_crowd ? 80 : MAX_OPS);

    for (size_t i = 0; i < n; i++) {
        unsigned r = pick(random, 0, 99);
        size_t k = 0;

        while (r >= mix[k].percent)
            r -= mix[k++].percent;
        ops[i] = (struct op){mix[k].kind, support_random(random)};
        if (is_crowd && pick(random, 0, 9) == 0)
            ops[i].kind = OP_CROWD;
    }
    return n;
}

static void end_world(struct world *w)
{
    notification_manager_destroy(w->manager);
    journal_close(w->journal);
    for (unsigned i = 0; i < w->viewer_count; i++) {
        stream_reader_fini(&w->viewers[i]->reader);
        fake_sink_fini(&w->viewers[i]->sink);
        free(w->viewers[i]);
    }
}

/* Whether all was well; else `reason` is in the world. */
static bool run_world(struct world *w, const struct shape *shape, const struct op *ops, size_t n,
                      bool is_traced)
{
    static const struct op last = {OP_SETTLE, 1};
    struct error why;

    memset(w, 0, sizeof *w);
    w->shape = *shape;
    w->is_traced = is_traced;
    w->now_ms = 5000;
    w->journal = journal_open("memory", &shape->journal, NULL, &w->stats, &why);
    assert_non_null(w->journal);
    w->manager = notification_manager_create(&shape->manager, w->journal, &w->stats);
    assert_non_null(w->manager);
    journal_tick(w->journal, w->now_ms);
    manager_tick(w->manager, w->now_ms);
    for (size_t i = 0; i <= n && w->failure == NULL; i++) {
        apply(w, i < n ? &ops[i] : &last);
        if (w->failure == NULL)
            check_counts(w);
    }
    end_world(w);
    return w->failure == NULL;
}

/* Leaves out what it can, in ever smaller pieces, while the world still fails in that way. */
static size_t shrink(struct world *w, const struct shape *shape, struct op *ops, size_t n)
{
    const char *failure = w->failure;

    for (size_t piece = n / 2; piece > 0; piece /= 2) {
        for (size_t at = 0; at < n;) {
            struct op fewer[MAX_OPS];
            size_t part = piece < n - at ? piece : n - at;

            memcpy(fewer, ops, at * sizeof ops[0]);
            memcpy(fewer + at, ops + at + part, (n - at - part) * sizeof ops[0]);
            if (run_world(w, shape, fewer, n - part, false) || w->failure != failure) {
                at += part;
                continue;
            }
            n -= part;
            memcpy(ops, fewer, n * sizeof ops[0]);
        }
    }
    return n;
}

static void explain(struct world *w, uint64_t seed, const struct shape *s, struct op *ops, size_t n)
{
    print_error("seed %llu: %s\n", (unsigned long long)seed, w->reason);
    n = shrink(w, s, ops, n);
    print_error("queue %u, overflow %d, window %zu bytes; kept: %zu bytes, %zu a user, %llu ms\n",
                s->manager.queue, (int)s->manager.overflow, s->manager.window_bytes,
                s->journal.keep_bytes, s->journal.keep_per_user,
                (unsigned long long)s->journal.keep_ms);
    run_world(w, s, ops, n, true);
    print_error("  %s\n", w->reason);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* A crowd costs thirty times as much: it is one world in eight. */
static void nothing_is_lost_in_silence_and_no_gap_is_told_for_nothing(void **state)
{
    struct world *w = malloc(sizeof *w);
    uint64_t one = number_from("TEST_SEED", 0);
    uint64_t count = number_from("TEST_SEEDS", support_is_slow() ? 40 : 3000);
    unsigned failures = 0;

    (void)state;
    assert_non_null(w);
    for (uint64_t i = 0; i < count && failures < 1; i++) {
        uint64_t seed = one != 0 ? one : i + 1;
        uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;
        struct shape shape;
        struct op ops[MAX_OPS];
        size_t n;

        support_random(&random);
        shape = make_shape(&random);
        n = make_ops(&random, shape.max_viewers > 64, ops);
        if (!run_world(w, &shape, ops, n, false)) {
            explain(w, seed, &shape, ops, n);
            failures++;
        }
        if (one != 0)
            break;
    }
    free(w);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_in_silence_and_no_gap_is_told_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
