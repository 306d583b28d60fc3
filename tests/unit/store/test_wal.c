/* test_wal.c - the write-ahead log: what is in it and not in the trees is there after an end of any
 * kind, once, and damage to it is known. */
#include "store/wal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/store.h"
#include "support/cm.h"
#include "support/scratch.h"

enum { STEP = 4096, MIN_FILE = 64 << 10, MAX_SIZE = 200000 };

static char path[SCRATCH_SIZE];
static struct store_options options;
static struct store *store;
static struct wal *wal;
static uint64_t head; /* highest number used */

static void open_both(void)
{
    struct error why = {.text = ""};

    store = store_open(&options, &why);
    if (store == NULL)
        fail_msg("%s", why.text);
    wal = wal_open(store, &why);
    if (wal == NULL)
        fail_msg("%s", why.text);
}

static void close_both(void)
{
    wal_close(wal);
    store_close(store);
    wal = NULL;
    store = NULL;
}

/* As after a death: what is in the log only is brought in by the start. */
static void die_and_start(void)
{
    close_both();
    open_both();
}

static int begin(void **state)
{
    (void)state;
    scratch_make(path);
    options = (struct store_options){
        .path = path,
        .keep_ms = 1000000,
        .keep_per_user = 100000,
        .keep_bytes = 1 << 30,
        .keys_ms = 1000000,
    };
    head = 0;
    open_both();
    return 0;
}

static int end(void **state)
{
    (void)state;
    close_both();
    scratch_remove(path);
    return 0;
}

/* ---- entries ---- */

static struct record record_of(uint64_t seq, size_t size)
{
    static char data[MAX_SIZE];

    memset(data, 'a' + (int)(seq % 26), size);
    return (struct record){.seq = seq, .time_ms = seq, .expires_ms = RECORD_KEPT,
                           .to = {CHANNEL_USER, {"ann", 3}}, .event = {"e", 1},
                           .data = {data, size}};
}

static struct slice bytes_of(uint64_t seq, size_t size)
{
    static char bytes[MAX_SIZE + 4096];
    struct record r = record_of(seq, size);

    record_write(&r, bytes);
    return slice_make(bytes, record_size(&r));
}

static void add_to_frame(size_t size, const char *key, bool is_kept)
{
    assert_int_equal(wal_add(wal, bytes_of(++head, size), slice_of(key), is_kept), 0);
}

/* A frame with one entry. */
static void log_one(size_t size)
{
    wal_begin(wal);
    add_to_frame(size, NULL, true);
    assert_int_equal(wal_write(wal, 0), 0);
}

static void write_to_trees(uint64_t seq, size_t size)
{
    struct slice bytes = bytes_of(seq, size);
    char *copy = malloc(bytes.n);

    assert_non_null(copy);
    memcpy(copy, bytes.p, bytes.n);
    assert_int_equal(store_append(store, copy, bytes.n), 0);
    free(copy);
}

struct seen {
    uint64_t last;
    size_t count;
};

static int see(void *ctx, const struct record *record, struct slice bytes)
{
    struct seen *seen = ctx;
    struct record expected = record_of(record->seq, record->data.n);

    (void)bytes;
    assert_true(record->seq > seen->last);
    assert_true(slice_equal(record->data, expected.data));
    seen->last = record->seq;
    seen->count++;
    return 0;
}

static struct seen look(void)
{
    struct store_reader *r = store_reader_create(store);
    struct seen seen = {0, 0};

    assert_non_null(r);
    assert_int_equal(store_each(r, 1, see, &seen), 0);
    store_reader_destroy(r);
    return seen;
}

static void assert_all_there(void)
{
    struct seen seen = look();

    assert_int_equal(store_state(store)->head, head);
    assert_int_equal(seen.last, head);
    assert_int_equal(seen.count, head);
}

/* ---- files ---- */

static const char *file_of(int i)
{
    static char file[SCRATCH_SIZE + 16];

    snprintf(file, sizeof file, "%s/wal-%d", path, i);
    return file;
}

static off_t size_of(int i)
{
    struct stat info;

    assert_int_equal(stat(file_of(i), &info), 0);
    return info.st_size;
}

static void flip(int i, off_t at)
{
    int fd = open(file_of(i), O_RDWR);
    char c;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

/* ---- what comes back ---- */

static int note_key(void *ctx, uint64_t seq, uint64_t time_ms, struct slice key)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%llu@%llu=%.*s ", (unsigned long long)seq,
            (unsigned long long)time_ms, (int)key.n, key.p);
    return 0;
}

