/* storm.c - all streams are lost at once and come back: what a restarted proxy or a network does.
 *
 * Measured is from the first reconnect to the last notification that was missed; what is published
 * while all are away is not. */
#include "run_priv.h"

#include "base/clock.h"

enum {
    NOTICE_MS = 200,       /* for the server to see the end of the streams */
    CHECK_MS = 300,        /* and to be done with what the storm left */
    STUCK_MS = 10 * 1000,  /* without an answer */
    FLUSH_BYTES = 16384,
};

/* Until `c` has room. Returns false where no answer comes any more. */
static bool wait_for_room(struct run *run, struct publisher *c)
{
    uint64_t answered = run->publishers.answered;
    uint64_t news_ms = clock_mono_ms();

    while (!publisher_has_room(c)) {
        publishers_flush(&run->publishers);
        publishers_poll(&run->publishers, 1000 * 1000);
        if (run->publishers.answered != answered)
            news_ms = clock_mono_ms();
        answered = run->publishers.answered;
        if (clock_mono_ms() - news_ms > STUCK_MS || publishers_are_lost(&run->publishers) ||
            run_is_stopped(run))
            return false;
    }
    return true;
}

/* One to each user of this connection, from `first` on, as many as go in one request. */
static bool publish_some(struct run *run, struct publisher *c, uint64_t first, uint64_t batch)
{
    uint64_t channels[LOAD_MAX_BATCH];
    uint64_t user = first + c->number;
    unsigned n = 0;

    for (; n < batch && user < run->plan->users; user += run->publishers.count)
        channels[n++] = user;
    if (n == 0)
        return true;
    if (!wait_for_room(run, c))
        return false;
    publisher_ask(c, channels, n, clock_mono_ns());
    if (c->out.len > FLUSH_BYTES || run->publishers.pipeline == 1)
        publishers_flush(&run->publishers);
    return true;
}

/* One to each user, the connections in turn; a user has the same one each time. */
static bool publish_round(struct run *run, uint64_t batch)
{
    uint64_t all = run->plan->users;
    uint64_t step = run->publishers.count * batch;
    struct publisher *c;

    for (uint64_t first = 0; first < all; first += step) {
        for (unsigned i = 0; i < run->publishers.count; i++) {
            if (!publish_some(run, &run->publishers.at[i], first, batch))
                return false;
        }
    }
    if (run->plan->crowd == 0)
        return true;
    c = publishers_fanout(&run->publishers);
    if (c == NULL || !wait_for_room(run, c))
        return false;
    publisher_ask(c, &all, 1, clock_mono_ns());
    return true;
}

/* `times` to each user, and to the crowd where there is one; all answered or given up. */
static void publish_to_all(struct run *run, uint64_t times, uint64_t batch)
{
    uint64_t begin_ms = clock_mono_ms();

    for (uint64_t i = 0; i < times; i++) {
        if (!publish_round(run, batch))
            return;
        run_tell_progress(run, "publishing what is missed", (double)i / (double)times);
    }
    while (publishers_are_busy(&run->publishers) && clock_mono_ms() - begin_ms < STUCK_MS) {
        publishers_flush(&run->publishers);
        publishers_poll(&run->publishers, 1000 * 1000);
    }
}

/* Every stream needs an id to come back with. */
static void give_ids(struct run *run, const struct load_phase *phase)
{
    struct tally tally;

    tally_begin(&tally, run);
    publish_to_all(run, 1, phase->batch);
    run_drain(run, &tally, 0);
    crew_do(&run->crew, COMMAND_RESYNC);
}

/* Whether all are there again, and not only open. */
static void check_all(struct run *run, const struct load_phase *phase)
{
    struct load_counts counts = run->report.counts;
    struct tally tally;

    crew_do(&run->crew, COMMAND_RESYNC);
    run_sleep(run, CHECK_MS, phase->text);
    tally_begin(&tally, run);
    publish_to_all(run, 1, phase->batch);
    run_drain(run, &tally, 0);
    tally_end(&tally, run);
    run->report.storm.checked = run->report.counts.expected;
    run->report.storm.heard = run->report.counts.delivered;
    run->report.counts = counts;
    crew_do(&run->crew, COMMAND_RESYNC);
}

static bool come_back(struct run *run, const struct tally *tally)
{
    struct usage from;
    struct usage to;
    struct crew_totals totals;
    bool is_open;

    usage_read(&from, &run->crew);
    is_open = run_open(run);
    if (is_open)
        run_drain(run, tally, 0);
    usage_read(&to, &run->crew);
    crew_read(&run->crew, &totals);
    tally_end(tally, run);
    run->report.cost = usage_between(&from, &to);
    run->report.seconds =
        totals.opened_ns > from.at_ns ? (double)(totals.opened_ns - from.at_ns) / 1e9 : 0;
    if (totals.delivered_ns > from.at_ns)
        run->report.storm.replayed_ms = (double)(totals.delivered_ns - from.at_ns) / 1e6;
    return is_open;
}

bool phase_storm(struct run *run, const struct load_phase *phase)
{
    struct tally tally;
    bool is_open;

    publishers_begin(&run->publishers, phase);
    give_ids(run, phase);
    publishers_clear(&run->publishers);
    crew_do(&run->crew, COMMAND_CLEAR);
    tally_begin(&tally, run);
    crew_do(&run->crew, COMMAND_DROP);
    run_sleep(run, NOTICE_MS, phase->text);
    publish_to_all(run, phase->each, phase->batch);
    is_open = come_back(run, &tally);
    run->report.storm.wanted = run->report.counts.expected;
    run->report.storm.replayed = run->report.counts.delivered;
    if (is_open)
        check_all(run, phase);
    run_report(run, LOAD_STORM, phase);
    return is_open;
}
