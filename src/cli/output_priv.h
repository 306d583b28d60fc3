/* output_priv.h - what people and programs get to see of events and answers. */
#ifndef CLI_OUTPUT_PRIV_H
#define CLI_OUTPUT_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "arguments_priv.h"
#include "base/buf.h"
#include "base/slice.h"
#include "message/sse_parser.h"

/* Appends `text` for a terminal: a line end as \n, a tab as \t, other control characters as \x1b
 * or, the ones above ASCII, \u009b; the rest as it is. */
void output_add_plain(struct buf *out, struct slice text);

/* Appends `TIME  ID  EVENT  DATA` and a line end; an event without an id has `-` there. */
void output_add_event(struct buf *out, uint64_t wall_ms, const struct sse_event *event);

/* Appends {"id":...,"event":...,"data":...} and a line end, all three strings. */
void output_add_event_json(struct buf *out, const struct sse_event *event);

/* Finds a member of `object`, which may be anything. Returns false where it is no JSON object or
 * has no such member. */
bool output_find(struct slice object, const char *name, struct slice *value);

/* Appends `ID  N streams` and a line end, from an item of the server's answer. Returns 0, or
 * -EINVAL (nothing appended) where that has no id. */
int output_add_receipt(struct buf *out, struct slice item);

/* Appends what went wrong, without a line end: the detail of a problem (RFC 9457), else its title,
 * else the status. */
void output_add_problem(struct buf *out, int status, struct slice body);

/* Appends bytes for people: "512 bytes", "1.5 MiB". */
void output_add_size(struct buf *out, uint64_t bytes);

/* Appends `count` and a word, `one` or `many`. */
void output_add_count(struct buf *out, uint64_t count, const char *one, const char *many);

/* Writes `text` to stdout, to its end. Returns the exit code; a reader that has gone away is told
 * of nothing. */
int output_print(const struct command *command, const struct buf *text);
#endif
