/* loop.h - the one event loop of the process, its turn, and its wheel.
 *
 * libev is known to net/, journal/ and daemon/ only; others are called back. A turn is: events are
 * handled, then each turn-end hook runs, then the log is flushed, then the loop sleeps. */
#ifndef NET_LOOP_H
#define NET_LOOP_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/stats.h"

struct ev_loop;
struct loop;
struct wheel;

/* Makes the loop on epoll (libev's io_uring backend aborts on current kernels). `stats` is
 * borrowed: loop_turns and the longest turns are counted there. NULL on failure, with `why`. */
struct loop *loop_create(struct stats *stats, struct error *why);
void loop_destroy(struct loop *loop);

/* Has socks_write make one system call of many, by io_uring. Returns 0, or -1 and why: it is not to
 * be had, and nothing has changed. Only in the thread that loop_run is called in. */
int loop_use_uring(struct loop *loop, struct error *why);
bool loop_uses_uring(const struct loop *loop);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Monotonic milliseconds of this turn; does not advance within a callback. */
uint64_t loop_now_ms(const struct loop *loop);

/* Monotonic microseconds when this turn began, which is when all that it handles had come. */
uint64_t loop_turn_us(const struct loop *loop);

/* Milliseconds since 1970-01-01 UTC, read at the call. */
uint64_t loop_wall_ms(const struct loop *loop);

/* For journals and signals, which watch things of their own. */
struct ev_loop *loop_ev(struct loop *loop);

/* The wheel behind sock_deadline; all its nodes are socks'. */
struct wheel *loop_wheel(struct loop *loop);

/* `hook` runs at the end of each turn, in the order added (at most 8 hooks). It returns whether
 * it left work for the next turn; then the loop polls without sleeping. Hooks keep each call
 * within a few milliseconds, and stay for the loop's life. Returns 0 or -ENOBUFS. */
typedef bool loop_hook(void *ctx);
int loop_add_turn_end(struct loop *loop, loop_hook *hook, void *ctx);

/* Makes sure that the turn-end hooks run soon although nothing happens on any descriptor. */
void loop_wake(struct loop *loop);
#endif
