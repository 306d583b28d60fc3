/* test_store.c - the record on disk, on a real one: a directory of its own for each test. */
#include "store/store.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "one_store.h"

static void sweep(uint64_t time_ms)
{
    bool has_more = true;

    for (int i = 0; has_more && i < 2000; i++) {
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(store_sweep(store, time_ms, 10, 0, &has_more), 0);
        commit(time_ms);
    }
    assert_false(has_more);
}

static void entries_come_back_by_channel_in_order(void **state)
{
    const struct channel_name all[] = {alice, everyone, news};

    (void)state;
    add(alice, 1, 0);
    add(bob, 2, 0);
    add(news, 5, 0); /* numbers need not follow each other */
    add(everyone, 6, 0);
    add(alice, 9, 0);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 9 | 9 | 0");
    assert_string_equal(read_of(&alice, 1, 1, 9, 0), "9 | 9 | 0");
    assert_string_equal(read_of(&alice, 1, 9, 9, 0), "| 9 | 0");
    assert_string_equal(read_of(all, 3, 0, 9, 0), "1 5 6 9 | 9 | 0 0 0");
    assert_string_equal(read_of(all, 3, 1, 2, 0), "5 6 | 6 | 0 0 0");
    until = 6;
    assert_string_equal(read_of(all, 3, 0, 9, 0), "1 5 6 | 6 | 0 0 0");
    until = UINT64_MAX;
}

static void all_is_there_after_a_restart(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    add(alice, 1, 100);
    add(bob, 2, 200);
    reopen();
    assert_string_equal(store_state(store)->epoch, epoch);
    assert_int_equal(store_state(store)->head, 2);
    assert_int_equal(store_state(store)->time_ms, 200);
    assert_int_equal(store_state(store)->entries, 2);
    assert_int_equal(store_state(store)->oldest_ms, 100);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 | 2 | 0");
    add(alice, 3, 300);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 3 | 3 | 0");
}

static void what_was_not_committed_is_not_there(void **state)
{
    (void)state;
    add(alice, 1, 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 2, 0, 0, NULL, 10), 0);
    store_abort(store);
    assert_int_equal(store_state(store)->head, 1);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 | 1 | 0");
    add(alice, 2, 0); /* nobody was given that number */
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 2 | 2 | 0");
}

static void a_number_that_does_not_grow_is_refused(void **state)
{
    (void)state;
    add(alice, 5, 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 5, 0, 0, NULL, 10), -EINVAL);
    store_abort(store);
}

static void a_user_keeps_its_share_and_knows_what_it_lost(void **state)
{
    (void)state;
    for (uint64_t seq = 1; seq <= 5; seq++)
        add(alice, seq, 0);
    add(bob, 6, 0);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "3 4 5 | 6 | 2");
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "6 | 6 | 0");
    reopen();
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "3 4 5 | 6 | 2");
    for (uint64_t seq = 7; seq <= 11; seq++) /* a topic has no such bound */
        add(news, seq, 0);
    assert_string_equal(read_of(&news, 1, 0, 9, 0), "7 8 9 10 11 | 11 | 0");
    assert_int_equal(store_state(store)->evicted, 0); /* since it was opened */
}

static void age_takes_the_oldest_and_it_is_remembered(void **state)
{
    (void)state;
    add(alice, 1, 1000);
    add(bob, 2, 2000);
    add(alice, 3, 9000);
    assert_false(store_wants_sweep(store, 10999));
    assert_true(store_wants_sweep(store, 11000));
    sweep(11000);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "3 | 3 | 1");
    sweep(12000);
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "| 3 | 2");
    assert_int_equal(store_state(store)->evicted, 2);
    assert_false(store_wants_sweep(store, 12000));
    sweep(19000);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "| 3 | 3");
    assert_int_equal(store_state(store)->entries, 0);
    add(alice, 4, 20000); /* it is no grave any more */
    assert_string_equal(read_of(&alice, 1, 3, 9, 0), "4 | 4 | 3");
}

static void an_own_ttl_is_no_loss(void **state)
{
    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 1, 1000, 500, NULL, 10), 0);
    assert_int_equal(put(alice, 2, 1000, 9000, NULL, 10), 0);
    commit(1000);
    assert_string_equal(read_of(&alice, 1, 0, 9, 1499), "1 2 | 2 | 0");
    assert_string_equal(read_of(&alice, 1, 0, 9, 1500), "2 | 2 | 0"); /* before any sweep */
    assert_false(store_wants_sweep(store, 1499));
    sweep(1500);
    assert_int_equal(store_state(store)->entries, 1);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "2 | 2 | 0");
    sweep(10000);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "| 2 | 0");
    assert_int_equal(store_state(store)->evicted, 0);
}

