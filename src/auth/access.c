/* access.c - patterns. */
#include "auth/access.h"

/* What stands behind `prefix`; {NULL, 0} where that is not the beginning. */
static struct slice behind(struct slice pattern, const char *prefix)
{
    size_t n = strlen(prefix);

    if (pattern.n < n || memcmp(pattern.p, prefix, n) != 0)
        return slice_make(NULL, 0);
    return slice_make(pattern.p + n, pattern.n - n);
}

static struct slice name_of(struct slice pattern, enum access_target target)
{
    return behind(pattern, target == ACCESS_USER ? "user:" : "topic:");
}

bool grants_have(const struct grants *g, enum access_target target, struct slice name)
{
    for (size_t i = 0; i < g->count; i++) {
        struct slice granted;

        if (target == ACCESS_EVERYONE) {
            if (slice_is(g->patterns[i], "broadcast"))
                return true;
            continue;
        }
        granted = name_of(g->patterns[i], target);
        if (granted.n > 0 && (slice_is(granted, "*") || slice_equal(granted, name)))
            return true;
    }
    return false;
}

bool grants_is_pattern(struct slice pattern)
{
    return slice_is(pattern, "broadcast") || name_of(pattern, ACCESS_USER).n > 0 ||
           name_of(pattern, ACCESS_TOPIC).n > 0;
}

bool access_has_user(const struct access *a, struct slice user)
{
    return (a->user.n > 0 && slice_equal(a->user, user)) ||
           grants_have(&a->subscribe, ACCESS_USER, user);
}
