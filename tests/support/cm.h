/* cm.h - cmocka with the headers it wants before it, and what our unit tests share. */
#ifndef SUPPORT_CM_H
#define SUPPORT_CM_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/slice.h"

/* Fails, showing both texts, unless the bytes of `got` are those of `expected`. */
#define assert_slice(got, expected) support_assert_slice((got), (expected), __FILE__, __LINE__)
void support_assert_slice(struct slice got, const char *expected, const char *file, int line);

/* The next number of a sequence that `*state` (not 0) determines: a failing run repeats. */
uint64_t support_random(uint64_t *state);

/* The worlds of a property test are made from seeds, from `first` on so many: those that the
 * environment names (TEST_SEED: one, TEST_SEEDS: how many), else 1 to `usual`. */
struct seeds {
    uint64_t first;
    uint64_t count;
};
struct seeds support_seeds(uint64_t usual);

/* The world of this seed runs now; 0: none does. A test that is aborted names it. */
void support_seed_runs(uint64_t seed);

/* Whether the tests run under valgrind, where large numbers are not worth their time. */
bool support_is_slow(void);
#endif
