#include "loadgen/template_priv.h"

#include <stdlib.h>
#include "support/cm.h"

static void assert_filled(const char *text, const char *expected)
{
    struct template t;
    struct template_values values = {7, 12, SLICE_LITERAL("abc")};
    struct buf out = {0};

    assert_int_equal(template_parse(&t, text, NULL), 0);
    template_add(&out, &t, &values);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.p, expected, out.len);
    buf_fini(&out);
}

static void places_are_filled(void **state)
{
    (void)state;
    assert_filled("/sub?id=u{user}", "/sub?id=u7");
    assert_filled("{user}{stream}{payload}", "712abc");
    assert_filled("{user} and {user}", "7 and 7");
    assert_filled("/a%20b", "/a%20b");
}

static void braces_of_json_stay(void **state)
{
    (void)state;
    assert_filled("{\"user\":\"u{user}\",\"data\":\"{payload}\"}",
                  "{\"user\":\"u7\",\"data\":\"abc\"}");
    assert_filled("{}{users}{user", "{}{users}{user");
}

static void too_many_places_are_refused(void **state)
{
    struct template t;
    struct error why = {0};
    char text[TEMPLATE_MAX_PARTS * 6 + 1] = "";

    (void)state;
    for (int i = 0; i < TEMPLATE_MAX_PARTS; i++)
        strcat(text, "{user}");
    assert_int_equal(template_parse(&t, text, &why), -1);
    assert_string_not_equal(why.text, "");
    assert_int_equal(template_parse(&t, text + 6, &why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_filled),
        cmocka_unit_test(braces_of_json_stay),
        cmocka_unit_test(too_many_places_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
