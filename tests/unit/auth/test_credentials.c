/* test_credentials.c - issuers side by side, keys that are fetched, and who waits for them. */
#include "auth/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "auth/signer.h"
#include "support/cm.h"
#include "support/keys.h"
#include "support/scratch.h"

#define NOW_MS ((uint64_t)1800000000 * 1000)

/* Credentials under test, and what they asked for. */
struct bench {
    char home[SCRATCH_SIZE];
    char path[SCRATCH_SIZE + 32];
    struct stats stats;
    struct issuer_options issuers[CREDENTIALS_MAX_ISSUERS];
    size_t issuer_count;
    struct credentials *c;
    uint64_t now_ms;
    unsigned fetches;         /* asked for */
    bool cannot_fetch;
    struct access access;
};

static int on_fetch(void *ctx, size_t issuer, const char *url)
{
    struct bench *b = ctx;

    assert_string_equal(url, b->issuers[issuer].jwks_url);
    b->fetches++;
    return b->cannot_fetch ? -ENOMEM : 0;
}

static void setup(struct bench *b)
{
    *b = (struct bench){.now_ms = 1000};
    scratch_make(b->home);
}

/* Writes a file of keys; the path is good until the next call. */
static const char *file_of(struct bench *b, const char *name, const char *text)
{
    char *path = malloc(sizeof b->path);
    FILE *out;

    assert_non_null(path);
    snprintf(path, sizeof b->path, "%s/%s", b->home, name);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

static struct issuer_options *add_issuer(struct bench *b, const char *name, const char *issuer)
{
    struct issuer_options *o = &b->issuers[b->issuer_count++];

    *o = (struct issuer_options){.name = name, .issuer = issuer, .user_claim = "sub"};
    return o;
}

static void try_create(struct bench *b, struct error *why)
{
    struct credentials_options options = {
        .issuers = b->issuers,
        .issuer_count = b->issuer_count,
        .now_ms = b->now_ms,
        .fetch = on_fetch,
        .ctx = b,
    };

    b->c = credentials_create(&options, &b->stats, why);
}

static void create(struct bench *b)
{
    struct error why = {""};

    try_create(b, &why);
    if (b->c == NULL)
        fail_msg("%s", why.text);
}

static void teardown(struct bench *b)
{
    credentials_destroy(b->c);
    for (size_t i = 0; i < b->issuer_count; i++) {
        free((void *)(uintptr_t)b->issuers[i].key_file);
        free((void *)(uintptr_t)b->issuers[i].jwks_file);
    }
    scratch_remove(b->home);
}

static const char *check(struct bench *b, const char *token)
{
    return token_fault_name(
        credentials_check(b->c, slice_of(token), NOW_MS, &b->access));
}

/* Checks a token that `key` signs. */
static const char *check_signed(struct bench *b, const char *key, const char *kid,
                                const char *claims)
{
    struct error why = {""};
    struct signer *s = signer_create(slice_of(key), &why);
    struct buf token = {0};
    const char *fault;

    assert_non_null(s);
    assert_int_equal(signer_sign(s, slice_of(kid), slice_of(claims), &token), 0);
    buf_add_char(&token, '\0');
    fault = check(b, token.p);
    buf_fini(&token);
    signer_destroy(s);
    return fault;
}

static void tick(struct bench *b, uint64_t ms)
{
    b->now_ms += ms;
    credentials_tick(b->c, b->now_ms);
}

/* ---- files ---- */

static void a_secret_in_a_file_checks_tokens(void **state)
{
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, NULL)->key_file = file_of(&b, "secret", KEYS_SECRET "\n");
    create(&b);
    assert_string_equal(check(&b, TOKEN_HS256), "good");
    assert_slice(b.access.user, "alice");
    assert_string_equal(check(&b, TOKEN_RS256), "wrong-algorithm");
    assert_string_equal(check(&b, ""), "malformed");
    assert_string_equal(check_signed(&b, KEYS_SECRET, "", "{\"sub\":\"b\",\"exp\":1}"), "expired");
    assert_string_equal(check_signed(&b, KEYS_SECRET, "", "[]"), "wrong-claims");
    assert_string_equal(check(&b, TOKEN_HS256), "good");
    teardown(&b);
}

