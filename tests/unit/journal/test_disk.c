/* test_disk.c - the contract of a journal as the disk journal keeps it, with a loop and a disk.
 *
 * Behind the tests of one promise each there are random worlds: operations against the journal and
 * against a model, which is nothing but the list of all that was ever emitted. What is under way
 * at the same time may come in any order, and each page is judged when it comes:
 *
 *   - its numbers grow, are over `after` and of its channels, byte for byte what was sent;
 *   - nothing in it was taken back, and that answered, before it came;
 *   - what is kept and was emitted when it was asked for is in it, up to what it covers;
 *   - what a bound took is in it, or told as lost;
 *   - when nothing is under way, page and losses are the model's to the last number.
 *
 * A world that fails is run again with operations left out, as long as it fails in that way, and
 * the rest is printed. TEST_SEED=N runs one seed, TEST_SEEDS=N so many. */
#include "journal/journal.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "message/sse.h"
#include "support/cm.h"
#include "support/scratch.h"

enum { DEADLINE_S = 60, WALL_MS = 5000000 };

/* ---- a journal, and what it says ---- */

struct entry {
    uint64_t seq;
    int channel;           /* index in `channels` */
    uint64_t expires_ms;   /* UINT64_MAX: never */
    int collapse;          /* 0: none */
    bool is_kept;
    bool is_gone;          /* its removal was answered */
    bool is_evicted;       /* by a bound */
    char data[24];
};

enum { USERS = 3, TOPICS = 2, CHANNELS = USERS + TOPICS + 1, MAX_ENTRIES = 4096 };

static const struct channel_name channels[CHANNELS] = {
    {CHANNEL_USER, {"ann", 3}},  {CHANNEL_USER, {"bob", 3}}, {CHANNEL_USER, {"cat", 3}},
    {CHANNEL_TOPIC, {"ann", 3}}, {CHANNEL_TOPIC, {"x", 1}},  {CHANNEL_EVERYONE, {NULL, 0}},
};

static char path[SCRATCH_SIZE];
static struct ev_loop *ev;
static ev_timer watchdog;
static struct stats stats;
static struct journal_options options;
static struct journal *journal;
static uint64_t now_ms;          /* the loop's; the journal's clock is WALL_MS ahead */
static unsigned ups;
static unsigned downs;
static uint64_t floor_seq;
static uint64_t last_emitted;
static struct {
    struct channel_name channel;
    uint64_t seq;
} losses[64];
static size_t loss_count;

/* Where the callbacks are told of; set by who listens. */
static void (*heard_entry)(const struct journal_entry *entry);
static void (*heard_removed)(struct channel_name channel, uint64_t seq);

static void on_floor(void *ctx, uint64_t seq)
{
    (void)ctx;
    floor_seq = seq;
}

static void on_lost(void *ctx, struct channel_name channel, uint64_t seq)
{
    (void)ctx;
    assert_true(loss_count < sizeof losses / sizeof losses[0]);
    for (int i = 0; i < CHANNELS; i++) /* the name is borrowed */
        if (channels[i].kind == channel.kind && slice_equal(channels[i].name, channel.name))
            losses[loss_count].channel = channels[i];
    losses[loss_count++].seq = seq;
}

static void on_entry(void *ctx, const struct journal_entry *entry)
{
    (void)ctx;
    last_emitted = entry->message->seq;
    if (heard_entry != NULL)
        heard_entry(entry);
}

static void on_removed(void *ctx, struct channel_name channel, uint64_t seq)
{
    (void)ctx;
    if (heard_removed != NULL)
        heard_removed(channel, seq);
}

static void on_up(void *ctx)
{
    (void)ctx;
    ups++;
}

static void on_down(void *ctx, const char *why)
{
    (void)ctx;
    (void)why;
    downs++;
}

static const struct journal_events events = {
    .on_floor = on_floor,
    .on_lost = on_lost,
    .on_entry = on_entry,
    .on_removed = on_removed,
    .on_up = on_up,
    .on_down = on_down,
};

static void on_too_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)timer;
    (void)revents;
    fail_msg("the journal has said nothing for %d s", DEADLINE_S);
}

static bool wait_for(bool (*is_so)(const void *ctx), const void *ctx)
{
    ev_timer_again(ev, &watchdog);
    while (!is_so(ctx))
        ev_run(ev, EVRUN_ONCE);
    ev_timer_stop(ev, &watchdog);
    return true;
}

static void open_journal(void)
{
    struct error why = {.text = ""};

    options.path = path;
    options.now_ms = now_ms;
    options.wall_ms = now_ms + WALL_MS;
    ups = 0;
    loss_count = 0;
    journal = journal_open("disk", &options, ev, &stats, &why);
    if (journal == NULL)
        fail_msg("%s", why.text);
    journal_start(journal, &events, NULL);
    assert_int_equal(ups, 1);
    journal_tick(journal, now_ms);
}

static void close_journal(void)
{
    journal_close(journal);
    journal = NULL;
}

