/* webhook_secrets.c - a few HMAC keys, side by side. */
#include "auth/webhook_secrets.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include "key_file_priv.h"

#define SETTING "webhooks.secret_file"
#define CURE "`(printf whsec_; openssl rand -base64 32) >FILE` makes one"

enum {
    LEAST_BYTES = 24,
    MOST_BYTES = 64,
    MOST_TEXT = (MOST_BYTES + 2) / 3 * 4,
    MAC_BYTES = 32,
    MAC_TEXT = (MAC_BYTES + 2) / 3 * 4,
};

struct secret {
    size_t n;
    unsigned char bytes[MOST_TEXT / 4 * 3]; /* with room for what padding decodes to */
};

struct webhook_secrets {
    size_t count;
    struct secret items[WEBHOOK_MAX_SECRETS];
};

/* ---- reading ---- */

/* OpenSSL passes over blanks at both ends and takes any number of '=': that is looked at here. */
static bool decode(struct slice text, struct secret *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = 0;

    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    if (text.n == 0 || text.n > MOST_TEXT || text.n % 4 != 0)
        return false;
    for (size_t i = 0; i < text.n - padding; i++)
        if (memchr(alphabet, text.p[i], sizeof alphabet - 1) == NULL)
            return false;
    if (EVP_DecodeBlock(out->bytes, (const unsigned char *)text.p, (int)text.n) < 0)
        return false;
    out->n = text.n / 4 * 3 - padding;
    return out->n >= LEAST_BYTES && out->n <= MOST_BYTES;
}

static int add_secret(struct webhook_secrets *s, struct slice text, struct error *why)
{
    const struct slice prefix = SLICE_LITERAL("whsec_");

    if (text.n < prefix.n || memcmp(text.p, prefix.p, prefix.n) != 0)
        return error_set(why, "does not begin with whsec_; " CURE);
    if (s->count == WEBHOOK_MAX_SECRETS)
        return error_set(why, "there may be %d secrets; take away those that the receiver does not "
                              "know any more",
                         WEBHOOK_MAX_SECRETS);
    if (!decode(slice_make(text.p + prefix.n, text.n - prefix.n), &s->items[s->count]))
        return error_set(why, "must be whsec_ and then %d to %d bytes in base64; " CURE,
                         LEAST_BYTES, MOST_BYTES);
    s->count++;
    return 0;
}

/* Returns 0 or -EINVAL with a sentence's end in `why`. */
static int add_lines(struct webhook_secrets *s, struct slice text, struct error *why)
{
    struct error sentence;

    for (size_t number = 1; text.n > 0; number++) {
        struct slice line = slice_cut(&text, '\n');

        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        line = slice_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (add_secret(s, line, &sentence) != 0) {
            error_set(why, "line %zu: %s", number, sentence.text);
            return -EINVAL;
        }
    }
    if (s->count > 0)
        return 0;
    error_set(why, "has no secret in it; " CURE);
    return -EINVAL;
}

int webhook_secrets_open(struct webhook_secrets **out, const char *path, struct error *why)
{
    struct error sentence = {"out of memory"};
    struct webhook_secrets *s = calloc(1, sizeof *s);
    struct buf text = {0};
    bool is_open_to_all = false;
    int status = s == NULL ? -ENOMEM : key_file_read(path, &text, &is_open_to_all, &sentence);

    if (status == 0)
        status = add_lines(s, buf_slice(&text), &sentence);
    key_file_fini(&text);
    if (status != 0) {
        error_set(why, SETTING " = %s: %s%s", path, sentence.text,
                  status == -ENOENT ? "; " CURE : "");
        webhook_secrets_destroy(s);
        return status;
    }
    if (is_open_to_all)
        key_file_warn_is_open(SETTING, path);
    *out = s;
    return 0;
}

void webhook_secrets_destroy(struct webhook_secrets *s)
{
    if (s == NULL)
        return;
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

/* ---- signing ---- */

int webhook_secrets_sign(const struct webhook_secrets *s, struct slice content, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct secret *secret = &s->items[i];
        unsigned char mac[MAC_BYTES];
        unsigned char text[MAC_TEXT + 1]; /* OpenSSL ends it */
        unsigned n;

        if (HMAC(EVP_sha256(), secret->bytes, (int)secret->n, (const unsigned char *)content.p,
                 content.n, mac, &n) == NULL)
            return -ENOMEM;
        EVP_EncodeBlock(text, mac, MAC_BYTES);
        buf_printf(out, "%sv1,%s", i == 0 ? "" : " ", (const char *)text);
    }
    return out->failed ? -ENOMEM : 0;
}
