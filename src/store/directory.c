/* directory.c - the files around the store: who may write, what is being written beside it, and
 * what takes its place. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/replace.h"
#include "store_priv.h"
#include "wal_priv.h"

int directory_make(const char *path, struct error *why)
{
    char part[MAX_PATH];
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof part)
        return error_set(why, "journal.path: a path of 1 to %zu bytes is needed", sizeof part - 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, DIRECTORY_MODE) == 0)
            (void)directory_sync_parent(part); /* which need not be ours to read */
        else if (errno != EEXIST)
            return error_set(why, "journal.path = %s: cannot make the directory %s: %s", path, part,
                             strerror(errno));
    }
    return 0;
}

/* Who holds the lock, as it has written into the file. */
static void name_holder(int fd, char *out, size_t size)
{
    ssize_t n = pread(fd, out, size - 1, 0);

    out[n > 0 ? n : 0] = '\0';
    out[strspn(out, "0123456789")] = '\0';
}

/* One process at a time writes: the lock goes with the process, however it ends. */
int directory_lock(const char *path, int *fd, struct error *why)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char file[MAX_FILE];
    char pid[24];

    snprintf(file, sizeof file, "%s/" LOCK_FILE, path);
    *fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (*fd < 0)
        return error_set(why, "journal.path = %s: cannot write there: %s (%s)", path,
                         strerror(errno), file);
    if (fcntl(*fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return error_set(why, "journal.path = %s: cannot lock %s: %s", path, file,
                             strerror(errno));
        name_holder(*fd, pid, sizeof pid);
        return error_set(why,
                         "journal.path = %s is in use by process %s: end it, or give this one "
                         "another path",
                         path, pid[0] != '\0' ? pid : "(unknown)");
    }
    snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    /* Written before it is cut: a full disk need not give back what was freed. */
    if (pwrite(*fd, pid, strlen(pid), 0) != (ssize_t)strlen(pid) ||
        ftruncate(*fd, (off_t)strlen(pid)) != 0)
        return error_set(why, "journal.path = %s: cannot write %s: %s", path, file,
                         strerror(errno));
    return 0;
}

bool store_is_locked(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char file[MAX_FILE];
    bool is_locked;
    int fd;

    snprintf(file, sizeof file, "%s/" LOCK_FILE, path);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    is_locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return is_locked;
}

int store_find(const char *path, struct error *why)
{
    char file[MAX_FILE];
    struct stat info;

    snprintf(file, sizeof file, "%s/" DATA_FILE, path);
    if (stat(file, &info) != 0)
        return error_set(why, "journal.path = %s: %s%s%s", path,
                         errno == ENOENT ? "there is no journal (" : "cannot read ", file,
                         errno == ENOENT ? " is missing)" : "");
    return 0;
}

void store_forget_readers(const char *path)
{
    char file[MAX_FILE];

    snprintf(file, sizeof file, "%s/" READERS_FILE, path);
    unlink(file);
}

int directory_sync_parent(const char *path)
{
    char parent[MAX_FILE];

    snprintf(parent, sizeof parent, "%s/..", path);
    return -file_sync_directory(parent);
}

int directory_check_empty(const char *path, const char *but_for, struct error *why)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int status = 0;

    if (directory == NULL)
        return error_set(why, "cannot read %s: %s", path, strerror(errno));
    while (status == 0 && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, but_for) != 0)
            status = error_set(why, "%s is not empty: there is %s in it", path, entry->d_name);
    closedir(directory);
    return status;
}

/* What is root's of the files in there becomes that user's. */
static int give_files(int directory, uid_t uid, gid_t gid)
{
    const char *const files[] = {DATA_FILE, READERS_FILE, LOCK_FILE, wal_file_names[0],
                                 wal_file_names[1]};
    int status = 0;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct stat file = {.st_nlink = 0}; /* the test below may be made in any order */

        /* A link could lead to any file of root's. */
        if (fstatat(directory, files[i], &file, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(file.st_mode) || file.st_nlink != 1 || file.st_uid != 0)
            continue;
        if (fchownat(directory, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
            status = -errno;
    }
    return status;
}

void directory_give_to_owner(const char *path)
{
    struct stat owner;
    int fd;

    if (geteuid() != 0)
        return;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &owner) == 0 && owner.st_uid != 0)
        (void)give_files(fd, owner.st_uid, owner.st_gid);
    close(fd);
}

