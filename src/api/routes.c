/* routes.c - every endpoint, and which listeners have it. */
#include "api_priv.h"

const struct http_route api_routes[] = {
    {HTTP_GET, "/notifications/:userID", HTTP_PUBLIC, api_subscribe},
    {HTTP_GET, "/notifications/:userID/history", HTTP_PUBLIC, api_history},
    {HTTP_POST, "/notifications/:userID/refresh", HTTP_PUBLIC, api_refresh},
    {HTTP_DELETE, "/notifications/:userID/:id", HTTP_INTERNAL, api_retract},
    {HTTP_POST, "/notify", HTTP_INTERNAL, api_notify},
    {HTTP_GET, "/users/:userID", HTTP_INTERNAL, api_presence},
    {HTTP_DELETE, "/users/:userID/streams", HTTP_INTERNAL, api_kick},
    {HTTP_DELETE, "/users/:userID/streams/:clientID", HTTP_INTERNAL, api_kick_one},
    {HTTP_DELETE, "/users/:userID/history", HTTP_INTERNAL, api_erase},
    {HTTP_POST, "/tokens/revoke", HTTP_INTERNAL, api_revoke},
    {HTTP_GET, "/stats", HTTP_INTERNAL, api_stats},
    {HTTP_GET, "/metrics", HTTP_INTERNAL, api_metrics},
    {HTTP_GET, "/healthz", HTTP_ALL, api_healthz},
    {HTTP_GET, "/readyz", HTTP_ALL, api_readyz},
    {HTTP_GET, NULL, 0, NULL},
};
