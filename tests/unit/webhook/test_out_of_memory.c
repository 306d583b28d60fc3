/* test_out_of_memory.c - every allocation fails once, and then it and all behind it: what was not
 * dropped and counted is told, and in the end the receiver knows what is true of whoever it was
 * told of last. */
#include "fake_receiver.h"

#include "support/failing_memory.h"

static bool create_and_destroy(size_t nth, bool is_lasting)
{
    bool has_failed;

    world_clear();
    fail_from(nth, is_lasting);
    w.w = make_webhooks();
    has_failed = fail_never();
    assert_int_equal(w.w == NULL, has_failed);
    world_end();
    return has_failed;
}

static void webhooks_are_whole_or_not_there(void **state)
{
    (void)state;
    with_each_failure(create_and_destroy);
}

/* What the last request about the user said. */
static bool is_told_online(const char *user)
{
    for (size_t i = w.count; i-- > 0;) {
        if (says(&w.requests[i], "user.online", user))
            return true;
        if (says(&w.requests[i], "user.offline", user))
            return false;
    }
    return false;
}

static bool come_and_go(size_t nth, bool is_lasting)
{
    bool has_failed;
    uint64_t told;

    world_clear();
    w.w = make_webhooks();
    assert_non_null(w.w);
    fail_from(nth, is_lasting);
    online("alice");
    online("bob");
    tick();
    pass(1000);
    has_failed = fail_never();
    pass(5 * WEBHOOK_RETRY_MS);
    while (w.seen < w.count)
        answer(next_request(), 200);
    told = w.stats.webhook_events_delivered - 1; /* without the opening */
    assert_int_equal(told + w.stats.webhook_events_no_memory, 2);
    assert_int_equal(is_told_online("alice") + is_told_online("bob"), (int)told);

    offline("alice");
    offline("bob");
    pass(GRACE_MS);
    while (w.seen < w.count)
        answer(next_request(), 200);
    assert_false(is_told_online("alice"));
    assert_false(is_told_online("bob"));
    assert_int_equal(w.stats.webhook_users_waiting, 0);
    world_end();
    return has_failed;
}

static void news_is_told_later_or_dropped_and_counted(void **state)
{
    (void)state;
    with_each_failure(come_and_go);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(webhooks_are_whole_or_not_there),
        cmocka_unit_test(news_is_told_later_or_dropped_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
