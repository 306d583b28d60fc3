/* base64url_priv.h - bytes as the text that tokens and keys are written in (RFC 4648 5, without
 * padding: RFC 7515 2). */
#ifndef AUTH_BASE64URL_PRIV_H
#define AUTH_BASE64URL_PRIV_H
#include "base/buf.h"
#include "base/slice.h"

/* Appends the bytes that `text` stands for. There is one text for any bytes: whatever else would
 * give the same (padding, blanks, unused bits that are not zero) is refused.
 * Returns 0, -EINVAL or -ENOMEM (nothing appended). */
int base64url_decode(struct buf *out, struct slice text);

/* Appends the text of `bytes`. Returns 0 or -ENOMEM. */
int base64url_encode(struct buf *out, struct slice bytes);
#endif
