/* tail.c - `sse-notify tail`: a subscriber that comes back. */
#include "cli/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "arguments_priv.h"
#include "backoff_priv.h"
#include "base/clock.h"
#include "failure_priv.h"
#include "http_client_priv.h"
#include "message/notification.h"
#include "message/sse_parser.h"
#include "nearby_priv.h"
#include "output_priv.h"
#include "remote_priv.h"

enum {
    MAX_EVENT_BYTES = 16 * 1024 * 1024,
    MAX_ID_BYTES = 1024, /* of an id we send back; the daemon's have 128 */
    FIRST_RETRY_MS = 2000, /* until the server says its own */
};

/* Connect, stream, wait, again; what ends it sets `is_over` and the exit code. */
struct tail {
    const struct command *command; /* for complaints */
    struct remote remote;
    struct nearby nearby;
    const char *user;
    struct text_list topics;
    const char *first_id; /* resume from here; NULL: none */
    uint64_t max_events;  /* end after these, 0: never */
    bool is_once;
    bool is_json;
    bool is_quiet;
    bool is_single; /* --no-reconnect */
    uint64_t head_ms;
    uint64_t idle_ms;

    struct http_client *client;
    struct http_answer answer;
    struct sse_parser *parser;
    struct buf url;
    struct buf id;   /* the id to resume from, terminated */
    struct buf text; /* one line of output or of a complaint */
    int signal_fd;   /* readable: SIGINT or SIGTERM */
    uint64_t retry_ms;
    uint64_t events;   /* printed */
    unsigned failures; /* in a row, without a stream between */
    bool is_lost;      /* the user was told that the connection is gone */
    bool is_over;
    int exit_code;
};

static const char notes[] =
    "Each event is a line TIME  ID  EVENT  DATA, control characters as \\n or \\x1b; with --json\n"
    "a line of JSON with the strings id, event and data. A lost stream is resumed after its\n"
    "last id, with waits that grow to 30 s. What the server says of the stream itself (gap,\n"
    "bye, expiring) goes to stderr and does not count.\n"
    "\n"
    "Environment: SSE_NOTIFY_URL, SSE_NOTIFY_TOKEN; http_proxy and its kin as for curl.\n"
    "\n"
    "Examples:\n"
    "  sse-notify tail alice\n"
    "  sse-notify tail alice --topic deploys --json | jq -r .data\n"
    "  sse-notify tail alice --last-event-id earliest\n"
    "  sse-notify tail alice --once --no-reconnect --timeout 2\n"
    "\n"
    "Exit codes: 0 ended by --once, --count, SIGINT, SIGTERM or a closed stdout, or (with\n"
    "--no-reconnect) by the server; 1 refused or lost; 2 wrong usage; 3 could not connect.\n";

#define TAIL_ARGUMENTS(t)                                                                          \
    {'t', "topic", ARGUMENT_LIST, "NAME", &(t).topics, 0, 0,                                       \
     "follow this topic too; may be repeated"},                                                    \
    {0, "last-event-id", ARGUMENT_TEXT, "ID", &(t).first_id, 0, 0,                                 \
     "begin with what came after ID; earliest: with all\nthat is kept"},                           \
    {'1', "once", ARGUMENT_FLAG, NULL, &(t).is_once, 0, 0, "end after one event"},                 \
    {'n', "count", ARGUMENT_NUMBER, "N", &(t).max_events, 1, UINT64_MAX, "end after N events"},    \
    {'j', "json", ARGUMENT_FLAG, NULL, &(t).is_json, 0, 0, "print each event as a line of JSON"},  \
    {0, "no-reconnect", ARGUMENT_FLAG, NULL, &(t).is_single, 0, 0,                                 \
     "end when the stream does"},                                                                  \
    {0, "timeout", ARGUMENT_TIME, "TIME", &(t).head_ms, 10, 3600 * 1000,                           \
     "for connecting, up to the answer's head; default 10"},                                       \
    {0, "idle", ARGUMENT_TIME, "TIME", &(t).idle_ms, 10, 24 * 3600 * 1000,                         \
     "reconnect when nothing came for so long, not even a\nheartbeat; default 60"},                \
    {'q', "quiet", ARGUMENT_FLAG, NULL, &(t).is_quiet, 0, 0,                                       \
     "no word on gaps and reconnects, only on what ends it"}

static int end(struct tail *t, int exit_code)
{
    t->is_over = true;
    t->exit_code = exit_code;
    return -1;
}

/* Writes all of t->text. A signal ends it only where the output would have to be waited for: a
 * pause of `less` must not make us deaf, and a line under way is finished. Pieces of PIPE_BUF
 * never block after poll says there is room. Returns 0, or -1 and `is_over` is set. */
