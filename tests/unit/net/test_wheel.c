/* The wheel: what fires, when, and what may be done meanwhile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "net/wheel.h"

enum { MAX_FIRED = 8192 };

static struct wheel wheel;
static struct wheel_node *fired[MAX_FIRED];
static size_t fired_count;
static struct wheel_node *set_on_due; /* put in again from within on_due, */
static uint64_t set_to_ms;            /* for this time */
static struct wheel_node *clear_on_due;

/* A plain list of due times beside the nodes. */
static struct plain {
    struct wheel_node nodes[200];
    uint64_t due_ms[200];
} *plain;

static void on_due(struct wheel_node *node, uint64_t now_ms)
{
    assert_null(node->next);
    assert_true((uint64_t)node->due_tick * WHEEL_TICK_MS <= now_ms);
    if (plain != NULL)
        assert_true(plain->due_ms[node - plain->nodes] <= now_ms);
    assert_true(fired_count < MAX_FIRED);
    fired[fired_count++] = node;
    if (set_on_due == node)
        wheel_set(&wheel, node, set_to_ms);
    if (clear_on_due != NULL)
        wheel_clear(&wheel, clear_on_due);
}

static int set_up(void **state)
{
    (void)state;
    fired_count = 0;
    set_on_due = clear_on_due = NULL;
    plain = NULL;
    wheel_init(&wheel, 1000000, on_due);
    return 0;
}

static void a_node_fires_once_and_not_early(void **state)
{
    struct wheel_node node = {0};

    (void)state;
    wheel_set(&wheel, &node, 1000250);
    wheel_advance(&wheel, 1000249, 100);
    assert_int_equal(fired_count, 0);
    wheel_advance(&wheel, 1000250 + WHEEL_TICK_MS, 100);
    assert_int_equal(fired_count, 1);
    wheel_advance(&wheel, 1009999, 100);
    assert_int_equal(fired_count, 1);
    assert_int_equal(wheel.count, 0);
}

static void a_node_beyond_one_turn_waits_for_its_round(void **state)
{
    struct wheel_node node = {0};
    uint64_t due = 1000000 + 3ull * WHEEL_SLOTS * WHEEL_TICK_MS + 700;

    (void)state;
    wheel_set(&wheel, &node, due);
    for (uint64_t now = 1000000; now < due; now += WHEEL_TICK_MS)
        wheel_advance(&wheel, now, 100);
    assert_int_equal(fired_count, 0);
    wheel_advance(&wheel, due + WHEEL_TICK_MS, 100);
    assert_int_equal(fired_count, 1);
}

static void a_node_moved_later_fires_at_the_later_time(void **state)
{
    struct wheel_node node = {0};

    (void)state;
    wheel_set(&wheel, &node, 1000200);
    wheel_set(&wheel, &node, 1000900);
    assert_int_equal(wheel.count, 1);
    wheel_advance(&wheel, 1000899, 100);
    assert_int_equal(fired_count, 0);
    wheel_advance(&wheel, 1001000, 100);
    assert_int_equal(fired_count, 1);
}

static void a_node_moved_earlier_fires_at_the_earlier_time(void **state)
{
    struct wheel_node node = {0};

    (void)state;
    wheel_set(&wheel, &node, 1090000);
    wheel_set(&wheel, &node, 1000300);
    wheel_advance(&wheel, 1000400, 100);
    assert_int_equal(fired_count, 1);
}

static void a_cleared_node_does_not_fire(void **state)
{
    struct wheel_node node = {0};

    (void)state;
    wheel_clear(&wheel, &node);
    wheel_set(&wheel, &node, 1000200);
    wheel_clear(&wheel, &node);
    wheel_clear(&wheel, &node);
    wheel_advance(&wheel, 1010000, 100);
    assert_int_equal(fired_count, 0);
    assert_int_equal(wheel.count, 0);
}

static void a_time_in_the_past_fires_at_the_next_advance(void **state)
{
    struct wheel_node node = {0};

    (void)state;
    wheel_advance(&wheel, 1005000, 100);
    wheel_set(&wheel, &node, 17);
    wheel_advance(&wheel, 1005100, 100);
    assert_int_equal(fired_count, 1);
}

