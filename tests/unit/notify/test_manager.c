/* test_manager.c - streams as their clients see them: every byte through a fake socket. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"
#include "support/fake_sink.h"
#include "support/stream_reader.h"

struct world {
    struct stats stats;
    struct journal *journal;
    struct notification_manager *nm;
    uint64_t now_ms;
};

static struct world w;

static void ignore(struct journal_append *append)
{
    (void)append;
}

static void world_begin(uint32_t queue, enum manager_overflow overflow, size_t per_user,
                        size_t window_bytes)
{
    struct journal_options jo = {
        .keep_ms = 60000,
        .keep_per_user = per_user,
        .keep_bytes = 1 << 24,
        .idempotency_window_ms = 60000,
    };
    struct manager_options mo = {
        .heartbeat_ms = 15000, .retry_ms = 2000, .queue = queue, .overflow = overflow,
        .window_bytes = window_bytes, .keep_ms = 60000, .keep_per_user = per_user,
    };
    struct error why;

    w = (struct world){.now_ms = 1000};
    w.journal = journal_open("memory", &jo, NULL, &w.stats, &why);
    assert_non_null(w.journal);
    w.nm = notification_manager_create(&mo, w.journal, &w.stats);
    assert_non_null(w.nm);
    journal_tick(w.journal, w.now_ms);
    manager_tick(w.nm, w.now_ms);
}

static void world_end(void)
{
    notification_manager_destroy(w.nm);
    journal_close(w.journal);
    assert_int_equal(w.stats.memory_held, 0);
    assert_int_equal(w.stats.queued_bytes, 0);
}

static void settle(void)
{
    for (int i = 0; i < 10000 && manager_turn_end(w.nm, w.now_ms); i++)
        ;
}

static uint32_t send_to(enum channel_kind kind, const char *name, const char *data)
{
    struct notification n = {.to = {kind, slice_of(name)}, .event = {"n", 1},
                             .data = slice_of(data), .ttl_ms = TTL_DEFAULT};
    struct journal_append append = {.on_done = ignore};

    manager_send_notification(w.nm, &n, 0, &append);
    assert_int_equal(append.status, 0);
    return append.streams;
}

static struct client *open_at(struct fake_sink *sink, const char *user, const char *resume)
{
    struct client_options o = {.user = slice_of(user), .resume = slice_of(resume),
                               .is_chunked = true, .ops = &fake_sink_ops, .sink = sink,
                               .head = SLICE_LITERAL("HEAD")};
    struct client *c = client_open(w.nm, &o, w.now_ms);

    assert_non_null(c);
    return c;
}

/* What the client has read so far, as stream_reader_transcribe writes it. */
#define assert_reads(sink, expected)                                                               \
    do {                                                                                           \
        struct buf text = {0};                                                                     \
        assert_int_equal(stream_reader_transcribe(buf_slice(&(sink)->bytes),                       \
                                                  SLICE_LITERAL("HEAD"), true,                     \
                                                  manager_epoch(w.nm), &text),                     \
                         0);                                                                       \
        assert_slice(buf_slice(&text), expected);                                                  \
        buf_fini(&text);                                                                           \
    } while (0)

static void a_live_stream_gets_its_user_and_everyone_and_nobody_elses(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    open_at(&sink, "alice", NULL);
    assert_int_equal(send_to(CHANNEL_USER, "alice", "a"), 1);
    assert_int_equal(send_to(CHANNEL_USER, "bob", "b"), 0);
    assert_int_equal(send_to(CHANNEL_EVERYONE, "", "c"), 1);
    settle();
    assert_reads(&sink, "<2000> {connected} n(a)#1 n(c)#3 ");
    assert_int_equal(sink.writes, 1); /* all of a turn in one system call */
    world_end();
    fake_sink_fini(&sink);
}

static void the_first_of_a_turn_is_written_before_its_publisher_has_the_answer(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct notification n = {.to = {CHANNEL_USER, SLICE_LITERAL("alice")}, .event = {"n", 1},
                             .data = SLICE_LITERAL("a"), .ttl_ms = TTL_DEFAULT};
    struct journal_append append = {.on_done = ignore, .is_alone = true};

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    open_at(&sink, "alice", NULL);
    settle();
    manager_send_notification(w.nm, &n, 0, &append);
    assert_reads(&sink, "<2000> {connected} n(a)#1 ");
    for (int i = 0; i < 3; i++)
        manager_send_notification(w.nm, &n, 0, &append);
    assert_int_equal(sink.writes, 2);
    settle();
    assert_reads(&sink, "<2000> {connected} n(a)#1 n(a)#2 n(a)#3 n(a)#4 ");
    assert_int_equal(sink.writes, 3); /* what comes besides shares one */
    manager_send_notification(w.nm, &n, 0, &append);
    assert_int_equal(sink.writes, 4);
    world_end();
    fake_sink_fini(&sink);
}

