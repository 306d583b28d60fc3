/* loop.c - a turn is what lies between the check watcher, which is called first after the wait,
 * and the end of the prepare watcher, which is called last before it. */
#include "net/loop.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "net/sock.h"
#include "net/wheel.h"
#include "sock_priv.h"
#include "uring_priv.h"

enum {
    MAX_HOOKS = 8,
    CPU_READ_US = 250,   /* of turns between two readings of the processor time */
    EVENTS_NS = 4000000, /* of events a turn: whatever they take, hooks, deadlines and the clock get
                            their turn */
    TOLD_A_TURN = 256,   /* events */
    WHEEL_BUDGET = 500,  /* nodes a turn: each may be a connection to close, some 10 us */
};

struct loop {
    struct ev_loop *ev;
    struct uring *uring;    /* NULL: not used */
    struct stats *stats;
    uint64_t now_ms;
    uint64_t turn_began_ns; /* 0: none has begun */
    bool is_late;           /* this turn has handled events for EVENTS_NS */
    int epoll_fd;           /* the socks' own: of libev's, each turn handles as much as there is */
    ev_io told_of;          /* that there is something in it */
    size_t told_at;         /* those before it are handled */
    size_t told_count;
    struct epoll_event told[TOLD_A_TURN]; /* NULL: the sock is gone */
    struct log_gate unwatched;
    uint64_t cpu_ns;        /* the thread's processor time when it was last read */
    uint64_t unread_us;     /* of turns since then */
    ev_prepare prepare;
    ev_check check;
    ev_idle idle;           /* active while something waits for the next turn */
    ev_timer ticker;
    bool is_woken;          /* loop_wake was called after the hooks had begun */
    bool is_wheel_due;
    size_t hook_count;
    struct {
        loop_hook *run;
        void *ctx;
    } hooks[MAX_HOOKS];
    struct wheel wheel;
};

bool loop_is_late(struct loop *loop)
{
    if (!loop->is_late)
        loop->is_late = clock_mono_ns() - loop->turn_began_ns >= EVENTS_NS;
    return loop->is_late;
}

void loop_forget(struct loop *loop, const struct sock *s)
{
    for (size_t i = loop->told_at; i < loop->told_count; i++)
        if (loop->told[i].data.ptr == s)
            loop->told[i].data.ptr = NULL;
}

/* Handles what epoll has told of, until the turn is late; what is left is the first of the next. */
static void run_told(struct loop *loop)
{
    while (loop->told_at < loop->told_count && !loop_is_late(loop)) {
        const struct epoll_event *told = &loop->told[loop->told_at++];

        if (told->data.ptr != NULL)
            sock_on_told(told->data.ptr, told->events);
    }
}

/* The socks' epoll has something to tell: a part of it, so that hooks have their turn. The kernel
 * puts what it has told of behind the others, so nobody is passed over for long. */
static void on_told(struct ev_loop *ev, ev_io *watcher, int events)
{
    struct loop *loop = watcher->data;
    int n;

    (void)ev;
    (void)events;
    if (loop->told_at < loop->told_count)
        return;
    n = epoll_wait(loop->epoll_fd, loop->told, TOLD_A_TURN, 0);
    loop->told_at = 0;
    loop->told_count = n > 0 ? (size_t)n : 0;
    run_told(loop);
}

static void on_check(struct ev_loop *ev, ev_check *watcher, int events)
{
    struct loop *loop = watcher->data;

    (void)ev;
    (void)events;
    loop->turn_began_ns = clock_mono_ns();
    loop->now_ms = loop->turn_began_ns / 1000000;
    loop->is_late = false;
    run_told(loop);
}

/* The processor time of a turn that took `us` by the clock. What the machine did besides is not in
 * it, and sleeping costs none, so the end of one turn is the start of the next. Short turns are
 * taken together, as a reading costs about a microsecond; so a long one may be told up to
 * CPU_READ_US longer than it was, though never longer than `us`. */
static void count_cpu(struct loop *loop, uint64_t us)
{
    uint64_t now_ns;
    uint64_t cpu_us;

    loop->unread_us += us;
    if (loop->unread_us < CPU_READ_US)
        return;
    now_ns = clock_thread_ns();
    cpu_us = (now_ns - loop->cpu_ns) / 1000;
    if (cpu_us > us)
        cpu_us = us;
    if (cpu_us > loop->stats->loop_longest_cpu_us)
        loop->stats->loop_longest_cpu_us = cpu_us;
    loop->cpu_ns = now_ns;
    loop->unread_us = 0;
}

static void count_turn(struct loop *loop)
{
    uint64_t us;

    loop->stats->loop_turns++;
    if (loop->turn_began_ns == 0) {
        loop->cpu_ns = clock_thread_ns();
        return;
    }
    us = (clock_mono_ns() - loop->turn_began_ns) / 1000;
    if (us > loop->stats->loop_longest_us)
        loop->stats->loop_longest_us = us;
    histogram_add(&loop->stats->loop_turn, us);
    count_cpu(loop, us);
}

