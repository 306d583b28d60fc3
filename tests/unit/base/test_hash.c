/* test_hash.c - the keyed table against a model that is too simple to be wrong. */
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

struct item {
    unsigned number;
    bool is_in; /* the model */
    char key[16];
};

static struct slice key_of(const void *p)
{
    const struct item *item = p;

    return slice_of(item->key);
}

static struct item *items_make(unsigned count)
{
    struct item *items = calloc(count, sizeof *items);

    assert_non_null(items);
    for (unsigned i = 0; i < count; i++) {
        items[i].number = i;
        snprintf(items[i].key, sizeof items[i].key, "user%u", i);
    }
    return items;
}

/* Table and model hold the same: by find, by count and by the walk, each exactly once. */
static void assert_same(const struct hash_table *t, const struct item *items, unsigned count)
{
    unsigned char *seen = calloc(count, 1);
    size_t expected = 0;
    size_t walked = 0;
    size_t cursor = 0;
    const struct item *item;

    assert_non_null(seen);
    for (unsigned i = 0; i < count; i++) {
        expected += items[i].is_in;
        if (hash_table_find(t, key_of(&items[i])) != (items[i].is_in ? &items[i] : NULL))
            fail_msg("item %u: find disagrees with the model", i);
    }
    assert_int_equal(hash_table_count(t), expected);
    while ((item = hash_table_next(t, &cursor)) != NULL) {
        assert_true(item->is_in);
        assert_false(seen[item->number]);
        seen[item->number] = 1;
        walked++;
    }
    assert_int_equal(walked, expected);
    free(seen);
}

static void an_empty_table_finds_nothing(void **state)
{
    struct hash_table t;
    struct item item = {.key = "a"};
    size_t cursor = 0;

    (void)state;
    hash_table_init(&t, key_of);
    assert_null(hash_table_find(&t, slice_of("a")));
    assert_false(hash_table_remove(&t, &item));
    assert_null(hash_table_next(&t, &cursor));
    assert_int_equal(hash_table_count(&t), 0);
    hash_table_fini(&t);
}

static void fetching_ahead_changes_nothing(void **state)
{
    struct hash_table t;
    struct item item = {.key = "a"};

    (void)state;
    hash_table_init(&t, key_of);
    hash_table_fetch_slot(&t, slice_of("a")); /* while there are no slots */
    hash_table_fetch_item(&t, slice_of("a"));
    assert_int_equal(hash_table_insert(&t, &item), 0);
    hash_table_fetch_slot(&t, slice_of("a"));
    hash_table_fetch_item(&t, slice_of("a"));
    hash_table_fetch_item(&t, slice_of("b"));
    hash_table_fetch_item(&t, slice_make(NULL, 0));
    assert_ptr_equal(hash_table_find(&t, slice_of("a")), &item);
    assert_null(hash_table_find(&t, slice_of("b")));
    hash_table_fini(&t);
}

static void keys_are_bytes_and_may_be_empty_or_hold_nul(void **state)
{
    struct item empty = {.key = ""};
    struct hash_table t;

    (void)state;
    hash_table_init(&t, key_of);
    assert_int_equal(hash_table_insert(&t, &empty), 0);
    assert_ptr_equal(hash_table_find(&t, slice_of(NULL)), &empty);
    assert_null(hash_table_find(&t, slice_make("\0", 1)));
    hash_table_fini(&t);
}

static void another_item_with_the_same_key_is_not_removed(void **state)
{
    struct item in = {.key = "a"};
    struct item twin = {.key = "a"};
    struct hash_table t;

    (void)state;
    hash_table_init(&t, key_of);
    hash_table_insert(&t, &in);
    assert_false(hash_table_remove(&t, &twin));
    assert_ptr_equal(hash_table_find(&t, slice_of("a")), &in);
    hash_table_fini(&t);
}

static void growing_to_many_and_shrinking_to_none_loses_nothing(void **state)
{
    unsigned count = support_is_slow() ? 3000 : 100000;
    struct item *items = items_make(count);
    struct hash_table t;
    size_t largest;

    (void)state;
    hash_table_init(&t, key_of);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(hash_table_insert(&t, &items[i]), 0);
        items[i].is_in = true;
        if ((i & (i + 1)) == 0) /* about each size at which it might grow */
            assert_same(&t, items, count);
    }
    assert_same(&t, items, count);
    largest = t.now.cap;
    for (unsigned i = 0; i < count; i++) {
        assert_true(hash_table_remove(&t, &items[i]));
        items[i].is_in = false;
        if (((count - i) & (count - i - 1)) == 0)
            assert_same(&t, items, count);
    }
    assert_same(&t, items, count);
    assert_true(t.now.cap + t.old.cap < largest / 8); /* memory was given back */
    hash_table_fini(&t);
    free(items);
}

/* One run of random changes. `bias` of 100 are insertions, and turns round at the ends, so that
 * the table passes its growing and shrinking sizes many times, in the midst of a move too. */
static void run_against_model(uint64_t seed, unsigned count, unsigned steps)
{
    struct item *items = items_make(count);
    uint64_t random = seed;
    struct hash_table t;
    size_t in = 0;
    unsigned bias = 70;

    hash_table_init(&t, key_of);
    for (unsigned step = 0; step < steps; step++) {
        struct item *item = &items[support_random(&random) % count];

        if (in > count * 9 / 10)
            bias = 20;
        else if (in < count / 50)
            bias = 75;
        if (support_random(&random) % 100 < bias) {
            if (!item->is_in) {
                assert_int_equal(hash_table_insert(&t, item), 0);
                item->is_in = true;
                in++;
            }
        } else {
            assert_true(hash_table_remove(&t, item) == item->is_in);
            in -= item->is_in;
            item->is_in = false;
        }
        assert_int_equal(hash_table_count(&t), in);
        if (support_random(&random) % 512 == 0)
            assert_same(&t, items, count);
    }
    assert_same(&t, items, count);
    hash_table_fini(&t);
    free(items);
}

