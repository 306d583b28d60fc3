#include "cli/backoff_priv.h"

#include <stdlib.h>
#include "support/cm.h"

static void wait_doubles_with_each_failure_up_to_30_s(void **state)
{
    static const uint64_t expected[] = {2000, 2000, 4000, 8000, 16000, 30000, 30000};

    (void)state;
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(backoff_ms(2000, i, 0, 0), expected[i]);
    assert_int_equal(backoff_ms(2000, UINT32_MAX, 0, 0), 30000);
}

static void chance_adds_up_to_a_quarter(void **state)
{
    (void)state;
    for (uint32_t random = 0; random < 5000; random += 7) {
        uint64_t wait = backoff_ms(2000, 1, 0, random);

        assert_in_range(wait, 2000, 2500);
    }
    assert_in_range(backoff_ms(2000, 1, 0, 1023), 2450, 2500);
    assert_int_equal(backoff_ms(2000, 1, 0, UINT32_MAX), backoff_ms(2000, 1, 0, 1023));
}

static void server_can_ask_for_a_longer_wait(void **state)
{
    (void)state;
    assert_int_equal(backoff_ms(2000, 1, 7000, 0), 7000);
    assert_int_equal(backoff_ms(2000, 1, 1000, 0), 2000);
    assert_int_equal(backoff_ms(45000, 0, 0, 0), 45000);
    assert_int_equal(backoff_ms(45000, 5, 0, 0), 45000);
}

static void server_cannot_make_us_spin_or_sleep_for_ever(void **state)
{
    (void)state;
    assert_int_equal(backoff_ms(0, 0, 0, 0), 100);
    assert_int_equal(backoff_ms(UINT64_MAX, 3, 0, 0), 600000);
    assert_int_equal(backoff_ms(2000, 1, UINT64_MAX, 0), 600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_doubles_with_each_failure_up_to_30_s),
        cmocka_unit_test(chance_adds_up_to_a_quarter),
        cmocka_unit_test(server_can_ask_for_a_longer_wait),
        cmocka_unit_test(server_cannot_make_us_spin_or_sleep_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
