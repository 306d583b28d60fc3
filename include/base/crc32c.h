/* crc32c.h - the checksum of what is kept on disk.
 *
 * CRC-32C (Castagnoli), reflected, as in RFC 3720 12.1; by the processor's own instruction where
 * it has one. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* The checksum of `n` bytes behind those whose checksum is `before` (0: none). */
uint32_t crc32c(uint32_t before, const void *p, size_t n);

/* The same without the instruction: for tests, and for machines that lack it. */
uint32_t crc32c_portable(uint32_t before, const void *p, size_t n);
#endif
