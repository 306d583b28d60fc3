/* wal.c - frames into the files of the log, and out of them. */
#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/crc32c.h"
#include "store_priv.h"
#include "wal_priv.h"

enum {
    MIN_SIZE = 64 << 10,        /* of a file; it doubles when both have too little room */
    MAX_SIZE = 4 << 20,         /* one that had to get larger than that is cut back */
    SHARE = 32,                 /* of keep_bytes, which each file has at most, likewise */
    ZEROS = 1 << 20,
};

const char *const wal_file_names[WAL_FILES] = {"wal-0", "wal-1"};

struct wal_file {
    int fd;                     /* O_DSYNC: what is written is safe */
    uint64_t size;              /* all of it written, so that a frame changes nothing but itself */
    uint64_t last;              /* the highest number of a frame in it; 0: none of this process */
};

struct wal {
    struct wal_file files[WAL_FILES];
    size_t current;             /* the file that is being written ... */
    uint64_t at;                /* ... and how far */
    uint64_t id;
    uint64_t number;
    uint64_t max_size;
    bool is_in_doubt;           /* the frame at `at` */
    struct buf frame;
};

static uint64_t in_steps(uint64_t n)
{
    return (n + WAL_STEP - 1) / WAL_STEP * WAL_STEP;
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

/* ---- room ---- */

/* A file grows by what is written, so that a frame in it later need not wait for its length. */
static int grow(struct wal_file *f, uint64_t size)
{
    static const char zeros[ZEROS];

    while (f->size < size) {
        uint64_t n = size - f->size < sizeof zeros ? size - f->size : sizeof zeros;
        int status = write_at(f->fd, zeros, n, f->size);

        if (status != 0)
            return status;
        f->size += n;
    }
    return 0;
}

static size_t other_file(const struct wal *w)
{
    return (w->current + 1) % WAL_FILES;
}

/* Whether nothing in the other file is needed any more. */
static bool can_turn(const struct wal *w, uint64_t stored)
{
    return w->files[other_file(w)].last <= stored;
}

static void turn(struct wal *w)
{
    struct wal_file *f = &w->files[other_file(w)];

    w->current = other_file(w);
    w->at = 0;
    if (f->size > w->max_size && ftruncate(f->fd, (off_t)w->max_size) == 0)
        f->size = w->max_size;
}

size_t wal_frame_limit(const struct wal *w)
{
    return w->max_size;
}

bool wal_has_room(const struct wal *w, uint64_t stored)
{
    return w->at + in_steps(w->frame.len) <= w->max_size || can_turn(w, stored);
}

/* Finds a place for `n` bytes. */
static int make_room(struct wal *w, uint64_t n, uint64_t stored)
{
    struct wal_file *f = &w->files[w->current];
    uint64_t size;

    if (w->at + n > f->size && can_turn(w, stored)) {
        turn(w);
        f = &w->files[w->current];
    }
    if (w->at + n <= f->size)
        return 0;
    size = f->size * 2 < w->max_size ? f->size * 2 : w->max_size;
    return grow(f, w->at + n > size ? in_steps(w->at + n) : size);
}

/* ---- writing ---- */

static int open_file(struct wal_file *f, const char *path, const char *name)
{
    char file[MAX_FILE];
    struct stat info;

    snprintf(file, sizeof file, "%s/%s", path, name);
    f->fd = open(file, O_RDWR | O_CREAT | O_DSYNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (f->fd < 0 || fstat(f->fd, &info) != 0)
        return store_error(errno);
    f->size = (uint64_t)info.st_size / WAL_STEP * WAL_STEP;
    return grow(f, MIN_SIZE);
}

struct wal *wal_open(const struct store *s, struct error *why)
{
    struct wal *w = calloc(1, sizeof *w);
    uint64_t share = s->options.keep_bytes / SHARE / WAL_STEP * WAL_STEP;
    int status = w == NULL ? -ENOMEM : 0;

    for (size_t i = 0; w != NULL && i < WAL_FILES; i++)
        w->files[i].fd = -1;
    for (size_t i = 0; status == 0 && i < WAL_FILES; i++)
        status = open_file(&w->files[i], s->options.path, wal_file_names[i]);
    if (status == 0)
        status = -directory_sync(s->options.path);
    if (status != 0) {
        error_set(why, "journal.path = %s: cannot make the write-ahead log: %s", s->options.path,
                  strerror(-status));
        wal_close(w);
        return NULL;
    }
    w->id = s->stored.wal_id;
    w->number = s->stored.wal_number;
    w->max_size = share < MIN_SIZE ? MIN_SIZE : share > MAX_SIZE ? MAX_SIZE : share;
    wal_begin(w);
    return w;
}

void wal_close(struct wal *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < WAL_FILES; i++)
        if (w->files[i].fd >= 0)
            close(w->files[i].fd);
    buf_fini(&w->frame);
    free(w);
}

void wal_begin(struct wal *w)
{
    const struct wal_head none = {.sum = 0};

    buf_clear(&w->frame);
    buf_add(&w->frame, &none, sizeof none); /* its place */
}

int wal_add(struct wal *w, struct slice record, struct slice key, bool is_kept)
{
    const struct wal_entry entry = {(uint32_t)record.n, (uint16_t)key.n, is_kept};

    buf_add(&w->frame, &entry, sizeof entry);
    buf_add_slice(&w->frame, record);
    buf_add_slice(&w->frame, key);
    return w->frame.failed ? -ENOMEM : 0;
}

/* Puts the head in, and zeros up to the next step. */
static int seal(struct wal *w)
{
    struct wal_head head = {.id = w->id, .number = w->number + 1};
    size_t n = w->frame.len;
    size_t padding = in_steps(n) - n;

    if (w->frame.failed || buf_reserve(&w->frame, padding) != 0)
        return -ENOMEM;
    head.size = (uint32_t)(n - sizeof head);
    memcpy(w->frame.p, &head, sizeof head);
    head.sum = crc32c(0, w->frame.p + sizeof head.sum, n - sizeof head.sum);
    memcpy(w->frame.p, &head, sizeof head);
    memset(w->frame.p + n, 0, padding);
    w->frame.len += padding;
    return 0;
}

int wal_write(struct wal *w, uint64_t stored)
{
    struct wal_file *f;
    int status = w->is_in_doubt ? wal_clear(w) : 0;

    if (status == 0)
        status = seal(w);
    if (status == 0)
        status = make_room(w, w->frame.len, stored);
    if (status != 0)
        return status;
    f = &w->files[w->current];
    w->is_in_doubt = true;
    status = write_at(f->fd, w->frame.p, w->frame.len, w->at);
    if (status != 0)
        return status;
    w->is_in_doubt = false;
    w->at += w->frame.len;
    f->last = ++w->number;
    return 0;
}

int wal_clear(struct wal *w)
{
    const char nothing[WAL_STEP] = "";
    int status = write_at(w->files[w->current].fd, nothing, sizeof nothing, w->at);

    if (status == 0)
        w->is_in_doubt = false;
    return status;
}

uint64_t wal_number(const struct wal *w)
{
    return w->number;
}

/* ---- reading ---- */

struct content {
    char *p;                    /* NULL: there is none */
    size_t n;
};

struct frame {
    uint64_t number;
    struct slice entries;
};

struct frames {
    struct frame *at;
    size_t count;
    size_t cap;
};

static int read_file(const char *path, const char *name, struct content *c)
{
    char file[MAX_FILE];
    struct stat info;
    int status = 0;
    int fd;

    *c = (struct content){.p = NULL};
    snprintf(file, sizeof file, "%s/%s", path, name);
    fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &info) != 0)
        status = -errno;
    else if (info.st_size > 0 && (c->p = malloc((size_t)info.st_size)) == NULL)
        status = -ENOMEM;
    while (status == 0 && c->n < (size_t)info.st_size) {
        ssize_t n = pread(fd, c->p + c->n, (size_t)info.st_size - c->n, (off_t)c->n);

        if (n == 0)
            break; /* it is shorter now */
        if (n > 0)
            c->n += (size_t)n;
        else if (errno != EINTR)
            status = -errno;
    }
    close(fd);
    return status;
}

