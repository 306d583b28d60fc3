/*
 * ssebench - load generator and checker for Server-Sent-Events push servers.
 *
 * One parent process (controller and publisher) and W subscriber processes
 * (W = 1 unless RLIMIT_NOFILE forces more).  All of them are single-threaded
 * epoll loops and share counters and latency histograms through one
 * MAP_SHARED area.  Nothing in here knows about a particular server: paths,
 * bodies and headers are templates.
 *
 * See docs/performance.md for how it is used.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* ------------------------------------------------------------------ */
/* small things                                                        */

#define NS 1000000000ULL
#define MAX_WORKERS 256
#define MAX_PIDS 4096

__attribute__((format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("ssebench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static uint64_t self_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static void nap(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / NS), (long)(ns % NS)};
    nanosleep(&ts, NULL);
}

static uint64_t rng_state = 0x9e3779b97f4a7c15ULL;
static uint64_t rng(void)
{
    uint64_t x = rng_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return rng_state = x;
}

static char *put_u64(char *p, uint64_t v)
{
    char t[24];
    int n = 0;
    do {
        t[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n)
        *p++ = t[--n];
    return p;
}

/* ------------------------------------------------------------------ */
/* log-linear histogram: 32 sub-buckets per power of two (3 % steps)   */

#define HB (32 * 60)
struct hist {
    uint64_t n, max, sum;
    uint64_t b[HB];
};

static int hidx(uint64_t v)
{
    if (v < 32)
        return (int)v;
    int e = 63 - __builtin_clzll(v);
    int i = (e - 4) * 32 + (int)((v >> (e - 5)) & 31);
    return i < HB ? i : HB - 1;
}

static uint64_t hval(int i)
{
    if (i < 32)
        return (uint64_t)i;
    int e = i / 32 + 4;
    return ((32ULL + (uint64_t)(i % 32)) << (e - 5)) + ((1ULL << (e - 5)) >> 1);
}

static void hadd(struct hist *h, uint64_t v)
{
    h->n++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
    h->b[hidx(v)]++;
}

static void hmerge(struct hist *d, const struct hist *s)
{
    d->n += s->n;
    d->sum += s->sum;
    if (s->max > d->max)
        d->max = s->max;
    for (int i = 0; i < HB; i++)
        d->b[i] += s->b[i];
}

static double hq(const struct hist *h, double q) /* microseconds */
{
    if (!h->n)
        return 0;
    uint64_t want = (uint64_t)(q * (double)h->n + 0.5), c = 0;
    if (want < 1)
        want = 1;
    for (int i = 0; i < HB; i++) {
        c += h->b[i];
        if (c >= want) {
            uint64_t v = hval(i);
            return (double)(v > h->max ? h->max : v) / 1e3;
        }
    }
    return (double)h->max / 1e3;
}

/* ------------------------------------------------------------------ */
/* configuration                                                       */

static struct {
    struct sockaddr_in sub, pub;
    char sub_host[64], pub_host[64];
    int conns, users, procs, inflight, srcs;
    const char *path;
    char sub_headers[4096];
    const char *pub_method, *pub_path, *pub_body, *pub_type;
    char pub_headers[4096];
    int pub_conns, pipeline;
    int size;
    double rate, secs;
    int window;
    int settle_ms;
    int missed;
    int slow, slow_rate;
    int coalesce_us;
    bool fin, quiet;
    int server_cpu;
    const char *label;
    int pids[MAX_PIDS];
    int npids;
} C;

/* ------------------------------------------------------------------ */
/* shared area                                                         */

enum { CMD_NONE, CMD_CONNECT, CMD_DROP, CMD_RESET, CMD_RESYNC, CMD_BEHIND, CMD_EXIT };

struct wshm {
    _Atomic int ack;            /* number of the last finished command */
    _Atomic uint64_t delivered; /* events with a marker, all of them   */
    _Atomic uint64_t bytes, reads;
    _Atomic uint64_t dup, reorder, gap, misrouted;
    _Atomic uint64_t streaming, failed, bad_status, closed;
    _Atomic uint64_t through;     /* streams that came to their end (behind) */
    _Atomic uint64_t t_last;      /* time of the last delivery           */
    _Atomic uint64_t t_conn_last; /* time of the last finished header    */
    _Atomic uint64_t cpu_ns;
    struct hist lat;
    struct hist conn_lat;
    char first_bad[256];
} __attribute__((aligned(64)));

struct shm {
    _Atomic int cmd, cmd_no;
    _Atomic int want_wake;
    _Atomic int coalesce_us; /* see --coalesce */
    int wake_fd;
    int efd[MAX_WORKERS];
    struct wshm w[MAX_WORKERS];
    _Atomic uint32_t user_seq[]; /* last sequence number sent, per user */
};
static struct shm *S;
static uint32_t *fan; /* connections per user */

/* ------------------------------------------------------------------ */
/* templates: %d user number, %c connection number, %p payload, %%     */

static char *expand(char *p, char *end, const char *t, uint32_t user, uint32_t conn,
                    const char *payload, size_t plen)
{
    for (; *t; t++) {
        if (end - p < 32)
            die("template too long");
        if (*t != '%') {
            *p++ = *t;
            continue;
        }
        switch (*++t) {
        case 'd':
            p = put_u64(p, user);
            break;
        case 'c':
            p = put_u64(p, conn);
            break;
        case 'p':
            if ((size_t)(end - p) < plen + 32)
                die("template too long");
            memcpy(p, payload, plen);
            p += plen;
            break;
        case '%':
            *p++ = '%';
            break;
        default:
            die("unknown %%%c in template", *t);
        }
    }
    return p;
}

/* ------------------------------------------------------------------ */
/* subscriber side                                                     */

enum { ST_IDLE, ST_CONNECTING, ST_HEADERS, ST_STREAM, ST_CLOSED };
enum { CH_SIZE, CH_EXT, CH_DATA, CH_END };

struct conn {
    int fd;
    uint32_t user;
    uint32_t last_seq;
    uint32_t part_len, part_cap;
    uint32_t chunk_left;
    uint8_t state, chunked, ch_state, pad;
    char *part;
    uint64_t t0;
    char id[48];
};

static struct {
    struct conn *c;
    int n, base; /* connection numbers base .. base+n-1 */
    int ep, next, inflight, done;
    bool connecting, reconnect, behind;
    uint64_t slow_t; /* when those that read slowly did so last */
    int cmd_no;
    struct wshm *s;
    uint64_t now;
    /* local copies, flushed to shared memory after each batch */
    uint64_t delivered, bytes, reads;
} W;

#define INC(f) atomic_fetch_add_explicit(&W.s->f, 1, memory_order_relaxed)

static void part_add(struct conn *c, const char *p, size_t n)
{
    if (c->part_len + n > c->part_cap) {
        size_t cap = c->part_cap ? c->part_cap : 128;
        while (cap < c->part_len + n)
            cap *= 2;
        if (cap > (1u << 22))
            die("a line or header of more than 4 MiB");
        c->part = realloc(c->part, cap);
        if (!c->part)
            die("out of memory");
        c->part_cap = (uint32_t)cap;
    }
    memcpy(c->part + c->part_len, p, n);
    c->part_len += (uint32_t)n;
}

static void part_clear(struct conn *c)
{
    free(c->part);
    c->part = NULL;
    c->part_len = c->part_cap = 0;
}

static const char *get_u64(const char *p, const char *e, uint64_t *v)
{
    uint64_t x = 0;
    const char *s = p;
    while (p < e && *p >= '0' && *p <= '9')
        x = x * 10 + (uint64_t)(*p++ - '0');
    *v = x;
    return p == s ? NULL : p;
}

/* The marker is ~<ns>.<user>.<seq>~ and survives JSON and form encoding. */
static void got_line(struct conn *c, const char *p, size_t n)
{
    if (n && p[n - 1] == '\r')
        n--;
    if (n > 3 && memcmp(p, "id:", 3) == 0) {
        p += 3;
        n -= 3;
        if (n && *p == ' ') {
            p++;
            n--;
        }
        if (n >= sizeof c->id)
            n = sizeof c->id - 1;
        memcpy(c->id, p, n);
        c->id[n] = 0;
        return;
    }
    if (n < 10 || memcmp(p, "data:", 5) != 0)
        return;
    const char *e = p + n, *m = memchr(p, '~', n);
    while (m) {
        uint64_t ns, user, seq;
        const char *q = get_u64(m + 1, e, &ns);
        if (q && q < e && *q == '.' && (q = get_u64(q + 1, e, &user)) && q < e && *q == '.' &&
            (q = get_u64(q + 1, e, &seq)) && q < e && *q == '~') {
            W.delivered++;
            if (!W.now)
                W.now = now_ns();
            hadd(&W.s->lat, W.now > ns ? W.now - ns : 0);
            if (user != c->user) {
                INC(misrouted);
                return;
            }
            uint32_t s = (uint32_t)seq;
            if (s == c->last_seq + 1) {
                c->last_seq = s;
            } else if (s > c->last_seq) {
                atomic_fetch_add(&W.s->gap, s - c->last_seq - 1);
                c->last_seq = s;
            } else if (s == c->last_seq) {
                INC(dup);
            } else {
                INC(reorder);
            }
            return;
        }
        m = memchr(m + 1, '~', (size_t)(e - m - 1));
    }
}

static void got_text(struct conn *c, const char *p, size_t n)
{
    const char *e = p + n, *nl;
    if (c->part_len) {
        nl = memchr(p, '\n', n);
        if (!nl) {
            part_add(c, p, n);
            return;
        }
        part_add(c, p, (size_t)(nl - p));
        got_line(c, c->part, c->part_len);
        part_clear(c);
        p = nl + 1;
    }
    while (p < e && (nl = memchr(p, '\n', (size_t)(e - p)))) {
        if (nl - p >= 4)
            got_line(c, p, (size_t)(nl - p));
        p = nl + 1;
    }
    if (p < e)
        part_add(c, p, (size_t)(e - p));
}

static void got_body(struct conn *c, const char *p, size_t n)
{
    if (!c->chunked) {
        got_text(c, p, n);
        return;
    }
    const char *e = p + n;
    while (p < e) {
        switch (c->ch_state) {
        case CH_SIZE:
            if (isxdigit((unsigned char)*p)) {
                int d = *p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10;
                c->chunk_left = c->chunk_left * 16 + (uint32_t)d;
                p++;
                break;
            }
            c->ch_state = CH_EXT;
            /* fall through */
        case CH_EXT:
            if (*p++ == '\n')
                c->ch_state = c->chunk_left ? CH_DATA : CH_END;
            break;
        case CH_DATA: {
            size_t k = (size_t)(e - p);
            if (k > c->chunk_left)
                k = c->chunk_left;
            got_text(c, p, k);
            p += k;
            c->chunk_left -= (uint32_t)k;
            if (!c->chunk_left)
                c->ch_state = CH_END;
            break;
        }
        case CH_END:
            if (*p++ == '\n') {
                c->ch_state = CH_SIZE;
                c->chunk_left = 0;
            }
            break;
        }
    }
}

static void conn_close(struct conn *c, bool rst)
{
    if (c->fd >= 0) {
        if (rst) {
            struct linger l = {1, 0};
            setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        }
        close(c->fd);
    }
    c->fd = -1;
    part_clear(c);
}

static void conn_fail(struct conn *c)
{
    if (c->state == ST_CONNECTING || c->state == ST_HEADERS) {
        W.inflight--;
        W.done++;
        INC(failed);
    } else if (c->state == ST_STREAM) {
        INC(closed);
        atomic_fetch_sub(&W.s->streaming, 1);
    }
    conn_close(c, true);
    c->state = ST_CLOSED;
}

static void conn_send_request(struct conn *c)
{
    char b[8192], *p = b, *e = b + sizeof b;
    int i = W.base + (int)(c - W.c);
    memcpy(p, "GET ", 4);
    p = expand(p + 4, e, C.path, c->user, (uint32_t)i, "", 0);
    p += snprintf(p, (size_t)(e - p), " HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n",
                  C.sub_host);
    if (C.sub_headers[0])
        p = expand(p, e, C.sub_headers, c->user, (uint32_t)i, "", 0);
    if (W.reconnect && c->id[0])
        p += snprintf(p, (size_t)(e - p), "Last-Event-ID: %s\r\n", c->id);
    p += snprintf(p, (size_t)(e - p), "\r\n");
    ssize_t r = send(c->fd, b, (size_t)(p - b), MSG_NOSIGNAL);
    if (r == p - b) {
        c->state = ST_HEADERS;
        return;
    }
    if (r < 0 && (errno == EAGAIN || errno == ENOTCONN))
        return; /* not connected yet; EPOLLOUT will come */
    conn_fail(c);
}

/* The first ones of all; they do not read when something comes but when they please. */
static bool is_slow(const struct conn *c)
{
    return W.base + (c - W.c) < C.slow;
}

static void conn_start(int k)
{
    struct conn *c = &W.c[k];
    int i = W.base + k, one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->state = ST_CONNECTING;
    c->chunked = 0;
    c->ch_state = CH_SIZE;
    c->chunk_left = 0;
    c->t0 = now_ns();
    W.inflight++;
    if (c->fd < 0) {
        if (!W.s->first_bad[0])
            snprintf(W.s->first_bad, sizeof W.s->first_bad, "socket: %s", strerror(errno));
        conn_fail(c);
        return;
    }
    if (is_slow(c)) {
        int room = 8192; /* or the kernel would read for it */
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    if (C.srcs > 0) {
        struct sockaddr_in a = {.sin_family = AF_INET};
        unsigned s = (unsigned)(i % C.srcs);
        a.sin_addr.s_addr = htonl(0x7f010001u + ((s / 250) << 8) + s % 250);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&a, sizeof a) < 0) {
            conn_fail(c);
            return;
        }
    }
    if (connect(c->fd, (struct sockaddr *)&C.sub, sizeof C.sub) < 0 && errno != EINPROGRESS) {
        if (!W.s->first_bad[0])
            snprintf(W.s->first_bad, sizeof W.s->first_bad, "connect: %s", strerror(errno));
        conn_fail(c);
        return;
    }
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                             .data.u32 = (uint32_t)k};
    if (epoll_ctl(W.ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        conn_fail(c);
        return;
    }
    conn_send_request(c);
}

/* Returns the number of body bytes consumed as header, or -1 while incomplete. */
static void got_header_bytes(struct conn *c, const char *p, size_t n)
{
    part_add(c, p, n);
    char *h = c->part, *end = memmem(h, c->part_len, "\r\n\r\n", 4);
    if (!end)
        return;
    size_t hl = (size_t)(end - h) + 4;
    if (hl < 12 || memcmp(h, "HTTP/1.", 7) != 0 || memcmp(h + 9, "200", 3) != 0) {
        INC(bad_status);
        if (!W.s->first_bad[0])
            snprintf(W.s->first_bad, sizeof W.s->first_bad, "%.*s", (int)(hl < 200 ? hl - 4 : 200),
                     h);
        conn_fail(c);
        return;
    }
    for (char *q = h; q < end; q++)
        if (*q == '\n' && (size_t)(end - q) > 18 &&
            strncasecmp(q + 1, "transfer-encoding:", 18) == 0) {
            char *eol = memchr(q + 1, '\r', (size_t)(end + 1 - q - 1));
            for (char *r = q + 19; eol && r + 7 <= eol; r++)
                if (strncasecmp(r, "chunked", 7) == 0)
                    c->chunked = 1;
        }
    c->state = ST_STREAM;
    uint64_t t = now_ns();
    hadd(&W.s->conn_lat, t - c->t0);
    atomic_store(&W.s->t_conn_last, t);
    INC(streaming);
    W.inflight--;
    W.done++;
    char *rest = c->part;
    uint32_t rl = c->part_len;
    c->part = NULL;
    c->part_len = c->part_cap = 0;
    if (rl > hl)
        got_body(c, rest + hl, rl - hl);
    free(rest);
}

static char rbuf[256 * 1024];

/* Reads what is there, up to `most` bytes; `to_end`: until there is nothing. */
static void conn_read(struct conn *c, size_t most, bool to_end)
{
    for (;;) {
        size_t n = most < sizeof rbuf ? most : sizeof rbuf;
        ssize_t r = recv(c->fd, rbuf, n, 0);
        if (r < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == EINTR)
                continue;
            conn_fail(c);
            return;
        }
        if (r == 0) {
            conn_fail(c);
            return;
        }
        W.bytes += (uint64_t)r;
        W.reads++;
        W.now = 0;
        if (c->state == ST_HEADERS)
            got_header_bytes(c, rbuf, (size_t)r);
        else
            got_body(c, rbuf, (size_t)r);
        most -= (size_t)r;
        if (c->fd < 0 || most == 0)
            return;
        if ((size_t)r < n && !to_end)
            return;
    }
}

/* All has come: the same stream from its beginning. */
static void conn_again(struct conn *c)
{
    INC(through);
    atomic_fetch_sub(&W.s->streaming, 1);
    conn_close(c, true);
    c->last_seq = 0;
    conn_start((int)(c - W.c));
}

static void conn_event(struct conn *c, uint32_t ev)
{
    if (c->fd < 0)
        return;
    if (c->state == ST_CONNECTING) {
        if (ev & (EPOLLERR | EPOLLHUP)) {
            int err = 0;
            socklen_t l = sizeof err;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
            if (!W.s->first_bad[0])
                snprintf(W.s->first_bad, sizeof W.s->first_bad, "connect: %s", strerror(err));
            conn_fail(c);
            return;
        }
        if (ev & EPOLLOUT)
            conn_send_request(c);
        if (c->state != ST_HEADERS)
            return;
    }
    if (!(ev & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    if (!is_slow(c))
        conn_read(c, SIZE_MAX, ev & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (W.behind && c->state == ST_STREAM && c->last_seq >= (uint32_t)C.missed)
        conn_again(c);
}

/* Those that read slowly read so much as their time since has brought. */
static void read_slowly(void)
{
    uint64_t now = now_ns(), step = NS / 100;
    if (!C.slow || now - W.slow_t < step)
        return;
    W.slow_t = now;
    for (int i = 0; i < W.n && is_slow(&W.c[i]); i++)
        if (W.c[i].fd >= 0 && W.c[i].state >= ST_HEADERS)
            conn_read(&W.c[i], (size_t)C.slow_rate / 100, false);
}

static void worker_flush(void)
{
    atomic_store_explicit(&W.s->bytes, W.bytes, memory_order_relaxed);
    atomic_store_explicit(&W.s->reads, W.reads, memory_order_relaxed);
    atomic_store_explicit(&W.s->cpu_ns, self_cpu_ns(), memory_order_relaxed);
    if (atomic_load_explicit(&W.s->delivered, memory_order_relaxed) != W.delivered) {
        atomic_store_explicit(&W.s->t_last, now_ns(), memory_order_relaxed);
        atomic_store_explicit(&W.s->delivered, W.delivered, memory_order_release);
        if (atomic_exchange(&S->want_wake, 0)) {
            uint64_t one = 1;
            ssize_t r = write(S->wake_fd, &one, 8);
            (void)r;
        }
    }
}

static void worker_command(int id)
{
    uint64_t v;
    ssize_t r = read(S->efd[id], &v, 8);
    (void)r;
    int no = atomic_load(&S->cmd_no);
    if (no == W.cmd_no)
        return;
    W.cmd_no = no;
    switch (atomic_load(&S->cmd)) {
    case CMD_CONNECT:
        W.connecting = true;
        W.next = W.done = W.inflight = 0;
        return; /* acknowledged when all are through */
    case CMD_DROP:
        for (int i = 0; i < W.n; i++) {
            if (W.c[i].state == ST_STREAM)
                atomic_fetch_sub(&W.s->streaming, 1);
            conn_close(&W.c[i], !C.fin);
            W.c[i].state = ST_IDLE;
        }
        W.reconnect = true;
        break;
    case CMD_RESET:
        memset(&W.s->lat, 0, sizeof W.s->lat);
        memset(&W.s->conn_lat, 0, sizeof W.s->conn_lat);
        break;
    case CMD_RESYNC:
        for (int i = 0; i < W.n; i++)
            W.c[i].last_seq = atomic_load(&S->user_seq[W.c[i].user]);
        break;
    case CMD_BEHIND:
        W.behind = true;
        for (int i = 0; i < W.n; i++)
            if (W.c[i].state == ST_STREAM && W.c[i].last_seq >= (uint32_t)C.missed)
                conn_again(&W.c[i]);
        break;
    case CMD_EXIT:
        for (int i = 0; i < W.n; i++)
            conn_close(&W.c[i], true);
        _exit(0);
    }
    atomic_store(&W.s->ack, no);
}

static void worker_main(int id, int base, int n, int inflight)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    W.s = &S->w[id];
    W.base = base;
    W.n = n;
    W.c = calloc((size_t)(n ? n : 1), sizeof *W.c);
    if (!W.c)
        die("out of memory");
    for (int i = 0; i < n; i++) {
        W.c[i].fd = -1;
        W.c[i].user = (uint32_t)((base + i) % C.users);
    }
    W.ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    epoll_ctl(W.ep, EPOLL_CTL_ADD, S->efd[id], &ev);
    static struct epoll_event evs[512];
    for (;;) {
        /*
         * Sleeping outside of epoll_wait means that the server's sends
         * need not wake this process: no inter-processor interrupt is
         * charged to the server for the sake of the measuring client.
         */
        int co = atomic_load_explicit(&S->coalesce_us, memory_order_relaxed);
        int k = epoll_wait(W.ep, evs, 512, co ? 0 : C.slow ? 10 : W.connecting ? 1000 : -1);
        if (k == 0 && co) {
            nap((uint64_t)co * 1000);
            continue;
        }
        for (int i = 0; i < k; i++) {
            if (evs[i].data.u32 == UINT32_MAX)
                worker_command(id);
            else
                conn_event(&W.c[evs[i].data.u32], evs[i].events);
        }
        read_slowly();
        if (W.connecting) {
            while (W.inflight < inflight && W.next < W.n)
                conn_start(W.next++);
            if (W.done == W.n) {
                W.connecting = false;
                atomic_store(&W.s->ack, W.cmd_no);
            }
        }
        worker_flush();
    }
}

/* ------------------------------------------------------------------ */
/* controller: commands to the subscriber processes                    */

static int nworkers;
static pid_t wpid[MAX_WORKERS];

#define SUM(f) sum_field(offsetof(struct wshm, f))
static uint64_t sum_field(size_t off)
{
    uint64_t s = 0;
    for (int i = 0; i < nworkers; i++)
        s += atomic_load_explicit((_Atomic uint64_t *)((char *)&S->w[i] + off),
                                  memory_order_acquire);
    return s;
}

static int command(int cmd)
{
    int no = atomic_load(&S->cmd_no) + 1;
    atomic_store(&S->cmd, cmd);
    atomic_store(&S->cmd_no, no);
    uint64_t one = 1;
    for (int i = 0; i < nworkers; i++) {
        ssize_t r = write(S->efd[i], &one, 8);
        (void)r;
    }
    return no;
}

static bool command_done(int no)
{
    for (int i = 0; i < nworkers; i++)
        if (atomic_load(&S->w[i].ack) != no)
            return false;
    return true;
}

static bool command_wait(int cmd, double limit_s)
{
    int no = command(cmd);
    uint64_t end = now_ns() + (uint64_t)(limit_s * 1e9);
    while (!command_done(no)) {
        if (now_ns() > end)
            return false;
        nap(200000);
    }
    return true;
}

/* ------------------------------------------------------------------ */
/* measuring the server: CPU, memory                                   */

static int pid_list(int *out) /* the given pids and all their descendants */
{
    int n = 0;
    for (int i = 0; i < C.npids && n < MAX_PIDS; i++)
        out[n++] = C.pids[i];
    if (!n)
        return 0;
    static struct {
        int pid, ppid;
    } all[65536];
    int na = 0;
    DIR *d = opendir("/proc");
    struct dirent *de;
    while (d && (de = readdir(d)) && na < 65536) {
        if (!isdigit((unsigned char)de->d_name[0]))
            continue;
        char f[320], b[512];
        snprintf(f, sizeof f, "/proc/%s/stat", de->d_name);
        FILE *s = fopen(f, "r");
        if (!s)
            continue;
        size_t k = fread(b, 1, sizeof b - 1, s);
        fclose(s);
        b[k] = 0;
        char *q = strrchr(b, ')');
        int pp;
        if (q && sscanf(q + 1, " %*c %d", &pp) == 1) {
            all[na].pid = atoi(de->d_name);
            all[na++].ppid = pp;
        }
    }
    if (d)
        closedir(d);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < na && n < MAX_PIDS; j++)
            if (all[j].ppid == out[i]) {
                bool seen = false;
                for (int k = 0; k < n; k++)
                    seen |= out[k] == all[j].pid;
                if (!seen)
                    out[n++] = all[j].pid;
            }
    return n;
}

struct cpu {
    uint64_t ns;               /* exact, CPU clock of the processes */
    uint64_t user, sys;        /* clock ticks                       */
    uint64_t core_busy, steal; /* whole core, clock ticks           */
    uint64_t client_ns;
    uint64_t t;
};

static void cpu_read(struct cpu *c)
{
    memset(c, 0, sizeof *c);
    static int p[MAX_PIDS];
    int n = pid_list(p);
    for (int i = 0; i < n; i++) {
        clockid_t id;
        struct timespec ts;
        if (clock_getcpuclockid(p[i], &id) == 0 && clock_gettime(id, &ts) == 0)
            c->ns += (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
        char f[64], b[1024];
        snprintf(f, sizeof f, "/proc/%d/stat", p[i]);
        FILE *s = fopen(f, "r");
        if (!s)
            continue;
        size_t k = fread(b, 1, sizeof b - 1, s);
        fclose(s);
        b[k] = 0;
        char *q = strrchr(b, ')');
        unsigned long ut, st;
        if (q &&
            sscanf(q + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st) == 2) {
            c->user += ut;
            c->sys += st;
        }
    }
    FILE *s = fopen("/proc/stat", "r");
    char line[512], want[16];
    snprintf(want, sizeof want, "cpu%d ", C.server_cpu);
    while (s && fgets(line, sizeof line, s)) {
        unsigned long long v[8];
        if (strncmp(line, want, strlen(want)) == 0 &&
            sscanf(line + strlen(want), "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1],
                   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) == 8) {
            c->core_busy = v[0] + v[1] + v[2] + v[5] + v[6];
        }
        if (strncmp(line, "cpu ", 4) == 0 &&
            sscanf(line + 4, "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                   &v[4], &v[5], &v[6], &v[7]) == 8)
            c->steal = v[7];
    }
    if (s)
        fclose(s);
    c->client_ns = self_cpu_ns() + SUM(cpu_ns);
    c->t = now_ns();
}

struct mem {
    uint64_t rss, pss, priv, threads;                 /* of the server */
    uint64_t avail, slab, kstack, tcp_inuse, tcp_mem; /* of the machine */
    uint64_t client_pss;
};

static void smaps(int pid, uint64_t *rss, uint64_t *pss, uint64_t *priv)
{
    char f[64], l[256];
    snprintf(f, sizeof f, "/proc/%d/smaps_rollup", pid);
    FILE *s = fopen(f, "r");
    unsigned long long v;
    while (s && fgets(l, sizeof l, s)) {
        if (sscanf(l, "Rss: %llu", &v) == 1)
            *rss += v * 1024;
        else if (sscanf(l, "Pss: %llu", &v) == 1)
            *pss += v * 1024;
        else if (sscanf(l, "Private_Clean: %llu", &v) == 1 ||
                 sscanf(l, "Private_Dirty: %llu", &v) == 1)
            *priv += v * 1024;
    }
    if (s)
        fclose(s);
}

static void mem_read(struct mem *m)
{
    memset(m, 0, sizeof *m);
    static int p[MAX_PIDS];
    int n = pid_list(p);
    for (int i = 0; i < n; i++)
        smaps(p[i], &m->rss, &m->pss, &m->priv);
    uint64_t x = 0, y = 0;
    smaps(getpid(), &x, &m->client_pss, &y);
    for (int i = 0; i < nworkers; i++)
        smaps(wpid[i], &x, &m->client_pss, &y);
    char l[256];
    unsigned long long v, w;
    FILE *s = fopen("/proc/meminfo", "r");
    while (s && fgets(l, sizeof l, s)) {
        if (sscanf(l, "MemAvailable: %llu", &v) == 1)
            m->avail = v * 1024;
        else if (sscanf(l, "Slab: %llu", &v) == 1)
            m->slab = v * 1024;
        else if (sscanf(l, "KernelStack: %llu", &v) == 1)
            m->kstack = v * 1024;
    }
    if (s)
        fclose(s);
    s = fopen("/proc/net/sockstat", "r");
    while (s && fgets(l, sizeof l, s))
        if (sscanf(l, "TCP: inuse %llu orphan %*u tw %*u alloc %*u mem %llu", &v, &w) == 2) {
            m->tcp_inuse = v;
            m->tcp_mem = w * 4096;
        }
    if (s)
        fclose(s);
}

/* ------------------------------------------------------------------ */
/* publisher                                                           */

struct pconn {
    int fd;
    bool connected, want_out;
    char *out;
    size_t out_len, out_off, out_cap;
    uint64_t *t; /* send times of the requests under way */
    int head, inflight;
    char in[16384];
    size_t in_len;
    uint64_t skip; /* body bytes still to skip              */
    int chunk;     /* 1 while skipping a chunked body       */
    bool closing;  /* the server said Connection: close     */
};

static struct {
    struct pconn *c;
    int ep;
    uint64_t sent, acked, bad, reconnects, expected;
    struct hist ack_lat, lag;
    char first_bad[256];
    char *pad;
    int rr;
} P;

static void pconn_open(struct pconn *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&C.pub, sizeof C.pub) < 0)
        die("publisher connect to %s: %s", C.pub_host, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->out_len = c->out_off = c->in_len = 0;
    c->head = c->inflight = 0;
    c->closing = false;
    c->skip = 0;
    c->chunk = 0;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    epoll_ctl(P.ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void pub_init(void)
{
    P.ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(P.ep, EPOLL_CTL_ADD, S->wake_fd, &ev);
    P.c = calloc((size_t)C.pub_conns, sizeof *P.c);
    P.pad = malloc((size_t)C.size + 64);
    memset(P.pad, 'x', (size_t)C.size + 64);
    for (int i = 0; i < C.pub_conns; i++) {
        P.c[i].t = calloc((size_t)C.pipeline, sizeof(uint64_t));
        P.c[i].out_cap = 65536;
        P.c[i].out = malloc(P.c[i].out_cap);
        P.c[i].fd = -1;
    }
}

static void pub_flush(struct pconn *c)
{
    while (c->out_off < c->out_len) {
        ssize_t r = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (r < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == EINTR)
                continue;
            return; /* the read side will see it */
        }
        c->out_off += (size_t)r;
    }
    c->out_len = c->out_off = 0;
}

/* A marker of variable length, then filler up to the wanted size. */
static void pub_one(struct pconn *c, uint32_t user, uint64_t stamp)
{
    if (c->fd < 0)
        pconn_open(c);
    uint32_t seq = atomic_load_explicit(&S->user_seq[user], memory_order_relaxed) + 1;
    atomic_store_explicit(&S->user_seq[user], seq, memory_order_relaxed);
    char *m = P.pad, *q = m;
    *q++ = '~';
    q = put_u64(q, stamp);
    *q++ = '.';
    q = put_u64(q, user);
    *q++ = '.';
    q = put_u64(q, seq);
    *q++ = '~';
    size_t pl = (size_t)(q - m);
    if ((int)pl < C.size) {
        memset(q, 'x', (size_t)C.size - pl < 48 ? (size_t)C.size - pl : 48);
        pl = (size_t)C.size;
    }
    static char body[1 << 20];
    char *be = expand(body, body + sizeof body, C.pub_body, user, 0, m, pl);
    size_t bl = (size_t)(be - body);
    if (c->out_cap - c->out_len < bl + 4096) {
        c->out_cap = c->out_len + bl + 65536;
        c->out = realloc(c->out, c->out_cap);
    }
    char *o = c->out + c->out_len, *oe = c->out + c->out_cap;
    o = stpcpy(o, C.pub_method);
    *o++ = ' ';
    o = expand(o, oe, C.pub_path, user, 0, "", 0);
    o = stpcpy(o, " HTTP/1.1\r\nHost: ");
    o = stpcpy(o, C.pub_host);
    o = stpcpy(o, "\r\nContent-Type: ");
    o = stpcpy(o, C.pub_type);
    o = stpcpy(o, "\r\n");
    o = stpcpy(o, C.pub_headers);
    o = stpcpy(o, "Content-Length: ");
    o = put_u64(o, bl);
    o = stpcpy(o, "\r\n\r\n");
    memcpy(o, body, bl);
    o += bl;
    c->out_len = (size_t)(o - c->out);
    c->t[(c->head + c->inflight) % C.pipeline] = stamp;
    c->inflight++;
    P.sent++;
    P.expected += fan[user];
}

static void pub_lost(struct pconn *c)
{
    close(c->fd);
    c->fd = -1;
    P.reconnects++;
    P.bad += (uint64_t)c->inflight;
    c->inflight = 0;
    c->out_len = c->out_off = 0;
}

static void pub_read(struct pconn *c)
{
    bool eof = false;
    while (c->fd >= 0 && !eof) {
        ssize_t r = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
        if (r < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                return;
            r = 0;
        }
        eof = r == 0;
        c->in_len += (size_t)r;
        char *p = c->in, *e = c->in + c->in_len;
        for (;;) {
            if (c->skip) {
                size_t k = (size_t)(e - p);
                if (k > c->skip)
                    k = c->skip;
                p += k;
                c->skip -= k;
                if (c->skip)
                    break;
            }
            if (c->chunk) {
                /* size line, data, CRLF; only small bodies come here */
                char *nl = memchr(p, '\n', (size_t)(e - p));
                if (!nl)
                    break;
                unsigned long sz = strtoul(p, NULL, 16);
                p = nl + 1;
                if (sz == 0) {
                    c->chunk = 0;
                    c->skip = 2;
                } else {
                    c->skip = sz + 2;
                }
                continue;
            }
            char *h = memmem(p, (size_t)(e - p), "\r\n\r\n", 4);
            if (!h)
                break;
            int status = h - p > 12 ? atoi(p + 9) : 0;
            uint64_t cl = 0;
            for (char *q = p; q < h; q++)
                if (*q == '\n') {
                    if (strncasecmp(q + 1, "content-length:", 15) == 0)
                        cl = strtoull(q + 16, NULL, 10);
                    else if (strncasecmp(q + 1, "transfer-encoding: chunked", 26) == 0)
                        c->chunk = 1;
                    else if (strncasecmp(q + 1, "connection: close", 17) == 0)
                        c->closing = true;
                }
            if (status < 200 || status > 299) {
                P.bad++;
                if (!P.first_bad[0])
                    snprintf(P.first_bad, sizeof P.first_bad, "%.*s",
                             (int)(e - p < 240 ? e - p : 240), p);
            }
            p = h + 4;
            c->skip = cl;
            if (c->inflight) {
                hadd(&P.ack_lat, now_ns() - c->t[c->head]);
                c->head = (c->head + 1) % C.pipeline;
                c->inflight--;
                P.acked++;
            }
        }
        memmove(c->in, p, (size_t)(e - p));
        c->in_len = (size_t)(e - p);
        if (c->in_len == sizeof c->in)
            die("publish response header too long");
        if (c->closing && !c->skip && !c->chunk)
            eof = true;
    }
    if (eof && c->fd >= 0)
        pub_lost(c);
}

static struct pconn *pub_slot(void)
{
    for (int i = 0; i < C.pub_conns; i++) {
        struct pconn *c = &P.c[P.rr];
        if (c->fd < 0 || (c->inflight < C.pipeline && !c->closing))
            return c;
        P.rr = P.rr + 1 == C.pub_conns ? 0 : P.rr + 1;
    }
    return NULL;
}

static void pub_next(void)
{
    P.rr = P.rr + 1 == C.pub_conns ? 0 : P.rr + 1;
}

static void pub_poll(int64_t timeout_ns)
{
    struct epoll_event ev[64];
    struct timespec ts = {timeout_ns / (int64_t)NS, timeout_ns % (int64_t)NS};
    int k = epoll_pwait2(P.ep, ev, 64, timeout_ns < 0 ? NULL : &ts, NULL);
    for (int i = 0; i < k; i++) {
        struct pconn *c = ev[i].data.ptr;
        if (!c) {
            uint64_t v;
            ssize_t r = read(S->wake_fd, &v, 8);
            (void)r;
            continue;
        }
        if (c->fd < 0)
            continue;
        if (ev[i].events & EPOLLOUT)
            pub_flush(c);
        if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            pub_read(c);
    }
}

/* ------------------------------------------------------------------ */
/* results                                                             */

static char jbuf[1 << 20];
static size_t jlen;
__attribute__((format(printf, 1, 2)))
static void J(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    jlen += (size_t)vsnprintf(jbuf + jlen, sizeof jbuf - jlen, fmt, ap);
    va_end(ap);
    if (jlen >= sizeof jbuf)
        die("result too long");
}

static void jstr(const char *s)
{
    J("\"");
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            J("\\%c", *s);
        else if ((unsigned char)*s < 32)
            J("\\u%04x", *s);
        else
            J("%c", *s);
    J("\"");
}

static void lat_merge(struct hist *h, size_t off)
{
    memset(h, 0, sizeof *h);
    for (int i = 0; i < nworkers; i++)
        hmerge(h, (struct hist *)((char *)&S->w[i] + off));
}

static void jhist(const char *name, const struct hist *h)
{
    J(",\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"mean\":%.1f,"
      "\"n\":%" PRIu64 "}",
      name, hq(h, .5), hq(h, .9), hq(h, .99), hq(h, .999), (double)h->max / 1e3,
      h->n ? (double)h->sum / (double)h->n / 1e3 : 0, h->n);
}

static struct counters {
    uint64_t delivered, dup, reorder, gap, misrouted, closed, bytes, reads;
} K0;

static void counters_read(struct counters *k)
{
    k->delivered = SUM(delivered);
    k->dup = SUM(dup);
    k->reorder = SUM(reorder);
    k->gap = SUM(gap);
    k->misrouted = SUM(misrouted);
    k->closed = SUM(closed);
    k->bytes = SUM(bytes);
    k->reads = SUM(reads);
}

static void reset_all(void)
{
    command_wait(CMD_RESET, 10);
    memset(&P.ack_lat, 0, sizeof P.ack_lat);
    memset(&P.lag, 0, sizeof P.lag);
    P.sent = P.acked = P.bad = P.reconnects = 0;
    P.first_bad[0] = 0;
}

/* P.expected counts from the deliveries so far; duplicates are set apart. */
static uint64_t extra0;
static uint64_t extra(void)
{
    return SUM(dup) + SUM(misrouted);
}

static void sync_expected(void)
{
    P.expected = SUM(delivered);
    extra0 = extra();
}

/* Wait until everything expected has come, or nothing has come for 3 s. */
static void drain(uint64_t want)
{
    uint64_t last = SUM(delivered), t = now_ns();
    for (;;) {
        pub_poll(1000000);
        bool waiting = false;
        for (int i = 0; i < C.pub_conns; i++) {
            if (P.c[i].fd >= 0) {
                pub_flush(&P.c[i]);
                waiting |= P.c[i].inflight > 0;
            }
        }
        uint64_t d = SUM(delivered);
        if (d >= want + (extra() - extra0) && !waiting)
            return;
        if (d != last) {
            last = d;
            t = now_ns();
        } else if (now_ns() - t > 3 * NS) {
            return;
        }
    }
}

/* ------------------------------------------------------------------ */
/* scenarios                                                           */

static struct mem M0; /* before the connections */

static void do_connect(const char *name, double limit_s, uint64_t t_from, struct cpu *from)
{
    struct cpu a, b;
    uint64_t fail0 = SUM(failed);
    cpu_read(&a);
    if (from)
        a = *from;
    uint64_t t0 = t_from ? t_from : now_ns();
    bool all = command_wait(CMD_CONNECT, limit_s);
    uint64_t t1 = 0;
    for (int i = 0; i < nworkers; i++)
        if (atomic_load(&S->w[i].t_conn_last) > t1)
            t1 = atomic_load(&S->w[i].t_conn_last);
    cpu_read(&b);
    double dt = (double)(t1 > t0 ? t1 - t0 : 1) / 1e9;
    uint64_t up = SUM(streaming), failed = SUM(failed) - fail0;
    struct hist h;
    lat_merge(&h, offsetof(struct wshm, conn_lat));
    double us = up ? (double)(b.ns - a.ns) / 1e3 / (double)up : 0;
    fprintf(stderr,
            "%-8s %" PRIu64 "/%d streaming in %.3f s = %.0f conn/s, failed %" PRIu64
            "%s; server %.2f us CPU/conn; handshake+headers p50 %.0f p99 %.0f us\n",
            name, up, C.conns, dt, (double)up / dt, failed, all ? "" : " (TIMED OUT)", us,
            hq(&h, .5), hq(&h, .99));
    for (int i = 0; i < nworkers; i++)
        if (S->w[i].first_bad[0]) {
            fprintf(stderr, "  first failure: %s\n", S->w[i].first_bad);
            break;
        }
    J(",{\"phase\":\"%s\",\"streaming\":%" PRIu64 ",\"failed\":%" PRIu64
      ",\"seconds\":%.4f,\"conn_per_s\":%.0f,\"server_us_per_conn\":%.3f,"
      "\"client_busy\":%.3f,\"steal_ticks\":%" PRIu64,
      name, up, failed, dt, (double)up / dt, us,
      (double)(b.client_ns - a.client_ns) / (double)(b.t - a.t), b.steal - a.steal);
    jhist("header_us", &h);
    J("}");
    if (!all)
        fprintf(stderr, "  not all connections came up in %.0f s\n", limit_s);
}

static void do_memory(void)
{
    struct mem m;
    nap(1000 * 1000000ULL);
    mem_read(&m);
    double n = (double)SUM(streaming);
    if (n < 1)
        n = 1;
    double rss = ((double)m.rss - (double)M0.rss) / n, pss = ((double)m.pss - (double)M0.pss) / n;
    double slab = ((double)m.slab - (double)M0.slab) / n;
    double avail = ((double)M0.avail - (double)m.avail) / n;
    double cl = ((double)m.client_pss - (double)M0.client_pss) / n;
    fprintf(stderr,
            "memory   server user space %.0f B/conn RSS, %.0f B/conn PSS (total PSS %.1f MiB, "
            "before %.1f MiB)\n"
            "         machine: slab %.0f B/conn, all memory %.0f B/conn (both socket ends, "
            "server, client %.0f B/conn); TCP inuse %" PRIu64 ", tcp mem %.0f KiB\n",
            rss, pss, (double)m.pss / 1048576, (double)M0.pss / 1048576, slab, avail, cl,
            m.tcp_inuse, (double)m.tcp_mem / 1024);
    J(",{\"phase\":\"memory\",\"rss_per_conn\":%.1f,\"pss_per_conn\":%.1f,\"pss_total\":%" PRIu64
      ",\"pss_before\":%" PRIu64 ",\"slab_per_conn\":%.1f,\"all_memory_per_conn\":%.1f,"
      "\"client_pss_per_conn\":%.1f,\"kernel_both_ends_per_conn\":%.1f,\"tcp_inuse\":%" PRIu64
      ",\"tcp_mem\":%" PRIu64 "}",
      rss, pss, m.pss, M0.pss, slab, avail, cl, avail - cl - pss, m.tcp_inuse, m.tcp_mem);
}

static void do_idle(double secs)
{
    struct cpu a, b;
    uint64_t b0 = SUM(bytes);
    cpu_read(&a);
    nap((uint64_t)(secs * 1e9));
    cpu_read(&b);
    double dt = (double)(b.t - a.t) / 1e9, ms = (double)(b.ns - a.ns) / 1e6 / dt;
    fprintf(stderr, "idle     %.1f s: server %.2f ms CPU/s, %" PRIu64 " bytes came (heartbeats)\n",
            dt, ms, SUM(bytes) - b0);
    J(",{\"phase\":\"idle\",\"seconds\":%.2f,\"server_ms_cpu_per_s\":%.3f,\"bytes\":%" PRIu64 "}",
      dt, ms, SUM(bytes) - b0);
}

static void flush_all(void)
{
    for (int i = 0; i < C.pub_conns; i++)
        if (P.c[i].fd >= 0 && P.c[i].out_len)
            pub_flush(&P.c[i]);
}

/*
 * A user's messages always go through the same publisher connection, or
 * their order at the server would not be defined.
 */
static uint32_t pick_user(const struct pconn *c)
{
    uint32_t k = (uint32_t)(c - P.c), step = (uint32_t)C.pub_conns;
    uint32_t n = ((uint32_t)C.users - k + step - 1) / step;
    return k + step * (uint32_t)(rng() % n);
}

/*
 * rate > 0: open loop at that many publishes per second; every message
 * carries the time at which it was due, so a stall shows as latency.
 * rate == 0: closed loop; at most `window` publishes are not yet delivered,
 * or, with a window of 0, each publisher connection waits for its answers only.
 */
static void publish_round(int times);

static void do_publish(const char *name, double rate, double secs, int window)
{
    /*
     * Fresh client sockets acknowledge from a timer on the server's core
     * (TCP "pingpong" mode), later when they read.  Warm them up a little;
     * the first phase on fresh connections can still be dearer for the
     * server than later ones.
     */
    if (C.users == 1) {
        for (int i = 0; i < 3; i++) {
            sync_expected();
            publish_round(1);
            drain(P.expected);
            nap(60 * 1000000ULL);
        }
        sync_expected();
        command_wait(CMD_RESYNC, 10);
    }
    reset_all();
    struct cpu a, b;
    struct counters k;
    counters_read(&K0);
    uint64_t exp0 = P.expected, base = K0.delivered;
    double avg_fan = (double)C.conns / C.users;
    uint64_t win = (uint64_t)((double)window * (avg_fan > 1 ? avg_fan : 1));
    bool looks_only = rate <= 0 && window > 0 && C.coalesce_us > 0;
    atomic_store(&S->coalesce_us, looks_only ? C.coalesce_us : 0);
    cpu_read(&a);
    uint64_t t0 = now_ns(), end = t0 + (uint64_t)(secs * 1e9);
    double step = rate > 0 ? 1e9 / rate : 0;
    uint64_t n = 0;
    for (;;) {
        uint64_t t = now_ns();
        if (t >= end)
            break;
        int64_t wait_ns = 1000000;
        int burst = 0;
        if (rate > 0) {
            uint64_t due = t0 + (uint64_t)((double)n * step);
            while (due <= t && burst < 64) {
                struct pconn *c = pub_slot();
                if (!c)
                    break;
                hadd(&P.lag, t - due);
                pub_one(c, pick_user(c), due);
                pub_next();
                n++;
                burst++;
                due = t0 + (uint64_t)((double)n * step);
            }
            wait_ns = due > t ? (int64_t)(due - t) : (burst == 64 ? 0 : 1000000);
        } else {
            uint64_t got = SUM(delivered) - base;
            while (burst < 256 &&
                   (window == 0 || P.expected - exp0 + (uint64_t)avg_fan <= got + win)) {
                struct pconn *c = pub_slot();
                if (!c)
                    break;
                pub_one(c, pick_user(c), now_ns());
                pub_next();
                burst++;
            }
            if (burst == 256) {
                wait_ns = 0;
            } else if (looks_only) {
                wait_ns = 0;
            } else if (window > 0) {
                /* ask to be woken, then look once more */
                atomic_store(&S->want_wake, 1);
                if (SUM(delivered) - base != got && pub_slot())
                    wait_ns = 0;
                else
                    wait_ns = 5000000;
            }
        }
        if (burst)
            flush_all();
        if (looks_only && burst < 256)
            nap((uint64_t)C.coalesce_us * 1000);
        pub_poll(wait_ns);
    }
    uint64_t t_stop = now_ns();
    atomic_store(&S->want_wake, 0);
    drain(base + (P.expected - exp0));
    uint64_t t_end = t_stop;
    for (int i = 0; i < nworkers; i++)
        if (atomic_load(&S->w[i].t_last) > t_end)
            t_end = atomic_load(&S->w[i].t_last);
    cpu_read(&b);
    atomic_store(&S->coalesce_us, 0);
    counters_read(&k);
    uint64_t want = P.expected - exp0, got = k.delivered - K0.delivered;
    uint64_t dup = k.dup - K0.dup, reo = k.reorder - K0.reorder, gap = k.gap - K0.gap,
             mis = k.misrouted - K0.misrouted, closed = k.closed - K0.closed;
    int64_t lost = (int64_t)want - (int64_t)(got - dup - mis);
    double dt = (double)(t_end - t0) / 1e9;
    double dps = (double)got / dt, pps = (double)P.sent / dt;
    double cpu = (double)(b.ns - a.ns) / 1e3;
    double uspd = got ? cpu / (double)got : 0, uspp = P.sent ? cpu / (double)P.sent : 0;
    double wall = (double)(b.t - a.t);
    double core = C.server_cpu >= 0 ? (double)(b.core_busy - a.core_busy) * 1e7 / wall : 0;
    struct hist h;
    lat_merge(&h, offsetof(struct wshm, lat));
    fprintf(
        stderr,
        "%-8s %.2f s: %.0f publishes/s, %.0f deliveries/s; server %.3f us CPU/delivery, %.3f us "
        "CPU/publish (busy %.0f %%, user %.0f %%, its core %.0f %%), client busy %.0f %%\n"
        "         latency us: p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f;  publish ack "
        "p50 %.0f p99 %.0f\n"
        "         sent %" PRIu64 " acked %" PRIu64 " bad %" PRIu64 " | expected %" PRIu64
        " got %" PRIu64 " lost %" PRId64 " gap %" PRIu64 " dup %" PRIu64 " reordered %" PRIu64
        " misrouted %" PRIu64 " closed %" PRIu64 "; %.2f events/read, %.0f B/event\n",
        name, dt, pps, dps, uspd, uspp, (double)(b.ns - a.ns) * 100 / wall,
        b.user + b.sys > a.user + a.sys
            ? (double)(b.user - a.user) * 100 / (double)(b.user + b.sys - a.user - a.sys)
            : 0,
        core * 100, (double)(b.client_ns - a.client_ns) * 100 / wall, hq(&h, .5), hq(&h, .9),
        hq(&h, .99), hq(&h, .999), (double)h.max / 1e3, hq(&P.ack_lat, .5), hq(&P.ack_lat, .99),
        P.sent, P.acked, P.bad, want, got, lost, gap, dup, reo, mis, closed,
        k.reads > K0.reads ? (double)got / (double)(k.reads - K0.reads) : 0,
        got ? (double)(k.bytes - K0.bytes) / (double)got : 0);
    if (rate > 0)
        fprintf(stderr, "         generator lateness us: p50 %.0f p99 %.0f max %.0f\n",
                hq(&P.lag, .5), hq(&P.lag, .99), (double)P.lag.max / 1e3);
    if (P.first_bad[0])
        fprintf(stderr, "  first bad publish answer: %s\n", P.first_bad);
    J(",{\"phase\":\"%s\",\"rate\":%.0f,\"seconds\":%.3f,\"publishes_per_s\":%.1f,"
      "\"deliveries_per_s\":%.1f,\"server_us_per_delivery\":%.4f,\"server_us_per_publish\":%.4f,"
      "\"server_busy\":%.4f,\"server_user_ticks\":%" PRIu64 ",\"server_sys_ticks\":%" PRIu64
      ",\"server_core_busy\":%.4f,\"client_busy\":%.4f,\"steal_ticks\":%" PRIu64
      ",\"sent\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"expected\":%" PRIu64
      ",\"got\":%" PRIu64 ",\"lost\":%" PRId64 ",\"gap\":%" PRIu64 ",\"dup\":%" PRIu64
      ",\"reordered\":%" PRIu64 ",\"misrouted\":%" PRIu64 ",\"closed\":%" PRIu64
      ",\"events_per_read\":%.2f,\"bytes_per_event\":%.1f",
      name, rate, dt, pps, dps, uspd, uspp, (double)(b.ns - a.ns) / wall, b.user - a.user,
      b.sys - a.sys, core, (double)(b.client_ns - a.client_ns) / wall, b.steal - a.steal, P.sent,
      P.acked, P.bad, want, got, lost, gap, dup, reo, mis, closed,
      k.reads > K0.reads ? (double)got / (double)(k.reads - K0.reads) : 0,
      got ? (double)(k.bytes - K0.bytes) / (double)got : 0);
    jhist("latency_us", &h);
    jhist("ack_us", &P.ack_lat);
    jhist("lag_us", &P.lag);
    J("}");
    /* Never let a loss in one phase be counted again in the next. */
    command_wait(CMD_RESYNC, 10);
    sync_expected();
}

/* Publish `missed` messages to each user, without latency accounting. */
static void publish_round(int times)
{
    for (int r = 0; r < times; r++)
        for (int u = 0; u < C.users; u++) {
            struct pconn *c = &P.c[u % C.pub_conns];
            while (c->fd >= 0 && (c->inflight >= C.pipeline || c->closing)) {
                for (int i = 0; i < C.pub_conns; i++)
                    if (P.c[i].fd >= 0)
                        pub_flush(&P.c[i]);
                pub_poll(1000000);
            }
            pub_one(c, (uint32_t)u, now_ns());
            if (c->out_len > 16384 || C.pipeline == 1)
                pub_flush(c);
        }
    for (;;) {
        bool busy = false;
        for (int i = 0; i < C.pub_conns; i++)
            if (P.c[i].fd >= 0) {
                pub_flush(&P.c[i]);
                busy |= P.c[i].inflight > 0;
            }
        if (!busy)
            break;
        pub_poll(1000000);
    }
}

/*
 * Streams that have much to read: each is to get --missed messages, and then
 * begins anew.  The requests must ask for it (last_event_id=earliest).
 */
static void do_behind(double secs)
{
    struct counters k;
    counters_read(&K0);
    uint64_t bad0 = SUM(bad_status), through0 = SUM(through), t0 = now_ns();
    struct cpu a, b;
    cpu_read(&a);
    command_wait(CMD_BEHIND, 10);
    nap((uint64_t)(secs * 1e9));
    cpu_read(&b);
    counters_read(&k);
    double dt = (double)(now_ns() - t0) / 1e9;
    uint64_t got = k.delivered - K0.delivered, gap = k.gap - K0.gap, dup = k.dup - K0.dup,
             reo = k.reorder - K0.reorder, mis = k.misrouted - K0.misrouted,
             closed = k.closed - K0.closed, through = SUM(through) - through0;
    fprintf(stderr,
            "behind   %.2f s: %.0f deliveries/s, %" PRIu64 " streams came to their end, gap %" PRIu64
            " dup %" PRIu64 " reordered %" PRIu64 " misrouted %" PRIu64 " closed %" PRIu64 "\n",
            dt, (double)got / dt, through, gap, dup, reo, mis, closed);
    J(",{\"phase\":\"behind\",\"seconds\":%.3f,\"deliveries_per_s\":%.1f,\"through\":%" PRIu64
      ",\"gap\":%" PRIu64 ",\"dup\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"misrouted\":%" PRIu64
      ",\"closed\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"client_busy\":%.3f}",
      dt, (double)got / dt, through, gap, dup, reo, mis, closed, SUM(bad_status) - bad0,
      (double)(b.client_ns - a.client_ns) / (double)(b.t - a.t));
}

static void do_storm(double limit_s)
{
    reset_all();
    /* one event per user first, so that every connection has an event id */
    sync_expected();
    publish_round(1);
    drain(P.expected);
    command_wait(CMD_RESYNC, 10);
    sync_expected();

    struct cpu a;
    struct counters k;
    cpu_read(&a);
    counters_read(&K0);
    uint64_t t0 = now_ns();
    command_wait(CMD_DROP, 60);
    uint64_t t_drop = now_ns();
    double drop_ms = (double)(t_drop - t0) / 1e6, missed_ms = 0;
    if (C.missed > 0) {
        nap(200 * 1000000ULL); /* let the server see the end of the connections */
        uint64_t t = now_ns();
        publish_round(C.missed);
        missed_ms = (double)(now_ns() - t) / 1e6;
        cpu_read(&a);
    }
    do_connect("storm", limit_s, C.missed > 0 ? now_ns() : t0, C.missed > 0 ? NULL : &a);
    uint64_t t_up = now_ns();
    if (C.missed > 0)
        drain(P.expected);
    uint64_t t_replay = 0;
    for (int i = 0; i < nworkers; i++)
        if (atomic_load(&S->w[i].t_last) > t_replay)
            t_replay = atomic_load(&S->w[i].t_last);
    counters_read(&k);
    uint64_t want = P.expected - K0.delivered, got = k.delivered - K0.delivered;
    fprintf(stderr,
            "         drop %.0f ms; missed messages: wanted %" PRIu64 " replayed %" PRIu64
            " (gap %" PRIu64 " dup %" PRIu64 " reordered %" PRIu64
            "), last one %.0f ms after all were up\n",
            drop_ms, want, got, k.gap - K0.gap, k.dup - K0.dup, k.reorder - K0.reorder,
            t_replay > t_up ? (double)(t_replay - t_up) / 1e6 : 0.0);
    J(",{\"phase\":\"storm_replay\",\"drop_ms\":%.1f,\"missed_publish_ms\":%.1f,\"wanted\":%" PRIu64
      ",\"replayed\":%" PRIu64 ",\"gap\":%" PRIu64 ",\"dup\":%" PRIu64 ",\"reordered\":%" PRIu64
      "}",
      drop_ms, missed_ms, want, got, k.gap - K0.gap, k.dup - K0.dup, k.reorder - K0.reorder);
    /* is everybody really subscribed again? */
    command_wait(CMD_RESYNC, 10);
    nap(300 * 1000000ULL);
    sync_expected();
    uint64_t e0 = P.expected;
    publish_round(1);
    drain(P.expected);
    uint64_t ok = SUM(delivered) - e0;
    fprintf(stderr, "         check after the storm: expected %" PRIu64 " got %" PRIu64 "\n",
            P.expected - e0, ok);
    J(",{\"phase\":\"storm_check\",\"expected\":%" PRIu64 ",\"got\":%" PRIu64 "}", P.expected - e0,
      ok);
    command_wait(CMD_RESYNC, 10);
    sync_expected();
}

/* ------------------------------------------------------------------ */

static void parse_addr(const char *s, struct sockaddr_in *a, char *host, size_t hl)
{
    char h[64];
    const char *c = strrchr(s, ':');
    if (!c || (size_t)(c - s) >= sizeof h)
        die("address must be A.B.C.D:PORT: %s", s);
    memcpy(h, s, (size_t)(c - s));
    h[c - s] = 0;
    memset(a, 0, sizeof *a);
    a->sin_family = AF_INET;
    a->sin_port = htons((uint16_t)atoi(c + 1));
    if (inet_pton(AF_INET, h, &a->sin_addr) != 1 || (ntohl(a->sin_addr.s_addr) >> 24) != 127)
        die("only loopback addresses (127.0.0.0/8): %s", s);
    snprintf(host, hl, "%s", s);
}

static void usage(void)
{
    fputs(
        "usage: ssebench [options] SCENARIO...\n"
        "scenarios (run in the given order on the same connections):\n"
        "  idle     keep the connections idle for --secs\n"
        "  unicast  closed loop, random user, as fast as deliveries come back\n"
        "  fanout   the same; use with --users 1, so each publish goes to all\n"
        "  fanout1  fanout with one publish under way: no chance to merge events\n"
        "  acks     closed loop on the answers alone: as fast as they come, random user\n"
        "  behind   each stream gets --missed messages and begins anew, for --secs\n"
        "  latency  open loop at --rate publishes/s, random user\n"
        "  storm    drop all, publish --missed per user, reconnect with Last-Event-ID\n"
        "options:\n"
        "  --server A:P            subscribers connect here       [127.0.0.1:8080]\n"
        "  --publish-server A:P    publisher connects here        [same]\n"
        "  --conns N --users U     connection i belongs to user i % U  [1000, N]\n"
        "  --path TPL              GET path, %d user, %c connection    [/notifications/u%d]\n"
        "  --header 'K: V'         extra subscriber header (template, repeatable)\n"
        "  --pub-method M          [POST]\n"
        "  --pub-path TPL          [/notify]\n"
        "  --pub-body TPL          %d user, %p payload  [{\"user\":\"u%d\",\"data\":\"%p\"}]\n"
        "  --pub-type T            content type [application/json]\n"
        "  --pub-header 'K: V'     extra publish header (repeatable)\n"
        "  --pub-conns K           keep-alive publisher connections [4]\n"
        "  --pipeline D            requests under way per connection [1]\n"
        "  --size B                payload bytes [64]\n"
        "  --rate R                publishes/s for latency [1000]\n"
        "  --secs S                length of a phase [5]\n"
        "  --window W              closed loop: publishes not yet delivered [4 fanout, 512 "
        "unicast]\n"
        "  --inflight F            connects under way, all processes together [256]\n"
        "  --srcs S                local addresses used (0: system's choice) [conns/25000+1]\n"
        "  --procs W               subscriber processes [what RLIMIT_NOFILE asks for]\n"
        "  --pid P[,P...]          server; descendants are counted in (repeatable)\n"
        "  --server-cpu N          core whose busy time is reported too\n"
        "  --missed M              messages per user: while all are away (storm); in all (behind)\n"
        "                          [0]\n"
        "  --slow N                so many of the connections read slowly [0]\n"
        "  --slow-rate B           bytes a second that they read [20000]\n"
        "  --fin                   drop with FIN instead of RST\n"
        "  --settle MS             wait after connecting, before publishing [500]\n"
        "  --connect-limit S       [60]\n"
        "  --coalesce US           closed loop: the client looks every US microseconds instead of\n"
        "                          being woken for each event, 0: is woken [200]\n"
        "  --label TEXT            goes into the JSON line\n",
        stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    double connect_limit = 60;
    const char *server = "127.0.0.1:8080", *pubserver = NULL;
    C.conns = 1000;
    C.users = 0;
    C.path = "/notifications/u%d";
    C.pub_method = "POST";
    C.pub_path = "/notify";
    C.pub_body = "{\"user\":\"u%d\",\"data\":\"%p\"}";
    C.pub_type = "application/json";
    C.pub_conns = 4;
    C.pipeline = 1;
    C.size = 64;
    C.rate = 1000;
    C.secs = 5;
    C.window = 0;
    C.inflight = 256;
    C.srcs = -1;
    C.slow_rate = 20000;
    C.settle_ms = 500;
    C.coalesce_us = 200;
    C.server_cpu = -1;
    C.label = "";
    enum {
        OPT_SERVER = 1000,
        OPT_PUBSERVER,
        OPT_CONNS,
        OPT_USERS,
        OPT_PATH,
        OPT_HEADER,
        OPT_PMETHOD,
        OPT_PPATH,
        OPT_PBODY,
        OPT_PTYPE,
        OPT_PHEADER,
        OPT_PCONNS,
        OPT_PIPELINE,
        OPT_SIZE,
        OPT_RATE,
        OPT_SECS,
        OPT_WINDOW,
        OPT_INFLIGHT,
        OPT_SRCS,
        OPT_PROCS,
        OPT_PID,
        OPT_CPU,
        OPT_MISSED,
        OPT_SLOW,
        OPT_SLOWRATE,
        OPT_FIN,
        OPT_SETTLE,
        OPT_CLIMIT,
        OPT_COALESCE,
        OPT_LABEL
    };
    static const struct option opts[] = {{"server", 1, 0, OPT_SERVER},
                                         {"publish-server", 1, 0, OPT_PUBSERVER},
                                         {"conns", 1, 0, OPT_CONNS},
                                         {"users", 1, 0, OPT_USERS},
                                         {"path", 1, 0, OPT_PATH},
                                         {"header", 1, 0, OPT_HEADER},
                                         {"pub-method", 1, 0, OPT_PMETHOD},
                                         {"pub-path", 1, 0, OPT_PPATH},
                                         {"pub-body", 1, 0, OPT_PBODY},
                                         {"pub-type", 1, 0, OPT_PTYPE},
                                         {"pub-header", 1, 0, OPT_PHEADER},
                                         {"pub-conns", 1, 0, OPT_PCONNS},
                                         {"pipeline", 1, 0, OPT_PIPELINE},
                                         {"size", 1, 0, OPT_SIZE},
                                         {"rate", 1, 0, OPT_RATE},
                                         {"secs", 1, 0, OPT_SECS},
                                         {"window", 1, 0, OPT_WINDOW},
                                         {"inflight", 1, 0, OPT_INFLIGHT},
                                         {"srcs", 1, 0, OPT_SRCS},
                                         {"procs", 1, 0, OPT_PROCS},
                                         {"pid", 1, 0, OPT_PID},
                                         {"server-cpu", 1, 0, OPT_CPU},
                                         {"missed", 1, 0, OPT_MISSED},
                                         {"slow", 1, 0, OPT_SLOW},
                                         {"slow-rate", 1, 0, OPT_SLOWRATE},
                                         {"fin", 0, 0, OPT_FIN},
                                         {"settle", 1, 0, OPT_SETTLE},
                                         {"connect-limit", 1, 0, OPT_CLIMIT},
                                         {"coalesce", 1, 0, OPT_COALESCE},
                                         {"label", 1, 0, OPT_LABEL},
                                         {0, 0, 0, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case OPT_SERVER:
            server = optarg;
            break;
        case OPT_PUBSERVER:
            pubserver = optarg;
            break;
        case OPT_CONNS:
            C.conns = atoi(optarg);
            break;
        case OPT_USERS:
            C.users = atoi(optarg);
            break;
        case OPT_PATH:
            C.path = optarg;
            break;
        case OPT_HEADER:
        case OPT_PHEADER: {
            char *d = o == OPT_HEADER ? C.sub_headers : C.pub_headers;
            size_t l = strlen(d);
            if (l + strlen(optarg) + 3 > sizeof C.sub_headers)
                die("too many headers");
            sprintf(d + l, "%s\r\n", optarg);
            break;
        }
        case OPT_PMETHOD:
            C.pub_method = optarg;
            break;
        case OPT_PPATH:
            C.pub_path = optarg;
            break;
        case OPT_PBODY:
            C.pub_body = optarg;
            break;
        case OPT_PTYPE:
            C.pub_type = optarg;
            break;
        case OPT_PCONNS:
            C.pub_conns = atoi(optarg);
            break;
        case OPT_PIPELINE:
            C.pipeline = atoi(optarg);
            break;
        case OPT_SIZE:
            C.size = atoi(optarg);
            break;
        case OPT_RATE:
            C.rate = atof(optarg);
            break;
        case OPT_SECS:
            C.secs = atof(optarg);
            break;
        case OPT_WINDOW:
            C.window = atoi(optarg);
            break;
        case OPT_INFLIGHT:
            C.inflight = atoi(optarg);
            break;
        case OPT_SRCS:
            C.srcs = atoi(optarg);
            break;
        case OPT_PROCS:
            C.procs = atoi(optarg);
            break;
        case OPT_PID:
            for (char *t = strtok(optarg, ", \n"); t; t = strtok(NULL, ", \n"))
                if (C.npids < 256)
                    C.pids[C.npids++] = atoi(t);
            break;
        case OPT_CPU:
            C.server_cpu = atoi(optarg);
            break;
        case OPT_MISSED:
            C.missed = atoi(optarg);
            break;
        case OPT_SLOW:
            C.slow = atoi(optarg);
            break;
        case OPT_SLOWRATE:
            C.slow_rate = atoi(optarg);
            break;
        case OPT_FIN:
            C.fin = true;
            break;
        case OPT_SETTLE:
            C.settle_ms = atoi(optarg);
            break;
        case OPT_CLIMIT:
            connect_limit = atof(optarg);
            break;
        case OPT_COALESCE:
            C.coalesce_us = atoi(optarg);
            break;
        case OPT_LABEL:
            C.label = optarg;
            break;
        default:
            usage();
        }
    }
    if (C.conns < 1 || C.conns > 4000000 || C.pub_conns < 1 || C.pipeline < 1 || C.size < 1 ||
        C.size > 500000 || C.secs <= 0 || C.secs > 3600 || C.inflight < 1)
        usage();
    if (C.users < 1)
        C.users = C.conns;
    if (C.pub_conns > C.users)
        C.pub_conns = C.users;
    if (C.srcs < 0)
        C.srcs = C.conns / 25000 + 1;
    if (C.srcs > 250 * 250)
        C.srcs = 250 * 250;
    parse_addr(server, &C.sub, C.sub_host, sizeof C.sub_host);
    parse_addr(pubserver ? pubserver : server, &C.pub, C.pub_host, sizeof C.pub_host);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL);

    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    struct rlimit big = {1048576, 1048576};
    if (rl.rlim_max < 1048576 && setrlimit(RLIMIT_NOFILE, &big) == 0)
        rl = big;
    int per = (int)(rl.rlim_cur > 2000000 ? 2000000 : rl.rlim_cur) - 400;
    if (per < 100)
        die("RLIMIT_NOFILE is too small");
    nworkers = C.procs > 0 ? C.procs : (C.conns + per - 1) / per;
    if (nworkers > MAX_WORKERS)
        die("more than %d subscriber processes", MAX_WORKERS);

    size_t len = sizeof *S + sizeof(uint32_t) * (size_t)C.users;
    S = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (S == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    fan = calloc((size_t)C.users, sizeof *fan);
    for (int i = 0; i < C.conns; i++)
        fan[i % C.users]++;
    S->wake_fd = eventfd(0, EFD_NONBLOCK);
    for (int i = 0; i < nworkers; i++)
        S->efd[i] = eventfd(0, EFD_NONBLOCK);
    int base = 0;
    for (int i = 0; i < nworkers; i++) {
        int n = C.conns / nworkers + (i < C.conns % nworkers);
        int infl = C.inflight / nworkers + (i < C.inflight % nworkers);
        wpid[i] = fork();
        if (wpid[i] < 0)
            die("fork: %s", strerror(errno));
        if (wpid[i] == 0)
            worker_main(i, base, n, infl > 0 ? infl : 1);
        base += n;
    }
    pub_init();
    nap(50 * 1000000ULL);
    mem_read(&M0);
    fprintf(stderr, "ssebench %s: %d connections, %d users, %d subscriber process(es), server pids",
            C.label, C.conns, C.users, nworkers);
    static int pl[MAX_PIDS];
    int np = pid_list(pl);
    for (int i = 0; i < np && i < 20; i++)
        fprintf(stderr, " %d", pl[i]);
    fprintf(stderr, "\n");
    J("{\"tool\":\"ssebench\",\"label\":");
    jstr(C.label);
    J(",\"conns\":%d,\"users\":%d,\"size\":%d,\"pub_conns\":%d,\"pipeline\":%d,\"procs\":%d,"
      "\"phases\":[{\"phase\":\"start\"}",
      C.conns, C.users, C.size, C.pub_conns, C.pipeline, nworkers);
    reset_all();
    do_connect("connect", connect_limit, 0, NULL);
    bool ok = SUM(streaming) > 0;
    if (ok) {
        nap((uint64_t)C.settle_ms * 1000000ULL);
        do_memory();
    }
    if (SUM(streaming) < (uint64_t)C.conns) {
        fprintf(stderr, "  not all connections are up: no publishing phases\n");
        optind = argc;
        ok = false;
    }
    for (int i = optind; i < argc; i++) {
        if (!strcmp(argv[i], "idle"))
            do_idle(C.secs);
        else if (!strcmp(argv[i], "unicast"))
            do_publish("unicast", 0, C.secs, C.window ? C.window : 512);
        else if (!strcmp(argv[i], "fanout"))
            do_publish("fanout", 0, C.secs, C.window ? C.window : 4);
        else if (!strcmp(argv[i], "fanout1"))
            do_publish("fanout1", 0, C.secs, 1);
        else if (!strcmp(argv[i], "acks"))
            do_publish("acks", 0, C.secs, 0);
        else if (!strcmp(argv[i], "behind"))
            do_behind(C.secs);
        else if (!strcmp(argv[i], "latency"))
            do_publish("latency", C.rate, C.secs, 0);
        else if (!strcmp(argv[i], "storm"))
            do_storm(connect_limit);
        else
            fprintf(stderr, "unknown scenario %s\n", argv[i]);
    }
    struct mem me;
    mem_read(&me);
    J(",{\"phase\":\"end\",\"rss\":%" PRIu64 ",\"pss\":%" PRIu64 ",\"streaming\":%" PRIu64 "}]}",
      me.rss, me.pss, SUM(streaming));
    puts(jbuf);
    fflush(stdout);
    command(CMD_EXIT);
    uint64_t t = now_ns();
    for (int i = 0; i < nworkers; i++) {
        while (waitpid(wpid[i], NULL, WNOHANG) == 0) {
            if (now_ns() - t > 20 * NS)
                kill(wpid[i], SIGKILL);
            nap(1000000);
        }
    }
    return ok ? 0 : 1;
}
