/* wal_priv.h - what is in the files of the write-ahead log, and what the store reads of it.
 *
 * Two files are written in turn, each from its beginning on, when the trees have all that is in it.
 * A frame begins at a multiple of WAL_STEP, so that no write touches a page with what an earlier
 * one has made safe. It is a run of sectors, each with a checksum of its own, as a disk writes a
 * sector as a whole or not at all: of a frame that was cut short by the end of a process or the
 * power each sector is what it was before, or what it was to be. One that is neither is damaged.
 *
 * The entries, each a struct wal_entry with the record and the key behind it, are spread over the
 * sectors of their frame. What stands behind the newest frame is left from earlier rounds. */
#ifndef STORE_WAL_PRIV_H
#define STORE_WAL_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

struct stored_state; /* store_priv.h */

enum { WAL_FILES = 2, WAL_STEP = 4096, WAL_SECTOR = 512, WAL_SECTOR_BYTES = WAL_SECTOR - 32 };

#define WAL_ASIDE ".damaged" /* the names of files that are kept aside end so */

extern const char *const wal_file_names[WAL_FILES];

struct wal_sector {
    uint32_t sum;      /* CRC-32C of what follows */
    uint32_t index;    /* in its frame */
    uint64_t id;       /* of the log, which is another after each start */
    uint64_t number;   /* of the frame */
    uint32_t size;     /* bytes of the frame's entries */
    uint32_t steps;    /* length of the file, by which it is known to have been cut */
    char bytes[WAL_SECTOR_BYTES];
};

_Static_assert(sizeof(struct wal_sector) == WAL_SECTOR, "as it is on the disk");

struct wal_entry {
    uint32_t record_size;
    uint16_t key_size;
    uint16_t is_kept;
};

/* Sectors of a frame with `size` bytes of entries, and what the frame takes up of its file. */
static inline uint64_t wal_sectors(uint64_t size)
{
    return size == 0 ? 1 : (size + WAL_SECTOR_BYTES - 1) / WAL_SECTOR_BYTES;
}

static inline uint64_t wal_frame_size(uint64_t size)
{
    return (wal_sectors(size) * WAL_SECTOR + WAL_STEP - 1) / WAL_STEP * WAL_STEP;
}

/* Of a sector as it is. */
uint32_t wal_sector_sum(const struct wal_sector *sector);

/* What wal_read has found. */
struct wal_found {
    uint64_t last;     /* number of the newest frame; what the trees have, if it is older */
    bool is_broken;    /* frames that were made safe are missing or damaged, or may be */
};

/* Calls `visit` (NULL: nobody) with each entry of the frames that the trees have not, going by
 * their state, in their order. Those that a process writes meanwhile come or do not. Returns 0,
 * what `visit` has returned other than 0, or -errno. */
typedef int wal_visit_fn(void *ctx, struct slice record, struct slice key, bool is_kept);
int wal_read(const char *path, const struct stored_state *state, wal_visit_fn *visit, void *ctx,
             struct wal_found *found);

/* Keeps the files as they are under other names, instead of those that were kept before. */
void wal_keep_aside(const char *path);
#endif
