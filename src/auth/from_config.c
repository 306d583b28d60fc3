/* from_config.c - the names of settings become those of this folder. */
#include "auth/from_config.h"

#include "auth/algorithm.h"

_Static_assert((int)CREDENTIALS_MAX_ISSUERS == (int)CONFIG_MAX_ISSUERS + 1, "[auth] is one, too");

static unsigned algorithms_of(unsigned configured)
{
    static const struct {
        unsigned configured;
        enum algorithm algorithm;
    } rows[] = {
        {CONFIG_HS256, ALGORITHM_HS256}, {CONFIG_HS384, ALGORITHM_HS384},
        {CONFIG_HS512, ALGORITHM_HS512}, {CONFIG_RS256, ALGORITHM_RS256},
        {CONFIG_RS384, ALGORITHM_RS384}, {CONFIG_RS512, ALGORITHM_RS512},
        {CONFIG_PS256, ALGORITHM_PS256}, {CONFIG_PS384, ALGORITHM_PS384},
        {CONFIG_PS512, ALGORITHM_PS512}, {CONFIG_ES256, ALGORITHM_ES256},
        {CONFIG_ES384, ALGORITHM_ES384}, {CONFIG_EDDSA, ALGORITHM_EDDSA},
    };
    unsigned algorithms = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if ((configured & rows[i].configured) != 0)
            algorithms |= ALGORITHM_BIT(rows[i].algorithm);
    return algorithms;
}

static void add_issuer(struct issuer_options *issuers, size_t *count, const char *name,
                       const struct config_tokens *t)
{
    if (!config_has_keys(t))
        return;
    issuers[(*count)++] = (struct issuer_options){
        .name = name,
        .issuer = t->issuer,
        .audience = t->audience,
        .user_claim = t->user_claim,
        .leeway_ms = t->leeway_ms,
        .algorithms = algorithms_of(t->algorithms),
        .key_file = t->jwt_key_file,
        .jwks_file = t->jwks_file,
        .jwks_url = t->jwks_url,
    };
}

int credentials_from_config(const struct config *cfg,
                            int (*fetch)(void *ctx, size_t issuer, const char *url), void *ctx,
                            uint64_t now_ms, struct stats *stats, struct credentials **out,
                            struct error *why)
{
    struct issuer_options issuers[CREDENTIALS_MAX_ISSUERS];
    struct credentials_options options = {
        .issuers = issuers,
        .now_ms = now_ms,
        .fetch = fetch,
        .ctx = ctx,
    };

    add_issuer(issuers, &options.issuer_count, NULL, &cfg->auth.tokens);
    for (size_t i = 0; i < cfg->issuer_count; i++)
        add_issuer(issuers, &options.issuer_count, cfg->issuers[i].name, &cfg->issuers[i].tokens);
    *out = NULL;
    if (options.issuer_count == 0)
        return 0;
    *out = credentials_create(&options, stats, why);
    return *out == NULL ? -1 : 0;
}
