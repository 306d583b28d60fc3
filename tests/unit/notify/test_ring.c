/* test_ring.c - a ring owns one reference of each message in it, and no more memory than needed. */
#include "notify/ring.h"

#include <errno.h>
#include "message/message.h"
#include "support/cm.h"

enum { LIMIT = 100 };

/* A message that tells itself by its number; the test holds one reference. */
static struct message *make(uint64_t seq)
{
    struct message *m = message_create(0);

    assert_non_null(m);
    m->seq = seq;
    return m;
}

/* Pushes a message that the ring alone holds afterwards. */
static void push(struct ring *r, uint64_t seq)
{
    struct message *m = make(seq);

    assert_int_equal(ring_push(r, m, LIMIT), 0);
    assert_int_equal(m->refs, 2);
    message_unref(m);
}

static void assert_takes(struct ring *r, uint64_t seq)
{
    struct message *m = ring_take(r);

    assert_int_equal(m->seq, seq);
    assert_int_equal(m->refs, 1);
    message_unref(m);
}

/* Whether it holds memory of its own. */
static bool has_slots(const struct ring *r)
{
    return r->held != 0 && (r->held & 1) == 0;
}

static void messages_leave_in_the_order_they_came(void **state)
{
    struct ring r = {0};
    uint64_t in = 0;
    uint64_t out = 0;

    (void)state;
    for (int round = 0; round < 40; round++) { /* grows while it goes round and round */
        for (int i = 0; i < 3; i++)
            push(&r, ++in);
        for (int i = 0; i < 2; i++)
            assert_takes(&r, ++out);
        for (uint32_t i = 0; i < ring_count(&r); i++)
            assert_int_equal(ring_at(&r, i)->seq, out + 1 + i);
    }
    while (out < in)
        assert_takes(&r, ++out);
    assert_int_equal(ring_count(&r), 0);
    ring_clear(&r);
}

static void a_full_ring_refuses_and_changes_nothing(void **state)
{
    struct ring r = {0};
    struct message *m = make(3);

    (void)state;
    push(&r, 1);
    push(&r, 2);
    assert_int_equal(ring_push(&r, m, 2), -ENOBUFS);
    assert_int_equal(m->refs, 1);
    assert_int_equal(ring_count(&r), 2);
    assert_int_equal(ring_push(&r, m, 3), 0); /* the limit is the caller's of each push */
    assert_int_equal(ring_push(&r, m, 0), -ENOBUFS);
    message_unref(m);
    ring_clear(&r);
}

static void one_message_can_be_removed_from_anywhere(void **state)
{
    (void)state;
    for (uint32_t hole = 0; hole < 5; hole++) {
        struct ring r = {0};
        struct message *gone = NULL;
        uint64_t expected = 0;

        push(&r, 90); /* so that the ring wraps */
        push(&r, 91);
        push(&r, 92);
        for (int i = 0; i < 3; i++)
            message_unref(ring_take(&r));
        for (uint64_t seq = 0; seq < 5; seq++)
            push(&r, seq);
        gone = message_ref(ring_at(&r, hole));
        ring_remove(&r, hole);
        assert_int_equal(gone->refs, 1);
        message_unref(gone);
        assert_int_equal(ring_count(&r), 4);
        for (; ring_count(&r) > 0; expected++)
            if (expected != hole)
                assert_takes(&r, expected);
        ring_clear(&r);
    }
}

static void an_empty_ring_holds_no_memory(void **state)
{
    struct ring r = {0};

    (void)state;
    push(&r, 1);
    push(&r, 2);
    ring_relax(&r);
    assert_int_equal(ring_count(&r), 2); /* it is in use */
    assert_takes(&r, 1);
    assert_takes(&r, 2);
    assert_true(has_slots(&r)); /* kept for what comes next ... */
    ring_relax(&r);
    assert_false(has_slots(&r)); /* ... until asked */
    push(&r, 2);
    push(&r, 3);
    ring_clear(&r);
    assert_false(has_slots(&r));
    assert_int_equal(ring_count(&r), 0);
    push(&r, 4); /* it may be used again */
    ring_clear(&r);
}

static void a_message_alone_needs_no_memory(void **state)
{
    struct ring r = {0};

    (void)state;
    for (uint64_t seq = 1; seq < 4; seq++) {
        push(&r, seq);
        assert_false(has_slots(&r));
        assert_int_equal(ring_at(&r, 0)->seq, seq);
        assert_takes(&r, seq);
        assert_false(has_slots(&r));
        ring_relax(&r);
    }
    push(&r, 4);
    ring_remove(&r, 0);
    assert_false(has_slots(&r));
    assert_int_equal(ring_count(&r), 0);
    push(&r, 5);
    ring_clear(&r);
    assert_false(has_slots(&r));
    push(&r, 6);
    push(&r, 7); /* the one moves over */
    assert_takes(&r, 6);
    assert_takes(&r, 7);
    ring_clear(&r);
}

static void reserved_slots_take_what_is_there(void **state)
{
    struct ring r = {0};

    (void)state;
    assert_int_equal(ring_reserve(&r), 0);
    assert_int_equal(ring_count(&r), 0);
    push(&r, 1);
    assert_true(has_slots(&r));
    assert_int_equal(ring_reserve(&r), 0);
    assert_takes(&r, 1);
    ring_relax(&r);
    push(&r, 2);
    assert_int_equal(ring_reserve(&r), 0);
    assert_takes(&r, 2);
    ring_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_leave_in_the_order_they_came),
        cmocka_unit_test(a_full_ring_refuses_and_changes_nothing),
        cmocka_unit_test(one_message_can_be_removed_from_anywhere),
        cmocka_unit_test(a_message_alone_needs_no_memory),
        cmocka_unit_test(reserved_slots_take_what_is_there),
        cmocka_unit_test(an_empty_ring_holds_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
