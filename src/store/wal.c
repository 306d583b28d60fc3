/* wal.c - frames into the files of the log. */
#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "store_priv.h"
#include "wal_priv.h"

enum {
    MIN_SIZE = 64 << 10,        /* of a file */
    MAX_SIZE = 4 << 20,
    SHARE = 32,                 /* of keep_bytes, which each file has between these */
    ZEROS = 1 << 20,
};

const char *const wal_file_names[WAL_FILES] = {"wal-0", "wal-1"};

struct wal_file {
    int fd;                     /* O_DSYNC: what is written is safe */
    uint64_t size;              /* all of it written, so that a frame changes nothing but itself */
    uint64_t last;              /* the highest number of a frame in it; 0: none of this process */
};

struct wal {
    struct store *store;
    struct wal_file files[WAL_FILES];
    size_t current;             /* the file that is being written ... */
    uint64_t at;                /* ... and how far */
    uint64_t id;
    uint64_t number;
    uint64_t size;              /* of a file, but for one with a frame that is larger */
    uint64_t in_doubt;          /* bytes from `at` on that may be there or not */
    struct buf entries;         /* of the frame, ... */
    struct buf sectors;         /* ... and as it is written */
};

uint32_t wal_sector_sum(const struct wal_sector *sector)
{
    return crc32c(0, (const char *)sector + sizeof sector->sum,
                  sizeof *sector - sizeof sector->sum);
}

static int write_at(int fd, const char *p, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t)at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? store_error(errno) : -EIO;
        p += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return 0;
}

static int write_zeros(int fd, uint64_t at, uint64_t end)
{
    static const char zeros[ZEROS];
    int status = 0;

    while (at < end && status == 0) {
        uint64_t n = end - at < sizeof zeros ? end - at : sizeof zeros;

        status = write_at(fd, zeros, n, at);
        at += n;
    }
    return status;
}

/* ---- room ---- */

/* A file grows by what is written, so that a frame in it later need not wait for its length. */
static int grow(struct wal_file *f, uint64_t size)
{
    int status = f->size < size ? write_zeros(f->fd, f->size, size) : 0;

    if (status == 0 && f->size < size)
        f->size = size;
    return status;
}

static void cut_back(const struct wal *w, struct wal_file *f)
{
    if (f->size > w->size && ftruncate(f->fd, (off_t)w->size) == 0)
        f->size = w->size;
}

static size_t other_file(const struct wal *w)
{
    return (w->current + 1) % WAL_FILES;
}

static bool fits(const struct wal *w)
{
    return w->at + wal_frame_size(w->entries.len) <= w->files[w->current].size;
}

bool wal_has_room(const struct wal *w, uint64_t stored)
{
    return fits(w) || w->files[other_file(w)].last <= stored;
}

size_t wal_frame_limit(const struct wal *w)
{
    return w->size / WAL_SECTOR * WAL_SECTOR_BYTES;
}

/* Finds a place for the frame, which has room. */
static int make_room(struct wal *w)
{
    struct wal_file *f;

    if (fits(w))
        return 0;
    w->current = other_file(w);
    w->at = 0;
    f = &w->files[w->current];
    cut_back(w, f);
    return grow(f, wal_frame_size(w->entries.len));
}

/* ---- life ---- */

