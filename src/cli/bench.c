/* bench.c - `sse-notify bench`: the load generator for the machine at hand. */
#include "cli/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "arguments_priv.h"
#include "base/json.h"
#include "bench_priv.h"
#include "loadgen/loadgen.h"
#include "remote_priv.h"

enum { MAX_PHASES = 64, MAX_SERVERS = 16 };

struct bench {
    struct load_plan plan;
    struct load_phase phases[MAX_PHASES];
    pid_t servers[MAX_SERVERS];
    struct remote remote;
    const char *publish_url;
    struct text_list headers;
    struct text_list pids;
    struct buf header_lines; /* of all requests, terminated */
    struct buf out;       /* what is printed next */
    uint64_t phase_ms;
    uint64_t core;        /* UINT64_MAX: none */
    uint64_t told;        /* reports */
    bool is_json;
    bool is_quiet;
    bool shows_progress;
    bool is_clean;        /* so far */
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

#define BENCH_ARGUMENTS(b)                                                                         \
    {'n', "streams", ARGUMENT_NUMBER, "N", &(b).plan.streams, 1, LOAD_MAX_STREAMS,                 \
     "streams to open; default 1000"},                                                             \
    {0, "users", ARGUMENT_NUMBER, "N", &(b).plan.users, 1, LOAD_MAX_STREAMS,                       \
     "whose they are in turn, or have none; default one each"},                                    \
    {'t', "seconds", ARGUMENT_TIME, "TIME", &(b).phase_ms, 100, 3600 * 1000,                       \
     "of each phase; default 5"},                                                                  \
    {0, "payload", ARGUMENT_NUMBER, "BYTES", &(b).plan.payload, 1, 1024 * 1024,                    \
     "of a notification; default 64"},                                                             \
    {'j', "json", ARGUMENT_FLAG, NULL, &(b).is_json, 0, 0,                                         \
     "print all figures, as one JSON object"},                                                     \
    {'q', "quiet", ARGUMENT_FLAG, NULL, &(b).is_quiet, 0, 0, "show no progress on a terminal"},    \
    {0, "pid", ARGUMENT_LIST, "PID", &(b).pids, 0, 0,                                              \
     "the server's process, whose memory and processor time\nare told; may be repeated; default "  \
     "the one that listens,\nwhere that is on this machine"},                                      \
    {0, "core", ARGUMENT_NUMBER, "N", &(b).core, 0, 4095,                                          \
     "tell with --json how busy this core was, by whatever"},                                      \
    {0, "url", ARGUMENT_TEXT, "URL", &(b).remote.url, 0, 0,                                        \
     "where the streams are; default $SSE_NOTIFY_URL,\nelse http://127.0.0.1:8080"},               \
    {0, "publish-url", ARGUMENT_TEXT, "URL", &(b).publish_url, 0, 0,                               \
     "where to publish; default the same"},                                                        \
    {0, "token", ARGUMENT_TEXT, "TOKEN", &(b).remote.token, 0, 0,                                  \
     "the credential for both; default $SSE_NOTIFY_TOKEN"},                                        \
    {0, "header", ARGUMENT_LIST, "'NAME: VALUE'", &(b).headers, 0, 0,                              \
     "send it with every request; may be repeated"},                                               \
    {0, "opening", ARGUMENT_NUMBER, "N", &(b).plan.opening, 1, 65536,                              \
     "streams being opened at once; default 256"},                                                 \
    {0, "slow", ARGUMENT_NUMBER, "N", &(b).plan.slow, 0, LOAD_MAX_STREAMS,                         \
     "so many of the streams read slowly"},                                                        \
    {0, "slow-rate", ARGUMENT_NUMBER, "BYTES", &(b).plan.slow_rate, 100, LOAD_MAX_SLOW_RATE,       \
     "a second; default 20000"},                                                                   \
    {0, "open-limit", ARGUMENT_TIME, "TIME", &(b).plan.open_ms, 100, 24 * 3600 * 1000,             \
     "all must be open by then; default 60"},                                                      \
    {0, "settle", ARGUMENT_TIME, "TIME", &(b).plan.settle_ms, 0, 600 * 1000,                       \
     "from then to the first phase; default 1"},                                        \
    {0, "look", ARGUMENT_TIME, "TIME", &(b).plan.look_ms, 0, 500,                                  \
     "look for what came this often, and never be woken;\ndefault as each phase needs it"},        \
    {0, "processes", ARGUMENT_NUMBER, "N", &(b).plan.processes, 1, 255,                            \
     "that hold the streams; default as few as the limit\nof descriptors allows"},                 \
    {0, "sources", ARGUMENT_NUMBER, "N", &(b).plan.sources, 0, 62500,                              \
     "connect from so many addresses 127.1.X.Y; default one\nfor 10,000 streams of this machine"}, \
    {0, "stream-path", ARGUMENT_TEXT, "PATH", &(b).plan.stream_path, 0, 0,                         \
     "of another server: a path with {user}, {stream}"},                                           \
    {0, "publish-path", ARGUMENT_TEXT, "PATH", &(b).plan.publish_path, 0, 0,                       \
     "likewise, with {user}"},                                                                     \
    {0, "publish-body", ARGUMENT_TEXT, "TEXT", &(b).plan.publish_body, 0, 0,                       \
     "with {user} and {payload}"},                                                                 \
    {0, "publish-type", ARGUMENT_TEXT, "TYPE", &(b).plan.publish_type, 0, 0,                       \
     "its content type; default application/json"},                                                \
    {0, "fanout-path", ARGUMENT_TEXT, "PATH", &(b).plan.fanout_path, 0, 0,                         \
     "where to publish to all; default publish-path"},                                             \
    {0, "fanout-body", ARGUMENT_TEXT, "TEXT", &(b).plan.fanout_body, 0, 0,                         \
     "and what, with {payload}"},                                                                  \
    {0, "crowd", ARGUMENT_NUMBER, "N", &(b).plan.crowd, 0, LOAD_MAX_STREAMS,                       \
     "so many of the streams have no user, and they alone\nget what is published to all"},         \
    {0, "crowd-path", ARGUMENT_TEXT, "PATH", &(b).plan.crowd_path, 0, 0,                           \
     "of their streams"}

static const char notes[] =
    "Phases, on the same streams in the order given; default: unicast latency fanout storm.\n"
    "  idle       nothing is published\n"
    "  unicast    to users at random, as fast as deliveries come back\n"
    "  fanout     to all streams, the next when all have the one before\n"
    "  latency    unicast at a rate, whatever comes back: how late is each?\n"
    "  mixed      the same to a hundred of the streams, amid fan-outs to all\n"
    "  publish    to users at random, as fast as answers come, whoever hears it\n"
    "  storm      all streams break at once, miss something and come back for it\n"
    "  catchup    each stream begins anew when it has read what is kept (with a\n"
    "             --stream-path that asks for it by last_event_id=earliest)\n"
    "Each may have settings, as latency:rate=5000,seconds=20\n"
    "  seconds=N     how long, instead of --seconds\n"
    "  count=N       end after about N notifications\n"
    "  rate=N        a second, of latency (default 1000) and mixed (100)\n"
    "  publishers=N  keep-alive connections; default 16, at most one for each user\n"
    "  pipeline=N    requests under way on each; default 1\n"
    "  window=N      not yet delivered at once; default 512, of fanout 1\n"
    "  batch=N       notifications in a request; default 1; not of latency and mixed\n"
    "  each=N        missed by each user in a storm (default 10), read by each stream\n"
    "                of catchup (100)\n"
    "\n"
    "What is published is kept like any notification, for users bench-0, bench-1, ... and the\n"
    "topic bench: measure a daemon of its own. Processor time and memory are those of the\n"
    "server's process, where that is on this machine; of the kernel, of both ends.\n"
    "\n"
    "Environment: SSE_NOTIFY_URL, SSE_NOTIFY_TOKEN.\n"
    "\n"
    "Examples:\n"
    "  sse-notify bench --streams 10000\n"
    "  sse-notify bench -n 10000 latency:rate=1000 latency:rate=5000 mixed\n"
    "  sse-notify bench -n 10000 unicast:publishers=1 unicast:batch=100 fanout:window=4\n"
    "  sse-notify bench --url http://10.0.0.5:8080 --json idle:seconds=60 | jq .phases\n"
    "\n"
    "Exit codes: 0 all came; 1 refused, lost, or not all streams opened; 2 wrong usage, or too\n"
    "few descriptors; 3 could not connect.\n";

/* ---- what is told ---- */

static void print(struct buf *text)
{
    fwrite(text->p, 1, text->len, stdout);
    fflush(stdout);
    buf_clear(text);
}

static void clear_progress(const struct bench *b)
{
    if (b->shows_progress)
        fputs("\r\x1b[K", stderr);
}

static void on_progress(void *arg, const char *phase, double share)
{
    clear_progress(arg);
    fprintf(stderr, "%s %.0f %%", phase, 100 * share);
    fflush(stderr);
}

static void on_report(void *arg, const struct load_report *report)
{
    struct bench *b = arg;

    b->is_clean = b->is_clean && bench_is_clean(report);
    if (b->is_json) {
        if (b->told++ > 0)
            buf_add_char(&b->out, ',');
        bench_add_json(&b->out, &b->plan, report);
        return;
    }
    clear_progress(b);
    bench_add_text(&b->out, &b->plan, report);
    print(&b->out);
}

static void begin_output(struct bench *b)
{
    const struct load_plan *plan = &b->plan;

    if (b->is_json) {
        buf_add_text(&b->out, "{\"url\":");
        json_add_string(&b->out, slice_of(b->remote.url));
        buf_printf(&b->out, ",\"streams\":%" PRIu64 ",\"users\":%" PRIu64 ",\"crowd\":%" PRIu64
                   ",\"payload\":%" PRIu64 ",\"phases\":[",
                   plan->streams, plan->users, plan->crowd, plan->payload);
        return;
    }
    buf_printf(&b->out, "%s, ", b->remote.url);
    if (plan->server_count > 0)
        buf_printf(&b->out, "process %d: ", (int)plan->servers[0]);
    else
        buf_add_text(&b->out, "its process is not to be seen from here: ");
    buf_printf(&b->out, "%" PRIu64 " streams, %" PRIu64 " users, %" PRIu64 " bytes of payload\n",
               plan->streams, plan->users, plan->payload);
    print(&b->out);
}

static void end_output(struct bench *b, enum load_outcome outcome)
{
    clear_progress(b);
    if (!b->is_json)
        return;
    buf_printf(&b->out, "],\"complete\":%s}\n", outcome == LOAD_DONE ? "true" : "false");
    print(&b->out);
}

/* The cause that is looked for last: the server's own limit. */
static void explain_short(const struct bench *b, const struct command *command)
{
    char path[64];
    char line[256];
    unsigned long long limit;
    FILE *f;

    complain(command, "not all streams opened, so nothing was published");
    if (b->plan.server_count == 0)
        return;
    snprintf(path, sizeof(path), "/proc/%d/limits", (int)b->plan.servers[0]);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "Max open files %llu", &limit) == 1 && limit < b->plan.streams)
            complain(command, "the server may have %llu descriptors: raise that for it (ulimit -n, "
                     "LimitNOFILE=)", limit);
    }
    if (f != NULL)
        fclose(f);
}

