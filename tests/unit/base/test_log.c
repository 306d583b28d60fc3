/* test_log.c - log lines as their reader gets them: through a pipe. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "support/cm.h"

static int ends[2]; /* the log's pipe: we read from 0 */

static int open_pipe(void **state)
{
    (void)state;
    if (pipe(ends) != 0)
        return -1;
    return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static int close_pipe(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT, STDERR_FILENO, false);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What is in the pipe now; terminated. */
static const char *read_all(void)
{
    static char text[1 << 16];
    ssize_t n = read(ends[0], text, sizeof text - 1);

    assert_true(n >= 0 || errno == EAGAIN);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

/* The line after its time, which is checked for its shape. */
static const char *after_time(const char *line, const char *before, const char *behind)
{
    const char *shape = "dddd-dd-ddTdd:dd:dd.dddZ";

    assert_memory_equal(line, before, strlen(before));
    line += strlen(before);
    for (const char *s = shape; *s != '\0'; s++, line++)
        assert_true(*s == 'd' ? *line >= '0' && *line <= '9' : *line == *s);
    assert_memory_equal(line, behind, strlen(behind));
    return line + strlen(behind);
}

static void a_sentence_is_one_line_of_text(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], false);
    log_info("three %s", "words");
    assert_string_equal(after_time(read_all(), "", " "), "info    three words\n");
    log_error("x");
    assert_string_equal(after_time(read_all(), "", " "), "error   x\n");
}

static void a_sentence_is_one_line_of_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON, ends[1], false);
    log_warning("he said \"%s\"", "no\\yes");
    assert_string_equal(after_time(read_all(), "{\"time\":\"", "\","),
                        "\"level\":\"warning\",\"message\":\"he said \\\"no\\\\yes\\\"\"}\n");
}

static void a_sentence_with_line_ends_stays_one_line(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], false);
    log_info("a\nb\rc\td");
    assert_string_equal(after_time(read_all(), "", " "), "info    a b c d\n");
}

static void levels_below_the_chosen_one_are_silent(void **state)
{
    (void)state;
    log_setup(LOG_WARNING, LOG_TEXT, ends[1], false);
    log_debug("no");
    log_info("no");
    log_event(LOG_INFO, "no", log_u64("n", 1));
    assert_string_equal(read_all(), "");
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARNING));
    assert_true(log_enabled(LOG_ERROR));
}

static void fields_are_named_values(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], false);
    log_event(LOG_INFO, "stream closed", log_text("user", "alice"), log_u64("sent", UINT64_MAX));
    assert_string_equal(after_time(read_all(), "", " "),
                        "info    stream closed user=alice sent=18446744073709551615\n");
    log_setup(LOG_INFO, LOG_JSON, ends[1], false);
    log_event(LOG_INFO, "stream closed", log_text("user", "alice"), log_u64("sent", 3));
    assert_string_equal(after_time(read_all(), "{\"time\":\"", "\","),
                        "\"level\":\"info\",\"message\":\"stream closed\","
                        "\"user\":\"alice\",\"sent\":3}\n");
}

static void assert_text_value(struct slice value, const char *expected)
{
    char line[256];

    log_setup(LOG_INFO, LOG_TEXT, ends[1], false);
    log_event(LOG_INFO, "m", log_slice("k", value));
    snprintf(line, sizeof line, "info    m k=%s\n", expected);
    assert_string_equal(after_time(read_all(), "", " "), line);
}

static void a_value_can_forge_neither_a_field_nor_a_line(void **state)
{
    (void)state;
    assert_text_value(slice_of("plain-1.2:3/x"), "plain-1.2:3/x");
    assert_text_value(slice_of("a user=admin"), "\"a user=admin\"");
    assert_text_value(slice_of("a=b"), "\"a=b\"");
    assert_text_value(slice_of("a\nb"), "\"a\\u000ab\"");
    assert_text_value(slice_of("a\x1b[2Jb"), "\"a\\u001b[2Jb\"");
    assert_text_value(slice_of("a\x7f"), "\"a\\u007f\"");
    assert_text_value(slice_of("\""), "\"\\\"\"");
    assert_text_value(slice_of(""), "\"\"");
    assert_text_value(slice_make("a\0b", 3), "\"a\\u0000b\"");
    assert_text_value(slice_of("Zo\xc3\xab"), "\"Zo\xc3\xab\"");
    assert_text_value(slice_of("\xff"), "\"\xef\xbf\xbd\"");
}

