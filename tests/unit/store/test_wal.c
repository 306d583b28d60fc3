/* test_wal.c - the write-ahead log: what is in it and not in the trees is there after an end of any
 * kind, once, and damage to it is known. */
#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/store.h"
#include "support/cm.h"
#include "support/scratch.h"

enum {
    STEP = 4096,
    SECTOR = 512,
    KEEP_BYTES = 16 << 20,
    FILE_SIZE = KEEP_BYTES / 32,
    MAX_SIZE = FILE_SIZE * 2,
};

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
        .keep_bytes = KEEP_BYTES,
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

/* ---- a frame that was cut short ---- */

struct image {
    char p[FILE_SIZE];
};

static void read_image(int i, struct image *image)
{
    int fd = open(file_of(i), O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, image->p, sizeof image->p), sizeof image->p);
    close(fd);
}

static void write_image(int i, const struct image *image)
{
    int fd = open(file_of(i), O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, image->p, sizeof image->p), sizeof image->p);
    close(fd);
}

/* Each sector that has changed is new or not. Returns whether all are that hold anything. */
static bool mix(const struct image *before, struct image *after, uint64_t *random)
{
    static const char zeros[SECTOR];
    bool is_whole = true;

    for (size_t at = 0; at < sizeof after->p; at += SECTOR) {
        if (memcmp(before->p + at, after->p + at, SECTOR) == 0 || support_random(random) % 3 > 0)
            continue;
        is_whole &= memcmp(after->p + at, zeros, SECTOR) == 0;
        memcpy(after->p + at, before->p + at, SECTOR);
    }
    return is_whole;
}

static void a_frame_that_was_cut_short_never_was(void **state)
{
    static struct image before;
    static struct image after;
    char epoch[EPOCH_SIZE];
    uint64_t random = 1;

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    for (int i = 0; i < 50; i++) {
        for (uint64_t n = support_random(&random) % 3; n > 0; n--)
            log_one(support_random(&random) % 6000);
        read_image(0, &before);
        log_one(support_random(&random) % 10000);
        read_image(0, &after);
        close_both();
        if (!mix(&before, &after, &random))
            head--;
        write_image(0, &after);
        open_both();
        assert_all_there();
        assert_string_equal(store_state(store)->epoch, epoch);
    }
}

/* ---- damage ---- */

static bool is_kept_aside(void)
{
    char file[SCRATCH_SIZE + 32];

    snprintf(file, sizeof file, "%s/wal-0.damaged", path);
    return access(file, F_OK) == 0;
}

/* Frames are missing: what else was sent is there, and the epoch says it, once. */
static void assert_lost(const char *epoch, size_t kept)
{
    char second[EPOCH_SIZE];

    die_and_start();
    assert_int_equal(look().count, kept);
    assert_string_not_equal(store_state(store)->epoch, epoch);
    assert_true(is_kept_aside());
    head = store_state(store)->head;
    strcpy(second, store_state(store)->epoch);
    log_one(10);
    die_and_start();
    assert_string_equal(store_state(store)->epoch, second);
    assert_int_equal(look().count, kept + 1);
}

static void damage_before_the_last_frame_is_a_loss_and_is_known(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    for (int i = 0; i < 4; i++)
        log_one(10);
    flip(0, STEP + 40);
    assert_lost(epoch, 3);
}

static void damage_to_the_last_frame_is_a_loss_and_is_known(void **state)
{
    for (int sector = 0; sector < 20; sector++) {
        char epoch[EPOCH_SIZE];

        end(state);
        begin(state);
        strcpy(epoch, store_state(store)->epoch);
        log_one(10);
        log_one(9400); /* 20 sectors */
        flip(0, STEP + sector * SECTOR + sector * 20);
        assert_lost(epoch, 1);
    }
}

static void damage_to_what_the_trees_have_costs_nothing(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    log_one(10);
    log_one(10);
    log_one(10);
    assert_int_equal(store_begin(store), 0);
    write_to_trees(1, 10);
    store_note_logged(store, 1);
    assert_int_equal(store_commit(store, 1), 0);
    flip(0, 40);
    die_and_start();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
    assert_false(is_kept_aside());
}

static void a_file_that_is_missing_is_a_loss_and_is_known(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    log_one(10);
    log_one(FILE_SIZE / 10 * 9);
    log_one(10);
    log_one(FILE_SIZE / 10); /* in the other file */
    assert_int_equal(unlink(file_of(1)), 0);
    assert_lost(epoch, 3);
}

static void a_file_that_is_cut_is_a_loss_and_is_known(void **state)
{
    static const off_t sizes[] = {0, 1, STEP, 2 * STEP, FILE_SIZE - STEP};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char epoch[EPOCH_SIZE];

        end(state);
        begin(state);
        strcpy(epoch, store_state(store)->epoch);
        for (int n = 0; n < 4; n++)
            log_one(10);
        assert_int_equal(truncate(file_of(0), sizes[i]), 0);
        assert_lost(epoch, sizes[i] / STEP < 4 ? (size_t)(sizes[i] / STEP) : 4);
    }
}

