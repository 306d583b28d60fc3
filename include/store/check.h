/* check.h - whether a store's file is whole. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct store_report {
    bool is_new;          /* there is no file, or one without a first commit */
    bool is_damaged;
    bool is_foreign;      /* of a newer sse-notify or LMDB: nothing else is known of it */
    uint64_t bytes;       /* of the file */
    uint64_t pages;
    uint64_t free_pages;
    uint64_t entries;     /* that are whole */
    uint64_t channels;
    uint64_t keys;
    uint64_t faults;      /* how many were found; one damaged place may make several */
    char what[256];       /* the first of them */
};

/* Looks at the store in the directory `path`, and changes nothing. Returns 0 with a report, or -1
 * with a sentence: it cannot be read, or a process is writing to it. */
int store_check(const char *path, struct store_report *out, struct error *why);
#endif
