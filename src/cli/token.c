/* token.c - `sse-notify token`: makes a token with the configured secret, or with a private key. */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "arguments_priv.h"
#include "auth/access.h"
#include "auth/signer.h"
#include "base/buf.h"
#include "configured_priv.h"
#include "token_claims_priv.h"

#define LONGEST_TTL_MS ((uint64_t)3650 * 86400 * 1000)

struct token_options {
    struct configured daemon;
    struct token_claims claims;
    const char *issuer; /* NAME of [issuer.NAME]; NULL: [auth] */
    const char *key_file;
    const char *key_id;
};

/* ---- making it ---- */

/* What the daemon will want of the token; NULL after a sentence. */
static const struct config_tokens *find_issuer(const struct command *command,
                                               const struct token_options *o)
{
    const struct config *cfg = &o->daemon.config;

    if (o->issuer == NULL)
        return &cfg->auth.tokens;
    for (size_t i = 0; i < cfg->issuer_count; i++)
        if (strcmp(cfg->issuers[i].name, o->issuer) == 0)
            return &cfg->issuers[i].tokens;
    complain(command, "there is no [issuer.%s] in the configuration", o->issuer);
    return NULL;
}

static struct signer *find_key(const struct command *command, const struct token_options *o,
                               const struct config_tokens *t)
{
    const char *path = o->key_file != NULL ? o->key_file : t->jwt_key_file;
    struct error why = {""};
    struct signer *s;

    if (path == NULL) {
        complain(command, "there is no key to make it with: --key FILE names one, or "
                          "auth.jwt_key_file with a secret");
        return NULL;
    }
    s = signer_open(path, &why);
    if (s == NULL)
        complain(command, "%s", why.text);
    return s;
}

static int make(const struct command *command, const struct token_options *o)
{
    const struct config_tokens *t = find_issuer(command, o);
    struct signer *s = t == NULL ? NULL : find_key(command, o, t);
    struct buf claims = {0};
    struct buf token = {0};
    int code = EXIT_USAGE;

    if (s != NULL) {
        token_claims_add(&o->claims, t, &claims);
        code = claims.failed || signer_sign(s, slice_of(o->key_id), buf_slice(&claims), &token) != 0
                   ? EXIT_REFUSED
                   : EXIT_OK;
        if (code != EXIT_OK)
            complain(command, "the token could not be made");
        else if (printf("%.*s\n", SLICE_ARG(buf_slice(&token))) < 0 || fflush(stdout) != 0)
            code = EXIT_REFUSED;
    }
    signer_destroy(s);
    buf_fini(&claims);
    buf_fini(&token);
    return code;
}

/* -1, or the exit code after a sentence. */
static int check(const struct command *command, const struct token_options *o)
{
    const struct text_list *lists[] = {&o->claims.subscribe, &o->claims.publish};

    if (o->claims.user == NULL && o->claims.publish.count == 0)
        return wrong_usage(command, "whose is it to be? --user ID, or --publish PATTERN for a "
                                    "backend");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < lists[i]->count; j++)
            if (!grants_is_pattern(slice_of(lists[i]->items[j])))
                return wrong_usage(command, "%s is none of user:NAME, user:*, topic:NAME, topic:* "
                                            "and broadcast",
                                   lists[i]->items[j]);
    return -1;
}

int command_token(int argc, char **argv)
{
    struct token_options o = {.claims.ttl_ms = 3600 * 1000};
    const struct argument arguments[] = {
        {'u', "user", ARGUMENT_TEXT, "ID", &o.claims.user, 0, 0, "the user that it names"},
        {0, "ttl", ARGUMENT_TIME, "TIME", &o.claims.ttl_ms, 1000, LONGEST_TTL_MS,
         "how long it is good, as 90s, 15min or 1h; default 1h"},
        {'t', "topic", ARGUMENT_LIST, "NAME", &o.claims.topics, 0, 0,
         "it may follow this topic; may be repeated"},
        {0, "subscribe", ARGUMENT_LIST, "PATTERN", &o.claims.subscribe, 0, 0,
         "it may listen to these: user:NAME, user:*, topic:*;\nmay be repeated"},
        {0, "publish", ARGUMENT_LIST, "PATTERN", &o.claims.publish, 0, 0,
         "it may send to these: user:NAME, user:*,\ntopic:NAME, topic:*, broadcast; may be "
         "repeated"},
        {0, "key", ARGUMENT_TEXT, "FILE", &o.key_file, 0, 0,
         "sign with this private key (PEM) or secret;\ndefault the secret in auth.jwt_key_file"},
        {0, "kid", ARGUMENT_TEXT, "ID", &o.key_id, 0, 0, "the key's name in the JWK Set"},
        {0, "issuer", ARGUMENT_TEXT, "NAME", &o.issuer, 0, 0,
         "as [issuer.NAME] wants it, and not [auth]"},
        CONFIGURED_ARGUMENTS(o.daemon),
    };
    const struct command command = {
        .name = "token",
        .usage = "--user ID [options]",
        .purpose = "Makes a token (JWT) for development and prints it, with the issuer, audience\n"
                   "and user claim that the daemon's configuration asks for.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = "Examples:\n"
                 "  sse-notify token --user alice\n"
                 "  sse-notify token --user alice --ttl 15min --topic deploys\n"
                 "  sse-notify token --publish 'user:*' --key private.pem --kid 2026-11\n"
                 "  SSE_NOTIFY_TOKEN=$(sse-notify token --user alice) sse-notify tail alice\n"
                 "\n"
                 "Exit codes: 0 made; 1 it could not be; 2 wrong usage, configuration or key.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0 && operands.count > 0)
        code = wrong_operands(&command, "takes no arguments but options");
    if (code < 0)
        code = check(&command, &o);
    if (code < 0)
        code = configured_read(&o.daemon);
    if (code < 0)
        code = make(&command, &o);
    text_list_fini(&operands);
    text_list_fini(&o.claims.topics);
    text_list_fini(&o.claims.subscribe);
    text_list_fini(&o.claims.publish);
    configured_fini(&o.daemon);
    return code;
}
