/* status.c - `sse-notify status`: a screenful of how the daemon is. */
#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/histogram.h"
#include "base/json.h"
#include "failure_priv.h"
#include "http_client_priv.h"
#include "nearby_priv.h"
#include "output_priv.h"

enum { MAX_FIGURES_A_ROW = 6, TIMEOUT_MS = 10 * 1000 };

/* A kind that is counted has a rate while one watches. */
enum kind { NONE, NOW, BYTES_NOW, COUNTED, BYTES_COUNTED };

struct figure {
    const char *name; /* of GET /stats */
    const char *word; /* what it is called here */
    enum kind kind;
    bool is_trouble;  /* shown only where it is not 0 */
};

static const struct row {
    const char *title;
    struct figure figures[MAX_FIGURES_A_ROW];
} rows[] = {
    {"streams",
     {{"streams_open", "open", NOW, false},
      {"users_online", "users", NOW, false},
      {"streams_behind", "behind", NOW, false},
      {"streams_opened", "opened", COUNTED, false},
      {"streams_closed", "closed", COUNTED, false}}},
    {"published",
     {{"notifications_accepted", "accepted", COUNTED, false},
      {"notifications_duplicate", "duplicate", COUNTED, false},
      {"notifications_refused", "refused", COUNTED, true},
      {"notifications_failed", "failed", COUNTED, true}}},
    {"delivered",
     {{"deliveries", "written", COUNTED, false},
      {"bytes_streamed", "in all", BYTES_COUNTED, false},
      {"replayed", "replayed", COUNTED, false}}},
    {"waiting",
     {{"queued_messages", "messages", NOW, false},
      {"queued_bytes", "in queues", BYTES_NOW, false},
      {"window_entries", "in the window", NOW, false},
      {"window_bytes", "of it", BYTES_NOW, false}}},
    {"lost",
     {{"gaps_expired", "gaps: no longer kept", COUNTED, false},
      {"gaps_unknown_id", "gaps: unknown id", COUNTED, true},
      {"gaps_overflow", "gaps: too slow", COUNTED, true},
      {"dropped_oldest", "dropped from full queues", COUNTED, true},
      {"streams_closed_by_overflow", "streams ended as too slow", COUNTED, true}}},
    {"refused",
     {{"requests_refused", "requests", COUNTED, false},
      {"streams_refused_total", "by max_streams", COUNTED, true},
      {"streams_refused_per_user", "by max_streams_per_user", COUNTED, true},
      {"streams_refused_per_ip", "by max_streams_per_ip", COUNTED, true},
      {"accept_paused", "pauses for want of descriptors", COUNTED, true},
      {"out_of_memory", "for want of memory", COUNTED, true}}},
};

static const struct {
    const char *name;
    const char *word;
} times[] = {
    {"publish_to_written", "publish to written"},
    {"journal_append", "journal"},
    {"loop_turn", "turn of the loop"},
};

enum { ROWS = sizeof rows / sizeof rows[0], TIMES = sizeof times / sizeof times[0] };

/* What one look at the daemon has shown. */
struct look {
    uint64_t at_ms; /* 0: none */
    uint64_t values[ROWS][MAX_FIGURES_A_ROW];
    struct histogram times[TIMES];
};

struct status {
    const struct command *command;
    struct remote remote;
    struct nearby nearby;
    bool is_watching;
    bool is_json;
    uint64_t interval_ms;
    uint64_t looks; /* end after so many; 0: never */

    struct http_client *client;
    struct http_answer answer; /* of /stats */
    struct http_answer ready;  /* of /readyz */
    struct buf url;
    struct buf text;
    struct look last;
};

static const char notes[] =
    "Environment: SSE_NOTIFY_URL, SSE_NOTIFY_TOKEN; http_proxy and its kin as for curl.\n"
    "\n"
    "Examples:\n"
    "  sse-notify status\n"
    "  sse-notify status --watch\n"
    "  sse-notify status --json | jq .streams_open\n"
    "\n"
    "Exit codes: 0 it is ready; 1 it is not, or has refused; 2 wrong usage; 3 no connection.\n";

