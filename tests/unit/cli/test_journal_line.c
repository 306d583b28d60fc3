/* test_journal_line.c - lines of an export, there and back, and those that are none. */
#include "cli/journal_line_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "cli/journal_priv.h"
#include "support/cm.h"

static struct journal_line line;
static struct buf text;

static int end(void **state)
{
    (void)state;
    journal_line_fini(&line);
    buf_fini(&text);
    line = (struct journal_line){.seq = 0};
    return 0;
}

/* What stands in `text`. */
static const char *written(void)
{
    assert_int_equal(buf_add_char(&text, '\0'), 0);
    text.len--;
    return text.p;
}

/* Reads what stands in `text`, a line with its end. */
static void read_back(void)
{
    struct error why = {.text = ""};

    assert_false(text.failed);
    assert_true(text.len > 0 && text.p[text.len - 1] == '\n');
    if (journal_line_read(&line, slice_make(text.p, text.len - 1), &why) != 0)
        fail_msg("%s: %.*s", why.text, (int)text.len, text.p);
}

static void assert_read(const char *given)
{
    struct error why = {.text = ""};

    if (journal_line_read(&line, slice_of(given), &why) != 0)
        fail_msg("%s: %s", why.text, given);
}

static void assert_refused(const char *given, const char *cause)
{
    struct error why = {.text = ""};

    assert_int_equal(journal_line_read(&line, slice_of(given), &why), -EINVAL);
    if (strstr(why.text, cause) == NULL)
        fail_msg("%s: \"%s\", not \"%s\"", given, why.text, cause);
}

static const struct record sample = {
    .seq = 17,
    .wall_ms = 1795493106789,
    .time_ms = 1795493107000,
    .expires_ms = 1795493999000,
    .to = {CHANNEL_USER, {"al\"ice", 6}},
    .event = {"build", 5},
    .collapse_key = {"main", 4},
    .data = {"{\"a\":1.0e2}", 11},
    .is_json = true,
};

static void an_entry_is_written_for_people_and_read_back(void **state)
{
    (void)state;
    journal_line_add_entry(&text, "abcd1234", &sample);
    assert_string_equal(written(),
                        "{\"id\":\"abcd1234-17\",\"user\":\"al\\\"ice\",\"event\":\"build\","
                        "\"at\":\"2026-11-24T04:05:06.789Z\","
                        "\"expires\":\"2026-11-24T04:19:59.000Z\",\"collapse_key\":\"main\","
                        "\"data\":{\"a\":1.0e2}}\n");
    read_back();
    assert_int_equal(line.kind, LINE_ENTRY);
    assert_string_equal(line.epoch, "abcd1234");
    assert_int_equal(line.seq, 17);
    assert_int_equal(line.at_ms, sample.wall_ms);
    assert_int_equal(line.clock_ms, 0); /* the clocks are not far apart */
    assert_int_equal(line.expires_ms, sample.expires_ms);
    assert_int_equal(line.to.kind, CHANNEL_USER);
    assert_true(slice_equal(line.to.name, sample.to.name));
    assert_true(slice_equal(line.event, sample.event));
    assert_true(slice_equal(line.collapse_key, sample.collapse_key));
    assert_true(slice_equal(line.data, sample.data));
    assert_true(line.is_json);
    assert_false(line.has_ttl);
}

static void text_comes_back_as_it_was_and_clocks_that_are_apart(void **state)
{
    struct record r = sample;

    (void)state;
    r.data = slice_make("a\0\n\xc3\xa9\"", 6);
    r.is_json = false;
    r.time_ms = r.wall_ms + 5000;
    r.expires_ms = RECORD_KEPT;
    r.collapse_key = slice_make(NULL, 0);
    r.to = (struct channel_name){.kind = CHANNEL_EVERYONE};
    journal_line_add_entry(&text, "abcd1234", &r);
    read_back();
    assert_true(slice_equal(line.data, r.data));
    assert_false(line.is_json);
    assert_int_equal(line.clock_ms, r.time_ms);
    assert_true(line.expires_ms == RECORD_KEPT);
    assert_int_equal(line.collapse_key.n, 0);
    assert_int_equal(line.to.kind, CHANNEL_EVERYONE);
    /* A line leaves nothing for the next. */
    assert_read("{\"topic\":\"t\",\"data\":\"\"}");
    assert_int_equal(line.clock_ms, 0);
    assert_int_equal(line.seq, 0);
    assert_string_equal(line.epoch, "");
    assert_true(slice_is(line.event, "notification"));
    assert_int_equal(line.data.n, 0);
    assert_int_equal(line.to.kind, CHANNEL_TOPIC);
}

