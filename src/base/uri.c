/* uri.c - see the header. */
#include "base/uri.h"

static bool is_escape(struct slice s, size_t at)
{
    return s.p[at] == '%' && s.n - at > 2 && hex_value(s.p[at + 1]) >= 0 &&
           hex_value(s.p[at + 2]) >= 0;
}

bool percent_is_valid(struct slice s)
{
    const char *end = s.p + s.n;
    const char *at = s.p;

    while (at < end && (at = memchr(at, '%', (size_t)(end - at))) != NULL)
        if (!is_escape(s, (size_t)(at++ - s.p)))
            return false;
    return true;
}

size_t percent_decode(struct slice s, bool is_query, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (is_escape(s, i)) {
            out[n++] = (char)(hex_value(s.p[i + 1]) * 16 + hex_value(s.p[i + 2]));
            i += 2;
        } else {
            out[n++] = is_query && s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    return n;
}

enum authority_fault authority_split(struct slice authority, struct slice *host,
                                     struct slice *port)
{
    const char *end;

    *port = authority;
    if (authority.n == 0 || authority.p[0] != '[') {
        *host = slice_cut(port, ':');
        return AUTHORITY_GOOD;
    }
    end = memchr(authority.p, ']', authority.n);
    if (end == NULL)
        return AUTHORITY_UNCLOSED;
    *host = slice_make(authority.p + 1, (size_t)(end - authority.p - 1));
    *port = slice_make(end + 1, authority.n - host->n - 2);
    if (port->n > 0 && port->p[0] != ':')
        return AUTHORITY_BEHIND_BRACKET;
    if (port->n > 0)
        *port = slice_make(port->p + 1, port->n - 1);
    return AUTHORITY_GOOD;
}