/* No sweep has come by yet when the user's share is full. */
static void what_has_outlived_its_ttl_is_no_loss_to_a_share_either(void **state)
{
    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 1, 1000, 500, NULL, 10), 0);
    assert_int_equal(put(alice, 2, 1000, 5000, NULL, 10), 0);
    commit(1000);
    for (uint64_t seq = 3; seq <= 4; seq++)
        add(alice, seq, 2000);
    assert_string_equal(read_of(&alice, 1, 0, 9, 2000), "2 3 4 | 4 | 0");
    add(alice, 5, 2000);
    assert_string_equal(read_of(&alice, 1, 0, 9, 2000), "3 4 5 | 5 | 2");
}

static void the_newest_of_a_collapse_key_is_kept(void **state)
{
    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 1, 0, 0, "k", 10), 0);
    assert_int_equal(put(bob, 2, 0, 0, "k", 10), 0);
    assert_int_equal(put(alice, 3, 0, 0, "l", 10), 0);
    assert_int_equal(put(alice, 4, 0, 0, "k", 10), 0);
    commit(0);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "3 4 | 4 | 0");
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "2 | 4 | 0");
    reopen();
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 5, 0, 0, "k", 10), 0);
    assert_int_equal(store_skip(store, 6, alice, SLICE_LITERAL("l")), 0);
    commit(0);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "5 | 6 | 0");
    assert_int_equal(store_state(store)->collapsed, 2);
}

static void what_is_retracted_or_erased_is_gone_and_not_lost(void **state)
{
    size_t count;

    (void)state;
    add(alice, 1, 0);
    add(bob, 2, 0);
    add(alice, 3, 0);
    add(alice, 4, 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_retract(store, alice, 3, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(store_retract(store, alice, 3, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_retract(store, alice, 2, &count), 0); /* another's */
    assert_int_equal(count, 0);
    commit(0);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 4 | 4 | 0");
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_erase(store, alice, &count), 0);
    assert_int_equal(count, 2);
    commit(0);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "| 4 | 0");
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "2 | 4 | 0");
}

static void the_size_in_all_is_kept_by_taking_the_oldest(void **state)
{
    char file[SCRATCH_SIZE + 16];
    struct stat info;
    uint64_t seq = 0;

    (void)state;
    for (int i = 0; i < 400; i++) { /* four times as much as is kept */
        bool has_more;

        assert_int_equal(store_begin(store), 0);
        for (int k = 0; k < 8; k++, seq++)
            assert_int_equal(put(news, seq + 1, 0, 0, NULL, 1000 + (size_t)(seq * 7 % 600)), 0);
        assert_int_equal(store_sweep(store, 0, 64, 0, &has_more), 0);
        commit(0);
    }
    assert_true(store_state(store)->bytes <= options.keep_bytes + 65536);
    assert_true(store_state(store)->entries > 300);
    snprintf(file, sizeof file, "%s/data.mdb", path);
    assert_int_equal(stat(file, &info), 0);
    assert_true(info.st_size <= (off_t)(options.keep_bytes / 2 * 3));
    read_of(&news, 1, 0, 1, 0);
    assert_int_equal(seen[0], page.lost[0] + 1);
}

static int take_key(void *ctx, uint64_t seq, uint64_t time_ms, struct slice key)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%llu@%llu=%.*s ", (unsigned long long)seq,
            (unsigned long long)time_ms, SLICE_ARG(key));
    return 0;
}

static const char *keys(void)
{
    static char text[256];
    struct store_reader *r = store_reader_create(store);

    text[0] = '\0';
    assert_int_equal(store_each_key(r, take_key, text), 0);
    store_reader_destroy(r);
    return text;
}

static void keys_are_kept_for_their_window(void **state)
{
    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 1, 1000, 0, NULL, 10), 0);
    assert_int_equal(store_add_key(store, 1, 1000, SLICE_LITERAL("one")), 0);
    assert_int_equal(store_add_key(store, 2, 3000, SLICE_LITERAL("two")), 0);
    commit(3000);
    reopen();
    assert_string_equal(keys(), "1@1000=one 2@3000=two ");
    sweep(6000);
    assert_string_equal(keys(), "2@3000=two ");
    sweep(8000);
    assert_string_equal(keys(), "");
}

