/* run.c - what all phases use, and their order. */
#include "run_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/address.h"

enum {
    PROBE_MS = 5000,
    PROGRESS_NS = 200 * 1000 * 1000,
    QUIET_MS = 3000,  /* so long nothing came: what is missing is lost */
    DRAIN_MS = 30000,
    PORTS_OF_A_SOURCE = 10000, /* the system looks long for the second half of its 28,000 */
};

bool run_is_stopped(const struct run *run)
{
    return run->plan->is_stopped != NULL && *run->plan->is_stopped != 0;
}

void run_tell_progress(struct run *run, const char *phase, double share)
{
    uint64_t now_ns;

    if (run->plan->on_progress == NULL)
        return;
    now_ns = clock_mono_ns();
    if (now_ns - run->told_ns < PROGRESS_NS)
        return;
    run->told_ns = now_ns;
    run->plan->on_progress(run->plan->arg, phase, share < 1 ? share : 1);
}

void run_sleep(struct run *run, uint64_t ms, const char *phase)
{
    uint64_t begin_ms = clock_mono_ms();
    uint64_t passed_ms;

    while ((passed_ms = clock_mono_ms() - begin_ms) < ms && !run_is_stopped(run) &&
           !crew_has_lost(&run->crew)) {
        run_tell_progress(run, phase, (double)passed_ms / (double)ms);
        poll(NULL, 0, ms - passed_ms < 100 ? (int)(ms - passed_ms) : 100);
    }
}

void run_report(struct run *run, enum load_kind kind, const struct load_phase *phase)
{
    struct load_report *report = &run->report;
    struct crew_totals totals;

    crew_read(&run->crew, &totals);
    report->kind = kind;
    report->phase = phase;
    report->open = totals.open;
    report->head_ns = &run->head_ns;
    report->unicast_ns = &run->latency_ns[CLASS_UNICAST];
    report->fanout_ns = &run->latency_ns[CLASS_FANOUT];
    report->answer_ns = &run->publishers.answer_ns;
    report->late_ns = &run->late_ns;
    report->failure = run->publishers.failure[0] != '\0' ? run->publishers.failure
                                                         : crew_failure(&run->crew);
    run->plan->on_report(run->plan->arg, report);
    *report = (struct load_report){0};
}

/* ---- what was expected, and what came ---- */

void tally_begin(struct tally *t, struct run *run)
{
    crew_read(&run->crew, &t->totals);
    memcpy(t->expected, run->publishers.expected, sizeof(t->expected));
}

void tally_end(const struct tally *t, struct run *run)
{
    const struct publishers *p = &run->publishers;
    struct load_counts *c = &run->report.counts;
    struct crew_totals now;

    crew_read(&run->crew, &now);
    *c = (struct load_counts){.sent = p->sent, .answered = p->answered, .refused = p->refused,
                              .reconnects = p->reconnects};
    for (int class = 0; class < CLASSES; class++) {
        c->expected += p->expected[class] - t->expected[class];
        c->delivered += now.delivered[class] - t->totals.delivered[class];
    }
    c->doubled = now.doubled - t->totals.doubled;
    c->reordered = now.reordered - t->totals.reordered;
    c->gaps = now.gaps - t->totals.gaps;
    c->misrouted = now.misrouted - t->totals.misrouted;
    c->closed = now.closed - t->totals.closed;
    c->bytes = now.bytes - t->totals.bytes;
    c->reads = now.reads - t->totals.reads;
    c->lost = (int64_t)c->expected - (int64_t)(c->delivered - c->doubled - c->misrouted);
}

static uint64_t missing(const struct tally *t, const struct run *run, enum channel_class class,
                        const struct crew_totals *now)
{
    uint64_t expected = run->publishers.expected[class] - t->expected[class];
    uint64_t came = now->delivered[class] - t->totals.delivered[class];

    return came < expected ? expected - came : 0;
}

uint64_t tally_missing(const struct tally *t, const struct run *run, enum channel_class class)
{
    struct crew_totals now;

    crew_read(&run->crew, &now);
    return missing(t, run, class, &now);
}

