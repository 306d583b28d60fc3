/* backoff.c - pure arithmetic: time and chance are arguments. */
#include "backoff_priv.h"

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
    return value < min ? min : value > max ? max : value;
}

uint64_t backoff_ms(uint64_t base_ms, unsigned failures, uint64_t asked_ms, uint32_t random)
{
    uint64_t wait = clamp(base_ms, BACKOFF_MIN_MS, BACKOFF_ASKED_MAX_MS);
    uint64_t cap = wait > BACKOFF_CAP_MS ? wait : BACKOFF_CAP_MS;

    for (unsigned i = 1; i < failures && wait < cap; i++)
        wait *= 2;
    wait = clamp(wait, 0, cap);
    asked_ms = clamp(asked_ms, 0, BACKOFF_ASKED_MAX_MS);
    if (wait < asked_ms)
        wait = asked_ms;
    return wait + wait / 4 * (random % 1024) / 1024;
}
