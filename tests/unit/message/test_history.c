/* test_history.c - what is kept, what is lost, and what is only gone. */
#include "message/history.h"

#include "message/sse.h"
#include "support/cm.h"

static const struct channel_name alice = {CHANNEL_USER, {"alice", 5}};
static const struct channel_name news = {CHANNEL_TOPIC, {"news", 4}};

static uint64_t held; /* what all of them hold */

static struct history *history_of(size_t max_bytes, uint64_t keep_ms, size_t per_user)
{
    struct history_limits limits = {max_bytes, keep_ms, per_user, &held};
    struct history *h = history_create(&limits);

    assert_non_null(h);
    return h;
}

/* All was counted that it holds, and nothing of it is left. */
static void end(struct history *h)
{
    assert_int_equal(held, history_bytes(h));
    history_destroy(h);
    assert_int_equal(held, 0);
}

static int add(struct history *h, struct channel_name to, uint64_t seq, uint64_t ttl_ms,
               const char *key, uint64_t now_ms)
{
    struct notification n = {.to = to, .event = {"e", 1}, .data = {"d", 1}};
    struct message *m = sse_encode(&n, "epoch", seq, 0);
    struct history_item item = {to, m, ttl_ms, slice_of(key), 0};
    int status = history_add(h, &item, now_ms);

    message_unref(m);
    return status;
}

/* Number of the first kept entry of a channel behind `after`; 0: none. */
static uint64_t next_of(struct history *h, struct channel_name c, uint64_t after, uint64_t since,
                        uint64_t now_ms)
{
    struct history_log *log = history_log(h, c);
    struct message *m = history_next(&log, 1, after, since, now_ms);

    return m == NULL ? 0 : m->seq;
}

static uint64_t lost_of(struct history *h, struct channel_name c)
{
    struct history_log *log = history_log(h, c);

    return history_lost(h, &log, 1);
}

static void channels_are_merged_in_order_of_numbers(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 100);
    struct history_log *logs[2];
    uint64_t at = 0;

    (void)state;
    for (uint64_t seq = 1; seq <= 9; seq++)
        add(h, seq % 3 == 0 ? news : alice, seq, TTL_DEFAULT, NULL, 0);
    logs[0] = history_log(h, alice);
    logs[1] = history_log(h, news);
    for (uint64_t seq = 1; seq <= 9; seq++) {
        struct message *m = history_next(logs, 2, at, 0, 0);

        assert_non_null(m);
        assert_int_equal(m->seq, seq);
        at = seq;
    }
    assert_null(history_next(logs, 2, at, 0, 0));
    assert_int_equal(history_count_after(logs, 2, 4, 0, 0), 5);
    end(h);
}

static void what_is_pinned_stays_until_it_is_not(void **state)
{
    struct history *h = history_of(2000, 1000, 3);
    size_t before;

    (void)state;
    add(h, alice, 1, TTL_DEFAULT, NULL, 0);
    history_pin(h, alice, true);
    for (uint64_t seq = 2; seq <= 20; seq++)
        add(h, alice, seq, TTL_DEFAULT, NULL, 0);
    assert_int_equal(history_count(h), 20);
    assert_int_equal(lost_of(h, alice), 0);
    before = history_bytes(h);
    add(h, news, 21, TTL_DEFAULT, NULL, 0); /* nor does another's push it out, or go itself */
    assert_true(history_bytes(h) > before && before > 2000);
    history_pin(h, alice, false);
    add(h, news, 22, TTL_DEFAULT, NULL, 0);
    assert_true(history_bytes(h) <= 2000);
    add(h, alice, 23, TTL_DEFAULT, NULL, 0);
    assert_int_equal(lost_of(h, alice), 18);
    end(h);
}

static void the_bound_a_user_takes_the_oldest_and_says_so(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 3);

    (void)state;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        add(h, alice, seq, TTL_DEFAULT, NULL, 0);
        add(h, news, 10 * seq, TTL_DEFAULT, NULL, 0);
    }
    assert_int_equal(next_of(h, alice, 0, 0, 0), 3);
    assert_int_equal(lost_of(h, alice), 2);
    assert_int_equal(next_of(h, news, 0, 0, 0), 10); /* a topic has no bound a user */
    assert_int_equal(lost_of(h, news), 0);
    assert_int_equal(history_evicted(h), 2);
    end(h);
}