static void assert_json_value(struct slice value, const char *expected)
{
    char line[256];

    log_setup(LOG_INFO, LOG_JSON, ends[1], false);
    log_event(LOG_INFO, "m", log_slice("k", value));
    snprintf(line, sizeof line, "\"level\":\"info\",\"message\":\"m\",\"k\":%s}\n", expected);
    assert_string_equal(after_time(read_all(), "{\"time\":\"", "\","), line);
}

static void json_lines_are_json_whatever_the_bytes(void **state)
{
    (void)state;
    assert_json_value(slice_of("plain"), "\"plain\"");
    assert_json_value(slice_of("\"\\\b\f\n\r\t"),
                      "\"\\\"\\\\\\u0008\\u000c\\u000a\\u000d\\u0009\"");
    assert_json_value(slice_make("\0\x1f\x7f", 3), "\"\\u0000\\u001f\\u007f\"");
    assert_json_value(slice_of("\xe2\x82\xac"), "\"\xe2\x82\xac\"");
    assert_json_value(slice_of("a\xc3"), "\"a\xef\xbf\xbd\"");
    assert_json_value(slice_of(NULL), "\"\"");
}

static void buffered_lines_wait_for_the_flush(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], true);
    log_info("one");
    log_info("two");
    assert_string_equal(read_all(), "");
    log_flush();
    assert_non_null(strstr(read_all(), "two\n"));
    log_flush();
    assert_string_equal(read_all(), "");
}

/* Reads until the drain has nothing left, and gathers what came. */
static void drain_into(struct buf *all)
{
    for (int turns = 0; turns < 10000; turns++) {
        const char *text = read_all();

        buf_add_text(all, text);
        log_flush();
        if (text[0] == '\0')
            return;
    }
    fail_msg("the log never ends");
}

static void a_reader_that_does_not_keep_up_costs_lines_not_time(void **state)
{
    enum { LINES = 30000 };
    uint64_t dropped_before = log_dropped();
    struct buf all = {0};
    size_t lines = 0;
    uint64_t dropped;
    char expected[64];

    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], true);
    for (int i = 0; i < LINES; i++) {
        log_info("line %d %0100d", i, 0);
        log_flush(); /* the pipe is full soon; must not wait */
    }
    dropped = log_dropped() - dropped_before;
    assert_in_range(dropped, 1, LINES);
    drain_into(&all);
    assert_int_equal(buf_add_char(&all, '\0'), 0);
    for (const char *p = strstr(all.p, " line "); p != NULL; p = strstr(p + 1, " line "))
        lines++;
    assert_int_equal(lines + dropped, LINES);
    snprintf(expected, sizeof expected, "%llu log lines dropped", (unsigned long long)dropped);
    assert_non_null(strstr(all.p, expected));
    buf_fini(&all);
}

static void draining_writes_what_is_left_at_the_end(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], true);
    log_info("last words");
    log_drain(1000);
    assert_non_null(strstr(read_all(), "last words\n"));
}

static void a_reader_that_is_gone_stops_nobody(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT, ends[1], true);
    close(ends[0]);
    for (int i = 0; i < 100; i++) {
        log_info("into the void");
        log_flush();
    }
    log_drain(100);
    ends[0] = dup(ends[1]); /* the teardown closes it */
}

static void a_file_gets_every_line(void **state)
{
    enum { LINES = 5000 };
    char path[] = "/tmp/test_log.XXXXXX";
    int fd = mkstemp(path);
    uint64_t dropped = log_dropped();
    size_t lines = 0;
    FILE *f;
    int c;

    (void)state;
    assert_true(fd >= 0);
    log_setup(LOG_INFO, LOG_JSON, fd, true);
    for (int i = 0; i < LINES; i++) {
        log_info("line %d %0200d", i, 0);
        log_flush();
    }
    log_drain(100);
    f = fopen(path, "r");
    assert_non_null(f);
    while ((c = getc(f)) != EOF)
        lines += c == '\n';
    fclose(f);
    close(fd);
    unlink(path);
    assert_int_equal(lines, LINES);
    assert_true(log_dropped() == dropped);
}

