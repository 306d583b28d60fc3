/* sock.h - one connected, non-blocking stream socket, watched, with its deadline.
 *
 * Embedded in what it serves. Nothing is buffered here: what a write does not take is the
 * caller's, who asks for NET_WRITE and is called again. TLS will come in behind this face. */
#ifndef NET_SOCK_H
#define NET_SOCK_H
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/write.h"
#include "net/wheel.h"

struct loop;
struct sock;

enum { NET_READ = 1, NET_WRITE = 2 };

/* What all socks of one owner share. */
struct sock_owner {
    struct loop *loop;
    /* NET_READ, NET_WRITE: of those wanted; an error or a hang-up is both, and reading or writing
     * then tells which. */
    void (*on_event)(struct sock *s, unsigned events);
    void (*on_deadline)(struct sock *s, uint64_t now_ms);
};

struct sock {
    struct wheel_node timer; /* its `tag`: the events that are wanted */
    struct sock_owner *owner;
    int fd;                  /* comes last, next to what has the sock */
};

/* Takes `fd`, which must be connected and non-blocking. No event is wanted yet. `owner` is borrowed
 * for the sock's life. */
void sock_open(struct sock *s, struct sock_owner *owner, int fd);

static inline struct sock_owner *sock_owner(const struct sock *s)
{
    return s->owner;
}

/* Stops watching and the deadline, and closes the descriptor. */
void sock_close(struct sock *s);

/* Sets which events are wanted from now on; the same as before costs nothing. */
void sock_want(struct sock *s, unsigned events);
unsigned sock_wants(const struct sock *s);

/* on_deadline is called once at or after `due_ms` (loop_now_ms's clock); 0: never. */
void sock_deadline(struct sock *s, uint64_t due_ms);

/* Bytes read, 0 at the peer's end, or -errno (-EAGAIN: nothing there). EINTR is dealt with. */
ssize_t sock_read(struct sock *s, void *p, size_t n);

/* Bytes taken, maybe fewer than given, or -errno (-EAGAIN: none). Raises no SIGPIPE. */
ssize_t sock_write(struct sock *s, const void *p, size_t n);
ssize_t sock_writev(struct sock *s, const struct iovec *iov, int count);

/* Several writes, of which `to` is a sock, no two of them the same one: each comes out as by
 * sock_writev. They share system calls if the loop uses io_uring. */
void socks_write(struct loop *loop, struct write *writes, size_t count);

/* Ends our side of the connection: the peer reads the end after all that was written. */
void sock_shut_write(struct sock *s);
#endif
