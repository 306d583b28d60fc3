/* hosts.c - a page of any site can give a name of its own this machine's address ("DNS rebinding"),
 * and is then of the daemon's origin to its browser; but it cannot choose what stands in Host. */
#include "hosts_priv.h"

#include "api_priv.h"

/* Without the port, and without the dot that may end a name. */
static struct slice name_of(struct slice host)
{
    const char *bracket = host.n == 0 ? NULL : memrchr(host.p, ']', host.n);
    const char *colon = host.n == 0 ? NULL : memrchr(host.p, ':', host.n);

    if (colon != NULL && (bracket == NULL || bracket < colon))
        host.n = (size_t)(colon - host.p);
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

/* localhost, 127.0.0.0/8, ::1. A name of digits and dots alone belongs to nobody. */
static bool is_own(struct slice name)
{
    if (slice_is_nocase(name, "localhost") || slice_is(name, "[::1]"))
        return true;
    if (name.n < 7 || memcmp(name.p, "127.", 4) != 0)
        return false;
    for (size_t i = 4; i < name.n; i++)
        if ((name.p[i] < '0' || name.p[i] > '9') && name.p[i] != '.')
            return false;
    return true;
}

static bool is_listed(const struct api_options *o, struct slice name)
{
    for (size_t i = 0; i < o->server_name_count; i++) {
        const char *listed = o->server_names[i];

        if (strcmp(listed, "*") == 0 || slice_is_nocase(name, listed) ||
            api_matches_star(name, slice_of(listed)))
            return true;
    }
    return false;
}

/* Apart from what nearly every request takes. */
static __attribute__((noinline)) bool judge(struct api *api, struct http_request *r,
                                            struct slice host)
{
    struct slice name = name_of(host);

    if (is_own(name) || is_listed(&api->options, name)) {
        if (host.n > 0 && host.n <= sizeof api->good_host) {
            memcpy(api->good_host, host.p, host.n);
            api->good_host_length = host.n;
        }
        return false;
    }
    api->stats->requests_misdirected++;
    api_note_refusal(api, r, GATE_HOST, name);
    http_problem(r, 421, "This server is not %.*s: add that to http.server_names if it is.",
                 name.n < 100 ? (int)name.n : 100, name.p);
    return true;
}

bool hosts_refuse(struct api *api, struct http_request *r)
{
    struct slice host = http_request_host(r);

    if (host.p == NULL) /* HTTP/1.0, which no browser speaks */
        return false;
    if (host.n > 0 && host.n == api->good_host_length &&
        memcmp(host.p, api->good_host, host.n) == 0)
        return false;
    if (api->options.server_name_count == 0 && !http_request_is_local(r))
        return false;
    return judge(api, r, host);
}