static void a_set_in_a_file_checks_tokens(void **state)
{
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, NULL)->jwks_file =
        file_of(&b, "jwks", "{\"keys\":[{" KEYS_RSA_JWK "},{" KEYS_P256_JWK ",\"kid\":\"p\"}]}");
    create(&b);
    assert_string_equal(check(&b, TOKEN_RS256), "good");
    assert_string_equal(check(&b, TOKEN_ES256), "good");
    assert_string_equal(check_signed(&b, KEYS_P256_PRIVATE, "q", "{\"exp\":1900000000}"),
                        "wrong-algorithm");
    assert_true(credentials_have_keys(b.c));
    assert_int_equal(b.fetches, 0);
    teardown(&b);
}

static void the_setting_can_allow_fewer_algorithms(void **state)
{
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, NULL)->key_file = file_of(&b, "rsa", KEYS_RSA_PUBLIC);
    b.issuers[0].algorithms = ALGORITHM_BIT(ALGORITHM_PS256);
    create(&b);
    assert_string_equal(check(&b, TOKEN_PS256), "good");
    assert_string_equal(check(&b, TOKEN_RS256), "wrong-algorithm");
    teardown(&b);
}

static void assert_file_refused(const char *text, bool is_set, const char *sentence)
{
    struct error why = {""};
    struct bench b;

    setup(&b);
    if (is_set)
        add_issuer(&b, "x", NULL)->jwks_file = file_of(&b, "k", text);
    else
        add_issuer(&b, "x", NULL)->key_file = file_of(&b, "k", text);
    try_create(&b, &why);
    assert_null(b.c);
    if (strstr(why.text, sentence) == NULL)
        fail_msg("said: %s\nexpected: %s", why.text, sentence);
    assert_non_null(strstr(why.text, b.home));
    teardown(&b);
}

static void a_file_that_is_wrong_is_named_with_its_setting(void **state)
{
    char *large = malloc(300 * 1024);

    (void)state;
    assert_non_null(large);
    memset(large, 'a', 300 * 1024 - 1);
    large[300 * 1024 - 1] = '\0';
    assert_file_refused("short", false, "issuer.x.jwt_key_file = ");
    assert_file_refused("short", false, ": the secret has 5 bytes");
    assert_file_refused("{}", true, "issuer.x.jwks_file = ");
    assert_file_refused("{}", true, ": it has no array \"keys\"");
    assert_file_refused(large, false, "it is too large for keys");
    free(large);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct error why = {""};
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, NULL)->key_file = strdup("/no/such/file");
    try_create(&b, &why);
    assert_null(b.c);
    assert_string_equal(why.text, "auth.jwt_key_file = /no/such/file: cannot be read: No such file "
                                  "or directory");
    teardown(&b);
}

static void files_are_read_again_whole_or_not_at_all(void **state)
{
    struct error why = {""};
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, "https://a")->key_file = file_of(&b, "a", KEYS_SECRET);
    add_issuer(&b, "b", "https://b")->key_file = file_of(&b, "b", KEYS_ED25519_PUBLIC);
    create(&b);
    free((void *)(uintptr_t)file_of(&b, "a", KEYS_P256_PUBLIC));
    free((void *)(uintptr_t)file_of(&b, "b", "nonsense"));
    assert_int_equal(credentials_prepare_keys(b.c, &why), -1);
    assert_non_null(strstr(why.text, "issuer.b.jwt_key_file = "));
    assert_string_equal(check_signed(&b, KEYS_SECRET, "",
                                     "{\"iss\":\"https://a\",\"exp\":1900000000}"),
                        "good");
    free((void *)(uintptr_t)file_of(&b, "b", KEYS_RSA_PUBLIC));
    assert_int_equal(credentials_prepare_keys(b.c, &why), 0);
    credentials_cancel_keys(b.c); /* another part could not */
    credentials_commit_keys(b.c);
    assert_string_equal(check_signed(&b, KEYS_SECRET, "",
                                     "{\"iss\":\"https://a\",\"exp\":1900000000}"),
                        "good");
    assert_int_equal(credentials_prepare_keys(b.c, &why), 0);
    credentials_commit_keys(b.c);
    assert_string_equal(check_signed(&b, KEYS_SECRET, "",
                                     "{\"iss\":\"https://a\",\"exp\":1900000000}"),
                        "wrong-algorithm");
    assert_string_equal(check_signed(&b, KEYS_P256_PRIVATE, "",
                                     "{\"iss\":\"https://a\",\"exp\":1900000000}"),
                        "good");
    assert_string_equal(check_signed(&b, KEYS_RSA_PRIVATE, "",
                                     "{\"iss\":\"https://b\",\"exp\":1900000000}"),
                        "good");
    teardown(&b);
}

/* ---- several issuers ---- */

