/* Every allocation fails once, and then it and all behind it: a stream is cut or a notification
 * refused, and nobody loses anything in silence. */
#include "notify/notification_manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"
#include "support/failing_memory.h"
#include "support/fake_sink.h"
#include "support/stream_reader.h"

/* ---- the world ---- */

enum { MAX_BYTES = 8192, MAX_SEQS = 64, CROWD = 70, MAX_SENT = 32 };

struct viewer {
    struct fake_sink sink;
    struct client *client;
    const char *user;
    char bytes[MAX_BYTES]; /* of the present stream */
    size_t length;
    uint64_t seqs[MAX_SEQS]; /* of all its streams */
    size_t seq_count;
    bool heard_gap;
    bool heard_retract;
    bool was_cut;
    char last_id[ID_TEXT_SIZE];
};

static struct {
    struct stats stats;
    struct journal *journal;
    struct notification_manager *nm;
    struct {
        uint64_t seq;
        bool is_transient;
        bool is_for_all;
    } sent[MAX_SENT]; /* what the journal took while allocations failed */
    size_t sent_count;
    unsigned done;
} w;

static const struct journal_options journal_options = {
    .keep_ms = 60000,
    .keep_per_user = 20,
    .keep_bytes = 1 << 20,
    .idempotency_window_ms = 60000,
};
static const struct manager_options manager_options = {
    .heartbeat_ms = 15000,
    .retry_ms = 2000,
    .queue = 2,
    .overflow = OVERFLOW_CATCHUP,
    .window_bytes = 900, /* so little that who is behind reads the journal */
    .keep_ms = 60000,
    .keep_per_user = 20,
};

static void world_begin(void)
{
    struct error why;

    memset(&w, 0, sizeof w);
    w.journal = journal_open("memory", &journal_options, NULL, &w.stats, &why);
    assert_non_null(w.journal);
    w.nm = notification_manager_create(&manager_options, w.journal, &w.stats);
    assert_non_null(w.nm);
}

static void world_end(void)
{
    notification_manager_destroy(w.nm);
    journal_close(w.journal);
}

static void settle(void)
{
    for (int i = 0; i < 10000 && manager_turn_end(w.nm, 0); i++)
        ;
    assert_false(manager_turn_end(w.nm, 0));
}

static void on_done(struct journal_append *append)
{
    (void)append;
    w.done++;
}

static int send_with(struct notification n, struct journal_append *append)
{
    unsigned done = w.done;

    n.event = slice_of("n");
    *append = (struct journal_append){.on_done = on_done};
    manager_send_notification(w.nm, &n, 0, append);
    assert_int_equal(w.done, done + 1);
    assert_true(append->status == 0 || append->status == -ENOMEM);
    return append->status;
}

static struct notification to_user(const char *user, const char *data)
{
    return (struct notification){
        .to = {CHANNEL_USER, slice_of(user)}, .data = slice_of(data), .ttl_ms = TTL_DEFAULT};
}

/* Sends, and notes what was taken. */
static void send(struct notification n)
{
    struct journal_append append;

    if (send_with(n, &append) != 0)
        return;
    w.sent[w.sent_count].is_transient = n.ttl_ms == 0;
    w.sent[w.sent_count].is_for_all = n.to.kind == CHANNEL_EVERYONE;
    w.sent[w.sent_count++].seq = append.seq;
}

static void on_bytes(void *ctx, struct slice bytes)
{
    struct viewer *v = ctx;

    assert_true(v->length + bytes.n <= sizeof v->bytes);
    memcpy(v->bytes + v->length, bytes.p, bytes.n);
    v->length += bytes.n;
}

