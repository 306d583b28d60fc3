/* access.h - what a credential lets its holder do. */
#ifndef AUTH_ACCESS_H
#define AUTH_ACCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

/* What a stream listens to and a notification is sent to. */
enum access_target { ACCESS_USER, ACCESS_TOPIC, ACCESS_EVERYONE };

/* Patterns: "user:alice", "topic:deploys", "user:*", "topic:*", "broadcast". What is none of these
 * allows nothing. */
struct grants {
    const struct slice *patterns;
    size_t count;
};

/* Whether one of the patterns is about it; `name` is empty for ACCESS_EVERYONE. */
bool grants_have(const struct grants *g, enum access_target target, struct slice name);

/* Whether `pattern` is one of those above. */
bool grants_is_pattern(struct slice pattern);

/* What a token says. Slices are its checker's, until it checks the next one. */
struct access {
    struct slice user;    /* {NULL, 0}: it names none */
    struct slice id;      /* jti; {NULL, 0}: it has none */
    uint64_t expires_ms;  /* milliseconds since 1970: its exp; while the leeway for clocks after
                           * that lasts, the leeway's end */
    uint64_t issued_ms;   /* likewise; 0: it does not say */
    struct grants subscribe;
    struct grants publish;
};

/* Whether the holder may open that user's stream: it is theirs, or they are granted it. */
bool access_has_user(const struct access *a, struct slice user);
#endif
