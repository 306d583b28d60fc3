/* test_uri.c - percent-encoding, and the host and port of an authority. */
#include "base/uri.h"

#include "support/cm.h"

static void escapes_are_decoded_and_the_rest_kept(void **state)
{
    char out[32];

    (void)state;
    assert_int_equal(percent_decode(slice_of("a%2Fb%c3%A9+"), false, out), 6);
    assert_memory_equal(out, "a/b\xc3\xa9+", 6);
    assert_int_equal(percent_decode(slice_of("a+b%"), true, out), 4);
    assert_memory_equal(out, "a b%", 4);
    assert_int_equal(percent_decode(slice_of("%00%4"), true, out), 3);
    assert_memory_equal(out, "\0%4", 3);
    assert_true(percent_is_valid(slice_of("/%41")));
    assert_false(percent_is_valid(slice_of("/%4")));
    assert_false(percent_is_valid(slice_of("/%4g")));
    assert_false(percent_is_valid(slice_of("/%")));
}

static void assert_split(const char *authority, const char *host, const char *port)
{
    struct slice found_host;
    struct slice found_port;

    assert_int_equal(authority_split(slice_of(authority), &found_host, &found_port),
                     AUTHORITY_GOOD);
    assert_slice(found_host, host);
    assert_slice(found_port, port);
}

static void a_host_may_have_a_port_and_brackets(void **state)
{
    struct slice host;
    struct slice port;

    (void)state;
    assert_split("a.example", "a.example", "");
    assert_split("a.example:80", "a.example", "80");
    assert_split("a.example:", "a.example", "");
    assert_split("[::1]", "::1", "");
    assert_split("[::1]:8080", "::1", "8080");
    assert_split(":80", "", "80");
    assert_split("", "", "");
    assert_split("a:b:c", "a", "b:c");
    assert_int_equal(authority_split(slice_of("[::1"), &host, &port), AUTHORITY_UNCLOSED);
    assert_int_equal(authority_split(slice_of("[::1]80"), &host, &port),
                     AUTHORITY_BEHIND_BRACKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_and_the_rest_kept),
        cmocka_unit_test(a_host_may_have_a_port_and_brackets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
