/* test_wycheproof.c - Project Wycheproof's vectors of JSON Web Signatures and Keys (C2SP), read
 * from the directory that the variable WYCHEPROOF names; without it tests/run leaves this out.
 *
 * What must not verify does not, and what may does; but for those listed below, each with its
 * reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "auth/jws_priv.h"
#include "support/cm.h"

#define SIGNATURES "json_web_signature_test.json"
#define KEYS "json_web_key_test.json"
#define BOTH "json_web_crypto_test.json"

static const struct exception {
    const char *file;
    unsigned number;
    bool is_taken;
    const char *why;
} exceptions[] = {
    {SIGNATURES, 346, false, "the key is for PS256, the token's alg is PS384"},
    {SIGNATURES, 350, false, "the key is for PS256, the token's alg is PS384"},
    {SIGNATURES, 347, false, "the key's alg is ES521, which is none; P-521 is not taken"},
    {SIGNATURES, 351, false, "the key's alg is ES521, which is none; P-521 is not taken"},
    /* The vectors contradict themselves: both are 357 byte for byte, which is valid. */
    {SIGNATURES, 367, true, "its padding was lost"},
    {SIGNATURES, 370, true, "its padding was lost"},
    /* They are called valid, though what was inserted is not in the alphabet. */
    {SIGNATURES, 372, false, "there is a question mark in the header's base64url"},
    {SIGNATURES, 373, false, "there is a question mark in the payload's base64url"},
};

static bool is_to_be_taken(const char *file, unsigned number, struct slice result)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (strcmp(exceptions[i].file, file) == 0 && exceptions[i].number == number)
            return exceptions[i].is_taken;
    return slice_is(result, "valid");
}

static struct buf read_all(const char *directory, const char *file)
{
    struct buf text = {0};
    char path[4096];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/%s", directory, file);
    fd = open(path, O_RDONLY);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    do {
        assert_int_equal(buf_reserve(&text, 65536), 0);
        n = read(fd, text.p + text.len, 65536);
        assert_true(n >= 0);
        text.len += (size_t)n;
    } while (n > 0);
    close(fd);
    return text;
}

static struct members *members_of(struct slice value)
{
    struct members *m = calloc(1, sizeof *m);

    assert_non_null(m);
    assert_int_equal(members_read_value(m, value), 0);
    return m;
}

static void members_free(struct members *m)
{
    members_fini(m);
    free(m);
}

/* The group's key or keys, as a set. */
static int read_set(struct key_set *set, const struct members *group)
{
    struct slice key = members_find(group, "public");
    struct members *inner;
    struct error why;
    struct buf text = {0};
    int status;

    if (key.p == NULL)
        key = members_find(group, "private");
    inner = members_of(key);
    if (members_find(inner, "keys").p != NULL)
        buf_add_slice(&text, key);
    else
        buf_printf(&text, "{\"keys\":[%.*s]}", SLICE_ARG(key));
    members_free(inner);
    status = key_set_from_jwks(set, buf_slice(&text), false, &why);
    buf_fini(&text);
    return status;
}

/* Whether a token is taken; the keys may be none. */
static bool is_taken(const struct key_set *keys, struct slice token)
{
    struct jws *j = calloc(1, sizeof *j);
    enum token_fault fault;

    assert_non_null(j);
    fault = jws_read(j, token);
    if (fault == TOKEN_GOOD)
        fault = jws_verify(j, keys, ALGORITHM_ALL);
    jws_fini(j);
    free(j);
    return fault == TOKEN_GOOD;
}

/* Returns whether it was one for us: others are encrypted. */
static bool run_vector(const char *file, const struct key_set *keys, struct slice value)
{
    struct members *test = members_of(value);
    struct slice result, token;
    uint64_t number;
    bool expected;

    assert_int_equal(members_find_text(test, "result", &result), 0);
    assert_int_equal(slice_to_u64(members_find(test, "tcId"), &number), 0);
    if (members_find_text(test, "jws", &token) != 0)
        token = members_find(test, "jws"); /* a signature in JSON: as it is written */
    expected = is_to_be_taken(file, (unsigned)number, result);
    if (token.p != NULL && is_taken(keys, token) != expected)
        fail_msg("%s %u is %s", file, (unsigned)number, expected ? "refused" : "taken");
    members_free(test);
    return token.p != NULL;
}

static unsigned run_group(const char *file, struct slice value)
{
    struct members *group = members_of(value);
    struct key_set keys = {0};
    struct slice test;
    size_t cursor = 0;
    unsigned count = 0;

    (void)read_set(&keys, group);
    while (json_array_next(members_find(group, "tests"), &cursor, &test))
        count += run_vector(file, &keys, test);
    key_set_fini(&keys);
    members_free(group);
    return count;
}

static void run_file(const char *file, unsigned expected)
{
    const char *directory = getenv("WYCHEPROOF");
    struct members *all;
    struct slice group;
    struct buf text;
    size_t cursor = 0;
    unsigned count = 0;

    if (directory == NULL || directory[0] == '\0')
        fail_msg("WYCHEPROOF must name the directory of the vectors");
    text = read_all(directory, file);
    all = calloc(1, sizeof *all);
    assert_non_null(all);
    assert_int_equal(members_read(all, buf_slice(&text)), 0);
    while (json_array_next(members_find(all, "testGroups"), &cursor, &group))
        count += run_group(file, group);
    members_free(all);
    buf_fini(&text);
    if (count < expected)
        fail_msg("%s: %u vectors, and there were %u", file, count, expected);
}

static void signatures(void **state)
{
    (void)state;
    run_file(SIGNATURES, 401);
}

static void keys(void **state)
{
    (void)state;
    run_file(KEYS, 26);
}

static void both(void **state)
{
    (void)state;
    run_file(BOTH, 49);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures),
        cmocka_unit_test(keys),
        cmocka_unit_test(both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
