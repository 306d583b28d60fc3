/* uri.h - the parts of a URI that several files read. Source: RFC 3986. */
#ifndef BASE_URI_H
#define BASE_URI_H
#include "base/slice.h"

/* Whether every '%' of `s` begins an escape of two hex digits. */
bool percent_is_valid(struct slice s);

/* Decodes `s` into `out` (room for s.n bytes), '+' to a blank where `is_query`; what is no escape
 * stays as it is. Returns the length. */
size_t percent_decode(struct slice s, bool is_query, char *out);

enum authority_fault {
    AUTHORITY_GOOD,
    AUTHORITY_UNCLOSED,       /* a [ without its ] */
    AUTHORITY_BEHIND_BRACKET, /* what follows the ] is no :PORT */
};

/* Splits HOST, HOST:PORT, [IPV6] or [IPV6]:PORT, borrowed: the host without brackets, the port
 * empty where there is none. Neither is looked at any further. */
enum authority_fault authority_split(struct slice authority, struct slice *host,
                                     struct slice *port);
#endif
