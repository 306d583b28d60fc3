/* test_process.c - what the system says of a process and its threads. */
#include "base/process.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>
#include "support/cm.h"

static void *yield(void *ctx)
{
    int *reached = ctx;

    reached[0] = process_yield_thread(3);
    reached[1] = getpriority(PRIO_PROCESS, (id_t)gettid());
    return NULL;
}

static void a_thread_that_yields_changes_no_other(void **state)
{
    int own = getpriority(PRIO_PROCESS, (id_t)gettid());
    int reached[2] = {-1, -1};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, yield, reached), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reached[0], 0);
    assert_int_equal(reached[1], own + 3 < 19 ? own + 3 : 19);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)gettid()), own);
}

static void its_figures_are_those_of_a_process(void **state)
{
    struct process_info info;

    (void)state;
    process_read(&info);
    assert_true(info.resident_bytes > 0 && info.virtual_bytes >= info.resident_bytes);
    assert_true(info.max_descriptors >= process_count_descriptors());
    assert_true(process_count_descriptors() >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_yields_changes_no_other),
        cmocka_unit_test(its_figures_are_those_of_a_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
