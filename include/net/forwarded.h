/* forwarded.h - the header Forwarded: who sent a request, as proxies tell it (RFC 7239). */
#ifndef NET_FORWARDED_H
#define NET_FORWARDED_H
#include <sys/types.h>
#include "base/slice.h"

enum { FORWARDED_MAX = 32 };

/* Reads the header's value: nodes[i] is the `for` of its element i, without quotes, {NULL, 0} where
 * it has none; slices of `value`. Returns how many there are, or -EINVAL: it is malformed, or there
 * are more than FORWARDED_MAX. */
ssize_t forwarded_read(struct slice value, struct slice nodes[FORWARDED_MAX]);
#endif
