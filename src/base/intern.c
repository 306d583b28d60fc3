/* intern.c - a text is in the table exactly while it has references. */
#include "base/intern.h"

#include <stdlib.h>
#include <string.h>

static struct slice text_of(const void *item)
{
    const struct interned *text = item;

    return slice_make(text->text, text->length);
}

void intern_init(struct intern_table *t)
{
    hash_table_init(&t->texts, text_of);
}

void intern_fini(struct intern_table *t)
{
    hash_table_fini(&t->texts);
}

struct interned *intern_ref(struct intern_table *t, struct slice text)
{
    struct interned *found = hash_table_find(&t->texts, text);

    if (found != NULL) {
        found->refs++;
        return found;
    }
    found = malloc(sizeof *found + text.n + 1);
    if (found == NULL)
        return NULL;
    found->refs = 1;
    found->length = (unsigned)text.n;
    if (text.n > 0) /* an absent text is {NULL, 0} */
        memcpy(found->text, text.p, text.n);
    found->text[text.n] = '\0';
    if (hash_table_insert(&t->texts, found) != 0) {
        free(found);
        return NULL;
    }
    return found;
}

void intern_unref(struct intern_table *t, struct interned *text)
{
    if (text == NULL || --text->refs > 0)
        return;
    hash_table_remove(&t->texts, text);
    free(text);
}