static void begin_with(enum journal_sync sync)
{
    scratch_make(path);
    options = (struct journal_options){
        .keep_ms = 1000000,
        .keep_per_user = 3,
        .keep_bytes = 1 << 20,
        .idempotency_window_ms = 5000,
        .window_bytes = 1 << 20,
        .sync = sync,
    };
    stats = (struct stats){0};
    now_ms = 1000;
    last_emitted = floor_seq = 0;
    downs = 0;
    heard_entry = NULL;
    heard_removed = NULL;
    ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    assert_non_null(ev);
    ev_timer_init(&watchdog, on_too_late, DEADLINE_S, DEADLINE_S);
    open_journal();
}

static int begin(void **state)
{
    (void)state;
    begin_with(JOURNAL_SYNC_ALWAYS);
    return 0;
}

static int begin_interval(void **state)
{
    (void)state;
    begin_with(JOURNAL_SYNC_INTERVAL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    journal_close(journal);
    ev_loop_destroy(ev);
    scratch_remove(path);
    return 0;
}

/* ---- helpers of the tests of one promise ---- */

struct appending {
    struct journal_append append; /* first */
    unsigned answers;
    uint64_t emitted_before;      /* the newest number heard when the answer came */
};

static void on_appended(struct journal_append *append)
{
    struct appending *a = (struct appending *)append;

    a->answers++;
    a->emitted_before = last_emitted;
}

static void begin_append_ttl(struct appending *a, const char *user, const char *key,
                             uint64_t ttl_ms)
{
    struct notification n = {.to = {CHANNEL_USER, slice_of(user)}, .event = {"e", 1},
                             .data = {"d", 1}, .ttl_ms = ttl_ms,
                             .idempotency_key = slice_of(key)};

    *a = (struct appending){.append = {.on_done = on_appended}};
    journal_append(journal, &n, 0, &a->append);
}

static void begin_append(struct appending *a, const char *user, const char *key)
{
    begin_append_ttl(a, user, key, TTL_DEFAULT);
}

static bool is_answered(const void *ctx)
{
    return ((const struct appending *)ctx)->answers > 0;
}

static struct journal_append append(const char *user, const char *key)
{
    struct appending a;

    begin_append(&a, user, key);
    wait_for(is_answered, &a);
    assert_int_equal(a.append.status, 0);
    assert_int_equal(a.answers, 1);
    return a.append;
}

struct removing {
    struct journal_removal removal; /* first */
    unsigned answers;
};

static void on_removal_done(struct journal_removal *removal)
{
    ((struct removing *)removal)->answers++;
}

static bool is_removed(const void *ctx)
{
    return ((const struct removing *)ctx)->answers > 0;
}

struct reading {
    struct journal_read read; /* first */
    unsigned pages;
    int status;
    size_t count;
    uint64_t seqs[64];
    uint64_t covered;
    uint64_t lost;
};

static void on_page(struct journal_read *read, const struct journal_page *page)
{
    struct reading *r = (struct reading *)read;

    r->pages++;
    r->status = page->status;
    r->covered = page->covered;
    r->lost = page->lost;
    for (r->count = 0; r->count < page->count; r->count++)
        r->seqs[r->count] = page->messages[r->count]->seq;
}

static bool is_read(const void *ctx)
{
    return ((const struct reading *)ctx)->pages > 0;
}

static void begin_read(struct reading *r, const struct channel_name *channel, uint64_t after,
                       size_t most, uint64_t *known)
{
    *r = (struct reading){.read = {.channels = channel, .channel_count = 1, .known = known,
                                   .after = after, .max_entries = most, .max_bytes = 1 << 20,
                                   .on_page = on_page}};
    journal_read(journal, &r->read);
}

static struct reading read_page(int channel, uint64_t after, size_t most, uint64_t *known)
{
    struct reading r;

    begin_read(&r, &channels[channel], after, most, known);
    wait_for(is_read, &r);
    assert_int_equal(r.status, 0);
    return r;
}

/* ---- one promise each ---- */

static void an_answer_comes_after_the_entry_and_numbers_grow(void **state)
{
    struct appending a[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        begin_append(&a[i], i % 2 == 0 ? "ann" : "bob", NULL);
        assert_int_equal(a[i].answers, 0); /* nothing is promised before it is on the disk */
    }
    assert_int_equal(last_emitted, 0);
    for (int i = 0; i < 5; i++) {
        wait_for(is_answered, &a[i]);
        assert_int_equal(a[i].answers, 1);
        assert_int_equal(a[i].append.status, 0);
        assert_int_equal(a[i].append.seq, i + 1);
        assert_true(a[i].emitted_before >= a[i].append.seq);
    }
}

static void without_waiting_for_the_disk_it_is_answered_within_the_call(void **state)
{
    struct appending a;

    (void)state;
    begin_append(&a, "ann", NULL);
    assert_int_equal(a.answers, 1);
    assert_int_equal(last_emitted, 1);
}

static void a_repeat_waits_for_the_first_which_is_not_written_yet(void **state)
{
    struct appending first;
    struct appending repeat;

    (void)state;
    begin_append(&first, "ann", "k");
    begin_append(&repeat, "ann", "k");
    assert_int_equal(repeat.answers, 0);
    wait_for(is_answered, &repeat);
    assert_int_equal(first.answers, 1);
    assert_int_equal(repeat.append.status, 0);
    assert_true(repeat.append.is_duplicate);
    assert_int_equal(repeat.append.seq, first.append.seq);
    assert_int_equal(last_emitted, 1);
}

static void a_key_is_known_across_an_end_for_as_long_as_its_window(void **state)
{
    struct journal_append a;

    (void)state;
    append("ann", "k");
    now_ms += 3000;
    journal_tick(journal, now_ms);
    close_journal();
    open_journal();
    a = append("ann", "k");
    assert_true(a.is_duplicate);
    assert_int_equal(a.seq, 1);
    now_ms += 2000;
    journal_tick(journal, now_ms);
    a = append("ann", "k");
    assert_false(a.is_duplicate);
    assert_int_equal(a.seq, 2);
}

static void pages_say_what_they_cover_and_what_was_lost(void **state)
{
    struct reading r;
    uint64_t known = 0;

    (void)state;
    for (int i = 0; i < 5; i++)
        append("ann", NULL);
    append("bob", NULL);
    r = read_page(0, 0, 2, &known);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.seqs[0], 3); /* three are kept for a user */
    assert_int_equal(r.lost, 2);
    assert_int_equal(known, 2);
    assert_int_equal(r.covered, 4);
    r = read_page(0, r.covered, 2, &known);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.lost, 0); /* it knows */
    assert_int_equal(r.covered, 6);
    append("ann", NULL);
    r = read_page(0, r.covered, 2, &known);
    assert_int_equal(r.seqs[0], 7);
    assert_int_equal(r.lost, 3);
    assert_int_equal(read_page(1, 0, 2, NULL).lost, 0);
}

