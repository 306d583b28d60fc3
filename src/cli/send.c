/* send.c - `sse-notify send`: one notification from the command line, or many from stdin. */
#include "cli/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "arguments_priv.h"
#include "backoff_priv.h"
#include "base/json.h"
#include "draft_priv.h"
#include "failure_priv.h"
#include "http_client_priv.h"
#include "lines_priv.h"
#include "message/notification.h"
#include "nearby_priv.h"
#include "output_priv.h"
#include "remote_priv.h"

enum {
    MAX_DATA_BYTES = 1024 * 1024,
    MAX_TTL_S = 10 * 365 * 24 * 3600,
    MAX_GIVEN_KEY = MAX_KEY - 21, /* behind it fits -LINE */
    FIRST_RETRY_MS = 1000,
};

struct send {
    const struct command *command; /* for complaints */
    struct draft draft;
    struct remote remote;
    struct nearby nearby;
    const char *key; /* as given or made; NULL: none */
    uint64_t retries;
    uint64_t timeout_ms;
    bool is_raw;
    bool is_quiet;

    char made_key[40];
    struct http_client *client;
    struct http_answer answer;
    struct buf url;
    struct buf body;     /* of one notification */
    struct buf text;     /* for putting lines together */
    struct batch *batch; /* lines of stdin not sent yet */
    bool has_bad_lines;  /* at least one was refused, here or there */
};

static const char notes[] =
    "Environment: SSE_NOTIFY_URL, SSE_NOTIFY_TOKEN; http_proxy and its kin as for curl.\n"
    "\n"
    "Examples:\n"
    "  sse-notify send --user alice hello\n"
    "  sse-notify send --user alice --event build '{\"state\":\"passed\",\"run\":17}'\n"
    "  sse-notify send --user alice --user bob --ttl 0 'back in five minutes'\n"
    "  sse-notify send --topic deploys --collapse-key web --retry 5 '\"v1.4\"'\n"
    "  journalctl -f -o cat | sse-notify send --topic log --text -\n"
    "  sse-notify send --json - < notifications.ndjson\n"
    "\n"
    "Exit codes: 0 sent; 1 refused, or a line of stdin was; 2 wrong usage; 3 could not connect.\n";

/* All options; they are read into `s`. */
#define SEND_ARGUMENTS(s)                                                                          \
    {'u', "user", ARGUMENT_LIST, "ID", &(s).draft.users, 0, 0,                                     \
     "to this user; repeated: to each of them"},                                                   \
    {'t', "topic", ARGUMENT_LIST, "NAME", &(s).draft.topics, 0, 0,                                 \
     "to all that follow the topic"},                                                              \
    {0, "broadcast", ARGUMENT_FLAG, NULL, &(s).draft.is_broadcast, 0, 0, "to everyone"},           \
    {'e', "event", ARGUMENT_TEXT, "NAME", &(s).draft.event, 0, 0,                                  \
     "the event's name; default notification"},                                                    \
    {0, "ttl", ARGUMENT_NUMBER, "SECONDS", &(s).draft.ttl_s, 0, MAX_TTL_S,                         \
     "kept this long for those away now; 0: not at all;\ndefault the server's"},                   \
    {0, "collapse-key", ARGUMENT_TEXT, "KEY", &(s).draft.collapse_key, 0, 0,                       \
     "replaces an older one of this key"},                                                         \
    {0, "idempotency-key", ARGUMENT_TEXT, "KEY", &(s).key, 0, 0,                                   \
     "sent once, however often it is repeated with this\nkey; with -, line N has KEY-N"},          \
    {0, "text", ARGUMENT_FLAG, NULL, &(s).draft.is_text, 0, 0,                                     \
     "DATA is a string even where it is valid JSON"},                                              \
    {0, "retry", ARGUMENT_NUMBER, "N", &(s).retries, 0, 100,                                       \
     "after a lost connection, 429, 502, 503 or 504 try N\nmore times; makes a key where none is " \
     "given"},                                                                                     \
    {0, "timeout", ARGUMENT_TIME, "TIME", &(s).timeout_ms, 10, 3600 * 1000,                        \
     "for one try, as 10, 1.5s or 500ms; default 30"},                                             \
    {'j', "json", ARGUMENT_FLAG, NULL, &(s).is_raw, 0, 0, "print the server's answer as it is"},   \
    {'q', "quiet", ARGUMENT_FLAG, NULL, &(s).is_quiet, 0, 0, "print errors only"}

