/*
 * rawlimit - what the kernel alone allows on this machine: N loopback
 * connections, a fixed answer, then fan-out of one preformatted frame to all
 * sockets with no parsing, no queues and no bookkeeping.
 *
 * P pairs of processes (one pair per ~19000 connections if RLIMIT_NOFILE is
 * small): server processes pinned to one core, client processes to another.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define NS 1000000000ULL
#define MAXP 256
#define SENDS_A_TURN 128

enum mode { NONE, SEND, URING, URING_FIXED, URING_SKIP, URING_ZC, WRITE, WRITEV, ZEROCOPY, MODES };
static const char *const mode_names[MODES] = {
    [NONE] = "none",
    [SEND] = "send",
    [URING] = "uring",             /* as the daemon does it */
    [URING_FIXED] = "uring-fixed", /* the descriptors are registered */
    [URING_SKIP] = "uring-skip",   /* only what fails is reported */
    [URING_ZC] = "uring-zc",       /* from the program's memory, without a copy */
    [WRITE] = "write",
    [WRITEV] = "writev",           /* of three pieces */
    [ZEROCOPY] = "zerocopy",       /* send with MSG_ZEROCOPY, with its notifications read */
};

__attribute__((format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("rawlimit: ", stderr);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, " (%s)\n", strerror(errno));
    va_end(ap);
    exit(1);
}
static uint64_t clk(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}
static uint64_t now_ns(void)
{
    return clk(CLOCK_MONOTONIC);
}
static void nap_us(unsigned us)
{
    struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}
static void pin(int cpu)
{
    cpu_set_t s;
    CPU_ZERO(&s);
    CPU_SET(cpu, &s);
    sched_setaffinity(0, sizeof s, &s);
}

struct pairshm {
    _Atomic uint64_t accepted, connected, failed, rx_bytes;
    _Atomic uint64_t sent, srv_cpu, cli_cpu, t_start, t_end, eagain, srv_conn_cpu;
    _Atomic uint64_t cli_cpu_now;
    _Atomic uint64_t longest; /* SENDS_A_TURN sends in a row, wall time: what a turn of a loop that
                                 does nothing else takes when the machine stands still at worst */
    _Atomic int srv_done;
} __attribute__((aligned(64)));
static struct shm {
    _Atomic int go;         /* 1 connect, 2 fan-out, 3 end */
    _Atomic int phase_mode; /* index of the mode */
    _Atomic uint64_t t_up;
    struct pairshm p[MAXP];
} * S;

static int N = 10000, frame = 100, batch = 256, merge = 1, use_epoll = 1, scpu = 0, ccpu = 1,
           inflight = 256;
static double secs = 4;
static const char *modes = "send,write,writev,zerocopy";
static int lfd[MAXP];
static struct sockaddr_in laddr[MAXP];

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             "Cache-Control: no-cache\r\nConnection: keep-alive\r\n\r\n";
static const char request[] = "GET /notifications/u12345 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
                              "Accept: text/event-stream\r\n\r\n";

/* ------------------------------------------------------------------ */

static void wait_clients(struct pairshm *p, uint64_t want)
{
    while (atomic_load(&p->rx_bytes) < want)
        nap_us(100);
}

static void send_all(struct pairshm *p, int fd, const char *b, size_t n)
{
    while (n) {
        ssize_t r = send(fd, b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0 && errno == EAGAIN) {
            atomic_fetch_add(&p->eagain, 1);
            nap_us(50);
            continue;
        }
        if (r < 0)
            die("send");
        b += r;
        n -= (size_t)r;
    }
}

