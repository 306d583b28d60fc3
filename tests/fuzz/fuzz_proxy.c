/* fuzz_proxy.c - a PROXY header is heard alike whole and byte by byte, and is never longer than it
 * may be. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* In memory of its own, so that a look behind the bytes is seen. */
static ssize_t read_copy(const uint8_t *bytes, size_t n, struct peer *peer)
{
    char *copy = malloc(n + (n == 0));
    ssize_t used;

    if (copy == NULL)
        abort();
    if (n > 0)
        memcpy(copy, bytes, n);
    *peer = (struct peer){.port = 7};
    used = proxy_header_read(slice_make(copy, n), peer);
    free(copy);
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char text[PEER_TEXT_SIZE];
    struct peer whole;
    struct peer part;
    ssize_t used = read_copy(bytes, n, &whole);
    size_t last = used > 0 ? (size_t)used : n;

    if (used > (ssize_t)n || used > PROXY_HEADER_MAX || (used < 0 && used != -EINVAL) ||
        (used == 0 && n >= PROXY_HEADER_MAX))
        abort();
    peer_format(&whole, true, text);
    for (size_t i = 0; i < last; i++) { /* a beginning is not taken for the whole */
        ssize_t sooner = read_copy(bytes, i, &part);

        if (sooner > 0 || (sooner < 0 && used >= 0))
            abort();
    }
    if (used > 0 && (read_copy(bytes, last, &part) != used || part.port != whole.port ||
                     memcmp(part.ip, whole.ip, sizeof part.ip) != 0))
        abort();
    return 0;
}
