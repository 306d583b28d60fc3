/* proxies_priv.h - whose request it is when it comes through a reverse proxy. */
#ifndef API_PROXIES_PRIV_H
#define API_PROXIES_PRIV_H

struct api;
struct http_request;

/* Where the request's peer is one of http.trusted_proxies, takes its word: the last address in
 * X-Forwarded-For, or in Forwarded, that is none of them is the client's. From anyone else the
 * header is nothing. */
void proxies_find_client(const struct api *api, struct http_request *r);
#endif
