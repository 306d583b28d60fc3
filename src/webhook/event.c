/* event.c - the timestamp in the body is the event's, the one in the header the attempt's: a
 * receiver refuses what is too old, and would refuse what was tried for long. */
#include "event_priv.h"

#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/json.h"

static void add_body(struct buf *b, const struct event *event)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(event->at_ms, at);
    buf_printf(b, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":{",
               event->user.n == 0 ? "presence.reset"
               : event->is_online ? "user.online"
                                  : "user.offline",
               at);
    if (event->user.n > 0) {
        buf_add_text(b, "\"user\":");
        json_add_string(b, event->user);
    }
    buf_add_text(b, "}}");
}

static void end_line(struct event_text *text, size_t starts[WEBHOOK_HEADERS], size_t n)
{
    buf_add_char(&text->headers, '\0');
    if (n + 1 < WEBHOOK_HEADERS)
        starts[n + 1] = text->headers.len;
}

int event_write(const struct event *event, const struct webhook_secrets *secrets, uint64_t wall_ms,
                struct event_text *text, struct webhook_request *out)
{
    struct buf *headers = &text->headers;
    size_t starts[WEBHOOK_HEADERS] = {0};
    char id[64];
    size_t body;

    buf_clear(&text->content);
    buf_clear(headers);
    snprintf(id, sizeof id, "msg_%016llx_%llu", (unsigned long long)event->process,
             (unsigned long long)event->number);
    buf_printf(&text->content, "%s.%llu.", id, (unsigned long long)(wall_ms / 1000));
    body = text->content.len;
    add_body(&text->content, event);
    if (text->content.failed)
        return -ENOMEM;
    buf_add_text(headers, "Content-Type: application/json");
    end_line(text, starts, 0);
    buf_printf(headers, "webhook-id: %s", id);
    end_line(text, starts, 1);
    buf_printf(headers, "webhook-timestamp: %llu", (unsigned long long)(wall_ms / 1000));
    end_line(text, starts, 2);
    buf_add_text(headers, "webhook-signature: ");
    if (webhook_secrets_sign(secrets, buf_slice(&text->content), headers) != 0)
        return -ENOMEM;
    end_line(text, starts, 3);
    if (headers->failed)
        return -ENOMEM;
    for (size_t i = 0; i < WEBHOOK_HEADERS; i++)
        out->headers[i] = headers->p + starts[i];
    out->body = slice_make(text->content.p + body, text->content.len - body);
    return 0;
}

void event_text_fini(struct event_text *text)
{
    buf_fini(&text->content);
    buf_fini(&text->headers);
}
