/* webhook_secrets.h - what webhooks are signed with, so that their receiver knows who sent them.
 * Source: the Standard Webhooks specification, "Signature scheme", its symmetric form. */
#ifndef AUTH_WEBHOOK_SECRETS_H
#define AUTH_WEBHOOK_SECRETS_H
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum { WEBHOOK_MAX_SECRETS = 4 };

struct webhook_secrets;

/* Reads the file of the setting webhooks.secret_file: one secret a line, whsec_ and 24 to 64 bytes
 * in base64; empty lines and those that begin with '#' are passed over. All of them sign, so that a
 * receiver that knows one is content while they are replaced.
 * Returns 0 and the secrets in `*out`; or -errno (-EINVAL: what the file holds is wrong) with a
 * sentence in `why`, in which no byte of a secret is. Pair: webhook_secrets_destroy. */
int webhook_secrets_open(struct webhook_secrets **out, const char *path, struct error *why);

/* Overwrites them. NULL is allowed. */
void webhook_secrets_destroy(struct webhook_secrets *s);

/* Appends the value of the header webhook-signature for `content`, which is ID.TIMESTAMP.BODY.
 * Returns 0 or -ENOMEM. */
int webhook_secrets_sign(const struct webhook_secrets *s, struct slice content, struct buf *out);
#endif
