/* cm.c - see the header. */
#include "support/cm.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void support_assert_slice(struct slice got, const char *expected, const char *file, int line)
{
    if (slice_is(got, expected))
        return;
    print_error("got \"%.*s\" (%zu bytes), expected \"%s\"\n", SLICE_ARG(got), got.n, expected);
    _fail(file, line);
}

/* xorshift64* (Marsaglia; Vigna, "An experimental exploration of Marsaglia's xorshift"). */
uint64_t support_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

struct seeds support_seeds(uint64_t usual)
{
    const char *one = getenv("TEST_SEED");
    const char *many = getenv("TEST_SEEDS");

    if (one != NULL && one[0] != '\0')
        return (struct seeds){strtoull(one, NULL, 10), 1};
    return (struct seeds){1, many != NULL && many[0] != '\0' ? strtoull(many, NULL, 10) : usual};
}

static volatile uint64_t seed_that_runs;

static void name_seed(void)
{
    static const char name[] = "TEST_SEED=";
    char text[40];
    char *end = text + sizeof text;
    char *at = end;

    if (seed_that_runs == 0)
        return;
    *--at = '\n';
    for (uint64_t n = seed_that_runs; n > 0; n /= 10)
        *--at = (char)('0' + n % 10);
    at -= sizeof name - 1;
    memcpy(at, name, sizeof name - 1);
    if (write(STDERR_FILENO, at, (size_t)(end - at)) < 0)
        return; /* there is nobody to tell */
}

static void on_abort(int number)
{
    name_seed();
    signal(number, SIG_DFL);
    raise(number);
}

void support_seed_runs(uint64_t seed)
{
    static bool is_prepared;

    seed_that_runs = seed;
    if (is_prepared)
        return;
    is_prepared = true;
    signal(SIGABRT, on_abort);
    atexit(name_seed);
}

bool support_is_slow(void)
{
    return getenv("TEST_IS_SLOW") != NULL;
}
