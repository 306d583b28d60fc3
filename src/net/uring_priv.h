/* uring_priv.h - many sends in one system call, by io_uring.
 *
 * Nothing is ever under way but within uring_send: a send that would wait gives -EAGAIN, as send
 * with MSG_DONTWAIT does, and all have ended when it returns. So a socket may be closed and bytes
 * may be freed as after any other send. */
#ifndef NET_URING_PRIV_H
#define NET_URING_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "base/write.h"

struct uring;

/* Returns NULL, and why, where the kernel or the system's administrator does not allow it, where
 * there is no memory, and where the program was built without liburing. To be used by the thread
 * that makes it. Pair: uring_destroy. */
struct uring *uring_create(struct error *why);
void uring_destroy(struct uring *u); /* NULL is allowed */

/* Does the writes, of which `to` is a sock, no two of them the same one. Raises no SIGPIPE. False:
 * the kernel has refused, and it is to be destroyed; what it has not done was sent otherwise. */
bool uring_send(struct uring *u, struct write *writes, size_t count);
#endif
