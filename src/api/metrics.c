/* metrics.c - GET /metrics: the daemon's counters in Prometheus' text format.
 * Source: prometheus.io/docs/instrumenting/exposition_formats, and its naming conventions.
 *
 * A counter of stats.def is shown as sse_notify_NAME_total and a gauge as sse_notify_NAME, unless
 * it belongs to a family below, in which several are told apart by a label, or a unit is to be
 * converted. No label has more values than the program knows by name: users, topics and addresses
 * are in none. */
#include <stdio.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/log.h"
#include "base/process.h"

#define PREFIX "sse_notify_"

enum { FEW_CONNECTIONS = 1000, MAX_ROWS = 9, MAX_NAME = 96 };

struct row {
    const char *value; /* of the family's label; NULL: no label */
    size_t offset;     /* of the uint64_t in struct stats */
};

struct family {
    const char *name;  /* NULL: its rows are not shown, as others tell the same */
    const char *type;
    const char *help;
    const char *label;
    bool is_in_us;     /* counted in microseconds, shown in seconds */
    size_t count;
    struct row rows[MAX_ROWS];
};

#define STAT(name) offsetof(struct stats, name)

static const struct family families[] = {
    {PREFIX "streams_closed_total", "counter", "Streams closed, by reason.", "reason", false, 9,
     {{"peer", STAT(streams_closed_by_peer)},
      {"overflow", STAT(streams_closed_by_overflow)},
      {"kicked", STAT(streams_closed_by_kick)},
      {"max-age", STAT(streams_closed_by_age)},
      {"shutdown", STAT(streams_closed_by_shutdown)},
      {"max-memory", STAT(streams_closed_by_max_memory)},
      {"token-expired", STAT(streams_closed_by_expiry)},
      {"token-revoked", STAT(streams_closed_by_revocation)},
      {"out-of-memory", STAT(streams_closed_for_memory)}}},
    {PREFIX "streams_refused_total", "counter",
     "Streams refused, by the limit of [streams] or [limits].", "limit", false, 4,
     {{"max_streams", STAT(streams_refused_total)},
      {"max_streams_per_user", STAT(streams_refused_per_user)},
      {"max_streams_per_ip", STAT(streams_refused_per_ip)},
      {"streams_per_second_per_ip", STAT(streams_refused_by_rate)}}},
    {PREFIX "notifications_total", "counter",
     "Notifications sent to the daemon: accepted by the journal, duplicate by their idempotency "
     "key, refused for what is wrong with them, failed for want of journal, disk or memory.",
     "result", false, 4,
     {{"accepted", STAT(notifications_accepted)},
      {"duplicate", STAT(notifications_duplicate)},
      {"refused", STAT(notifications_refused)},
      {"failed", STAT(notifications_failed)}}},
    {PREFIX "notifications_dropped_total", "counter",
     "Notifications left out on purpose: from full queues by overflow = drop-oldest, from what is "
     "kept by a newer one with the same collapse key.",
     "policy", false, 2,
     {{"drop-oldest", STAT(dropped_oldest)}, {"collapse", STAT(collapsed)}}},
    {PREFIX "gaps_total", "counter", "Gaps told to streams, by reason.", "reason", false, 3,
     {{"expired", STAT(gaps_expired)},
      {"unknown-id", STAT(gaps_unknown_id)},
      {"overflow", STAT(gaps_overflow)}}},
    {PREFIX "http_timeouts_total", "counter",
     "Connections closed because something did not come in time.", "phase", false, 4,
     {{"header", STAT(timeouts_header)},
      {"body", STAT(timeouts_body)},
      {"idle", STAT(timeouts_idle)},
      {"write", STAT(timeouts_write)}}},
    {PREFIX "reloads_total", "counter", "Reloads of the configuration, by what became of them.",
     "result", false, 2,
     {{"taken", STAT(reloads)}, {"refused", STAT(reloads_refused)}}},
    {PREFIX "webhook_events_total", "counter",
     "News for webhooks by what became of it: delivered; cancelled, as it had turned back before "
     "it was told; or dropped: expired after webhooks.keep_trying, queue-full, gone since the "
     "receiver answered 410, out-of-memory.",
     "result", false, 6,
     {{"delivered", STAT(webhook_events_delivered)},
      {"cancelled", STAT(webhook_events_cancelled)},
      {"expired", STAT(webhook_events_expired)},
      {"queue-full", STAT(webhook_events_queue_full)},
      {"gone", STAT(webhook_events_gone)},
      {"out-of-memory", STAT(webhook_events_no_memory)}}},
    {PREFIX "streamed_bytes_total", "counter",
     "Bytes written to streams, heartbeats and framing included.", NULL, false, 1,
     {{NULL, STAT(bytes_streamed)}}},
    {PREFIX "loop_longest_turn_seconds", "gauge",
     "The longest turn of the loop so far, waiting left out.", NULL, true, 1,
     {{NULL, STAT(loop_longest_us)}}},
    {PREFIX "loop_longest_turn_cpu_seconds", "gauge",
     "The most processor time that one turn of the loop took so far.", NULL, true, 1,
     {{NULL, STAT(loop_longest_cpu_us)}}},
    {NULL, NULL, NULL, NULL, false, 4,
     {{NULL, STAT(streams_closed)},
      {NULL, STAT(requests)},
      {NULL, STAT(requests_refused)},
      {NULL, STAT(loop_turns)}}},
};