/* A key like nobody else's, for repeats that must not send twice. */
static void make_key(struct send *s)
{
    if (s->key != NULL || s->retries == 0)
        return;
    snprintf(s->made_key, sizeof(s->made_key), "cli-%08x%08x%08x%08x", failure_random(),
             failure_random(), failure_random(), failure_random());
    s->key = s->made_key;
}

static bool is_worth_repeating(enum http_outcome outcome, int status)
{
    if (outcome == HTTP_ANSWERED)
        return status == 429 || (status >= 502 && status <= 504);
    return outcome == HTTP_UNCONNECTED || outcome == HTTP_BROKEN;
}

/* The cause as a terminated string in s->text. */
static const char *cause(struct send *s, enum http_outcome outcome)
{
    s->text.len = 0;
    failure_add(&s->text, outcome, &s->answer);
    return buf_add_char(&s->text, '\0') == 0 ? s->text.p : "no memory";
}

/* Posts with the repeats asked for. Returns EXIT_OK with the answer in s->answer, or the exit code
 * of the last try, whose cause is then in s->text. */
static int post(struct send *s, const char *content_type, struct slice body)
{
    struct http_request request = {
        .remote = &s->remote,
        .url = s->url.p,
        .content_type = content_type,
        .body = body,
        .total_ms = s->timeout_ms,
        .wake_fd = -1,
        .output_fd = -1,
    };
    enum http_outcome outcome;

    for (unsigned attempt = 1;; attempt++) {
        uint64_t wait_ms;
        int code;

        outcome = http_client_run(s->client, &request, &s->answer);
        code = failure_exit_code(outcome, &s->answer);
        if (code == EXIT_OK)
            return EXIT_OK;
        cause(s, outcome);
        if (attempt > s->retries || !is_worth_repeating(outcome, s->answer.status))
            return code;
        wait_ms = backoff_ms(FIRST_RETRY_MS, attempt, s->answer.retry_after_ms, failure_random());
        if (!s->is_quiet)
            complain(s->command, "%s; trying again in %.1f s (%u of %" PRIu64 ")", s->text.p,
                     (double)wait_ms / 1000, attempt, s->retries);
        failure_wait(wait_ms, -1);
    }
}

static void print_raw(const struct send *s)
{
    struct slice body = buf_slice(&s->answer.body);

    if (s->is_quiet)
        return;
    fwrite(body.p, 1, body.n, stdout);
    if (body.n == 0 || body.p[body.n - 1] != '\n')
        putchar('\n');
}

/* Prints the line for one accepted notification. Returns whether the answer could be read. */
static bool print_receipt(struct send *s, struct slice item)
{
    s->text.len = 0;
    if (output_add_receipt(&s->text, item) != 0)
        return false;
    if (!s->is_quiet && !s->is_raw)
        fwrite(s->text.p, 1, s->text.len, stdout);
    return true;
}

static int send_one(struct send *s, struct slice data)
{
    int rc;

    if (data.n > MAX_DATA_BYTES)
        return wrong_usage(s->command, "DATA is longer than %d bytes", MAX_DATA_BYTES);
    rc = draft_add(&s->draft, data, slice_of(s->key), &s->body);
    if (rc == -EILSEQ)
        return wrong_usage(s->command, "DATA is not UTF-8");
    if (rc == 0)
        rc = post(s, "application/json", buf_slice(&s->body));
    if (rc != 0) {
        complain(s->command, "%s", rc < 0 ? strerror(-rc) : s->text.p);
        return rc < 0 ? EXIT_REFUSED : rc;
    }
    if (s->is_raw)
        print_raw(s);
    if (!print_receipt(s, buf_slice(&s->answer.body))) {
        complain(s->command, "the server's answer is none of sse-notify's; is the URL right?");
        return EXIT_REFUSED;
    }
    return EXIT_OK;
}

static void refuse_line(struct send *s, uint64_t number, const char *detail)
{
    s->has_bad_lines = true;
    fprintf(stderr, "stdin:%" PRIu64 ": %s\n", number, detail);
}

