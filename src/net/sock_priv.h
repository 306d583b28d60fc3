/* sock_priv.h - what loop and socks call of each other. */
#ifndef NET_SOCK_PRIV_H
#define NET_SOCK_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include "net/wheel.h"

struct loop;
struct sock;
struct uring;
struct write;

/* ---- sock.c ---- */
/* A sock's deadline has come: for the loop's wheel. */
wheel_due_fn sock_on_due;

/* The events that were put off. */
void sock_on_postponed(struct sock *s);

/* As socks_write, one after the other. */
void socks_write_each(struct write *writes, size_t count);

/* ---- loop.c ---- */
/* Whether this turn has handled events for long enough. */
bool loop_is_late(struct loop *loop);

/* Puts the sock's events off to the next turn, behind those that wait already. False: no memory,
 * they are to be handled now. */
bool loop_postpone(struct loop *loop, struct sock *s);

/* The sock is going: whatever was put off is not handled. */
void loop_forget(struct loop *loop, struct sock *s);

/* What socks_write does it by; NULL: nothing but plain system calls. */
struct uring *loop_uring(const struct loop *loop);

/* It did so many writes. */
void loop_count_uring(struct loop *loop, size_t writes);

/* It has failed: it is not used any more. */
void loop_lose_uring(struct loop *loop);
#endif
