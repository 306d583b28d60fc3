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

static void what_is_written_is_read_back(void **state)
{
    static const uint64_t rows[] = {0, 1, 951782400999u, 1795493106789u, 253402300799999u};
    char text[CLOCK_TEXT_SIZE];
    uint64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clock_format(rows[i], text);
        assert_int_equal(clock_parse(slice_of(text), &ms), 0);
        assert_true(ms == rows[i]);
    }
}

static void times_of_others_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"2026-11-24T04:05:06Z", 1795493106000u},
        {"2026-11-24t04:05:06.7z", 1795493106700u},
        {"2026-11-24 04:05:06.789123456Z", 1795493106789u},
        {"2026-11-24T05:05:06+01:00", 1795493106000u},
        {"2026-11-23T22:35:06-05:30", 1795493106000u},
        {"1970-01-01T01:00:00+01:00", 0},
        {"2024-02-29T00:00:00Z", 1709164800000u},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ms = 1;

        assert_int_equal(clock_parse(slice_of(rows[i].text), &ms), 0);
        assert_true(ms == rows[i].ms);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "now",
        "2026-11-24",
        "2026-11-24T04:05:06",       /* where? */
        "2026-11-24T04:05Z",
        "2026-11-24T04:05:06.Z",
        "2026-11-24T04:05:06Z ",
        " 2026-11-24T04:05:06Z",
        "2026-11-24X04:05:06Z",
        "2026-13-24T04:05:06Z",
        "2026-00-24T04:05:06Z",
        "2026-02-29T04:05:06Z",
        "2100-02-29T04:05:06Z",
        "2026-11-31T04:05:06Z",
        "2026-11-24T24:05:06Z",
        "2026-11-24T04:60:06Z",
        "2026-11-24T04:05:60Z",
        "2026-11-24T04:05:06+1:00",
        "2026-11-24T04:05:06+24:00",
        "2026-11-24T04:05:06+0100",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00", /* before 1970 */
        "-026-11-24T04:05:06Z",
        "20261124T040506Z",
    };
    uint64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (clock_parse(slice_of(rows[i]), &ms) == 0)
            fail_msg("%s is read as a time", rows[i]);
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

    (void)state;
    for (size_t i = 0; i < stat_count; i++)
        *(uint64_t *)(void *)((char *)&stats + stat_infos[i].offset) = i + 1;
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
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(times_of_others_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(the_clocks_run),
        cmocka_unit_test(an_error_is_cut_where_it_is_too_long),
        cmocka_unit_test(every_counter_has_its_own_place_and_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
