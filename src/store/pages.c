/* pages.c - see the header. Offsets are within the page, and of 16 bits as they are stored.
 *
 *   page    own number u64, pad u16, flags u16, then lower u16 and upper u16, or the number of
 *           pages u32 of an overflow; then one u16 a node: its offset, in order of the keys. The
 *           nodes fill the page from `upper` to its end.
 *   node    low u16, high u16, flags u16, size of the key u16, the key, and in a leaf the data.
 *           Low and high are the size of the data; in a branch they and the flags are the page.
 *   packed  a leaf of a tree that holds one key's run: numbers of 64 bits behind the header, and
 *           `lower` and `upper` as if they were nodes. */
#include "pages_priv.h"

#include <errno.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_HEADER = 16,
    NODE_HEADER = 8,
    NUMBER = 8,
    MIN_PAGE_SIZE = 512,
    MAX_DEPTH = 32, /* LMDB's cursors go no deeper */
    MAX_KEY_SIZE = 511,
    AHEAD = 8,
    TELL_EVERY = 1024, /* pages */
    HEAD_SIZE = 136,
    /* Flags of pages. */
    BRANCH = 0x01,
    LEAF = 0x02,
    OVERFLOW = 0x04,
    META = 0x08,
    PACKED = LEAF | 0x20,
    WITHIN = PACKED | 0x10 | 0x40, /* a short run's page, which is the data of a node */
    /* Flags of nodes. */
    NODE_OVERFLOW = 0x01,
    NODE_TREE = 0x02,
    NODE_RUN = 0x04,
};

/* Pages that a transaction has taken beyond the file's end and not needed in the end. */
#define MAX_BEYOND ((uint64_t)1 << 22)

void fault(struct faults *f, const char *format, ...)
{
    va_list args;

    if (f->count++ >= STORE_MAX_FINDINGS)
        return;
    va_start(args, format);
    vsnprintf(f->first[f->count - 1], sizeof f->first[0], format, args);
    va_end(args);
}