static void what_was_logged_is_there_after_a_death(void **state)
{
    struct store_reader *r;
    char text[64] = "";

    (void)state;
    log_one(10);
    wal_begin(wal);
    add_to_frame(20, "k", true);
    add_to_frame(30, NULL, true);
    add_to_frame(40, "transient", false); /* its number and its key count */
    assert_int_equal(wal_write(wal, 0), 0);
    assert_int_equal(wal_number(wal), 2);
    assert_int_equal(store_state(store)->head, 0);
    die_and_start();
    assert_int_equal(store_state(store)->head, 4);
    assert_int_equal(store_state(store)->time_ms, 4);
    assert_int_equal(look().count, 3);
    r = store_reader_create(store);
    assert_int_equal(store_each_key(r, note_key, text), 0);
    store_reader_destroy(r);
    assert_string_equal(text, "2@2=k 4@4=transient ");
    assert_int_equal(wal_number(wal), 2);
    log_one(10);
    assert_int_equal(wal_number(wal), 3);
    die_and_start();
    assert_int_equal(store_state(store)->head, 5);
    assert_int_equal(look().count, 4);
}

static void what_the_trees_have_is_not_written_again(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        wal_begin(wal);
        add_to_frame(10, NULL, true);
        add_to_frame(10, "k", true);
        assert_int_equal(wal_write(wal, 0), 0);
    }
    assert_int_equal(store_begin(store), 0);
    for (uint64_t seq = 1; seq <= 3; seq++) /* of the second frame a half */
        write_to_trees(seq, 10);
    store_note_logged(store, 1);
    assert_int_equal(store_commit(store, 3), 0);
    die_and_start();
    assert_all_there();
}

static void a_frame_that_was_cut_short_never_was(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    log_one(10);
    log_one(10);
    log_one(9000); /* three steps */
    head--;
    flip(0, 4 * STEP);
    die_and_start();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
    log_one(10); /* the same number again */
    assert_int_equal(wal_number(wal), 3);
    die_and_start();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
}

/* Frame 2 of 4 is not to be had: the others are, and the epoch says it. */
static void assert_second_lost(const char *epoch)
{
    char second[EPOCH_SIZE];
    struct seen seen;

    die_and_start();
    seen = look();
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.last, 4);
    assert_string_not_equal(store_state(store)->epoch, epoch);
    strcpy(second, store_state(store)->epoch);
    log_one(10);
    die_and_start();
    assert_string_equal(store_state(store)->epoch, second); /* it was said once */
    assert_int_equal(look().count, 4);
}

static void damage_before_the_last_frame_is_a_loss_and_is_known(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    for (int i = 0; i < 4; i++)
        log_one(10);
    flip(0, STEP + 40);
    assert_second_lost(epoch);
}

static void a_file_that_is_missing_is_a_loss_and_is_known(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    log_one(10);
    log_one(MIN_FILE - STEP - 200);    /* no room is left there: */
    log_one(10);                       /* this is in the other file */
    assert_int_equal(unlink(file_of(0)), 0);
    die_and_start();
    assert_int_equal(look().count, 1);
    assert_string_not_equal(store_state(store)->epoch, epoch);
}

static void the_log_of_another_store_is_left_alone(void **state)
{
    char epoch[EPOCH_SIZE];
    char data[SCRATCH_SIZE + 16];

    (void)state;
    log_one(10);
    log_one(10);
    close_both();
    snprintf(data, sizeof data, "%s/data.mdb", path);
    assert_int_equal(unlink(data), 0);
    open_both();
    assert_int_equal(store_state(store)->head, 0);
    strcpy(epoch, store_state(store)->epoch);
    head = 0;
    log_one(10);
    die_and_start();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
}

static void a_backup_does_not_go_on_with_the_log_of_its_origin(void **state)
{
    char copy[SCRATCH_SIZE + 16];
    char file[SCRATCH_SIZE + 32];
    char data[SCRATCH_SIZE + 16];
    struct error why = {.text = ""};

    (void)state;
    assert_int_equal(store_begin(store), 0);
    write_to_trees(++head, 10);
    assert_int_equal(store_commit(store, 1), 0);
    snprintf(copy, sizeof copy, "%s/copy", path);
    assert_int_equal(store_copy(store, copy, true, NULL, NULL, &why), 0);
    log_one(10);
    close_both();
    snprintf(file, sizeof file, "%s/data.mdb", copy);
    snprintf(data, sizeof data, "%s/data.mdb", path);
    assert_int_equal(rename(file, data), 0);
    assert_int_equal(rmdir(copy), 0);
    open_both();
    assert_int_equal(store_state(store)->head, 1);
    assert_int_equal(look().count, 1);
}

