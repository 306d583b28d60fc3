/* journal_priv.h - what the journal's commands share: where it is, and how far a long one is. */
#ifndef CLI_JOURNAL_PRIV_H
#define CLI_JOURNAL_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "arguments_priv.h"
#include "base/buf.h"
#include "configured_priv.h"

struct store_lock; /* store/replace.h */

/* One file each; argv[0] is the command's own name. */
int journal_check(int argc, char **argv);
int journal_stats(int argc, char **argv);
int journal_export(int argc, char **argv);
int journal_import(int argc, char **argv);
int journal_repair(int argc, char **argv);
int journal_compact(int argc, char **argv);
int journal_backup(int argc, char **argv);

/* ---- where the journal is ---- */

/* As the options say it. All zero is the beginning. */
struct journal_place {
    struct configured daemon; /* its configuration, where it was read */
    const char *path;         /* --path; after journal_place_find never NULL */
};

#define JOURNAL_PLACE_ARGUMENTS(place)                                                             \
    CONFIGURED_ARGUMENTS((place).daemon),                                                          \
        {0, "path", ARGUMENT_TEXT, "DIR", &(place).path, 0, 0,                                     \
         "the journal's directory; default journal.path"}

/* Finds the directory: --path, else journal.path of the configuration that the daemon would read.
 * Returns -1 to go on, else the exit code, after sentences on stderr. */
int journal_place_find(struct journal_place *place, const struct command *command);

void journal_place_fini(struct journal_place *place);

/* Has `work` done with the lock of the directory, in which there must be a journal. Returns its
 * exit code, or that of a complaint. */
int journal_do_locked(const struct command *command, const char *path,
                      int (*work)(const struct command *command, const char *path,
                                  struct store_lock *lock));

/* Before the journal is replaced by what is read from it; with the lock. Returns 0, or the exit
 * code after a complaint. */
int journal_require_whole(const struct command *command, const char *path,
                          const struct store_lock *lock);

/* ---- how far it is ---- */

/* A line on stderr that is written over, when that is a terminal and it takes over a second. */
struct progress {
    const char *what;     /* "entries"; NULL: bytes, as MiB */
    uint64_t of;          /* about; 0: unknown */
    uint64_t start_ms;
    uint64_t shown_ms;    /* when it was shown last; 0: not yet */
    bool is_terminal;
};

void progress_begin(struct progress *p, const char *what, uint64_t of);
void progress_show(struct progress *p, uint64_t done);

/* Removes the line: before anything else is printed. */
void progress_end(struct progress *p);

/* The line's text: "12 of 48 entries, 4/s, 9 s left". */
void progress_add_text(struct buf *out, const char *what, uint64_t done, uint64_t of,
                       uint64_t elapsed_ms);
#endif