static bool view(struct viewer *v, const char *user, size_t room)
{
    static const struct slice topics[] = {{"x", 1}, {"y", 1}};
    struct client_options o = {
        .user = slice_of(user), .topics = topics, .topic_count = 2, .is_chunked = true,
        .resume = slice_of(v->last_id), .user_agent = slice_of("a browser"),
        .ops = &fake_sink_ops, .sink = &v->sink, .head = SLICE_LITERAL("HEAD"),
    };

    v->sink = (struct fake_sink){.room = room, .on_bytes = on_bytes, .ctx = v};
    v->user = user;
    v->length = 0;
    v->client = client_open(w.nm, &o, 0);
    return v->client != NULL;
}

static int hear_event(void *arg, const struct sse_event *event)
{
    struct viewer *v = arg;
    uint64_t seq;

    assert_true(event->last_event_id.n < sizeof v->last_id);
    snprintf(v->last_id, sizeof v->last_id, "%.*s", SLICE_ARG(event->last_event_id));
    if (slice_is(event->type, "gap"))
        v->heard_gap = true;
    if (slice_is(event->type, "retract"))
        v->heard_retract = true;
    if (!slice_is(event->type, "n"))
        return 0;
    assert_int_equal(id_parse(event->last_event_id, manager_epoch(w.nm), &seq), 0);
    assert_true(v->seq_count < MAX_SEQS);
    assert_true(v->seq_count == 0 || seq > v->seqs[v->seq_count - 1]);
    v->seqs[v->seq_count++] = seq;
    return 0;
}

/* Reads what the present stream has brought. */
static void read_stream(struct viewer *v)
{
    static const struct sse_handlers handlers = {.on_event = hear_event};
    struct stream_reader r;
    struct slice last;

    assert_int_equal(stream_reader_init(&r, SLICE_LITERAL("HEAD"), true, &handlers, v), 0);
    assert_int_equal(stream_reader_feed(&r, slice_make(v->bytes, v->length)), 0);
    last = sse_parser_last_event_id(r.parser); /* the preamble's, if nothing else came */
    if (last.n > 0)
        snprintf(v->last_id, sizeof v->last_id, "%.*s", SLICE_ARG(last));
    stream_reader_fini(&r);
}

static bool has_heard(const struct viewer *v, uint64_t seq)
{
    for (size_t i = 0; i < v->seq_count; i++)
        if (v->seqs[i] == seq)
            return true;
    return false;
}

/* Whoever was cut comes back with its last id, as a browser would; then all that was taken must
 * have come, but for a ttl of 0 to who was away or was told of a gap. */
static void assert_got_all(struct viewer *v)
{
    read_stream(v);
    if (v->sink.is_closed) {
        assert_false(v->sink.is_graceful);
        v->was_cut = true;
        assert_true(view(v, v->user, FAKE_SINK_ENDLESS));
        settle();
        read_stream(v);
    }
    for (size_t i = 0; i < w.sent_count; i++) {
        if (!w.sent[i].is_for_all && strcmp(v->user, "alice") != 0)
            continue;
        if (w.sent[i].is_transient && (v->was_cut || v->heard_gap))
            continue;
        if (!has_heard(v, w.sent[i].seq))
            fail_msg("a stream of %s misses %llu, gap %d, cut %d", v->user,
                     (unsigned long long)w.sent[i].seq, v->heard_gap, v->was_cut);
    }
    for (size_t i = 0; i < w.sent_count && v->heard_gap; i++)
        if (w.sent[i].is_transient)
            return;
    assert_false(v->heard_gap);
}

/* ---- the tests ---- */

static bool create_and_destroy(size_t nth, bool is_lasting)
{
    struct stats stats = {0};
    struct error why;
    struct journal *journal;
    struct notification_manager *nm = NULL;
    bool has_failed;

    fail_from(nth, is_lasting);
    journal = journal_open("memory", &journal_options, NULL, &stats, &why);
    if (journal != NULL)
        nm = notification_manager_create(&manager_options, journal, &stats);
    has_failed = fail_never();
    assert_int_equal(nm == NULL, has_failed);
    notification_manager_destroy(nm);
    journal_close(journal);
    return has_failed;
}

