/* publish.c - the phases that publish.
 *
 * Closed loops wait for the delivery and not for the answer: a server that answers first and
 * delivers later gains nothing. Open loops stamp a notification with the time at which it was due,
 * so that a stall of the server's, or of ours, shows. */
#include "run_priv.h"

#include <time.h>
#include "base/clock.h"

enum {
    BURST = 256,          /* requests put together between looks at what came */
    LOOK_US = 200,        /* by the clock, see load_shared.look_us */
    LOOK_FROM_WINDOW = 16, /* with fewer under way it would be the clock that is measured */
    WARM_UPS = 3,
    WARM_UP_MS = 60,
    MAX_WAIT_NS = 50 * 1000 * 1000,
};

#define OVERDUE_NS 10000000000u /* behind the end, to send what was due before it */

/* One phase while it runs. */
struct loop {
    struct run *run;
    const struct load_phase *phase;
    struct tally tally;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint64_t due;         /* how many the open loop has sent */
    uint64_t window;      /* of the closed loop, in deliveries */
    unsigned look_us;     /* we look by the clock; 0: are woken */
};

static bool has_fanouts(const struct load_phase *phase)
{
    return phase->kind == LOAD_FANOUT || phase->kind == LOAD_MIXED;
}

static bool has_rate(const struct load_phase *phase)
{
    return phase->kind == LOAD_LATENCY || phase->kind == LOAD_MIXED;
}

static bool is_enough(const struct loop *l)
{
    return l->phase->count > 0 && l->run->publishers.sent >= l->phase->count;
}

static uint64_t due_ns(const struct loop *l)
{
    return l->begin_ns + (uint64_t)((double)l->due * 1e9 / (double)l->phase->rate);
}

/* Whether the open loop has something to send yet. What was due in time is sent, however late. */
static bool is_due(const struct loop *l)
{
    return !is_enough(l) && due_ns(l) < l->end_ns;
}

/* The open loop: what is due by now. Returns how long until the next. */
static uint64_t send_due(struct loop *l)
{
    uint64_t now_ns = clock_mono_ns();

    for (int i = 0; i < BURST && due_ns(l) <= now_ns && is_due(l); i++) {
        struct publisher *c = publishers_free(&l->run->publishers);
        uint64_t user;

        if (c == NULL)
            return 1000 * 1000; /* an answer comes first */
        user = publisher_pick_user(c);
        histogram_add(&l->run->late_ns, now_ns - due_ns(l));
        publisher_ask(c, &user, 1, due_ns(l));
        l->due++;
    }
    return due_ns(l) > now_ns ? due_ns(l) - now_ns : 0;
}

/* The closed loop of unicasts. Returns whether there was no end to what could be sent. */
static bool fill_window(struct loop *l)
{
    struct publishers *p = &l->run->publishers;
    uint64_t channels[LOAD_MAX_BATCH];
    uint64_t under_way = tally_missing(&l->tally, l->run, CLASS_UNICAST);
    unsigned batch = (unsigned)l->phase->batch;
    int i;

    for (i = 0; i < BURST && under_way < l->window && !is_enough(l); i++) {
        struct publisher *c = publishers_free(p);
        uint64_t before = p->expected[CLASS_UNICAST];

        if (c == NULL)
            return false;
        for (unsigned k = 0; k < batch; k++)
            channels[k] = publisher_pick_user(c);
        publisher_ask(c, channels, batch, clock_mono_ns());
        under_way += p->expected[CLASS_UNICAST] - before;
    }
    return i == BURST;
}

/* The closed loop of fan-outs: the next once the one `window` before it has come everywhere. */
static void fill_fanouts(struct loop *l)
{
    struct publishers *p = &l->run->publishers;
    uint64_t all = l->run->plan->users;
    uint64_t streams = p->streams_of[all];
    uint64_t missing = tally_missing(&l->tally, l->run, CLASS_FANOUT);
    uint64_t window = l->phase->kind == LOAD_MIXED ? 1 : l->phase->window;

    while (missing <= (window - 1) * streams && !is_enough(l)) {
        struct publisher *c = publishers_fanout(p);

        if (c == NULL)
            return;
        publisher_ask(c, &all, 1, clock_mono_ns());
        missing += streams;
    }
}

/* The closed loop on answers: a request on each connection that has none under way. */
static void fill_publishers(struct loop *l)
{
    struct publishers *p = &l->run->publishers;
    uint64_t channels[LOAD_MAX_BATCH];
    unsigned batch = (unsigned)l->phase->batch;
    struct publisher *c;

    for (int i = 0; i < BURST && !is_enough(l) && (c = publishers_free(p)) != NULL; i++) {
        for (unsigned k = 0; k < batch; k++)
            channels[k] = publisher_pick_user(c);
        publisher_ask(c, channels, batch, clock_mono_ns());
    }
}

static void nap_us(unsigned us)
{
    struct timespec nap = {.tv_nsec = (long)us * 1000};

    nanosleep(&nap, NULL);
}

/* Sleeps until an answer comes or, unless we look by the clock, a delivery. */
static void wait_for_news(struct loop *l, bool was_full)
{
    struct run *run = l->run;
    bool can_go_on;

    if (was_full) {
        publishers_poll(&run->publishers, 0);
        return;
    }
    if (l->look_us > 0) {
        nap_us(l->look_us);
        publishers_poll(&run->publishers, 0);
        return;
    }
    atomic_store(&run->crew.shared->wants_news, true);
    /* What came before a reader saw that wish is not told. */
    can_go_on = tally_missing(&l->tally, run, CLASS_UNICAST) < l->window &&
                !publishers_are_busy(&run->publishers);
    publishers_poll(&run->publishers, can_go_on ? 0 : 5 * 1000 * 1000);
}

