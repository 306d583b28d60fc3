/* systemd_priv.h - the little that a service has to say to systemd, and what it is given.
 *
 * Source: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). Anything else that speaks these
 * protocols will do; without their environment variables nothing happens. */
#ifndef DAEMON_SYSTEMD_PRIV_H
#define DAEMON_SYSTEMD_PRIV_H
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"

/* Sends lines such as "READY=1" to NOTIFY_SOCKET; what cannot be sent at once is left out. */
void systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often "WATCHDOG=1" is to be sent: twice as often as it is waited for; 0: not at all. */
uint64_t systemd_watchdog_ms(void);

/* A listening socket that was there before us. */
struct systemd_socket {
    int fd; /* -1: it was taken */
    char name[64]; /* FileDescriptorName of its unit, cut where it is longer; "" for none */
};

/* Reads which sockets were handed over (LISTEN_FDS); they are not inherited any further. Returns
 * how many, or -1 with `why` where there are more than there can be listeners. */
int systemd_sockets(struct systemd_socket out[CONFIG_MAX_LISTENERS], struct error *why);

/* Takes the sockets that are for the listeners: what is bound to the address of one is its, and of
 * what is left then what has its name. fds[i] is the descriptor for listeners[i], the caller's from
 * then on, or -1. */
void systemd_take(struct systemd_socket *sockets, size_t count,
                  const struct config_listener *listeners, size_t listener_count, int *fds);
#endif
