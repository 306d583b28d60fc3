/* test_key_set.c - which keys are taken, what is said of others, and which one a token means. */
#include "auth/key_set_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "support/cm.h"
#include "support/keys.h"

#define HS ALGORITHM_BIT(ALGORITHM_HS256)
#define RSA_ALL                                                                                    \
    (ALGORITHM_BIT(ALGORITHM_RS256) | ALGORITHM_BIT(ALGORITHM_RS384) |                             \
     ALGORITHM_BIT(ALGORITHM_RS512) | ALGORITHM_BIT(ALGORITHM_PS256) |                             \
     ALGORITHM_BIT(ALGORITHM_PS384) | ALGORITHM_BIT(ALGORITHM_PS512))

static void assert_key(const char *text, enum key_kind kind, unsigned algorithms)
{
    struct key_set set = {0};
    struct error why = {""};

    if (key_set_from_key(&set, slice_of(text), &why) != 0)
        fail_msg("%s", why.text);
    assert_int_equal(set.count, 1);
    assert_int_equal(set.keys[0].kind, kind);
    assert_int_equal(set.keys[0].algorithms, algorithms);
    assert_null(set.keys[0].id);
    key_set_fini(&set);
}

static void assert_key_refused(struct slice text, const char *sentence)
{
    struct key_set set = {0};
    struct error why = {""};

    assert_int_equal(key_set_from_key(&set, text, &why), -EINVAL);
    if (strstr(why.text, sentence) == NULL)
        fail_msg("said: %s\nexpected: %s", why.text, sentence);
    assert_null(set.keys);
    assert_int_equal(set.count, 0);
}

static void the_kind_of_a_key_fixes_its_algorithms(void **state)
{
    (void)state;
    assert_key(KEYS_RSA_PUBLIC, KEY_RSA, RSA_ALL);
    assert_key(KEYS_P256_PUBLIC, KEY_P256, ALGORITHM_BIT(ALGORITHM_ES256));
    assert_key(KEYS_P384_PUBLIC, KEY_P384, ALGORITHM_BIT(ALGORITHM_ES384));
    assert_key(KEYS_ED25519_PUBLIC, KEY_ED25519, ALGORITHM_BIT(ALGORITHM_EDDSA));
    assert_key("Some words before it.\n\n" KEYS_RSA_PUBLIC, KEY_RSA, RSA_ALL);
}

/* RFC 7518 3.2. */
static void a_secret_is_for_hashes_that_are_no_longer_than_it(void **state)
{
    (void)state;
    assert_key("0123456789abcdef0123456789abcdef", KEY_SECRET, HS);
    assert_key("0123456789abcdef0123456789abcdef0123456789abcdef", KEY_SECRET,
               HS | ALGORITHM_BIT(ALGORITHM_HS384));
    assert_key(KEYS_SECRET, KEY_SECRET,
               HS | ALGORITHM_BIT(ALGORITHM_HS384) | ALGORITHM_BIT(ALGORITHM_HS512));
}

static size_t secret_length(struct slice text)
{
    struct key_set set = {0};
    struct error why = {""};
    size_t n;

    assert_int_equal(key_set_from_key(&set, text, &why), 0);
    n = set.keys[0].secret_length;
    key_set_fini(&set);
    return n;
}

static void the_line_end_behind_a_text_is_none_of_the_secret(void **state)
{
    (void)state;
    assert_int_equal(secret_length(slice_of(KEYS_SECRET)), 64);
    assert_int_equal(secret_length(slice_of(KEYS_SECRET "\n")), 64);
    assert_int_equal(secret_length(slice_of(KEYS_SECRET "\r\n")), 64);
    assert_int_equal(secret_length(slice_of(KEYS_SECRET " \n")), 65);
    /* Two lines, or bytes that are no text, are taken as they are. */
    assert_int_equal(secret_length(slice_of(KEYS_SECRET "\n\n")), 66);
    assert_int_equal(secret_length(SLICE_LITERAL("\0" KEYS_SECRET "\n")), 66);
}

