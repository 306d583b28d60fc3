/* fuzz_forwarded.c - whatever stands in Forwarded: nodes are parts of it, in its order, and what
 * was read is read the same with another element behind it. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "net/address.h"
#include "net/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_nodes(struct slice value, const struct slice *nodes, ssize_t count)
{
    const char *at = value.p;

    for (ssize_t i = 0; i < count; i++) {
        struct peer peer;

        if (nodes[i].p == NULL)
            continue;
        if (nodes[i].p < at || nodes[i].p + nodes[i].n > value.p + value.n)
            abort();
        at = nodes[i].p + nodes[i].n;
        peer_parse(nodes[i], &peer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice nodes[FORWARDED_MAX];
    struct slice more[FORWARDED_MAX];
    struct buf value = {0};
    ssize_t count;
    ssize_t longer;

    buf_add(&value, bytes, n);
    count = forwarded_read(buf_slice(&value), nodes);
    if (count == 0 || count > FORWARDED_MAX || (count < 0 && count != -EINVAL))
        abort();
    check_nodes(buf_slice(&value), nodes, count);
    if (count > 0 && count < FORWARDED_MAX) {
        struct buf extended = {0};

        buf_add_slice(&extended, buf_slice(&value));
        buf_add_text(&extended, ", for=192.0.2.1");
        longer = forwarded_read(buf_slice(&extended), more);
        if (longer != count + 1 || !slice_is(more[count], "192.0.2.1"))
            abort();
        for (ssize_t i = 0; i < count; i++)
            if (!slice_equal(nodes[i], more[i]))
                abort();
        buf_fini(&extended);
    }
    buf_fini(&value);
    return 0;
}
