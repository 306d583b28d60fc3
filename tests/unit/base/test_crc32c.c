/* test_crc32c.c - the checksum of what is kept on disk. */
#include "base/crc32c.h"
#include <string.h>
#include "support/cm.h"

/* RFC 3720 B.4, and the check value of the CRC catalogue. */
static void known_sums(void **state)
{
    unsigned char bytes[32];

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void the_table_and_the_instruction_agree_at_every_length_and_cut(void **state)
{
    unsigned char bytes[80];

    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    for (size_t n = 0; n <= 64; n++)
        for (size_t at = 0; at < 9; at++)
            assert_int_equal(crc32c(0, bytes + at, n), crc32c_portable(0, bytes + at, n));
    for (size_t cut = 0; cut <= sizeof bytes; cut++)
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                         crc32c(0, bytes, sizeof bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums),
        cmocka_unit_test(the_table_and_the_instruction_agree_at_every_length_and_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
