/* test_describe.c - the three texts that are made from the table of options: complete, and the
 * example file a right one. */
#include "config/describe.h"

#include "config/options.h"
#include "support/cm.h"
#include "support/settings.h"

#define EACH_OPTION(o)                                                                             \
    const struct config_option *o = config_options;                                                \
    o < config_options + CONFIG_OPTION_COUNT;                                                      \
    o++

typedef int describe_fn(struct buf *out);

/* The text, terminated behind its end. */
static void describe(describe_fn *make, struct buf *text)
{
    *text = (struct buf){0};
    assert_int_equal(make(text), 0);
    assert_int_equal(buf_add_char(text, '\0'), 0);
    text->len--;
    assert_int_equal(strlen(text->p), text->len);
}

/* Where `wanted` stands in the text behind `from`; it must. */
static const char *find(const char *from, const char *wanted)
{
    const char *at = strstr(from, wanted);

    if (at == NULL)
        fail_msg("there is no \"%s\"", wanted);
    return at;
}

static void assert_columns(struct buf *text, size_t most)
{
    struct slice rest = buf_slice(text);

    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');

        if (line.n > most)
            fail_msg("%zu columns: %.*s", line.n, SLICE_ARG(line));
    }
    assert_int_equal(text->p[text->len - 1], '\n');
}

static void help_has_every_setting_below_its_section_in_80_columns(void **state)
{
    struct buf text;
    char wanted[128];

    (void)state;
    describe(config_describe_help, &text);
    assert_columns(&text, 80);
    for (EACH_OPTION(o)) {
        const char *section = config_sections[o->section].name;
        const char *at;

        snprintf(wanted, sizeof wanted, "\n[%s%s]\n", section,
                 config_sections[o->section].family != NULL ? ".NAME" : "");
        at = find(text.p, wanted);
        snprintf(wanted, sizeof wanted, "\n  %s =%s%s\n", o->key, o->fallback[0] ? " " : "",
                 o->fallback);
        find(at, wanted);
    }
    buf_fini(&text);
}

static void example_has_every_setting_at_its_default(void **state)
{
    struct buf text;
    char wanted[128];

    (void)state;
    describe(config_describe_example, &text);
    assert_columns(&text, 80);
    for (EACH_OPTION(o)) {
        const char *at;

        snprintf(wanted, sizeof wanted, "\n[%s%s]\n", config_sections[o->section].name,
                 o->section == CONFIG_SECTION_listener ? ".default"
                 : o->section == CONFIG_SECTION_issuer ? ".partner"
                                                       : "");
        at = find(text.p, wanted);
        snprintf(wanted, sizeof wanted, "\n#%s =%s%s\n", o->key, o->fallback[0] ? " " : "",
                 o->fallback);
        find(at, wanted);
    }
    buf_fini(&text);
}

/* Takes the '#' from before each setting. Returns how many there were. */
static size_t uncomment(struct buf *text)
{
    size_t count = 0;

    for (size_t i = 0; i + 1 < text->len; i++)
        if (text->p[i] == '#' && (i == 0 || text->p[i - 1] == '\n') && text->p[i + 1] >= 'a' &&
            text->p[i + 1] <= 'z') {
            text->p[i] = ' ';
            count++;
        }
    return count;
}

static void example_is_a_right_file_with_and_without_its_hashes(void **state)
{
    struct settings s;
    struct buf text;

    (void)state;
    describe(config_describe_example, &text);
    settings_init(&s);
    assert_int_equal(config_read_text(&s.cfg, "example", buf_slice(&text), &s.errors), 0);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++)
        assert_null(s.cfg.origins[i]);
    settings_fini(&s);

    assert_int_equal(uncomment(&text), CONFIG_OPTION_COUNT);
    settings_init(&s);
    assert_int_equal(config_read_text(&s.cfg, "example", buf_slice(&text), &s.errors), 0);
    for (EACH_OPTION(o))
        assert_true(config_sections[o->section].family != NULL ||
                    s.cfg.origins[o - config_options] != NULL);
    assert_int_equal(config_check(&s.cfg, &s.errors), 0);
    assert_sentences(&s, "");
    assert_int_equal(s.cfg.listener_count, 1);
    assert_string_equal(s.cfg.listeners[0].address, "127.0.0.1:8080");
    settings_fini(&s);
    buf_fini(&text);
}