static int work(struct bench *b, const struct command *command)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct error why = {0};
    enum load_outcome outcome;

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    begin_output(b);
    outcome = loadgen_run(&b->plan, &why);
    switch (outcome) {
    case LOAD_UNREACHABLE:
        complain(command, "%s", why.text);
        return EXIT_UNREACHABLE;
    case LOAD_IMPOSSIBLE:
        complain(command, "%s", why.text);
        return EXIT_USAGE;
    case LOAD_DONE:
        end_output(b, outcome);
        return b->is_clean ? EXIT_OK : EXIT_REFUSED;
    case LOAD_SHORT:
        end_output(b, outcome);
        explain_short(b, command);
        return EXIT_REFUSED;
    case LOAD_STOPPED:
        end_output(b, outcome);
        complain(command, "interrupted");
        return EXIT_REFUSED;
    }
    return EXIT_REFUSED;
}

/* ---- what is asked for ---- */

static int take_phases(struct bench *b, const struct text_list *asked, struct error *why)
{
    static const char *const usual[] = {"unicast", "latency", "fanout", "storm"};
    size_t count = asked->count > 0 ? asked->count : sizeof(usual) / sizeof(usual[0]);
    const char *const *texts = asked->count > 0 ? asked->items : usual;

    if (count > MAX_PHASES)
        return error_set(why, "over %d phases", MAX_PHASES);
    for (size_t i = 0; i < count; i++) {
        if (bench_phase_parse(texts[i], b->phase_ms, &b->phases[i], why) != 0)
            return -1;
    }
    b->plan.phases = b->phases;
    b->plan.phase_count = count;
    return 0;
}

