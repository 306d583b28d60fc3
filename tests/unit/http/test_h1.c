/* The request reader: what it takes, what it refuses, and that pieces make no difference. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "http/h1_priv.h"

enum { MAX_HEAD = 512, MAX_BODY = 64 };

/* Feeds `text` in pieces of `piece` bytes; *used is where the request ended. */
static enum h1_result feed_all(struct h1 *h, struct slice text, size_t piece, size_t *used)
{
    enum h1_result result = H1_MORE;

    *used = 0;
    while (result == H1_HEAD || (result == H1_MORE && *used < text.n)) {
        size_t n = text.n - *used < piece ? text.n - *used : piece;
        char *copy = malloc(n + 1); /* its own block, so that a sanitizer sees reads past it */
        size_t taken;

        assert_non_null(copy);
        memcpy(copy, text.p + *used, n);
        result = h1_feed(h, copy, result == H1_HEAD ? 0 : n, &taken);
        free(copy);
        *used += taken;
    }
    return result;
}

/* `rest` is what must be left of the text. */
static void takes(const char *text, const char *rest, const char *target, const char *body)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct h1 *h = h1_create(MAX_HEAD, MAX_BODY);
        struct h1_message *m = h1_message(h);
        size_t used;
        enum h1_result result = feed_all(h, slice_of(text), piece, &used);

        if (result != H1_DONE)
            fail_msg("in pieces of %zu: %d, %d %s\n%s", piece, (int)result, m->status, m->detail,
                     text);
        assert_string_equal(text + used, rest);
        assert_true(slice_is(h1_slice(m, m->target), target));
        assert_true(slice_is(h1_slice(m, m->body), body));
        h1_destroy(h);
    }
}

static void refuses_slice(struct slice text, int status)
{
    for (size_t piece = 1; piece <= text.n; piece++) {
        struct h1 *h = h1_create(MAX_HEAD, MAX_BODY);
        struct h1_message *m = h1_message(h);
        size_t used;
        enum h1_result result = feed_all(h, text, piece, &used);

        if (result != H1_REFUSED || m->status != status)
            fail_msg("in pieces of %zu: %d, %d %s instead of %d\n%.*s", piece, (int)result,
                     m->status, m->detail, status, SLICE_ARG(text));
        assert_true(strlen(m->detail) > 10);
        h1_destroy(h);
    }
}

static void refuses(const char *text, int status)
{
    refuses_slice(slice_of(text), status);
}

#define HOST "Host: x\r\n"

