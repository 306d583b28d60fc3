#include "loadgen/mark_priv.h"

#include "support/cm.h"

static void what_is_put_is_found_amid_other_text(void **state)
{
    const struct mark marks[] = {{0, 0, 1}, {1764060000123456789u, 19000, 42},
                                 {UINT64_MAX, UINT32_MAX, UINT32_MAX}};
    char text[200] = "data: \"a ~ b ~1.2 ~3.4.~ ";
    size_t lead = strlen(text);

    (void)state;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        char *end = mark_put(text + lead, &marks[i]);
        struct mark found;

        assert_in_range(end - text - (long)lead, 1, MARK_MAX_BYTES);
        memcpy(end, "xxx\"", 4);
        assert_true(mark_find(slice_make(text, (size_t)(end + 4 - text)), &found));
        assert_memory_equal(&found, &marks[i], sizeof(found));
    }
}

static void half_a_mark_is_none(void **state)
{
    const char *texts[] = {"", "~", "~1.2.3", "~1.2~", "~.2.3~", "~1.2.3.4~", "1.2.3~", "~a.2.3~"};
    struct mark found;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(mark_find(slice_of(texts[i]), &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found_amid_other_text),
        cmocka_unit_test(half_a_mark_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
