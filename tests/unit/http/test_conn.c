/* Connections through a socket pair: what a client sends and what it gets. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "http/response.h"
#include "http/server.h"
#include "net/loop.h"
#include "support/cm.h"

#define HOST "Host: x\r\n"

enum { PATIENCE_MS = 10000, BIG = 4 << 20 };

static struct stats stats;
static struct loop *loop;
static struct http_server *server;
static struct http_limits limits;
static int client;
static bool has_peer_closed;
static char got[8 << 20]; /* all that the client has read */
static size_t got_n;

/* What the handlers saw and left. */
static struct http_request *held; /* by /later */
static int abandoned;
static struct http_stream *stream;
static struct {
    int writable;
    int deadline;
    int closed;
} seen;
static enum http_framing framing;
static char *big;

/* ---- handlers ---- */

/* Takes long enough that one turn is not for many of them. */
static void answer_slowly(void *ctx, struct http_request *r)
{
    uint64_t begun_us = clock_mono_us();

    (void)ctx;
    while (clock_mono_us() - begun_us < 200)
        ;
    http_respond(r, 200, "text/plain", SLICE_LITERAL("[slow]"));
}

static void echo(void *ctx, struct http_request *r)
{
    char text[1024];
    struct slice body = http_request_body(r);
    struct slice name;
    struct slice value;
    size_t cursor = 0;
    int n;

    (void)ctx;
    n = snprintf(text, sizeof text, "[%.*s|%.*s]", SLICE_ARG(http_request_param(r, 0)),
                 SLICE_ARG(body));
    while (http_request_query_next(r, &cursor, &name, &value))
        n += snprintf(text + n, sizeof text - (size_t)n, "<%.*s=%.*s>", SLICE_ARG(name),
                      SLICE_ARG(value));
    http_response_header(r, "X-Evil", slice_of("a\r\nb"));
    http_respond(r, 200, "text/plain", slice_make(text, (size_t)n));
}

static void on_abandoned(void *ctx)
{
    assert_ptr_equal(ctx, &abandoned);
    abandoned++;
    held = NULL;
}

static void later(void *ctx, struct http_request *r)
{
    (void)ctx;
    assert_null(held);
    held = r;
    http_request_on_abandoned(r, on_abandoned, &abandoned);
}

static void huge(void *ctx, struct http_request *r)
{
    (void)ctx;
    http_respond(r, 200, "text/plain", slice_make(big, BIG));
}

static void fails(void *ctx, struct http_request *r)
{
    (void)ctx;
    http_response_header(r, "Retry-After", slice_of("1"));
    http_problem(r, 503, "say \"%s\"\n", "please");
}

static void describe(void *ctx, struct http_request *r)
{
    (void)ctx;
    http_response_header(r, "Cache-Control", slice_of("max-age=5"));
    http_respond(r, 200, "text/event-stream", slice_make(NULL, 0));
}

static void on_stream_writable(void *ctx)
{
    (void)ctx;
    seen.writable++;
}

static void on_stream_deadline(void *ctx, uint64_t now_ms)
{
    (void)ctx;
    assert_true(now_ms > 0);
    seen.deadline++;
}

static void on_stream_closed(void *ctx)
{
    assert_ptr_equal(ctx, &seen);
    seen.closed++;
    stream = NULL;
}

static const struct http_stream_events stream_events = {on_stream_writable, on_stream_deadline,
                                                        on_stream_closed};

static void open_stream(void *ctx, struct http_request *r)
{
    char *head;
    size_t n;
    struct iovec iov;

    (void)ctx;
    stream = http_stream_open(r, &stream_events, &seen, &framing, &head, &n);
    assert_non_null(stream);
    iov = (struct iovec){head, n};
    assert_int_equal(http_stream_writev(stream, &iov, 1), n);
    free(head);
}

static void open_and_close(void *ctx, struct http_request *r)
{
    struct iovec last = {(char[]){"0\r\n\r\n"}, 5};

    open_stream(ctx, r);
    http_stream_writev(stream, &last, 1);
    http_stream_close(stream, true);
    stream = NULL;
}

static bool filter(void *ctx, struct http_request *r)
{
    (void)ctx;
    if (http_request_header(r, "X-Forbidden").p == NULL)
        return false;
    http_problem(r, 403, "Leave X-Forbidden out.");
    return true;
}

