/* scratch.h - a directory of a test's own. */
#ifndef SUPPORT_SCRATCH_H
#define SUPPORT_SCRATCH_H

enum { SCRATCH_SIZE = 256 };

/* Makes an empty directory below TMPDIR or /tmp and writes its path. */
void scratch_make(char path[SCRATCH_SIZE]);

/* Removes it with all that is in it. */
void scratch_remove(const char *path);
#endif