static void a_resumed_stream_gets_what_it_missed_and_then_live_ones(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    char id[ID_TEXT_SIZE];

    (void)state;
    world_begin(2, OVERFLOW_CATCHUP, 100, 1 << 20);
    for (int i = 1; i <= 5; i++)
        send_to(CHANNEL_USER, "alice", "x");
    id_format(manager_epoch(w.nm), 2, id);
    open_at(&sink, "alice", id);
    settle();
    send_to(CHANNEL_USER, "alice", "y");
    settle();
    assert_reads(&sink, "<2000> {connected} n(x)#3 n(x)#4 n(x)#5 n(y)#6 ");
    assert_int_equal(w.stats.streams_behind, 0);
    world_end();
    fake_sink_fini(&sink);
}

static void what_is_not_kept_any_more_is_told_as_a_gap(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    char id[ID_TEXT_SIZE];

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 2, 1 << 20);
    for (int i = 1; i <= 5; i++)
        send_to(CHANNEL_USER, "alice", "x");
    id_format(manager_epoch(w.nm), 1, id);
    open_at(&sink, "alice", id);
    settle();
    assert_reads(&sink, "<2000> {connected} gap({\"reason\":\"expired\",\"after\":\"#1\","
                        "\"resumed_at\":\"#3\"})#3 n(x)#4 n(x)#5 ");
    assert_int_equal(w.stats.gaps_expired, 1);
    world_end();
    fake_sink_fini(&sink);
}

/* It was forgiven together with what had gone before the stream was opened. */
static void what_is_lost_after_the_opening_is_told_to_a_stream_from_the_earliest(void **state)
{
    struct fake_sink sink = {.room = 0};
    struct client_options o = {.user = SLICE_LITERAL("alice"), .from_earliest = true,
                               .is_chunked = true, .ops = &fake_sink_ops, .sink = &sink,
                               .head = SLICE_LITERAL("HEAD")};
    struct client *c;

    (void)state;
    world_begin(1, OVERFLOW_CATCHUP, 2, 1 << 20);
    for (int i = 1; i <= 3; i++) /* of which the first is gone: none of its business */
        send_to(CHANNEL_USER, "alice", "x");
    c = client_open(w.nm, &o, w.now_ms);
    assert_non_null(c);
    settle();
    for (int i = 4; i <= 6; i++)
        send_to(CHANNEL_USER, "alice", "x");
    fake_sink_open_up(&sink, c, FAKE_SINK_ENDLESS, w.now_ms);
    settle();
    assert_reads(&sink, "<2000> {connected} gap({\"reason\":\"expired\",\"after\":\"#0\","
                        "\"resumed_at\":\"#4\"})#4 n(x)#5 n(x)#6 ");
    world_end();
    fake_sink_fini(&sink);
}

static void a_slow_reader_loses_nothing_that_is_kept(void **state)
{
    struct fake_sink slow = {.room = 100};
    struct fake_sink fast = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(2, OVERFLOW_CATCHUP, 100, 1500); /* a window too small: the journal must help */
    c = open_at(&slow, "alice", NULL);
    open_at(&fast, "alice", NULL);
    for (int i = 0; i < 40; i++) {
        send_to(CHANNEL_USER, "alice", "x");
        settle();
    }
    assert_int_equal(w.stats.streams_behind, 1);
    for (int i = 0; i < 400; i++) { /* a few bytes at a time */
        fake_sink_open_up(&slow, c, 13, w.now_ms);
        settle();
    }
    assert_true(slow.bytes.len > 0);
    /* But for the client's own id in the preamble both have read the same. */
    assert_int_equal(slow.bytes.len, fast.bytes.len);
    assert_memory_equal(slow.bytes.p + 80, fast.bytes.p + 80, slow.bytes.len - 80);
    assert_int_equal(w.stats.streams_behind, 0);
    assert_int_equal(w.stats.gaps_overflow, 0);
    assert_true(w.stats.journal_reads > 0);
    world_end();
    fake_sink_fini(&slow);
    fake_sink_fini(&fast);
}

