/* key_verify.c - one row an algorithm, one function a kind of key. */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include "key_priv.h"

enum { MAX_DER = 128 }; /* of an ECDSA signature on P-384: at most 104 */

static const struct {
    const EVP_MD *(*hash)(void);
    bool is_pss;
} algorithms[ALGORITHM_COUNT] = {
    [ALGORITHM_HS256] = {EVP_sha256, false}, [ALGORITHM_HS384] = {EVP_sha384, false},
    [ALGORITHM_HS512] = {EVP_sha512, false}, [ALGORITHM_RS256] = {EVP_sha256, false},
    [ALGORITHM_RS384] = {EVP_sha384, false}, [ALGORITHM_RS512] = {EVP_sha512, false},
    [ALGORITHM_PS256] = {EVP_sha256, true},  [ALGORITHM_PS384] = {EVP_sha384, true},
    [ALGORITHM_PS512] = {EVP_sha512, true},  [ALGORITHM_ES256] = {EVP_sha256, false},
    [ALGORITHM_ES384] = {EVP_sha384, false}, [ALGORITHM_EDDSA] = {NULL, false},
};

static bool verify_secret(const struct key *k, const EVP_MD *hash, struct slice data,
                          struct slice signature)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n;

    return HMAC(hash, k->secret, (int)k->secret_length, (const unsigned char *)data.p, data.n, mac,
                &n) != NULL &&
           signature.n == n && CRYPTO_memcmp(signature.p, mac, n) == 0;
}

/* The salt is as long as the hash (RFC 7518 3.5). */
static bool set_pss(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool verify_public(const struct key *k, const EVP_MD *hash, bool is_pss, struct slice data,
                          struct slice signature)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx; /* md's */
    bool is_good = md != NULL && EVP_DigestVerifyInit(md, &ctx, hash, NULL, k->public) == 1 &&
                   (!is_pss || set_pss(ctx)) &&
                   EVP_DigestVerify(md, (const unsigned char *)signature.p, signature.n,
                                    (const unsigned char *)data.p, data.n) == 1;

    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return is_good;
}

/* Two numbers of `width` bytes behind one another (RFC 7518 3.4), of which OpenSSL wants DER. */
static bool verify_ec(const struct key *k, const EVP_MD *hash, size_t width, struct slice data,
                      struct slice signature)
{
    const unsigned char *p = (const unsigned char *)signature.p;
    unsigned char der[MAX_DER];
    unsigned char *end = der;
    ECDSA_SIG *both;
    BIGNUM *r, *s;
    int n = 0;

    if (signature.n != 2 * width)
        return false;
    both = ECDSA_SIG_new();
    r = BN_bin2bn(p, (int)width, NULL);
    s = BN_bin2bn(p + width, (int)width, NULL);
    if (both != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(both, r, s) == 1) {
        r = s = NULL; /* they are both's now */
        n = i2d_ECDSA_SIG(both, &end);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(both);
    return n > 0 &&
           verify_public(k, hash, false, data, slice_make((const char *)der, (size_t)n));
}

bool key_verify(const struct key *k, enum algorithm algorithm, struct slice data,
                struct slice signature)
{
    const EVP_MD *hash = algorithms[algorithm].hash == NULL ? NULL : algorithms[algorithm].hash();
    bool is_pss = algorithms[algorithm].is_pss;

    if ((k->algorithms & ALGORITHM_BIT(algorithm)) == 0)
        return false;
    switch (k->kind) {
    case KEY_SECRET:
        return verify_secret(k, hash, data, signature);
    case KEY_RSA:
        return signature.n == (size_t)EVP_PKEY_get_size(k->public) &&
               verify_public(k, hash, is_pss, data, signature);
    case KEY_P256:
        return verify_ec(k, hash, 32, data, signature);
    case KEY_P384:
        return verify_ec(k, hash, 48, data, signature);
    case KEY_ED25519:
        return signature.n == 64 && verify_public(k, hash, false, data, signature);
    }
    return false;
}
