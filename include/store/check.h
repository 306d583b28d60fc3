/* check.h - whether a store's file is whole, and what can be saved of one that is not.
 *
 * All of the file that can be reached is read: its two heads, every page of every tree, what the
 * free list says of the others, the sum of every record and every key, and what the trees say of
 * one another and the state of them all. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "store/store.h"

struct store_lock; /* replace.h */

enum {
    STORE_MAX_FINDINGS = 10,  /* that are put into words */
    STORE_FINDING_SIZE = 160,
    STORE_MAX_DAMAGED = 3,    /* damaged files that are kept, the newest */
};

struct store_report {
    bool is_live;         /* a process writes to it: its last commit was checked, and no more */
    bool is_damaged;
    uint64_t bytes;       /* of the file */
    uint64_t free_bytes;  /* of them */
    uint64_t entries;     /* that are whole, like the rest */
    uint64_t channels;
    uint64_t keys;        /* idempotency keys */
    uint64_t faults;      /* how many were found; one damaged place may make several */
    char findings[STORE_MAX_FINDINGS][STORE_FINDING_SIZE]; /* the first of them */
};

/* Looks at the store in the directory `path`, and changes nothing; a process may write to it.
 * `lock` is the caller's lock of the directory, or NULL. `on_progress` (NULL: none) is told how
 * many bytes of how many have been looked at, from 0 on for each pass over them. Returns 0 with a
 * report, or -1 with a sentence: there is none, it cannot be read, or it is of a newer version or
 * somebody else's. */
int store_check(const char *path, const struct store_lock *lock, store_progress_fn *on_progress,
                void *ctx, struct store_report *out, struct error *why);

/* What a repair has come to. */
struct store_repair {
    bool was_damaged;     /* else nothing was done */
    bool is_lossy;        /* not all is there, or not certain to be all: the epoch is a new one */
    uint64_t entries;     /* that are kept */
    char what[448];       /* all of it as a sentence */
};

/* Checks the store and, where it is damaged, puts what is whole of it into a new file. The damaged
 * one stays beside it, as data.mdb.damaged-TIME. Returns 0, or -1 with a sentence: then the file is
 * as it was. */
int store_repair(struct store_lock *lock, store_progress_fn *on_progress, void *ctx,
                 struct store_repair *out, struct error *why);
#endif
