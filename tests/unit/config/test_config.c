/* test_config.c - the defaults, single settings, what holds between them, and who wins. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "support/cm.h"
#include "support/settings.h"

/* Sets what must be right. */
static void set(struct settings *s, const char *path, const char *value)
{
    if (config_set(&s->cfg, path, value, "-o", &s->errors) != 0)
        fail_msg("%s = %s: %s", path, value, s->errors.items[0].text);
}

static void assert_set_refused(const char *path, const char *value, const char *sentence)
{
    struct settings s;

    settings_init(&s);
    assert_int_equal(config_set(&s.cfg, path, value, "-o", &s.errors), -EINVAL);
    assert_sentences(&s, sentence);
    settings_fini(&s);
}

static void defaults_are_those_of_the_table(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_int_equal(s.cfg.listener_count, 0);
    assert_int_equal(s.cfg.streams.heartbeat_ms, 15000);
    assert_int_equal(s.cfg.streams.retry_ms, 2000);
    assert_int_equal(s.cfg.streams.queue, 64);
    assert_int_equal(s.cfg.streams.overflow, CONFIG_OVERFLOW_CATCHUP);
    assert_int_equal(s.cfg.streams.max_streams, 1000000);
    assert_int_equal(s.cfg.streams.max_streams_per_ip, 0);
    assert_int_equal(s.cfg.streams.max_age_ms, 0);
    assert_false(s.cfg.streams.allow_anonymous);
    assert_int_equal(s.cfg.journal.type, CONFIG_JOURNAL_DISK);
    assert_null(s.cfg.journal.path);
    assert_int_equal(s.cfg.journal.keep_ms, 24 * 3600 * 1000);
    assert_int_equal(s.cfg.journal.keep_bytes, 1024 * 1024 * 1024);
    assert_int_equal(s.cfg.publish.max_payload_bytes, 65536);
    assert_int_equal(s.cfg.publish.idempotency_window_ms, 300000);
    assert_false(s.cfg.publish.allow_anonymous);
    assert_int_equal(s.cfg.http.allowed_origins.count, 0);
    assert_int_equal(s.cfg.log.level, LOG_INFO);
    assert_int_equal(s.cfg.log.format, LOG_TEXT);
    assert_null(s.cfg.server.user);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++)
        assert_null(s.cfg.origins[i]);
    settings_fini(&s);
}

static void what_is_ended_is_empty_and_may_be_ended_again(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    set(&s, "listener.a.address", "*:80");
    set(&s, "http.allowed_origins", "https://a");
    set(&s, "server.user", "nobody");
    config_fini(&s.cfg);
    assert_int_equal(s.cfg.listener_count, 0);
    assert_null(s.cfg.server.user);
    assert_null(s.cfg.http.allowed_origins.items);
    config_fini(&s.cfg);
}

/* ---- single settings ---- */

static void a_setting_is_found_by_its_section_and_key(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    set(&s, "streams.retry", "3s");
    set(&s, "listener.a-b_1.role", "internal");
    set(&s, "listener.a-b_1.mode", "0600");
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    assert_string_equal(s.cfg.origins[CONFIG_streams_retry], "-o");
    assert_int_equal(s.cfg.listener_count, 1);
    assert_string_equal(s.cfg.listeners[0].name, "a-b_1");
    assert_string_equal(s.cfg.listeners[0].origin, "-o");
    assert_int_equal(s.cfg.listeners[0].role, CONFIG_ROLE_INTERNAL);
    assert_int_equal(s.cfg.listeners[0].mode, 0600);
    settings_fini(&s);
}

static void a_later_setting_wins_and_its_origin_is_remembered(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_int_equal(config_set(&s.cfg, "server.user", "a", "first", &s.errors), 0);
    assert_int_equal(config_set(&s.cfg, "server.user", "b", "second", &s.errors), 0);
    assert_string_equal(s.cfg.server.user, "b");
    assert_string_equal(s.cfg.origins[CONFIG_server_user], "second");
    assert_int_equal(config_set(&s.cfg, "server.user", "\n", "third", &s.errors), -EINVAL);
    assert_string_equal(s.cfg.server.user, "b");
    assert_string_equal(s.cfg.origins[CONFIG_server_user], "second");
    settings_fini(&s);
}

