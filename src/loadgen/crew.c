/* crew.c - processes and not threads, since each has descriptors of its own: where one may not have
 * enough, several have. */
#include "crew_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "reader_priv.h"

enum {
    SPARE_DESCRIPTORS = 32, /* of a reader, besides its streams */
    END_MS = 20 * 1000,     /* for the readers to close what they have */
    DO_MS = 10 * 1000,
    CROWD_NICE = 10,
};

/* The descriptors that one process may have, raised as far as we are let. */
static uint64_t descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static bool has_mixed_phase(const struct load_plan *plan)
{
    for (size_t i = 0; i < plan->phase_count; i++) {
        if (plan->phases[i].kind == LOAD_MIXED)
            return true;
    }
    return false;
}

/* How many streams the prompt reader has; 0: there is none. */
static uint64_t prompt_streams(const struct load_plan *plan)
{
    uint64_t with_user = plan->streams - plan->crowd;

    if (!has_mixed_phase(plan))
        return 0;
    return with_user < MIXED_STREAMS ? with_user : MIXED_STREAMS;
}

/* How many processes hold `streams`. Returns 0 with a sentence in `why` where they cannot. */
static unsigned processes_for(const struct load_plan *plan, uint64_t streams, struct error *why)
{
    uint64_t limit = descriptors();
    uint64_t each = limit > SPARE_DESCRIPTORS ? limit - SPARE_DESCRIPTORS : 1;
    uint64_t needed = (streams + each - 1) / each;

    if (plan->processes > 0 && plan->processes < needed) {
        error_set(why, "%" PRIu64 " streams in %" PRIu64 " process%s need %" PRIu64
                  " descriptors each, and a process may have %" PRIu64 ": raise that (ulimit -Hn, "
                  "LimitNOFILE=, /etc/security/limits.conf) or take --processes %" PRIu64,
                  streams, plan->processes, plan->processes == 1 ? "" : "es",
                  (streams + plan->processes - 1) / plan->processes + SPARE_DESCRIPTORS, limit,
                  needed);
        return 0;
    }
    if (needed >= MAX_READERS || plan->processes >= MAX_READERS) {
        error_set(why, "%" PRIu64 " streams would need over %d processes, since one may have "
                  "%" PRIu64 " descriptors: raise that (ulimit -Hn, LimitNOFILE=, "
                  "/etc/security/limits.conf)", streams, MAX_READERS - 1, limit);
        return 0;
    }
    if (plan->processes > needed)
        needed = plan->processes < streams ? plan->processes : streams;
    return needed > 0 ? (unsigned)needed : 1;
}

static int start_one(struct crew *crew, const struct templates *templates, uint64_t first,
                     uint64_t count, uint64_t opening, bool is_prompt, bool is_behind)
{
    unsigned number = crew->count;
    struct reader_task task = {
        .plan = crew->plan,
        .templates = templates,
        .shared = crew->shared,
        .part = &crew->shared->part[number],
        .first = first,
        .count = count,
        .opening = opening > 0 ? opening : 1,
        .is_prompt = is_prompt,
        .parent = getpid(),
    };
    pid_t pid;

    task.command_fd = crew->shared->command_fd[number] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pid = task.command_fd < 0 ? -1 : fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        if (is_behind && setpriority(PRIO_PROCESS, 0, CROWD_NICE) != 0)
            _exit(1);
        reader_main(&task);
    }
    crew->pids[crew->count++] = pid;
    return 0;
}

/* With a prompt reader the others stand back: its few streams must not wait behind all theirs. */
static int start_all(struct crew *crew, const struct templates *templates, unsigned processes)
{
    const struct load_plan *plan = crew->plan;
    uint64_t prompt = prompt_streams(plan);
    uint64_t first = prompt;
    uint64_t rest = plan->streams - prompt;
    int rc = 0;

    if (prompt > 0)
        rc = start_one(crew, templates, 0, prompt, plan->opening, true, false);
    for (unsigned i = 0; i < processes && rest > 0 && rc == 0; i++) {
        uint64_t count = rest / processes + (i < rest % processes);

        rc = start_one(crew, templates, first, count, plan->opening / processes, false, prompt > 0);
        first += count;
    }
    return rc;
}

int crew_start(struct crew *crew, const struct load_plan *plan, const struct templates *templates,
               struct error *why)
{
    unsigned processes = processes_for(plan, plan->streams - prompt_streams(plan), why);
    void *area;
    int rc;

