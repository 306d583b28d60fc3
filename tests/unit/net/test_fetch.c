/* test_fetch.c - what comes of a fetch, from a server that says what the test wants it to. */
#include "net/fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "support/cm.h"

/* Accepts one connection after the other, reads a request, or as many as it has answers for, and
 * answers with the same bytes. */
struct canned {
    const char *answer;    /* NULL: none ever, and the connection stays open */
    unsigned connections;  /* that it is to accept */
    unsigned requests;     /* on each of them */
    const char *end;       /* of a request */
    int listener;
    unsigned short port;
    struct buf request;    /* the last one */
    pthread_t thread;
};

static void read_request(struct canned *s, int fd)
{
    char bytes[4096];
    size_t end = strlen(s->end);
    ssize_t n;

    buf_clear(&s->request);
    while (fd >= 0 &&
           (s->request.len < end || memmem(s->request.p, s->request.len, s->end, end) == NULL) &&
           (n = read(fd, bytes, sizeof bytes)) > 0)
        buf_add(&s->request, bytes, (size_t)n);
}

static void write_answer(struct canned *s, int fd)
{
    ssize_t n;

    for (size_t at = 0; at < strlen(s->answer); at += (size_t)n) {
        n = send(fd, s->answer + at, strlen(s->answer) - at, MSG_NOSIGNAL);
        if (n < 0)
            break;
    }
}

static void *serve(void *arg)
{
    struct canned *s = arg;
    int held = -1;

    for (unsigned i = 0; i < s->connections; i++) {
        int fd = accept(s->listener, NULL, NULL);

        for (unsigned j = 0; j < s->requests; j++) {
            read_request(s, fd);
            if (s->answer != NULL)
                write_answer(s, fd);
        }
        if (s->answer == NULL)
            held = fd;
        else
            close(fd);
    }
    return (void *)(intptr_t)held;
}

/* One whose fields down to `end` say what it does. */
static void canned_listen(struct canned *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void canned_start(struct canned *s, const char *answer, unsigned connections)
{
    *s = (struct canned){
        .answer = answer, .connections = connections, .requests = 1, .end = "\r\n\r\n"};
    canned_listen(s);
}

static void canned_stop(struct canned *s)
{
    void *held;

    assert_int_equal(pthread_join(s->thread, &held), 0);
    if ((intptr_t)held >= 0)
        close((int)(intptr_t)held);
    close(s->listener);
    buf_fini(&s->request);
}

/* A loop with a fetcher, and what it was told. */
struct bench {
    struct ev_loop *ev;
    struct fetcher *fetcher;
    unsigned calls;
    unsigned expected;
    struct buf body;
    char why_not[512];
    size_t tag;
    unsigned status; /* of the last post, ... */
    uint64_t retry_after_ms; /* ... and what it asks for */
};

static void on_fetched(void *ctx, size_t tag, struct slice body, const char *why_not)
{
    struct bench *b = ctx;

    assert_true((body.p == NULL) == (why_not != NULL));
    b->tag = tag;
    buf_clear(&b->body);
    buf_add_slice(&b->body, body);
    snprintf(b->why_not, sizeof b->why_not, "%s", why_not == NULL ? "" : why_not);
    if (++b->calls == b->expected)
        ev_break(b->ev, EVBREAK_ALL);
}

static void on_posted(void *ctx, size_t tag, const struct post_answer *answer)
{
    struct bench *b = ctx;

    assert_true((answer->why_not == NULL) == (answer->status / 100 == 2));
    b->tag = tag;
    b->status = answer->status;
    b->retry_after_ms = answer->retry_after_ms;
    snprintf(b->why_not, sizeof b->why_not, "%s", answer->why_not == NULL ? "" : answer->why_not);
    if (++b->calls == b->expected)
        ev_break(b->ev, EVBREAK_ALL);
}

static void setup(struct bench *b)
{
    *b = (struct bench){.expected = 1};
    b->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    assert_non_null(b->ev);
    b->fetcher = fetcher_create(b->ev);
    assert_non_null(b->fetcher);
}

static void teardown(struct bench *b)
{
    fetcher_destroy(b->fetcher);
    ev_loop_destroy(b->ev);
    buf_fini(&b->body);
}

static void get(struct bench *b, unsigned short port, unsigned total_ms, size_t max_bytes,
                size_t tag)
{
    const struct fetch_limits limits = {total_ms, max_bytes};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/keys?a=b", port);
    assert_int_equal(fetcher_get(b->fetcher, url, &limits, on_fetched, b, tag), 0);
    assert_int_equal(b->calls, 0); /* not from within */
}

/* One fetch from a server that answers so. */
static void fetch(struct bench *b, const char *answer, size_t max_bytes)
{
    struct canned s;

    setup(b);
    canned_start(&s, answer, 1);
    get(b, s.port, 10000, max_bytes, 7);
    ev_run(b->ev, 0);
    assert_int_equal(b->calls, 1);
    assert_int_equal(b->tag, 7);
    assert_non_null(memmem(s.request.p, s.request.len, "GET /keys?a=b HTTP/1.1\r\n", 24));
    canned_stop(&s);
}

static void assert_body(const char *answer, size_t max_bytes, const char *body)
{
    struct bench b;

    fetch(&b, answer, max_bytes);
    assert_string_equal(b.why_not, "");
    assert_slice(buf_slice(&b.body), body);
    teardown(&b);
}

static void assert_fails(const char *answer, size_t max_bytes, const char *sentence)
{
    struct bench b;

    fetch(&b, answer, max_bytes);
    if (strstr(b.why_not, sentence) == NULL)
        fail_msg("said: %s\nexpected: %s", b.why_not, sentence);
    teardown(&b);
}

#define CHUNKED_HELLO                                                                              \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"

static void the_body_of_a_200_is_told(void **state)
{
    (void)state;
    assert_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 100, "hello");
    assert_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 100, "");
    assert_body(CHUNKED_HELLO, 5, "hello");
}

