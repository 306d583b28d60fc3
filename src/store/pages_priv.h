/* pages_priv.h - the store's file as LMDB 0.9 lays it out, read without LMDB.
 *
 * LMDB trusts what stands in its pages: where they are damaged it crashes, goes round in circles or
 * writes over pages in use. Here every offset is checked before it is followed, every page is
 * entered once, and what does not fit is counted as a fault and gone around: no bytes can make this
 * crash. The bytes must not change meanwhile.
 *
 * Source: the layouts in liblmdb's mdb.c (MDB_page, MDB_node, MDB_db, MDB_meta). */
#ifndef STORE_PAGES_PRIV_H
#define STORE_PAGES_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/slice.h"
#include "store/check.h"

enum {
    HEADS = 2,      /* MDB_meta, in the first two pages; they are written in turn */
    TREE_SIZE = 48, /* of an MDB_db as it is stored */
    MAX_PAGE_SIZE = 32768,
};

#define NO_PAGE UINT64_MAX

/* What is wrong: how much of it, and the first in words. */
struct faults {
    uint64_t count;
    char first[STORE_MAX_FINDINGS][STORE_FINDING_SIZE];
};

void fault(struct faults *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct image {
    const unsigned char *p;
    size_t page_size;
    uint64_t pages; /* that are there in full */
};

/* MDB_db. */
struct tree {
    uint32_t pad;    /* size of the values, where they are packed */
    uint16_t flags;
    uint16_t depth;
    uint64_t branches;
    uint64_t leaves;
    uint64_t overflows;
    uint64_t entries;
    uint64_t root;   /* or NO_PAGE */
};

void tree_read(struct tree *tree, const void *bytes);

/* MDB_meta: where a snapshot begins. */
struct head {
    bool is_there;   /* the file is long enough for it */
    bool is_whole;   /* it says that it is one, and its number is one of this page's */
    uint32_t version;
    uint64_t txn;
    uint64_t last_page;
    struct tree free_list;
    struct tree names; /* the tree of trees */
};

enum { LMDB_VERSION = 1 };

/* Finds the size of a page, and reads the heads. */
void image_read(struct image *image, const void *bytes, size_t n, struct head heads[HEADS],
                struct faults *faults);

/* The pages of one snapshot. */
struct walk {
    const struct image *image;
    uint64_t last_page;
    uint64_t bits;        /* of each of the two maps: one a page */
    uint64_t *used;
    uint64_t *free;
    uint64_t used_count;
    uint64_t free_count;
    bool is_wary;         /* does not enter pages that are free too, or of another number */
    struct faults *faults;
    const struct pass *pass; /* NULL: nobody asks how far it is */
    uint64_t told;        /* used_count when it was told last */
};

/* Who is told how far a pass over the file is, in bytes. */
struct pass {
    store_progress_fn *on_progress; /* NULL: nobody */
    void *ctx;
};

static inline void pass_tell(const struct pass *pass, uint64_t bytes, uint64_t of)
{
    if (pass->on_progress != NULL)
        pass->on_progress(pass->ctx, bytes, of);
}

/* Returns 0 or -ENOMEM. Pair: walk_fini. */
int walk_init(struct walk *w, const struct image *image, const struct head *head,
              struct faults *faults);
void walk_fini(struct walk *w);

/* Notes the pages that the free list has. */
void walk_free_list(struct walk *w, const struct head *head);

/* What became of a tree. */
struct walked {
    bool is_whole;   /* no fault in it */
    bool meets_free; /* one of its pages is said to be free as well */
    uint64_t leaves; /* that could be entered */
};

enum walk_kind {
    WALK_PAIRS,      /* one value a key */
    WALK_RUNS,       /* MDB_DUPSORT of numbers of 64 bits: a run of them a key */
    WALK_TREES,      /* each value is a tree; of one that is none, `count` is 0 */
};

/* Is given every pair in order of the keys, or in a tree of runs `count` numbers of a key's, which
 * may come in several calls, all with the same key.p. */
typedef void walk_visit(void *ctx, struct slice key, struct slice value, size_t count);

/* Walks a tree, whose flags must be those. */
struct walked walk_tree(struct walk *w, const char *name, const struct tree *tree, unsigned flags,
                        enum walk_kind kind, walk_visit *visit, void *ctx);

/* When all trees and the free list are walked: each page is in one of them. LMDB keeps to that at
 * every commit, and refuses to make a compact copy of a file that does not. */
void walk_end(struct walk *w);
#endif
