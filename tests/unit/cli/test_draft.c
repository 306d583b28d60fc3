#include "cli/draft_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "support/cm.h"

static const char *users[] = {"alice", "bob"};
static const char *topics[] = {"deploys", "builds"};

static struct draft to_alice(void)
{
    return (struct draft){.users = {users, 1}, .ttl_s = DRAFT_TTL_UNSET};
}

static void assert_body_bytes(const struct draft *d, struct slice data, const char *key,
                              const char *expected)
{
    struct buf out = {0};
    size_t offset;
    const char *reason;

    assert_int_equal(draft_add(d, data, slice_of(key), &out), 0);
    assert_slice(buf_slice(&out), expected);
    assert_int_equal(json_check(buf_slice(&out), &offset, &reason), 0);
    buf_fini(&out);
}

static void assert_body(const struct draft *d, const char *data, const char *expected)
{
    assert_body_bytes(d, slice_of(data), NULL, expected);
}

static void assert_draft_refused(const struct draft *d, const char *sentence_part)
{
    struct error why = {0};

    assert_int_equal(draft_check(d, &why), -1);
    if (strstr(why.text, sentence_part) == NULL)
        fail_msg("said \"%s\" and not \"%s\"", why.text, sentence_part);
}

static void assert_keyed(const char *object, const char *key, const char *expected)
{
    struct buf out = {0};
    struct error why = {0};

    assert_int_equal(draft_add_keyed(slice_of(object), slice_of(key), &out, &why), 0);
    assert_slice(buf_slice(&out), expected);
    buf_fini(&out);
}

static void valid_json_goes_byte_for_byte(void **state)
{
    struct draft d = to_alice();

    (void)state;
    assert_body(&d, "{\"a\":12345678901234567890.10,\"a\":1e400}",
                "{\"user\":\"alice\",\"data\":{\"a\":12345678901234567890.10,\"a\":1e400}}");
    assert_body(&d, " [1,\n2] ", "{\"user\":\"alice\",\"data\": [1,\n2] }");
    assert_body(&d, "\"a\\u0000b\"", "{\"user\":\"alice\",\"data\":\"a\\u0000b\"}");
    assert_body(&d, "17", "{\"user\":\"alice\",\"data\":17}");
    assert_body(&d, "null", "{\"user\":\"alice\",\"data\":null}");
}

static void all_else_goes_as_a_string(void **state)
{
    struct draft d = to_alice();

    (void)state;
    assert_body(&d, "hello", "{\"user\":\"alice\",\"data\":\"hello\"}");
    assert_body(&d, "", "{\"user\":\"alice\",\"data\":\"\"}");
    assert_body(&d, "01", "{\"user\":\"alice\",\"data\":\"01\"}");
    assert_body(&d, "1.", "{\"user\":\"alice\",\"data\":\"1.\"}");
    assert_body(&d, "{'a':1}", "{\"user\":\"alice\",\"data\":\"{'a':1}\"}");
    assert_body(&d, "{\"a\":1} x", "{\"user\":\"alice\",\"data\":\"{\\\"a\\\":1} x\"}");
    assert_body(&d, "NaN", "{\"user\":\"alice\",\"data\":\"NaN\"}");
}

static void text_option_makes_a_string_of_json(void **state)
{
    struct draft d = to_alice();

    (void)state;
    d.is_text = true;
    assert_false(draft_is_json(&d, SLICE_LITERAL("17")));
    assert_body(&d, "17", "{\"user\":\"alice\",\"data\":\"17\"}");
    assert_body(&d, "{\"a\":1}", "{\"user\":\"alice\",\"data\":\"{\\\"a\\\":1}\"}");
}

static void data_that_is_not_utf8_is_refused(void **state)
{
    struct draft d = to_alice();
    struct buf out = {0};

    (void)state;
    assert_int_equal(draft_add(&d, SLICE_LITERAL("a\xff"), slice_of(NULL), &out), -EILSEQ);
    buf_fini(&out);
}

static void every_target_and_field_is_written(void **state)
{
    struct draft several = {.users = {users, 2}, .ttl_s = DRAFT_TTL_UNSET};
    struct draft topic = {.topics = {topics, 1}, .ttl_s = 0, .event = "a\"b"};
    struct draft all = {.is_broadcast = true, .ttl_s = 60, .collapse_key = "c\\"};

    (void)state;
    assert_body(&several, "1", "{\"users\":[\"alice\",\"bob\"],\"data\":1}");
    assert_body(&topic, "1", "{\"topic\":\"deploys\",\"event\":\"a\\\"b\",\"ttl\":0,\"data\":1}");
    assert_body_bytes(&all, SLICE_LITERAL("1"), "k\"1",
                      "{\"broadcast\":true,\"ttl\":60,\"collapse_key\":\"c\\\\\","
                      "\"idempotency_key\":\"k\\\"1\",\"data\":1}");
}

