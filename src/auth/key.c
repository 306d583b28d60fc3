/* key.c - keys from secrets and PEM, and what any key must be to be taken. */
#include "key_priv.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include "key_make_priv.h"

static int refuse(struct error *why, const char *sentence)
{
    error_set(why, "%s", sentence);
    return -EINVAL;
}

/* ---- secrets ---- */

/* RFC 7518 3.2: a key has at least as many bytes as the hash. */
static unsigned secret_algorithms(size_t length)
{
    return ALGORITHM_BIT(ALGORITHM_HS256) | (length >= 48 ? ALGORITHM_BIT(ALGORITHM_HS384) : 0) |
           (length >= 64 ? ALGORITHM_BIT(ALGORITHM_HS512) : 0);
}

int key_from_secret(struct key *k, struct slice secret, struct error *why)
{
    if (secret.n < KEY_MIN_SECRET) {
        error_set(why,
                  "the secret has %zu bytes, and one of less than %d can be guessed; make one with "
                  "`openssl rand -base64 48`",
                  secret.n, KEY_MIN_SECRET);
        return -EINVAL;
    }
    if (secret.n > KEY_MAX_SECRET) {
        error_set(why, "the secret has %zu bytes; at most %d are taken", secret.n, KEY_MAX_SECRET);
        return -EINVAL;
    }
    *k = (struct key){
        .kind = KEY_SECRET,
        .algorithms = secret_algorithms(secret.n),
        .secret = malloc(secret.n),
        .secret_length = secret.n,
    };
    if (k->secret == NULL)
        return -ENOMEM;
    memcpy(k->secret, secret.p, secret.n);
    return 0;
}

/* ---- what a public key must be ---- */

/* Whether `n` is a power of 65537 modulo `prime`. */
static bool is_generated(BN_ULONG n, BN_ULONG prime)
{
    BN_ULONG power = 1;

    do {
        if (power == n)
            return true;
        power = power * (65537 % prime) % prime;
    } while (power != 1);
    return false;
}

/* Whether a modulus has the mark of Infineon's broken generator, whose keys can be factored
 * (Nemec and others, "The Return of Coppersmith's Attack", 2017): modulo each small prime it is a
 * power of 65537. Of other moduli one in 2^150 is. */
static bool is_roca(const BIGNUM *n)
{
    static const unsigned char primes[] = {
        3,  5,  7,  11, 13, 17, 19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
        73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    };

    for (size_t i = 0; i < sizeof primes; i++)
        if (!is_generated(BN_mod_word(n, primes[i]), primes[i]))
            return false;
    return true;
}

static int check_rsa_numbers(const BIGNUM *n, const BIGNUM *e, struct error *why)
{
    int bits = BN_num_bits(n);

    if (bits < KEY_MIN_RSA || bits > KEY_MAX_RSA) {
        error_set(why, "the RSA key has %d bits; %d to %d are taken, 2048 or 3072 are usual", bits,
                  KEY_MIN_RSA, KEY_MAX_RSA);
        return -EINVAL;
    }
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64)
        return refuse(why, "the RSA key's numbers are not those of a key; make a new one");
    if (is_roca(n))
        return refuse(why, "the RSA key comes from a generator whose keys can be broken "
                           "(CVE-2017-15361); make a new one");
    return 0;
}

static int check_rsa(const EVP_PKEY *pkey, struct error *why)
{
    BIGNUM *n = NULL;
    BIGNUM *e = NULL;
    int status = -ENOMEM;

    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1)
        status = check_rsa_numbers(n, e, why);
    BN_free(n);
    BN_free(e);
    return status;
}

static bool has_curve(const EVP_PKEY *pkey, const char *name)
{
    char group[64];
    size_t n;

    return EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) == 1 && strcmp(group, name) == 0;
}

static int find_kind(const EVP_PKEY *pkey, struct key *k, struct error *why)
{
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
        k->kind = KEY_RSA;
        return check_rsa(pkey, why);
    case EVP_PKEY_ED25519:
        k->kind = KEY_ED25519;
        return 0;
    case EVP_PKEY_EC:
        k->kind = has_curve(pkey, "prime256v1") ? KEY_P256 : KEY_P384;
        if (k->kind == KEY_P256 || has_curve(pkey, "secp384r1"))
            return 0;
        return refuse(why, "the key is on a curve that is not taken; P-256 and P-384 are");
    default:
        return refuse(why, "the key is of a kind that is not taken; RSA, EC on P-256 or P-384, and "
                           "Ed25519 are");
    }
}

