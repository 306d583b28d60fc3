/* stream.c - not message/sse_parser: that holds some 600 bytes a stream and copies every line,
 * while here a million streams stand in one process, and of an event only its id and its mark are
 * looked at. */
#include "reader_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "mark_priv.h"

/* Only this process writes its counts. */
static void add(_Atomic uint64_t *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Of all failures the first is kept. */
static void note_failure(struct reader *r, const char *what, const char *why)
{
    if (atomic_load(&r->task.part->has_failed))
        return;
    snprintf(r->task.part->failure, sizeof(r->task.part->failure), "%s%s%s", what,
             *why != '\0' ? ": " : "", why);
    atomic_store(&r->task.part->has_failed, true);
}

static void close_fd(struct load_stream *s)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (s->fd >= 0) {
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(s->fd);
    }
    s->fd = -1;
    buf_fini(&s->line);
}

/* The stream is over, or never was. */
static void end(struct load_stream *s, const char *what, const char *why)
{
    struct reader *r = s->reader;

    if (s->state == STREAM_OPEN) {
        add(&r->task.part->closed, 1);
        add(&r->task.part->open, (uint64_t)-1);
    } else {
        note_failure(r, what, why);
        r->under_way--;
        r->finished++;
        add(&r->task.part->failed, 1);
    }
    close_fd(s);
    s->state = STREAM_CLOSED;
}

/* ---- what comes ---- */

static void take_mark(struct load_stream *s, const struct mark *mark)
{
    struct reader *r = s->reader;
    struct reader_part *part = r->task.part;
    bool is_fanout = mark->channel == r->task.plan->users;
    enum channel_class class = is_fanout ? CLASS_FANOUT : CLASS_UNICAST;
    uint32_t number = (uint32_t)mark->number;
    uint32_t seen = s->seen[class];

    r->delivered[class]++;
    if (r->now_ns == 0)
        r->now_ns = r->delivered_ns = clock_mono_ns();
    histogram_add(&part->latency[class], r->now_ns > mark->due_ns ? r->now_ns - mark->due_ns : 0);
    if (!is_fanout && mark->channel != s->user) {
        add(&part->misrouted, 1);
        return;
    }
    if (number > seen) {
        if (number > seen + 1)
            add(&part->gaps, number - seen - 1);
        s->seen[class] = number;
    } else if (number == seen) {
        add(&part->doubled, 1);
    } else {
        add(&part->reordered, 1);
    }
}

static void take_id(struct load_stream *s, struct slice id)
{
    if (id.n > 0 && id.p[0] == ' ')
        id = slice_make(id.p + 1, id.n - 1);
    if (id.n >= STREAM_ID_SIZE) {
        note_failure(s->reader, "an event's id is too long to come back with", "");
        id.n = 0;
    }
    *slice_put(s->id, id) = '\0';
}

static void take_line(struct load_stream *s, struct slice line)
{
    struct mark mark;

    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n > 5 && memcmp(line.p, "data:", 5) == 0) {
        if (mark_find(line, &mark))
            take_mark(s, &mark);
    } else if (line.n >= 3 && memcmp(line.p, "id:", 3) == 0) {
        take_id(s, slice_make(line.p + 3, line.n - 3));
    }
}

/* The end of a line that began earlier. Returns what follows it. */
static struct slice finish_line(struct load_stream *s, struct slice text)
{
    struct slice rest = text;
    struct slice piece = slice_cut(&rest, '\n');

    buf_add_slice(&s->line, piece);
    if (rest.p != NULL) {
        take_line(s, buf_slice(&s->line));
        buf_fini(&s->line);
    }
    return rest;
}

static void on_body(void *arg, struct slice text)
{
    struct load_stream *s = arg;
    struct reader *r = s->reader;
    const char *end_of_line;

    if (s->state == STREAM_REFUSED) {
        buf_add_slice(&s->line, slice_make(text.p, text.n < FAILURE_SIZE ? text.n : FAILURE_SIZE));
        return;
    }
    if (s->line.len > 0)
        text = finish_line(s, text);
    while (text.n > 0 && (end_of_line = memchr(text.p, '\n', text.n)) != NULL) {
        size_t n = (size_t)(end_of_line - text.p);

        take_line(s, slice_make(text.p, n));
        text = slice_make(text.p + n + 1, text.n - n - 1);
    }
    if (text.n > 0)
        buf_add_slice(&s->line, text);
    if (s->line.failed || s->line.len > STREAM_MAX_LINE) {
        note_failure(r, "a line of a stream is too long to hold", "");
        buf_fini(&s->line);
    }
}

static void on_head(void *arg, int status)
{
    struct load_stream *s = arg;
    struct reader *r = s->reader;

    if (status != 200) {
        s->state = STREAM_REFUSED;
        return;
    }
    s->state = STREAM_OPEN;
    histogram_add(&r->task.part->head, r->turn_ns > s->began_ns ? r->turn_ns - s->began_ns : 0);
    atomic_store_explicit(&r->task.part->opened_ns, r->turn_ns, memory_order_relaxed);
    add(&r->task.part->open, 1);
    r->under_way--;
    r->finished++;
}

/* What the server said of why it refused. */
static void end_refused(struct load_stream *s)
{
    char what[32];
    char why[FAILURE_SIZE] = "";

    snprintf(what, sizeof(what), "status %d", (int)s->answer.parser.status_code);
    if (s->line.len > 0)
        snprintf(why, sizeof(why), "%.*s", (int)s->line.len, s->line.p);
    end(s, what, why);
}

static const struct answer_handlers handlers = {.on_head = on_head, .on_body = on_body};

