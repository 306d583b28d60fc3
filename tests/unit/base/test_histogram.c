/* test_histogram.c - into which bucket a duration goes. */
#include "base/histogram.h"

#include "support/cm.h"

static void assert_bucket(uint64_t us, size_t expected)
{
    struct histogram h = {.sum_us = 0};

    histogram_add(&h, us);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        assert_int_equal(h.counts[i], i == expected);
    assert_true(h.sum_us == us);
}

static void a_bucket_has_what_is_below_its_bound_and_not_below_the_one_before(void **state)
{
    (void)state;
    assert_bucket(0, 0);
    assert_bucket(1, 1);
    assert_bucket(2, 2);
    assert_bucket(3, 2);
    assert_bucket(4, 3);
    assert_bucket(1023, 10);
    assert_bucket(1024, 11);
}

static void the_last_bucket_has_all_that_is_longer(void **state)
{
    (void)state;
    assert_bucket((UINT64_C(1) << 25) - 1, HISTOGRAM_BUCKETS - 2);
    assert_bucket(UINT64_C(1) << 25, HISTOGRAM_BUCKETS - 1);
    assert_bucket(UINT64_MAX, HISTOGRAM_BUCKETS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_has_what_is_below_its_bound_and_not_below_the_one_before),
        cmocka_unit_test(the_last_bucket_has_all_that_is_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
