/* key_jwk.c - keys from JSON Web Keys (RFC 7517, RFC 7518 6, RFC 8037 2). */
#include "key_priv.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>
#include "base64url_priv.h"
#include "key_make_priv.h"

enum { MAX_COORDINATE = 48, MAX_RSA_BYTES = 2 * KEY_MAX_RSA / 8 };

/* Appends the bytes of a member, at most so many. */
static int read_bytes(struct members *jwk, const char *name, size_t most, struct buf *out,
                      struct error *why)
{
    size_t start = out->len;
    struct slice text;
    int status = members_find_text(jwk, name, &text);

    if (status == 0)
        status = text.p == NULL ? -EINVAL : base64url_decode(out, text);
    if (status == 0 && out->len - start > most)
        status = -EINVAL;
    if (status == -EINVAL)
        error_set(why, "its member \"%s\" is missing or not what it must be (RFC 7518 6)", name);
    return status;
}

/* Takes the builder's parameters, and the builder in any case. */
static int make_public(struct key *k, const char *type, OSSL_PARAM_BLD *bld, bool is_built,
                       struct error *why)
{
    OSSL_PARAM *params = is_built ? OSSL_PARAM_BLD_to_param(bld) : NULL;
    EVP_PKEY_CTX *ctx = params == NULL ? NULL : EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    int status = -ENOMEM;

    if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1) {
        status = EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1 ? 0 : -EINVAL;
        if (status != 0)
            error_set(why, "its numbers are not those of a key, such as a point that is not on "
                           "its curve");
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    ERR_clear_error();
    return status != 0 ? status : key_take_public(k, pkey, why);
}

static int make_rsa(struct key *k, struct slice modulus, struct slice exponent, struct error *why)
{
    BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.p, (int)modulus.n, NULL);
    BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.p, (int)exponent.n, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    bool is_built = n != NULL && e != NULL && bld != NULL &&
                    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
                    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1;
    int status = make_public(k, "RSA", bld, is_built, why);

    BN_free(n);
    BN_free(e);
    return status;
}

static int read_rsa(struct key *k, struct members *jwk, struct error *why)
{
    struct buf numbers = {0};
    int status = read_bytes(jwk, "n", MAX_RSA_BYTES, &numbers, why);
    size_t n = numbers.len;

    if (status == 0)
        status = read_bytes(jwk, "e", MAX_RSA_BYTES, &numbers, why);
    if (status == 0)
        status = make_rsa(k, slice_make(numbers.p, n), slice_make(numbers.p + n, numbers.len - n),
                          why);
    buf_fini(&numbers);
    return status;
}

static int make_ec(struct key *k, const char *group, const struct buf *point, struct error *why)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    bool is_built =
        bld != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point->p, point->len) == 1;

    return make_public(k, "EC", bld, is_built, why);
}

/* Both coordinates are as long as the curve's numbers (RFC 7518 6.2.1.2). */
static int read_ec(struct key *k, struct members *jwk, const char *group, size_t width,
                   struct error *why)
{
    struct buf point = {0};
    int status = buf_add_char(&point, 4); /* not compressed (SEC 1 2.3.3) */

    if (status == 0)
        status = read_bytes(jwk, "x", width, &point, why);
    if (status == 0 && point.len == 1 + width)
        status = read_bytes(jwk, "y", width, &point, why);
    if (status == 0 && point.len != 1 + 2 * width) {
        error_set(why, "its coordinates do not have %zu bytes each (RFC 7518 6.2.1)", width);
        status = -EINVAL;
    }
    if (status == 0)
        status = make_ec(k, group, &point, why);
    buf_fini(&point);
    return status;
}

static int read_ed25519(struct key *k, struct members *jwk, struct error *why)
{
    struct buf x = {0};
    EVP_PKEY *pkey = NULL;
    int status = read_bytes(jwk, "x", MAX_COORDINATE, &x, why);

    if (status == 0 && x.len != 32) {
        error_set(why, "its member \"x\" does not have 32 bytes (RFC 8032 5.1.5)");
        status = -EINVAL;
    }
    if (status == 0) {
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.p,
                                           x.len);
        status = pkey == NULL ? -ENOMEM : key_take_public(k, pkey, why);
    }
    buf_fini(&x);
    return status;
}

static int read_secret(struct key *k, struct members *jwk, struct error *why)
{
    struct buf secret = {0};
    int status;

    if (buf_reserve(&secret, KEY_MAX_SECRET + 3) != 0) /* it must not move: bytes would be left */
        return -ENOMEM;
    status = read_bytes(jwk, "k", KEY_MAX_SECRET, &secret, why);
    if (status == 0)
        status = key_from_secret(k, buf_slice(&secret), why);
    OPENSSL_cleanse(secret.p, secret.cap);
    buf_fini(&secret);
    return status;
}