static void exactly_one_kind_of_target_is_accepted(void **state)
{
    struct draft d = {.ttl_s = DRAFT_TTL_UNSET};
    struct error why = {0};

    (void)state;
    assert_draft_refused(&d, "to whom?");
    d.users = (struct text_list){users, 2};
    assert_int_equal(draft_check(&d, &why), 0);
    d.is_broadcast = true;
    assert_draft_refused(&d, "only one of");
    d = (struct draft){.topics = {topics, 1}, .ttl_s = DRAFT_TTL_UNSET};
    assert_int_equal(draft_check(&d, &why), 0);
    d.topics.count = 2;
    assert_draft_refused(&d, "only one of");
}

static void names_the_server_would_refuse_are_refused_here(void **state)
{
    char long_name[258];
    const char *names[] = {"", "a\nb", "\xff", long_name};
    struct draft d = to_alice();

    (void)state;
    memset(long_name, 'a', 257);
    long_name[257] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        d = (struct draft){.users = {&names[i], 1}};
        assert_draft_refused(&d, "--user: must be 1 to 256 bytes");
        d = (struct draft){.topics = {&names[i], 1}};
        assert_draft_refused(&d, "--topic: must be 1 to 256 bytes");
        d = to_alice();
        d.event = names[i];
        assert_draft_refused(&d, "--event: must be 1 to 128 bytes");
    }
    d.event = "gap";
    assert_draft_refused(&d, "--event gap: the daemon itself uses this name");
    d = to_alice();
    d.collapse_key = "";
    assert_draft_refused(&d, "--collapse-key");
    d.collapse_key = long_name;
    assert_draft_refused(&d, "--collapse-key");
}

static void key_is_put_into_an_object_that_has_none(void **state)
{
    (void)state;
    assert_keyed(" {\"user\":\"a\", \"data\":1.0} ", "k-1",
                 "{\"idempotency_key\":\"k-1\",\"user\":\"a\", \"data\":1.0}");
    assert_keyed("{ }", "k", "{\"idempotency_key\":\"k\" }");
    assert_keyed("{\"data\":{\"idempotency_key\":1}}", "k",
                 "{\"idempotency_key\":\"k\",\"data\":{\"idempotency_key\":1}}");
    assert_keyed("{\"data\":1}", NULL, "{\"data\":1}");
}

static void key_of_an_object_is_kept(void **state)
{
    (void)state;
    assert_keyed("{\"idempotency_key\":\"mine\"}", "k", "{\"idempotency_key\":\"mine\"}");
    assert_keyed("{\"idempotency\\u005fkey\":\"mine\"}", "k",
                 "{\"idempotency\\u005fkey\":\"mine\"}");
}

static void line_that_is_no_object_is_refused(void **state)
{
    struct buf out = {0};
    struct error why = {0};

    (void)state;
    assert_int_equal(draft_add_keyed(SLICE_LITERAL("[1]"), slice_of("k"), &out, &why), -EINVAL);
    assert_non_null(strstr(why.text, "must be a JSON object"));
    assert_int_equal(draft_add_keyed(SLICE_LITERAL("{\"a\":01}"), slice_of("k"), &out, &why),
                     -EINVAL);
    assert_non_null(strstr(why.text, "no JSON at byte 6"));
    assert_int_equal(out.len, 0);
}

static void options_about_a_notification_are_noticed(void **state)
{
    struct draft d = {.ttl_s = DRAFT_TTL_UNSET};

    (void)state;
    assert_false(draft_has_fields(&d));
    d.ttl_s = 0;
    assert_true(draft_has_fields(&d));
    assert_false(draft_has_target(&d));
    d.is_broadcast = true;
    assert_true(draft_has_target(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_json_goes_byte_for_byte),
        cmocka_unit_test(all_else_goes_as_a_string),
        cmocka_unit_test(text_option_makes_a_string_of_json),
        cmocka_unit_test(data_that_is_not_utf8_is_refused),
        cmocka_unit_test(every_target_and_field_is_written),
        cmocka_unit_test(exactly_one_kind_of_target_is_accepted),
        cmocka_unit_test(names_the_server_would_refuse_are_refused_here),
        cmocka_unit_test(key_is_put_into_an_object_that_has_none),
        cmocka_unit_test(key_of_an_object_is_kept),
        cmocka_unit_test(line_that_is_no_object_is_refused),
        cmocka_unit_test(options_about_a_notification_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
