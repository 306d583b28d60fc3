/* test_clock.c - times as text; error sentences; the table of counters. */
#include "base/clock.h"

#include <string.h>
#include "base/error.h"
#include "base/stats.h"
#include "support/cm.h"

static void assert_time(uint64_t ms, const char *expected)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(ms, text);
    assert_string_equal(text, expected);
}

static void times_are_rfc_3339_in_utc_with_milliseconds(void **state)
{
    (void)state;
    assert_time(0, "1970-01-01T00:00:00.000Z");
    assert_time(1, "1970-01-01T00:00:00.001Z");
    assert_time(951782400999u, "2000-02-29T00:00:00.999Z");
    assert_time(1795493106789u, "2026-11-24T04:05:06.789Z");
    assert_time(4102444799999u, "2099-12-31T23:59:59.999Z");
    assert_time(253402300799999u, "9999-12-31T23:59:59.999Z");
}

static void any_number_is_written_within_its_bounds(void **state)
{
    static const uint64_t rows[] = {253402300800000u, UINT64_MAX / 1000, UINT64_MAX};
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(text, 'x', sizeof text);
        clock_format(rows[i], text);
        assert_true(memchr(text, '\0', sizeof text) != NULL);
        assert_int_equal(text[strlen(text) - 1], 'Z');
    }
}

static void the_clocks_run(void **state)
{
    uint64_t ns = clock_mono_ns();
    uint64_t ms = clock_mono_ms();

    (void)state;
    assert_true(ms >= ns / 1000000);
    assert_true(clock_mono_ns() >= ns);
    assert_true(clock_wall_ms() > 1577836800000u); /* 2020: later than this was written, surely */
}

static void an_error_is_cut_where_it_is_too_long(void **state)
{
    struct error why = {{0}};

    (void)state;
    assert_int_equal(error_set(&why, "%s:%d: no", "a.conf", 3), -1);
    assert_string_equal(why.text, "a.conf:3: no");
    assert_int_equal(error_set(&why, "%2000d", 1), -1);
    assert_int_equal(strlen(why.text), sizeof why.text - 1);
    assert_int_equal(error_set(NULL, "nobody listens"), -1);
}

static void every_counter_has_its_own_place_and_name(void **state)
{
    struct stats stats;
    uint64_t *fields = (uint64_t *)(void *)&stats;

    (void)state;
    assert_int_equal(stat_count, sizeof stats / sizeof *fields);
    for (size_t i = 0; i < stat_count; i++)
        fields[i] = i + 1;
    for (size_t i = 0; i < stat_count; i++) {
        assert_int_equal(stat_value(&stats, &stat_infos[i]), i + 1);
        assert_true(strlen(stat_infos[i].help) > 5);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(stat_infos[i].name, stat_infos[j].name);
    }
    stats.deliveries = 4711;
    for (size_t i = 0; i < stat_count; i++)
        if (strcmp(stat_infos[i].name, "deliveries") == 0)
            assert_int_equal(stat_value(&stats, &stat_infos[i]), 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_rfc_3339_in_utc_with_milliseconds),
        cmocka_unit_test(any_number_is_written_within_its_bounds),
        cmocka_unit_test(the_clocks_run),
        cmocka_unit_test(an_error_is_cut_where_it_is_too_long),
        cmocka_unit_test(every_counter_has_its_own_place_and_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