static bool has_fanouts(const struct bench *b)
{
    for (size_t i = 0; i < b->plan.phase_count; i++) {
        if (b->phases[i].kind == LOAD_FANOUT || b->phases[i].kind == LOAD_MIXED)
            return true;
    }
    return false;
}

/* Ours, where the command line names no other server's. Fan-outs go to a topic and not to
 * everyone, lest other people's streams get them. */
static void settle_templates(struct bench *b)
{
    struct load_plan *plan = &b->plan;
    bool has_crowd = plan->crowd > 0;

    if (plan->stream_path == NULL)
        plan->stream_path = has_fanouts(b) && !has_crowd
                                ? "/notifications/bench-{user}?topic=bench"
                                : "/notifications/bench-{user}";
    if (plan->crowd_path == NULL)
        plan->crowd_path = "/notifications/bench-crowd";
    if (plan->fanout_path == NULL)
        plan->fanout_path = plan->publish_path != NULL ? plan->publish_path : "/notify";
    if (plan->publish_path == NULL)
        plan->publish_path = "/notify";
    if (plan->publish_body == NULL)
        plan->publish_body = "{\"user\":\"bench-{user}\",\"data\":\"{payload}\"}";
    if (plan->fanout_body == NULL)
        plan->fanout_body = has_crowd ? "{\"user\":\"bench-crowd\",\"data\":\"{payload}\"}"
                                      : "{\"topic\":\"bench\",\"data\":\"{payload}\"}";
}

