/* test_id.c - the names of places: what is ours, what is another epoch's, and what is neither. */
#include "message/id.h"

#include <errno.h>
#include <string.h>
#include "support/cm.h"

static const char epoch[] = "k3v9a0bc";

static void assert_parses(const char *text, int status)
{
    uint64_t seq;

    assert_int_equal(id_parse(slice_of(text), epoch, &seq), status);
}

static void an_id_reads_as_it_was_written(void **state)
{
    static const uint64_t seqs[] = {0, 1, 9, 10, 123456789, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        char text[ID_TEXT_SIZE];
        size_t n = id_format(epoch, seqs[i], text);
        uint64_t seq = 77;

        assert_int_equal(n, strlen(text));
        assert_int_equal(id_parse(slice_make(text, n), epoch, &seq), 0);
        assert_true(seq == seqs[i]);
    }
}

static void an_id_of_another_epoch_is_told_from_one_that_is_none(void **state)
{
    (void)state;
    assert_parses("other000-7", -ENOENT);
    assert_parses("k3v9a0b-7", -ENOENT);
    assert_parses("K3V9A0BC-7", -ENOENT);
    assert_parses("", -EINVAL);
    assert_parses("-", -EINVAL);
    assert_parses("-7", -EINVAL);
    assert_parses("k3v9a0bc", -EINVAL);
    assert_parses("k3v9a0bc-", -EINVAL);
    assert_parses("k3v9a0bc-x", -EINVAL);
    assert_parses("k3v9a0bc-7-7", -EINVAL);
    assert_parses("k3v9a0bc--7", -EINVAL);
    assert_parses("k3v9a0bc-+7", -EINVAL);
    assert_parses("k3v9a0bc- 7", -EINVAL);
    assert_parses("k3v9a0bc-7 ", -EINVAL);
    assert_parses("k3v9a0bc-18446744073709551616", -EINVAL);
}

static void one_place_has_one_name(void **state)
{
    (void)state;
    assert_parses("k3v9a0bc-0", 0);
    assert_parses("k3v9a0bc-00", -EINVAL);
    assert_parses("k3v9a0bc-007", -EINVAL);
}

static void an_id_that_is_too_long_is_none(void **state)
{
    char text[MAX_ID_BYTES + 2];
    uint64_t seq;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + MAX_ID_BYTES - 2, "-77", 3);
    assert_int_equal(id_parse(slice_make(text, MAX_ID_BYTES), epoch, &seq), -ENOENT);
    assert_int_equal(id_parse(slice_make(text, MAX_ID_BYTES + 1), epoch, &seq), -EINVAL);
}

static void epochs_are_words_that_do_not_come_twice(void **state)
{
    char a[EPOCH_SIZE];
    char b[EPOCH_SIZE];

    (void)state;
    assert_int_equal(epoch_create(a), 0);
    assert_int_equal(epoch_create(b), 0);
    assert_int_equal(strlen(a), EPOCH_LENGTH);
    assert_int_equal(strspn(a, "0123456789abcdefghijklmnopqrstuvwxyz"), EPOCH_LENGTH);
    assert_string_not_equal(a, b); /* by chance once in 2^40 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_reads_as_it_was_written),
        cmocka_unit_test(an_id_of_another_epoch_is_told_from_one_that_is_none),
        cmocka_unit_test(one_place_has_one_name),
        cmocka_unit_test(an_id_that_is_too_long_is_none),
        cmocka_unit_test(epochs_are_words_that_do_not_come_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
