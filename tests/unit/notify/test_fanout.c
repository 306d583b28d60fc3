/* test_fanout.c - channels so large that they are served in slices: whoever comes, goes, blocks or
 * is told something else meanwhile, everybody gets everything in order. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "support/cm.h"
#include "support/fake_sink.h"
#include "support/stream_reader.h"

enum { STREAMS = 300, QUEUE = 4 };

struct world {
    struct stats stats;
    struct journal *journal;
    struct notification_manager *nm;
    struct fake_sink sinks[STREAMS];
    struct client *clients[STREAMS];
    bool is_one_user; /* to whom all streams belong; else each has a user of its own */
};

static void ignore(struct journal_append *append)
{
    (void)append;
}

/* Everybody listens to the topic "all". */
static void open_stream(struct world *w, int i)
{
    struct slice topic = SLICE_LITERAL("all");
    char user[16];
    struct client_options o = {.topics = &topic, .topic_count = 1, .ops = &fake_sink_ops,
                               .sink = &w->sinks[i]};

    snprintf(user, sizeof user, "u%d", w->is_one_user ? 0 : i);
    o.user = slice_of(user);
    w->sinks[i].room = FAKE_SINK_ENDLESS;
    w->clients[i] = client_open(w->nm, &o, 0);
    assert_non_null(w->clients[i]);
}

static void settle(struct world *w)
{
    for (int i = 0; i < 10000 && manager_turn_end(w->nm, 0); i++)
        ;
    assert_false(manager_turn_end(w->nm, 0));
}

static int begin_bounded(void **state, enum manager_overflow overflow, size_t per_user,
                         size_t window_bytes)
{
    struct journal_options jo = {
        .keep_ms = 60000,
        .keep_per_user = per_user,
        .keep_bytes = 1 << 24,
        .idempotency_window_ms = 0,
    };
    struct manager_options mo = {
        .heartbeat_ms = 15000, .retry_ms = 2000, .queue = QUEUE, .overflow = overflow,
        .window_bytes = window_bytes, .keep_ms = 60000, .keep_per_user = per_user,
    };
    struct world *w = calloc(1, sizeof *w);
    struct error why;

    if (w == NULL)
        return -1;
    *state = w;
    w->is_one_user = per_user == 2;
    w->journal = journal_open("memory", &jo, NULL, &w->stats, &why);
    w->nm = notification_manager_create(&mo, w->journal, &w->stats);
    for (int i = 0; i < STREAMS; i++)
        open_stream(w, i);
    settle(w);
    return 0;
}

static int begin_with(void **state, enum manager_overflow overflow, size_t per_user)
{
    return begin_bounded(state, overflow, per_user, 1 << 20);
}

static int begin(void **state)
{
    return begin_with(state, OVERFLOW_CATCHUP, 100);
}

static int begin_one_user(void **state)
{
    return begin_with(state, OVERFLOW_CATCHUP, 2);
}

/* A window of three notifications, and two that are kept of a user. */
static int begin_one_user_with_a_small_window(void **state)
{
    return begin_bounded(state, OVERFLOW_CATCHUP, 2, 1000);
}

static int begin_with_few_kept(void **state)
{
    return begin_bounded(state, OVERFLOW_CATCHUP, 3, 1 << 20);
}

static int begin_dropping(void **state)
{
    return begin_with(state, OVERFLOW_DROP_OLDEST, 100);
}

static int begin_disconnecting(void **state)
{
    return begin_with(state, OVERFLOW_DISCONNECT, 100);
}

static int end(void **state)
{
    struct world *w = *state;

    notification_manager_destroy(w->nm);
    journal_close(w->journal);
    for (int i = 0; i < STREAMS; i++)
        fake_sink_fini(&w->sinks[i]);
    free(w);
    return 0;
}

static void send(struct world *w, enum channel_kind kind, const char *name, const char *data)
{
    struct notification n = {.to = {kind, slice_of(name)}, .event = {"n", 1},
                             .data = slice_of(data), .ttl_ms = TTL_DEFAULT};
    struct journal_append append = {.on_done = ignore};

    manager_send_notification(w->nm, &n, 0, &append);
    assert_int_equal(append.status, 0);
}

