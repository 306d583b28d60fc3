/* sock_priv.h - what loop and socks call of each other. */
#ifndef NET_SOCK_PRIV_H
#define NET_SOCK_PRIV_H
#include <stdbool.h>
#include "net/wheel.h"

struct loop;
struct sock;

/* ---- sock.c ---- */
/* A sock's deadline has come: for the loop's wheel. */
wheel_due_fn sock_on_due;

/* The events that were put off. */
void sock_on_postponed(struct sock *s);

/* ---- loop.c ---- */
/* Whether this turn has handled events for long enough. */
bool loop_is_late(struct loop *loop);

/* Puts the sock's events off to the next turn, behind those that wait already. False: no memory,
 * they are to be handled now. */
bool loop_postpone(struct loop *loop, struct sock *s);

/* The sock is going: whatever was put off is not handled. */
void loop_forget(struct loop *loop, struct sock *s);
#endif
