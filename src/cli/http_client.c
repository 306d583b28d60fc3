/* http_client.c - libcurl's multi interface, because only there the wait can also watch our own
 * descriptors: a signal or a closed output ends a silent stream at once. */
#include "http_client_priv.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"

enum { LONGEST_WAIT_MS = 1000 }; /* how late a closed output may be noticed */

struct http_client {
    CURLM *multi;
    CURL *easy;
};

/* One request under way. */
struct transfer {
    const struct http_request *request;
    struct http_answer *answer;
    CURL *easy;
    struct curl_slist *headers;
    uint64_t began_ms;
    uint64_t heard_ms; /* when the last byte came */
    bool has_head;
    bool is_stopped; /* on_stream has had enough */
    bool is_too_long;
    char detail[CURL_ERROR_SIZE];
};

const char *http_client_library(void)
{
    return "libcurl " LIBCURL_VERSION;
}

struct http_client *http_client_create(void)
{
    struct http_client *client;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    client = calloc(1, sizeof(*client));
    if (client != NULL) {
        client->multi = curl_multi_init();
        client->easy = curl_easy_init();
        if (client->multi != NULL && client->easy != NULL)
            return client;
    }
    if (client != NULL)
        http_client_destroy(client);
    else
        curl_global_cleanup();
    return NULL;
}

void http_client_destroy(struct http_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->easy);
    curl_multi_cleanup(client->multi);
    free(client);
    curl_global_cleanup();
}

static int status_of(CURL *easy)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* text/event-stream, perhaps with parameters behind it. */
static bool is_event_stream(CURL *easy)
{
    const char *type = NULL;
    struct slice rest;

    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    rest = slice_of(type);
    return slice_is_nocase(slice_trim(slice_cut(&rest, ';')), "text/event-stream");
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    t->heard_ms = clock_mono_ms();
    if (size * n <= 2 && status_of(t->easy) >= 200) { /* the blank line, not of a 100 */
        t->has_head = true;
        t->answer->status = status_of(t->easy);
        t->answer->is_stream = t->request->on_stream != NULL && t->answer->status == 200 &&
                               is_event_stream(t->easy);
    }
    (void)bytes;
    return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct buf *body = &t->answer->body;

    n *= size;
    t->heard_ms = clock_mono_ms();
    if (t->answer->is_stream) {
        t->is_stopped = t->request->on_stream(t->request->arg, slice_make(bytes, n)) != 0;
        return t->is_stopped ? CURL_WRITEFUNC_ERROR : n;
    }
    t->is_too_long = body->len + n > HTTP_MAX_ANSWER;
    if (t->is_too_long || buf_add(body, bytes, n) != 0)
        return CURL_WRITEFUNC_ERROR;
    return n;
}

static int add_header(struct transfer *t, const char *name, const char *value)
{
    struct buf line = {0};
    struct curl_slist *more = NULL;

    buf_printf(&line, "%s: %s", name, value);
    buf_add_char(&line, '\0');
    if (!line.failed)
        more = curl_slist_append(t->headers, line.p);
    if (more != NULL)
        t->headers = more;
    buf_fini(&line);
    return more == NULL ? -ENOMEM : 0;
}

static int set_headers(struct transfer *t)
{
    const struct http_request *r = t->request;
    struct curl_slist *more = curl_slist_append(t->headers, "Expect:"); /* no 100-continue */
    struct buf bearer = {0};
    int rc = more == NULL ? -ENOMEM : 0;

    if (more != NULL)
        t->headers = more;
    if (rc == 0)
        rc = add_header(t, "Accept", r->on_stream != NULL ? "text/event-stream" : "*/*");
    if (rc == 0 && r->on_stream != NULL)
        rc = add_header(t, "Cache-Control", "no-store");
    if (rc == 0 && r->content_type != NULL)
        rc = add_header(t, "Content-Type", r->content_type);
    if (rc == 0 && r->last_event_id != NULL)
        rc = add_header(t, "Last-Event-ID", r->last_event_id);
    if (rc == 0 && r->remote->token != NULL) {
        buf_printf(&bearer, "Bearer %s", r->remote->token);
        buf_add_char(&bearer, '\0');
        rc = bearer.failed ? -ENOMEM : add_header(t, "Authorization", bearer.p);
        buf_fini(&bearer);
    }
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return rc;
}

static void set_socket(CURL *easy, const char *path)
{
    if (path == NULL)
        return;
    if (path[0] == '@')
        curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, path + 1);
    else
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, path);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

/* Options that fail do so for want of memory, and then the transfer fails too: not checked one by
 * one. */
static int prepare(struct transfer *t)
{
    const struct http_request *r = t->request;
    CURL *easy = t->easy;
    uint64_t connect_ms = r->head_ms != 0 ? r->head_ms : r->total_ms;

    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->detail);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "sse-notify/" SSE_NOTIFY_VERSION);
    curl_easy_setopt(easy, CURLOPT_URL, r->url);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    /* On a connection used before, libcurl repeats by itself a request that got no answer, POST
     * or not; what must not be sent twice needs a connection of its own. */
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    set_socket(easy, r->remote->unix_path);
    if (r->remote->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, r->remote->ca_file);
    if (r->content_type != NULL) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body.p);
    }
    return set_headers(t);
}

/* The request is on its way only once all that comes before it, TLS included, is done. */
static bool is_connected(CURL *easy)
{
    curl_off_t before_transfer_us = 0;

    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &before_transfer_us);
    return before_transfer_us > 0;
}

