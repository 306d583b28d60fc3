/* wal_read.c - frames out of the files of the log, of which no byte is believed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "store_priv.h"
#include "wal_priv.h"

struct content {
    char *p;                    /* NULL: there is none */
    size_t n;
};

/* A whole frame. */
struct frame {
    uint64_t number;
    size_t file;
    size_t at;
    size_t size;                /* of its entries */
};

struct reading {
    struct content files[WAL_FILES];
    uint64_t id;
    uint64_t stored;            /* frames up to that number are in the trees */
    struct frame *frames;       /* in the order of their numbers, when all are found */
    size_t count;
    size_t cap;
    bool is_cut;                /* a file is shorter than it was */
};

static int read_all(int fd, struct content *c)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return -errno;
    c->p = malloc((size_t)info.st_size + 1);
    if (c->p == NULL)
        return -ENOMEM;
    while (c->n < (size_t)info.st_size) {
        ssize_t n = pread(fd, c->p + c->n, (size_t)info.st_size - c->n, (off_t)c->n);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break; /* it is shorter now */
        if (n > 0)
            c->n += (size_t)n;
    }
    return 0;
}

static int read_file(const char *path, const char *name, struct content *c)
{
    char file[MAX_FILE];
    int status;
    int fd;

    snprintf(file, sizeof file, "%s/%s", path, name);
    fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    status = read_all(fd, c);
    close(fd);
    return status;
}

/* ---- frames ---- */

/* The sector at `at`; false: it is none. */
static bool read_sector(const struct content *c, size_t at, struct wal_sector *out)
{
    if (at >= c->n || c->n - at < sizeof *out)
        return false;
    memcpy(out, c->p + at, sizeof *out);
    return out->sum == wal_sector_sum(out);
}

/* The frame that begins at `at`, if a whole one does. */
static bool find_frame(struct reading *r, size_t file, size_t at, struct frame *out)
{
    const struct content *c = &r->files[file];
    struct wal_sector first;
    struct wal_sector s;

    if (!read_sector(c, at, &first) || first.id != r->id || first.index != 0 ||
        wal_frame_size(first.size) > c->n - at)
        return false;
    for (uint64_t i = 1; i < wal_sectors(first.size); i++)
        if (!read_sector(c, at + i * WAL_SECTOR, &s) || s.id != r->id || s.index != i ||
            s.number != first.number || s.size != first.size)
            return false;
    r->is_cut |= first.number > r->stored && (uint64_t)first.steps * WAL_STEP > c->n;
    *out = (struct frame){first.number, file, at, first.size};
    return true;
}

static int add_frame(struct reading *r, const struct frame *f)
{
    if (r->count == r->cap) {
        size_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct frame *frames = realloc(r->frames, cap * sizeof *frames);

        if (frames == NULL)
            return -ENOMEM;
        r->frames = frames;
        r->cap = cap;
    }
    r->frames[r->count++] = *f;
    return 0;
}

