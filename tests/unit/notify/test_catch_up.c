/* test_catch_up.c - streams that are behind while the journal takes its time.
 *
 * mk/test-pages.mk links this program with journal_read and journal_cancel wrapped: a page comes
 * when a test says so. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "support/cm.h"
#include "support/fake_sink.h"
#include "support/stream_reader.h"

enum { CROWD = 70, HEARTBEAT_MS = 15000, BIG = 200 * 1024 };

struct stream {
    struct fake_sink sink;
    struct client *client;
};

static struct {
    struct stats stats;
    struct journal *journal;
    struct notification_manager *nm;
    struct stream streams[CROWD];
    struct journal_read *pages[CROWD]; /* asked for, and not there yet */
    size_t page_count;
} w;

/* ---- pages that come later ---- */

void __real_journal_read(struct journal *j, struct journal_read *read);
void __real_journal_cancel(struct journal *j, struct journal_read *read);
void __wrap_journal_read(struct journal *j, struct journal_read *read);
void __wrap_journal_cancel(struct journal *j, struct journal_read *read);

void __wrap_journal_read(struct journal *j, struct journal_read *read)
{
    (void)j;
    assert_true(w.page_count < CROWD);
    assert_true(read->max_entries > 0);
    w.pages[w.page_count++] = read;
}

void __wrap_journal_cancel(struct journal *j, struct journal_read *read)
{
    size_t i = 0;

    while (w.pages[i] != read)
        assert_true(++i < w.page_count);
    w.pages[i] = w.pages[--w.page_count];
    __real_journal_cancel(j, read);
}

/* Those that are under way now come, or fail with `status`. */
static void let_pages_come(int status)
{
    struct journal_page nothing = {.status = status};

    for (size_t n = w.page_count; n > 0 && w.page_count > 0; n--) {
        struct journal_read *read = w.pages[0];

        w.page_count--;
        for (size_t i = 0; i < w.page_count; i++) /* memmove's checks are a fault to valgrind */
            w.pages[i] = w.pages[i + 1];
        if (status == 0)
            __real_journal_read(w.journal, read);
        else
            read->on_page(read, &nothing);
    }
}

/* ---- the world ---- */

static void begin(uint32_t queue, enum manager_overflow overflow)
{
    struct journal_options jo = {.keep_ms = 60000, .keep_per_user = 100, .keep_bytes = 1 << 24};
    struct manager_options mo = {
        .heartbeat_ms = HEARTBEAT_MS, .retry_ms = 2000, .queue = queue, .overflow = overflow,
        .window_bytes = 300, .keep_ms = 60000, .keep_per_user = 100,
    };
    struct error why;

    memset(&w, 0, sizeof w);
    w.journal = journal_open("memory", &jo, NULL, &w.stats, &why);
    assert_non_null(w.journal);
    w.nm = notification_manager_create(&mo, w.journal, &w.stats);
    assert_non_null(w.nm);
}

static void end(void)
{
    notification_manager_destroy(w.nm);
    journal_close(w.journal);
    for (size_t i = 0; i < CROWD; i++)
        fake_sink_fini(&w.streams[i].sink);
}

static void open_stream(struct stream *s, size_t room, const char *resume)
{
    struct client_options o = {.user = SLICE_LITERAL("alice"), .resume = slice_of(resume),
                               .ops = &fake_sink_ops, .sink = &s->sink};

    s->sink.room = room;
    s->client = client_open(w.nm, &o, 0);
    assert_non_null(s->client);
}

/* The first of a crowd, so that what is sent to everyone reaches it by a walk. */
static struct stream *open_crowd(size_t room_of_first)
{
    for (size_t i = 0; i < CROWD; i++)
        open_stream(&w.streams[i], i == 0 ? room_of_first : FAKE_SINK_ENDLESS, "");
    while (manager_turn_end(w.nm, 0))
        ;
    return &w.streams[0];
}

static void turn(void)
{
    for (int i = 0; i < 100; i++)
        manager_turn_end(w.nm, 0);
    assert_false(manager_turn_end(w.nm, 0));
}

static void ignore(struct journal_append *append)
{
    (void)append;
}

static void send(struct channel_name to, struct slice data, uint64_t ttl_ms)
{
    struct notification n = {.to = to, .event = {"n", 1}, .data = data, .ttl_ms = ttl_ms};
    struct journal_append append = {.on_done = ignore};

    manager_send_notification(w.nm, &n, 0, &append);
    assert_int_equal(append.status, 0);
}

static void ignore_removal(struct journal_removal *removal)
{
    (void)removal;
}

