/* test_memory.c - the contract of a journal, as the memory journal keeps it. */
#include <errno.h>
#include <string.h>
#include "journal/journal.h"
#include "message/sse.h"
#include "support/cm.h"

static struct stats stats;
static struct journal *journal;
static uint64_t emitted[64];
static size_t emitted_count;
static uint64_t paged[64];
static size_t paged_count;
static struct journal_page last_page;
static unsigned ups;

static void on_entry(void *ctx, const struct journal_entry *entry)
{
    (void)ctx;
    emitted[emitted_count++] = entry->message->seq;
}

static void on_removed(void *ctx, struct channel_name channel, uint64_t seq)
{
    (void)ctx;
    (void)channel;
    (void)seq;
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
}

static const struct journal_events events = {
    .on_entry = on_entry,
    .on_removed = on_removed,
    .on_up = on_up,
    .on_down = on_down,
};

static void on_page(struct journal_read *read, const struct journal_page *page)
{
    (void)read;
    last_page = *page;
    for (paged_count = 0; paged_count < page->count; paged_count++)
        paged[paged_count] = page->messages[paged_count]->seq;
}

static void on_done(struct journal_append *append)
{
    append->streams++; /* so that a test sees that it came, once */
}

static void on_removal_done(struct journal_removal *removal)
{
    assert_int_equal(removal->status, 0);
}

static size_t retract(struct channel_name channel, uint64_t seq)
{
    struct journal_removal removal = {.on_done = on_removal_done, .count = 99};

    journal_retract(journal, channel, seq, &removal);
    return removal.count;
}

static size_t erase(struct channel_name channel)
{
    struct journal_removal removal = {.on_done = on_removal_done, .count = 99};

    journal_erase(journal, channel, &removal);
    return removal.count;
}

static int begin(void **state)
{
    struct journal_options options = {
        .keep_ms = 10000,
        .keep_per_user = 3,
        .keep_bytes = 1 << 20,
        .idempotency_window_ms = 5000,
    };
    struct error why;

    (void)state;
    stats = (struct stats){0};
    emitted_count = ups = 0;
    journal = journal_open("memory", &options, NULL, &stats, &why);
    journal_start(journal, &events, NULL);
    journal_tick(journal, 1000);
    return journal == NULL;
}

static int end(void **state)
{
    (void)state;
    journal_close(journal);
    return 0;
}

static struct journal_append append(const char *user, const char *key)
{
    struct notification n = {.to = {CHANNEL_USER, slice_of(user)}, .event = {"e", 1},
                             .data = {"d", 1}, .ttl_ms = TTL_DEFAULT,
                             .idempotency_key = slice_of(key)};
    struct journal_append a = {.on_done = on_done};

    journal_append(journal, &n, 0, &a);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.streams, 1);
    return a;
}

static void read_user(const char *user, uint64_t after, size_t most)
{
    struct channel_name channel = {CHANNEL_USER, slice_of(user)};
    struct journal_read read = {.channels = &channel, .channel_count = 1, .after = after,
                                .max_entries = most, .max_bytes = 1 << 20, .on_page = on_page};

    journal_read(journal, &read);
    assert_int_equal(last_page.status, 0);
}

static void numbers_grow_and_entries_come_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(ups, 1);
    for (uint64_t seq = 1; seq <= 5; seq++)
        assert_int_equal(append(seq % 2 == 0 ? "a" : "b", NULL).seq, seq);
    assert_int_equal(emitted_count, 5);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(emitted[i], i + 1);
}

static void a_repeat_answers_with_the_first_number_and_emits_nothing(void **state)
{
    struct journal_append repeat;

    (void)state;
    append("a", "k");
    append("a", NULL);
    repeat = append("a", "k");
    assert_true(repeat.is_duplicate);
    assert_int_equal(repeat.seq, 1);
    assert_int_equal(emitted_count, 2);
    journal_tick(journal, 6001); /* past the window */
    repeat = append("a", "k");
    assert_false(repeat.is_duplicate);
    assert_int_equal(repeat.seq, 3);
}

static void pages_say_what_they_cover_and_what_was_lost(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        append("a", NULL);
    append("b", NULL);
    read_user("a", 0, 2);
    assert_int_equal(paged_count, 2);
    assert_int_equal(paged[0], 3); /* three are kept for a user */
    assert_int_equal(last_page.lost, 2);
    assert_int_equal(last_page.covered, 4);
    read_user("a", last_page.covered, 2);
    assert_int_equal(paged_count, 1);
    assert_int_equal(paged[0], 5);
    assert_int_equal(last_page.covered, 6); /* all there is */
}

static void what_is_retracted_or_erased_is_not_read_any_more(void **state)
{
    struct channel_name a = {CHANNEL_USER, {"a", 1}};

    (void)state;
    append("a", NULL);
    append("a", NULL);
    assert_int_equal(retract(a, 1), 1);
    assert_int_equal(retract(a, 1), 0);
    read_user("a", 0, 10);
    assert_int_equal(paged_count, 1);
    assert_int_equal(last_page.lost, 0);
    assert_int_equal(erase(a), 1);
    read_user("a", 0, 10);
    assert_int_equal(paged_count, 0);
    assert_int_equal(last_page.lost, 0);
}

/* It was kept, and counted as lost when it went. */
static void what_is_not_kept_replaces_the_older_of_its_key(void **state)
{
    struct notification n = {.to = {CHANNEL_USER, {"a", 1}}, .event = {"e", 1}, .data = {"d", 1},
                             .ttl_ms = TTL_DEFAULT, .collapse_key = {"k", 1}};
    struct journal_append a = {.on_done = on_done};

    (void)state;
    journal_append(journal, &n, 0, &a);
    n.ttl_ms = 0;
    journal_append(journal, &n, 0, &a);
    assert_int_equal(a.seq, 2);
    read_user("a", 0, 10);
    assert_int_equal(paged_count, 0);
    assert_int_equal(last_page.lost, 0);
    assert_int_equal(stats.collapsed, 1);
}

static void a_reader_is_told_of_losses_since_its_last_page(void **state)
{
    struct channel_name channel = {CHANNEL_USER, {"a", 1}};
    uint64_t known = 0;
    struct journal_read read = {.channels = &channel, .channel_count = 1, .known = &known,
                                .max_entries = 1, .max_bytes = 1, .on_page = on_page};

    (void)state;
    for (int i = 0; i < 5; i++)
        append("a", NULL);
    journal_read(journal, &read);
    assert_int_equal(last_page.lost, 2);
    assert_int_equal(known, 2);
    journal_read(journal, &read);
    assert_int_equal(last_page.lost, 0);
    append("a", NULL);
    journal_read(journal, &read);
    assert_int_equal(last_page.lost, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_grow_and_entries_come_in_their_order, begin, end),
        cmocka_unit_test_setup_teardown(
            a_repeat_answers_with_the_first_number_and_emits_nothing, begin, end),
        cmocka_unit_test_setup_teardown(pages_say_what_they_cover_and_what_was_lost, begin, end),
        cmocka_unit_test_setup_teardown(what_is_retracted_or_erased_is_not_read_any_more, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_not_kept_replaces_the_older_of_its_key, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_is_told_of_losses_since_its_last_page, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
