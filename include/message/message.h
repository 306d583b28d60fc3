/* message.h - one event of a stream, encoded once as the bytes that go on the wire, counted, and
 * shared by every queue and by what is kept. */
#ifndef MESSAGE_MESSAGE_H
#define MESSAGE_MESSAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

struct message {
    uint32_t refs;
    uint32_t length;      /* of wire[] */
    uint64_t seq;         /* its number in the journal; 0: a control event or a comment */
    uint64_t at_ms;       /* when it was accepted, milliseconds since 1970 */
    uint32_t body_at;     /* the event itself within its chunk's framing ... */
    uint32_t body_length;
    uint32_t event_at;    /* ... and the event's name and its first data line in wire[] */
    uint32_t event_length;
    uint32_t data_at;     /* 0: no data */
    bool is_json;         /* the data is a JSON value, else the text of a string */
    bool is_withdrawn;    /* replaced or retracted: queues that have not begun it leave it out */
    bool is_gap;          /* a control event that tells of what was lost behind the cursor */
    bool is_timed;        /* it came in at `came_us`, by the low bits of the loop's clock */
    uint32_t came_us;
    uint32_t holds;       /* places that hold it: see message_hold */
    /* For manager_trace; times are the low bits of the manager's clock. */
    uint32_t streams;     /* that it was for when it came from the journal */
    uint32_t written;     /* times that all of it was written so far */
    uint32_t emitted_ms;  /* when it came from the journal, 0: in an earlier process, ... */
    uint32_t written_ms;  /* ... and when it was written last */
    char wire[];          /* an HTTP/1.1 chunk: size, CRLF, event, CRLF */
};

/* Memory for a message whose event has `body_length` bytes, with one reference, the chunk's
 * framing written and the body's bytes left to the caller. NULL without memory. */
struct message *message_create(size_t body_length);

/* Writes a chunk's size line (RFC 9112 7.1) at `p`; returns its end. */
enum { MESSAGE_SIZE_LINE = 2 * sizeof(size_t) + 2 };
char *message_put_size_line(char *p, size_t size);

static inline struct message *message_ref(struct message *m)
{
    m->refs++;
    return m;
}

/* NULL is allowed. */
void message_unref(struct message *m);

/* Bytes that a message costs in memory. */
static inline size_t message_size(const struct message *m)
{
    return sizeof *m + m->length;
}

/* `m` goes into, or leaves, a place of those whose memory `*total` counts: a message that is in
 * several of them counts once. It must have a reference meanwhile. */
static inline void message_hold(struct message *m, uint64_t *total)
{
    if (m->holds++ == 0)
        *total += message_size(m);
}

static inline void message_let_go(struct message *m, uint64_t *total)
{
    if (--m->holds == 0)
        *total -= message_size(m);
}

/* What goes on the wire: with the chunk's framing (HTTP/1.1), or the bare event. */
static inline struct slice message_wire(const struct message *m, bool is_chunked)
{
    return is_chunked ? slice_make(m->wire, m->length)
                      : slice_make(m->wire + m->body_at, m->body_length);
}
#endif
