/* lines_priv.h - lines of an input that may never end, and the batches they are sent in. */
#ifndef CLI_LINES_PRIV_H
#define CLI_LINES_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/slice.h"

enum {
    BATCH_MAX_LINES = 500,
    BATCH_MAX_BYTES = 512 * 1024, /* line ends included */
};

/* Told of each line, counted from 1, without its line end (LF or CRLF). A line over the bound is
 * told as {NULL, 0}. Anything but 0 ends the reading. */
typedef int line_fn(void *arg, uint64_t number, struct slice line);

/* All zero but for these members is a reader at the beginning. */
struct line_reader {
    size_t max_bytes; /* of one line */
    line_fn *on_line;
    void *arg;

    struct buf partial; /* the beginning of a line whose end has not come */
    uint64_t number;    /* of the last line told */
    bool is_too_long;   /* the line under way: its rest is dropped */
};

void line_reader_fini(struct line_reader *r);

/* Reads on. Returns 0, -ENOMEM, or what on_line returned. */
int line_reader_feed(struct line_reader *r, struct slice bytes);

/* The input is over: a last line without its end is told too. Returns as line_reader_feed. */
int line_reader_end(struct line_reader *r);

/* Lines gathered for one request. All zero is empty. */
struct batch {
    struct buf body;                   /* each line followed by LF */
    size_t count;                      /* lines */
    uint64_t numbers[BATCH_MAX_LINES]; /* of the input line each came from */
};

void batch_fini(struct batch *b);
void batch_clear(struct batch *b);

/* Whether a line of `bytes` fits in without going over a bound. */
bool batch_has_room(const struct batch *b, size_t bytes);

/* Appends a line there is room for. Returns 0 or -ENOMEM (nothing changed). */
int batch_add(struct batch *b, uint64_t number, struct slice line);
#endif
