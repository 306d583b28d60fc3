/* test_webhook_secrets.c - a file of secrets, and what is signed with them. */
#include "auth/webhook_secrets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "support/cm.h"
#include "support/scratch.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define CURE "`(printf whsec_; openssl rand -base64 32) >FILE` makes one"

static char folder[SCRATCH_SIZE];
static char path[SCRATCH_SIZE + 16];

static int make_folder(void **state)
{
    (void)state;
    scratch_make(folder);
    snprintf(path, sizeof path, "%s/secret", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static int open_text(const char *text, struct webhook_secrets **out, struct error *why)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
    return webhook_secrets_open(out, path, why);
}

static void assert_signature(const char *text, const char *expected)
{
    struct webhook_secrets *s = NULL;
    struct error why = {""};
    struct buf out = {0};

    if (open_text(text, &s, &why) != 0)
        fail_msg("%s", why.text);
    assert_int_equal(
        webhook_secrets_sign(
            s, slice_of("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}"), &out),
        0);
    assert_slice(buf_slice(&out), expected);
    buf_fini(&out);
    webhook_secrets_destroy(s);
}

/* The first signature is in the tests of the specification's own libraries. */
static void each_secret_signs(void **state)
{
    (void)state;
    assert_signature(SECRET "\n", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_signature("# of the shop\r\n\r\n  " SECRET " \r\n",
                     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_signature(OTHER "\n" SECRET,
                     "v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI= "
                     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void assert_refused(const char *text, const char *sentence)
{
    struct webhook_secrets *s = NULL;
    struct error why = {""};
    char expected[512];

    assert_int_equal(open_text(text, &s, &why), -EINVAL);
    snprintf(expected, sizeof expected, "webhooks.secret_file = %s: %s", path, sentence);
    assert_string_equal(why.text, expected);
    assert_null(s);
}

#define TOO_LONG                                                                                   \
    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define WRONG "must be whsec_ and then 24 to 64 bytes in base64; " CURE

static void what_is_no_secret_is_named_by_its_line_and_not_shown(void **state)
{
    (void)state;
    assert_refused("", "has no secret in it; " CURE);
    assert_refused("\n# none yet\n", "has no secret in it; " CURE);
    assert_refused("\nMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
                   "line 2: does not begin with whsec_; " CURE);
    assert_refused(SECRET "\nwhsec_\n", "line 2: " WRONG);
    assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa\n", "line 1: " WRONG); /* padding lacks */
    assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLQ==\n", "line 1: " WRONG); /* 22 bytes */
    assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La=aSw\n", "line 1: " WRONG);
    assert_refused("whsec_MfKQ9r8GKYqr wjUPD8ILPZIo2LaLaSw\n", "line 1: " WRONG);
    assert_refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La====\n", "line 1: " WRONG);
    assert_refused(TOO_LONG "\n", "line 1: " WRONG); /* 65 bytes */
    assert_refused(SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n",
                   "line 5: there may be 4 secrets; take away those that the receiver does not "
                   "know any more");
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct webhook_secrets *s = NULL;
    struct error why = {""};

    (void)state;
    assert_int_equal(webhook_secrets_open(&s, "/nowhere/at/all", &why), -ENOENT);
    assert_string_equal(why.text, "webhooks.secret_file = /nowhere/at/all: cannot be read: No such "
                                  "file or directory; " CURE);
    assert_int_equal(webhook_secrets_open(&s, folder, &why), -EISDIR);
    webhook_secrets_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_secret_signs),
        cmocka_unit_test(what_is_no_secret_is_named_by_its_line_and_not_shown),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
