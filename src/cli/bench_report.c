/* bench_report.c - what the figures of a report are worth: shares of processor time, rates. */
#include "bench_priv.h"

#include <inttypes.h>
#include "base/json.h"
#include "output_priv.h"

static const char *const names[] = {
    [LOAD_OPEN] = "open",       [LOAD_MEMORY] = "memory",   [LOAD_IDLE] = "idle",
    [LOAD_UNICAST] = "unicast", [LOAD_FANOUT] = "fanout",   [LOAD_LATENCY] = "latency",
    [LOAD_MIXED] = "mixed",     [LOAD_PUBLISH] = "publish", [LOAD_STORM] = "storm",
    [LOAD_CATCHUP] = "catchup",
};

static double per(double what, double n)
{
    return n > 0 ? what / n : 0;
}

static double server_us(const struct load_report *r)
{
    return (double)r->cost.server_ns / 1e3;
}

static double grown(uint64_t before, uint64_t now)
{
    return (double)now - (double)before;
}

static bool knows_server(const struct load_plan *plan)
{
    return plan->server_count > 0;
}

bool bench_is_clean(const struct load_report *r)
{
    const struct load_counts *c = &r->counts;

    return c->lost == 0 && c->doubled == 0 && c->reordered == 0 && c->misrouted == 0 &&
           c->refused == 0 && c->closed == 0 && r->failed == 0 && !r->is_late &&
           r->storm.checked == r->storm.heard;
}

/* "status 401: {problem}" or a word of the system's. */
void bench_add_failure(struct buf *out, const char *failure)
{
    static const char lead[] = "status ";
    struct slice rest = slice_of(failure);
    struct slice value;
    struct slice head;
    uint64_t status;

    if (strncmp(failure, lead, sizeof(lead) - 1) != 0) {
        output_add_plain(out, rest);
        return;
    }
    head = slice_cut(&rest, ':');
    rest = slice_trim(rest);
    value = slice_make(head.p + sizeof(lead) - 1, head.n - (sizeof(lead) - 1));
    if (slice_to_u64(value, &status) != 0)
        status = 0;
    output_add_plain(out, head);
    if (output_find(rest, "detail", &value) || output_find(rest, "title", &value)) {
        buf_add_text(out, ": ");
        output_add_problem(out, (int)status, rest);
    }
}

/* ---- for people ---- */

/* 850 us, 21.3 ms, 1.52 s */
static void add_time(struct buf *out, uint64_t ns)
{
    double us = (double)ns / 1e3;

    if (us < 1000)
        buf_printf(out, "%.0f us", us);
    else if (us < 1e6)
        buf_printf(out, us < 1e4 ? "%.2f ms" : "%.1f ms", us / 1e3);
    else
        buf_printf(out, "%.2f s", us / 1e6);
}

/* delivered after 203 us (median), 3.90 ms (99 %), 6.49 ms (99.9 %), 12.1 ms (longest) */
static void add_spread(struct buf *out, const char *what, const struct histogram *h)
{
    if (h->count == 0)
        return;
    buf_printf(out, "          %s ", what);
    add_time(out, histogram_quantile(h, 0.5));
    buf_add_text(out, " (median), ");
    add_time(out, histogram_quantile(h, 0.99));
    buf_add_text(out, " (99 %), ");
    add_time(out, histogram_quantile(h, 0.999));
    buf_add_text(out, " (99.9 %), ");
    add_time(out, h->max);
    buf_add_text(out, " (longest)\n");
}

static void add_open(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    buf_printf(out, "%" PRIu64 " streams in %.2f s, %.0f a second", r->open, r->seconds,
               per((double)r->open, r->seconds));
    if (knows_server(plan))
        buf_printf(out, "; %.1f us of the server's processor each",
                   per(server_us(r), (double)r->open));
    buf_add_char(out, '\n');
    add_spread(out, "answered after", r->head_ns);
    if (r->failed > 0)
        buf_printf(out, "          %" PRIu64 " failed\n", r->failed);
    if (r->is_late)
        buf_printf(out, "          %" PRIu64 " were not open when the time was over\n",
                   plan->streams - r->open);
}

static void add_memory(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    const struct load_memory *m = &r->memory;
    double streams = (double)r->open;

    if (knows_server(plan))
        buf_printf(out, "%.0f bytes a stream in the server (%.1f MiB in all), ",
                   per(grown(m->rss_before, m->rss), streams), (double)m->rss / 1048576);
    buf_printf(out, "%.0f in this machine's kernel\n",
               per(grown(m->slab_before, m->slab), streams));
}

static void add_idle(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    buf_printf(out, "%.1f s, %" PRIu64 " bytes came", r->seconds, r->counts.bytes);
    if (knows_server(plan))
        buf_printf(out, "; %.2f ms of the server's processor a second",
                   per(server_us(r) / 1e3, r->cost.seconds));
    buf_add_char(out, '\n');
}

