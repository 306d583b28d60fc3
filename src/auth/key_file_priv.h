/* key_file_priv.h - a file with keys, in memory that nothing of it is left behind in. */
#ifndef AUTH_KEY_FILE_PRIV_H
#define AUTH_KEY_FILE_PRIV_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/error.h"

/* Reads all of a file into an empty buffer. `*is_open_to_all` (NULL: no matter) is whether every
 * user of the machine can read it. Returns 0; or -errno with a sentence's end in `why`. Pair:
 * key_file_fini, in any case. */
int key_file_read(const char *path, struct buf *out, bool *is_open_to_all, struct error *why);

/* Overwrites what was read. */
void key_file_fini(struct buf *text);

/* Says in the log that everybody can read a file with a secret. */
void key_file_warn_is_open(const char *setting, const char *path);
#endif
