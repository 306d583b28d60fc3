/* claims_priv.h - what a token says (RFC 7519 4): when it is good, for whom, and what it grants.
 * Its signature is jws_priv.h's business. */
#ifndef AUTH_CLAIMS_PRIV_H
#define AUTH_CLAIMS_PRIV_H
#include "auth/access.h"
#include "auth/token_fault.h"
#include "members_priv.h"

enum {
    CLAIMS_MAX_GRANTS = 256, /* patterns to subscribe to, and as many to publish to */
    CLAIMS_MAX_TEXT = 256,   /* bytes of a user, a jti */
};

/* The claims of one token. All zero is valid, and one may be read into it after the other. */
struct claims {
    struct members members;
    struct members ours;    /* of sse_notify */
    struct slice issuer;    /* {NULL, 0}: it has none */
    struct slice patterns[2 * CLAIMS_MAX_GRANTS];
};

/* What they must be. */
struct claim_rules {
    const char *issuer;     /* NULL: any */
    const char *audience;   /* NULL: a token with an audience is for others (RFC 7519 4.1.3) */
    const char *user_claim; /* the member that names the user */
    uint64_t leeway_ms;     /* that the issuer's clock may differ from ours */
};

/* Reads the payload of a token, which is borrowed for as long as the claims are. Afterwards
 * `issuer` is known, and nothing in it is to be believed unless the signature is good. */
enum token_fault claims_read(struct claims *c, struct slice payload);

/* Checks claims that were read, at `wall_ms` (since 1970), and says what they allow. */
enum token_fault claims_check(struct claims *c, const struct claim_rules *rules, uint64_t wall_ms,
                              struct access *out);

void claims_fini(struct claims *c);
#endif