int key_take_public(struct key *k, EVP_PKEY *pkey, struct error *why)
{
    static const unsigned algorithms[] = {
        [KEY_RSA] = ALGORITHM_BIT(ALGORITHM_RS256) | ALGORITHM_BIT(ALGORITHM_RS384) |
                    ALGORITHM_BIT(ALGORITHM_RS512) | ALGORITHM_BIT(ALGORITHM_PS256) |
                    ALGORITHM_BIT(ALGORITHM_PS384) | ALGORITHM_BIT(ALGORITHM_PS512),
        [KEY_P256] = ALGORITHM_BIT(ALGORITHM_ES256),
        [KEY_P384] = ALGORITHM_BIT(ALGORITHM_ES384),
        [KEY_ED25519] = ALGORITHM_BIT(ALGORITHM_EDDSA),
    };
    int status;

    *k = (struct key){.public = pkey};
    status = find_kind(pkey, k, why);
    ERR_clear_error();
    if (status != 0) {
        key_fini(k);
        return status;
    }
    k->algorithms = algorithms[k->kind];
    return 0;
}

/* ---- PEM ---- */

/* Instead of asking on the terminal. */
static int no_password(char *out, int size, int is_writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)ctx;
    return -1;
}

static bool has_block(struct slice pem, const char *label)
{
    char line[64];
    int n = snprintf(line, sizeof line, "-----BEGIN %s-----", label);

    return memmem(pem.p, pem.n, line, (size_t)n) != NULL;
}

/* What PEM that holds no public key is instead, and the way from there. */
static int refuse_pem(struct slice pem, struct error *why)
{
    static const struct {
        const char *label;
        const char *sentence;
    } others[] = {
        {"RSA PUBLIC KEY", "the key is in an old form; write it anew with `openssl rsa "
                           "-RSAPublicKey_in -in FILE -pubout`"},
        {"CERTIFICATE", "this is a certificate; take the key out of it with `openssl x509 -in FILE "
                        "-noout -pubkey`"},
    };

    if (memmem(pem.p, pem.n, "PRIVATE KEY-----", 16) != NULL)
        return refuse(why, "this is a private key, which must stay where tokens are made; write "
                           "its public half with `openssl pkey -in FILE -pubout`");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (has_block(pem, others[i].label))
            return refuse(why, others[i].sentence);
    return refuse(why, "there is no \"-----BEGIN PUBLIC KEY-----\" in it");
}

static BIO *open_text(struct slice text)
{
    return text.n > INT32_MAX ? NULL : BIO_new_mem_buf(text.p, (int)text.n);
}

int key_from_pem(struct key *k, struct slice pem, struct error *why)
{
    static const char begin[] = "-----BEGIN ";
    const char *first = memmem(pem.p, pem.n, begin, sizeof begin - 1);
    EVP_PKEY *pkey;
    BIO *bio;

    if (!has_block(pem, "PUBLIC KEY") || memmem(pem.p, pem.n, "PRIVATE KEY-----", 16) != NULL)
        return refuse_pem(pem, why);
    first += sizeof begin - 1;
    if (memmem(first, pem.n - (size_t)(first - pem.p), begin, sizeof begin - 1) != NULL)
        return refuse(why, "there is more than one PEM block in it; several keys need a JWK Set");
    bio = open_text(pem);
    if (bio == NULL)
        return -ENOMEM;
    pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (pkey == NULL)
        return refuse(why, "the public key in it cannot be read: it is damaged or cut short, or of "
                           "a kind that is not known");
    return key_take_public(k, pkey, why);
}

int key_from_private_pem(struct key *k, struct slice pem, struct error *why)
{
    BIO *bio = open_text(pem);
    EVP_PKEY *pkey;

    if (bio == NULL)
        return -ENOMEM;
    pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (pkey == NULL)
        return refuse(why, "the private key in it cannot be read: it is encrypted, damaged or cut "
                           "short");
    return key_take_public(k, pkey, why);
}

void key_fini(struct key *k)
{
    EVP_PKEY_free(k->public);
    if (k->secret != NULL)
        OPENSSL_cleanse(k->secret, k->secret_length);
    free(k->secret);
    free(k->id);
    *k = (struct key){0};
}
