/* log.h - the program's log: one line an event, as text for a terminal or as JSON lines.
 *
 * The sink is the one piece of global state. Lines are gathered in memory and written by
 * log_flush, which the loop calls before it sleeps; a reader that does not keep up never blocks
 * the loop: past 1 MiB lines are dropped, counted, and the count is logged when there is room. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* Until this is called, lines of level warning and above go to stderr as text. `fd` is borrowed.
 * Buffered lines wait for log_flush; unbuffered ones are written at once. */
void log_setup(enum log_level level, enum log_format format, int fd, bool is_buffered);

bool log_enabled(enum log_level level);

/* Writes what is gathered, as far as the sink takes it without waiting. */
void log_flush(void);

/* Writes all that is gathered, waiting for the sink at most `max_ms`: for the program's end. */
void log_drain(int max_ms);

/* Lines dropped since the start because the sink did not keep up. */
uint64_t log_dropped(void);

/* The last warnings and errors that were logged are held in memory, up to LOG_KEPT of them,
 * each cut at some hundred bytes. Calls `visit` for each, the oldest first; `text` is as a line of
 * LOG_TEXT has it, behind time and level. */
enum { LOG_KEPT = 64 };
struct log_kept {
    uint64_t at_ms; /* since 1970 */
    enum log_level level;
    struct slice text;
};
typedef void log_visit_fn(void *ctx, const struct log_kept *line);
void log_each_kept(log_visit_fn *visit, void *ctx);

/* Warnings and errors that were logged since the start. */
uint64_t log_kept_total(void);

/* "warning" */
const char *log_level_name(enum log_level level);

/* A sentence. */
#define log_debug(...) LOG_PRINT(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_PRINT(LOG_INFO, __VA_ARGS__)
#define log_warning(...) LOG_PRINT(LOG_WARNING, __VA_ARGS__)
#define log_error(...) LOG_PRINT(LOG_ERROR, __VA_ARGS__)
#define LOG_PRINT(level, ...) (log_enabled(level) ? log_print(level, __VA_ARGS__) : (void)0)
void log_print(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Keeps lines that anybody outside can cause from filling the log: true at most once in ten
 * seconds, with how often it was asked since it was true. All zero is ready. */
struct log_gate {
    uint64_t opened_ms; /* 0: never yet */
    uint64_t count;     /* since then */
};
bool log_gate_opens(struct log_gate *gate, uint64_t now_ms, uint64_t *count);

/* An event with named values, for people who filter:
 * log_event(LOG_INFO, "stream closed", log_slice("user", user), log_u64("sent", n)); */
struct log_field {
    const char *key;
    enum { LOG_FIELD_SLICE, LOG_FIELD_U64, LOG_FIELD_HEX } type;
    struct slice text; /* any bytes: escaped as the format asks */
    uint64_t number;
};

static inline struct log_field log_slice(const char *key, struct slice text)
{
    return (struct log_field){key, LOG_FIELD_SLICE, text, 0};
}

static inline struct log_field log_text(const char *key, const char *text)
{
    return log_slice(key, slice_of(text));
}

static inline struct log_field log_u64(const char *key, uint64_t number)
{
    return (struct log_field){key, LOG_FIELD_U64, {0}, number};
}

/* Sixteen hexadecimal digits, as client ids are shown. */
static inline struct log_field log_hex(const char *key, uint64_t number)
{
    return (struct log_field){key, LOG_FIELD_HEX, {0}, number};
}

#define log_event(level, message, ...)                                                             \
    (log_enabled(level)                                                                            \
         ? log_fields(level, message, (const struct log_field[]){__VA_ARGS__},                     \
                      sizeof(const struct log_field[]){__VA_ARGS__} / sizeof(struct log_field))    \
         : (void)0)
void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);
#endif
