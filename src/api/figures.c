/* figures.c - GET /console/events: once a second what GET /stats answers, as an event stream, for
 * the console. It is none of the manager's streams: nobody's presence, and in no count of theirs.
 *
 * A reader that is slow misses figures; one that has not taken the last ones is not given more. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include "access_priv.h"
#include "addresses_priv.h"
#include "api_priv.h"
#include "message/sse.h"

enum {
    MAX_FIGURE_STREAMS = 16,
    EVERY_MS = 1000,
    LIFE_MS = 300000, /* then the page comes again, and its credential is looked at again */
};

struct figures {
    struct api *api;
    struct http_stream *stream;
    struct buf unsent;
    uint64_t end_ms;
    bool is_chunked;
    bool is_ending; /* nothing more is added */
};

static void forget(struct figures *f)
{
    addresses_give_back(f->api, http_stream_peer(f->stream));
    f->api->figure_streams--;
    buf_fini(&f->unsent);
    free(f);
}

static void end(struct figures *f, bool is_graceful)
{
    struct http_stream *stream = f->stream;

    forget(f);
    http_stream_close(stream, is_graceful);
}

/* Writes as far as the socket goes. False: the stream is over. */
static bool flush(struct figures *f)
{
    while (f->unsent.len > 0) {
        struct iovec iov = {f->unsent.p, f->unsent.len};
        ssize_t n = http_stream_writev(f->stream, &iov, 1);

        if (n == -EAGAIN || n == 0) {
            http_stream_want_write(f->stream);
            return true;
        }
        if (n < 0) {
            end(f, false);
            return false;
        }
        buf_drop_front(&f->unsent, (size_t)n);
    }
    if (!f->is_ending)
        return true;
    end(f, true);
    return false;
}

static void add_message(struct figures *f, struct message *m)
{
    if (m == NULL)
        f->unsent.failed = true;
    else
        buf_add_slice(&f->unsent, message_wire(m, f->is_chunked));
    message_unref(m);
}

static void add_figures(struct figures *f)
{
    cJSON *tree = api_stats_tree(f->api);
    char *text = tree == NULL ? NULL : cJSON_PrintUnformatted(tree);

    cJSON_Delete(tree);
    add_message(f, text == NULL ? NULL
                                : sse_encode_control("figures", slice_make(NULL, 0), 0,
                                                     slice_of(text)));
    cJSON_free(text);
}

static void add_end(struct figures *f)
{
    f->is_ending = true;
    if (f->is_chunked)
        buf_add_text(&f->unsent, "0\r\n\r\n");
}

static void on_deadline(void *ctx, uint64_t now_ms)
{
    struct figures *f = ctx;

    if (f->is_ending) { /* it has not taken its end for a second */
        end(f, false);
        return;
    }
    if (now_ms >= f->end_ms || manager_is_draining(f->api->nm))
        add_end(f);
    else if (f->unsent.len == 0)
        add_figures(f);
    if (f->unsent.failed) {
        f->api->stats->out_of_memory++;
        end(f, false);
        return;
    }
    if (flush(f))
        http_stream_deadline(f->stream, now_ms + EVERY_MS);
}

static void on_writable(void *ctx)
{
    flush(ctx);
}

static void on_closed(void *ctx)
{
    forget(ctx);
}

static const struct http_stream_events events = {
    .on_writable = on_writable,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

static void open_figures(struct api *api, struct http_request *r, struct figures *f)
{
    struct peer peer = *http_request_peer(r);
    enum http_framing framing;
    char *head;
    size_t head_length;

    *f = (struct figures){.api = api, .end_ms = loop_now_ms(api->loop) + LIFE_MS};
    f->stream = http_stream_open(r, &events, f, &framing, &head, &head_length);
    if (f->stream == NULL) {
        addresses_give_back(api, &peer);
        free(f);
        return;
    }
    api->figure_streams++;
    f->is_chunked = framing == HTTP_CHUNKED;
    buf_add(&f->unsent, head, head_length);
    free(head);
    add_figures(f);
    if (f->unsent.failed) {
        api->stats->out_of_memory++;
        end(f, false);
    } else if (flush(f)) {
        http_stream_deadline(f->stream, loop_now_ms(api->loop) + EVERY_MS);
    }
}

void api_figures(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct figures *f;

    if (!access_operate(api, r, api_figures))
        return;
    if (http_request_method(r) == HTTP_HEAD) {
        http_respond(r, 200, "text/event-stream", slice_make(NULL, 0));
    } else if (manager_is_draining(api->nm)) {
        api_refuse_for_now(r, 503, api->options.retry_ms, "The daemon is shutting down.");
    } else if (api->figure_streams >= MAX_FIGURE_STREAMS ||
               addresses_take(api, http_request_peer(r)) != ADDRESS_TAKEN) {
        api_refuse_for_now(r, 429, api->options.retry_ms,
                           "As many consoles are open as there may be.");
    } else if ((f = malloc(sizeof *f)) == NULL) {
        addresses_give_back(api, http_request_peer(r));
        api_out_of_memory(r);
    } else {
        open_figures(api, r, f);
    }
}
