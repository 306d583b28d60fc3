/* token_claims_priv.h - the claims of tokens that are made here. */
#ifndef CLI_TOKEN_CLAIMS_PRIV_H
#define CLI_TOKEN_CLAIMS_PRIV_H
#include "arguments_priv.h"
#include "base/buf.h"
#include "config/config.h"

struct token_claims {
    const char *user; /* NULL: of nobody */
    uint64_t ttl_ms;
    struct text_list topics;    /* that may be followed */
    struct text_list subscribe; /* patterns */
    struct text_list publish;   /* patterns */
};

/* Appends them as a JSON object, with the issuer, the audience and the user's claim that the daemon
 * wants. `out` is failed where there is no memory or no randomness. */
void token_claims_add(const struct token_claims *c, const struct config_tokens *wanted,
                      struct buf *out);
#endif
