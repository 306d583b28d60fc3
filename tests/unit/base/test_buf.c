/* test_buf.c - the growing run of bytes. */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include "support/cm.h"

static void pieces_are_put_together_in_order(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_int_equal(buf_add_text(&b, "a"), 0);
    assert_int_equal(buf_add(&b, "\0c", 2), 0);
    assert_int_equal(buf_add_slice(&b, SLICE_LITERAL("de")), 0);
    assert_int_equal(buf_add_char(&b, '-'), 0);
    assert_int_equal(buf_add_u64(&b, 42), 0);
    assert_int_equal(buf_printf(&b, "%s:%d", "x", -7), 0);
    assert_true(slice_equal(buf_slice(&b), SLICE_LITERAL("a\0cde-42x:-7")));
    assert_false(b.failed);
    buf_fini(&b);
}

static void an_empty_buffer_is_valid_and_may_be_used_again_after_fini(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_fini(&b);
    assert_int_equal(buf_slice(&b).n, 0);
    buf_drop_front(&b, 10);
    assert_int_equal(buf_add(&b, NULL, 0), 0);
    assert_int_equal(buf_printf(&b, "%s", ""), 0);
    assert_int_equal(b.len, 0);
    buf_add_text(&b, "x");
    buf_fini(&b);
    assert_null(b.p);
    buf_add_text(&b, "y");
    assert_slice(buf_slice(&b), "y");
    buf_fini(&b);
}

static void growth_keeps_every_byte(void **state)
{
    struct buf b = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_add_char(&b, (char)(i % 251)), 0);
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        if (b.p[i] != (char)(i % 251))
            fail_msg("byte %d changed", i);
    buf_fini(&b);
}

static void a_long_printf_is_whole(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_add_text(&b, "[");
    assert_int_equal(buf_printf(&b, "%5000d]", 1), 0);
    assert_int_equal(b.len, 5002);
    assert_int_equal(b.p[5000], '1');
    assert_int_equal(b.p[5001], ']');
    buf_fini(&b);
}

static void an_append_without_memory_is_remembered_and_changes_nothing(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_add_text(&b, "whole");
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 2), -ENOMEM);
    assert_true(b.failed);
    assert_slice(buf_slice(&b), "whole");
    b.failed = false;
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), -ENOMEM);
    assert_true(b.failed);
    buf_add_text(&b, "!");
    assert_slice(buf_slice(&b), "whole!");
    assert_true(b.failed); /* stays: one check at the end is enough */
    buf_fini(&b);
    assert_false(b.failed);
}

static void reserved_room_is_used_without_moving(void **state)
{
    struct buf b = {0};
    const char *before;

    (void)state;
    assert_int_equal(buf_reserve(&b, 1000), 0);
    before = b.p;
    for (int i = 0; i < 1000; i++)
        buf_add_char(&b, 'a');
    assert_ptr_equal(b.p, before);
    buf_fini(&b);
}

static void dropping_the_front_keeps_the_rest(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_add_text(&b, "abcdef");
    buf_drop_front(&b, 0);
    buf_drop_front(&b, 2);
    assert_slice(buf_slice(&b), "cdef");
    buf_add_text(&b, "g");
    buf_drop_front(&b, 4);
    assert_slice(buf_slice(&b), "g");
    buf_drop_front(&b, 1000);
    assert_int_equal(b.len, 0);
    buf_add_text(&b, "new");
    assert_slice(buf_slice(&b), "new");
    buf_fini(&b);
}

static void numbers_are_written_in_full(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {9, "9"},
        {10, "10"},
        {1000000007, "1000000007"},
        {UINT64_MAX, "18446744073709551615"},
    };
    char text[20];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *end = format_u64(text, rows[i].value);

        assert_slice(slice_make(text, (size_t)(end - text)), rows[i].text);
    }
}

static void assert_formatted(uint64_t value)
{
    char text[21];
    char expected[21];
    char *end = format_u64(text, value);

    *end = '\0';
    snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
    assert_string_equal(text, expected);
}

static void numbers_are_formatted_as_printf_would(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 20000; value++)
        assert_formatted(value);
    for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10)
        for (uint64_t digit = 1; digit < 10; digit++)
            for (uint64_t near = 0; near < 3; near++)
                assert_formatted(power * digit + near - 1);
}

static void assert_hex(uint64_t value, unsigned least, const char *expected)
{
    char text[16];
    char *end = format_hex(text, value, least);

    assert_slice(slice_make(text, (size_t)(end - text)), expected);
}

static void hexadecimal_has_as_many_digits_as_it_needs_and_at_least_as_asked(void **state)
{
    (void)state;
    assert_hex(0, 1, "0");
    assert_hex(0xf, 1, "f");
    assert_hex(0x10, 1, "10");
    assert_hex(0xabcdef, 1, "abcdef");
    assert_hex(0x1f, 4, "001f");
    assert_hex(0x12345, 4, "12345");
    assert_hex(0, 16, "0000000000000000");
    assert_hex(0x00123456789abcde, 16, "00123456789abcde");
    assert_hex(UINT64_MAX, 1, "ffffffffffffffff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_put_together_in_order),
        cmocka_unit_test(an_empty_buffer_is_valid_and_may_be_used_again_after_fini),
        cmocka_unit_test(growth_keeps_every_byte),
        cmocka_unit_test(a_long_printf_is_whole),
        cmocka_unit_test(an_append_without_memory_is_remembered_and_changes_nothing),
        cmocka_unit_test(reserved_room_is_used_without_moving),
        cmocka_unit_test(dropping_the_front_keeps_the_rest),
        cmocka_unit_test(numbers_are_written_in_full),
        cmocka_unit_test(numbers_are_formatted_as_printf_would),
        cmocka_unit_test(hexadecimal_has_as_many_digits_as_it_needs_and_at_least_as_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