int directory_give_to(const char *path, uid_t uid, gid_t gid)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat info;
    int status;

    if (fd < 0)
        return -errno;
    status = fstat(fd, &info) != 0 ? -errno : give_files(fd, uid, gid);
    /* As it is made where there is none. Of another one of root's the files are enough. */
    if (status == 0 && info.st_uid == 0 && (info.st_mode & 07777) == DIRECTORY_MODE &&
        fchown(fd, uid, gid) != 0)
        status = -errno;
    close(fd);
    return status;
}

/* ---- a draft ---- */

struct store_lock {
    int fd;
    char path[MAX_PATH];
    char draft[MAX_PATH + 16];
};

void directory_clear_draft(const char *path)
{
    const char *const files[] = {DATA_FILE, NEW_FILE, PART_FILE, READERS_FILE, LOCK_FILE,
                                 wal_file_names[0], wal_file_names[1]};
    char name[MAX_FILE];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(name, sizeof name, "%s/" DRAFT "/%s", path, files[i]);
        unlink(name);
    }
    snprintf(name, sizeof name, "%s/" DRAFT, path);
    rmdir(name);
}

struct store_lock *store_lock(const char *path, struct error *why)
{
    struct store_lock *lock = calloc(1, sizeof *lock);

    if (lock == NULL) {
        error_set(why, "out of memory");
        return NULL;
    }
    lock->fd = -1;
    if (directory_make(path, why) != 0 || directory_lock(path, &lock->fd, why) != 0) {
        if (lock->fd >= 0)
            close(lock->fd);
        free(lock);
        return NULL;
    }
    snprintf(lock->path, sizeof lock->path, "%s", path);
    snprintf(lock->draft, sizeof lock->draft, "%s/" DRAFT, path);
    directory_clear_draft(path);
    return lock;
}

void store_unlock(struct store_lock *lock)
{
    if (lock == NULL)
        return;
    directory_clear_draft(lock->path);
    directory_give_to_owner(lock->path);
    close(lock->fd);
    free(lock);
}

const char *store_draft(const struct store_lock *lock)
{
    return lock->draft;
}

/* Keeps every process from opening the old store, and fails where one has it open. The file is
 * LMDB's table of readers, and each of them holds a shared lock on its first byte. */
static int keep_readers_out(const char *readers, int *fd, struct error *why)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    *fd = open(readers, O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return errno == ENOENT ? 0 : error_set(why, "cannot open %s: %s", readers, strerror(errno));
    if (fcntl(*fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    lock.l_type = F_WRLCK;
    if (fcntl(*fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
        return error_set(why, "process %ld is reading the journal: try again when it has ended",
                         (long)lock.l_pid);
    return error_set(why, "another process is reading the journal: try again when it has ended");
}

static int sync_file(const char *file)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    int code = fd < 0 || fsync(fd) != 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return code;
}

int directory_replace(const char *path, bool in_any_case, struct error *why)
{
    char readers[MAX_FILE];
    char from[MAX_FILE];
    char to[MAX_FILE];
    int fd;
    int code;
    int status;

    snprintf(readers, sizeof readers, "%s/" READERS_FILE, path);
    snprintf(from, sizeof from, "%s/" DRAFT "/" DATA_FILE, path);
    snprintf(to, sizeof to, "%s/" DATA_FILE, path);
    code = sync_file(from);
    if (code != 0)
        return error_set(why, "cannot write %s: %s", from, strerror(code));
    status = keep_readers_out(readers, &fd, in_any_case ? NULL : why);
    if (in_any_case)
        status = 0;
    if (status == 0 && rename(from, to) != 0)
        status = error_set(why, "cannot rename %s to %s: %s", from, to, strerror(errno));
    if (status == 0)
        unlink(readers);
    if (fd >= 0)
        close(fd);
    if (status != 0)
        return status;
    code = -file_sync_directory(path);
    return code == 0 ? 0 : error_set(why, "cannot write %s: %s", path, strerror(code));
}

int store_replace(struct store_lock *lock, struct error *why)
{
    return directory_replace(lock->path, false, why);
}

const char *store_locked_path(const struct store_lock *lock)
{
    return lock->path;
}
