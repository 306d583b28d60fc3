/* file.h - writing that is whole, and that survives a power loss. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include "base/slice.h"

/* Writes all of it, at the descriptor's own place. Returns 0 or -errno: then a part of it may be
 * there. */
int file_write_all(int fd, struct slice bytes);

/* Makes the names in a directory as safe as fsync makes a file's bytes: after one was made or
 * renamed. There are file systems that cannot, and need not. Returns 0 or -errno. */
int file_sync_directory(const char *path);
#endif
