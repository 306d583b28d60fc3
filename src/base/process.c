/* process.c - see the header. */
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t to_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec;
}

static void read_memory(struct process_info *out)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long all = 0;
    unsigned long long resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (f == NULL)
        return;
    if (fscanf(f, "%llu %llu", &all, &resident) == 2) {
        out->virtual_bytes = all * page;
        out->resident_bytes = resident * page;
    }
    fclose(f);
}

void process_read(struct process_info *out)
{
    struct rusage usage;
    struct rlimit limit;

    *out = (struct process_info){.cpu_us = 0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->cpu_us = to_us(usage.ru_utime) + to_us(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_descriptors = limit.rlim_cur;
    read_memory(out);
}

size_t process_count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    struct dirent *entry;

    if (dir == NULL)
        return 0;
    while ((entry = readdir(dir)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n > 0 ? n - 1 : 0; /* the directory's own */
}

int process_yield_thread(int steps)
{
    id_t thread = (id_t)gettid();
    int now;

    errno = 0;
    now = getpriority(PRIO_PROCESS, thread); /* of a thread, as Linux has it */
    if (now == -1 && errno != 0)
        return -errno;
    return setpriority(PRIO_PROCESS, thread, now + steps) == 0 ? 0 : -errno;
}
