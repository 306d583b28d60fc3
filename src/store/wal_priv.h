/* wal_priv.h - what is in the files of the write-ahead log, and what the store reads of it.
 *
 * Two files are written in turn, each from its beginning on, when the trees have all that is in it.
 * A frame begins at a multiple of WAL_STEP, so that no write touches what an earlier one has made
 * safe: a struct wal_head, then its entries, each a struct wal_entry with the record and the key
 * behind it. What stands behind the newest frame is left from earlier rounds, with lower
 * numbers. */
#ifndef STORE_WAL_PRIV_H
#define STORE_WAL_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

enum { WAL_FILES = 2, WAL_STEP = 4096 };

extern const char *const wal_file_names[WAL_FILES];

struct wal_head {
    uint32_t sum;      /* CRC-32C of what follows, up to the frame's end */
    uint32_t size;     /* bytes of its entries */
    uint64_t id;       /* of the log: another store's is not taken for this one's */
    uint64_t number;
};

struct wal_entry {
    uint32_t record_size;
    uint16_t key_size;
    uint16_t is_kept;
};

/* What wal_read has found. */
struct wal_found {
    uint64_t last;     /* number of the newest frame; `after`, if there is none behind that */
    bool is_broken;    /* frames between `after` and that one are missing or damaged */
};

/* Calls `visit` (NULL: nobody) with each entry of the frames behind number `after`, in their order.
 * Those that a process writes meanwhile come or do not. Returns 0, what `visit` has returned other
 * than 0, or -errno. */
typedef int wal_visit_fn(void *ctx, struct slice record, struct slice key, bool is_kept);
int wal_read(const char *path, uint64_t id, uint64_t after, wal_visit_fn *visit, void *ctx,
             struct wal_found *found);
#endif
