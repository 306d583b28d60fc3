/* sock.c - the watcher is active exactly while something is wanted; but that of a socket that has
 * been put off for more than a turn is stopped until then, and only its `events` tell. */
#include "net/sock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/loop.h"
#include "sock_priv.h"
#include "uring_priv.h"

_Static_assert((int)NET_READ == (int)EV_READ && (int)NET_WRITE == (int)EV_WRITE,
               "our events are libev's");

static struct loop *loop_of(const struct sock *s)
{
    return sock_owner(s)->loop;
}

static bool is_postponed(const struct sock *s)
{
    return s->timer.tag != 0;
}

static void on_io(struct ev_loop *ev, ev_io *watcher, int events)
{
    struct sock *s = (struct sock *)(void *)((char *)watcher - offsetof(struct sock, io));
    struct sock_owner *owner = sock_owner(s);

    if (is_postponed(s)) {
        /* Or epoll tells of it in each turn until then; and at each hang-up libev asks it not to,
         * which does not help: as many system calls a turn as streams have broken at once. */
        ev_io_stop(ev, watcher);
        return;
    }
    if (loop_is_late(owner->loop) && loop_postpone(owner->loop, s))
        return;
    owner->on_event(s, (unsigned)events & (NET_READ | NET_WRITE));
}

/* What is wanted, as if all of it had come: to try is cheaper than to remember what was told, which
 * may have changed. */
void sock_on_postponed(struct sock *s)
{
    unsigned events = sock_wants(s);

    s->timer.tag = 0;
    ev_clear_pending(loop_ev(loop_of(s)), &s->io); /* the same event, told once more */
    if (events == 0)
        return;
    ev_io_start(loop_ev(loop_of(s)), &s->io); /* where it was stopped */
    sock_owner(s)->on_event(s, events);
}

void sock_on_due(struct wheel_node *node, uint64_t now_ms)
{
    struct sock *s = (struct sock *)(void *)((char *)node - offsetof(struct sock, timer));

    sock_owner(s)->on_deadline(s, now_ms);
}

void sock_open(struct sock *s, struct sock_owner *owner, int fd)
{
    *s = (struct sock){.timer = {0}};
    ev_init(&s->io, on_io);
    ev_io_set(&s->io, fd, 0);
    s->io.data = owner;
}

void sock_close(struct sock *s)
{
    ev_io_stop(loop_ev(loop_of(s)), &s->io); /* first: libev asserts on a closed descriptor */
    wheel_clear(loop_wheel(loop_of(s)), &s->timer);
    loop_forget(loop_of(s), s);
    close(s->io.fd);
    s->io.fd = -1;
}

unsigned sock_wants(const struct sock *s)
{
    /* ev_is_active, which would cast the const away */
    bool is_wanted = s->io.active != 0 || is_postponed(s);

    return is_wanted ? (unsigned)s->io.events & (NET_READ | NET_WRITE) : 0;
}

void sock_want(struct sock *s, unsigned events)
{
    if (events == sock_wants(s))
        return;
    ev_io_stop(loop_ev(loop_of(s)), &s->io);
    ev_io_set(&s->io, s->io.fd, (int)events);
    if (events != 0 && !is_postponed(s))
        ev_io_start(loop_ev(loop_of(s)), &s->io);
}

void sock_deadline(struct sock *s, uint64_t due_ms)
{
    if (due_ms == 0)
        wheel_clear(loop_wheel(loop_of(s)), &s->timer);
    else
        wheel_set(loop_wheel(loop_of(s)), &s->timer, due_ms);
}

ssize_t sock_read(struct sock *s, void *p, size_t n)
{
    ssize_t r;

    do
        r = recv(s->io.fd, p, n, 0);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

ssize_t sock_write(struct sock *s, const void *p, size_t n)
{
    ssize_t r;

    do
        r = send(s->io.fd, p, n, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

ssize_t sock_writev(struct sock *s, const struct iovec *iov, int count)
{
    /* sendmsg does not write to the vector, though its type cannot say so. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                             .msg_iovlen = (size_t)count};
    ssize_t r;

    if (count == 1) /* most writes: sending one piece is cheaper than gathering it */
        return sock_write(s, iov->iov_base, iov->iov_len);
    do
        r = sendmsg(s->io.fd, &message, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

void socks_write_each(struct write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        writes[i].taken = sock_writev(writes[i].to, writes[i].iov, writes[i].count);
}

void socks_write(struct loop *loop, struct write *writes, size_t count)
{
    struct uring *uring = loop_uring(loop);

    if (uring == NULL)
        socks_write_each(writes, count);
    else if (uring_send(uring, writes, count))
        loop_count_uring(loop, count);
    else
        loop_lose_uring(loop);
}

void sock_shut_write(struct sock *s)
{
    shutdown(s->io.fd, SHUT_WR); /* fails only where the peer is gone, which reading tells */
}
