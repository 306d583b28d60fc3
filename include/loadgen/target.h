/* target.h - where a server is: an http URL and the socket address behind it. */
#ifndef LOADGEN_TARGET_H
#define LOADGEN_TARGET_H
#include <stdbool.h>
#include <sys/socket.h>
#include "base/error.h"

enum { LOAD_HOST_SIZE = 256, LOAD_BASE_SIZE = 256 };

struct load_target {
    char host[LOAD_HOST_SIZE]; /* of the Host header: with the port, unless it is 80 */
    char base[LOAD_BASE_SIZE]; /* the URL's path without a slash at its end: goes before others */
    struct sockaddr_storage address;
    socklen_t address_length;
};

/* Reads "http://127.0.0.1:8080", "host:8080/prefix", "http://[::1]:8080" and looks the name up,
 * which may take as long as the system's resolver does. Returns 0, or -1 with a sentence in `why`;
 * `*is_unreachable` tells whether that is because the name has no address. */
int load_target_find(struct load_target *target, const char *url, bool *is_unreachable,
                     struct error *why);
#endif
