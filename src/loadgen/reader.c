/* reader.c - an edge-triggered epoll of its own and not net/loop: an instrument should not stand on
 * what it measures, and it must be able to look by the clock instead of being woken. */
#include "reader_priv.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"

enum { EVENTS_A_TURN = 512 };

static void drop_all(struct reader *r)
{
    for (uint64_t i = 0; i < r->task.count; i++)
        stream_drop(&r->streams[i]);
    r->is_resuming = true;
}

static void resync(struct reader *r)
{
    uint64_t users = r->task.plan->users;

    for (uint64_t i = 0; i < r->task.count; i++) {
        struct load_stream *s = &r->streams[i];

        if (s->user != STREAM_NO_USER)
            s->seen[CLASS_UNICAST] = atomic_load(&r->task.shared->sent[s->user]);
        s->seen[CLASS_FANOUT] = atomic_load(&r->task.shared->sent[users]);
    }
}

static void clear_histograms(struct reader *r)
{
    memset(r->task.part->latency, 0, sizeof(r->task.part->latency));
    memset(&r->task.part->head, 0, sizeof(r->task.part->head));
}

static void tell_publisher(struct reader *r)
{
    uint64_t one = 1;

    if (write(r->task.shared->news_fd, &one, sizeof(one)) < 0)
        return; /* full: it has been told often enough */
}

static void finish_command(struct reader *r)
{
    atomic_store(&r->task.part->done, r->command_number);
    tell_publisher(r);
}

static void obey(struct reader *r)
{
    uint64_t ignored;
    unsigned number;

    if (read(r->task.command_fd, &ignored, sizeof(ignored)) < 0)
        return;
    number = atomic_load(&r->task.shared->command_number);
    if (number == r->command_number)
        return;
    r->command_number = number;
    switch (atomic_load(&r->task.shared->command)) {
    case COMMAND_OPEN:
        r->is_opening = true;
        r->next = r->under_way = r->finished = 0;
        return; /* done when all are through */
    case COMMAND_DROP:
        drop_all(r);
        break;
    case COMMAND_CLEAR:
        clear_histograms(r);
        break;
    case COMMAND_RESYNC:
        resync(r);
        break;
    case COMMAND_REREAD:
        r->is_rereading = atomic_load(&r->task.shared->reread_at) > 0;
        for (uint64_t i = 0; i < r->task.count; i++)
            stream_reread(&r->streams[i]);
        break;
    case COMMAND_END:
        drop_all(r);
        exit(0);
    }
    finish_command(r);
}

static void go_on_opening(struct reader *r)
{
    while (r->under_way < r->task.opening && r->next < r->task.count)
        stream_start(&r->streams[r->next++]);
    if (r->finished == r->task.count) {
        r->is_opening = false;
        finish_command(r);
    }
}

/* How many milliseconds until slow streams are looked at; -1: there is none. */
static int until_slow_ms(const struct reader *r)
{
    if (!stream_is_slow(&r->streams[0]))
        return -1;
    return 1000 / SLOW_LOOKS;
}

/* Slow streams read what the time since has brought them. */
static void read_slowly(struct reader *r)
{
    uint64_t now_ns = clock_mono_ns();

    if (now_ns - r->slow_ns < 1000000000u / SLOW_LOOKS)
        return;
    r->slow_ns = now_ns;
    for (uint64_t i = 0; i < r->task.count && stream_is_slow(&r->streams[i]); i++)
        stream_read_slowly(&r->streams[i]);
}

/* Writes this turn's counts where the publisher sees them. */
static void publish_counts(struct reader *r)
{
    struct reader_part *part = r->task.part;
    bool is_news = false;

    atomic_store_explicit(&part->bytes, r->bytes, memory_order_relaxed);
    atomic_store_explicit(&part->reads, r->reads, memory_order_relaxed);
    for (int class = 0; class < CLASSES; class++) {
        if (atomic_load_explicit(&part->delivered[class], memory_order_relaxed) ==
            r->delivered[class])
            continue;
        is_news = true;
        atomic_store_explicit(&part->delivered_ns, r->delivered_ns, memory_order_relaxed);
        atomic_store_explicit(&part->delivered[class], r->delivered[class], memory_order_release);
    }
    if (is_news && atomic_exchange(&r->task.shared->wants_news, false))
        tell_publisher(r);
}

/* Sleeping outside of epoll_wait means that the server's sends need not wake this process: no
 * interrupt between processors is charged to the server for the sake of who measures it. */
static int wait_for_events(struct reader *r, struct epoll_event *events)
{
    unsigned look_us = atomic_load_explicit(&r->task.shared->look_us[r->task.is_prompt],
                                            memory_order_relaxed);
    struct timespec nap = {.tv_nsec = (long)look_us * 1000};
    int n = epoll_wait(r->epoll_fd, events, EVENTS_A_TURN, look_us > 0 ? 0 : until_slow_ms(r));

    if (n == 0 && look_us > 0)
        nanosleep(&nap, NULL);
    return n;
}

_Noreturn static void live(struct reader *r)
{
    struct epoll_event events[EVENTS_A_TURN];

    for (;;) {
        int n = wait_for_events(r, events);

        if (until_slow_ms(r) >= 0)
            read_slowly(r);
        else if (n <= 0)
            continue;
        r->turn_ns = clock_mono_ns();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                obey(r);
            else
                stream_on_event(events[i].data.ptr, events[i].events);
        }
        if (r->is_opening)
            go_on_opening(r);
        publish_counts(r);
    }
}

static bool prepare(struct reader *r)
{
    const struct load_plan *plan = r->task.plan;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    uint64_t with_user = plan->streams - plan->crowd;

    r->streams = calloc(r->task.count, sizeof(*r->streams));
    r->input = malloc(READER_INPUT);
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->streams == NULL || r->input == NULL || r->epoll_fd < 0 ||
        epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->task.command_fd, &event) != 0)
        return false;
    for (uint64_t i = 0; i < r->task.count; i++) {
        struct load_stream *s = &r->streams[i];
        uint64_t number = r->task.first + i;

        s->reader = r;
        s->number = (uint32_t)number;
        s->user = number < with_user ? (uint32_t)(number % plan->users) : STREAM_NO_USER;
        s->fd = -1;
    }
    return true;
}

_Noreturn void reader_main(const struct reader_task *task)
{
    struct reader r = {.task = *task};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != task->parent)
        _exit(1);
    signal(SIGINT, SIG_IGN); /* the terminal's goes to all: the publisher ends us */
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (!prepare(&r))
        _exit(1); /* as the publisher sees */
    live(&r);
}
