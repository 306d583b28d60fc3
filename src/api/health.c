/* health.c - GET /healthz: the loop turns; GET /readyz: notifications and streams are taken. */
#include "api_priv.h"

void api_healthz(void *ctx, struct http_request *r)
{
    (void)ctx;
    http_respond(r, 200, "application/json", SLICE_LITERAL("{\"status\":\"ok\"}"));
}

bool api_is_ready(const struct api *api, const char **why)
{
    const struct credentials *credentials = api->options.credentials;

    *why = "the keys for tokens could not be fetched yet";
    return (credentials == NULL || credentials_have_keys(credentials)) &&
           manager_is_ready(api->nm, why);
}

void api_readyz(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    const char *why;

    if (api_is_ready(api, &why))
        http_respond(r, 200, "application/json", SLICE_LITERAL("{\"status\":\"ready\"}"));
    else
        http_problem(r, 503, "Not ready: %s.", why);
}
