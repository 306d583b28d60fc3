/* What is heard of a stream is written down as one text, so that a test reads as stream and
 * transcript: [type|data|id] an event, {text} a comment, <ms> a retry. Every stream is read three
 * times: whole, byte by byte, and cut in two at each place; all must be heard alike. */
#include "message/sse_parser.h"

#include <errno.h>
#include <stdlib.h>
#include "base/buf.h"
#include "support/cm.h"

struct listener {
    struct buf heard;
    size_t events_until_stop; /* 0: never stops */
};

enum { STOPPED = 7 };

static int hear_event(void *arg, const struct sse_event *event)
{
    struct listener *l = arg;

    buf_add_char(&l->heard, '[');
    buf_add_slice(&l->heard, event->type);
    buf_add_char(&l->heard, '|');
    buf_add_slice(&l->heard, event->data);
    buf_add_char(&l->heard, '|');
    buf_add_slice(&l->heard, event->last_event_id);
    buf_add_char(&l->heard, ']');
    return l->events_until_stop > 0 && --l->events_until_stop == 0 ? STOPPED : 0;
}

static int hear_comment(void *arg, struct slice text)
{
    struct listener *l = arg;

    buf_add_char(&l->heard, '{');
    buf_add_slice(&l->heard, text);
    buf_add_char(&l->heard, '}');
    return 0;
}

static int hear_retry(void *arg, uint64_t retry_ms)
{
    struct listener *l = arg;

    buf_add_char(&l->heard, '<');
    buf_add_u64(&l->heard, retry_ms);
    buf_add_char(&l->heard, '>');
    return 0;
}

static const struct sse_handlers all_handlers = {hear_event, hear_comment, hear_retry};

static struct sse_parser *make_parser(size_t max_event_bytes, struct listener *l)
{
    struct sse_parser *p = sse_parser_create(max_event_bytes, &all_handlers, l);

    assert_non_null(p);
    return p;
}

/* Feeds exactly `n` bytes from a block of their own, so that a sanitizer sees a read past them. */
static int feed(struct sse_parser *p, const char *bytes, size_t n)
{
    char *copy = malloc(n == 0 ? 1 : n);
    int rc;

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    rc = sse_parser_feed(p, copy, n);
    free(copy);
    return rc;
}

static int feed_text(struct sse_parser *p, const char *text)
{
    return feed(p, text, strlen(text));
}

static void assert_heard_and_forget(struct listener *l, struct slice expected)
{
    if (!slice_equal(buf_slice(&l->heard), expected))
        print_error("heard    %.*s\nexpected %.*s\n", SLICE_ARG(buf_slice(&l->heard)),
                    SLICE_ARG(expected));
    assert_true(slice_equal(buf_slice(&l->heard), expected));
    buf_fini(&l->heard);
}

static void assert_stream_bytes(struct slice stream, struct slice expected)
{
    struct listener l = {0};
    struct sse_parser *p;

    for (size_t cut = 0; cut <= stream.n; cut++) {
        p = make_parser(4096, &l);
        assert_int_equal(feed(p, stream.p, cut), 0);
        assert_int_equal(feed(p, stream.p + cut, stream.n - cut), 0);
        assert_heard_and_forget(&l, expected);
        sse_parser_destroy(p);
    }
    p = make_parser(4096, &l);
    for (size_t i = 0; i < stream.n; i++)
        assert_int_equal(feed(p, stream.p + i, 1), 0);
    assert_heard_and_forget(&l, expected);
    sse_parser_destroy(p);
}

static void assert_stream(const char *stream, const char *expected)
{
    assert_stream_bytes(slice_of(stream), slice_of(expected));
}

/* The four examples of the standard's section on the format. */
static void examples_of_the_standard_read_as_it_says(void **state)
{
    (void)state;
    assert_stream("data: YHOO\ndata: +2\ndata: 10\n\n", "[message|YHOO\n+2\n10|]");
    assert_stream(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
                  "data:  third event",
                  "{test stream}[message|first event|1][message|second event|]");
    assert_stream("data\n\ndata\ndata\n\ndata:", "[message||][message|\n|]");
    assert_stream("data:test\n\ndata: test\n\n", "[message|test|][message|test|]");
}

static void lf_cr_and_crlf_all_end_lines(void **state)
{
    (void)state;
    assert_stream("data: a\r\ndata: b\rdata: c\n\r\n", "[message|a\nb\nc|]");
    assert_stream("data: a\r\rdata: b\r\n\r\ndata: c\n\n",
                  "[message|a|][message|b|][message|c|]");
    assert_stream("data: a\n\r", "[message|a|]");
    assert_stream("data: a\r\n\n", "[message|a|]");
    assert_stream("data: a\r\n\r", "[message|a|]");
}

