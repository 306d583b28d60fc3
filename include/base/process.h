/* process.h - what the system says of this process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H
#include <stddef.h>
#include <stdint.h>

struct process_info {
    uint64_t cpu_us;         /* in user and system mode, of all threads */
    uint64_t resident_bytes; /* 0 where /proc does not tell, as the next */
    uint64_t virtual_bytes;
    uint64_t max_descriptors;
};

void process_read(struct process_info *out);

/* Descriptors that are open, which takes about a microsecond each; 0 where /proc does not tell. */
size_t process_count_descriptors(void);

/* Lets the process's other threads go before the calling one, by as many steps of niceness (see
 * setpriority(2)). Returns 0 or -errno, as where a system call filter refuses. */
int process_yield_thread(int steps);
#endif
