/* addresses_priv.h - how many streams each address holds, and how fast it opens them, while there
 * is a limit on one of these. */
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

bool addresses_are_counted(const struct api *api);

enum address_verdict {
    ADDRESS_TAKEN,
    ADDRESS_FULL,     /* it has its share, or there is no memory */
    ADDRESS_TOO_FAST, /* it has opened its share of this second */
};

/* Counts one more stream of the peer's address: an IPv4 address, or an IPv6 /64, which is what one
 * customer has. Always taken without a limit. */
enum address_verdict addresses_take(struct api *api, const struct peer *peer);

/* Forgets some that hold nothing and have been quiet for a second. */
void addresses_tick(struct api *api, uint64_t now_ms);

/* One of addresses_take has ended. */
void addresses_give_back(struct api *api, const struct peer *peer);
#endif
