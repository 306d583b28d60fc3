/* algorithm.c - their names. */
#include "auth/algorithm.h"

#include <errno.h>

static const char *const names[ALGORITHM_COUNT] = {
    [ALGORITHM_HS256] = "HS256", [ALGORITHM_HS384] = "HS384", [ALGORITHM_HS512] = "HS512",
    [ALGORITHM_RS256] = "RS256", [ALGORITHM_RS384] = "RS384", [ALGORITHM_RS512] = "RS512",
    [ALGORITHM_PS256] = "PS256", [ALGORITHM_PS384] = "PS384", [ALGORITHM_PS512] = "PS512",
    [ALGORITHM_ES256] = "ES256", [ALGORITHM_ES384] = "ES384",
    [ALGORITHM_EDDSA] = "EdDSA",
};

const char *algorithm_name(enum algorithm algorithm)
{
    return names[algorithm];
}

int algorithm_find(struct slice name, enum algorithm *out)
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        if (slice_is(name, names[i])) {
            *out = (enum algorithm)i;
            return 0;
        }
    return -ENOENT;
}
