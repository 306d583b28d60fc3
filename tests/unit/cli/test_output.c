#include "cli/output_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "support/cm.h"

static void assert_text(struct buf *out, const char *expected)
{
    assert_slice(buf_slice(out), expected);
    buf_fini(out);
}

static void assert_plain(struct slice text, const char *expected)
{
    struct buf out = {0};

    output_add_plain(&out, text);
    assert_text(&out, expected);
}

static void assert_receipt(const char *item, const char *expected)
{
    struct buf out = {0};

    assert_int_equal(output_add_receipt(&out, slice_of(item)), 0);
    assert_text(&out, expected);
}

static void assert_problem(int status, const char *body, const char *expected)
{
    struct buf out = {0};

    output_add_problem(&out, status, slice_of(body));
    assert_text(&out, expected);
}

static void terminal_gets_no_control_characters(void **state)
{
    (void)state;
    assert_plain(SLICE_LITERAL("a\nb\tc\rd"), "a\\nb\\tc\\rd");
    assert_plain(SLICE_LITERAL("\x1b[31m\0\x7f"), "\\x1b[31m\\x00\\x7f");
    assert_plain(SLICE_LITERAL("\xc2\x9b" "2J\xc2\x80"), "\\u009b2J\\u0080");
    assert_plain(SLICE_LITERAL("\xc2\xa0\xc3\x9b\xe2\x82\xac {\"a\":\"\\n\"}"),
                 "\xc2\xa0\xc3\x9b\xe2\x82\xac {\"a\":\"\\n\"}");
}

static void event_is_one_line_of_time_id_name_and_data(void **state)
{
    struct sse_event event = {SLICE_LITERAL("build"), SLICE_LITERAL("{\"a\":1}\nb"),
                              SLICE_LITERAL("e-7")};
    struct buf out = {0};

    (void)state;
    output_add_event(&out, 1500000000123, &event);
    assert_text(&out, "2017-07-14T02:40:00.123Z  e-7  build  {\"a\":1}\\nb\n");
    event.last_event_id = slice_of(NULL);
    output_add_event(&out, 0, &event);
    assert_text(&out, "1970-01-01T00:00:00.000Z  -  build  {\"a\":1}\\nb\n");
}

static void json_event_keeps_every_character(void **state)
{
    struct sse_event event = {SLICE_LITERAL("a\"b"), SLICE_LITERAL("{\"n\":1.0}\nx\0y\xc3\xa9"),
                              SLICE_LITERAL("e-7")};
    struct buf out = {0};

    (void)state;
    output_add_event_json(&out, &event);
    assert_text(&out, "{\"id\":\"e-7\",\"event\":\"a\\\"b\","
                      "\"data\":\"{\\\"n\\\":1.0}\\nx\\u0000y\xc3\xa9\"}\n");
}

static void receipt_tells_id_and_streams(void **state)
{
    (void)state;
    assert_receipt("{\"id\":\"e-1\",\"streams\":2}", "e-1  2 streams\n");
    assert_receipt("{\"streams\":1,\"id\":\"e-1\"}", "e-1  1 stream\n");
    assert_receipt("{\"id\":\"e-1\",\"streams\":0,\"duplicate\":true}",
                   "e-1  0 streams  duplicate\n");
    assert_receipt("{\"id\":\"e-3\",\"streams\":4,\"count\":3}",
                   "e-3  4 streams  3 notifications\n");
    assert_receipt("{\"id\":\"e\\u001b-1\"}", "e\\x1b-1\n");
}

static void answer_without_an_id_is_no_receipt(void **state)
{
    static const char *const answers[] = {"", "ok", "[]", "{}", "{\"id\":7}", "{\"id\":\"a\"",
                                          "<html>"};
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        assert_int_equal(output_add_receipt(&out, slice_of(answers[i])), -EINVAL);
    assert_int_equal(out.len, 0);
}

static void problem_is_told_by_its_best_text(void **state)
{
    (void)state;
    assert_problem(400, "{\"title\":\"Bad Request\",\"detail\":\"no \\\"data\\\"\"}",
                   "no \"data\"");
    assert_problem(400, "{\"title\":\"Bad Request\",\"detail\":\"\"}",
                   "the server answered with status 400");
    assert_problem(403, "{\"title\":\"Forbidden\"}", "Forbidden");
    assert_problem(502, "<html>Bad gateway</html>", "the server answered with status 502");
    assert_problem(503, "", "the server answered with status 503");
    assert_problem(400, "{\"detail\":17}", "the server answered with status 400");
    assert_problem(400, "{\"detail\":\"a\\nb\\u001b\"}", "a\\nb\\x1b");
}

static void sizes_are_for_people(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 bytes"}, {1, "1 byte"}, {1023, "1023 bytes"}, {1024, "1.0 KiB"},
                {1536, "1.5 KiB"}, {(uint64_t)5 << 30, "5.0 GiB"},
                {(uint64_t)5 << 50, "5120.0 TiB"}};

    struct buf text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text.len = 0;
        output_add_size(&text, rows[i].bytes);
        assert_int_equal(buf_add_char(&text, '\0'), 0);
        assert_string_equal(text.p, rows[i].text);
    }
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_for_people),
        cmocka_unit_test(terminal_gets_no_control_characters),
        cmocka_unit_test(event_is_one_line_of_time_id_name_and_data),
        cmocka_unit_test(json_event_keeps_every_character),
        cmocka_unit_test(receipt_tells_id_and_streams),
        cmocka_unit_test(answer_without_an_id_is_no_receipt),
        cmocka_unit_test(problem_is_told_by_its_best_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
