/* test_sse.c - the bytes of events, and their payload read back. */
#include "message/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

static struct message *encode(struct slice data)
{
    struct notification n = {.event = {"ready", 5}, .data = data, .is_json = true};
    struct message *m = sse_encode(&n, "abcdefgh", 42, 1700000000000);

    assert_non_null(m);
    return m;
}

/* The event's lines between its name and its blank line, and the payload as it is read back. */
static void assert_data_bytes(struct slice data, const char *lines, struct slice back)
{
    static const char start[] = "id: abcdefgh-42\nevent: ready\n";
    struct message *m = encode(data);
    struct slice body = message_wire(m, false);
    struct buf text = {0};

    assert_true(body.n > sizeof start && memcmp(body.p, start, sizeof start - 1) == 0);
    assert_memory_equal(body.p + body.n - 2, "\n\n", 2);
    assert_slice(slice_make(body.p + sizeof start - 1, body.n - sizeof start), lines);
    assert_int_equal(sse_add_data(&text, m), 0);
    assert_true(slice_equal(buf_slice(&text), back));
    buf_fini(&text);
    message_unref(m);
}

/* The same lines, whatever is read back. */
static void assert_lines(struct slice data, const char *lines)
{
    struct message *m = encode(data);
    struct slice body = message_wire(m, false);

    body.p += strlen("id: abcdefgh-42\nevent: ready\n");
    assert_memory_equal(body.p, lines, strlen(lines));
    message_unref(m);
}

static void assert_data(const char *data, const char *lines, const char *back)
{
    assert_data_bytes(slice_of(data), lines, slice_of(back));
}

static void an_event_has_id_name_data_and_a_blank_line(void **state)
{
    struct message *m = encode(SLICE_LITERAL("{\"a\":1}"));

    (void)state;
    assert_slice(message_wire(m, false),
                 "id: abcdefgh-42\nevent: ready\ndata: {\"a\":1}\n\n");
    assert_slice(message_wire(m, true),
                 "2c\r\nid: abcdefgh-42\nevent: ready\ndata: {\"a\":1}\n\n\r\n");
    assert_slice(sse_event(m), "ready");
    assert_int_equal(m->seq, 42);
    assert_true(m->at_ms == 1700000000000);
    assert_true(m->is_json);
    assert_false(m->is_withdrawn);
    message_unref(m);
}

static void each_line_of_the_payload_is_a_line_of_data(void **state)
{
    (void)state;
    assert_data("one", "data: one\n", "one");
    assert_data("one\ntwo", "data: one\ndata: two\n", "one\ntwo");
    assert_data("one\rtwo", "data: one\ndata: two\n", "one\ntwo");
    assert_data("one\r\ntwo", "data: one\ndata: two\n", "one\ntwo");
    assert_data("one\n\rtwo", "data: one\ndata: \ndata: two\n", "one\n\ntwo");
    assert_data("one\n", "data: one\ndata: \n", "one\n");
    assert_data("\n", "data: \ndata: \n", "\n");
    assert_data("\r\r\n", "data: \ndata: \ndata: \n", "\n\n");
}

/* Line ends at every place of payloads of every short length, each in a block of its own so that a
 * sanitizer sees a byte read behind its end. */
static void a_line_end_is_found_wherever_it_stands(void **state)
{
    enum { LONGEST = 34 };

    (void)state;
    for (size_t n = 1; n < LONGEST; n++) {
        for (size_t at = 0; at < n; at++) {
            char *data = malloc(n);
            char lines[LONGEST + 16];

            assert_non_null(data);
            memset(data, '\x0b', n); /* next to both line ends */
            snprintf(lines, sizeof lines, "data: %.*s\ndata: %.*s\n", (int)at, data,
                     (int)(n - at - 1), data + at + 1);
            data[at] = '\n';
            assert_data_bytes(slice_make(data, n), lines, slice_make(data, n));
            data[at] = '\r';
            assert_lines(slice_make(data, n), lines);
            free(data);
        }
    }
}

static void an_empty_payload_is_an_empty_line_of_data(void **state)
{
    (void)state;
    assert_data("", "data: \n", "");
    assert_data_bytes(slice_make(NULL, 0), "data: \n", slice_make("", 0));
}

static void blanks_and_colons_at_a_lines_start_are_kept(void **state)
{
    (void)state;
    assert_data(" x", "data:  x\n", " x");
    assert_data(":x\nid: 9", "data: :x\ndata: id: 9\n", ":x\nid: 9");
}

static void a_nul_within_the_payload_is_kept(void **state)
{
    struct message *m = encode(slice_make("a\0b\nc", 5));
    struct buf text = {0};

    (void)state;
    assert_int_equal(sse_add_data(&text, m), 0);
    assert_int_equal(text.len, 5);
    assert_memory_equal(text.p, "a\0b\nc", 5);
    buf_fini(&text);
    message_unref(m);
}

static struct slice control(struct message *m)
{
    assert_non_null(m);
    return message_wire(m, false);
}

static void a_control_event_says_only_what_it_has_to(void **state)
{
    struct message *m = sse_encode_control("bye", slice_make(NULL, 0), 0, SLICE_LITERAL("{}"));

    (void)state;
    assert_slice(control(m), "event: bye\ndata: {}\n\n");
    assert_int_equal(m->seq, 0);
    message_unref(m);
    m = sse_encode_control("gap", SLICE_LITERAL("abcdefgh-7"), 2500, SLICE_LITERAL("{\"a\":1}"));
    assert_slice(control(m), "retry: 2500\nid: abcdefgh-7\nevent: gap\ndata: {\"a\":1}\n\n");
    message_unref(m);
}

static void a_heartbeat_is_the_shortest_comment(void **state)
{
    struct message *m = sse_encode_comment();

    (void)state;
    assert_non_null(m);
    assert_slice(message_wire(m, false), ":\n\n");
    assert_slice(message_wire(m, true), "3\r\n:\n\n\r\n");
    message_unref(m);
}

static void a_preamble_stands_behind_the_head_in_a_chunk_of_its_own(void **state)
{
    static const char body[] = "retry: 2000\n: connected 00000000000000ff\nid: abcdefgh-0\n\n";
    struct slice head = SLICE_LITERAL("HTTP/1.1 200 OK\r\n\r\n");
    struct slice id = SLICE_LITERAL("abcdefgh-0");
    struct message *m = sse_encode_preamble(head, false, 2000, 255, id);
    char expected[256];

    (void)state;
    assert_non_null(m);
    snprintf(expected, sizeof expected, "%s%s", head.p, body);
    assert_slice(message_wire(m, false), expected);
    message_unref(m);
    m = sse_encode_preamble(head, true, 2000, 255, id);
    assert_non_null(m);
    snprintf(expected, sizeof expected, "%s%zx\r\n%s\r\n", head.p, sizeof body - 1, body);
    assert_slice(message_wire(m, true), expected); /* the head gets no framing */
    message_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_has_id_name_data_and_a_blank_line),
        cmocka_unit_test(each_line_of_the_payload_is_a_line_of_data),
        cmocka_unit_test(a_line_end_is_found_wherever_it_stands),
        cmocka_unit_test(an_empty_payload_is_an_empty_line_of_data),
        cmocka_unit_test(blanks_and_colons_at_a_lines_start_are_kept),
        cmocka_unit_test(a_nul_within_the_payload_is_kept),
        cmocka_unit_test(a_control_event_says_only_what_it_has_to),
        cmocka_unit_test(a_heartbeat_is_the_shortest_comment),
        cmocka_unit_test(a_preamble_stands_behind_the_head_in_a_chunk_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