/* Whether all has come. What came twice or to the wrong stream does not make up for the others. */
static bool is_complete(const struct tally *t, const struct run *run, const struct crew_totals *now)
{
    uint64_t expected = 0;
    uint64_t came = 0;
    uint64_t surplus = now->doubled - t->totals.doubled + now->misrouted - t->totals.misrouted;

    for (int class = 0; class < CLASSES; class++) {
        expected += run->publishers.expected[class] - t->expected[class];
        came += now->delivered[class] - t->totals.delivered[class];
    }
    return came >= expected + surplus && !publishers_are_busy(&run->publishers);
}

void run_drain(struct run *run, const struct tally *t, uint64_t ms)
{
    uint64_t begin_ms = clock_mono_ms();
    uint64_t news_ms = begin_ms;
    uint64_t last = 0;
    struct crew_totals now;

    for (;;) {
        uint64_t came;
        uint64_t now_ms;

        publishers_flush(&run->publishers);
        publishers_poll(&run->publishers,
                        (run->plan->look_ms > 0 ? run->plan->look_ms : 1) * 1000 * 1000);
        crew_read(&run->crew, &now);
        if (is_complete(t, run, &now))
            return;
        came = now.delivered[CLASS_UNICAST] + now.delivered[CLASS_FANOUT] +
               run->publishers.answered;
        now_ms = clock_mono_ms();
        if (came != last)
            news_ms = now_ms;
        last = came;
        if (now_ms - news_ms > QUIET_MS || now_ms - begin_ms > (ms > DRAIN_MS ? ms : DRAIN_MS))
            return;
    }
}

/* ---- opening, memory, idle ---- */

bool run_open(struct run *run)
{
    const struct load_plan *plan = run->plan;
    uint64_t give_up_ms = clock_mono_ms() + plan->open_ms;
    struct crew_totals before;
    struct crew_totals now;
    bool is_done;

    crew_read(&run->crew, &before);
    crew_command(&run->crew, COMMAND_OPEN);
    do {
        crew_wait(&run->crew, 100);
        is_done = crew_is_done(&run->crew);
        crew_read(&run->crew, &now);
        run_tell_progress(run, "open", (double)now.open / (double)plan->streams);
    } while (!is_done && clock_mono_ms() < give_up_ms && !run_is_stopped(run) &&
             !crew_has_lost(&run->crew));
    run->report.failed = now.failed - before.failed;
    run->report.is_late = !is_done;
    crew_heads(&run->crew, &run->head_ns);
    return now.open == plan->streams;
}

static bool open_first(struct run *run)
{
    struct usage from;
    struct usage to;
    struct crew_totals totals;
    bool is_open;

    memory_read(&run->memory_before, &run->crew);
    usage_read(&from, &run->crew);
    is_open = run_open(run);
    usage_read(&to, &run->crew);
    crew_read(&run->crew, &totals);
    run->report.cost = usage_between(&from, &to);
    if (totals.opened_ns > from.at_ns)
        run->report.seconds = (double)(totals.opened_ns - from.at_ns) / 1e9;
    run_report(run, LOAD_OPEN, NULL);
    return is_open;
}

static void report_memory(struct run *run)
{
    struct memory_now now;
    const struct memory_now *before = &run->memory_before;

    run_sleep(run, run->plan->settle_ms, "settle");
    memory_read(&now, &run->crew);
    run->report.memory = (struct load_memory){
        .rss_before = before->rss, .rss = now.rss,
        .pss_before = before->pss, .pss = now.pss,
        .slab_before = before->slab, .slab = now.slab,
        .generator_pss_before = before->generator_pss, .generator_pss = now.generator_pss,
    };
    run_report(run, LOAD_MEMORY, NULL);
}

static void phase_idle(struct run *run, const struct load_phase *phase)
{
    struct usage from;
    struct usage to;
    struct tally tally;

    publishers_clear(&run->publishers);
    tally_begin(&tally, run);
    usage_read(&from, &run->crew);
    run_sleep(run, phase->ms, phase->text);
    usage_read(&to, &run->crew);
    tally_end(&tally, run);
    run->report.cost = usage_between(&from, &to);
    run->report.seconds = run->report.cost.seconds;
    run_report(run, LOAD_IDLE, phase);
}