static void a_key_that_is_wrong_is_told_what_it_is_and_what_to_do(void **state)
{
    (void)state;
    assert_key_refused(slice_of(""), "the secret has 0 bytes");
    assert_key_refused(slice_of("0123456789abcdef0123456789abcde\n"),
                       "the secret has 31 bytes, and one of less than 32 can be guessed; make one "
                       "with `openssl rand -base64 48`");
    assert_key_refused(slice_of(KEYS_RSA_PRIVATE), "this is a private key");
    assert_key_refused(slice_of(KEYS_ED25519_PRIVATE), "openssl pkey -in FILE -pubout");
    assert_key_refused(slice_of(KEYS_RSA_PUBLIC KEYS_RSA_PRIVATE), "this is a private key");
    assert_key_refused(slice_of("-----BEGIN CERTIFICATE-----\n"), "openssl x509 -in FILE");
    assert_key_refused(slice_of("-----BEGIN RSA PUBLIC KEY-----\n"), "-RSAPublicKey_in");
    assert_key_refused(slice_of("-----BEGIN X-----\n"), "there is no \"-----BEGIN PUBLIC KEY");
    assert_key_refused(slice_of(KEYS_RSA_PUBLIC KEYS_P256_PUBLIC), "more than one PEM block");
    assert_key_refused(slice_make(KEYS_RSA_PUBLIC, strlen(KEYS_RSA_PUBLIC) - 40), "cut short");
    assert_key_refused(slice_of(KEYS_RSA_1024_PUBLIC), "the RSA key has 1024 bits");
    assert_key_refused(slice_of(KEYS_P521_PUBLIC), "P-256 and P-384 are");
    assert_key_refused(slice_of(" {\"kty\":\"oct\"}"), "belongs into jwks_file");
}

static void a_secret_can_be_too_long(void **state)
{
    char text[KEY_MAX_SECRET + 1];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(secret_length(slice_make(text, sizeof text - 1)), KEY_MAX_SECRET);
    assert_key_refused(slice_make(text, sizeof text), "at most 4096 are taken");
}

/* ---- sets ---- */

static int read_set(struct key_set *set, bool is_remote, struct error *why, const char *format,
                    va_list args) __attribute__((format(printf, 4, 0)));

static int read_set(struct key_set *set, bool is_remote, struct error *why, const char *format,
                    va_list args)
{
    char text[16384];

    vsnprintf(text, sizeof text, format, args);
    *why = (struct error){""};
    return key_set_from_jwks(set, slice_of(text), is_remote, why);
}

