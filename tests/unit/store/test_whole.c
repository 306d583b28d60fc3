/* test_whole.c - a store as a whole: copied, replaced, surveyed, continued. */
#include "store/replace.h"
#include "store/survey.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "one_store.h"

static int take_record(void *ctx, const struct record *record, struct slice bytes)
{
    char *text = ctx;

    (void)bytes;
    sprintf(text + strlen(text), "%llu ", (unsigned long long)record->seq);
    return record->seq == 5 ? 1 : 0;
}

static void a_backup_gets_a_new_epoch_once_and_keeps_the_rest(void **state)
{
    char to[SCRATCH_SIZE + 8];
    char epoch[EPOCH_SIZE];
    char drawn[EPOCH_SIZE];
    struct error why = {.text = ""};

    (void)state;
    add(alice, 1, 100);
    strcpy(epoch, store_state(store)->epoch);
    snprintf(to, sizeof to, "%s/copy", path);
    assert_int_equal(store_copy(store, to, true, NULL, NULL, &why), 0);
    reopen(); /* which is not the backup */
    assert_string_equal(store_state(store)->epoch, epoch);
    options.path = to;
    reopen();
    strcpy(drawn, store_state(store)->epoch);
    assert_string_not_equal(drawn, epoch);
    assert_int_equal(store_state(store)->head, 1);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "1 | 1 | 0");
    reopen();
    assert_string_equal(store_state(store)->epoch, drawn);
    options.path = path;
    reopen();
}

static void a_copy_goes_nowhere_but_into_an_empty_directory(void **state)
{
    struct error why = {.text = ""};
    char to[SCRATCH_SIZE + 8];
    char file[SCRATCH_SIZE + 32];
    struct stat info;

    (void)state;
    assert_int_equal(store_copy(store, path, false, NULL, NULL, &why), -1);
    assert_non_null(strstr(why.text, "is not empty"));
    snprintf(to, sizeof to, "%s/a/b", path);
    snprintf(file, sizeof file, "%s/data.mdb.part", to);
    assert_int_equal(store_copy(store, to, false, NULL, NULL, &why), 0);
    assert_int_equal(stat(file, &info), -1);
    assert_int_equal(store_copy(store, to, false, NULL, NULL, &why), -1);
    /* What a copy that was killed has left does not count. */
    snprintf(to, sizeof to, "%s/c", path);
    assert_int_equal(mkdir(to, 0700), 0);
    snprintf(file, sizeof file, "%s/data.mdb.part", to);
    fclose(fopen(file, "w"));
    assert_int_equal(store_copy(store, to, false, NULL, NULL, &why), 0);
}

static void a_draft_takes_the_place_of_the_store(void **state)
{
    struct store_options draft = options;
    struct store_lock *lock;
    struct error why = {.text = ""};
    struct store *reader;

    (void)state;
    add(alice, 1, 0);
    assert_true(store_is_locked(path));
    assert_null(store_lock(path, &why));
    store_close(store);
    store = NULL;
    assert_false(store_is_locked(path));
    lock = store_lock(path, &why);
    assert_non_null(lock);
    draft.path = store_draft(lock);
    store = store_open(&draft, &why);
    assert_non_null(store);
    add(bob, 7, 0);
    store_close(store);
    store = NULL;
    reader = store_open_read_only(path, NULL, &why);
    assert_non_null(reader);
    assert_int_equal(store_state(reader)->head, 1);
    store_close(reader);
    assert_int_equal(store_replace(lock, &why), 0);
    store_unlock(lock);
    reopen();
    assert_int_equal(store_state(store)->head, 7);
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "7 | 7 | 0");
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "| 7 | 0");
}