/* Ends without store_close, as a process that is killed does. */
static void die_with_numbers_handed_out(uint64_t reserved)
{
    pid_t pid;
    int status;

    store_close(store);
    store = NULL;
    pid = fork();
    if (pid == 0) {
        struct error why;

        store = store_open(&options, &why);
        if (store == NULL || store_begin(store) != 0)
            _exit(1);
        store_reserve(store, reserved);
        if (store_commit(store, 0) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    reopen();
}

static void numbers_handed_out_before_a_crash_are_not_used_again(void **state)
{
    (void)state;
    add(alice, 1, 0);
    die_with_numbers_handed_out(1000);
    assert_int_equal(store_state(store)->head, 1000);
    /* What was handed out and is not there is lost, whoever's it was. */
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 | 1000 | 1000");
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "| 1000 | 1000");
    add(bob, 1001, 0);
    assert_string_equal(read_of(&bob, 1, 1000, 9, 0), "1001 | 1001 | 1000");
}

static void a_clean_end_skips_no_numbers(void **state)
{
    (void)state;
    add(alice, 1, 0);
    assert_int_equal(store_begin(store), 0);
    store_reserve(store, 5000);
    commit(0);
    reopen();
    assert_int_equal(store_state(store)->head, 1);
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "| 1 | 0");
}

static void a_second_opener_is_told_who_holds_it(void **state)
{
    struct error why;
    char pid[32];

    (void)state;
    assert_null(store_open(&options, &why));
    snprintf(pid, sizeof pid, "process %ld:", (long)getpid());
    assert_non_null(strstr(why.text, pid));
    assert_non_null(strstr(why.text, path));
}

static void a_reader_beside_the_writer_sees_the_last_commit(void **state)
{
    struct error why;
    struct store *beside;

    (void)state;
    add(alice, 1, 500);
    beside = store_open_read_only(path, NULL, &why);
    assert_non_null(beside);
    assert_int_equal(store_state(beside)->head, 1);
    assert_int_equal(store_state(beside)->entries, 1);
    assert_string_equal(store_state(beside)->epoch, store_state(store)->epoch);
    store_close(beside);
}

static void a_copy_is_whole_and_can_be_opened(void **state)
{
    char to[SCRATCH_SIZE + 8];
    struct error why = {.text = ""};

    (void)state;
    add(alice, 1, 0);
    add(alice, 2, 0);
    snprintf(to, sizeof to, "%s/copy", path);
    assert_int_equal(store_copy(store, to, false, NULL, NULL, &why), 0);
    add(alice, 3, 0);
    store_close(store);
    options.path = to;
    store = NULL;
    reopen();
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 2 | 2 | 0");
    store_close(store);
    store = NULL;
    options.path = path;
}

static void a_path_that_cannot_be_made_is_named(void **state)
{
    struct store_options wrong = options;
    struct error why;

    (void)state;
    wrong.path = "/proc/nothing/here";
    assert_null(store_open(&wrong, &why));
    assert_non_null(strstr(why.text, "/proc/nothing"));
    assert_null(store_open_read_only("/proc/nothing/here", NULL, &why));
    assert_non_null(strstr(why.text, "/proc/nothing/here"));
}

static int take_record(void *ctx, const struct record *record, struct slice bytes)
{
    char *text = ctx;

    (void)bytes;
    sprintf(text + strlen(text), "%llu ", (unsigned long long)record->seq);
    return record->seq == 5 ? 1 : 0;
}

static void all_records_can_be_walked(void **state)
{
    struct store_reader *r;
    char text[128] = "";
    uint64_t from;
    uint64_t floor;

    (void)state;
    add(alice, 1, 0);
    add(bob, 3, 0);
    add(news, 5, 0);
    add(news, 6, 0);
    r = store_reader_create(store);
    assert_int_equal(store_each(r, 2, take_record, text), 1);
    assert_string_equal(text, "3 5 ");
    assert_int_equal(store_find_tail(r, 2 * (RECORD_HEAD_SIZE + 4 + 1 + 10), &from, &floor), 0);
    assert_int_equal(from, 5);
    assert_int_equal(floor, 4);
    assert_int_equal(store_find_tail(r, 1 << 20, &from, &floor), 0);
    assert_int_equal(from, 1);
    assert_int_equal(floor, 0);
    store_reader_destroy(r);
}

static int take_lost(void *ctx, struct channel_name channel, uint64_t lost)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%.*s %llu, ", SLICE_ARG(channel.name), (unsigned long long)lost);
    return 0;
}

