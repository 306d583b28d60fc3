/* api.c - the endpoints' common state, and the filter before all of them: whether it is this server
 * that is called, and who may call from a page of another origin (WHATWG Fetch 3.2, the CORS
 * protocol). */
#include <stdlib.h>
#include <string.h>
#include "addresses_priv.h"
#include "api_priv.h"
#include "base/process.h"
#include "hosts_priv.h"
#include "notify_item_priv.h"
#include "proxies_priv.h"

struct api *api_create(const struct api_options *options, struct notification_manager *nm,
                       struct loop *loop, struct stats *stats)
{
    struct api *api = calloc(1, sizeof *api);

    if (api == NULL)
        return NULL;
    api->item = calloc(1, sizeof *api->item);
    if (api->item == NULL) {
        free(api);
        return NULL;
    }
    api->options = *options;
    api->nm = nm;
    api->loop = loop;
    api->stats = stats;
    api->started_ms = loop_now_ms(loop);
    api->started_wall_ms = loop_wall_ms(loop);
    api->own_descriptors = process_count_descriptors();
    addresses_init(api);
    return api;
}

void api_change_options(struct api *api, const struct api_options *options)
{
    bool was_counting = addresses_are_counted(api);

    api->options = *options;
    api->good_host_length = 0;
    if (was_counting != addresses_are_counted(api))
        addresses_restart(api);
}

void api_tick(struct api *api, uint64_t now_ms)
{
    addresses_tick(api, now_ms);
}

void api_destroy(struct api *api)
{
    if (api == NULL)
        return;
    addresses_fini(api);
    notify_item_fini(api->item);
    free(api->item);
    buf_fini(&api->answer);
    free(api);
}

void api_set_server(struct api *api, struct http_server *server)
{
    api->server = server;
}

bool api_matches_star(struct slice text, struct slice pattern)
{
    const char *star = memchr(pattern.p, '*', pattern.n);
    size_t before;
    size_t after;

    if (star == NULL)
        return false;
    before = (size_t)(star - pattern.p);
    after = pattern.n - before - 1;
    if (text.n <= before + after || strncasecmp(text.p, pattern.p, before) != 0 ||
        strncasecmp(text.p + text.n - after, star + 1, after) != 0)
        return false;
    for (size_t i = before; i < text.n - after; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.",
                   text.p[i]) == NULL)
            return false;
    return true;
}

/* A page that this daemon's own address serves: scheme aside, Origin names our Host. */
static bool is_same_origin(const struct http_request *r, struct slice origin)
{
    struct slice host = http_request_host(r);
    const char *scheme_end = memmem(origin.p, origin.n, "://", 3);
    size_t skip;

    if (scheme_end == NULL || host.n == 0)
        return false;
    skip = (size_t)(scheme_end - origin.p) + 3;
    return origin.n - skip == host.n && strncasecmp(origin.p + skip, host.p, host.n) == 0;
}

enum origin_rule { ORIGIN_REFUSED, ORIGIN_SAME, ORIGIN_LISTED, ORIGIN_ANY };

static enum origin_rule judge(const struct api *api, const struct http_request *r,
                              struct slice origin)
{
    enum origin_rule rule = is_same_origin(r, origin) ? ORIGIN_SAME : ORIGIN_REFUSED;

    for (size_t i = 0; i < api->options.allowed_origin_count; i++) {
        struct slice allowed = slice_of(api->options.allowed_origins[i]);

        if (slice_is(allowed, "*")) {
            if (rule == ORIGIN_REFUSED)
                rule = ORIGIN_ANY;
        } else if (slice_is_nocase(origin, allowed.p) || api_matches_star(origin, allowed)) {
            return ORIGIN_LISTED;
        }
    }
    return rule;
}

bool api_is_any_origin(const struct api *api, const struct http_request *r)
{
    struct slice origin = http_request_header(r, "Origin");

    return origin.p != NULL && judge(api, r, origin) == ORIGIN_ANY;
}

static void add_cors_headers(struct http_request *r, enum origin_rule rule, struct slice origin)
{
    if (rule == ORIGIN_ANY) { /* never with credentials: then every page could act as its user */
        http_response_header(r, "Access-Control-Allow-Origin", SLICE_LITERAL("*"));
        return;
    }
    http_response_header(r, "Access-Control-Allow-Origin", origin);
    http_response_header(r, "Access-Control-Allow-Credentials", SLICE_LITERAL("true"));
}

static void answer_preflight(const struct api *api, struct http_request *r)
{
    char allow[128];

    http_server_allow(api->server, http_request_path(r), http_request_role(r), allow,
                      sizeof allow);
    if (allow[0] == '\0') {
        http_problem(r, 404, "There is nothing at this path.");
        return;
    }
    http_response_header(r, "Allow", slice_of(allow));
    http_response_header(r, "Access-Control-Allow-Methods", slice_of(allow));
    http_response_header(r, "Access-Control-Allow-Headers",
                         SLICE_LITERAL("Authorization, Content-Type, Idempotency-Key, "
                                       "Last-Event-ID"));
    http_response_header(r, "Access-Control-Max-Age", SLICE_LITERAL("600"));
    http_respond(r, 204, NULL, slice_make(NULL, 0));
}

bool api_filter(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct slice origin = http_request_header(r, "Origin");
    enum origin_rule rule;

    if (api->options.trusted_proxy_count > 0)
        proxies_find_client(api, r);
    if (hosts_refuse(api, r))
        return true;
    if (api->options.allowed_origin_count > 0)
        http_response_header(r, "Vary", SLICE_LITERAL("Origin"));
    if (origin.p == NULL)
        return false;
    rule = judge(api, r, origin);
    if (rule == ORIGIN_REFUSED) {
        http_problem(r, 403,
                     "Pages of the origin %.*s may not call this server: add it to "
                     "http.allowed_origins.",
                     origin.n < 100 ? (int)origin.n : 100, origin.p);
        return true;
    }
    add_cors_headers(r, rule, origin);
    if (http_request_method(r) != HTTP_OPTIONS ||
        http_request_header(r, "Access-Control-Request-Method").p == NULL)
        return false;
    answer_preflight(api, r);
    return true;
}
