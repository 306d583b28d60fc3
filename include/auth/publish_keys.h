/* publish_keys.h - the static keys that may send: a file with a line for each.
 *
 *     NAME sha256:HASH [rate=N] [PATTERN]...
 *
 * Keys are random, so a plain hash of one tells nothing about it. Without patterns (access.h) a key
 * may send to all; `rate` is how many notifications it may send a second. Blank lines and lines
 * that begin with '#' are passed over. The file is read again when it has changed. */
#ifndef AUTH_PUBLISH_KEYS_H
#define AUTH_PUBLISH_KEYS_H
#include <stdbool.h>
#include <stdint.h>
#include "auth/access.h"
#include "base/buf.h"
#include "base/error.h"

struct publish_keys;

struct publish_key {
    char *name;
    bool is_restricted;   /* to `grants` */
    struct grants grants;
    uint64_t rate;        /* notifications a second; 0: as the others */
    double allowance;     /* how many it may still send now; under 0 after a large batch */
    uint64_t counted_ms;  /* when that was counted */
    unsigned char hash[32];
};

/* Reads the file. `default_rate` is for keys that have no rate (0: no limit), `path` is borrowed
 * for the life. NULL with a sentence in `why` that names file and line. */
struct publish_keys *publish_keys_open(const char *path, uint64_t default_rate, struct error *why);
void publish_keys_close(struct publish_keys *keys);

/* The key that `text` is, or NULL. All keys are compared, in constant time. Looks at most once a
 * second whether the file has changed; one that is wrong is told in the log, and the keys of before
 * stay. What is returned is good until the next call. */
struct publish_key *publish_keys_find(struct publish_keys *keys, struct slice text,
                                      uint64_t now_ms);

/* Whether the key may send `count` notifications now, which are then counted. A batch is taken
 * whole where one could be, and the next has to wait. */
bool publish_keys_take(const struct publish_keys *keys, struct publish_key *key, size_t count,
                       uint64_t now_ms);

/* ---- making keys ---- */

enum { PUBLISH_KEY_SIZE = 64 };

/* Draws a key, terminated, and appends the line that a file has for it; `patterns` may be none.
 * Returns 0; -EINVAL with a sentence in `why`: the name or a pattern cannot stand there; -ENOMEM;
 * or another -errno without random numbers. */
int publish_key_make(const char *name, const char *const *patterns, size_t pattern_count,
                     uint64_t rate, char key[PUBLISH_KEY_SIZE], struct buf *line,
                     struct error *why);

/* Whether a line of the file's `text` has that name. */
bool publish_keys_have_name(struct slice text, const char *name);
#endif
