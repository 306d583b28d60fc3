#include "loadgen/histogram.h"

#include "support/cm.h"

static void quantiles_are_right_to_three_percent(void **state)
{
    static struct histogram h;
    const double qs[] = {0.01, 0.5, 0.9, 0.99, 0.999};

    (void)state;
    for (uint64_t v = 1; v <= 1000000; v++)
        histogram_add(&h, v * 1000);
    for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
        double exact = qs[i] * 1e9;
        double got = (double)histogram_quantile(&h, qs[i]);

        assert_true(got > exact * 0.97 && got < exact * 1.03);
    }
    assert_int_equal(h.count, 1000000);
}

static void largest_value_is_exact(void **state)
{
    static struct histogram h;

    (void)state;
    histogram_add(&h, 5);
    histogram_add(&h, 123456789);
    assert_int_equal(histogram_quantile(&h, 1), 123456789);
    assert_int_equal(histogram_quantile(&h, 0), 5);
    assert_int_equal(h.max, 123456789);
}

static void nothing_has_no_quantile(void **state)
{
    static struct histogram h;

    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
}

static void any_value_finds_a_place(void **state)
{
    static struct histogram h;

    (void)state;
    histogram_add(&h, 0);
    histogram_add(&h, UINT64_MAX);
    assert_int_equal(histogram_quantile(&h, 0.1), 0);
    assert_int_equal(histogram_quantile(&h, 0.9), UINT64_MAX);
    assert_int_equal(h.max, UINT64_MAX);
}

static void merged_ones_are_as_if_one_had_seen_all(void **state)
{
    static struct histogram a, b, both;

    (void)state;
    for (uint64_t v = 0; v < 5000; v++) {
        histogram_add(v % 3 == 0 ? &a : &b, v * v);
        histogram_add(&both, v * v);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_right_to_three_percent),
        cmocka_unit_test(largest_value_is_exact),
        cmocka_unit_test(nothing_has_no_quantile),
        cmocka_unit_test(any_value_finds_a_place),
        cmocka_unit_test(merged_ones_are_as_if_one_had_seen_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
