/* publisher.c - answers come in the order of the requests, so a ring of times tells how long each
 * took. */
#include "publisher_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "mark_priv.h"

enum { EVENTS_A_TURN = 64, MAX_FAILURES = 100 };

static void note_failure(struct publishers *p, const char *what, const char *why)
{
    if (p->failure[0] == '\0')
        snprintf(p->failure, sizeof(p->failure), "%.60s: %.440s", what, why);
}

/* ---- answers ---- */

static void on_head(void *arg, int status)
{
    struct publisher *c = arg;

    c->status = status;
    c->body_n = 0;
}

static void on_body(void *arg, struct slice piece)
{
    struct publisher *c = arg;
    size_t room = sizeof(c->body) - 1 - c->body_n;

    if (c->status < 300)
        return;
    memcpy(c->body + c->body_n, piece.p, piece.n < room ? piece.n : room);
    c->body_n += piece.n < room ? piece.n : room;
}

static void on_end(void *arg)
{
    struct publisher *c = arg;
    struct publishers *p = c->all;
    char what[32];

    if (c->under_way == 0)
        return;
    if (c->status < 200 || c->status > 299) {
        p->refused += c->notifications[c->head];
        c->body[c->body_n] = '\0';
        snprintf(what, sizeof(what), "status %d", c->status);
        note_failure(p, what, c->body);
    }
    histogram_add(&p->answer_ns, clock_mono_ns() - c->due_ns[c->head]);
    p->answered++;
    p->failures = 0;
    c->head = (c->head + 1) % p->max_pipeline;
    c->under_way--;
}

static const struct answer_handlers handlers = {on_head, on_body, on_end};

/* ---- connections ---- */

/* Gone: what was under way on it has failed. */
static void lose(struct publisher *c, const char *why)
{
    struct publishers *p = c->all;

    if (c->under_way > 0)
        note_failure(p, c->is_connected ? "a publisher's connection was lost" : "connect", why);
    for (; c->under_way > 0; c->under_way--) {
        p->refused += c->notifications[c->head];
        c->head = (c->head + 1) % p->max_pipeline;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->out_at = 0;
    buf_clear(&c->out);
    p->reconnects++;
    p->failures++;
}

static int open_connection(struct publisher *c)
{
    const struct load_target *to = &c->all->plan->publish_at;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int one = 1;

    answer_init(&c->answer, &handlers, c);
    c->is_connected = false;
    c->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if ((connect(c->fd, (const struct sockaddr *)&to->address, to->address_length) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(c->all->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        int error = errno;

        close(c->fd);
        c->fd = -1;
        return -error;
    }
    return 0;
}

static void flush(struct publisher *c)
{
    while (c->fd >= 0 && c->out_at < c->out.len) {
        ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* too early, or full: epoll tells; or lost: so it does, by reading */
            return;
        c->is_connected = true;
        c->out_at += (size_t)n;
    }
    c->out_at = 0;
    buf_clear(&c->out);
}

static void read_answers(struct publisher *c)
{
    char input[16384];

    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, input, sizeof(input), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            lose(c, n == 0 ? "closed by the server" : strerror(errno));
        else if (!answer_feed(&c->answer, slice_make(input, (size_t)n)))
            lose(c, "the answer is not HTTP");
        else if (c->answer.closes && c->under_way == 0)
            lose(c, "");
    }
}

/* ---- all of them ---- */

/* How many streams hear each channel. */
static int count_streams(struct publishers *p)
{
    const struct load_plan *plan = p->plan;
    uint64_t with_user = plan->streams - plan->crowd;

    p->streams_of = calloc(plan->users + 1, sizeof(*p->streams_of));
    if (p->streams_of == NULL)
        return -ENOMEM;
    for (uint64_t user = 0; user < plan->users; user++)
        p->streams_of[user] = with_user / plan->users + (user < with_user % plan->users);
    p->streams_of[plan->users] = plan->crowd > 0 ? plan->crowd : plan->streams;
    return 0;
}

static int make(struct publishers *p)
{
    for (size_t i = 0; i < p->plan->phase_count; i++) {
        const struct load_phase *phase = &p->plan->phases[i];

        if (phase->publishers > p->made)
            p->made = (unsigned)phase->publishers;
        if (phase->pipeline > p->max_pipeline)
            p->max_pipeline = (unsigned)phase->pipeline;
        if (phase->window > p->max_pipeline && phase->kind == LOAD_FANOUT)
            p->max_pipeline = (unsigned)phase->window;
    }
    p->at = calloc(p->made + 1, sizeof(*p->at));
    if (p->at == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i <= p->made; i++) {
        struct publisher *c = &p->at[i];

        c->all = p;
        c->number = i;
        c->fd = -1;
        c->due_ns = calloc(p->max_pipeline, sizeof(*c->due_ns));
        c->notifications = calloc(p->max_pipeline, sizeof(*c->notifications));
        if (c->due_ns == NULL || c->notifications == NULL)
            return -ENOMEM;
    }
    return 0;
}

int publishers_init(struct publishers *p, struct crew *crew, const struct templates *templates,
                    struct error *why)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    *p = (struct publishers){.plan = crew->plan, .templates = templates, .crew = crew,
                             .max_pipeline = 1, .made = 1, .random = 0x9e3779b97f4a7c15u};
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll_fd < 0 ||
        epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, crew->shared->news_fd, &event) != 0)
        return error_set(why, "epoll: %s", strerror(errno));
    p->filler = malloc(p->plan->payload + MARK_MAX_BYTES);
    if (p->filler == NULL || count_streams(p) != 0 || make(p) != 0)
        return error_set(why, "no memory");
    memset(p->filler, 'x', p->plan->payload + MARK_MAX_BYTES);
    return 0;
}