static void anything_else_is_a_sentence(void **state)
{
    (void)state;
    assert_fails("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 100,
                 "the answer is 404, and not 200");
    assert_fails("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                 100, "redirects are not followed");
    assert_fails("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 100, "transfer closed");
    assert_fails("", 100, "Empty reply");
}

static void a_body_has_a_bound(void **state)
{
    (void)state;
    assert_fails("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 4,
                 "the answer has more than 4 bytes");
    assert_fails(CHUNKED_HELLO, 4, "the answer has more than 4 bytes");
}

static void who_does_not_answer_is_given_up(void **state)
{
    struct bench b;
    struct canned s;

    (void)state;
    setup(&b);
    canned_start(&s, NULL, 1);
    get(&b, s.port, 300, 100, 1);
    ev_run(b.ev, 0);
    assert_non_null(strstr(b.why_not, "timed out"));
    canned_stop(&s);
    teardown(&b);
}

static void where_nobody_listens_is_told(void **state)
{
    struct bench b;
    struct canned s;

    (void)state;
    setup(&b);
    canned_start(&s, "", 0);
    canned_stop(&s);
    get(&b, s.port, 10000, 100, 1);
    ev_run(b.ev, 0);
    assert_non_null(strstr(b.why_not, "connect"));
    teardown(&b);
}

static void several_are_fetched_side_by_side(void **state)
{
    struct bench b;
    struct canned slow, quick;

    (void)state;
    setup(&b);
    b.expected = 3;
    canned_start(&slow, NULL, 1);
    canned_start(&quick, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nq", 2);
    get(&b, slow.port, 500, 100, 1);
    get(&b, quick.port, 10000, 100, 2);
    get(&b, quick.port, 10000, 100, 3);
    ev_run(b.ev, 0);
    assert_int_equal(b.calls, 3);
    assert_int_equal(b.tag, 1); /* the last */
    canned_stop(&slow);
    canned_stop(&quick);
    teardown(&b);
}

static void what_is_under_way_can_be_given_up(void **state)
{
    struct bench b;
    struct canned s;

    (void)state;
    setup(&b);
    canned_start(&s, NULL, 1);
    get(&b, s.port, 10000, 100, 1);
    for (int i = 0; i < 3; i++)
        ev_run(b.ev, EVRUN_ONCE);
    teardown(&b);
    assert_int_equal(b.calls, 0);
    canned_stop(&s);
    fetcher_destroy(NULL);
}

/* ---- posting ---- */

#define BODY "{\"user\":\"alice\"}"

static void begin_post(struct bench *b, unsigned short port, unsigned total_ms, size_t max_bytes)
{
    static const char *const headers[] = {"Content-Type: application/json", "X-Test: a b"};
    const struct fetch_limits limits = {total_ms, max_bytes};
    char url[64];
    struct fetch_post post = {url, headers, 2, SLICE_LITERAL(BODY "beyond it")};

    post.body.n -= strlen("beyond it");
    snprintf(url, sizeof url, "http://127.0.0.1:%u/hook?a=b", port);
    assert_int_equal(fetcher_post(b->fetcher, &post, &limits, on_posted, b, 9), 0);
    assert_int_equal(b->calls, 0); /* not from within */
    memset(url, 'x', sizeof url);
}

/* A server that takes so many posts on one connection. */
static void expect_post(struct canned *s, const char *reply, unsigned requests)
{
    *s = (struct canned){.answer = reply, .connections = 1, .requests = requests, .end = BODY};
    canned_listen(s);
}

/* One post to a server that answers so. */
static void post(struct bench *b, const char *reply, size_t max_bytes)
{
    struct canned s;

    setup(b);
    expect_post(&s, reply, 1);
    begin_post(b, s.port, 10000, max_bytes);
    ev_run(b->ev, 0);
    assert_int_equal(b->calls, 1);
    assert_int_equal(b->tag, 9);
    canned_stop(&s);
    teardown(b);
}

static void assert_posted(const char *reply, size_t max_bytes, unsigned status,
                          const char *sentence)
{
    struct bench b;

    post(&b, reply, max_bytes);
    assert_int_equal(b.status, status);
    if (strstr(b.why_not, sentence) == NULL)
        fail_msg("said: %s\nexpected: %s", b.why_not, sentence);
}

static void a_post_has_its_headers_and_its_body(void **state)
{
    struct bench b;
    struct canned s;

    (void)state;
    setup(&b);
    expect_post(&s, "HTTP/1.1 204 No Content\r\n\r\n", 1);
    begin_post(&b, s.port, 10000, 100);
    ev_run(b.ev, 0);
    assert_int_equal(b.status, 204);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    buf_add_char(&s.request, '\0');
    assert_int_equal(strncmp(s.request.p, "POST /hook?a=b HTTP/1.1\r\n", 25), 0);
    assert_non_null(strstr(s.request.p, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(s.request.p, "\r\nX-Test: a b\r\n"));
    assert_non_null(strstr(s.request.p, "\r\nContent-Length: 16\r\n"));
    assert_non_null(strstr(s.request.p, "\r\n\r\n" BODY));
    close(s.listener);
    buf_fini(&s.request);
    teardown(&b);
}

static void the_status_is_what_counts(void **state)
{
    (void)state;
    assert_posted("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 100, 200, "");
    assert_posted("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 4, 200, "");
    assert_posted("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 100, 200, "");
    assert_posted("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 100, 500, "the answer is 500");
    assert_posted("HTTP/1.1 307 Oh\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                  100, 307, "redirects are not followed");
    assert_posted("", 100, 0, "Empty reply");
}

static void when_to_come_again_is_told(void **state)
{
    struct bench b;

    (void)state;
    post(&b, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 100);
    assert_int_equal(b.retry_after_ms, 7000);
    post(&b, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 100);
    assert_int_equal(b.retry_after_ms, 0);
}

static void posts_share_a_connection(void **state)
{
    struct bench b;
    struct canned s;

    (void)state;
    setup(&b);
    expect_post(&s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2);
    for (unsigned i = 0; i < 2; i++) {
        begin_post(&b, s.port, 10000, 100);
        ev_run(b.ev, 0);
        assert_int_equal(b.status, 200);
        b.calls = 0;
    }
    canned_stop(&s);
    teardown(&b);
}

static void a_post_that_is_not_answered_is_given_up(void **state)
{
    struct bench b;
    struct canned s;

    (void)state;
    setup(&b);
    expect_post(&s, NULL, 1);
    begin_post(&b, s.port, 300, 100);
    ev_run(b.ev, 0);
    assert_int_equal(b.status, 0);
    assert_non_null(strstr(b.why_not, "timed out"));
    canned_stop(&s);
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_of_a_200_is_told),
        cmocka_unit_test(anything_else_is_a_sentence),
        cmocka_unit_test(a_body_has_a_bound),
        cmocka_unit_test(who_does_not_answer_is_given_up),
        cmocka_unit_test(where_nobody_listens_is_told),
        cmocka_unit_test(several_are_fetched_side_by_side),
        cmocka_unit_test(what_is_under_way_can_be_given_up),
        cmocka_unit_test(a_post_has_its_headers_and_its_body),
        cmocka_unit_test(the_status_is_what_counts),
        cmocka_unit_test(when_to_come_again_is_told),
        cmocka_unit_test(posts_share_a_connection),
        cmocka_unit_test(a_post_that_is_not_answered_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