static void on_prepare(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    struct loop *loop = watcher->data;
    bool has_more = false;

    (void)events;
    loop->now_ms = clock_mono_ms();
    loop->is_woken = false;
    if (loop->is_wheel_due) {
        loop->is_wheel_due = wheel_advance(&loop->wheel, loop->now_ms, WHEEL_BUDGET);
        has_more = loop->is_wheel_due;
    }
    for (size_t i = 0; i < loop->hook_count; i++)
        has_more |= loop->hooks[i].run(loop->hooks[i].ctx);
    log_flush();
    if (has_more || loop->is_woken || loop->told_at < loop->told_count)
        ev_idle_start(ev, &loop->idle);
    else
        ev_idle_stop(ev, &loop->idle);
    count_turn(loop);
}

/* Being active is all that it is for: libev does not sleep then. */
static void on_idle(struct ev_loop *ev, ev_idle *watcher, int events)
{
    (void)ev;
    (void)watcher;
    (void)events;
}

static void on_tick(struct ev_loop *ev, ev_timer *watcher, int events)
{
    struct loop *loop = watcher->data;

    (void)ev;
    (void)events;
    loop->is_wheel_due = true;
}

static void free_loop(struct loop *loop)
{
    if (loop->ev != NULL)
        ev_loop_destroy(loop->ev);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    uring_destroy(loop->uring);
    free(loop);
}

struct loop *loop_create(struct stats *stats, struct error *why)
{
    struct loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL) {
        error_set(why, "out of memory");
        return NULL;
    }
    loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->ev == NULL || loop->epoll_fd < 0) {
        error_set(why, "cannot make the event loop on epoll: %s", strerror(errno));
        free_loop(loop);
        return NULL;
    }
    loop->stats = stats;
    loop->now_ms = clock_mono_ms();
    wheel_init(&loop->wheel, loop->now_ms, sock_on_due);
    ev_prepare_init(&loop->prepare, on_prepare);
    ev_check_init(&loop->check, on_check);
    ev_set_priority(&loop->check, EV_MAXPRI);
    ev_idle_init(&loop->idle, on_idle);
    ev_io_init(&loop->told_of, on_told, loop->epoll_fd, EV_READ);
    ev_timer_init(&loop->ticker, on_tick, WHEEL_TICK_MS / 1e3, WHEEL_TICK_MS / 1e3);
    loop->prepare.data = loop;
    loop->check.data = loop;
    loop->told_of.data = loop;
    loop->ticker.data = loop;
    ev_prepare_start(loop->ev, &loop->prepare);
    ev_check_start(loop->ev, &loop->check);
    ev_io_start(loop->ev, &loop->told_of);
    ev_timer_start(loop->ev, &loop->ticker);
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (loop != NULL)
        free_loop(loop);
}

int loop_use_uring(struct loop *loop, struct error *why)
{
    loop->uring = uring_create(why);
    return loop->uring == NULL ? -1 : 0;
}

int loop_epoll(const struct loop *loop)
{
    return loop->epoll_fd;
}

void loop_tell_unwatched(struct loop *loop, int reason)
{
    uint64_t count;

    if (log_gate_opens(&loop->unwatched, loop->now_ms, &count))
        log_warning("%llu connections cannot be watched and are ended: %s",
                    (unsigned long long)count, strerror(reason));
}

bool loop_uses_uring(const struct loop *loop)
{
    return loop->uring != NULL;
}

struct uring *loop_uring(const struct loop *loop)
{
    return loop->uring;
}

void loop_count_uring(struct loop *loop, size_t writes)
{
    loop->stats->uring_writes += writes;
}

void loop_lose_uring(struct loop *loop)
{
    log_warning("io_uring has failed: each write is a system call from now on");
    uring_destroy(loop->uring);
    loop->uring = NULL;
}

void loop_run(struct loop *loop)
{
    ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_turn_us(const struct loop *loop)
{
    return loop->turn_began_ns / 1000;
}

uint64_t loop_wall_ms(const struct loop *loop)
{
    (void)loop;
    return clock_wall_ms();
}

struct ev_loop *loop_ev(struct loop *loop)
{
    return loop->ev;
}

struct wheel *loop_wheel(struct loop *loop)
{
    return &loop->wheel;
}

int loop_add_turn_end(struct loop *loop, loop_hook *hook, void *ctx)
{
    if (loop->hook_count == MAX_HOOKS)
        return -ENOBUFS;
    loop->hooks[loop->hook_count].run = hook;
    loop->hooks[loop->hook_count].ctx = ctx;
    loop->hook_count++;
    return 0;
}

void loop_wake(struct loop *loop)
{
    loop->is_woken = true;
    ev_idle_start(loop->ev, &loop->idle);
}