static void a_wrong_path_is_told_what_it_should_be(void **state)
{
    (void)state;
    assert_set_refused("heartbeat", "1s",
                       "-o: heartbeat: names no section; write SECTION.KEY, such as "
                       "streams.heartbeat\n");
    assert_set_refused("stream.heartbeat", "1s",
                       "-o: [stream]: unknown section; did you mean [streams]?\n");
    assert_set_refused("streams.hartbeat", "1s",
                       "-o: [streams] hartbeat: unknown key; did you mean heartbeat?\n");
    assert_set_refused("streams.", "1s",
                       "-o: [streams] \"\": unknown key; there are heartbeat, retry, queue, "
                       "overflow, max_streams, max_streams_per_user, max_streams_per_ip, max_age, "
                       "allow_anonymous\n");
    assert_set_refused(".heartbeat", "1s",
                       "-o: []: unknown section; there are listener.NAME, streams, journal, "
                       "publish, auth, issuer.NAME, limits, http, webhooks, log and server\n");
    assert_set_refused("issuers.a.issuer", "x",
                       "-o: [issuers.a]: unknown section; did you mean [issuer.NAME]?\n");
    assert_set_refused("issuer.issuer", "x",
                       "-o: [issuer]: needs a name, such as [issuer.partner]\n");
    assert_set_refused("issuer.A.issuer", "x",
                       "-o: [issuer.A]: an issuer's name is 1 to 32 of a-z, 0-9, _ and -\n");
    assert_set_refused("listener.a.jwks_url", "x",
                       "-o: [listener.a] jwks_url: unknown key; it belongs to [auth] or "
                       "[issuer.NAME]\n");
    assert_set_refused("listener.address", "*:80",
                       "-o: [listener]: needs a name, such as [listener.public]\n");
    assert_set_refused("streams.a.heartbeat", "1s",
                       "-o: [streams.a]: unknown section; did you mean [streams]?\n");
    assert_set_refused("publish.heartbeat", "1s",
                       "-o: [publish] heartbeat: unknown key; it belongs to [streams]\n");
    assert_set_refused("streams.queue", "0",
                       "-o: [streams] queue = 0: must be a whole number from 1 to 65536\n");
}

static void a_password_in_a_url_is_not_told(void **state)
{
    (void)state;
    assert_set_refused("auth.jwks_url", "https://a:secret@b/",
                       "-o: [auth] jwks_url = ...: must be an https URL, or an http one of this "
                       "machine, such as https://id.example.com/jwks.json, without a password in "
                       "it\n");
}

static void a_long_sentence_is_cut_and_one_without_origin_has_no_colon(void **state)
{
    struct config_errors errors = {.count = 0};
    char origin[600];

    (void)state;
    memset(origin, 'o', sizeof origin);
    origin[599] = '\0';
    assert_int_equal(config_error(&errors, origin, "%s", "lost"), -EINVAL);
    assert_int_equal(strlen(errors.items[0].text), sizeof errors.items[0].text - 1);
    assert_int_equal(config_error(&errors, NULL, "%d%s", 7, "x"), -EINVAL);
    assert_string_equal(errors.items[1].text, "7x");
}

/* ---- between settings ---- */

static void assert_checked(struct settings *s, const char *sentences)
{
    assert_int_equal(config_check(&s->cfg, &s->errors), sentences[0] == '\0' ? 0 : -EINVAL);
    assert_sentences(s, sentences);
}

static void without_any_listener_there_is_the_default_one(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_checked(&s, "");
    assert_int_equal(s.cfg.listener_count, 1);
    assert_string_equal(s.cfg.listeners[0].name, "default");
    assert_string_equal(s.cfg.listeners[0].address, "127.0.0.1:8080");
    assert_int_equal(s.cfg.listeners[0].role, CONFIG_ROLE_ALL);
    assert_int_equal(s.cfg.listeners[0].mode, 0660);
    settings_fini(&s);
}

static void the_default_listener_needs_no_address_and_others_do(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    set(&s, "listener.default.role", "public");
    assert_checked(&s, "");
    assert_int_equal(s.cfg.listener_count, 1);
    assert_string_equal(s.cfg.listeners[0].address, "127.0.0.1:8080");
    settings_fini(&s);

    settings_init(&s);
    set(&s, "listener.a.role", "public");
    assert_checked(&s,
                   "-o: [listener.a]: has no address; add one, such as address = "
                   "127.0.0.1:8080\n");
    settings_fini(&s);
}

static void a_wrong_address_is_not_missed_once_more(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_int_equal(config_set(&s.cfg, "listener.a.address", "x", "-o", &s.errors), -EINVAL);
    assert_int_equal(config_check(&s.cfg, &s.errors), -EINVAL);
    assert_int_equal(s.errors.count, 1);
    settings_fini(&s);
}

static void assert_both_listen(const char *first, const char *second, const char *sentences)
{
    struct settings s;

    settings_init(&s);
    set(&s, "listener.a.address", first);
    set(&s, "listener.b.address", second);
    assert_checked(&s, sentences);
    settings_fini(&s);
}