static const struct http_route routes[] = {
    {HTTP_POST, "/echo/:name", HTTP_PUBLIC, echo},
    {HTTP_GET, "/echo/:name", HTTP_PUBLIC, echo},
    {HTTP_GET, "/later", HTTP_PUBLIC, later},
    {HTTP_GET, "/huge", HTTP_PUBLIC, huge},
    {HTTP_GET, "/fails", HTTP_PUBLIC, fails},
    {HTTP_GET, "/slow", HTTP_PUBLIC, answer_slowly},
    {HTTP_GET, "/describe", HTTP_PUBLIC, describe},
    {HTTP_GET, "/stream", HTTP_PUBLIC, open_stream},
    {HTTP_GET, "/brief", HTTP_PUBLIC, open_and_close},
    {HTTP_GET, "/internal", HTTP_INTERNAL, echo},
    {0, NULL, 0, NULL},
};

/* ---- the client ---- */

static int connect_client(void)
{
    static const struct peer nobody;
    static const struct http_door door = {.role = HTTP_PUBLIC};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    http_server_accept(server, pair[0], &nobody, &door);
    return pair[1];
}

static int set_up(void **state)
{
    struct error why;

    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT, STDERR_FILENO, false);
    limits = (struct http_limits){60000, 60000, 60000, 2048, 4096, 0};
    memset(&stats, 0, sizeof stats);
    memset(&seen, 0, sizeof seen);
    abandoned = 0;
    held = NULL;
    stream = NULL;
    got_n = 0;
    has_peer_closed = false;
    loop = loop_create(&stats, &why);
    assert_non_null(loop);
    server = http_server_create(loop, &limits, routes, filter, NULL, &stats);
    assert_non_null(server);
    client = connect_client();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(client);
    http_server_destroy(server);
    assert_int_equal(stats.connections_open, 0);
    assert_int_equal(stats.request_bytes, 0);
    loop_destroy(loop);
    return 0;
}

static void send_bytes(const char *p, size_t n)
{
    assert_int_equal(send(client, p, n, MSG_NOSIGNAL), n);
}

static void send_text(const char *text)
{
    send_bytes(text, strlen(text));
}

/* One turn of the loop, and a read of what came. */
static void turn(int flags)
{
    ssize_t n;

    ev_run(loop_ev(loop), flags);
    n = recv(client, got + got_n, sizeof got - 1 - got_n, 0);
    if (n > 0)
        got_n += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        has_peer_closed = true;
    got[got_n] = '\0';
}

/* Turns until all that can happen without time passing has happened. */
static void run(void)
{
    for (int i = 0; i < 8; i++)
        turn(EVRUN_NOWAIT);
}

/* Turns until the condition holds; fails after some seconds. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        uint64_t end = clock_mono_ms() + PATIENCE_MS;                                              \
        while (!(condition)) {                                                                     \
            turn(EVRUN_ONCE);                                                                      \
            assert_true(clock_mono_ms() < end);                                                    \
        }                                                                                          \
    } while (0)

static size_t count_of(const char *text)
{
    size_t count = 0;

    for (const char *p = got; (p = strstr(p, text)) != NULL; p += strlen(text))
        count++;
    return count;
}

static bool has(const char *text)
{
    return count_of(text) > 0;
}

static void forget(void)
{
    got_n = 0;
    got[0] = '\0';
}

/* ---- tests ---- */