/* All whole frames, also those that stand behind a damaged one. */
static int find_frames(struct reading *r, size_t file)
{
    for (size_t at = 0; at < r->files[file].n;) {
        struct frame f;

        if (!find_frame(r, file, at, &f)) {
            at += WAL_STEP;
            continue;
        }
        if (add_frame(r, &f) != 0)
            return -ENOMEM;
        at += wal_frame_size(f.size);
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct frame *x = a;
    const struct frame *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static int read_frames(struct reading *r, const char *path, const struct stored_state *state)
{
    int status = 0;

    for (size_t i = 0; i < WAL_FILES && status == 0; i++) {
        status = read_file(path, wal_file_names[i], &r->files[i]);
        if (status == 0)
            status = find_frames(r, i);
        r->is_cut |= r->files[i].n < state->wal_size;
    }
    if (status == 0 && r->count > 0)
        qsort(r->frames, r->count, sizeof *r->frames, by_number);
    return status;
}

static void reading_fini(struct reading *r)
{
    free(r->frames);
    for (size_t i = 0; i < WAL_FILES; i++)
        free(r->files[i].p);
}

/* ---- behind the last one ---- */

static bool is_zero(const struct content *c, size_t at)
{
    static const char zeros[WAL_SECTOR];

    return memcmp(c->p + at, zeros, sizeof zeros) == 0;
}

/* Whether a frame of that number that begins at `at` is damaged: it is not whole, but may have been
 * if a sector is neither one of its own nor one that was there before. */
static bool is_damaged_at(const struct reading *r, size_t file, size_t at, uint64_t number)
{
    const struct content *c = &r->files[file];
    size_t end = at + WAL_STEP; /* of what is known of the frame */

    for (; at < end && at + WAL_SECTOR <= c->n; at += WAL_SECTOR) {
        struct wal_sector s;

        if (!read_sector(c, at, &s)) {
            if (!is_zero(c, at))
                return true;
        } else if (s.id == r->id && s.number == number && s.index < wal_sectors(s.size)) {
            if ((uint64_t)s.steps * WAL_STEP > c->n)
                return true; /* the file has been cut */
            end = at + (wal_sectors(s.size) - s.index) * WAL_SECTOR;
        }
    }
    return false;
}

/* The next frame would be behind the last one, or at the beginning of the other file. */
static bool is_next_damaged(const struct reading *r)
{
    const struct frame none = {.number = 0};
    const struct frame *last = r->count > 0 ? &r->frames[r->count - 1] : &none;
    size_t behind = r->count > 0 ? last->at + wal_frame_size(last->size) : 0;
    uint64_t number = last->number + 1;

    return is_damaged_at(r, last->file, behind, number) ||
           is_damaged_at(r, (last->file + 1) % WAL_FILES, 0, number);
}

/* ---- what is in them ---- */

static int copy_entries(const struct reading *r, const struct frame *f, struct buf *out)
{
    const char *p = r->files[f->file].p + f->at;

    buf_clear(out);
    for (size_t from = 0; from < f->size; from += WAL_SECTOR_BYTES) {
        size_t n = f->size - from < WAL_SECTOR_BYTES ? f->size - from : WAL_SECTOR_BYTES;

        buf_add(out, p + offsetof(struct wal_sector, bytes), n);
        p += WAL_SECTOR;
    }
    return out->failed ? -ENOMEM : 0;
}

static int visit_entries(struct slice entries, wal_visit_fn *visit, void *ctx)
{
    while (entries.n > 0) {
        struct wal_entry entry;
        struct slice record;
        struct slice key;
        int status;

        if (entries.n < sizeof entry)
            return -EBADMSG;
        memcpy(&entry, entries.p, sizeof entry);
        entries = slice_make(entries.p + sizeof entry, entries.n - sizeof entry);
        if (entries.n < (size_t)entry.record_size + entry.key_size)
            return -EBADMSG;
        record = slice_make(entries.p, entry.record_size);
        key = slice_make(entries.p + record.n, entry.key_size);
        entries = slice_make(key.p + key.n, entries.n - record.n - key.n);
        status = visit(ctx, record, key, entry.is_kept != 0);
        if (status != 0)
            return status;
    }
    return 0;
}

static int visit_frames(const struct reading *r, wal_visit_fn *visit, void *ctx,
                        struct wal_found *found)
{
    struct buf entries = {.p = NULL};
    int status = 0;

    for (size_t i = 0; i < r->count && status == 0; i++) {
        const struct frame *f = &r->frames[i];

        if (f->number <= found->last)
            continue;
        found->is_broken |= f->number != found->last + 1;
        found->last = f->number;
        if (visit == NULL)
            continue;
        status = copy_entries(r, f, &entries);
        if (status == 0)
            status = visit_entries(slice_make(entries.p, entries.len), visit, ctx);
    }
    buf_fini(&entries);
    return status;
}

int wal_read(const char *path, const struct stored_state *state, wal_visit_fn *visit, void *ctx,
             struct wal_found *found)
{
    struct reading r = {.id = state->wal_id, .stored = state->wal_number};
    int status = 0;

    *found = (struct wal_found){.last = state->wal_number};
    if (state->wal_size == 0)
        return 0;
    status = read_frames(&r, path, state);
    if (status == 0) {
        found->is_broken = r.is_cut || is_next_damaged(&r);
        status = visit_frames(&r, visit, ctx, found);
    }
    reading_fini(&r);
    return status;
}

void wal_keep_aside(const char *path)
{
    for (size_t i = 0; i < WAL_FILES; i++) {
        char from[MAX_FILE];
        char to[MAX_FILE];

        snprintf(from, sizeof from, "%s/%s", path, wal_file_names[i]);
        snprintf(to, sizeof to, "%s/%s" WAL_ASIDE, path, wal_file_names[i]);
        (void)rename(from, to); /* it is of no use any more, wherever it is */
    }
}
