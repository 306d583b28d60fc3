/* fake_sink.h - where a client's bytes go in a test: a socket that takes as much as it is told to.
 *
 * All zero but `room` is a valid sink; ops are fake_sink_ops, the sink itself is their argument. */
#ifndef SUPPORT_FAKE_SINK_H
#define SUPPORT_FAKE_SINK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "notify/client.h"

#define FAKE_SINK_ENDLESS SIZE_MAX

struct fake_sink {
    struct buf bytes;      /* all it took, unless on_bytes is set */
    size_t room;           /* bytes that it takes before it would block */
    size_t most;           /* bytes that one call takes at most; 0: no such bound */
    int error;             /* what the next call fails with, -errno; 0: it does not */
    unsigned writes;       /* calls so far */
    bool wants_write;      /* client_on_writable is owed: see fake_sink_open_up */
    bool is_closed;        /* by the manager */
    bool is_graceful;
    uint64_t due_ms;       /* the last deadline asked for */
    void (*on_bytes)(void *ctx, struct slice bytes); /* hears them as they are taken */
    void (*on_close)(void *ctx);
    void *ctx;
};

extern const struct client_sink fake_sink_ops;

/* Gives room for `room` bytes more, and tells the client if it waits for that. */
void fake_sink_open_up(struct fake_sink *sink, struct client *c, size_t room, uint64_t now_ms);

/* Frees the bytes. */
void fake_sink_fini(struct fake_sink *sink);
#endif
