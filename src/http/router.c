/* router.c - a walk through the rows, of which most differ from the path in the number of their
 * segments: at a dozen nothing else is faster. */
#include "router_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/uri.h"
#include "request_priv.h"

/* One route, its pattern cut at the slashes. */
struct row {
    const struct http_route *route;
    const struct slice *segments; /* the first is empty: it stands before the first slash */
    size_t count;
};

struct router {
    size_t count;
    struct row rows[]; /* behind them the segments of all of them */
};

static const char *const method_names[] = {
    [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",       [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",       [HTTP_DELETE] = "DELETE",   [HTTP_OPTIONS] = "OPTIONS",
    [HTTP_PATCH] = "PATCH",
};

const char *http_method_name(enum http_method method)
{
    return method < HTTP_OTHER ? method_names[method] : "other";
}

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

/* Cuts at the slashes; returns the number of segments, or one over the bound. */
static size_t split(struct slice path, struct slice segments[ROUTER_MAX_SEGMENTS])
{
    size_t count = 0;

    while (path.p != NULL) {
        if (count == ROUTER_MAX_SEGMENTS)
            return count + 1;
        segments[count++] = slice_cut(&path, '/');
    }
    return count;
}

static size_t count_segments(const char *pattern)
{
    size_t count = 1;

    for (; *pattern != '\0'; pattern++)
        count += *pattern == '/';
    return count;
}

struct router *router_create(const struct http_route *routes)
{
    size_t rows = 0;
    size_t all = 0;
    struct slice *segments;
    struct router *router;

    for (; routes[rows].handler != NULL; rows++)
        all += count_segments(routes[rows].pattern);
    router = malloc(sizeof *router + rows * sizeof *router->rows + all * sizeof *segments);
    if (router == NULL)
        return NULL;
    router->count = rows;
    segments = (struct slice *)(void *)&router->rows[rows];
    for (size_t i = 0; i < rows; i++) {
        size_t count = count_segments(routes[i].pattern);

        assert(count <= ROUTER_MAX_SEGMENTS);
        split(slice_of(routes[i].pattern), segments);
        router->rows[i] = (struct row){&routes[i], segments, count};
        segments += count;
    }
    return router;
}

void router_destroy(struct router *router)
{
    free(router);
}

static bool is_name(struct slice segment)
{
    return segment.n > 0 && segment.p[0] == ':';
}

/* Whether a path of as many segments fits the row. */
static bool fits(const struct row *row, const struct slice *segments)
{
    size_t names = 0;

    for (size_t i = 0; i < row->count; i++) {
        if (!is_name(row->segments[i])) {
            if (!segment_is(segments[i], row->segments[i]))
                return false;
        } else if (segments[i].n == 0 || ++names > HTTP_MAX_PARAMS) {
            return false;
        }
    }
    return true;
}

/* What the row's names stand for; returns their number. */
static size_t gather(const struct row *row, const struct slice *segments, struct slice *params)
{
    size_t count = 0;

    for (size_t i = 0; i < row->count; i++)
        if (is_name(row->segments[i]))
            params[count++] = segments[i];
    return count;
}

void router_match(const struct router *router, struct slice path, enum http_role role,
                  enum http_method method, struct router_match *out)
{
    struct slice segments[ROUTER_MAX_SEGMENTS];
    size_t count = split(path, segments);

    *out = (struct router_match){0};
    if (method == HTTP_HEAD)
        method = HTTP_GET;
    for (size_t i = 0; i < router->count; i++) {
        const struct row *row = &router->rows[i];

        if (row->count != count || (row->route->role & role) == 0 || !fits(row, segments))
            continue;
        out->methods |= 1u << row->route->method;
        if (row->route->method == method) {
            out->handler = row->route->handler;
            out->row = i + 1;
            out->param_count = gather(row, segments, out->params);
            return;
        }
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

unsigned router_methods(const struct router *router, enum http_role role)
{
    unsigned methods = 0;

    for (size_t i = 0; i < router->count; i++)
        if ((router->rows[i].route->role & role) != 0)
            methods |= 1u << router->rows[i].route->method;
    return methods;
}
