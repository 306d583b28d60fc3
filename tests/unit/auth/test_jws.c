/* test_jws.c - which tokens are a key's, and every way that we know of to pass for one.
 *
 * Good tokens of support/keys.h come from another implementation; bad ones are made of them, or
 * signed rightly by signer.h so that only what is bad is. */
#include "auth/jws_priv.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include "auth/base64url_priv.h"
#include "support/cm.h"
#include "support/keys.h"

static struct key_set key_of(const char *text)
{
    struct key_set set = {0};
    struct error why = {""};

    if (key_set_from_key(&set, slice_of(text), &why) != 0)
        fail_msg("%s", why.text);
    return set;
}

static enum token_fault check_slice(const struct key_set *keys, struct slice token)
{
    struct jws j = {.bytes = {0}};
    enum token_fault fault = jws_read(&j, token);

    if (fault == TOKEN_GOOD)
        fault = jws_verify(&j, keys, ALGORITHM_ALL);
    jws_fini(&j);
    return fault;
}

static enum token_fault check_with(const char *key, const char *token)
{
    struct key_set keys = key_of(key);
    enum token_fault fault = check_slice(&keys, slice_of(token));

    key_set_fini(&keys);
    return fault;
}

#define assert_fault(got, expected)                                                                \
    assert_string_equal(token_fault_name(got), token_fault_name(expected))

static const struct {
    const char *token;
    const char *key;
} good[] = {
    {TOKEN_HS256, KEYS_SECRET},      {TOKEN_HS384, KEYS_SECRET},
    {TOKEN_HS512, KEYS_SECRET},      {TOKEN_RS256, KEYS_RSA_PUBLIC},
    {TOKEN_RS384, KEYS_RSA_PUBLIC},  {TOKEN_RS512, KEYS_RSA_PUBLIC},
    {TOKEN_PS256, KEYS_RSA_PUBLIC},  {TOKEN_PS384, KEYS_RSA_PUBLIC},
    {TOKEN_PS512, KEYS_RSA_PUBLIC},  {TOKEN_ES256, KEYS_P256_PUBLIC},
    {TOKEN_ES384, KEYS_P384_PUBLIC}, {TOKEN_EDDSA, KEYS_ED25519_PUBLIC},
};

enum { GOOD = sizeof good / sizeof good[0] };

/* ---- what is good, and what is nearly so ---- */

static void tokens_of_every_algorithm_are_good_with_their_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD; i++)
        assert_fault(check_with(good[i].key, good[i].token), TOKEN_GOOD);
}

static void with_a_key_of_another_kind_none_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD; i++)
        for (size_t j = 0; j < GOOD; j++)
            if (strcmp(good[i].key, good[j].key) != 0)
                assert_fault(check_with(good[j].key, good[i].token), TOKEN_WRONG_ALGORITHM);
}

static void the_caller_can_allow_fewer_algorithms(void **state)
{
    struct key_set keys = key_of(KEYS_RSA_PUBLIC);
    struct jws j = {.bytes = {0}};

    (void)state;
    assert_fault(jws_read(&j, slice_of(TOKEN_RS256)), TOKEN_GOOD);
    assert_fault(jws_verify(&j, &keys, ALGORITHM_BIT(ALGORITHM_RS256)), TOKEN_GOOD);
    assert_fault(jws_verify(&j, &keys, ALGORITHM_BIT(ALGORITHM_PS256)), TOKEN_WRONG_ALGORITHM);
    jws_fini(&j);
    key_set_fini(&keys);
}

static void any_change_of_any_byte_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD; i++) {
        struct key_set keys = key_of(good[i].key);
        size_t n = strlen(good[i].token);
        char *token = strdup(good[i].token);
        size_t step = support_is_slow() ? 31 : 1;

        for (size_t at = 0; at < n; at += step) {
            token[at] = good[i].token[at] == 'A' ? 'B' : 'A';
            if (check_slice(&keys, slice_make(token, n)) == TOKEN_GOOD)
                fail_msg("token %zu is good with another byte at %zu", i, at);
            token[at] = good[i].token[at];
        }
        free(token);
        key_set_fini(&keys);
    }
}

static void no_part_of_a_token_is_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD; i++) {
        struct key_set keys = key_of(good[i].key);
        size_t n = strlen(good[i].token);

        for (size_t length = 0; length < n; length += support_is_slow() ? 13 : 1) {
            char *part = malloc(length + 1); /* of its own, so that reading past it is seen */

            assert_non_null(part);
            memcpy(part, good[i].token, length);
            if (check_slice(&keys, slice_make(part, length)) == TOKEN_GOOD)
                fail_msg("token %zu is good at %zu bytes", i, length);
            free(part);
        }
        key_set_fini(&keys);
    }
}

