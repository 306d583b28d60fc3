/* test_break.c - streams that are open while the journal's continuity breaks, or something is lost
 * that they have not got. The journal is the test itself. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "journal/journal_priv.h"
#include "message/sse.h"
#include "support/cm.h"
#include "support/fake_sink.h"

enum { CROWD = 300, QUEUE = 8, BREAKS = 200 };

static struct {
    struct journal journal;
    struct stats stats;
    struct notification_manager *nm;
    struct fake_sink sinks[CROWD];
    struct client *clients[CROWD];
    char epoch[EPOCH_SIZE];
    uint64_t head;
    uint64_t lost; /* what a page tells */
    int page_status;
    uint64_t hole_begin;
    uint64_t hole_end;
} w;

/* ---- the journal ---- */

static void start(struct journal *j)
{
    (void)j;
}

/* Nothing is kept. */
static void read_page(struct journal *j, struct journal_read *read)
{
    struct journal_page page = {.covered = w.head > read->after ? w.head : read->after,
                                .lost = w.lost,
                                .status = w.page_status};

    (void)j;
    read->on_page(read, &page);
}

static void cancel(struct journal *j, struct journal_read *read)
{
    (void)j;
    (void)read;
}

static void get_status(const struct journal *j, struct journal_status *out)
{
    (void)j;
    *out = (struct journal_status){.type = "test", .epoch = w.epoch, .head = w.head,
                                   .is_up = true, .is_shared = true,
                                   .hole_begin = w.hole_begin, .hole_end = w.hole_end};
}

static const struct journal_ops ops = {
    .start = start, .read = read_page, .cancel = cancel, .get_status = get_status};

static void emit(struct channel_name to, const char *data)
{
    struct notification n = {.to = to, .event = {"n", 1}, .data = slice_of(data),
                             .ttl_ms = TTL_DEFAULT};
    struct journal_entry entry = {.to = to, .ttl_ms = TTL_DEFAULT};

    entry.message = sse_encode(&n, w.epoch, ++w.head, 0);
    assert_non_null(entry.message);
    w.journal.events->on_entry(w.journal.ctx, &entry);
    message_unref(entry.message);
}

static void break_to(const char *epoch, uint64_t seq)
{
    strcpy(w.epoch, epoch);
    w.head = seq;
    w.journal.events->on_break(w.journal.ctx, seq);
}

/* ---- the world ---- */

static const struct channel_name alice = {CHANNEL_USER, {"alice", 5}};
static const struct channel_name bob = {CHANNEL_USER, {"bob", 3}};
static const struct channel_name everyone = {.kind = CHANNEL_EVERYONE};

static void begin(void)
{
    struct manager_options mo = {.heartbeat_ms = 15000, .retry_ms = 2000, .queue = QUEUE,
                                 .window_bytes = 1 << 20, .keep_ms = 60000, .keep_per_user = 100};

    memset(&w, 0, sizeof w);
    w.journal.ops = &ops;
    strcpy(w.epoch, "epoch00a");
    w.head = 10;
    w.nm = notification_manager_create(&mo, &w.journal, &w.stats);
    assert_non_null(w.nm);
    assert_false(manager_knows_journal(w.nm));
    w.journal.events->on_floor(w.journal.ctx, w.head);
    w.journal.events->on_up(w.journal.ctx);
    assert_true(manager_knows_journal(w.nm));
}

static void end(void)
{
    notification_manager_destroy(w.nm);
    for (size_t i = 0; i < CROWD; i++)
        fake_sink_fini(&w.sinks[i]);
}

static void open_stream(size_t i, struct channel_name user, const char *resume, size_t room)
{
    struct client_options o = {.user = user.name, .resume = slice_of(resume),
                               .ops = &fake_sink_ops, .sink = &w.sinks[i]};

    w.sinks[i].room = room;
    w.clients[i] = client_open(w.nm, &o, 0);
    assert_non_null(w.clients[i]);
}

static void turns(void)
{
    for (int i = 0; i < 100 && manager_turn_end(w.nm, 0); i++)
        ;
    assert_false(manager_turn_end(w.nm, 0));
}

static bool has(size_t i, const char *part)
{
    return memmem(w.sinks[i].bytes.p, w.sinks[i].bytes.len, part, strlen(part)) != NULL;
}

static size_t place_of(size_t i, const char *part)
{
    const struct buf *b = &w.sinks[i].bytes;
    const char *at = memmem(b->p, b->len, part, strlen(part));

    assert_non_null(at);
    return (size_t)(at - b->p);
}

static size_t count_of(size_t i, const char *part)
{
    const char *at = w.sinks[i].bytes.p;
    size_t left = w.sinks[i].bytes.len;
    size_t n = 0;

    for (const char *next; (next = memmem(at, left, part, strlen(part))) != NULL; n++) {
        left -= (size_t)(next + 1 - at);
        at = next + 1;
    }
    return n;
}

/* ---- tests ---- */