void publishers_fini(struct publishers *p)
{
    for (unsigned i = 0; p->at != NULL && i <= p->made; i++) {
        struct publisher *c = &p->at[i];

        if (c->fd >= 0 && c->all != NULL)
            close(c->fd);
        buf_fini(&c->out);
        free(c->due_ns);
        free(c->notifications);
    }
    free(p->at);
    free(p->streams_of);
    free(p->filler);
    buf_fini(&p->body);
    if (p->epoll_fd > 0)
        close(p->epoll_fd);
}

void publishers_begin(struct publishers *p, const struct load_phase *phase)
{
    p->users = p->plan->users;
    if (phase->kind == LOAD_MIXED && p->users > MIXED_STREAMS)
        p->users = MIXED_STREAMS;
    p->count = (unsigned)phase->publishers;
    if (p->users > 0 && p->count > p->users)
        p->count = (unsigned)p->users;
    p->pipeline = (unsigned)phase->pipeline;
    p->next = 0;
}

void publishers_clear(struct publishers *p)
{
    p->sent = p->answered = p->refused = p->reconnects = 0;
    p->answer_ns = (struct histogram){0};
    p->failure[0] = '\0';
}

static bool has_room(const struct publisher *c, unsigned pipeline)
{
    return c->under_way < pipeline && !(c->fd >= 0 && c->answer.closes);
}

bool publisher_has_room(const struct publisher *c)
{
    return has_room(c, c->all->pipeline);
}

struct publisher *publishers_free(struct publishers *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct publisher *c = &p->at[p->next];

        p->next = p->next + 1 == p->count ? 0 : p->next + 1;
        if (has_room(c, p->pipeline))
            return c;
    }
    return NULL;
}

struct publisher *publishers_fanout(struct publishers *p)
{
    struct publisher *c = &p->at[p->made];

    return has_room(c, p->max_pipeline) ? c : NULL;
}

/* xorshift64: the sequence is the same in each run. */
static uint64_t draw(struct publishers *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random;
}

uint64_t publisher_pick_user(struct publisher *c)
{
    uint64_t step = c->all->count;
    uint64_t own = (c->all->users - c->number + step - 1) / step;

    return c->number + step * (draw(c->all) % own);
}

/* ---- requests ---- */

