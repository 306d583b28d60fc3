/* test_environment.c - which variables are settings, which are mistakes, which are not ours. */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include "config/options.h"
#include "support/cm.h"
#include "support/settings.h"

enum { MAX_VARIABLES = 8 };

/* Reads one variable a line, up to 8. */
static int read_variables(struct settings *s, const char *text)
{
    static char copy[512];
    char *environment[MAX_VARIABLES + 1] = {NULL};
    size_t n = 0;

    assert_true(strlen(text) < sizeof copy);
    strcpy(copy, text);
    for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(n < MAX_VARIABLES);
        environment[n++] = line;
    }
    return config_read_environment(&s->cfg, environment, &s->errors);
}

static void read_good(struct settings *s, const char *text)
{
    int rc;

    settings_init(s);
    rc = read_variables(s, text);
    assert_sentences(s, "");
    assert_int_equal(rc, 0);
}

static void assert_refused(const char *text, const char *sentences)
{
    struct settings s;

    settings_init(&s);
    assert_int_equal(read_variables(&s, text), -EINVAL);
    assert_sentences(&s, sentences);
    settings_fini(&s);
}

static void a_variable_sets_what_its_name_says(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "SSE_NOTIFY_STREAMS_HEARTBEAT=30s\n"
                  "SSE_NOTIFY_STREAMS_MAX_STREAMS_PER_USER=7\n"
                  "SSE_NOTIFY_PUBLISH_ALLOW_ANONYMOUS=yes\n"
                  "SSE_NOTIFY_HTTP_ALLOWED_ORIGINS=https://a https://b\n"
                  "SSE_NOTIFY_SERVER_USER=\n"
                  "SSE_NOTIFY_JOURNAL_PATH=/a=b");
    assert_int_equal(s.cfg.streams.heartbeat_ms, 30000);
    assert_int_equal(s.cfg.streams.max_streams_per_user, 7);
    assert_int_equal(s.cfg.streams.max_streams, 1000000);
    assert_true(s.cfg.publish.allow_anonymous);
    assert_false(s.cfg.streams.allow_anonymous);
    assert_int_equal(s.cfg.http.allowed_origins.count, 2);
    assert_null(s.cfg.server.user);
    assert_string_equal(s.cfg.journal.path, "/a=b");
    assert_string_equal(s.cfg.origins[CONFIG_streams_heartbeat], "SSE_NOTIFY_STREAMS_HEARTBEAT");
    settings_fini(&s);
}

/* "SSE_NOTIFY_STREAMS_RETRY=2s", with the default as the value. */
static void write_variable(const struct config_option *o, char *out, size_t size)
{
    bool is_family = config_sections[o->section].family != NULL;

    snprintf(out, size, "SSE_NOTIFY_%s_%s%s=%s", config_sections[o->section].name,
             is_family ? "a_" : "", o->key, o->fallback);
    for (char *p = out; *p != '='; p++)
        *p = (char)toupper((unsigned char)*p);
}

static void every_option_has_a_variable(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        enum config_section_id section = config_options[i].section;
        bool is_family = config_sections[section].family != NULL;
        struct settings s;
        char text[256];

        write_variable(&config_options[i], text, sizeof text);
        read_good(&s, text);
        assert_int_equal(s.cfg.listener_count, section == CONFIG_SECTION_listener);
        assert_int_equal(s.cfg.issuer_count, section == CONFIG_SECTION_issuer);
        assert_true(is_family || s.cfg.origins[i] != NULL);
        settings_fini(&s);
    }
}

static void a_listener_is_found_by_its_name_or_made(void **state)
{
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_int_equal(config_set(&s.cfg, "listener.back-end_1.role", "internal", "x", &s.errors), 0);
    assert_int_equal(read_variables(&s, "SSE_NOTIFY_LISTENER_BACK_END_1_ADDRESS=unix:/run/b\n"
                                        "SSE_NOTIFY_LISTENER_PUBLIC_ADDRESS=*:80\n"
                                        "SSE_NOTIFY_LISTENER_PUBLIC_ROLE=public\n"
                                        "SSE_NOTIFY_LISTENER_A_MODE_MODE=0600"),
                     0);
    assert_sentences(&s, "");
    assert_int_equal(s.cfg.listener_count, 3);
    assert_string_equal(s.cfg.listeners[0].name, "back-end_1");
    assert_string_equal(s.cfg.listeners[0].address, "unix:/run/b");
    assert_int_equal(s.cfg.listeners[0].role, CONFIG_ROLE_INTERNAL);
    assert_string_equal(s.cfg.listeners[1].name, "public");
    assert_string_equal(s.cfg.listeners[1].address, "*:80");
    assert_int_equal(s.cfg.listeners[1].role, CONFIG_ROLE_PUBLIC);
    assert_string_equal(s.cfg.listeners[1].origin, "SSE_NOTIFY_LISTENER_PUBLIC_ADDRESS");
    assert_string_equal(s.cfg.listeners[2].name, "a_mode");
    assert_int_equal(s.cfg.listeners[2].mode, 0600);
    settings_fini(&s);
}

