/* test_webhooks.c - what a receiver is told, when, and what not. */
#include "fake_receiver.h"

static void the_first_request_is_that_nobody_is_online_and_the_others_wait(void **state)
{
    struct request *r;

    (void)state;
    world_clear();
    w.w = make_webhooks();
    online("alice");
    tick();
    r = next_request();
    assert_string_equal(r->body, "{\"type\":\"presence.reset\",\"timestamp\":\"2026-01-01T00:00:00"
                                 ".000Z\",\"data\":{}}");
    assert_quiet();
    answer(r, 500);
    assert_quiet();
    pass(1500);
    assert_string_equal(next_request()->body, r->body);
    assert_quiet();
    answer(&w.requests[1], 200);
    answer(expect("user.online", "alice"), 200);
    assert_int_equal(w.stats.webhook_events_delivered, 2);
    world_end();
}

static void a_request_has_the_headers_of_standard_webhooks(void **state)
{
    struct request *r;
    char id[256];

    (void)state;
    world_begin();
    pass(4000);
    online("a\"l");
    tick();
    r = next_request();
    assert_string_equal(r->body, "{\"type\":\"user.online\",\"timestamp\":\"2026-01-01T00:00:04"
                                 ".000Z\",\"data\":{\"user\":\"a\\\"l\"}}");
    assert_string_equal(r->headers[0], "Content-Type: application/json");
    assert_int_equal(strncmp(r->headers[1], "webhook-id: msg_", 16), 0);
    assert_null(strchr(r->headers[1], '.'));
    assert_string_equal(r->headers[2], "webhook-timestamp: 1767225604");
    assert_int_equal(strncmp(r->headers[3], "webhook-signature: v1,", 22), 0);
    assert_int_equal(strlen(r->headers[3]), 22 + 44);
    strcpy(id, r->headers[1]);
    answer(r, 200);
    told_online("bob");
    assert_string_not_equal(id, w.requests[w.seen - 1].headers[1]);
    world_end();
}

static void the_end_of_the_last_stream_is_told_after_the_grace(void **state)
{
    (void)state;
    world_begin();
    told_online("alice");
    assert_int_equal(w.stats.webhook_users_waiting, 0); /* who was told takes no memory */
    pass(5000);
    offline("alice");
    assert_int_equal(w.stats.webhook_users_waiting, 1);
    pass(GRACE_MS - 1);
    assert_quiet();
    pass(1);
    answer(expect("user.offline", "alice"), 200);
    assert_non_null(strstr(w.requests[2].body, "2026-01-01T00:00:05.000Z")); /* when it ended */
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
}

static void who_comes_back_within_the_grace_is_no_news(void **state)
{
    (void)state;
    world_begin();
    told_online("alice");
    for (int i = 0; i < 5; i++) {
        offline("alice");
        pass(GRACE_MS - 1);
        online("alice");
        pass(GRACE_MS - 1);
    }
    assert_quiet();
    assert_int_equal(w.stats.webhook_events_cancelled, 5);
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
}

static void news_that_turns_back_before_it_is_sent_is_none(void **state)
{
    (void)state;
    world_begin();
    online("alice");
    offline("alice");
    pass(2 * GRACE_MS);
    assert_quiet();
    world_end();
}

static void of_one_user_one_request_is_under_way_at_a_time(void **state)
{
    struct request *r;

    (void)state;
    world_begin();
    online("alice");
    tick();
    r = expect("user.online", "alice");
    offline("alice");
    pass(2 * GRACE_MS);
    assert_quiet();
    answer(r, 200);
    r = expect("user.offline", "alice"); /* its grace is over already */
    online("alice");
    offline("alice");
    answer(r, 200);
    pass(2 * GRACE_MS);
    assert_quiet();
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
}

static void a_failed_attempt_is_repeated_and_only_its_time_is_new(void **state)
{
    struct request *first;
    struct request *second;

    (void)state;
    world_begin();
    online("alice");
    tick();
    first = expect("user.online", "alice");
    pass(3000);
    answer(first, 500);
    pass(WEBHOOK_RETRY_MS - 1);
    assert_quiet();
    pass(WEBHOOK_RETRY_MS / 2 + 100);
    second = expect("user.online", "alice");
    assert_string_equal(second->body, first->body);
    assert_string_equal(second->headers[1], first->headers[1]);
    assert_string_not_equal(second->headers[2], first->headers[2]);
    assert_string_not_equal(second->headers[3], first->headers[3]);
    answer(second, 200);
    pass(60000);
    assert_quiet();
    assert_int_equal(w.stats.webhook_attempts_failed, 1);
    world_end();
}

