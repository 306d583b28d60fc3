/* clock.h - the two clocks of the program. Only `daemon/`, `net/`, `cli/`, `loadgen/` and the log
 * read them; all others are given the time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

/* Milliseconds of a clock that never jumps; its zero means nothing. */
uint64_t clock_mono_ms(void);

/* The same clock in microseconds and nanoseconds, for measuring how long something took. */
uint64_t clock_mono_us(void);
uint64_t clock_mono_ns(void);

/* Processor time of this thread in nanoseconds. A system call, which the others are not. */
uint64_t clock_thread_ns(void);

/* Milliseconds since 1970-01-01 UTC; may jump when the system's clock is set. */
uint64_t clock_wall_ms(void);

/* Bytes that clock_format writes, the terminator included. */
#define CLOCK_TEXT_SIZE 32

/* Writes `wall_ms` as RFC 3339 with milliseconds, in UTC: 2026-11-24T04:05:06.789Z. */
void clock_format(uint64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

/* Reads a time of RFC 3339 5.6 from 1970 to 9999, with Z or an offset; what is finer than a
 * millisecond is dropped. Returns 0 or -EINVAL. */
int clock_parse(struct slice text, uint64_t *wall_ms);
#endif