/* Reads the notifications of what was sent without a copy: the buffer is ours again. */
static void reap_zerocopy(int fd)
{
    char control[128];
    struct msghdr m;

    do {
        m = (struct msghdr){.msg_control = control, .msg_controllen = sizeof control};
    } while (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
}

static void zerocopy_round(const int *fd, int n, const char *b, size_t len)
{
    for (int i = 0; i < n; i++) {
        if (send(fd[i], b, len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_ZEROCOPY) != (ssize_t)len)
            die("send with MSG_ZEROCOPY");
        reap_zerocopy(fd[i]);
    }
}

#ifdef HAVE_LIBURING
static bool uring_open(struct io_uring *r)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                         IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                .cq_entries = (unsigned)batch * 4};

    return io_uring_queue_init_params((unsigned)batch, r, &p) == 0;
}

/* Takes what has come; returns how many of `want` results and notifications are still to come. */
static int uring_collect(struct io_uring *r, enum mode mode, size_t len, int want)
{
    struct io_uring_cqe *c;
    unsigned head, seen = 0;

    io_uring_for_each_cqe(r, head, c)
    {
        if (!(c->flags & IORING_CQE_F_NOTIF) && c->res != (int)len)
            die("uring send gave %d", c->res);
        if (mode == URING_ZC && !(c->flags & (IORING_CQE_F_NOTIF | IORING_CQE_F_MORE)))
            want--; /* no notification will follow */
        seen++;
        want--;
    }
    io_uring_cq_advance(r, seen);
    return want;
}

static void uring_round(struct io_uring *r, enum mode mode, const int *fd, int n, const char *b,
                        size_t len)
{
    for (int i = 0; i < n;) {
        int k = n - i < batch ? n - i : batch;
        int want = mode == URING_SKIP ? 0 : mode == URING_ZC ? 2 * k : k;
        for (int j = 0; j < k; j++) {
            struct io_uring_sqe *s = io_uring_get_sqe(r);
            int f = mode == URING_FIXED ? i + j : fd[i + j];
            if (mode == URING_ZC)
                io_uring_prep_send_zc(s, f, b, len, MSG_NOSIGNAL | MSG_DONTWAIT, 0);
            else /* a part that is taken is no success only with MSG_WAITALL */
                io_uring_prep_send(s, f, b, len, MSG_NOSIGNAL | MSG_DONTWAIT |
                                                     (mode == URING_SKIP ? MSG_WAITALL : 0));
            if (mode == URING_FIXED)
                s->flags |= IOSQE_FIXED_FILE;
            if (mode == URING_SKIP)
                s->flags |= IOSQE_CQE_SKIP_SUCCESS;
        }
        if (io_uring_submit_and_wait(r, (unsigned)(want > k ? k : want)) != k)
            die("io_uring_enter");
        want = uring_collect(r, mode, len, want);
        while (want > 0) {
            if (io_uring_submit_and_wait(r, 1) < 0)
                die("io_uring_enter");
            want = uring_collect(r, mode, len, want);
        }
        i += k;
    }
}
#endif