static void turn(struct loop *l)
{
    struct publishers *p = &l->run->publishers;
    uint64_t wait_ns = LOOK_US * 1000;
    bool is_full = false;

    if (has_fanouts(l->phase))
        fill_fanouts(l);
    if (has_rate(l->phase)) {
        uint64_t until_due = send_due(l);

        if (l->phase->kind == LOAD_LATENCY || until_due < wait_ns)
            wait_ns = until_due;
    } else if (l->phase->kind == LOAD_UNICAST) {
        is_full = fill_window(l);
    } else if (l->phase->kind == LOAD_PUBLISH) {
        fill_publishers(l);
    }
    publishers_flush(p);
    if (has_rate(l->phase))
        publishers_poll(p, wait_ns < MAX_WAIT_NS ? wait_ns : MAX_WAIT_NS);
    else if (l->phase->kind == LOAD_PUBLISH)
        publishers_poll(p, MAX_WAIT_NS);
    else
        wait_for_news(l, is_full);
}

/* Sockets of new connections acknowledge from a timer, on the server's core; later when they are
 * read. Some fan-outs before the one that counts get them there. */
static void warm_up(struct run *run)
{
    uint64_t all = run->plan->users;
    struct tally tally;

    for (int i = 0; i < WARM_UPS; i++) {
        struct publisher *c = publishers_fanout(&run->publishers);

        if (c == NULL)
            return;
        tally_begin(&tally, run);
        publisher_ask(c, &all, 1, clock_mono_ns());
        run_drain(run, &tally, 0);
        run_sleep(run, WARM_UP_MS, "warm-up");
    }
    crew_do(&run->crew, COMMAND_RESYNC);
}

static void set_look(struct run *run, unsigned look_us, unsigned prompt_us)
{
    atomic_store(&run->crew.shared->look_us[0], look_us);
    atomic_store(&run->crew.shared->look_us[1], prompt_us);
}

static void begin(struct loop *l)
{
    struct run *run = l->run;
    const struct load_phase *phase = l->phase;
    const struct load_plan *plan = run->plan;
    uint64_t with_user = plan->streams - plan->crowd;
    uint64_t streams_of_user = plan->users > 0 ? (with_user + plan->users - 1) / plan->users : 1;

    publishers_begin(&run->publishers, phase);
    if (has_fanouts(phase) && phase->count == 0)
        warm_up(run);
    crew_do(&run->crew, COMMAND_CLEAR);
    publishers_clear(&run->publishers);
    run->late_ns = (struct histogram){0};
    l->window = phase->window * streams_of_user;
    l->look_us = (unsigned)plan->look_ms * 1000;
    if (l->look_us == 0 && (phase->kind == LOAD_FANOUT || (phase->kind == LOAD_UNICAST &&
                                                           phase->window >= LOOK_FROM_WINDOW)))
        l->look_us = LOOK_US;
    set_look(run, phase->kind == LOAD_MIXED && l->look_us == 0 ? LOOK_US : l->look_us, l->look_us);
    tally_begin(&l->tally, run);
}

static void finish(struct loop *l, const struct usage *from)
{
    struct run *run = l->run;
    struct usage to;
    struct crew_totals totals;
    uint64_t end_ns = clock_mono_ns();

    atomic_store(&run->crew.shared->wants_news, false);
    run_drain(run, &l->tally, l->phase->ms);
    usage_read(&to, &run->crew);
    set_look(run, (unsigned)run->plan->look_ms * 1000, (unsigned)run->plan->look_ms * 1000);
    crew_read(&run->crew, &totals);
    tally_end(&l->tally, run);
    run->report.cost = usage_between(from, &to);
    if (totals.delivered_ns > end_ns)
        end_ns = totals.delivered_ns;
    run->report.seconds = (double)(end_ns - l->begin_ns) / 1e9;
    for (int class = 0; class < CLASSES; class++)
        crew_latency(&run->crew, class, &run->latency_ns[class]);
    run_report(run, l->phase->kind, l->phase);
    crew_do(&run->crew, COMMAND_RESYNC); /* what was lost here is not lost again in the next */
}

static bool goes_on(const struct loop *l, uint64_t now_ns)
{
    const struct run *run = l->run;
    bool is_overdue = has_rate(l->phase) && is_due(l) && now_ns < l->end_ns + OVERDUE_NS;

    return (now_ns < l->end_ns || is_overdue) && !is_enough(l) && !run_is_stopped(run) &&
           !publishers_are_lost(&run->publishers);
}

void phase_publish(struct run *run, const struct load_phase *phase)
{
    struct loop l = {.run = run, .phase = phase};
    struct usage from;
    uint64_t now_ns;

    begin(&l);
    usage_read(&from, &run->crew);
    l.begin_ns = clock_mono_ns();
    l.end_ns = l.begin_ns + phase->ms * 1000000;
    while (goes_on(&l, now_ns = clock_mono_ns())) {
        turn(&l);
        run_tell_progress(run, phase->text,
                          (double)(now_ns - l.begin_ns) / (double)(l.end_ns - l.begin_ns));
    }
    finish(&l, &from);
}