static void what_may_have_been_understood_is_taken_back_aloud(void **state)
{
    struct request *first;
    struct request *again;

    (void)state;
    world_begin();
    online("alice");
    tick();
    first = expect("user.online", "alice");
    answer(first, 500);
    offline("alice");
    pass(GRACE_MS);
    answer(expect("user.offline", "alice"), 200);

    online("bob");
    tick();
    first = expect("user.online", "bob");
    offline("bob"); /* while it is under way */
    answer(first, 500);
    pass(GRACE_MS / 2);
    online("bob"); /* told or not, as far as anybody knows */
    tick();
    again = expect("user.online", "bob");
    assert_string_not_equal(again->headers[1], first->headers[1]);
    answer(again, 200);
    pass(2 * GRACE_MS);
    assert_quiet();
    world_end();
}

static void attempts_come_further_apart_up_to_a_bound(void **state)
{
    uint64_t most_ms = (uint64_t)WEBHOOK_RETRY_MS << WEBHOOK_DOUBLINGS;
    uint64_t expected_ms = WEBHOOK_RETRY_MS;

    (void)state;
    world_begin();
    online("alice");
    tick();
    for (int i = 0; i < 12; i++) {
        uint64_t failed_ms = w.time.now_ms;

        answer(expect("user.online", "alice"), 500);
        while (w.seen == w.count)
            pass(100);
        assert_in_range(w.time.now_ms - failed_ms, expected_ms, expected_ms * 3 / 2 + 100);
        expected_ms = expected_ms < most_ms ? 2 * expected_ms : most_ms;
    }
    world_end();
}

static void a_receiver_that_does_not_answer_is_asked_by_one_request(void **state)
{
    char user[16];

    (void)state;
    world_begin();
    for (int i = 0; i < 50; i++) {
        snprintf(user, sizeof user, "u%d", i);
        online(user);
    }
    tick();
    assert_int_equal(w.count, 1 + WEBHOOK_IN_FLIGHT);
    assert_int_equal(w.stats.webhook_requests_in_flight, WEBHOOK_IN_FLIGHT);
    while (w.seen < w.count)
        answer(next_request(), 0);
    pass(WEBHOOK_RETRY_MS - 100);
    assert_quiet();
    pass(WEBHOOK_RETRY_MS / 2 + 100);
    answer(next_request(), 503); /* whoever it is about */
    assert_quiet();
    pass(2 * WEBHOOK_RETRY_MS - 100);
    assert_quiet();
    pass(WEBHOOK_RETRY_MS + 100);
    answer(next_request(), 200);
    assert_int_equal(w.count - w.seen, WEBHOOK_IN_FLIGHT); /* it is back */
    while (w.seen < w.count)
        answer(next_request(), 200);
    pass(60000);
    while (w.seen < w.count)
        answer(next_request(), 200);
    assert_int_equal(w.stats.webhook_events_delivered, 1 + 50);
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
}

static void what_one_event_meets_does_not_hold_up_others(void **state)
{
    (void)state;
    world_begin();
    online("poison");
    tick();
    for (int i = 0; i < 6; i++) {
        answer(expect("user.online", "poison"), 400);
        told_online(i % 2 == 0 ? "alice" : "bob");
        offline(i % 2 == 0 ? "alice" : "bob");
        online(i % 2 == 0 ? "alice" : "bob");
        while (w.seen == w.count)
            pass(100);
    }
    world_end();
}

static void retry_after_is_heeded_within_bounds(void **state)
{
    (void)state;
    world_begin();
    online("alice");
    tick();
    answer_with(expect("user.online", "alice"), 429, 30000);
    online("bob");
    pass(29900);
    assert_quiet();
    pass(200);
    answer_with(next_request(), 503, UINT64_MAX / 2);
    pass(WEBHOOK_MOST_ASKED_MS - 100);
    assert_quiet();
    pass(200);
    answer(next_request(), 200);
    answer(next_request(), 200);
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
}