static void the_budget_puts_off_but_loses_nothing(void **state)
{
    static struct wheel_node nodes[1000];
    size_t calls = 1;

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        wheel_set(&wheel, &nodes[i], 1000500);
    while (wheel_advance(&wheel, 1000600, 64)) {
        assert_int_equal(fired_count, calls * 64);
        calls++;
    }
    assert_int_equal(fired_count, 1000);
    assert_int_equal(calls, 16);
}

static void what_the_budget_put_off_can_still_be_moved_and_cleared(void **state)
{
    struct wheel_node nodes[3] = {{0}};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        wheel_set(&wheel, &nodes[i], 1000500);
    assert_true(wheel_advance(&wheel, 1000600, 1));
    wheel_clear(&wheel, &nodes[1]);
    wheel_set(&wheel, &nodes[2], 1002000);
    assert_false(wheel_advance(&wheel, 1000700, 10));
    assert_int_equal(fired_count, 1);
    wheel_advance(&wheel, 1002100, 10);
    assert_int_equal(fired_count, 2);
    assert_ptr_equal(fired[1], &nodes[2]);
}

static void on_due_may_put_its_node_in_again(void **state)
{
    struct wheel_node node = {0};

    (void)state;
    set_on_due = &node;
    set_to_ms = 1001000;
    wheel_set(&wheel, &node, 1000500);
    wheel_advance(&wheel, 1000600, 10);
    assert_int_equal(fired_count, 1);
    set_on_due = NULL;
    wheel_advance(&wheel, 1001100, 10);
    assert_int_equal(fired_count, 2);
}

static void on_due_may_clear_one_that_is_due_with_it(void **state)
{
    struct wheel_node nodes[2] = {{0}};

    (void)state;
    wheel_set(&wheel, &nodes[0], 1000500);
    wheel_set(&wheel, &nodes[1], 1000500);
    clear_on_due = &nodes[1];
    wheel_advance(&wheel, 1000600, 10);
    assert_int_equal(fired_count, 1);
    assert_int_equal(wheel.count, 0);
}

static void a_long_sleep_fires_all_that_came_due(void **state)
{
    static struct wheel_node nodes[500];

    (void)state;
    for (size_t i = 0; i < 500; i++)
        wheel_set(&wheel, &nodes[i], 1000000 + i * 997);
    wheel_advance(&wheel, 1000000 + 86400000, 1000);
    assert_int_equal(fired_count, 500);
}

/* Against a plain list of due times: sets, moves and clears at random, time in random strides. */
static void it_agrees_with_a_plain_list(void **state)
{
    static struct plain list;
    uint64_t now = 1000000;

    (void)state;
    srand(1);
    plain = &list;
    for (int round = 0; round < 2000; round++) {
        int i = rand() % 200;

        list.due_ms[i] = now + (uint64_t)(rand() % 250000);
        if (rand() % 8 == 0)
            wheel_clear(&wheel, &list.nodes[i]);
        else
            wheel_set(&wheel, &list.nodes[i], list.due_ms[i]);
        if (rand() % 3 != 0)
            continue;
        now += (uint64_t)(rand() % 3000);
        fired_count = 0;
        while (wheel_advance(&wheel, now, 7)) { /* on_due asserts that none is early */
        }
        for (size_t k = 0; k < 200; k++)
            if (list.nodes[k].next != NULL)
                assert_true(list.due_ms[k] + WHEEL_TICK_MS > now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_node_fires_once_and_not_early, set_up),
        cmocka_unit_test_setup(a_node_beyond_one_turn_waits_for_its_round, set_up),
        cmocka_unit_test_setup(a_node_moved_later_fires_at_the_later_time, set_up),
        cmocka_unit_test_setup(a_node_moved_earlier_fires_at_the_earlier_time, set_up),
        cmocka_unit_test_setup(a_cleared_node_does_not_fire, set_up),
        cmocka_unit_test_setup(a_time_in_the_past_fires_at_the_next_advance, set_up),
        cmocka_unit_test_setup(the_budget_puts_off_but_loses_nothing, set_up),
        cmocka_unit_test_setup(what_the_budget_put_off_can_still_be_moved_and_cleared, set_up),
        cmocka_unit_test_setup(on_due_may_put_its_node_in_again, set_up),
        cmocka_unit_test_setup(on_due_may_clear_one_that_is_due_with_it, set_up),
        cmocka_unit_test_setup(a_long_sleep_fires_all_that_came_due, set_up),
        cmocka_unit_test_setup(it_agrees_with_a_plain_list, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
