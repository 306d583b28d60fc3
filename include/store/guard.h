/* guard.h - work on a mapped file whose pages may turn out not to be there.
 *
 * Where a file was cut short, or its disk gives a page no more, the system answers the access with
 * SIGBUS, which ends a process that is not prepared for it. Work under a guard ends instead. */
#ifndef STORE_GUARD_H
#define STORE_GUARD_H
#include <stdbool.h>

/* Runs work(ctx) and returns what it returns. As soon as a page cannot be had it is ended: -EIO, or
 * -EBADMSG where guard_fail was called, and *is_cut, which is false otherwise. What was under way
 * is left as it stood then: nothing but closing may be done with the store. Of guards within one
 * another the innermost is ended. */
int guard_run(int (*work)(void *ctx), void *ctx, bool *is_cut);

/* Ends the work of this thread, if it is under a guard; else it returns. */
void guard_fail(void);
#endif