/* What stream `i` has read behind its preamble. */
static void assert_reads(const struct world *w, int i, const char *expected)
{
    static const struct slice preamble = {"<2000> {connected} ", 19};
    struct buf text = {0};

    assert_int_equal(stream_reader_transcribe(buf_slice(&w->sinks[i].bytes), slice_make("", 0),
                                              false, manager_epoch(w->nm), &text), 0);
    assert_true(text.len >= preamble.n && memcmp(text.p, preamble.p, preamble.n) == 0);
    assert_slice(slice_make(text.p + preamble.n, text.len - preamble.n), expected);
    buf_fini(&text);
}

static size_t count_served(const struct world *w, const char *text)
{
    size_t n = 0;

    for (int i = 0; i < STREAMS; i++)
        n += memmem(w->sinks[i].bytes.p, w->sinks[i].bytes.len, text, strlen(text)) != NULL;
    return n;
}

static void ignore_removal(struct journal_removal *removal)
{
    (void)removal;
}

static size_t count_of(const struct world *w, int i, const char *text)
{
    const struct buf *bytes = &w->sinks[i].bytes;
    const char *at = bytes->p;
    size_t n = 0;

    while ((at = memmem(at, bytes->len - (size_t)(at - bytes->p), text, strlen(text))) != NULL) {
        at += strlen(text);
        n++;
    }
    return n;
}

static void one_turn_serves_some_and_the_last_has_served_all(void **state)
{
    struct world *w = *state;
    size_t turns = 0;
    size_t before = 0;

    send(w, CHANNEL_TOPIC, "all", "one");
    assert_int_equal(count_served(w, "one"), 0);
    while (manager_turn_end(w->nm, 0)) {
        size_t served = count_served(w, "one");

        assert_true(served - before < STREAMS / 2);
        before = served;
        turns++;
    }
    assert_true(turns > 1);
    assert_int_equal(count_served(w, "one"), STREAMS);
}

static void what_comes_during_a_walk_needs_no_second_write(void **state)
{
    struct world *w = *state;
    unsigned writes;

    send(w, CHANNEL_TOPIC, "all", "one");
    send(w, CHANNEL_EVERYONE, "", "two");
    send(w, CHANNEL_TOPIC, "all", "three");
    writes = w->sinks[STREAMS - 1].writes;
    settle(w);
    for (int i = 0; i < STREAMS; i++)
        assert_reads(w, i, "n(one)#1 n(two)#2 n(three)#3 ");
    assert_int_equal(w->sinks[STREAMS - 1].writes, writes + 1);
}

static void a_stream_gets_what_a_walk_owes_it_before_its_own(void **state)
{
    struct world *w = *state;

    send(w, CHANNEL_TOPIC, "all", "one");
    manager_turn_end(w->nm, 0);
    send(w, CHANNEL_USER, "u299", "mine");
    assert_reads(w, 299, "n(one)#1 n(mine)#2 ");
    settle(w);
    assert_reads(w, 299, "n(one)#1 n(mine)#2 ");
    assert_reads(w, 298, "n(one)#1 ");
}

static void a_stream_opened_during_a_walk_gets_nothing_from_before(void **state)
{
    struct world *w = *state;

    send(w, CHANNEL_TOPIC, "all", "one");
    manager_turn_end(w->nm, 0);
    client_on_closed(w->clients[5]);
    fake_sink_fini(&w->sinks[5]);
    open_stream(w, 5);
    send(w, CHANNEL_TOPIC, "all", "two");
    settle(w);
    assert_reads(w, 5, "n(two)#2 ");
    assert_reads(w, 4, "n(one)#1 n(two)#2 ");
}

/* The walk's next and last stops must not be among those that leave. */
static void streams_that_leave_take_nothing_from_the_others(void **state)
{
    struct world *w = *state;

    for (int first = 0; first < 3; first++) {
        send(w, CHANNEL_TOPIC, "all", "x");
        manager_turn_end(w->nm, 0);
        for (int i = first; i < STREAMS - 5; i += 3)
            client_on_closed(w->clients[i]);
    }
    settle(w);
    for (int i = STREAMS - 5; i < STREAMS; i++)
        assert_reads(w, i, "n(x)#1 n(x)#2 n(x)#3 ");
    assert_int_equal(manager_stream_count(w->nm), 5);
}

/* A walk once ended with its first stream, when that was closed by its own visit: the others
 * waited for the next notification. */
