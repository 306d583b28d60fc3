/* forwarded.c - read from its beginning: a quoted string may hold what separates elsewhere. */
#include "net/forwarded.h"

#include <errno.h>
#include <string.h>

static void skip_blanks(struct slice *rest)
{
    while (rest->n > 0 && (*rest->p == ' ' || *rest->p == '\t'))
        *rest = slice_make(rest->p + 1, rest->n - 1);
}

static bool is_at(struct slice rest, char c)
{
    return rest.n > 0 && *rest.p == c;
}

/* RFC 9110 5.6.2 */
static bool is_token_char(char c)
{
    return c != '\0' && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL;
}

static bool cut_token(struct slice *rest, struct slice *out)
{
    size_t n = 0;

    while (n < rest->n && is_token_char(rest->p[n]))
        n++;
    *out = slice_make(rest->p, n);
    *rest = slice_make(rest->p + n, rest->n - n);
    return n > 0;
}

/* Behind its opening quote. An address needs no escapes, so one that has any is no address. */
static bool cut_quoted(struct slice *rest, struct slice *out)
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] != '"')
        n += rest->p[n] == '\\' ? 2 : 1;
    if (n >= rest->n)
        return false;
    *out = slice_make(rest->p, n);
    *rest = slice_make(rest->p + n + 1, rest->n - n - 1);
    return true;
}

/* One NAME=VALUE. */
static bool cut_pair(struct slice *rest, struct slice *name, struct slice *value)
{
    if (!cut_token(rest, name) || !is_at(*rest, '='))
        return false;
    *rest = slice_make(rest->p + 1, rest->n - 1);
    if (!is_at(*rest, '"'))
        return cut_token(rest, value);
    *rest = slice_make(rest->p + 1, rest->n - 1);
    return cut_quoted(rest, value);
}

/* One element, up to the comma behind it. */
static bool cut_element(struct slice *rest, struct slice *node)
{
    *node = slice_make(NULL, 0);
    for (;;) {
        struct slice name;
        struct slice value;

        if (!cut_pair(rest, &name, &value))
            return false;
        if (slice_is_nocase(name, "for")) {
            if (node->p != NULL)
                return false; /* each may stand once (RFC 7239 4) */
            *node = value;
        }
        skip_blanks(rest);
        if (!is_at(*rest, ';'))
            return true;
        *rest = slice_make(rest->p + 1, rest->n - 1);
        skip_blanks(rest);
    }
}

ssize_t forwarded_read(struct slice value, struct slice nodes[FORWARDED_MAX])
{
    ssize_t count = 0;

    if (value.n == 0)
        return -EINVAL;
    for (;;) {
        skip_blanks(&value);
        if (count == FORWARDED_MAX || !cut_element(&value, &nodes[count]))
            return -EINVAL;
        count++;
        if (value.n == 0)
            return count;
        if (!is_at(value, ','))
            return -EINVAL;
        value = slice_make(value.p + 1, value.n - 1);
    }
}
