/* slurp.c - in pieces of 16 KiB. */
#include "base/slurp.h"

#include <errno.h>
#include <unistd.h>

int slurp(int fd, size_t most, struct buf *out)
{
    size_t end = out->len + most;

    for (;;) {
        size_t room = end + 1 - out->len;
        ssize_t n;

        if (room > 16 * 1024)
            room = 16 * 1024;
        if (buf_reserve(out, room) != 0)
            return -ENOMEM;
        n = read(fd, out->p + out->len, room);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            out->len += (size_t)n;
        if (out->len > end)
            return -EFBIG;
    }
}
