/* test_slice.c - reading slices. */
#include "base/slice.h"

#include <errno.h>
#include "support/cm.h"

static void trimming_takes_blanks_and_tabs_from_both_ends_only(void **state)
{
    (void)state;
    assert_slice(slice_trim(slice_of(" \t a b\t ")), "a b");
    assert_slice(slice_trim(slice_of("a")), "a");
    assert_slice(slice_trim(slice_of(" \t ")), "");
    assert_slice(slice_trim(slice_of("")), "");
    assert_slice(slice_trim(slice_of("\na\r")), "\na\r");
    assert_int_equal(slice_trim(slice_of(NULL)).n, 0);
}

static void cutting_walks_through_all_parts(void **state)
{
    struct slice rest = slice_of("a,,bc");

    (void)state;
    assert_slice(slice_cut(&rest, ','), "a");
    assert_slice(rest, ",bc");
    assert_slice(slice_cut(&rest, ','), "");
    assert_slice(slice_cut(&rest, ','), "bc");
    assert_null(rest.p);
    assert_int_equal(rest.n, 0);
    assert_int_equal(slice_cut(&rest, ',').n, 0);
}

static void cutting_at_the_last_byte_leaves_an_empty_rest_that_is_not_null(void **state)
{
    struct slice rest = slice_of("a,");

    (void)state;
    assert_slice(slice_cut(&rest, ','), "a");
    assert_non_null(rest.p);
    assert_int_equal(rest.n, 0);
}

static void equality_is_of_bytes_and_length(void **state)
{
    (void)state;
    assert_true(slice_equal(slice_of("ab"), slice_of("ab")));
    assert_false(slice_equal(slice_of("ab"), slice_of("abc")));
    assert_false(slice_equal(slice_of("ab"), slice_of("aB")));
    assert_true(slice_equal(slice_of(NULL), slice_of("")));
    assert_true(slice_equal(slice_make("a\0b", 3), SLICE_LITERAL("a\0b")));
    assert_false(slice_equal(slice_make("a\0b", 3), SLICE_LITERAL("a\0c")));
    assert_true(slice_is_nocase(slice_of("Last-Event-ID"), "last-event-id"));
    assert_false(slice_is_nocase(slice_of("Last-Event-I"), "last-event-id"));
}

static void assert_number(const char *text, int result, uint64_t expected)
{
    uint64_t value = 77;

    assert_int_equal(slice_to_u64(slice_of(text), &value), result);
    assert_true(value == (result == 0 ? expected : 77));
}

static void numbers_are_decimal_whole_and_at_most_64_bits(void **state)
{
    (void)state;
    assert_number("0", 0, 0);
    assert_number("007", 0, 7);
    assert_number("18446744073709551615", 0, UINT64_MAX);
    assert_number("18446744073709551616", -ERANGE, 0);
    assert_number("18446744073709551620", -ERANGE, 0);
    assert_number("99999999999999999999999999", -ERANGE, 0);
    assert_number("", -EINVAL, 0);
    assert_number("-1", -EINVAL, 0);
    assert_number("+1", -EINVAL, 0);
    assert_number(" 1", -EINVAL, 0);
    assert_number("1 ", -EINVAL, 0);
    assert_number("0x10", -EINVAL, 0);
    assert_number("1.0", -EINVAL, 0);
}

/* The definition in RFC 3629, section 4, written once more as ranges of code points. */
static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static void every_code_point_is_utf8_except_surrogates_and_what_is_past_the_end(void **state)
{
    uint32_t step = support_is_slow() ? 97 : 1;
    char bytes[4];

    (void)state;
    for (uint32_t c = 0; c < 0x1fffff; c += step) {
        bool is_allowed = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

        if (slice_is_utf8(slice_make(bytes, encode(c, bytes))) != is_allowed)
            fail_msg("U+%04X: expected %d", (unsigned)c, is_allowed);
    }
}

static void cut_sequences_are_not_utf8(void **state)
{
    static const uint32_t points[] = {0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    char bytes[4];

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        size_t n = encode(points[i], bytes);

        for (size_t cut = 1; cut < n; cut++)
            assert_false(slice_is_utf8(slice_make(bytes, cut)));
        for (size_t from = 1; from < n; from++)
            assert_false(slice_is_utf8(slice_make(bytes + from, n - from)));
        for (size_t at = 1; at < n; at++) {
            char broken[4];

            memcpy(broken, bytes, sizeof broken);
            broken[at] = 'a';
            assert_false(slice_is_utf8(slice_make(broken, n)));
        }
    }
}

static void overlong_and_forbidden_bytes_are_not_utf8(void **state)
{
    static const char *const bad[] = {
        "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff",
        "\x80", "\xbf", "a\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "ok\xc3",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (slice_is_utf8(slice_of(bad[i])))
            fail_msg("row %zu was taken for UTF-8", i);
    assert_true(slice_is_utf8(slice_of("")));
    assert_true(slice_is_utf8(slice_of(NULL)));
    assert_true(slice_is_utf8(slice_make("a\0b", 3)));
    assert_true(slice_is_utf8(slice_of("Zo\xc3\xab \xe2\x82\xac \xf0\x9f\x94\x94")));
}

static void control_characters_are_those_under_blank_and_delete(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};

        assert_true(slice_has_control(slice_make(text, 3)) == (c < 0x20 || c == 0x7f));
        for (size_t at = 0; at < 19; at++) { /* eight bytes are looked at together */
            char longer[19];

            memset(longer, 0xa0, sizeof longer);
            longer[at] = (char)c;
            assert_true(slice_has_control(slice_make(longer, sizeof longer)) ==
                        (c < 0x20 || c == 0x7f));
        }
    }
    assert_false(slice_has_control(slice_of("")));
}

static void items_stand_between_blanks_and_commas(void **state)
{
    struct slice rest = slice_of(" a,b\t, c ,");
    struct slice item;

    (void)state;
    for (const char *expected = "abc"; *expected != '\0'; expected++) {
        assert_true(slice_cut_item(&rest, &item));
        assert_int_equal(item.n, 1);
        assert_int_equal(item.p[0], *expected);
    }
    assert_false(slice_cut_item(&rest, &item));
    rest = slice_of(NULL);
    assert_false(slice_cut_item(&rest, &item));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stand_between_blanks_and_commas),
        cmocka_unit_test(trimming_takes_blanks_and_tabs_from_both_ends_only),
        cmocka_unit_test(cutting_walks_through_all_parts),
        cmocka_unit_test(cutting_at_the_last_byte_leaves_an_empty_rest_that_is_not_null),
        cmocka_unit_test(equality_is_of_bytes_and_length),
        cmocka_unit_test(numbers_are_decimal_whole_and_at_most_64_bits),
        cmocka_unit_test(every_code_point_is_utf8_except_surrogates_and_what_is_past_the_end),
        cmocka_unit_test(cut_sequences_are_not_utf8),
        cmocka_unit_test(overlong_and_forbidden_bytes_are_not_utf8),
        cmocka_unit_test(control_characters_are_those_under_blank_and_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