static void a_page_that_is_cancelled_does_not_come(void **state)
{
    struct reading cancelled;
    struct reading other;

    (void)state;
    append("ann", NULL);
    begin_read(&cancelled, &channels[0], 0, 9, NULL);
    journal_cancel(journal, &cancelled.read);
    begin_read(&other, &channels[0], 0, 9, NULL);
    wait_for(is_read, &other);
    assert_int_equal(other.count, 1);
    assert_int_equal(cancelled.pages, 0);
    begin_read(&cancelled, &channels[0], 0, 9, NULL);
    journal_cancel(journal, &cancelled.read);
    close_journal();
    assert_int_equal(cancelled.pages, 0);
    open_journal();
}

static struct reading *watched;
static bool page_came_first;

static void note_page_first(struct channel_name channel, uint64_t seq)
{
    (void)channel;
    assert_int_equal(seq, 2);
    page_came_first = watched->pages > 0;
}

static void a_page_that_comes_after_a_retraction_is_without_it(void **state)
{
    unsigned second = 0;

    (void)state;
    options.keep_per_user = 1000;
    for (int i = 0; i < 60; i++) {
        struct reading r;
        struct removing removing = {.removal = {.on_done = on_removal_done}};

        close_journal();
        scratch_remove(path);
        scratch_make(path);
        last_emitted = 0;
        heard_removed = NULL;
        open_journal();
        for (int n = 0; n < 3; n++)
            append("ann", NULL);
        heard_removed = note_page_first;
        watched = &r;
        /* Both are under way at a time; which of them is first is up to the threads. */
        r.pages = 0;
        journal_retract(journal, channels[0], 2, &removing.removal);
        begin_read(&r, &channels[0], 0, 9, NULL);
        wait_for(is_read, &r);
        wait_for(is_removed, &removing);
        assert_int_equal(removing.removal.count, 1);
        /* A page that came first may have been read behind it all the same. */
        assert_true(r.count == 2 || (r.count == 3 && page_came_first));
        second += !page_came_first;
    }
    print_message("the retraction came first %u times of 60\n", second);
}

static void what_waits_at_the_end_is_answered_once_and_is_there_or_not(void **state)
{
    struct appending a[100];
    struct removing r = {.removal = {.on_done = on_removal_done}};

    (void)state;
    options.keep_per_user = 1000;
    close_journal();
    open_journal();
    for (int i = 0; i < 100; i++)
        begin_append(&a[i], "ann", NULL);
    journal_erase(journal, channels[1], &r.removal);
    close_journal();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(a[i].answers, 1);
        assert_int_equal(a[i].append.status, -EAGAIN);
    }
    assert_int_equal(r.answers, 1);
    open_journal();
    assert_int_equal(last_emitted, 100); /* all were written: nobody hears that they were not */
    assert_int_equal(read_page(0, 0, 64, NULL).count, 64);
    assert_int_equal(append("ann", NULL).seq, 101);
}

/* In a process that ends without a word. Returns the newest number that it gave out. */
static uint64_t append_and_die(enum journal_sync sync, int count)
{
    uint64_t newest = 0;
    int ends[2];
    pid_t child;
    int status;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
        ev_timer_init(&watchdog, on_too_late, DEADLINE_S, DEADLINE_S);
        options.sync = sync;
        open_journal();
        for (int i = 0; i < count; i++)
            newest = append("ann", NULL).seq;
        alarm(DEADLINE_S);
        if (write(ends[1], &newest, sizeof newest) == sizeof newest)
            pause();
        _exit(1);
    }
    assert_true(child > 0);
    close(ends[1]);
    assert_int_equal(read(ends[0], &newest, sizeof newest), sizeof newest);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[0]);
    return newest;
}