/* A process of its own has the store open, for as long as the pipe is. */
static pid_t read_elsewhere(int *end)
{
    int ready[2];
    int over[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(over), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error why;

        close(over[1]);
        if (store_open_read_only(path, NULL, &why) != NULL && write(ready[1], "r", 1) == 1)
            (void)!read(over[0], &c, 1);
        _exit(0);
    }
    close(over[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *end = over[1];
    return pid;
}

static void a_store_that_is_read_is_not_replaced(void **state)
{
    struct store_options draft = options;
    struct error why = {.text = ""};
    struct store_lock *lock;
    char text[48];
    pid_t pid;
    int over;

    (void)state;
    add(alice, 1, 0);
    store_close(store);
    store = NULL;
    lock = store_lock(path, &why);
    assert_non_null(lock);
    draft.path = store_draft(lock);
    store_close(store_open(&draft, &why));
    pid = read_elsewhere(&over);
    assert_int_equal(store_replace(lock, &why), -1);
    snprintf(text, sizeof text, "process %ld is reading", (long)pid);
    assert_non_null(strstr(why.text, text));
    assert_int_equal(kill(pid, SIGKILL), 0); /* nobody looks for what it leaks */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(over);
    store_unlock(lock);
    reopen();
    assert_int_equal(store_state(store)->head, 1); /* it was as it is */
}

/* Looks at the store, waits for the word of the other end, and looks again. */
static int look_twice(int fd)
{
    struct error why;
    struct store *s = store_open_read_only(path, NULL, &why);
    struct store_reader *r = s == NULL ? NULL : store_reader_create(s);
    struct store_survey all;
    int status;
    char c;

    if (r == NULL || store_survey(r, &all) != 0 || all.last_seq != 1 || write(fd, "1", 1) != 1 ||
        read(fd, &c, 1) != 1)
        return 1;
    status = store_survey(r, &all) == 0 && all.last_seq == 1300 ? 0 : 2;
    store_reader_destroy(r);
    store_close(s);
    return status;
}

static void a_reader_follows_a_store_that_outgrows_its_map(void **state)
{
    int ends[2];
    int status;
    pid_t pid;
    char c;

    (void)state;
    options.is_unsynced = true;
    options.keep_per_user = SIZE_MAX;
    reopen();
    add(alice, 1, 0);
    store_close(store); /* a child would share the lock */
    store = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        _exit(look_twice(ends[1]));
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &c, 1), 1);
    options.keep_bytes = 1 << 30; /* and the map with it */
    reopen();
    assert_int_equal(store_begin(store), 0);
    for (uint64_t seq = 2; seq <= 1300; seq++)
        assert_int_equal(put(alice, seq, 0, 0, NULL, 60000), 0);
    commit(0);
    assert_int_equal(write(ends[0], "2", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(ends[0]);
}

static void what_a_killed_tool_has_left_is_removed(void **state)
{
    struct store_options draft = options;
    struct error why = {.text = ""};
    char name[SCRATCH_SIZE + 8];
    struct stat info;

    (void)state;
    snprintf(name, sizeof name, "%s/draft", path);
    draft.path = name;
    store_close(store_open(&draft, &why));
    assert_int_equal(stat(name, &info), 0);
    reopen();
    assert_int_equal(stat(name, &info), -1);
}

static int note_channel(void *ctx, struct channel_name channel, uint64_t entries, uint64_t lost)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%d%.*s %llu-%llu ", (int)channel.kind, SLICE_ARG(channel.name),
            (unsigned long long)entries, (unsigned long long)lost);
    return entries == 99 ? 1 : 0;
}

static void a_survey_tells_what_is_there(void **state)
{
    struct store_reader *r = store_reader_create(store);
    struct store_survey all;
    char text[256] = "";

    (void)state;
    assert_non_null(r);
    assert_int_equal(store_survey(r, &all), 0);
    assert_int_equal(all.first_seq, 0);
    assert_int_equal(all.last_seq, 0);
    for (uint64_t seq = 1; seq <= 5; seq++)
        add(alice, seq, seq); /* three are kept */
    add(bob, 6, 6);
    add(everyone, 7, 7);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_add_key(store, 7, 7, slice_of("key")), 0);
    commit(9);
    assert_int_equal(store_survey(r, &all), 0);
    assert_int_equal(all.first_seq, 3);
    assert_int_equal(all.first_wall_ms, 7);
    assert_int_equal(all.last_seq, 7);
    assert_int_equal(all.keys, 1);
    assert_int_equal(all.state.entries, 5);
    assert_int_equal(all.state.time_ms, 9);
    assert_false(all.is_backup);
    assert_true(all.file_bytes >= all.state.bytes);
    assert_true(all.free_bytes > 0 && all.free_bytes < all.file_bytes);
    assert_int_equal(store_each_channel(r, note_channel, text), 0);
    assert_string_equal(text, "0alice 3-2 0bob 1-0 2 1-0 ");
    store_reader_destroy(r);
}

static uint64_t walked;
static char last_name[16];

static int count_channel(void *ctx, struct channel_name channel, uint64_t entries, uint64_t lost)
{
    char name[16];

    (void)ctx;
    (void)lost;
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(channel.name));
    assert_true(strcmp(name, last_name) > 0);
    strcpy(last_name, name);
    walked++;
    return entries == 1 ? 0 : 1;
}

