/* Addresses as people write them, and peers as the log shows them. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include "net/address.h"

/* Parses what must be right and gives it back as text. */
static const char *normal(const char *text)
{
    static char out[PEER_TEXT_SIZE];
    struct sockaddr_storage address;
    socklen_t length;
    struct error why = {""};
    struct peer peer;
    size_t n;

    if (address_parse(slice_of(text), &address, &length, &why) != 0)
        fail_msg("%s: %s", text, why.text);
    peer = peer_of((const struct sockaddr *)&address);
    n = peer_format(&peer, true, out);
    assert_int_equal(n, strlen(out));
    return out;
}

static bool is_local(const char *text)
{
    struct sockaddr_storage address;
    socklen_t length;

    assert_int_equal(address_parse(slice_of(text), &address, &length, NULL), 0);
    return address_is_local((const struct sockaddr *)&address);
}

static void the_usual_forms_are_read(void **state)
{
    (void)state;
    assert_string_equal(normal("192.0.2.1:4711"), "192.0.2.1:4711");
    assert_string_equal(normal("[2001:db8::1]:80"), "[2001:db8::1]:80");
    assert_string_equal(normal("localhost:8080"), "127.0.0.1:8080");
    assert_string_equal(normal("127.0.0.1:0"), "127.0.0.1:0");
    assert_string_equal(normal("*:8080"), "[::]:8080");
    assert_string_equal(normal(":8080"), "[::]:8080");
    assert_string_equal(normal("[::ffff:192.0.2.1]:1"), "192.0.2.1:1");
}

static void a_unix_path_is_read(void **state)
{
    struct sockaddr_storage address;
    struct sockaddr_un un;
    socklen_t length;

    (void)state;
    assert_int_equal(address_parse(slice_of("unix:/run/x.sock"), &address, &length, NULL), 0);
    memcpy(&un, &address, sizeof un);
    assert_int_equal(un.sun_family, AF_UNIX);
    assert_string_equal(un.sun_path, "/run/x.sock");
    assert_string_equal(normal("unix:/run/x.sock"), "unix");
}

static void what_is_wrong_is_named_with_a_right_one(void **state)
{
    static const char *const wrong[] = {
        "", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:http",
        "127.0.0.1:-1", "[::1]", "[::1:80", "::1:80", "example.org:80", "256.0.0.1:80",
        "[]:80", "[127.0.0.1]:80", "unix:", "1.2.3.4.5.6.7.8.9.10.11.12:80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sockaddr_storage address;
        socklen_t length;
        struct error why = {""};

        if (address_parse(slice_of(wrong[i]), &address, &length, &why) != -1)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_non_null(strstr(why.text, wrong[i]));
        assert_true(strstr(why.text, "127.0.0.1:8080") != NULL ||
                    strstr(why.text, "unix:/run/x.sock") != NULL);
    }
}

static void a_unix_path_that_is_too_long_is_refused(void **state)
{
    char text[200] = "unix:/";
    struct sockaddr_storage address;
    socklen_t length;
    struct error why = {""};

    (void)state;
    memset(text + 6, 'x', 120);
    assert_int_equal(address_parse(slice_of(text), &address, &length, &why), -1);
    assert_non_null(strstr(why.text, "107"));
}

static void only_loopback_and_unix_are_local(void **state)
{
    (void)state;
    assert_true(is_local("127.0.0.1:80"));
    assert_true(is_local("127.9.9.9:80"));
    assert_true(is_local("[::1]:80"));
    assert_true(is_local("[::ffff:127.0.0.1]:80"));
    assert_true(is_local("localhost:80"));
    assert_true(is_local("unix:/run/x.sock"));
    assert_false(is_local("*:80"));
    assert_false(is_local("0.0.0.0:80"));
    assert_false(is_local("[::]:80"));
    assert_false(is_local("192.0.2.1:80"));
    assert_false(is_local("[::2]:80"));
}

static void a_peer_is_shown_with_and_without_its_port(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
    struct peer peer;
    char out[PEER_TEXT_SIZE];

    (void)state;
    in.sin_addr.s_addr = htonl(0xc0000201);
    peer = peer_of((const struct sockaddr *)&in);
    peer_format(&peer, true, out);
    assert_string_equal(out, "192.0.2.1:4711");
    peer_format(&peer, false, out);
    assert_string_equal(out, "192.0.2.1");
}

static bool network_holds(const char *text, const char *address)
{
    struct network network;
    struct peer peer;

    assert_int_equal(network_parse(slice_of(text), &network), 0);
    assert_int_equal(peer_parse(slice_of(address), &peer), 0);
    return network_has(&network, &peer);
}

static void a_network_holds_the_addresses_of_its_prefix(void **state)
{
    (void)state;
    assert_true(network_holds("10.0.0.0/8", "10.255.1.2"));
    assert_false(network_holds("10.0.0.0/8", "11.0.0.1"));
    assert_true(network_holds("10.1.2.0/23", "10.1.3.255:80"));
    assert_false(network_holds("10.1.2.0/23", "10.1.4.0"));
    assert_true(network_holds("192.0.2.1", "192.0.2.1"));
    assert_false(network_holds("192.0.2.1", "192.0.2.2"));
    assert_true(network_holds("0.0.0.0/0", "203.0.113.9"));
    assert_false(network_holds("0.0.0.0/0", "2001:db8::1"));
    assert_true(network_holds("fd00::/8", "[fdab::1]:4711"));
    assert_false(network_holds("fd00::/8", "fe80::1"));
}

static void what_is_no_network_or_peer_is_refused(void **state)
{
    static const char *const networks[] = {"",           "10.0.0.0/33", "10.0.0/8",
                                           "fd00::/129", "x/8",         "/8"};
    static const char *const peers[] = {"",      "unknown", "_hidden", "1.2.3.4:99999",
                                        "[::g]", "1.2.3"};
    struct network network;
    struct peer peer;

    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        assert_int_equal(network_parse(slice_of(networks[i]), &network), -EINVAL);
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        assert_int_equal(peer_parse(slice_of(peers[i]), &peer), -EINVAL);
}

static void a_peer_is_read_as_proxies_write_it(void **state)
{
    static const char *const same[] = {"192.0.2.1:4711", "[2001:db8::1]:4711", "192.0.2.1",
                                       "2001:db8::1"};
    char out[PEER_TEXT_SIZE];
    struct peer peer;

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(peer_parse(slice_of(same[i]), &peer), 0);
        peer_format(&peer, peer.port != 0, out);
        assert_string_equal(out, same[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_forms_are_read),
        cmocka_unit_test(a_unix_path_is_read),
        cmocka_unit_test(what_is_wrong_is_named_with_a_right_one),
        cmocka_unit_test(a_unix_path_that_is_too_long_is_refused),
        cmocka_unit_test(only_loopback_and_unix_are_local),
        cmocka_unit_test(a_peer_is_shown_with_and_without_its_port),
        cmocka_unit_test(a_network_holds_the_addresses_of_its_prefix),
        cmocka_unit_test(what_is_no_network_or_peer_is_refused),
        cmocka_unit_test(a_peer_is_read_as_proxies_write_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