static void numbers_that_were_given_out_are_not_given_out_again(void **state)
{
    uint64_t newest = 0;

    (void)state;
    close_journal();
    for (int i = 0; i < 5; i++) {
        uint64_t given = append_and_die(JOURNAL_SYNC_INTERVAL, 1 + i);
        struct reading r;

        assert_true(given > newest);
        newest = given;
        open_journal();
        assert_true(floor_seq >= given); /* whoever has less must ask */
        r = read_page(0, given - 1, 9, NULL);
        assert_true(r.lost >= given);
        given = append("ann", NULL).seq;
        assert_true(given > newest);
        newest = given;
        close_journal();
    }
    open_journal();
}

static void what_is_answered_is_there_after_a_death(void **state)
{
    (void)state;
    close_journal();
    assert_int_equal(append_and_die(JOURNAL_SYNC_ALWAYS, 3), 3);
    assert_int_equal(append_and_die(JOURNAL_SYNC_ALWAYS, 2), 5);
    open_journal();
    assert_int_equal(last_emitted, 5);
    assert_int_equal(floor_seq, 2); /* three are kept */
    assert_int_equal(read_page(0, 2, 9, NULL).count, 3);
    assert_int_equal(read_page(0, 2, 9, NULL).lost, 2);
}

/* ---- random worlds ---- */

enum op_kind { APPEND, REPEAT, RETRACT, ERASE, READ, CANCEL, TICK, SETTLE, REOPEN, OP_KINDS };

static const char *const op_names[OP_KINDS] = {
    "append", "repeat", "retract", "erase", "read", "cancel", "tick", "settle", "reopen",
};

enum { MAX_OPS = 120, MAX_PAGES = 32, PENDING = 512, KEYS = 12 };

struct op {
    enum op_kind kind;
    uint64_t random; /* all that it draws comes from here, so that others may go */
};

static struct entry entries[MAX_ENTRIES]; /* of the world: all that was emitted */
static size_t entry_count;
static uint64_t marks[CHANNELS];          /* highest number lost of a channel, by the model */
static struct {
    uint64_t seq;
    uint64_t at_ms;
} keys[KEYS];                             /* seq 0: not known */
static const char *fault_kind;            /* the format of `fault`; NULL: none yet */
static char fault[256];
static size_t under_way;                  /* appends, removals and pages */

struct sent {
    struct journal_append append;         /* first */
    bool is_busy;
    int channel;
    int collapse;
    int key;                              /* -1: none */
    uint64_t expires_ms;
    bool is_kept;
    char data[24];
};

struct asked {
    struct journal_read read;             /* first */
    bool is_busy;
    size_t channel_count;
    struct channel_name names[CHANNELS];
    int indices[CHANNELS];
    uint64_t known[CHANNELS];
    uint64_t emitted;                     /* newest number when it was asked for */
    bool is_quiet;                        /* nothing else is under way */
    uint64_t covered;
};

static struct sent sent[PENDING];
static struct asked asked[MAX_PAGES];
static struct taken {
    struct journal_removal removal;       /* first */
    bool is_busy;
    int channel;
    uint64_t seq;                         /* 0: all of the channel ... */
    size_t count;                         /* ... of the first so many of `entries` */
    uint64_t after;                       /* newest number given out when it was asked for */
    bool is_applied;                      /* to the model */
} taken[PENDING];
static uint64_t newest;                   /* number given out */

typedef unsigned long long ull;

__attribute__((format(printf, 1, 2))) static void fail_world(const char *format, ...)
{
    va_list args;

    if (fault_kind != NULL)
        return;
    fault_kind = format;
    va_start(args, format);
    vsnprintf(fault, sizeof fault, format, args);
    va_end(args);
}

static int index_of(struct channel_name channel)
{
    for (int i = 0; i < CHANNELS; i++)
        if (channels[i].kind == channel.kind && slice_equal(channels[i].name, channel.name))
            return i;
    fail_msg("an unknown channel");
    return -1;
}

static size_t kept_count(int channel)
{
    size_t n = 0;

    for (size_t i = 0; i < entry_count; i++)
        n += entries[i].is_kept && entries[i].channel == channel;
    return n;
}

static void evict_oldest(int channel)
{
    for (size_t i = 0; i < entry_count; i++) {
        struct entry *e = &entries[i];

        if (!e->is_kept || e->channel != channel)
            continue;
        e->is_kept = false;
        e->is_evicted = true;
        if (e->seq > marks[channel])
            marks[channel] = e->seq;
        return;
    }
}

static void remove_from_model(int channel, uint64_t seq)
{
    for (size_t i = 0; i < entry_count; i++)
        if (entries[i].channel == channel && (seq == 0 || entries[i].seq == seq))
            entries[i].is_kept = false;
}

/* An erasure is told in its place among the entries, a retraction when it is done: to the store it
 * came before those that were appended behind it, `seq` on. */
static void retract_before(uint64_t seq)
{
    for (size_t i = 0; i < PENDING; i++) {
        struct taken *t = &taken[i];

        if (!t->is_busy || t->is_applied || t->seq == 0 || t->after >= seq)
            continue;
        t->is_applied = true;
        remove_from_model(t->channel, t->seq);
    }
}