/* ---- room ---- */

static void files_are_written_in_turn_and_stay_small(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        wal_begin(wal);
        add_to_frame(1000, NULL, true);
        assert_int_equal(wal_write(wal, head > 5 ? head - 5 : 0), 0);
        if (head < 4)
            continue;
        assert_int_equal(store_begin(store), 0);
        write_to_trees(head - 3, 1000);
        store_note_logged(store, head - 3);
        assert_int_equal(store_commit(store, head - 3), 0);
    }
    assert_int_equal(size_of(0), MIN_FILE);
    assert_int_equal(size_of(1), MIN_FILE);
    die_and_start();
    assert_all_there();
}

static void a_log_that_nobody_reads_off_grows_and_is_cut_back(void **state)
{
    options.keep_bytes = 1 << 20;
    die_and_start();
    for (int i = 0; i < 12; i++)
        log_one(50000);
    assert_true(size_of(0) + size_of(1) >= 12 * 50000);
    die_and_start();
    assert_all_there();
    for (int i = 0; i < 4; i++)
        log_one(40000);
    assert_true(size_of(0) == MIN_FILE || size_of(1) == MIN_FILE);
    die_and_start();
    assert_all_there();
    (void)state;
}

/* ---- any order of things ---- */

static void run(uint64_t seed)
{
    static size_t sizes[4000];
    static uint64_t frames[4000]; /* that an entry is in */
    uint64_t random = seed;
    uint64_t written = 0;         /* entries in the trees */
    uint64_t stored = 0;          /* frames likewise */
    char epoch[EPOCH_SIZE];

    strcpy(epoch, store_state(store)->epoch);
    for (int i = 0; i < 60; i++) {
        switch (support_random(&random) % 8) {
        case 0:
            die_and_start();
            written = head;
            stored = wal_number(wal);
            assert_all_there();
            break;
        case 1:
        case 2: /* the trees get some of it */
            assert_int_equal(store_begin(store), 0);
            for (uint64_t n = support_random(&random) % 30; n > 0 && written < head; n--) {
                written++;
                write_to_trees(written, sizes[written]);
            }
            if (written > 0)
                stored = frames[written] -
                         (written < head && frames[written + 1] == frames[written]);
            store_note_logged(store, stored);
            assert_int_equal(store_commit(store, written), 0);
            break;
        default:
            wal_begin(wal);
            for (uint64_t n = support_random(&random) % 6; n > 0; n--) {
                sizes[head + 1] = support_random(&random) % 10 == 0
                                      ? support_random(&random) % MAX_SIZE
                                      : support_random(&random) % 3000;
                add_to_frame(sizes[head + 1], NULL, true);
                frames[head] = wal_number(wal) + 1;
            }
            assert_int_equal(wal_write(wal, stored), 0);
            break;
        }
    }
    die_and_start();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
}

static void nothing_is_lost_or_doubled_in_any_order_of_things(void **state)
{
    const char *one = getenv("TEST_SEED");
    uint64_t first = one == NULL ? 1 : strtoull(one, NULL, 10);

    for (uint64_t seed = first; seed < first + (one != NULL ? 1 : support_is_slow() ? 2 : 20);
         seed++) {
        print_message("TEST_SEED=%llu\r", (unsigned long long)seed);
        end(state);
        begin(state);
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_logged_is_there_after_a_death, begin, end),
        cmocka_unit_test_setup_teardown(what_the_trees_have_is_not_written_again, begin, end),
        cmocka_unit_test_setup_teardown(a_frame_that_was_cut_short_never_was, begin, end),
        cmocka_unit_test_setup_teardown(damage_before_the_last_frame_is_a_loss_and_is_known, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_file_that_is_missing_is_a_loss_and_is_known, begin, end),
        cmocka_unit_test_setup_teardown(the_log_of_another_store_is_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_backup_does_not_go_on_with_the_log_of_its_origin, begin,
                                        end),
        cmocka_unit_test_setup_teardown(files_are_written_in_turn_and_stay_small, begin, end),
        cmocka_unit_test_setup_teardown(a_log_that_nobody_reads_off_grows_and_is_cut_back, begin,
                                        end),
        cmocka_unit_test_setup_teardown(nothing_is_lost_or_doubled_in_any_order_of_things, begin,
                                        end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
