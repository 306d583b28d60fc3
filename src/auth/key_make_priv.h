/* key_make_priv.h - between the files that make keys: the last step, which all public ones take. */
#ifndef AUTH_KEY_MAKE_PRIV_H
#define AUTH_KEY_MAKE_PRIV_H
#include <openssl/evp.h>
#include "key_priv.h"

/* Makes a key of `pkey`, whose reference it takes in any case. Returns as key_from_pem. */
int key_take_public(struct key *k, EVP_PKEY *pkey, struct error *why);
#endif