/* The model takes what the journal emits. */
static void model_entry(const struct journal_entry *entry)
{
    const struct sent *s = (const struct sent *)entry->origin;
    struct entry *e = &entries[entry_count];
    uint64_t seq = entry->message->seq;

    if (s == NULL) {
        fail_world("#%llu comes from nobody", (ull)seq);
        return;
    }
    if (entry_count > 0 && seq <= entries[entry_count - 1].seq)
        fail_world("#%llu after #%llu", (ull)seq, (ull)entries[entry_count - 1].seq);
    if (index_of(entry->to) != s->channel)
        fail_world("#%llu is of another channel", (ull)seq);
    retract_before(seq);
    if (s->collapse > 0)
        for (size_t i = 0; i < entry_count; i++)
            if (entries[i].channel == s->channel && entries[i].collapse == s->collapse)
                entries[i].is_kept = false;
    assert_true(++entry_count < MAX_ENTRIES);
    *e = (struct entry){.seq = seq, .channel = s->channel, .expires_ms = s->expires_ms,
                        .collapse = s->collapse, .is_kept = s->is_kept};
    strcpy(e->data, s->data);
    while (s->channel < USERS && kept_count(s->channel) > options.keep_per_user)
        evict_oldest(s->channel);
}

static void model_removed(struct channel_name channel, uint64_t seq)
{
    if (seq == 0)
        remove_from_model(index_of(channel), 0);
}

static void world_appended(struct journal_append *append)
{
    struct sent *s = (struct sent *)append;

    under_way--;
    s->is_busy = false;
    if (append->status != 0)
        fail_world("an append failed: %d", append->status);
    else if (append->seq > last_emitted)
        fail_world("#%llu is answered before it is emitted", (ull)append->seq);
}

static struct sent *free_sent(void)
{
    for (size_t i = 0; i < PENDING; i++)
        if (!sent[i].is_busy)
            return &sent[i];
    return NULL;
}

static void do_append(uint64_t x, bool is_repeat)
{
    struct sent *s = free_sent();
    struct notification n = {.event = {"e", 1}, .ttl_ms = TTL_DEFAULT};
    static unsigned serial;
    char collapse[8];
    char key[8];

    if (s == NULL)
        return;
    *s = (struct sent){.append = {.on_done = world_appended}, .is_busy = true, .is_kept = true,
                       .channel = (int)(x % CHANNELS), .key = -1, .expires_ms = UINT64_MAX};
    x /= CHANNELS;
    n.to = channels[s->channel];
    snprintf(s->data, sizeof s->data, "%u", ++serial);
    n.data = slice_of(s->data);
    switch (x % 8) {
    case 0:
        n.ttl_ms = 0;
        s->is_kept = false;
        break;
    case 1: /* where there is no share, as what is over counts in it until it is swept */
        n.ttl_ms = s->channel < USERS ? 900000 : 1 + x / 8 % 1500;
        s->expires_ms = now_ms + n.ttl_ms;
        break;
    }
    x /= 8 * 1500;
    if (x % 4 == 0) {
        s->collapse = 1 + (int)(x / 4 % 3);
        snprintf(collapse, sizeof collapse, "c%d", s->collapse);
        n.collapse_key = slice_of(collapse);
    }
    x /= 12;
    if (is_repeat || x % 4 == 0) {
        uint64_t head = entry_count == 0 ? 0 : entries[entry_count - 1].seq;

        s->key = (int)(x / 4 % KEYS);
        snprintf(key, sizeof key, "k%d", s->key);
        n.idempotency_key = slice_of(key);
        if (keys[s->key].seq == 0) {
            keys[s->key].at_ms = now_ms;
            under_way++;
            journal_append(journal, &n, 0, &s->append);
            newest = keys[s->key].seq = s->append.seq;
            if (s->append.seq <= head || s->append.is_duplicate)
                fail_world("#%llu is new, and behind #%llu or a repeat", (ull)s->append.seq,
                           (ull)head);
            return;
        }
    }
    under_way++;
    journal_append(journal, &n, 0, &s->append);
    if (s->append.seq > newest)
        newest = s->append.seq;
    if (s->key >= 0 && (!s->append.is_duplicate || s->append.seq != keys[s->key].seq))
        fail_world("a repeat of #%llu is #%llu", (ull)keys[s->key].seq, (ull)s->append.seq);
    if (s->key < 0 && s->append.is_duplicate)
        fail_world("#%llu has no key and is called a repeat", (ull)s->append.seq);
}

static void world_removed(struct journal_removal *removal)
{
    struct taken *t = (struct taken *)removal;

    if (t->seq > 0 && !t->is_applied)
        remove_from_model(t->channel, t->seq);
    under_way--;
    t->is_busy = false;
    if (removal->status != 0)
        fail_world("a removal failed: %d", removal->status);
    for (size_t i = 0; i < t->count; i++)
        if (entries[i].channel == t->channel && (t->seq == 0 || entries[i].seq == t->seq))
            entries[i].is_gone = true;
}