static void the_bound_in_bytes_takes_the_oldest_of_all_but_never_the_newest(void **state)
{
    struct history *h = history_of(600, 1000, 100);

    (void)state;
    for (uint64_t seq = 1; seq <= 20; seq++)
        add(h, seq % 2 == 0 ? news : alice, seq, TTL_DEFAULT, NULL, 0);
    assert_true(history_bytes(h) <= 600);
    assert_true(history_count(h) >= 1);
    assert_int_equal(next_of(h, news, 19, 0, 0), 20);
    assert_true(lost_of(h, alice) > 0);
    end(h);
}

static void age_takes_and_says_so_but_a_ttl_of_its_own_is_no_loss(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 100);

    (void)state;
    add(h, alice, 1, 500, NULL, 0);
    add(h, alice, 2, TTL_DEFAULT, NULL, 0);
    assert_int_equal(next_of(h, alice, 0, 0, 499), 1);
    assert_int_equal(next_of(h, alice, 0, 0, 500), 2); /* not shown any more, swept or not */
    history_expire(h, 500, 100);
    assert_int_equal(history_count(h), 1);
    assert_int_equal(lost_of(h, alice), 0);
    history_expire(h, 1000, 100);
    assert_int_equal(history_count(h), 0);
    assert_int_equal(lost_of(h, alice), 2); /* remembered though nothing is left */
    end(h);
}

static void a_ttl_of_zero_is_for_those_who_were_there(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 100);

    (void)state;
    add(h, alice, 5, 0, NULL, 0);
    assert_int_equal(next_of(h, alice, 0, 4, 0), 5);
    assert_int_equal(next_of(h, alice, 0, 5, 0), 0);
    end(h);
}

static void a_newer_one_takes_the_place_of_its_key(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 100);

    (void)state;
    assert_int_equal(add(h, alice, 1, TTL_DEFAULT, "k", 0), 0);
    assert_int_equal(add(h, news, 2, TTL_DEFAULT, "k", 0), 0); /* another channel's */
    assert_int_equal(add(h, alice, 3, TTL_DEFAULT, "k", 0), 1);
    assert_int_equal(next_of(h, alice, 0, 0, 0), 3);
    assert_int_equal(next_of(h, news, 0, 0, 0), 2);
    assert_int_equal(lost_of(h, alice), 0);
    end(h);
}

static void what_is_retracted_or_erased_is_gone_and_no_loss(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 100);

    (void)state;
    for (uint64_t seq = 1; seq <= 4; seq++)
        add(h, alice, seq, TTL_DEFAULT, NULL, 0);
    assert_true(history_retract(h, alice, 2));
    assert_false(history_retract(h, alice, 2));
    assert_false(history_retract(h, news, 1));
    assert_int_equal(next_of(h, alice, 1, 0, 0), 3);
    assert_int_equal(history_erase(h, alice), 3);
    assert_int_equal(history_erase(h, alice), 0);
    assert_int_equal(history_bytes(h), 0);
    assert_int_equal(lost_of(h, alice), 0);
    end(h);
}

/* What a reader knows to be lost in one channel hides nothing that another loses later, be its
 * number lower. */
static void what_is_known_to_be_lost_is_left_out(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 1);
    struct history_log *logs[2];
    uint64_t known[2] = {0, 0};

    (void)state;
    add(h, news, 1, TTL_DEFAULT, NULL, 0);
    add(h, alice, 2, TTL_DEFAULT, NULL, 500);
    add(h, alice, 3, TTL_DEFAULT, NULL, 500);
    logs[0] = history_log(h, alice);
    logs[1] = history_log(h, news);
    assert_int_equal(history_lost_anew(h, logs, 2, NULL), 2);
    assert_int_equal(history_lost_anew(h, logs, 2, known), 2);
    assert_int_equal(history_lost_anew(h, logs, 2, known), 0);
    history_expire(h, 1000, 100); /* takes number 1 */
    assert_int_equal(history_lost(h, logs, 2), 2);
    assert_int_equal(history_lost_anew(h, logs, 2, known), 1);
    assert_int_equal(history_lost_anew(h, logs, 2, known), 0);
    end(h);
}

/* What an earlier process has sent is as old as it is, and what is kept elsewhere only is lost
 * here. */