#define STATUS_ARGUMENTS(s)                                                                        \
    {'w', "watch", ARGUMENT_FLAG, NULL, &(s).is_watching, 0, 0,                                    \
     "look again and again, and show what comes in a second"},                                     \
    {0, "interval", ARGUMENT_TIME, "TIME", &(s).interval_ms, 100, 3600 * 1000,                     \
     "from one look to the next; default 2"},                                                      \
    {'n', "count", ARGUMENT_NUMBER, "N", &(s).looks, 1, UINT64_MAX,                                \
     "watch, and end after N looks"},                                                              \
    {'j', "json", ARGUMENT_FLAG, NULL, &(s).is_json, 0, 0,                                         \
     "print the answer of GET /stats, a line for each look"}

/* ---- reading ---- */

/* Of what may have come from any server: 0 where there is no such number. */
static uint64_t number_of(struct slice object, const char *name)
{
    struct slice value;
    char text[32];
    double number;

    if (!output_find(object, name, &value) || json_type_of(value) != JSON_NUMBER ||
        value.n >= sizeof text)
        return 0;
    *slice_put(text, value) = '\0';
    number = strtod(text, NULL);
    return number > 0 && number < 1.8e19 ? (uint64_t)number : 0;
}

static void read_histogram(struct slice object, const char *name, struct histogram *h)
{
    struct slice all, one, counts, count;
    size_t cursor = 0;

    if (!output_find(object, "histograms", &all) || !output_find(all, name, &one) ||
        !output_find(one, "counts", &counts) || json_type_of(counts) != JSON_ARRAY)
        return;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && json_array_next(counts, &cursor, &count); i++)
        if (slice_to_u64(count, &h->counts[i]) != 0)
            h->counts[i] = 0;
}

static void read_look(struct look *look, struct slice object)
{
    *look = (struct look){.at_ms = clock_mono_ms()};
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < MAX_FIGURES_A_ROW && rows[i].figures[j].kind != NONE; j++)
            look->values[i][j] = number_of(object, rows[i].figures[j].name);
    for (size_t i = 0; i < TIMES; i++)
        read_histogram(object, times[i].name, &look->times[i]);
}

/* ---- showing ---- */

/* 1234567 as 1,234,567 */
static void add_grouped(struct buf *out, uint64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, number);

    for (int i = 0; i < n; i++) {
        buf_add_char(out, digits[i]);
        if (i + 1 < n && (n - i - 1) % 3 == 0)
            buf_add_char(out, ',');
    }
}

static void add_amount(struct buf *out, uint64_t amount, bool is_bytes)
{
    if (is_bytes)
        output_add_size(out, amount);
    else
        add_grouped(out, amount);
}

/* What it grew by in a second, since `before`; nothing where the daemon has begun anew. */
static void add_rate(struct buf *out, uint64_t now, uint64_t before, uint64_t took_ms,
                     bool is_bytes)
{
    if (now < before || took_ms == 0)
        return;
    buf_add_text(out, " (");
    add_amount(out, (uint64_t)((double)(now - before) * 1000 / (double)took_ms + 0.5), is_bytes);
    buf_add_text(out, "/s)");
}

static void add_title(struct buf *out, const char *title)
{
    buf_printf(out, "%-11s", title);
}

static void add_row(struct buf *out, size_t row, const struct look *now, const struct look *before)
{
    const char *between = "";

    add_title(out, rows[row].title);
    for (size_t i = 0; i < MAX_FIGURES_A_ROW && rows[row].figures[i].kind != NONE; i++) {
        const struct figure *f = &rows[row].figures[i];
        bool is_bytes = f->kind == BYTES_NOW || f->kind == BYTES_COUNTED;

        if (f->is_trouble && now->values[row][i] == 0)
            continue;
        buf_add_text(out, between);
        add_amount(out, now->values[row][i], is_bytes);
        buf_printf(out, " %s", f->word);
        if (before->at_ms != 0 && (f->kind == COUNTED || f->kind == BYTES_COUNTED))
            add_rate(out, now->values[row][i], before->values[row][i],
                     now->at_ms - before->at_ms, is_bytes);
        between = "   ";
    }
    buf_add_char(out, '\n');
}

