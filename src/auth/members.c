/* members.c - every name is compared with those before it: at a hundred nothing is faster. */
#include "members_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* What stands between the quotes, with its escapes undone. */
static int undo(struct members *m, struct slice string, struct slice *out)
{
    size_t start = m->plain.len;
    int status;

    *out = slice_make(string.p + 1, string.n - 2);
    if (memchr(out->p, '\\', out->n) == NULL)
        return 0;
    assert(start + string.n <= m->room); /* else those before it would move */
    if (buf_reserve(&m->plain, m->room - start) != 0)
        return -ENOMEM;
    status = json_add_unescaped(&m->plain, string);
    if (status != 0)
        return status == -EILSEQ ? -EINVAL : status;
    *out = slice_make(m->plain.p + start, m->plain.len - start);
    return 0;
}

static int add(struct members *m, struct slice key, struct slice value)
{
    struct slice name;
    struct slice text = {NULL, 0};
    int status;

    if (m->count == MEMBERS_MAX)
        return -EINVAL;
    status = undo(m, key, &name);
    if (status == 0 && json_type_of(value) == JSON_STRING)
        status = undo(m, value, &text);
    if (status != 0)
        return status;
    for (size_t i = 0; i < m->count; i++)
        if (slice_equal(m->at[i].name, name))
            return -EINVAL;
    m->at[m->count].name = name;
    m->at[m->count].value = value;
    m->at[m->count].text = text;
    m->count++;
    return 0;
}

int members_read_value(struct members *m, struct slice value)
{
    struct slice key;
    struct slice member;
    size_t cursor = 0;
    int status = 0;

    m->count = 0;
    m->room = value.n;
    buf_clear(&m->plain);
    if (json_type_of(value) != JSON_OBJECT)
        return -EINVAL;
    while (status == 0 && json_object_next(value, &cursor, &key, &member))
        status = add(m, key, member);
    return status;
}

int members_read(struct members *m, struct slice text)
{
    size_t offset;
    const char *reason;

    m->count = 0;
    if (json_check(text, &offset, &reason) != 0)
        return -EINVAL;
    return members_read_value(m, json_trim(text));
}

void members_fini(struct members *m)
{
    buf_fini(&m->plain);
    m->count = 0;
}

struct slice members_find(const struct members *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (slice_is(m->at[i].name, name))
            return m->at[i].value;
    return slice_make(NULL, 0);
}

int members_find_text(const struct members *m, const char *name, struct slice *out)
{
    *out = slice_make(NULL, 0);
    for (size_t i = 0; i < m->count; i++)
        if (slice_is(m->at[i].name, name)) {
            *out = m->at[i].text;
            return out->p == NULL ? -EINVAL : 0;
        }
    return 0;
}

int members_element_text(struct members *m, struct slice element, struct slice *out)
{
    return json_type_of(element) == JSON_STRING ? undo(m, element, out) : -EINVAL;
}
