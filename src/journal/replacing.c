/* replacing.c - a table by key, in which the newest entry of a key takes the older one's place, and
 * a list in the order of the numbers. */
#include "replacing_priv.h"

#include <errno.h>
#include <stdlib.h>

struct replacement {
    struct list by_age;
    uint64_t key;
    uint64_t seq;
};

static struct slice key_of(const void *item)
{
    const struct replacement *r = item;

    return slice_make((const char *)&r->key, sizeof r->key);
}

void replacing_init(struct replacing *t)
{
    hash_table_init(&t->by_key, key_of);
    list_init(&t->by_age);
}

void replacing_fini(struct replacing *t)
{
    replacing_forget(t, UINT64_MAX);
    hash_table_fini(&t->by_key);
}

static struct replacement *find(const struct replacing *t, uint64_t key)
{
    return hash_table_find(&t->by_key, slice_make((const char *)&key, sizeof key));
}

int replacing_add(struct replacing *t, uint64_t key, uint64_t seq)
{
    struct replacement *r = find(t, key);

    if (r != NULL) {
        list_remove(&r->by_age);
    } else {
        r = malloc(sizeof *r);
        if (r == NULL)
            return -ENOMEM;
        r->key = key;
        if (hash_table_insert(&t->by_key, r) != 0) {
            free(r);
            return -ENOMEM;
        }
    }
    r->seq = seq;
    list_add_last(&t->by_age, &r->by_age);
    return 0;
}

uint64_t replacing_find(const struct replacing *t, uint64_t key)
{
    const struct replacement *r = find(t, key);

    return r != NULL ? r->seq : 0;
}

void replacing_forget(struct replacing *t, uint64_t seq)
{
    while (!list_is_empty(&t->by_age)) {
        struct replacement *r = LIST_HOLDER(t->by_age.next, struct replacement, by_age);

        if (r->seq > seq)
            return;
        list_remove(&r->by_age);
        hash_table_remove(&t->by_key, r);
        free(r);
    }
}