static void a_walk_goes_on_when_its_first_stream_ends_by_the_visit(void **state)
{
    struct world *w = *state;

    w->sinks[0].error = -ECONNRESET;
    send(w, CHANNEL_TOPIC, "all", "one");
    settle(w);
    assert_true(w->sinks[0].is_closed);
    assert_reads(w, 1, "n(one)#1 ");
    assert_int_equal(count_served(w, "one"), STREAMS - 1);
}

static void a_walk_ends_with_its_channel(void **state)
{
    struct world *w = *state;

    send(w, CHANNEL_TOPIC, "all", "one");
    for (int i = 0; i < STREAMS; i++)
        client_on_closed(w->clients[i]);
    settle(w);
    assert_int_equal(manager_stream_count(w->nm), 0);
    assert_int_equal(w->stats.users_online, 0);
}

/* Two are kept for the user; but the walk is on its way with more. */
static void a_burst_reaches_all_streams_of_a_user_whatever_is_kept(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 6; i++)
        send(w, CHANNEL_USER, "u0", "x");
    settle(w);
    for (int i = 0; i < STREAMS; i++)
        assert_reads(w, i, "n(x)#1 n(x)#2 n(x)#3 n(x)#4 n(x)#5 n(x)#6 ");
    assert_int_equal(w->stats.gaps_overflow, 0);
    send(w, CHANNEL_USER, "u0", "x"); /* the walk is over: the bound holds again */
    assert_true(w->stats.window_evicted > 0);
}

/* Neither the window nor the journal would have kept what the walk owes. The window keeps it, and
 * grows no further than to twice its bytes: then the walk is done at once. */
static void a_burst_reaches_all_streams_of_a_user_whatever_the_window_holds(void **state)
{
    struct world *w = *state;
    size_t most = 0;

    for (int i = 0; i < 40; i++) {
        send(w, CHANNEL_USER, "u0", "x");
        most = w->stats.window_bytes > most ? w->stats.window_bytes : most;
    }
    settle(w);
    for (int i = 0; i < STREAMS; i++) {
        assert_int_equal(count_of(w, i, "data: x"), 40);
        assert_int_equal(count_of(w, i, "event: gap"), 0);
    }
    assert_true(most > 1000 && most < 3000);
    send(w, CHANNEL_USER, "u0", "x");
    assert_int_equal(w->stats.window_entries, 2);
}

/* The row in the window is another one then. */
static void a_burst_reaches_all_streams_of_a_user_after_an_erasure_too(void **state)
{
    struct world *w = *state;
    struct journal_removal removal = {.on_done = ignore_removal};

    send(w, CHANNEL_USER, "u0", "erased");
    journal_erase(w->journal, (struct channel_name){CHANNEL_USER, {"u0", 2}}, &removal);
    assert_int_equal(removal.count, 1);
    for (int i = 0; i < 8; i++)
        send(w, CHANNEL_USER, "u0", "x");
    settle(w);
    for (int i = 0; i < STREAMS; i++)
        assert_reads(w, i, "n(x)#2 n(x)#3 n(x)#4 n(x)#5 n(x)#6 n(x)#7 n(x)#8 n(x)#9 ");
}

/* More than a flush writes of one stream before others have their turn, and then more of its own
 * than is kept of a user: a stream that takes everything has missed nothing. */
static void a_visit_leaves_nothing_for_later_to_a_stream_that_takes_it(void **state)
{
    static char data[200 * 1024];
    struct world *w = *state;

    memset(data, 'x', sizeof data - 1);
    for (int i = 0; i < 3; i++)
        send(w, CHANNEL_TOPIC, "all", data);
    manager_turn_end(w->nm, 0);
    assert_int_equal(count_of(w, 5, "event: n"), 3);
    for (int i = 0; i < 5; i++)
        send(w, CHANNEL_USER, "u5", "y");
    settle(w);
    assert_int_equal(count_of(w, 5, "data: y"), 5);
    assert_int_equal(count_of(w, 5, "event: gap"), 0);
}

/* What is left when a socket takes no more fits the queue, or the stream is ended, be it that it
 * took nothing from the start or that it blocks in the middle of what a walk owes it. */
