/* revocation_file_priv.h - revocations on disk, beside the journal: a line for each.
 *
 * Lines are appended, and synced, by a thread: the loop never waits for the disk. Every so often,
 * and after a failure, the file is written anew, as another one that takes its place. */
#ifndef DAEMON_REVOCATION_FILE_PRIV_H
#define DAEMON_REVOCATION_FILE_PRIV_H
#include "auth/revocations.h"
#include "base/error.h"

struct ev_loop;
struct revocation_file;

/* Reads the file in the directory `path`, if there is one, into `revocations`, which are borrowed
 * for the life. Damaged lines are told in the log. NULL with a sentence in `why`. */
struct revocation_file *revocation_file_open(const char *path, struct revocations *revocations,
                                             uint64_t wall_ms, struct ev_loop *ev,
                                             struct error *why);

/* Writes what still waits, and closes; the waiters must be gone. NULL is allowed. */
void revocation_file_close(struct revocation_file *f);

/* Writes a line; on_done comes later. A waiter that goes before takes its link out. */
void revocation_file_add(struct revocation_file *f, struct slice line,
                         struct revocation_waiter *waiter);
#endif
