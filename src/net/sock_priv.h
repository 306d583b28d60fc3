/* sock_priv.h - what the loop calls of the socks. */
#ifndef NET_SOCK_PRIV_H
#define NET_SOCK_PRIV_H
#include "net/wheel.h"

/* A sock's deadline has come: for the loop's wheel. */
wheel_due_fn sock_on_due;
#endif
