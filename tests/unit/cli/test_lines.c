/* What a reader tells is written down as "NUMBER:LINE|" for a line and "NUMBER!" for one that is
 * too long. */
#include "cli/lines_priv.h"

#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

enum { ENOUGH = 3 };

struct ear {
    struct buf heard;
    uint64_t stop_at; /* line that ends the reading, 0: none */
};

static int hear(void *arg, uint64_t number, struct slice line)
{
    struct ear *ear = arg;

    buf_add_u64(&ear->heard, number);
    buf_add_char(&ear->heard, line.p == NULL ? '!' : ':');
    buf_add_slice(&ear->heard, line);
    if (line.p != NULL)
        buf_add_char(&ear->heard, '|');
    return number == ear->stop_at ? ENOUGH : 0;
}

static void assert_lines(const char *input, const char *expected)
{
    size_t n = strlen(input);

    for (size_t piece = 1; piece <= n + 1; piece++) {
        struct ear ear = {0};
        struct line_reader r = {.max_bytes = 5, .on_line = hear, .arg = &ear};

        for (size_t at = 0; at < n; at += piece)
            assert_int_equal(line_reader_feed(&r, slice_make(input + at, n - at < piece ? n - at
                                                                                        : piece)),
                             0);
        assert_int_equal(line_reader_end(&r), 0);
        assert_slice(buf_slice(&ear.heard), expected);
        line_reader_fini(&r);
        buf_fini(&ear.heard);
    }
}

static void lines_are_told_with_their_numbers(void **state)
{
    (void)state;
    assert_lines("", "");
    assert_lines("a\nbc\n", "1:a|2:bc|");
    assert_lines("a\n\n\nb\n", "1:a|2:|3:|4:b|");
}

static void last_line_needs_no_end(void **state)
{
    (void)state;
    assert_lines("a\nb", "1:a|2:b|");
}

static void cr_before_lf_belongs_to_the_line_end(void **state)
{
    (void)state;
    assert_lines("a\r\nb\rc\r\n\r\n", "1:a|2:b\rc|3:|");
}

static void too_long_line_is_told_and_the_next_ones_are_read(void **state)
{
    (void)state;
    assert_lines("12345\n123456\nab\n", "1:12345|2!3:ab|");
    assert_lines("1234567890123456789\nab", "1!2:ab|");
    assert_lines("ab\n1234567890", "1:ab|2!");
}

static void listener_can_end_the_reading(void **state)
{
    struct ear ear = {.stop_at = 2};
    struct line_reader r = {.max_bytes = 5, .on_line = hear, .arg = &ear};

    (void)state;
    assert_int_equal(line_reader_feed(&r, SLICE_LITERAL("a\nb\nc\n")), ENOUGH);
    assert_true(slice_is(buf_slice(&ear.heard), "1:a|2:b|"));
    line_reader_fini(&r);
    buf_fini(&ear.heard);
}

static void batch_holds_lines_and_where_they_came_from(void **state)
{
    struct batch *b = calloc(1, sizeof(*b));

    (void)state;
    assert_non_null(b);
    assert_int_equal(batch_add(b, 3, SLICE_LITERAL("{\"a\":1}")), 0);
    assert_int_equal(batch_add(b, 7, SLICE_LITERAL("{}")), 0);
    assert_true(slice_is(buf_slice(&b->body), "{\"a\":1}\n{}\n"));
    assert_int_equal(b->count, 2);
    assert_int_equal(b->numbers[0], 3);
    assert_int_equal(b->numbers[1], 7);
    batch_clear(b);
    assert_int_equal(b->body.len, 0);
    assert_int_equal(b->count, 0);
    batch_fini(b);
    free(b);
}

static void batch_is_full_after_500_lines(void **state)
{
    struct batch *b = calloc(1, sizeof(*b));

    (void)state;
    assert_non_null(b);
    for (uint64_t i = 1; i <= 500; i++) {
        assert_true(batch_has_room(b, 2));
        assert_int_equal(batch_add(b, i, SLICE_LITERAL("{}")), 0);
    }
    assert_false(batch_has_room(b, 2));
    batch_clear(b);
    assert_true(batch_has_room(b, 2));
    batch_fini(b);
    free(b);
}

static void batch_is_full_at_512_kib_line_ends_included(void **state)
{
    static char line[512 * 1024];
    struct batch *b = calloc(1, sizeof(*b));

    (void)state;
    assert_non_null(b);
    assert_false(batch_has_room(b, sizeof(line)));
    assert_true(batch_has_room(b, sizeof(line) - 1));
    memset(line, 'a', sizeof(line));
    assert_int_equal(batch_add(b, 1, slice_make(line, sizeof(line) - 11)), 0);
    assert_true(batch_has_room(b, 9));
    assert_false(batch_has_room(b, 10));
    batch_fini(b);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_told_with_their_numbers),
        cmocka_unit_test(last_line_needs_no_end),
        cmocka_unit_test(cr_before_lf_belongs_to_the_line_end),
        cmocka_unit_test(too_long_line_is_told_and_the_next_ones_are_read),
        cmocka_unit_test(listener_can_end_the_reading),
        cmocka_unit_test(batch_holds_lines_and_where_they_came_from),
        cmocka_unit_test(batch_is_full_after_500_lines),
        cmocka_unit_test(batch_is_full_at_512_kib_line_ends_included),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
