/* test_reader.c - the file's syntax: what a line may be, and what is said of one that may not. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buf.h"
#include "support/cm.h"
#include "support/settings.h"

static int read_slice(struct settings *s, struct slice text)
{
    settings_init(s);
    return config_read_text(&s->cfg, "a.conf", text, &s->errors);
}

/* Reads what must be right. */
static void read_good(struct settings *s, const char *text)
{
    int rc = read_slice(s, slice_of(text));

    assert_sentences(s, "");
    assert_int_equal(rc, 0);
}

static void assert_refused_slice(struct slice text, const char *sentences)
{
    struct settings s;

    assert_int_equal(read_slice(&s, text), -EINVAL);
    assert_sentences(&s, sentences);
    settings_fini(&s);
}

static void assert_refused(const char *text, const char *sentences)
{
    assert_refused_slice(slice_of(text), sentences);
}

static void an_empty_file_and_one_of_comments_change_nothing(void **state)
{
    static const char *const texts[] = {"", "\n", "\n\n  \t\n", "# a comment\n", "  ; another\n",
                                        "#[streams]\n#heartbeat = x\n", "\xef\xbb\xbf", "#"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct settings s;

        read_good(&s, texts[i]);
        assert_int_equal(s.cfg.streams.heartbeat_ms, 15000);
        assert_int_equal(s.cfg.listener_count, 0);
        settings_fini(&s);
    }
}

static void settings_go_to_the_section_above_them(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "[streams]\n"
                  "heartbeat = 20s\n"
                  "queue=7\n"
                  "[publish]\n"
                  "allow_anonymous = yes\n"
                  "[listener.a]\n"
                  "address = unix:/run/a\n"
                  "mode = 0600\n"
                  "[streams]\n"
                  "retry = 3s\n"
                  "[log]\n"
                  "level = debug");
    assert_int_equal(s.cfg.streams.heartbeat_ms, 20000);
    assert_int_equal(s.cfg.streams.queue, 7);
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    assert_true(s.cfg.publish.allow_anonymous);
    assert_false(s.cfg.streams.allow_anonymous);
    assert_int_equal(s.cfg.log.level, LOG_DEBUG);
    assert_int_equal(s.cfg.listener_count, 1);
    assert_string_equal(s.cfg.listeners[0].name, "a");
    assert_string_equal(s.cfg.listeners[0].origin, "a.conf:6");
    assert_string_equal(s.cfg.listeners[0].address, "unix:/run/a");
    assert_int_equal(s.cfg.listeners[0].mode, 0600);
    assert_string_equal(s.cfg.origins[CONFIG_streams_retry], "a.conf:10");
    assert_null(s.cfg.origins[CONFIG_streams_overflow]);
    settings_fini(&s);
}

static void blanks_line_ends_and_a_byte_order_mark_do_not_matter(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "\xef\xbb\xbf\t[ streams ]\t\r\n"
                  "  heartbeat\t=\t20s  \r\n"
                  "\r\n"
                  "retry=3s\r\n");
    assert_int_equal(s.cfg.streams.heartbeat_ms, 20000);
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    settings_fini(&s);
}

static void a_comment_behind_something_needs_a_blank_before_it(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "[server] # the process\n"
                  "user = a#b # a comment\n"
                  "[listener.a]\t#x\n"
                  "address = unix:/a#b\t# c # d\n"
                  "[http]\n"
                  "allowed_origins = # none\n");
    assert_string_equal(s.cfg.server.user, "a#b");
    assert_string_equal(s.cfg.listeners[0].address, "unix:/a#b");
    assert_int_equal(s.cfg.http.allowed_origins.count, 0);
    settings_fini(&s);
    assert_refused("[server]# the process\n",
                   "a.conf:1: [server]# the process: only a comment may follow the ]\n");
}

static void all_between_quotes_belongs_to_the_value(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "[listener.a]\n"
                  "address = \"unix:/run/a # b = c\" # a comment\n"
                  "role = \"public\"\n"
                  "[server]\n"
                  "user = \"\"\n"
                  "[journal]\n"
                  "path = a\"b\"\n");
    assert_string_equal(s.cfg.listeners[0].address, "unix:/run/a # b = c");
    assert_int_equal(s.cfg.listeners[0].role, CONFIG_ROLE_PUBLIC);
    assert_null(s.cfg.server.user);
    assert_string_equal(s.cfg.journal.path, "a\"b\"");
    settings_fini(&s);
}

