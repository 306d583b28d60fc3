/* faults.c - a disk that fails, and one that loses power: preloaded into the daemon.
 *
 * Only the files of one directory are looked at.
 *   FAULTS_DIR      the directory: the journal's
 *   FAULTS_CONTROL  a file of rules (below) behind a line "serial N": another N, other rules
 *   FAULTS_SHADOW   a directory that keeps what the disk would hold if the power went now: what was
 *                   synced, and a log of what was written since. disk.py makes of it what is left.
 *
 * A rule is a line "OP FIRST LAST ACTION ARGUMENT": the calls FIRST to LAST (0: to the end) of OP,
 * counted since the rules have changed, meet with ACTION. Each that does is one line in
 * FAULTS_CONTROL.hits.
 *   OP      read: read, pread; what is mapped is not seen. write: of data. meta: through a
 *           descriptor that is O_DSYNC. undo: of the first two pages through another one. sync:
 *           fsync, fdatasync. log: a write to the write-ahead log, which is O_DSYNC. clock:
 *           CLOCK_REALTIME.
 *   ACTION  error N: fails with errno N, nothing is done. lie N: it is done, and fails all the
 *           same. short: half of it, of the log in whole sectors: the kernel cuts a write between
 *           pages, and a disk writes a sector as a whole. delay N: takes N milliseconds more.
 *           shift N: seconds.
 *
 * In the shadow, `names` has the directory as it was synced, object.N the file N as it was, and
 * `log` what is under way, in order: heads (struct head) and bytes. A call is in the log before it
 * is made, so that the process may be killed at any time. A file's own sync does not keep its name;
 * that of the directory does, as POSIX has it. */
/* The library's own wrappers of read and its like would be in the way of these. */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_FDS = 4096,
    MAX_FILES = 256,
    MAX_RULES = 16,
    NAME = 64,
    SECTOR = 512,
    PAGES_OF_META = 8192,
};
enum op { OP_READ, OP_WRITE, OP_META, OP_UNDO, OP_SYNC, OP_LOG, OP_CLOCK, OPS };
enum action { NOTHING, FAIL, LIE, SHORT, DELAY, SHIFT };
enum kind { KIND_WRITE = 1, KIND_TRUNCATE, KIND_LINK, KIND_RENAME, KIND_UNLINK };

static const char *const op_names[OPS] = {"read", "write", "meta", "undo", "sync", "log", "clock"};
static const char *const action_names[] = {"", "error", "lie", "short", "delay", "shift"};

struct head {
    uint32_t kind;
    uint32_t file;
    uint64_t offset;     /* truncate: the new length */
    uint64_t length;     /* of the bytes behind: data, or names of NAME bytes each */
};

struct pending {
    struct pending *next;
    struct head head;
    char bytes[];
};

struct rule {
    enum op op;
    unsigned long first, last;
    enum action action;
    long argument;
};

static struct {
    int (*open)(const char *, int, ...);
    int (*close)(int);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*pread)(int, void *, size_t, off_t);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*writev)(int, const struct iovec *, int);
    int (*ftruncate)(int, off_t);
    int (*fsync)(int);
    int (*fdatasync)(int);
    int (*rename)(const char *, const char *);
    int (*unlink)(const char *);
    int (*clock_gettime)(clockid_t, struct timespec *);
} real;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of files and of the shadow */
static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *directory;
static const char *control;
static const char *shadow;

/* 0: not ours, -1: the directory, else a file's number + 1 */
static int owner[MAX_FDS];
static char is_dsync[MAX_FDS];
static char names[MAX_FILES][NAME];  /* as of now; "": none */
static int synced_names[MAX_FILES];  /* unused slots of `durable` are 0 */
static char durable[MAX_FILES][NAME];
static int log_fd = -1;
static struct pending *first;
static struct pending **next_pending = &first;

static struct rule rules[MAX_RULES];
static size_t rule_count;
static unsigned long counts[OPS];
static unsigned long rules_serial;
static uint64_t looked_ns;