static void a_manager_is_whole_or_not_there(void **state)
{
    (void)state;
    with_each_failure(create_and_destroy);
}

/* It comes back to a gap, which has to be read out of the journal. */
static bool open_to_a_gap(size_t nth, bool is_lasting)
{
    static struct viewer v;
    struct journal_append append;
    bool has_failed;
    bool is_open;

    world_begin();
    v = (struct viewer){.user = "alice"};
    for (int i = 0; i < 30; i++)
        send_with(to_user("alice", "some text that fills the window"), &append);
    id_format(manager_epoch(w.nm), 3, v.last_id);
    fail_from(nth, is_lasting);
    is_open = view(&v, "alice", FAKE_SINK_ENDLESS);
    has_failed = fail_never();
    assert_int_equal(is_open, !has_failed);
    settle();
    if (!is_open) {
        assert_int_equal(v.sink.writes, 0);
        assert_false(v.sink.is_closed || v.sink.wants_write);
        assert_int_equal(v.sink.due_ms, 0);
        assert_int_equal(manager_stream_count(w.nm), 0);
        assert_int_equal(w.stats.streams_open, 0);
        assert_int_equal(w.stats.users_online, 0);
        assert_int_equal(w.stats.streams_behind, 0);
        assert_true(view(&v, "alice", FAKE_SINK_ENDLESS));
        settle();
    }
    read_stream(&v);
    assert_true(v.heard_gap);
    assert_int_equal(v.seq_count, 20);
    assert_int_equal(w.stats.streams_open, 1);
    world_end();
    return has_failed;
}

static void a_stream_is_opened_whole_or_refused_without_a_trace(void **state)
{
    (void)state;
    with_each_failure(open_to_a_gap);
}

/* To one who keeps up, one whose socket is full and whose queue overflows, and a crowd. */
static bool send_some(size_t nth, bool is_lasting)
{
    static struct viewer viewers[CROWD];
    struct notification transient = to_user("alice", "now or never");
    struct notification all = {.to = {.kind = CHANNEL_EVERYONE}, .data = slice_of("to all"),
                               .ttl_ms = TTL_DEFAULT};
    bool has_failed;

    world_begin();
    memset(viewers, 0, sizeof viewers);
    for (int i = 0; i < CROWD; i++)
        assert_true(view(&viewers[i], i < 2 ? "alice" : "bob",
                         i == 1 ? 40 : FAKE_SINK_ENDLESS));
    settle();
    transient.ttl_ms = 0;
    fail_from(nth, is_lasting);
    for (int i = 0; i < 3; i++)
        send(to_user("alice", "some text that is not quite short"));
    send(all);
    manager_turn_end(w.nm, 0);
    send(to_user("alice", "while a walk is under way"));
    send(transient);
    send(all);
    manager_turn_end(w.nm, 0);
    if (!viewers[1].sink.is_closed)
        fake_sink_open_up(&viewers[1].sink, viewers[1].client, FAKE_SINK_ENDLESS, 0);
    settle();
    has_failed = fail_never();
    for (int i = 0; i < CROWD; i++)
        assert_got_all(&viewers[i]);
    assert_int_equal(manager_stream_count(w.nm), CROWD);
    world_end();
    return has_failed;
}

static void what_was_taken_reaches_everybody(void **state)
{
    (void)state;
    with_each_failure(send_some);
}

/* The caller may repeat it with the same key; what it would have replaced is still there; and
 * nobody is told that anything was lost. */
