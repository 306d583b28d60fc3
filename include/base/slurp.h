/* slurp.h - all of a file at once. */
#ifndef BASE_SLURP_H
#define BASE_SLURP_H
#include "base/buf.h"

/* Appends what can be read from `fd` up to its end, at most `most` bytes. A buffer that has room
 * for one byte more than that is not made larger. Returns 0, -EFBIG where there is more, -ENOMEM,
 * or the -errno of read; what came before is in the buffer. */
int slurp(int fd, size_t most, struct buf *out);
#endif