static bool is_in_family(size_t offset)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        for (size_t j = 0; j < families[i].count; j++)
            if (families[i].rows[j].offset == offset)
                return true;
    return false;
}

/* ---- writing ---- */

/* Our texts hold neither a backslash nor a line end, which would have to be escaped. */
static void add_head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A number of microseconds as seconds, exactly. */
static void add_seconds(struct buf *b, uint64_t us)
{
    buf_printf(b, "%llu.%06u", (unsigned long long)(us / 1000000), (unsigned)(us % 1000000));
}

static void add_value(struct buf *b, uint64_t value, bool is_in_us)
{
    buf_add_char(b, ' ');
    if (is_in_us)
        add_seconds(b, value);
    else
        buf_add_u64(b, value);
    buf_add_char(b, '\n');
}

/* One that is a single number without a label. */
static void add_single(struct buf *b, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    add_head(b, name, type, help);
    buf_add_text(b, name);
    add_value(b, value, false);
}

static void add_single_us(struct buf *b, const char *name, const char *type, const char *help,
                          uint64_t us)
{
    add_head(b, name, type, help);
    buf_add_text(b, name);
    add_value(b, us, true);
}

static void add_family(struct buf *b, const struct family *f, const struct stats *stats)
{
    if (f->name == NULL)
        return;
    add_head(b, f->name, f->type, f->help);
    for (size_t i = 0; i < f->count; i++) {
        const struct row *row = &f->rows[i];
        uint64_t value = *(const uint64_t *)(const void *)((const char *)stats + row->offset);

        buf_add_text(b, f->name);
        if (row->value != NULL)
            buf_printf(b, "{%s=\"%s\"}", f->label, row->value);
        add_value(b, value, f->is_in_us);
    }
}

static void add_other_stats(struct buf *b, const struct stats *stats)
{
    for (size_t i = 0; i < stat_count; i++) {
        const struct stat_info *s = &stat_infos[i];
        bool is_counter = s->kind == STAT_COUNTER;
        char name[MAX_NAME];

        if (is_in_family(s->offset))
            continue;
        snprintf(name, sizeof name, PREFIX "%s%s", s->name, is_counter ? "_total" : "");
        add_single(b, name, is_counter ? "counter" : "gauge", s->help, stat_value(stats, s));
    }
}

static void add_histogram(struct buf *b, const struct histogram_info *info,
                          const struct histogram *h)
{
    char name[MAX_NAME];
    uint64_t count = 0;

    snprintf(name, sizeof name, PREFIX "%s_seconds", info->name);
    add_head(b, name, "histogram", info->help);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += h->counts[i];
        buf_printf(b, "%s_bucket{le=\"", name);
        if (i + 1 < HISTOGRAM_BUCKETS)
            add_seconds(b, UINT64_C(1) << i);
        else
            buf_add_text(b, "+Inf");
        buf_add_text(b, "\"}");
        add_value(b, count, false);
    }
    buf_printf(b, "%s_sum", name);
    add_value(b, h->sum_us, true);
    buf_printf(b, "%s_count", name);
    add_value(b, count, false);
}

