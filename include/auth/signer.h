/* signer.h - makes tokens: for development, and for the tests of those who check them. */
#ifndef AUTH_SIGNER_H
#define AUTH_SIGNER_H
#include "auth/algorithm.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct signer;

/* Of a key as a file holds it: a private one in PEM, or else all of the text is an HMAC secret, as
 * the daemon reads one. NULL with a sentence in `why`. Pair: signer_destroy. */
struct signer *signer_create(struct slice text, struct error *why);

/* The same of the file at `path`. */
struct signer *signer_open(const char *path, struct error *why);

/* Overwrites the key. NULL is allowed. */
void signer_destroy(struct signer *s);

/* The algorithm that it signs by: HS256, RS256, ES256, ES384 or EdDSA, by the kind of key. */
enum algorithm signer_algorithm(const struct signer *s);

/* Appends a token with these claims, a JSON object. `key_id` is its kid; empty: it has none.
 * Returns 0, -ENOMEM, or -EIO: OpenSSL failed (nothing is of use in `out` then). */
int signer_sign(const struct signer *s, struct slice key_id, struct slice claims,
                struct buf *out);
#endif