static void drop_oldest_gives_the_newest_after_a_gap(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(2, OVERFLOW_DROP_OLDEST, 100, 1 << 20);
    c = open_at(&sink, "alice", NULL);
    settle();
    sink.room = 0;
    for (int i = 0; i < 6; i++) {
        send_to(CHANNEL_USER, "alice", "x");
        settle();
    }
    fake_sink_open_up(&sink, c, 100000, w.now_ms);
    settle();
    assert_reads(&sink, "<2000> {connected} gap({\"reason\":\"overflow\",\"after\":\"#0\","
                        "\"resumed_at\":\"#4\"})#4 n(x)#5 n(x)#6 ");
    assert_int_equal(w.stats.dropped_oldest, 4);
    world_end();
    fake_sink_fini(&sink);
}

static void disconnect_ends_a_stream_that_is_too_slow(void **state)
{
    struct fake_sink sink = {.room = 0};

    (void)state;
    world_begin(2, OVERFLOW_DISCONNECT, 100, 1 << 20);
    open_at(&sink, "alice", NULL);
    settle();
    for (int i = 0; i < 4; i++)
        send_to(CHANNEL_USER, "alice", "x");
    settle();
    assert_true(sink.is_closed);
    assert_false(sink.is_graceful);
    assert_int_equal(w.stats.streams_open, 0);
    assert_int_equal(w.stats.streams_closed_by_overflow, 1);
    world_end();
    fake_sink_fini(&sink);
}

static void a_large_channel_is_served_in_slices_and_in_order(void **state)
{
    enum { STREAMS = 300 };
    static struct fake_sink sinks[STREAMS];

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    for (int i = 0; i < STREAMS; i++) {
        char user[16];

        sinks[i] = (struct fake_sink){.room = FAKE_SINK_ENDLESS};
        snprintf(user, sizeof user, "u%d", i);
        open_at(&sinks[i], user, NULL);
    }
    settle();
    assert_int_equal(send_to(CHANNEL_EVERYONE, "", "b1"), STREAMS);
    assert_true(manager_turn_end(w.nm, w.now_ms)); /* one slice: not all can be served yet */
    send_to(CHANNEL_USER, "u299", "own");          /* whom the walk has not reached */
    send_to(CHANNEL_EVERYONE, "", "b2");
    settle();
    for (int i = 0; i < STREAMS; i++) {
        assert_reads(&sinks[i], i == 299 ? "<2000> {connected} n(b1)#1 n(own)#2 n(b2)#3 "
                                         : "<2000> {connected} n(b1)#1 n(b2)#3 ");
        fake_sink_fini(&sinks[i]);
    }
    world_end();
}

static void an_idle_stream_gets_heartbeats_and_a_kicked_one_a_bye(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_at(&sink, "alice", NULL);
    settle();
    assert_int_equal(sink.due_ms, w.now_ms + 15000);
    w.now_ms = sink.due_ms;
    client_on_deadline(c, w.now_ms);
    settle();
    assert_int_equal(w.stats.heartbeats, 1);
    assert_int_equal(manager_kick(w.nm, slice_of("bob"), 0), 0);
    assert_int_equal(manager_kick(w.nm, slice_of("alice"), 0), 1);
    settle();
    assert_memory_equal(sink.bytes.p + sink.bytes.len - 5, "0\r\n\r\n", 5); /* the body is whole */
    assert_reads(&sink, "<2000> {connected} {} bye({\"reason\":\"kicked\"})#0 ");
    assert_true(sink.is_closed && sink.is_graceful);
    assert_int_equal(manager_stream_count(w.nm), 0);
    world_end();
    fake_sink_fini(&sink);
}

static void ignore_removal(struct journal_removal *removal)
{
    (void)removal;
}

/* Sends one after the other and takes it back; all of it reaches one who takes nothing. */
static void send_and_retract(int times)
{
    struct journal_removal removal = {.on_done = ignore_removal};

    for (int i = 0; i < times; i++) {
        send_to(CHANNEL_USER, "alice", "x");
        journal_retract(w.journal, (struct channel_name){CHANNEL_USER, {"alice", 5}},
                        manager_head(w.nm), &removal);
    }
}

