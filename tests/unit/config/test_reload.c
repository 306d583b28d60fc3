/* test_reload.c - what a second reading of the configuration changes, and what it leaves alone. */
#include "config/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "config/options.h"
#include "support/cm.h"
#include "support/settings.h"

/* One config in force and a fresh one, each from a file of these bytes. */
struct pair {
    struct settings in_force;
    struct settings fresh;
    struct buf taken;
    struct buf waiting;
};

static void read_into(struct settings *s, const char *text)
{
    settings_init(s);
    assert_int_equal(config_read_text(&s->cfg, "f", slice_of(text), &s->errors), 0);
    assert_int_equal(config_check(&s->cfg, &s->errors), 0);
}

static void take_over(struct pair *p, const char *before, const char *after)
{
    *p = (struct pair){.taken = {0}};
    read_into(&p->in_force, before);
    read_into(&p->fresh, after);
    config_take_over(&p->in_force.cfg, &p->fresh.cfg, &p->taken, &p->waiting);
}

static void end(struct pair *p)
{
    settings_fini(&p->in_force);
    settings_fini(&p->fresh);
    buf_fini(&p->taken);
    buf_fini(&p->waiting);
}

static void live_settings_change_and_are_named(void **state)
{
    struct pair p;

    (void)state;
    take_over(&p, "[streams]\nheartbeat = 20s\n[http]\nallowed_origins = https://a.example\n",
              "[streams]\nheartbeat = 5s\nqueue = 3\n[log]\nlevel = debug\nfile = /l\n"
              "[http]\nallowed_origins = https://a.example https://b.example\n");
    assert_slice(buf_slice(&p.taken),
                 "streams.heartbeat streams.queue http.allowed_origins log.level log.file");
    assert_slice(buf_slice(&p.waiting), "");
    assert_int_equal(p.in_force.cfg.streams.heartbeat_ms, 5000);
    assert_int_equal(p.in_force.cfg.streams.queue, 3);
    assert_int_equal(p.in_force.cfg.log.level, LOG_DEBUG);
    assert_string_equal(p.in_force.cfg.log.file, "/l");
    assert_int_equal(p.in_force.cfg.http.allowed_origins.count, 2);
    assert_string_equal(p.in_force.cfg.origins[CONFIG_streams_heartbeat], "f:2");
    end(&p);
}

static void a_setting_that_is_no_longer_there_goes_back_to_its_default(void **state)
{
    struct pair p;

    (void)state;
    take_over(&p, "[streams]\nmax_age = 1h\nretry = 3s\n", "[streams]\nretry = 3s\n");
    assert_slice(buf_slice(&p.taken), "streams.max_age");
    assert_int_equal(p.in_force.cfg.streams.max_age_ms, 0);
    assert_null(p.in_force.cfg.origins[CONFIG_streams_max_age]);
    end(&p);
}

static void what_takes_a_restart_is_named_and_stays(void **state)
{
    struct pair p;

    (void)state;
    take_over(&p, "[journal]\nkeep = 1h\n", "[journal]\nkeep = 2h\n[server]\nuser = nobody\n");
    assert_slice(buf_slice(&p.taken), "");
    assert_slice(buf_slice(&p.waiting), "journal.keep server.user");
    assert_int_equal(p.in_force.cfg.journal.keep_ms, 3600 * 1000);
    assert_null(p.in_force.cfg.server.user);
    end(&p);
}

static void listeners_that_come_go_or_change_are_named(void **state)
{
    struct pair p;

    (void)state;
    take_over(&p,
              "[listener.a]\naddress = 127.0.0.1:1\n[listener.b]\naddress = 127.0.0.1:2\n",
              "[listener.c]\naddress = 127.0.0.1:3\n"
              "[listener.b]\naddress = 127.0.0.1:4\nmode = 0600\n");
    assert_slice(buf_slice(&p.taken), "");
    assert_slice(buf_slice(&p.waiting),
                 "listener.a listener.c listener.b.address listener.b.mode");
    assert_int_equal(p.in_force.cfg.listener_count, 2);
    end(&p);
}

static void the_same_settings_in_another_order_change_nothing(void **state)
{
    struct pair p;

    (void)state;
    take_over(&p, "[streams]\nretry = 1s\nqueue = 9\n[listener.a]\naddress = 127.0.0.1:1\n",
              "[listener.a]\naddress = 127.0.0.1:1\n[streams]\nqueue = 9\nretry = 1000ms\n");
    assert_slice(buf_slice(&p.taken), "");
    assert_slice(buf_slice(&p.waiting), "");
    end(&p);
}

/* The window's default is cut to keep_bytes, which nobody has to be told twice. */
static void a_default_that_follows_another_setting_is_not_named(void **state)
{
    struct pair p;

    (void)state;
    take_over(&p, "", "[journal]\nkeep_bytes = 2MiB\n");
    assert_slice(buf_slice(&p.waiting), "journal.keep_bytes");
    end(&p);
}

static int load_again(struct settings *fresh, const struct settings *in_force, const char *option)
{
    return config_load_again(&fresh->cfg, &in_force->cfg, "/dev/null", &option, 1, &fresh->errors);
}

static void a_wrong_setting_is_told_and_leaves_nothing(void **state)
{
    struct settings in_force;
    struct settings fresh = {.errors = {.count = 0}};

    (void)state;
    read_into(&in_force, "");
    assert_int_equal(load_again(&fresh, &in_force, "streams.queue=none"), -EINVAL);
    assert_sentences(&fresh,
                     "-o: [streams] queue = none: must be a whole number from 1 to 65536\n");
    settings_fini(&in_force);
}

static void the_journals_place_is_not_looked_for_again(void **state)
{
    struct settings in_force;
    struct settings fresh = {.errors = {.count = 0}};

    (void)state;
    setenv("STATE_DIRECTORY", "/first", 1);
    read_into(&in_force, "");
    setenv("STATE_DIRECTORY", "/second", 1);
    assert_int_equal(load_again(&fresh, &in_force, "streams.queue=2"), 0);
    assert_string_equal(fresh.cfg.journal.path, "/first");
    settings_fini(&fresh);

    assert_int_equal(load_again(&fresh, &in_force, "journal.path=/third"), 0);
    assert_string_equal(fresh.cfg.journal.path, "/third");
    settings_fini(&fresh);
    settings_fini(&in_force);
    unsetenv("STATE_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_settings_change_and_are_named),
        cmocka_unit_test(a_setting_that_is_no_longer_there_goes_back_to_its_default),
        cmocka_unit_test(what_takes_a_restart_is_named_and_stays),
        cmocka_unit_test(listeners_that_come_go_or_change_are_named),
        cmocka_unit_test(the_same_settings_in_another_order_change_nothing),
        cmocka_unit_test(a_default_that_follows_another_setting_is_not_named),
        cmocka_unit_test(a_wrong_setting_is_told_and_leaves_nothing),
        cmocka_unit_test(the_journals_place_is_not_looked_for_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
