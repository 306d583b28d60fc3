/* journal_priv.h - what the journal's commands share: where it is, and how far a long one is. */
#ifndef CLI_JOURNAL_PRIV_H
#define CLI_JOURNAL_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "arguments_priv.h"
#include "base/buf.h"
#include "config/config.h"

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
    const char *file;
    struct text_list overrides;
    const char *path;     /* --path; after journal_place_find never NULL */
    struct config config; /* the daemon's, where it was read */
    bool has_config;
};

#define JOURNAL_PLACE_ARGUMENTS(place)                                                             \
    {'c', "config", ARGUMENT_TEXT, "FILE", &(place).file, 0, 0,                                    \
     "the daemon's configuration; default\n" CONFIG_DEFAULT_PATH},                                 \
        {'o', "option", ARGUMENT_LIST, "S.K=VALUE", &(place).overrides, 0, 0,                      \
         "set one option over the file and the environment;\nmay be repeated"},                    \
        {0, "path", ARGUMENT_TEXT, "DIR", &(place).path, 0, 0,                                     \
         "the journal's directory; default journal.path"}

/* Finds the directory: --path, else journal.path of the configuration that the daemon would read.
 * Returns -1 to go on, else the exit code, after sentences on stderr. */
int journal_place_find(struct journal_place *place, const struct command *command);

/* Reads the configuration where that was not needed to find the directory. Returns likewise. */
int journal_place_configure(struct journal_place *place);

void journal_place_fini(struct journal_place *place);

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

/* "12 entries", "1 entry"; `many` is the plural, of which the last letters become `one`'s. */
void journal_add_count(struct buf *out, uint64_t count, const char *one, const char *many);

/* Bytes for people: "512 bytes", "1.5 MiB". */
void journal_add_size(struct buf *out, uint64_t bytes);

/* Writes `text` to stdout, to its end. Returns the exit code; a reader that has gone away is told
 * of nothing. */
int journal_print(const struct command *command, const struct buf *text);
#endif
