/* test_message.c - counted bytes in a chunk's framing, and the rules of names. */
#include "message/message.h"

#include <string.h>
#include "message/notification.h"
#include "support/cm.h"

static void a_message_is_a_chunk_and_its_body_within(void **state)
{
    struct message *m = message_create(300);
    struct slice chunk;
    struct slice body;

    (void)state;
    assert_non_null(m);
    memset(m->wire + m->body_at, 'x', 300);
    chunk = message_wire(m, true);
    body = message_wire(m, false);
    assert_int_equal(chunk.n, 5 + 300 + 2);
    assert_memory_equal(chunk.p, "12c\r\n", 5);
    assert_memory_equal(chunk.p + 305, "\r\n", 2);
    assert_int_equal(body.n, 300);
    assert_ptr_equal(body.p, chunk.p + 5);
    assert_int_equal(message_size(m), sizeof *m + chunk.n);
    message_unref(m);
}

static void an_empty_body_is_the_last_chunk(void **state)
{
    struct message *m = message_create(0);

    (void)state;
    assert_non_null(m);
    assert_slice(message_wire(m, true), "0\r\n\r\n");
    assert_slice(message_wire(m, false), "");
    message_unref(m);
}

static void a_size_that_cannot_be_had_is_refused(void **state)
{
    (void)state;
    assert_null(message_create(SIZE_MAX));
    assert_null(message_create(SIZE_MAX - 8));
    assert_null(message_create(UINT32_MAX));
}

static void a_message_lives_until_its_last_reference_ends(void **state)
{
    struct message *m = message_create(1);

    (void)state;
    assert_non_null(m);
    assert_int_equal(m->refs, 1);
    assert_ptr_equal(message_ref(m), m);
    message_unref(m);
    assert_int_equal(m->refs, 1); /* a sanitizer says when it is not there any more */
    message_unref(m);
    message_unref(NULL);
}

static struct slice of_length(char *room, size_t n)
{
    memset(room, 'n', n);
    return slice_make(room, n);
}

static void names_of_users_and_topics_are_short_text(void **state)
{
    char room[MAX_CHANNEL_NAME + 1];

    (void)state;
    assert_true(channel_name_is_valid(slice_of("alice")));
    assert_true(channel_name_is_valid(slice_of("a b/c?d#e%f")));
    assert_true(channel_name_is_valid(slice_of("zo\xc3\xab")));
    assert_true(channel_name_is_valid(of_length(room, MAX_CHANNEL_NAME)));
    assert_false(channel_name_is_valid(of_length(room, MAX_CHANNEL_NAME + 1)));
    assert_false(channel_name_is_valid(slice_of("")));
    assert_false(channel_name_is_valid(slice_make(NULL, 0)));
    assert_false(channel_name_is_valid(slice_of("a\nb")));
    assert_false(channel_name_is_valid(slice_of("a\x7f")));
    assert_false(channel_name_is_valid(slice_make("a\0b", 3)));
    assert_false(channel_name_is_valid(slice_of("zo\xeb")));
    assert_false(channel_name_is_valid(slice_of("\xed\xa0\x80"))); /* half a surrogate pair */
}

static void events_have_names_that_the_daemon_does_not_use(void **state)
{
    static const char *const reserved[] = {"gap", "bye", "retract", "ping", "expiring"};
    char room[MAX_EVENT_NAME + 1];

    (void)state;
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        assert_true(event_name_is_reserved(slice_of(reserved[i])));
        assert_false(event_name_is_valid(slice_of(reserved[i])));
    }
    assert_true(event_name_is_valid(slice_of("Gap")));
    assert_true(event_name_is_valid(slice_of("gaps")));
    assert_true(event_name_is_valid(slice_of("message")));
    assert_true(event_name_is_valid(of_length(room, MAX_EVENT_NAME)));
    assert_false(event_name_is_valid(of_length(room, MAX_EVENT_NAME + 1)));
    assert_false(event_name_is_valid(slice_of("")));
    assert_false(event_name_is_valid(slice_of("a\rdata: b")));
    assert_false(event_name_is_valid(slice_of("\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_a_chunk_and_its_body_within),
        cmocka_unit_test(an_empty_body_is_the_last_chunk),
        cmocka_unit_test(a_size_that_cannot_be_had_is_refused),
        cmocka_unit_test(a_message_lives_until_its_last_reference_ends),
        cmocka_unit_test(names_of_users_and_topics_are_short_text),
        cmocka_unit_test(events_have_names_that_the_daemon_does_not_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