/* The answer is over, or can go no further. */
static void end_answer(struct load_stream *s, const char *what, const char *why)
{
    if (s->state == STREAM_REFUSED)
        end_refused(s);
    else
        end(s, what, why);
}

/* Reads until there is less than `most` bytes or, `to_end`, nothing. */
static void read_some(struct load_stream *s, size_t most, bool to_end)
{
    struct reader *r = s->reader;
    ssize_t n;

    do {
        n = recv(s->fd, r->input, most, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            end_answer(s, "closed before it answered", n < 0 ? strerror(errno) : "");
            return;
        }
        r->bytes += (uint64_t)n;
        r->reads++;
        r->now_ns = 0;
        if (!answer_feed(&s->answer, slice_make(r->input, (size_t)n)))
            end_answer(s, "the answer is not HTTP", "");
        else if (s->answer.is_whole)
            end_answer(s, "the answer ended at once", "");
        /* Edge-triggered: what comes after a short read is told. */
    } while (s->fd >= 0 && (n < 0 || n == READER_INPUT || to_end));
}

bool stream_is_slow(const struct load_stream *s)
{
    return s->number < s->reader->task.plan->slow;
}

void stream_read_slowly(struct load_stream *s)
{
    if (s->fd >= 0 && s->state != STREAM_CONNECTING)
        read_some(s, s->reader->task.plan->slow_rate / SLOW_LOOKS, false);
    stream_reread(s);
}

/* ---- opening ---- */

static void add_request(struct reader *r, const struct load_stream *s)
{
    struct template_values values = {.user = s->user, .stream = s->number};
    bool is_crowd = s->user == STREAM_NO_USER;

    buf_clear(&r->request);
    buf_add_text(&r->request, "GET ");
    buf_add_text(&r->request, r->task.plan->streams_at.base);
    template_add(&r->request, is_crowd ? &r->task.templates->crowd_path
                                     : &r->task.templates->stream_path, &values);
    buf_add_text(&r->request, " HTTP/1.1\r\nHost: ");
    buf_add_text(&r->request, r->task.plan->streams_at.host);
    buf_add_text(&r->request, "\r\nAccept: text/event-stream\r\n");
    template_add(&r->request, &r->task.templates->stream_headers, &values);
    if (r->is_resuming && s->id[0] != '\0') {
        buf_add_text(&r->request, "Last-Event-ID: ");
        buf_add_text(&r->request, s->id);
        buf_add_text(&r->request, "\r\n");
    }
    buf_add_text(&r->request, "\r\n");
}

/* Stays "connecting" where it is too early. */
static void send_request(struct load_stream *s)
{
    struct reader *r = s->reader;
    ssize_t n;

    add_request(r, s);
    if (r->request.failed) {
        end(s, "no memory", "");
        return;
    }
    n = send(s->fd, r->request.p, r->request.len, MSG_NOSIGNAL);
    if (n == (ssize_t)r->request.len)
        s->state = STREAM_HEAD;
    else if (n >= 0 || (errno != EAGAIN && errno != ENOTCONN))
        end(s, "sending the request", n < 0 ? strerror(errno) : "");
}

/* Many streams to one port need more ports than one source address has. */
static int bind_source(const struct load_stream *s)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    uint64_t n = s->number % s->reader->task.plan->sources;
    int one = 1;

    source.sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)((n / 250) << 8) + (uint32_t)(n % 250));
    /* A port is chosen with the connection, so that it must be free for this peer only. */
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    return bind(s->fd, (struct sockaddr *)&source, sizeof(source));
}

void stream_start(struct load_stream *s)
{
    struct reader *r = s->reader;
    const struct load_target *to = &r->task.plan->streams_at;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    int slow_room = SLOW_ROOM;

    answer_init(&s->answer, &handlers, s);
    s->state = STREAM_CONNECTING;
    s->began_ns = r->turn_ns;
    r->under_way++;
    s->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && stream_is_slow(s))
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &slow_room, sizeof(slow_room));
    if (s->fd < 0)
        end(s, "socket", strerror(errno));
    else if (r->task.plan->sources > 0 && bind_source(s) != 0)
        end(s, "bind", strerror(errno));
    else if (connect(s->fd, (const struct sockaddr *)&to->address, to->address_length) != 0 &&
             errno != EINPROGRESS)
        end(s, "connect", strerror(errno));
    else if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) != 0)
        end(s, "epoll_ctl", strerror(errno));
    else
        send_request(s); /* on loopback the connection is there already */
}

static void on_connected(struct load_stream *s, uint32_t events)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        end(s, "connect", strerror(error));
    } else if ((events & EPOLLOUT) != 0) {
        send_request(s);
    }
}

void stream_on_event(struct load_stream *s, uint32_t events)
{
    if (s->fd < 0)
        return;
    if (s->state == STREAM_CONNECTING)
        on_connected(s, events);
    else if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 && !stream_is_slow(s))
        read_some(s, READER_INPUT, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    stream_reread(s);
}

void stream_reread(struct load_stream *s)
{
    struct reader *r = s->reader;

    if (!r->is_rereading || s->state != STREAM_OPEN ||
        s->seen[CLASS_UNICAST] < atomic_load(&r->task.shared->reread_at))
        return;
    add(&r->task.part->reread, 1);
    stream_drop(s);
    s->seen[CLASS_UNICAST] = 0;
    s->id[0] = '\0';
    stream_start(s);
}

void stream_drop(struct load_stream *s)
{
    if (s->state == STREAM_OPEN)
        add(&s->reader->task.part->open, (uint64_t)-1);
    close_fd(s);
    s->state = STREAM_IDLE;
}
