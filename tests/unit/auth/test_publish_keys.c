/* test_publish_keys.c - keys in a file: found by their hash, held to targets and to a rate. */
#include "auth/publish_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "support/cm.h"
#include "support/scratch.h"

static char home[SCRATCH_SIZE];
static char path[SCRATCH_SIZE + 16];

/* sha256 of "one", "two" and "three" */
#define ONE "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"
#define THREE "sha256:8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f"

static void write_file(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static struct publish_keys *open_file(const char *text, uint64_t rate)
{
    struct error why = {""};
    struct publish_keys *keys;

    write_file(text);
    keys = publish_keys_open(path, rate, &why);
    if (keys == NULL)
        fail_msg("%s", why.text);
    return keys;
}

static const char *name_of(struct publish_keys *keys, const char *text, uint64_t now_ms)
{
    const struct publish_key *key = publish_keys_find(keys, slice_of(text), now_ms);

    return key == NULL ? "" : key->name;
}

static void a_key_is_found_by_its_hash(void **state)
{
    struct publish_keys *keys = open_file("# comment\n\n  billing " ONE "\r\nshop " TWO, 0);

    (void)state;
    assert_string_equal(name_of(keys, "one", 0), "billing");
    assert_string_equal(name_of(keys, "two", 0), "shop");
    assert_string_equal(name_of(keys, "three", 0), "");
    assert_string_equal(name_of(keys, "", 0), "");
    assert_string_equal(name_of(keys, ONE, 0), ""); /* the hash itself opens nothing */
    publish_keys_close(keys);
}

static void a_key_may_be_held_to_targets(void **state)
{
    struct publish_keys *keys = open_file("a " ONE " rate=5 user:* topic:x\nb " TWO "\n", 0);
    const struct publish_key *key = publish_keys_find(keys, slice_of("one"), 0);

    (void)state;
    assert_true(key->is_restricted);
    assert_int_equal(key->rate, 5);
    assert_true(grants_have(&key->grants, ACCESS_USER, slice_of("anyone")));
    assert_true(grants_have(&key->grants, ACCESS_TOPIC, slice_of("x")));
    assert_false(grants_have(&key->grants, ACCESS_TOPIC, slice_of("y")));
    assert_false(grants_have(&key->grants, ACCESS_EVERYONE, slice_of("")));
    assert_false(publish_keys_find(keys, slice_of("two"), 0)->is_restricted);
    publish_keys_close(keys);
}

static void assert_refused(const char *text, const char *sentence)
{
    struct error why = {""};

    write_file(text);
    assert_null(publish_keys_open(path, 0, &why));
    if (strstr(why.text, sentence) == NULL || strstr(why.text, path) == NULL)
        fail_msg("said: %s\nexpected: %s", why.text, sentence);
}

static void a_line_that_is_wrong_is_named(void **state)
{
    (void)state;
    assert_refused("a " ONE "\n\na b", "line 3: behind the name must be the key's hash");
    assert_refused("a", "line 1: behind the name must be the key's hash");
    assert_refused("a sha256:12", "line 1: behind the name must be the key's hash");
    assert_refused("a " ONE "0", "line 1: behind the name must be the key's hash");
    assert_refused("a/b " ONE, "line 1: it must begin with a name");
    assert_refused("a " ONE " rate=0", "line 1: rate must be a number from 1 to 1000000");
    assert_refused("a " ONE " rate=x", "line 1: rate must be a number from 1 to 1000000");
    assert_refused("a " ONE " *", "line 1: what follows the hash must be rate=N, or one of");
    assert_refused("a " ONE "\na " TWO, "line 2: the name a is there already");
    unlink(path);
}

static void a_file_that_is_not_there_is_told_how_to_be_made(void **state)
{
    struct error why = {""};

    (void)state;
    assert_null(publish_keys_open("/no/such", 0, &why));
    assert_string_equal(why.text, "auth.publish_keys_file = /no/such: cannot be read: No such file "
                                  "or directory; `sse-notify key add NAME` makes it");
}

static void a_changed_file_is_read_again_within_a_second(void **state)
{
    struct publish_keys *keys = open_file("a " ONE "\n", 0);

    (void)state;
    assert_string_equal(name_of(keys, "one", 1000), "a");
    write_file("b " TWO "\nc " THREE "\n");
    assert_string_equal(name_of(keys, "one", 1999), "a");
    assert_string_equal(name_of(keys, "one", 2000), "");
    assert_string_equal(name_of(keys, "two", 2000), "b");
    write_file("nonsense\n");
    assert_string_equal(name_of(keys, "two", 3000), "b"); /* the keys of before */
    unlink(path);
    assert_string_equal(name_of(keys, "three", 4000), "c");
    assert_int_equal(mkdir(path, 0700), 0); /* there is something, and it cannot be read */
    assert_string_equal(name_of(keys, "three", 5000), "c");
    rmdir(path);
    write_file("");
    assert_string_equal(name_of(keys, "two", 6000), "");
    publish_keys_close(keys);
}

static void a_rate_is_a_second_s_worth_and_refills(void **state)
{
    struct publish_keys *keys = open_file("a " ONE " rate=10\nb " TWO "\n", 0);
    struct publish_key *key = publish_keys_find(keys, slice_of("one"), 1000);

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(publish_keys_take(keys, key, 1, 1000));
    assert_false(publish_keys_take(keys, key, 1, 1000));
    assert_false(publish_keys_take(keys, key, 1, 1099));
    assert_true(publish_keys_take(keys, key, 1, 1100));
    assert_false(publish_keys_take(keys, key, 1, 1100));
    assert_true(publish_keys_take(keys, key, 30, 90000)); /* a batch: whole, and then a wait */
    assert_false(publish_keys_take(keys, key, 1, 92000));
    assert_true(publish_keys_take(keys, key, 1, 92200));
    key = publish_keys_find(keys, slice_of("two"), 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(publish_keys_take(keys, key, 1000, 1000));
    publish_keys_close(keys);
}

static void the_default_rate_is_for_those_without(void **state)
{
    struct publish_keys *keys = open_file("a " ONE " rate=2\nb " TWO "\n", 1);
    struct publish_key *key = publish_keys_find(keys, slice_of("two"), 1000);

    (void)state;
    assert_true(publish_keys_take(keys, key, 1, 1000));
    assert_false(publish_keys_take(keys, key, 1, 1000));
    key = publish_keys_find(keys, slice_of("one"), 1000);
    assert_true(publish_keys_take(keys, key, 1, 1000));
    assert_true(publish_keys_take(keys, key, 1, 1000));
    assert_false(publish_keys_take(keys, key, 1, 1000));
    write_file("a " ONE " rate=2\n# more\n");
    key = publish_keys_find(keys, slice_of("one"), 2000); /* what it may send is kept */
    assert_true(publish_keys_take(keys, key, 2, 2000));
    assert_false(publish_keys_take(keys, key, 1, 2000));
    publish_keys_close(keys);
}

static void a_key_that_is_made_is_found_and_no_two_are_the_same(void **state)
{
    const char *const patterns[] = {"user:*", "broadcast"};
    char key[PUBLISH_KEY_SIZE];
    char other[PUBLISH_KEY_SIZE];
    struct buf line = {0};
    struct error why = {""};
    struct publish_keys *keys;

    (void)state;
    assert_int_equal(publish_key_make("a", patterns, 2, 7, key, &line, &why), 0);
    assert_int_equal(publish_key_make("b", NULL, 0, 0, other, &line, &why), 0);
    assert_string_not_equal(key, other);
    assert_int_equal(strlen(key), 47);
    assert_int_equal(strncmp(key, "snk_", 4), 0);
    assert_null(memmem(line.p, line.len, key + 4, 43));
    assert_true(publish_keys_have_name(buf_slice(&line), "a"));
    assert_true(publish_keys_have_name(buf_slice(&line), "b"));
    assert_false(publish_keys_have_name(buf_slice(&line), "sha256"));
    buf_add_char(&line, '\0');
    keys = open_file(line.p, 0);
    assert_string_equal(name_of(keys, key, 0), "a");
    assert_string_equal(name_of(keys, other, 0), "b");
    assert_int_equal(publish_keys_find(keys, slice_of(key), 0)->rate, 7);
    assert_int_equal(publish_keys_find(keys, slice_of(key), 0)->grants.count, 2);
    publish_keys_close(keys);
    buf_fini(&line);
}

static void assert_not_made(const char *name, const char *pattern)
{
    const char *const patterns[] = {pattern};
    char key[PUBLISH_KEY_SIZE];
    struct buf line = {0};
    struct error why = {""};

    assert_int_equal(publish_key_make(name, patterns, pattern != NULL, 0, key, &line, &why),
                     -EINVAL);
    assert_true(why.text[0] != '\0');
    buf_fini(&line);
}

static void what_cannot_stand_in_the_file_is_not_made(void **state)
{
    (void)state;
    assert_not_made("", NULL);
    assert_not_made("a b", NULL);
    assert_not_made("a\n", NULL);
    assert_not_made("#a", NULL);
    assert_not_made("a", "users:*");
    assert_not_made("a", "user:a user:b");
    assert_not_made("a", "rate=5");
}

static int make_home(void **state)
{
    (void)state;
    scratch_make(home);
    snprintf(path, sizeof path, "%s/keys", home);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    scratch_remove(home);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_by_its_hash),
        cmocka_unit_test(a_key_may_be_held_to_targets),
        cmocka_unit_test(a_line_that_is_wrong_is_named),
        cmocka_unit_test(a_file_that_is_not_there_is_told_how_to_be_made),
        cmocka_unit_test(a_changed_file_is_read_again_within_a_second),
        cmocka_unit_test(a_rate_is_a_second_s_worth_and_refills),
        cmocka_unit_test(the_default_rate_is_for_those_without),
        cmocka_unit_test(a_key_that_is_made_is_found_and_no_two_are_the_same),
        cmocka_unit_test(what_cannot_stand_in_the_file_is_not_made),
    };

    return cmocka_run_group_tests(tests, make_home, remove_home);
}
