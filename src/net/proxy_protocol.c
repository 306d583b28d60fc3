/* proxy_protocol.c - a line of text (version 1), or a binary block (version 2). */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum {
    MAX_LINE = 107,    /* of version 1, with its CRLF */
    FIXED = 16,        /* bytes that every block of version 2 begins with */
    TCP4_BYTES = 12,   /* of its addresses and ports */
    TCP6_BYTES = 36,
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
enum { SIGNATURE = sizeof signature - 1 };

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" ---- */

static bool read_port(struct slice text, uint16_t *port)
{
    uint64_t number;

    if (text.n > 5 || slice_to_u64(text, &number) != 0 || number > 65535)
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool read_address(struct slice text, int family, struct peer *out)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (strlen(copy) != text.n)
        return false;
    if (family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET};

        if (inet_pton(AF_INET, copy, &in.sin_addr) != 1)
            return false;
        *out = peer_of((const struct sockaddr *)&in);
        return true;
    }
    return inet_pton(AF_INET6, copy, out->ip) == 1;
}

/* Both ends are read, and the client's is kept. */
static bool read_ends(struct slice rest, int family, struct peer *client)
{
    struct slice from = slice_cut(&rest, ' ');
    struct slice to = slice_cut(&rest, ' ');
    struct slice from_port = slice_cut(&rest, ' ');
    struct peer ends[2];

    if (!read_address(from, family, &ends[0]) || !read_address(to, family, &ends[1]) ||
        !read_port(from_port, &ends[0].port) || !read_port(rest, &ends[1].port))
        return false;
    *client = ends[0];
    return true;
}

static ssize_t read_line(struct slice bytes, struct peer *client)
{
    size_t most = bytes.n < MAX_LINE ? bytes.n : MAX_LINE;
    const char *end = memmem(bytes.p, most, "\r\n", 2);
    struct slice rest;
    struct slice family;

    if (end == NULL)
        return bytes.n < MAX_LINE ? 0 : -EINVAL;
    rest = slice_make(bytes.p, (size_t)(end - bytes.p));
    slice_cut(&rest, ' '); /* PROXY */
    family = slice_cut(&rest, ' ');
    if (slice_is(family, "TCP4") || slice_is(family, "TCP6")) {
        if (!read_ends(rest, family.p[3] == '4' ? AF_INET : AF_INET6, client))
            return -EINVAL;
    } else if (!slice_is(family, "UNKNOWN")) {
        return -EINVAL;
    }
    return end + 2 - bytes.p;
}

/* ---- version 2 ---- */

static unsigned byte_at(struct slice bytes, size_t i)
{
    return (unsigned char)bytes.p[i];
}

static uint16_t port_at(struct slice bytes, size_t i)
{
    return (uint16_t)(byte_at(bytes, i) << 8 | byte_at(bytes, i + 1));
}

/* The addresses of a block; false: it is too short for its family. Datagrams and Unix sockets name
 * no client that is of use here. */
static bool read_block_ends(struct slice bytes, size_t length, struct peer *client)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    switch (byte_at(bytes, 13)) {
    case 0x11: /* TCP over IPv4 */
        if (length < TCP4_BYTES)
            return false;
        memcpy(&in.sin_addr, bytes.p + FIXED, 4);
        memcpy(&in.sin_port, bytes.p + FIXED + 8, 2);
        *client = peer_of((const struct sockaddr *)&in);
        return true;
    case 0x21: /* TCP over IPv6 */
        if (length < TCP6_BYTES)
            return false;
        memcpy(client->ip, bytes.p + FIXED, 16);
        client->port = port_at(bytes, FIXED + 32);
        return true;
    default:
        return true;
    }
}

static ssize_t read_block(struct slice bytes, struct peer *client)
{
    size_t length;

    if (bytes.n < FIXED)
        return 0;
    if (byte_at(bytes, 12) != 0x20 && byte_at(bytes, 12) != 0x21)
        return -EINVAL;
    length = port_at(bytes, 14);
    if (FIXED + length > PROXY_HEADER_MAX)
        return -EINVAL;
    if (bytes.n < FIXED + length)
        return 0;
    if (byte_at(bytes, 12) == 0x21 && !read_block_ends(bytes, length, client))
        return -EINVAL;
    return (ssize_t)(FIXED + length);
}

/* Whether `bytes` begin as `start` does, as far as they go. */
static bool may_begin(struct slice bytes, struct slice start)
{
    return memcmp(bytes.p, start.p, bytes.n < start.n ? bytes.n : start.n) == 0;
}

ssize_t proxy_header_read(struct slice bytes, struct peer *client)
{
    const struct slice word = SLICE_LITERAL("PROXY ");

    if (bytes.n == 0)
        return 0;
    if (may_begin(bytes, word))
        return bytes.n < word.n ? 0 : read_line(bytes, client);
    if (may_begin(bytes, slice_make(signature, SIGNATURE)))
        return read_block(bytes, client);
    return -EINVAL;
}
