/* wal.h - the write-ahead log: where an entry is safe first.
 *
 * A commit of the trees writes pages all over their file, and waits for the disk twice; a frame of
 * the log is one run of bytes, and is waited for once. So an entry is acknowledged when its frame
 * is safe, and the trees get it later, with very many others in one commit. What they had not got
 * when the process ended, store_open gives them.
 *
 * Used by one thread, which need not be the one that writes to the store. */
#ifndef STORE_WAL_H
#define STORE_WAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/slice.h"

struct wal;
struct store; /* store.h */

/* Opens the log of a store that is open for writing, whose trees have all that is in it, and writes
 * to the store that it has one. NULL with a sentence in `why`. Pair: wal_close. */
struct wal *wal_open(struct store *s, struct error *why);

/* Before the store is closed, in which it writes that the log is not needed any more if its trees
 * have everything. NULL is allowed. */
void wal_close(struct wal *w);

/* Begins a frame: nothing is in it. */
void wal_begin(struct wal *w);

/* Adds an entry: a record as record_write has made it, and its idempotency key (empty: none). With
 * `is_kept` false it is a number that was used for something that is not kept. Returns 0, or
 * -ENOMEM: the frame is of no use. */
int wal_add(struct wal *w, struct slice record, struct slice key, bool is_kept);

/* Bytes of records and keys that find room in a file of the log. A frame with more makes it larger
 * for a time. */
size_t wal_frame_limit(const struct wal *w);

/* Whether the frame that was made finds room, when frames up to the number `stored` are in the
 * trees, safely: what they take up may be overwritten. */
bool wal_has_room(const struct wal *w, uint64_t stored);

/* Writes the frame and waits until it is safe. Returns 0; -ENOSPC where it has no room; or -errno:
 * until wal_clear has returned 0 it may be there or not, and no other is written. */
int wal_write(struct wal *w, uint64_t stored);

/* Makes certain that nothing is where the next frame will be, be it one that could not be written.
 * Returns 0, or -errno: the log cannot be written. */
int wal_clear(struct wal *w);

/* The number of the last frame that was written. They grow by one. */
uint64_t wal_number(const struct wal *w);
#endif
