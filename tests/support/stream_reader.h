/* stream_reader.h - reads what a stream's client is sent: the response head, the chunks around the
 * body, and the events in it.
 *
 * Strict: a byte that does not belong ends it. The events go to handlers as sse_parser.h has
 * them. */
#ifndef SUPPORT_STREAM_READER_H
#define SUPPORT_STREAM_READER_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "message/sse_parser.h"

struct stream_reader {
    struct slice head;     /* expected before the body */
    size_t head_seen;
    bool is_chunked;
    int state;             /* within the framing of a chunk */
    size_t left;           /* bytes of the chunk that have not come */
    struct sse_parser *parser;
};

/* `head` must outlive the reader. Returns 0 or -ENOMEM. */
int stream_reader_init(struct stream_reader *r, struct slice head, bool is_chunked,
                       const struct sse_handlers *handlers, void *arg);
void stream_reader_fini(struct stream_reader *r);

/* Returns 0, -EPROTO where the framing is wrong, or what sse_parser_feed returned. */
int stream_reader_feed(struct stream_reader *r, struct slice bytes);

/* Whether the body has come to its end as it should: with its last chunk, if it has chunks. */
bool stream_reader_is_whole(const struct stream_reader *r);

/* Writes the stream in `bytes` down as one text: type(data)#N for an event with id EPOCH-N, {text}
 * for a comment, <ms> for a retry, a blank behind each; "EPOCH-" within data becomes "#", and what
 * follows "connected " in a comment is left out. Returns as stream_reader_feed. */
int stream_reader_transcribe(struct slice bytes, struct slice head, bool is_chunked,
                             const char *epoch, struct buf *out);
#endif
