/* test_proxy_protocol.c - headers of both versions, whole, in pieces and malformed. */
#include "net/proxy_protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "support/cm.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static const char *client_of(struct slice bytes, ssize_t length)
{
    static char text[PEER_TEXT_SIZE];
    struct peer peer = {.port = 1};

    for (size_t n = 0; n < (size_t)length; n++) { /* any beginning asks for more */
        struct peer other = {.port = 1};

        assert_int_equal(proxy_header_read(slice_make(bytes.p, n), &other), 0);
    }
    assert_int_equal(proxy_header_read(bytes, &peer), length);
    peer_format(&peer, true, text);
    return text;
}

static const char *client_of_line(const char *line)
{
    static char bytes[512];

    snprintf(bytes, sizeof bytes, "%s\r\nGET / HTTP/1.1\r\n", line);
    return client_of(slice_of(bytes), (ssize_t)strlen(line) + 2);
}

static void a_line_names_the_client(void **state)
{
    (void)state;
    assert_string_equal(client_of_line("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443"),
                        "192.0.2.1:56324");
    assert_string_equal(client_of_line("PROXY TCP6 2001:db8::1 ::1 65535 0"),
                        "[2001:db8::1]:65535");
    assert_string_equal(client_of_line("PROXY UNKNOWN"), "[::]:1");
    assert_string_equal(client_of_line("PROXY UNKNOWN ffff::1 ffff::2 1 2"), "[::]:1");
}

static ssize_t read_text(const char *text)
{
    struct peer peer;

    return proxy_header_read(slice_of(text), &peer);
}

static void a_line_that_is_none_is_refused(void **state)
{
    char long_line[200];

    (void)state;
    assert_int_equal(read_text("GET / HTTP/1.1\r\n"), -EINVAL);
    assert_int_equal(read_text("G"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP4 ::1 ::1 1 2\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n"), -EINVAL);
    assert_int_equal(read_text("PROXY \r\n"), -EINVAL);
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, "PROXY ", 6);
    long_line[107] = '\0';
    assert_int_equal(read_text(long_line), -EINVAL);
    long_line[106] = '\0';
    assert_int_equal(read_text(long_line), 0);
}

static void a_block_names_the_client(void **state)
{
    static const char v4[] = SIGNATURE "\x21\x11\x00\x0f" "\xc0\x00\x02\x01" "\x0a\x00\x00\x01"
                             "\xdc\x04" "\x01\xbb" "TLV" "GET /";
    static const char v6[] = SIGNATURE "\x21\x21\x00\x24"
                             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02" "\x00\x50" "\x01\xbb";
    static const char local[] = SIGNATURE "\x20\x00\x00\x00" "GET /";
    static const char unix_socket[] = SIGNATURE "\x21\x31\x00\x02" "ab";

    (void)state;
    assert_string_equal(client_of(slice_make(v4, sizeof v4 - 1), 31), "192.0.2.1:56324");
    assert_string_equal(client_of(slice_make(v6, sizeof v6 - 1), 52), "[2001:db8::1]:80");
    assert_string_equal(client_of(slice_make(local, sizeof local - 1), 16), "[::]:1");
    assert_string_equal(client_of(slice_make(unix_socket, sizeof unix_socket - 1), 18), "[::]:1");
}

static void a_block_that_is_none_is_refused(void **state)
{
    static const char version[] = SIGNATURE "\x11\x11\x00\x0c" "0123456789ab";
    static const char command[] = SIGNATURE "\x22\x11\x00\x0c" "0123456789ab";
    static const char shortened[] = SIGNATURE "\x21\x11\x00\x0b" "0123456789ab";
    static const char shortened6[] = SIGNATURE "\x21\x21\x00\x0c" "0123456789ab";
    static const char huge[] = SIGNATURE "\x21\x11\x10\x01";
    struct peer peer;

    (void)state;
    assert_int_equal(proxy_header_read(slice_make(version, 28), &peer), -EINVAL);
    assert_int_equal(proxy_header_read(slice_make(command, 28), &peer), -EINVAL);
    assert_int_equal(proxy_header_read(slice_make(shortened, 28), &peer), -EINVAL);
    assert_int_equal(proxy_header_read(slice_make(shortened6, 28), &peer), -EINVAL);
    assert_int_equal(proxy_header_read(slice_make(huge, 16), &peer), -EINVAL);
    assert_int_equal(read_text("\r\n\r\nX"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_the_client),
        cmocka_unit_test(a_line_that_is_none_is_refused),
        cmocka_unit_test(a_block_names_the_client),
        cmocka_unit_test(a_block_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
