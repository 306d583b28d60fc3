/* test_claims.c - when a token is good, for whom, and what it grants. */
#include "auth/claims_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include "support/cm.h"

enum { NOW_S = 1800000000 };

#define NOW_MS (NOW_S * (uint64_t)1000)

static const struct claim_rules any_rules = {.user_claim = "sub", .leeway_ms = 30000};

static struct claims claims; /* large, and used again: as in the daemon */
static char payload[8192];

static enum token_fault check(const struct claim_rules *rules, struct access *out,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum token_fault check(const struct claim_rules *rules, struct access *out,
                              const char *format, ...)
{
    enum token_fault fault;
    va_list args;

    va_start(args, format);
    vsnprintf(payload, sizeof payload, format, args);
    va_end(args);
    fault = claims_read(&claims, slice_of(payload));
    return fault != TOKEN_GOOD ? fault : claims_check(&claims, rules, NOW_MS, out);
}

#define assert_fault(got, expected)                                                                \
    assert_string_equal(token_fault_name(got), token_fault_name(expected))

/* A token that is good but for what is added to its claims. */
static enum token_fault check_more(const struct claim_rules *rules, const char *more)
{
    struct access a;

    return check(rules, &a, "{\"sub\":\"alice\",\"exp\":%d%s%s}", NOW_S + 60,
                 more[0] == '\0' ? "" : ",", more);
}

static void a_token_names_its_user_and_its_end(void **state)
{
    struct access a;

    (void)state;
    assert_fault(check(&any_rules, &a,
                       "{\"sub\":\"al\\u0069ce\",\"exp\":%d,\"iat\":%d,\"jti\":\"j\"}",
                       NOW_S + 60, NOW_S - 1),
                 TOKEN_GOOD);
    assert_slice(a.user, "alice");
    assert_slice(a.id, "j");
    assert_int_equal(a.expires_ms, NOW_MS + 60000);
    assert_int_equal(a.issued_ms, NOW_MS - 1000);
    assert_int_equal(a.subscribe.count, 0);
    assert_int_equal(a.publish.count, 0);
    assert_true(access_has_user(&a, slice_of("alice")));
    assert_false(access_has_user(&a, slice_of("bob")));
    assert_false(access_has_user(&a, slice_of("")));
}

/* ---- times ---- */

static enum token_fault check_times(const char *times)
{
    struct access a;

    return check(&any_rules, &a, "{%s}", times);
}

static void a_token_is_good_until_its_end_and_the_leeway_after_it(void **state)
{
    struct access a;

    (void)state;
    assert_fault(check(&any_rules, &a, "{\"exp\":%d}", NOW_S - 29), TOKEN_GOOD);
    assert_fault(check(&any_rules, &a, "{\"exp\":%d.5}", NOW_S - 30), TOKEN_GOOD);
    assert_int_equal(a.expires_ms, NOW_MS + 500); /* not over yet */
    assert_fault(check(&any_rules, &a, "{\"exp\":%d}", NOW_S - 30), TOKEN_EXPIRED);
    assert_fault(check_times("\"exp\":0"), TOKEN_EXPIRED);
}

static void every_token_must_end(void **state)
{
    (void)state;
    assert_fault(check_times(""), TOKEN_WITHOUT_END);
    assert_fault(check_times("\"sub\":\"a\""), TOKEN_WITHOUT_END);
}

static void a_time_is_a_number_of_seconds_that_can_be(void **state)
{
    static const char *const rows[] = {"\"1900000000\"", "null", "true", "[1900000000]", "-1",
                                       "1e400", "253402300800", "-1e400", "{}"};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "\"exp\":%s", rows[i]);
        assert_fault(check_times(text), TOKEN_WRONG_CLAIMS);
        snprintf(text, sizeof text, "\"exp\":1900000000,\"nbf\":%s", rows[i]);
        assert_fault(check_times(text), TOKEN_WRONG_CLAIMS);
        snprintf(text, sizeof text, "\"exp\":1900000000,\"iat\":%s", rows[i]);
        assert_fault(check_times(text), TOKEN_WRONG_CLAIMS);
    }
    assert_fault(check_times("\"exp\":1.9e9"), TOKEN_GOOD);
    assert_fault(check_times("\"exp\":253402300799"), TOKEN_GOOD);
}

