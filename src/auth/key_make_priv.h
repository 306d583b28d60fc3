/* key_make_priv.h - between the files that make keys: the last step, which all but secrets take. */
#ifndef AUTH_KEY_MAKE_PRIV_H
#define AUTH_KEY_MAKE_PRIV_H
#include <openssl/evp.h>
#include "key_priv.h"

/* Makes a key of `pkey`, whose reference it takes in any case. Returns as key_from_pem. */
int key_take_public(struct key *k, EVP_PKEY *pkey, struct error *why);

/* The same from a private key in PEM without a password: for making tokens. */
int key_from_private_pem(struct key *k, struct slice pem, struct error *why);
#endif