static void quotes_must_be_closed_and_end_the_value(void **state)
{
    (void)state;
    assert_refused("[server]\nuser = \"a\n",
                   "a.conf:2: [server] user = \"a: the closing quote is missing\n");
    assert_refused("[server]\nuser = \"\n",
                   "a.conf:2: [server] user = \": the closing quote is missing\n");
    assert_refused("[server]\nuser = \"a\" b\n",
                   "a.conf:2: [server] user = \"a\" b: only a comment may follow the closing "
                   "quote\n");
    assert_refused("[server]\nuser = \"a\"# b\n",
                   "a.conf:2: [server] user = \"a\"# b: only a comment may follow the closing "
                   "quote\n");
}

static void a_wrong_value_is_named_with_its_line_and_what_is_allowed(void **state)
{
    (void)state;
    assert_refused("[streams]\n\nheartbeat = often\n",
                   "a.conf:3: [streams] heartbeat = often: must be a time from 1s to 1h; units are "
                   "ms, s, min, h and d\n");
    assert_refused("[streams]\nqueue =\n",
                   "a.conf:2: [streams] queue = \"\": must be a whole number from 1 to 65536\n");
    assert_refused("[listener.a-1]\naddress = example.com:80\n",
                   "a.conf:2: [listener.a-1] address = example.com:80: must be HOST:PORT, *:PORT "
                   "or unix:/PATH, such as 127.0.0.1:8080\n");
}

static void an_unknown_key_is_told_the_nearest_or_its_own_section_or_all(void **state)
{
    (void)state;
    assert_refused("[streams]\nhartbeat = 15s\n",
                   "a.conf:2: [streams] hartbeat: unknown key; did you mean heartbeat?\n");
    assert_refused("[streams]\nmax_body = 1KiB\n",
                   "a.conf:2: [streams] max_body: unknown key; it belongs to [publish]\n");
    assert_refused("[streams]\nrole = all\n",
                   "a.conf:2: [streams] role: unknown key; it belongs to [listener.NAME]\n");
    assert_refused("[log]\ncolour = red\n",
                   "a.conf:2: [log] colour: unknown key; there are level, format, file\n");
    assert_refused("[log]\n = red\n",
                   "a.conf:2: [log] \"\": unknown key; there are level, format, file\n");
}

static void a_key_of_several_sections_belongs_to_each_of_them(void **state)
{
    (void)state;
    assert_refused("[listener.a]\nallow_anonymous = yes\n",
                   "a.conf:2: [listener.a] allow_anonymous: unknown key; it belongs to [streams] "
                   "or [publish]\n");
}

static void keys_of_an_unknown_section_say_nothing_more(void **state)
{
    (void)state;
    assert_refused("[stream]\nheartbeat = x\nhartbeat = 15s\n[log]\nlevel = loud\n",
                   "a.conf:1: [stream]: unknown section; did you mean [streams]?\n"
                   "a.conf:5: [log] level = loud: must be debug, info, warning or error\n");
    assert_refused("[listner.public]\nrole = all\n",
                   "a.conf:1: [listner.public]: unknown section; did you mean [listener.NAME]?\n");
    assert_refused("[metrics]\n",
                   "a.conf:1: [metrics]: unknown section; there are listener.NAME, streams, "
                   "journal, publish, auth, issuer.NAME, limits, http, webhooks, log and server\n");
    assert_refused("[]\n",
                   "a.conf:1: []: unknown section; there are listener.NAME, streams, journal, "
                   "publish, auth, issuer.NAME, limits, http, webhooks, log and server\n");
    assert_refused("[streams\nheartbeat = x\n",
                   "a.conf:1: [streams: the closing ] is missing\n");
}

static void a_line_that_is_nothing_is_refused(void **state)
{
    (void)state;
    assert_refused("heartbeat = 15s\n", "a.conf:1: heartbeat: stands before any [section]\n");
    assert_refused("[streams]\nheartbeat\n",
                   "a.conf:2: heartbeat: is neither [section] nor key = value\n");
    assert_refused("[streams]\nheartbeat: 15s\n",
                   "a.conf:2: heartbeat: 15s: is neither [section] nor key = value\n");
}

static void a_key_may_be_set_once_in_each_section_and_listener(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "[listener.a]\nrole = all\n[listener.b]\nrole = all\n"
                  "[streams]\nallow_anonymous = no\n[publish]\nallow_anonymous = no\n");
    settings_fini(&s);
    assert_refused("[streams]\nretry = 1s\n\n[log]\n[streams]\nretry = 2s\n",
                   "a.conf:6: [streams] retry: was set before, in line 2\n");
    assert_refused("[listener.a]\nrole = all\n[listener.b]\nrole = all\nrole = all\n"
                   "[listener.a]\nrole = public\n",
                   "a.conf:5: [listener.b] role: was set before, in line 4\n"
                   "a.conf:7: [listener.a] role: was set before, in line 2\n");
}