static void do_remove(uint64_t x, bool is_erasure)
{
    size_t i = 0;
    struct taken *t;

    while (i < PENDING && taken[i].is_busy)
        i++;
    if (i == PENDING)
        return;
    t = &taken[i];
    *t = (struct taken){.removal = {.on_done = world_removed}, .is_busy = true,
                        .channel = (int)(x % CHANNELS), .count = entry_count, .after = newest};
    under_way++;
    if (is_erasure) {
        journal_erase(journal, channels[t->channel], &t->removal);
    } else {
        uint64_t back = x / CHANNELS % 12;
        const struct entry *e = entry_count > back ? &entries[entry_count - 1 - back] : NULL;

        if (e != NULL && x / 100 % 8 > 0)
            t->channel = e->channel;
        t->seq = e == NULL ? 5 : e->seq;
        journal_retract(journal, channels[t->channel], t->seq, &t->removal);
    }
}

static bool is_asked_for(const struct asked *a, int channel)
{
    for (size_t i = 0; i < a->channel_count; i++)
        if (a->indices[i] == channel)
            return true;
    return false;
}

static struct entry *find_entry(uint64_t seq)
{
    for (size_t i = 0; i < entry_count; i++)
        if (entries[i].seq == seq)
            return &entries[i];
    return NULL;
}

static void judge_message(const struct asked *a, const struct message *m, uint64_t before,
                          bool is_exact)
{
    const struct entry *e = find_entry(m->seq);
    struct buf data = {0};

    if (e == NULL) {
        fail_world("a page has #%llu, which never was", (ull)m->seq);
        return;
    }
    if (m->seq <= before)
        fail_world("a page has #%llu behind #%llu", (ull)m->seq, (ull)before);
    if (!is_asked_for(a, e->channel))
        fail_world("a page has #%llu of another channel", (ull)m->seq);
    if (e->is_gone && !e->is_evicted && !e->collapse) /* which may have gone before that */
        fail_world("a page has #%llu, which was taken back", (ull)m->seq);
    if (is_exact && (!e->is_kept || e->expires_ms <= now_ms))
        fail_world("a page has #%llu, which is gone", (ull)m->seq);
    if (sse_add_data(&data, m) != 0 || data.len != strlen(e->data) ||
        memcmp(data.p, e->data, data.len) != 0)
        fail_world("#%llu has other data", (ull)m->seq);
    buf_fini(&data);
}

static bool has(const struct journal_page *page, uint64_t seq)
{
    for (size_t i = 0; i < page->count; i++)
        if (page->messages[i]->seq == seq)
            return true;
    return false;
}

static uint64_t known_of(const struct asked *a, int channel)
{
    for (size_t i = 0; i < a->channel_count; i++)
        if (a->indices[i] == channel)
            return a->known[i];
    return 0;
}

/* Whether what takes the entry is on the disk perhaps, and has not been told of yet. */
static bool may_be_taken(const struct asked *a, const struct entry *e)
{
    for (size_t i = 0; i < PENDING; i++) {
        const struct taken *t = &taken[i];
        const struct sent *s = &sent[i];

        if (t->is_busy && t->channel == e->channel && (t->seq == 0 || t->seq == e->seq))
            return true;
        if (s->is_busy && s->channel == e->channel && s->collapse > 0 &&
            s->collapse == e->collapse)
            return true;
    }
    return known_of(a, e->channel) >= e->seq;
}

/* Whether something newer has its key. Then a page may be without it for that reason, before the
 * store has come to where a bound takes it: the newer one is all that anybody needs. */
static bool is_replaced(const struct entry *e)
{
    for (size_t i = 0; e->collapse > 0 && i < entry_count; i++)
        if (entries[i].channel == e->channel && entries[i].collapse == e->collapse &&
            entries[i].seq > e->seq)
            return true;
    return false;
}

static void judge_page(const struct asked *a, const struct journal_page *page)
{
    uint64_t before = a->read.after;
    bool is_exact = a->is_quiet && page->covered >= last_emitted; /* the disk is not behind */

    if (page->status != 0) {
        fail_world("a page failed: %d", page->status);
        return;
    }
    if (page->covered < a->read.after)
        fail_world("a page covers #%llu behind #%llu", (ull)page->covered, (ull)a->read.after);
    for (size_t i = 0; i < page->count; i++) {
        judge_message(a, page->messages[i], before, is_exact);
        before = page->messages[i]->seq;
        if (before > page->covered)
            fail_world("a page has #%llu and covers #%llu", (ull)before, (ull)page->covered);
    }
    for (size_t i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];

        if (e->seq <= a->read.after || e->seq > page->covered || e->seq > a->emitted ||
            !is_asked_for(a, e->channel) || has(page, e->seq))
            continue;
        if (e->is_kept && e->expires_ms > now_ms && !may_be_taken(a, e))
            fail_world("a page is without #%llu, and covers #%llu", (ull)e->seq,
                       (ull)page->covered);
        if (e->is_evicted && known_of(a, e->channel) < e->seq && !is_replaced(e))
            fail_world("#%llu is lost, which a page does not say", (ull)e->seq);
    }
    for (size_t i = 0; is_exact && i < a->channel_count; i++)
        if (a->known[i] != marks[a->indices[i]])
            fail_world("#%llu is told as lost where #%llu is", (ull)a->known[i],
                       (ull)marks[a->indices[i]]);
}

static void world_page(struct journal_read *read, const struct journal_page *page)
{
    struct asked *a = (struct asked *)read;

    under_way--;
    a->is_busy = false;
    a->covered = page->covered;
    judge_page(a, page);
}