/* ---- the rules ---- */

/* The clock is asked for so often that a look now and then must do. */
static void read_rules(enum op for_what)
{
    unsigned long serial;
    struct timespec now;
    uint64_t now_ns;
    char op[16];
    char action[16];
    struct rule r;
    FILE *f;

    real.clock_gettime(CLOCK_MONOTONIC, &now);
    now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (for_what == OP_CLOCK && now_ns < looked_ns + 2000000)
        return;
    looked_ns = now_ns;
    f = fopen(control, "re");
    if (f == NULL)
        return;
    if (fscanf(f, "serial %lu", &serial) != 1 || serial == rules_serial) {
        fclose(f);
        return;
    }
    rules_serial = serial;
    rule_count = 0;
    memset(counts, 0, sizeof counts);
    while (rule_count < MAX_RULES && fscanf(f, "%15s %lu %lu %15s %ld", op, &r.first, &r.last,
                                            action, &r.argument) == 5) {
        for (r.op = 0; r.op < OPS && strcmp(op, op_names[r.op]) != 0; r.op++)
            ;
        for (r.action = FAIL; r.action < SHIFT && strcmp(action, action_names[r.action]) != 0;
             r.action++)
            ;
        if (r.op < OPS)
            rules[rule_count++] = r;
    }
    fclose(f);
}

static void note_hit(enum op op)
{
    char path[4200];
    int fd;

    snprintf(path, sizeof path, "%s.hits", control);
    fd = real.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    snprintf(path, sizeof path, "%s\n", op_names[op]);
    if (real.write(fd, path, strlen(path)) < 0)
        abort();
    real.close(fd);
}

/* What the next call of `op` meets with; a delay is over when this returns. */
static enum action judge(enum op op, long *argument)
{
    enum action found = NOTHING;
    long delay_ms = 0;

    if (control == NULL)
        return NOTHING;
    pthread_mutex_lock(&rules_lock);
    read_rules(op);
    counts[op]++;
    for (size_t i = 0; i < rule_count; i++) {
        const struct rule *r = &rules[i];

        if (r->op != op || counts[op] < r->first || (r->last > 0 && counts[op] > r->last))
            continue;
        if (r->action == DELAY) {
            delay_ms = r->argument;
        } else {
            found = r->action;
            *argument = r->argument;
        }
        if (op != OP_CLOCK)
            note_hit(op);
    }
    pthread_mutex_unlock(&rules_lock);
    if (delay_ms > 0)
        usleep((useconds_t)delay_ms * 1000);
    return found;
}

/* ---- the shadow ---- */

static void path_in(char out[4200], const char *folder, const char *name)
{
    snprintf(out, 4200, "%s/%s", folder, name);
}

static void object_path(char out[4200], int file)
{
    char name[NAME];

    snprintf(name, sizeof name, "object.%d", file);
    path_in(out, shadow, name);
}

static void must(int is_so)
{
    if (!is_so) {
        perror("faults");
        abort();
    }
}

static void append_to_log(const struct pending *p)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)&p->head, sizeof p->head},
                           {(void *)(uintptr_t)p->bytes, p->head.length}};

    must(real.writev(log_fd, iov, 2) == (ssize_t)(sizeof p->head + p->head.length));
}

static struct pending *add_pending(struct head head, const void *bytes)
{
    struct pending *p = malloc(sizeof *p + head.length);

    must(p != NULL);
    p->next = NULL;
    p->head = head;
    if (head.length > 0)
        memcpy(p->bytes, bytes, head.length);
    *next_pending = p;
    next_pending = &p->next;
    return p;
}

static void note(enum kind kind, int file, uint64_t offset, const void *bytes, uint64_t length)
{
    struct head head = {(uint32_t)kind, (uint32_t)file, offset, length};

    if (shadow != NULL)
        append_to_log(add_pending(head, bytes));
}

