/* address.h - socket addresses as people write them, and a peer's address in few bytes. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/error.h"
#include "base/slice.h"

/* IPv4 as ::ffff:a.b.c.d; all zero with port 0 is a Unix socket's peer. */
struct peer {
    uint8_t ip[16];
    uint16_t port;
};

enum { PEER_TEXT_SIZE = 64, ADDRESS_TEXT_SIZE = 128 };

struct peer peer_of(const struct sockaddr *address);

bool peer_is_unix(const struct peer *peer);

/* "192.0.2.1:4711", "[2001:db8::1]:4711" or "unix"; terminated. Returns the length. */
size_t peer_format(const struct peer *peer, bool with_port, char out[PEER_TEXT_SIZE]);

/* Reads "192.0.2.1:8080", "[::1]:8080", "localhost:8080" (127.0.0.1), "*:8080" and ":8080" (all
 * addresses, IPv6 with IPv4), or "unix:/run/x.sock". Returns 0, or -1 with a sentence in `why`
 * that names what is wrong and shows a right one. */
int address_parse(struct slice text, struct sockaddr_storage *out, socklen_t *length,
                  struct error *why);

/* Addresses whose first `bits` bits are those of `ip`; IPv4 as in struct peer. */
struct network {
    uint8_t ip[16];
    unsigned bits;
};

/* Reads "10.0.0.0/8", "fd00::/8", or one address. Returns 0 or -EINVAL. */
int network_parse(struct slice text, struct network *out);
bool network_has(const struct network *network, const struct peer *peer);

/* Reads an address as proxies write it: "192.0.2.1", "192.0.2.1:4711", "2001:db8::1",
 * "[2001:db8::1]:4711"; the port is 0 without one. Returns 0 or -EINVAL. */
int peer_parse(struct slice text, struct peer *out);

/* Whether only this machine can connect to it: 127.0.0.0/8, ::1, or a Unix socket. */
bool address_is_local(const struct sockaddr *address);
#endif
