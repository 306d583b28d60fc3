/* mark.c - see the header. */
#include "mark_priv.h"

#include "base/buf.h"

char *mark_put(char *p, const struct mark *mark)
{
    *p++ = '~';
    p = format_u64(p, mark->due_ns);
    *p++ = '.';
    p = format_u64(p, mark->channel);
    *p++ = '.';
    p = format_u64(p, mark->number);
    *p++ = '~';
    return p;
}

/* Digits, and the character behind them. NULL: it is something else. */
static const char *read_number(const char *p, const char *end, char behind, uint64_t *value)
{
    const char *start = p;
    uint64_t v = 0;

    while (p < end && *p >= '0' && *p <= '9')
        v = v * 10 + (uint64_t)(*p++ - '0');
    *value = v;
    return p > start && p < end && *p == behind ? p + 1 : NULL;
}

bool mark_find(struct slice text, struct mark *mark)
{
    const char *end = text.p + text.n;
    const char *p = text.p;

    while (p < end && (p = memchr(p, '~', (size_t)(end - p))) != NULL) {
        const char *q = read_number(++p, end, '.', &mark->due_ns);

        q = q == NULL ? NULL : read_number(q, end, '.', &mark->channel);
        q = q == NULL ? NULL : read_number(q, end, '~', &mark->number);
        if (q != NULL)
            return true;
    }
    return false;
}
