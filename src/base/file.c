/* file.c - see the header. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int file_write_all(int fd, struct slice bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            bytes = slice_make(bytes.p + n, bytes.n - (size_t)n);
    }
    return 0;
}

int file_sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd < 0 || (fsync(fd) != 0 && errno != EINVAL) ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return status;
}
