/* check_priv.h - what there is in a store's file, for who checks it and who repairs it. */
#ifndef STORE_CHECK_PRIV_H
#define STORE_CHECK_PRIV_H
#include "pages_priv.h"
#include "store/check.h"
#include "store_priv.h"

/* What one commit has left, found from its head. */
struct snapshot {
    const struct head *head;
    struct walk walk;
    struct faults faults;
    struct tree trees[DB_COUNT];
    bool has_tree[DB_COUNT];
    size_t unknown;              /* trees of other names */
    bool has_state;              /* sealed, and of our format */
    struct stored_state state;
    uint32_t newer_format;       /* of a state that is sealed; 0: none */
};

/* What was counted, and sums that do not depend on the order: of the entries' places as the records
 * have them, and as the other trees do. */
struct tally {
    uint64_t entries;
    uint64_t entries_sum;
    uint64_t highest;
    uint64_t keys;
    uint64_t keys_sum;
    uint64_t channels;
    uint64_t marks_sum;
    uint64_t graves;
    uint64_t in_records[DB_COUNT];
    uint64_t in_trees[DB_COUNT];
};

enum foreign { FOREIGN_NOT, FOREIGN_FORMAT, FOREIGN_LMDB, FOREIGN_PROGRAM };

struct findings {
    struct image image;
    struct head heads[HEADS];
    struct faults faults;
    struct snapshot snapshots[HEADS];
    struct snapshot *last;       /* of the last commit, as far as can be told */
    struct snapshot *other;
    bool is_last;                /* it is certain that no commit came after it */
    bool is_new;
    enum foreign foreign;
    struct tally tally;
    struct walked walked[DB_COUNT];
};

/* ---- contents.c ---- */
struct contents {
    int fd;
    void *p;
    size_t n;
};

/* Maps the file. Returns 0 or -1 with a sentence. Pair, in any case: contents_close. */
int contents_open(struct contents *c, const char *file, const struct pass *pass, struct error *why);
void contents_close(struct contents *c);

/* Puts zeros where the file has nothing to give any more. Returns 0 or -errno. */
int contents_patch(struct contents *c);

/* ---- check.c ---- */
/* Looks at all of it; or, beside a process that writes, at what one commit has left, whose head is
 * `only` (else NULL). Returns 0 or -ENOMEM. The bytes are borrowed. Pair: findings_fini. */
int findings_init(struct findings *f, const void *bytes, size_t n, const struct head *only,
                  const struct pass *pass);
void findings_fini(struct findings *f);

enum { MAX_PATCHES = 3 }; /* of a file that ever less can be read of; then its disk fails */

/* The same of a file, which may be cut short meanwhile. Returns 0 or -errno. */
int findings_of(struct findings *f, struct contents *c, const struct head *only,
                const struct pass *pass);

/* Says why a file is left alone that this program does not know; false: it is none. */
bool findings_are_foreign(const struct findings *f, const char *path, struct error *why);

bool findings_are_bad(const struct findings *f);

/* How many faults there are, and the i-th in words (i < STORE_MAX_FINDINGS), or NULL. */
uint64_t findings_count(const struct findings *f);
const char *findings_text(const struct findings *f, size_t i);

/* The first fault (there must be one), and how many more there are. */
void findings_describe(const struct findings *f, char *out, size_t size);

/* Reads a pair of the tree `entries` or `keys`, or says that it is damaged. */
bool entry_read(struct slice key, struct slice value, struct record *r);
bool stored_key_read(struct slice key, struct slice value, struct stored_key *head, uint64_t *seq,
                     struct slice *text);

/* The place of an entry in its channel, as one number. */
uint64_t place_in_channel(struct slice channel_key, uint64_t seq);
uint64_t place_of_record(const struct record *r);

/* ---- repair.c ---- */
/* store_repair; the caller has the lock. A directory without a file is whole. */
int repair_directory(const char *path, const struct pass *pass, struct store_repair *out,
                     struct error *why);

/* ---- aside.c ---- */
enum { ASIDE_NAME = 64 };

/* Gives the store's file, whose bytes those are, a second name, by which it stays when another
 * takes its place; `name` gets it, or is empty where the file is. Returns 0 or errno. */
int aside_keep(const char *path, const struct contents *c, char name[ASIDE_NAME]);

/* Removes the oldest of those that are too many. */
void aside_remove_old(const char *path);

/* ---- check.c ---- */
/* Walks one of the trees of a snapshot. */
struct walked snapshot_walk(struct snapshot *s, struct walk *w, enum db db, walk_visit *visit,
                            void *ctx);
#endif
