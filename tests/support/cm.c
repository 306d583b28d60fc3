/* cm.c - see the header. */
#include "support/cm.h"

#include <stdlib.h>

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

bool support_is_slow(void)
{
    return getenv("TEST_IS_SLOW") != NULL;
}