static void more_channels_than_one_snapshot_has_are_walked_once_each(void **state)
{
    enum { MANY = 9000 };
    struct store_reader *r = store_reader_create(store);
    char name[16];

    (void)state;
    assert_int_equal(store_begin(store), 0);
    for (uint64_t seq = 1; seq <= MANY; seq++) {
        snprintf(name, sizeof name, "u%06llu", (unsigned long long)seq);
        assert_int_equal(put((struct channel_name){CHANNEL_USER, slice_of(name)}, seq, 0, 0, NULL,
                             1), 0);
    }
    commit(0);
    walked = 0;
    last_name[0] = '\0';
    assert_int_equal(store_each_channel(r, count_channel, NULL), 0);
    assert_int_equal(walked, MANY);
    store_reader_destroy(r);
}

static void records_of_some_channels_come_in_order(void **state)
{
    const struct channel_name two[] = {news, alice};
    struct store_reader *r = store_reader_create(store);
    char text[128] = "";

    (void)state;
    add(alice, 1, 0);
    add(bob, 2, 0);
    add(news, 3, 0);
    add(alice, 4, 0);
    assert_int_equal(store_each_of(r, two, 2, 0, take_record, text), 0);
    assert_string_equal(text, "1 3 4 ");
    text[0] = '\0';
    assert_int_equal(store_each_of(r, two, 2, 1, take_record, text), 0);
    assert_string_equal(text, "3 4 ");
    add(alice, 5, 0);
    text[0] = '\0';
    assert_int_equal(store_each_of(r, two, 1, 0, take_record, text), 0);
    assert_string_equal(text, "3 ");
    assert_int_equal(store_each_of(r, &alice, 1, 4, take_record, text), 1); /* ends at 5 */
    store_reader_destroy(r);
}

static void another_store_is_continued(void **state)
{
    const struct store_origin origin = {"abcd1234", 50, 700, 2, 3};

    (void)state;
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(alice, 10, 0, 0, NULL, 1), 0);
    assert_int_equal(put(alice, 20, 0, 0, NULL, 1), 0);
    assert_int_equal(store_add_loss(store, alice, 10), -EINVAL); /* it has that one */
    assert_int_equal(store_add_loss(store, alice, 9), 0);
    assert_int_equal(store_add_loss(store, alice, 8), 0); /* it was known already */
    assert_int_equal(store_add_loss(store, bob, 30), 0);
    assert_int_equal(store_continue(store, &origin), 0);
    commit(0);
    reopen();
    assert_string_equal(store_state(store)->epoch, "abcd1234");
    assert_int_equal(store_state(store)->head, 50);
    assert_int_equal(store_state(store)->time_ms, 700);
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "10 20 | 50 | 9");
    assert_string_equal(read_of(&bob, 1, 0, 9, 0), "| 50 | 30");
    assert_string_equal(read_of(&news, 1, 0, 9, 0), "| 50 | 3");
    /* Bob's grave is none any more. */
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(bob, 60, 0, 0, NULL, 1), 0);
    assert_int_equal(store_continue(store, &origin), -EINVAL); /* 60 is over its head */
    store_abort(store);
}

static void what_is_no_store_is_not_opened_and_not_made(void **state)
{
    char file[SCRATCH_SIZE + 32];
    char empty[SCRATCH_SIZE + 16];
    struct error why;
    struct stat info;
    FILE *f;

    (void)state;
    snprintf(empty, sizeof empty, "%s/empty", path);
    assert_int_equal(mkdir(empty, 0700), 0);
    assert_null(store_open_read_only(empty, NULL, &why));
    assert_non_null(strstr(why.text, "there is no journal"));
    snprintf(file, sizeof file, "%s/data.mdb", empty);
    assert_int_equal(stat(file, &info), -1);
    f = fopen(file, "w");
    assert_non_null(f);
    assert_null(store_open_read_only(empty, NULL, &why));
    assert_non_null(strstr(why.text, "is empty"));
    for (int i = 0; i < 10000; i++)
        fputs("no store", f);
    fclose(f);
    assert_null(store_open_read_only(empty, NULL, &why));
    assert_non_null(strstr(why.text, "damaged"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_backup_gets_a_new_epoch_once_and_keeps_the_rest,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_copy_goes_nowhere_but_into_an_empty_directory,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_draft_takes_the_place_of_the_store, begin, end),
        cmocka_unit_test_setup_teardown(a_store_that_is_read_is_not_replaced, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_follows_a_store_that_outgrows_its_map, begin, end),
        cmocka_unit_test_setup_teardown(what_a_killed_tool_has_left_is_removed, begin, end),
        cmocka_unit_test_setup_teardown(a_survey_tells_what_is_there, begin, end),
        cmocka_unit_test_setup_teardown(more_channels_than_one_snapshot_has_are_walked_once_each,
                                        begin, end),
        cmocka_unit_test_setup_teardown(records_of_some_channels_come_in_order, begin, end),
        cmocka_unit_test_setup_teardown(another_store_is_continued, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_store_is_not_opened_and_not_made, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
