/* console.c - GET /console: the operator's page, from the bytes that console_assets.S has put into
 * the program. It holds no data, so that it needs no credential; what it asks for does. */
#include <stdio.h>
#include "api_priv.h"
#include "base/crc32c.h"

#define ASSET(name) extern const char console_##name[], console_##name##_end[]
ASSET(index_html);
ASSET(css);
ASSET(js);
ASSET(chart_js);
#undef ASSET

#define BYTES(name) console_##name, console_##name##_end

static const struct asset {
    const char *path; /* behind /console */
    const char *content_type;
    const char *bytes;
    const char *end;
} assets[] = {
    {"", "text/html; charset=utf-8", BYTES(index_html)},
    {"/console.css", "text/css; charset=utf-8", BYTES(css)},
    {"/console.js", "text/javascript; charset=utf-8", BYTES(js)},
    {"/chart.js", "text/javascript; charset=utf-8", BYTES(chart_js)},
};

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static struct slice asset_bytes(const struct asset *a)
{
    return slice_make(a->bytes, (size_t)(a->end - a->bytes));
}

/* By the last segment of the path, which the router has found to be one of ours, maybe with
 * percents in it; what is not spelt plainly is the page. */
static const struct asset *find(struct slice path)
{
    static const size_t prefix = sizeof "/console" - 1;

    for (size_t i = 1; i < sizeof assets / sizeof assets[0]; i++)
        if (path.n > prefix &&
            slice_is(slice_make(path.p + prefix, path.n - prefix), assets[i].path))
            return &assets[i];
    return &assets[0];
}

void api_console(void *ctx, struct http_request *r)
{
    const struct asset *a = find(http_request_path(r));
    struct slice bytes = asset_bytes(a);
    char tag[16];
    struct slice etag;

    (void)ctx;
    etag = slice_make(tag, (size_t)snprintf(tag, sizeof tag, "\"%08x\"",
                                            crc32c(0, bytes.p, bytes.n)));
    http_response_header(r, "ETag", etag);
    http_response_header(r, "Cache-Control", SLICE_LITERAL("no-cache"));
    http_response_header(r, "Content-Security-Policy", slice_of(policy));
    http_response_header(r, "Referrer-Policy", SLICE_LITERAL("no-referrer"));
    http_response_header(r, "Cross-Origin-Resource-Policy", SLICE_LITERAL("same-origin"));
    if (slice_equal(http_request_header(r, "If-None-Match"), etag))
        http_respond(r, 304, NULL, slice_make(NULL, 0));
    else
        http_respond(r, 200, a->content_type, bytes);
}