/* The frame at `at`, if a whole one is there. */
static bool find_frame(const struct content *c, size_t at, uint64_t id, struct frame *out)
{
    struct wal_head head;
    const char *p = c->p + at;

    if (c->n - at < sizeof head)
        return false;
    memcpy(&head, p, sizeof head);
    if (head.id != id || head.size > c->n - at - sizeof head ||
        head.sum != crc32c(0, p + sizeof head.sum, sizeof head + head.size - sizeof head.sum))
        return false;
    *out = (struct frame){head.number, slice_make(p + sizeof head, head.size)};
    return true;
}

static int add_frame(struct frames *all, const struct frame *f)
{
    if (all->count == all->cap) {
        size_t cap = all->cap == 0 ? 64 : all->cap * 2;
        struct frame *at = realloc(all->at, cap * sizeof *at);

        if (at == NULL)
            return -ENOMEM;
        all->at = at;
        all->cap = cap;
    }
    all->at[all->count++] = *f;
    return 0;
}

/* All whole frames behind `after`, also those that stand behind a damaged one. */
static int find_frames(const struct content *c, uint64_t id, uint64_t after, struct frames *all)
{
    for (size_t at = 0; at < c->n;) {
        struct frame f;

        if (!find_frame(c, at, id, &f)) {
            at += WAL_STEP;
            continue;
        }
        if (f.number > after && add_frame(all, &f) != 0)
            return -ENOMEM;
        at += in_steps(sizeof(struct wal_head) + f.entries.n);
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct frame *x = a;
    const struct frame *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
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

int wal_read(const char *path, uint64_t id, uint64_t after, wal_visit_fn *visit, void *ctx,
             struct wal_found *found)
{
    struct content contents[WAL_FILES] = {{NULL, 0}};
    struct frames all = {NULL, 0, 0};
    int status = 0;

    *found = (struct wal_found){.last = after};
    for (size_t i = 0; i < WAL_FILES && status == 0; i++) {
        status = read_file(path, wal_file_names[i], &contents[i]);
        if (status == 0)
            status = find_frames(&contents[i], id, after, &all);
    }
    if (status == 0 && all.count > 0)
        qsort(all.at, all.count, sizeof *all.at, by_number);
    for (size_t i = 0; i < all.count && status == 0; i++) {
        found->is_broken |= all.at[i].number != found->last + 1;
        found->last = all.at[i].number;
        if (visit != NULL)
            status = visit_entries(all.at[i].entries, visit, ctx);
    }
    free(all.at);
    for (size_t i = 0; i < WAL_FILES; i++)
        free(contents[i].p);
    return status;
}
