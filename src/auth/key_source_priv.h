/* key_source_priv.h - where the keys of an issuer come from: a file that is read once, or a URL
 * that is fetched again and again. Pure timing: whoever has the loop fetches. */
#ifndef AUTH_KEY_SOURCE_PRIV_H
#define AUTH_KEY_SOURCE_PRIV_H
#include <stdint.h>
#include "key_set_priv.h"

enum {
    SOURCE_REFRESH_MS = 10 * 60 * 1000,
    SOURCE_RETRY_MS = 1000,         /* after a failure without keys, doubled up to ... */
    SOURCE_MOST_RETRY_MS = 60 * 1000, /* ... this, and with keys this at once */
    SOURCE_UNKNOWN_MS = 60 * 1000,  /* between fetches for a key that is not known */
};

struct key_source {
    struct key_set keys;
    struct key_set fresh;   /* read again, and not used yet */
    const char *path;       /* of the file, or NULL */
    bool is_set;            /* it is a JWK Set */
    const char *url;        /* or NULL */
    bool is_fetching;
    unsigned failures;      /* in a row */
    uint64_t due_ms;        /* of the next fetch */
    bool was_asked;         /* a fetch for a key that is not known was made ... */
    uint64_t asked_ms;      /* ... then */
};

/* A source that is a file, `is_set`: a JWK Set; the path is borrowed. Its keys are there at once.
 * Returns 0, or -1 with a sentence in `why` that begins with `setting` and the path. */
int key_source_open(struct key_source *s, const char *setting, const char *path, bool is_set,
                    struct error *why);

/* Reads the file again into `fresh`, which stays empty where the process, having become another
 * user, may not read it any more: that is told in the log. Returns likewise. */
int key_source_read_again(struct key_source *s, const char *setting, struct error *why);

/* Uses what was read again, where there is some. */
void key_source_take(struct key_source *s);

/* A source that is fetched, at once for the first time. */
void key_source_begin(struct key_source *s, const char *url, uint64_t now_ms);

/* Whether a fetch is to begin now; then it is under way until key_source_on_fetched. */
bool key_source_is_due(struct key_source *s, uint64_t now_ms);

/* A token names a key that is not there: a fetch is due, unless one is under way, or was for this
 * cause within the last minute. */
void key_source_ask(struct key_source *s, uint64_t now_ms);

/* The outcome of a fetch, {NULL, 0} where it failed. Returns 0: the keys are the new ones; -EINVAL
 * or -ENOMEM: they stay as they were. `why` is as key_set_from_jwks's. */
int key_source_on_fetched(struct key_source *s, struct slice body, uint64_t now_ms,
                          struct error *why);

void key_source_fini(struct key_source *s);
#endif
