/* backoff_priv.h - how long to wait before trying again. */
#ifndef CLI_BACKOFF_PRIV_H
#define CLI_BACKOFF_PRIV_H
#include <stdint.h>

enum {
    BACKOFF_MIN_MS = 100,             /* whatever the server asks for */
    BACKOFF_CAP_MS = 30 * 1000,       /* where doubling ends */
    BACKOFF_ASKED_MAX_MS = 600 * 1000 /* the longest wait a server can ask for */
};

/* The wait after the `failures`th failure in a row (0: the stream had been open): `base_ms`
 * doubled each time up to the cap, never less than `asked_ms` (Retry-After; 0: none), and up to a
 * quarter more by `random`, so that not all clients of a restarted server come at once. A
 * `base_ms` over the cap is the server's wish and is kept. */
uint64_t backoff_ms(uint64_t base_ms, unsigned failures, uint64_t asked_ms, uint32_t random);
#endif
