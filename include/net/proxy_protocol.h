/* proxy_protocol.h - the header that a TCP proxy writes before a client's bytes.
 *
 * Source: haproxy.org/download/2.9/doc/proxy-protocol.txt, versions 1 and 2. */
#ifndef NET_PROXY_PROTOCOL_H
#define NET_PROXY_PROTOCOL_H
#include <sys/types.h>
#include "base/slice.h"
#include "net/address.h"

/* A longer one is malformed: no proxy has that much to say. */
enum { PROXY_HEADER_MAX = 16 + 4096 };

/* Reads the header at the beginning of `bytes`. Returns its length, and the client it names is in
 * `*client`, which stays as it is where it names none (LOCAL, UNKNOWN, other families); 0: more
 * bytes are needed; -EINVAL: it is none. */
ssize_t proxy_header_read(struct slice bytes, struct peer *client);
#endif