static struct asked *do_read(uint64_t x, bool is_quiet)
{
    struct asked *a = NULL;
    uint64_t back;

    for (size_t i = 0; i < MAX_PAGES; i++)
        if (!asked[i].is_busy)
            a = &asked[i];
    if (a == NULL)
        return NULL;
    *a = (struct asked){.is_busy = true, .emitted = last_emitted, .is_quiet = is_quiet};
    for (int i = 0; i < CHANNELS; i++)
        if ((x >> i & 1) != 0 || (i == CHANNELS - 1 && a->channel_count == 0)) {
            a->names[a->channel_count] = channels[i];
            a->indices[a->channel_count++] = i;
        }
    x >>= CHANNELS;
    back = x % 20;
    a->read = (struct journal_read){
        .channels = a->names,
        .channel_count = a->channel_count,
        .known = a->known,
        .after = back == 0 || entry_count < back ? 0 : entries[entry_count - back].seq,
        .max_entries = 1 + x / 20 % 9,
        .max_bytes = x / 180 % 4 == 0 ? 100 : 1 << 20,
        .on_page = world_page,
    };
    if (is_quiet) {
        a->read.max_entries = 2 * MAX_OPS;
        a->read.max_bytes = 1 << 20;
    }
    under_way++;
    journal_read(journal, &a->read);
    return a;
}

static void do_cancel(uint64_t x)
{
    struct asked *a = &asked[x % MAX_PAGES];

    if (!a->is_busy)
        return;
    journal_cancel(journal, &a->read);
    a->is_busy = false;
    under_way--;
}

static void do_tick(uint64_t x)
{
    now_ms += x % 400;
    journal_tick(journal, now_ms);
    for (int i = 0; i < KEYS; i++)
        if (keys[i].seq != 0 && now_ms - keys[i].at_ms >= options.idempotency_window_ms)
            keys[i].seq = 0;
}

static bool is_quiet(const void *ctx)
{
    (void)ctx;
    return under_way == 0;
}

/* All that is under way comes to its end; then the journal is the model. */
static void settle(void)
{
    struct asked *a;

    wait_for(is_quiet, NULL);
    do {
        /* Without sync = always the disk may be behind, and is told to come. */
        a = do_read(UINT64_MAX >> (64 - CHANNELS), true);
        wait_for(is_quiet, NULL);
    } while (fault_kind == NULL && a->covered < last_emitted);
}

static struct {
    uint64_t seqs[MAX_ENTRIES];
    size_t count;
} told; /* what was emitted at a start */

static void note_told(const struct journal_entry *entry)
{
    told.seqs[told.count++] = entry->message->seq;
}

/* What the window is given at a start: the newest that are kept, and what is lost besides. */
static void judge_start(uint64_t head)
{
    size_t at = 0;
    struct journal_status status;

    journal_get_status(journal, &status);
    if (status.head != head)
        fail_world("#%llu was the newest, and after the start #%llu is", (ull)head,
                   (ull)status.head);
    for (size_t i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];

        while (at < told.count && told.seqs[at] < e->seq)
            at++;
        if (e->is_kept && e->expires_ms > now_ms && e->seq > floor_seq &&
            (at == told.count || told.seqs[at] != e->seq))
            fail_world("#%llu is over the floor and did not come", (ull)e->seq);
        if (!e->is_kept && !e->is_evicted && at < told.count && told.seqs[at] == e->seq)
            fail_world("#%llu came, and is gone", (ull)e->seq);
    }
    for (int i = 0; i < CHANNELS; i++) {
        uint64_t lost = floor_seq;

        for (size_t k = 0; k < loss_count; k++)
            if (index_of(losses[k].channel) == i && losses[k].seq > lost)
                lost = losses[k].seq;
        if (marks[i] > lost)
            fail_world("#%llu of a channel is lost, and nobody is told", (ull)marks[i]);
    }
}

static void reopen(void)
{
    uint64_t head;

    wait_for(is_quiet, NULL);
    head = last_emitted;
    close_journal();
    told.count = 0;
    heard_entry = note_told;
    floor_seq = 0;
    open_journal();
    heard_entry = model_entry;
    last_emitted = head;
    judge_start(head);
}

static void run_op(const struct op *op)
{
    switch (op->kind) {
    case APPEND:
        do_append(op->random, false);
        break;
    case REPEAT:
        do_append(op->random, true);
        break;
    case RETRACT:
        do_remove(op->random, false);
        break;
    case ERASE:
        do_remove(op->random, true);
        break;
    case READ:
        do_read(op->random, false);
        break;
    case CANCEL:
        do_cancel(op->random);
        break;
    case TICK:
        do_tick(op->random);
        break;
    case SETTLE:
        settle();
        break;
    default:
        reopen();
        break;
    }
    ev_run(ev, EVRUN_NOWAIT);
}