static void two_listeners_cannot_have_one_address(void **state)
{
    (void)state;
    assert_both_listen("*:80", "*:81", "");
    assert_both_listen("*:80", "*:80",
                       "-o: [listener.b] address = *:80: is the address of [listener.a] too\n");
    assert_both_listen("unix:/run/a", "unix:/run/a",
                       "-o: [listener.b] address = unix:/run/a: is the address of [listener.a] "
                       "too\n");
}

static void port_0_is_another_port_each_time_but_a_path_is_the_same(void **state)
{
    (void)state;
    assert_both_listen("127.0.0.1:0", "127.0.0.1:0", "");
    assert_both_listen("unix:/run/a:0", "unix:/run/a:0",
                       "-o: [listener.b] address = unix:/run/a:0: is the address of [listener.a] "
                       "too\n");
}

static void the_default_address_is_taken_only_once_in_either_order(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    set(&s, "listener.default.role", "public");
    set(&s, "listener.a.address", "127.0.0.1:8080");
    assert_checked(&s, "-o: [listener.a] address = 127.0.0.1:8080: is the address of "
                       "[listener.default] too\n");
    settings_fini(&s);

    settings_init(&s);
    set(&s, "listener.a.address", "127.0.0.1:8080");
    set(&s, "listener.default.role", "public");
    assert_checked(&s, "-o: [listener.default] address = 127.0.0.1:8080: is the address of "
                       "[listener.a] too\n");
    settings_fini(&s);
}

static void a_payload_larger_than_a_body_is_told_where_it_was_set(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    set(&s, "publish.max_body", "64KiB");
    assert_checked(&s, "");
    set(&s, "publish.max_body", "65535");
    assert_checked(&s, "-o: [publish] max_body = 65535B: must not be smaller than max_payload "
                       "(64KiB)\n");
    settings_fini(&s);

    settings_init(&s);
    assert_int_equal(config_set(&s.cfg, "publish.max_payload", "2MiB", "a.conf:7", &s.errors), 0);
    assert_checked(&s, "a.conf:7: [publish] max_payload = 2MiB: must not be larger than max_body "
                       "(1MiB)\n");
    settings_fini(&s);
}

static void the_window_is_cut_to_what_is_kept(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    set(&s, "journal.keep_bytes", "1MiB");
    assert_checked(&s, "");
    assert_int_equal(s.cfg.journal.window_bytes, 1024 * 1024);
    settings_fini(&s);

    settings_init(&s);
    assert_checked(&s, "");
    assert_int_equal(s.cfg.journal.window_bytes, 64 * 1024 * 1024);
    settings_fini(&s);
}

/* ---- who makes tokens ---- */

static void assert_auth(const char *const *settings, const char *sentences)
{
    struct settings s;

    settings_init(&s);
    for (; *settings != NULL; settings += 2)
        set(&s, settings[0], settings[1]);
    assert_checked(&s, sentences);
    settings_fini(&s);
}

#define SETTINGS(...) (const char *const[]){__VA_ARGS__, NULL}

static void without_credentials_nothing_is_needed(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_checked(&s, "");
    assert_int_equal(s.cfg.auth.subscribe, CONFIG_SUBSCRIBE_NONE);
    assert_int_equal(s.cfg.auth.publish, 0);
    assert_string_equal(s.cfg.auth.tokens.user_claim, "sub");
    assert_int_equal(s.cfg.auth.tokens.leeway_ms, 30000);
    assert_int_equal(s.cfg.auth.tokens.algorithms, 0);
    assert_string_equal(s.cfg.auth.cookie, "sse_notify");
    assert_false(config_has_keys(&s.cfg.auth.tokens));
    settings_fini(&s);
}

static void tokens_need_keys_from_one_place(void **state)
{
    (void)state;
    assert_auth(SETTINGS("auth.subscribe", "jwt"),
                "-o: [auth] subscribe = jwt: needs keys to check tokens with; set jwt_key_file, "
                "jwks_file or jwks_url\n");
    assert_auth(SETTINGS("auth.publish", "jwt"),
                "-o: [auth] publish = jwt: needs keys to check tokens with; set jwt_key_file, "
                "jwks_file or jwks_url\n");
    assert_auth(SETTINGS("auth.subscribe", "jwt", "auth.jwt_key_file", "/k"), "");
    assert_auth(SETTINGS("auth.subscribe", "jwt", "auth.jwks_url", "https://a/k"), "");
    assert_auth(SETTINGS("auth.subscribe", "jwt", "issuer.a.jwks_file", "/k", "issuer.a.issuer",
                         "a"),
                "");
    assert_auth(SETTINGS("auth.jwt_key_file", "/k", "auth.jwks_file", "/k"),
                "[auth]: has more than one of jwt_key_file, jwks_file and jwks_url; an issuer's "
                "keys come from one place\n");
}

