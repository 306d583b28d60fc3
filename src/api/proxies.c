/* proxies.c - X-Forwarded-For is read from its end, where the nearest proxy has written: what
 * stands before the first address that is not trusted may be anybody's invention. */
#include "proxies_priv.h"

#include <string.h>
#include "api_priv.h"

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

void proxies_find_client(const struct api *api, struct http_request *r)
{
    struct peer peer = *http_request_peer(r);
    struct slice list;

    if (!is_trusted(api, &peer))
        return;
    list = http_request_header_last(r, "X-Forwarded-For");
    while (list.n > 0 && is_trusted(api, &peer))
        if (peer_parse(cut_last(&list), &peer) != 0)
            return; /* as if it were not there: the proxy's own address stays */
    http_request_set_peer(r, &peer);
}
