/* fetch.c - libcurl's multi interface by sockets: it says what to watch and when to wake it. */
#include "net/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"

struct fetcher {
    struct ev_loop *ev;
    CURLM *multi;
    ev_timer timer;
    struct list fetches;
};

struct fetch {
    struct list link;
    CURL *easy;
    struct curl_slist *headers; /* of a post */
    size_t max_bytes;
    size_t dropped;             /* of the answer to a post */
    bool is_too_long;
    struct buf body;
    fetched_fn *on_fetched;     /* of a get */
    posted_fn *on_posted;       /* of a post */
    void *ctx;
    size_t tag;
    char detail[CURL_ERROR_SIZE];
};

/* ---- the end of a fetch ---- */

static void fetch_free(struct fetcher *f, struct fetch *fetch)
{
    list_remove(&fetch->link);
    if (fetch->easy != NULL) {
        curl_multi_remove_handle(f->multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    curl_slist_free_all(fetch->headers);
    buf_fini(&fetch->body);
    free(fetch);
}

static const char *sentence_of(const struct fetch *fetch, CURLcode code)
{
    return fetch->detail[0] != '\0' ? fetch->detail : curl_easy_strerror(code);
}

/* Why there is no body, or NULL: there is one. */
static const char *judge(struct fetch *fetch, CURLcode code, struct error *why)
{
    long status = 0;

    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (fetch->is_too_long)
        error_set(why, "the answer has more than %zu bytes", fetch->max_bytes);
    else if (code != CURLE_OK)
        error_set(why, "%s", sentence_of(fetch, code));
    else if (status >= 300 && status < 400)
        error_set(why, "the answer is %ld, and redirects are not followed", status);
    else if (status != 200)
        error_set(why, "the answer is %ld, and not 200", status);
    else
        return NULL;
    return why->text;
}

/* The head alone decides: what has answered has had the request. */
static void tell_posted(struct fetch *fetch, CURLcode code)
{
    struct post_answer answer = {0};
    struct error why = {""};
    long status = 0;
    curl_off_t seconds = 0;

    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (status < 200) {
        error_set(&why, "%s", code == CURLE_OK ? "no answer" : sentence_of(fetch, code));
    } else {
        answer.status = (unsigned)status;
        answer.retry_after_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
        error_set(&why, "the answer is %ld%s", status,
                  status < 400 ? ", and redirects are not followed" : "");
    }
    if (status < 200 || status >= 300)
        answer.why_not = why.text;
    fetch->on_posted(fetch->ctx, fetch->tag, &answer);
}

static void tell_fetched(struct fetch *fetch, CURLcode code)
{
    struct error why = {""};
    const char *why_not = judge(fetch, code, &why);
    struct slice body = slice_make("", 0);

    if (why_not != NULL)
        body = slice_make(NULL, 0);
    else if (fetch->body.len > 0)
        body = buf_slice(&fetch->body);
    fetch->on_fetched(fetch->ctx, fetch->tag, body, why_not);
}

static void end_fetch(struct fetcher *f, struct fetch *fetch, CURLcode code)
{
    list_remove(&fetch->link); /* so that whoever is called may begin the next */
    if (fetch->on_posted != NULL)
        tell_posted(fetch, code);
    else
        tell_fetched(fetch, code);
    fetch_free(f, fetch);
}

static void act(struct fetcher *f, curl_socket_t fd, int events)
{
    CURLMsg *message;
    int count;

    curl_multi_socket_action(f->multi, fd, events, &count);
    while ((message = curl_multi_info_read(f->multi, &count)) != NULL) {
        struct fetch *fetch;

        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch) == CURLE_OK)
            end_fetch(f, fetch, message->data.result);
    }
}

