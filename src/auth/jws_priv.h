/* jws_priv.h - a token's parts and its signature: JSON Web Signature in its compact form
 * (RFC 7515 3.1, 5.2). What it says is claims_priv.h's business. */
#ifndef AUTH_JWS_PRIV_H
#define AUTH_JWS_PRIV_H
#include "auth/token_fault.h"
#include "key_set_priv.h"

enum { JWS_MAX = 16 * 1024 }; /* bytes of a token */

/* A token that was cut up. All zero is valid, and one may be read into it after the other. */
struct jws {
    struct slice signed_text; /* what the signature is of: header, dot, payload, as they came */
    struct slice payload;     /* the bytes that it carries */
    struct slice signature;
    enum algorithm algorithm;
    struct slice key_id;      /* {NULL, 0}: it names none */
    struct buf bytes;         /* header, payload and signature decoded */
    struct members header;
};

/* Cuts up `token`, which is borrowed for as long as the parts are used. Nothing in it is to be
 * believed yet. */
enum token_fault jws_read(struct jws *j, struct slice token);

void jws_fini(struct jws *j);

/* Checks the signature with the one key of the set that it can be of, by one of the `allowed`
 * algorithms (bits). */
enum token_fault jws_verify(const struct jws *j, const struct key_set *keys, unsigned allowed);
#endif
