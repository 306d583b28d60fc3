/* fuzz_conn.c - a whole connection over a socket pair: whatever comes in, in whatever pieces, the
 * same well-formed answers come out, and nothing stays behind.
 *
 * The first byte seeds the lengths of the pieces; the second says whether a PROXY header is
 * awaited. The rest is what a client sends before it closes its side. */
#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/log.h"
#include "http/response.h"
#include "http/server.h"
#include "net/loop.h"

enum { TURNS = 6, LAST_TURNS = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct stats stats;
static struct loop *loop;
static struct http_server *server;
static struct http_request *held;  /* of /later: answered at the turn's end */
static struct http_stream *stream; /* of /stream */

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void answer(void *ctx, struct http_request *r)
{
    (void)ctx;
    http_respond(r, 200, "text/plain", http_request_body(r));
}

static void on_abandoned(void *ctx)
{
    (void)ctx;
    held = NULL;
}

static void answer_later(void *ctx, struct http_request *r)
{
    (void)ctx;
    held = r;
    http_request_on_abandoned(r, on_abandoned, NULL);
}

static void on_closed(void *ctx)
{
    (void)ctx;
    stream = NULL;
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void ignore_deadline(void *ctx, uint64_t now_ms)
{
    (void)ctx;
    (void)now_ms;
}

static void open_stream(void *ctx, struct http_request *r)
{
    static const struct http_stream_events events = {ignore, ignore_deadline, on_closed};
    enum http_framing framing;
    char *head;
    size_t n;
    struct iovec iov;

    (void)ctx;
    stream = http_stream_open(r, &events, NULL, &framing, &head, &n);
    must(stream != NULL);
    iov = (struct iovec){head, n};
    must(http_stream_writev(stream, &iov, 1) == (ssize_t)n);
    free(head);
}

static bool on_turn_end(void *ctx)
{
    struct http_request *r = held;

    (void)ctx;
    held = NULL;
    if (r == NULL)
        return false;
    http_respond(r, 200, "text/plain", SLICE_LITERAL("later"));
    return true;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/now/:name", HTTP_ALL, answer},
    {HTTP_POST, "/now", HTTP_ALL, answer},
    {HTTP_GET, "/later", HTTP_ALL, answer_later},
    {HTTP_GET, "/stream", HTTP_PUBLIC, open_stream},
    {HTTP_DELETE, "/internal", HTTP_INTERNAL, answer},
    {0, NULL, 0, NULL},
};

static void set_up(void)
{
    static const struct http_limits limits = {60000, 60000, 60000, 512, 64, 0};
    struct error why;

    log_setup(LOG_ERROR, LOG_TEXT, STDERR_FILENO, false);
    loop = loop_create(&stats, &why);
    must(loop != NULL && loop_add_turn_end(loop, on_turn_end, NULL) == 0);
    server = http_server_create(loop, &limits, routes, NULL, NULL, &stats);
    must(server != NULL);
}

/* Some turns of the loop, and what came out of them; false: the daemon has closed. */
static bool turn(int client, int turns, struct buf *out)
{
    static char piece[65536];
    ssize_t n = -1;

    for (int i = 0; i < turns; i++) {
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
        while ((n = recv(client, piece, sizeof piece, MSG_DONTWAIT)) > 0)
            buf_add(out, piece, (size_t)n);
        if (n == 0)
            return false;
    }
    return n < 0 && errno == EAGAIN;
}

/* All that a client gets which sends the bytes in pieces of 1 to `most`. */
static void talk(const char *p, size_t n, size_t most, bool has_proxy_header, struct buf *out)
{
    static const struct peer peer = {.port = 7};
    const struct http_door door = {.role = HTTP_PUBLIC, .has_proxy_header = has_proxy_header};
    bool is_open = true;
    int pair[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    http_server_accept(server, pair[0], &peer, &door);
    for (size_t at = 0, piece; at < n && is_open; at += piece) {
        piece = most >= n ? n : 1 + (at * 7) % most;
        piece = piece > n - at ? n - at : piece;
        if (send(pair[1], p + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
            break;
        is_open = turn(pair[1], TURNS, out);
    }
    shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < LAST_TURNS && is_open; i++)
        is_open = turn(pair[1], 1, out);
    close(pair[1]);
    for (int i = 0; i < TURNS && stats.connections_open > 0; i++)
        ev_run(loop_ev(loop), EVRUN_NOWAIT);
    must(stats.connections_open == 0 && http_server_connections(server) == 0);
    must(held == NULL && stream == NULL && stats.out_of_memory == 0 && !out->failed);
}

/* The bytes without what the clock has written. */
static void drop_dates(struct buf *b)
{
    char *at;

    while (b->len > 0 && (at = memmem(b->p, b->len, "\r\nDate: ", 8)) != NULL) {
        char *end = memmem(at + 2, b->len - (size_t)(at + 2 - b->p), "\r\n", 2);

        must(end != NULL);
        memmove(at, end, b->len - (size_t)(end - b->p));
        b->len -= (size_t)(end - at);
    }
}

/* The bytes without "go on", which is sent only where the body is not there yet (RFC 9110
 * 10.1.1). */
static void drop_continues(struct buf *b)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t n = sizeof go_on - 1;
    char *at;

    while (b->len > 0 && (at = memmem(b->p, b->len, go_on, n)) != NULL) {
        memmove(at, at + n, b->len - n - (size_t)(at - b->p));
        b->len -= n;
    }
}

/* Takes the last answer off if it refuses: of several things that are wrong with a request, another
 * may be seen first when it comes in pieces. Returns whether it does. */
static bool cut_refusal(struct buf *b)
{
    const char *last = NULL;

    for (const char *at = b->p; at != NULL && b->len > 9;) {
        at = memmem(at, b->len - (size_t)(at - b->p), "HTTP/1.1 ", 9);
        if (at == NULL)
            break;
        if (at + 9 < b->p + b->len && at[9] >= '1' && at[9] <= '5') /* and no sentence */
            last = at;
        at++;
    }
    if (last == NULL || last[9] < '4')
        return false;
    b->len = (size_t)(last - b->p);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct buf whole = {0};
    struct buf pieces = {0};
    const char *p = (const char *)bytes + 2;

    if (n < 3 || n > 4096)
        return 0;
    if (server == NULL)
        set_up();
    talk(p, n - 2, n, (bytes[1] & 1) != 0, &whole);
    talk(p, n - 2, 1 + bytes[0] % 64, (bytes[1] & 1) != 0, &pieces);
    drop_dates(&whole);
    drop_continues(&whole);
    drop_dates(&pieces);
    drop_continues(&pieces);
    must(whole.len == 0 || (whole.len > 12 && memcmp(whole.p, "HTTP/1.1 ", 9) == 0));
    must(cut_refusal(&whole) == cut_refusal(&pieces));
    must(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
