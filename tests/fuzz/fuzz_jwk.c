/* fuzz_jwk.c - any text is either a set of keys that hold to our rules, or refused with a sentence
 * that can be shown; and nothing is a key's signature by chance. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../src/auth/key_set_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_key(const struct key *k)
{
    static const char zeros[512];

    if (k->algorithms == 0 || (k->kind == KEY_SECRET) != (k->secret != NULL) ||
        (k->kind == KEY_SECRET) == (k->public != NULL) || k->id_length > KEY_MAX_ID ||
        (k->kind == KEY_SECRET && k->secret_length < KEY_MIN_SECRET))
        abort();
    for (int i = 0; i < ALGORITHM_COUNT; i++)
        for (size_t length = 0; length <= sizeof zeros; length += 32)
            if (key_verify(k, (enum algorithm)i, slice_of("x"), slice_make(zeros, length)))
                abort();
}

/* Takes the set. */
static void check_outcome(struct key_set *set, int status, const struct error *why)
{
    if ((status == 0) != (set->count > 0) || (status != 0 && why->text[0] == '\0') ||
        slice_has_control(slice_of(why->text)))
        abort();
    for (size_t i = 0; i < set->count; i++) {
        check_key(&set->keys[i]);
        if ((set->keys[i].kind == KEY_SECRET) != (set->keys[0].kind == KEY_SECRET))
            abort();
    }
    key_set_fini(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice text = slice_make((const char *)bytes, n);
    struct key_set set = {0};
    struct error why = {""};
    bool is_taken;
    int status = key_set_from_jwks(&set, text, false, &why);

    is_taken = status == 0 && set.keys[0].kind != KEY_SECRET;
    check_outcome(&set, status, &why);
    status = key_set_from_jwks(&set, text, true, &why);
    if (is_taken && status != 0)
        abort();
    for (size_t i = 0; i < set.count; i++)
        if (set.keys[i].kind == KEY_SECRET)
            abort();
    check_outcome(&set, status, &why);
    why.text[0] = '\0';
    status = key_set_from_key(&set, text, &why);
    check_outcome(&set, status, &why);
    return 0;
}
