#include "loadgen/target.h"

#include "net/address.h"
#include "support/cm.h"

static void assert_target(const char *url, const char *address, const char *host, const char *base)
{
    struct load_target target;
    struct error why = {0};
    char text[PEER_TEXT_SIZE];
    struct peer peer;
    bool is_unreachable;

    if (load_target_find(&target, url, &is_unreachable, &why) != 0)
        fail_msg("%s: %s", url, why.text);
    peer = peer_of((const struct sockaddr *)&target.address);
    peer_format(&peer, true, text);
    assert_string_equal(text, address);
    assert_string_equal(target.host, host);
    assert_string_equal(target.base, base);
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    assert_target("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", "");
    assert_target("127.0.0.1:8080/", "127.0.0.1:8080", "127.0.0.1:8080", "");
    assert_target("http://127.0.0.1", "127.0.0.1:80", "127.0.0.1", "");
    assert_target("http://[::1]:81/a/b//", "[::1]:81", "[::1]:81", "/a/b");
    assert_target("http://[::1]", "[::1]:80", "[::1]", "");
}

static void what_cannot_be_used_is_refused_with_a_reason(void **state)
{
    const char *urls[] = {"https://localhost", "http://", "http://:80", "http://[::1",
                          "http://[::1]x", "http://u:p@localhost", "http://localhost/?q",
                          "http://a b"};
    struct load_target target;
    bool is_unreachable = true;

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct error why = {0};

        assert_int_equal(load_target_find(&target, urls[i], &is_unreachable, &why), -1);
        assert_false(is_unreachable);
        assert_string_not_equal(why.text, "");
    }
}

static void name_without_an_address_is_unreachable(void **state)
{
    struct load_target target;
    struct error why = {0};
    bool is_unreachable = false;

    (void)state;
    assert_int_equal(load_target_find(&target, "no-such-name.invalid", &is_unreachable, &why), -1);
    assert_true(is_unreachable);
    assert_non_null(strstr(why.text, "no-such-name.invalid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(what_cannot_be_used_is_refused_with_a_reason),
        cmocka_unit_test(name_without_an_address_is_unreachable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