static size_t count_of(const struct fake_sink *sink, const char *text)
{
    const char *at = sink->bytes.p;
    size_t n = 0;

    while ((at = memmem(at, sink->bytes.len - (size_t)(at - sink->bytes.p), text,
                        strlen(text))) != NULL) {
        at += strlen(text);
        n++;
    }
    return n;
}

static void assert_ends_with(const struct fake_sink *sink, const char *text)
{
    size_t n = strlen(text);

    assert_true(sink->bytes.len >= n);
    assert_slice(slice_make(sink->bytes.p + sink->bytes.len - n, n), text);
}

static void a_retract_that_found_no_room_is_told_by_a_gap(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(2, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_at(&sink, "alice", NULL);
    settle();
    sink.room = 0;
    send_and_retract(100); /* one notification is queued, and retracts up to 64 over the queue */
    settle();
    fake_sink_open_up(&sink, c, FAKE_SINK_ENDLESS, w.now_ms);
    settle();
    assert_int_equal(count_of(&sink, "event: retract"), 65);
    assert_int_equal(count_of(&sink, "event: gap"), 1);
    assert_int_equal(w.stats.retracts_untold, 35);
    assert_int_equal(w.stats.gaps_overflow, 1);
    send_and_retract(1); /* with room again it is told as itself */
    settle();
    assert_int_equal(count_of(&sink, "event: retract"), 66);
    assert_int_equal(count_of(&sink, "event: gap"), 1);
    world_end();
    fake_sink_fini(&sink);
}

static void a_stream_full_of_retracts_gets_its_gap_and_its_bye(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(2, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_at(&sink, "alice", NULL);
    settle();
    sink.room = 0;
    send_and_retract(100);
    assert_int_equal(manager_kick(w.nm, slice_of("alice"), 0), 1);
    fake_sink_open_up(&sink, c, FAKE_SINK_ENDLESS, w.now_ms);
    settle();
    assert_true(sink.is_closed && sink.is_graceful);
    assert_int_equal(count_of(&sink, "event: retract"), 65);
    assert_int_equal(count_of(&sink, "event: gap"), 1);
    assert_ends_with(&sink, "event: bye\ndata: {\"reason\":\"kicked\"}\n\n\r\n0\r\n\r\n");
    world_end();
    fake_sink_fini(&sink);
}

/* ---- tokens ---- */

static void limit_memory(uint32_t queue, uint64_t max_memory)
{
    struct manager_options o = {.heartbeat_ms = 15000, .retry_ms = 2000, .queue = queue,
                                .overflow = OVERFLOW_CATCHUP, .max_memory = max_memory};

    manager_change_options(w.nm, &o);
}

static void near_the_limit_of_memory_the_furthest_behind_is_ended_first(void **state)
{
    enum { STREAMS = 4 };
    struct fake_sink sinks[STREAMS];
    static char data[4000];

    (void)state;
    memset(data, 'x', sizeof data - 1);
    world_begin(256, OVERFLOW_CATCHUP, 100, 16000);
    limit_memory(256, 400000);
    for (int i = 0; i < STREAMS; i++) { /* each a little less behind than the one before */
        sinks[i] = (struct fake_sink){.room = FAKE_SINK_ENDLESS};
        open_at(&sinks[i], "alice", NULL);
        settle();
        sinks[i].room = i == STREAMS - 1 ? FAKE_SINK_ENDLESS : 0;
        for (int k = 0; k < 20; k++)
            send_to(CHANNEL_USER, "alice", data);
        settle();
    }
    assert_int_equal(w.stats.streams_closed_by_max_memory, 0);
    assert_true(w.stats.queued_bytes > w.stats.memory_held); /* what is shared counts once */
    for (int k = 0; k < 12; k++)
        send_to(CHANNEL_USER, "alice", data);
    manager_tick(w.nm, w.now_ms);
    settle();
    assert_true(sinks[0].is_closed && !sinks[0].is_graceful);
    assert_false(sinks[1].is_closed || sinks[2].is_closed || sinks[3].is_closed);
    assert_int_equal(w.stats.streams_closed_by_max_memory, 1);
    for (int k = 0; k < 30; k++)
        send_to(CHANNEL_USER, "alice", data);
    manager_tick(w.nm, w.now_ms);
    settle();
    assert_true(sinks[1].is_closed);
    assert_false(sinks[3].is_closed); /* it is not slow */
    assert_false(manager_is_full(w.nm));
    world_end();
    for (int i = 0; i < STREAMS; i++)
        fake_sink_fini(&sinks[i]);
}

static void where_nobody_is_slow_memory_ends_nobody_and_does_not_spin(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    static char data[4000];

    (void)state;
    memset(data, 'x', sizeof data - 1);
    world_begin(8, OVERFLOW_CATCHUP, 100, 64000);
    open_at(&sink, "alice", NULL);
    limit_memory(8, 60000); /* less than the window, which nothing forbids here */
    for (int k = 0; k < 30; k++)
        send_to(CHANNEL_USER, "alice", data);
    manager_tick(w.nm, w.now_ms);
    settle();
    assert_true(manager_is_full(w.nm));
    settle();
    assert_false(manager_turn_end(w.nm, w.now_ms));
    assert_false(sink.is_closed);
    world_end();
    fake_sink_fini(&sink);
}

static const struct client_credential nobody;

static struct client *open_with(struct fake_sink *sink, struct client_credential credential)
{
    struct slice topics[] = {SLICE_LITERAL("t")};
    struct client_options o = {.user = SLICE_LITERAL("alice"), .is_chunked = true,
                               .ops = &fake_sink_ops, .sink = sink, .head = SLICE_LITERAL("HEAD"),
                               .credential = &credential, .topics = topics,
                               .topic_count = credential.issued_ms % 2};
    struct client *c = client_open(w.nm, &o, w.now_ms);

    assert_non_null(c);
    return c;
}

/* Those whose id is over that in `ctx`. */
static bool is_over(void *ctx, const struct client_credential *credential)
{
    return credential->id > *(uint64_t *)ctx;
}

static void streams_whose_token_is_revoked_are_ended_however_many_there_are(void **state)
{
    enum { STREAMS = 10000 };
    struct fake_sink *sinks = calloc(STREAMS, sizeof *sinks);
    uint64_t most = 7000;
    size_t ended = 0;

    (void)state;
    assert_non_null(sinks);
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    for (uint64_t i = 0; i < STREAMS; i++) {
        sinks[i].room = FAKE_SINK_ENDLESS;
        open_with(&sinks[i], i == 9999 ? nobody : (struct client_credential){i, 0, i});
    }
    settle();
    manager_end_revoked(w.nm, is_over, &most);
    manager_turn_end(w.nm, w.now_ms);
    most = 6000; /* one more is revoked while that is under way */
    manager_end_revoked(w.nm, is_over, &most);
    settle();
    for (uint64_t i = 0; i < STREAMS; i++) {
        assert_int_equal(sinks[i].is_closed, i > 6000 && i < 9999);
        ended += sinks[i].is_closed;
        fake_sink_fini(&sinks[i]);
    }
    assert_int_equal(w.stats.streams_closed_by_revocation, ended);
    assert_false(manager_turn_end(w.nm, w.now_ms));
    world_end();
    free(sinks);
}

static void a_renewed_stream_has_its_new_tokens_credential(void **state)
{
    struct fake_sink sinks[2] = {{.room = FAKE_SINK_ENDLESS}, {.room = FAKE_SINK_ENDLESS}};
    const struct client_credential another = {5, 0, 0};
    uint64_t most = 7;

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    assert_int_equal(client_renew(open_with(&sinks[0], (struct client_credential){9, 0, 0}), 100000,
                                  &another, w.now_ms), 0);
    assert_int_equal(client_renew(open_with(&sinks[1], nobody), 100000,
                                  &(struct client_credential){9, 0, 0}, w.now_ms), 0);
    manager_end_revoked(w.nm, is_over, &most);
    settle();
    assert_false(sinks[0].is_closed);
    assert_true(sinks[1].is_closed);
    world_end();
    fake_sink_fini(&sinks[0]);
    fake_sink_fini(&sinks[1]);
}

static struct client *open_until(struct fake_sink *sink, uint64_t expires_ms)
{
    struct client_options o = {.user = SLICE_LITERAL("alice"), .is_chunked = true,
                               .ops = &fake_sink_ops, .sink = sink, .head = SLICE_LITERAL("HEAD"),
                               .expires_ms = expires_ms};
    struct client *c = client_open(w.nm, &o, w.now_ms);

    assert_non_null(c);
    settle();
    return c;
}

/* Lets the time pass up to `now_ms`, deadline after deadline, as the wheel does. */
static void pass(struct fake_sink *sink, struct client *c, uint64_t now_ms)
{
    while (!sink->is_closed && sink->due_ms != 0 && sink->due_ms <= now_ms) {
        w.now_ms = sink->due_ms;
        sink->due_ms = 0;
        client_on_deadline(c, w.now_ms);
        settle();
    }
    w.now_ms = now_ms;
}

static void a_stream_is_warned_a_minute_before_its_token_expires_and_ended_then(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;
    char warning[64];

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_until(&sink, 301000);
    snprintf(warning, sizeof warning, "data: {\"in\":60,\"client_id\":\"%016llx\"}\n\n",
             (unsigned long long)client_id(c));
    pass(&sink, c, 240999);
    assert_int_equal(count_of(&sink, "event: expiring"), 0);
    pass(&sink, c, 241000);
    assert_int_equal(count_of(&sink, "event: expiring"), 1);
    assert_int_equal(count_of(&sink, warning), 1);
    assert_int_equal(w.stats.queued_messages, 0);
    assert_int_equal(w.stats.queued_bytes, 0);
    pass(&sink, c, 300999);
    assert_int_equal(count_of(&sink, "event: expiring"), 1);
    assert_false(sink.is_closed);
    pass(&sink, c, 301000);
    assert_true(sink.is_closed && sink.is_graceful);
    assert_ends_with(&sink, "event: bye\ndata: {\"reason\":\"token-expired\"}\n\n\r\n0\r\n\r\n");
    assert_int_equal(w.stats.streams_closed_by_expiry, 1);
    world_end();
    fake_sink_fini(&sink);
}

static void a_short_token_is_warned_of_at_once(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_until(&sink, w.now_ms + 2500);
    assert_int_equal(count_of(&sink, "event: expiring\ndata: {\"in\":3,"), 1);
    pass(&sink, c, w.now_ms + 2499);
    assert_false(sink.is_closed);
    pass(&sink, c, w.now_ms + 1);
    assert_true(sink.is_closed);
    world_end();
    fake_sink_fini(&sink);
}

static void an_expired_token_ends_its_stream_after_the_preamble(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    open_until(&sink, w.now_ms);
    assert_reads(&sink, "<2000> {connected} bye({\"reason\":\"token-expired\"})#0 ");
    assert_true(sink.is_closed && sink.is_graceful);
    world_end();
    fake_sink_fini(&sink);
}

static void a_renewed_stream_goes_on_and_is_warned_again(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_until(&sink, 101000);
    pass(&sink, c, 100000);
    assert_int_equal(count_of(&sink, "event: expiring"), 1);
    client_renew(c, 201000, &nobody, w.now_ms);
    assert_int_equal(w.stats.streams_renewed, 1);
    pass(&sink, c, 140999);
    assert_int_equal(count_of(&sink, "event: expiring"), 1);
    pass(&sink, c, 200999);
    assert_int_equal(count_of(&sink, "event: expiring"), 2);
    assert_false(sink.is_closed);
    client_renew(c, 200000, &nobody, w.now_ms); /* to an earlier end, too */
    settle();
    assert_true(sink.is_closed);
    world_end();
    fake_sink_fini(&sink);
}

static void a_stream_that_reads_nothing_is_ended_with_its_token_all_the_same(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;

    (void)state;
    world_begin(2, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_until(&sink, 101000);
    sink.room = 0;
    for (int i = 0; i < 20; i++)
        send_to(CHANNEL_USER, "alice", "x");
    settle();
    for (int i = 0; i < 200; i++) /* warnings that find no room do no harm */
        client_renew(c, 101000, &nobody, w.now_ms + 50000);
    pass(&sink, c, 101000 + 5000);
    assert_true(sink.is_closed);
    assert_false(sink.is_graceful);
    assert_int_equal(w.stats.streams_open, 0);
    world_end();
    fake_sink_fini(&sink);
}

static void a_client_is_found_by_its_id_until_it_ends(void **state)
{
    struct fake_sink sink = {.room = FAKE_SINK_ENDLESS};
    struct client *c;
    uint64_t id;

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    c = open_until(&sink, 0);
    id = client_id(c);
    assert_ptr_equal(manager_find_client(w.nm, slice_of("alice"), id), c);
    assert_null(manager_find_client(w.nm, slice_of("alice"), id + 1));
    assert_null(manager_find_client(w.nm, slice_of("bob"), id));
    assert_null(client_topic(c, 0).p);
    sink.room = 0;
    manager_kick(w.nm, slice_of("alice"), id);
    assert_null(manager_find_client(w.nm, slice_of("alice"), id));
    world_end();
    fake_sink_fini(&sink);
}

static void a_peer_that_fails_is_freed_and_others_go_on(void **state)
{
    struct fake_sink broken = {.room = FAKE_SINK_ENDLESS, .error = -ECONNRESET};
    struct fake_sink sound = {.room = FAKE_SINK_ENDLESS};

    (void)state;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    open_at(&broken, "alice", NULL);
    open_at(&sound, "alice", NULL);
    settle();
    assert_int_equal(send_to(CHANNEL_USER, "alice", "x"), 1);
    settle();
    assert_reads(&sound, "<2000> {connected} n(x)#1 ");
    assert_int_equal(w.stats.streams_open, 1);
    world_end();
    fake_sink_fini(&broken);
    fake_sink_fini(&sound);
}

static void note_online(void *ctx, struct slice user, bool is_online)
{
    struct buf *heard = ctx;

    buf_printf(heard, "%s%.*s ", is_online ? "+" : "-", SLICE_ARG(user));
}

static void users_are_watched_from_their_first_stream_to_their_last(void **state)
{
    struct fake_sink sinks[4] = {{.room = 0}};
    struct buf heard = {0};
    struct client *first;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        sinks[i].room = FAKE_SINK_ENDLESS;
    world_begin(8, OVERFLOW_CATCHUP, 100, 1 << 20);
    open_at(&sinks[0], "before", NULL);
    manager_watch_users(w.nm, note_online, &heard);
    first = open_at(&sinks[1], "alice", NULL);
    open_at(&sinks[2], "alice", NULL);
    client_on_closed(first);
    settle();
    assert_slice(buf_slice(&heard), "+alice ");
    manager_kick(w.nm, slice_of("alice"), 0);
    settle();
    assert_slice(buf_slice(&heard), "+alice -alice ");
    open_at(&sinks[3], "bob", NULL);
    assert_int_equal(w.stats.users_online, 2);
    world_end(); /* the manager's own end is no news */
    assert_slice(buf_slice(&heard), "+alice -alice +bob ");
    buf_fini(&heard);
    for (size_t i = 0; i < 4; i++)
        fake_sink_fini(&sinks[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_stream_gets_its_user_and_everyone_and_nobody_elses),
        cmocka_unit_test(the_first_of_a_turn_is_written_before_its_publisher_has_the_answer),
        cmocka_unit_test(a_resumed_stream_gets_what_it_missed_and_then_live_ones),
        cmocka_unit_test(what_is_not_kept_any_more_is_told_as_a_gap),
        cmocka_unit_test(what_is_lost_after_the_opening_is_told_to_a_stream_from_the_earliest),
        cmocka_unit_test(a_slow_reader_loses_nothing_that_is_kept),
        cmocka_unit_test(drop_oldest_gives_the_newest_after_a_gap),
        cmocka_unit_test(disconnect_ends_a_stream_that_is_too_slow),
        cmocka_unit_test(a_large_channel_is_served_in_slices_and_in_order),
        cmocka_unit_test(an_idle_stream_gets_heartbeats_and_a_kicked_one_a_bye),
        cmocka_unit_test(a_retract_that_found_no_room_is_told_by_a_gap),
        cmocka_unit_test(a_stream_full_of_retracts_gets_its_gap_and_its_bye),
        cmocka_unit_test(a_stream_is_warned_a_minute_before_its_token_expires_and_ended_then),
        cmocka_unit_test(a_short_token_is_warned_of_at_once),
        cmocka_unit_test(an_expired_token_ends_its_stream_after_the_preamble),
        cmocka_unit_test(near_the_limit_of_memory_the_furthest_behind_is_ended_first),
        cmocka_unit_test(where_nobody_is_slow_memory_ends_nobody_and_does_not_spin),
        cmocka_unit_test(a_renewed_stream_goes_on_and_is_warned_again),
        cmocka_unit_test(streams_whose_token_is_revoked_are_ended_however_many_there_are),
        cmocka_unit_test(a_renewed_stream_has_its_new_tokens_credential),
        cmocka_unit_test(a_stream_that_reads_nothing_is_ended_with_its_token_all_the_same),
        cmocka_unit_test(a_client_is_found_by_its_id_until_it_ends),
        cmocka_unit_test(a_peer_that_fails_is_freed_and_others_go_on),
        cmocka_unit_test(users_are_watched_from_their_first_stream_to_their_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