static void a_request_gets_its_answer_and_the_connection_stays(void **state)
{
    (void)state;
    send_text("GET /echo/a%20b?x=1&y=%2B+z&&w HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(has("[a b|]<x=1><y=+ z><w=>"));
    assert_true(has("\r\nContent-Length: 22\r\n"));
    assert_true(has("\r\nContent-Type: text/plain\r\n"));
    assert_true(has("\r\nCache-Control: no-store\r\n"));
    assert_true(has("\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_true(has(" GMT\r\n"));
    assert_false(has("X-Evil"));
    assert_false(has("Connection:"));
    assert_false(has_peer_closed);
    send_text("GET /echo/again HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("[again|]"));
    assert_int_equal(stats.requests, 2);
    assert_int_equal(stats.requests_refused, 0);
}

static void a_request_may_come_in_single_bytes(void **state)
{
    static const char text[] =
        "POST /echo/u HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_int_equal(got_n, 0);
        send_bytes(text + i, 1);
        run();
    }
    assert_true(has("[u|hello]"));
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    send_text("GET /echo/1 HTTP/1.1\r\n" HOST "\r\n"
              "POST /echo/2 HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx\r\n"
              "GET /echo/3 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
              "GET /echo/4 HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("[1|]") && has("[2|x]") && has("[3|]"));
    assert_true(strstr(got, "[1|]") < strstr(got, "[2|x]"));
    assert_true(strstr(got, "[2|x]") < strstr(got, "[3|]"));
    assert_false(has("[4|]"));
    assert_true(has_peer_closed);
}

static void requests_behind_an_open_answer_wait_for_it(void **state)
{
    (void)state;
    send_text("GET /later HTTP/1.1\r\n" HOST "\r\nGET /echo/2 HTTP/1.1\r\n" HOST "\r\nGET /ec");
    run();
    send_text("ho/3 HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_non_null(held);
    assert_int_equal(got_n, 0);
    http_respond(held, 200, "text/plain", SLICE_LITERAL("[1]"));
    run();
    assert_true(has("[1]") && has("[2|]") && has("[3|]"));
    assert_true(strstr(got, "[1]") < strstr(got, "[2|]"));
    assert_true(strstr(got, "[2|]") < strstr(got, "[3|]"));
}

static void what_waits_behind_an_open_answer_is_bounded(void **state)
{
    static char junk[65536];
    size_t sent = 0;
    ssize_t n;

    (void)state;
    memset(junk, 'x', sizeof junk);
    send_text("GET /later HTTP/1.1\r\n" HOST "\r\n");
    run();
    do {
        n = send(client, junk, sizeof junk, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        run();
    } while (n > 0 && sent < 64 << 20);
    assert_true(n < 0 && errno == EAGAIN); /* the server has stopped reading */
    http_respond(held, 200, NULL, slice_make(NULL, 0));
    run();
    assert_true(has("HTTP/1.1 400 "));
}

static void a_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    send_text("GET /later HTTP/1.1\r\n" HOST "\r\nGET /echo/2 HTTP/1.1\r\n" HOST "\r\n");
    shutdown(client, SHUT_WR);
    run();
    assert_non_null(held);
    http_respond(held, 200, "text/plain", SLICE_LITERAL("[1]"));
    run();
    assert_true(has("[1]") && has("[2|]"));
    assert_true(has_peer_closed);
}

static void many_that_are_pipelined_are_all_answered_but_not_in_one_turn(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        send_text("GET /slow HTTP/1.1\r\n" HOST "\r\n");
    shutdown(client, SHUT_WR);
    for (int i = 0; i < 3 && stats.requests == 0; i++)
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
    assert_true(stats.requests >= 1 && stats.requests < 40);
    run_until(has_peer_closed);
    assert_int_equal(count_of("[slow]"), 50);
    assert_int_equal(stats.connections_open, 0);
}

static void a_reset_abandons_the_request(void **state)
{
    (void)state;
    send_text("GET /echo/1 HTTP/1.1\r\n" HOST "\r\nGET /later HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 4; i++)
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
    assert_non_null(held);
    close(client); /* with the first answer unread, which resets */
    for (int i = 0; i < 4; i++)
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
    assert_int_equal(abandoned, 1);
    assert_int_equal(stats.connections_open, 0);
    client = connect_client();
}

static void the_servers_end_abandons_requests_and_closes_streams(void **state)
{
    int other = client;

    (void)state;
    send_text("GET /later HTTP/1.1\r\n" HOST "\r\n");
    run();
    client = connect_client();
    send_text("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    run();
    http_server_destroy(server);
    close(other);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(abandoned, 1);
    assert_int_equal(stats.connections_open, 0);
    loop_destroy(loop);
    close(client);
    set_up(NULL);
}

static void http_1_0_closes_unless_asked_to_stay(void **state)
{
    (void)state;
    send_text("GET /echo/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    run();
    assert_true(has("HTTP/1.1 200 OK\r\n"));
    assert_true(has("\r\nConnection: keep-alive\r\n"));
    assert_false(has_peer_closed);
    send_text("GET /echo/2 HTTP/1.0\r\n\r\n");
    run();
    assert_true(has("[2|]"));
    assert_true(has("\r\nConnection: close\r\n"));
    assert_true(has_peer_closed);
}

static void a_head_gets_the_length_and_no_body(void **state)
{
    (void)state;
    send_text("HEAD /echo/abc HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("\r\nContent-Length: 6\r\n"));
    assert_false(has("[abc"));
    forget();
    send_text("HEAD /describe HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("\r\nContent-Type: text/event-stream\r\n"));
    assert_true(has("\r\nCache-Control: max-age=5\r\n"));
    assert_false(has("no-store"));
    assert_false(has("Content-Length"));
    forget();
    send_text("HEAD /nothing HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 404 "));
    assert_memory_equal(got + got_n - 4, "\r\n\r\n", 4);
}

static void problems_are_json(void **state)
{
    (void)state;
    send_text("GET /fails HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 503 Service Unavailable\r\n"));
    assert_true(has("\r\nContent-Type: application/problem+json\r\n"));
    assert_true(has("\r\nRetry-After: 1\r\n"));
    assert_true(has("{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                    "\"detail\":\"say \\\"please\\\"\\u000a\"}"));
    assert_false(has_peer_closed);
    assert_int_equal(stats.requests_refused, 1);
}

static void unknown_paths_and_methods_are_told_apart(void **state)
{
    (void)state;
    send_text("GET /internal HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 404 "));
    send_text("DELETE /echo/a HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 405 "));
    assert_true(has("\r\nAllow: GET, HEAD, POST, OPTIONS\r\n"));
    forget();
    send_text("OPTIONS /echo/a HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 204 No Content\r\n"));
    assert_true(has("\r\nAllow: GET, HEAD, POST, OPTIONS\r\n"));
    assert_false(has("Content-Length"));
    forget();
    send_text("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 204 "));
    forget();
    send_text("OPTIONS /nothing HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 404 "));
    assert_false(has_peer_closed);
}

static void the_filter_comes_before_the_routes(void **state)
{
    (void)state;
    send_text("GET /nothing HTTP/1.1\r\n" HOST "X-Forbidden: 1\r\n\r\n");
    run();
    assert_true(has("HTTP/1.1 403 "));
}

static void targets_are_checked(void **state)
{
    (void)state;
    send_text("GET http://elsewhere.example/echo/abs?q HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("[abs|]<q=>"));
    forget();
    send_text("GET http://x HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 404 "));
    forget();
    send_text("GET /echo/%zz HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 400 "));
    assert_true(has("\r\nConnection: close\r\n"));
    assert_true(has_peer_closed);
}

static void a_malformed_request_is_answered_and_closed(void **state)
{
    (void)state;
    send_text("GET / HTTP/1.1\r\n\r\nGET /echo/1 HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_true(has("HTTP/1.1 400 Bad Request\r\n"));
    assert_true(has("Host"));
    assert_true(has_peer_closed);
    assert_false(has("[1|]"));
    assert_int_equal(stats.connections_open, 1); /* lingers until the client's end */
    shutdown(client, SHUT_WR);
    run();
    assert_int_equal(stats.connections_open, 0);
}

static void a_client_that_is_refused_may_go_on_sending(void **state)
{
    static char junk[65536];
    int pieces = support_is_slow() ? 5 : 20; /* it lingers for some seconds only */
    int taken = 0;

    (void)state;
    send_text("POST /echo/1 HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
    for (int i = 0; i < pieces; i++) {
        taken += send(client, junk, sizeof junk, MSG_NOSIGNAL) > 0;
        run();
    }
    assert_true(has("HTTP/1.1 413 "));
    assert_int_equal(taken, pieces);
}

static void a_body_is_asked_for_when_it_will_be_read(void **state)
{
    static const char head[] = "POST /echo/1 HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n";

    (void)state;
    send_text(head);
    send_text("Content-Length: 2\r\n\r\n");
    run();
    assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
    send_text("ok");
    run();
    assert_true(has("[1|ok]"));
    forget();
    send_text(head);
    send_text("Content-Length: 2\r\n\r\nok");
    run();
    assert_false(has("100 Continue"));
    assert_true(has("[1|ok]"));
    forget();
    send_text(head);
    send_text("Content-Length: 100000\r\n\r\n");
    run();
    assert_false(has("100 Continue"));
    assert_true(has("HTTP/1.1 413 Content Too Large\r\n"));
    assert_true(has_peer_closed);
}

static void another_expectation_fails(void **state)
{
    (void)state;
    send_text("POST /echo/1 HTTP/1.1\r\n" HOST "Expect: bananas\r\nContent-Length: 2\r\n\r\nok");
    run();
    assert_true(has("HTTP/1.1 417 "));
    assert_true(has_peer_closed);
}

static void too_long_a_head_is_refused(void **state)
{
    char text[4000];

    (void)state;
    memset(text, 'a', sizeof text);
    send_text("GET / HTTP/1.1\r\n" HOST "A: ");
    send_bytes(text, sizeof text);
    run();
    assert_true(has("HTTP/1.1 431 "));
}

static void a_slow_head_times_out_with_an_answer(void **state)
{
    (void)state;
    limits.header_timeout_ms = 1;
    send_text("GET /ec");
    run_until(has_peer_closed);
    assert_true(has("HTTP/1.1 408 "));
    assert_int_equal(stats.timeouts_header, 1);
}

static void a_slow_body_times_out_with_an_answer(void **state)
{
    (void)state;
    limits.body_timeout_ms = 1;
    send_text("POST /echo/1 HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\no");
    run_until(has_peer_closed);
    assert_true(has("HTTP/1.1 408 "));
    assert_int_equal(stats.timeouts_body, 1);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    limits.idle_timeout_ms = 1;
    send_text("GET /echo/1 HTTP/1.1\r\n" HOST "\r\n");
    run();
    forget();
    run_until(has_peer_closed);
    assert_int_equal(got_n, 0);
    assert_int_equal(stats.timeouts_idle, 1);
}

static void an_answer_larger_than_the_socket_arrives_whole(void **state)
{
    (void)state;
    send_text("GET /huge HTTP/1.1\r\n" HOST "\r\nGET /echo/after HTTP/1.1\r\n" HOST "\r\n");
    run_until(got_n > BIG && memmem(got + BIG, got_n - BIG, "[after|]", 8) != NULL);
    assert_non_null(strstr(got, "\r\nContent-Length: 4194304\r\n"));
    assert_memory_equal(strstr(got, "\r\n\r\n") + 4, big, BIG);
}

static void a_stream_has_its_head_and_its_framing(void **state)
{
    (void)state;
    send_text("GET /stream HTTP/1.1\r\n" HOST "\r\nthrown away");
    run();
    assert_non_null(stream);
    assert_int_equal(framing, HTTP_CHUNKED);
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(has("\r\nContent-Type: text/event-stream\r\n"));
    assert_true(has("\r\nCache-Control: no-cache, no-store, no-transform\r\n"));
    assert_true(has("\r\nX-Accel-Buffering: no\r\n"));
    assert_true(has("\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_true(has("\r\nTransfer-Encoding: chunked\r\n"));
    assert_false(has("Content-Length"));
    assert_int_equal(stats.requests, 1);
    send_text("more of it");
    run();
    assert_int_equal(seen.closed, 0);
    close(client);
    run();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(stats.connections_open, 0);
    client = connect_client();
    forget();
    send_text("GET /stream HTTP/1.0\r\n\r\n");
    run();
    assert_int_equal(framing, HTTP_PLAIN);
    assert_true(has("\r\nConnection: close\r\n"));
    assert_false(has("Transfer-Encoding"));
}

static void a_half_closed_stream_is_gone(void **state)
{
    (void)state;
    send_text("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    shutdown(client, SHUT_WR);
    run();
    assert_int_equal(seen.closed, 1);
    assert_true(has_peer_closed);
}

static void a_stream_that_opens_after_the_clients_end_is_told(void **state)
{
    (void)state;
    send_text("GET /later HTTP/1.1\r\n" HOST "\r\n");
    shutdown(client, SHUT_WR);
    run();
    open_stream(NULL, held);
    assert_int_equal(seen.closed, 0);
    run();
    assert_int_equal(seen.closed, 1);
}

static void a_full_stream_tells_when_it_takes_more(void **state)
{
    struct iovec iov = {big, BIG};
    ssize_t n;

    (void)state;
    send_text("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    run();
    do
        n = http_stream_writev(stream, &iov, 1);
    while (n > 0);
    assert_int_equal(n, -EAGAIN);
    http_stream_want_write(stream);
    run_until(seen.writable > 0);
    run();
    assert_int_equal(seen.writable, 1);
}

static void a_streams_deadline_comes_once(void **state)
{
    (void)state;
    send_text("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    run();
    http_stream_deadline(stream, loop_now_ms(loop) + 1);
    http_stream_deadline(stream, 0);
    http_stream_deadline(stream, loop_now_ms(loop) + 60000);
    http_stream_deadline(stream, loop_now_ms(loop) + 1);
    run_until(seen.deadline > 0);
    run();
    assert_int_equal(seen.deadline, 1);
}

static void a_stream_may_close_itself_in_its_handler(void **state)
{
    (void)state;
    send_text("GET /brief HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_memory_equal(got + got_n - 5, "0\r\n\r\n", 5);
    assert_true(has_peer_closed);
    shutdown(client, SHUT_WR);
    run();
    assert_int_equal(seen.closed, 0);
    assert_int_equal(stats.connections_open, 0);
}

static void a_cut_stream_is_not_told_of_its_own_end(void **state)
{
    (void)state;
    send_text("GET /stream HTTP/1.1\r\n" HOST "\r\n");
    run();
    http_stream_close(stream, false);
    run();
    assert_true(has_peer_closed);
    assert_int_equal(seen.closed, 0);
    assert_int_equal(http_server_connections(server), 0);
}

static void a_drain_closes_the_idle_and_answers_the_others(void **state)
{
    int idle = connect_client();
    char byte;

    (void)state;
    send_text("GET /later HTTP/1.1\r\n" HOST "\r\n");
    run();
    assert_int_equal(http_server_connections(server), 2);
    http_server_drain(server);
    run();
    assert_int_equal(recv(idle, &byte, 1, 0), 0);
    close(idle);
    assert_int_equal(http_server_connections(server), 1);
    http_respond(held, 200, "text/plain", SLICE_LITERAL("[1]"));
    run();
    assert_true(has("[1]"));
    assert_true(has("\r\nConnection: close\r\n"));
    shutdown(client, SHUT_WR);
    run();
    assert_int_equal(http_server_connections(server), 0);
}

static void a_client_that_resets_at_any_moment_does_no_harm(void **state)
{
    static const char *const texts[] = {
        "", "GET /ec", "GET /huge HTTP/1.1\r\n" HOST "\r\n", "GET /later HTTP/1.1\r\n" HOST "\r\n",
        "GET /stream HTTP/1.1\r\n" HOST "\r\n", "bad\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        close(client);
        run();
        client = connect_client();
        send_text(texts[i]);
        if (i % 2 == 0)
            run();
    }
    close(client);
    for (int i = 0; i < 10; i++)
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
    assert_true(held == NULL || stats.connections_open == 1);
    assert_true(stats.connections_open <= 1);
    client = connect_client();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_request_gets_its_answer_and_the_connection_stays),
        TEST(a_request_may_come_in_single_bytes),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(many_that_are_pipelined_are_all_answered_but_not_in_one_turn),
        TEST(requests_behind_an_open_answer_wait_for_it),
        TEST(what_waits_behind_an_open_answer_is_bounded),
        TEST(a_half_closed_client_gets_its_answer),
        TEST(a_reset_abandons_the_request),
        TEST(the_servers_end_abandons_requests_and_closes_streams),
        TEST(http_1_0_closes_unless_asked_to_stay),
        TEST(a_head_gets_the_length_and_no_body),
        TEST(problems_are_json),
        TEST(unknown_paths_and_methods_are_told_apart),
        TEST(the_filter_comes_before_the_routes),
        TEST(targets_are_checked),
        TEST(a_malformed_request_is_answered_and_closed),
        TEST(a_client_that_is_refused_may_go_on_sending),
        TEST(a_body_is_asked_for_when_it_will_be_read),
        TEST(another_expectation_fails),
        TEST(too_long_a_head_is_refused),
        TEST(a_slow_head_times_out_with_an_answer),
        TEST(a_slow_body_times_out_with_an_answer),
        TEST(an_idle_connection_is_closed_without_a_word),
        TEST(an_answer_larger_than_the_socket_arrives_whole),
        TEST(a_stream_has_its_head_and_its_framing),
        TEST(a_half_closed_stream_is_gone),
        TEST(a_stream_that_opens_after_the_clients_end_is_told),
        TEST(a_full_stream_tells_when_it_takes_more),
        TEST(a_streams_deadline_comes_once),
        TEST(a_stream_may_close_itself_in_its_handler),
        TEST(a_cut_stream_is_not_told_of_its_own_end),
        TEST(a_drain_closes_the_idle_and_answers_the_others),
        TEST(a_client_that_resets_at_any_moment_does_no_harm),
    };
    int failed;

    big = malloc(BIG);
    if (big == NULL)
        return 1;
    memset(big, 'b', BIG);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(big);
    return failed;
}
