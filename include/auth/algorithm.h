/* algorithm.h - the signature algorithms of JSON Web Algorithms (RFC 7518 3.1, RFC 8037) that are
 * taken here. There is no "none" among them. */
#ifndef AUTH_ALGORITHM_H
#define AUTH_ALGORITHM_H
#include "base/slice.h"

enum algorithm {
    ALGORITHM_HS256, ALGORITHM_HS384, ALGORITHM_HS512,
    ALGORITHM_RS256, ALGORITHM_RS384, ALGORITHM_RS512,
    ALGORITHM_PS256, ALGORITHM_PS384, ALGORITHM_PS512,
    ALGORITHM_ES256, ALGORITHM_ES384,
    ALGORITHM_EDDSA,
    ALGORITHM_COUNT
};

/* Sets of them are bits. */
#define ALGORITHM_BIT(algorithm) (1u << (algorithm))
#define ALGORITHM_ALL ((1u << ALGORITHM_COUNT) - 1)

/* "RS256" as tokens and keys name it. */
const char *algorithm_name(enum algorithm algorithm);

/* Returns 0, or -ENOENT for one that is not taken here. Case counts. */
int algorithm_find(struct slice name, enum algorithm *out);
#endif
