/* aside.c - the damaged files that are kept beside the store. Their names are their times, so that
 * they are in order. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "check_priv.h"

#define ASIDE DATA_FILE ".damaged-"

struct asides {
    size_t count;
    char oldest[ASIDE_NAME];
    char newest[ASIDE_NAME];
};

/* Those with names that are given here, and no others: "20261125T142631Z", perhaps with ".001". */
static bool is_aside(const char *name)
{
    static const char form[] = ASIDE "########T######Z.###";
    size_t i;

    for (i = 0; name[i] != '\0'; i++)
        if (i >= sizeof form - 1 ||
            (form[i] == '#' ? name[i] < '0' || name[i] > '9' : name[i] != form[i]))
            return false;
    return i == sizeof form - 1 || i == sizeof form - 1 - sizeof ".###" + 1;
}

static void find_asides(const char *path, struct asides *a)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;

    *a = (struct asides){.count = 0};
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (!is_aside(entry->d_name))
            continue;
        if (a->count == 0 || strcmp(entry->d_name, a->oldest) < 0)
            strcpy(a->oldest, entry->d_name);
        if (a->count == 0 || strcmp(entry->d_name, a->newest) > 0)
            strcpy(a->newest, entry->d_name);
        a->count++;
    }
    if (directory != NULL)
        closedir(directory);
}

void aside_remove_old(const char *path)
{
    struct asides all;
    char file[MAX_FILE];

    for (find_asides(path, &all); all.count > STORE_MAX_DAMAGED; find_asides(path, &all)) {
        snprintf(file, sizeof file, "%s/%s", path, all.oldest);
        if (unlink(file) != 0)
            return;
    }
}

/* A name behind those that there are, also within one second or when the clock has gone back. */
static void name_aside(const char *path, char name[ASIDE_NAME])
{
    time_t now = time(NULL);
    struct asides all;
    struct tm utc;
    char at[32];
    char *suffix;

    gmtime_r(&now, &utc);
    strftime(at, sizeof at, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(name, ASIDE_NAME, ASIDE "%s", at);
    find_asides(path, &all);
    if (strncmp(all.newest, name, strlen(name)) < 0)
        return;
    suffix = all.newest + sizeof ASIDE - 1 + strcspn(all.newest + sizeof ASIDE - 1, ".");
    snprintf(name, ASIDE_NAME, "%.*s.%03ld", (int)(suffix - all.newest), all.newest,
             *suffix == '.' ? strtol(suffix + 1, NULL, 10) + 1 : 1);
}

/* Where the file system knows no second names, a copy is made. The first name stays in any case:
 * without it the store would look like a new one. */
static int add_name(const char *from, const char *to, const struct contents *c)
{
    int code;
    int fd;

    if (link(from, to) == 0)
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return errno;
    fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return errno;
    code = -file_write_all(fd, slice_make(c->p, c->n));
    if (code == 0 && fsync(fd) != 0)
        code = errno;
    close(fd);
    if (code != 0)
        unlink(to);
    return code;
}

int aside_keep(const char *path, const struct contents *c, char name[ASIDE_NAME])
{
    char from[MAX_FILE];
    char to[MAX_FILE];
    int code;

    name[0] = '\0';
    if (c->n == 0)
        return 0;
    name_aside(path, name);
    snprintf(from, sizeof from, "%s/" DATA_FILE, path);
    snprintf(to, sizeof to, "%s/%s", path, name);
    code = add_name(from, to, c); /* which fails where there is one of that name */
    return code == 0 ? -file_sync_directory(path) : code;
}
