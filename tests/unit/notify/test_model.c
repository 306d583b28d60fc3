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
 *   - with drop-oldest as much comes after a stop as the queue holds, and the newest of it; with
 *     disconnect a stream is ended when what it is owed does not fit its queue, and only then;
 *   - what was collapsed or retracted is not begun any more; each retract is told, or a gap for
 *     more of them than there is room for;
 *   - a gap tells of a notification that was indeed lost, and resumes right before what comes next;
 *   - a bye has the right reason and reconnect time, comes in time, and nothing comes behind it but
 *     the last chunk.
 *
 * In some worlds the journal takes its time for a page, or fails to read it: mk/test-pages.mk links
 * this program with journal_read and journal_cancel wrapped.
 *
 * A world that fails is run again with operations left out, as long as it fails, and the rest is
 * printed. TEST_SEED=N runs one seed, TEST_SEEDS=N so many. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/json.h"
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
    LONG_MS = 1000000, /* an age that nothing reaches */
    TICK_MS = 100,     /* in which a drain counts */
    BYE_MS = 5000,     /* that a stream has to take its bye */
    RETRACT_ROOM = 64, /* retracts that a full queue takes all the same */
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
    OP_PAGE,
    OP_DRAIN,
    OP_STORM,
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
    bool is_async;       /* the journal's pages come later */
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
    unsigned wished_at;  /* the step in which it became withdrawn */
    size_t length;
    char data[MAX_DATA];
};

/* A loss that was told: some of what is over `after` and not over `until`. */
struct told {
    uint64_t after;
    uint64_t until;
    bool is_proved; /* some of it did not come indeed */
};

enum retract { RETRACT_NONE, RETRACT_DUE, RETRACT_EXCUSED, RETRACT_TOLD };

struct viewer {
    struct world *world;
    struct client *client;
    struct fake_sink sink;
    struct stream_reader reader;
    unsigned number;
    unsigned channels;      /* a bit each */
    bool is_open;
    const char *bye;        /* the reason of the bye that is due; NULL: none is */
    uint64_t ended_ms;      /* when that became due */
    uint64_t opened_ms;
    bool had_retry;
    uint64_t bye_retry_ms;  /* told with the bye; 0: none */
    bool is_earliest;
    bool is_stale;          /* its resume id means nothing here */
    bool had_bye;
    uint64_t start;
    uint64_t since;         /* newest number when it was opened */
    unsigned opened_at;
    uint64_t checked;       /* all up to this number was received or is excused */
    uint64_t floor;         /* ids must be over this one */
    unsigned heard_at;      /* the step in which the last event came, ... */
    uint64_t heard_ms;      /* ... and when that was */
    bool is_slow;           /* its socket did not take everything at once */
    bool may_be_live;       /* what it resumed with may have been behind it once */
    bool is_live;           /* it was */
    uint64_t resumed_at;    /* of the last gap, while no notification came since */
    uint64_t known_until;   /* told by the gaps before that one */
    bool is_place_due;
    uint64_t drop_head;     /* up to this number ... */
    unsigned drop_left;     /* ... so many more may come; that number 0: any */
    struct told told[MAX_GAPS];
    unsigned told_count;
    unsigned retracts_told;
    unsigned char retracts[MAX_NOTES + 1]; /* enum retract, by number */
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
    uint64_t lost[CHANNELS];          /* the highest number that the journal lost */
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
    struct journal_read *pages[MAX_VIEWERS]; /* asked for, and not there yet */
    unsigned page_count;
    bool has_failed_page;             /* since everybody's last deadline */
    bool has_walk;                    /* some may not have been visited yet */
    uint64_t drain_ms;
    uint64_t drain_end_ms;            /* 0: no drain */
};

static struct world *the_world; /* that runs now, for what is wrapped */

/* How the reconnect times of a drain lie in the room that they have, over all worlds. */
static unsigned retry_quarters[4];

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

/* Whether the window has it for sure, where it was not wished away: all but a user's goes in order,
 * and as many as are in the window cannot all be newer. */
static bool is_in_window(const struct world *w, uint64_t seq)
{
    return w->notes[seq].channel >= USERS && seq + w->stats.window_entries > w->head;
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
        (n->lost_at <= v->opened_at || w->shape.manager.queue == 1 || w->shape.is_async))
        return true;
    return is_told(v, seq) && (is_drop_oldest || !(n->is_kept || is_in_window(w, seq)));
}

