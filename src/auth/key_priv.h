/* key_priv.h - one key that signatures are checked with; nothing but this and what makes tokens
 * knows OpenSSL.
 *
 * What kind of key it is fixes the algorithms it can be used with: an attacker chooses a token's
 * `alg`, so that alone decides nothing (RFC 8725 3.1). */
#ifndef AUTH_KEY_PRIV_H
#define AUTH_KEY_PRIV_H
#include <stdbool.h>
#include "auth/algorithm.h"
#include "base/error.h"
#include "base/slice.h"
#include "members_priv.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

enum key_kind { KEY_SECRET, KEY_RSA, KEY_P256, KEY_P384, KEY_ED25519 };

enum {
    KEY_MIN_SECRET = 32, /* bytes: as many as HS256's hash has (RFC 7518 3.2) */
    KEY_MAX_SECRET = 4096,
    KEY_MIN_RSA = 2048,  /* bits (RFC 7518 3.3), and at most what checks in a millisecond */
    KEY_MAX_RSA = 8192,
    KEY_MAX_ID = 256,    /* bytes of a kid */
};

struct key {
    enum key_kind kind;
    unsigned algorithms;        /* bits: those that it may check */
    char *id;                   /* kid, not terminated; NULL: it has none */
    size_t id_length;
    struct evp_pkey_st *public; /* NULL with KEY_SECRET */
    char *secret;               /* secret_length bytes; NULL with others */
    size_t secret_length;
};

/* Each makes a key; key_fini ends it. Returns 0; -EINVAL with `why`, one sentence's end that says
 * what is wrong and how to mend it, without a byte of the key; or -ENOMEM. Then there is nothing to
 * end. */
int key_from_secret(struct key *k, struct slice secret, struct error *why);

/* One public key, SubjectPublicKeyInfo in PEM (RFC 7468 13). */
int key_from_pem(struct key *k, struct slice pem, struct error *why);

/* A JSON Web Key (RFC 7517 4). Also -ENOENT: a key that is whole perhaps, and not one for us: of
 * another kind or algorithm, or for another use. */
int key_from_jwk(struct key *k, struct members *jwk, struct error *why);

/* Frees the key, a secret's bytes overwritten. All zero is allowed. */
void key_fini(struct key *k);

/* Whether `signature` is the key's for `data`; `algorithm` must be one of the key's. */
bool key_verify(const struct key *k, enum algorithm algorithm, struct slice data,
                struct slice signature);
#endif