static int write_out(struct tail *t)
{
    struct pollfd fds[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                            {.fd = t->signal_fd, .events = POLLIN}};
    size_t at = 0;

    while (at < t->text.len) {
        size_t piece = t->text.len - at < PIPE_BUF ? t->text.len - at : PIPE_BUF;
        ssize_t n;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return end(t, EXIT_REFUSED);
        if (fds[0].revents == 0 && fds[1].revents != 0)
            return end(t, EXIT_OK);
        if (fds[0].revents == 0)
            continue;
        n = write(STDOUT_FILENO, t->text.p + at, piece);
        if (n >= 0) {
            at += (size_t)n;
        } else if (errno == EPIPE) {
            return end(t, EXIT_OK);
        } else if (errno != EINTR && errno != EAGAIN) {
            complain(t->command, "cannot write to stdout: %s", strerror(errno));
            return end(t, EXIT_REFUSED);
        }
    }
    return 0;
}

/* What the daemon says of the stream, and not of the world. */
static bool is_of_the_stream(struct slice type)
{
    return slice_is(type, "gap") || slice_is(type, "bye") || slice_is(type, "expiring") ||
           slice_is(type, "ping");
}

static void report(struct tail *t, const struct sse_event *event)
{
    if (t->is_quiet || slice_is(event->type, "ping"))
        return;
    t->text.len = 0;
    output_add_plain(&t->text, event->type);
    buf_add_char(&t->text, ' ');
    output_add_plain(&t->text, event->data);
    if (buf_add_char(&t->text, '\0') == 0 && !t->text.failed)
        complain(t->command, "%s", t->text.p);
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct tail *t = arg;

    if (is_of_the_stream(event->type)) {
        report(t, event);
        return 0;
    }
    t->text.len = 0;
    if (t->is_json)
        output_add_event_json(&t->text, event);
    else
        output_add_event(&t->text, clock_wall_ms(), event);
    if (t->text.failed)
        return -ENOMEM;
    if (write_out(t) != 0)
        return -1;
    t->events++;
    return t->events == t->max_events ? end(t, EXIT_OK) : 0;
}

static int on_retry(void *arg, uint64_t retry_ms)
{
    struct tail *t = arg;

    t->retry_ms = retry_ms;
    return 0;
}

/* Bytes of the stream, from the HTTP client. */
static int on_stream(void *arg, struct slice bytes)
{
    struct tail *t = arg;
    int rc;

    if (t->is_lost && !t->is_quiet)
        complain(t->command, "connected again");
    t->is_lost = false;
    rc = sse_parser_feed(t->parser, bytes.p, bytes.n);
    if (rc != 0 && !t->is_over) {
        complain(t->command, rc == -EMSGSIZE ? "an event is too large" : "no memory");
        return end(t, EXIT_REFUSED);
    }
    return rc;
}

/* Puts the id to resume from into t->id. Returns it; NULL where there is none or it is such as no
 * header can carry. */
static const char *resume_id(struct tail *t)
{
    struct slice id = sse_parser_last_event_id(t->parser);

    if (id.n == 0 && t->first_id != NULL && strcmp(t->first_id, "earliest") != 0)
        id = slice_of(t->first_id);
    t->id.len = 0;
    if (id.n == 0 || id.n > MAX_ID_BYTES || slice_has_control(id) ||
        buf_add_slice(&t->id, id) != 0 || buf_add_char(&t->id, '\0') != 0)
        return NULL;
    return t->id.p;
}

static enum http_outcome stream_once(struct tail *t)
{
    struct http_request request = {
        .remote = &t->remote,
        .last_event_id = resume_id(t),
        .head_ms = t->head_ms,
        .idle_ms = t->idle_ms,
        .wake_fd = t->signal_fd,
        .output_fd = STDOUT_FILENO,
        .on_stream = on_stream,
        .arg = t,
    };
    bool from_earliest = request.last_event_id == NULL && t->first_id != NULL &&
                         strcmp(t->first_id, "earliest") == 0;

    if (remote_stream_url(&t->remote, t->user, &t->topics, from_earliest, &t->url) != 0) {
        error_set(&t->answer.why, "no memory");
        return HTTP_IMPOSSIBLE;
    }
    nearby_renew(&t->nearby, &t->remote);
    request.url = t->url.p;
    sse_parser_restart(t->parser);
    return http_client_run(t->client, &request, &t->answer);
}

/* Whether another try can help. */
static bool is_worth_repeating(enum http_outcome outcome, const struct http_answer *answer)
{
    if (outcome == HTTP_ANSWERED)
        return answer->is_stream || answer->status == 429 || answer->status >= 500;
    return outcome == HTTP_UNCONNECTED || outcome == HTTP_BROKEN;
}

/* Puts why the stream is not there (any more) in t->text, terminated. */
static const char *cause(struct tail *t, enum http_outcome outcome)
{
    const struct http_answer *answer = &t->answer;

    t->text.len = 0;
    if (outcome == HTTP_ANSWERED && answer->is_stream)
        buf_add_text(&t->text, "the server ended the stream");
    else if (outcome == HTTP_ANSWERED && answer->status == 204)
        buf_add_text(&t->text, "the server has no more for this stream");
    else if (outcome == HTTP_ANSWERED && answer->status == 200)
        buf_add_text(&t->text, "the answer is no event stream; is the URL right?");
    else
        failure_add(&t->text, outcome, answer);
    return buf_add_char(&t->text, '\0') == 0 ? t->text.p : "no memory";
}

