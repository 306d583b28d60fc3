/* sock.c - a sock is in the loop's epoll exactly while something is wanted: what nobody wants is
 * not even told as a hang-up. */
#include "net/sock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/loop.h"
#include "sock_priv.h"
#include "uring_priv.h"

static struct loop *loop_of(const struct sock *s)
{
    return sock_owner(s)->loop;
}

void sock_on_told(struct sock *s, uint32_t told)
{
    unsigned events = (told & EPOLLIN ? NET_READ : 0) | (told & EPOLLOUT ? NET_WRITE : 0);

    if ((told & (EPOLLERR | EPOLLHUP)) != 0)
        events = NET_READ | NET_WRITE;
    events &= sock_wants(s);
    if (events != 0)
        sock_owner(s)->on_event(s, events);
}

void sock_on_due(struct wheel_node *node, uint64_t now_ms)
{
    struct sock *s = (struct sock *)(void *)((char *)node - offsetof(struct sock, timer));

    sock_owner(s)->on_deadline(s, now_ms);
}

void sock_open(struct sock *s, struct sock_owner *owner, int fd)
{
    *s = (struct sock){.owner = owner, .fd = fd};
}

void sock_close(struct sock *s)
{
    wheel_clear(loop_wheel(loop_of(s)), &s->timer);
    loop_forget(loop_of(s), s);
    close(s->fd); /* which takes it out of epoll: nobody has it twice */
    s->fd = -1;
    s->timer.tag = 0;
}

unsigned sock_wants(const struct sock *s)
{
    return s->timer.tag;
}

void sock_want(struct sock *s, unsigned events)
{
    int what = sock_wants(s) == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    struct epoll_event wanted = {.data.ptr = s};

    if (events == sock_wants(s))
        return;
    if ((events & NET_READ) != 0)
        wanted.events |= EPOLLIN;
    if ((events & NET_WRITE) != 0)
        wanted.events |= EPOLLOUT;
    s->timer.tag = events;
    if (epoll_ctl(loop_epoll(loop_of(s)), what, s->fd, &wanted) == 0)
        return;
    /* For want of memory, or fs.epoll.max_user_watches. Its deadline is what is left to it. */
    loop_tell_unwatched(loop_of(s), errno);
    shutdown(s->fd, SHUT_RDWR);
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
        r = recv(s->fd, p, n, 0);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

ssize_t sock_write(struct sock *s, const void *p, size_t n)
{
    ssize_t r;

    do
        r = send(s->fd, p, n, MSG_NOSIGNAL);
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
        r = sendmsg(s->fd, &message, MSG_NOSIGNAL);
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
    shutdown(s->fd, SHUT_WR); /* fails only where the peer is gone, which reading tells */
}