static enum http_outcome fail(struct transfer *t, const char *text)
{
    error_set(&t->answer->why, "%s", text);
    return is_connected(t->easy) ? HTTP_BROKEN : HTTP_UNCONNECTED;
}

/* libcurl's text names host and port, even of a Unix socket, and not why. */
static enum http_outcome fail_to_connect(struct transfer *t, const char *text)
{
    const char *path = t->request->remote->unix_path;
    long number = 0;

    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
    if (path != NULL)
        error_set(&t->answer->why, "could not connect to the socket %s: %s", path,
                  number != 0 ? strerror((int)number) : text);
    else
        error_set(&t->answer->why, "%s%s%s%s", text, number != 0 ? " (" : "",
                  number != 0 ? strerror((int)number) : "", number != 0 ? ")" : "");
    return HTTP_UNCONNECTED;
}

/* What libcurl's end of the transfer means to us. */
static enum http_outcome outcome_of(struct transfer *t, CURLcode code)
{
    const char *text = t->detail[0] != '\0' ? t->detail : curl_easy_strerror(code);

    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_SSL_CACERT_BADFILE:
        error_set(&t->answer->why, "%s", text);
        return HTTP_IMPOSSIBLE;
    case CURLE_COULDNT_CONNECT:
        return fail_to_connect(t, text);
    case CURLE_PEER_FAILED_VERIFICATION:
        error_set(&t->answer->why, "the server is not to be trusted: %s", text);
        return HTTP_UNTRUSTED;
    default:
        break;
    }
    if (t->is_stopped)
        return HTTP_STOPPED;
    if (t->is_too_long)
        text = "the answer is too long";
    return fail(t, text);
}

static bool is_over(uint64_t limit_ms, uint64_t since_ms, uint64_t now_ms)
{
    return limit_ms != 0 && now_ms - since_ms >= limit_ms;
}

/* The limit that has passed, as a sentence; NULL: none has. */
static const char *passed_limit(const struct transfer *t)
{
    uint64_t now_ms = clock_mono_ms();

    if (is_over(t->request->total_ms, t->began_ms, now_ms) ||
        (!t->has_head && is_over(t->request->head_ms, t->began_ms, now_ms)))
        return is_connected(t->easy) ? "no answer in time" : "could not connect in time";
    if (t->has_head && is_over(t->request->idle_ms, t->heard_ms, now_ms))
        return "nothing came for too long";
    return NULL;
}

/* Polls our descriptors without waiting. */
static bool is_to_stop(const struct http_request *r)
{
    struct pollfd fds[2] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = r->output_fd}};

    return poll(fds, 2, 0) > 0;
}

static int longest_wait(const struct http_request *r)
{
    const uint64_t limits[] = {r->total_ms, r->head_ms, r->idle_ms};
    uint64_t wait = LONGEST_WAIT_MS;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i] != 0 && limits[i] / 4 + 1 < wait)
            wait = limits[i] / 4 + 1; /* never late by more than a quarter */
    }
    return (int)wait;
}

static enum http_outcome drive(struct http_client *client, struct transfer *t)
{
    struct curl_waitfd wake = {.fd = t->request->wake_fd, .events = CURL_WAIT_POLLIN};
    unsigned wake_count = t->request->wake_fd >= 0;
    int wait_ms = longest_wait(t->request);
    int running, left;
    const char *late;
    CURLMsg *message;

    for (;;) {
        if (curl_multi_perform(client->multi, &running) != CURLM_OK)
            return fail(t, "libcurl failed");
        if (running == 0)
            break;
        if (is_to_stop(t->request))
            return HTTP_STOPPED;
        late = passed_limit(t);
        if (late != NULL)
            return fail(t, late);
        if (curl_multi_poll(client->multi, &wake, wake_count, wait_ms, NULL) != CURLM_OK)
            return fail(t, "libcurl failed");
    }
    message = curl_multi_info_read(client->multi, &left);
    if (message == NULL || message->msg != CURLMSG_DONE)
        return fail(t, "libcurl failed");
    return outcome_of(t, message->data.result);
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t n = strnlen(from == NULL ? "" : from, size - 1);

    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

static void note_answer(struct transfer *t)
{
    const char *text = NULL;
    curl_off_t seconds = 0;

    t->answer->status = t->has_head ? status_of(t->easy) : 0;
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &text);
    copy_text(t->answer->content_type, sizeof(t->answer->content_type), text);
    text = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &text);
    copy_text(t->answer->redirect, sizeof(t->answer->redirect), text);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0)
        t->answer->retry_after_ms = (uint64_t)(seconds < 86400 ? seconds : 86400) * 1000;
}

enum http_outcome http_client_run(struct http_client *client, const struct http_request *request,
                                  struct http_answer *answer)
{
    struct transfer t = {.request = request, .answer = answer, .easy = client->easy};
    struct buf body = answer->body;
    enum http_outcome outcome;

    body.len = 0;
    body.failed = false;
    *answer = (struct http_answer){.body = body};
    t.began_ms = t.heard_ms = clock_mono_ms();
    if (prepare(&t) != 0 || curl_multi_add_handle(client->multi, client->easy) != CURLM_OK) {
        error_set(&answer->why, "no memory");
        outcome = HTTP_IMPOSSIBLE;
    } else {
        outcome = drive(client, &t);
        note_answer(&t);
        curl_multi_remove_handle(client->multi, client->easy);
    }
    curl_easy_reset(client->easy); /* it points into `t` */
    curl_slist_free_all(t.headers);
    return outcome;
}
