/* nearest_priv.h - "did you mean": the known name that is nearest to what was typed. */
#ifndef CONFIG_NEAREST_PRIV_H
#define CONFIG_NEAREST_PRIV_H
#include <stddef.h>
#include "base/slice.h"

/* All zero: nothing offered yet. */
struct nearest {
    const char *text; /* the best so far that is near enough to be meant, or NULL */
    size_t distance;
};

/* Considers `known`, which is borrowed. Case does not count. */
void nearest_offer(struct nearest *best, struct slice typed, const char *known);
#endif