static void a_wrong_value_names_its_variable(void **state)
{
    (void)state;
    assert_refused("SSE_NOTIFY_STREAMS_HEARTBEAT=often\nSSE_NOTIFY_LISTENER_A_MODE=rw",
                   "SSE_NOTIFY_STREAMS_HEARTBEAT: [streams] heartbeat = often: must be a time from "
                   "1s to 1h; units are ms, s, min, h and d\n"
                   "SSE_NOTIFY_LISTENER_A_MODE: [listener.a] mode = rw: must be an octal file mode "
                   "from 0000 to 0777, such as 0660\n");
}

static void a_misspelt_variable_is_a_mistake(void **state)
{
    (void)state;
    assert_refused("SSE_NOTIFY_STREAMS_HARTBEAT=1s",
                   "SSE_NOTIFY_STREAMS_HARTBEAT: unknown variable; did you mean "
                   "SSE_NOTIFY_STREAMS_HEARTBEAT?\n");
    assert_refused("SSE_NOTIFY_STREAM_HEARTBEAT=1s",
                   "SSE_NOTIFY_STREAM_HEARTBEAT: unknown variable; did you mean "
                   "SSE_NOTIFY_STREAMS_HEARTBEAT?\n");
    assert_refused("SSE_NOTIFY_STREAMS_COLOUR=red",
                   "SSE_NOTIFY_STREAMS_COLOUR: unknown variable; [streams] has no such key\n");
    assert_refused("SSE_NOTIFY_LISTENER_ADDRESS=*:80",
                   "SSE_NOTIFY_LISTENER_ADDRESS: unknown variable; write "
                   "SSE_NOTIFY_LISTENER_NAME_ADDRESS, _ROLE, _MODE or _PROXY_PROTOCOL\n");
    assert_refused("SSE_NOTIFY_LISTENER__ADDRESS=*:80",
                   "SSE_NOTIFY_LISTENER__ADDRESS: unknown variable; write "
                   "SSE_NOTIFY_LISTENER_NAME_ADDRESS, _ROLE, _MODE or _PROXY_PROTOCOL\n");
    assert_refused("SSE_NOTIFY_STREAMS_MAX_AGE_MODE=1s",
                   "SSE_NOTIFY_STREAMS_MAX_AGE_MODE: unknown variable; [streams] has no such "
                   "key\n");
}

static void a_listener_name_must_be_one_in_variables_too(void **state)
{
    struct settings s;
    char text[256] = "SSE_NOTIFY_LISTENER_";

    (void)state;
    assert_refused("SSE_NOTIFY_LISTENER_A.B_ROLE=all",
                   "SSE_NOTIFY_LISTENER_A.B_ROLE: [listener.a.b]: a listener's name is 1 to 32 of "
                   "a-z, 0-9, _ and -\n");
    assert_refused("SSE_NOTIFY_LISTENER_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456_ROLE=all",
                   "SSE_NOTIFY_LISTENER_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456_ROLE: "
                   "[listener.abcdefghijklmnopqrstuvwxyz0123456]: a listener's name is 1 to 32 of "
                   "a-z, 0-9, _ and -\n");
    memset(text + strlen(text), 'A', 150);
    strcat(text, "_ROLE=all");
    settings_init(&s);
    assert_int_equal(read_variables(&s, text), -EINVAL);
    assert_int_equal(s.errors.count, 1);
    assert_non_null(strstr(s.errors.items[0].text, "AAA: a listener's name is too long"));
    assert_int_equal(s.cfg.listener_count, 0);
    settings_fini(&s);
}

/* The clients have variables of their own, and Kubernetes makes some for each service: were they
 * mistakes, a service named sse-notify-http would keep the daemon from starting. */
static void variables_of_others_are_passed_over(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "SSE_NOTIFY_URL=http://a\nSSE_NOTIFY_TOKEN=t\nSSE_NOTIFY=1\nSSE_NOTIFY_=1\n"
                  "SSE_NOTIFY_STREAMS\nSTREAMS_HEARTBEAT=x\nsse_notify_streams_heartbeat=x\n"
                  "PATH=/bin");
    settings_fini(&s);
    read_good(&s, "SSE_NOTIFY_PORT=tcp://10.0.0.1:80\nSSE_NOTIFY_SERVICE_HOST=10.0.0.1\n"
                  "SSE_NOTIFY_PORT_80_TCP_ADDR=10.0.0.1\nSSE_NOTIFY_HTTP_PORT=tcp://10.0.0.1:80\n"
                  "SSE_NOTIFY_HTTP_SERVICE_PORT_WEB=80\nSSE_NOTIFY_HTTP_PORT_80_TCP_PROTO=tcp\n"
                  "SSE_NOTIFY_LISTENER_SERVICE_HOST=10.0.0.1\nSSE_NOTIFY_LOG_X_SERVICE_HOST=h");
    assert_int_equal(s.cfg.listener_count, 0);
    settings_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variable_sets_what_its_name_says),
        cmocka_unit_test(every_option_has_a_variable),
        cmocka_unit_test(a_listener_is_found_by_its_name_or_made),
        cmocka_unit_test(a_wrong_value_names_its_variable),
        cmocka_unit_test(a_misspelt_variable_is_a_mistake),
        cmocka_unit_test(a_listener_name_must_be_one_in_variables_too),
        cmocka_unit_test(variables_of_others_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