/* Whether it is one that the viewer was to have, and a bound may have taken. One that the window
 * had lost before it was withdrawn counts, where the journal has lost newer ones: both go by the
 * highest number of a channel. */
static bool may_be_lost(const struct viewer *v, uint64_t seq)
{
    const struct world *w = v->world;
    const struct note *n = &w->notes[seq];

    return listens(v, n->channel) &&
           (n->is_lost || (n->ttl_ms == 0 && seq > v->since) ||
            (n->is_withdrawn && seq < w->lost[n->channel]) ||
            w->shape.manager.overflow == OVERFLOW_DROP_OLDEST);
}

/* It did not come: the gaps that told of it were told for something. */
static void prove(struct viewer *v, uint64_t seq)
{
    if (!may_be_lost(v, seq))
        return;
    for (unsigned i = 0; i < v->told_count; i++)
        if (v->told[i].after < seq && seq <= v->told[i].until)
            v->told[i].is_proved = true;
}

/* How many that are there for it the viewer has not got yet. */
static unsigned owed(const struct viewer *v)
{
    const struct world *w = v->world;
    unsigned n = 0;

    for (uint64_t seq = v->checked + 1; seq <= w->head; seq++) {
        const struct note *note = &w->notes[seq];

        n += listens(v, note->channel) && note->is_kept && !note->is_withdrawn &&
             !is_expired(w, note);
    }
    return n;
}

/* All below `end` that did not come will not come any more. */
static void check_missing(struct viewer *v, uint64_t end)
{
    for (uint64_t seq = v->checked + 1; seq < end; seq++) {
        if (!is_excused(v, seq))
            fail_world(v->world, "viewer %u misses %llu%s, and was told of no gap", v->number,
                       (unsigned long long)seq, v->world->notes[seq].is_kept ? " (kept)" : "");
        prove(v, seq);
    }
    if (end > 0 && end - 1 > v->checked)
        v->checked = end - 1;
}

/* ---- what a viewer hears ---- */

/* `seq` is the first behind a gap, which should resume right before it. That one may be withdrawn
 * since; or nothing was there then, and nothing was lost since. */
static void check_place(const struct viewer *v, uint64_t seq)
{
    const struct world *w = v->world;
    const struct note *next = &w->notes[v->resumed_at + 1];

    if (listens(v, next->channel) && (next->is_withdrawn || is_expired(w, next)))
        return;
    for (uint64_t at = v->resumed_at + 1; at < seq; at++) {
        const struct note *n = &w->notes[at];

        if (at > v->known_until && listens(v, n->channel) && n->is_lost && !n->is_withdrawn &&
            !is_expired(w, n))
            fail_world(v->world, "viewer %u: a gap ends at %llu, but %llu was lost as well",
                       v->number, (unsigned long long)v->resumed_at, (unsigned long long)at);
    }
}

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
    if (n->ttl_ms != 0 && n->ttl_ms < w->shape.journal.keep_ms &&
        n->at_ms + n->ttl_ms <= v->opened_ms)
        fail_world(w, "viewer %u got %llu, which was over when it came", v->number,
                   (unsigned long long)seq);
    if (n->dropped_at != 0 && v->heard_at > n->dropped_at) /* else it was begun before */
        fail_world(w, "viewer %u got %llu, which had been taken back", v->number,
                   (unsigned long long)seq);
    if (v->retracts[seq] == RETRACT_TOLD)
        fail_world(w, "viewer %u got %llu after it was retracted", v->number,
                   (unsigned long long)seq);
    if (!slice_equal(event->data, slice_make(n->data, n->length)) || !slice_is(event->type, "e"))
        fail_world(w, "viewer %u got other bytes for %llu", v->number, (unsigned long long)seq);
    if (v->is_place_due)
        check_place(v, seq);
    v->is_place_due = false;
    if (seq <= v->drop_head && v->drop_left-- == 0)
        fail_world(w, "viewer %u got %llu and had its queue full of others", v->number,
                   (unsigned long long)seq);
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
        v->told[v->told_count++] = (struct told){after, until, false};
}

/* Drop-oldest has passed over something that is kept: but not over any of the newest that were
 * there then. That was when the event before the gap had been written, or later. */