static struct key_set taken(bool is_remote, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct key_set taken(bool is_remote, const char *format, ...)
{
    struct key_set set = {0};
    struct error why;
    va_list args;

    va_start(args, format);
    if (read_set(&set, is_remote, &why, format, args) != 0)
        fail_msg("%s", why.text);
    va_end(args);
    return set;
}

static void assert_refused(bool is_remote, const char *sentence, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void assert_refused(bool is_remote, const char *sentence, const char *format, ...)
{
    struct key_set set = {0};
    struct error why;
    va_list args;

    va_start(args, format);
    assert_int_equal(read_set(&set, is_remote, &why, format, args), -EINVAL);
    va_end(args);
    if (strstr(why.text, sentence) == NULL)
        fail_msg("said: %s\nexpected: %s", why.text, sentence);
    assert_int_equal(set.count, 0);
}

#define assert_file_refused(sentence, ...) assert_refused(false, sentence, __VA_ARGS__)

static void a_set_of_every_kind_is_read(void **state)
{
    struct key_set set =
        taken(true,
              "{\"keys\":[{%s,\"kid\":\"r\",\"use\":\"sig\"},{%s,\"kid\":\"p\",\"key_ops\":"
              "[\"verify\"]},{%s,\"alg\":\"ES384\"},{%s,\"kid\":\"\\u00e9\",\"x5t\":\"a\"}]}",
              KEYS_RSA_JWK, KEYS_P256_JWK, KEYS_P384_JWK, KEYS_ED25519_JWK);

    (void)state;
    assert_int_equal(set.count, 4);
    assert_int_equal(set.keys[0].kind, KEY_RSA);
    assert_int_equal(set.keys[0].algorithms, RSA_ALL);
    assert_slice(slice_make(set.keys[0].id, set.keys[0].id_length), "r");
    assert_int_equal(set.keys[1].kind, KEY_P256);
    assert_int_equal(set.keys[2].kind, KEY_P384);
    assert_null(set.keys[2].id);
    assert_int_equal(set.keys[3].kind, KEY_ED25519);
    assert_slice(slice_make(set.keys[3].id, set.keys[3].id_length), "\xc3\xa9");
    key_set_fini(&set);
}

static void a_key_that_names_its_algorithm_is_for_that_alone(void **state)
{
    struct key_set set = taken(false, "{\"keys\":[{%s,\"alg\":\"PS256\"}]}", KEYS_RSA_JWK);

    (void)state;
    assert_int_equal(set.keys[0].algorithms, ALGORITHM_BIT(ALGORITHM_PS256));
    key_set_fini(&set);
    set = taken(false, "{\"keys\":[{%s,\"alg\":\"HS384\"}]}", KEYS_SECRET_JWK);
    assert_int_equal(set.keys[0].algorithms, ALGORITHM_BIT(ALGORITHM_HS384));
    key_set_fini(&set);
}

/* RFC 7517 5: what is not understood is ignored. */
static void keys_that_are_not_for_us_are_passed_over(void **state)
{
    static const char *const others[] = {
        "\"kty\":\"RSA\",\"use\":\"enc\"",
        "\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"]",
        "\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\"",
        "\"kty\":\"oct\",\"alg\":\"A256KW\",\"k\":\"AAAA\"",
        "\"kty\":\"EC\",\"crv\":\"P-521\"",
        "\"kty\":\"EC\",\"crv\":\"secp256k1\"",
        "\"kty\":\"EC\"",
        "\"kty\":\"OKP\",\"crv\":\"X25519\"",
        "\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct key_set set = taken(false, "{\"keys\":[{%s},{%s}]}", others[i], KEYS_P256_JWK);

        assert_int_equal(set.count, 1);
        key_set_fini(&set);
        assert_file_refused("none of its 1 keys can check signatures here",
                            "{\"keys\":[{%s}]}", others[i]);
    }
    assert_file_refused("none of its 0 keys", "{\"keys\":[]}");
}

static void a_set_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_file_refused("not one JSON object", "%s", "");
    assert_file_refused("not one JSON object", "%s", "[]");
    assert_file_refused("not one JSON object", "%s", "{\"keys\":[],\"keys\":[]}");
    assert_file_refused("it has no array \"keys\"", "%s", "{}");
    assert_file_refused("it has no array \"keys\"", "%s", "{\"keys\":{}}");
    assert_file_refused("this is a single key; a set is {\"keys\":[...]} around it", "{%s}",
                        KEYS_RSA_JWK);
    assert_file_refused("key 1: it is no JSON object", "%s", "{\"keys\":[\"a\"]}");
    assert_file_refused("key 1: it is no JSON object, or names a member twice",
                        "{\"keys\":[{%s,\"kty\":\"RSA\"}]}", KEYS_RSA_JWK);
}

