/* jws.c - the header decides which key is looked for and nothing more; what would let a token
 * bring a key of its own, or asks for what is not understood, ends it. */
#include "jws_priv.h"

#include <errno.h>
#include <string.h>
#include "base64url_priv.h"

/* Cuts off and decodes what stands before the next dot, and at the end what is left. */
static int decode_part(struct buf *out, struct slice *rest, bool is_last, size_t *length)
{
    size_t start = out->len;
    struct slice part = slice_cut(rest, '.');
    int status;

    if ((rest->p == NULL) != is_last)
        return -EINVAL;
    status = base64url_decode(out, part);
    *length = out->len - start;
    return status;
}

/* Members by which a token would bring or name a key of its own (RFC 8725 3.10), or that change
 * how it is read (RFC 7515 4.1.11, RFC 7797 3). */
static bool has_forbidden(const struct members *header)
{
    static const char *const names[] = {"jwk", "jku", "x5u", "x5c", "crit", "b64"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (members_find(header, names[i]).p != NULL)
            return true;
    return false;
}

static enum token_fault read_header(struct jws *j, struct slice text)
{
    struct slice algorithm;
    int status = members_read(&j->header, text);

    if (status == 0)
        status = members_find_text(&j->header, "alg", &algorithm);
    if (status != 0 || algorithm.p == NULL)
        return status == -ENOMEM ? TOKEN_NO_MEMORY : TOKEN_MALFORMED;
    if (has_forbidden(&j->header))
        return TOKEN_WRONG_HEADER;
    if (algorithm_find(algorithm, &j->algorithm) != 0)
        return TOKEN_WRONG_ALGORITHM;
    if (members_find_text(&j->header, "kid", &j->key_id) != 0 || j->key_id.n > KEY_MAX_ID)
        return TOKEN_WRONG_HEADER;
    return TOKEN_GOOD;
}

enum token_fault jws_read(struct jws *j, struct slice token)
{
    struct slice rest = token;
    size_t header, payload, signature;
    int status;

    if (token.n > JWS_MAX)
        return TOKEN_TOO_LONG;
    buf_clear(&j->bytes);
    if (buf_reserve(&j->bytes, token.n + 3) != 0) /* parts stay where they are */
        return TOKEN_NO_MEMORY;
    status = decode_part(&j->bytes, &rest, false, &header);
    if (status == 0)
        status = decode_part(&j->bytes, &rest, false, &payload);
    j->signed_text = slice_make(token.p, token.n - rest.n - 1); /* without the last dot */
    if (status == 0)
        status = decode_part(&j->bytes, &rest, true, &signature);
    if (status != 0)
        return status == -ENOMEM ? TOKEN_NO_MEMORY : TOKEN_MALFORMED;
    j->payload = slice_make(j->bytes.p + header, payload);
    j->signature = slice_make(j->payload.p + payload, signature);
    return read_header(j, slice_make(j->bytes.p, header));
}

void jws_fini(struct jws *j)
{
    buf_fini(&j->bytes);
    members_fini(&j->header);
}

enum token_fault jws_verify(const struct jws *j, const struct key_set *keys, unsigned allowed)
{
    const struct key *key;

    if ((allowed & ALGORITHM_BIT(j->algorithm)) == 0)
        return TOKEN_WRONG_ALGORITHM;
    switch (key_set_choose(keys, j->key_id, j->algorithm, &key)) {
    case KEY_FOUND:
        break;
    case KEY_UNKNOWN:
        return TOKEN_UNKNOWN_KEY;
    case KEY_WRONG_ALGORITHM:
        return TOKEN_WRONG_ALGORITHM;
    case KEY_AMBIGUOUS:
        return TOKEN_AMBIGUOUS_KEY;
    }
    return key_verify(key, j->algorithm, j->signed_text, j->signature) ? TOKEN_GOOD
                                                                       : TOKEN_WRONG_SIGNATURE;
}