static void add_request_count(void *ctx, const struct http_route *route, int status,
                              uint64_t count)
{
    struct buf *b = ctx;

    buf_printf(b, PREFIX "http_requests_total{route=\"%s\",method=\"%s\",code=\"",
               route == NULL ? "none" : route->pattern,
               route == NULL ? "any" : http_method_name(route->method));
    if (status == 0)
        buf_add_text(b, "other");
    else
        buf_printf(b, "%d", status);
    buf_add_text(b, "\"}");
    add_value(b, count, false);
}

static void add_requests(struct buf *b, const struct api *api)
{
    add_head(b, PREFIX "http_requests_total", "counter",
             "Requests answered, streams included, by route, method and status; HEAD is GET, and "
             "route none is what was refused before a route was found.");
    http_server_each_count(api->server, add_request_count, b);
}

static void add_journal(struct buf *b, const struct api *api)
{
    struct journal_status status;
    const char *why;

    journal_get_status(manager_journal(api->nm), &status);
    add_single(b, PREFIX "journal_up", "gauge",
               "1 while the journal takes notifications, 0 while it cannot.",
               status.is_up && status.trouble == 0);
    add_single_us(b, PREFIX "journal_oldest_age_seconds", "gauge",
                  "Age of the oldest notification that the journal keeps; 0 when it keeps none.",
                  status.oldest_ms * 1000);
    add_single(b, PREFIX "ready", "gauge",
               "1 while notifications and streams are taken, as GET /readyz tells.",
               api_is_ready(api, &why));
}

/* Descriptors are counted while that is quick; besides the connections there are few and always the
 * same. */
static uint64_t open_descriptors(struct api *api)
{
    uint64_t connections = api->stats->connections_open;
    size_t all = connections < FEW_CONNECTIONS ? process_count_descriptors() : 0;

    if (all > connections)
        api->own_descriptors = all - connections;
    return api->own_descriptors + connections;
}

static void add_process(struct buf *b, struct api *api)
{
    struct process_info p;

    process_read(&p);
    add_single_us(b, "process_cpu_seconds_total", "counter",
                  "Total user and system CPU time spent in seconds.", p.cpu_us);
    add_single(b, "process_open_fds", "gauge", "Number of open file descriptors.",
               open_descriptors(api));
    add_single(b, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
               p.max_descriptors);
    add_single(b, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
               p.virtual_bytes);
    add_single(b, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
               p.resident_bytes);
    add_single_us(b, "process_start_time_seconds", "gauge",
                  "Start time of the process since unix epoch in seconds.",
                  api->started_wall_ms * 1000);
}

void api_metrics(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct buf b = {0};

    if (!access_operate(api, r, api_metrics))
        return;
    add_head(&b, PREFIX "build_info", "gauge", "What was built; always 1.");
    buf_add_text(&b, PREFIX "build_info{version=\"" SSE_NOTIFY_VERSION "\"} 1\n");
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        add_family(&b, &families[i], api->stats);
    add_other_stats(&b, api->stats);
    for (size_t i = 0; i < histogram_count; i++)
        add_histogram(&b, &histogram_infos[i], stat_histogram(api->stats, &histogram_infos[i]));
    add_requests(&b, api);
    add_journal(&b, api);
    add_single(&b, PREFIX "streams_limit", "gauge",
               "Streams that may be open at once, streams.max_streams; 0 is no limit.",
               api->options.max_streams);
    add_single(&b, PREFIX "log_lines_dropped_total", "counter",
               "Lines that the log's reader was too slow for.", log_dropped());
    add_process(&b, api);
    if (b.failed)
        api_out_of_memory(r);
    else
        http_respond(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&b));
    buf_fini(&b);
}