static void publishing_by_key_needs_their_file(void **state)
{
    (void)state;
    assert_auth(SETTINGS("auth.publish", "key"),
                "-o: [auth] publish = key: needs publish_keys_file; `sse-notify key add NAME` puts "
                "the first key there\n");
    assert_auth(SETTINGS("auth.publish", "key", "auth.publish_keys_file", "/k"), "");
    assert_auth(SETTINGS("auth.publish", "key,jwt", "auth.publish_keys_file", "/k"),
                "-o: [auth] publish = jwt: needs keys to check tokens with; set jwt_key_file, "
                "jwks_file or jwks_url\n");
}

static void webhooks_need_a_secret(void **state)
{
    (void)state;
    assert_auth(SETTINGS("webhooks.url", "http://app/hook"),
                "-o: [webhooks] url: needs secret_file, by which the receiver knows who has sent; "
                "`(printf whsec_; openssl rand -base64 32) >FILE` makes one\n");
    assert_auth(SETTINGS("webhooks.url", "http://app/hook", "webhooks.secret_file", "/s"), "");
    assert_auth(SETTINGS("webhooks.secret_file", "/s"), "");
}

static void several_issuers_have_names_of_their_own(void **state)
{
    (void)state;
    assert_auth(SETTINGS("auth.jwt_key_file", "/k", "issuer.b.jwks_file", "/k"),
                "[auth]: needs issuer, the iss of its tokens: there are several issuers\n"
                "-o: [issuer.b]: needs issuer, the iss of its tokens: there are several issuers\n");
    assert_auth(SETTINGS("auth.jwt_key_file", "/k", "auth.issuer", "x", "issuer.b.jwks_file", "/k",
                         "issuer.b.issuer", "x"),
                "-o: [issuer.b] issuer = x: is the issuer of [auth] too\n");
    assert_auth(SETTINGS("auth.jwt_key_file", "/k", "auth.issuer", "x", "issuer.b.jwks_file", "/k",
                         "issuer.b.issuer", "y"),
                "");
    assert_auth(SETTINGS("issuer.b.issuer", "y"),
                "-o: [issuer.b]: needs keys to check its tokens with: one of jwt_key_file, "
                "jwks_file and jwks_url\n");
}

static void an_issuer_of_which_nothing_is_set_is_none(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_int_equal(config_read_text(&s.cfg, "f", slice_of("[issuer.a]\n#issuer = x\n"),
                                      &s.errors),
                     0);
    set(&s, "auth.jwt_key_file", "/k");
    assert_checked(&s, "");
    assert_int_equal(s.cfg.issuer_count, 1);
    assert_false(config_has_keys(&s.cfg.issuers[0].tokens));
    settings_fini(&s);
}

/* ---- all of it ---- */

static char path[] = "/tmp/test_config.XXXXXX";

static int make_file(void **state)
{
    static const char text[] = "[streams]\nretry = 3s\nheartbeat = 20s\nqueue = 7\n"
                               "[listener.web]\naddress = *:80\n";
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0 || write(fd, text, sizeof text - 1) != sizeof text - 1)
        return -1;
    return close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void file_is_weaker_than_environment_and_that_than_option(void **state)
{
    const char *overrides[] = {"streams.retry=5s", "listener.web.role=public"};
    struct config_errors errors = {.count = 0};
    struct config cfg;

    (void)state;
    setenv("SSE_NOTIFY_STREAMS_RETRY", "4s", 1);
    setenv("SSE_NOTIFY_STREAMS_HEARTBEAT", "30s", 1);
    setenv("SSE_NOTIFY_LISTENER_WEB_ROLE", "internal", 1);
    setenv("SSE_NOTIFY_LISTENER_WEB_ADDRESS", "*:81", 1);
    assert_int_equal(config_load(&cfg, path, overrides, 2, &errors), 0);
    unsetenv("SSE_NOTIFY_STREAMS_RETRY");
    unsetenv("SSE_NOTIFY_STREAMS_HEARTBEAT");
    unsetenv("SSE_NOTIFY_LISTENER_WEB_ROLE");
    unsetenv("SSE_NOTIFY_LISTENER_WEB_ADDRESS");
    assert_int_equal(errors.count, 0);
    assert_int_equal(cfg.streams.queue, 7);            /* of the file alone */
    assert_int_equal(cfg.streams.heartbeat_ms, 30000); /* of the environment over the file */
    assert_int_equal(cfg.streams.retry_ms, 5000);      /* of -o over both */
    assert_string_equal(cfg.origins[CONFIG_streams_retry], "-o");
    assert_int_equal(cfg.listener_count, 1);
    assert_string_equal(cfg.listeners[0].address, "*:81");
    assert_int_equal(cfg.listeners[0].role, CONFIG_ROLE_PUBLIC);
    config_fini(&cfg);
}

