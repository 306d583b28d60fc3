/* find_server.c - the listening socket's inode from /proc/net, its holder from /proc/PID/fd. */
#include "loadgen/loadgen.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "net/address.h"

enum { LISTENING = 0x0a }; /* TCP_LISTEN as /proc/net/tcp writes it */

/* The inode of a socket that listens on `port`; 0: none in this file. */
static uint64_t listening_inode(const char *path, unsigned port)
{
    FILE *f = fopen(path, "re");
    char line[512];
    uint64_t found = 0;

    while (f != NULL && found == 0 && fgets(line, sizeof(line), f) != NULL) {
        unsigned local, state;
        uint64_t inode;

        if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %" SCNu64,
                   &local, &state, &inode) == 3 &&
            local == port && state == LISTENING)
            found = inode;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

static bool has_socket(const char *pid, uint64_t inode)
{
    char path[300];
    char wanted[64];
    char link[64];
    DIR *dir;
    struct dirent *entry;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
    dir = opendir(path);
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

        found = n > 0 && slice_is(slice_make(link, (size_t)n), wanted);
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

/* The lowest process number: of a server with workers that is the one that made them. */
static pid_t holder_of(uint64_t inode)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);

        if (isdigit((unsigned char)entry->d_name[0]) && (found == 0 || pid < found) &&
            has_socket(entry->d_name, inode))
            found = pid;
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

pid_t loadgen_find_server(const struct load_target *target)
{
    const struct sockaddr *address = (const struct sockaddr *)&target->address;
    unsigned port = peer_of(address).port;
    uint64_t inode = 0;

    if (!address_is_local(address))
        return 0;
    if (address->sa_family == AF_INET)
        inode = listening_inode("/proc/net/tcp", port);
    if (inode == 0)
        inode = listening_inode("/proc/net/tcp6", port);
    return inode == 0 ? 0 : holder_of(inode);
}
