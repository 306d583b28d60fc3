/* sse_parser.h - reads an event stream: bytes in, in any pieces, events out.
 *
 * The other end of the wire from sse.h: `sse-notify tail`, the tests and the fuzzers read with it
 * what the daemon writes. Source: WHATWG HTML 9.2.6 "Interpreting an event stream", and for bytes
 * that are not UTF-8 the Encoding standard's "UTF-8 decode" (each bad run becomes U+FFFD).
 * Pure memory: no clock, no I/O, one thread. */
#ifndef MESSAGE_SSE_PARSER_H
#define MESSAGE_SSE_PARSER_H
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

struct sse_parser; /* opaque */

struct sse_event {
    struct slice type;          /* "message" where the stream named none */
    struct slice data;          /* lines joined by LF; may be empty, may hold NUL */
    struct slice last_event_id; /* of this event or, where it had none, of an earlier one */
};

/* What is told of the stream, in its order; the slices live for the call. A member may be NULL.
 * Each returns 0 to go on; anything else ends the feed at once with that value. The parser must
 * not be destroyed or restarted from inside. */
struct sse_handlers {
    int (*on_event)(void *arg, const struct sse_event *event);
    int (*on_comment)(void *arg, struct slice text); /* without its colon and one blank */
    int (*on_retry)(void *arg, uint64_t retry_ms);   /* UINT64_MAX where it is over 64 bits */
};

/* Makes a parser at the beginning of a stream. `max_event_bytes` (at least 1) bounds what one
 * event may hold: its data, type and id, and the line not yet finished; memory stays within a
 * small multiple of it. `handlers` is copied, `arg` is handed to them.
 * Returns NULL and sets errno (EINVAL, ENOMEM). Pair: sse_parser_destroy. */
struct sse_parser *sse_parser_create(size_t max_event_bytes, const struct sse_handlers *handlers,
                                     void *arg);

/* NULL is allowed. */
void sse_parser_destroy(struct sse_parser *p);

/* Reads the next `n` bytes. Returns 0; -EMSGSIZE if the event is over the bound; -ENOMEM; or what
 * a handler returned. Anything but 0 is final: feeding again returns it again, until
 * sse_parser_restart. An event whose blank line has not come when the bytes end is never told. */
int sse_parser_feed(struct sse_parser *p, const char *bytes, size_t n);

/* Goes to the beginning of another stream, as after a reconnect. Only the last event id stays, so
 * that events without an id of their own carry on with it, as browsers do. */
void sse_parser_restart(struct sse_parser *p);

/* The id to resume from: that of the last finished block, one with nothing but an id included.
 * Empty where there was none. Lives until the next feed. */
struct slice sse_parser_last_event_id(const struct sse_parser *p);
#endif
