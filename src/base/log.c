/* log.c - lines are whole in `pending`, which is written from the front. `kept` is a ring: its next
 * line goes to slot kept_total % LOG_KEPT. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"

enum {
    MAX_PENDING = 1 << 20,
    MAX_LINE = 8192,
    GATE_MS = 10000,
    MAX_KEPT = 480,
    PIPE_STEP = 4096, /* PIPE_BUF: as much as a pipe that polls writable takes without waiting */
};

static struct {
    enum log_level level;
    enum log_format format;
    int fd;
    bool is_buffered;
    bool is_file;          /* a regular file never makes us wait for a reader */
    struct buf pending;
    uint64_t dropped;
    uint64_t dropped_told; /* of those, already logged */
    uint64_t second;       /* that `time` is of */
    size_t time_length;    /* 0: there was no line yet */
    char time[CLOCK_TEXT_SIZE];
} sink = {.level = LOG_WARNING, .fd = STDERR_FILENO};

struct kept {
    uint64_t at_ms;
    enum log_level level;
    size_t length;
    char text[MAX_KEPT];
};

static struct kept kept[LOG_KEPT];
static uint64_t kept_total;
static struct buf kept_line; /* while it is made */

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_setup(enum log_level level, enum log_format format, int fd, bool is_buffered)
{
    struct stat st;

    log_flush();
    sink.level = level;
    sink.format = format;
    sink.fd = fd;
    sink.is_buffered = is_buffered;
    sink.is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool log_enabled(enum log_level level)
{
    return level >= sink.level;
}

uint64_t log_dropped(void)
{
    return sink.dropped;
}

static bool sink_has_room(int wait_ms)
{
    struct pollfd p = {.fd = sink.fd, .events = POLLOUT};

    return sink.is_file || (poll(&p, 1, wait_ms) == 1 && (p.revents & POLLOUT) != 0);
}

static void write_out(int wait_ms)
{
    size_t done = 0;

    while (done < sink.pending.len && sink_has_room(wait_ms)) {
        size_t n = sink.pending.len - done;
        ssize_t r;

        if (!sink.is_file && n > PIPE_STEP)
            n = PIPE_STEP;
        r = write(sink.fd, sink.pending.p + done, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && errno != EAGAIN) {
            sink.dropped++;
            done = sink.pending.len; /* a sink that fails has nobody to tell */
        }
        if (r < 0)
            break;
        done += (size_t)r;
    }
    buf_drop_front(&sink.pending, done);
    if (sink.pending.len == 0 && sink.pending.cap > 65536)
        buf_fini(&sink.pending);
}

void log_flush(void)
{
    if (sink.pending.len > 0)
        write_out(0);
    if (sink.dropped > sink.dropped_told && sink.pending.len < MAX_PENDING / 2) {
        uint64_t lines = sink.dropped - sink.dropped_told;

        sink.dropped_told = sink.dropped;
        log_warning("%llu log lines dropped: the log's reader does not keep up",
                    (unsigned long long)lines);
    }
}

void log_drain(int max_ms)
{
    if (sink.pending.len > 0)
        write_out(max_ms);
}

/* A byte that stands for itself in a quoted value. */
static bool is_bare(unsigned char c, bool is_utf8)
{
    return c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || (c >= 0x80 && is_utf8));
}

static void add_escaped_byte(struct buf *b, unsigned char c)
{
    char text[6] = {'\\', (char)c};

    if (c == '"' || c == '\\') {
        buf_add(b, text, 2);
    } else if (c < 0x80) {
        text[1] = 'u';
        format_hex(text + 2, c, 4);
        buf_add(b, text, 6);
    } else {
        buf_add_text(b, "\xef\xbf\xbd");
    }
}

static void add_json_escaped(struct buf *b, struct slice s)
{
    bool is_utf8 = slice_is_utf8(s);
    size_t run = 0; /* from here on all is as it is */

    buf_add_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (is_bare((unsigned char)s.p[i], is_utf8))
            continue;
        buf_add(b, s.p + run, i - run);
        add_escaped_byte(b, (unsigned char)s.p[i]);
        run = i + 1;
    }
    buf_add(b, s.p + run, s.n - run);
    buf_add_char(b, '"');
}

static bool is_plain_word(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\')
            return false;
    return s.n > 0;
}

/* As it is where it is one plain word, else quoted: a value can never forge a field or a line. */
static void add_text_value(struct buf *b, struct slice s)
{
    if (is_plain_word(s))
        buf_add_slice(b, s);
    else
        add_json_escaped(b, s);
}

/* The time of now. Of a second's many lines only the thousandths differ. */
static struct slice time_text(void)
{
    uint64_t now_ms = clock_wall_ms();
    unsigned ms = (unsigned)(now_ms % 1000);
    char *digits;