static bool send_refused(size_t nth, bool is_lasting)
{
    static struct viewer v;
    struct notification n = to_user("alice", "newer");
    struct notification older = to_user("alice", "older");
    struct journal_append append;
    bool is_refused;
    bool has_failed;

    world_begin();
    v = (struct viewer){.user = "alice"};
    assert_int_equal(send_with(to_user("alice", "first"), &append), 0);
    id_format(manager_epoch(w.nm), append.seq, v.last_id);
    older.collapse_key = n.collapse_key = slice_of("kind");
    n.idempotency_key = slice_of("once");
    assert_int_equal(send_with(older, &append), 0);
    for (int i = 0; i < 2; i++) /* the row has four places: a fifth needs memory */
        assert_int_equal(send_with(to_user("alice", "more"), &append), 0);
    fail_from(nth, is_lasting);
    is_refused = send_with(n, &append) != 0;
    has_failed = fail_never();
    if (is_refused) {
        assert_true(view(&v, "alice", FAKE_SINK_ENDLESS));
        settle();
        read_stream(&v);
        assert_int_equal(v.seq_count, 3);
        assert_int_equal(v.seqs[0], 2);
        assert_int_equal(send_with(n, &append), 0);
        assert_false(append.is_duplicate);
        assert_int_equal(append.seq, 5);
        settle();
        v.seq_count = 0;
        read_stream(&v);
        assert_int_equal(v.seqs[v.seq_count - 1], 5);
        assert_false(v.heard_gap);
    }
    world_end();
    return has_failed;
}

static void what_was_refused_has_not_happened(void **state)
{
    (void)state;
    with_each_failure(send_refused);
}

static void ignore_removal(struct journal_removal *removal)
{
    (void)removal;
}

/* Whoever is open is told of it by itself or by a gap; with memory for neither, as soon as there
 * is some. */
static bool retract(size_t nth, bool is_lasting)
{
    static struct viewer v[2];
    struct journal_append append;
    struct journal_removal removal = {.on_done = ignore_removal};
    bool has_failed;

    world_begin();
    memset(v, 0, sizeof v);
    for (int i = 0; i < 2; i++)
        assert_true(view(&v[i], "alice", FAKE_SINK_ENDLESS));
    assert_int_equal(send_with(to_user("alice", "text"), &append), 0);
    settle();
    fail_from(nth, is_lasting);
    journal_retract(w.journal, (struct channel_name){CHANNEL_USER, {"alice", 5}}, append.seq,
                    &removal);
    settle();
    has_failed = fail_never();
    assert_int_equal(removal.count, 1);
    for (int i = 0; i < 2; i++)
        client_on_deadline(v[i].client, manager_options.heartbeat_ms);
    settle();
    for (int i = 0; i < 2; i++) {
        read_stream(&v[i]);
        assert_false(v[i].sink.is_closed);
        assert_true(v[i].heard_retract != v[i].heard_gap);
        assert_true(has_failed || v[i].heard_retract);
    }
    world_end();
    return has_failed;
}

static void a_retract_that_finds_no_memory_is_told_by_a_gap(void **state)
{
    (void)state;
    with_each_failure(retract);
}

static bool kick(size_t nth, bool is_lasting)
{
    static struct viewer v[2];
    bool has_failed;

    world_begin();
    memset(v, 0, sizeof v);
    for (int i = 0; i < 2; i++)
        assert_true(view(&v[i], "alice", FAKE_SINK_ENDLESS));
    settle();
    fail_from(nth, is_lasting);
    assert_int_equal(manager_kick(w.nm, slice_of("alice"), 0), 2);
    settle();
    has_failed = fail_never();
    assert_true(v[0].sink.is_closed && v[1].sink.is_closed);
    assert_int_equal(manager_stream_count(w.nm), 0);
    world_end();
    return has_failed;
}

static void a_stream_that_cannot_be_told_bye_is_cut(void **state)
{
    (void)state;
    with_each_failure(kick);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manager_is_whole_or_not_there),
        cmocka_unit_test(a_stream_is_opened_whole_or_refused_without_a_trace),
        cmocka_unit_test(what_was_taken_reaches_everybody),
        cmocka_unit_test(what_was_refused_has_not_happened),
        cmocka_unit_test(a_retract_that_finds_no_memory_is_told_by_a_gap),
        cmocka_unit_test(a_stream_that_cannot_be_told_bye_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
