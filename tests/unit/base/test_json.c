/* test_json.c - what is JSON and where it is not, and its parts byte for byte. */
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

/* Checks a copy in a block of its own, so that a sanitizer sees a byte read behind its end. */
static int check_bytes(struct slice text, size_t *offset, const char **reason)
{
    char *copy = malloc(text.n + (text.n == 0));
    int status;

    assert_non_null(copy);
    memcpy(copy, text.p, text.n);
    status = json_check(slice_make(copy, text.n), offset, reason);
    free(copy);
    return status;
}

static void assert_is_json(const char *text)
{
    size_t offset = 0;
    const char *reason = "";

    if (check_bytes(slice_of(text), &offset, &reason) != 0)
        fail_msg("%s: byte %zu, expected %s", text, offset, reason);
}

static void assert_wrong_at(struct slice text, size_t expected)
{
    size_t offset = SIZE_MAX;
    const char *reason = NULL;

    if (check_bytes(text, &offset, &reason) != -EINVAL || offset != expected)
        fail_msg("%.*s: wrong at %zd, expected %zu", SLICE_ARG(text), (ssize_t)offset, expected);
    assert_non_null(reason);
}

static void what_the_standard_allows_is_json(void **state)
{
    static const char *const texts[] = {
        "0", "-0", "1", "-1", "10", "0.5", "-0.5e10", "1E+2", "1e-02", "123456789012345678901",
        "true", "false", "null", "\"\"", "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\x7f\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "[]", "{}", "[1]", "[1,[2,[]],{}]", "{\"\":0}", "{\"a\":1,\"a\":{\"b\":[null]}}",
        " \t\r\n{ \"a\" : [ 1 , 2 ] } \n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_is_json(texts[i]);
}

static void what_is_wrong_is_found_at_its_byte(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {
        {"", 0}, {"  ", 2}, {"tru", 3}, {"trux", 3}, {"nulll", 4}, {"True", 0}, {"NaN", 0},
        {"01", 1}, {"-", 1}, {"+1", 0}, {".5", 0}, {"1.", 2}, {"1.e1", 2}, {"1e", 2}, {"1e+", 3},
        {"0x10", 1}, {"1 2", 2}, {"[1,]", 3}, {"[,1]", 1}, {"[1 2]", 3}, {"[1", 2}, {"[", 1},
        {"]", 0}, {"[1}", 2}, {"{\"a\":1]", 6}, {"{", 1}, {"{\"a\"", 4}, {"{\"a\":", 5},
        {"{\"a\":1", 6}, {"{\"a\":1,}", 7}, {"{a:1}", 1}, {"{1:1}", 1}, {"{\"a\" 1}", 5},
        {"{'a':1}", 1}, {"\"a", 2}, {"\"\\", 2}, {"\"\\x\"", 2}, {"\"\\u12g4\"", 5},
        {"\"\\u12", 5}, {"\"a\nb\"", 2}, {"\"a\tb\"", 2}, {"// x\n1", 0}, {"{}}", 2}, {"[]]", 2},
        {"\xef\xbb\xbf{}", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_wrong_at(slice_of(cases[i].text), cases[i].at);
    assert_wrong_at(slice_make("\"a\0\"", 4), 2);
    assert_wrong_at(slice_make("1\0", 2), 1);
    assert_wrong_at(slice_make("\"\\\0\"", 4), 2);
}

/* A string of `n` letters but for `odd` at `at`, in quotes, behind `lead` blanks. */
static struct slice odd_string(char *text, size_t lead, size_t n, size_t at, const char *odd)
{
    memset(text, ' ', lead);
    text[lead] = '"';
    memset(text + lead + 1, 'a', n);
    memcpy(text + lead + 1 + at, odd, strlen(odd));
    text[lead + 1 + n] = '"';
    return slice_make(text, lead + n + 2);
}

static void strings_are_scanned_right_at_every_length_and_place(void **state)
{
    enum { LONGEST = 40 };
    char text[LONGEST + 16];
    size_t offset;
    const char *reason;

    (void)state;
    for (size_t lead = 0; lead < 9; lead++) {
        for (size_t n = 0; n < LONGEST; n++) {
            struct slice whole = odd_string(text, lead, n, 0, "");

            assert_int_equal(check_bytes(whole, &offset, &reason), 0);
            assert_wrong_at(slice_make(whole.p, whole.n - 1), whole.n - 1);
            for (size_t at = 0; at < n; at++) {
                assert_wrong_at(odd_string(text, lead, n, at, "\x1f"), lead + 1 + at);
                assert_wrong_at(odd_string(text, lead, n, at, "\""), lead + 2 + at);
                assert_wrong_at(odd_string(text, lead, n, at, "\xff"), lead + 1 + at);
                assert_int_equal(check_bytes(odd_string(text, lead, n, at, "\x7f"), &offset,
                                             &reason), 0);
            }
            for (size_t at = 0; at + 2 <= n; at++)
                assert_int_equal(check_bytes(odd_string(text, lead, n, at, "\\\""), &offset,
                                             &reason), 0);
        }
    }
}

static void bytes_that_are_not_utf8_are_wrong_where_they_begin(void **state)
{
    (void)state;
    assert_wrong_at(slice_of("\"a\xff\""), 2);
    assert_wrong_at(slice_of("\"\xc0\xaf\""), 1);         /* overlong */
    assert_wrong_at(slice_of("\"\xed\xa0\x80\""), 1);     /* a surrogate */
    assert_wrong_at(slice_of("\"\xf4\x90\x80\x80\""), 1); /* over U+10FFFF */
    assert_wrong_at(slice_of("\"a\xc3\""), 2);            /* cut by the quote */
    assert_wrong_at(slice_of("[1,\"\xff\""), 4);          /* comes before the missing bracket */
    assert_wrong_at(slice_of("[1 \"\xff\""), 3);          /* the missing comma comes first */
}

/* A text of `depth` brackets around nothing. */
static int check_nested(char open, char close, size_t depth, size_t *offset)
{
    static char text[4 * JSON_MAX_DEPTH];
    const char *reason;

    memset(text, open, depth);
    memset(text + depth, close, depth);
    return check_bytes(slice_make(text, 2 * depth), offset, &reason);
}

static void nesting_is_bounded(void **state)
{
    size_t offset;

    (void)state;
    assert_int_equal(check_nested('[', ']', JSON_MAX_DEPTH, &offset), 0);
    assert_int_equal(check_nested('[', ']', JSON_MAX_DEPTH + 1, &offset), -EINVAL);
    assert_int_equal(offset, JSON_MAX_DEPTH);
}

static void a_value_tells_its_type(void **state)
{
    (void)state;
    assert_int_equal(json_type_of(slice_of("null")), JSON_NULL);
    assert_int_equal(json_type_of(slice_of("true")), JSON_BOOL);
    assert_int_equal(json_type_of(slice_of("false")), JSON_BOOL);
    assert_int_equal(json_type_of(slice_of("-1")), JSON_NUMBER);
    assert_int_equal(json_type_of(slice_of("0")), JSON_NUMBER);
    assert_int_equal(json_type_of(slice_of("\"\"")), JSON_STRING);
    assert_int_equal(json_type_of(slice_of("[]")), JSON_ARRAY);
    assert_int_equal(json_type_of(slice_of("{}")), JSON_OBJECT);
    assert_slice(json_trim(slice_of(" \r\n\t1 ")), "1");
}

static void members_are_walked_as_they_stand(void **state)
{
    struct slice object = SLICE_LITERAL("{ \"a\" : 1e2 ,\"b\":[1,{\"c\":\"}\"}], \"a\":\"x,y\" }");
    struct slice key;
    struct slice value;
    size_t cursor = 0;

    (void)state;
    assert_true(json_object_next(object, &cursor, &key, &value));
    assert_slice(key, "\"a\"");
    assert_slice(value, "1e2");
    assert_true(json_object_next(object, &cursor, &key, &value));
    assert_slice(key, "\"b\"");
    assert_slice(value, "[1,{\"c\":\"}\"}]");
    assert_true(json_object_next(object, &cursor, &key, &value));
    assert_slice(key, "\"a\"");
    assert_slice(value, "\"x,y\"");
    assert_false(json_object_next(object, &cursor, &key, &value));
    assert_false(json_object_next(object, &cursor, &key, &value));
}

static void elements_are_walked_as_they_stand(void **state)
{
    struct slice array = SLICE_LITERAL("[ [ ] ,\"]\", -0.0 ]");
    struct slice value;
    size_t cursor = 0;

    (void)state;
    assert_true(json_array_next(array, &cursor, &value));
    assert_slice(value, "[ ]");
    assert_true(json_array_next(array, &cursor, &value));
    assert_slice(value, "\"]\"");
    assert_true(json_array_next(array, &cursor, &value));
    assert_slice(value, "-0.0");
    assert_false(json_array_next(array, &cursor, &value));
}

/* Strings of backslashes and quotes, escaped each, which end behind an even number of them. */
static void a_string_ends_at_its_first_quote_without_an_escape(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        char text[64] = "[\"";
        struct slice value;
        size_t cursor = 0;

        for (unsigned i = 0; i < 8; i++)
            strcat(text, (bits >> i & 1) != 0 ? "\\\"" : i % 3 == 0 ? "a" : "\\\\");
        strcat(text, "\",\"\",7]");
        assert_is_json(text);
        assert_true(json_array_next(slice_of(text), &cursor, &value));
        assert_int_equal(value.n, strlen(text) - 7);
        assert_true(json_array_next(slice_of(text), &cursor, &value));
        assert_slice(value, "\"\"");
        assert_true(json_array_next(slice_of(text), &cursor, &value));
        assert_slice(value, "7");
        assert_false(json_array_next(slice_of(text), &cursor, &value));
    }
}

static void a_container_ends_at_its_own_bracket(void **state)
{
    static const char *const containers[] = {
        "{}", "[]", "[[]]", "{\"]\":\"}\"}", "[\"\\\"]\",{\"[\":[1,{}]}]",
        "{ \"a\" : [ true , null ] }",
    };

    (void)state;
    for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++) {
        char text[96];
        struct slice value;
        size_t cursor = 0;

        snprintf(text, sizeof text, "[%s,%s , 7]", containers[i], containers[i]);
        assert_is_json(text);
        for (int twice = 0; twice < 2; twice++) {
            assert_true(json_array_next(slice_of(text), &cursor, &value));
            assert_slice(value, containers[i]);
        }
        assert_true(json_array_next(slice_of(text), &cursor, &value));
        assert_slice(value, "7");
        assert_false(json_array_next(slice_of(text), &cursor, &value));
    }
}

static void an_empty_container_has_nothing_to_walk(void **state)
{
    static const char *const empty[] = {"{}", "{ \n }", "[]", "[ ]"};
    struct slice key;
    struct slice value;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        size_t cursor = 0;

        assert_false(i < 2 ? json_object_next(slice_of(empty[i]), &cursor, &key, &value)
                           : json_array_next(slice_of(empty[i]), &cursor, &value));
    }
}

static void a_name_is_known_through_its_escapes(void **state)
{
    (void)state;
    assert_true(json_string_is(slice_of("\"data\""), "data"));
    assert_true(json_string_is(slice_of("\"d\\u0061ta\""), "data"));
    assert_true(json_string_is(slice_of("\"\""), ""));
    assert_false(json_string_is(slice_of("\"dat\""), "data"));
    assert_false(json_string_is(slice_of("\"data\\u0000\""), "data"));
    assert_false(json_string_is(slice_of("\"\\ud800\""), "data"));
}

static void assert_unescaped(const char *string, struct slice expected)
{
    struct buf b = {0};

    assert_int_equal(json_add_unescaped(&b, slice_of(string)), 0);
    assert_true(slice_equal(buf_slice(&b), expected));
    buf_fini(&b);
}

static void strings_are_read_as_utf8(void **state)
{
    static const char *const halves[] = {
        "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83dx\"", "\"\\ud83d\\n12345\"", "\"\\ud83d\\ud83d\"",
        "\"\\ud83d\\u0041\"",
    };

    (void)state;
    assert_unescaped("\"\"", slice_make("", 0));
    assert_unescaped("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", slice_of("a\"\\/\b\f\n\r\tz"));
    assert_unescaped("\"\\u0041\\u00e9\\u20AC\"", slice_of("A\xc3\xa9\xe2\x82\xac"));
    assert_unescaped("\"\\ud83d\\ude00\"", slice_of("\xf0\x9f\x98\x80"));
    assert_unescaped("\"\\udbff\\udfff\"", slice_of("\xf4\x8f\xbf\xbf"));
    assert_unescaped("\"a\\u0000b\"", slice_make("a\0b", 3));
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        struct buf b = {0};

        assert_int_equal(json_add_unescaped(&b, slice_of(halves[i])), -EILSEQ);
        buf_fini(&b);
    }
}