static uint16_t u16_at(const unsigned char *p)
{
    uint16_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

static uint32_t u32_at(const unsigned char *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t u64_at(const void *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

void tree_read(struct tree *tree, const void *bytes)
{
    const unsigned char *p = bytes;

    *tree = (struct tree){
        .pad = u32_at(p),
        .flags = u16_at(p + 4),
        .depth = u16_at(p + 6),
        .branches = u64_at(p + 8),
        .leaves = u64_at(p + 16),
        .overflows = u64_at(p + 24),
        .entries = u64_at(p + 32),
        .root = u64_at(p + 40),
    };
}

/* ---- the heads ---- */

static const unsigned char *page_at(const struct image *image, uint64_t number)
{
    return image->p + number * image->page_size;
}

/* In the free list's own tree, whose keys need no such field, LMDB keeps the size of a page. */
static bool is_head(const unsigned char *p, size_t page_size)
{
    const unsigned char *meta = p + PAGE_HEADER;

    return (u16_at(p + 10) & META) != 0 && u32_at(meta) == (uint32_t)0xBEEFC0DE &&
           u32_at(meta + 24) == page_size;
}

/* The size by which most of the heads are ones; where none is, that of this machine's pages. */
static size_t find_page_size(const unsigned char *p, size_t n)
{
    size_t found = 4096;
    int most = 0;

    for (size_t size = MIN_PAGE_SIZE; size <= MAX_PAGE_SIZE; size *= 2) {
        int count = 0;

        if (n >= PAGE_HEADER + HEAD_SIZE)
            count += is_head(p, size);
        if (n >= size + PAGE_HEADER + HEAD_SIZE)
            count += is_head(p + size, size);
        if (count > most) {
            most = count;
            found = size;
        }
    }
    return found;
}

static void head_read(const struct image *image, size_t i, struct head *head, struct faults *f)
{
    const unsigned char *p = page_at(image, i);
    const unsigned char *meta = p + PAGE_HEADER;

    head->is_there = true;
    head->version = u32_at(meta + 4);
    tree_read(&head->free_list, meta + 24);
    tree_read(&head->names, meta + 72);
    head->last_page = u64_at(meta + 120);
    head->txn = u64_at(meta + 128);
    head->is_whole = u64_at(p) == i && u16_at(p + 10) == META && is_head(p, image->page_size) &&
                     (head->txn % HEADS == i || head->txn == 0); /* both begin with 0 */
    if (!head->is_whole)
        fault(f, "the head in page %zu is damaged", i);
}

void image_read(struct image *image, const void *bytes, size_t n, struct head heads[HEADS],
                struct faults *faults)
{
    *image = (struct image){.p = bytes, .page_size = find_page_size(bytes, n)};
    image->pages = n / image->page_size;
    for (size_t i = 0; i < HEADS; i++) {
        heads[i] = (struct head){.is_there = false};
        if (i < image->pages)
            head_read(image, i, &heads[i], faults);
        else
            fault(faults, "the file ends before its page %zu", i);
    }
}

/* ---- which pages are what ---- */

int walk_init(struct walk *w, const struct image *image, const struct head *head,
              struct faults *faults)
{
    uint64_t most = image->pages + MAX_BEYOND;
    size_t words;

    *w = (struct walk){.image = image, .faults = faults};
    w->last_page = head->last_page;
    if (w->last_page >= most) {
        fault(faults, "its last page, %llu, is far behind the file's end",
              (unsigned long long)w->last_page);
        w->last_page = most - 1;
    }
    w->bits = w->last_page + 1;
    words = (size_t)(w->bits / 64 + 1);
    w->used = calloc(2 * words, sizeof *w->used);
    if (w->used == NULL)
        return -ENOMEM;
    w->free = w->used + words;
    return 0;
}

void walk_fini(struct walk *w)
{
    free(w->used);
    w->used = w->free = NULL;
}

static bool has_bit(const uint64_t *map, uint64_t i)
{
    return (map[i / 64] >> i % 64 & 1) != 0;
}

static void set_bit(uint64_t *map, uint64_t i)
{
    map[i / 64] |= (uint64_t)1 << i % 64;
}

void walk_end(struct walk *w)
{
    uint64_t both = 0;
    uint64_t known;

    for (size_t i = 0; i <= w->bits / 64; i++)
        both += (uint64_t)__builtin_popcountll(w->used[i] & w->free[i]);
    if (both > 0)
        fault(w->faults, "%llu pages are in use and said to be free", (unsigned long long)both);
    known = HEADS + w->used_count + w->free_count - both;
    if (known != w->bits)
        fault(w->faults, "%llu pages are neither in use nor free",
              (unsigned long long)(w->bits - known));
}

/* ---- a tree ---- */

struct tree_walk {
    struct walk *w;
    const char *name;
    const struct tree *tree;
    enum walk_kind kind;
    bool has_number_keys;
    walk_visit *visit;
    void *ctx;
    struct slice run_of;  /* a tree that is the run of this key */
    struct tree seen;     /* counted so far; `depth` is none of them */
    uint64_t faults;      /* that there were before it */
    struct slice before;  /* the key before */
    struct slice least;   /* what a branch says of the keys from here on */
    bool meets_free;
};

struct page {
    uint64_t number;
    const unsigned char *p;
    size_t size;
    size_t upper;
    size_t count;        /* nodes */
    bool is_branch;
};

static void walk_page(struct tree_walk *t, uint64_t number, unsigned level);

#define FAULT(t, number, text)                                                                     \
    fault((t)->w->faults, "page %llu (%s): " text, (unsigned long long)(number), (t)->name)

static void tell(struct walk *w)
{
    if (w->pass == NULL || w->used_count - w->told < TELL_EVERY)
        return;
    w->told = w->used_count;
    pass_tell(w->pass, w->used_count * w->image->page_size,
              w->image->pages * w->image->page_size);
}

/* Enters `count` pages that belong together, or returns NULL. */
static const unsigned char *enter(struct tree_walk *t, uint64_t number, uint64_t count)
{
    struct walk *w = t->w;
    bool is_free = false;

    if (number < HEADS || number > w->last_page || count > w->last_page + 1 - number ||
        number + count > w->image->pages) {
        FAULT(t, number, "there is no such page");
        return NULL;
    }
    for (uint64_t i = number; i < number + count; i++) {
        if (has_bit(w->used, i)) {
            FAULT(t, i, "it is in use twice");
            return NULL;
        }
        is_free |= has_bit(w->free, i);
    }
    t->meets_free |= is_free;
    if (is_free && w->is_wary)
        return NULL;
    for (uint64_t i = number; i < number + count; i++)
        set_bit(w->used, i);
    w->used_count += count;
    tell(w);
    if (u64_at(page_at(w->image, number)) != number) {
        FAULT(t, number, "something else is in its place");
        if (w->is_wary)
            return NULL;
    }
    return page_at(w->image, number);
}

/* Nodes lie each at a place of its own: one bit for two bytes. */
struct places {
    uint64_t words[MAX_PAGE_SIZE / 2 / 64];
    size_t bytes;
};

static void places_init(struct places *places, size_t page_size)
{
    memset(places->words, 0, page_size / 16);
    places->bytes = 0;
}

/* Both are even, and within the page. */
static bool place(struct places *places, size_t at, size_t n)
{
    size_t i = at / 2;
    size_t end = (at + n) / 2;
    uint64_t taken = 0;

    places->bytes += n;
    while (i < end) {
        size_t bits = 64 - i % 64 < end - i ? 64 - i % 64 : end - i;
        uint64_t mask = (bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1) << i % 64;

        taken |= places->words[i / 64] & mask;
        places->words[i / 64] |= mask;
        i += bits;
    }
    return taken == 0;
}

/* Reads lower and upper. Where they are damaged the nodes are looked for all the same: what is in
 * them tells whether they are ones. */
static void read_bounds(struct tree_walk *t, struct page *page)
{
    size_t lower = u16_at(page->p + 12);

    page->upper = u16_at(page->p + 14);
    if (lower < PAGE_HEADER || lower % 2 != 0 || page->upper % 2 != 0 || page->upper < lower ||
        page->upper > page->size) {
        FAULT(t, page->number, "it says of its nodes what cannot be");
        lower = lower < PAGE_HEADER ? PAGE_HEADER : lower;
        lower = lower > page->size ? page->size : lower;
        page->upper = PAGE_HEADER;
    }
    page->count = (lower - PAGE_HEADER) / 2;
}

struct node {
    struct slice key;
    struct slice data;    /* of a leaf; of an overflow, the number of its page */
    unsigned flags;
    uint64_t data_size;
    uint64_t child;       /* of a branch */
};

/* Reads the node, or says that it is none. */
static bool read_node(const struct page *page, size_t i, struct node *node, struct places *places)
{
    size_t at = u16_at(page->p + PAGE_HEADER + 2 * i);
    const unsigned char *p = page->p + at;
    size_t size;
    size_t key_size;

    if (at % 2 != 0 || at < page->upper || at < PAGE_HEADER || at + NODE_HEADER > page->size)
        return false;
    key_size = u16_at(p + 6);
    node->flags = u16_at(p + 4);
    node->data_size = u32_at(p);
    node->child = node->data_size | (uint64_t)node->flags << 32;
    size = NODE_HEADER + key_size;
    if (!page->is_branch)
        size += (node->flags & NODE_OVERFLOW) != 0 ? NUMBER : (size_t)node->data_size;
    if (key_size > MAX_KEY_SIZE || size > page->size || at + size > page->size)
        return false;
    node->key = slice_make((const char *)p + NODE_HEADER, key_size);
    node->data = slice_make(node->key.p + key_size, size - NODE_HEADER - key_size);
    return place(places, at, (size + 1) & ~(size_t)1);
}

/* As LMDB compares; keys that are numbers are eight bytes. */
static int compare(const struct tree_walk *t, struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order;

    if (t->has_number_keys) {
        uint64_t x = u64_at(a.p);
        uint64_t y = u64_at(b.p);

        return x < y ? -1 : x > y;
    }
    order = memcmp(a.p, b.p, n);
    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

static bool is_key(const struct tree_walk *t, struct slice key)
{
    return t->has_number_keys ? key.n == NUMBER : key.n > 0;
}

/* Keys ascend, and a branch leads to those that it says. */
static void note_key(struct tree_walk *t, uint64_t number, struct slice key)
{
    if (t->before.p != NULL && compare(t, t->before, key) >= 0)
        FAULT(t, number, "its keys are not in order");
    else if (t->least.p != NULL && compare(t, t->least, key) > 0)
        FAULT(t, number, "a key is not where it is looked for");
    t->least.p = NULL;
    t->before = key;
}

/* Pages lie scattered, and memory is slow to give the first bytes of one. Those of the page that
 * comes next are asked for, and, as it knows no names yet, the head of one further on. */
static void prefetch(const struct walk *w, const struct page *page, size_t i, size_t bytes)
{
    uint64_t child;
    size_t at;

    if (i >= page->count)
        return;
    at = u16_at(page->p + PAGE_HEADER + 2 * i);
    if (at + NODE_HEADER > page->size)
        return;
    child = u32_at(page->p + at) | (uint64_t)u16_at(page->p + at + 4) << 32;
    if (child < w->image->pages)
        for (size_t k = 0; k < bytes; k += 64)
            __builtin_prefetch(page_at(w->image, child) + k);
}

static void walk_branch(struct tree_walk *t, const struct page *page, struct places *places,
                        unsigned level)
{
    t->seen.branches++;
    if (page->count < 2)
        FAULT(t, page->number, "it is a branch with one way");
    for (size_t i = 0; i < page->count; i++) {
        struct node node;

        prefetch(t->w, page, i + AHEAD, 64);
        prefetch(t->w, page, i + 1, page->size);
        if (!read_node(page, i, &node, places)) {
            FAULT(t, page->number, "a node is damaged");
            continue;
        }
        if (i > 0 && !is_key(t, node.key)) { /* what the first one says is of no meaning */
            FAULT(t, page->number, "a key is of a wrong length");
        } else if (i > 0) {
            if (t->before.p != NULL && compare(t, t->before, node.key) >= 0)
                FAULT(t, page->number, "a key is not where it is looked for");
            t->least = node.key;
        }
        walk_page(t, node.child, level + 1);
    }
}

/* ---- leaves ---- */

static void visit(struct tree_walk *t, struct slice key, struct slice value, size_t count)
{
    t->seen.entries += count;
    t->visit(t->ctx, key, value, count);
}

/* A value on pages of its own. */
static void walk_overflow(struct tree_walk *t, const struct page *page, const struct node *node)
{
    uint64_t number = u64_at(node->data.p);
    uint64_t needed = (PAGE_HEADER - 1 + node->data_size) / page->size + 1;
    uint64_t count = needed;
    const unsigned char *p;

    if (number >= HEADS && number < t->w->image->pages)
        count = u32_at(page_at(t->w->image, number) + 12);
    if (count < needed) {
        FAULT(t, number, "its value is shorter than it says");
        return;
    }
    p = enter(t, number, count);
    if (p == NULL)
        return;
    t->seen.overflows += count;
    if (u16_at(p + 10) != OVERFLOW)
        FAULT(t, number, "it is of another kind");
    visit(t, node->key, slice_make((const char *)p + PAGE_HEADER, (size_t)node->data_size), 1);
}

/* Numbers side by side. */
static void walk_numbers(struct tree_walk *t, uint64_t number, struct slice key,
                         const unsigned char *p, size_t size)
{
    size_t lower = u16_at(p + 12);
    size_t upper = u16_at(p + 14);
    size_t count = (lower - PAGE_HEADER) / 2;
    const char *first = (const char *)p + PAGE_HEADER;

    if (lower < PAGE_HEADER + 2 || lower % 2 != 0 || count > (size - PAGE_HEADER) / NUMBER) {
        FAULT(t, number, "it says of its numbers what cannot be");
        return;
    }
    if (upper != size - count * (NUMBER - 2) || u16_at(p + 8) != NUMBER)
        FAULT(t, number, "it says of its numbers what cannot be");
    for (size_t i = 0; i < count; i++)
        note_key(t, number, slice_make(first + i * NUMBER, NUMBER));
    visit(t, key, slice_make(first, count * NUMBER), count);
}

/* Where something is damaged it is no news that the counts do not fit. */
static void check_counts(const struct tree_walk *t)
{
    const struct tree *said = t->tree;

    if (t->w->faults->count > t->faults)
        return;
    if (said->branches != t->seen.branches || said->leaves != t->seen.leaves ||
        said->overflows != t->seen.overflows)
        fault(t->w->faults, "%s: it has other pages than it says", t->name);
    if (said->entries != t->seen.entries)
        fault(t->w->faults, "%s: it has %llu entries and says %llu", t->name,
              (unsigned long long)t->seen.entries, (unsigned long long)said->entries);
}

static void walk_root(struct tree_walk *t)
{
    t->faults = t->w->faults->count;
    if (t->tree->root != NO_PAGE)
        walk_page(t, t->tree->root, 1);
    else if (t->tree->depth != 0)
        fault(t->w->faults, "%s: an empty tree has a depth", t->name);
    check_counts(t);
}

/* A run that is long enough for a tree. */
static void walk_run_tree(struct tree_walk *t, uint64_t number, const struct node *node)
{
    struct tree tree;
    struct tree_walk run = {
        .w = t->w,
        .name = t->name,
        .tree = &tree,
        .kind = WALK_PAIRS,
        .has_number_keys = true,
        .visit = t->visit,
        .ctx = t->ctx,
        .run_of = node->key,
    };

    if (node->data.n != TREE_SIZE) {
        FAULT(t, number, "a run's tree is damaged");
        return;
    }
    tree_read(&tree, node->data.p);
    if (tree.flags != (MDB_DUPFIXED | MDB_INTEGERKEY) || tree.pad != NUMBER ||
        tree.root == NO_PAGE)
        FAULT(t, number, "a run's tree is damaged");
    walk_root(&run);
    t->seen.entries += run.seen.entries;
    t->meets_free |= run.meets_free;
}

static void walk_run(struct tree_walk *t, uint64_t number, const struct node *node)
{
    struct tree_walk order = *t; /* of the numbers */
    const unsigned char *p = (const unsigned char *)node->data.p;

    if (node->flags == (NODE_RUN | NODE_TREE)) {
        walk_run_tree(t, number, node);
    } else if (node->flags == 0 && node->data.n == NUMBER) {
        visit(t, node->key, node->data, 1);
    } else if (node->flags == NODE_RUN && node->data.n > PAGE_HEADER) {
        if (u16_at(p + 10) != WITHIN)
            FAULT(t, number, "a run is of another kind");
        order.has_number_keys = true;
        order.before.p = order.least.p = NULL;
        walk_numbers(&order, number, node->key, p, node->data.n);
        t->seen.entries = order.seen.entries;
    } else {
        FAULT(t, number, "a run is damaged");
    }
}

static void walk_node(struct tree_walk *t, const struct page *page, const struct node *node)
{
    if (t->kind == WALK_RUNS) {
        walk_run(t, page->number, node);
    } else if (t->kind == WALK_TREES) {
        bool is_tree = node->flags == NODE_TREE && node->data.n == TREE_SIZE;

        if (!is_tree)
            FAULT(t, page->number, "a tree is damaged");
        visit(t, node->key, node->data, is_tree ? 1 : 0);
    } else if (node->flags == NODE_OVERFLOW) {
        walk_overflow(t, page, node);
    } else if (node->flags == 0) {
        visit(t, node->key, node->data, 1);
    } else {
        FAULT(t, page->number, "a node is of another kind");
    }
}

static void walk_leaf(struct tree_walk *t, const struct page *page, struct places *places)
{
    t->seen.leaves++;
    if (page->count == 0)
        FAULT(t, page->number, "it is empty");
    for (size_t i = 0; i < page->count; i++) {
        struct node node;

        if (!read_node(page, i, &node, places)) {
            FAULT(t, page->number, "a node is damaged");
            continue;
        }
        if (!is_key(t, node.key)) {
            FAULT(t, page->number, "a key is of a wrong length");
            continue;
        }
        note_key(t, page->number, node.key);
        walk_node(t, page, &node);
    }
}

/* ---- pages ---- */

static void walk_nodes(struct tree_walk *t, struct page *page, unsigned level)
{
    struct places places;
    uint64_t before = t->w->faults->count;

    read_bounds(t, page);
    places_init(&places, page->size);
    if (page->is_branch)
        walk_branch(t, page, &places, level);
    else
        walk_leaf(t, page, &places);
    if (before == t->w->faults->count && places.bytes != page->size - page->upper)
        FAULT(t, page->number, "its nodes do not fill it");
}

static void walk_page(struct tree_walk *t, uint64_t number, unsigned level)
{
    const unsigned leaf = t->run_of.p != NULL ? PACKED : LEAF;
    const unsigned char *p = enter(t, number, 1);
    struct page page = {.number = number, .p = p, .size = t->w->image->page_size};
    unsigned flags;

    if (p == NULL)
        return;
    if (level > MAX_DEPTH) {
        FAULT(t, number, "it is too deep");
        return;
    }
    flags = u16_at(p + 10);
    page.is_branch = flags == BRANCH;
    if (flags != BRANCH && flags != leaf && u64_at(p) != number)
        return; /* nothing of it is as it should be, and its number was told */
    if (flags != BRANCH && flags != leaf) {
        FAULT(t, number, "it is of another kind");
        page.is_branch = level < t->tree->depth;
    }
    if (page.is_branch ? level >= t->tree->depth : level != t->tree->depth)
        FAULT(t, number, "it is not as deep as it should be");
    if (page.is_branch || t->run_of.p == NULL) {
        walk_nodes(t, &page, level);
    } else {
        t->seen.leaves++;
        walk_numbers(t, number, t->run_of, p, page.size);
    }
}

struct walked walk_tree(struct walk *w, const char *name, const struct tree *tree, unsigned flags,
                        enum walk_kind kind, walk_visit *on_visit, void *ctx)
{
    uint64_t before = w->faults->count;
    struct tree_walk t = {
        .w = w,
        .name = name,
        .tree = tree,
        .kind = kind,
        .has_number_keys = (flags & MDB_INTEGERKEY) != 0,
        .visit = on_visit,
        .ctx = ctx,
    };

    if (tree->flags != flags || tree->pad != 0)
        fault(w->faults, "%s: it is a tree of another kind", name);
    walk_root(&t);
    return (struct walked){
        .is_whole = w->faults->count == before,
        .meets_free = t.meets_free,
        .leaves = t.seen.leaves,
    };
}

/* ---- the free list ---- */

struct free_walk {
    struct walk *w;
    uint64_t txn; /* of the head */
};

/* MDB_IDL: how many, then page numbers in descending order, by the transaction that left them. */
static void note_free(void *ctx, struct slice key, struct slice value, size_t count)
{
    struct free_walk *f = ctx;
    struct walk *w = f->w;
    uint64_t txn = u64_at(key.p);
    uint64_t before = UINT64_MAX;
    uint64_t n;

    (void)count;
    if (value.n < NUMBER || value.n % NUMBER != 0 || txn == 0 || txn > f->txn ||
        (n = u64_at(value.p)) > value.n / NUMBER - 1) {
        fault(w->faults, "the free list is damaged");
        return;
    }
    for (uint64_t i = 1; i <= n; i++) {
        uint64_t page = u64_at(value.p + i * NUMBER);

        if (page < HEADS || page > w->last_page || page >= before || has_bit(w->free, page)) {
            fault(w->faults, "the free list has a page that cannot be free");
            continue;
        }
        before = page;
        set_bit(w->free, page);
        w->free_count++;
    }
}

void walk_free_list(struct walk *w, const struct head *head)
{
    struct free_walk f = {.w = w, .txn = head->txn};
    struct tree tree = head->free_list;

    tree.pad = 0; /* it is the size of a page here, */
    tree.flags &= (uint16_t)~MDB_NOSUBDIR; /* and the flags by which the file was made are added */
    walk_tree(w, "the free list", &tree, MDB_INTEGERKEY, WALK_PAIRS, note_free, &f);
}
