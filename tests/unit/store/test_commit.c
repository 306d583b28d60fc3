/* test_commit.c - a commit that fails in its last step, when LMDB writes over one of the file's two
 * heads: it may have written nothing, a part or all of it, and takes back its number if it can.
 * Whoever finds the file afterwards finds it as it was before. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "one_store.h"
#include "store/check.h"

enum { HEADS_END = 8192 };

/* ---- the disk: this program's pwrite and fdatasync stand before those of the C library ---- */

static struct {
    unsigned writes;         /* of heads to come: a bit each, the lowest first; 1: it fails */
    int syncs;               /* that fail when those are over */
    double part;             /* of the first of those writes that is done all the same */
} faults;

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    assert_non_null(found);
    return found;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
    bool is_refused = false;

    if (real_pwrite == NULL)
        *(void **)&real_pwrite = real("pwrite");
    if (at < HEADS_END) {
        is_refused = (faults.writes & 1) != 0;
        faults.writes >>= 1;
    }
    if (!is_refused)
        return real_pwrite(fd, bytes, n, at);
    if (faults.part > 0)
        assert_true(real_pwrite(fd, bytes, (size_t)(faults.part * (double)n), at) > 0);
    faults.part = 0;
    errno = EIO;
    return -1;
}

int fdatasync(int fd)
{
    static int (*real_fdatasync)(int);

    if (real_fdatasync == NULL)
        *(void **)&real_fdatasync = real("fdatasync");
    if (faults.writes != 0 || faults.syncs == 0)
        return real_fdatasync(fd);
    faults.syncs--;
    errno = EIO;
    return -1;
}

/* ---- what a process that is killed now leaves ---- */

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "r");
    FILE *out = fopen(to, "w");
    size_t n;

    assert_non_null(in);
    assert_non_null(out);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        assert_int_equal(fwrite(buffer, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void copy_what_is_left(char folder[SCRATCH_SIZE + 16])
{
    char from[SCRATCH_SIZE + 32];
    char to[SCRATCH_SIZE + 32];

    snprintf(from, sizeof from, "%s/data.mdb", path);
    snprintf(folder, SCRATCH_SIZE + 16, "%s/left", path);
    snprintf(to, sizeof to, "%s/data.mdb", folder);
    assert_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
    copy_file(from, to);
}

static void assert_what_is_left_is_whole(uint64_t entries)
{
    struct store_report report;
    struct error why = {.text = ""};
    char folder[SCRATCH_SIZE + 16];

    copy_what_is_left(folder);
    assert_int_equal(store_check(folder, NULL, NULL, NULL, &report, &why), 0);
    if (report.faults > 0)
        fail_msg("%s", report.findings[0]);
    assert_int_equal(report.entries, entries);
}

/* ---- the ways ---- */

static int try_to_add(uint64_t seq, uint64_t count)
{
    assert_int_equal(store_begin(store), 0);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(put(news, seq + i, 0, 0, NULL, 900), 0);
    return store_commit(store, 0);
}

/* Pages that are free, and the same entries twice in a row. */
static void prepare(void)
{
    size_t count;

    assert_int_equal(try_to_add(1, 40), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_erase(store, news, &count), 0);
    commit(0);
    for (uint64_t seq = 41; seq < 44; seq++)
        add(alice, seq, 0);
}

static void fail_once(double part, unsigned writes, int syncs, uint64_t count)
{
    int trials = 0;

    faults.part = part;
    faults.writes = writes;
    faults.syncs = syncs;
    assert_int_equal(try_to_add(44, count), -EIO);
    assert_true(store_is_in_doubt(store));
    while (store_reopen(store) != 0) {
        assert_true(store_is_in_doubt(store));
        assert_int_not_equal(store_begin(store), 0);
        assert_true(++trials < 5);
    }
    assert_int_equal(faults.writes, 0);
    assert_int_equal(faults.syncs, 0);
    assert_false(store_is_in_doubt(store));
    assert_int_equal(store_state(store)->head, 43);
    assert_what_is_left_is_whole(3);
}

/* Once in pages that are free, and once in more than there are. */
static void check_failure(double part, unsigned writes, int syncs)
{
    prepare();
    fail_once(part, writes, syncs, 1);
    fail_once(part, writes, syncs, 80);
    /* This one writes over pages of those that failed, and does not get to its head. */
    faults.writes = 1;
    assert_int_equal(try_to_add(44, 3), -EIO);
    assert_what_is_left_is_whole(3);
    assert_int_equal(store_reopen(store), 0);
    add(alice, 50, 0);
    assert_what_is_left_is_whole(3);
    reopen();
    assert_string_equal(read_of(&alice, 1, 0, 9, 0), "42 43 50 | 50 | 41");
    assert_string_equal(read_of(&news, 1, 0, 9, 0), "| 50 | 0");
}

static void nothing_of_the_head_is_written(void **state)
{
    (void)state;
    check_failure(0, 1, 0);
}

static void a_part_of_the_head_is_written(void **state)
{
    (void)state;
    check_failure(0.5, 1, 0);
}

static void all_of_the_head_is_written(void **state)
{
    (void)state;
    check_failure(1, 1, 0);
}

static void a_part_of_the_head_stays(void **state)
{
    (void)state;
    check_failure(0.5, 3, 0);
}

static void all_of_the_head_stays(void **state)
{
    (void)state;
    check_failure(1, 3, 0);
}

static void all_of_the_head_stays_for_a_while(void **state)
{
    (void)state;
    check_failure(1, 15, 0);
}

static void what_it_was_is_not_safe_for_a_while(void **state)
{
    (void)state;
    check_failure(1, 1, 2);
}

/* What is left then cannot be told from damage, but nothing is lost to it. */
static void a_process_is_killed_between_what_lmdb_takes_back_and_the_rest(void **state)
{
    struct store_options left = options;
    struct error why = {.text = ""};
    char folder[SCRATCH_SIZE + 16];

    (void)state;
    prepare();
    for (uint64_t count = 1; count <= 81; count += 10) {
        struct store *found;

        faults.part = 1;
        faults.writes = 5;
        assert_int_equal(try_to_add(44, count), -EIO);
        copy_what_is_left(folder);
        left.path = folder;
        found = store_open(&left, &why);
        if (found == NULL)
            fail_msg("%s", why.text);
        assert_string_equal(store_state(found)->epoch, store_state(store)->epoch);
        assert_true(store_state(found)->entries == 3 || store_state(found)->entries == 3 + count);
        store_close(found);
        assert_int_equal(store_reopen(store), 0);
    }
}

static int begin_sound(void **state)
{
    memset(&faults, 0, sizeof faults);
    return begin(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_of_the_head_is_written, begin_sound, end),
        cmocka_unit_test_setup_teardown(a_part_of_the_head_is_written, begin_sound, end),
        cmocka_unit_test_setup_teardown(all_of_the_head_is_written, begin_sound, end),
        cmocka_unit_test_setup_teardown(a_part_of_the_head_stays, begin_sound, end),
        cmocka_unit_test_setup_teardown(all_of_the_head_stays, begin_sound, end),
        cmocka_unit_test_setup_teardown(all_of_the_head_stays_for_a_while, begin_sound, end),
        cmocka_unit_test_setup_teardown(what_it_was_is_not_safe_for_a_while, begin_sound, end),
        cmocka_unit_test_setup_teardown(
            a_process_is_killed_between_what_lmdb_takes_back_and_the_rest, begin_sound, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