static void a_token_is_not_good_before_its_time(void **state)
{
    struct access a;

    (void)state;
    assert_fault(check(&any_rules, &a, "{\"exp\":1900000000,\"nbf\":%d}", NOW_S + 30), TOKEN_GOOD);
    assert_fault(check(&any_rules, &a, "{\"exp\":1900000000,\"nbf\":%d}", NOW_S + 31),
                 TOKEN_TOO_EARLY);
    assert_fault(check(&any_rules, &a, "{\"exp\":1900000000,\"iat\":%d}", NOW_S + 30), TOKEN_GOOD);
    assert_fault(check(&any_rules, &a, "{\"exp\":1900000000,\"iat\":%d}", NOW_S + 31),
                 TOKEN_TOO_EARLY);
}

/* ---- who made it, and for whom ---- */

static void the_issuer_must_be_the_one_that_is_trusted(void **state)
{
    static const struct claim_rules rules = {.issuer = "https://id.example", .user_claim = "sub"};

    (void)state;
    assert_fault(check_more(&rules, "\"iss\":\"https:\\/\\/id.example\""), TOKEN_GOOD);
    assert_fault(check_more(&rules, "\"iss\":\"https://id.example/\""), TOKEN_WRONG_ISSUER);
    assert_fault(check_more(&rules, "\"iss\":\"\""), TOKEN_WRONG_ISSUER);
    assert_fault(check_more(&rules, ""), TOKEN_WRONG_ISSUER);
    assert_fault(check_more(&rules, "\"iss\":[\"https://id.example\"]"), TOKEN_WRONG_CLAIMS);
    assert_fault(check_more(&any_rules, "\"iss\":\"anybody\""), TOKEN_GOOD);
}

static void the_audience_must_be_us(void **state)
{
    static const struct claim_rules rules = {.audience = "push", .user_claim = "sub"};

    (void)state;
    assert_fault(check_more(&rules, "\"aud\":\"push\""), TOKEN_GOOD);
    assert_fault(check_more(&rules, "\"aud\":[\"shop\",\"p\\u0075sh\"]"), TOKEN_GOOD);
    assert_fault(check_more(&rules, "\"aud\":\"pushy\""), TOKEN_WRONG_AUDIENCE);
    assert_fault(check_more(&rules, "\"aud\":[\"shop\"]"), TOKEN_WRONG_AUDIENCE);
    assert_fault(check_more(&rules, "\"aud\":[]"), TOKEN_WRONG_AUDIENCE);
    assert_fault(check_more(&rules, ""), TOKEN_WRONG_AUDIENCE);
    assert_fault(check_more(&rules, "\"aud\":[\"push\",7]"), TOKEN_WRONG_CLAIMS);
    assert_fault(check_more(&rules, "\"aud\":{\"push\":1}"), TOKEN_WRONG_CLAIMS);
}

/* RFC 7519 4.1.3. */
static void a_token_for_somebody_is_not_good_where_we_have_no_name(void **state)
{
    (void)state;
    assert_fault(check_more(&any_rules, "\"aud\":\"shop\""), TOKEN_WRONG_AUDIENCE);
    assert_fault(check_more(&any_rules, "\"aud\":[]"), TOKEN_WRONG_AUDIENCE);
}

/* ---- the user ---- */

static void another_claim_can_name_the_user(void **state)
{
    static const struct claim_rules rules = {.user_claim = "https://example.com/id"};
    struct access a;

    (void)state;
    assert_fault(check(&rules, &a, "{\"sub\":\"x\",\"https:\\/\\/example.com\\/id\":\"bob\","
                                   "\"exp\":1900000000}"),
                 TOKEN_GOOD);
    assert_slice(a.user, "bob");
    assert_fault(check(&rules, &a, "{\"sub\":\"x\",\"exp\":1900000000}"), TOKEN_GOOD);
    assert_null(a.user.p);
    assert_false(access_has_user(&a, slice_of("x")));
}