/* Under how many microseconds `share` of what `h` has counted took; 0: it has counted nothing. */
static uint64_t quantile(const struct histogram *h, double share)
{
    uint64_t all = 0;
    uint64_t seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        all += h->counts[i];
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (all > 0 && (double)seen >= share * (double)all)
            return UINT64_C(1) << i;
    }
    return 0;
}

static void add_time(struct buf *out, uint64_t us)
{
    if (us < 1000)
        buf_printf(out, "%" PRIu64 " us", us);
    else if (us < 1000000)
        buf_printf(out, "%.1f ms", (double)us / 1000);
    else
        buf_printf(out, "%.1f s", (double)us / 1000000);
}

/* While one watches, of what was counted since the last look. */
static void add_times(struct buf *out, const struct look *now, const struct look *before)
{
    const char *between = "";

    add_title(out, "times");
    for (size_t i = 0; i < TIMES; i++) {
        struct histogram h = now->times[i];

        for (size_t j = 0; j < HISTOGRAM_BUCKETS; j++)
            if (before->at_ms != 0 && h.counts[j] >= before->times[i].counts[j])
                h.counts[j] -= before->times[i].counts[j];
        if (quantile(&h, 1) == 0)
            continue;
        buf_printf(out, "%s%s under ", between, times[i].word);
        add_time(out, quantile(&h, 0.5));
        buf_add_text(out, " at p50, ");
        add_time(out, quantile(&h, 0.99));
        buf_add_text(out, " at p99");
        between = "\n           ";
    }
    buf_add_text(out, between[0] == '\0' ? "none was taken\n" : "\n");
}

static void add_journal(struct buf *out, struct slice stats)
{
    struct slice journal, value;

    if (!output_find(stats, "journal", &journal))
        return;
    add_title(out, "journal");
    if (output_find(journal, "type", &value) && json_type_of(value) == JSON_STRING) {
        struct buf type = {0};

        json_add_unescaped(&type, value);
        output_add_plain(out, buf_slice(&type));
        buf_fini(&type);
    }
    if (output_find(journal, "up", &value) && slice_is(value, "false"))
        buf_add_text(out, ", down");
    buf_add_text(out, "   ");
    add_grouped(out, number_of(journal, "entries"));
    buf_add_text(out, " kept   ");
    output_add_size(out, number_of(journal, "bytes"));
    buf_add_char(out, '\n');
}

static void add_uptime(struct buf *out, uint64_t seconds)
{
    if (seconds >= 86400)
        buf_printf(out, "%" PRIu64 " d ", seconds / 86400);
    buf_printf(out, "%02d:%02d:%02d", (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60),
               (int)(seconds % 60));
}

static void add_first_line(struct status *s, struct slice stats, bool is_ready)
{
    struct slice version;
    struct buf text = {0};

    buf_add_text(&s->text, "sse-notify ");
    if (output_find(stats, "version", &version) && json_type_of(version) == JSON_STRING)
        json_add_unescaped(&text, version);
    output_add_plain(&s->text, buf_slice(&text));
    buf_printf(&s->text, " at %s, up ",
               s->remote.unix_path != NULL ? s->remote.unix_path : s->remote.url);
    add_uptime(&s->text, number_of(stats, "uptime_seconds"));
    buf_add_text(&s->text, is_ready ? ", ready\n" : ", not ready: ");
    if (!is_ready) {
        output_add_problem(&s->text, s->ready.status, buf_slice(&s->ready.body));
        buf_add_char(&s->text, '\n');
    }
    buf_fini(&text);
}

/* ---- looking ---- */

static enum http_outcome get(struct status *s, const char *path, struct http_answer *answer)
{
    struct http_request request = {
        .remote = &s->remote, .total_ms = TIMEOUT_MS, .wake_fd = -1, .output_fd = -1};

