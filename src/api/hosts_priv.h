/* hosts_priv.h - whether a request means this server. */
#ifndef API_HOSTS_PRIV_H
#define API_HOSTS_PRIV_H
#include <stdbool.h>

struct api;
struct http_request;

/* True: its Host is none of http.server_names, and that was answered (421). */
bool hosts_refuse(struct api *api, struct http_request *r);
#endif