static void what_was_under_way_does_not_end_a_pause_that_was_asked_for(void **state)
{
    struct request *first;
    struct request *second;

    (void)state;
    world_begin();
    online("alice");
    online("bob");
    tick();
    first = expect("user.online", "alice");
    second = expect("user.online", "bob");
    answer_with(first, 429, 30000);
    answer(second, 200);
    online("carol");
    pass(29900);
    assert_quiet();
    pass(200);
    answer(next_request(), 200);
    answer(next_request(), 200);
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
}

static void times_of_events_do_not_go_back(void **state)
{
    (void)state;
    world_begin();
    told_online("alice");
    w.time.wall_ms -= 3600000;
    told_online("bob");
    assert_non_null(strstr(w.requests[2].body, "2026-01-01T00:00:00.000Z"));
    assert_string_equal(w.requests[2].headers[2], "webhook-timestamp: 1767222000");
    world_end();
}

static void what_could_not_be_told_is_dropped_and_what_comes_next_is_told(void **state)
{
    (void)state;
    world_begin();
    online("alice");
    tick();
    for (uint64_t end = w.time.now_ms + KEEP_TRYING_MS; w.time.now_ms < end;) {
        while (w.seen < w.count)
            answer(next_request(), 0);
        pass(1000);
    }
    while (w.stats.webhook_events_expired == 0) {
        pass(1000);
        while (w.seen < w.count)
            answer(next_request(), 0);
    }
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    assert_in_range(w.stats.webhook_attempts_failed, 10, 100);
    offline("alice"); /* the receiver may have been told by an attempt */
    pass(60000 + 60000);
    answer(expect("user.offline", "alice"), 200);
    world_end();
}

static void what_waited_for_its_grace_was_not_tried_meanwhile(void **state)
{
    static const struct webhooks_options options = {GRACE_MS, GRACE_MS / 10, QUEUE};

    (void)state;
    world_begin();
    webhooks_change_options(w.w, &options);
    told_online("alice");
    offline("alice");
    pass(GRACE_MS);
    answer(expect("user.offline", "alice"), 200);
    assert_int_equal(w.stats.webhook_events_expired, 0);
    world_end();
}

static void who_waits_behind_a_receiver_that_is_gone_for_long_is_dropped_too(void **state)
{
    (void)state;
    world_begin();
    online("alice");
    online("bob");
    tick();
    w.seen = w.count; /* both are under way, and never answered in time */
    for (int i = 0; i < WEBHOOK_IN_FLIGHT - 2; i++) {
        char user[16];

        snprintf(user, sizeof user, "u%d", i);
        online(user);
    }
    tick();
    w.seen = w.count;
    online("last");
    pass(KEEP_TRYING_MS);
    assert_quiet();
    assert_int_equal(w.stats.webhook_events_expired, 1);
    world_end();
}

static void the_queue_has_a_bound(void **state)
{
    char user[16];

    (void)state;
    world_begin();
    for (int i = 0; i < QUEUE + 3; i++) {
        snprintf(user, sizeof user, "u%d", i);
        online(user);
    }
    assert_int_equal(w.stats.webhook_users_waiting, QUEUE);
    assert_int_equal(w.stats.webhook_events_queue_full, 3);
    for (tick(); w.seen < w.count;)
        answer(next_request(), 200);
    assert_int_equal(w.stats.webhook_events_delivered, 1 + QUEUE);
    snprintf(user, sizeof user, "u%d", QUEUE); /* it was dropped */
    offline(user);
    pass(GRACE_MS);
    answer(expect("user.offline", user), 200);
    world_end();
}

static void a_receiver_that_is_gone_for_good_gets_nothing_more(void **state)
{
    struct request *gone;
    struct request *taken;
    struct request *failed;

    (void)state;
    world_begin();
    online("alice");
    online("bob");
    online("carol");
    tick();
    gone = expect("user.online", "alice");
    taken = expect("user.online", "bob");
    failed = expect("user.online", "carol");
    offline("alice");
    told_online("dave");
    offline("dave");
    answer(gone, 410);
    offline("bob");
    answer(taken, 200);
    answer(failed, 500);
    online("erin");
    pass(2 * GRACE_MS);
    assert_quiet();
    assert_int_equal(w.stats.webhook_events_delivered, 3);
    assert_int_equal(w.stats.webhook_events_gone, 5); /* alice, bob, carol, dave, erin */
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    assert_true(webhooks_are_idle(w.w));
    world_end();
}

