/* crc32c.c - eight bytes a step by the SSE 4.2 instruction, or one a step by a table. */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL_REFLECTED 0x82f63b78u

uint32_t crc32c_portable(uint32_t before, const void *p, size_t n)
{
    static uint32_t table[256];
    const unsigned char *at = p;
    uint32_t crc = ~before;

    if (__atomic_load_n(&table[255], __ATOMIC_ACQUIRE) == 0) /* the last entry is written last */
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;

            for (int k = 0; k < 8; k++)
                c = (c >> 1) ^ ((c & 1) != 0 ? POLYNOMIAL_REFLECTED : 0);
            __atomic_store_n(&table[i], c, __ATOMIC_RELEASE);
        }
    for (size_t i = 0; i < n; i++)
        crc = (crc >> 8) ^ table[(crc ^ at[i]) & 0xff];
    return ~crc;
}

#if defined __x86_64__ && defined __GNUC__
__attribute__((target("sse4.2")))
static uint32_t crc32c_sse42(uint32_t before, const void *p, size_t n)
{
    const unsigned char *at = p;
    uint64_t crc = ~before;
    uint64_t word;

    for (; n >= sizeof word; n -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; n > 0; n--, at++)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *at);
    return ~(uint32_t)crc;
}

uint32_t crc32c(uint32_t before, const void *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_sse42(before, p, n)
                                            : crc32c_portable(before, p, n);
}
#else
uint32_t crc32c(uint32_t before, const void *p, size_t n)
{
    return crc32c_portable(before, p, n);
}
#endif
