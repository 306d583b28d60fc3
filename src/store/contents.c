/* contents.c - the bytes of a store's file, for who looks at them without LMDB.
 *
 * They are mapped. Where the disk cannot give a page, or it is no longer there, zeros take its
 * place: damage like any other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check_priv.h"

enum { PART = 64 << 20 };

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* of Linux 5.14 */
#endif

/* All at once: from a disk in its order, and out of the cache without a fault a page. */
static int populate(const struct contents *c, const struct pass *pass)
{
    char *p = c->p;

    for (size_t at = 0; at < c->n; at += PART) {
        size_t n = c->n - at < PART ? c->n - at : PART;

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
    return populate(c, pass) == 0 ? 0 : contents_patch(c);
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

static int put_zeros(struct contents *c, size_t at, size_t n)
{
    void *p = mmap((char *)c->p + at, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    return p == MAP_FAILED ? -errno : 0;
}

int contents_patch(struct contents *c)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char bytes[MAX_PAGE_SIZE];
    int status = 0;

    for (size_t at = 0; at < c->n && status == 0; at += page) {
        size_t want = c->n - at < page ? c->n - at : page;
        ssize_t got = pread(c->fd, bytes, want < sizeof bytes ? want : sizeof bytes, (off_t)at);

        if (got == 0)
            return put_zeros(c, at, c->n - at); /* it ends before */
        if (got < 0)
            status = put_zeros(c, at, want);
    }
    return status;
}

void contents_close(struct contents *c)
{
    if (c->p != NULL)
        munmap(c->p, c->n);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct contents){.fd = -1};
}