/* The server's word on one line of the batch. Returns whether it could be read. */
static bool read_result(struct send *s, uint64_t number, struct slice item)
{
    struct slice problem;

    if (!output_find(item, "error", &problem))
        return print_receipt(s, item);
    s->text.len = 0;
    output_add_problem(&s->text, 0, problem);
    buf_add_char(&s->text, '\0');
    refuse_line(s, number, s->text.failed ? "refused" : s->text.p);
    return true;
}

/* Matches the answer's items with the batch's lines. Returns whether there was one for each. */
static bool read_results(struct send *s)
{
    struct slice results, item;
    size_t cursor = 0;
    size_t at = 0;

    if (!output_find(buf_slice(&s->answer.body), "results", &results) ||
        json_type_of(results) != JSON_ARRAY)
        return false;
    while (at < s->batch->count && json_array_next(results, &cursor, &item)) {
        if (!read_result(s, s->batch->numbers[at++], item))
            return false;
    }
    return at == s->batch->count;
}

/* Sends what is gathered. Returns EXIT_OK also where lines of it were refused; anything else is
 * for the whole batch and ends the reading. */
static int send_batch(struct send *s)
{
    uint64_t first, last;
    int code;

    if (s->batch->count == 0)
        return EXIT_OK;
    first = s->batch->numbers[0];
    last = s->batch->numbers[s->batch->count - 1];
    code = post(s, "application/x-ndjson", buf_slice(&s->batch->body));
    if (code != EXIT_OK) {
        complain(s->command, "stdin:%" PRIu64 "-%" PRIu64 ": %s", first, last, s->text.p);
        return code;
    }
    if (s->is_raw)
        print_raw(s);
    if (!read_results(s)) {
        complain(s->command,
                 "stdin:%" PRIu64 "-%" PRIu64 ": the server's answer cannot be understood", first,
                 last);
        return EXIT_REFUSED;
    }
    fflush(stdout);
    batch_clear(s->batch);
    return EXIT_OK;
}

/* Puts the notification of one line in s->body. Returns whether it can be sent. */
static bool compose_line(struct send *s, uint64_t number, struct slice line)
{
    struct error why = {0};
    struct buf key = {0};
    int rc;

    s->body.len = 0;
    if (s->key != NULL)
        buf_printf(&key, "%s-%" PRIu64, s->key, number);
    if (draft_has_target(&s->draft))
        rc = draft_add(&s->draft, line, buf_slice(&key), &s->body);
    else
        rc = draft_add_keyed(line, buf_slice(&key), &s->body, &why);
    buf_fini(&key);
    if (rc != 0)
        refuse_line(s, number, why.text[0] != '\0' ? why.text
                               : rc == -EILSEQ     ? "not UTF-8"
                                                   : strerror(-rc));
    return rc == 0;
}

static int on_line(void *arg, uint64_t number, struct slice line)
{
    struct send *s = arg;
    int code = EXIT_OK;

    if (line.p != NULL && slice_trim(line).n == 0)
        return EXIT_OK; /* a blank line is nobody's notification */
    if (line.p != NULL && !compose_line(s, number, line))
        return EXIT_OK;
    if (line.p == NULL || s->body.len >= BATCH_MAX_BYTES) {
        refuse_line(s, number, "longer than 512 KiB");
        return EXIT_OK;
    }
    if (!batch_has_room(s->batch, s->body.len))
        code = send_batch(s);
    return code != EXIT_OK ? code : batch_add(s->batch, number, buf_slice(&s->body));
}

static bool is_input_waiting(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&in, 1, 0) > 0;
}

/* A batch goes out when it is full and whenever the input pauses, so that what is piped in from a
 * program that is still running arrives at once. */
static int read_input(struct send *s, struct line_reader *reader)
{
    char chunk[16 * 1024];
    int rc = 0;

    while (rc == 0) {
        ssize_t n;

        if (!is_input_waiting() && (rc = send_batch(s)) != 0)
            break;
        n = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            complain(s->command, "stdin: %s", strerror(errno));
            return EXIT_REFUSED;
        }
        if (n == 0) {
            rc = line_reader_end(reader);
            return rc != 0 ? rc : send_batch(s);
        }
        rc = line_reader_feed(reader, slice_make(chunk, (size_t)n));
    }
    return rc;
}