static int open_file(struct wal_file *f, const char *path, const char *name)
{
    char file[MAX_FILE];
    struct stat info;

    snprintf(file, sizeof file, "%s/%s", path, name);
    f->fd = open(file, O_RDWR | O_CREAT | O_DSYNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (f->fd < 0 || fstat(f->fd, &info) != 0)
        return store_error(errno);
    f->size = (uint64_t)info.st_size / WAL_STEP * WAL_STEP;
    return 0;
}

static int open_files(struct wal *w)
{
    const char *path = w->store->options.path;
    int status = 0;

    for (size_t i = 0; i < WAL_FILES && status == 0; i++) {
        status = open_file(&w->files[i], path, wal_file_names[i]);
        if (status == 0)
            status = grow(&w->files[i], w->size);
    }
    return status == 0 ? file_sync_directory(path) : status;
}

/* From here on the files have to be there, or with a size of 0, need not be. */
static int note_size(struct wal *w, uint64_t size)
{
    struct store *s = w->store;
    int status = store_begin(s);

    if (status != 0)
        return status;
    s->next.wal_id = w->id;
    s->next.wal_number = w->number;
    s->next.wal_size = size;
    return store_commit(s, s->stored.time_ms);
}

static int begin(struct wal *w)
{
    uint64_t random[2];
    int status = open_files(w);

    if (status == 0)
        status = hash_random_key(random);
    if (status != 0)
        return status;
    w->id = random[0];
    return note_size(w, w->size);
}

struct wal *wal_open(struct store *s, struct error *why)
{
    struct wal *w = calloc(1, sizeof *w);
    uint64_t share = s->options.keep_bytes / SHARE / WAL_STEP * WAL_STEP;
    int status = -ENOMEM;

    if (w != NULL) {
        *w = (struct wal){.store = s, .files = {{.fd = -1}, {.fd = -1}}};
        w->number = s->stored.wal_number;
        w->size = share < MIN_SIZE ? MIN_SIZE : share > MAX_SIZE ? MAX_SIZE : share;
        status = begin(w);
    }
    if (status != 0) {
        error_set(why, "journal.path = %s: cannot make the write-ahead log: %s", s->options.path,
                  strerror(-status));
        wal_close(w);
        return NULL;
    }
    for (size_t i = 0; i < WAL_FILES; i++)
        cut_back(w, &w->files[i]);
    return w;
}

/* Whether the trees have all that is in it. */
static bool is_done(const struct wal *w)
{
    const struct stored_state *state = &w->store->stored;

    return state->wal_size > 0 && state->wal_id == w->id && state->wal_number == w->number &&
           !w->store->has_loss;
}

void wal_close(struct wal *w)
{
    if (w == NULL)
        return;
    if (is_done(w))
        (void)note_size(w, 0); /* else the next open reads it */
    for (size_t i = 0; i < WAL_FILES; i++)
        if (w->files[i].fd >= 0)
            close(w->files[i].fd);
    buf_fini(&w->entries);
    buf_fini(&w->sectors);
    free(w);
}

/* ---- writing ---- */

void wal_begin(struct wal *w)
{
    buf_clear(&w->entries);
}

int wal_add(struct wal *w, struct slice record, struct slice key, bool is_kept)
{
    const struct wal_entry entry = {(uint32_t)record.n, (uint16_t)key.n, is_kept};

    buf_add(&w->entries, &entry, sizeof entry);
    buf_add_slice(&w->entries, record);
    buf_add_slice(&w->entries, key);
    return w->entries.failed ? -ENOMEM : 0;
}

/* Makes the frame's sectors, with zeros up to the next step. */
static int seal(struct wal *w)
{
    size_t size = w->entries.len;
    struct wal_sector sector = {
        .id = w->id,
        .number = w->number + 1,
        .size = (uint32_t)size,
        .steps = (uint32_t)(w->files[w->current].size / WAL_STEP),
    };

    buf_clear(&w->sectors);
    if (w->entries.failed || buf_reserve(&w->sectors, wal_frame_size(size)) != 0)
        return -ENOMEM;
    memset(w->sectors.p, 0, wal_frame_size(size));
    for (uint64_t i = 0; i < wal_sectors(size); i++) {
        size_t from = i * WAL_SECTOR_BYTES;
        size_t n = size - from < sizeof sector.bytes ? size - from : sizeof sector.bytes;

        sector.index = (uint32_t)i;
        memset(sector.bytes, 0, sizeof sector.bytes);
        slice_put(sector.bytes, slice_make(w->entries.p + from, n));
        sector.sum = wal_sector_sum(&sector);
        memcpy(w->sectors.p + i * WAL_SECTOR, &sector, sizeof sector);
    }
    w->sectors.len = wal_frame_size(size);
    return 0;
}

int wal_write(struct wal *w, uint64_t stored)
{
    struct wal_file *f;
    int status;

    if (!wal_has_room(w, stored))
        return -ENOSPC;
    status = w->in_doubt > 0 ? wal_clear(w) : 0;
    if (status == 0)
        status = make_room(w);
    if (status == 0)
        status = seal(w);
    if (status != 0)
        return status;
    f = &w->files[w->current];
    w->in_doubt = w->sectors.len;
    status = write_at(f->fd, w->sectors.p, w->sectors.len, w->at);
    if (status != 0)
        return status;
    w->in_doubt = 0;
    w->at += w->sectors.len;
    f->last = ++w->number;
    return 0;
}

int wal_clear(struct wal *w)
{
    const struct wal_file *f = &w->files[w->current];
    uint64_t end = w->at + (w->in_doubt > 0 ? w->in_doubt : WAL_STEP);
    int status = write_zeros(f->fd, w->at, end <= f->size ? end : f->size);

    if (status == 0)
        w->in_doubt = 0;
    return status;
}

uint64_t wal_number(const struct wal *w)
{
    return w->number;
}