static void a_mistake_costs_its_line_and_no_other(void **state)
{
    struct settings s;

    (void)state;
    assert_int_equal(read_slice(&s, slice_of("[streams]\nheartbeat = x\nretry = 3s\nqueue = y\n")),
                     -EINVAL);
    assert_sentences(&s,
                     "a.conf:2: [streams] heartbeat = x: must be a time from 1s to 1h; units are "
                     "ms, s, min, h and d\n"
                     "a.conf:4: [streams] queue = y: must be a whole number from 1 to 65536\n");
    assert_int_equal(s.cfg.streams.heartbeat_ms, 15000);
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    settings_fini(&s);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    assert_refused_slice(SLICE_LITERAL("[streams]\nretry = 1s\0\n"),
                         "a.conf:2: holds a zero byte; this is no text file\n");
    assert_refused_slice(SLICE_LITERAL("# \0\n"),
                         "a.conf:1: holds a zero byte; this is no text file\n");
    assert_refused("[streams]\nretry\xff = 1s\n", "a.conf:2: is not UTF-8\n");
    assert_refused("[server]\nuser = a\rb\n",
                   "a.conf:2: [server] user = a?b: must be a text of 0 to 32 bytes without control "
                   "characters\n");
}

static void a_comment_may_be_in_any_encoding(void **state)
{
    struct settings s;

    (void)state;
    read_good(&s, "# caf\xe9\n; \xff\n[streams]\nretry = 3s\n");
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    settings_fini(&s);
}

static void a_listener_has_a_name_and_there_are_at_most_16(void **state)
{
    struct settings s;
    struct buf text = {0};

    (void)state;
    assert_refused("[listener]\nrole = all\n",
                   "a.conf:1: [listener]: needs a name, such as [listener.public]\n");
    assert_refused("[listener.]\n",
                   "a.conf:1: [listener.]: a listener's name is 1 to 32 of a-z, 0-9, _ and -\n");
    assert_refused("[listener.Public]\n[listener.a b]\n[listener.a.b]\n",
                   "a.conf:1: [listener.Public]: a listener's name is 1 to 32 of a-z, 0-9, _ and "
                   "-\n"
                   "a.conf:2: [listener.a b]: a listener's name is 1 to 32 of a-z, 0-9, _ and -\n"
                   "a.conf:3: [listener.a.b]: a listener's name is 1 to 32 of a-z, 0-9, _ and "
                   "-\n");
    assert_refused("[listener.abcdefghijklmnopqrstuvwxyz0123456]\n",
                   "a.conf:1: [listener.abcdefghijklmnopqrstuvwxyz0123456]: a listener's name is 1 "
                   "to 32 of a-z, 0-9, _ and -\n");
    for (int i = 0; i < CONFIG_MAX_LISTENERS; i++)
        buf_printf(&text, "[listener.l%d]\n", i);
    assert_int_equal(read_slice(&s, buf_slice(&text)), 0);
    assert_int_equal(s.cfg.listener_count, CONFIG_MAX_LISTENERS);
    settings_fini(&s);
    buf_add_text(&text, "[listener.l0]\n[listener.one_more]\nmode = x\n");
    assert_int_equal(read_slice(&s, buf_slice(&text)), -EINVAL);
    assert_sentences(&s, "a.conf:18: [listener.one_more]: there may be at most 16 listeners\n");
    assert_int_equal(s.cfg.listener_count, CONFIG_MAX_LISTENERS);
    settings_fini(&s);
    buf_fini(&text);
}

static void sentences_past_the_twentieth_are_counted(void **state)
{
    struct settings s;
    struct buf text = {0};
    struct buf expected = {0};

    (void)state;
    buf_add_text(&text, "[log]\n");
    for (int i = 0; i < CONFIG_MAX_ERRORS + 3; i++) {
        buf_add_text(&text, "wrong\n");
        if (i < CONFIG_MAX_ERRORS)
            buf_printf(&expected, "a.conf:%d: wrong: is neither [section] nor key = value\n",
                       i + 2);
    }
    buf_add_text(&expected, "and 3 more\n");
    buf_add_char(&expected, '\0');
    assert_int_equal(read_slice(&s, buf_slice(&text)), -EINVAL);
    assert_sentences(&s, expected.p);
    settings_fini(&s);
    buf_fini(&text);
    buf_fini(&expected);
}