static void channels_that_lost_something_can_be_walked(void **state)
{
    struct store_reader *r;
    char text[128] = "";

    (void)state;
    for (uint64_t seq = 1; seq <= 5; seq++)
        add(alice, seq, 0);
    add(bob, 6, 0);
    for (uint64_t seq = 7; seq <= 10; seq++)
        add((struct channel_name){CHANNEL_USER, {"carol", 5}}, seq, 0);
    r = store_reader_create(store);
    assert_int_equal(store_each_lost(r, 7, take_lost, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(store_each_lost(r, 6, take_lost, text), 0);
    assert_string_equal(text, "carol 7, ");
    text[0] = '\0';
    assert_int_equal(store_each_lost(r, 0, take_lost, text), 0);
    assert_string_equal(text, "alice 2, carol 7, ");
    store_reader_destroy(r);
}

static void a_page_never_goes_back(void **state)
{
    (void)state;
    add(alice, 1, 0);
    add(alice, 2, 0);
    read_of(&alice, 1, 1, 9, 0);
    assert_int_equal(page.covered, 2);
    read_of(&alice, 1, 7, 9, 0);
    assert_int_equal(page.count, 0);
    assert_int_equal(page.covered, 7);
}

/* Channels that have nothing but what they lost are bounded too. */
static void graves_are_forgotten_in_the_end(void **state)
{
    uint64_t seq = 0;
    char name[16];

    (void)state;
    for (int i = 0; i < 8000; i += 100) {
        assert_int_equal(store_begin(store), 0);
        for (int k = 0; k < 100; k++) {
            struct channel_name user = {CHANNEL_USER, {name, 0}};

            user.name.n = (size_t)snprintf(name, sizeof name, "u%d", i + k);
            assert_int_equal(put(user, ++seq, 0, 0, NULL, 10), 0);
        }
        commit(0);
    }
    sweep(10000);
    assert_int_equal(store_state(store)->entries, 0);
    assert_true(store_state(store)->bytes < 600000);
    sweep(10000);
    {
        struct channel_name last = {CHANNEL_USER, {"u7999", 5}};

        read_of(&last, 1, 0, 9, 0);
        assert_true(page.lost[0] >= 8000);
    }
    add(alice, ++seq, 10000);
    read_of(&alice, 1, 0, 9, 0);
    assert_true(page.lost[0] > 0); /* it could be one of the forgotten */
}

static void keys_leave_room_for_entries(void **state)
{
    uint64_t seq = 0;
    bool has_more;

    (void)state;
    options.is_unsynced = true;
    options.keep_ms = options.keys_ms = 1000000000;
    reopen();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(store_begin(store), 0);
        for (int j = 0; j < 100; j++) {
            char key[64];
            int n = snprintf(key, sizeof key, "%050d", i * 100 + j);

            seq++;
            if (j == 0)
                assert_int_equal(put(news, seq, seq, 0, NULL, 1000), 0);
            else
                assert_int_equal(store_skip(store, seq, news, slice_make(NULL, 0)), 0);
            assert_int_equal(store_add_key(store, seq, seq, slice_make(key, (size_t)n)), 0);
        }
        assert_int_equal(store_sweep(store, seq, 1000, 0, &has_more), 0);
        commit(seq);
    }
    assert_int_equal(store_state(store)->entries, 100);
    assert_in_range(store_state(store)->bytes, 0, options.keep_bytes);
    assert_false(store_wants_sweep(store, seq));
}

/* The smallest store there may be, and names and keys that are as long as they may be. */
static void entries_have_room_beside_long_names_and_keys(void **state)
{
    uint64_t seq = 0;
    bool has_more;

    (void)state;
    options.is_unsynced = true;
    options.keep_ms = options.keys_ms = 1000000000;
    options.keep_per_user = 1;
    reopen();
    for (int i = 0; i < 6000; i++) {
        char name[MAX_CHANNEL_NAME + 1];
        int n = snprintf(name, sizeof name, "%0250d", i);
        struct channel_name user = {CHANNEL_USER, {name, (size_t)n}};

        if (i % 100 == 0)
            assert_int_equal(store_begin(store), 0);
        for (int j = 0; j < 2; j++, seq++)
            assert_int_equal(put(user, seq + 1, seq, 0, NULL, 20), 0);
        assert_int_equal(store_add_key(store, seq, seq, slice_make(name, (size_t)n)), 0);
        if (i % 100 < 99)
            continue;
        assert_int_equal(store_sweep(store, seq, 2000, 0, &has_more), 0);
        commit(seq);
    }
    sweep(seq);
    assert_in_range(store_state(store)->entries, 100, 6000);
    assert_in_range(store_state(store)->bytes, 0, options.keep_bytes);
    assert_false(store_wants_sweep(store, seq));
}

static void a_number_that_nobody_can_have_has_nothing_behind_it(void **state)
{
    (void)state;
    add(alice, 1, 1);
    read_of(&alice, 1, (UINT64_MAX >> 1) - 1, 9, 0);
    assert_int_equal(page.count, 0);
    read_of(&alice, 1, UINT64_MAX >> 1, 9, 0);
    assert_int_equal(page.count, 0);
    read_of(&alice, 1, UINT64_MAX, 9, 0);
    assert_int_equal(page.count, 0);
}

static void no_more_large_ones_go_than_must(void **state)
{
    bool has_more;

    (void)state;
    options.is_unsynced = true;
    options.keep_ms = 1000000000;
    options.keep_bytes = 4 << 20;
    reopen();
    for (uint64_t seq = 1; seq <= 200; seq++) {
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(put(news, seq, seq, 0, NULL, 60000), 0);
        assert_int_equal(store_sweep(store, seq, 100, 0, &has_more), 0);
        commit(seq);
        if (seq > 70)
            assert_in_range(store_state(store)->bytes, options.keep_bytes * 9 / 10,
                            options.keep_bytes + 100000);
    }
}

static int die(void *ctx, const struct record *r, struct slice bytes)
{
    (void)ctx;
    (void)r;
    (void)bytes;
    raise(SIGKILL);
    return 0;
}

/* A child that is killed while it reads. */
static void read_and_die(void)
{
    struct error why = {.text = ""};
    pid_t child = fork();
    int status;

    if (child == 0) {
        store_each(store_reader_create(store_open_read_only(path, NULL, &why)), 0, die, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void a_reader_that_was_killed_holds_nothing(void **state)
{
    struct stat file;
    char name[SCRATCH_SIZE + 16];
    bool has_more;

    (void)state;
    options.is_unsynced = true;
    options.keep_ms = 1000000000;
    reopen();
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(put(news, seq, seq, 0, NULL, 40000), 0);
        assert_int_equal(store_sweep(store, seq, 100, 0, &has_more), 0);
        commit(seq);
        if (seq == 30)
            read_and_die();
    }
    snprintf(name, sizeof name, "%s/data.mdb", path);
    assert_int_equal(stat(name, &file), 0);
    assert_in_range(file.st_size, 0, options.keep_bytes * 3 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_come_back_by_channel_in_order, begin, end),
        cmocka_unit_test_setup_teardown(all_is_there_after_a_restart, begin, end),
        cmocka_unit_test_setup_teardown(what_was_not_committed_is_not_there, begin, end),
        cmocka_unit_test_setup_teardown(a_number_that_does_not_grow_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_user_keeps_its_share_and_knows_what_it_lost, begin, end),
        cmocka_unit_test_setup_teardown(age_takes_the_oldest_and_it_is_remembered, begin, end),
        cmocka_unit_test_setup_teardown(an_own_ttl_is_no_loss, begin, end),
        cmocka_unit_test_setup_teardown(what_has_outlived_its_ttl_is_no_loss_to_a_share_either,
                                        begin, end),
        cmocka_unit_test_setup_teardown(the_newest_of_a_collapse_key_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(what_is_retracted_or_erased_is_gone_and_not_lost, begin,
                                        end),
        cmocka_unit_test_setup_teardown(the_size_in_all_is_kept_by_taking_the_oldest, begin, end),
        cmocka_unit_test_setup_teardown(keys_are_kept_for_their_window, begin, end),
        cmocka_unit_test_setup_teardown(numbers_handed_out_before_a_crash_are_not_used_again,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_clean_end_skips_no_numbers, begin, end),
        cmocka_unit_test_setup_teardown(a_second_opener_is_told_who_holds_it, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_beside_the_writer_sees_the_last_commit, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_copy_is_whole_and_can_be_opened, begin, end),
        cmocka_unit_test_setup_teardown(a_path_that_cannot_be_made_is_named, begin, end),
        cmocka_unit_test_setup_teardown(all_records_can_be_walked, begin, end),
        cmocka_unit_test_setup_teardown(channels_that_lost_something_can_be_walked, begin, end),
        cmocka_unit_test_setup_teardown(a_page_never_goes_back, begin, end),
        cmocka_unit_test_setup_teardown(graves_are_forgotten_in_the_end, begin, end),
        cmocka_unit_test_setup_teardown(keys_leave_room_for_entries, begin, end),
        cmocka_unit_test_setup_teardown(entries_have_room_beside_long_names_and_keys, begin, end),
        cmocka_unit_test_setup_teardown(a_number_that_nobody_can_have_has_nothing_behind_it, begin,
                                        end),
        cmocka_unit_test_setup_teardown(no_more_large_ones_go_than_must, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_that_was_killed_holds_nothing, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
