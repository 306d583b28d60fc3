/* write.h - one of several writes that are made together. */
#ifndef BASE_WRITE_H
#define BASE_WRITE_H
#include <sys/types.h>
#include <sys/uio.h>

struct write {
    void *to;                /* what is written to, of the kind that the function called says */
    const struct iovec *iov;
    int count;               /* of iov */
    ssize_t taken;           /* is set: bytes taken, maybe fewer than given, or -errno; -EAGAIN:
                                none now */
};

#endif