static void server(int id, int n)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(scpu);
    struct pairshm *p = &S->p[id];
    int *fd = calloc((size_t)n, sizeof *fd), ep = epoll_create1(0), k = 0, answered = 0;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, evs[512];
    epoll_ctl(ep, EPOLL_CTL_ADD, lfd[id], &ev);
    uint64_t c0 = clk(CLOCK_PROCESS_CPUTIME_ID);
    while (answered < n) {
        int r = epoll_wait(ep, evs, 512, 1000);
        if (atomic_load(&S->go) == 3)
            _exit(0);
        for (int i = 0; i < r; i++) {
            if (evs[i].data.u32 == UINT32_MAX) {
                int f;
                while (k < n && (f = accept4(lfd[id], NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    fd[k] = f;
                    ev.events = EPOLLIN | EPOLLET | EPOLLRDHUP;
                    ev.data.u32 = (uint32_t)k++;
                    epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev);
                }
                continue;
            }
            char b[2048];
            int f = fd[evs[i].data.u32];
            if (recv(f, b, sizeof b, 0) > 0) {
                send_all(p, f, answer, sizeof answer - 1);
                answered++;
                if (!use_epoll)
                    epoll_ctl(ep, EPOLL_CTL_DEL, f, NULL);
            }
        }
        atomic_store(&p->accepted, (uint64_t)answered);
    }
    atomic_store(&p->srv_conn_cpu, clk(CLOCK_PROCESS_CPUTIME_ID) - c0);

    char *f = malloc((size_t)frame * (size_t)merge);
    for (int m = 0; m < merge; m++) {
        memset(f + m * frame, 'x', (size_t)frame);
        memcpy(f + m * frame, "data: ", 6);
        memcpy(f + (m + 1) * frame - 2, "\n\n", 2);
    }
    size_t len = (size_t)frame * (size_t)merge;
#ifdef HAVE_LIBURING
    struct io_uring ring;
    bool have_ring = uring_open(&ring), registered = false;
#endif
    /* warm up, see loadgen/publish.c; the first mode of a run is still dearer than later ones */
    uint64_t warm = 0;
    for (int k2 = 0; k2 < 3; k2++) {
        while (atomic_load(&S->go) != 3 && atomic_load(&S->go) != 2)
            nap_us(500);
        if (atomic_load(&S->go) == 3)
            _exit(0);
        for (int i = 0; i < n; i++)
            send_all(p, fd[i], f, len);
        warm += (uint64_t)n * len;
        wait_clients(p, warm);
        nap_us(60000);
    }
    atomic_store(&p->srv_done, 1);
    int seen = 0;
    for (;;) {
        while (atomic_load(&S->go) != 3 && atomic_load(&S->phase_mode) == seen)
            nap_us(500);
        if (atomic_load(&S->go) == 3)
            _exit(0);
        int pm = atomic_load(&S->phase_mode);
        seen = pm;
        enum mode m = (enum mode)(pm & 15);
#ifdef HAVE_LIBURING
        if (m >= URING && m <= URING_ZC && !have_ring)
            die("io_uring is not available");
        if (m == URING_FIXED && !registered) {
            if (io_uring_register_files(&ring, fd, (unsigned)n) < 0)
                die("register_files");
            registered = true;
        }
#endif
        for (int i = 0, on = m == ZEROCOPY; i < n; i++)
            setsockopt(fd[i], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
        uint64_t base = atomic_load(&p->rx_bytes), rounds = 0, turn_began = 0, longest = 0;
        uint64_t t0 = now_ns(), a = clk(CLOCK_PROCESS_CPUTIME_ID);
        uint64_t end = t0 + (uint64_t)(secs * 1e9);
        atomic_store(&p->t_start, t0);
        while (now_ns() < end) {
            if (rounds >= 4)
                wait_clients(p, base + (rounds - 3) * (uint64_t)n * len);
            switch (m) {
            case SEND:
                for (int i = 0; i < n; i++) {
                    if (i % SENDS_A_TURN == 0)
                        turn_began = now_ns();
                    send_all(p, fd[i], f, len);
                    if (i % SENDS_A_TURN == SENDS_A_TURN - 1 && now_ns() - turn_began > longest)
                        longest = now_ns() - turn_began;
                }
                break;
#ifdef HAVE_LIBURING
            case URING:
            case URING_FIXED:
            case URING_SKIP:
            case URING_ZC:
                uring_round(&ring, m, fd, n, f, len);
                break;
#endif
            case WRITE:
                for (int i = 0; i < n; i++)
                    if (write(fd[i], f, len) != (ssize_t)len)
                        send_all(p, fd[i], f, len);
                break;
            case WRITEV:
                for (int i = 0; i < n; i++) {
                    struct iovec v[3] = {{f, 6}, {f + 6, len - 8}, {f + len - 2, 2}};
                    if (writev(fd[i], v, 3) != (ssize_t)len)
                        die("writev");
                }
                break;
            case ZEROCOPY:
                zerocopy_round(fd, n, f, len);
                break;
            default:
                die("this mode was not built in");
            }
            rounds++;
        }
        uint64_t b = clk(CLOCK_PROCESS_CPUTIME_ID);
        wait_clients(p, base + rounds * (uint64_t)n * len);
        atomic_store(&p->t_end, now_ns());
        atomic_store(&p->srv_cpu, b - a);
        atomic_store(&p->longest, longest);
        atomic_store(&p->sent, rounds * (uint64_t)n * (uint64_t)merge);
        atomic_store(&p->srv_done, pm);
    }
}

static void client(int id, int n, int infl)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(ccpu);
    prctl(PR_SET_TIMERSLACK, 1UL);
    struct pairshm *p = &S->p[id];
    int ep = epoll_create1(0), next = 0, pend = 0, up = 0, one = 1;
    struct epoll_event ev, evs[512];
    uint8_t *st = calloc((size_t)n, 1);
    int *fd = calloc((size_t)n, sizeof *fd);
    static char buf[65536];
    uint64_t rx = 0;
    while (atomic_load(&S->go) == 0)
        nap_us(500);
    for (;;) {
        if (atomic_load(&S->go) == 3)
            _exit(0);
        while (next < n && pend < infl) {
            int f = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            if (f < 0)
                die("socket");
            struct sockaddr_in s = {.sin_family = AF_INET};
            /* one address for 10,000: the system looks long for a free port when there are few */
            s.sin_addr.s_addr = htonl(0x7f020001u + (unsigned)id + (unsigned)(next / 10000) * 256);
            setsockopt(f, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
            if (bind(f, (struct sockaddr *)&s, sizeof s) < 0)
                die("bind");
            if (connect(f, (struct sockaddr *)&laddr[id], sizeof laddr[id]) < 0 &&
                errno != EINPROGRESS)
                die("connect");
            fd[next] = f;
            ev.events = EPOLLIN | EPOLLOUT | EPOLLET;
            ev.data.u32 = (uint32_t)next++;
            epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev);
            pend++;
        }
        int r = epoll_wait(ep, evs, 512, up < n ? 100 : 0);
        if (r == 0 && up == n) {
            nap_us(200);
            continue;
        }
        for (int i = 0; i < r; i++) {
            uint32_t c = evs[i].data.u32;
            if (st[c] == 0 && (evs[i].events & EPOLLOUT)) {
                if (send(fd[c], request, sizeof request - 1, MSG_NOSIGNAL) > 0)
                    st[c] = 1;
            }
            if (evs[i].events & EPOLLIN) {
                ssize_t k = recv(fd[c], buf, sizeof buf, 0);
                if (k <= 0) {
                    atomic_fetch_add(&p->failed, 1);
                    continue;
                }
                if (st[c] == 1) {
                    st[c] = 2;
                    pend--;
                    up++;
                    atomic_store(&p->connected, (uint64_t)up);
                } else {
                    rx += (uint64_t)k;
                }
            }
        }
        atomic_store(&p->rx_bytes, rx);
        atomic_store(&p->cli_cpu_now, clk(CLOCK_PROCESS_CPUTIME_ID));
    }
}

