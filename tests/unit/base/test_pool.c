/* test_pool.c - objects of one size: each its own, walked while they come and go, given back. */
#include "base/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

enum { SIZE = 144, MANY = 2000 };

struct object {
    uint64_t number;
    char rest[SIZE - sizeof(uint64_t)];
};

static struct pool pool;
static struct object *objects[MANY];

static int set_up(void **state)
{
    (void)state;
    pool_init(&pool, sizeof(struct object));
    memset(objects, 0, sizeof objects);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pool_fini(&pool);
    return 0;
}

static void take(size_t i)
{
    struct object *o = pool_take(&pool);

    assert_non_null(o);
    assert_int_equal(o->number, 0);
    assert_int_equal(o->rest[sizeof o->rest - 1], 0);
    memset(o, 0xff, sizeof *o);
    o->number = i;
    objects[i] = o;
}

static void give(size_t i)
{
    assert_int_equal(objects[i]->number, i); /* nobody else has written to it */
    pool_give(&pool, objects[i]);
    objects[i] = NULL;
}

static size_t chunks(void)
{
    size_t n = 0;

    for (struct list *at = pool.chunks.next; at != &pool.chunks; at = at->next)
        n++;
    return n;
}

static void each_object_is_its_own_and_all_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    for (size_t i = 0; i < MANY; i += 2)
        give(i);
    for (size_t i = 0; i < MANY; i += 2)
        take(i);
    assert_int_equal(pool.count, MANY);
    for (size_t i = 0; i < MANY; i++)
        give(i);
    assert_int_equal(pool.count, 0);
}

static void an_object_costs_little_more_than_its_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    assert_true(chunks() * POOL_CHUNK < MANY * SIZE + MANY * SIZE / 50 + POOL_CHUNK);
}

static void what_is_given_back_is_used_again(void **state)
{
    size_t before;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    before = chunks();
    for (int round = 0; round < 20; round++) {
        for (size_t i = (size_t)round % 7; i < MANY; i += 7)
            give(i);
        for (size_t i = (size_t)round % 7; i < MANY; i += 7)
            take(i);
    }
    assert_int_equal(chunks(), before);
}

static void memory_goes_when_its_objects_have_gone(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    for (size_t i = 0; i < MANY; i++)
        give(i);
    assert_true(chunks() <= 1);
}

static void a_walk_comes_to_each_object_once(void **state)
{
    unsigned char seen[MANY] = {0};
    struct object *o;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    for (size_t i = 0; i < MANY; i++)
        if (i % 3 == 1 || (i > 500 && i < 900)) /* the objects of more than one chunk */
            give(i);
    pool_walk_start(&pool);
    while ((o = pool_walk_next(&pool)) != NULL)
        seen[o->number]++;
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(seen[i], objects[i] != NULL);
    assert_null(pool_walk_next(&pool));
}

/* Whatever goes and comes meanwhile, what was there all the time is seen. */
static void objects_may_come_and_go_during_a_walk(void **state)
{
    unsigned char seen[MANY] = {0};
    struct object *o;
    size_t steps = 0;

    (void)state;
    srandom(1);
    for (size_t i = 0; i < MANY; i++)
        take(i);
    pool_walk_start(&pool);
    while ((o = pool_walk_next(&pool)) != NULL) {
        seen[o->number] = 1;
        if (o->number >= MANY / 4 && o->number % 4 != 0)
            give(o->number);
        for (int i = 0; i < 3; i++) {
            size_t other = MANY / 4 + (size_t)random() % (MANY - MANY / 4);

            if (other % 4 == 0)
                continue;
            if (objects[other] == NULL && ++steps < MANY)
                take(other);
            else if (objects[other] != NULL)
                give(other);
        }
    }
    for (size_t i = 0; i < MANY; i++)
        if (i < MANY / 4 || i % 4 == 0)
            assert_int_equal(seen[i], 1);
}

static void a_walk_ends_when_its_last_chunk_goes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    pool_walk_start(&pool);
    for (size_t i = 0; i < MANY - 1; i++)
        assert_non_null(pool_walk_next(&pool));
    for (size_t i = 0; i < MANY; i++)
        give(i);
    assert_null(pool_walk_next(&pool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_object_is_its_own_and_all_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_object_costs_little_more_than_its_bytes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_given_back_is_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_goes_when_its_objects_have_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_walk_comes_to_each_object_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_may_come_and_go_during_a_walk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_walk_ends_when_its_last_chunk_goes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
