/* test_members.c - objects from outside: names that are there once, strings without escapes. */
#include "auth/members_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "support/cm.h"

static void assert_refused(const char *text)
{
    struct members m = {.count = 0};

    if (members_read(&m, slice_of(text)) != -EINVAL)
        fail_msg("%s is taken", text);
    members_fini(&m);
}

static void assert_text(const struct members *m, const char *name, const char *expected)
{
    struct slice text;

    assert_int_equal(members_find_text(m, name, &text), 0);
    assert_slice(text, expected);
}

static void members_are_found_by_name(void **state)
{
    struct members m = {.count = 0};
    struct slice text;

    (void)state;
    assert_int_equal(members_read(&m, slice_of(" {\"a\":\"x\", \"b\" : [1, 2],\"\":true} ")), 0);
    assert_int_equal(m.count, 3);
    assert_text(&m, "a", "x");
    assert_slice(members_find(&m, "a"), "\"x\"");
    assert_slice(members_find(&m, "b"), "[1, 2]");
    assert_slice(members_find(&m, ""), "true");
    assert_null(members_find(&m, "c").p);
    assert_int_equal(members_find_text(&m, "c", &text), 0);
    assert_null(text.p);
    assert_int_equal(members_find_text(&m, "b", &text), -EINVAL);
    members_fini(&m);
}

static void escapes_are_undone_in_names_and_strings(void **state)
{
    struct members m = {.count = 0};
    struct slice element;
    struct slice text;
    size_t cursor = 0;

    (void)state;
    assert_int_equal(members_read(&m, slice_of("{\"\\u0061\":\"\\u00e9\\/\",\"https:\\/\\/x\":\"\","
                                               "\"l\":[\"p\",\"\\u0071\",1]}")),
                     0);
    assert_text(&m, "a", "\xc3\xa9/");
    assert_text(&m, "https://x", "");
    assert_true(json_array_next(members_find(&m, "l"), &cursor, &element));
    assert_int_equal(members_element_text(&m, element, &text), 0);
    assert_slice(text, "p");
    assert_true(json_array_next(members_find(&m, "l"), &cursor, &element));
    assert_int_equal(members_element_text(&m, element, &text), 0);
    assert_slice(text, "q");
    assert_true(json_array_next(members_find(&m, "l"), &cursor, &element));
    assert_int_equal(members_element_text(&m, element, &text), -EINVAL);
    assert_text(&m, "a", "\xc3\xa9/"); /* it has not moved */
    members_fini(&m);
}

static void a_text_of_nothing_but_escapes_has_room(void **state)
{
    struct buf text = {0};
    struct members m = {.count = 0};

    (void)state;
    buf_add_text(&text, "{");
    for (int i = 0; i < MEMBERS_MAX; i++)
        buf_printf(&text, "%s\"\\n%d\":\"\\\\\\\"\"", i == 0 ? "" : ",", i);
    buf_add_text(&text, "}");
    assert_int_equal(members_read(&m, buf_slice(&text)), 0);
    assert_text(&m, "\n0", "\\\"");
    assert_text(&m, "\n127", "\\\"");
    members_fini(&m);
    buf_fini(&text);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    assert_refused("");
    assert_refused("[]");
    assert_refused("\"a\"");
    assert_refused("null");
    assert_refused("{");
    assert_refused("{}{}");
    assert_refused("{\"a\":01}");
    assert_refused("{\"a\":\"\xff\"}");
}

static void a_name_that_is_there_twice_is_refused_in_any_spelling(void **state)
{
    (void)state;
    assert_refused("{\"a\":1,\"a\":1}");
    assert_refused("{\"alg\":\"none\",\"al\\u0067\":\"HS256\"}");
    assert_refused("{\"\":1,\"x\":2,\"\":3}");
}

static void half_a_surrogate_pair_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"a\":\"\\ud800\"}");
    assert_refused("{\"\\udc00\":1}");
}

static void there_is_a_bound_on_their_number(void **state)
{
    struct buf text = {0};
    struct members m = {.count = 0};

    (void)state;
    buf_add_text(&text, "{\"x\":0");
    for (int i = 1; i <= MEMBERS_MAX; i++)
        buf_printf(&text, ",\"%d\":0", i);
    buf_add_text(&text, "}");
    assert_int_equal(members_read(&m, buf_slice(&text)), -EINVAL);
    members_fini(&m);
    buf_fini(&text);
}

static void one_may_be_read_after_the_other(void **state)
{
    struct members m = {.count = 0};

    (void)state;
    assert_int_equal(members_read(&m, slice_of("{\"a\":\"\\n\"}")), 0);
    assert_int_equal(members_read(&m, slice_of("[]")), -EINVAL);
    assert_null(members_find(&m, "a").p);
    assert_int_equal(members_read(&m, slice_of("{\"b\":\"\\t\\t\\t\"}")), 0);
    assert_int_equal(m.count, 1);
    assert_text(&m, "b", "\t\t\t");
    members_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(escapes_are_undone_in_names_and_strings),
        cmocka_unit_test(a_text_of_nothing_but_escapes_has_room),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(a_name_that_is_there_twice_is_refused_in_any_spelling),
        cmocka_unit_test(half_a_surrogate_pair_is_refused),
        cmocka_unit_test(there_is_a_bound_on_their_number),
        cmocka_unit_test(one_may_be_read_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