/* Appends one notification to the body being made. */
static void add_notification(struct publishers *p, uint64_t channel, uint64_t due_ns)
{
    _Atomic uint32_t *sent = &p->crew->shared->sent[channel];
    bool is_fanout = channel == p->plan->users;
    struct mark mark = {.due_ns = due_ns, .channel = channel};
    struct template_values values = {.user = channel};
    size_t n;

    mark.number = atomic_load_explicit(sent, memory_order_relaxed) + 1;
    atomic_store_explicit(sent, (uint32_t)mark.number, memory_order_relaxed);
    n = (size_t)(mark_put(p->filler, &mark) - p->filler);
    memset(p->filler + n, 'x', MARK_MAX_BYTES - n); /* of an earlier one that was longer */
    values.payload = slice_make(p->filler, n < p->plan->payload ? p->plan->payload : n);
    template_add(&p->body, is_fanout ? &p->templates->fanout_body : &p->templates->publish_body,
                 &values);
    p->sent++;
    p->expected[is_fanout ? CLASS_FANOUT : CLASS_UNICAST] += p->streams_of[channel];
}

static void add_request(struct publisher *c, uint64_t channel)
{
    struct publishers *p = c->all;
    const struct load_plan *plan = p->plan;
    struct template_values values = {.user = channel};

    buf_add_text(&c->out, "POST ");
    buf_add_text(&c->out, plan->publish_at.base);
    template_add(&c->out, channel == plan->users ? &p->templates->fanout_path
                                                 : &p->templates->publish_path, &values);
    buf_add_text(&c->out, " HTTP/1.1\r\nHost: ");
    buf_add_text(&c->out, plan->publish_at.host);
    buf_add_text(&c->out, "\r\nContent-Type: ");
    buf_add_text(&c->out, plan->publish_type);
    buf_add_text(&c->out, "\r\n");
    buf_add_text(&c->out, plan->publish_headers);
    buf_add_text(&c->out, "Content-Length: ");
    buf_add_u64(&c->out, p->body.len);
    buf_add_text(&c->out, "\r\n\r\n");
    buf_add_slice(&c->out, buf_slice(&p->body));
}

void publisher_ask(struct publisher *c, const uint64_t *channels, unsigned n, uint64_t due_ns)
{
    struct publishers *p = c->all;
    unsigned at = (c->head + c->under_way) % p->max_pipeline;
    int rc = c->fd >= 0 ? 0 : open_connection(c);

    buf_clear(&p->body);
    if (n > 1)
        buf_add_char(&p->body, '[');
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(&p->body, ',');
        add_notification(p, channels[i], due_ns);
    }
    if (n > 1)
        buf_add_char(&p->body, ']');
    c->due_ns[at] = due_ns;
    c->notifications[at] = n;
    c->under_way++;
    add_request(c, channels[0]);
    if (rc != 0 || p->body.failed || c->out.failed)
        lose(c, rc != 0 ? strerror(-rc) : "no memory");
}

void publishers_flush(struct publishers *p)
{
    for (unsigned i = 0; i <= p->made; i++) {
        if (p->at[i].out.len > 0)
            flush(&p->at[i]);
    }
}

/* To the nanosecond where the system can: Linux before 5.11, and some containers, know
 * milliseconds. */
static int wait_for_events(int epoll_fd, struct epoll_event *events, uint64_t wait_ns)
{
    struct timespec wait = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};
    int n = epoll_pwait2(epoll_fd, events, EVENTS_A_TURN, &wait, NULL);

    if (n >= 0 || errno == EINTR)
        return n;
    return epoll_wait(epoll_fd, events, EVENTS_A_TURN, (int)(wait_ns / 1000000));
}

void publishers_poll(struct publishers *p, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n = wait_for_events(p->epoll_fd, events, wait_ns);

    for (int i = 0; i < n; i++) {
        struct publisher *c = events[i].data.ptr;

        if (c == NULL) {
            crew_wait(p->crew, 0);
            continue;
        }
        if ((events[i].events & EPOLLOUT) != 0)
            flush(c);
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            read_answers(c);
    }
}

bool publishers_are_lost(const struct publishers *p)
{
    return p->failures >= MAX_FAILURES;
}

bool publishers_are_busy(const struct publishers *p)
{
    for (unsigned i = 0; i <= p->made; i++) {
        if (p->at[i].under_way > 0)
            return true;
    }
    return false;
}