static void a_new_epoch_is_told_to_all_that_are_open(void **state)
{
    (void)state;
    begin();
    for (size_t i = 0; i < CROWD; i++)
        open_stream(i, alice, "", FAKE_SINK_ENDLESS);
    emit(alice, "before");
    turns();
    break_to("epoch00b", 1000);
    emit(everyone, "after"); /* while the walk is under way */
    turns();
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(count_of(i, "event: gap"), 1);
        assert_true(has(i, "{\"reason\":\"expired\",\"after\":\"epoch00a-11\","
                           "\"resumed_at\":\"epoch00b-1000\"}"));
        assert_true(has(i, "id: epoch00b-1001\nevent: n\ndata: after"));
        assert_true(place_of(i, "event: gap") < place_of(i, "data: after"));
    }
    assert_int_equal(w.stats.gaps_expired, CROWD);
    end();
}

static void whoever_comes_after_it_is_told_by_its_id_alone(void **state)
{
    (void)state;
    begin();
    emit(alice, "before");
    break_to("epoch00b", 1000);
    emit(alice, "after");
    open_stream(0, alice, "", FAKE_SINK_ENDLESS);
    open_stream(1, alice, "epoch00a-11", FAKE_SINK_ENDLESS);
    open_stream(2, alice, "epoch00b-1000", FAKE_SINK_ENDLESS);
    turns();
    assert_int_equal(count_of(0, "event: gap"), 0);
    assert_int_equal(count_of(1, "event: gap"), 1);
    assert_true(has(1, "\"unknown-id\""));
    assert_int_equal(count_of(2, "event: gap"), 0);
    for (size_t i = 1; i <= 2; i++) {
        assert_true(has(i, "data: after"));
        assert_false(has(i, "data: before"));
    }
    end();
}

static void one_that_takes_nothing_outlives_any_number_of_breaks(void **state)
{
    char epoch[EPOCH_SIZE] = "epoch00b";

    (void)state;
    begin();
    open_stream(0, alice, "", 400);
    for (uint64_t i = 0; i < BREAKS; i++) {
        epoch[7] = (char)('a' + i % 26);
        break_to(epoch, 1000 * (i + 1));
        emit(alice, "x");
        turns();
    }
    fake_sink_open_up(&w.sinks[0], w.clients[0], FAKE_SINK_ENDLESS, 0);
    turns();
    emit(alice, "last");
    turns();
    assert_true(count_of(0, "event: gap") >= 1);
    assert_true(has(0, "data: last"));
    end();
}

static void a_loss_of_one_channel_is_told_to_its_streams(void **state)
{
    (void)state;
    begin();
    open_stream(0, alice, "", FAKE_SINK_ENDLESS);
    open_stream(1, bob, "", FAKE_SINK_ENDLESS);
    turns();
    w.lost = 15;
    w.journal.events->on_lost(w.journal.ctx, alice, 15);
    w.head = 15;
    emit(everyone, "next");
    turns();
    assert_int_equal(count_of(0, "event: gap"), 1);
    assert_int_equal(count_of(1, "event: gap"), 0);
    for (size_t i = 0; i <= 1; i++)
        assert_true(has(i, "data: next"));
    end();
}

static void what_another_daemon_is_ahead_with_is_no_gap(void **state)
{
    (void)state;
    begin();
    open_stream(0, alice, "epoch00a-12", FAKE_SINK_ENDLESS);
    turns();
    emit(alice, "eleven");
    emit(alice, "twelve");
    emit(alice, "thirteen");
    turns();
    assert_int_equal(count_of(0, "event: gap"), 0);
    assert_false(has(0, "data: eleven"));
    assert_false(has(0, "data: twelve"));
    assert_true(has(0, "data: thirteen"));
    end();
}

static void an_id_that_the_journal_has_lost_is_unknown(void **state)
{
    (void)state;
    begin();
    w.hole_begin = 10;
    w.hole_end = w.head = 1000;
    w.journal.events->on_up(w.journal.ctx);
    open_stream(0, alice, "epoch00a-10", FAKE_SINK_ENDLESS);
    open_stream(1, alice, "epoch00a-11", FAKE_SINK_ENDLESS);
    open_stream(2, alice, "epoch00a-1000", FAKE_SINK_ENDLESS);
    turns();
    assert_int_equal(count_of(0, "event: gap"), 0);
    assert_true(has(1, "\"unknown-id\""));
    assert_int_equal(count_of(2, "event: gap"), 0);
    end();
}

static void who_could_not_read_goes_on_when_the_journal_is_up(void **state)
{
    (void)state;
    begin();
    w.lost = 9;
    w.page_status = -EAGAIN;
    w.journal.events->on_down(w.journal.ctx, "it is away");
    for (size_t i = 0; i < CROWD; i++)
        open_stream(i, alice, "epoch00a-5", FAKE_SINK_ENDLESS);
    turns();
    assert_int_equal(count_of(0, "event: gap"), 0);
    assert_int_equal(w.stats.streams_behind, CROWD);
    w.page_status = 0;
    w.journal.events->on_up(w.journal.ctx);
    turns();
    assert_int_equal(w.stats.streams_behind, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_epoch_is_told_to_all_that_are_open),
        cmocka_unit_test(whoever_comes_after_it_is_told_by_its_id_alone),
        cmocka_unit_test(one_that_takes_nothing_outlives_any_number_of_breaks),
        cmocka_unit_test(a_loss_of_one_channel_is_told_to_its_streams),
        cmocka_unit_test(what_another_daemon_is_ahead_with_is_no_gap),
        cmocka_unit_test(an_id_that_the_journal_has_lost_is_unknown),
        cmocka_unit_test(who_could_not_read_goes_on_when_the_journal_is_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