static void check_dropped(struct viewer *v, uint64_t resumed_at)
{
    const struct world *w = v->world;
    unsigned left = 0;
    bool has_dropped = false;

    if (w->shape.manager.overflow != OVERFLOW_DROP_OLDEST || w->stats.window_evicted > 0)
        return; /* what is not in the window any more is dropped too */
    for (uint64_t seq = v->checked + 1; seq <= w->head; seq++) {
        const struct note *n = &w->notes[seq];
        bool was_there = listens(v, n->channel) &&
                         (!n->is_withdrawn || n->wished_at >= v->heard_at) &&
                         (n->ttl_ms == 0 || n->ttl_ms >= w->shape.journal.keep_ms ||
                          n->at_ms + n->ttl_ms > v->heard_ms);

        if (seq <= resumed_at)
            has_dropped = has_dropped || (was_there && n->is_kept);
        else
            left += was_there;
    }
    if (has_dropped && left < w->shape.manager.queue)
        fail_world(v->world, "viewer %u: only %u are left behind a gap up to %llu", v->number,
                   left, (unsigned long long)resumed_at);
}

/* Whether a viewer that is not slow may lack anything: what is sent to a topic or to everyone while
 * a walk is under way may go by bytes before it gets there, and everything by age; but nothing of
 * its user's. */
static bool may_lack_public(const struct viewer *v)
{
    const struct world *w = v->world;

    for (uint64_t seq = v->checked + 1; seq <= w->head; seq++)
        if (w->notes[seq].channel >= USERS && may_be_lost(v, seq))
            return true;
    return w->shape.journal.keep_ms < LONG_MS || w->shape.is_async;
}

/* A gap may stand for retracts: more than there was room for, all but a few told before it. */
static bool excuse_retracts(struct viewer *v)
{
    bool is_any = false;

    if (v->retracts_told < RETRACT_ROOM - 2)
        return false;
    for (uint64_t seq = 1; seq <= v->world->head; seq++) {
        if (v->retracts[seq] != RETRACT_DUE)
            continue;
        v->retracts[seq] = RETRACT_EXCUSED;
        is_any = true;
    }
    return is_any;
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
    bool is_for_retracts;

    TRACE(w, "        viewer %u gets gap %.*s\n", v->number, SLICE_ARG(event->data));
    if (id_parse(member(event->data, "resumed_at"), epoch, &resumed_at) != 0 ||
        !slice_equal(member(event->data, "resumed_at"), event->last_event_id))
        fail_world(w, "viewer %u: the gap's id is not where it resumes", v->number);
    if (slice_is(reason, "unknown-id")) {
        if (!v->is_stale || v->told_count > 0 || v->checked > 0 || resumed_at != 0)
            fail_world(w, "viewer %u was told that its id is unknown", v->number);
        add_told(v, 0, v->since);
        v->told[0].is_proved = true;
        return;
    }
    if (!slice_is(reason, "expired") && !slice_is(reason, "overflow"))
        fail_world(w, "viewer %u got a gap for %.*s", v->number, SLICE_ARG(reason));
    if (id_parse(member(event->data, "after"), epoch, &after) != 0 || after < v->floor ||
        resumed_at < after)
        fail_world(w, "viewer %u: a gap from %llu to %llu behind %llu", v->number,
                   (unsigned long long)after, (unsigned long long)resumed_at,
                   (unsigned long long)v->floor);
    is_for_retracts = slice_is(reason, "overflow") && excuse_retracts(v);
    if (!is_for_retracts && !has_loss(v, after, resumed_at))
        fail_world(w, "viewer %u was told of a gap behind %llu, and nothing was lost", v->number,
                   (unsigned long long)after);
    if (!v->is_slow && v->is_live && !is_for_retracts && !may_lack_public(v))
        fail_world(w, "viewer %u was told of a gap, and has taken all at once", v->number);
    check_missing(v, after + 1);
    check_dropped(v, resumed_at);
    v->known_until = v->told_count > 0 ? v->told[v->told_count - 1].until : 0;
    if (!is_for_retracts || after < resumed_at) {
        add_told(v, after, w->head);
        v->told[v->told_count - 1].is_proved = is_for_retracts;
    }
    check_missing(v, resumed_at + 1);
    v->floor = resumed_at;
    v->resumed_at = resumed_at;
    v->is_place_due = !is_for_retracts;
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
    if (v->retracts[seq] != RETRACT_DUE && v->retracts[seq] != RETRACT_EXCUSED)
        fail_world(w, "viewer %u was told twice to retract %llu", v->number,
                   (unsigned long long)seq);
    v->retracts[seq] = RETRACT_TOLD;
    v->retracts_told++;
}