    if (processes == 0)
        return -1;
    crew->plan = plan;
    crew->shared_size = sizeof(*crew->shared) + (plan->users + 1) * sizeof(crew->shared->sent[0]);
    area = mmap(NULL, crew->shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return error_set(why, "no memory for %" PRIu64 " users", plan->users);
    crew->shared = area;
    crew->shared->news_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (crew->shared->news_fd < 0)
        return error_set(why, "eventfd: %s", strerror(errno));
    fflush(NULL); /* or what is buffered would be there twice */
    atomic_store(&crew->shared->look_us[0], (unsigned)plan->look_ms * 1000);
    atomic_store(&crew->shared->look_us[1], (unsigned)plan->look_ms * 1000);
    rc = start_all(crew, templates, processes);
    if (rc != 0)
        return error_set(why, "cannot start %u processes: %s", processes, strerror(-rc));
    return 0;
}

static void end_readers(struct crew *crew)
{
    uint64_t give_up_ms = clock_mono_ms() + END_MS;

    crew_command(crew, COMMAND_END);
    for (unsigned i = 0; i < crew->count; i++) {
        while (waitpid(crew->pids[i], NULL, WNOHANG) == 0) {
            if (clock_mono_ms() > give_up_ms)
                kill(crew->pids[i], SIGKILL);
            poll(NULL, 0, 2);
        }
    }
}

void crew_end(struct crew *crew)
{
    if (crew->shared == NULL)
        return;
    end_readers(crew);
    for (unsigned i = 0; i < crew->count; i++)
        close(crew->shared->command_fd[i]);
    if (crew->shared->news_fd > 0)
        close(crew->shared->news_fd);
    munmap(crew->shared, crew->shared_size);
    *crew = (struct crew){0};
}

void crew_command(struct crew *crew, enum reader_command command)
{
    uint64_t one = 1;

    atomic_store(&crew->shared->command, command);
    atomic_fetch_add(&crew->shared->command_number, 1);
    for (unsigned i = 0; i < crew->count; i++) {
        if (write(crew->shared->command_fd[i], &one, sizeof(one)) < 0)
            continue; /* not read since the last one: it will see this one too */
    }
}

bool crew_is_done(const struct crew *crew)
{
    unsigned number = atomic_load(&crew->shared->command_number);

    for (unsigned i = 0; i < crew->count; i++) {
        if (atomic_load(&crew->shared->part[i].done) != number)
            return false;
    }
    return true;
}

bool crew_has_lost(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        siginfo_t ended = {0};

        if (waitid(P_PID, (id_t)crew->pids[i], &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            ended.si_pid != 0)
            return true;
    }
    return false;
}

void crew_do(struct crew *crew, enum reader_command command)
{
    uint64_t give_up_ms = clock_mono_ms() + DO_MS;

    crew_command(crew, command);
    while (!crew_is_done(crew) && clock_mono_ms() < give_up_ms && !crew_has_lost(crew))
        crew_wait(crew, 100);
}

void crew_wait(const struct crew *crew, int ms)
{
    struct pollfd news = {.fd = crew->shared->news_fd, .events = POLLIN};
    uint64_t ignored;

    if (poll(&news, 1, ms) > 0 && read(news.fd, &ignored, sizeof(ignored)) < 0)
        return; /* taken by another call */
}

void crew_read(const struct crew *crew, struct crew_totals *t)
{
    *t = (struct crew_totals){0};
    for (unsigned i = 0; i < crew->count; i++) {
        const struct reader_part *part = &crew->shared->part[i];
        uint64_t opened_ns = atomic_load(&part->opened_ns);
        uint64_t delivered_ns = atomic_load(&part->delivered_ns);

        for (int class = 0; class < CLASSES; class++)
            t->delivered[class] += atomic_load(&part->delivered[class]);
        t->doubled += atomic_load(&part->doubled);
        t->reordered += atomic_load(&part->reordered);
        t->gaps += atomic_load(&part->gaps);
        t->misrouted += atomic_load(&part->misrouted);
        t->open += atomic_load(&part->open);
        t->failed += atomic_load(&part->failed);
        t->closed += atomic_load(&part->closed);
        t->reread += atomic_load(&part->reread);
        t->bytes += atomic_load(&part->bytes);
        t->reads += atomic_load(&part->reads);
        if (opened_ns > t->opened_ns)
            t->opened_ns = opened_ns;
        if (delivered_ns > t->delivered_ns)
            t->delivered_ns = delivered_ns;
    }
}

void crew_latency(const struct crew *crew, enum channel_class class, struct histogram *into)
{
    *into = (struct histogram){0};
    for (unsigned i = 0; i < crew->count; i++)
        histogram_merge(into, &crew->shared->part[i].latency[class]);
}

void crew_heads(const struct crew *crew, struct histogram *into)
{
    *into = (struct histogram){0};
    for (unsigned i = 0; i < crew->count; i++)
        histogram_merge(into, &crew->shared->part[i].head);
}

const char *crew_failure(const struct crew *crew)
{
    if (crew_has_lost(crew))
        return "a process that holds streams has ended: it had no memory, or was killed";
    for (unsigned i = 0; i < crew->count; i++) {
        if (atomic_load(&crew->shared->part[i].has_failed))
            return crew->shared->part[i].failure;
    }
    return "";
}