static void a_user_may_be_a_whole_number(void **state)
{
    struct access a;

    (void)state;
    assert_fault(check(&any_rules, &a, "{\"sub\":42,\"exp\":1900000000}"), TOKEN_GOOD);
    assert_slice(a.user, "42");
    assert_fault(check(&any_rules, &a, "{\"sub\":42.0,\"exp\":1900000000}"), TOKEN_WRONG_CLAIMS);
    assert_fault(check(&any_rules, &a, "{\"sub\":-1,\"exp\":1900000000}"), TOKEN_WRONG_CLAIMS);
    assert_fault(check(&any_rules, &a, "{\"sub\":true,\"exp\":1900000000}"), TOKEN_WRONG_CLAIMS);
    assert_fault(check(&any_rules, &a, "{\"sub\":[\"a\"],\"exp\":1900000000}"),
                 TOKEN_WRONG_CLAIMS);
}

static void user_and_jti_have_a_bound(void **state)
{
    char text[CLAIMS_MAX_TEXT + 2];
    struct access a;

    (void)state;
    memset(text, 'a', sizeof text);
    text[CLAIMS_MAX_TEXT] = '\0';
    assert_fault(check(&any_rules, &a, "{\"sub\":\"%s\",\"jti\":\"%s\",\"exp\":1900000000}", text,
                       text),
                 TOKEN_GOOD);
    assert_fault(check(&any_rules, &a, "{\"sub\":\"%sa\",\"exp\":1900000000}", text),
                 TOKEN_WRONG_CLAIMS);
    assert_fault(check(&any_rules, &a, "{\"jti\":\"%sa\",\"exp\":1900000000}", text),
                 TOKEN_WRONG_CLAIMS);
    assert_fault(check(&any_rules, &a, "{\"jti\":7,\"exp\":1900000000}"), TOKEN_WRONG_CLAIMS);
}

/* ---- what it grants ---- */

static void patterns_are_read_into_both_lists(void **state)
{
    struct access a;

    (void)state;
    assert_fault(check(&any_rules, &a,
                       "{\"exp\":1900000000,\"sse_notify\":{\"subscribe\":[\"user:bob\","
                       "\"t\\u006fpic:*\"],\"publish\":[\"broadcast\",\"user:*\"],\"more\":1}}"),
                 TOKEN_GOOD);
    assert_int_equal(a.subscribe.count, 2);
    assert_int_equal(a.publish.count, 2);
    assert_true(access_has_user(&a, slice_of("bob")));
    assert_false(access_has_user(&a, slice_of("alice")));
    assert_true(grants_have(&a.subscribe, ACCESS_TOPIC, slice_of("deploys")));
    assert_false(grants_have(&a.subscribe, ACCESS_EVERYONE, slice_of("")));
    assert_true(grants_have(&a.publish, ACCESS_EVERYONE, slice_of("")));
    assert_true(grants_have(&a.publish, ACCESS_USER, slice_of("anyone")));
    assert_false(grants_have(&a.publish, ACCESS_TOPIC, slice_of("deploys")));
}