static void phase_catchup(struct run *run, const struct load_phase *phase)
{
    struct usage from;
    struct usage to;
    struct tally tally;
    struct crew_totals totals;

    publishers_clear(&run->publishers);
    tally_begin(&tally, run);
    usage_read(&from, &run->crew);
    atomic_store(&run->crew.shared->reread_at, (uint32_t)phase->each);
    crew_do(&run->crew, COMMAND_REREAD);
    run_sleep(run, phase->ms, phase->text);
    usage_read(&to, &run->crew);
    tally_end(&tally, run);
    atomic_store(&run->crew.shared->reread_at, 0);
    crew_do(&run->crew, COMMAND_REREAD);
    crew_read(&run->crew, &totals);
    run->report.counts.lost = 0; /* nobody published: there is nothing to compare with */
    run->report.reread = totals.reread - tally.totals.reread;
    run->report.failed = totals.failed - tally.totals.failed;
    run->report.cost = usage_between(&from, &to);
    run->report.seconds = run->report.cost.seconds;
    run_report(run, LOAD_CATCHUP, phase);
}

/* ---- the whole ---- */

/* One connection, so that nobody starts thousands against nothing. Returns 0 or -errno. */
static int probe(const struct load_target *to)
{
    struct pollfd ready = {.events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof(error);

    ready.fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ready.fd < 0)
        return -errno;
    if (connect(ready.fd, (const struct sockaddr *)&to->address, to->address_length) == 0)
        error = 0;
    else if (errno != EINPROGRESS)
        error = errno;
    else if (poll(&ready, 1, PROBE_MS) <= 0)
        error = ETIMEDOUT;
    else if (getsockopt(ready.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    close(ready.fd);
    return -error;
}

static int probe_both(const struct load_plan *plan, struct error *why)
{
    const struct load_target *targets[] = {&plan->streams_at, &plan->publish_at};

    for (size_t i = 0; i < 2; i++) {
        struct peer peer = peer_of((const struct sockaddr *)&targets[i]->address);
        char text[PEER_TEXT_SIZE];
        int rc = probe(targets[i]);

        if (rc == 0)
            continue;
        peer_format(&peer, true, text);
        return error_set(why, "cannot connect to %s: %s", text, strerror(-rc));
    }
    return 0;
}

static enum load_outcome run_phases(struct run *run)
{
    const struct load_plan *plan = run->plan;
    bool is_open = open_first(run);

    for (size_t i = 0; i < plan->phase_count && is_open && !run_is_stopped(run) &&
                       !crew_has_lost(&run->crew);
         i++) {
        const struct load_phase *phase = &plan->phases[i];

        if (i == 0)
            report_memory(run);
        if (phase->kind == LOAD_IDLE)
            phase_idle(run, phase);
        else if (phase->kind == LOAD_CATCHUP)
            phase_catchup(run, phase);
        else if (phase->kind == LOAD_STORM)
            is_open = phase_storm(run, phase);
        else
            phase_publish(run, phase);
    }
    return run_is_stopped(run) ? LOAD_STOPPED : is_open ? LOAD_DONE : LOAD_SHORT;
}

/* Many streams to one port of loopback need several source addresses. */
static uint64_t sources_for(const struct load_plan *plan)
{
    const struct sockaddr *to = (const struct sockaddr *)&plan->streams_at.address;

    if (plan->sources != UINT64_MAX)
        return plan->sources;
    if (plan->streams <= PORTS_OF_A_SOURCE || to->sa_family != AF_INET || !address_is_local(to))
        return 0;
    return plan->streams / PORTS_OF_A_SOURCE + 1;
}

enum load_outcome loadgen_run(const struct load_plan *asked, struct error *why)
{
    struct load_plan plan = *asked;
    struct run *run;
    enum load_outcome outcome = LOAD_IMPOSSIBLE;

    plan.sources = sources_for(asked);
    if (probe_both(&plan, why) != 0)
        return LOAD_UNREACHABLE;
    run = calloc(1, sizeof(*run));
    if (run == NULL) {
        error_set(why, "no memory");
        return LOAD_IMPOSSIBLE;
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    run->plan = &plan;
    if (templates_parse(&run->templates, &plan, why) == 0 &&
        crew_start(&run->crew, &plan, &run->templates, why) == 0 &&
        publishers_init(&run->publishers, &run->crew, &run->templates, why) == 0)
        outcome = run_phases(run);
    if (run->crew.shared != NULL && crew_has_lost(&run->crew)) {
        error_set(why, "%s", crew_failure(&run->crew));
        outcome = LOAD_IMPOSSIBLE;
    }
    publishers_fini(&run->publishers);
    crew_end(&run->crew);
    free(run);
    return outcome;
}
