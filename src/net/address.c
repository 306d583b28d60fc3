/* address.c - no names but "localhost" are looked up: a listener must not wait for a resolver. */
#include "net/address.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include "base/buf.h"

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* The length of a decimal that snprintf wrote. */
static size_t written(int n)
{
    return n < 0 ? 0 : (size_t)n;
}

struct peer peer_of(const struct sockaddr *address)
{
    struct peer peer = {0};

    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        memcpy(peer.ip, v4_mapped, sizeof v4_mapped);
        memcpy(peer.ip + 12, &in.sin_addr, 4);
        peer.port = ntohs(in.sin_port);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        memcpy(peer.ip, &in6.sin6_addr, 16);
        peer.port = ntohs(in6.sin6_port);
    }
    return peer;
}

bool peer_is_unix(const struct peer *peer)
{
    static const struct peer nobody;

    return peer->port == 0 && memcmp(peer->ip, nobody.ip, sizeof peer->ip) == 0;
}

/* Each request that is logged has an address, and inet_ntop prints. */
static char *put_v4(char *p, const uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *p++ = '.';
        p = format_u64(p, ip[i]);
    }
    return p;
}

size_t peer_format(const struct peer *peer, bool with_port, char out[PEER_TEXT_SIZE])
{
    bool is_v4 = memcmp(peer->ip, v4_mapped, sizeof v4_mapped) == 0;
    char ip[INET6_ADDRSTRLEN];

    if (peer_is_unix(peer))
        return written(snprintf(out, PEER_TEXT_SIZE, "unix"));
    if (is_v4) {
        char *end = put_v4(out, peer->ip + 12);

        if (with_port) {
            *end++ = ':';
            end = format_u64(end, peer->port);
        }
        *end = '\0';
        return (size_t)(end - out);
    }
    inet_ntop(AF_INET6, peer->ip, ip, sizeof ip);
    if (!with_port)
        return written(snprintf(out, PEER_TEXT_SIZE, "%s", ip));
    return written(snprintf(out, PEER_TEXT_SIZE, "[%s]:%u", ip, (unsigned)peer->port));
}

static int parse_unix(struct slice text, struct slice path, struct sockaddr_storage *out,
                      socklen_t *length, struct error *why)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (path.n == 0)
        return error_set(why, "address \"%.*s\" names no file: write it as unix:/run/x.sock",
                         SLICE_ARG(text));
    if (path.n >= sizeof un.sun_path)
        return error_set(why, "address \"%.*s\" is too long: a Unix socket's path has at most %zu "
                              "bytes",
                         SLICE_ARG(text), sizeof un.sun_path - 1);
    if (memchr(path.p, '\0', path.n) != NULL)
        return error_set(why, "a Unix socket's path must not hold a zero byte");
    memcpy(un.sun_path, path.p, path.n);
    memcpy(out, &un, sizeof un);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return 0;
}

/* Splits "HOST:PORT" and "[HOST]:PORT" at the last colon. Returns 0 or -1. */
static int split_port(struct slice text, struct slice *host, uint16_t *port)
{
    const char *colon = text.n == 0 ? NULL : memrchr(text.p, ':', text.n);
    uint64_t number;

    if (colon == NULL)
        return -1;
    *host = slice_make(text.p, (size_t)(colon - text.p));
    if (slice_to_u64(slice_make(colon + 1, text.n - host->n - 1), &number) != 0 || number > 65535)
        return -1;
    *port = (uint16_t)number;
    return 0;
}

static int parse_v6(struct slice host, uint16_t port, struct sockaddr_storage *out,
                    socklen_t *length)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char name[INET6_ADDRSTRLEN];

    if (host.n > 0) { /* empty: all addresses */
        if (host.n >= sizeof name)
            return -1;
        memcpy(name, host.p, host.n);
        name[host.n] = '\0';
        if (inet_pton(AF_INET6, name, &in6.sin6_addr) != 1)
            return -1;
    }
    memcpy(out, &in6, sizeof in6);
    *length = sizeof in6;
    return 0;
}

