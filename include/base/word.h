/* word.h - eight bytes of a text looked at together, for scans that nearly all bytes pass.
 *
 * A mark is the highest bit of a byte. The lowest mark is right; marks above it need not be, as a
 * subtraction may borrow from a byte that has one. So several conditions may be or-ed, and of the
 * result word_first is asked. */
#ifndef BASE_WORD_H
#define BASE_WORD_H
#include <stdint.h>
#include <string.h>

enum { WORD_SIZE = 8 };

#define WORD_EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

/* The eight bytes at `p`, the first one lowest. */
static inline uint64_t word_load(const char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? w : __builtin_bswap64(w);
}

/* Marks bytes below `limit`, which is at most 0x80. */
static inline uint64_t word_below(uint64_t w, unsigned char limit)
{
    return (w - WORD_EACH(limit)) & ~w & WORD_EACH(0x80);
}

/* Marks bytes that are `byte`. */
static inline uint64_t word_equal(uint64_t w, unsigned char byte)
{
    return word_below(w ^ WORD_EACH(byte), 1);
}

/* Marks bytes that are not ASCII. */
static inline uint64_t word_high(uint64_t w)
{
    return w & WORD_EACH(0x80);
}

/* Index of the first byte with a mark; there must be one. */
static inline unsigned word_first(uint64_t marks)
{
    return (unsigned)__builtin_ctzll(marks) / 8;
}
#endif