static int settle_streams(struct bench *b, struct error *why)
{
    struct load_plan *plan = &b->plan;
    uint64_t with_user;

    if (plan->crowd > plan->streams)
        return error_set(why, "--crowd %" PRIu64 ": there are %" PRIu64 " streams in all",
                         plan->crowd, plan->streams);
    with_user = plan->streams - plan->crowd;
    if (plan->users == 0)
        plan->users = with_user;
    for (size_t i = 0; i < plan->phase_count; i++) {
        enum load_kind kind = b->phases[i].kind;

        if (plan->users == 0 && (kind == LOAD_UNICAST || kind == LOAD_LATENCY ||
                                 kind == LOAD_MIXED || kind == LOAD_PUBLISH))
            return error_set(why, "%s: all streams are of the crowd: there is no user to publish "
                                  "to", b->phases[i].text);
    }
    return 0;
}

static int add_headers(struct bench *b, struct error *why)
{
    struct buf *out = &b->header_lines;

    if (b->remote.token != NULL) {
        buf_add_text(out, "Authorization: Bearer ");
        buf_add_text(out, b->remote.token);
        buf_add_text(out, "\r\n");
    }
    for (size_t i = 0; i < b->headers.count; i++) {
        const char *text = b->headers.items[i];
        const char *colon = strchr(text, ':');

        if (colon == NULL || colon == text || slice_has_control(slice_of(text)))
            return error_set(why, "--header: must be as 'X-Name: value'");
        buf_add_text(out, text);
        buf_add_text(out, "\r\n");
    }
    buf_add_char(out, '\0');
    if (out->failed)
        return error_set(why, "no memory");
    b->plan.stream_headers = b->plan.publish_headers = out->p;
    return 0;
}

