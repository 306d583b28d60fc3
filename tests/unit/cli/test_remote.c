#include "cli/remote_priv.h"

#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

static void assert_notify_url(struct remote r, const char *env_url, const char *expected)
{
    struct buf url = {0};
    struct error why = {0};

    assert_int_equal(remote_settle(&r, env_url, NULL, &why), 0);
    assert_int_equal(remote_url(&r, "/notify", &url), 0);
    assert_string_equal(url.p, expected);
    buf_fini(&url);
}

static void assert_stream_url(const char *user, struct text_list topics, bool from_earliest,
                              const char *expected)
{
    struct remote r = {.url = "http://h"};
    struct buf url = {0};

    assert_int_equal(remote_stream_url(&r, user, &topics, from_earliest, &url), 0);
    assert_string_equal(url.p, expected);
    buf_fini(&url);
}

static void assert_remote_refused(struct remote r, const char *sentence_part)
{
    struct error why = {0};

    assert_int_equal(remote_settle(&r, NULL, NULL, &why), -1);
    if (strstr(why.text, sentence_part) == NULL)
        fail_msg("said \"%s\" and not \"%s\"", why.text, sentence_part);
}

static void url_comes_from_option_environment_or_default(void **state)
{
    struct remote none = {0};
    struct remote given = {.url = "https://h:1/a"};
    struct remote socket = {.unix_path = "/run/s"};

    (void)state;
    assert_notify_url(given, "http://env", "https://h:1/a/notify");
    assert_notify_url(none, "http://env", "http://env/notify");
    assert_notify_url(none, "", "http://127.0.0.1:8080/notify");
    assert_notify_url(none, NULL, "http://127.0.0.1:8080/notify");
    assert_notify_url(socket, NULL, "http://localhost/notify");
}

static void slashes_at_the_end_and_a_missing_scheme_are_forgiven(void **state)
{
    struct remote slashes = {.url = "http://h/sse//"};
    struct remote bare = {.url = "h:8080"};

    (void)state;
    assert_notify_url(slashes, NULL, "http://h/sse/notify");
    assert_notify_url(bare, NULL, "http://h:8080/notify");
}

static void token_comes_from_option_or_environment(void **state)
{
    struct remote r = {0};
    struct error why = {0};

    (void)state;
    assert_int_equal(remote_settle(&r, NULL, "", &why), 0);
    assert_null(r.token);
    assert_int_equal(remote_settle(&r, NULL, "env", &why), 0);
    assert_string_equal(r.token, "env");
    r.token = "option";
    assert_int_equal(remote_settle(&r, NULL, "env", &why), 0);
    assert_string_equal(r.token, "option");
}

static void what_no_request_could_use_is_refused_without_repeating_secrets(void **state)
{
    (void)state;
    assert_remote_refused((struct remote){.url = "ftp://me:pass@h"}, "http:// or https://");
    assert_remote_refused((struct remote){.url = "http://h/?x=1"}, "no query");
    assert_remote_refused((struct remote){.url = "http://h/#x"}, "no fragment");
    assert_remote_refused((struct remote){.url = "http://h /"}, "no blanks");
    assert_remote_refused((struct remote){.url = "http://h\r\nX: y"}, "no blanks");
    assert_remote_refused((struct remote){.unix_path = ""}, "--unix");
    assert_remote_refused((struct remote){.unix_path = "@"}, "--unix");
    assert_remote_refused((struct remote){.token = "a\r\nX: y"}, "the token must be one word");
    assert_remote_refused((struct remote){.token = ""}, "the token must be one word");
}

static void user_and_topics_are_percent_encoded(void **state)
{
    const char *topics[] = {"a&b=c", "d+e"};
    struct text_list none = {0};

    (void)state;
    assert_stream_url("alice", none, false, "http://h/notifications/alice");
    assert_stream_url("a/b?c#d%e \xc3\xbc", none, true,
                      "http://h/notifications/a%2Fb%3Fc%23d%25e%20%C3%BC"
                      "?last_event_id=earliest");
    assert_stream_url("A-z_0.9~", (struct text_list){topics, 2}, true,
                      "http://h/notifications/A-z_0.9~?topic=a%26b%3Dc&topic=d%2Be"
                      "&last_event_id=earliest");
}

/* A client resolves the segments . and .. away before it sends, and would ask for another path. */
static void user_of_dots_is_encoded_too(void **state)
{
    struct text_list none = {0};

    (void)state;
    assert_stream_url("..", none, false, "http://h/notifications/%2E%2E");
    assert_stream_url(".", none, false, "http://h/notifications/%2E");
    assert_stream_url("..a", none, false, "http://h/notifications/..a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_comes_from_option_environment_or_default),
        cmocka_unit_test(slashes_at_the_end_and_a_missing_scheme_are_forgiven),
        cmocka_unit_test(token_comes_from_option_or_environment),
        cmocka_unit_test(what_no_request_could_use_is_refused_without_repeating_secrets),
        cmocka_unit_test(user_and_topics_are_percent_encoded),
        cmocka_unit_test(user_of_dots_is_encoded_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