static void one_leading_byte_order_mark_is_dropped(void **state)
{
    (void)state;
    assert_stream("\xef\xbb\xbf" "data: a\n\n", "[message|a|]");
    assert_stream("\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\ndata: b\n\n", "[message|b|]");
    assert_stream("\n\xef\xbb\xbf" "data: a\n\n", "");
    assert_stream("\xef\xbb\xbf: c\n", "{c}");
    assert_stream("data: \xef\xbb\xbf" "a\n\n", "[message|\xef\xbb\xbf" "a|]");
}

static void event_names_last_one_block(void **state)
{
    (void)state;
    assert_stream("event: build\ndata: 1\n\ndata: 2\n\n", "[build|1|][message|2|]");
    assert_stream("event: a\nevent: b\ndata: 1\n\n", "[b|1|]");
    assert_stream("event: a\nevent\ndata: 1\n\n", "[message|1|]");
    assert_stream("event: lost\n\ndata: 1\n\n", "[message|1|]");
}

static void ids_last_until_the_next_one(void **state)
{
    (void)state;
    assert_stream("id: 7\ndata: a\n\ndata: b\n\nid: 8\ndata: c\n\nid\ndata: d\n\n",
                  "[message|a|7][message|b|7][message|c|8][message|d|]");
}

static void block_with_only_an_id_fires_nothing_but_counts(void **state)
{
    (void)state;
    assert_stream("id: 7\n\ndata: a\n\n", "[message|a|7]");
}

static void id_with_nul_is_ignored(void **state)
{
    (void)state;
    assert_stream_bytes(SLICE_LITERAL("id: 1\nid: 2\0003\ndata: a\n\n"),
                        SLICE_LITERAL("[message|a|1]"));
}

static void nul_in_data_is_kept(void **state)
{
    (void)state;
    assert_stream_bytes(SLICE_LITERAL("data: a\0b\n\n"), SLICE_LITERAL("[message|a\0b|]"));
}

static void retry_takes_digits_only(void **state)
{
    (void)state;
    assert_stream("retry: 2500\nretry:0\n", "<2500><0>");
    assert_stream("retry\nretry:\nretry: -1\nretry: 1.5\nretry: 10s\nretry:  5\nretry: +5\n", "");
    assert_stream("retry: 99999999999999999999\n", "<18446744073709551615>");
    assert_stream("retry: 99999999999999999999x\n", "");
}

static void comments_and_unknown_fields_do_not_touch_the_event(void **state)
{
    (void)state;
    assert_stream("data: a\n: hello\n:\n: \n:::\nfoo: bar\nDATA: b\ndata : c\nfoo\ndata: d\n\n",
                  "{hello}{}{}{::}[message|a\nd|]");
}

static void only_one_blank_after_the_colon_is_dropped(void **state)
{
    (void)state;
    assert_stream("data:  a\ndata:\tb\ndata:c:d \n\n", "[message| a\n\tb\nc:d |]");
}

static void event_without_its_blank_line_is_not_told(void **state)
{
    (void)state;
    assert_stream("data: a\n", "");
    assert_stream("data: a\n\ndata: b\nid: 9\n", "[message|a|]");
}

/* The runs of the Encoding standard's decoder: one replacement for each maximal bad run. */
static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    (void)state;
    assert_stream("data: a\xff" "b\n\n", "[message|a\xef\xbf\xbd" "b|]");
    assert_stream("data: \xe2\x82\n\n", "[message|\xef\xbf\xbd|]");
    assert_stream("data: \xe2\x28\n\n", "[message|\xef\xbf\xbd(|]");
    assert_stream("data: \xf0\x9f\x98\xe2\x82\xac\n\n", "[message|\xef\xbf\xbd\xe2\x82\xac|]");
    assert_stream("data: \xed\xa0\x80.\n\n",
                  "[message|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.|]");
    assert_stream("data: \xf4\x90\x80\x80.\n\n",
                  "[message|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.|]");
    assert_stream("data: \xe0\x9f\xc0\xaf\xf0\x8f.\n\n",
                  "[message|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                  "\xef\xbf\xbd.|]");
    assert_stream(": \xc3\n", "{\xef\xbf\xbd}");
    assert_stream("event: \x80\nid: \x80\ndata: \xc3\xa9\n\n",
                  "[\xef\xbf\xbd|\xc3\xa9|\xef\xbf\xbd]");
}

static void event_over_the_bound_is_an_error_that_stays(void **state)
{
    struct listener l = {0};
    struct sse_parser *p = make_parser(16, &l);

    (void)state;
    assert_int_equal(feed_text(p, "data: 0123456789\n\n"), 0); /* a line of 16 */
    assert_int_equal(feed_text(p, "data: 01234567890"), -EMSGSIZE);
    assert_int_equal(feed_text(p, "\n\n"), -EMSGSIZE);
    assert_heard_and_forget(&l, SLICE_LITERAL("[message|0123456789|]"));
    sse_parser_destroy(p);
}

