/* test_intern.c - texts stored once, and the embedded list. */
#include "base/intern.h"

#include <stdio.h>
#include "base/list.h"
#include "support/cm.h"

static void equal_texts_are_one_and_go_with_their_last_reference(void **state)
{
    struct intern_table t;
    char other[] = "curl/8";
    struct interned *a;
    struct interned *b;
    struct interned *c;

    (void)state;
    intern_init(&t);
    a = intern_ref(&t, slice_of("curl/8"));
    b = intern_ref(&t, slice_of(other));
    c = intern_ref(&t, slice_of("curl/80"));
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    other[0] = 'x'; /* the caller's bytes are its own */
    assert_string_equal(a->text, "curl/8");
    assert_int_equal(a->length, 6);
    intern_unref(&t, a);
    assert_string_equal(b->text, "curl/8");
    intern_unref(&t, b);
    assert_int_equal(hash_table_count(&t.texts), 1);
    intern_unref(&t, c);
    intern_unref(&t, NULL);
    assert_int_equal(hash_table_count(&t.texts), 0);
    intern_fini(&t);
}

static void the_empty_text_of_an_absent_header_is_a_text(void **state)
{
    struct intern_table t;
    struct interned *empty;

    (void)state;
    intern_init(&t);
    empty = intern_ref(&t, slice_of(NULL));
    assert_non_null(empty);
    assert_string_equal(empty->text, "");
    assert_ptr_equal(intern_ref(&t, slice_of("")), empty);
    intern_unref(&t, empty);
    intern_unref(&t, empty);
    intern_fini(&t);
}

static void many_texts_live_side_by_side(void **state)
{
    enum { COUNT = 2000 };
    static struct interned *texts[COUNT];
    struct intern_table t;
    char text[32];

    (void)state;
    intern_init(&t);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "agent/%d", i);
        texts[i] = intern_ref(&t, slice_of(text));
        assert_non_null(texts[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "agent/%d", i);
        assert_string_equal(texts[i]->text, text);
        intern_unref(&t, texts[i]);
    }
    assert_int_equal(hash_table_count(&t.texts), 0);
    intern_fini(&t);
}

struct row {
    int number;
    struct list link;
};

static void assert_numbers(const struct list *head, const char *expected)
{
    char text[32] = "";
    size_t n = 0;

    for (struct list *l = head->next; l != head; l = l->next)
        text[n++] = (char)('0' + LIST_HOLDER(l, struct row, link)->number);
    assert_string_equal(text, expected);
}

static void a_list_keeps_order_and_lets_any_link_go(void **state)
{
    struct row rows[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    struct list head;

    (void)state;
    list_init(&head);
    assert_true(list_is_empty(&head));
    for (int i = 0; i < 4; i++) {
        assert_false(list_is_linked(&rows[i].link));
        list_add_last(&head, &rows[i].link);
    }
    assert_numbers(&head, "0123");
    list_remove(&rows[1].link);
    list_remove(&rows[1].link); /* out already: nothing happens */
    assert_numbers(&head, "023");
    list_remove(&rows[3].link);
    list_remove(&rows[0].link);
    assert_numbers(&head, "2");
    list_add_last(&head, &rows[0].link);
    assert_numbers(&head, "20");
    list_remove(&rows[2].link);
    list_remove(&rows[0].link);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_are_one_and_go_with_their_last_reference),
        cmocka_unit_test(the_empty_text_of_an_absent_header_is_a_text),
        cmocka_unit_test(many_texts_live_side_by_side),
        cmocka_unit_test(a_list_keeps_order_and_lets_any_link_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
