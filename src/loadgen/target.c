/* target.c - a name is looked up once: all connections go to the first address it has. */
#include "loadgen/target.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include "base/slice.h"
#include "base/uri.h"

/* "name", "name:port", "[v6]", "[v6]:port" into a terminated name and port. */
static int split_authority(struct slice authority, char name[LOAD_HOST_SIZE], char port[8],
                           struct error *why)
{
    struct slice host;
    struct slice behind;

    switch (authority_split(authority, &host, &behind)) {
    case AUTHORITY_UNCLOSED:
        return error_set(why, "the URL's [ has no ]");
    case AUTHORITY_BEHIND_BRACKET:
        return error_set(why, "behind the URL's ] there may be a port only, as in [::1]:8080");
    case AUTHORITY_GOOD:
        break;
    }
    if (host.n == 0 || host.n >= LOAD_HOST_SIZE - 10 || behind.n >= 8)
        return error_set(why, "the URL needs a host, as in http://127.0.0.1:8080");
    *slice_put(name, host) = '\0';
    *slice_put(port, behind.n > 0 ? behind : SLICE_LITERAL("80")) = '\0';
    return 0;
}

static int look_up(struct load_target *target, const char *name, const char *port,
                   struct error *why)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, port, &hints, &found);

    if (rc != 0)
        return error_set(why, "%s port %s: %s", name, port, gai_strerror(rc));
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int load_target_find(struct load_target *target, const char *url, bool *is_unreachable,
                     struct error *why)
{
    struct slice rest = slice_of(url);
    struct slice authority;
    char name[LOAD_HOST_SIZE];
    char port[8];

    *target = (struct load_target){0};
    *is_unreachable = false;
    if (strncmp(url, "https://", 8) == 0)
        return error_set(why, "https is not measured: give the http address of a listener without "
                              "TLS");
    if (strncmp(url, "http://", 7) == 0)
        rest = slice_make(url + 7, rest.n - 7);
    if (slice_has_control(rest) || strpbrk(url, " ?#") != NULL)
        return error_set(why, "the URL takes no query, no fragment and no blanks");
    authority = slice_cut(&rest, '/');
    if (memchr(authority.p, '@', authority.n) != NULL)
        return error_set(why, "the URL takes no user and password");
    if (split_authority(authority, name, port, why) != 0)
        return -1;
    while (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    if (rest.n + 2 > sizeof(target->base))
        return error_set(why, "the URL's path is too long");
    snprintf(target->host, sizeof(target->host), "%.*s", SLICE_ARG(authority));
    if (rest.n > 0)
        snprintf(target->base, sizeof(target->base), "/%.*s", SLICE_ARG(rest));
    *is_unreachable = look_up(target, name, port, why) != 0;
    return *is_unreachable ? -1 : 0;
}
