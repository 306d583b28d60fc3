/* uring.c - see the header. */
#include "uring_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "net/sock.h"
#include "sock_priv.h"

#ifdef HAVE_LIBURING
#include <liburing.h>

enum {
    ENTRIES = 256,
    PENDING = INT_MIN, /* of a write without a result: no errno is as low */
    FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT,
};

struct uring {
    struct io_uring ring;
    struct msghdr messages[ENTRIES];
};

struct uring *uring_create(struct error *why)
{
    /* One thread submits, and waits for what it has submitted: the kernel need not look out for
     * others, nor interrupt. Linux 6.1 has all of these. */
    struct io_uring_params params = {.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN};
    struct uring *u = calloc(1, sizeof *u);
    int status;

    if (u == NULL) {
        error_set(why, "out of memory");
        return NULL;
    }
    status = io_uring_queue_init_params(ENTRIES, &u->ring, &params);
    if (status == 0)
        return u;
    free(u);
    error_set(why, status == -EINVAL ? "it needs Linux 6.1 or later" : "%s", strerror(-status));
    return NULL;
}

void uring_destroy(struct uring *u)
{
    if (u == NULL)
        return;
    io_uring_queue_exit(&u->ring);
    free(u);
}

static void prepare(struct uring *u, struct write *w, unsigned i)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring); /* there is one: the last are all done */
    const struct sock *s = w->to;

    w->taken = PENDING;
    if (w->count == 1) {
        io_uring_prep_send(sqe, s->fd, w->iov->iov_base, w->iov->iov_len, FLAGS);
    } else {
        /* sendmsg does not write to the vector, though its type cannot say so. */
        u->messages[i] = (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)w->iov,
                                         .msg_iovlen = (size_t)w->count};
        io_uring_prep_sendmsg(sqe, s->fd, &u->messages[i], FLAGS);
    }
    io_uring_sqe_set_data64(sqe, i);
}

/* Takes over the results that are there; returns how many. */
static unsigned collect(struct uring *u, struct write *writes)
{
    struct io_uring_cqe *cqe;
    unsigned count = 0;
    unsigned head;

    io_uring_for_each_cqe(&u->ring, head, cqe) {
        writes[cqe->user_data].taken = cqe->res;
        count++;
    }
    io_uring_cq_advance(&u->ring, count);
    return count;
}

/* Submits what is prepared and waits until all has ended. Returns how many the kernel has taken
 * before it refused, `count` if it did not. */
static unsigned run(struct uring *u, struct write *writes, unsigned count)
{
    unsigned submitted = 0;
    unsigned ended = 0;

    while (ended < count) {
        int status = io_uring_submit_and_wait(&u->ring, count - ended);

        if (status == -EINTR)
            continue;
        if (status < 0 || (status == 0 && submitted < count))
            return submitted;
        submitted += (unsigned)status;
        ended += collect(u, writes);
    }
    return count;
}

static bool send_some(struct uring *u, struct write *writes, unsigned count)
{
    unsigned submitted;

    for (unsigned i = 0; i < count; i++)
        prepare(u, &writes[i], i);
    submitted = run(u, writes, count);
    if (submitted < count)
        collect(u, writes);
    for (unsigned i = 0; i < count; i++) {
        struct write *w = &writes[i];

        if (w->taken == PENDING && i < submitted)
            w->taken = -EIO; /* nobody knows what became of it: no more may be sent behind it */
        else if (w->taken == PENDING || w->taken == -EINTR)
            w->taken = sock_writev(w->to, w->iov, w->count);
    }
    return submitted == count;
}

bool uring_send(struct uring *u, struct write *writes, size_t count)
{
    while (count > 0) {
        size_t n = count < ENTRIES ? count : ENTRIES;

        if (!send_some(u, writes, (unsigned)n)) {
            socks_write_each(writes + n, count - n);
            return false;
        }
        writes += n;
        count -= n;
    }
    return true;
}

#else

struct uring *uring_create(struct error *why)
{
    error_set(why, "the program was built without it");
    return NULL;
}

void uring_destroy(struct uring *u)
{
    (void)u;
}

bool uring_send(struct uring *u, struct write *writes, size_t count)
{
    (void)u;
    (void)writes;
    (void)count;
    return false;
}

#endif
