/* mark_priv.h - what each payload carries: ~NS.CHANNEL.NUMBER~, which survives JSON and forms. */
#ifndef LOADGEN_MARK_PRIV_H
#define LOADGEN_MARK_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

struct mark {
    uint64_t due_ns;  /* when it was published, or should have been (clock_mono_ns) */
    uint64_t channel; /* number of the user; that of users: the fan-outs */
    uint64_t number;  /* in its channel, from 1 */
};

enum { MARK_MAX_BYTES = 64 };

/* Writes it at `p`, which has MARK_MAX_BYTES; returns the end. */
char *mark_put(char *p, const struct mark *mark);

/* Finds the first one in `text`. */
bool mark_find(struct slice text, struct mark *mark);
#endif
