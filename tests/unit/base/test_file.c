/* test_file.c - writing that is whole, also where the kernel takes a part at a time. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "support/cm.h"
#include "support/scratch.h"

enum { MANY = 1 << 20 };

static size_t read_all(int fd)
{
    static char piece[5000];
    size_t all = 0;
    ssize_t n;

    while ((n = read(fd, piece, sizeof piece)) > 0)
        all += (size_t)n;
    return all;
}

static void *write_many(void *ctx)
{
    static char bytes[MANY];
    int *fd = ctx;
    int status = file_write_all(*fd, slice_make(bytes, sizeof bytes));

    close(*fd);
    *fd = status;
    return NULL;
}

static void what_a_pipe_takes_piece_by_piece_is_written_whole(void **state)
{
    int ends[2];
    pthread_t writer;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_many, &ends[1]), 0);
    assert_int_equal(read_all(ends[0]), MANY);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(ends[1], 0);
    close(ends[0]);
}

static void a_disk_without_room_is_told(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, SLICE_LITERAL("x")), -ENOSPC);
    assert_int_equal(file_write_all(fd, slice_make(NULL, 0)), 0);
    close(fd);
}

static void a_directory_is_synced_and_what_is_none_is_told(void **state)
{
    char path[SCRATCH_SIZE];

    (void)state;
    scratch_make(path);
    assert_int_equal(file_sync_directory(path), 0);
    scratch_remove(path);
    assert_int_equal(file_sync_directory(path), -ENOENT);
    assert_int_equal(file_sync_directory("/dev/null"), -ENOTDIR);
    assert_int_equal(file_sync_directory("/proc"), 0); /* which cannot be synced */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_pipe_takes_piece_by_piece_is_written_whole),
        cmocka_unit_test(a_disk_without_room_is_told),
        cmocka_unit_test(a_directory_is_synced_and_what_is_none_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
