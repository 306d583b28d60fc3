/* test_word.c - the first byte of eight that something is true of. */
#include "base/word.h"

#include "support/cm.h"

/* What a loop over the bytes finds; 8: none. */
static unsigned first_of(const char *p, bool (*is_it)(unsigned char c))
{
    unsigned i = 0;

    while (i < WORD_SIZE && !is_it((unsigned char)p[i]))
        i++;
    return i;
}

static unsigned first_mark(uint64_t marks)
{
    return marks == 0 ? WORD_SIZE : word_first(marks);
}

static bool is_control(unsigned char c)
{
    return c < 0x20;
}

static bool is_quote(unsigned char c)
{
    return c == '"';
}

static bool is_nul(unsigned char c)
{
    return c == '\0';
}

static bool is_high(unsigned char c)
{
    return c >= 0x80;
}

static bool is_any(unsigned char c)
{
    return is_control(c) || is_quote(c) || is_high(c);
}

static void assert_agrees(const char *p)
{
    uint64_t w = word_load(p);

    assert_int_equal(first_mark(word_below(w, 0x20)), first_of(p, is_control));
    assert_int_equal(first_mark(word_equal(w, '"')), first_of(p, is_quote));
    assert_int_equal(first_mark(word_equal(w, 0)), first_of(p, is_nul));
    assert_int_equal(first_mark(word_high(w)), first_of(p, is_high));
    assert_int_equal(first_mark(word_below(w, 0x20) | word_equal(w, '"') | word_high(w)),
                     first_of(p, is_any));
}

static void every_byte_is_judged_right_at_every_place(void **state)
{
    static const char fillers[] = {'a', ' ', '\x7f', '!', '#', '\x20'};
    char text[WORD_SIZE + 7];

    (void)state;
    for (size_t f = 0; f < sizeof fillers; f++) {
        for (int c = 0; c < 256; c++) {
            for (size_t at = 0; at < sizeof text; at++) {
                memset(text, fillers[f], sizeof text);
                text[at] = (char)c;
                for (size_t from = 0; from <= sizeof text - WORD_SIZE; from++)
                    assert_agrees(text + from);
            }
        }
    }
}

static void what_stands_behind_the_first_makes_no_difference(void **state)
{
    static const char bytes[] = {'\0', '\x01', '\x1f', ' ', '!', '"', '#', '\x7f', '\x80', '\xff'};
    uint64_t seed = 1;
    char text[WORD_SIZE];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = bytes[support_random(&seed) % sizeof bytes];
        assert_agrees(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_judged_right_at_every_place),
        cmocka_unit_test(what_stands_behind_the_first_makes_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