static void the_other_lines_come_back(void **state)
{
    const struct journal_line head = {.epoch = "abcd1234", .seq = 99, .clock_ms = 1795493106789,
                                      .lost_all = 7, .lost_forgotten = 8};
    const struct channel_name topic = {CHANNEL_TOPIC, {"t", 1}};

    (void)state;
    journal_line_add_head(&text, &head);
    read_back();
    assert_int_equal(line.kind, LINE_HEAD);
    assert_string_equal(line.epoch, "abcd1234");
    assert_int_equal(line.seq, 99);
    assert_int_equal(line.clock_ms, 1795493106789);
    assert_int_equal(line.lost_all, 7);
    assert_int_equal(line.lost_forgotten, 8);

    text.len = 0;
    journal_line_add_loss(&text, "abcd1234", topic, 12);
    read_back();
    assert_int_equal(line.kind, LINE_LOSS);
    assert_int_equal(line.seq, 12);
    assert_int_equal(line.to.kind, CHANNEL_TOPIC);
    assert_true(slice_is(line.to.name, "t"));

    text.len = 0;
    journal_line_add_key(&text, "abcd1234", 13, 1795493106789, slice_of("k\"1"));
    read_back();
    assert_int_equal(line.kind, LINE_KEY);
    assert_int_equal(line.seq, 13);
    assert_int_equal(line.clock_ms, 1795493106789);
    assert_true(slice_is(line.idempotency_key, "k\"1"));

    text.len = 0;
    journal_line_add_end(&text, 5, true);
    read_back();
    assert_int_equal(line.kind, LINE_END);
    assert_int_equal(line.entries, 5);
    assert_true(line.is_complete);
    assert_read("{\"end\":true,\"entries\":5,\"complete\":false}");
    assert_false(line.is_complete);
}

static void a_plain_entry_has_what_is_left_of_its_ttl(void **state)
{
    struct record r = sample;

    (void)state;
    journal_line_add_plain(&text, &r, r.expires_ms - 1500);
    assert_string_equal(written(),
                        "{\"user\":\"al\\\"ice\",\"event\":\"build\",\"ttl\":1.500,"
                        "\"collapse_key\":\"main\",\"data\":{\"a\":1.0e2}}\n");
    read_back();
    assert_true(line.has_ttl);
    assert_int_equal(line.ttl_ms, 1500);
    text.len = 0;
    r.expires_ms = RECORD_KEPT;
    journal_line_add_plain(&text, &r, 0);
    read_back();
    assert_false(line.has_ttl);
}

static void data_is_made_compact_and_nothing_else(void **state)
{
    (void)state;
    assert_read("{\"user\":\"u\",\"data\":{ \"a\" : [ 1.00 , \"x y\" ] }}");
    assert_true(slice_is(line.data, "{\"a\":[1.00,\"x y\"]}"));
    assert_true(line.is_json);
}

