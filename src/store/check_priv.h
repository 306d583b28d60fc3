/* check_priv.h - what there is in a store's file, for who checks it and who repairs it. */
#ifndef STORE_CHECK_PRIV_H
#define STORE_CHECK_PRIV_H
#include "pages_priv.h"
#include "store/check.h"
#include "store_priv.h"

enum { MAX_FILE_NAME = 4096 + 64 };

/* What one commit has left, found from its head. */
struct snapshot {
    const struct head *head;
    struct walk walk;
    struct faults faults;
    struct tree trees[DB_COUNT];
    bool has_tree[DB_COUNT];
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

struct findings {
    struct image image;
    struct head heads[HEADS];
    struct faults faults;
    struct snapshot snapshots[HEADS];
    struct snapshot *last;       /* of the last commit, as far as can be told */
    struct snapshot *other;
    bool is_last;                /* it is certain that no commit came after it */
    bool is_new;
    bool is_foreign;
    struct tally tally;
    struct walked walked[DB_COUNT];
};

/* The file, which stays as it is for as long as it is held. */
struct contents {
    void *p;
    size_t n;
    bool is_absent;
};

/* Returns 0 or -1 with a sentence. Pair: contents_close. */
int contents_open(struct contents *c, const char *file, struct error *why);
void contents_close(struct contents *c);

/* Looks at all of it. Returns 0 or -ENOMEM. The bytes are borrowed. Pair: findings_fini. */
int findings_init(struct findings *f, const void *bytes, size_t n);
void findings_fini(struct findings *f);

bool findings_are_bad(const struct findings *f);

/* The first fault, and how many there are. */
void findings_describe(const struct findings *f, char *out, size_t size);

/* Reads a pair of the tree `entries` or `keys`, or says that it is damaged. */
bool entry_read(struct slice key, struct slice value, struct record *r);
bool stored_key_read(struct slice key, struct slice value, struct stored_key *head, uint64_t *seq,
                     struct slice *text);

/* The place of an entry in its channel, as one number. */
uint64_t place_in_channel(struct slice channel_key, uint64_t seq);
uint64_t place_of_record(const struct record *r);

/* Walks one of the trees of a snapshot. */
struct walked snapshot_walk(struct snapshot *s, struct walk *w, enum db db, walk_visit *visit,
                            void *ctx);
#endif