/* What the stream has read behind its preamble. */
static void assert_reads(const struct stream *s, const char *expected)
{
    static const struct slice preamble = {"<2000> {connected} ", 19};
    struct buf text = {0};

    assert_int_equal(stream_reader_transcribe(buf_slice(&s->sink.bytes), slice_make("", 0), false,
                                              manager_epoch(w.nm), &text), 0);
    assert_true(text.len >= preamble.n && memcmp(text.p, preamble.p, preamble.n) == 0);
    assert_slice(slice_make(text.p + preamble.n, text.len - preamble.n), expected);
    buf_fini(&text);
}

static const struct channel_name everyone = {.kind = CHANNEL_EVERYONE};
static const struct channel_name alice = {CHANNEL_USER, {"alice", 5}};

/* ---- the tests ---- */

/* The page brings as much as fits into its bytes, which leaves room: another one is asked for. That
 * must not come when its stream has gone back to before it. */
static void a_page_from_behind_what_was_dropped_does_not_come(void **state)
{
    static char data[BIG];
    struct journal_removal removal = {.on_done = ignore_removal};
    struct stream *s;

    (void)state;
    memset(data, 'x', sizeof data);
    begin(2, OVERFLOW_DROP_OLDEST);
    s = open_crowd(FAKE_SINK_ENDLESS);
    for (int i = 0; i < 3; i++)
        send(everyone, slice_make(data, sizeof data), TTL_DEFAULT);
    s->sink.room = 0;
    turn();
    let_pages_come(0);
    turn(); /* the first of three is queued, and the next page under way */
    journal_retract(w.journal, everyone, 3, &removal);
    turn(); /* now its queue is full */
    let_pages_come(0);
    fake_sink_open_up(&s->sink, s->client, FAKE_SINK_ENDLESS, 0);
    turn();
    assert_int_equal(w.page_count, 0);
    assert_reads(s, "retract({\"id\":\"#3\"})#0 gap({\"reason\":\"overflow\",\"after\":\"#0\","
                    "\"resumed_at\":\"#2\"})#2 ");
    end();
}

/* Its queue is full of what there is: there is nothing that found no room. */
static void a_stream_with_a_full_queue_and_nothing_missing_is_not_ended(void **state)
{
    struct journal_removal removal = {.on_done = ignore_removal};
    struct stream *s;

    (void)state;
    begin(2, OVERFLOW_DISCONNECT);
    s = open_crowd(0); /* its preamble is in the queue */
    send(everyone, SLICE_LITERAL("now or never"), 0);
    send(everyone, SLICE_LITERAL("more than the window has room for"), TTL_DEFAULT);
    journal_erase(w.journal, everyone, &removal);
    turn();
    let_pages_come(0);
    turn();
    assert_false(s->sink.is_closed);
    fake_sink_open_up(&s->sink, s->client, FAKE_SINK_ENDLESS, 0);
    turn();
    send(alice, SLICE_LITERAL("x"), TTL_DEFAULT);
    turn();
    assert_reads(s, "gap({\"reason\":\"overflow\",\"after\":\"#0\",\"resumed_at\":\"#2\"})#2 "
                    "n(x)#3 ");
    end();
}

static void a_page_that_fails_is_asked_for_again_with_the_next_heartbeat(void **state)
{
    struct stream *s = &w.streams[0];
    char id[ID_TEXT_SIZE];

    (void)state;
    begin(8, OVERFLOW_CATCHUP);
    for (int i = 0; i < 3; i++)
        send(alice, SLICE_LITERAL("more than the window has room for"), TTL_DEFAULT);
    id_format(manager_epoch(w.nm), 1, id);
    open_stream(s, FAKE_SINK_ENDLESS, id);
    turn();
    let_pages_come(-EAGAIN);
    turn();
    assert_int_equal(w.page_count, 0); /* else the loop would go round for nothing else */
    assert_int_equal(s->sink.due_ms, HEARTBEAT_MS);
    client_on_deadline(s->client, HEARTBEAT_MS);
    manager_turn_end(w.nm, HEARTBEAT_MS);
    assert_int_equal(w.page_count, 1);
    let_pages_come(0);
    manager_turn_end(w.nm, HEARTBEAT_MS);
    assert_reads(s, "{} n(more than the window has room for)#2 "
                    "n(more than the window has room for)#3 ");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_from_behind_what_was_dropped_does_not_come),
        cmocka_unit_test(a_stream_with_a_full_queue_and_nothing_missing_is_not_ended),
        cmocka_unit_test(a_page_that_fails_is_asked_for_again_with_the_next_heartbeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