static void note_names(enum kind kind, int file, const char *name, const char *other)
{
    char both[2 * NAME] = "";

    strncpy(both, name, NAME - 1);
    strncpy(both + NAME, other, NAME - 1);
    note(kind, file, 0, both, sizeof both);
}

static void write_log_anew(void)
{
    must(real.ftruncate(log_fd, 0) == 0);
    for (const struct pending *p = first; p != NULL; p = p->next)
        append_to_log(p);
}

static void write_names(void)
{
    char path[4200];
    char to[4200];
    FILE *f;

    path_in(path, shadow, "names.new");
    path_in(to, shadow, "names");
    f = fopen(path, "we");
    must(f != NULL);
    for (int i = 0; i < MAX_FILES; i++)
        if (synced_names[i])
            fprintf(f, "%d %s\n", i, durable[i]);
    must(fclose(f) == 0 && real.rename(path, to) == 0);
}

/* What the file has there now is what the disk has. */
static void copy_range(int file, int from_fd, uint64_t offset, uint64_t length)
{
    char path[4200];
    char buffer[65536];
    int fd;

    snprintf(path, sizeof path, "/proc/self/fd/%d", from_fd); /* it may be for writing only */
    from_fd = real.open(path, O_RDONLY | O_CLOEXEC);
    must(from_fd >= 0);
    object_path(path, file);
    fd = real.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0);
    while (length > 0) {
        ssize_t n = real.pread(from_fd, buffer, length < sizeof buffer ? length : sizeof buffer,
                               (off_t)offset);

        must(n >= 0);
        if (n == 0)
            break; /* the call in the log was never made */
        must(real.pwrite(fd, buffer, (size_t)n, (off_t)offset) == n);
        offset += (uint64_t)n;
        length -= (uint64_t)n;
    }
    real.close(fd);
    real.close(from_fd);
}

static void apply_to_names(const struct pending *p)
{
    int file = (int)p->head.file;

    switch (p->head.kind) {
    case KIND_LINK:
    case KIND_RENAME:
        for (int i = 0; i < MAX_FILES; i++)
            if (strcmp(durable[i], p->head.kind == KIND_LINK ? p->bytes : p->bytes + NAME) == 0)
                synced_names[i] = 0;
        synced_names[file] = 1;
        strcpy(durable[file], p->head.kind == KIND_LINK ? p->bytes : p->bytes + NAME);
        break;
    default:
        synced_names[file] = 0;
        break;
    }
}

/* Everything of the file that was written is on the disk now, or, for -1, the names. */
static void settle(int file, int fd)
{
    struct stat now;
    char path[4200];

    if (shadow == NULL)
        return;
    for (struct pending **at = &first; *at != NULL;) {
        struct pending *p = *at;
        int is_name = p->head.kind >= KIND_LINK;

        if (file < 0 ? !is_name : is_name || (int)p->head.file != file) {
            at = &p->next;
            continue;
        }
        if (is_name)
            apply_to_names(p);
        else if (p->head.kind == KIND_WRITE)
            copy_range(file, fd, p->head.offset, p->head.length);
        *at = p->next;
        free(p);
    }
    next_pending = &first;
    while (*next_pending != NULL)
        next_pending = &(*next_pending)->next;
    if (file < 0) {
        write_names();
    } else if (fstat(fd, &now) == 0) {
        object_path(path, file);
        int to = real.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        must(to >= 0 && real.ftruncate(to, now.st_size) == 0);
        real.close(to);
    }
    write_log_anew();
}

/* What is on the disk already is not overwritten by what was to be written there before. */
static void outdate(const struct pending *written)
{
    uint64_t end = written->head.offset + written->head.length;

    for (struct pending *p = first; p != NULL; p = p->next) {
        uint64_t from = p->head.offset;
        uint64_t to = from + p->head.length;

        if (p == written || p->head.kind != KIND_WRITE || p->head.file != written->head.file)
            continue;
        from = from < written->head.offset ? written->head.offset : from;
        to = to > end ? end : to;
        if (from < to)
            memcpy(p->bytes + (from - p->head.offset),
                   written->bytes + (from - written->head.offset), to - from);
    }
}