/* None is due any more. */
static void check_retracts(struct viewer *v)
{
    for (uint64_t seq = 1; seq <= v->world->head; seq++)
        if (v->retracts[seq] == RETRACT_DUE)
            fail_world(v->world, "viewer %u was not told to retract %llu", v->number,
                       (unsigned long long)seq);
}

/* Whether the time to come back by is one that fits the reason. */
static bool is_good_retry(const struct viewer *v, bool is_shutdown)
{
    uint64_t room = RETRY_MS + v->world->drain_ms;

    if (!is_shutdown)
        return v->bye_retry_ms == 0;
    if (v->bye_retry_ms < RETRY_MS || v->bye_retry_ms >= RETRY_MS + room)
        return false;
    retry_quarters[(v->bye_retry_ms - RETRY_MS) * 4 / room]++;
    return true;
}

static void hear_bye(struct viewer *v, const struct sse_event *event)
{
    struct slice reason = member(event->data, "reason");

    TRACE(v->world, "        viewer %u gets bye %.*s\n", v->number, SLICE_ARG(event->data));
    v->had_bye = true;
    if (v->bye == NULL || !slice_is(reason, v->bye))
        fail_world(v->world, "viewer %u was told bye, %.*s", v->number, SLICE_ARG(reason));
    else if (!is_good_retry(v, slice_is(reason, "shutdown")))
        fail_world(v->world, "viewer %u is to come back after %llu ms", v->number,
                   (unsigned long long)v->bye_retry_ms);
    check_retracts(v);
}

static void expect_no_bye(struct viewer *v)
{
    if (v->had_bye)
        fail_world(v->world, "viewer %u got something behind its bye", v->number);
}

static int hear_comment(void *arg, struct slice text)
{
    (void)text;
    expect_no_bye(arg);
    return 0;
}

static int hear_retry(void *arg, uint64_t retry_ms)
{
    struct viewer *v = arg;

    expect_no_bye(v);
    if (v->had_retry)
        v->bye_retry_ms = retry_ms;
    else if (retry_ms != RETRY_MS)
        fail_world(v->world, "viewer %u is to come back after %llu ms", v->number,
                   (unsigned long long)retry_ms);
    v->had_retry = true;
    return 0;
}

