/* fuzz_jwt.c - any token is either refused, or a right signature over what our rules let through.
 *
 * An input with a NUL is a header and a payload, which are signed rightly, so that what is behind
 * the signature is reached; any other is a token as it stands. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../src/auth/base64url_priv.h"
#include "../../src/auth/claims_priv.h"
#include "../../src/auth/jws_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const char secret[] = "a secret of sixty-four bytes that nobody could ever have guessed";

static const struct claim_rules rules = {
    .issuer = "i",
    .audience = "a",
    .user_claim = "sub",
    .leeway_ms = 1000,
};

static void add_signature(struct buf *token)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n;

    HMAC(EVP_sha256(), secret, sizeof secret - 1, (const unsigned char *)token->p, token->len, mac,
         &n);
    buf_add_char(token, '.');
    base64url_encode(token, slice_make((const char *)mac, n));
}

/* What is granted can be asked for, and holds no more than was read. */
static void check_access(const struct access *a)
{
    if (a->expires_ms == 0 || a->user.n > CLAIMS_MAX_TEXT || a->id.n > CLAIMS_MAX_TEXT ||
        a->subscribe.count > CLAIMS_MAX_GRANTS || a->publish.count > CLAIMS_MAX_GRANTS)
        abort();
    if (a->user.n > 0 && !access_has_user(a, a->user))
        abort();
    (void)grants_have(&a->subscribe, ACCESS_TOPIC, a->user);
    (void)grants_have(&a->publish, ACCESS_EVERYONE, a->user);
}

/* There is one text for one token. */
static void check_canonical(const struct jws *j, struct slice token)
{
    struct buf again = {0};

    base64url_encode(&again, slice_make(j->bytes.p, (size_t)(j->payload.p - j->bytes.p)));
    buf_add_char(&again, '.');
    base64url_encode(&again, j->payload);
    buf_add_char(&again, '.');
    base64url_encode(&again, j->signature);
    if (!slice_equal(buf_slice(&again), token))
        abort();
    buf_fini(&again);
}

static void check(const struct key_set *keys, struct slice token, bool is_signed)
{
    static struct jws j;
    static struct claims claims;
    struct access a;
    enum token_fault fault = jws_read(&j, token);

    if (fault != TOKEN_GOOD)
        return;
    check_canonical(&j, token);
    fault = jws_verify(&j, keys, ALGORITHM_ALL);
    if (is_signed && (fault == TOKEN_GOOD) != (j.algorithm == ALGORITHM_HS256))
        abort();
    if (fault == TOKEN_GOOD && claims_read(&claims, j.payload) == TOKEN_GOOD &&
        claims_check(&claims, &rules, 1800000000000, &a) == TOKEN_GOOD)
        check_access(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct key_set keys;
    struct slice payload = slice_make((const char *)bytes, n);
    struct slice header;
    struct buf token = {0};
    struct error why;

    if (keys.count == 0 && key_set_from_key(&keys, slice_of(secret), &why) != 0)
        abort();
    header = slice_cut(&payload, '\0');
    if (payload.p == NULL) {
        check(&keys, header, false);
        return 0;
    }
    base64url_encode(&token, header);
    buf_add_char(&token, '.');
    base64url_encode(&token, payload);
    add_signature(&token);
    check(&keys, buf_slice(&token), true);
    buf_fini(&token);
    return 0;
}