static int parse_v4(struct slice host, uint16_t port, struct sockaddr_storage *out,
                    socklen_t *length)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    char name[INET_ADDRSTRLEN];

    if (slice_is_nocase(host, "localhost")) {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        if (host.n >= sizeof name)
            return -1;
        memcpy(name, host.p, host.n);
        name[host.n] = '\0';
        if (inet_pton(AF_INET, name, &in.sin_addr) != 1)
            return -1;
    }
    memcpy(out, &in, sizeof in);
    *length = sizeof in;
    return 0;
}

int address_parse(struct slice text, struct sockaddr_storage *out, socklen_t *length,
                  struct error *why)
{
    struct slice host;
    uint16_t port;
    int result;

    memset(out, 0, sizeof *out);
    if (text.n >= 5 && memcmp(text.p, "unix:", 5) == 0)
        return parse_unix(text, slice_make(text.p + 5, text.n - 5), out, length, why);
    if (split_port(text, &host, &port) != 0)
        return error_set(why, "address \"%.*s\" has no port from 0 to 65535: write it as "
                              "127.0.0.1:8080, [::1]:8080, *:8080 or unix:/run/x.sock",
                         SLICE_ARG(text));
    if (host.n == 0 || slice_is(host, "*"))
        result = parse_v6(slice_make(NULL, 0), port, out, length);
    else if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        result = parse_v6(slice_make(host.p + 1, host.n - 2), port, out, length);
    else
        result = parse_v4(host, port, out, length);
    if (result != 0)
        return error_set(why, "address \"%.*s\" has no IP address before its port: write it as "
                              "127.0.0.1:8080, [::1]:8080, *:8080 or localhost:8080",
                         SLICE_ARG(text));
    return 0;
}

bool address_is_local(const struct sockaddr *address)
{
    static const uint8_t loopback[16] = {[15] = 1};
    struct peer peer = peer_of(address);

    if (address->sa_family == AF_UNIX)
        return true;
    if (memcmp(peer.ip, v4_mapped, sizeof v4_mapped) == 0)
        return peer.ip[12] == 127;
    return memcmp(peer.ip, loopback, sizeof loopback) == 0;
}

/* An IPv4 or IPv6 address without port; false: it is none. */
static bool read_ip(struct slice text, uint8_t ip[16], bool *is_v4)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *is_v4 = inet_pton(AF_INET, copy, ip + 12) == 1;
    if (*is_v4)
        memcpy(ip, v4_mapped, sizeof v4_mapped);
    return *is_v4 || inet_pton(AF_INET6, copy, ip) == 1;
}

int network_parse(struct slice text, struct network *out)
{
    struct slice rest = text;
    struct slice ip = slice_cut(&rest, '/');
    uint64_t bits;
    bool is_v4;

    if (!read_ip(ip, out->ip, &is_v4))
        return -EINVAL;
    bits = is_v4 ? 32 : 128;
    if (rest.p != NULL && (slice_to_u64(rest, &bits) != 0 || bits > (is_v4 ? 32u : 128u)))
        return -EINVAL;
    out->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return 0;
}

bool network_has(const struct network *network, const struct peer *peer)
{
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;

    if (memcmp(network->ip, peer->ip, whole) != 0)
        return false;
    return rest == 0 || ((network->ip[whole] ^ peer->ip[whole]) >> (8 - rest)) == 0;
}

int peer_parse(struct slice text, struct peer *out)
{
    struct slice ip = text;
    struct slice port = {NULL, 0};
    uint64_t number = 0;
    bool is_v4;

    if (text.n > 0 && text.p[0] == '[') {
        port = slice_make(text.p + 1, text.n - 1);
        ip = slice_cut(&port, ']');
        if (port.n > 0 && *port.p == ':')
            port = slice_make(port.p + 1, port.n - 1);
    } else if (text.n > 0 && memchr(text.p, ':', text.n) == memrchr(text.p, ':', text.n)) {
        port = text;
        ip = slice_cut(&port, ':');
    }
    if (!read_ip(ip, out->ip, &is_v4) ||
        (port.n > 0 && (slice_to_u64(port, &number) != 0 || number > 65535)))
        return -EINVAL;
    out->port = (uint16_t)number;
    return 0;
}