static void a_bad_line_is_refused_with_its_cause(void **state)
{
    (void)state;
    assert_refused("", "no JSON at byte 0");
    assert_refused("{\"user\":\"u\",\"data\":01}", "no JSON at byte");
    assert_refused("[]", "must be a JSON object");
    assert_refused("{}", "needs data");
    assert_refused("{\"data\":1}", "exactly one of user, topic and broadcast; this has 0");
    assert_refused("{\"user\":\"u\",\"topic\":\"t\",\"data\":1}", "this has 2");
    assert_refused("{\"user\":\"u\",\"data\":1,\"data\":2}", "data is given twice");
    assert_refused("{\"user\":\"u\",\"data\":1,\"users\":[]}", "unknown field \"users\"");
    assert_refused("{\"user\":\"\",\"data\":1}", "user must be 1 to 256 bytes");
    assert_refused("{\"user\":\"a\\nb\",\"data\":1}", "user must be 1 to 256 bytes");
    assert_refused("{\"user\":5,\"data\":1}", "user must be a string");
    assert_refused("{\"user\":\"\\ud800\",\"data\":1}", "half a surrogate pair");
    assert_refused("{\"broadcast\":false,\"data\":1}", "broadcast can only be true");
    assert_refused("{\"user\":\"u\",\"event\":\"gap\",\"data\":1}", "the daemon itself uses");
    assert_refused("{\"user\":\"u\",\"event\":\"\",\"data\":1}", "event must be");
    assert_refused("{\"user\":\"u\",\"data\":1,\"id\":\"abcd1234\"}", "id must be an id");
    assert_refused("{\"user\":\"u\",\"data\":1,\"id\":\"abcd1234-0\"}", "id must be an id");
    assert_refused("{\"user\":\"u\",\"data\":1,\"id\":\"ABCD1234-1\"}", "id must be an id");
    assert_refused("{\"user\":\"u\",\"data\":1,\"id\":\"abcd1234-18446744073709551615\"}",
                   "id must be an id");
    assert_refused("{\"user\":\"u\",\"data\":1,\"at\":\"yesterday\"}", "at must be a time");
    assert_refused("{\"user\":\"u\",\"data\":1,\"ttl\":-1}", "ttl must be from 0");
    assert_refused("{\"user\":\"u\",\"data\":1,\"ttl\":1,\"expires\":\"2026-11-24T04:05:06Z\"}",
                   "say the same");
    assert_refused("{\"user\":\"u\",\"data\":1,\"collapse_key\":\"\"}", "collapse_key must be");
    assert_refused("{\"journal\":2,\"epoch\":\"abcd1234\",\"head\":1,"
                   "\"clock\":\"2026-11-24T04:05:06Z\"}",
                   "of format 2");
    assert_refused("{\"journal\":1,\"epoch\":\"abcd1234\"}", "the head of an export needs head");
    assert_refused("{\"journal\":1,\"epoch\":\"abcd123\",\"head\":1}", "epoch must be");
    assert_refused("{\"journal\":1,\"data\":1}", "needs epoch");
    assert_refused("{\"lost\":\"abcd1234-5\"}", "needs exactly one of");
    assert_refused("{\"lost\":\"abcd1234-5\",\"user\":\"u\",\"data\":1}", "cannot have data");
    assert_refused("{\"idempotency_key\":\"k\",\"id\":\"abcd1234-5\"}", "needs clock");
    assert_refused("{\"end\":true,\"entries\":1}", "needs complete");
    assert_refused("{\"end\":false,\"entries\":1,\"complete\":true}", "end can only be true");
}

static void progress_tells_count_rate_and_time_left(void **state)
{
    (void)state;
    progress_add_text(&text, "entries", 500, 2000, 2000);
    assert_string_equal(written(), "500 of 2000 entries, 250/s, 6 s left");
    text.len = 0;
    progress_add_text(&text, "entries", 500, 0, 2000);
    assert_string_equal(written(), "500 entries, 250/s");
    text.len = 0;
    progress_add_text(&text, "entries", 0, 10, 1500);
    assert_string_equal(written(), "0 of 10 entries, 0/s");
    text.len = 0;
    progress_add_text(&text, NULL, 3 << 20, 2 << 20, 1000);
    assert_string_equal(written(), "3.0 of 3.0 MiB, 3.0 MiB/s, 0 s left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_entry_is_written_for_people_and_read_back, end),
        cmocka_unit_test_teardown(text_comes_back_as_it_was_and_clocks_that_are_apart, end),
        cmocka_unit_test_teardown(the_other_lines_come_back, end),
        cmocka_unit_test_teardown(a_plain_entry_has_what_is_left_of_its_ttl, end),
        cmocka_unit_test_teardown(data_is_made_compact_and_nothing_else, end),
        cmocka_unit_test_teardown(a_bad_line_is_refused_with_its_cause, end),
        cmocka_unit_test_teardown(progress_tells_count_rate_and_time_left, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
