/* response.h - answering a request: once, now or later, whole or as an open stream.
 *
 * A handler calls exactly one of http_respond, http_problem and http_stream_open, before it
 * returns or at any later time until on_abandoned. HEAD, keep-alive, Content-Length, Date,
 * HTTP/1.0 and pipelining are dealt with here: responses leave in the order of their requests. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/slice.h"
#include "base/write.h"
#include "http/request.h"

/* Adds "Name: value" to the head of the response to come. Values are checked: one with a control
 * character is left out. Cache-Control, Content-Type and X-Content-Type-Options given here take the
 * place of the usual ones. Out of memory costs the connection. */
void http_response_header(struct http_request *r, const char *name, struct slice value);

/* Answers with `status` and a body of `content_type` (NULL: no body). `body` is copied as far as
 * the socket does not take it at once; it may be of the request's own bytes. To a HEAD only its
 * length is told, and with a body of {NULL, 0} nothing: as for a GET whose length is not known.
 * The request is gone afterwards. */
void http_respond(struct http_request *r, int status, const char *content_type, struct slice body);

/* Answers with an application/problem+json (RFC 9457): type about:blank, the status's title, and
 * one line of detail that tells the caller what to change. */
void http_problem(struct http_request *r, int status, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/* "Bad Request" for 400; "Unknown" for what is not listed. */
const char *http_status_title(int status);

/* ---- streams ---- */

/* An open response body whose end is not known: one SSE stream. The request, its parser and its
 * buffers are gone once it is open. (Over HTTP/2 several live on one connection.) */
struct http_stream;

struct http_stream_events {
    void (*on_writable)(void *ctx);  /* after http_stream_want_write: try to write again */
    void (*on_deadline)(void *ctx, uint64_t now_ms); /* http_stream_deadline's time has come */
    void (*on_closed)(void *ctx);    /* the peer is gone; the stream is invalid after this call.
                                        Not called after http_stream_close by us. */
};

/* How body bytes are framed: chunked (HTTP/1.1), or as they are until the close (HTTP/1.0). */
enum http_framing { HTTP_CHUNKED, HTTP_PLAIN };

/* Begins a 200 response of text/event-stream (API.md's head, plus http_response_header's) and
 * turns the request into a stream. The head is not written: it is put into `head` (a fresh
 * malloc of *head_length bytes, the caller's to free), so that it leaves in one system call with
 * the first events. `*framing` tells how to frame what follows it. Returns NULL for want of
 * memory, and then the connection is closed already and on_abandoned does not come. Earlier
 * pipelined requests were answered before; bytes that the peer sends from now on are read and
 * thrown away, its end is on_closed. */
struct http_stream *http_stream_open(struct http_request *r,
                                     const struct http_stream_events *events, void *ctx,
                                     enum http_framing *framing, char **head, size_t *head_length);

/* Replaces the ctx that the events are called with: for an owner that is made after its stream. */
void http_stream_set_ctx(struct http_stream *s, void *ctx);

/* The ctx of http_server_create. */
void *http_stream_server_ctx(const struct http_stream *s);

/* Writes framed bytes straight to the socket: what was taken, -EAGAIN, or another -errno (call
 * http_stream_close then; on_closed does not come). */
ssize_t http_stream_writev(struct http_stream *s, const struct iovec *iov, int count);

/* Several writes, of which `to` is a stream, all of one server and no two of them the same one:
 * each comes out as by http_stream_writev, in fewer system calls where the system can. `to` is
 * overwritten. */
void http_streams_write(struct write *writes, size_t count);

/* For a writev that comes soon: begins to fetch what it needs from memory. */
void http_stream_expect(const struct http_stream *s);

/* on_writable is called once when the socket takes bytes again. */
void http_stream_want_write(struct http_stream *s);

/* on_deadline is called once at or after `due_ms` (monotonic); 0: never. */
void http_stream_deadline(struct http_stream *s, uint64_t due_ms);

/* Ends the stream from our side. With `is_graceful`, all was written and the body's end (last
 * chunk) with it: the rest of the peer's bytes are awaited shortly so that the kernel does not
 * throw away what is on its way (RFC 9112 9.6); else the connection is cut. The stream is
 * invalid after this call. */
void http_stream_close(struct http_stream *s, bool is_graceful);

const struct peer *http_stream_peer(const struct http_stream *s);
#endif
