/* test_notify_item.c - what a backend may write, and what it is told about the rest. */
#include "../../../src/api/notify_item_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "support/cm.h"

static struct notify_item item;

static int read_item(const char *json, struct refusal *why)
{
    size_t offset;
    const char *reason;

    *why = (struct refusal){.status = 0};
    assert_int_equal(json_check(slice_of(json), &offset, &reason), 0);
    return notify_item_read(&item, slice_of(json), 0, 64, why);
}

static void assert_refused(const char *json, int status, const char *part)
{
    struct refusal why;

    assert_int_equal(read_item(json, &why), -EINVAL);
    assert_int_equal(why.status, status);
    if (strstr(why.detail, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.detail, part);
}

static void assert_data(const char *json, const char *data, bool is_json)
{
    struct refusal why;

    assert_int_equal(read_item(json, &why), 0);
    assert_slice(item.n.data, data);
    assert_int_equal(item.n.is_json, is_json);
}

static void data_goes_out_as_it_was_sent(void **state)
{
    (void)state;
    assert_data("{\"user\":\"a\",\"data\":\"x\\ny\\u00e9\"}", "x\ny\xc3\xa9", false);
    assert_data("{\"user\":\"a\",\"data\":{ \"n\" : 1.500, \"b\": 12345678901234567890 }}",
                "{\"n\":1.500,\"b\":12345678901234567890}", true);
    assert_data("{\"user\":\"a\",\"data\":[ \" two  blanks \" ]}", "[\" two  blanks \"]", true);
    assert_data("{\"user\":\"a\",\"data\":null}", "null", true);
}

static void a_notification_that_says_little_has_the_usual_rest(void **state)
{
    struct refusal why;

    (void)state;
    assert_int_equal(read_item("{\"topic\":\"t\",\"data\":1}", &why), 0);
    assert_int_equal(item.n.to.kind, CHANNEL_TOPIC);
    assert_slice(item.n.to.name, "t");
    assert_slice(item.n.event, "notification");
    assert_true(item.n.ttl_ms == TTL_DEFAULT);
    assert_int_equal(item.n.collapse_key.n, 0);
    assert_int_equal(item.n.idempotency_key.n, 0);
}

static void nobody_in_a_list_is_told_twice(void **state)
{
    struct refusal why;

    (void)state;
    assert_int_equal(read_item("{\"users\":[\"a\",\"b\",\"\\u0061\"],\"data\":1}", &why), 0);
    assert_int_equal(item.user_count, 2);
    assert_slice(item.users[0], "a");
    assert_slice(item.users[1], "b");
}

static void seconds_become_milliseconds(void **state)
{
    struct refusal why;

    (void)state;
    assert_int_equal(read_item("{\"user\":\"a\",\"data\":1,\"ttl\":1.5}", &why), 0);
    assert_int_equal(item.n.ttl_ms, 1500);
    assert_int_equal(read_item("{\"user\":\"a\",\"data\":1,\"ttl\":0}", &why), 0);
    assert_int_equal(item.n.ttl_ms, 0);
    assert_int_equal(read_item("{\"user\":\"a\",\"data\":1,\"ttl\":0.0001}", &why), 0);
    assert_int_equal(item.n.ttl_ms, 1); /* a little is not nothing */
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    (void)state;
    assert_refused("[]", 400, "JSON object");
    assert_refused("{\"user\":\"a\",\"dta\":1}", 400, "\"dta\" (byte 12)");
    assert_refused("{\"user\":\"a\",\"user\":\"b\",\"data\":1}", 400, "given twice (byte 19)");
    assert_refused("{\"data\":1}", 400, "has 0");
    assert_refused("{\"user\":\"a\",\"topic\":\"b\",\"data\":1}", 400, "has 2");
    assert_refused("{\"user\":\"a\"}", 400, "needs data");
    assert_refused("{\"user\":5,\"data\":1}", 400, "user must be a string (byte 8)");
    assert_refused("{\"user\":\"\",\"data\":1}", 400, "1 to 256 bytes");
    assert_refused("{\"user\":\"a\\u0000b\",\"data\":1}", 400, "control characters");
    assert_refused("{\"users\":[],\"data\":1}", 400, "at least one");
    assert_refused("{\"users\":\"a\",\"data\":1}", 400, "array");
    assert_refused("{\"broadcast\":false,\"data\":1}", 400, "only be true");
    assert_refused("{\"user\":\"a\",\"data\":1,\"event\":\"gap\"}", 400, "daemon itself");
    assert_refused("{\"user\":\"a\",\"data\":1,\"event\":\"a\\nb\"}", 400, "event must be");
    assert_refused("{\"user\":\"a\",\"data\":1,\"ttl\":-1}", 400, "ttl must be");
    assert_refused("{\"user\":\"a\",\"data\":1,\"ttl\":\"5\"}", 400, "number of seconds");
    assert_refused("{\"user\":\"a\",\"data\":1,\"collapse_key\":\"\"}", 400, "collapse_key must");
    assert_refused("{\"user\":\"a\",\"data\":\"\\ud800\"}", 400, "surrogate");
}

static void a_payload_over_the_bound_is_too_large(void **state)
{
    struct refusal why;
    char json[128];

    (void)state;
    snprintf(json, sizeof json, "{\"user\":\"a\",\"data\":\"%064d\"}", 0);
    assert_int_equal(read_item(json, &why), 0);
    assert_int_equal(item.n.data.n, 64);
    snprintf(json, sizeof json, "{\"user\":\"a\",\"data\":\"%065d\"}", 0);
    assert_refused(json, 413, "65 bytes; publish.max_payload allows at most 64");
}

static void an_item_is_read_after_one_that_found_no_memory(void **state)
{
    struct refusal why;

    (void)state;
    item.names.failed = item.data.failed = true;
    assert_int_equal(read_item("{\"user\":\"a\",\"data\":\"b\"}", &why), 0);
    assert_slice(item.n.to.name, "a");
    assert_slice(item.n.data, "b");
}

static void what_a_large_item_needed_is_given_back(void **state)
{
    static char json[200000];
    struct refusal why;

    (void)state;
    assert_int_equal(read_item("{\"user\":\"a\",\"data\":\"b\"}", &why), 0);
    notify_item_relax(&item);
    assert_non_null(item.names.p);
    snprintf(json, sizeof json, "{\"user\":\"a\",\"data\":\"%0150000d\"}", 0);
    assert_refused(json, 413, "150000 bytes");
    notify_item_relax(&item);
    assert_null(item.data.p);
    assert_null(item.names.p);
    assert_int_equal(read_item("{\"users\":[\"a\"],\"data\":\"b\"}", &why), 0);
    assert_int_equal(item.user_count, 1);
}

static int end(void **state)
{
    (void)state;
    notify_item_fini(&item);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_goes_out_as_it_was_sent),
        cmocka_unit_test(a_notification_that_says_little_has_the_usual_rest),
        cmocka_unit_test(nobody_in_a_list_is_told_twice),
        cmocka_unit_test(seconds_become_milliseconds),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(a_payload_over_the_bound_is_too_large),
        cmocka_unit_test(an_item_is_read_after_one_that_found_no_memory),
        cmocka_unit_test(what_a_large_item_needed_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
