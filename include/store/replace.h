/* replace.h - another store in a store's place: it is written beside, as a draft, and takes the
 * name when it is whole and safe on disk. Whenever the process or the machine ends, the directory
 * has the old one or the new one. */
#ifndef STORE_REPLACE_H
#define STORE_REPLACE_H
#include <stdbool.h>
#include "base/error.h"

struct store_lock;

/* Takes the lock of the directory, which is made if it is missing, without opening what is in it.
 * NULL, with a sentence in `why`, where another process has it. Pair: store_unlock, which also
 * removes the draft. */
struct store_lock *store_lock(const char *path, struct error *why);
void store_unlock(struct store_lock *lock);

/* Whether a process has the directory open for writing now. */
bool store_is_locked(const char *path);

/* Returns 0 where there is a store's file in the directory, be it damaged or empty; -1 with `why`
 * (NULL is allowed). */
int store_find(const char *path, struct error *why);

/* Removes the table that processes which have the store open share: none may. It is made again. */
void store_forget_readers(const char *path);

/* The directory of the draft, which is empty or absent: store_open makes a store there, store_copy
 * copies one there. Close it before store_replace. */
const char *store_draft(const struct store_lock *lock);

/* The draft becomes the store. Refused while any process reads the old one. Returns 0, or -1 with
 * `why`; then the old one is as it was. */
int store_replace(struct store_lock *lock, struct error *why);
#endif
