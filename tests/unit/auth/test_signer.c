/* test_signer.c - what is signed is good with the other half of the key. */
#include "auth/signer.h"

#include <errno.h>
#include "auth/jws_priv.h"
#include "support/cm.h"
#include "support/keys.h"

static void assert_signs(const char *key, const char *public, enum algorithm algorithm)
{
    struct error why = {""};
    struct signer *s = signer_create(slice_of(key), &why);
    struct key_set keys = {0};
    struct jws j = {.bytes = {0}};
    struct buf token = {0};

    if (s == NULL)
        fail_msg("%s", why.text);
    assert_int_equal(signer_algorithm(s), algorithm);
    assert_int_equal(signer_sign(s, slice_of("k\"1"), slice_of("{\"sub\":\"alice\"}"), &token), 0);
    assert_int_equal(key_set_from_key(&keys, slice_of(public), &why), 0);
    assert_int_equal(jws_read(&j, buf_slice(&token)), TOKEN_GOOD);
    assert_int_equal(jws_verify(&j, &keys, ALGORITHM_ALL), TOKEN_GOOD);
    assert_slice(j.payload, "{\"sub\":\"alice\"}");
    assert_slice(j.key_id, "k\"1");
    assert_int_equal(j.algorithm, algorithm);
    buf_fini(&token);
    jws_fini(&j);
    key_set_fini(&keys);
    signer_destroy(s);
}

static void a_key_of_every_kind_signs(void **state)
{
    (void)state;
    assert_signs(KEYS_SECRET "\n", KEYS_SECRET, ALGORITHM_HS256);
    assert_signs(KEYS_RSA_PRIVATE, KEYS_RSA_PUBLIC, ALGORITHM_RS256);
    assert_signs(KEYS_P256_PRIVATE, KEYS_P256_PUBLIC, ALGORITHM_ES256);
    assert_signs(KEYS_P384_PRIVATE, KEYS_P384_PUBLIC, ALGORITHM_ES384);
    assert_signs(KEYS_ED25519_PRIVATE, KEYS_ED25519_PUBLIC, ALGORITHM_EDDSA);
}

static void without_a_kid_there_is_none(void **state)
{
    struct error why = {""};
    struct signer *s = signer_create(slice_of(KEYS_SECRET), &why);
    struct jws j = {.bytes = {0}};
    struct buf token = {0};

    (void)state;
    assert_non_null(s);
    assert_int_equal(signer_sign(s, slice_of(""), slice_of("{}"), &token), 0);
    assert_int_equal(jws_read(&j, buf_slice(&token)), TOKEN_GOOD);
    assert_null(j.key_id.p);
    buf_fini(&token);
    jws_fini(&j);
    signer_destroy(s);
}

static void assert_refused(const char *key, const char *sentence)
{
    struct error why = {""};

    assert_null(signer_create(slice_of(key), &why));
    if (strstr(why.text, sentence) == NULL)
        fail_msg("said: %s\nexpected: %s", why.text, sentence);
}

static void what_cannot_sign_is_told_why(void **state)
{
    (void)state;
    assert_refused(KEYS_RSA_PUBLIC, "this is a public key");
    assert_refused("too short", "the secret has 9 bytes");
    assert_refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                   "the private key in it cannot be read");
    signer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_of_every_kind_signs),
        cmocka_unit_test(without_a_kid_there_is_none),
        cmocka_unit_test(what_cannot_sign_is_told_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