static void reference_has_a_row_for_every_setting_in_the_table_of_its_section(void **state)
{
    struct buf text;
    char wanted[128];

    (void)state;
    describe(config_describe_reference, &text);
    for (EACH_OPTION(o)) {
        const char *at;
        const char *end;
        const char *row;

        snprintf(wanted, sizeof wanted, "\n## [%s%s]\n", config_sections[o->section].name,
                 config_sections[o->section].family != NULL ? ".NAME" : "");
        at = find(text.p, wanted);
        end = strstr(at + 4, "\n## ");
        snprintf(wanted, sizeof wanted, "\n| `%s` | %s%s%s | ", o->key, o->fallback[0] ? "`" : "",
                 o->fallback[0] ? o->fallback : "empty", o->fallback[0] ? "`" : "");
        row = find(at, wanted);
        assert_true(end == NULL || row < end);
    }
    buf_fini(&text);
}

/* A '|' of the text itself would end its cell. */
static void every_row_of_the_reference_has_five_cells(void **state)
{
    struct buf text;
    struct slice rest;
    size_t rows = 0;

    (void)state;
    describe(config_describe_reference, &text);
    rest = slice_of(find(text.p, "\n## [listener.NAME]"));
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        size_t bars = 0;

        if (line.n == 0 || line.p[0] != '|')
            continue;
        for (size_t i = 0; i < line.n; i++)
            bars += line.p[i] == '|' && (i == 0 || line.p[i - 1] != '\\');
        assert_int_equal(bars, 6);
        rows += line.n > 1 && line.p[1] == ' ' && line.p[2] == '`';
    }
    assert_int_equal(rows, CONFIG_OPTION_COUNT);
    buf_fini(&text);
}

static void allowed_values_are_told_as_they_are_written(void **state)
{
    static const struct {
        size_t option;
        const char *text;
    } rows[] = {
        {CONFIG_streams_heartbeat, "1s to 1h"},
        {CONFIG_journal_keep_bytes, "4KiB to 1024TiB"},
        {CONFIG_streams_queue, "1 to 65536"},
        {CONFIG_listener_mode, "0000 to 0777"},
        {CONFIG_publish_allow_anonymous, "yes or no"},
        {CONFIG_listener_role, "public, internal or all"},
        {CONFIG_log_format, "text or json"},
        {CONFIG_journal_type, "disk, memory or redis"},
        {CONFIG_listener_address, "HOST:PORT, *:PORT or unix:/PATH"},
        {CONFIG_server_user, "0 to 32 bytes"},
        {CONFIG_auth_publish,
         "none, key or jwt, or several of them, separated by spaces or commas"},
        {CONFIG_auth_jwks_url, "an https URL, or an http one of this machine"},
        {CONFIG_http_allowed_origins,
         "up to 64 origins such as https://app.example.com, separated by spaces or commas"},
        {CONFIG_http_trusted_proxies,
         "up to 64 IP addresses or networks such as 10.0.0.0/8, separated by spaces or commas"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};

        config_option_allowed(&config_options[rows[i].option], &out);
        assert_slice(buf_slice(&out), rows[i].text);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_has_every_setting_below_its_section_in_80_columns),
        cmocka_unit_test(example_has_every_setting_at_its_default),
        cmocka_unit_test(example_is_a_right_file_with_and_without_its_hashes),
        cmocka_unit_test(reference_has_a_row_for_every_setting_in_the_table_of_its_section),
        cmocka_unit_test(every_row_of_the_reference_has_five_cells),
        cmocka_unit_test(allowed_values_are_told_as_they_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
