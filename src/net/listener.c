/* listener.c - the watcher is active unless a pause's timer is. */
#include "net/listener.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/log.h"
#include "net/loop.h"
#include "sock_priv.h"

enum {
    BACKLOG = 4096,       /* the kernel cuts it to net.core.somaxconn */
    ACCEPTS_A_TURN = 64,
    EPISODE_MS = 10000,   /* pauses that follow within it are of the same shortage */
};

static const double pause_s = 0.1;

struct listener {
    int fd;
    ev_io io;
    ev_timer pause;
    bool has_paused;
    uint64_t paused_ms;   /* when it did so last */
    struct loop *loop;
    struct stats *stats;
    accept_fn *on_accept;
    void *ctx;
    char address[ADDRESS_TEXT_SIZE];
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* of a Unix socket we bound, or "" */
    dev_t device;                                            /* of that file, so that only our */
    ino_t inode;                                             /* own one is removed */
};

static void pause_accepting(struct listener *l, int cause)
{
    uint64_t now_ms = loop_now_ms(l->loop);

    l->stats->accept_paused++;
    if (!l->has_paused || now_ms - l->paused_ms >= EPISODE_MS)
        log_warning("accepting on %s pauses: %s; it is tried again ten times a second", l->address,
                    strerror(cause));
    l->has_paused = true;
    l->paused_ms = now_ms;
    ev_io_stop(loop_ev(l->loop), &l->io);
    ev_timer_set(&l->pause, pause_s, 0);
    ev_timer_start(loop_ev(l->loop), &l->pause);
}

static void on_pause_end(struct ev_loop *ev, ev_timer *watcher, int events)
{
    struct listener *l = watcher->data;

    (void)events;
    ev_io_start(ev, &l->io);
}

/* Whether accept failed for that one connection, or for a signal, and the next may do. */
static bool is_passing(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM:
        return true;
    default:
        return false;
    }
}

static void on_connection(struct ev_loop *ev, ev_io *watcher, int events)
{
    struct listener *l = watcher->data;

    (void)ev;
    (void)events;
    /* A new connection's first request is read and handled at once: it counts as an event does. */
    for (int i = 0; i < ACCEPTS_A_TURN && (i == 0 || !loop_is_late(l->loop)); i++) {
        struct sockaddr_storage from = {0};
        socklen_t length = sizeof from;
        int fd = accept4(l->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct peer peer;

        if (fd < 0) {
            if (is_passing(errno))
                continue;
            if (errno != EAGAIN)
                pause_accepting(l, errno);
            return;
        }
        peer = peer_of((const struct sockaddr *)&from);
        l->on_accept(l->ctx, fd, &peer);
    }
}

/* Removes the file of a Unix socket that nobody listens on any more. Returns 0, or -1 and why. */
static int clear_stale(const struct sockaddr *address, socklen_t length, const char *path,
                       struct error *why)
{
    struct stat st;
    int fd;
    int result;
    int cause;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : error_set(why, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return error_set(why, "%s exists and is not a socket: name another path", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(why, "cannot make a socket: %s", strerror(errno));
    result = connect(fd, address, length);
    cause = errno;
    close(fd);
    if (result == 0 || cause == EAGAIN)
        return error_set(why, "%s is in use by another process", path);
    if (cause != ECONNREFUSED)
        return error_set(why, "cannot tell whether %s is in use: %s", path, strerror(cause));
    if (unlink(path) != 0)
        return error_set(why, "cannot remove the stale socket %s: %s", path, strerror(errno));
    return 0;
}

static int bind_unix(struct listener *l, const struct sockaddr *address, socklen_t length,
                     mode_t mode, struct error *why)
{
    struct sockaddr_un un = {0};
    struct stat st;
    mode_t old_mask;
    int result;

    memcpy(&un, address, length);
    if (clear_stale(address, length, un.sun_path, why) != 0)
        return -1;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return error_set(why, "cannot make a socket: %s", strerror(errno));
    old_mask = umask(~mode & 0777); /* not chmod afterwards: it is never open to more than `mode` */
    result = bind(l->fd, address, length);
    umask(old_mask);
    if (result != 0)
        return error_set(why, "cannot bind unix:%s: %s", un.sun_path, strerror(errno));
    memcpy(l->path, un.sun_path, sizeof l->path);
    if (stat(l->path, &st) == 0) {
        l->device = st.st_dev;
        l->inode = st.st_ino;
    }
    snprintf(l->address, sizeof l->address, "unix:%s", l->path);
    return 0;
}

/* What the accepted sockets inherit; a kernel that knows one of them not does without. */
static void set_tcp_options(int fd, unsigned user_timeout_ms)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

void listener_set_user_timeout(struct listener *l, unsigned user_timeout_ms)
{
    if (l->path[0] == '\0')
        setsockopt(l->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

/* A socket of the address's family; where "all addresses" finds no IPv6, the address becomes
 * IPv4's. */
static int make_tcp(struct sockaddr_storage *address, socklen_t *length)
{
    int off = 0;
    int on = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 && errno == EAFNOSUPPORT && address->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        struct sockaddr_in in = {.sin_family = AF_INET};

        memcpy(&in6, address, sizeof in6);
        in.sin_port = in6.sin6_port;
        if (!IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr)) {
            errno = EAFNOSUPPORT;
            return -1;
        }
        memcpy(address, &in, sizeof in);
        *length = sizeof in;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    return fd;
}

/* The address of a socket as address_parse would read it. */
static int name_socket(struct listener *l, struct error *why)
{
    struct sockaddr_storage bound;
    struct sockaddr_un un = {.sun_path = ""};
    socklen_t length = sizeof bound;
    struct peer peer;

    if (getsockname(l->fd, (struct sockaddr *)&bound, &length) != 0)
        return error_set(why, "cannot read a socket's address: %s", strerror(errno));
    if (bound.ss_family == AF_UNIX) {
        memcpy(&un, &bound, length < sizeof un ? length : sizeof un);
        snprintf(l->address, sizeof l->address, "unix:%.*s", (int)sizeof un.sun_path, un.sun_path);
        return 0;
    }
    peer = peer_of((const struct sockaddr *)&bound);
    peer_format(&peer, true, l->address);
    return 0;
}

static int bind_tcp(struct listener *l, struct sockaddr_storage *address, socklen_t length,
                    const struct listener_options *options, struct error *why)
{
    l->fd = make_tcp(address, &length);
    if (l->fd < 0)
        return error_set(why, "cannot make a socket for %.*s: %s", SLICE_ARG(options->address),
                         strerror(errno));
    set_tcp_options(l->fd, options->user_timeout_ms);
    if (bind(l->fd, (const struct sockaddr *)address, length) != 0)
        return error_set(why, "cannot bind %.*s: %s", SLICE_ARG(options->address),
                         strerror(errno));
    return name_socket(l, why);
}

static int take_over(struct listener *l, const struct listener_options *options, struct error *why)
{
    int is_listening = 0;
    socklen_t length = sizeof is_listening;

    l->fd = options->fd;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) != 0 || !is_listening)
        return error_set(why, "descriptor %d, which was handed over, is no listening socket",
                         l->fd);
    if (name_socket(l, why) != 0)
        return -1;
    fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) | O_NONBLOCK);
    if (strncmp(l->address, "unix:", 5) != 0)
        set_tcp_options(l->fd, options->user_timeout_ms);
    return 0;
}