    if (now_ms / 1000 != sink.second || sink.time_length == 0) {
        clock_format(now_ms, sink.time);
        sink.time_length = strlen(sink.time);
        sink.second = now_ms / 1000;
    }
    digits = sink.time + sink.time_length - sizeof "000Z" + 1;
    digits[0] = (char)('0' + ms / 100);
    digits[1] = (char)('0' + ms / 10 % 10);
    digits[2] = (char)('0' + ms % 10);
    return slice_make(sink.time, sink.time_length);
}

static void add_field(struct buf *b, enum log_format format, const struct log_field *f)
{
    bool is_json = format == LOG_JSON;
    char hex[16];

    buf_add_text(b, is_json ? ",\"" : " ");
    buf_add_text(b, f->key);
    buf_add_text(b, is_json ? "\":" : "=");
    if (f->type == LOG_FIELD_U64) {
        buf_add_u64(b, f->number);
    } else if (f->type == LOG_FIELD_HEX) {
        format_hex(hex, f->number, sizeof hex);
        buf_add_text(b, is_json ? "\"" : "");
        buf_add(b, hex, sizeof hex);
        buf_add_text(b, is_json ? "\"" : "");
    } else if (is_json) {
        add_json_escaped(b, f->text);
    } else {
        add_text_value(b, f->text);
    }
}

/* Put together by hand: a request has a line, and printf took longer for it than all the rest. */
static void add_line(struct buf *b, enum log_level level, struct slice message,
                     const struct log_field *fields, size_t count)
{
    static const char blanks[] = "        "; /* a level has seven letters at most */
    struct slice name = slice_of(level_names[level]);

    if (sink.format == LOG_JSON) {
        buf_add_text(b, "{\"time\":\"");
        buf_add_slice(b, time_text());
        buf_add_text(b, "\",\"level\":\"");
        buf_add_slice(b, name);
        buf_add_text(b, "\",\"message\":");
        add_json_escaped(b, message);
    } else {
        buf_add_slice(b, time_text());
        buf_add_char(b, ' ');
        buf_add_slice(b, name);
        buf_add(b, blanks, sizeof blanks - 1 - name.n);
        buf_add_slice(b, message);
    }
    for (size_t i = 0; i < count; i++)
        add_field(b, sink.format, &fields[i]);
    buf_add_text(b, sink.format == LOG_JSON ? "}\n" : "\n");
}

/* The number of bytes, at most MAX_KEPT, that cut no character in two. */
static size_t cut(struct slice s)
{
    size_t n = s.n < MAX_KEPT ? s.n : MAX_KEPT;

    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* Without memory the line is only logged. */
static void keep(enum log_level level, struct slice message, const struct log_field *fields,
                 size_t count)
{
    struct kept *to = &kept[kept_total % LOG_KEPT];

    buf_clear(&kept_line);
    buf_add_slice(&kept_line, message);
    for (size_t i = 0; i < count; i++)
        add_field(&kept_line, LOG_TEXT, &fields[i]);
    if (kept_line.failed) {
        buf_fini(&kept_line);
        return;
    }
    to->at_ms = clock_wall_ms();
    to->level = level;
    to->length = cut(buf_slice(&kept_line));
    memcpy(to->text, kept_line.p, to->length);
    kept_total++;
}

void log_each_kept(log_visit_fn *visit, void *ctx)
{
    for (uint64_t i = kept_total < LOG_KEPT ? 0 : kept_total - LOG_KEPT; i < kept_total; i++) {
        const struct kept *k = &kept[i % LOG_KEPT];

        visit(ctx, &(struct log_kept){k->at_ms, k->level, slice_make(k->text, k->length)});
    }
}

uint64_t log_kept_total(void)
{
    return kept_total;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static void emit(enum log_level level, struct slice message, const struct log_field *fields,
                 size_t count)
{
    size_t start = sink.pending.len;

    if (level >= LOG_WARNING)
        keep(level, message, fields, count);
    if (start > MAX_PENDING) {
        sink.dropped++;
        return;
    }
    sink.pending.failed = false;
    add_line(&sink.pending, level, message, fields, count);
    if (sink.pending.failed) {
        sink.pending.len = start; /* half a line is none */
        sink.dropped++;
    }
    if (!sink.is_buffered)
        write_out(1000);
}

void log_print(enum log_level level, const char *format, ...)
{
    char text[MAX_LINE];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' '; /* one event stays one line */
    emit(level, slice_of(text), NULL, 0);
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    emit(level, slice_of(message), fields, count);
}

bool log_gate_opens(struct log_gate *gate, uint64_t now_ms, uint64_t *count)
{
    gate->count++;
    if (gate->opened_ms != 0 && now_ms - gate->opened_ms < GATE_MS)
        return false;
    *count = gate->count;
    *gate = (struct log_gate){now_ms, 0};
    return true;
}
