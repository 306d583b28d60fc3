/* failing_memory.h - allocations that fail when a test says so.
 *
 * For tests/unit/FOLDER/test_out_of_memory.c alone: mk/test-memory.mk links these programs with the
 * functions that allocate wrapped, by those that stand here. What is done between fail_from and
 * fail_never is repeated with the first allocation failing, the second, and so on, until one
 * repetition needs fewer. */
#ifndef SUPPORT_FAILING_MEMORY_H
#define SUPPORT_FAILING_MEMORY_H
#include <errno.h>
#include <stdlib.h>
#include "support/cm.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
int __real_posix_memalign(void **p, size_t alignment, size_t n);
int __wrap_posix_memalign(void **p, size_t alignment, size_t n);

static struct {
    size_t left;     /* allocations that still succeed, while is_on */
    bool is_on;
    bool is_lasting; /* those behind the failing one fail too */
    bool has_failed;
} failing;

static bool fails_now(void)
{
    if (!failing.is_on || (failing.has_failed && !failing.is_lasting))
        return false;
    if (failing.left > 0) {
        failing.left--;
        return false;
    }
    failing.has_failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
    return fails_now() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __real_realloc(p, n);
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t n)
{
    return fails_now() ? ENOMEM : __real_posix_memalign(p, alignment, n);
}

static void fail_from(size_t nth, bool is_lasting)
{
    failing.left = nth;
    failing.is_on = true;
    failing.is_lasting = is_lasting;
    failing.has_failed = false;
}

/* Returns whether anything had failed. */
static bool fail_never(void)
{
    failing.is_on = false;
    return failing.has_failed;
}

/* Repeats `attempt` for the nth allocation and for all from the nth on, until nothing fails. */
static void with_each_failure(bool (*attempt)(size_t nth, bool is_lasting))
{
    for (int is_lasting = 0; is_lasting <= 1; is_lasting++) {
        size_t nth = 0;

        while (attempt(nth, is_lasting != 0))
            nth++;
        assert_true(nth > 0); /* else the test tests nothing */
    }
}
#endif
