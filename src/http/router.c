/* router.c - a walk through the table: at a dozen rows nothing else is faster. */
#include "router_priv.h"

#include <stdio.h>
#include "request_priv.h"

static const char *const method_names[] = {
    [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",       [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",       [HTTP_DELETE] = "DELETE",   [HTTP_OPTIONS] = "OPTIONS",
    [HTTP_PATCH] = "PATCH",
};

/* Whether `raw`, percent-decoded, is `literal`. */
static bool segment_is(struct slice raw, struct slice literal)
{
    char out[64];

    if (slice_equal(raw, literal))
        return true;
    if (raw.n > sizeof out || raw.n < literal.n || memchr(raw.p, '%', raw.n) == NULL)
        return false;
    return slice_equal(slice_make(out, percent_decode(raw, false, out)), literal);
}

/* Whether the path fits the pattern, segment by segment; gathers what its names stand for. */
static bool fits(const char *pattern, struct slice path, struct slice *params, size_t *count)
{
    struct slice wanted;

    /* Most rows of the table are told apart by the letter behind the first slash. */
    if (path.n > 1 && path.p[1] != pattern[1] && path.p[1] != '%' && pattern[1] != ':')
        return false;
    wanted = slice_of(pattern);
    *count = 0;
    while (wanted.p != NULL && path.p != NULL) {
        struct slice want = slice_cut(&wanted, '/');
        struct slice segment = slice_cut(&path, '/');

        if (want.n > 0 && want.p[0] == ':') {
            if (segment.n == 0 || *count == HTTP_MAX_PARAMS)
                return false;
            params[(*count)++] = segment;
        } else if (!segment_is(segment, want)) {
            return false;
        }
    }
    return wanted.p == NULL && path.p == NULL;
}

void router_match(const struct http_route *routes, struct slice path, enum http_role role,
                  enum http_method method, struct router_match *out)
{
    *out = (struct router_match){0};
    if (method == HTTP_HEAD)
        method = HTTP_GET;
    for (const struct http_route *route = routes; route->handler != NULL; route++) {
        struct slice params[HTTP_MAX_PARAMS];
        size_t count;

        if ((route->role & role) == 0 || !fits(route->pattern, path, params, &count))
            continue;
        out->methods |= 1u << route->method;
        if (route->method != method || out->handler != NULL)
            continue;
        out->handler = route->handler;
        out->param_count = count;
        for (size_t i = 0; i < count; i++)
            out->params[i] = params[i];
    }
}

void router_allow(unsigned methods, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    if (methods == 0)
        return;
    methods |= 1u << HTTP_OPTIONS;
    if ((methods & 1u << HTTP_GET) != 0)
        methods |= 1u << HTTP_HEAD;
    for (unsigned i = 0; i < sizeof method_names / sizeof method_names[0] && n < size; i++)
        if ((methods & 1u << i) != 0)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n == 0 ? "" : ", ", method_names[i]);
}

unsigned router_methods(const struct http_route *routes, enum http_role role)
{
    unsigned methods = 0;

    for (const struct http_route *route = routes; route->handler != NULL; route++)
        if ((route->role & role) != 0)
            methods |= 1u << route->method;
    return methods;
}
