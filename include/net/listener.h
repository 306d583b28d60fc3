/* listener.h - a listening socket that hands over accepted, non-blocking connections. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H
#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/slice.h"
#include "base/stats.h"
#include "net/address.h"

struct loop;
struct listener;

struct listener_options {
    struct slice address;       /* address_parse's forms; port 0 lets the system choose */
    mode_t mode;                /* of a Unix socket's file */
    unsigned user_timeout_ms;   /* TCP_USER_TIMEOUT: unacknowledged that long, the peer is dead */
    bool is_inherited;          /* `fd` listens already: it is taken over, whatever the address */
    int fd;
};

/* Takes the descriptor. `ctx` is the listener_open's. */
typedef void accept_fn(void *ctx, int fd, const struct peer *peer);

/* Binds, listens and starts accepting. TCP_NODELAY, SO_KEEPALIVE and TCP_USER_TIMEOUT are set on
 * the listening socket, from which Linux's accepted ones inherit them: no system call a
 * connection. A Unix socket's stale file is replaced, one that is in use is not. Without
 * descriptors or memory accepting pauses for some 100 ms, counted in stats->accept_paused and
 * logged once for pauses that follow one another. At most 64 connections are accepted a turn. An
 * inherited socket's file stays when it is closed. NULL on failure, with `why`; an inherited socket
 * is closed then. */
struct listener *listener_open(const struct listener_options *options, struct loop *loop,
                               struct stats *stats, accept_fn *on_accept, void *ctx,
                               struct error *why);

/* Another user_timeout_ms, for the connections that come. */
void listener_set_user_timeout(struct listener *l, unsigned user_timeout_ms);

/* Makes a Unix socket's file the user's and the group's; does nothing to others. Returns 0; -ESTALE
 * when another file stands in its place, or another -errno. */
int listener_give_to(struct listener *l, uid_t uid, gid_t gid);

/* Stops accepting and closes; removes a Unix socket's file, with a warning where it may not. NULL
 * is allowed. */
void listener_close(struct listener *l);

/* The bound address as address_parse would read it, with the port that the system chose. */
const char *listener_address(const struct listener *l);
#endif
