/* claims.c - read first, as the issuer tells whose keys and rules apply, and checked afterwards. */
#include "claims_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_NUMBER = 40 };

static enum token_fault fault_of(int status)
{
    switch (status) {
    case 0:
        return TOKEN_GOOD;
    case -ENOMEM:
        return TOKEN_NO_MEMORY;
    default:
        return TOKEN_WRONG_CLAIMS;
    }
}

enum token_fault claims_read(struct claims *c, struct slice payload)
{
    int status = members_read(&c->members, payload);

    if (status == 0)
        status = members_find_text(&c->members, "iss", &c->issuer);
    return fault_of(status);
}

void claims_fini(struct claims *c)
{
    members_fini(&c->members);
    members_fini(&c->ours);
}

/* A NumericDate (RFC 7519 2), seconds perhaps with a fraction, as milliseconds; 0: there is none.
 * Returns 0 or -EINVAL. */
static int find_time(const struct claims *c, const char *name, uint64_t *ms)
{
    const double last = 253402300800.0; /* the year 10000 */
    struct slice value = members_find(&c->members, name);
    char text[MAX_NUMBER];
    double seconds;

    *ms = 0;
    if (value.p == NULL)
        return 0;
    if (json_type_of(value) != JSON_NUMBER || value.n >= sizeof text)
        return -EINVAL;
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(value));
    seconds = strtod(text, NULL);
    if (!(seconds >= 0 && seconds < last))
        return -EINVAL;
    *ms = (uint64_t)(seconds * 1000);
    return 0;
}

static enum token_fault check_times(const struct claims *c, uint64_t leeway_ms, uint64_t wall_ms,
                                    struct access *out)
{
    uint64_t not_before_ms;

    if (find_time(c, "exp", &out->expires_ms) != 0 || find_time(c, "nbf", &not_before_ms) != 0 ||
        find_time(c, "iat", &out->issued_ms) != 0)
        return TOKEN_WRONG_CLAIMS;
    if (members_find(&c->members, "exp").p == NULL)
        return TOKEN_WITHOUT_END;
    if (wall_ms >= out->expires_ms + leeway_ms)
        return TOKEN_EXPIRED;
    if (wall_ms + leeway_ms < not_before_ms || wall_ms + leeway_ms < out->issued_ms)
        return TOKEN_TOO_EARLY;
    if (wall_ms >= out->expires_ms)
        out->expires_ms += leeway_ms;
    return TOKEN_GOOD;
}

/* A string, or an array of strings of which one is ours (RFC 7519 4.1.3). */
static enum token_fault check_audience(struct claims *c, const char *ours)
{
    struct slice value = members_find(&c->members, "aud");
    struct slice text;
    size_t cursor = 0;
    bool is_ours = false;
    int status = 0;

    if (value.p == NULL)
        return ours == NULL ? TOKEN_GOOD : TOKEN_WRONG_AUDIENCE;
    if (json_type_of(value) == JSON_ARRAY) {
        struct slice element;

        while (status == 0 && json_array_next(value, &cursor, &element)) {
            status = members_element_text(&c->members, element, &text);
            is_ours |= status == 0 && ours != NULL && slice_is(text, ours);
        }
    } else {
        status = members_find_text(&c->members, "aud", &text);
        is_ours = status == 0 && ours != NULL && slice_is(text, ours);
    }
    if (status != 0)
        return fault_of(status);
    return is_ours ? TOKEN_GOOD : TOKEN_WRONG_AUDIENCE;
}

/* A string, or a whole number, as identities in databases are. */
static int find_user(const struct claims *c, const char *name, struct slice *user)
{
    struct slice value = members_find(&c->members, name);
    uint64_t number;

    if (value.p == NULL || json_type_of(value) != JSON_NUMBER)
        return members_find_text(&c->members, name, user);
    *user = value;
    return slice_to_u64(value, &number) == 0 ? 0 : -EINVAL;
}

static int find_texts(const struct claims *c, const char *user_claim, struct access *out)
{
    if (find_user(c, user_claim, &out->user) != 0 ||
        members_find_text(&c->members, "jti", &out->id) != 0 || out->user.n > CLAIMS_MAX_TEXT ||
        out->id.n > CLAIMS_MAX_TEXT)
        return -EINVAL;
    return 0;
}

/* The patterns in an array of strings; where there is none, none. */
static int find_grants(struct claims *c, const char *name, struct slice *patterns,
                       struct grants *out)
{
    struct slice value = members_find(&c->ours, name);
    struct slice element;
    size_t cursor = 0;
    size_t count = 0;
    int status = 0;

    if (value.p != NULL && json_type_of(value) != JSON_ARRAY)
        return -EINVAL;
    while (value.p != NULL && status == 0 && json_array_next(value, &cursor, &element)) {
        if (count == CLAIMS_MAX_GRANTS)
            return -EINVAL;
        status = members_element_text(&c->ours, element, &patterns[count++]);
    }
    *out = (struct grants){patterns, count};
    return status;
}

static int find_ours(struct claims *c, struct access *out)
{
    struct slice value = members_find(&c->members, "sse_notify");
    int status;

    if (value.p == NULL)
        return 0;
    status = members_read_value(&c->ours, value);
    if (status == 0)
        status = find_grants(c, "subscribe", c->patterns, &out->subscribe);
    if (status == 0)
        status = find_grants(c, "publish", c->patterns + CLAIMS_MAX_GRANTS, &out->publish);
    return status;
}

enum token_fault claims_check(struct claims *c, const struct claim_rules *rules, uint64_t wall_ms,
                              struct access *out)
{
    enum token_fault fault;

    *out = (struct access){.expires_ms = 0};
    if (rules->issuer != NULL && (c->issuer.p == NULL || !slice_is(c->issuer, rules->issuer)))
        return TOKEN_WRONG_ISSUER;
    fault = check_audience(c, rules->audience);
    if (fault == TOKEN_GOOD)
        fault = check_times(c, rules->leeway_ms, wall_ms, out);
    if (fault == TOKEN_GOOD)
        fault = fault_of(find_texts(c, rules->user_claim, out));
    if (fault == TOKEN_GOOD)
        fault = fault_of(find_ours(c, out));
    return fault;
}