static void a_stream_that_blocks_within_a_visit_is_ended_where_that_is_wished(void **state)
{
    struct world *w = *state;
    size_t before = w->sinks[0].bytes.len;
    size_t one;

    send(w, CHANNEL_TOPIC, "all", "x");
    settle(w);
    one = w->sinks[0].bytes.len - before;
    for (int i = 7; i < 10; i++)
        w->sinks[i].room = (size_t)(i - 6) * one + 1; /* for one and a bit, two, three */
    for (int i = 0; i < QUEUE + 2; i++)
        send(w, CHANNEL_TOPIC, "all", "x");
    settle(w);
    assert_true(w->sinks[7].is_closed);
    assert_false(w->sinks[7].is_graceful);
    assert_int_equal(w->stats.streams_closed_by_overflow, 1);
    assert_int_equal(w->stats.streams_behind, 0);
    for (int i = 8; i < 10; i++) {
        assert_false(w->sinks[i].is_closed);
        fake_sink_open_up(&w->sinks[i], w->clients[i], FAKE_SINK_ENDLESS, 0);
    }
    settle(w);
    for (int i = 8; i < 11; i++)
        assert_reads(w, i, "n(x)#1 n(x)#2 n(x)#3 n(x)#4 n(x)#5 n(x)#6 n(x)#7 ");
}

static void a_stream_that_blocks_within_a_visit_drops_its_oldest_where_that_is_wished(void **state)
{
    struct world *w = *state;

    w->sinks[7].room = 1;
    for (int i = 0; i < QUEUE + 4; i++)
        send(w, CHANNEL_TOPIC, "all", "x");
    settle(w);
    fake_sink_open_up(&w->sinks[7], w->clients[7], FAKE_SINK_ENDLESS, 0);
    settle(w);
    assert_reads(w, 7, "n(x)#1 gap({\"reason\":\"overflow\",\"after\":\"#1\","
                       "\"resumed_at\":\"#4\"})#4 n(x)#5 n(x)#6 n(x)#7 n(x)#8 ");
}

static void a_stream_too_slow_for_a_walk_is_ended_where_that_is_wished(void **state)
{
    struct world *w = *state;

    w->sinks[7].room = 0;
    for (int i = 0; i < QUEUE + 2; i++) {
        send(w, CHANNEL_TOPIC, "all", "x");
        settle(w);
    }
    assert_true(w->sinks[7].is_closed);
    assert_int_equal(w->stats.streams_closed_by_overflow, 1);
    assert_int_equal(manager_stream_count(w->nm), STREAMS - 1);
    assert_reads(w, 8, "n(x)#1 n(x)#2 n(x)#3 n(x)#4 n(x)#5 n(x)#6 ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(one_turn_serves_some_and_the_last_has_served_all),
        TEST(what_comes_during_a_walk_needs_no_second_write),
        TEST(a_stream_gets_what_a_walk_owes_it_before_its_own),
        TEST(a_stream_opened_during_a_walk_gets_nothing_from_before),
        TEST(streams_that_leave_take_nothing_from_the_others),
        TEST(a_walk_goes_on_when_its_first_stream_ends_by_the_visit),
        TEST(a_walk_ends_with_its_channel),
        cmocka_unit_test_setup_teardown(
            a_burst_reaches_all_streams_of_a_user_whatever_is_kept, begin_one_user, end),
        cmocka_unit_test_setup_teardown(
            a_burst_reaches_all_streams_of_a_user_whatever_the_window_holds,
            begin_one_user_with_a_small_window, end),
        cmocka_unit_test_setup_teardown(
            a_burst_reaches_all_streams_of_a_user_after_an_erasure_too,
            begin_one_user_with_a_small_window, end),
        cmocka_unit_test_setup_teardown(
            a_visit_leaves_nothing_for_later_to_a_stream_that_takes_it, begin_with_few_kept, end),
        cmocka_unit_test_setup_teardown(
            a_stream_that_blocks_within_a_visit_is_ended_where_that_is_wished,
            begin_disconnecting, end),
        cmocka_unit_test_setup_teardown(
            a_stream_that_blocks_within_a_visit_drops_its_oldest_where_that_is_wished,
            begin_dropping, end),
        cmocka_unit_test_setup_teardown(
            a_stream_too_slow_for_a_walk_is_ended_where_that_is_wished, begin_disconnecting, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
