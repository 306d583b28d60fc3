/* test_base64url.c - one text for any bytes, and no other. */
#include "auth/base64url_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "support/cm.h"

static void assert_decodes(const char *text, const char *bytes)
{
    struct buf out = {0};

    assert_int_equal(base64url_decode(&out, slice_of(text)), 0);
    assert_slice(buf_slice(&out), bytes);
    out.len = 0;
    assert_int_equal(base64url_encode(&out, slice_of(bytes)), 0);
    assert_slice(buf_slice(&out), text);
    buf_fini(&out);
}

/* RFC 4648 10, without padding. */
static void texts_of_any_length_go_there_and_back(void **state)
{
    (void)state;
    assert_decodes("", "");
    assert_decodes("Zg", "f");
    assert_decodes("Zm8", "fo");
    assert_decodes("Zm9v", "foo");
    assert_decodes("Zm9vYg", "foob");
    assert_decodes("Zm9vYmE", "fooba");
    assert_decodes("Zm9vYmFy", "foobar");
    assert_decodes("-_-_", "\xfb\xff\xbf");
}

static void what_is_not_canonical_is_refused_and_appends_nothing(void **state)
{
    static const char *const rows[] = {
        "Z",        /* six bits are no byte */
        "Zm9vZ",
        "Zg==",     /* padding */
        "Zm8=",
        "Zh",       /* bits that mean nothing are set */
        "Zm9",
        "Zm 8",
        "Zm8\n",
        "Zm+v",     /* the other alphabet */
        "Zm/v",
        "Zm.v",
        "\xc3\xa9gg",
    };
    struct buf out = {0};

    (void)state;
    buf_add_text(&out, "before");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(base64url_decode(&out, slice_of(rows[i])), -EINVAL);
        assert_slice(buf_slice(&out), "before");
    }
    assert_int_equal(base64url_decode(&out, slice_make("Zm\0v", 4)), -EINVAL);
    buf_fini(&out);
}

static void random_bytes_come_back(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        unsigned char bytes[64];
        size_t n = support_random(&seed) % (sizeof bytes + 1);
        struct buf text = {0};
        struct buf back = {0};

        for (size_t j = 0; j < n; j++)
            bytes[j] = (unsigned char)support_random(&seed);
        assert_int_equal(base64url_encode(&text, slice_make((const char *)bytes, n)), 0);
        assert_int_equal(base64url_decode(&back, buf_slice(&text)), 0);
        assert_int_equal(back.len, n);
        assert_memory_equal(back.p, bytes, n);
        buf_fini(&text);
        buf_fini(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_any_length_go_there_and_back),
        cmocka_unit_test(what_is_not_canonical_is_refused_and_appends_nothing),
        cmocka_unit_test(random_bytes_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