static void a_token_is_checked_with_the_keys_of_its_issuer_alone(void **state)
{
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, "https://a")->key_file = file_of(&b, "a", KEYS_SECRET);
    add_issuer(&b, "b", "https://b")->key_file = file_of(&b, "b", KEYS_ED25519_PUBLIC);
    b.issuers[1].user_claim = "id";
    create(&b);
    assert_string_equal(
        check_signed(&b, KEYS_SECRET, "",
                     "{\"iss\":\"https://a\",\"sub\":\"x\",\"id\":\"y\",\"exp\":1900000000}"),
        "good");
    assert_slice(b.access.user, "x");
    assert_string_equal(
        check_signed(&b, KEYS_ED25519_PRIVATE, "",
                     "{\"iss\":\"https://b\",\"sub\":\"x\",\"id\":\"y\",\"exp\":1900000000}"),
        "good");
    assert_slice(b.access.user, "y");
    assert_string_equal(check_signed(&b, KEYS_ED25519_PRIVATE, "",
                                     "{\"iss\":\"https://a\",\"exp\":1900000000}"),
                        "wrong-algorithm");
    assert_string_equal(check_signed(&b, KEYS_SECRET, "",
                                     "{\"iss\":\"https://b\",\"exp\":1900000000}"),
                        "wrong-algorithm");
    assert_string_equal(check_signed(&b, KEYS_SECRET, "",
                                     "{\"iss\":\"https://c\",\"exp\":1900000000}"),
                        "wrong-issuer");
    assert_string_equal(check_signed(&b, KEYS_SECRET, "", "{\"exp\":1900000000}"),
                        "wrong-issuer");
    teardown(&b);
}

/* ---- keys that are fetched ---- */

#define SET_R "{\"keys\":[{" KEYS_RSA_JWK ",\"kid\":\"r\"}]}"
#define SET_P "{\"keys\":[{" KEYS_P256_JWK ",\"kid\":\"p\"}]}"
#define CLAIMS "{\"sub\":\"alice\",\"exp\":1900000000}"

static void setup_remote(struct bench *b)
{
    setup(b);
    add_issuer(b, NULL, NULL)->jwks_url = "https://id.example/jwks";
    create(b);
    tick(b, 0);
    assert_int_equal(b->fetches, 1);
}

static void fetched(struct bench *b, const char *body)
{
    credentials_on_fetched(b->c, 0, slice_of(body), body == NULL ? "no route" : NULL, b->now_ms);
}

static const char *check_r(struct bench *b)
{
    return check_signed(b, KEYS_RSA_PRIVATE, "r", CLAIMS);
}

static const char *check_p(struct bench *b)
{
    return check_signed(b, KEYS_P256_PRIVATE, "p", CLAIMS);
}

static void tokens_wait_for_the_first_fetch(void **state)
{
    struct bench b;

    (void)state;
    setup_remote(&b);
    assert_string_equal(check_r(&b), "waits");
    assert_false(credentials_have_keys(b.c));
    fetched(&b, SET_R);
    assert_string_equal(check_r(&b), "good");
    assert_true(credentials_have_keys(b.c));
    assert_int_equal(b.stats.key_fetches, 1);
    assert_int_equal(b.stats.key_fetches_failed, 0);
    teardown(&b);
}

static void keys_are_fetched_again_after_ten_minutes(void **state)
{
    struct bench b;

    (void)state;
    setup_remote(&b);
    fetched(&b, SET_R);
    tick(&b, 599999);
    assert_int_equal(b.fetches, 1);
    tick(&b, 1);
    assert_int_equal(b.fetches, 2);
    tick(&b, 1000000); /* it is under way */
    assert_int_equal(b.fetches, 2);
    assert_string_equal(check_r(&b), "good");
    fetched(&b, SET_P);
    assert_string_equal(check_p(&b), "good");
    teardown(&b);
}

static void a_kid_that_is_not_known_brings_a_fetch_once_a_minute(void **state)
{
    struct bench b;

    (void)state;
    setup_remote(&b);
    fetched(&b, SET_R);
    assert_string_equal(check_p(&b), "waits");
    assert_int_equal(b.fetches, 2);
    assert_string_equal(check_p(&b), "waits"); /* for the same fetch */
    assert_int_equal(b.fetches, 2);
    fetched(&b, SET_R);
    assert_string_equal(check_p(&b), "unknown-key");
    tick(&b, 59999);
    assert_string_equal(check_p(&b), "unknown-key");
    assert_int_equal(b.fetches, 2);
    tick(&b, 1);
    assert_string_equal(check_p(&b), "waits");
    assert_int_equal(b.fetches, 3);
    fetched(&b, SET_P);
    assert_string_equal(check_p(&b), "good");
    /* The old key is gone, and may not be asked for yet. */
    assert_string_equal(check_r(&b), "unknown-key");
    teardown(&b);
}

