/* key_set_priv.h - the keys of one issuer of tokens, and which of them a token names. */
#ifndef AUTH_KEY_SET_PRIV_H
#define AUTH_KEY_SET_PRIV_H
#include "key_priv.h"

enum {
    KEY_SET_MAX = 64,
    KEY_SET_MAX_BYTES = 256 * 1024, /* of a JWK Set, or of any file with keys */
};

/* All zero is empty. All keys are secrets, or none is; no two have the same id. */
struct key_set {
    struct key *keys;
    size_t count;
};

/* Each fills an empty set. Returns 0; -EINVAL with `why`, a sentence without a byte of a key; or
 * -ENOMEM. Then the set stays empty. */

/* One key: a public one in PEM, or else all of the text is an HMAC secret; of a text without
 * control characters its line end is none of it. */
int key_set_from_key(struct key_set *set, struct slice text, struct error *why);

/* A JWK Set (RFC 7517 5). Keys that are not for us, of another kind or for another use, are passed
 * over, but one must be left. Keys that are wrong make the whole set wrong; from a URL
 * (`is_remote`) they are only passed over, the first with a sentence in `why` though 0 is returned
 * (`why` is empty where there is none), and so are secrets, which nobody may publish. */
int key_set_from_jwks(struct key_set *set, struct slice text, bool is_remote, struct error *why);

/* Drops the keys. */
void key_set_fini(struct key_set *set);

enum key_choice {
    KEY_FOUND,
    KEY_UNKNOWN,         /* there is none of that id */
    KEY_WRONG_ALGORITHM, /* those that are meant are for other algorithms */
    KEY_AMBIGUOUS,       /* the token does not say which of several keys it means */
};

/* The one key for a token with that kid ({NULL, 0}: without) and algorithm. Where no key has the
 * kid, those without one are meant. */
enum key_choice key_set_choose(const struct key_set *set, struct slice id,
                               enum algorithm algorithm, const struct key **out);
#endif
