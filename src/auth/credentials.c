/* credentials.c - which issuer a token is of, and the way of a token through the parts. */
#include "auth/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "claims_priv.h"
#include "jws_priv.h"
#include "key_source_priv.h"

struct issuer {
    char name[48];           /* of its section: "auth", "issuer.partner" */
    struct claim_rules rules;
    unsigned algorithms;
    struct key_source source;
    struct error trouble;    /* that was logged last of its fetches; empty: none */
};

struct credentials {
    struct stats *stats;
    int (*fetch)(void *ctx, size_t issuer, const char *url);
    void *ctx;
    uint64_t now_ms;
    const struct revocations *revocations; /* NULL: none are kept */
    struct list waiters;
    struct jws jws;          /* of the token that is looked at */
    struct claims claims;
    size_t count;
    struct issuer issuers[CREDENTIALS_MAX_ISSUERS];
};

enum { SETTING_SIZE = 96 };

static const char *setting_of(const struct issuer *issuer, bool is_set, char out[SETTING_SIZE])
{
    snprintf(out, SETTING_SIZE, "%s.%s", issuer->name, is_set ? "jwks_file" : "jwt_key_file");
    return out;
}

static int open_file(struct issuer *issuer, const struct issuer_options *o, struct error *why)
{
    bool is_set = o->jwks_file != NULL;
    char setting[SETTING_SIZE];

    return key_source_open(&issuer->source, setting_of(issuer, is_set, setting),
                           is_set ? o->jwks_file : o->key_file, is_set, why);
}

static int add_issuer(struct credentials *c, const struct issuer_options *o, struct error *why)
{
    struct issuer *issuer = &c->issuers[c->count];

    *issuer = (struct issuer){
        .rules = {o->issuer, o->audience, o->user_claim, o->leeway_ms},
        .algorithms = o->algorithms == 0 ? ALGORITHM_ALL : o->algorithms,
    };
    snprintf(issuer->name, sizeof issuer->name, "%s%s", o->name == NULL ? "auth" : "issuer.",
             o->name == NULL ? "" : o->name);
    if (o->jwks_url != NULL)
        key_source_begin(&issuer->source, o->jwks_url, c->now_ms);
    else if (open_file(issuer, o, why) != 0)
        return -1;
    c->count++;
    return 0;
}

struct credentials *credentials_create(const struct credentials_options *options,
                                       struct stats *stats, struct error *why)
{
    struct credentials *c = calloc(1, sizeof *c);

    if (c == NULL) {
        error_set(why, "out of memory for credentials");
        return NULL;
    }
    c->stats = stats;
    c->fetch = options->fetch;
    c->ctx = options->ctx;
    c->now_ms = options->now_ms;
    list_init(&c->waiters);
    for (size_t i = 0; i < options->issuer_count; i++)
        if (add_issuer(c, &options->issuers[i], why) != 0) {
            credentials_destroy(c);
            return NULL;
        }
    return c;
}

void credentials_destroy(struct credentials *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        key_source_fini(&c->issuers[i].source);
    jws_fini(&c->jws);
    claims_fini(&c->claims);
    free(c);
}

/* ---- files, again ---- */

int credentials_prepare_keys(struct credentials *c, struct error *why)
{
    for (size_t i = 0; i < c->count; i++) {
        struct issuer *issuer = &c->issuers[i];
        char setting[SETTING_SIZE];

        if (key_source_read_again(&issuer->source,
                                  setting_of(issuer, issuer->source.is_set, setting), why) == 0)
            continue;
        credentials_cancel_keys(c);
        return -1;
    }
    return 0;
}

void credentials_commit_keys(struct credentials *c)
{
    for (size_t i = 0; i < c->count; i++)
        key_source_take(&c->issuers[i].source);
}

void credentials_cancel_keys(struct credentials *c)
{
    for (size_t i = 0; i < c->count; i++)
        key_set_fini(&c->issuers[i].source.fresh);
}

/* ---- a token ---- */

/* The issuer that the token says it is of, which the signature then proves or not; NULL: none. */
static struct issuer *find_issuer(struct credentials *c, struct slice name)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->issuers[i].rules.issuer == NULL ||
            (name.p != NULL && slice_is(name, c->issuers[i].rules.issuer)))
            return &c->issuers[i];
    return NULL;
}

/* Logs what is wrong, once for as long as it is the same; `status` is not 0 where nothing of what
 * was fetched can be used. */