static void old_keys_are_kept_while_there_are_no_new_ones(void **state)
{
    static const char *const bodies[] = {NULL, "", "<html>", "{\"keys\":[]}",
                                         "{\"keys\":[{" KEYS_SECRET_JWK "}]}"};
    struct bench b;

    (void)state;
    setup_remote(&b);
    fetched(&b, SET_R);
    tick(&b, 600000);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(b.fetches, i + 2);
        fetched(&b, bodies[i]);
        assert_string_equal(check_r(&b), "good");
        assert_int_equal(b.stats.key_fetches_failed, i + 1);
        tick(&b, 59999);
        assert_int_equal(b.fetches, i + 2);
        tick(&b, 1);
    }
    teardown(&b);
}

static void without_keys_the_fetch_is_repeated_soon_and_then_less_often(void **state)
{
    static const uint64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct bench b;

    (void)state;
    setup_remote(&b);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        fetched(&b, NULL);
        assert_string_equal(check_r(&b), "without-keys");
        tick(&b, waits[i] - 1);
        assert_int_equal(b.fetches, i + 1);
        tick(&b, 1);
        assert_int_equal(b.fetches, i + 2);
        assert_string_equal(check_r(&b), "waits");
    }
    teardown(&b);
}

static void a_fetch_that_cannot_begin_has_failed(void **state)
{
    struct bench b;

    (void)state;
    setup(&b);
    add_issuer(&b, NULL, NULL)->jwks_url = "https://id.example/jwks";
    create(&b);
    b.cannot_fetch = true;
    tick(&b, 0);
    assert_string_equal(check_r(&b), "without-keys");
    assert_int_equal(b.stats.key_fetches_failed, 1);
    b.cannot_fetch = false;
    tick(&b, 1000);
    assert_int_equal(b.fetches, 2);
    assert_string_equal(check_r(&b), "waits");
    teardown(&b);
}

/* ---- waiting ---- */

struct waiting {
    struct credentials_waiter waiter; /* comes first */
    struct bench *b;
    struct waiting *takes_along;
    bool waits_again;
    unsigned calls;
};

static void on_keys(struct credentials_waiter *waiter)
{
    struct waiting *w = (struct waiting *)waiter;

    w->calls++;
    if (w->takes_along != NULL)
        credentials_leave(&w->takes_along->waiter);
    if (w->waits_again)
        credentials_wait(w->b->c, waiter);
}

static void who_waits_is_called_once_after_the_fetch(void **state)
{
    struct bench b;
    struct waiting first = {.waiter = {.on_keys = on_keys}, .b = &b, .waits_again = true};
    struct waiting second = {.waiter = {.on_keys = on_keys}, .b = &b};
    struct waiting third = {.waiter = {.on_keys = on_keys}, .b = &b};

    (void)state;
    setup_remote(&b);
    second.takes_along = &third;
    credentials_leave(&first.waiter); /* it does not wait yet */
    credentials_wait(b.c, &first.waiter);
    credentials_wait(b.c, &second.waiter);
    credentials_wait(b.c, &third.waiter);
    fetched(&b, NULL);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(third.calls, 0);
    first.waits_again = false;
    fetched(&b, SET_R);
    assert_int_equal(first.calls, 2);
    assert_int_equal(second.calls, 1);
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_in_a_file_checks_tokens),
        cmocka_unit_test(a_set_in_a_file_checks_tokens),
        cmocka_unit_test(the_setting_can_allow_fewer_algorithms),
        cmocka_unit_test(a_file_that_is_wrong_is_named_with_its_setting),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(files_are_read_again_whole_or_not_at_all),
        cmocka_unit_test(a_token_is_checked_with_the_keys_of_its_issuer_alone),
        cmocka_unit_test(tokens_wait_for_the_first_fetch),
        cmocka_unit_test(keys_are_fetched_again_after_ten_minutes),
        cmocka_unit_test(a_kid_that_is_not_known_brings_a_fetch_once_a_minute),
        cmocka_unit_test(old_keys_are_kept_while_there_are_no_new_ones),
        cmocka_unit_test(without_keys_the_fetch_is_repeated_soon_and_then_less_often),
        cmocka_unit_test(a_fetch_that_cannot_begin_has_failed),
        cmocka_unit_test(who_waits_is_called_once_after_the_fetch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