static void make_ops(uint64_t seed, struct op ops[MAX_OPS])
{
    static const unsigned char likely[] = {
        APPEND, APPEND, APPEND, APPEND, APPEND, APPEND, APPEND, APPEND, REPEAT, REPEAT, RETRACT,
        RETRACT, ERASE, READ, READ, READ, READ, CANCEL, TICK, TICK, TICK, SETTLE, REOPEN,
    };
    uint64_t random = seed * 2654435761u + 1;

    for (size_t i = 0; i < MAX_OPS; i++) {
        ops[i].kind = (enum op_kind)likely[support_random(&random) % sizeof likely];
        ops[i].random = support_random(&random);
    }
}

static void begin_world(uint64_t seed)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;

    memset(marks, 0, sizeof marks);
    memset(keys, 0, sizeof keys);
    memset(sent, 0, sizeof sent);
    memset(asked, 0, sizeof asked);
    memset(taken, 0, sizeof taken);
    entry_count = under_way = 0;
    newest = 0;
    fault_kind = NULL;
    begin_with(seed % 16 == 0   ? JOURNAL_SYNC_ALWAYS
               : seed % 16 == 1 ? JOURNAL_SYNC_INTERVAL
                                : JOURNAL_SYNC_NEVER);
    support_random(&random);
    options.keep_per_user = 1 + support_random(&random) % 6;
    options.window_bytes = 200 << support_random(&random) % 8;
    close_journal();
    open_journal();
    heard_entry = model_entry;
    heard_removed = model_removed;
}

/* Runs these operations in the world of that seed; true: no fault. */
static bool run_world(uint64_t seed, const struct op *ops, size_t count)
{
    support_seed_runs(seed);
    begin_world(seed);
    for (size_t i = 0; i < count && fault_kind == NULL; i++)
        run_op(&ops[i]);
    if (fault_kind == NULL)
        settle();
    heard_removed = NULL;
    heard_entry = NULL;
    end(NULL);
    if (downs > 0)
        fail_world("the journal went down");
    support_seed_runs(0);
    return fault_kind == NULL;
}

/* Whether it fails in that way within some tries: the threads have a say in it. */
static bool fails(uint64_t seed, const struct op *ops, size_t count, const char *kind)
{
    for (int attempt = 0; attempt < 5; attempt++)
        if (!run_world(seed, ops, count) && fault_kind == kind)
            return true;
    return false;
}

/* Leaves out what it can, in ever smaller pieces. */
static size_t shrink(uint64_t seed, struct op ops[MAX_OPS], size_t count, const char *kind)
{
    for (size_t piece = count; piece > 0; piece /= 2) {
        for (size_t at = 0; at < count;) {
            struct op fewer[MAX_OPS];
            size_t part = piece < count - at ? piece : count - at;

            memcpy(fewer, ops, at * sizeof ops[0]);
            memcpy(fewer + at, ops + at + part, (count - at - part) * sizeof ops[0]);
            if (!fails(seed, fewer, count - part, kind)) {
                at += part;
                continue;
            }
            count -= part;
            memcpy(ops, fewer, count * sizeof ops[0]);
        }
    }
    return count;
}

static void explain(uint64_t seed, struct op ops[MAX_OPS])
{
    const char *kind = fault_kind;
    size_t count;

    print_error("TEST_SEED=%llu: %s\n", (ull)seed, fault);
    count = shrink(seed, ops, MAX_OPS, kind);
    print_error("with sync = %s, %zu a user and a window of %zu bytes these are left:\n",
                seed % 16 == 0 ? "always" : seed % 16 == 1 ? "interval" : "never",
                options.keep_per_user, options.window_bytes);
    for (size_t i = 0; i < count; i++)
        print_error("  %s %llx\n", op_names[ops[i].kind], (ull)ops[i].random);
    if (fails(seed, ops, count, kind))
        print_error("%s\n", fault);
}

static void any_world_is_as_the_model_has_it(void **state)
{
    struct seeds seeds = support_seeds(support_is_slow() ? 20 : 60);
    uint64_t appended = 0;

    (void)state;
    for (uint64_t i = 0; i < seeds.count; i++) {
        struct op ops[MAX_OPS];

        make_ops(seeds.first + i, ops);
        if (!run_world(seeds.first + i, ops, MAX_OPS)) {
            explain(seeds.first + i, ops);
            fail();
        }
        appended += entry_count;
    }
    assert_true(appended > seeds.count * 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_comes_after_the_entry_and_numbers_grow, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            without_waiting_for_the_disk_it_is_answered_within_the_call, begin_interval, end),
        cmocka_unit_test_setup_teardown(a_repeat_waits_for_the_first_which_is_not_written_yet,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_key_is_known_across_an_end_for_as_long_as_its_window,
                                        begin, end),
        cmocka_unit_test_setup_teardown(pages_say_what_they_cover_and_what_was_lost, begin, end),
        cmocka_unit_test_setup_teardown(a_page_that_is_cancelled_does_not_come, begin, end),
        cmocka_unit_test_setup_teardown(a_page_that_comes_after_a_retraction_is_without_it, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            what_waits_at_the_end_is_answered_once_and_is_there_or_not, begin, end),
        cmocka_unit_test_setup_teardown(numbers_that_were_given_out_are_not_given_out_again,
                                        begin_interval, end),
        cmocka_unit_test_setup_teardown(what_is_answered_is_there_after_a_death, begin, end),
        cmocka_unit_test(any_world_is_as_the_model_has_it),
    };

    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* no world waits for a disk */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