static void lines_of_one_event_are_bounded_together(void **state)
{
    struct listener l = {0};
    struct sse_parser *p = make_parser(16, &l);

    (void)state;
    assert_int_equal(feed_text(p, "data:123456\ndata:7890"), 0); /* 7 kept and 9 read */
    assert_int_equal(feed_text(p, "1"), -EMSGSIZE);
    sse_parser_restart(p);
    assert_int_equal(feed_text(p, "data:123456\ndata:78901\n"), -EMSGSIZE);
    sse_parser_restart(p);
    assert_int_equal(feed_text(p, "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n"), 0);
    assert_int_equal(feed_text(p, "data\ndata\ndata\ndata\ndata\n"), 0);
    assert_int_equal(feed_text(p, "data\n"), -EMSGSIZE);
    sse_parser_destroy(p);
    buf_fini(&l.heard);
}

static void handler_can_end_the_feed(void **state)
{
    struct listener l = {.events_until_stop = 2};
    struct sse_parser *p = make_parser(100, &l);

    (void)state;
    assert_int_equal(feed_text(p, "data: 1\n\ndata: 2\n\ndata: 3\n\n"), STOPPED);
    assert_int_equal(feed_text(p, "data: 4\n\n"), STOPPED);
    assert_heard_and_forget(&l, SLICE_LITERAL("[message|1|][message|2|]"));
    sse_parser_destroy(p);
}

static void restart_forgets_all_but_the_last_id(void **state)
{
    struct listener l = {0};
    struct sse_parser *p = make_parser(100, &l);

    (void)state;
    assert_int_equal(feed_text(p, "id: 5\n\nid: 6\nevent: x\ndata: lost\nda"), 0);
    assert_true(slice_is(sse_parser_last_event_id(p), "5"));
    sse_parser_restart(p);
    assert_true(slice_is(sse_parser_last_event_id(p), "5"));
    assert_int_equal(feed_text(p, "\xef\xbb\xbf" "data: a\n\n"), 0);
    assert_heard_and_forget(&l, SLICE_LITERAL("[message|a|5]"));
    sse_parser_destroy(p);
}

static void unfinished_block_does_not_move_the_last_id(void **state)
{
    struct listener l = {0};
    struct sse_parser *p = make_parser(100, &l);

    (void)state;
    assert_true(slice_is(sse_parser_last_event_id(p), ""));
    assert_int_equal(feed_text(p, "id: 1\ndata: a\n\nid: 2\ndata: b\n"), 0);
    assert_true(slice_is(sse_parser_last_event_id(p), "1"));
    assert_int_equal(feed_text(p, "\n"), 0);
    assert_true(slice_is(sse_parser_last_event_id(p), "2"));
    sse_parser_destroy(p);
    buf_fini(&l.heard);
}

static void handlers_may_be_missing(void **state)
{
    static const struct sse_handlers none = {0};
    struct sse_parser *p = sse_parser_create(100, &none, NULL);

    (void)state;
    assert_non_null(p);
    assert_int_equal(feed_text(p, ": c\nretry: 1\nid: 3\ndata: a\n\n"), 0);
    assert_true(slice_is(sse_parser_last_event_id(p), "3"));
    sse_parser_destroy(p);
    sse_parser_destroy(NULL);
}

static void parser_without_a_bound_is_refused(void **state)
{
    (void)state;
    errno = 0;
    assert_null(sse_parser_create(0, &all_handlers, NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(sse_parser_create(1, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_standard_read_as_it_says),
        cmocka_unit_test(lf_cr_and_crlf_all_end_lines),
        cmocka_unit_test(one_leading_byte_order_mark_is_dropped),
        cmocka_unit_test(event_names_last_one_block),
        cmocka_unit_test(ids_last_until_the_next_one),
        cmocka_unit_test(block_with_only_an_id_fires_nothing_but_counts),
        cmocka_unit_test(id_with_nul_is_ignored),
        cmocka_unit_test(nul_in_data_is_kept),
        cmocka_unit_test(retry_takes_digits_only),
        cmocka_unit_test(comments_and_unknown_fields_do_not_touch_the_event),
        cmocka_unit_test(only_one_blank_after_the_colon_is_dropped),
        cmocka_unit_test(event_without_its_blank_line_is_not_told),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(event_over_the_bound_is_an_error_that_stays),
        cmocka_unit_test(lines_of_one_event_are_bounded_together),
        cmocka_unit_test(handler_can_end_the_feed),
        cmocka_unit_test(restart_forgets_all_but_the_last_id),
        cmocka_unit_test(unfinished_block_does_not_move_the_last_id),
        cmocka_unit_test(handlers_may_be_missing),
        cmocka_unit_test(parser_without_a_bound_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
