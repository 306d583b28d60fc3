/* test_forwarded.c - the header Forwarded, as RFC 7239 writes it and as it must not be. */
#include "net/forwarded.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "support/cm.h"

/* The nodes with a bar between; "-" is one without. */
static const char *nodes_of(const char *value)
{
    static char text[512];
    struct slice nodes[FORWARDED_MAX];
    ssize_t count = forwarded_read(slice_of(value), nodes);
    size_t n = 0;

    if (count < 0)
        return "refused";
    text[0] = '\0';
    for (ssize_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i > 0 ? "|" : "",
                              nodes[i].p == NULL ? 1 : (int)nodes[i].n,
                              nodes[i].p == NULL ? "-" : nodes[i].p);
    return text;
}

static void elements_are_read_in_order(void **state)
{
    (void)state;
    assert_string_equal(nodes_of("for=192.0.2.43"), "192.0.2.43");
    assert_string_equal(nodes_of("For=\"[2001:db8:cafe::17]:4711\""), "[2001:db8:cafe::17]:4711");
    assert_string_equal(nodes_of("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
    assert_string_equal(nodes_of("for=192.0.2.43, for=198.51.100.17"),
                        "192.0.2.43|198.51.100.17");
    assert_string_equal(nodes_of("proto=https , \tby=_x; for=unknown,for=_gazonk"),
                        "-|unknown|_gazonk");
    assert_string_equal(nodes_of("host=\"a, for=1.2.3.4\";for=5.6.7.8"), "5.6.7.8");
    assert_string_equal(nodes_of("host=\"a\\\", for=1.2.3.4\";for=5.6.7.8"), "5.6.7.8");
}

static void what_is_malformed_is_refused(void **state)
{
    static const char *const wrong[] = {
        "", " ", ",", "for", "for=", "for=;", "=x", "for=\"1.2.3.4", "for=\"1.2.3.4\\",
        "for =1.2.3.4", "for=1.2.3.4,", "for=1.2.3.4;", "for=1.2.3.4;for=5.6.7.8",
        "for=[::1]", "for=1.2.3.4 x", "for=\"1.2.3.4\"x",
    };
    char many[1024] = "";

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (strcmp(nodes_of(wrong[i]), "refused") != 0)
            fail_msg("%s: was read as %s", wrong[i], nodes_of(wrong[i]));
    for (int i = 0; i < FORWARDED_MAX; i++)
        strcat(many, i == 0 ? "for=a" : ",for=a");
    assert_string_not_equal(nodes_of(many), "refused");
    strcat(many, ",for=a");
    assert_string_equal(nodes_of(many), "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_read_in_order),
        cmocka_unit_test(what_is_malformed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