static void compact_text_loses_white_space_and_nothing_else(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_int_equal(json_add_compact(&b, slice_of("{ \"a b\" :\t[ 1.50 , -0 , 1E+2 ],\r\n"
                                                   "\"\\u0041 \\\" \" : 12345678901234567890 }")),
                     0);
    assert_slice(buf_slice(&b), "{\"a b\":[1.50,-0,1E+2],\"\\u0041 \\\" \":12345678901234567890}");
    buf_fini(&b);
}

static void assert_quoted(struct slice text, const char *expected)
{
    struct buf b = {0};
    size_t offset;
    const char *reason;

    assert_int_equal(json_add_string(&b, text), 0);
    assert_slice(buf_slice(&b), expected);
    assert_int_equal(json_check(buf_slice(&b), &offset, &reason), 0);
    buf_fini(&b);
}

static void any_bytes_become_a_string(void **state)
{
    (void)state;
    assert_quoted(slice_of(""), "\"\"");
    assert_quoted(slice_of("a\"\\/\b\f\n\r\t\x01\x7f"),
                  "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\"");
    assert_quoted(slice_make("\0", 1), "\"\\u0000\"");
    assert_quoted(slice_of("zo\xc3\xab"), "\"zo\xc3\xab\"");
    assert_quoted(slice_of("a\xff" "b\xc3"), "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_standard_allows_is_json),
        cmocka_unit_test(what_is_wrong_is_found_at_its_byte),
        cmocka_unit_test(strings_are_scanned_right_at_every_length_and_place),
        cmocka_unit_test(bytes_that_are_not_utf8_are_wrong_where_they_begin),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_value_tells_its_type),
        cmocka_unit_test(members_are_walked_as_they_stand),
        cmocka_unit_test(elements_are_walked_as_they_stand),
        cmocka_unit_test(a_string_ends_at_its_first_quote_without_an_escape),
        cmocka_unit_test(a_container_ends_at_its_own_bracket),
        cmocka_unit_test(an_empty_container_has_nothing_to_walk),
        cmocka_unit_test(a_name_is_known_through_its_escapes),
        cmocka_unit_test(strings_are_read_as_utf8),
        cmocka_unit_test(compact_text_loses_white_space_and_nothing_else),
        cmocka_unit_test(any_bytes_become_a_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
