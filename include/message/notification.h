/* notification.h - what a backend asks to be told, and to whom. */
#ifndef MESSAGE_NOTIFICATION_H
#define MESSAGE_NOTIFICATION_H
#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

/* A channel is one line of notifications in order; a stream listens to its user's, to its topics'
 * and to everyone's. */
enum channel_kind { CHANNEL_USER, CHANNEL_TOPIC, CHANNEL_EVERYONE };
enum { CHANNEL_KINDS = 3 };

struct channel_name {
    enum channel_kind kind;
    struct slice name; /* user id or topic; empty for everyone */
};

enum {
    MAX_CHANNEL_NAME = 256, /* bytes of a user id or topic */
    MAX_EVENT_NAME = 128,
    MAX_KEY = 256,          /* bytes of a collapse or idempotency key */
};

/* TTL of a notification that says nothing: kept as long as the journal keeps things. */
#define TTL_DEFAULT UINT64_MAX

struct notification {
    struct channel_name to;
    struct slice event;           /* the event's name, never empty */
    struct slice data;            /* the payload as it goes out: text, or compact JSON */
    bool is_json;                 /* data is a JSON value, not the text of a string */
    uint64_t ttl_ms;              /* kept for replay; 0: only for those connected now */
    struct slice collapse_key;    /* empty: none */
    struct slice idempotency_key; /* empty: none */
};

/* Whether `name` can be a user id or a topic: 1 to 256 bytes of UTF-8 without control
 * characters. */
bool channel_name_is_valid(struct slice name);

/* Whether `event` can be an event's name: 1 to 128 bytes of UTF-8 without control characters, and
 * not one of the names that the daemon itself uses (gap, bye, retract, ping, expiring). */
bool event_name_is_valid(struct slice event);
bool event_name_is_reserved(struct slice event);
#endif
