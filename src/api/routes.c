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
    {HTTP_GET, "/users/:userID/history", HTTP_INTERNAL, api_user_history},
    {HTTP_DELETE, "/users/:userID/history", HTTP_INTERNAL, api_erase},
    {HTTP_POST, "/tokens/revoke", HTTP_INTERNAL, api_revoke},
    {HTTP_GET, "/stats", HTTP_INTERNAL, api_stats},
    {HTTP_GET, "/users/:userID/trace", HTTP_INTERNAL, api_trace},
    {HTTP_GET, "/log", HTTP_INTERNAL, api_log},
    {HTTP_GET, "/config", HTTP_INTERNAL, api_config},
    {HTTP_GET, "/console", HTTP_INTERNAL, api_console},
    {HTTP_GET, "/console/console.css", HTTP_INTERNAL, api_console},
    {HTTP_GET, "/console/console.js", HTTP_INTERNAL, api_console},
    {HTTP_GET, "/console/chart.js", HTTP_INTERNAL, api_console},
    {HTTP_GET, "/console/events", HTTP_INTERNAL, api_figures},
    {HTTP_GET, "/metrics", HTTP_INTERNAL, api_metrics},
    {HTTP_GET, "/healthz", HTTP_ALL, api_healthz},
    {HTTP_GET, "/readyz", HTTP_ALL, api_readyz},
    {HTTP_GET, NULL, 0, NULL},
};
