/* h1_priv.h - reads one HTTP/1 request out of bytes that come in any pieces.
 *
 * Pure memory: no socket, no clock. llhttp is known to h1.c alone. The message's bytes stand in
 * one arena that may move while it grows, so its parts are offsets until it is done. */
#ifndef HTTP_H1_PRIV_H
#define HTTP_H1_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/slice.h"

enum { H1_MAX_FIELDS = 100, H1_DETAIL_SIZE = 160 };

struct h1; /* a reader: its parser and its message */

struct h1_span {
    uint32_t at; /* in the arena */
    uint32_t n;
};

struct h1_field {
    struct h1_span name;
    struct h1_span value; /* may have blanks behind it */
};

enum h1_body { H1_NO_BODY, H1_LENGTH, H1_CHUNKED };
enum h1_expect { H1_EXPECT_NOTHING, H1_EXPECT_CONTINUE, H1_EXPECT_UNKNOWN };

struct h1_message {
    struct buf arena;       /* the head as it came, then the body without its framing */
    struct h1_span method;  /* after H1_HEAD this and what follows is known; when refused, it is */
    struct h1_span target;  /* what could be read of it, or {0, 0} */
    int minor;              /* HTTP/1.minor */
    bool is_persistent;     /* the client wants the connection kept (RFC 9112 9.3) */
    enum h1_body framing;
    enum h1_expect expect;
    struct h1_span host;    /* the value of Host; at = 0: there is none */
    struct h1_span body;
    size_t field_count;
    struct h1_field fields[H1_MAX_FIELDS];
    int status;             /* when refused: the answer's status, and one line that tells what */
    char detail[H1_DETAIL_SIZE]; /* to change */
};

enum h1_result {
    H1_MORE,      /* all bytes were used, more are needed */
    H1_HEAD,      /* the head is whole and may be acted on; feed goes on, also with no bytes */
    H1_DONE,      /* the request is whole; bytes behind it were not used */
    H1_REFUSED,   /* message->status and ->detail tell why; what follows cannot be framed */
    H1_NO_MEMORY,
};

/* `max_head` bounds the request line and headers together, `max_body` the body without its
 * framing, both in bytes and below 2 GiB. NULL for want of memory. Pair: h1_destroy. */
struct h1 *h1_create(size_t max_head, size_t max_body);
void h1_destroy(struct h1 *h);

/* Other bounds, for the message to come: after h1_create or h1_reset. */
void h1_set_limits(struct h1 *h, size_t max_head, size_t max_body);

/* Makes the reader ready for a new message. An arena that grew past `keep` bytes is freed. */
void h1_reset(struct h1 *h, size_t keep);

/* Reads on; *used is how many of the bytes belong to this request. After H1_DONE, H1_REFUSED and
 * H1_NO_MEMORY only h1_reset may follow. Empty lines before the request line are skipped. */
enum h1_result h1_feed(struct h1 *h, const char *p, size_t n, size_t *used);

/* Valid for the reader's life; the arena moves with h1_feed. */
struct h1_message *h1_message(struct h1 *h);

/* Whether a byte of the request line has been read. */
bool h1_has_begun(const struct h1 *h);

static inline struct slice h1_slice(const struct h1_message *m, struct h1_span s)
{
    return s.n == 0 ? (struct slice){NULL, 0} : slice_make(m->arena.p + s.at, s.n);
}
#endif