static void add_published(struct buf *out, const struct load_plan *plan,
                          const struct load_report *r)
{
    const struct load_counts *c = &r->counts;

    buf_printf(out, "%.0f published a second, %.0f delivered, for %.1f s\n",
               per((double)c->sent, r->seconds), per((double)c->delivered, r->seconds), r->seconds);
    if (knows_server(plan))
        buf_printf(out, "          %.2f us of the server's processor a publish, %.2f a delivery; "
                   "it was busy %.0f %%\n",
                   per(server_us(r), (double)c->sent), per(server_us(r), (double)c->delivered),
                   100 * per(server_us(r) / 1e6, r->cost.seconds));
    add_spread(out, "delivered after", r->unicast_ns);
    add_spread(out, r->kind == LOAD_MIXED ? "fan-outs delivered after" : "delivered after",
               r->fanout_ns);
    add_spread(out, "publishes answered after", r->answer_ns);
    if (r->late_ns->count > 0 && histogram_quantile(r->late_ns, 0.99) > 1000 * 1000)
        add_spread(out, "of that the generator was late by", r->late_ns);
}

static void add_storm(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    buf_printf(out, "%" PRIu64 " streams back after %.2f s, %.0f a second", r->open, r->seconds,
               per((double)r->open, r->seconds));
    if (knows_server(plan))
        buf_printf(out, "; %.1f us of the server's processor each",
                   per(server_us(r), (double)r->open));
    buf_printf(out, "\n          %" PRIu64 " of %" PRIu64 " missed came, the last after %.2f s\n",
               r->storm.replayed, r->storm.wanted, r->storm.replayed_ms / 1e3);
    if (r->storm.checked != r->storm.heard)
        buf_printf(out, "          of %" PRIu64 " published then, %" PRIu64 " came\n",
                   r->storm.checked, r->storm.heard);
}

static void add_catchup(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    double delivered = (double)r->counts.delivered;

    buf_printf(out, "%.0f delivered a second, for %.1f s; streams began anew %" PRIu64 " times\n",
               per(delivered, r->seconds), r->seconds, r->reread);
    if (knows_server(plan))
        buf_printf(out, "          %.2f us of the server's processor a delivery\n",
                   per(server_us(r), delivered));
}

static void add_wrongs(struct buf *out, const struct load_report *r)
{
    const struct load_counts *c = &r->counts;
    const struct {
        const char *text;
        int64_t n;
    } wrongs[] = {
        {"lost", c->lost},
        {"came twice", (int64_t)c->doubled},
        {"came out of order", (int64_t)c->reordered},
        {"came to the wrong stream", (int64_t)c->misrouted},
        {"publishes failed", (int64_t)c->refused},
        {"streams ended", (int64_t)c->closed},
    };

    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        if (wrongs[i].n != 0)
            buf_printf(out, "          wrong: %" PRId64 " %s\n", wrongs[i].n, wrongs[i].text);
    }
    if (bench_is_clean(r) || r->failure[0] == '\0')
        return;
    buf_add_text(out, "          first failure: ");
    bench_add_failure(out, r->failure);
    buf_add_char(out, '\n');
}

void bench_add_text(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    const char *title = r->phase != NULL ? r->phase->text : names[r->kind];

    buf_printf(out, strlen(title) > 9 ? "%s\n          " : "%-9s ", title);
    switch (r->kind) {
    case LOAD_OPEN:
        add_open(out, plan, r);
        break;
    case LOAD_MEMORY:
        add_memory(out, plan, r);
        return;
    case LOAD_IDLE:
        add_idle(out, plan, r);
        break;
    case LOAD_STORM:
        add_storm(out, plan, r);
        break;
    case LOAD_CATCHUP:
        add_catchup(out, plan, r);
        break;
    case LOAD_UNICAST:
    case LOAD_FANOUT:
    case LOAD_LATENCY:
    case LOAD_MIXED:
    case LOAD_PUBLISH:
        add_published(out, plan, r);
        break;
    }
    add_wrongs(out, r);
}

/* ---- for programs ---- */

static void add_number(struct buf *out, const char *name, double value)
{
    buf_printf(out, ",\"%s\":%.3f", name, value);
}

static void add_count(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, ",\"%s\":%" PRIu64, name, value);
}

/* A figure of the server's, where that is known. */
static void add_of_server(struct buf *out, const struct load_plan *plan, const char *name,
                          double value)
{
    if (knows_server(plan))
        add_number(out, name, value);
    else
        buf_printf(out, ",\"%s\":null", name);
}

static void add_histogram(struct buf *out, const char *name, const struct histogram *h)
{
    buf_printf(out, ",\"%s\":{\"n\":%" PRIu64, name, h->count);
    add_number(out, "p50", (double)histogram_quantile(h, 0.5) / 1e3);
    add_number(out, "p90", (double)histogram_quantile(h, 0.9) / 1e3);
    add_number(out, "p99", (double)histogram_quantile(h, 0.99) / 1e3);
    add_number(out, "p999", (double)histogram_quantile(h, 0.999) / 1e3);
    add_number(out, "max", (double)h->max / 1e3);
    add_number(out, "mean", per((double)h->sum / 1e3, (double)h->count));
    buf_add_char(out, '}');
}