static void a_large_frame_that_is_cut_is_a_loss_and_is_known(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    log_one(10);
    log_one(FILE_SIZE + 5000);
    assert_true(size_of(1) > FILE_SIZE);
    assert_int_equal(truncate(file_of(1), FILE_SIZE), 0);
    assert_lost(epoch, 1);
}

static void after_an_orderly_end_nothing_is_needed_of_it(void **state)
{
    char epoch[EPOCH_SIZE];

    (void)state;
    strcpy(epoch, store_state(store)->epoch);
    log_one(10);
    assert_int_equal(store_begin(store), 0);
    write_to_trees(1, 10);
    store_note_logged(store, 1);
    assert_int_equal(store_commit(store, 1), 0);
    close_both();
    assert_int_equal(unlink(file_of(0)), 0);
    assert_int_equal(truncate(file_of(1), 77), 0);
    open_both();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
    log_one(10);
    die_and_start();
    assert_all_there();
    assert_string_equal(store_state(store)->epoch, epoch);
}

/* ---- other stores ---- */

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

static void store_one(uint64_t seq, size_t size)
{
    assert_int_equal(store_begin(store), 0);
    write_to_trees(seq, size);
    store_note_logged(store, seq);
    assert_int_equal(store_commit(store, seq), 0);
}

static void files_are_written_in_turn_and_stay_as_large_as_they_are(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        wal_begin(wal);
        add_to_frame(7000, NULL, true);
        assert_int_equal(wal_write(wal, i > 5 ? i - 5 : 0), 0);
        if (i > 5)
            store_one(i - 5, 7000);
    }
    assert_int_equal(size_of(0), FILE_SIZE);
    assert_int_equal(size_of(1), FILE_SIZE);
    die_and_start();
    assert_all_there();
}

static void without_room_nothing_is_written(void **state)
{
    (void)state;
    do {
        wal_begin(wal);
        add_to_frame(FILE_SIZE / 3, NULL, true);
    } while (wal_has_room(wal, 0) && wal_write(wal, 0) == 0);
    assert_int_equal(wal_write(wal, 0), -ENOSPC);
    assert_int_equal(--head, 4);
    assert_false(wal_has_room(wal, 1));
    assert_true(wal_has_room(wal, 2)); /* a file is free again */
    die_and_start();
    assert_all_there();
}

static void a_file_is_as_large_as_a_large_frame_and_is_cut_back(void **state)
{
    (void)state;
    log_one(10);
    log_one(FILE_SIZE + 5000);
    assert_true(size_of(1) > FILE_SIZE);
    store_one(1, 10);
    store_one(2, FILE_SIZE + 5000);
    for (int i = 0; i < 2; i++) {
        wal_begin(wal);
        add_to_frame(FILE_SIZE / 10 * 9, NULL, true);
        assert_int_equal(wal_write(wal, 2), 0);
    }
    assert_int_equal(size_of(1), FILE_SIZE);
    die_and_start();
    assert_all_there();
}

/* ---- any order of things ---- */

static void run(uint64_t seed)
{
    static size_t sizes[4000];
    static uint64_t frames[4000]; /* that an entry is in */
    uint64_t random = seed;
    uint64_t written = 0;         /* entries in the trees */
    uint64_t stored = 0;          /* frames likewise */
    uint64_t before;
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
            before = head;
            wal_begin(wal);
            for (uint64_t n = support_random(&random) % 6; n > 0; n--) {
                sizes[head + 1] = support_random(&random) % 20 == 0
                                      ? support_random(&random) % (MAX_SIZE / 2)
                                      : support_random(&random) % 3000;
                add_to_frame(sizes[head + 1], NULL, true);
                frames[head] = wal_number(wal) + 1;
            }
            if (wal_has_room(wal, stored)) {
                assert_int_equal(wal_write(wal, stored), 0);
                break;
            }
            assert_int_equal(wal_write(wal, stored), -ENOSPC);
            head = before;
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
        cmocka_unit_test_setup_teardown(damage_to_the_last_frame_is_a_loss_and_is_known, begin,
                                        end),
        cmocka_unit_test_setup_teardown(damage_to_what_the_trees_have_costs_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_missing_is_a_loss_and_is_known, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_cut_is_a_loss_and_is_known, begin, end),
        cmocka_unit_test_setup_teardown(a_large_frame_that_is_cut_is_a_loss_and_is_known, begin,
                                        end),
        cmocka_unit_test_setup_teardown(after_an_orderly_end_nothing_is_needed_of_it, begin, end),
        cmocka_unit_test_setup_teardown(the_log_of_another_store_is_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_backup_does_not_go_on_with_the_log_of_its_origin, begin,
                                        end),
        cmocka_unit_test_setup_teardown(files_are_written_in_turn_and_stay_as_large_as_they_are,
                                        begin, end),
        cmocka_unit_test_setup_teardown(without_room_nothing_is_written, begin, end),
        cmocka_unit_test_setup_teardown(a_file_is_as_large_as_a_large_frame_and_is_cut_back, begin,
                                        end),
        cmocka_unit_test_setup_teardown(nothing_is_lost_or_doubled_in_any_order_of_things, begin,
                                        end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
