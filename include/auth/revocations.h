/* revocations.h - tokens that are not good any more although they have not expired.
 *
 * One names a token by its jti, or all of a user's that were issued before some time. It is kept
 * until the tokens would have expired. The table is in memory; whoever has a disk is handed a line
 * for each, and hands the lines back after a restart. One thread; time is an argument. */
#ifndef AUTH_REVOCATIONS_H
#define AUTH_REVOCATIONS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "auth/access.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/stats.h"

struct revocations;

enum { REVOCATIONS_MAX = 100000 };

enum revocation_kind { REVOKED_ID, REVOKED_USER };

struct revocation {
    enum revocation_kind kind;
    struct slice name;    /* the jti, or the user */
    uint64_t before_ms;   /* REVOKED_USER: tokens issued earlier, milliseconds since 1970; those
                           * that do not say when they were issued are among them */
    uint64_t expires_ms;  /* until when it is kept, milliseconds since 1970 */
};

/* What of a token a revocation may name, in few bytes: for those who keep it as long as they rely
 * on the token. All zero is no token's. */
struct token_mark {
    uint64_t id;          /* of its jti; 0: it has none */
    uint64_t user;        /* of its user; 0: it names none */
    uint64_t issued_ms;   /* 0: it does not say */
};

struct token_mark token_mark_of(const struct access *a);

/* NULL without memory. Pair: revocations_destroy, for which NULL is allowed. */
struct revocations *revocations_create(struct stats *stats);
void revocations_destroy(struct revocations *r);

/* Somebody who waits for a revocation to be safe on disk. Embedded in the owner's struct. */
struct revocation_waiter {
    struct list link;
    /* `status` is 0 or -errno; it waits no more. */
    void (*on_done)(struct revocation_waiter *waiter, int status);
};

/* In force from now on. Where the name is revoked already, the later times count. Returns 0, or
 * -ENOSPC (they are full) or -ENOMEM: nothing has changed then. */
int revocations_add(struct revocations *r, const struct revocation *revocation);

/* Whether there are REVOCATIONS_MAX, and this one would be one more. None is ever forgotten to make
 * room: its tokens would be good again. */
bool revocations_are_full(const struct revocations *r, const struct revocation *revocation);

bool revocations_have(const struct revocations *r, const struct token_mark *mark);

/* Forgets those whose time is over, looking at a few; call it ten times a second. */
void revocations_tick(struct revocations *r, uint64_t wall_ms);

/* ---- as lines of a file ---- */

/* Appends the line of one. */
void revocation_write(struct buf *out, const struct revocation *revocation);

/* Appends the lines of all. */
void revocations_write(const struct revocations *r, struct buf *out);

/* Adds those of the lines whose time is not over at `wall_ms`. Returns how many lines were damaged,
 * or could not be taken; they are passed over. */
size_t revocations_read(struct revocations *r, struct slice text, uint64_t wall_ms);
#endif