static void note_trouble(struct issuer *issuer, int status, const char *text)
{
    if (strcmp(text, issuer->trouble.text) == 0)
        return;
    error_set(&issuer->trouble, "%s", text);
    if (text[0] == '\0')
        log_info("%s.jwks_url: the keys are right again", issuer->name);
    else
        log_warning("%s.jwks_url: %s%s", issuer->name, text,
                    status != 0 && issuer->source.keys.count > 0 ? "; the keys of before are used"
                                                                 : "");
}

static void take_fetched(struct credentials *c, struct issuer *issuer, struct slice body,
                         const char *why_not)
{
    struct error why = {""};
    int status;

    if (body.p == NULL)
        error_set(&why, "%s", why_not);
    status = key_source_on_fetched(&issuer->source, body, c->now_ms, &why);
    if (status != 0)
        c->stats->key_fetches_failed++;
    note_trouble(issuer, status, status == -ENOMEM ? "out of memory" : why.text);
}

static void begin_fetches(struct credentials *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct key_source *s = &c->issuers[i].source;

        if (!key_source_is_due(s, c->now_ms))
            continue;
        c->stats->key_fetches++;
        if (c->fetch(c->ctx, i, s->url) != 0)
            take_fetched(c, &c->issuers[i], slice_make(NULL, 0), "out of memory");
    }
}

/* A token whose key is not there: it may come. */
static enum token_fault judge_unknown(struct credentials *c, struct issuer *issuer)
{
    bool has_keys = issuer->source.keys.count > 0;

    if (has_keys)
        key_source_ask(&issuer->source, c->now_ms);
    begin_fetches(c);
    if (issuer->source.is_fetching)
        return TOKEN_WAITS;
    return has_keys ? TOKEN_UNKNOWN_KEY : TOKEN_WITHOUT_KEYS;
}

static bool is_revoked(const struct credentials *c, const struct access *access)
{
    struct token_mark mark;

    if (c->revocations == NULL)
        return false;
    mark = token_mark_of(access);
    return revocations_have(c->revocations, &mark);
}

enum token_fault credentials_check(struct credentials *c, struct slice token, uint64_t wall_ms,
                                   struct access *out)
{
    enum token_fault fault = jws_read(&c->jws, token);
    struct issuer *issuer;

    if (fault == TOKEN_GOOD)
        fault = claims_read(&c->claims, c->jws.payload);
    if (fault != TOKEN_GOOD)
        return fault;
    issuer = find_issuer(c, c->claims.issuer);
    if (issuer == NULL)
        return TOKEN_WRONG_ISSUER;
    fault = issuer->source.keys.count == 0
                ? TOKEN_UNKNOWN_KEY
                : jws_verify(&c->jws, &issuer->source.keys, issuer->algorithms);
    if (fault == TOKEN_UNKNOWN_KEY)
        return judge_unknown(c, issuer);
    if (fault == TOKEN_GOOD)
        fault = claims_check(&c->claims, &issuer->rules, wall_ms, out);
    return fault == TOKEN_GOOD && is_revoked(c, out) ? TOKEN_REVOKED : fault;
}

void credentials_set_revocations(struct credentials *c, const struct revocations *revocations)
{
    c->revocations = revocations;
}

/* ---- keys that are fetched ---- */

void credentials_wait(struct credentials *c, struct credentials_waiter *waiter)
{
    list_add_last(&c->waiters, &waiter->link);
}

void credentials_leave(struct credentials_waiter *waiter)
{
    list_remove(&waiter->link);
}

void credentials_tick(struct credentials *c, uint64_t now_ms)
{
    c->now_ms = now_ms;
    begin_fetches(c);
}

/* Only those who wait now: who is called may wait again. */
static void wake(struct credentials *c)
{
    struct list waking;

    list_init(&waking);
    while (!list_is_empty(&c->waiters)) {
        struct list *link = c->waiters.next;

        list_remove(link);
        list_add_last(&waking, link);
    }
    while (!list_is_empty(&waking)) {
        struct credentials_waiter *waiter =
            LIST_HOLDER(waking.next, struct credentials_waiter, link);

        list_remove(&waiter->link);
        waiter->on_keys(waiter);
    }
}

void credentials_on_fetched(struct credentials *c, size_t issuer, struct slice body,
                            const char *why_not, uint64_t now_ms)
{
    c->now_ms = now_ms;
    take_fetched(c, &c->issuers[issuer], body, why_not);
    wake(c);
}

bool credentials_have_keys(const struct credentials *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->issuers[i].source.keys.count > 0)
            return true;
    return false;
}