static int take_servers(struct bench *b, struct error *why)
{
    if (b->pids.count > MAX_SERVERS)
        return error_set(why, "--pid: %d at most", MAX_SERVERS);
    for (size_t i = 0; i < b->pids.count; i++) {
        uint64_t pid;

        if (slice_to_u64(slice_of(b->pids.items[i]), &pid) != 0 || pid < 1 || pid > INT32_MAX ||
            (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
            return error_set(why, "--pid %.40s: there is no such process", b->pids.items[i]);
        b->servers[i] = (pid_t)pid;
    }
    b->plan.server_count = b->pids.count;
    if (b->pids.count == 0) {
        b->servers[0] = loadgen_find_server(&b->plan.streams_at);
        b->plan.server_count = b->servers[0] > 0;
    }
    b->plan.servers = b->servers;
    return 0;
}

static int check(struct bench *b, const struct text_list *phases, struct error *why)
{
    if (take_phases(b, phases, why) != 0 || settle_streams(b, why) != 0 ||
        remote_settle(&b->remote, getenv("SSE_NOTIFY_URL"), getenv("SSE_NOTIFY_TOKEN"), why) != 0 ||
        add_headers(b, why) != 0)
        return -1;
    settle_templates(b);
    b->plan.core = b->core == UINT64_MAX ? -1 : (int)b->core;
    b->shows_progress = !b->is_quiet && isatty(STDERR_FILENO) == 1;
    b->plan.on_progress = b->shows_progress ? on_progress : NULL;
    return 0;
}

static int find_targets(struct bench *b, bool *is_unreachable, struct error *why)
{
    if (load_target_find(&b->plan.streams_at, b->remote.url, is_unreachable, why) != 0)
        return -1;
    if (b->publish_url == NULL) {
        b->plan.publish_at = b->plan.streams_at;
        return 0;
    }
    return load_target_find(&b->plan.publish_at, b->publish_url, is_unreachable, why);
}

static int run(struct bench *b, const struct command *command, const struct text_list *phases)
{
    struct error why = {0};
    bool is_unreachable;

    if (check(b, phases, &why) != 0)
        return wrong_usage(command, "%s", why.text);
    if (find_targets(b, &is_unreachable, &why) != 0) {
        if (!is_unreachable)
            return wrong_usage(command, "%s", why.text);
        complain(command, "%s", why.text);
        return EXIT_UNREACHABLE;
    }
    if (take_servers(b, &why) != 0)
        return wrong_usage(command, "%s", why.text);
    return work(b, command);
}

int command_bench(int argc, char **argv)
{
    static struct bench b; /* the phases make it large */
    const struct argument arguments[] = {BENCH_ARGUMENTS(b)};
    const struct command command = {
        .name = "bench",
        .usage = "[options] [PHASE[:NAME=VALUE,...]]...",
        .purpose = "Opens streams, publishes, and tells what that costs and how long it takes.",
        .arguments = arguments,
        .argument_count = sizeof(arguments) / sizeof(arguments[0]),
        .notes = notes,
    };
    struct text_list operands = {0};
    int code;

    b = (struct bench){
        .plan = {.streams = 1000, .payload = 64, .opening = 256, .slow_rate = 20000,
                 .sources = UINT64_MAX,
                 .open_ms = 60 * 1000, .settle_ms = 1000, .publish_type = "application/json",
                 .is_stopped = &is_stopped, .on_report = on_report, .arg = &b},
        .phase_ms = 5000,
        .core = UINT64_MAX,
        .is_clean = true,
    };
    code = arguments_begin(&command, argc, argv, &operands);
    if (code < 0)
        code = run(&b, &command, &operands);
    text_list_fini(&operands);
    text_list_fini(&b.headers);
    text_list_fini(&b.pids);
    buf_fini(&b.header_lines);
    buf_fini(&b.out);
    return code;
}
