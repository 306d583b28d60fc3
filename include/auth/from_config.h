/* from_config.h - credentials as the configuration asks for them: for the daemon, and for whoever
 * checks a configuration. */
#ifndef AUTH_FROM_CONFIG_H
#define AUTH_FROM_CONFIG_H
#include "auth/credentials.h"
#include "config/config.h"

/* Makes what checks the tokens of all issuers in `cfg`, which is borrowed for its life; NULL in
 * `*out` where there is none. `fetch`, `ctx` and `now_ms` are as in credentials_options. Returns 0,
 * or -1 with a sentence in `why`. */
int credentials_from_config(const struct config *cfg,
                            int (*fetch)(void *ctx, size_t issuer, const char *url), void *ctx,
                            uint64_t now_ms, struct stats *stats, struct credentials **out,
                            struct error *why);
#endif
