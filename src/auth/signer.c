/* signer.c - a key of one kind and the one algorithm that it signs by. */
#include "auth/signer.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base64url_priv.h"
#include "key_file_priv.h"
#include "key_make_priv.h"
#include "key_set_priv.h"

enum { MAX_SIGNATURE = KEY_MAX_RSA / 8 };

struct signer {
    struct key key; /* with its private half */
    enum algorithm algorithm;
};

static int read_secret(struct key *k, struct slice text, struct error *why)
{
    struct key_set set = {0};
    int status = key_set_from_key(&set, text, why);

    if (status != 0)
        return status;
    *k = set.keys[0];
    set.keys[0] = (struct key){0};
    key_set_fini(&set);
    if (k->kind == KEY_SECRET)
        return 0;
    key_fini(k);
    error_set(why, "this is a public key, with which tokens are checked; making one needs the "
                   "private key, or a secret");
    return -EINVAL;
}

struct signer *signer_create(struct slice text, struct error *why)
{
    static const enum algorithm algorithms[] = {
        [KEY_SECRET] = ALGORITHM_HS256, [KEY_RSA] = ALGORITHM_RS256, [KEY_P256] = ALGORITHM_ES256,
        [KEY_P384] = ALGORITHM_ES384,   [KEY_ED25519] = ALGORITHM_EDDSA,
    };
    struct signer *s = calloc(1, sizeof *s);
    int status = -ENOMEM;

    if (s != NULL)
        status = memmem(text.p, text.n, "PRIVATE KEY-----", 16) != NULL
                     ? key_from_private_pem(&s->key, text, why)
                     : read_secret(&s->key, text, why);
    if (status == -ENOMEM)
        error_set(why, "out of memory");
    if (status != 0) {
        free(s);
        return NULL;
    }
    s->algorithm = algorithms[s->key.kind];
    return s;
}

struct signer *signer_open(const char *path, struct error *why)
{
    struct error sentence = {"out of memory"};
    struct buf text = {0};
    struct signer *s = NULL;

    if (key_file_read(path, &text, NULL, &sentence) == 0)
        s = signer_create(buf_slice(&text), &sentence);
    key_file_fini(&text);
    if (s == NULL)
        error_set(why, "%s: %s", path, sentence.text);
    return s;
}

void signer_destroy(struct signer *s)
{
    if (s == NULL)
        return;
    key_fini(&s->key);
    free(s);
}

enum algorithm signer_algorithm(const struct signer *s)
{
    return s->algorithm;
}

/* OpenSSL's signature, of an ECDSA one in DER. Returns its length, or 0. */
static size_t sign(const struct signer *s, struct slice data, unsigned char out[MAX_SIGNATURE])
{
    const unsigned char *p = (const unsigned char *)data.p;
    const EVP_MD *hash = s->algorithm == ALGORITHM_EDDSA   ? NULL
                         : s->algorithm == ALGORITHM_ES384 ? EVP_sha384()
                                                           : EVP_sha256();
    EVP_MD_CTX *md;
    size_t n = MAX_SIGNATURE;
    unsigned length;

    if (s->key.kind == KEY_SECRET)
        return HMAC(hash, s->key.secret, (int)s->key.secret_length, p, data.n, out, &length) == NULL
                   ? 0
                   : length;
    md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestSignInit(md, NULL, hash, NULL, s->key.public) != 1 ||
        EVP_DigestSign(md, out, &n, p, data.n) != 1)
        n = 0;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return n;
}

/* From DER to two numbers of `width` bytes behind one another (RFC 7518 3.4); returns the length,
 * or 0. */
static size_t flatten(unsigned char *signature, size_t n, int width)
{
    const unsigned char *der = signature;
    ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool is_flat = both != NULL &&
                   BN_bn2binpad(ECDSA_SIG_get0_r(both), signature, width) == width &&
                   BN_bn2binpad(ECDSA_SIG_get0_s(both), signature + width, width) == width;

    ECDSA_SIG_free(both);
    ERR_clear_error();
    return is_flat ? 2 * (size_t)width : 0;
}

static int add_signature(const struct signer *s, size_t start, struct buf *out)
{
    unsigned char signature[MAX_SIGNATURE];
    size_t n = sign(s, slice_make(out->p + start, out->len - start), signature);

    if (n > 0 && s->key.kind == KEY_P256)
        n = flatten(signature, n, 32);
    else if (n > 0 && s->key.kind == KEY_P384)
        n = flatten(signature, n, 48);
    if (n == 0)
        return -EIO;
    buf_add_char(out, '.');
    return base64url_encode(out, slice_make((const char *)signature, n));
}

int signer_sign(const struct signer *s, struct slice key_id, struct slice claims, struct buf *out)
{
    struct buf header = {0};
    size_t start = out->len;

    buf_printf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"", algorithm_name(s->algorithm));
    if (key_id.n > 0) {
        buf_add_text(&header, ",\"kid\":");
        json_add_string(&header, key_id);
    }
    buf_add_char(&header, '}');
    base64url_encode(out, buf_slice(&header));
    buf_add_char(out, '.');
    base64url_encode(out, claims);
    out->failed |= header.failed;
    buf_fini(&header);
    return out->failed ? -ENOMEM : add_signature(s, start, out);
}
