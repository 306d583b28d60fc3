/* test_record.c - a notification as bytes, and every way in which they can be damaged. */
#include "store/record.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

static const struct record sample = {
    .seq = 0x0123456789abcdef,
    .wall_ms = 1700000000123,
    .time_ms = 1700000000456,
    .expires_ms = 1700000009999,
    .to = {CHANNEL_TOPIC, {"deploys", 7}},
    .event = {"build", 5},
    .collapse_key = {"main", 4},
    .data = {"{\"a\":1}", 7},
    .is_json = true,
};

static struct slice sealed(const struct record *r, char *bytes, size_t size)
{
    size_t n = record_size(r);

    assert_true(n <= size);
    record_write(r, bytes);
    record_seal(bytes, n);
    return slice_make(bytes, n);
}

static void what_is_written_is_read_back(void **state)
{
    char bytes[256];
    struct record back;

    (void)state;
    assert_int_equal(record_read(&back, sealed(&sample, bytes, sizeof bytes)), 0);
    assert_true(back.seq == sample.seq);
    assert_true(back.wall_ms == sample.wall_ms);
    assert_true(back.time_ms == sample.time_ms);
    assert_true(back.expires_ms == sample.expires_ms);
    assert_int_equal(back.to.kind, CHANNEL_TOPIC);
    assert_true(slice_is(back.to.name, "deploys"));
    assert_true(slice_is(back.event, "build"));
    assert_true(slice_is(back.collapse_key, "main"));
    assert_true(slice_is(back.data, "{\"a\":1}"));
    assert_true(back.is_json);
}

static void empty_parts_are_empty_again(void **state)
{
    struct record r = {.seq = 1, .expires_ms = RECORD_KEPT, .to = {CHANNEL_EVERYONE, {NULL, 0}},
                       .event = {"e", 1}};
    char bytes[64];
    struct record back;

    (void)state;
    assert_int_equal(record_read(&back, sealed(&r, bytes, sizeof bytes)), 0);
    assert_int_equal(back.to.name.n, 0);
    assert_int_equal(back.collapse_key.n, 0);
    assert_int_equal(back.data.n, 0);
    assert_false(back.is_json);
    assert_true(back.expires_ms == RECORD_KEPT);
}

static void every_flipped_bit_is_found(void **state)
{
    char bytes[256];
    struct record back;
    struct slice whole = sealed(&sample, bytes, sizeof bytes);

    (void)state;
    for (size_t i = 0; i < whole.n * 8; i++) {
        bytes[i / 8] ^= (char)(1 << i % 8);
        assert_int_equal(record_read(&back, whole), -EBADMSG);
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    assert_int_equal(record_read(&back, whole), 0);
}

static void every_cut_is_found(void **state)
{
    char bytes[256];
    struct record back;
    struct slice whole = sealed(&sample, bytes, sizeof bytes);

    (void)state;
    for (size_t n = 0; n < whole.n; n++) {
        char *cut = malloc(n + 1); /* so that a read past its end is seen */

        assert_non_null(cut);
        memcpy(cut, bytes, n);
        assert_int_equal(record_read(&back, slice_make(cut, n)), -EBADMSG);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(empty_parts_are_empty_again),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_cut_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
