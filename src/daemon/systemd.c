/* systemd.c - see the header. */
#include "systemd_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "net/address.h"

enum { FIRST_FD = 3, MAX_STATE = 512 };

/* ---- what is told ---- */

void systemd_notify(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path == NULL ? 0 : strlen(path);
    char state[MAX_STATE];
    va_list args;
    int length;
    int fd;

    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    va_start(args, format);
    length = vsnprintf(state, sizeof state, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof state)
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract one: its name is as long as it is, without an end */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    sendto(fd, state, (size_t)length, MSG_NOSIGNAL, (const struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

/* A variable that is a number; 0 where it is not. */
static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    uint64_t number;

    return text != NULL && slice_to_u64(slice_of(text), &number) == 0 ? number : 0;
}

uint64_t systemd_watchdog_ms(void)
{
    uint64_t us = number_of("WATCHDOG_USEC");

    if (getenv("WATCHDOG_PID") != NULL && number_of("WATCHDOG_PID") != (uint64_t)getpid())
        return 0;
    return us / 2000;
}

/* ---- what is given ---- */

int systemd_sockets(struct systemd_socket out[CONFIG_MAX_LISTENERS], struct error *why)
{
    uint64_t count = number_of("LISTEN_FDS");
    struct slice names = slice_of(getenv("LISTEN_FDNAMES"));

    if (count == 0 || number_of("LISTEN_PID") != (uint64_t)getpid())
        return 0;
    if (count > CONFIG_MAX_LISTENERS)
        return error_set(why, "%llu sockets were handed over: there may be at most %d listeners",
                         (unsigned long long)count, CONFIG_MAX_LISTENERS);
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_cut(&names, ':');

        out[i].fd = FIRST_FD + (int)i;
        snprintf(out[i].name, sizeof out[i].name, "%.*s", SLICE_ARG(name));
        fcntl(out[i].fd, F_SETFD, FD_CLOEXEC);
    }
    return (int)count;
}

static bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct peer peer_a = peer_of((const struct sockaddr *)a);
    struct peer peer_b = peer_of((const struct sockaddr *)b);
    const struct sockaddr_un *unix_a = (const struct sockaddr_un *)(const void *)a;
    const struct sockaddr_un *unix_b = (const struct sockaddr_un *)(const void *)b;

    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_UNIX)
        return strncmp(unix_a->sun_path, unix_b->sun_path, sizeof unix_a->sun_path) == 0;
    return memcmp(peer_a.ip, peer_b.ip, sizeof peer_a.ip) == 0 && peer_a.port == peer_b.port;
}

static bool is_bound_to(const struct systemd_socket *s, const char *address)
{
    struct sockaddr_storage wanted;
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t length;
    struct error why;

    if (address_parse(slice_of(address), &wanted, &length, &why) != 0)
        return false;
    length = sizeof bound;
    return getsockname(s->fd, (struct sockaddr *)&bound, &length) == 0 &&
           is_same_address(&wanted, &bound);
}

static int take(struct systemd_socket *s)
{
    int fd = s->fd;

    s->fd = -1;
    return fd;
}

static int take_bound(struct systemd_socket *sockets, size_t count, const char *address)
{
    for (size_t i = 0; i < count; i++)
        if (sockets[i].fd >= 0 && is_bound_to(&sockets[i], address))
            return take(&sockets[i]);
    return -1;
}

static int take_named(struct systemd_socket *sockets, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (sockets[i].fd >= 0 && strcmp(sockets[i].name, name) == 0)
            return take(&sockets[i]);
    return -1;
}

void systemd_take(struct systemd_socket *sockets, size_t count,
                  const struct config_listener *listeners, size_t listener_count, int *fds)
{
    for (size_t i = 0; i < listener_count; i++)
        fds[i] = take_bound(sockets, count, listeners[i].address);
    for (size_t i = 0; i < listener_count; i++)
        if (fds[i] < 0)
            fds[i] = take_named(sockets, count, listeners[i].name);
}