struct seen {
    size_t count;
    struct log_kept last;
};

static void see(void *ctx, const struct log_kept *line)
{
    struct seen *seen = ctx;

    seen->count++;
    seen->last = *line;
}

static void assert_last_kept(enum log_level level, const char *text)
{
    struct seen seen = {.count = 0};

    log_each_kept(see, &seen);
    assert_true(seen.count > 0);
    assert_int_equal(seen.last.level, level);
    assert_true(slice_is(seen.last.text, text));
}

static void the_last_warnings_and_errors_are_kept(void **state)
{
    uint64_t before = log_kept_total();
    char first[16];
    struct seen seen = {.count = 0};

    (void)state;
    log_setup(LOG_INFO, LOG_JSON, ends[1], false);
    log_error("one of %d", 2);
    log_info("not this");
    assert_last_kept(LOG_ERROR, "one of 2");
    log_event(LOG_WARNING, "two", log_text("user", "a \"b\""), log_u64("n", 7));
    assert_last_kept(LOG_WARNING, "two user=\"a \\\"b\\\"\" n=7");
    assert_true(log_kept_total() == before + 2);
    for (int i = 0; i < LOG_KEPT + 3; i++)
        log_warning("%d", i);
    log_each_kept(see, &seen);
    assert_int_equal(seen.count, LOG_KEPT);
    snprintf(first, sizeof first, "%d", LOG_KEPT + 2);
    assert_last_kept(LOG_WARNING, first);
}

static void a_long_line_is_kept_in_part_and_cut_between_characters(void **state)
{
    char text[2001];
    struct seen seen = {.count = 0};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof text - 1] = '\0';
    log_setup(LOG_INFO, LOG_TEXT, ends[1], false);
    log_error("x%s", text);
    log_each_kept(see, &seen);
    assert_in_range(seen.last.text.n, 400, 500);
    assert_true(slice_is_utf8(seen.last.text));
}

static void what_is_not_logged_is_not_kept(void **state)
{
    uint64_t before = log_kept_total();

    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT, ends[1], false);
    log_warning("silent");
    assert_true(log_kept_total() == before);
}

#define ON_PIPE(test) cmocka_unit_test_setup_teardown(test, open_pipe, close_pipe)

static void a_gate_opens_once_in_ten_seconds_and_tells_how_often_it_was_asked(void **state)
{
    struct log_gate gate = {0};
    uint64_t count = 0;

    (void)state;
    assert_true(log_gate_opens(&gate, 5000, &count));
    assert_int_equal(count, 1);
    for (int i = 0; i < 7; i++)
        assert_false(log_gate_opens(&gate, 14999, &count));
    assert_true(log_gate_opens(&gate, 15000, &count));
    assert_int_equal(count, 8);
    assert_true(log_gate_opens(&gate, 99000, &count));
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_PIPE(a_sentence_is_one_line_of_text),
        ON_PIPE(a_sentence_is_one_line_of_json),
        ON_PIPE(a_sentence_with_line_ends_stays_one_line),
        ON_PIPE(levels_below_the_chosen_one_are_silent),
        ON_PIPE(fields_are_named_values),
        ON_PIPE(a_value_can_forge_neither_a_field_nor_a_line),
        ON_PIPE(json_lines_are_json_whatever_the_bytes),
        ON_PIPE(buffered_lines_wait_for_the_flush),
        ON_PIPE(a_reader_that_does_not_keep_up_costs_lines_not_time),
        ON_PIPE(draining_writes_what_is_left_at_the_end),
        ON_PIPE(a_reader_that_is_gone_stops_nobody),
        ON_PIPE(a_file_gets_every_line),
        cmocka_unit_test(a_gate_opens_once_in_ten_seconds_and_tells_how_often_it_was_asked),
        ON_PIPE(the_last_warnings_and_errors_are_kept),
        ON_PIPE(a_long_line_is_kept_in_part_and_cut_between_characters),
        ON_PIPE(what_is_not_logged_is_not_kept),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