static void random_changes_agree_with_the_model_for_every_seed(void **state)
{
    unsigned seeds = support_is_slow() ? 3 : 200;

    (void)state;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        unsigned count = 8u << seed % 8;

        print_message("seed %u, %u keys\n", seed, count);
        run_against_model(seed, count, 8000);
    }
}

/* "SipHash: a fast short-input PRF", its reference implementation: key 0 here, so only what any
 * keyed hash must show is asserted: length counts, every byte counts, and bits spread. */
static void every_byte_and_the_length_change_the_hash(void **state)
{
    char key[32] = {0};
    uint64_t whole;

    (void)state;
    for (size_t n = 0; n < sizeof key; n++)
        assert_true(hash_of(slice_make(key, n)) != hash_of(slice_make(key, n + 1)));
    whole = hash_of(slice_make(key, sizeof key));
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = 1;
        assert_true(hash_of(slice_make(key, sizeof key)) != whole);
        key[i] = 0;
    }
}

/* Of the bytes 0, 1, 2 ... under key 0, at every alignment and up to the end of a block. */
static void the_hash_is_siphash_1_3(void **state)
{
    static const uint64_t sips[] = {
        0xd1fba762150c532cu, 0x68a914128e01e473u, 0x010bac45c41e3669u, 0x4d4c9a4a8ef6e0adu,
        0x7cc43f98813e4dbdu, 0x5abe2169dff36275u, 0xe3c25f87624f1cdbu, 0x2f098ab0c751325au,
        0xead411e67ebe2eeau, 0x75927f9d95124362u, 0xaf9f77a65ab51a1du, 0xfe64ce8b6617fcffu,
        0xa6baf4fb0f9fe1c2u, 0xa0cf3211850f8e0du, 0x7f86049379fbfe67u, 0xf30eb725bb91c9eau,
        0x8972188433a5c5b7u, 0x4883c49a2c009c1du, 0xadc2c0b63044067du, 0x091f4a3329f87d19u,
        0x639e355ae68c0100u, 0xb17bef2cb5213239u, 0xf8aeb1066236ccfeu, 0x37332b1389daa4ffu,
        0x31185a47af932f3au,
    };

    (void)state;
    for (size_t n = 0; n < sizeof sips / sizeof sips[0]; n++) {
        for (size_t lead = 0; lead < 9; lead++) {
            char *block = malloc(lead + n + (lead + n == 0));

            assert_non_null(block);
            for (size_t i = 0; i < n; i++)
                block[lead + i] = (char)i;
            assert_true(hash_of(slice_make(block + lead, n)) == sips[n]);
            free(block);
        }
    }
}

static void a_hash_asked_for_again_is_the_same(void **state)
{
    char key[100];

    (void)state;
    memset(key, 'k', sizeof key);
    for (size_t n = 0; n < sizeof key; n++) {
        uint64_t first = hash_of(slice_make(key, n));

        assert_true(hash_of(slice_make(key, n)) == first);
        for (size_t i = 0; i < n; i++) {
            key[i] = 'l';
            assert_true(hash_of(slice_make(key, n)) != first);
            key[i] = 'k';
        }
        assert_true(hash_of(slice_make(key, n)) == first);
    }
}

static void hashes_of_like_keys_spread_over_the_slots(void **state)
{
    enum { BUCKETS = 256, PER_BUCKET = 64 };
    unsigned counts[BUCKETS] = {0};
    char key[16];

    (void)state;
    for (int i = 0; i < BUCKETS * PER_BUCKET; i++) {
        int n = snprintf(key, sizeof key, "user%d", i);

        counts[hash_of(slice_make(key, (size_t)n)) % BUCKETS]++;
    }
    for (int i = 0; i < BUCKETS; i++) /* seven standard deviations of a fair throw */
        assert_in_range(counts[i], PER_BUCKET - 56, PER_BUCKET + 56);
}

static void a_seed_changes_the_hash(void **state)
{
    uint64_t before = hash_of(slice_of("alice"));

    (void)state;
    assert_int_equal(hash_seed(), 0);
    assert_true(hash_of(slice_of("alice")) != before);
    assert_true(hash_of(slice_of("alice")) == hash_of(slice_of("alice")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(fetching_ahead_changes_nothing),
        cmocka_unit_test(keys_are_bytes_and_may_be_empty_or_hold_nul),
        cmocka_unit_test(another_item_with_the_same_key_is_not_removed),
        cmocka_unit_test(growing_to_many_and_shrinking_to_none_loses_nothing),
        cmocka_unit_test(random_changes_agree_with_the_model_for_every_seed),
        cmocka_unit_test(every_byte_and_the_length_change_the_hash),
        cmocka_unit_test(the_hash_is_siphash_1_3),
        cmocka_unit_test(a_hash_asked_for_again_is_the_same),
        cmocka_unit_test(hashes_of_like_keys_spread_over_the_slots),
        cmocka_unit_test(a_seed_changes_the_hash), /* last: the others repeat under key 0 */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