static void what_was_sent_earlier_goes_earlier(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 9);
    struct message *m = message_create(8);
    struct history_item item = {alice, m, 700, {NULL, 0}, 600};

    (void)state;
    history_begin_at(h, 6);
    assert_int_equal(lost_of(h, alice), 6);
    m->seq = 7;
    assert_int_equal(history_add(h, &item, 100), 0); /* the clock starts below the age */
    message_unref(m);
    add(h, alice, 8, TTL_DEFAULT, NULL, 100);
    assert_int_equal(next_of(h, alice, 6, 0, 150), 7);
    assert_int_equal(next_of(h, alice, 6, 0, 200), 8);
    assert_int_equal(next_of(h, news, 0, 0, 200), 0);
    history_expire(h, 600, 100);
    assert_int_equal(history_count(h), 1);
    assert_int_equal(lost_of(h, alice), 6); /* its own ttl was over */
    end(h);
}

static void a_newer_one_that_is_not_kept_takes_the_place_of_its_key_too(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 9);

    (void)state;
    add(h, alice, 1, TTL_DEFAULT, "k", 0);
    add(h, news, 2, TTL_DEFAULT, "k", 0);
    assert_false(history_collapse(h, alice, slice_of("l")));
    assert_false(history_collapse(h, alice, slice_of("")));
    assert_true(history_collapse(h, alice, slice_of("k")));
    assert_false(history_collapse(h, alice, slice_of("k")));
    assert_int_equal(next_of(h, alice, 0, 0, 0), 0);
    assert_int_equal(lost_of(h, alice), 0);
    assert_int_equal(next_of(h, news, 0, 0, 0), 2);
    end(h);
}

static void what_was_refused_counts_as_lost_when_that_is_said(void **state)
{
    struct history *h = history_of(1 << 20, 1000, 2);
    struct message *m = message_create(0);
    struct history_item item = {alice, m, TTL_DEFAULT, {NULL, 0}, 0};

    (void)state;
    assert_non_null(m);
    add(h, alice, 1, TTL_DEFAULT, NULL, 0);
    m->seq = 5;
    history_lose(h, &item);
    assert_int_equal(lost_of(h, alice), 5);
    add(h, alice, 6, TTL_DEFAULT, NULL, 0);
    add(h, alice, 7, TTL_DEFAULT, NULL, 0); /* takes number 1, and 5 stays lost */
    assert_int_equal(lost_of(h, alice), 5);
    item.to = news; /* of which nothing is known */
    m->seq = 8;
    history_lose(h, &item);
    assert_int_equal(lost_of(h, news), 8);
    message_unref(m);
    end(h);
}

/* Against a plain array: after any operations the same entries are found. */
static void random_operations_agree_with_a_plain_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct history *h = history_of(1 << 20, UINT64_MAX / 2, 1000);
        bool kept[201] = {false};
        uint64_t random = seed;

        for (uint64_t seq = 1; seq <= 200; seq++) {
            uint64_t victim = 1 + support_random(&random) % seq;

            add(h, alice, seq, TTL_DEFAULT, NULL, 0);
            kept[seq] = true;
            if (support_random(&random) % 2 == 0) {
                assert_int_equal(history_retract(h, alice, victim), kept[victim]);
                kept[victim] = false;
            }
        }
        for (uint64_t at = 0, seq = 1; seq <= 200; seq++) {
            if (!kept[seq])
                continue;
            assert_int_equal(next_of(h, alice, at, 0, 0), seq);
            at = seq;
        }
        end(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_are_merged_in_order_of_numbers),
        cmocka_unit_test(what_is_pinned_stays_until_it_is_not),
        cmocka_unit_test(the_bound_a_user_takes_the_oldest_and_says_so),
        cmocka_unit_test(the_bound_in_bytes_takes_the_oldest_of_all_but_never_the_newest),
        cmocka_unit_test(age_takes_and_says_so_but_a_ttl_of_its_own_is_no_loss),
        cmocka_unit_test(a_ttl_of_zero_is_for_those_who_were_there),
        cmocka_unit_test(a_newer_one_takes_the_place_of_its_key),
        cmocka_unit_test(what_is_retracted_or_erased_is_gone_and_no_loss),
        cmocka_unit_test(what_is_known_to_be_lost_is_left_out),
        cmocka_unit_test(what_was_sent_earlier_goes_earlier),
        cmocka_unit_test(a_newer_one_that_is_not_kept_takes_the_place_of_its_key_too),
        cmocka_unit_test(what_was_refused_counts_as_lost_when_that_is_said),
        cmocka_unit_test(random_operations_agree_with_a_plain_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
