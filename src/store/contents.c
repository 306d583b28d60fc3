/* contents.c - the bytes of a store's file, for who looks at them without LMDB.
 *
 * They are mapped. What the disk cannot give, or is no longer there, ends in a signal or not: then
 * the file is read in parts instead, and what is missing is zeros, damage like any other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check_priv.h"

enum { SMALL_PART = 4096, LARGE_PART = 64 << 20 };

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* of Linux 5.14 */
#endif

/* All at once: from a disk in its order, and out of the cache without a fault a page. */
static int populate(const struct contents *c, const struct pass *pass)
{
    char *p = c->p;

    for (size_t at = 0; at < c->n; at += LARGE_PART) {
        size_t n = c->n - at < LARGE_PART ? c->n - at : LARGE_PART;

        if (madvise(p + at, n, MADV_POPULATE_READ) != 0)
            return errno == EINVAL ? 0 : -errno; /* an older kernel gives them one by one */
        pass_tell(pass, at + n, c->n);
    }
    return 0;
}

static int map(struct contents *c, const struct pass *pass)
{
    void *p = mmap(NULL, c->n, PROT_READ, MAP_SHARED, c->fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    c->p = p;
    return populate(c, pass) == 0 ? 0 : contents_copy(c);
}

int contents_open(struct contents *c, const char *file, const struct pass *pass, struct error *why)
{
    struct stat info;
    int status = 0;

    *c = (struct contents){.fd = open(file, O_RDONLY | O_CLOEXEC)};
    if (c->fd < 0 || fstat(c->fd, &info) != 0)
        return error_set(why, "cannot read %s: %s", file, strerror(errno));
    c->n = (size_t)info.st_size;
    if (c->n > 0)
        status = map(c, pass);
    return status == 0 ? 0 : error_set(why, "cannot read %s: %s", file, strerror(-status));
}

static void forget(struct contents *c)
{
    if (c->p != NULL)
        munmap(c->p, c->n);
    c->p = NULL;
}

int contents_copy(struct contents *c)
{
    char *p = mmap(NULL, c->n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    for (size_t at = 0; at < c->n; at += SMALL_PART)
        (void)!pread(c->fd, p + at, c->n - at < SMALL_PART ? c->n - at : SMALL_PART, (off_t)at);
    forget(c);
    c->p = p;
    return 0;
}

void contents_close(struct contents *c)
{
    forget(c);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}