/* After a stream or the vain try for one: ends, or waits for the next. */
static void settle(struct tail *t, enum http_outcome outcome)
{
    const struct http_answer *answer = &t->answer;
    bool was_stream = answer->is_stream;
    uint64_t wait_ms;
    const char *why;

    if (t->is_over)
        return;
    if (outcome == HTTP_STOPPED) {
        end(t, EXIT_OK);
        return;
    }
    why = cause(t, outcome);
    if (t->is_single || !is_worth_repeating(outcome, answer)) {
        int code = failure_exit_code(outcome, answer);

        /* A 200 that is no stream is a failure all the same. */
        if (outcome == HTTP_ANSWERED && !was_stream && answer->status != 204)
            code = EXIT_REFUSED;
        if (code != EXIT_OK || !t->is_quiet)
            complain(t->command, "%s", why);
        end(t, code);
        return;
    }
    t->failures = was_stream ? 0 : t->failures + 1;
    wait_ms = backoff_ms(t->retry_ms, t->failures, answer->retry_after_ms, failure_random());
    t->is_lost = true;
    if (!t->is_quiet)
        complain(t->command, "%s; connecting again in %.1f s", why, (double)wait_ms / 1000);
    if (failure_wait(wait_ms, t->signal_fd))
        end(t, EXIT_OK);
}

/* From here on SIGINT and SIGTERM make a descriptor readable and do nothing else. */
static int open_signal_fd(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int work(struct tail *t)
{
    static const struct sse_handlers handlers = {.on_event = on_event, .on_retry = on_retry};

    t->signal_fd = open_signal_fd();
    t->client = http_client_create();
    t->parser = sse_parser_create(MAX_EVENT_BYTES, &handlers, t);
    if (t->signal_fd < 0 || t->client == NULL || t->parser == NULL) {
        complain(t->command, "cannot begin: %s", strerror(errno));
        end(t, EXIT_REFUSED);
    }
    while (!t->is_over)
        settle(t, stream_once(t));
    sse_parser_destroy(t->parser);
    http_client_destroy(t->client);
    if (t->signal_fd >= 0)
        close(t->signal_fd);
    buf_fini(&t->text);
    buf_fini(&t->id);
    buf_fini(&t->url);
    buf_fini(&t->answer.body);
    return t->exit_code;
}

/* Checks what the options say together, before anything is connected. */
static int check(struct tail *t, const char *user, struct error *why)
{
    t->user = t->nearby.user = user;
    t->nearby.topics = &t->topics;
    t->nearby.role = CONFIG_ROLE_PUBLIC;
    if (t->is_once && t->max_events > 1)
        return error_set(why, "--once and --count contradict each other");
    if (t->is_once)
        t->max_events = 1;
    if (!channel_name_is_valid(slice_of(t->user)))
        return error_set(why, "the user id must be 1 to %d bytes of UTF-8 without control "
                              "characters", MAX_CHANNEL_NAME);
    for (size_t i = 0; i < t->topics.count; i++) {
        if (!channel_name_is_valid(slice_of(t->topics.items[i])))
            return error_set(why, "--topic: must be 1 to %d bytes of UTF-8 without control "
                                  "characters", MAX_CHANNEL_NAME);
    }
    if (t->first_id != NULL && (t->first_id[0] == '\0' || strlen(t->first_id) > MAX_ID_BYTES ||
                                slice_has_control(slice_of(t->first_id))))
        return error_set(why, "--last-event-id: must be an id as printed, or earliest");
    return 0;
}

int command_tail(int argc, char **argv)
{
    struct tail t = {
        .head_ms = 10 * 1000, .idle_ms = 60 * 1000, .retry_ms = FIRST_RETRY_MS, .signal_fd = -1};
    const struct argument arguments[] = {TAIL_ARGUMENTS(t), NEARBY_ARGUMENTS(t.nearby),
                                         REMOTE_ARGUMENTS(t.remote)};
    const struct command command = {
        .name = "tail",
        .usage = "[options] USER",
        .purpose = "Prints a user's notifications as they come, until it is interrupted.",
        .arguments = arguments,
        .argument_count = sizeof(arguments) / sizeof(arguments[0]),
        .notes = notes,
    };
    struct text_list operands = {0};
    struct error why = {0};
    int code;

    t.command = &command;
    code = arguments_begin(&command, argc, argv, &operands);
    if (code < 0 && operands.count != 1)
        code = wrong_operands(&command, operands.count == 0 ? "whose notifications? Give a user id"
                                                            : "only one user can be followed");
    else if (code < 0 && check(&t, operands.items[0], &why) != 0)
        code = wrong_usage(&command, "%s", why.text);
    if (code < 0)
        code = nearby_settle(&t.nearby, &command, &t.remote);
    if (code < 0)
        code = work(&t);
    text_list_fini(&operands);
    nearby_fini(&t.nearby);
    text_list_fini(&t.topics);
    return code;
}