static int read_by_type(struct key *k, struct members *jwk, struct slice type, struct error *why)
{
    struct slice curve;
    int status;

    if (slice_is(type, "oct"))
        return read_secret(k, jwk, why);
    if (slice_is(type, "RSA"))
        return read_rsa(k, jwk, why);
    if (!slice_is(type, "EC") && !slice_is(type, "OKP"))
        return -ENOENT;
    status = members_find_text(jwk, "crv", &curve);
    if (status == -EINVAL)
        error_set(why, "its member \"crv\" is not a string");
    if (status != 0)
        return status;
    if (slice_is(type, "EC") && slice_is(curve, "P-256"))
        return read_ec(k, jwk, "prime256v1", 32, why);
    if (slice_is(type, "EC") && slice_is(curve, "P-384"))
        return read_ec(k, jwk, "secp384r1", 48, why);
    if (slice_is(type, "OKP") && slice_is(curve, "Ed25519"))
        return read_ed25519(k, jwk, why);
    return -ENOENT;
}

/* Whether the array of strings names "verify" (RFC 7517 4.3). */
static int find_verify(struct members *jwk, struct slice operations, struct error *why)
{
    bool is_right = json_type_of(operations) == JSON_ARRAY;
    bool is_found = false;
    struct slice element;
    struct slice text;
    size_t cursor = 0;

    while (is_right && json_array_next(operations, &cursor, &element)) {
        is_right = members_element_text(jwk, element, &text) == 0;
        is_found |= is_right && slice_is(text, "verify");
    }
    if (is_right)
        return is_found ? 0 : -ENOENT;
    error_set(why, "its member \"key_ops\" is not an array of strings");
    return -EINVAL;
}

/* Whether it is for checking signatures: use, key_ops. Returns as key_from_jwk. */
static int check_use(struct members *jwk, struct error *why)
{
    struct slice operations = members_find(jwk, "key_ops");
    struct slice use;
    int status = members_find_text(jwk, "use", &use);

    if (status == -EINVAL)
        error_set(why, "its member \"use\" is not a string");
    if (status != 0)
        return status;
    if (use.p != NULL && !slice_is(use, "sig"))
        return -ENOENT;
    return operations.p == NULL ? 0 : find_verify(jwk, operations, why);
}

/* A key that names its algorithm is for that one alone. */
static int pin_algorithm(struct key *k, struct slice name, struct error *why)
{
    enum algorithm algorithm;

    if (name.p == NULL)
        return 0;
    if (algorithm_find(name, &algorithm) != 0)
        return -ENOENT;
    if (k->kind == KEY_SECRET && algorithm <= ALGORITHM_HS512 &&
        (k->algorithms & ALGORITHM_BIT(algorithm)) == 0) {
        error_set(why, "its %zu bytes are too few for %s", k->secret_length,
                  algorithm_name(algorithm));
        return -EINVAL;
    }
    if ((k->algorithms & ALGORITHM_BIT(algorithm)) == 0) {
        error_set(why, "its algorithm %s is not one for such a key", algorithm_name(algorithm));
        return -EINVAL;
    }
    k->algorithms = ALGORITHM_BIT(algorithm);
    return 0;
}

static int set_id(struct key *k, struct slice id, struct error *why)
{
    if (id.p == NULL)
        return 0;
    if (id.n == 0 || id.n > KEY_MAX_ID) {
        error_set(why, "its member \"kid\" must have 1 to %d bytes", KEY_MAX_ID);
        return -EINVAL;
    }
    k->id = malloc(id.n);
    if (k->id == NULL)
        return -ENOMEM;
    memcpy(k->id, id.p, id.n);
    k->id_length = id.n;
    return 0;
}

/* kty, alg and kid; the first must be there. */
static int read_names(struct members *jwk, struct slice *type, struct slice *algorithm,
                      struct slice *id, struct error *why)
{
    int status = members_find_text(jwk, "kty", type);

    if (status == 0)
        status = members_find_text(jwk, "alg", algorithm);
    if (status == 0)
        status = members_find_text(jwk, "kid", id);
    if (status == 0 && type->p == NULL)
        status = -EINVAL;
    if (status == -EINVAL)
        error_set(why, "its member \"kty\", \"alg\" or \"kid\" is not a string, or there is no "
                       "\"kty\"");
    return status;
}

int key_from_jwk(struct key *k, struct members *jwk, struct error *why)
{
    struct slice type, algorithm, id;
    enum algorithm known;
    int status = read_names(jwk, &type, &algorithm, &id, why);

    *k = (struct key){0};
    if (status == 0)
        status = check_use(jwk, why);
    if (status == 0 && algorithm.p != NULL)
        status = algorithm_find(algorithm, &known);
    if (status == 0 && members_find(jwk, "d").p != NULL) {
        error_set(why, "it is a private key, which must stay where tokens are made; leave out "
                       "\"d\" and what else is not public");
        status = -EINVAL;
    }
    if (status == 0)
        status = read_by_type(k, jwk, type, why);
    if (status == 0)
        status = pin_algorithm(k, algorithm, why);
    if (status == 0)
        status = set_id(k, id, why);
    if (status != 0)
        key_fini(k);
    return status;
}