static void nothing_may_stand_behind_or_before_a_token(void **state)
{
    static const char *const rests[] = {".", "A", "AA", "AAAA", "=", "==", "\n", " ", "..", ".e30"};
    char token[2048];

    (void)state;
    for (size_t i = 0; i < GOOD; i++)
        for (size_t j = 0; j < sizeof rests / sizeof rests[0]; j++) {
            snprintf(token, sizeof token, "%s%s", good[i].token, rests[j]);
            if (check_with(good[i].key, token) == TOKEN_GOOD)
                fail_msg("token %zu is good with %s behind it", i, rests[j]);
            snprintf(token, sizeof token, "%s%s", rests[j], good[i].token);
            if (check_with(good[i].key, token) == TOKEN_GOOD)
                fail_msg("token %zu is good with %s before it", i, rests[j]);
        }
}

static void what_is_no_token_is_malformed(void **state)
{
    static const char *const rows[] = {
        "", ".", "..", "...", "a.b", "e30.e30", "e30.e30.e30", "e30.e30.e30.e30.e30", "{}.{}.{}",
        "bnVsbA.e30.", "W10.e30.", "eyJhbGciOjF9.e30.", "eyJhbGciOm51bGx9.e30.",
        "{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_fault(check_with(KEYS_SECRET, rows[i]), TOKEN_MALFORMED);
}

static void a_token_has_a_bound(void **state)
{
    char *token = malloc(JWS_MAX + 1);

    (void)state;
    assert_non_null(token);
    memset(token, 'A', JWS_MAX + 1);
    assert_fault(check_slice(&(struct key_set){0}, slice_make(token, JWS_MAX)), TOKEN_MALFORMED);
    assert_fault(check_slice(&(struct key_set){0}, slice_make(token, JWS_MAX + 1)),
                 TOKEN_TOO_LONG);
    free(token);
}

/* ---- headers that are not taken, over signatures that are right ---- */

/* A token of KEYS_SECRET with that header. */
static enum token_fault check_header(const char *header)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n;
    struct buf token = {0};
    enum token_fault fault;

    base64url_encode(&token, slice_of(header));
    buf_add_text(&token, ".e30");
    assert_non_null(HMAC(EVP_sha256(), KEYS_SECRET, (int)strlen(KEYS_SECRET),
                         (const unsigned char *)token.p, token.len, mac, &n));
    buf_add_char(&token, '.');
    base64url_encode(&token, slice_make((const char *)mac, n));
    buf_add_char(&token, '\0');
    assert_false(token.failed);
    fault = check_with(KEYS_SECRET, token.p);
    buf_fini(&token);
    return fault;
}

static void members_of_no_meaning_here_are_passed_over(void **state)
{
    (void)state;
    assert_fault(check_header("{\"alg\":\"HS256\"}"), TOKEN_GOOD);
    assert_fault(check_header(" {\"typ\" : \"JWT\",\r\n\"alg\":\"HS256\" } "), TOKEN_GOOD);
    assert_fault(check_header("{\"al\\u0067\":\"HS\\u0032\\u0035\\u0036\"}"), TOKEN_GOOD);
    assert_fault(check_header("{\"alg\":\"HS256\",\"kid\":\"a\",\"x5t\":\"b\",\"cty\":\"c\"}"),
                 TOKEN_GOOD);
}

static void no_algorithm_but_ours_is_taken(void **state)
{
    static const char *const rows[] = {"none", "None", "NONE", "nOnE", "", "hs256", "HS1", "HS257",
                                       "ES512", "ES256K", "RSA1_5", "HS256 ", "dir", "eddsa"};
    char header[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", rows[i]);
        assert_fault(check_header(header), TOKEN_WRONG_ALGORITHM);
    }
    assert_fault(check_header("{\"alg\":\"HS256\\u0000\"}"), TOKEN_WRONG_ALGORITHM);
    /* alg: none, without a signature */
    assert_fault(check_with(KEYS_SECRET, "eyJhbGciOiJub25lIn0.e30."), TOKEN_WRONG_ALGORITHM);
    assert_fault(check_with(KEYS_RSA_PUBLIC, "eyJhbGciOiJub25lIn0.e30."), TOKEN_WRONG_ALGORITHM);
}

static void a_token_brings_no_key_and_asks_for_nothing_unknown(void **state)
{
    static const char *const rows[] = {
        "\"jwk\":{" KEYS_SECRET_JWK "}",
        "\"jku\":\"https://evil.example/jwks\"",
        "\"x5u\":\"https://evil.example/cert\"",
        "\"x5c\":[\"AAAA\"]",
        "\"crit\":[\"exp\"],\"exp\":1",
        "\"crit\":[]",
        "\"crit\":[\"b64\"],\"b64\":true",
        "\"b64\":false",
        "\"jwk\":null",
        "\"cr\\u0069t\":[\"x\"]",
        "\"kid\":7",
        "\"kid\":null",
        "\"kid\":[\"a\"]",
    };
    char header[512];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(header, sizeof header, "{\"alg\":\"HS256\",%s}", rows[i]);
        assert_fault(check_header(header), TOKEN_WRONG_HEADER);
    }
}