static void a_request_without_body(void **state)
{
    (void)state;
    takes("GET /a?b HTTP/1.1\r\n" HOST "\r\n", "", "/a?b", "");
    takes("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "", "*", "");
    takes("GET http://x/a HTTP/1.1\r\n" HOST "\r\n", "", "http://x/a", "");
    takes("GET / HTTP/1.0\r\n\r\n", "", "/", "");
    takes("\r\n\r\nGET / HTTP/1.0\r\n\r\n", "", "/", "");
}

static void what_comes_behind_a_request_is_left(void **state)
{
    (void)state;
    takes("GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n", "GET /b HTTP/1.1\r\n", "/a", "");
    takes("POST /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nokGET /", "GET /", "/a", "ok");
    takes("GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n\x01\x02", "\x01\x02", "/a", "");
}

static void a_body_by_length_and_in_chunks(void **state)
{
    (void)state;
    takes("POST / HTTP/1.1\r\n" HOST "content-length: 5\r\n\r\nhello", "", "/", "hello");
    takes("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
          "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", "", "/", "hello");
    takes("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
          "1\r\nx\r\n0\r\nX-Trailer: v\r\n\r\n", "", "/", "x");
    takes("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "", "/", "");
}

static void upgrades_are_ignored(void **state)
{
    (void)state;
    takes("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest",
          "rest", "/", "");
    takes("POST / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          "Content-Length: 1\r\n\r\nxrest", "rest", "/", "x");
}

static void the_request_line_is_strict(void **state)
{
    (void)state;
    refuses("GET  / HTTP/1.1\r\n" HOST "\r\n", 400);
    refuses("GET /  HTTP/1.1\r\n" HOST "\r\n", 400);
    refuses("GET / HTTP/1.1 \r\n" HOST "\r\n", 400);
    refuses("GET / HTTP/1.1\n" HOST "\r\n", 400);
    refuses("GET /\r\n" HOST "\r\n", 400);
    refuses("GET / RTSP/1.1\r\n" HOST "\r\n", 400);
    refuses("GET / http/1.1\r\n" HOST "\r\n", 400);
    refuses("get / HTTP/1.1\r\n" HOST "\r\n", 400);
    refuses("\x16\x03\x01\x02 this is TLS", 400);
    refuses("BREW /pot HTTP/1.1\r\n" HOST "\r\n", 501);
    refuses("CONNECT x:443 HTTP/1.1\r\n" HOST "\r\n", 501);
    refuses_slice(SLICE_LITERAL("GET /a\0b HTTP/1.1\r\n" HOST "\r\n"), 400);
    refuses("GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void other_versions_are_refused(void **state)
{
    (void)state;
    refuses("GET / HTTP/0.9\r\n" HOST "\r\n", 505);
    refuses("GET / HTTP/1.2\r\n" HOST "\r\n", 505);
    refuses("GET / HTTP/2.0\r\n" HOST "\r\n", 505);
    refuses("GET / HTTP/3.0\r\n" HOST "\r\n", 505);
    refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    refuses("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A: b\xc3\xa9\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A: b\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A: b\r\n\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST "A: \x02\r\n\r\n", 400);
    refuses_slice(SLICE_LITERAL("GET / HTTP/1.1\r\n" HOST "A: \0\r\n\r\n"), 400);
}

/* A request with one header of `n` letters, of which `odd` replaces those at `at`. */
static const char *odd_header(size_t n, size_t at, const char *odd)
{
    static char text[128];
    size_t head = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "A: ");

    memset(text + head, 'v', n);
    memcpy(text + head + at, odd, strlen(odd));
    strcpy(text + head + n, "\r\n\r\n");
    return text;
}

static void an_odd_byte_is_found_wherever_it_stands(void **state)
{
    enum { LONGEST = 20 };

    (void)state;
    for (size_t n = 3; n < LONGEST; n++) {
        for (size_t at = 0; at + 3 <= n; at++) {
            takes(odd_header(n, at, ""), "", "/", "");
            takes(odd_header(n, at, "\t"), "", "/", "");
            refuses(odd_header(n, at, "\x80"), 400);
            refuses(odd_header(n, at, "\xff"), 400);
            refuses(odd_header(n, at, "\r"), 400);
            refuses(odd_header(n, at, "\n"), 400);
            refuses(odd_header(n, at, "\r\n "), 400);
            refuses(odd_header(n, at, "\r\n:"), 400);
        }
    }
}

static void the_host_must_be_there_once(void **state)
{
    (void)state;
    refuses("GET / HTTP/1.1\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400);
    refuses("GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400);
    refuses("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    refuses("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
    takes("GET / HTTP/1.1\r\nHost:\r\n\r\n", "", "/", "");
    takes("GET / HTTP/1.1\r\nhOST: [::1]:8080\r\n\r\n", "", "/", "");
}

static void doubtful_framing_is_refused(void **state)
{
    (void)state;
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400);
    refuses("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            400);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", 400);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n", 400);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 400);
    refuses("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400);
    refuses("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 501);
    refuses("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    refuses("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 501);
}

static void malformed_chunks_are_refused(void **state)
{
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
    (void)state;
    refuses(CHUNKED "g\r\n", 400);
    refuses(CHUNKED "1\r\nxy\r\n", 400);
    refuses(CHUNKED "1\nx\r\n", 400);
    refuses(CHUNKED "-1\r\n", 400);
    refuses(CHUNKED "10000000000000000\r\n", 400);
}

static void limits_are_told_apart(void **state)
{
    char text[2048];
    char pad[600];

    (void)state;
    memset(pad, 'a', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    snprintf(text, sizeof text, "GET /%s HTTP/1.1\r\n" HOST "\r\n", pad);
    refuses(text, 414);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "A: %s\r\n\r\n", pad);
    refuses(text, 431);
    refuses("POST / HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n", 413);
    snprintf(text, sizeof text, CHUNKED "41\r\n%.65s\r\n0\r\n\r\n", pad);
    refuses(text, 413);
    snprintf(text, sizeof text, CHUNKED "40\r\n%.64s\r\n0\r\n\r\n", pad);
    pad[64] = '\0';
    takes(text, "", "/", pad);
}

static void too_many_headers_are_refused(void **state)
{
    struct h1 *h = h1_create(65536, MAX_BODY);
    char text[4096] = "GET / HTTP/1.1\r\n" HOST;
    size_t used;

    (void)state;
    for (int i = 0; i < H1_MAX_FIELDS - 1; i++)
        strcat(text, "A: b\r\n");
    strcat(text, "\r\n");
    assert_int_equal(feed_all(h, slice_of(text), 4096, &used), H1_DONE);
    assert_int_equal(h1_message(h)->field_count, H1_MAX_FIELDS);
    h1_reset(h, 0);
    strcpy(text + strlen(text) - 2, "A: b\r\n\r\n");
    assert_int_equal(feed_all(h, slice_of(text), 4096, &used), H1_REFUSED);
    assert_int_equal(h1_message(h)->status, 431);
    h1_destroy(h);
}

/* Once they were taken when they came whole and refused when they came in pieces. */
static void long_trailers_are_refused_whatever_the_pieces(void **state)
{
    char text[2048];
    char pad[1200];

    (void)state;
    memset(pad, 'a', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    snprintf(text, sizeof text, CHUNKED "1\r\nx\r\n0\r\nA: %s\r\n\r\n", pad);
    refuses(text, 400);
}

static void wasteful_chunk_framing_is_bounded(void **state)
{
    struct h1 *h = h1_create(MAX_HEAD, MAX_BODY);
    enum h1_result result;
    char extension[100];
    size_t used;
    size_t fed = 0;

    (void)state;
    memset(extension, 'x', sizeof extension);
    assert_int_equal(h1_feed(h, CHUNKED, strlen(CHUNKED), &used), H1_HEAD);
    assert_int_equal(h1_feed(h, "1;", 2, &used), H1_MORE);
    do {
        result = h1_feed(h, extension, sizeof extension, &used);
        fed += sizeof extension;
    } while (result == H1_MORE && fed < 100000);
    assert_int_equal(result, H1_REFUSED);
    assert_int_equal(h1_message(h)->status, 400);
    h1_destroy(h);
}

static void persistence_follows_version_and_connection_header(void **state)
{
    static const struct {
        const char *text;
        bool is_persistent;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: foo, Close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct h1 *h = h1_create(MAX_HEAD, MAX_BODY);
        size_t used;

        assert_int_equal(feed_all(h, slice_of(cases[i].text), 7, &used), H1_DONE);
        assert_int_equal(h1_message(h)->is_persistent, cases[i].is_persistent);
        h1_destroy(h);
    }
}

static void headers_are_found_whatever_the_pieces(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\n" HOST "Empty:\r\nX-Long:  a b \t\r\n"
                               "Last: z\r\n\r\n";

    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct h1 *h = h1_create(MAX_HEAD, MAX_BODY);
        struct h1_message *m = h1_message(h);
        size_t used;

        assert_int_equal(feed_all(h, slice_of(text), piece, &used), H1_DONE);
        assert_int_equal(m->field_count, 4);
        assert_true(slice_is(h1_slice(m, m->fields[1].name), "Empty"));
        assert_int_equal(m->fields[1].value.n, 0);
        assert_true(slice_is(h1_slice(m, m->fields[2].name), "X-Long"));
        assert_true(slice_is(slice_trim(h1_slice(m, m->fields[2].value)), "a b"));
        assert_true(slice_is(h1_slice(m, m->fields[3].value), "z"));
        h1_destroy(h);
    }
}

static void expectations_are_told(void **state)
{
    struct h1 *h = h1_create(MAX_HEAD, MAX_BODY);
    static const char head[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: ";
    char text[200];
    size_t used;

    (void)state;
    snprintf(text, sizeof text, "%s100-Continue\r\n\r\n", head);
    assert_int_equal(h1_feed(h, text, strlen(text), &used), H1_HEAD);
    assert_int_equal(h1_message(h)->expect, H1_EXPECT_CONTINUE);
    h1_reset(h, 0);
    snprintf(text, sizeof text, "%sbananas\r\n\r\n", head);
    assert_int_equal(h1_feed(h, text, strlen(text), &used), H1_HEAD);
    assert_int_equal(h1_message(h)->expect, H1_EXPECT_UNKNOWN);
    h1_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_body),
        cmocka_unit_test(what_comes_behind_a_request_is_left),
        cmocka_unit_test(a_body_by_length_and_in_chunks),
        cmocka_unit_test(upgrades_are_ignored),
        cmocka_unit_test(the_request_line_is_strict),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(an_odd_byte_is_found_wherever_it_stands),
        cmocka_unit_test(the_host_must_be_there_once),
        cmocka_unit_test(doubtful_framing_is_refused),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(limits_are_told_apart),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(long_trailers_are_refused_whatever_the_pieces),
        cmocka_unit_test(wasteful_chunk_framing_is_bounded),
        cmocka_unit_test(persistence_follows_version_and_connection_header),
        cmocka_unit_test(headers_are_found_whatever_the_pieces),
        cmocka_unit_test(expectations_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
