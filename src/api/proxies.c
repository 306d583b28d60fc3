/* proxies.c - both headers are read from their end, where the nearest proxy has written: what
 * stands before the first address that is not trusted may be anybody's invention. */
#include "proxies_priv.h"

#include <string.h>
#include "api_priv.h"
#include "net/forwarded.h"

static bool is_trusted(const struct api *api, const struct peer *peer)
{
    for (size_t i = 0; i < api->options.trusted_proxy_count; i++)
        if (network_has(&api->options.trusted_proxies[i], peer))
            return true;
    return false;
}

/* Cuts the last item off a list with commas. */
static struct slice cut_last(struct slice *list)
{
    const char *comma = list->n == 0 ? NULL : memrchr(list->p, ',', list->n);
    struct slice item = *list;

    if (comma == NULL) {
        *list = slice_make(NULL, 0);
        return slice_trim(item);
    }
    list->n = (size_t)(comma - list->p);
    return slice_trim(slice_make(comma + 1, item.n - list->n - 1));
}

/* Each returns whether the header is as it should be; if not, it is as if it were not there, and
 * the proxy's own address stays. */
static bool follow_x_forwarded_for(const struct api *api, const struct http_request *r,
                                   struct peer *peer)
{
    struct slice list = http_request_header_last(r, "X-Forwarded-For");

    while (list.n > 0 && is_trusted(api, peer))
        if (peer_parse(cut_last(&list), peer) != 0)
            return false;
    return true;
}

static bool follow_forwarded(const struct api *api, const struct http_request *r,
                             struct peer *peer)
{
    struct slice value = http_request_header_last(r, "Forwarded");
    struct slice nodes[FORWARDED_MAX];
    ssize_t count = value.p == NULL ? 0 : forwarded_read(value, nodes);

    if (count < 0)
        return false;
    while (count > 0 && is_trusted(api, peer))
        if (peer_parse(nodes[--count], peer) != 0)
            return false;
    return true;
}

void proxies_find_client(const struct api *api, struct http_request *r)
{
    struct peer peer = *http_request_peer(r);

    if (!is_trusted(api, &peer))
        return;
    if (api->options.proxies_say_forwarded ? follow_forwarded(api, r, &peer)
                                           : follow_x_forwarded_for(api, r, &peer))
        http_request_set_peer(r, &peer);
}
