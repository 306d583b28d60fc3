#include "cli/bench_priv.h"

#include "support/cm.h"

static void settings_take_the_place_of_defaults(void **state)
{
    struct load_phase phase;
    struct error why = {0};

    (void)state;
    assert_int_equal(bench_phase_parse("latency", 5000, &phase, &why), 0);
    assert_int_equal(phase.kind, LOAD_LATENCY);
    assert_int_equal(phase.ms, 5000);
    assert_int_equal(phase.rate, 1000);
    assert_int_equal(phase.publishers, 16);
    assert_int_equal(bench_phase_parse("unicast:publishers=64,batch=100,seconds=2,count=7,window=9,"
                                       "pipeline=3", 5000, &phase, &why), 0);
    assert_int_equal(phase.kind, LOAD_UNICAST);
    assert_int_equal(phase.publishers, 64);
    assert_int_equal(phase.batch, 100);
    assert_int_equal(phase.ms, 2000);
    assert_int_equal(phase.count, 7);
    assert_int_equal(phase.window, 9);
    assert_int_equal(phase.pipeline, 3);
    assert_int_equal(bench_phase_parse("storm:each=3", 1, &phase, &why), 0);
    assert_int_equal(phase.each, 3);
}

static void every_mistake_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } mistakes[] = {
        {"", "there is no phase"},
        {"Unicast", "there is no phase Unicast"},
        {"unicast:", "a setting is NAME=VALUE"},
        {"unicast:window=1,", "a setting is NAME=VALUE"},
        {"unicast:window", "window: a setting is NAME=VALUE"},
        {"unicast:window=", "window=: must be a whole number"},
        {"unicast:window=-1", "window=-1: must be a whole number"},
        {"unicast:batch=1001", "from 1 to 1000"},
        {"idle:seconds=0", "from 1 to 3600"},
        {"idle:speed=1", "idle:speed=1: there is no setting speed"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct load_phase phase;
        struct error why = {0};

        assert_int_equal(bench_phase_parse(mistakes[i].text, 1, &phase, &why), -1);
        if (strstr(why.text, mistakes[i].why) == NULL)
            fail_msg("%s: %s", mistakes[i].text, why.text);
    }
}

static void failure_is_told_by_its_detail(void **state)
{
    static const struct {
        const char *failure;
        const char *shown;
    } cases[] = {
        {"connect: Connection refused", "connect: Connection refused"},
        {"status 401: {\"title\":\"t\",\"detail\":\"Say who you are.\"}",
         "status 401: Say who you are."},
        {"status 502: <html>bad gateway</html>", "status 502"},
        {"status 404", "status 404"},
        {"status x\x1b", "status x\\x1b"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = {0};

        bench_add_failure(&out, cases[i].failure);
        buf_add_char(&out, '\0');
        assert_string_equal(out.p, cases[i].shown);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_take_the_place_of_defaults),
        cmocka_unit_test(every_mistake_is_named),
        cmocka_unit_test(failure_is_told_by_its_detail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