static void a_claim_of_ours_that_is_malformed_is_not_passed_over(void **state)
{
    static const char *const rows[] = {
        "\"sse_notify\":[]",
        "\"sse_notify\":\"user:*\"",
        "\"sse_notify\":null",
        "\"sse_notify\":{\"subscribe\":\"user:*\"}",
        "\"sse_notify\":{\"subscribe\":[1]}",
        "\"sse_notify\":{\"publish\":{}}",
        "\"sse_notify\":{\"publish\":[[]]}",
        "\"sse_notify\":{\"publish\":[],\"publ\\u0069sh\":[\"user:*\"]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_fault(check_more(&any_rules, rows[i]), TOKEN_WRONG_CLAIMS);
}

static void the_lists_have_a_bound(void **state)
{
    struct buf text = {0};

    (void)state;
    buf_add_text(&text, "\"sse_notify\":{\"subscribe\":[\"user:a\"");
    for (int i = 1; i < CLAIMS_MAX_GRANTS; i++)
        buf_add_text(&text, ",\"user:a\"");
    buf_add_text(&text, "]}");
    buf_add_char(&text, '\0');
    assert_fault(check_more(&any_rules, text.p), TOKEN_GOOD);
    text.len -= 3;
    buf_add_text(&text, ",\"user:a\"]}");
    buf_add_char(&text, '\0');
    assert_fault(check_more(&any_rules, text.p), TOKEN_WRONG_CLAIMS);
    buf_fini(&text);
}

static void what_is_no_object_or_ambiguous_is_refused(void **state)
{
    static const char *const rows[] = {"", "[]", "\"a\"", "{", "{\"exp\":1900000000,\"exp\":1}",
                                       "{\"exp\":1900000000,\"e\\u0078p\":1}",
                                       "{\"exp\":1900000000}x", "{\"exp\":\"\xff\"}"};
    struct access a;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_fault(check(&any_rules, &a, "%s", rows[i]), TOKEN_WRONG_CLAIMS);
}

/* ---- patterns by themselves ---- */

static bool has(const char *pattern, enum access_target target, const char *name)
{
    struct slice one = slice_of(pattern);
    struct grants g = {&one, 1};

    return grants_have(&g, target, slice_of(name));
}

static void a_pattern_is_a_name_or_all_of_its_kind(void **state)
{
    (void)state;
    assert_true(has("user:alice", ACCESS_USER, "alice"));
    assert_false(has("user:alice", ACCESS_USER, "alicea"));
    assert_false(has("user:alice", ACCESS_USER, "alic"));
    assert_false(has("user:alice", ACCESS_USER, "Alice"));
    assert_false(has("user:alice", ACCESS_TOPIC, "alice"));
    assert_true(has("user:*", ACCESS_USER, "alice"));
    assert_false(has("user:*", ACCESS_TOPIC, "alice"));
    assert_false(has("user:a*", ACCESS_USER, "alice"));
    assert_true(has("topic:a:b", ACCESS_TOPIC, "a:b"));
    assert_true(has("topic:*", ACCESS_TOPIC, "x"));
    assert_true(has("broadcast", ACCESS_EVERYONE, ""));
    assert_false(has("broadcast:*", ACCESS_EVERYONE, ""));
    assert_false(has("*", ACCESS_USER, "alice"));
    assert_false(has("*", ACCESS_EVERYONE, ""));
    assert_false(has("user:", ACCESS_USER, ""));
    assert_false(has("", ACCESS_USER, ""));
    assert_true(grants_is_pattern(slice_of("user:a")) && grants_is_pattern(slice_of("topic:*")) &&
                grants_is_pattern(slice_of("broadcast")));
    assert_false(grants_is_pattern(slice_of("*")) || grants_is_pattern(slice_of("user:")) ||
                 grants_is_pattern(slice_of("users:a")) || grants_is_pattern(slice_of("")));
}

static int end(void **state)
{
    (void)state;
    claims_fini(&claims);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_names_its_user_and_its_end),
        cmocka_unit_test(a_token_is_good_until_its_end_and_the_leeway_after_it),
        cmocka_unit_test(every_token_must_end),
        cmocka_unit_test(a_time_is_a_number_of_seconds_that_can_be),
        cmocka_unit_test(a_token_is_not_good_before_its_time),
        cmocka_unit_test(the_issuer_must_be_the_one_that_is_trusted),
        cmocka_unit_test(the_audience_must_be_us),
        cmocka_unit_test(a_token_for_somebody_is_not_good_where_we_have_no_name),
        cmocka_unit_test(another_claim_can_name_the_user),
        cmocka_unit_test(a_user_may_be_a_whole_number),
        cmocka_unit_test(user_and_jti_have_a_bound),
        cmocka_unit_test(patterns_are_read_into_both_lists),
        cmocka_unit_test(a_claim_of_ours_that_is_malformed_is_not_passed_over),
        cmocka_unit_test(the_lists_have_a_bound),
        cmocka_unit_test(what_is_no_object_or_ambiguous_is_refused),
        cmocka_unit_test(a_pattern_is_a_name_or_all_of_its_kind),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
