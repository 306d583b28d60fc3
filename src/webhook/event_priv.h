/* event_priv.h - an event as it goes over the wire, signed. */
#ifndef WEBHOOK_EVENT_PRIV_H
#define WEBHOOK_EVENT_PRIV_H
#include "base/buf.h"
#include "webhook/webhooks.h"

struct event {
    uint64_t process;  /* by chance, one a process; with the number it is the id */
    uint64_t number;
    uint64_t at_ms;    /* when it happened, since 1970 */
    struct slice user; /* empty: of all of them */
    bool is_online;
};

/* The memory of a request, used again for the next. All zero is ready. */
struct event_text {
    struct buf content; /* what is signed; its end is the body */
    struct buf headers; /* lines, each with its terminator */
};

/* Writes the request that is sent at `wall_ms`; it points into `text`. Returns 0 or -ENOMEM. */
int event_write(const struct event *event, const struct webhook_secrets *secrets, uint64_t wall_ms,
                struct event_text *text, struct webhook_request *out);

void event_text_fini(struct event_text *text);
#endif