static int send_lines(struct send *s)
{
    struct line_reader reader = {.max_bytes = BATCH_MAX_BYTES, .on_line = on_line, .arg = s};
    int rc = -ENOMEM;

    s->batch = calloc(1, sizeof(*s->batch));
    if (s->batch != NULL) {
        rc = read_input(s, &reader);
        batch_fini(s->batch);
        free(s->batch);
    }
    line_reader_fini(&reader);
    if (rc < 0) {
        complain(s->command, "%s", strerror(-rc));
        return EXIT_REFUSED;
    }
    return rc == EXIT_OK && s->has_bad_lines ? EXIT_REFUSED : rc;
}

/* Checks what the options say together, before anything is sent. */
static int check(struct send *s, const char *data, struct error *why)
{
    bool is_lines = strcmp(data, "-") == 0;

    if (s->key != NULL && (s->key[0] == '\0' || strlen(s->key) > MAX_GIVEN_KEY))
        return error_set(why, "--idempotency-key: must be 1 to %d bytes", MAX_GIVEN_KEY);
    if ((!is_lines || draft_has_fields(&s->draft)) && draft_check(&s->draft, why) != 0)
        return -1;
    return 0;
}

/* All is checked: connects and sends. */
static int work(struct send *s, const char *data)
{
    int code;

    signal(SIGPIPE, SIG_IGN);
    make_key(s);
    s->client = http_client_create();
    if (s->client == NULL || remote_url(&s->remote, "/notify", &s->url) != 0) {
        complain(s->command, "no memory");
        code = EXIT_REFUSED;
    } else {
        code = strcmp(data, "-") == 0 ? send_lines(s) : send_one(s, slice_of(data));
    }
    if (fflush(stdout) != 0 && errno != EPIPE) {
        complain(s->command, "cannot write to stdout: %s", strerror(errno));
        code = code == EXIT_OK ? EXIT_REFUSED : code;
    }
    buf_fini(&s->text);
    buf_fini(&s->body);
    buf_fini(&s->url);
    buf_fini(&s->answer.body);
    http_client_destroy(s->client);
    return code;
}

int command_send(int argc, char **argv)
{
    struct send s = {.draft.ttl_s = DRAFT_TTL_UNSET,
                     .timeout_ms = 30 * 1000,
                     .nearby.role = CONFIG_ROLE_INTERNAL};
    const struct argument arguments[] = {SEND_ARGUMENTS(s), NEARBY_ARGUMENTS(s.nearby),
                                         REMOTE_ARGUMENTS(s.remote)};
    const struct command command = {
        .name = "send",
        .usage = "(--user ID... | --topic NAME | --broadcast) [options] DATA\n"
                 "(--user ID... | --topic NAME | --broadcast) [options] -\n"
                 "[options] -",
        .purpose = "Sends a notification. DATA that is valid JSON goes as it is, all else as a "
                   "string.\n"
                   "With -, each line of stdin is the DATA of one; without a target, each is a "
                   "whole\n"
                   "notification as POST /notify takes it (NDJSON).",
        .arguments = arguments,
        .argument_count = sizeof(arguments) / sizeof(arguments[0]),
        .notes = notes,
    };
    struct text_list operands = {0};
    struct error why = {0};
    int code;

    s.command = &command;
    code = arguments_begin(&command, argc, argv, &operands);
    if (code < 0 && operands.count == 0)
        code = wrong_operands(&command, "what is to be sent? DATA, or - for the lines of stdin");
    else if (code < 0 && operands.count > 1)
        code = wrong_operands(&command, "only one DATA can be sent; quote it if it holds blanks");
    else if (code < 0 && check(&s, operands.items[0], &why) != 0)
        code = wrong_usage(&command, "%s", why.text);
    if (code < 0)
        code = nearby_settle(&s.nearby, &command, &s.remote);
    if (code < 0)
        code = work(&s, operands.items[0]);
    text_list_fini(&operands);
    nearby_fini(&s.nearby);
    draft_fini(&s.draft);
    return code;
}
