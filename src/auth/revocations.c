/* revocations.c - in the table by the keyed hash of kind and name: 64 bits that nobody outside can
 * aim at, and that two names share as good as never (then one is refused with the other). */
#include "auth/revocations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/json.h"

enum { LOOKS_A_TICK = 1000, SUM_DIGITS = 8 };

struct entry {
    struct list link;        /* in the order of looking */
    uint64_t mark;           /* its key */
    struct revocation what;  /* the name's bytes stand behind it */
    char name[];
};

struct revocations {
    struct stats *stats;
    struct hash_table table; /* struct entry */
    struct list entries;
};

static struct slice key_of(const void *item)
{
    const struct entry *e = item;

    return slice_make((const char *)&e->mark, sizeof e->mark);
}

/* Not 0, which is no name's. */
static uint64_t mark_of(enum revocation_kind kind, struct slice name)
{
    static const char salts[] = {[REVOKED_ID] = 'i', [REVOKED_USER] = 'u'};
    uint64_t parts[2] = {hash_of(name), (uint64_t)salts[kind]};

    return hash_of(slice_make((const char *)parts, sizeof parts)) | 1;
}

struct token_mark token_mark_of(const struct access *a)
{
    return (struct token_mark){
        .id = a->id.p == NULL ? 0 : mark_of(REVOKED_ID, a->id),
        .user = a->user.n == 0 ? 0 : mark_of(REVOKED_USER, a->user),
        .issued_ms = a->issued_ms,
    };
}

struct revocations *revocations_create(struct stats *stats)
{
    struct revocations *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->stats = stats;
    hash_table_init(&r->table, key_of);
    list_init(&r->entries);
    return r;
}

static struct entry *first(const struct revocations *r)
{
    return LIST_HOLDER(r->entries.next, struct entry, link);
}

static void forget(struct revocations *r, struct entry *e)
{
    hash_table_remove(&r->table, e);
    list_remove(&e->link);
    free(e);
    r->stats->revocations_kept--;
}

void revocations_destroy(struct revocations *r)
{
    if (r == NULL)
        return;
    while (!list_is_empty(&r->entries))
        forget(r, first(r));
    hash_table_fini(&r->table);
    free(r);
}

static struct entry *find(const struct revocations *r, uint64_t mark)
{
    return hash_table_find(&r->table, slice_make((const char *)&mark, sizeof mark));
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool revocations_are_full(const struct revocations *r, const struct revocation *revocation)
{
    return hash_table_count(&r->table) >= REVOCATIONS_MAX &&
           find(r, mark_of(revocation->kind, revocation->name)) == NULL;
}

int revocations_add(struct revocations *r, const struct revocation *revocation)
{
    uint64_t mark = mark_of(revocation->kind, revocation->name);
    struct entry *e = find(r, mark);

    if (e != NULL) {
        e->what.before_ms = later(e->what.before_ms, revocation->before_ms);
        e->what.expires_ms = later(e->what.expires_ms, revocation->expires_ms);
        return 0;
    }
    if (hash_table_count(&r->table) >= REVOCATIONS_MAX)
        return -ENOSPC;
    e = malloc(sizeof *e + revocation->name.n);
    if (e == NULL)
        return -ENOMEM;
    *e = (struct entry){.mark = mark, .what = *revocation};
    slice_put(e->name, revocation->name);
    e->what.name.p = e->name;
    if (hash_table_insert(&r->table, e) != 0) {
        free(e);
        return -ENOMEM;
    }
    list_add_last(&r->entries, &e->link);
    r->stats->revocations_kept++;
    return 0;
}

bool revocations_have(const struct revocations *r, const struct token_mark *mark)
{
    const struct entry *e;

    if (hash_table_count(&r->table) == 0)
        return false;
    if (mark->id != 0 && find(r, mark->id) != NULL)
        return true;
    e = mark->user == 0 ? NULL : find(r, mark->user);
    return e != NULL && mark->issued_ms < e->what.before_ms;
}

void revocations_tick(struct revocations *r, uint64_t wall_ms)
{
    size_t count = hash_table_count(&r->table);

    for (size_t i = 0; i < count && i < LOOKS_A_TICK; i++) {
        struct entry *e = first(r);

        if (e->what.expires_ms <= wall_ms) {
            forget(r, e);
            continue;
        }
        list_remove(&e->link);
        list_add_last(&r->entries, &e->link);
    }
}

/* ---- lines: "SUM KIND EXPIRES BEFORE NAME", the sum over what is behind its blank ---- */

void revocation_write(struct buf *out, const struct revocation *revocation)
{
    struct buf line = {0};

    buf_printf(&line, "%c %llu %llu ", revocation->kind == REVOKED_ID ? 'i' : 'u',
               (unsigned long long)revocation->expires_ms,
               (unsigned long long)revocation->before_ms);
    json_add_string(&line, revocation->name);
    buf_printf(out, "%0*x ", SUM_DIGITS, crc32c(0, line.p, line.len));
    buf_add_slice(out, buf_slice(&line));
    buf_add_char(out, '\n');
    out->failed |= line.failed;
    buf_fini(&line);
}

void revocations_write(const struct revocations *r, struct buf *out)
{
    for (struct list *at = r->entries.next; at != &r->entries; at = at->next)
        revocation_write(out, &LIST_HOLDER(at, struct entry, link)->what);
}

static bool has_its_sum(struct slice sum, struct slice rest)
{
    char digits[SUM_DIGITS + 1];

    snprintf(digits, sizeof digits, "%0*x", SUM_DIGITS, crc32c(0, rest.p, rest.n));
    return slice_is(sum, digits);
}

/* Into `out`, and its name's bytes into `name`; false: it is damaged. */
static bool read_line(struct slice line, struct buf *name, struct revocation *out)
{
    struct slice rest = line;
    struct slice sum = slice_cut(&rest, ' ');
    struct slice kind;
    size_t offset;
    const char *reason;

    if (rest.p == NULL || !has_its_sum(sum, rest))
        return false;
    kind = slice_cut(&rest, ' ');
    out->kind = slice_is(kind, "i") ? REVOKED_ID : REVOKED_USER;
    if (slice_to_u64(slice_cut(&rest, ' '), &out->expires_ms) != 0 ||
        slice_to_u64(slice_cut(&rest, ' '), &out->before_ms) != 0 ||
        json_check(rest, &offset, &reason) != 0 || json_type_of(rest) != JSON_STRING)
        return false;
    buf_clear(name);
    if (json_add_unescaped(name, rest) != 0)
        return false;
    out->name = buf_slice(name);
    return true;
}

size_t revocations_read(struct revocations *r, struct slice text, uint64_t wall_ms)
{
    struct buf name = {0};
    size_t damaged = 0;

    while (text.n > 0) {
        struct slice line = slice_cut(&text, '\n');
        struct revocation what;

        if (!read_line(line, &name, &what))
            damaged++;
        else if (what.expires_ms > wall_ms && revocations_add(r, &what) != 0)
            damaged++;
    }
    buf_fini(&name);
    return damaged;
}
