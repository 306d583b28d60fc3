/* sse.h - from a notification to the bytes of the event stream format, and back.
 *
 * Source: WHATWG HTML 9.2.5, 9.2.6. */
#ifndef MESSAGE_SSE_H
#define MESSAGE_SSE_H
#include <stdint.h>
#include "base/buf.h"
#include "base/slice.h"
#include "message/message.h"
#include "message/notification.h"

/* The event of a notification: id, event, one data line a line of the payload (LF, CR and CRLF all
 * end a line), blank line. One reference, the caller's. NULL without memory. */
struct message *sse_encode(const struct notification *n, const char *epoch, uint64_t seq,
                           uint64_t at_ms);

/* An event of the daemon's own: `id` may be empty (the client's last id stays what it was),
 * `retry_ms` 0 leaves the reconnect time as it was, `data` is one line of JSON. */
struct message *sse_encode_control(const char *event, struct slice id, uint64_t retry_ms,
                                   struct slice data);

/* The start of a stream, behind `head` (the response head, which gets no chunk framing):
 * retry, the comment with the client's id, and the id-only block. */
struct message *sse_encode_preamble(struct slice head, bool is_chunked, uint64_t retry_ms,
                                    uint64_t client_id, struct slice id);

/* A comment without text: what an idle stream gets for a heartbeat. */
struct message *sse_encode_comment(void);

/* The event's name as it was encoded. */
struct slice sse_event(const struct message *m);

/* Appends the payload as a client would read it: lines joined by LF. Returns 0 or -ENOMEM. */
int sse_add_data(struct buf *b, const struct message *m);
#endif
