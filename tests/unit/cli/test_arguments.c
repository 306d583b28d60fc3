/* One table with an option of each type; each test is a command line. */
#include "cli/arguments_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/cm.h"

struct fixture {
    bool is_quiet;
    bool is_json;
    const char *event;
    struct text_list users;
    uint64_t count;
    uint64_t wait_ms;
    struct text_list operands;
    struct error why;
};

enum { MAX_WORDS = 12 };

/* Splits `line` at blanks and reads it as the arguments of `demo`. */
static int parse(struct fixture *f, const char *line)
{
    const struct argument table[] = {
        {'q', "quiet", ARGUMENT_FLAG, NULL, &f->is_quiet, 0, 0, "say less"},
        {'j', "json", ARGUMENT_FLAG, NULL, &f->is_json, 0, 0, "as JSON"},
        {'e', "event", ARGUMENT_TEXT, "NAME", &f->event, 0, 0, "the name"},
        {'u', "user", ARGUMENT_LIST, "ID", &f->users, 0, 0, "to whom"},
        {'n', "count", ARGUMENT_NUMBER, "N", &f->count, 1, 9, "how many"},
        {0, "wait", ARGUMENT_TIME, "TIME", &f->wait_ms, 10, 7200 * 1000, "how long"},
    };
    const struct command command = {"demo", "[options] X", "Shows.", table, 6, NULL};
    static char words[256]; /* what is read points into it */
    char *argv[MAX_WORDS] = {words};
    int argc = 1;

    snprintf(words, sizeof(words), "demo %s", line);
    strtok(words, " ");
    while (argc < MAX_WORDS && (argv[argc] = strtok(NULL, " ")) != NULL)
        argc++;
    text_list_fini(&f->users);
    text_list_fini(&f->operands);
    *f = (struct fixture){0};
    return arguments_parse(&command, argc, argv, &f->operands, &f->why);
}

static void finish(struct fixture *f)
{
    text_list_fini(&f->users);
    text_list_fini(&f->operands);
}

static void assert_refused(const char *line, const char *sentence_part)
{
    struct fixture f = {0};

    assert_int_equal(parse(&f, line), -1);
    if (strstr(f.why.text, sentence_part) == NULL)
        fail_msg("%s: said \"%s\"", line, f.why.text);
    finish(&f);
}

static void assert_wait(const char *line, uint64_t ms)
{
    struct fixture f = {0};

    assert_int_equal(parse(&f, line), 0);
    assert_int_equal(f.wait_ms, ms);
    finish(&f);
}

static void long_and_short_forms_mean_the_same(void **state)
{
    static const char *const lines[] = {"--event build --count 3 --quiet --json x",
                                        "--event=build --count=3 -q -j x",
                                        "-e build -n 3 -qj x",
                                        "x -jqn3 -ebuild",
                                        "-q --json -ebuild -n3 -- x"};
    struct fixture f = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(parse(&f, lines[i]), 0);
        assert_true(f.is_quiet && f.is_json);
        assert_string_equal(f.event, "build");
        assert_int_equal(f.count, 3);
        assert_int_equal(f.operands.count, 1);
        assert_string_equal(f.operands.items[0], "x");
    }
    finish(&f);
}

static void lists_keep_every_value_in_order(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(parse(&f, "-u alice --user bob --user=c=d"), 0);
    assert_int_equal(f.users.count, 3);
    assert_string_equal(f.users.items[0], "alice");
    assert_string_equal(f.users.items[1], "bob");
    assert_string_equal(f.users.items[2], "c=d");
    finish(&f);
}

static void last_of_a_repeated_text_counts(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(parse(&f, "-e a -e b"), 0);
    assert_string_equal(f.event, "b");
    finish(&f);
}

static void dash_is_an_operand_and_two_dashes_end_the_options(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(parse(&f, "- -- -q --"), 0);
    assert_false(f.is_quiet);
    assert_int_equal(f.operands.count, 3);
    assert_string_equal(f.operands.items[0], "-");
    assert_string_equal(f.operands.items[1], "-q");
    assert_string_equal(f.operands.items[2], "--");
    finish(&f);
}

static void value_may_look_like_an_option(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(parse(&f, "--event -q"), 0);
    assert_string_equal(f.event, "-q");
    assert_false(f.is_quiet);
    finish(&f);
}

static void help_is_asked_for_by_both_forms(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(parse(&f, "x --help"), 1);
    assert_int_equal(parse(&f, "-qh"), 1);
    assert_int_equal(parse(&f, "-- --help"), 0);
    finish(&f);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    assert_refused("--colour red", "unknown option --colour");
    assert_refused("--colour=red", "unknown option --colour");
    assert_refused("-qz", "unknown option -z");
    assert_refused("--event", "--event needs a value: NAME");
    assert_refused("-u", "--user needs a value: ID");
    assert_refused("--quiet=yes", "--quiet takes no value");
    assert_refused("--even x", "unknown option --even");
    assert_refused("-n 0", "--count 0: must be a whole number from 1 to 9");
    assert_refused("-n 10", "from 1 to 9");
    assert_refused("-n 1x", "from 1 to 9");
    assert_refused("-n -1", "from 1 to 9");
    assert_refused("--count=", "from 1 to 9");
}

static void times_have_units_and_default_to_seconds(void **state)
{
    (void)state;
    assert_wait("--wait 10", 10000);
    assert_wait("--wait 10s", 10000);
    assert_wait("--wait 1.5", 1500);
    assert_wait("--wait 0.0259", 25);
    assert_wait("--wait 500ms", 500);
    assert_wait("--wait 2min", 120000);
    assert_wait("--wait 1.5h", 5400000);
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const lines[] = {"--wait 9ms", "--wait 3h", "--wait ten", "--wait 1.",
                                        "--wait .5", "--wait 1d", "--wait -1", "--wait 1s2",
                                        "--wait=", "--wait 99999999999999999999h"};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_refused(lines[i], "must be a time from 0.01 s to 7200 s");
}

static void help_aligns_the_explanations(void **state)
{
    bool flag;
    const char *text;
    const struct argument table[] = {
        {'q', "quiet", ARGUMENT_FLAG, NULL, &flag, 0, 0, "say less"},
        {0, "event", ARGUMENT_TEXT, "NAME", &text, 0, 0, "first\nsecond"},
        {0, "much-too-long-for-that", ARGUMENT_TEXT, "NAME", &text, 0, 0, "below"},
    };
    const struct command command = {"demo", "X\n-", "Shows.", table, 3, "Exit codes: 0.\n"};
    struct buf out = {0};

    (void)state;
    arguments_add_help(&command, &out);
    assert_int_equal(buf_add_char(&out, '\0'), 0);
    assert_string_equal(out.p, "usage: sse-notify demo X\n"
                               "       sse-notify demo -\n"
                               "\n"
                               "Shows.\n"
                               "\n"
                               "Options:\n"
                               "  -q, --quiet                say less\n"
                               "      --event NAME           first\n"
                               "                             second\n"
                               "      --much-too-long-for-that NAME\n"
                               "                             below\n"
                               "  -h, --help                 print this and exit\n"
                               "\n"
                               "Exit codes: 0.\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_and_short_forms_mean_the_same),
        cmocka_unit_test(lists_keep_every_value_in_order),
        cmocka_unit_test(last_of_a_repeated_text_counts),
        cmocka_unit_test(dash_is_an_operand_and_two_dashes_end_the_options),
        cmocka_unit_test(value_may_look_like_an_option),
        cmocka_unit_test(help_is_asked_for_by_both_forms),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(times_have_units_and_default_to_seconds),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(help_aligns_the_explanations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