static int hear_event(void *arg, const struct sse_event *event)
{
    struct viewer *v = arg;

    expect_no_bye(v);
    if (slice_is(event->type, "gap")) {
        hear_gap(v, event);
    } else if (slice_is(event->type, "retract")) {
        hear_retract(v, event);
    } else if (slice_is(event->type, "bye")) {
        hear_bye(v, event);
    } else if (!slice_is(event->type, "ping")) {
        hear_notification(v, event);
    }
    v->heard_at = v->world->step;
    v->heard_ms = v->world->now_ms;
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

/* Whether overflow = disconnect may end it: it takes nothing, and its queue may be full. */
static bool is_too_slow(const struct viewer *v)
{
    const struct world *w = v->world;
    unsigned queued = 2 + v->is_stale; /* its preamble, a heartbeat, the gap for its id */

    for (uint64_t seq = 1; seq <= w->head; seq++)
        queued += (seq > v->checked && listens(v, w->notes[seq].channel)) +
                  (v->retracts[seq] == RETRACT_DUE);
    return w->shape.manager.overflow == OVERFLOW_DISCONNECT && v->sink.wants_write &&
           v->may_be_live && queued > w->shape.manager.queue;
}

static void on_close(void *ctx)
{
    struct viewer *v = ctx;
    struct world *w = v->world;

    TRACE(w, "        viewer %u is closed\n", v->number);
    if (!v->is_open)
        fail_world(w, "viewer %u was closed twice", v->number);
    if (v->sink.is_graceful) {
        if (!v->had_bye || !stream_reader_is_whole(&v->reader))
            fail_world(w, "viewer %u was closed without a bye", v->number);
    } else if (v->sink.error == 0) {
        if (v->bye == NULL ? !is_too_slow(v) : w->now_ms < v->ended_ms + BYE_MS)
            fail_world(w, "viewer %u was closed for no reason", v->number);
    }
    v->is_open = false;
}

static const struct sse_handlers viewer_handlers = {hear_event, hear_comment, hear_retry};

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

/* The manager's reads; the model's own are never late. */
void __real_journal_read(struct journal *j, struct journal_read *read);
void __real_journal_cancel(struct journal *j, struct journal_read *read);
void __wrap_journal_read(struct journal *j, struct journal_read *read);
void __wrap_journal_cancel(struct journal *j, struct journal_read *read);

void __wrap_journal_read(struct journal *j, struct journal_read *read)
{
    struct world *w = the_world;

    if (read->max_entries == 0)
        fail_world(w, "a page of nothing is asked for");
    if (!w->shape.is_async)
        __real_journal_read(j, read);
    else if (w->page_count == MAX_VIEWERS)
        fail_world(w, "more pages than viewers are asked for");
    else
        w->pages[w->page_count++] = read;
}

static struct journal_read *take_page(struct world *w, unsigned i)
{
    struct journal_read *read = w->pages[i];

    w->pages[i] = w->pages[--w->page_count];
    return read;
}

void __wrap_journal_cancel(struct journal *j, struct journal_read *read)
{
    struct world *w = the_world;
    unsigned i = 0;

    while (i < w->page_count && w->pages[i] != read)
        i++;
    if (i == w->page_count)
        fail_world(w, "a page is cancelled that is not under way");
    else
        take_page(w, i);
    __real_journal_cancel(j, read);
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
        __real_journal_read(w->journal, &look.read);
    } while (w->page_more);
    for (uint64_t seq = 1; seq <= w->head; seq++) {
        struct note *n = &w->notes[seq];

        if (w->seen[seq] && !n->is_kept)
            fail_world(w, "%llu came back into the journal", (unsigned long long)seq);
        if (n->is_kept && !w->seen[seq] && !n->is_withdrawn && !is_expired(w, n)) {
            n->is_lost = true;
            n->lost_at = w->step;
            w->lost[n->channel] = seq;
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
    v->is_slow = v->sink.room != FAKE_SINK_ENDLESS || v->sink.most != 0;
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
    v->opened_ms = w->now_ms;
    v->channels = 1u << user | 1u << EVERYONE;
    o.topic_count = draw(w, 4);
    for (size_t i = 0; i < o.topic_count; i++) {
        unsigned topic = USERS + draw(w, TOPICS);

        topics[i] = slice_of(channel_names[topic]);
        v->channels |= 1u << topic;
    }
    o.resume = draw_resume(w, v, resume, sizeof resume);
    o.from_earliest = v->is_earliest;
    v->is_live = v->may_be_live = o.resume.n == 0 && !o.from_earliest;
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

static void withdraw(const struct world *w, struct note *n)
{
    if (!n->is_withdrawn)
        n->wished_at = w->step;
    n->is_withdrawn = true;
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
        withdraw(w, older);
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
        w->has_walk = w->has_walk || w->shape.max_viewers > 64;
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

static void retract(struct world *w, uint64_t seq)
{
    struct journal_removal removal = {.on_done = on_removed};
    struct note *n = &w->notes[seq];
    bool was_kept = n->is_kept;

    TRACE(w, "    retract %llu\n", (unsigned long long)seq);
    if (was_kept) {
        withdraw(w, n);
        n->is_retracted = true;
        n->dropped_at = w->step;
        for (unsigned i = 0; i < w->viewer_count; i++) {
            struct viewer *v = w->viewers[i];

            if (v->is_open && v->bye == NULL && listens(v, n->channel))
                v->retracts[seq] = RETRACT_DUE;
        }
    }
    journal_retract(w->journal, name_of(n->channel), seq, &removal);
    if (removal.count != was_kept)
        fail_world(w, "retracting %llu: kept %d", (unsigned long long)seq, was_kept);
    look_into_journal(w);
}

static void op_retract(struct world *w)
{
    uint64_t seq;

    if (w->head == 0)
        return;
    seq = 1 + draw(w, (unsigned)w->head);
    if (draw(w, 2) == 0 && w->head > 4)
        seq = w->head - draw(w, 4);
    retract(w, seq);
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
        withdraw(w, &w->notes[seq]);
    }
    /* What outlived its ttl may be there still: it is not shown, and goes in turn. */
    journal_erase(w->journal, name_of(channel), &removal);
    if (removal.count < kept)
        fail_world(w, "erasing %s left something", channel_names[channel]);
    look_into_journal(w);
}

static void expect_bye(struct viewer *v, const char *reason)
{
    v->bye = reason;
    v->ended_ms = v->world->now_ms;
}

/* Of those not told bye yet, one in as many as there are ticks left; the oldest first. */
static void expect_drain(struct world *w)
{
    uint64_t left_ms = w->drain_end_ms > w->now_ms ? w->drain_end_ms - w->now_ms : 0;
    uint64_t ticks = left_ms / TICK_MS + 1;
    uint64_t rest = 0;

    for (unsigned i = 0; i < w->viewer_count; i++)
        rest += w->viewers[i]->is_open && w->viewers[i]->bye == NULL;
    rest = (rest + ticks - 1) / ticks;
    for (unsigned i = 0; i < w->viewer_count && rest > 0; i++) {
        if (!w->viewers[i]->is_open || w->viewers[i]->bye != NULL)
            continue;
        expect_bye(w->viewers[i], "shutdown");
        rest--;
    }
}

/* Its deadline, if it has come; and it must have been asked for. */
static void meet_deadline(struct viewer *v)
{
    struct world *w = v->world;
    uint64_t max_age_ms = w->shape.manager.max_age_ms;
    uint64_t latest = UINT64_MAX;
    bool was_ending = v->bye != NULL;

    if (was_ending)
        latest = v->ended_ms + BYE_MS;
    else if (max_age_ms != 0)
        latest = v->opened_ms + max_age_ms;
    if (v->sink.due_ms > latest)
        fail_world(w, "viewer %u has its deadline at %llu, too late", v->number,
                   (unsigned long long)v->sink.due_ms);
    if (v->sink.due_ms > w->now_ms)
        return;
    if (!was_ending && w->now_ms >= latest)
        expect_bye(v, "max-age");
    client_on_deadline(v->client, w->now_ms);
    if (was_ending && v->is_open)
        fail_world(w, "viewer %u may take its bye as late as it likes", v->number);
}

static void pass_time(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    TRACE(w, "    time %llu\n", (unsigned long long)w->now_ms);
    journal_tick(w->journal, w->now_ms);
    look_into_journal(w);
    if (w->drain_end_ms != 0)
        expect_drain(w);
    manager_tick(w->manager, w->now_ms);
    for (unsigned i = 0; i < w->viewer_count; i++)
        if (w->viewers[i]->is_open)
            meet_deadline(w->viewers[i]);
}

static void op_time(struct world *w)
{
    pass_time(w, 1 + draw(w, draw(w, 6) == 0 ? 9000 : 900));
}

static void op_drain(struct world *w)
{
    uint64_t drain_ms = draw(w, 3) == 0 ? 0 : draw(w, 4000);

    TRACE(w, "    drain in %llu\n", (unsigned long long)drain_ms);
    if (w->drain_end_ms == 0) { /* a second one changes nothing */
        w->drain_ms = drain_ms;
        w->drain_end_ms = w->now_ms + drain_ms;
        if (drain_ms == 0)
            expect_drain(w);
    }
    manager_drain(w->manager, w->now_ms, drain_ms);
    if (!manager_is_draining(w->manager))
        fail_world(w, "there is no drain");
}

static void op_block(struct world *w)
{
    struct viewer *v = any_viewer(w);

    if (v == NULL)
        return;
    v->sink.room = draw(w, 2) == 0 ? 0 : draw(w, 400);
    v->is_slow = true;
    TRACE(w, "    viewer %u has room for %zu\n", v->number, v->sink.room);
}

/* It takes bytes again. With drop-oldest it gets no more of what it missed meanwhile than its queue
 * holds, and one that it had begun. */
static void open_up(struct viewer *v, size_t room)
{
    struct world *w = v->world;
    unsigned queue = w->shape.manager.queue;

    TRACE(w, "    viewer %u takes %zd more\n", v->number, (ssize_t)room);
    if (v->sink.wants_write) {
        v->drop_head = 0;
        if (w->shape.manager.overflow == OVERFLOW_DROP_OLDEST && v->is_live && !w->has_walk &&
            !w->shape.is_async && owed(v) > queue + 1) {
            v->drop_head = w->head;
            v->drop_left = queue + 1;
        }
    }
    fake_sink_open_up(&v->sink, v->client, room, w->now_ms);
}

static void op_unblock(struct world *w)
{
    struct viewer *v = any_viewer(w);
    size_t room = draw(w, 2) == 0 ? FAKE_SINK_ENDLESS : 1 + draw(w, 500);

    if (v != NULL)
        open_up(v, room);
}

/* One page that is under way comes, or cannot be read now. */
static void op_page(struct world *w)
{
    struct journal_read *read;

    if (w->page_count == 0)
        return;
    read = take_page(w, draw(w, w->page_count));
    TRACE(w, "    a page comes\n");
    if (draw(w, 8) == 0) {
        struct journal_page nothing = {.status = -EAGAIN};

        w->has_failed_page = true;
        read->on_page(read, &nothing);
    } else {
        __real_journal_read(w->journal, read);
    }
}

static void kick(struct world *w, const struct viewer *v, bool is_one)
{
    unsigned expected = 0;
    unsigned user = 0;
    size_t kicked;

    while (!listens(v, user))
        user++;
    TRACE(w, "    kick %s of %s\n", is_one ? "one" : "all", channel_names[user]);
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *at = w->viewers[i];

        if (!at->is_open || at->bye != NULL || (is_one ? at != v : !listens(at, user)))
            continue;
        expect_bye(at, "kicked");
        expected++;
    }
    kicked = manager_kick(w->manager, slice_of(channel_names[user]),
                          is_one ? client_id(v->client) : 0);
    if (kicked != expected)
        fail_world(w, "kicked %zu of %u", kicked, expected);
}

static void op_kick(struct world *w)
{
    const struct viewer *v = any_viewer(w);
    bool is_one = draw(w, 2) == 0;

    if (v != NULL)
        kick(w, v, is_one);
}

/* More retracts than a viewer that takes nothing has room for. */
static void op_storm(struct world *w)
{
    struct viewer *v = any_viewer(w);

    if (v == NULL)
        return;
    v->sink.room = draw(w, 100);
    v->is_slow = true;
    for (unsigned n = RETRACT_ROOM + draw(w, RETRACT_ROOM); n > 0 && w->failure == NULL; n--) {
        send_one(w, EVERYONE);
        retract(w, w->head);
    }
    if (v->is_open && draw(w, 2) == 0)
        kick(w, v, true);
}

static void check_settled(struct world *w)
{
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *v = w->viewers[i];

        if (!v->is_open)
            continue;
        if (v->bye != NULL)
            fail_world(w, "viewer %u was never closed", v->number);
        check_missing(v, w->head + 1);
        check_retracts(v);
        for (unsigned k = 0; k < v->told_count; k++)
            if (!v->told[k].is_proved)
                fail_world(w, "viewer %u was told of a gap behind %llu, and got everything",
                           v->number, (unsigned long long)v->told[k].after);
        v->is_live = v->may_be_live = true;
    }
}

/* Everything that is under way comes to its end. */
static void run_out(struct world *w)
{
    for (unsigned turns = 0; w->failure == NULL; turns++) {
        if (turns > 10000) {
            fail_world(w, "the turns have no end");
        } else if (!manager_turn_end(w->manager, w->now_ms)) {
            if (w->page_count == 0)
                break;
            __real_journal_read(w->journal, take_page(w, 0));
        }
    }
    w->has_walk = false;
}

/* Everybody takes everything, until there is nothing more to do. */
static void op_settle(struct world *w)
{
    TRACE(w, "    settle\n");
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *v = w->viewers[i];

        v->sink.most = 0;
        if (v->is_open)
            open_up(v, FAKE_SINK_ENDLESS);
    }
    run_out(w);
    if (w->has_failed_page) { /* it is asked for again at the deadline */
        w->has_failed_page = false;
        pass_time(w, w->shape.manager.heartbeat_ms);
        run_out(w);
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
    if (!manager_turn_end(w->manager, w->now_ms))
        w->has_walk = false;
}

static void (*const operations[])(struct world *w) = {
    [OP_OPEN] = op_open,       [OP_CROWD] = op_crowd,     [OP_CLOSE] = op_close,
    [OP_BREAK] = op_break,     [OP_SEND] = op_send,       [OP_BURST] = op_burst,
    [OP_RETRACT] = op_retract, [OP_ERASE] = op_erase,     [OP_TIME] = op_time,
    [OP_BLOCK] = op_block,     [OP_UNBLOCK] = op_unblock, [OP_TURN] = op_turn,
    [OP_KICK] = op_kick,       [OP_PAGE] = op_page,       [OP_DRAIN] = op_drain,
    [OP_STORM] = op_storm,     [OP_SETTLE] = op_settle,
};

static void apply(struct world *w, const struct op *op)
{
    w->random = op->random | 1;
    w->step++;
    operations[op->kind](w);
}

/* With overflow = disconnect nobody stays who takes nothing and is owed more than a queue. But what
 * was resumed with may be longer. */
static void check_slow(struct world *w)
{
    if (w->shape.manager.overflow != OVERFLOW_DISCONNECT)
        return;
    for (unsigned i = 0; i < w->viewer_count; i++) {
        struct viewer *v = w->viewers[i];
        unsigned n;

        if (!v->is_open || v->bye != NULL || (v->is_live && !v->sink.wants_write))
            continue;
        n = owed(v);
        if (n <= w->shape.manager.queue)
            v->may_be_live = true;
        else if (v->is_live && !w->has_walk && !w->shape.is_async)
            fail_world(w, "viewer %u takes nothing, is owed %u, and is open", v->number, n);
    }
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

    s.journal.keep_ms = pick(random, 0, 2) == 0 ? pick(random, 500, 6000) : LONG_MS;
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
    s.manager.max_age_ms = pick(random, 0, 3) == 0 ? pick(random, 300, 20000) : 0;
    s.max_viewers = is_crowd ? 200 : pick(random, 1, 12);
    s.is_async = pick(random, 0, 3) == 0;
    return s;
}

/* What is done how often, in percent; and in a crowd, where openings come eighty at a time. */
static size_t make_ops(uint64_t *random, bool is_crowd, struct op *ops)
{
    static const struct {
        enum op_kind kind;
        unsigned percent;
    } mix[] = {
        {OP_SEND, 28},   {OP_BURST, 8}, {OP_OPEN, 12},   {OP_CLOSE, 4}, {OP_BREAK, 1},
        {OP_RETRACT, 4}, {OP_ERASE, 1}, {OP_TIME, 8},    {OP_BLOCK, 8}, {OP_UNBLOCK, 9},
        {OP_TURN, 11},   {OP_KICK, 1},  {OP_SETTLE, 2},  {OP_PAGE, 3},
    };
    size_t n = pick(random, 20, is_crowd ? 80 : MAX_OPS);
    bool has_drain = pick(random, 0, 3) == 0;
    bool has_regrets = pick(random, 0, 3) == 0;

    for (size_t i = 0; i < n; i++) {
        unsigned r = pick(random, 0, 99);
        size_t k = 0;

        while (r >= mix[k].percent)
            r -= mix[k++].percent;
        ops[i] = (struct op){mix[k].kind, support_random(random)};
        if (is_crowd && pick(random, 0, 9) == 0)
            ops[i].kind = OP_CROWD;
        if (pick(random, 0, 8000) == 0)
            ops[i].kind = OP_STORM;
        if (has_regrets && pick(random, 0, 5) == 0)
            ops[i].kind = OP_RETRACT;
        if (has_drain && i > n * 2 / 3 && pick(random, 0, 9) == 0)
            ops[i].kind = OP_DRAIN;
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
    the_world = w;
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
        if (w->failure == NULL)
            check_slow(w);
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
    print_error("TEST_SEED=%llu: %s\n", (unsigned long long)seed, w->reason);
    n = shrink(w, s, ops, n);
    print_error("queue %u, overflow %d, window %zu bytes; kept: %zu bytes, %zu a user, %llu ms; "
                "age %llu ms, pages come %s\n",
                s->manager.queue, (int)s->manager.overflow, s->manager.window_bytes,
                s->journal.keep_bytes, s->journal.keep_per_user,
                (unsigned long long)s->journal.keep_ms, (unsigned long long)s->manager.max_age_ms,
                s->is_async ? "later" : "at once");
    run_world(w, s, ops, n, true);
    print_error("  %s\n", w->reason);
}

/* A crowd costs thirty times as much: it is one world in eight. */
static void nothing_is_lost_in_silence_and_no_gap_is_told_for_nothing(void **state)
{
    struct world *w = malloc(sizeof *w);
    struct seeds seeds = support_seeds(support_is_slow() ? 40 : 3000);
    bool is_well = true;

    (void)state;
    assert_non_null(w);
    for (uint64_t i = 0; i < seeds.count && is_well; i++) {
        uint64_t seed = seeds.first + i;
        uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;
        struct shape shape;
        struct op ops[MAX_OPS];
        size_t n;

        support_random(&random);
        shape = make_shape(&random);
        n = make_ops(&random, shape.max_viewers > 64, ops);
        support_seed_runs(seed);
        is_well = run_world(w, &shape, ops, n, false);
        if (!is_well)
            explain(w, seed, &shape, ops, n);
        support_seed_runs(0);
    }
    free(w);
    assert_true(is_well);
    for (unsigned i = 0; i < 4 && seeds.count >= 40; i++)
        assert_true(retry_quarters[i] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_in_silence_and_no_gap_is_told_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