/* ------------------------------------------------------------------ */

struct mem {
    uint64_t avail, slab, sockmem;
};
static void mem_read(struct mem *m)
{
    char l[256];
    unsigned long long v;
    memset(m, 0, sizeof *m);
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(l, sizeof l, f)) {
        if (sscanf(l, "MemAvailable: %llu", &v) == 1)
            m->avail = v * 1024;
        else if (sscanf(l, "Slab: %llu", &v) == 1)
            m->slab = v * 1024;
    }
    if (f)
        fclose(f);
    f = fopen("/proc/net/sockstat", "r");
    while (f && fgets(l, sizeof l, f))
        if (sscanf(l, "TCP: inuse %*u orphan %*u tw %*u alloc %*u mem %llu", &v) == 1)
            m->sockmem = v * 4096;
    if (f)
        fclose(f);
}

int main(int argc, char **argv)
{
    static const struct option o[] = {{"conns", 1, 0, 'n'},
                                      {"size", 1, 0, 's'},
                                      {"secs", 1, 0, 't'},
                                      {"modes", 1, 0, 'm'},
                                      {"batch", 1, 0, 'b'},
                                      {"merge", 1, 0, 'g'},
                                      {"no-epoll", 0, 0, 'e'},
                                      {"server-cpu", 1, 0, 'S'},
                                      {"client-cpu", 1, 0, 'C'},
                                      {"inflight", 1, 0, 'i'},
                                      {0, 0, 0, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", o, NULL)) != -1)
        switch (c) {
        case 'n':
            N = atoi(optarg);
            break;
        case 's':
            frame = atoi(optarg);
            break;
        case 't':
            secs = atof(optarg);
            break;
        case 'm':
            modes = optarg;
            break;
        case 'b':
            batch = atoi(optarg);
            break;
        case 'g':
            merge = atoi(optarg);
            break;
        case 'e':
            use_epoll = 0;
            break;
        case 'S':
            scpu = atoi(optarg);
            break;
        case 'C':
            ccpu = atoi(optarg);
            break;
        case 'i':
            inflight = atoi(optarg);
            break;
        default:
            fputs(
                "usage: rawlimit [--conns N] [--size FRAME] [--secs S] [--merge FRAMES_PER_SEND]\n"
                "  [--modes send,write,writev,zerocopy,uring,uring-fixed,uring-skip,uring-zc | none]\n"
                "  [--batch SENDS_A_SYSTEM_CALL]\n"
                "  [--no-epoll] [--server-cpu C] [--client-cpu C] [--inflight N]\n",
                stderr);
            return 2;
        }
    if (frame < 16 || frame > 65536 || N < 1 || merge < 1 || batch < 1 || inflight < 1)
        die("bad option");
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    int per = (int)(rl.rlim_cur > 1000000 ? 1000000 : rl.rlim_cur) - 400;
    int P = (N + per - 1) / per;
    if (P > MAXP)
        die("too many processes");
    S = mmap(NULL, sizeof *S, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid[2 * MAXP];
    int np = 0;
    for (int i = 0; i < P; i++) {
        lfd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        laddr[i].sin_family = AF_INET;
        laddr[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(lfd[i], (struct sockaddr *)&laddr[i], sizeof laddr[i]) < 0 ||
            listen(lfd[i], 4096) < 0)
            die("listen");
        socklen_t l = sizeof laddr[i];
        getsockname(lfd[i], (struct sockaddr *)&laddr[i], &l);
    }
    for (int i = 0; i < P; i++) {
        int n = N / P + (i < N % P);
        int infl = inflight / P > 4 ? inflight / P : 4;
        for (int k = 0; k < 2; k++) {
            pid[np] = fork();
            if (pid[np] == 0) {
                if (k == 0)
                    server(i, n);
                else
                    client(i, n, infl);
                _exit(0);
            }
            np++;
        }
    }
    nap_us(200000);
    struct mem m0, m1;
    mem_read(&m0);
    uint64_t t0 = now_ns(), up = 0;
    atomic_store(&S->go, 1);
    while (now_ns() - t0 < 150 * NS) {
        up = 0;
        for (int i = 0; i < P; i++)
            up += atomic_load(&S->p[i].connected);
        if (up == (uint64_t)N)
            break;
        nap_us(500);
    }
    double dt = (double)(now_ns() - t0) / 1e9;
    nap_us(1200000);
    mem_read(&m1);
    uint64_t cc = 0;
    for (int i = 0; i < P; i++)
        cc += atomic_load(&S->p[i].srv_conn_cpu);
    printf(
        "connect: %llu/%d in %.2f s = %.0f conn/s, server %.2f us CPU/conn, %d process pair(s)\n",
        (unsigned long long)up, N, dt, (double)up / dt, (double)cc / 1e3 / (double)up, P);
    printf("memory per idle connection, both ends: slab %.0f B, all %.0f B; TCP buffers %.0f B; "
           "one end about %.0f B (server end %s epoll, client end with epoll)\n",
           ((double)m1.slab - (double)m0.slab) / (double)up,
           ((double)m0.avail - (double)m1.avail) / (double)up,
           ((double)m1.sockmem - (double)m0.sockmem) / (double)up,
           ((double)m1.slab - (double)m0.slab) / (double)up / 2, use_epoll ? "with" : "without");
    printf("{\"tool\":\"rawlimit\",\"mode\":\"connect\",\"conns\":%d,\"conns_per_s\":%.0f,"
           "\"server_us_per_conn\":%.4f,\"slab_per_conn\":%.1f}\n",
           N, (double)up / dt, (double)cc / 1e3 / (double)up,
           ((double)m1.slab - (double)m0.slab) / (double)up);
    fflush(stdout);
    char *list = strdup(modes);
    int gen = 1;
    if (strcmp(modes, "none") != 0 && up == (uint64_t)N) {
        atomic_store(&S->go, 2);
        uint64_t t1 = now_ns();
        for (int i = 0; i < P && now_ns() - t1 < 60 * NS;)
            if (atomic_load(&S->p[i].srv_done) == 1)
                i++;
            else
                nap_us(1000);
    }
    for (char *t = strtok(list, ","); t && up == (uint64_t)N; t = strtok(NULL, ",")) {
        int m = NONE;
        for (int i = SEND; i < MODES; i++)
            if (!strcmp(t, mode_names[i]))
                m = i;
        if (m == NONE) {
            fprintf(stderr, "rawlimit: no mode %s\n", t);
            continue;
        }
        uint64_t k0 = 0;
        for (int i = 0; i < P; i++)
            k0 += atomic_load(&S->p[i].cli_cpu_now);
        int pm = (gen++ << 4) | m;
        atomic_store(&S->phase_mode, pm);
        uint64_t t1 = now_ns();
        for (;;) {
            int done = 0;
            for (int i = 0; i < P; i++)
                done += atomic_load(&S->p[i].srv_done) == pm;
            if (done == P || now_ns() - t1 > (uint64_t)((secs + 20) * 1e9))
                break;
            nap_us(2000);
        }
        nap_us(2000);
        uint64_t sent = 0, cpu = 0, k1 = 0, a = UINT64_MAX, b = 0, eag = 0, longest = 0;
        for (int i = 0; i < P; i++) {
            struct pairshm *p = &S->p[i];
            sent += p->sent;
            cpu += p->srv_cpu;
            k1 += p->cli_cpu_now;
            eag += p->eagain;
            if (p->longest > longest)
                longest = p->longest;
            if (p->t_start < a)
                a = p->t_start;
            if (p->t_end > b)
                b = p->t_end;
        }
        double d = (double)(b - a) / 1e9;
        printf(
            "%-12s %8.0f deliveries/s, server %.3f us CPU/delivery (busy %.0f %%), client %.3f us "
            "CPU/delivery; frame %d B x %d, %d conns, eagain %llu\n",
            t, (double)sent / d, (double)cpu / 1e3 / (double)sent, (double)cpu / 1e7 / d,
            (double)(k1 - k0) / 1e3 / (double)sent, frame, merge, N, (unsigned long long)eag);
        printf("{\"tool\":\"rawlimit\",\"mode\":\"%s\",\"conns\":%d,\"frame\":%d,\"merge\":%d,"
               "\"deliveries_per_s\":%.0f,\"server_us_per_delivery\":%.4f,"
               "\"client_us_per_delivery\":%.4f,\"longest_turn_us\":%.0f}\n",
               t, N, frame, merge, (double)sent / d, (double)cpu / 1e3 / (double)sent,
               (double)(k1 - k0) / 1e3 / (double)sent, (double)longest / 1e3);
        fflush(stdout);
    }
    atomic_store(&S->go, 3);
    t0 = now_ns();
    for (int i = 0; i < np; i++)
        while (waitpid(pid[i], NULL, WNOHANG) == 0) {
            if (now_ns() - t0 > 30 * NS)
                kill(pid[i], SIGKILL);
            nap_us(1000);
        }
    return up == (uint64_t)N ? 0 : 1;
}
