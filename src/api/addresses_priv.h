/* addresses_priv.h - how many streams each address holds, while there is a limit on it. */
#ifndef API_ADDRESSES_PRIV_H
#define API_ADDRESSES_PRIV_H
#include <stdbool.h>
#include "net/address.h"

struct api;

void addresses_init(struct api *api);
void addresses_fini(struct api *api);

/* There is a limit now and was none, or the reverse: counts the streams that are open, or forgets
 * them. Without memory some are not counted. */
void addresses_restart(struct api *api);

/* Counts one more stream of the peer's address: an IPv4 address, or an IPv6 /64, which is what one
 * customer has. False: it has its share, or there is no memory. Always true without a limit. */
bool addresses_take(struct api *api, const struct peer *peer);
void addresses_give_back(struct api *api, const struct peer *peer);
#endif
