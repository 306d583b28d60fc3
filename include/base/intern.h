/* intern.h - texts that many hold at once, such as user agents, stored once and counted. */
#ifndef BASE_INTERN_H
#define BASE_INTERN_H
#include "base/hash.h"

struct interned {
    unsigned refs;
    unsigned length;
    char text[]; /* terminated */
};

struct intern_table {
    struct hash_table texts;
};

void intern_init(struct intern_table *t);

/* Frees the table; every text must have been given back. */
void intern_fini(struct intern_table *t);

/* The stored copy of `text`, with a reference for the caller; NULL without memory. */
struct interned *intern_ref(struct intern_table *t, struct slice text);

/* Ends a reference; NULL is allowed. */
void intern_unref(struct intern_table *t, struct interned *text);
#endif
