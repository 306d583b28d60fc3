/* test_nearest.c - which slips of the finger are understood. */
#include "config/nearest_priv.h"

#include "support/cm.h"

/* How far `typed` is from `known`, or -1 when it is too far to be meant. */
static int far(const char *typed, const char *known)
{
    struct nearest nearest = {0};

    nearest_offer(&nearest, slice_of(typed), known);
    if (nearest.text == NULL)
        return -1;
    assert_ptr_equal(nearest.text, known);
    return (int)nearest.distance;
}

static void a_letter_added_left_out_changed_or_swapped_is_one_slip(void **state)
{
    (void)state;
    assert_int_equal(far("heartbeat", "heartbeat"), 0);
    assert_int_equal(far("heartbeatt", "heartbeat"), 1);
    assert_int_equal(far("hartbeat", "heartbeat"), 1);
    assert_int_equal(far("heertbeat", "heartbeat"), 1);
    assert_int_equal(far("haertbeat", "heartbeat"), 1);
    assert_int_equal(far("eheartbeat", "heartbeat"), 1);
    assert_int_equal(far("heartbea", "heartbeat"), 1);
    assert_int_equal(far("ehartbaet", "heartbeat"), 2);
    assert_int_equal(far("ertbeat", "heartbeat"), 2);
}

static void distance_is_the_same_both_ways(void **state)
{
    static const char *const names[] = {"retry", "rerty", "rety", "retries", "trey", "entry"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            assert_int_equal(far(names[i], names[j]), far(names[j], names[i]));
}

static void case_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(far("HeartBeat", "heartbeat"), 0);
    assert_int_equal(far("STREAMS_HARTBEAT", "streams_heartbeat"), 1);
}

static void a_third_of_the_letters_wrong_is_another_word(void **state)
{
    (void)state;
    assert_int_equal(far("mod", "mode"), 1);
    assert_int_equal(far("made", "mode"), 1);
    assert_int_equal(far("mo", "mode"), -1);
    assert_int_equal(far("x", "y"), -1);
    assert_int_equal(far("ab", "cd"), -1);
    assert_int_equal(far("retry", "queue"), -1);
    assert_int_equal(far("allow", "allow_anonymous"), -1);
}

static void more_than_three_slips_are_never_near(void **state)
{
    (void)state;
    assert_int_equal(far("max_streams_per_xxxr", "max_streams_per_user"), 3);
    assert_int_equal(far("max_streams_per_xxxx", "max_streams_per_user"), -1);
}

static void nearest_of_several_is_kept_and_the_first_of_equals(void **state)
{
    struct nearest nearest = {0};

    (void)state;
    nearest_offer(&nearest, slice_of("max_bodi"), "max_payload");
    assert_null(nearest.text);
    nearest_offer(&nearest, slice_of("max_bodi"), "max_bode");
    nearest_offer(&nearest, slice_of("max_bodi"), "max_body");
    assert_string_equal(nearest.text, "max_bode");
    nearest_offer(&nearest, slice_of("max_bodi"), "max_bodi");
    assert_string_equal(nearest.text, "max_bodi");
    nearest_offer(&nearest, slice_of("max_bodi"), "max_body");
    assert_string_equal(nearest.text, "max_bodi");
    assert_int_equal(nearest.distance, 0);
}

static void empty_and_endless_names_are_near_to_none(void **state)
{
    char name[82];

    (void)state;
    assert_int_equal(far("", "a"), -1);
    memset(name, 'a', sizeof name - 1);
    name[81] = '\0';
    assert_int_equal(far(name, name), -1);
    assert_int_equal(far(name, "heartbeat"), -1);
    name[80] = '\0';
    assert_int_equal(far(name, name), 0);
    assert_int_equal(far(name, name + 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_added_left_out_changed_or_swapped_is_one_slip),
        cmocka_unit_test(distance_is_the_same_both_ways),
        cmocka_unit_test(case_does_not_count),
        cmocka_unit_test(a_third_of_the_letters_wrong_is_another_word),
        cmocka_unit_test(more_than_three_slips_are_never_near),
        cmocka_unit_test(nearest_of_several_is_kept_and_the_first_of_equals),
        cmocka_unit_test(empty_and_endless_names_are_near_to_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