/* A write through an O_DSYNC descriptor is on the disk when it returns; nothing else is. */
static void settle_write(int file, int fd, struct pending *written)
{
    outdate(written);
    copy_range(file, fd, written->head.offset, written->head.length);
    for (struct pending **at = &first; *at != NULL; at = &(*at)->next)
        if (*at == written) {
            *at = written->next;
            free(written);
            break;
        }
    next_pending = &first;
    while (*next_pending != NULL)
        next_pending = &(*next_pending)->next;
    write_log_anew();
}

static int find_name(const char *name)
{
    for (int i = 0; i < MAX_FILES; i++)
        if (names[i][0] != '\0' && strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* A number that no file has, nor had: the log may speak of it. */
static int new_file(const char *name)
{
    static int next = -1;

    if (next < 0) {
        next = 0;
        for (int i = 0; i < MAX_FILES; i++)
            if (names[i][0] != '\0' || synced_names[i])
                next = i + 1;
        for (const struct pending *p = first; p != NULL; p = p->next)
            if ((int)p->head.file >= next)
                next = (int)p->head.file + 1;
    }
    must(next < MAX_FILES);
    strncpy(names[next], name, NAME - 1);
    return next++;
}

/* What an earlier process has left: its log, or a directory that is all on the disk. */
static void load_shadow(void)
{
    static const char *const known[] = {"data.mdb", "data.mdb.new", "sse-notify.lock", "wal-0",
                                        "wal-1"};
    char path[4200];
    char name[NAME];
    struct head head;
    FILE *f;
    int file;

    path_in(path, shadow, "names");
    f = fopen(path, "re");
    if (f != NULL) {
        while (fscanf(f, "%d %63s", &file, name) == 2) {
            synced_names[file] = 1;
            strcpy(durable[file], name);
            strcpy(names[file], name);
        }
        fclose(f);
        path_in(path, shadow, "log");
        f = fopen(path, "re");
        must(f != NULL);
        while (fread(&head, sizeof head, 1, f) == 1) {
            char *bytes = malloc(head.length + 1);

            must(bytes != NULL);
            if (fread(bytes, 1, head.length, f) != head.length) {
                free(bytes);
                break; /* it was killed while it wrote this */
            }
            add_pending(head, bytes);
            if (head.kind == KIND_LINK)
                strcpy(names[head.file], bytes);
            else if (head.kind == KIND_RENAME)
                strcpy(names[head.file], bytes + NAME);
            else if (head.kind == KIND_UNLINK)
                names[head.file][0] = '\0';
            free(bytes);
        }
        fclose(f);
        write_log_anew();
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct stat there;
        int fd;

        path_in(path, directory, known[i]);
        fd = real.open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        must(fstat(fd, &there) == 0);
        file = new_file(known[i]);
        copy_range(file, fd, 0, (uint64_t)there.st_size);
        synced_names[file] = 1;
        strcpy(durable[file], known[i]);
        real.close(fd);
    }
    write_names();
}

static void find_real(void *to, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    must(found != NULL);
    memcpy(to, &found, sizeof found); /* ISO C knows no such conversion */
}

static void start(void)
{
    char path[4200];

    find_real(&real.open, "open");
    find_real(&real.close, "close");
    find_real(&real.read, "read");
    find_real(&real.pread, "pread");
    find_real(&real.pwrite, "pwrite");
    find_real(&real.write, "write");
    find_real(&real.writev, "writev");
    find_real(&real.ftruncate, "ftruncate");
    find_real(&real.fsync, "fsync");
    find_real(&real.fdatasync, "fdatasync");
    find_real(&real.rename, "rename");
    find_real(&real.unlink, "unlink");
    find_real(&real.clock_gettime, "clock_gettime");
    directory = getenv("FAULTS_DIR");
    control = getenv("FAULTS_CONTROL");
    shadow = directory == NULL ? NULL : getenv("FAULTS_SHADOW");
    if (shadow == NULL)
        return;
    path_in(path, shadow, "log");
    log_fd = real.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    must(log_fd >= 0);
    load_shadow();
}

static void init(void)
{
    pthread_once(&once, start);
}

/* ---- the calls ---- */

/* The name within the directory; NULL: not ours. "" is the directory itself. */
static const char *name_of(const char *path)
{
    size_t n = directory == NULL ? 0 : strlen(directory);

    if (n == 0 || strncmp(path, directory, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    path += n + (path[n] == '/');
    return strcmp(path, "lock.mdb") == 0 || strlen(path) >= NAME ? NULL : path;
}

static int owner_of(int fd)
{
    return fd >= 0 && fd < MAX_FDS ? owner[fd] : 0;
}

int open(const char *path, int flags, ...)
{
    const char *name;
    mode_t mode = 0;
    va_list arguments;
    int is_there;
    int fd;

    init();
    va_start(arguments, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    name = name_of(path);
    if (name == NULL)
        return real.open(path, flags, mode);
    pthread_mutex_lock(&lock);
    is_there = access(path, F_OK) == 0;
    if (!is_there && (flags & O_CREAT) != 0 && name[0] != '\0')
        note_names(KIND_LINK, new_file(name), name, "");
    else if (is_there && shadow == NULL && name[0] != '\0' && find_name(name) < 0)
        new_file(name); /* of an earlier process */
    fd = real.open(path, flags, mode);
    if (fd >= 0 && fd < MAX_FDS) {
        owner[fd] = name[0] == '\0' ? -1 : find_name(name) + 1;
        is_dsync[fd] = (flags & O_DSYNC) != 0;
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    va_start(arguments, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return open(path, flags, mode);
}

int close(int fd)
{
    init();
    if (fd >= 0 && fd < MAX_FDS)
        owner[fd] = 0;
    return real.close(fd);
}

/* True: this read of the data fails, and errno says how. */
static int is_read_refused(int fd)
{
    long argument = 0;

    init();
    if (owner_of(fd) <= 0 || find_name("data.mdb") != owner[fd] - 1 ||
        judge(OP_READ, &argument) != FAIL)
        return 0;
    errno = (int)argument;
    return 1;
}

ssize_t read(int fd, void *to, size_t n)
{
    return is_read_refused(fd) ? -1 : real.read(fd, to, n);
}

ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
    return is_read_refused(fd) ? -1 : real.pread(fd, to, n, offset);
}

ssize_t pread64(int fd, void *to, size_t n, off_t offset)
{
    return pread(fd, to, n, offset);
}

/* What a write to that file counts as; OPS: there are no faults for it. */
static enum op op_of_write(int fd, off_t offset)
{
    const char *name = names[owner[fd] - 1];

    if (strncmp(name, "wal-", 4) == 0)
        return OP_LOG;
    if (strcmp(name, "data.mdb") != 0)
        return OPS;
    return is_dsync[fd] ? OP_META : offset < PAGES_OF_META ? OP_UNDO : OP_WRITE;
}

static ssize_t write_ours(int fd, const void *bytes, size_t n, off_t offset)
{
    enum op op = op_of_write(fd, offset);
    int file = owner[fd] - 1;
    struct pending *written;
    long argument = 0;
    enum action action;
    ssize_t done;

    action = op == OPS ? NOTHING : judge(op, &argument);
    if (action == FAIL) {
        errno = (int)argument;
        return -1;
    }
    if (action == SHORT)
        n = op == OP_LOG ? n / 2 / SECTOR * SECTOR : n / 2;
    pthread_mutex_lock(&lock);
    note(KIND_WRITE, file, (uint64_t)offset, bytes, n);
    done = real.pwrite(fd, bytes, n, offset);
    if (done == (ssize_t)n && is_dsync[fd] && action != LIE && shadow != NULL) {
        for (written = first; written->next != NULL; written = written->next)
            ;
        settle_write(file, fd, written);
    }
    pthread_mutex_unlock(&lock);
    if (action == LIE) {
        errno = (int)argument;
        return -1;
    }
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    init();
    return owner_of(fd) > 0 ? write_ours(fd, bytes, n, offset) : real.pwrite(fd, bytes, n, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
    return pwrite(fd, bytes, n, offset);
}

/* Several pieces are one call to the rules, and one write to the disk. */
static ssize_t writev_at(int fd, const struct iovec *iov, int count, off_t offset)
{
    size_t total = 0;
    ssize_t done;
    char *all;

    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    all = malloc(total + 1);
    must(all != NULL);
    total = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + total, iov[i].iov_base, iov[i].iov_len);
        total += iov[i].iov_len;
    }
    done = write_ours(fd, all, total, offset);
    free(all);
    return done;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    init();
    must(owner_of(fd) > 0);
    return writev_at(fd, iov, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t offset)
{
    return pwritev(fd, iov, count, offset);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    off_t at;
    ssize_t done;

    init();
    if (owner_of(fd) <= 0)
        return real.writev(fd, iov, count);
    at = lseek(fd, 0, SEEK_CUR);
    done = writev_at(fd, iov, count, at);
    if (done > 0)
        lseek(fd, at + done, SEEK_SET);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, n};

    init();
    return owner_of(fd) > 0 ? writev(fd, &iov, 1) : real.write(fd, bytes, n);
}

int ftruncate(int fd, off_t length)
{
    int status;

    init();
    if (owner_of(fd) <= 0)
        return real.ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    note(KIND_TRUNCATE, owner[fd] - 1, (uint64_t)length, "", 0);
    status = real.ftruncate(fd, length);
    pthread_mutex_unlock(&lock);
    return status;
}

int ftruncate64(int fd, off_t length)
{
    return ftruncate(fd, length);
}

/* With a shadow the real disk need not be waited for. */
static int sync_ours(int fd)
{
    long argument = 0;
    enum action action = judge(OP_SYNC, &argument);

    if (action == FAIL || action == LIE) {
        errno = (int)argument;
        return -1;
    }
    if (shadow == NULL)
        return real.fdatasync(fd);
    pthread_mutex_lock(&lock);
    settle(owner[fd] < 0 ? -1 : owner[fd] - 1, fd);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd)
{
    init();
    return owner_of(fd) != 0 ? sync_ours(fd) : real.fsync(fd);
}

int fdatasync(int fd)
{
    init();
    return owner_of(fd) != 0 ? sync_ours(fd) : real.fdatasync(fd);
}

int msync(void *at, size_t n, int flags)
{
    (void)at;
    (void)n;
    (void)flags;
    must(0); /* nobody does this: what was written through a map is not looked at */
    return 0;
}

int rename(const char *from, const char *to)
{
    const char *old;
    const char *new;
    int status;

    init();
    old = name_of(from);
    new = name_of(to);
    if (old == NULL || new == NULL)
        return real.rename(from, to);
    pthread_mutex_lock(&lock);
    if (find_name(old) >= 0) {
        int file = find_name(old);
        int replaced = find_name(new);

        note_names(KIND_RENAME, file, old, new);
        if (replaced >= 0)
            names[replaced][0] = '\0';
        strcpy(names[file], new);
    }
    status = real.rename(from, to);
    pthread_mutex_unlock(&lock);
    return status;
}

int unlink(const char *path)
{
    const char *name;
    int status;

    init();
    name = name_of(path);
    if (name == NULL)
        return real.unlink(path);
    pthread_mutex_lock(&lock);
    if (find_name(name) >= 0) {
        note_names(KIND_UNLINK, find_name(name), name, "");
        names[find_name(name)][0] = '\0';
    }
    status = real.unlink(path);
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- the clock ---- */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    long shift = 0;
    int status;

    init();
    status = real.clock_gettime(clock, out);
    if (clock == CLOCK_REALTIME && judge(OP_CLOCK, &shift) == SHIFT)
        out->tv_sec += shift;
    return status;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}