static void a_header_that_two_readers_could_read_differently_is_refused(void **state)
{
    (void)state;
    assert_fault(check_header("{\"alg\":\"HS256\",\"alg\":\"HS256\"}"), TOKEN_MALFORMED);
    assert_fault(check_header("{\"alg\":\"none\",\"al\\u0067\":\"HS256\"}"), TOKEN_MALFORMED);
    assert_fault(check_header("{\"alg\":\"HS256\"}{}"), TOKEN_MALFORMED);
    assert_fault(check_header("{\"alg\":\"HS256\",\"x\":\"\xff\"}"), TOKEN_MALFORMED);
    assert_fault(check_header("{\"alg\":\"HS256\",\"x\":\"\\ud800\"}"), TOKEN_MALFORMED);
    assert_fault(check_header("{\"alg\":\"HS256\",}"), TOKEN_MALFORMED);
}

static void a_kid_has_a_bound(void **state)
{
    char header[400];
    char kid[KEY_MAX_ID + 2];

    (void)state;
    memset(kid, 'a', sizeof kid);
    kid[KEY_MAX_ID + 1] = '\0';
    snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid);
    assert_fault(check_header(header), TOKEN_WRONG_HEADER);
    kid[KEY_MAX_ID] = '\0';
    snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid);
    assert_fault(check_header(header), TOKEN_GOOD);
}

/* ---- signatures ---- */

static void a_public_key_is_never_an_hmac_secret(void **state)
{
    (void)state;
    assert_fault(check_with(KEYS_RSA_PUBLIC, TOKEN_PEM_AS_SECRET), TOKEN_WRONG_ALGORITHM);
}

static void pss_has_a_salt_as_long_as_the_hash(void **state)
{
    (void)state;
    assert_fault(check_with(KEYS_RSA_PUBLIC, TOKEN_PS256_SALT_20), TOKEN_WRONG_SIGNATURE);
}

/* A token of that key, its signature replaced by `n` bytes of `byte`. */
static enum token_fault check_signature(const char *key, const char *token, size_t n, int byte)
{
    const char *dot = strrchr(token, '.');
    struct buf forged = {0};
    char signature[1024];
    enum token_fault fault;

    assert_true(n <= sizeof signature);
    memset(signature, byte, n);
    buf_add(&forged, token, (size_t)(dot - token) + 1);
    base64url_encode(&forged, slice_make(signature, n));
    buf_add_char(&forged, '\0');
    fault = check_with(key, forged.p);
    buf_fini(&forged);
    return fault;
}

static void signatures_of_zeros_ones_and_any_length_are_wrong(void **state)
{
    static const size_t lengths[] = {0,  1,  31, 32, 33, 48, 63,  64,  65,
                                     95, 96, 97, 128, 255, 256, 257, 512, 1024};

    (void)state;
    for (size_t i = 0; i < GOOD; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            assert_fault(check_signature(good[i].key, good[i].token, lengths[j], 0),
                         TOKEN_WRONG_SIGNATURE);
            assert_fault(check_signature(good[i].key, good[i].token, lengths[j], 0xff),
                         TOKEN_WRONG_SIGNATURE);
        }
}

static void an_ecdsa_signature_is_two_numbers_and_not_der(void **state)
{
    (void)state;
    assert_fault(check_with(KEYS_P256_PUBLIC, TOKEN_ES256_DER), TOKEN_WRONG_SIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_every_algorithm_are_good_with_their_key),
        cmocka_unit_test(with_a_key_of_another_kind_none_is),
        cmocka_unit_test(the_caller_can_allow_fewer_algorithms),
        cmocka_unit_test(any_change_of_any_byte_is_found),
        cmocka_unit_test(no_part_of_a_token_is_good),
        cmocka_unit_test(nothing_may_stand_behind_or_before_a_token),
        cmocka_unit_test(what_is_no_token_is_malformed),
        cmocka_unit_test(a_token_has_a_bound),
        cmocka_unit_test(members_of_no_meaning_here_are_passed_over),
        cmocka_unit_test(no_algorithm_but_ours_is_taken),
        cmocka_unit_test(a_token_brings_no_key_and_asks_for_nothing_unknown),
        cmocka_unit_test(a_header_that_two_readers_could_read_differently_is_refused),
        cmocka_unit_test(a_kid_has_a_bound),
        cmocka_unit_test(a_public_key_is_never_an_hmac_secret),
        cmocka_unit_test(pss_has_a_salt_as_long_as_the_hash),
        cmocka_unit_test(signatures_of_zeros_ones_and_any_length_are_wrong),
        cmocka_unit_test(an_ecdsa_signature_is_two_numbers_and_not_der),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
