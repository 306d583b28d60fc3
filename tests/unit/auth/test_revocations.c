/* test_revocations.c - which tokens one is about, how long, and what a file brings back. */
#include "auth/revocations.h"

#include <errno.h>
#include <stdio.h>
#include "support/cm.h"

static struct stats stats;

static struct revocations *begin(void)
{
    struct revocations *r;

    stats = (struct stats){0};
    r = revocations_create(&stats);
    assert_non_null(r);
    return r;
}

static void revoke_id(struct revocations *r, const char *id, uint64_t expires_ms)
{
    struct revocation what = {REVOKED_ID, slice_of(id), 0, expires_ms};

    assert_int_equal(revocations_add(r, &what), 0);
}

static void revoke_user(struct revocations *r, const char *user, uint64_t before_ms,
                        uint64_t expires_ms)
{
    struct revocation what = {REVOKED_USER, slice_of(user), before_ms, expires_ms};

    assert_int_equal(revocations_add(r, &what), 0);
}

/* NULL: the token has none. */
static bool has(const struct revocations *r, const char *id, const char *user, uint64_t issued_ms)
{
    struct access a = {.id = slice_of(id), .user = slice_of(user), .issued_ms = issued_ms};
    struct token_mark mark = token_mark_of(&a);

    return revocations_have(r, &mark);
}

static void a_token_is_revoked_by_its_jti_alone(void **state)
{
    struct revocations *r = begin();

    (void)state;
    revoke_id(r, "t1", 100);
    assert_true(has(r, "t1", "alice", 7));
    assert_false(has(r, "t2", "alice", 7));
    assert_false(has(r, NULL, "t1", 7));
    assert_false(has(r, NULL, NULL, 0));
    revocations_destroy(r);
}

static void a_user_is_revoked_up_to_a_time(void **state)
{
    struct revocations *r = begin();

    (void)state;
    revoke_user(r, "alice", 5000, 9000);
    assert_true(has(r, "t1", "alice", 4999));
    assert_false(has(r, "t1", "alice", 5000));
    assert_true(has(r, NULL, "alice", 0)); /* it does not say when it was issued */
    assert_false(has(r, "alice", "bob", 4999));
    revocations_destroy(r);
}

static void the_later_times_count(void **state)
{
    struct revocations *r = begin();

    (void)state;
    revoke_user(r, "alice", 5000, 9000);
    revoke_user(r, "alice", 4000, 20000);
    assert_int_equal(stats.revocations_kept, 1);
    assert_true(has(r, NULL, "alice", 4999));
    revocations_tick(r, 19999);
    assert_true(has(r, NULL, "alice", 4999));
    revocations_tick(r, 20000);
    assert_false(has(r, NULL, "alice", 4999));
    assert_int_equal(stats.revocations_kept, 0);
    revocations_destroy(r);
}

static void none_makes_room_for_another(void **state)
{
    struct revocations *r = begin();
    struct revocation known = {REVOKED_ID, SLICE_LITERAL("7"), 0, 100};
    struct revocation fresh = {REVOKED_ID, SLICE_LITERAL("fresh"), 0, 100};
    char id[24];

    (void)state;
    for (int i = 0; i < REVOCATIONS_MAX; i++) {
        snprintf(id, sizeof id, "%d", i);
        revoke_id(r, id, i == 5 ? 50 : 100);
    }
    assert_true(revocations_are_full(r, &fresh));
    assert_false(revocations_are_full(r, &known));
    assert_int_equal(revocations_add(r, &fresh), -ENOSPC);
    assert_int_equal(revocations_add(r, &known), 0);
    assert_true(has(r, "0", NULL, 0));
    for (int i = 0; i < REVOCATIONS_MAX / 100; i++) /* a few at a time, and in the end all */
        revocations_tick(r, 50);
    assert_int_equal(stats.revocations_kept, REVOCATIONS_MAX - 1);
    assert_int_equal(revocations_add(r, &fresh), 0);
    revocations_destroy(r);
}

static void lines_bring_back_what_is_not_over(void **state)
{
    struct revocations *r = begin();
    struct buf text = {0};

    (void)state;
    revoke_id(r, "a \"quoted\"\n\\ one", 100);
    revoke_user(r, "\xc3\xa9", 5000, 100);
    revoke_id(r, "over", 50);
    revocations_write(r, &text);
    revocations_destroy(r);
    r = begin();
    assert_int_equal(revocations_read(r, buf_slice(&text), 60), 0);
    assert_int_equal(stats.revocations_kept, 2);
    assert_true(has(r, "a \"quoted\"\n\\ one", NULL, 0));
    assert_true(has(r, NULL, "\xc3\xa9", 4999));
    assert_false(has(r, NULL, "\xc3\xa9", 5000));
    revocations_destroy(r);
    buf_fini(&text);
}

static void a_damaged_line_costs_itself(void **state)
{
    struct revocations *r = begin();
    struct buf text = {0};
    size_t line;

    (void)state;
    revoke_id(r, "one", 100);
    revocations_write(r, &text);
    line = text.len;
    revoke_id(r, "two", 100);
    buf_clear(&text);
    revocations_write(r, &text);
    revocations_destroy(r);
    for (size_t at = 0; at < line - 1; at++) {
        r = begin();
        text.p[at] ^= 1;
        assert_int_equal(revocations_read(r, buf_slice(&text), 60) > 0, 1);
        assert_false(has(r, "one", NULL, 0));
        assert_true(has(r, "two", NULL, 0));
        text.p[at] ^= 1;
        revocations_destroy(r);
    }
    r = begin(); /* cut short, as power loss may leave it */
    assert_int_equal(revocations_read(r, slice_make(text.p, text.len - 3), 60), 1);
    assert_int_equal(stats.revocations_kept, 1);
    revocations_destroy(r);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_revoked_by_its_jti_alone),
        cmocka_unit_test(a_user_is_revoked_up_to_a_time),
        cmocka_unit_test(the_later_times_count),
        cmocka_unit_test(none_makes_room_for_another),
        cmocka_unit_test(lines_bring_back_what_is_not_over),
        cmocka_unit_test(a_damaged_line_costs_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