    if (remote_url(&s->remote, path, &s->url) != 0) {
        error_set(&answer->why, "no memory");
        return HTTP_IMPOSSIBLE;
    }
    request.url = s->url.p;
    return http_client_run(s->client, &request, answer);
}

static int fail(struct status *s, enum http_outcome outcome, const struct http_answer *answer)
{
    s->text.len = 0;
    failure_add(&s->text, outcome, answer);
    complain(s->command, "%.*s", SLICE_ARG(buf_slice(&s->text)));
    return failure_exit_code(outcome, answer);
}

static void compose(struct status *s, struct slice stats, bool is_ready)
{
    struct look now;

    s->text.len = 0;
    if (s->is_json) {
        json_add_compact(&s->text, stats);
        buf_add_char(&s->text, '\n');
        return;
    }
    if (s->is_watching && isatty(STDOUT_FILENO))
        buf_add_text(&s->text, "\033[H\033[J"); /* home; clear to the end */
    else if (s->last.at_ms != 0)
        buf_add_char(&s->text, '\n');
    read_look(&now, stats);
    add_first_line(s, stats, is_ready);
    for (size_t i = 0; i < ROWS; i++)
        add_row(&s->text, i, &now, &s->last);
    add_journal(&s->text, stats);
    add_times(&s->text, &now, &s->last);
    s->last = now;
}

static int look(struct status *s)
{
    enum http_outcome outcome = get(s, "/stats", &s->answer);
    struct slice version;
    bool is_ready;
    int code;

    if (failure_exit_code(outcome, &s->answer) != EXIT_OK)
        return fail(s, outcome, &s->answer);
    if (!output_find(buf_slice(&s->answer.body), "version", &version)) {
        complain(s->command, "the server's answer is none of sse-notify's; is the URL right?");
        return EXIT_REFUSED;
    }
    outcome = get(s, "/readyz", &s->ready);
    if (outcome != HTTP_ANSWERED)
        return fail(s, outcome, &s->ready);
    is_ready = s->ready.status == 200;
    compose(s, buf_slice(&s->answer.body), is_ready);
    code = output_print(s->command, &s->text);
    return code != EXIT_OK ? code : is_ready ? EXIT_OK : EXIT_REFUSED;
}

/* A daemon that is away for a while is no reason to stop watching. */
static int watch(struct status *s)
{
    int code = EXIT_OK;

    for (uint64_t i = 0; s->looks == 0 || i < s->looks; i++) {
        if (i > 0)
            failure_wait(s->interval_ms, -1);
        code = look(s);
        if (ferror(stdout))
            break;
    }
    return code;
}

static int work(struct status *s)
{
    int code;

    s->client = http_client_create();
    if (s->client == NULL) {
        complain(s->command, "no memory");
        return EXIT_REFUSED;
    }
    code = s->is_watching ? watch(s) : look(s);
    http_client_destroy(s->client);
    buf_fini(&s->answer.body);
    buf_fini(&s->ready.body);
    buf_fini(&s->url);
    buf_fini(&s->text);
    return code;
}

int command_status(int argc, char **argv)
{
    struct status s = {
        .interval_ms = 2000,
        .nearby.role = CONFIG_ROLE_INTERNAL,
    };
    const struct argument arguments[] = {STATUS_ARGUMENTS(s), NEARBY_ARGUMENTS(s.nearby),
                                         REMOTE_ARGUMENTS(s.remote)};
    const struct command command = {
        .name = "status",
        .usage = "[options]",
        .purpose = "Shows how the daemon is: its streams, what it delivers, what waits, what is "
                   "lost.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = notes,
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    s.command = &command;
    if (code < 0 && operands.count > 0)
        code = wrong_operands(&command, "takes no arguments but options");
    s.is_watching |= s.looks > 0;
    if (code < 0)
        code = nearby_settle(&s.nearby, &command, &s.remote);
    if (code < 0)
        code = work(&s);
    text_list_fini(&operands);
    nearby_fini(&s.nearby);
    return code;
}
