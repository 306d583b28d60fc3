/* sock_priv.h - what loop and socks call of each other. */
#ifndef NET_SOCK_PRIV_H
#define NET_SOCK_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net/wheel.h"

struct loop;
struct sock;
struct uring;
struct write;

/* ---- sock.c ---- */
/* A sock's deadline has come: for the loop's wheel. */
wheel_due_fn sock_on_due;

/* What epoll has told of it, as in its events; some of that may not be wanted any more. */
void sock_on_told(struct sock *s, uint32_t events);

/* As socks_write, one after the other. */
void socks_write_each(struct write *writes, size_t count);

/* ---- loop.c ---- */
/* Whether this turn has handled events for long enough. */
bool loop_is_late(struct loop *loop);

/* The sock is going: what was told of it is not handled. */
void loop_forget(struct loop *loop, const struct sock *s);

/* The epoll instance that socks are watched by; the pointer in each event is the sock. */
int loop_epoll(const struct loop *loop);

/* A sock cannot be watched, for that reason (errno): it is said, but not each time. */
void loop_tell_unwatched(struct loop *loop, int reason);

/* What socks_write does it by; NULL: nothing but plain system calls. */
struct uring *loop_uring(const struct loop *loop);

/* It did so many writes. */
void loop_count_uring(struct loop *loop, size_t writes);

/* It has failed: it is not used any more. */
void loop_lose_uring(struct loop *loop);
#endif