static void a_key_that_is_wrong_is_named(void **state)
{
    static const struct {
        const char *jwk;
        const char *sentence;
    } rows[] = {
        {"\"x\":1", "there is no \"kty\""},
        {"\"kty\":7", "is not a string"},
        {"\"kty\":\"RSA\",\"kid\":7", "is not a string"},
        {"\"kty\":\"RSA\",\"use\":7", "\"use\" is not a string"},
        {"\"kty\":\"RSA\",\"key_ops\":\"verify\"", "\"key_ops\" is not an array of strings"},
        {"\"kty\":\"RSA\",\"key_ops\":[\"verify\",1]", "\"key_ops\" is not an array of strings"},
        {"\"kty\":\"EC\",\"crv\":7", "\"crv\" is not a string"},
        {"\"kty\":\"RSA\",\"e\":\"AQAB\"", "its member \"n\" is missing"},
        {"\"kty\":\"RSA\",\"n\":\"AQAB\"", "its member \"e\" is missing"},
        {"\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"", "the RSA key has 17 bits"},
        {"\"kty\":\"RSA\",\"n\":\"AQAB=\",\"e\":\"AQAB\"", "its member \"n\""},
        {"\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"", "the RSA key has 0 bits"},
        {KEYS_ROCA_JWK, "CVE-2017-15361"},
        {KEYS_OFF_CURVE_JWK, "not on its curve"},
        {"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"", "32 bytes each"},
        {"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"", "does not have 32 bytes"},
        {"\"kty\":\"oct\",\"k\":\"AQAB\"", "the secret has 3 bytes"},
        {"\"kty\":\"oct\",\"k\":\"\"", "the secret has 0 bytes"},
        {"\"kty\":\"oct\",\"k\":7", "its member \"k\""},
        {KEYS_P256_JWK ",\"d\":\"AQAB\"", "it is a private key"},
        {KEYS_P256_JWK ",\"alg\":\"ES384\"", "its algorithm ES384 is not one for such a key"},
        {KEYS_P256_JWK ",\"alg\":\"HS256\"", "its algorithm HS256 is not one for such a key"},
        {KEYS_SECRET_JWK ",\"alg\":\"RS256\"", "its algorithm RS256 is not one for such a key"},
        {"\"kty\":\"oct\",\"alg\":\"HS384\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
         "its 32 bytes are too few for HS384"},
        {KEYS_P256_JWK ",\"kid\":\"\"", "\"kid\" must have 1 to 256 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_file_refused(rows[i].sentence, "{\"keys\":[{%s}]}", rows[i].jwk);
    assert_file_refused("key 2 (kid \"b\"): its member \"n\" is missing",
                        "{\"keys\":[{%s},{\"kty\":\"RSA\",\"kid\":\"b\"}]}", KEYS_RSA_JWK);
}

static void the_exponent_of_an_rsa_key_is_odd_and_more_than_one(void **state)
{
    static const char *const exponents[] = {"AQ", "Ag", "AA", "AQAAAAAAAAAB"};
    char jwk[1024];
    char *e;

    (void)state;
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        snprintf(jwk, sizeof jwk, "%s", KEYS_RSA_JWK);
        e = strstr(jwk, "\"e\":");
        assert_non_null(e);
        snprintf(e, sizeof jwk - (size_t)(e - jwk), "\"e\":\"%s\"", exponents[i]);
        assert_file_refused("numbers are not those of a key", "{\"keys\":[{%s}]}", jwk);
    }
}

static void two_keys_of_one_kid_are_refused(void **state)
{
    (void)state;
    assert_file_refused("key 2 (kid \"a\"): another key has the same kid",
                        "{\"keys\":[{%s,\"kid\":\"a\"},{%s,\"kid\":\"a\"}]}", KEYS_RSA_JWK,
                        KEYS_P256_JWK);
    assert_refused(true, "another key has the same kid",
                   "{\"keys\":[{\"kty\":\"RSA\"},{%s,\"kid\":\"a\"},{%s,\"kid\":\"a\"}]}",
                   KEYS_RSA_JWK, KEYS_P256_JWK);
}

static void secrets_and_public_keys_do_not_mix(void **state)
{
    (void)state;
    assert_file_refused("key 2: secrets and public keys must not stand in one set",
                        "{\"keys\":[{%s},{%s}]}", KEYS_SECRET_JWK, KEYS_P256_JWK);
}

static void a_set_from_a_url_loses_only_its_wrong_keys(void **state)
{
    struct key_set set = {0};
    struct error why = {"old"};
    char text[4096];

    (void)state;
    snprintf(text, sizeof text, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"x\"},{%s},{\"kty\":7}]}",
             KEYS_P256_JWK);
    assert_int_equal(key_set_from_jwks(&set, slice_of(text), true, &why), 0);
    assert_int_equal(set.count, 1);
    assert_string_equal(why.text, "key 1 (kid \"x\"): its member \"n\" is missing or not what it "
                                  "must be (RFC 7518 6)");
    key_set_fini(&set);
    assert_refused(true, "key 1: a secret that others can fetch is none", "{\"keys\":[{%s}]}",
                   KEYS_SECRET_JWK);
}

static void a_set_has_a_bound(void **state)
{
    struct buf text = {0};
    struct key_set set = {0};
    struct error why = {""};

    (void)state;
    buf_add_text(&text, "{\"keys\":[{" KEYS_P256_JWK "}");
    for (int i = 1; i <= KEY_SET_MAX; i++)
        buf_add_text(&text, ",{" KEYS_P256_JWK "}");
    buf_add_text(&text, "]}");
    assert_int_equal(key_set_from_jwks(&set, buf_slice(&text), false, &why), -EINVAL);
    assert_string_equal(why.text, "key 65: a set can have at most 64 keys");
    for (size_t i = text.len; i <= KEY_SET_MAX_BYTES; i++)
        buf_add_char(&text, ' ');
    assert_int_equal(key_set_from_jwks(&set, buf_slice(&text), false, &why), -EINVAL);
    assert_string_equal(why.text, "it has more than 256 KiB");
    buf_fini(&text);
}

/* ---- choosing ---- */

static void assert_choice(const struct key_set *set, const char *id, enum algorithm algorithm,
                          enum key_choice expected, size_t index)
{
    const struct key *key = NULL;

    assert_int_equal(key_set_choose(set, slice_of(id), algorithm, &key), expected);
    if (expected == KEY_FOUND)
        assert_ptr_equal(key, &set->keys[index]);
}

static void a_kid_names_its_key_and_the_algorithm_must_be_that_keys(void **state)
{
    struct key_set set = taken(false, "{\"keys\":[{%s,\"kid\":\"r\"},{%s,\"kid\":\"p\"}]}",
                               KEYS_RSA_JWK, KEYS_P256_JWK);

    (void)state;
    assert_choice(&set, "r", ALGORITHM_RS256, KEY_FOUND, 0);
    assert_choice(&set, "p", ALGORITHM_ES256, KEY_FOUND, 1);
    assert_choice(&set, "r", ALGORITHM_ES256, KEY_WRONG_ALGORITHM, 0);
    assert_choice(&set, "p", ALGORITHM_HS256, KEY_WRONG_ALGORITHM, 0);
    assert_choice(&set, "x", ALGORITHM_RS256, KEY_UNKNOWN, 0);
    assert_choice(&set, "", ALGORITHM_RS256, KEY_UNKNOWN, 0);
    key_set_fini(&set);
}

static void without_a_kid_one_key_alone_must_fit(void **state)
{
    struct key_set set = taken(false, "{\"keys\":[{%s,\"kid\":\"r\"},{%s,\"kid\":\"p\"},{%s}]}",
                               KEYS_RSA_JWK, KEYS_P256_JWK, KEYS_P256_JWK);

    (void)state;
    assert_choice(&set, NULL, ALGORITHM_RS256, KEY_FOUND, 0);
    assert_choice(&set, NULL, ALGORITHM_ES256, KEY_AMBIGUOUS, 0);
    assert_choice(&set, NULL, ALGORITHM_EDDSA, KEY_WRONG_ALGORITHM, 0);
    key_set_fini(&set);
}

static void a_kid_that_no_key_has_means_the_one_without(void **state)
{
    struct key_set set =
        taken(false, "{\"keys\":[{%s,\"kid\":\"r\"},{%s}]}", KEYS_RSA_JWK, KEYS_P256_JWK);

    (void)state;
    assert_choice(&set, "x", ALGORITHM_ES256, KEY_FOUND, 1);
    assert_choice(&set, "x", ALGORITHM_RS256, KEY_WRONG_ALGORITHM, 1);
    key_set_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_of_a_key_fixes_its_algorithms),
        cmocka_unit_test(a_secret_is_for_hashes_that_are_no_longer_than_it),
        cmocka_unit_test(the_line_end_behind_a_text_is_none_of_the_secret),
        cmocka_unit_test(a_key_that_is_wrong_is_told_what_it_is_and_what_to_do),
        cmocka_unit_test(a_secret_can_be_too_long),
        cmocka_unit_test(a_set_of_every_kind_is_read),
        cmocka_unit_test(a_key_that_names_its_algorithm_is_for_that_alone),
        cmocka_unit_test(keys_that_are_not_for_us_are_passed_over),
        cmocka_unit_test(a_set_that_is_none_is_refused),
        cmocka_unit_test(a_key_that_is_wrong_is_named),
        cmocka_unit_test(the_exponent_of_an_rsa_key_is_odd_and_more_than_one),
        cmocka_unit_test(two_keys_of_one_kid_are_refused),
        cmocka_unit_test(secrets_and_public_keys_do_not_mix),
        cmocka_unit_test(a_set_from_a_url_loses_only_its_wrong_keys),
        cmocka_unit_test(a_set_has_a_bound),
        cmocka_unit_test(a_kid_names_its_key_and_the_algorithm_must_be_that_keys),
        cmocka_unit_test(without_a_kid_one_key_alone_must_fit),
        cmocka_unit_test(a_kid_that_no_key_has_means_the_one_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