static void whose_streams_end_with_the_daemon_is_no_news(void **state)
{
    struct request *r;

    (void)state;
    world_begin();
    told_online("alice");
    assert_true(webhooks_are_idle(w.w));
    online("bob");
    assert_false(webhooks_are_idle(w.w));
    webhooks_drain(w.w);
    offline("alice");
    offline("bob");
    tick();
    r = expect("user.online", "bob");
    assert_false(webhooks_are_idle(w.w));
    answer(r, 200);
    assert_true(webhooks_are_idle(w.w));
    pass(2 * GRACE_MS);
    assert_quiet();
    world_end();
}

static void nothing_is_waited_for_where_nothing_gets_through(void **state)
{
    (void)state;
    world_begin();
    online("alice");
    tick();
    answer(next_request(), 0);
    assert_true(webhooks_are_idle(w.w));
    world_end();
}

static void other_options_are_in_force_for_what_comes(void **state)
{
    static const struct webhooks_options options = {1000, KEEP_TRYING_MS, 1};

    (void)state;
    world_begin();
    told_online("alice");
    webhooks_change_options(w.w, &options);
    offline("alice");
    offline("bob");
    assert_int_equal(w.stats.webhook_events_queue_full, 1);
    pass(1000);
    answer(expect("user.offline", "alice"), 200);
    world_end();
}

static void without_memory_to_send_it_is_sent_later(void **state)
{
    (void)state;
    world_begin();
    online("alice");
    w.has_no_memory = true;
    pass(500);
    assert_int_equal(w.stats.out_of_memory, 1);
    w.has_no_memory = false;
    pass(WEBHOOK_RETRY_MS);
    answer(expect("user.online", "alice"), 200);
    world_end();
}

static void webhooks_end_with_requests_under_way(void **state)
{
    (void)state;
    world_begin();
    told_online("alice");
    online("bob");
    tick();
    offline("alice");
    world_end();
    world_clear();
    w.w = make_webhooks();
    tick(); /* the opening is */
    world_end();
    webhooks_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_request_is_that_nobody_is_online_and_the_others_wait),
        cmocka_unit_test(a_request_has_the_headers_of_standard_webhooks),
        cmocka_unit_test(the_end_of_the_last_stream_is_told_after_the_grace),
        cmocka_unit_test(who_comes_back_within_the_grace_is_no_news),
        cmocka_unit_test(news_that_turns_back_before_it_is_sent_is_none),
        cmocka_unit_test(of_one_user_one_request_is_under_way_at_a_time),
        cmocka_unit_test(a_failed_attempt_is_repeated_and_only_its_time_is_new),
        cmocka_unit_test(what_may_have_been_understood_is_taken_back_aloud),
        cmocka_unit_test(attempts_come_further_apart_up_to_a_bound),
        cmocka_unit_test(a_receiver_that_does_not_answer_is_asked_by_one_request),
        cmocka_unit_test(what_one_event_meets_does_not_hold_up_others),
        cmocka_unit_test(retry_after_is_heeded_within_bounds),
        cmocka_unit_test(what_was_under_way_does_not_end_a_pause_that_was_asked_for),
        cmocka_unit_test(times_of_events_do_not_go_back),
        cmocka_unit_test(what_could_not_be_told_is_dropped_and_what_comes_next_is_told),
        cmocka_unit_test(what_waited_for_its_grace_was_not_tried_meanwhile),
        cmocka_unit_test(who_waits_behind_a_receiver_that_is_gone_for_long_is_dropped_too),
        cmocka_unit_test(the_queue_has_a_bound),
        cmocka_unit_test(a_receiver_that_is_gone_for_good_gets_nothing_more),
        cmocka_unit_test(whose_streams_end_with_the_daemon_is_no_news),
        cmocka_unit_test(nothing_is_waited_for_where_nothing_gets_through),
        cmocka_unit_test(other_options_are_in_force_for_what_comes),
        cmocka_unit_test(without_memory_to_send_it_is_sent_later),
        cmocka_unit_test(webhooks_end_with_requests_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