/* ---- what libcurl asks for ---- */

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    act(io->data, io->fd, ((events & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
                              ((events & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int drop_watcher(struct fetcher *f, curl_socket_t fd, ev_io *io)
{
    if (io == NULL)
        return 0;
    curl_multi_assign(f->multi, fd, NULL);
    ev_io_stop(f->ev, io);
    free(io);
    return 0;
}

/* The watcher of a socket is what libcurl keeps for us beside it. -1: libcurl ends all transfers
 * that are under way. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *watcher)
{
    struct fetcher *f = ctx;
    ev_io *io = watcher;

    (void)easy;
    if (what == CURL_POLL_REMOVE)
        return drop_watcher(f, fd, io);
    if (io == NULL) {
        io = malloc(sizeof *io);
        if (io == NULL || curl_multi_assign(f->multi, fd, io) != CURLM_OK) {
            free(io);
            return -1;
        }
        ev_init(io, on_io);
        io->data = f;
    }
    ev_io_stop(f->ev, io);
    ev_io_set(io, fd, ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                          ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));
    ev_io_start(f->ev, io);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct fetcher *f = ctx;

    (void)multi;
    ev_timer_stop(f->ev, &f->timer);
    if (timeout_ms < 0)
        return 0;
    ev_now_update(f->ev);
    ev_timer_set(&f->timer, (double)timeout_ms / 1e3, 0);
    ev_timer_start(f->ev, &f->timer);
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct fetch *fetch = ctx;

    n *= size;
    if (fetch->on_posted != NULL) {
        fetch->dropped += n;
        return fetch->dropped > fetch->max_bytes ? CURL_WRITEFUNC_ERROR : n;
    }
    fetch->is_too_long = n > fetch->max_bytes - fetch->body.len;
    return fetch->is_too_long || buf_add(&fetch->body, bytes, n) != 0 ? CURL_WRITEFUNC_ERROR : n;
}

/* ---- beginning ---- */

struct fetcher *fetcher_create(struct ev_loop *ev)
{
    struct fetcher *f;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    f = calloc(1, sizeof *f);
    if (f != NULL)
        f->multi = curl_multi_init();
    if (f == NULL || f->multi == NULL) {
        free(f);
        curl_global_cleanup();
        return NULL;
    }
    f->ev = ev;
    list_init(&f->fetches);
    ev_init(&f->timer, on_timer);
    f->timer.data = f;
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    return f;
}

void fetcher_destroy(struct fetcher *f)
{
    if (f == NULL)
        return;
    while (!list_is_empty(&f->fetches))
        fetch_free(f, LIST_HOLDER(f->fetches.next, struct fetch, link));
    curl_multi_cleanup(f->multi);
    ev_timer_stop(f->ev, &f->timer);
    free(f);
    curl_global_cleanup();
}

/* Options that fail do so for want of memory, and then the transfer fails too: not checked one by
 * one. */
static void prepare(struct fetch *fetch, const char *url, const struct fetch_limits *limits)
{
    CURL *easy = fetch->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->detail);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs is not waited for */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "sse-notify/" SSE_NOTIFY_VERSION);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)limits->total_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    if (strncasecmp(url, "http:", 5) == 0) /* of this machine or network: no proxy knows the way */
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static struct fetch *fetch_create(const char *url, const struct fetch_limits *limits, void *ctx,
                                  size_t tag)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);

    if (fetch == NULL)
        return NULL;
    fetch->max_bytes = limits->max_bytes;
    fetch->ctx = ctx;
    fetch->tag = tag;
    fetch->easy = curl_easy_init();
    if (fetch->easy == NULL) {
        free(fetch);
        return NULL;
    }
    prepare(fetch, url, limits);
    return fetch;
}

/* Begins, where all before went well; else nothing is left. Returns 0 or -ENOMEM. */
static int begin(struct fetcher *f, struct fetch *fetch, bool is_prepared)
{
    if (!is_prepared || curl_multi_add_handle(f->multi, fetch->easy) != CURLM_OK) {
        fetch_free(f, fetch);
        return -ENOMEM;
    }
    list_add_last(&f->fetches, &fetch->link);
    return 0;
}

int fetcher_get(struct fetcher *f, const char *url, const struct fetch_limits *limits,
                fetched_fn *on_fetched, void *ctx, size_t tag)
{
    struct fetch *fetch = fetch_create(url, limits, ctx, tag);

    if (fetch == NULL)
        return -ENOMEM;
    fetch->on_fetched = on_fetched;
    curl_easy_setopt(fetch->easy, CURLOPT_FORBID_REUSE, 1L);
    return begin(f, fetch, true);
}

/* Checked, unlike those of prepare: without one of these it would be another request. */
static bool prepare_post(struct fetch *fetch, const struct fetch_post *post)
{
    for (size_t i = 0; i < post->header_count; i++) {
        struct curl_slist *longer = curl_slist_append(fetch->headers, post->headers[i]);

        if (longer == NULL)
            return false;
        fetch->headers = longer;
    }
    return curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers) == CURLE_OK &&
           curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.n) ==
               CURLE_OK &&
           curl_easy_setopt(fetch->easy, CURLOPT_COPYPOSTFIELDS, post->body.p) == CURLE_OK;
}

int fetcher_post(struct fetcher *f, const struct fetch_post *post,
                 const struct fetch_limits *limits, posted_fn *on_posted, void *ctx, size_t tag)
{
    struct fetch *fetch = fetch_create(post->url, limits, ctx, tag);

    if (fetch == NULL)
        return -ENOMEM;
    fetch->on_posted = on_posted;
    return begin(f, fetch, prepare_post(fetch, post));
}
