/* members_priv.h - the members of a JSON object that comes from outside, by their names.
 *
 * Stricter than JSON: a name that is there twice, in whatever spelling, is refused, as two readers
 * could take different ones (RFC 8725 2.4); so is half a surrogate pair in a string, and there is a
 * bound on their number. */
#ifndef AUTH_MEMBERS_PRIV_H
#define AUTH_MEMBERS_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"

enum { MEMBERS_MAX = 128 };

/* All zero is valid and empty. Slices point into the text that was read, which is borrowed, or
 * into `plain`. */
struct members {
    size_t count;
    struct {
        struct slice name;
        struct slice value; /* as it is written */
        struct slice text;  /* of a string its characters; {NULL, 0}: it is none */
    } at[MEMBERS_MAX];
    struct buf plain;       /* what had escapes, without them. It never moves: each string of the
                             * text is in it once at most, and none is longer there */
    size_t room;            /* bytes of the text that was read */
};

/* Reads `text`, which must be one JSON object. Returns 0; -EINVAL: it is none, or not as strict as
 * above; or -ENOMEM. */
int members_read(struct members *m, struct slice text);

/* The same of a value in a text that json_check has passed. */
int members_read_value(struct members *m, struct slice value);

void members_fini(struct members *m);

/* The value of that name, or {NULL, 0}. */
struct slice members_find(const struct members *m, const char *name);

/* The string of that name, {NULL, 0} where there is none. Returns 0, or -EINVAL: it is none. */
int members_find_text(const struct members *m, const char *name, struct slice *out);

/* The characters of a string that is an element of an array in the text; once for each. Returns 0;
 * -EINVAL: it is no string; or -ENOMEM. */
int members_element_text(struct members *m, struct slice element, struct slice *out);
#endif