static void add_cost(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    const struct load_cost *cost = &r->cost;

    add_number(out, "seconds", r->seconds);
    add_of_server(out, plan, "server_busy", per(server_us(r) / 1e6, cost->seconds));
    add_number(out, "generator_busy", per((double)cost->generator_ns / 1e9, cost->seconds));
    if (plan->core >= 0)
        add_number(out, "core_busy", cost->core_busy);
    add_count(out, "steal_ticks", cost->steal_ticks);
}

static void add_counts(struct buf *out, const struct load_counts *c)
{
    add_count(out, "sent", c->sent);
    add_count(out, "answered", c->answered);
    add_count(out, "refused", c->refused);
    add_count(out, "reconnects", c->reconnects);
    add_count(out, "expected", c->expected);
    add_count(out, "delivered", c->delivered);
    buf_printf(out, ",\"lost\":%" PRId64, c->lost);
    add_count(out, "gaps", c->gaps);
    add_count(out, "doubled", c->doubled);
    add_count(out, "reordered", c->reordered);
    add_count(out, "misrouted", c->misrouted);
    add_count(out, "closed", c->closed);
    add_count(out, "bytes", c->bytes);
    add_count(out, "reads", c->reads);
}

static void add_json_published(struct buf *out, const struct load_plan *plan,
                               const struct load_report *r)
{
    const struct load_counts *c = &r->counts;

    add_number(out, "publishes_per_s", per((double)c->sent, r->seconds));
    add_number(out, "deliveries_per_s", per((double)c->delivered, r->seconds));
    add_of_server(out, plan, "server_us_per_publish", per(server_us(r), (double)c->sent));
    add_of_server(out, plan, "server_us_per_delivery", per(server_us(r), (double)c->delivered));
    add_histogram(out, "unicast_us", r->unicast_ns);
    add_histogram(out, "fanout_us", r->fanout_ns);
    add_histogram(out, "answer_us", r->answer_ns);
    add_histogram(out, "late_us", r->late_ns);
    if (r->kind == LOAD_CATCHUP) {
        add_count(out, "reread", r->reread);
        add_count(out, "failed", r->failed);
    }
}

static void add_json_opened(struct buf *out, const struct load_plan *plan,
                            const struct load_report *r)
{
    add_count(out, "failed", r->failed);
    add_number(out, "streams_per_s", per((double)r->open, r->seconds));
    add_of_server(out, plan, "server_us_per_stream", per(server_us(r), (double)r->open));
    add_histogram(out, "head_us", r->head_ns);
}

static void add_json_memory(struct buf *out, const struct load_plan *plan,
                            const struct load_report *r)
{
    const struct load_memory *m = &r->memory;
    double n = (double)r->open;

    add_of_server(out, plan, "rss", (double)m->rss);
    add_of_server(out, plan, "rss_per_stream", per(grown(m->rss_before, m->rss), n));
    add_of_server(out, plan, "pss_per_stream", per(grown(m->pss_before, m->pss), n));
    add_number(out, "slab_per_stream", per(grown(m->slab_before, m->slab), n));
    add_number(out, "generator_per_stream",
               per(grown(m->generator_pss_before, m->generator_pss), n));
}

static void add_json_storm(struct buf *out, const struct load_report *r)
{
    add_count(out, "wanted", r->storm.wanted);
    add_count(out, "replayed", r->storm.replayed);
    add_number(out, "replayed_ms", r->storm.replayed_ms);
    add_count(out, "checked", r->storm.checked);
    add_count(out, "heard", r->storm.heard);
}

void bench_add_json(struct buf *out, const struct load_plan *plan, const struct load_report *r)
{
    struct buf failure = {0};

    buf_printf(out, "{\"phase\":\"%s\",\"asked\":", names[r->kind]);
    json_add_string(out, slice_of(r->phase != NULL ? r->phase->text : names[r->kind]));
    add_count(out, "open", r->open);
    if (r->kind == LOAD_MEMORY) {
        add_json_memory(out, plan, r);
        buf_add_char(out, '}');
        return;
    }
    add_cost(out, plan, r);
    if (r->kind == LOAD_OPEN || r->kind == LOAD_STORM)
        add_json_opened(out, plan, r);
    if (r->kind == LOAD_STORM)
        add_json_storm(out, r);
    if (r->kind == LOAD_IDLE)
        add_of_server(out, plan, "server_ms_per_s", per(server_us(r) / 1e3, r->cost.seconds));
    else if (r->kind != LOAD_OPEN && r->kind != LOAD_STORM)
        add_json_published(out, plan, r);
    if (r->kind != LOAD_OPEN)
        add_counts(out, &r->counts);
    bench_add_failure(&failure, bench_is_clean(r) ? "" : r->failure);
    buf_add_text(out, ",\"failure\":");
    json_add_string(out, buf_slice(&failure));
    buf_fini(&failure);
    buf_add_char(out, '}');
}
