/* credentials.h - whose tokens are trusted here, and what a token that came allows.
 *
 * Each issuer of tokens has its own keys and rules; a token's `iss` says whose they are, and where
 * there is only one issuer, whose name is not known, all tokens are its own. Keys are read from
 * files once, or fetched from a URL and kept: then this says when, whoever has the loop fetches,
 * and tokens whose key may have come new can wait for it. One thread; time is an argument. */
#ifndef AUTH_CREDENTIALS_H
#define AUTH_CREDENTIALS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "auth/access.h"
#include "auth/revocations.h"
#include "auth/token_fault.h"
#include "base/error.h"
#include "base/list.h"
#include "base/stats.h"

struct credentials;

enum { CREDENTIALS_MAX_ISSUERS = 9 };

/* One issuer. Texts may be NULL where that is said. */
struct issuer_options {
    const char *name;       /* of [issuer.NAME], for sentences; NULL: that of [auth] */
    const char *issuer;     /* iss of its tokens; NULL: any, which only a single one can have */
    const char *audience;   /* which must be in aud; NULL: its tokens have no aud */
    const char *user_claim;
    uint64_t leeway_ms;
    unsigned algorithms;    /* ALGORITHM_BITs; 0: all that its keys are for */
    const char *key_file;   /* exactly one of these three is not NULL: a secret or a PEM file, */
    const char *jwks_file;  /* a JWK Set, */
    const char *jwks_url;   /* or where one is fetched */
};

struct credentials_options {
    const struct issuer_options *issuers;
    size_t issuer_count;    /* at least 1 */
    uint64_t now_ms;
    /* Asks for `url` to be fetched, and for credentials_on_fetched to be called with the same
     * `issuer` when it is or cannot be; later, not within this call. Not 0: nothing was begun, and
     * nothing will be called. NULL where no issuer has a URL. */
    int (*fetch)(void *ctx, size_t issuer, const char *url);
    void *ctx;
};

/* Reads the files of keys. `options` is borrowed for the call, its texts for the life. NULL with a
 * sentence in `why` that names the setting and the file. */
struct credentials *credentials_create(const struct credentials_options *options,
                                       struct stats *stats, struct error *why);

/* No token waits any more. Secrets are overwritten. NULL is allowed. */
void credentials_destroy(struct credentials *c);

/* Tokens that are among them are not good from now on. Borrowed for the life. */
void credentials_set_revocations(struct credentials *c, const struct revocations *revocations);

/* Reads the files of keys again, beside those in use, which are replaced by the first of the two
 * that follow and stay with the second. Returns 0, or -1 with a sentence in `why` and nothing to
 * follow. */
int credentials_prepare_keys(struct credentials *c, struct error *why);
void credentials_commit_keys(struct credentials *c);
void credentials_cancel_keys(struct credentials *c);

/* Checks a token at `wall_ms` (milliseconds since 1970). TOKEN_GOOD: it is good, and `out` says for
 * what; its slices are valid until the next call. TOKEN_WAITS: ask again when credentials_wait has
 * called. */
enum token_fault credentials_check(struct credentials *c, struct slice token, uint64_t wall_ms,
                                   struct access *out);

/* Someone who waits for keys. Embedded in the owner's struct, all zero before. */
struct credentials_waiter {
    struct list link;
    void (*on_keys)(struct credentials_waiter *waiter); /* it waits no more when called */
};

/* on_keys is called after the next fetch, whatever came of it. */
void credentials_wait(struct credentials *c, struct credentials_waiter *waiter);

/* Takes back a credentials_wait; one that does not wait is left alone. */
void credentials_leave(struct credentials_waiter *waiter);

/* Tells the time, monotonic milliseconds, at least ten times a second: fetches begin then. */
void credentials_tick(struct credentials *c, uint64_t now_ms);

/* The outcome of a fetch: the body, or {NULL, 0} with a sentence in `why_not`. Old keys stay where
 * the new ones are not to be had or not right. */
void credentials_on_fetched(struct credentials *c, size_t issuer, struct slice body,
                            const char *why_not, uint64_t now_ms);

/* Whether an issuer has keys: as long as none has, no token can be good. */
bool credentials_have_keys(const struct credentials *c);
#endif