static void of_a_long_file_name_the_end_is_told(void **state)
{
    struct settings s;
    char name[600];

    (void)state;
    memset(name, 'd', sizeof name);
    memcpy(name + sizeof name - 8, "/a.conf", 8);
    settings_init(&s);
    assert_int_equal(config_read_text(&s.cfg, name, slice_of("x\n"), &s.errors), -EINVAL);
    assert_int_equal(s.errors.count, 1);
    assert_memory_equal(s.errors.items[0].text, "dddd", 4);
    assert_non_null(strstr(s.errors.items[0].text,
                           "d/a.conf:1: x: is neither [section] nor key = value"));
    settings_fini(&s);
}

/* ---- files ---- */

static void assert_file_refused(const char *path, const char *what)
{
    struct settings s;
    char sentence[400];

    settings_init(&s);
    assert_int_equal(config_read_file(&s.cfg, path, &s.errors), -EINVAL);
    snprintf(sentence, sizeof sentence, "%s: %s\n", path, what);
    assert_sentences(&s, sentence);
    settings_fini(&s);
}

/* `path` is a template for mkstemp, and then the file's name. */
static void write_file(char path[], const char *text)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void a_file_is_read_as_its_text_is(void **state)
{
    char path[] = "/tmp/test_reader.XXXXXX";
    struct settings s;
    char origin[64];

    (void)state;
    write_file(path, "[streams]\nretry = 3s\n");
    settings_init(&s);
    assert_int_equal(config_read_file(&s.cfg, path, &s.errors), 0);
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    snprintf(origin, sizeof origin, "%s:2", path);
    assert_string_equal(s.cfg.origins[CONFIG_streams_retry], origin);
    settings_fini(&s);
    unlink(path);
}

static void a_file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
    (void)state;
    assert_file_refused("/nonexistent/a.conf", "cannot be read: No such file or directory");
    assert_file_refused("/", "cannot be read: Is a directory");
}

static void a_file_has_at_most_one_mebibyte(void **state)
{
    char path[] = "/tmp/test_reader.XXXXXX";
    struct settings s;

    (void)state;
    write_file(path, "[streams]\nretry = 3s\n");
    assert_int_equal(truncate(path, CONFIG_MAX_FILE + 1), 0);
    assert_file_refused(path, "is larger than 1024 KiB");
    assert_int_equal(truncate(path, CONFIG_MAX_FILE), 0); /* what was added are zero bytes */
    settings_init(&s);
    assert_int_equal(config_read_file(&s.cfg, path, &s.errors), -EINVAL);
    assert_int_equal(s.errors.count, 1);
    assert_non_null(strstr(s.errors.items[0].text, ":3: holds a zero byte"));
    assert_int_equal(s.cfg.streams.retry_ms, 3000);
    settings_fini(&s);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_and_one_of_comments_change_nothing),
        cmocka_unit_test(settings_go_to_the_section_above_them),
        cmocka_unit_test(blanks_line_ends_and_a_byte_order_mark_do_not_matter),
        cmocka_unit_test(a_comment_behind_something_needs_a_blank_before_it),
        cmocka_unit_test(all_between_quotes_belongs_to_the_value),
        cmocka_unit_test(quotes_must_be_closed_and_end_the_value),
        cmocka_unit_test(a_wrong_value_is_named_with_its_line_and_what_is_allowed),
        cmocka_unit_test(an_unknown_key_is_told_the_nearest_or_its_own_section_or_all),
        cmocka_unit_test(a_key_of_several_sections_belongs_to_each_of_them),
        cmocka_unit_test(keys_of_an_unknown_section_say_nothing_more),
        cmocka_unit_test(a_line_that_is_nothing_is_refused),
        cmocka_unit_test(a_key_may_be_set_once_in_each_section_and_listener),
        cmocka_unit_test(a_mistake_costs_its_line_and_no_other),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(a_comment_may_be_in_any_encoding),
        cmocka_unit_test(a_listener_has_a_name_and_there_are_at_most_16),
        cmocka_unit_test(sentences_past_the_twentieth_are_counted),
        cmocka_unit_test(of_a_long_file_name_the_end_is_told),
        cmocka_unit_test(a_file_is_read_as_its_text_is),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named_with_the_reason),
        cmocka_unit_test(a_file_has_at_most_one_mebibyte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
