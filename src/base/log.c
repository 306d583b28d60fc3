/* log.c - lines are whole in `pending`, which is written from the front. */
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
} sink = {.level = LOG_WARNING, .fd = STDERR_FILENO};

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

static void add_json_escaped(struct buf *b, struct slice s)
{
    bool is_utf8 = slice_is_utf8(s);

    buf_add_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\u%04x", c);
        else if (c >= 0x80 && !is_utf8)
            buf_add_text(b, "\xef\xbf\xbd");
        else
            buf_add_char(b, (char)c);
    }
    buf_add_char(b, '"');
}

/* As it is where it is one plain word, else quoted: a value can never forge a field or a line. */
static void add_text_value(struct buf *b, struct slice s)
{
    bool is_plain = s.n > 0;

    for (size_t i = 0; i < s.n && is_plain; i++)
        is_plain = s.p[i] > ' ' && s.p[i] < 0x7f && strchr("\"=\\", s.p[i]) == NULL;
    if (is_plain)
        buf_add_slice(b, s);
    else
        add_json_escaped(b, s);
}

static void add_line(struct buf *b, enum log_level level, struct slice message,
                     const struct log_field *fields, size_t count)
{
    char when[CLOCK_TEXT_SIZE];

    clock_format(clock_wall_ms(), when);
    if (sink.format == LOG_JSON) {
        buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", when, level_names[level]);
        add_json_escaped(b, message);
    } else {
        buf_printf(b, "%s %-7s %.*s", when, level_names[level], SLICE_ARG(message));
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(b, sink.format == LOG_JSON ? ",\"%s\":" : " %s=", fields[i].key);
        if (fields[i].type == LOG_FIELD_U64)
            buf_add_u64(b, fields[i].number);
        else if (fields[i].type == LOG_FIELD_HEX)
            buf_printf(b, sink.format == LOG_JSON ? "\"%016llx\"" : "%016llx",
                       (unsigned long long)fields[i].number);
        else if (sink.format == LOG_JSON)
            add_json_escaped(b, fields[i].text);
        else
            add_text_value(b, fields[i].text);
    }
    buf_add_text(b, sink.format == LOG_JSON ? "}\n" : "\n");
}

static void emit(enum log_level level, struct slice message, const struct log_field *fields,
                 size_t count)
{
    size_t start = sink.pending.len;

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
