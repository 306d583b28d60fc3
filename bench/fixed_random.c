/* fixed_random.c - preloaded into a daemon whose instructions are counted: what is random, the keys
 * of hash tables and the journal's epoch, is the same in every run, so that counts are. */
#include <string.h>
#include <sys/random.h>

ssize_t getrandom(void *p, size_t n, unsigned flags)
{
    (void)flags;
    memset(p, 0x5a, n);
    return (ssize_t)n;
}