static int bind_and_listen(struct listener *l, const struct listener_options *options,
                           struct error *why)
{
    struct sockaddr_storage address;
    socklen_t length;
    int result;

    if (address_parse(options->address, &address, &length, why) != 0)
        return -1;
    if (address.ss_family == AF_UNIX)
        result = bind_unix(l, (const struct sockaddr *)&address, length, options->mode, why);
    else
        result = bind_tcp(l, &address, length, options, why);
    if (result == 0 && listen(l->fd, BACKLOG) != 0)
        result = error_set(why, "cannot listen on %s: %s", l->address, strerror(errno));
    return result;
}

struct listener *listener_open(const struct listener_options *options, struct loop *loop,
                               struct stats *stats, accept_fn *on_accept, void *ctx,
                               struct error *why)
{
    struct listener *l = calloc(1, sizeof *l);
    int result;

    if (l == NULL) {
        error_set(why, "out of memory");
        return NULL;
    }
    l->fd = -1;
    l->loop = loop;
    l->stats = stats;
    l->on_accept = on_accept;
    l->ctx = ctx;
    result = options->is_inherited ? take_over(l, options, why) : bind_and_listen(l, options, why);
    ev_timer_init(&l->pause, on_pause_end, pause_s, 0);
    ev_io_init(&l->io, on_connection, l->fd, EV_READ);
    l->pause.data = l;
    l->io.data = l;
    if (result != 0) {
        listener_close(l);
        return NULL;
    }
    ev_io_start(loop_ev(loop), &l->io);
    return l;
}

static bool is_own_file(const struct listener *l, const struct stat *st)
{
    return st->st_dev == l->device && st->st_ino == l->inode;
}

int listener_give_to(struct listener *l, uid_t uid, gid_t gid)
{
    struct stat st;
    int result = 0;
    int fd;

    if (l->path[0] == '\0')
        return 0;
    /* By a descriptor, so that it is this file and no other that is there by then. */
    fd = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0)
        result = -errno;
    else if (!is_own_file(l, &st))
        result = -ESTALE;
    else if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0)
        result = -errno;
    close(fd);
    return result;
}

static void remove_file(const struct listener *l)
{
    struct stat st;

    if (l->path[0] == '\0' || lstat(l->path, &st) != 0 || !is_own_file(l, &st))
        return;
    if (unlink(l->path) != 0)
        log_warning("the file of %s stays until the next start: %s", l->address, strerror(errno));
}

void listener_close(struct listener *l)
{
    if (l == NULL)
        return;
    ev_io_stop(loop_ev(l->loop), &l->io);
    ev_timer_stop(loop_ev(l->loop), &l->pause);
    remove_file(l);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}