static void the_last_of_several_options_wins(void **state)
{
    const char *overrides[] = {"streams.retry=5s", "streams.retry=6s", "journal.path=/a=b"};
    struct config_errors errors = {.count = 0};
    struct config cfg;

    (void)state;
    assert_int_equal(config_load(&cfg, path, overrides, 3, &errors), 0);
    assert_int_equal(cfg.streams.retry_ms, 6000);
    assert_string_equal(cfg.journal.path, "/a=b");
    config_fini(&cfg);
}

static void mistakes_of_all_sources_are_told_in_one_go(void **state)
{
    const char *overrides[] = {"streams.retry=x", "streams.retry", "publish.max_body=1KiB"};
    struct settings s = {.errors = {.count = 0}};

    (void)state;
    setenv("SSE_NOTIFY_STREAMS_QUEUE", "0", 1);
    assert_int_equal(config_load(&s.cfg, "/nonexistent", overrides, 3, &s.errors), -EINVAL);
    unsetenv("SSE_NOTIFY_STREAMS_QUEUE");
    assert_sentences(&s,
                     "/nonexistent: cannot be read: No such file or directory\n"
                     "SSE_NOTIFY_STREAMS_QUEUE: [streams] queue = 0: must be a whole number from 1 "
                     "to 65536\n"
                     "-o: [streams] retry = x: must be a time from 100ms to 1h; units are ms, s, "
                     "min, h and d\n"
                     "-o: streams.retry: must be SECTION.KEY=VALUE, such as streams.heartbeat=15s\n"
                     "-o: [publish] max_body = 1KiB: must not be smaller than max_payload "
                     "(64KiB)\n");
    assert_int_equal(s.cfg.listener_count, 0); /* nothing is left to end */
}

static void a_file_that_was_named_is_the_one_that_is_read(void **state)
{
    (void)state;
    assert_string_equal(config_file_of(path), path);
    assert_string_equal(config_file_of("/nonexistent"), "/nonexistent");
    if (access(CONFIG_DEFAULT_PATH, F_OK) == 0)
        assert_string_equal(config_file_of(NULL), CONFIG_DEFAULT_PATH);
    else
        assert_null(config_file_of(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(what_is_ended_is_empty_and_may_be_ended_again),
        cmocka_unit_test(a_setting_is_found_by_its_section_and_key),
        cmocka_unit_test(a_later_setting_wins_and_its_origin_is_remembered),
        cmocka_unit_test(a_wrong_path_is_told_what_it_should_be),
        cmocka_unit_test(a_password_in_a_url_is_not_told),
        cmocka_unit_test(a_long_sentence_is_cut_and_one_without_origin_has_no_colon),
        cmocka_unit_test(without_any_listener_there_is_the_default_one),
        cmocka_unit_test(the_default_listener_needs_no_address_and_others_do),
        cmocka_unit_test(a_wrong_address_is_not_missed_once_more),
        cmocka_unit_test(two_listeners_cannot_have_one_address),
        cmocka_unit_test(port_0_is_another_port_each_time_but_a_path_is_the_same),
        cmocka_unit_test(the_default_address_is_taken_only_once_in_either_order),
        cmocka_unit_test(a_payload_larger_than_a_body_is_told_where_it_was_set),
        cmocka_unit_test(the_window_is_cut_to_what_is_kept),
        cmocka_unit_test(without_credentials_nothing_is_needed),
        cmocka_unit_test(tokens_need_keys_from_one_place),
        cmocka_unit_test(publishing_by_key_needs_their_file),
        cmocka_unit_test(several_issuers_have_names_of_their_own),
        cmocka_unit_test(webhooks_need_a_secret),
        cmocka_unit_test(an_issuer_of_which_nothing_is_set_is_none),
        cmocka_unit_test(file_is_weaker_than_environment_and_that_than_option),
        cmocka_unit_test(the_last_of_several_options_wins),
        cmocka_unit_test(mistakes_of_all_sources_are_told_in_one_go),
        cmocka_unit_test(a_file_that_was_named_is_the_one_that_is_read),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
