/* usage.c - processor time is read from the processes' own clocks: those of /proc/PID/stat count in
 * ticks of 10 ms. */
#include "usage_priv.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"

enum { MAX_SERVERS = 1024, MAX_PROCESSES = 32768 };

struct process_list {
    size_t count;
    pid_t pids[MAX_SERVERS];
};

struct kinship {
    pid_t pid;
    pid_t parent;
};

static void add_process(struct process_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->pids[i] == pid)
            return;
    }
    if (list->count < MAX_SERVERS)
        list->pids[list->count++] = pid;
}

/* Opens /proc/PID/NAME. */
static FILE *open_of(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

static pid_t parent_of(pid_t pid)
{
    char line[512] = "";
    FILE *f = open_of(pid, "stat");
    const char *behind_name;
    int parent = 0;

    if (f == NULL)
        return 0;
    if (fgets(line, sizeof(line), f) != NULL && (behind_name = strrchr(line, ')')) != NULL &&
        sscanf(behind_name + 1, " %*c %d", &parent) != 1)
        parent = 0;
    fclose(f);
    return parent;
}

static size_t all_processes(struct kinship *all, size_t max)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    size_t n = 0;

    while (dir != NULL && n < max && (entry = readdir(dir)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        all[n].pid = (pid_t)atoi(entry->d_name);
        all[n].parent = parent_of(all[n].pid);
        n++;
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* The plan's servers and their descendants. */
static void find_servers(struct process_list *list, const struct load_plan *plan)
{
    struct kinship *all;
    size_t n;

    list->count = 0;
    for (size_t i = 0; i < plan->server_count; i++)
        add_process(list, plan->servers[i]);
    all = list->count > 0 ? malloc(MAX_PROCESSES * sizeof(*all)) : NULL;
    if (all == NULL)
        return;
    n = all_processes(all, MAX_PROCESSES);
    for (size_t i = 0; i < list->count; i++) { /* the list grows */
        for (size_t k = 0; k < n; k++) {
            if (all[k].parent == list->pids[i])
                add_process(list, all[k].pid);
        }
    }
    free(all);
}

static uint64_t cpu_ns_of(pid_t pid)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The ticks of a line of /proc/stat: the busy ones, and those stolen. */
static bool read_ticks(const char *line, const char *name, uint64_t *busy, uint64_t *stolen)
{
    uint64_t user, nice, system, idle, iowait, irq, softirq;
    size_t n = strlen(name);

    if (strncmp(line, name, n) != 0 || line[n] != ' ' ||
        sscanf(line + n, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64, &user, &nice, &system, &idle, &iowait, &irq, &softirq,
               stolen) != 8)
        return false;
    *busy = user + nice + system + irq + softirq;
    return true;
}

static void read_cores(struct usage *u, int core)
{
    FILE *f = fopen("/proc/stat", "re");
    char line[512];
    char name[16];
    uint64_t busy, stolen;

    snprintf(name, sizeof(name), "cpu%d", core);
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (read_ticks(line, "cpu", &busy, &stolen))
            u->steal_ticks = stolen;
        else if (core >= 0 && read_ticks(line, name, &busy, &stolen))
            u->core_ticks = busy;
    }
    if (f != NULL)
        fclose(f);
}

void usage_read(struct usage *u, const struct crew *crew)
{
    struct process_list servers;

    *u = (struct usage){0};
    find_servers(&servers, crew->plan);
    for (size_t i = 0; i < servers.count; i++)
        u->server_ns += cpu_ns_of(servers.pids[i]);
    u->generator_ns = cpu_ns_of(getpid());
    for (unsigned i = 0; i < crew->count; i++)
        u->generator_ns += cpu_ns_of(crew->pids[i]);
    read_cores(u, crew->plan->core);
    u->at_ns = clock_mono_ns();
}

struct load_cost usage_between(const struct usage *from, const struct usage *to)
{
    double ns = to->at_ns > from->at_ns ? (double)(to->at_ns - from->at_ns) : 1;
    double tick_ns = 1e9 / (double)sysconf(_SC_CLK_TCK);

    return (struct load_cost){
        .seconds = ns / 1e9,
        .server_ns = to->server_ns - from->server_ns,
        .generator_ns = to->generator_ns - from->generator_ns,
        .core_busy = (double)(to->core_ticks - from->core_ticks) * tick_ns / ns,
        .steal_ticks = to->steal_ticks - from->steal_ticks,
    };
}

/* Adds the KiB of the line that begins with `name`, as bytes. */
static void add_kib(const char *line, const char *name, uint64_t *bytes)
{
    uint64_t kib;

    if (strncmp(line, name, strlen(name)) == 0 &&
        sscanf(line + strlen(name), " %" SCNu64, &kib) == 1)
        *bytes += kib * 1024;
}

static void add_memory_of(pid_t pid, uint64_t *rss, uint64_t *pss)
{
    FILE *f = open_of(pid, "smaps_rollup");
    char line[256];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        add_kib(line, "Rss:", rss);
        add_kib(line, "Pss:", pss);
    }
    if (f != NULL)
        fclose(f);
}

void memory_read(struct memory_now *m, const struct crew *crew)
{
    struct process_list servers;
    FILE *f = fopen("/proc/meminfo", "re");
    char line[256];
    uint64_t ignored = 0;

    *m = (struct memory_now){0};
    find_servers(&servers, crew->plan);
    for (size_t i = 0; i < servers.count; i++)
        add_memory_of(servers.pids[i], &m->rss, &m->pss);
    add_memory_of(getpid(), &ignored, &m->generator_pss);
    for (unsigned i = 0; i < crew->count; i++)
        add_memory_of(crew->pids[i], &ignored, &m->generator_pss);
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        add_kib(line, "Slab:", &m->slab);
    if (f != NULL)
        fclose(f);
}
