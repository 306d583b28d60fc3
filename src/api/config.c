/* config.c - GET /config: every setting in force, and where it was set. */
#include "access_priv.h"
#include "api_priv.h"

void api_config(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct buf text = {0};

    if (!access_oversee(api, r, api_config))
        return;
    if (api->options.add_config(api->options.config_ctx, &text) != 0)
        text.failed = true;
    api_respond_json(r, &text);
}
