/* key_set.c - reads sets and chooses from them. */
#include "key_set_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void key_set_fini(struct key_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        key_fini(&set->keys[i]);
    free(set->keys);
    *set = (struct key_set){0};
}

static struct slice id_of(const struct key *k)
{
    return slice_make(k->id, k->id_length);
}

/* ---- one key ---- */

/* Without the line end that editors and `echo` put behind a text. */
static struct slice without_line_end(struct slice text)
{
    struct slice line = text;

    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n > 0 && line.n < text.n && line.p[line.n - 1] == '\r')
        line.n--;
    return slice_has_control(line) ? text : line;
}

int key_set_from_key(struct key_set *set, struct slice text, struct error *why)
{
    struct slice trimmed = json_trim(text);
    int status;

    if (trimmed.n > 0 && trimmed.p[0] == '{') {
        error_set(why, "this looks like a JWK or a JWK Set, and belongs into jwks_file");
        return -EINVAL;
    }
    set->keys = calloc(1, sizeof *set->keys);
    if (set->keys == NULL)
        return -ENOMEM;
    status = memmem(text.p, text.n, "-----BEGIN ", 11) != NULL
                 ? key_from_pem(set->keys, text, why)
                 : key_from_secret(set->keys, without_line_end(text), why);
    if (status != 0) {
        key_set_fini(set);
        return status;
    }
    set->count = 1;
    return 0;
}

/* ---- a JWK Set ---- */

/* A set while it is read. */
struct reading {
    struct key_set *set;
    bool is_remote;
    size_t place;          /* of the key, from 1 */
    size_t passed_over;
    struct members key;
    struct error *why;
};

/* "key 2 (kid "a"): the sentence", where the kid can be shown. */
static void name_the_key(struct reading *r, const struct error *sentence, struct slice id)
{
    if (r->why->text[0] != '\0')
        return; /* the first one is told */
    if (id.n == 0 || id.n > 64 || slice_has_control(id))
        error_set(r->why, "key %zu: %s", r->place, sentence->text);
    else
        error_set(r->why, "key %zu (kid \"%.*s\"): %s", r->place, SLICE_ARG(id), sentence->text);
}

static int check_beside_others(const struct key_set *set, const struct key *k, struct error *why)
{
    for (size_t i = 0; i < set->count; i++) {
        if (k->id != NULL && set->keys[i].id != NULL && slice_equal(id_of(k), id_of(&set->keys[i])))
            return error_set(why, "another key has the same kid");
        if ((k->kind == KEY_SECRET) != (set->keys[i].kind == KEY_SECRET))
            return error_set(why, "secrets and public keys must not stand in one set");
    }
    if (set->count == KEY_SET_MAX)
        return error_set(why, "a set can have at most %d keys", KEY_SET_MAX);
    return 0;
}

/* Takes `k` into the set, or refuses the set. */
static int add_key(struct reading *r, struct key *k)
{
    struct error sentence = {""};

    if (check_beside_others(r->set, k, &sentence) != 0) {
        r->why->text[0] = '\0'; /* it is worse than a key that is passed over */
        name_the_key(r, &sentence, id_of(k));
        key_fini(k);
        return -EINVAL;
    }
    r->set->keys[r->set->count++] = *k;
    return 0;
}

/* A key that is for us and wrong. */
static int on_wrong_key(struct reading *r, const struct error *sentence)
{
    struct slice id = members_find(&r->key, "kid");

    id = id.n > 2 && id.p[0] == '"' ? slice_make(id.p + 1, id.n - 2) : slice_make(NULL, 0);
    name_the_key(r, sentence, id);
    r->passed_over++;
    return r->is_remote ? 0 : -EINVAL;
}

static int read_key(struct reading *r, struct slice value)
{
    struct error sentence = {""};
    struct key k;
    int status = members_read_value(&r->key, value);

    if (status == -EINVAL)
        error_set(&sentence, "it is no JSON object, or names a member twice");
    if (status == 0)
        status = key_from_jwk(&k, &r->key, &sentence);
    if (status == 0 && r->is_remote && k.kind == KEY_SECRET) {
        key_fini(&k);
        error_set(&sentence, "a secret that others can fetch is none");
        status = -EINVAL;
    }
    if (status == 0)
        return add_key(r, &k);
    if (status == -ENOENT) {
        r->passed_over++;
        return 0;
    }
    return status == -EINVAL ? on_wrong_key(r, &sentence) : status;
}

static int read_keys(struct reading *r, struct slice keys)
{
    struct slice value;
    size_t cursor = 0;
    int status = 0;

    while (status == 0 && json_array_next(keys, &cursor, &value)) {
        r->place++;
        status = read_key(r, value);
    }
    if (status == 0 && r->set->count == 0 && r->why->text[0] == '\0')
        error_set(r->why,
                  "none of its %zu keys can check signatures here: they are of other kinds, or for "
                  "other algorithms or uses",
                  r->passed_over);
    return status != 0 ? status : r->set->count == 0 ? -EINVAL : 0;
}

/* The array of keys in the text. */
static int find_keys(struct slice text, struct slice *keys, struct error *why)
{
    struct members set = {.count = 0};
    int status = members_read(&set, text);

    if (status == -EINVAL)
        error_set(why, "this is not one JSON object in UTF-8 whose members have different names");
    if (status == 0) {
        *keys = members_find(&set, "keys");
        if (keys->p == NULL || json_type_of(*keys) != JSON_ARRAY) {
            error_set(why, "%s",
                      members_find(&set, "kty").p != NULL
                          ? "this is a single key; a set is {\"keys\":[...]} around it"
                          : "it has no array \"keys\", as a JWK Set must (RFC 7517 5)");
            status = -EINVAL;
        }
    }
    members_fini(&set);
    return status;
}

int key_set_from_jwks(struct key_set *set, struct slice text, bool is_remote, struct error *why)
{
    struct reading r = {.set = set, .is_remote = is_remote, .why = why};
    struct slice keys;
    int status;

    why->text[0] = '\0';
    if (text.n > KEY_SET_MAX_BYTES) {
        error_set(why, "it has more than %d KiB", KEY_SET_MAX_BYTES / 1024);
        return -EINVAL;
    }
    status = find_keys(text, &keys, why);
    if (status != 0)
        return status;
    set->keys = calloc(KEY_SET_MAX, sizeof *set->keys);
    if (set->keys == NULL)
        return -ENOMEM;
    status = read_keys(&r, keys);
    members_fini(&r.key);
    if (status != 0)
        key_set_fini(set);
    return status;
}

/* ---- choosing ---- */

static bool has_id(const struct key *k, struct slice id)
{
    return k->id != NULL && slice_equal(id_of(k), id);
}

static bool knows_id(const struct key_set *set, struct slice id)
{
    for (size_t i = 0; i < set->count; i++)
        if (has_id(&set->keys[i], id))
            return true;
    return false;
}

enum key_choice key_set_choose(const struct key_set *set, struct slice id,
                               enum algorithm algorithm, const struct key **out)
{
    bool is_known = id.p != NULL && knows_id(set, id);
    size_t considered = 0;
    size_t fitting = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct key *k = &set->keys[i];

        if (is_known ? !has_id(k, id) : id.p != NULL && k->id != NULL)
            continue;
        considered++;
        if ((k->algorithms & ALGORITHM_BIT(algorithm)) == 0)
            continue;
        fitting++;
        *out = k;
    }
    if (fitting == 1)
        return KEY_FOUND;
    if (fitting > 1)
        return KEY_AMBIGUOUS;
    return considered == 0 ? KEY_UNKNOWN : KEY_WRONG_ALGORITHM;
}
