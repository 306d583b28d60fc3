/* test_value.c - one value's text: what each type takes, and what is said of the rest. */
#include "config/value_priv.h"

#include <errno.h>
#include <stdlib.h>
#include "base/buf.h"
#include "net/address.h"
#include "support/cm.h"

#define OPTION_OF(name) (&config_options[CONFIG_##name])
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A value that is nothing's default and nobody's reading. */
static const uint64_t untouched = UINT64_C(0x5555555555555555);

/* ---- numbers ---- */

static void assert_number_is(const struct config_option *o, const char *text, uint64_t expected)
{
    uint64_t value = untouched;
    struct error why = {""};

    if (value_store(o, slice_of(text), &value, &why) != 0)
        fail_msg("%s = %s: %s", o->key, text, why.text);
    if (value != expected)
        fail_msg("%s = %s: became %llu", o->key, text, (unsigned long long)value);
}

/* That it is refused with that sentence, and the field left alone. */
static void assert_number_refused(const struct config_option *o, const char *text,
                                  const char *sentence)
{
    uint64_t value = untouched;
    struct error why = {""};

    if (value_store(o, slice_of(text), &value, &why) != -EINVAL)
        fail_msg("%s = %s: was taken as %llu", o->key, text, (unsigned long long)value);
    assert_string_equal(why.text, sentence);
    assert_true(value == untouched);
}

static void times_are_read_in_every_unit(void **state)
{
    const struct config_option *keep = OPTION_OF(journal_keep);

    (void)state;
    assert_number_is(keep, "1500ms", 1500);
    assert_number_is(keep, "15s", 15 * 1000);
    assert_number_is(keep, "5min", 5 * 60 * 1000);
    assert_number_is(keep, "24h", 24 * 3600 * 1000);
    assert_number_is(keep, "7d", 7 * 86400 * 1000);
    assert_number_is(keep, "3650d", UINT64_C(3650) * 86400 * 1000);
    assert_number_is(keep, "15 s", 15 * 1000);
    assert_number_is(keep, "15\tMIN", 15 * 60 * 1000);
    assert_number_is(keep, "007s", 7 * 1000);
}

static void sizes_are_read_in_every_unit(void **state)
{
    const struct config_option *keep = OPTION_OF(journal_keep_bytes);

    (void)state;
    assert_number_is(keep, "4096", 4096);
    assert_number_is(keep, "4097B", 4097);
    assert_number_is(keep, "64KiB", 64 * 1024);
    assert_number_is(keep, "3MiB", 3 * 1024 * 1024);
    assert_number_is(keep, "5GiB", UINT64_C(5) << 30);
    assert_number_is(keep, "2TiB", UINT64_C(2) << 40);
    assert_number_is(keep, "1024TiB", UINT64_C(1) << 50);
    assert_number_is(keep, "5KB", 5000);
    assert_number_is(keep, "5MB", 5000 * 1000);
    assert_number_is(keep, "5GB", UINT64_C(5000) * 1000 * 1000);
    assert_number_is(keep, "5TB", UINT64_C(5000) * 1000 * 1000 * 1000);
    assert_number_is(keep, "64 kib", 64 * 1024);
}

static void only_zero_is_a_time_without_unit(void **state)
{
    const struct config_option *max_age = OPTION_OF(streams_max_age);

    (void)state;
    assert_number_is(max_age, "0", 0);
    assert_number_is(max_age, "000", 0);
    assert_number_is(max_age, "0s", 0);
    assert_number_is(max_age, "0d", 0);
    assert_number_refused(max_age, "15",
                          "must be a time from 0 to 365d; units are ms, s, min, h and d");
    assert_number_refused(max_age, "0x",
                          "must be a time from 0 to 365d; units are ms, s, min, h and d");
}

static void what_is_no_number_with_unit_is_refused(void **state)
{
    static const char *const times[] = {"",    "s",    "often", "-1s",  "+1s",   "1.5s", "1,5s",
                                        " 1s", "1e3s", "1sec",  "1m",   "1s 1s", "1ss",  "0x1s",
                                        "1_s", "1s!",  "1min.", "\"1s"};
    static const char *const sizes[] = {"", "KiB", "-1KiB", "64XB", "64K", "6.4KiB", "0x1000"};

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++)
        assert_number_refused(OPTION_OF(streams_heartbeat), times[i],
                              "must be a time from 1s to 1h; units are ms, s, min, h and d");
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_number_refused(OPTION_OF(http_max_header), sizes[i],
                              "must be a size from 1KiB to 1MiB; units are B, KiB, MiB, GiB and "
                              "TiB");
    assert_number_refused(OPTION_OF(streams_max_streams), "10s",
                          "must be a whole number from 0 to 10000000");
    assert_number_refused(OPTION_OF(streams_max_streams), "",
                          "must be a whole number from 0 to 10000000");
}

static void ends_of_a_range_belong_to_it_and_what_is_next_to_them_does_not(void **state)
{
    const char *time = "must be a time from 1s to 1h; units are ms, s, min, h and d";
    const char *size = "must be a size from 1KiB to 1MiB; units are B, KiB, MiB, GiB and TiB";
    const char *count = "must be a whole number from 1 to 1000000";

    (void)state;
    assert_number_is(OPTION_OF(streams_heartbeat), "1000ms", 1000);
    assert_number_is(OPTION_OF(streams_heartbeat), "60min", 3600 * 1000);
    assert_number_refused(OPTION_OF(streams_heartbeat), "999ms", time);
    assert_number_refused(OPTION_OF(streams_heartbeat), "3600001ms", time);
    assert_number_refused(OPTION_OF(streams_heartbeat), "0", time);
    assert_number_is(OPTION_OF(http_max_header), "1024", 1024);
    assert_number_is(OPTION_OF(http_max_header), "1024KiB", 1024 * 1024);
    assert_number_refused(OPTION_OF(http_max_header), "1023", size);
    assert_number_refused(OPTION_OF(http_max_header), "1048577B", size);
    assert_number_is(OPTION_OF(journal_keep_per_user), "1", 1);
    assert_number_is(OPTION_OF(journal_keep_per_user), "1000000", 1000000);
    assert_number_refused(OPTION_OF(journal_keep_per_user), "0", count);
    assert_number_refused(OPTION_OF(journal_keep_per_user), "1000001", count);
}

/* Each of these is inside the range once its high bits are lost. */
static void a_number_too_large_for_its_type_does_not_wrap_into_range(void **state)
{
    (void)state;
    assert_number_refused(OPTION_OF(journal_keep), "213503982335d",
                          "must be a time from 1s to 3650d; units are ms, s, min, h and d");
    assert_number_refused(OPTION_OF(journal_keep), "18446744073709561616ms",
                          "must be a time from 1s to 3650d; units are ms, s, min, h and d");
    assert_number_refused(OPTION_OF(journal_keep_bytes), "16777217TiB",
                          "must be a size from 4KiB to 1024TiB; units are B, KiB, MiB, GiB and "
                          "TiB");
    assert_number_refused(OPTION_OF(journal_keep_bytes), "99999999999999999999999999",
                          "must be a size from 4KiB to 1024TiB; units are B, KiB, MiB, GiB and "
                          "TiB");
    assert_number_refused(OPTION_OF(streams_max_streams), "18446744073709551617",
                          "must be a whole number from 0 to 10000000");
    assert_number_refused(OPTION_OF(streams_queue), "4294967297",
                          "must be a whole number from 1 to 65536");
}

static void a_field_of_32_bits_leaves_its_neighbours_alone(void **state)
{
    struct config_streams streams;

    (void)state;
    memset(&streams, 0x55, sizeof streams);
    assert_int_equal(value_store(OPTION_OF(streams_queue), slice_of("65536"), &streams.queue, NULL),
                     0);
    assert_int_equal(streams.queue, 65536);
    assert_true((unsigned)streams.overflow == 0x55555555u);
    assert_true(streams.retry_ms == untouched);
}

static void every_default_and_every_end_of_a_range_is_a_value_of_its_option(void **state)
{
    (void)state;
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        const char *texts[] = {o->fallback, o->low, o->high};
        bool is_number = o->type == CONFIG_TIME || o->type == CONFIG_SIZE ||
                         o->type == CONFIG_COUNT || o->type == CONFIG_MODE;
        union {
            uint64_t number;
            struct config_list list;
        } field = {.number = 0};
        struct error why = {""};

        for (size_t i = 0; i < (is_number ? 3 : 1); i++)
            if (value_store(o, slice_of(texts[i]), &field, &why) != 0)
                fail_msg("%s = %s: %s", o->key, texts[i], why.text);
        value_free(o, &field);
    }
}

static void sizes_are_shown_as_a_person_would_write_them(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0B"},
        {1, "1B"},
        {1023, "1023B"},
        {1024, "1KiB"},
        {1025, "1025B"},
        {64 * 1024, "64KiB"},
        {UINT64_C(3) << 20, "3MiB"},
        {UINT64_C(1) << 30, "1GiB"},
        {UINT64_C(1) << 40, "1TiB"},
        {UINT64_C(1) << 50, "1024TiB"},
        {UINT64_MAX, "18446744073709551615B"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[VALUE_FORMAT_SIZE];

        value_format_size(rows[i].bytes, out);
        assert_string_equal(out, rows[i].text);
    }
}

/* ---- modes, flags, words ---- */

static void assert_mode(const char *text, int result, mode_t expected)
{
    mode_t mode = 07654;
    struct error why = {""};

    assert_int_equal(value_store(OPTION_OF(listener_mode), slice_of(text), &mode, &why), result);
    assert_int_equal(mode, result == 0 ? expected : 07654);
    assert_string_equal(why.text, result == 0 ? "" : "must be an octal file mode from 0000 to "
                                                     "0777, such as 0660");
}

static void modes_are_octal(void **state)
{
    (void)state;
    assert_mode("0660", 0, 0660);
    assert_mode("660", 0, 0660);
    assert_mode("0", 0, 0);
    assert_mode("0777", 0, 0777);
    assert_mode("1000", -EINVAL, 0);
    assert_mode("00660", -EINVAL, 0);
    assert_mode("0680", -EINVAL, 0);
    assert_mode("rw-", -EINVAL, 0);
    assert_mode("-1", -EINVAL, 0);
    assert_mode("", -EINVAL, 0);
}

static void flags_are_six_words_in_any_case(void **state)
{
    static const char *const yes[] = {"yes", "true", "on", "YES", "True"};
    static const char *const no[] = {"no", "false", "off", "No", "OFF"};
    static const char *const wrong[] = {"", "1", "0", "y", "maybe", "yes please", "enabled"};
    const struct config_option *o = OPTION_OF(publish_allow_anonymous);
    struct error why = {""};
    bool is_set;

    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++) {
        is_set = false;
        assert_int_equal(value_store(o, slice_of(yes[i]), &is_set, &why), 0);
        assert_true(is_set);
        assert_int_equal(value_store(o, slice_of(no[i]), &is_set, &why), 0);
        assert_false(is_set);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        is_set = true;
        assert_int_equal(value_store(o, slice_of(wrong[i]), &is_set, &why), -EINVAL);
        assert_string_equal(why.text, "must be yes or no");
        assert_true(is_set);
    }
}

static void assert_word_refused(const struct config_option *o, const char *text,
                                const char *sentence)
{
    unsigned word = 77;
    struct error why = {""};

    assert_int_equal(value_store(o, slice_of(text), &word, &why), -EINVAL);
    assert_string_equal(why.text, sentence);
    assert_int_equal(word, 77);
}

static void every_word_of_every_list_is_taken(void **state)
{
    (void)state;
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++)
        for (const struct config_word *w = o->words; w != NULL && w->text != NULL; w++) {
            unsigned value = 77;

            assert_int_equal(o->size, sizeof value);
            assert_int_equal(value_store(o, slice_of(w->text), &value, NULL), 0);
            assert_int_equal(value, w->value);
        }
}

static void a_wrong_word_is_told_which_there_are_and_the_nearest(void **state)
{
    (void)state;
    assert_word_refused(OPTION_OF(listener_role), "admin", "must be public, internal or all");
    assert_word_refused(OPTION_OF(listener_role), "",  "must be public, internal or all");
    assert_word_refused(OPTION_OF(listener_role), "pubic",
                        "must be public, internal or all; did you mean public?");
    assert_word_refused(OPTION_OF(log_format), "JSON", "must be text or json; did you mean json?");
    assert_word_refused(OPTION_OF(streams_overflow), "drop_oldest",
                        "must be catchup, drop-oldest or disconnect; did you mean drop-oldest?");
    assert_word_refused(OPTION_OF(journal_type), "disc",
                        "must be disk, memory or redis; did you mean disk?");
}

/* ---- sets ---- */

static unsigned set_of(const struct config_option *o, const char *text)
{
    unsigned value = 0xffff;
    struct error why = {""};

    if (value_store(o, slice_of(text), &value, &why) != 0)
        fail_msg("%s: %s", text, why.text);
    return value;
}

static void a_set_is_words_between_blanks_and_commas(void **state)
{
    const struct config_option *publish = OPTION_OF(auth_publish);

    (void)state;
    assert_int_equal(set_of(publish, "key"), CONFIG_BY_KEY);
    assert_int_equal(set_of(publish, "key,jwt"), CONFIG_BY_KEY | CONFIG_BY_JWT);
    assert_int_equal(set_of(publish, " jwt ,\tkey jwt"), CONFIG_BY_KEY | CONFIG_BY_JWT);
    assert_int_equal(set_of(publish, "none"), 0);
    assert_int_equal(set_of(publish, ""), 0);
    assert_int_equal(set_of(OPTION_OF(auth_algorithms), "EdDSA, RS256"),
                     CONFIG_EDDSA | CONFIG_RS256);
}

static void assert_set_refused(const char *text, const char *sentence)
{
    unsigned value = 77;
    struct error why = {""};

    assert_int_equal(value_store(OPTION_OF(auth_publish), slice_of(text), &value, &why), -EINVAL);
    assert_string_equal(why.text, sentence);
    assert_int_equal(value, 77);
}

static void what_is_no_word_of_a_set_is_refused(void **state)
{
    (void)state;
    assert_set_refused("keys", "must be none, key or jwt, or several of them, separated by spaces "
                               "or commas; did you mean key?");
    assert_set_refused("key,none", "must be none, key or jwt, or several of them, separated by "
                                   "spaces or commas; none stands alone");
    assert_set_refused("key;jwt", "must be none, key or jwt, or several of them, separated by "
                                  "spaces or commas");
}

/* ---- URLs ---- */

static bool is_url_of(const struct config_option *o, const char *text)
{
    char *kept = NULL;
    int rc = value_store(o, slice_of(text), &kept, NULL);

    if (rc == 0)
        assert_string_equal(kept, text);
    free(kept);
    return rc == 0;
}

static bool is_url(const char *text)
{
    return is_url_of(OPTION_OF(auth_jwks_url), text);
}

static void what_is_signed_may_go_to_other_machines_in_plain_text(void **state)
{
    const struct config_option *o = OPTION_OF(webhooks_url);

    (void)state;
    assert_true(is_url_of(o, "http://app:8000/hook"));
    assert_true(is_url_of(o, "https://app.example.com/hook?key=a"));
    assert_false(is_url_of(o, "ftp://app/hook"));
    assert_false(is_url_of(o, "http://a:b@app/hook"));
    assert_false(is_url_of(o, "http://:80/hook"));
}

static void a_url_is_https_or_of_this_machine(void **state)
{
    static const char *const right[] = {
        "https://id.example.com/.well-known/jwks.json", "HTTPS://id.example.com",
        "https://id.example.com:8443/a?b=c:d@e", "https://[2001:db8::1]/a",
        "http://localhost:8080/a", "http://LOCALHOST/a", "http://127.0.0.1/a",
        "http://127.1.2.3:80/a", "http://[::1]:80/a",
    };
    static const char *const wrong[] = {
        "id.example.com/a", "http://id.example.com/a", "ftp://id.example.com/a", "https://",
        "https:///a", "https://:80/a", "https://a:b@id.example.com/a", "https://a@id.example.com/",
        "https://id.example.com:x/a", "https://id.example.com:65536/a", "https://id.example.com/#a",
        "https://id.example.com/a b", "http://127.0.0.1.example.com/a",
        "http://localhost.example.com/a", "http://127.0.0.1@example.com/a", "http://0.0.0.0/a",
        "http://192.0.2.1/a", "http://[::2]/a", "file:///etc/passwd", "http:/localhost/a",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(right); i++)
        if (!is_url(right[i]))
            fail_msg("%s was refused", right[i]);
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (is_url(wrong[i]))
            fail_msg("%s was taken", wrong[i]);
}

static void an_empty_url_is_none(void **state)
{
    char *kept = NULL;
    struct error why = {""};

    (void)state;
    assert_int_equal(value_store(OPTION_OF(auth_jwks_url), slice_of(""), &kept, NULL), 0);
    assert_null(kept);
    assert_int_equal(value_store(OPTION_OF(auth_jwks_url), slice_of("x"), &kept, &why), -EINVAL);
    assert_string_equal(why.text, "must be an https URL, or an http one of this machine, such as "
                                  "https://id.example.com/jwks.json, without a password in it");
}

/* ---- texts ---- */

static void texts_are_kept_as_they_are_and_empty_ones_as_null(void **state)
{
    char *text = NULL;

    (void)state;
    assert_int_equal(value_store(OPTION_OF(server_user), slice_of("nobody"), &text, NULL), 0);
    assert_string_equal(text, "nobody");
    assert_int_equal(value_store(OPTION_OF(server_user), slice_of("Zo\xc3\xab"), &text, NULL), 0);
    assert_string_equal(text, "Zo\xc3\xab");
    assert_int_equal(value_store(OPTION_OF(server_user), slice_of(""), &text, NULL), 0);
    assert_null(text);
}

static void a_text_is_refused_for_its_length_a_control_character_or_its_encoding(void **state)
{
    char long_user[34];
    const char *users[] = {long_user, "a\nb", "\x7f", "\xff", "a\xc3"};
    char *text = NULL;
    struct error why = {""};

    (void)state;
    memset(long_user, 'u', 33);
    long_user[33] = '\0';
    assert_int_equal(value_store(OPTION_OF(server_user), slice_make(long_user, 32), &text, NULL),
                     0);
    for (size_t i = 0; i < COUNT(users); i++) {
        assert_int_equal(value_store(OPTION_OF(server_user), slice_of(users[i]), &text, &why),
                         -EINVAL);
        assert_string_equal(why.text,
                            "must be a text of 0 to 32 bytes without control characters");
        assert_int_equal(strlen(text), 32); /* what it held */
    }
    assert_int_equal(value_store(OPTION_OF(journal_path), slice_of("/a\tb"), &text, &why),
                     -EINVAL);
    assert_string_equal(why.text, "must be a text of 0 to 4000 bytes without control characters");
    value_free(OPTION_OF(server_user), &text);
    assert_null(text);
}

/* ---- addresses ---- */

/* As value_store judges and keeps it; and as net/, which will have to open it. */
static bool is_address(const char *text)
{
    struct sockaddr_storage address;
    socklen_t length;
    struct error why = {""};
    char *kept = NULL;
    int rc = value_store(OPTION_OF(listener_address), slice_of(text), &kept, &why);
    int opened = address_parse(slice_of(text), &address, &length, NULL);

    if (rc == 0) {
        assert_string_equal(kept, text);
        if (opened != 0)
            fail_msg("%s: taken here and refused there", text);
    } else {
        assert_int_equal(rc, -EINVAL);
        assert_null(kept);
        assert_string_equal(why.text,
                            "must be HOST:PORT, *:PORT or unix:/PATH, such as 127.0.0.1:8080");
    }
    free(kept);
    return rc == 0;
}

static void every_form_of_an_address_is_taken(void **state)
{
    static const char *const right[] = {
        "127.0.0.1:8080", "127.0.0.1:0", "0.0.0.0:65535", "192.0.2.1:1", "localhost:8080",
        "LocalHost:8080", "[::1]:8080", "[::]:0", "[2001:db8::1]:443", "[::ffff:192.0.2.1]:80",
        "*:8080", ":8080", "unix:/run/sse-notify.sock", "unix:/run/with blank", "unix:/a:80",
        "unix:/Zo\xc3\xab",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(right); i++)
        if (!is_address(right[i]))
            fail_msg("%s was refused", right[i]);
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const wrong[] = {
        "", "8080", "localhost", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:99999",
        "127.0.0.1:http", "127.0.0.1:-1", "127.0.0.1: 80", "127.0.0.1:80 ", "256.0.0.1:80",
        "1.2.3:80", "example.com:80", "::1:80", "::1", "[::1]", "[::1", "[::1:80", "[]:80",
        "[127.0.0.1]:80", "[::1]80", "[::1]x:80", "**:80", "*", "unix:", "unix:/a\nb",
        "unix:/\xff", "http://127.0.0.1:80",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (is_address(wrong[i]))
            fail_msg("%s was taken", wrong[i]);
}

static void path_of_a_unix_socket_has_at_most_107_bytes(void **state)
{
    char address[5 + 108 + 1] = "unix:/";

    (void)state;
    memset(address + 6, 'a', 107);
    assert_false(is_address(address));
    address[5 + 107] = '\0';
    assert_true(is_address(address));
}

/* ---- lists ---- */

/* The list's items with a blank behind each. */
static void assert_list(const struct config_option *o, const char *text, const char *expected)
{
    struct config_list list = {0};
    struct buf got = {0};
    struct error why = {""};

    if (value_store(o, slice_of(text), &list, &why) != 0)
        fail_msg("%s = %s: %s", o->key, text, why.text);
    for (size_t i = 0; i < list.count; i++)
        buf_printf(&got, "%s ", list.items[i]);
    assert_slice(buf_slice(&got), expected);
    buf_fini(&got);
    value_free(o, &list);
    assert_null(list.items);
    assert_int_equal(list.count, 0);
}

/* That nothing is taken of it, and which item the sentence ends with. */
static void assert_list_refused(const struct config_option *o, const char *text, const char *item)
{
    struct config_list list = {0};
    struct error why = {""};
    char sentence[256];

    snprintf(sentence, sizeof sentence, "must be up to 64 %s, separated by spaces or commas; %s",
             o->type == CONFIG_ORIGINS ? "origins such as https://app.example.com"
                                       : "IP addresses or networks such as 10.0.0.0/8", item);
    if (value_store(o, slice_of(text), &list, &why) != -EINVAL)
        fail_msg("%s = %s: was taken", o->key, text);
    assert_string_equal(why.text, sentence);
    assert_null(list.items);
}

static void items_of_a_list_stand_between_blanks_and_commas(void **state)
{
    const struct config_option *o = OPTION_OF(http_trusted_proxies);

    (void)state;
    assert_list(o, "", "");
    assert_list(o, " ,\t, ", "");
    assert_list(o, "192.0.2.1", "192.0.2.1 ");
    assert_list(o, "192.0.2.1,10.0.0.0/8", "192.0.2.1 10.0.0.0/8 ");
    assert_list(o, ",192.0.2.1 ,\t 10.0.0.0/8, ", "192.0.2.1 10.0.0.0/8 ");
}

static void a_new_list_takes_the_place_of_the_old(void **state)
{
    const struct config_option *o = OPTION_OF(http_trusted_proxies);
    struct config_list list = {0};
    struct error why = {""};

    (void)state;
    assert_int_equal(value_store(o, slice_of("192.0.2.1 192.0.2.2"), &list, &why), 0);
    assert_int_equal(value_store(o, slice_of("192.0.2.3 wrong"), &list, &why), -EINVAL);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1], "192.0.2.2");
    assert_int_equal(value_store(o, slice_of("::1"), &list, &why), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0], "::1");
    assert_int_equal(value_store(o, slice_of(""), &list, &why), 0);
    assert_int_equal(list.count, 0);
    value_free(o, &list);
}

static void a_list_holds_64_items_and_no_more(void **state)
{
    const struct config_option *o = OPTION_OF(http_trusted_proxies);
    struct config_list list = {0};
    struct buf text = {0};

    (void)state;
    for (int i = 0; i < CONFIG_MAX_LIST; i++)
        buf_printf(&text, "10.0.0.%d ", i);
    assert_int_equal(value_store(o, buf_slice(&text), &list, NULL), 0);
    assert_int_equal(list.count, CONFIG_MAX_LIST);
    value_free(o, &list);
    buf_add_text(&text, "10.0.0.64");
    buf_add_char(&text, '\0');
    assert_list_refused(o, text.p, "these are more");
    buf_fini(&text);
}

static void networks_are_addresses_with_or_without_bits(void **state)
{
    static const char *const wrong[] = {
        "proxy.example.com", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8",
        "fd00::/129", "[fd00::]/8", "/8", "10.0.0.0/8x", "127.0.0.1:80", "*",
    };
    const struct config_option *o = OPTION_OF(http_trusted_proxies);
    struct network network;

    (void)state;
    assert_list(o, "0.0.0.0/0 10.0.0.0/32 ::/0 fd00::/8 fd00::1/128 ::ffff:192.0.2.1",
                "0.0.0.0/0 10.0.0.0/32 ::/0 fd00::/8 fd00::1/128 ::ffff:192.0.2.1 ");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char item[80];

        snprintf(item, sizeof item, "\"%s\" is not one", wrong[i]);
        assert_list_refused(o, wrong[i], item);
        assert_int_equal(network_parse(slice_of(wrong[i]), &network), -EINVAL);
    }
}

static void origins_get_the_form_that_browsers_send(void **state)
{
    const struct config_option *o = OPTION_OF(http_allowed_origins);

    (void)state;
    assert_list(o, "https://app.example.com", "https://app.example.com ");
    assert_list(o, "HTTPS://App.Example.COM:8443", "https://app.example.com:8443 ");
    assert_list(o, "https://a:443 http://a:80", "https://a http://a ");
    assert_list(o, "https://a:80 http://a:443", "https://a:80 http://a:443 ");
    assert_list(o, "https://*.example.com:443", "https://*.example.com ");
    assert_list(o, "http://[::1]:8080 https://[2001:DB8::1]:443",
                "http://[::1]:8080 https://[2001:db8::1] ");
    assert_list(o, "http://localhost:3000", "http://localhost:3000 ");
    assert_list(o, "moz-extension://0a1b-2c", "moz-extension://0a1b-2c ");
    assert_list(o, "* https://a", "* https://a ");
}

static void what_no_browser_would_send_is_no_origin(void **state)
{
    static const char *const wrong[] = {
        "app.example.com", "*.example.com", "https://", "https://app.example.com/",
        "https://app.example.com/path", "https://user@app.example.com", "https://*", "https://*.",
        "https://a.*.com", "https://.a", "https://a.", "https://a:", "https://a:http",
        "https://a:65536", "https://[::1", "https://::1", "1https://a", "://a", "https:/a", "null",
        "https://a?b", "https://b\303\274cher.example",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char item[80];

        snprintf(item, sizeof item, "\"%s\" is not one", wrong[i]);
        assert_list_refused(OPTION_OF(http_allowed_origins), wrong[i], item);
    }
}

static void an_item_of_256_bytes_is_too_long(void **state)
{
    char text[8 + 248 + 1] = "https://";
    struct config_list list = {0};

    (void)state;
    memset(text + 8, 'a', 248);
    text[256] = '\0';
    assert_int_equal(value_store(OPTION_OF(http_allowed_origins), slice_of(text), &list, NULL),
                     -EINVAL);
    text[255] = '\0';
    assert_int_equal(value_store(OPTION_OF(http_allowed_origins), slice_of(text), &list, NULL), 0);
    assert_string_equal(list.items[0], text);
    value_free(OPTION_OF(http_allowed_origins), &list);
}

/* ---- showing ---- */

static void assert_shown(struct slice text, const char *expected)
{
    char out[VALUE_SHOWN_SIZE];

    memset(out, 'x', sizeof out);
    value_show(text, out);
    assert_string_equal(out, expected);
}

static void a_value_is_shown_on_one_line(void **state)
{
    (void)state;
    assert_shown(slice_of("15s"), "15s");
    assert_shown(slice_of(""), "\"\"");
    assert_shown(slice_of(NULL), "\"\"");
    assert_shown(SLICE_LITERAL("a\nb\tc\x7f" "d\0e"), "a?b?c?d?e");
    assert_shown(slice_of("Zo\xc3\xab"), "Zo\xc3\xab");
    assert_shown(slice_of("\xff\xc3\xab"), "???");
}

static void a_long_value_is_cut_between_two_characters(void **state)
{
    char text[100];
    char expected[VALUE_SHOWN_SIZE];

    (void)state;
    memset(text, 'a', sizeof text);
    memset(expected, 'a', 76);
    expected[76] = '\0';
    assert_shown(slice_make(text, 76), expected);
    memcpy(expected + 76, "...", 4);
    assert_shown(slice_make(text, 77), expected);
    memcpy(text + 74, "\xe2\x82\xac", 3); /* bytes 74 to 76: it would be cut after two */
    memcpy(expected + 74, "...", 4);
    assert_shown(slice_make(text, sizeof text), expected);
}

/* ---- printing ---- */

/* `text` is read and printed as `expected`. */
static void assert_printed(const struct config_option *o, const char *text, const char *expected)
{
    union {
        uint64_t number;
        char *text;
        struct config_list list;
    } value = {.list = {NULL, 0}};
    struct error why = {""};
    struct buf out = {0};

    if (value_store(o, slice_of(text), &value, &why) != 0)
        fail_msg("%s = %s: %s", o->key, text, why.text);
    assert_int_equal(value_print(o, &value, &out), 0);
    if (!slice_is(buf_slice(&out), expected))
        fail_msg("%s = %s: printed %.*s", o->key, text, SLICE_ARG(buf_slice(&out)));
    buf_fini(&out);
    value_free(o, &value);
}

static void a_login_in_a_url_is_not_printed(void **state)
{
    (void)state;
    assert_printed(OPTION_OF(journal_redis_url), "redis://h:1/2", "redis://h:1/2");
    assert_printed(OPTION_OF(journal_redis_url), "redis://u:s@c@h/1", "redis://...@h/1");
    assert_printed(OPTION_OF(journal_redis_url), "u:secret@h", "...@h");
    assert_printed(OPTION_OF(journal_redis_sentinels), "redis://:a@h redis://:c@i",
                   "redis://...@i");
}

static void values_are_printed_as_they_could_be_written(void **state)
{
    (void)state;
    assert_printed(OPTION_OF(journal_keep), "1500ms", "1500ms");
    assert_printed(OPTION_OF(journal_keep), "90s", "90s");
    assert_printed(OPTION_OF(journal_keep), "120s", "2min");
    assert_printed(OPTION_OF(journal_keep), "48h", "2d");
    assert_printed(OPTION_OF(server_drain_time), "0", "0");
    assert_printed(OPTION_OF(journal_keep_bytes), "2048KiB", "2MiB");
    assert_printed(OPTION_OF(streams_queue), "99", "99");
    assert_printed(OPTION_OF(streams_allow_anonymous), "on", "yes");
    assert_printed(OPTION_OF(streams_allow_anonymous), "no", "no");
    assert_printed(OPTION_OF(streams_overflow), "drop-oldest", "drop-oldest");
    assert_printed(OPTION_OF(auth_publish), "none", "none");
    assert_printed(OPTION_OF(auth_publish), "jwt key", "key,jwt");
    assert_printed(OPTION_OF(auth_algorithms), "EdDSA ES256", "ES256,EdDSA");
    assert_printed(OPTION_OF(auth_algorithms), "", "");
    assert_printed(OPTION_OF(listener_mode), "640", "0640");
    assert_printed(OPTION_OF(listener_address), "[::1]:80", "[::1]:80");
    assert_printed(OPTION_OF(auth_cookie), "", "");
    assert_printed(OPTION_OF(http_allowed_origins), "https://a.example,https://b.example",
                   "https://a.example https://b.example");
}

static void a_url_is_printed_without_its_query_which_may_hold_a_secret(void **state)
{
    (void)state;
    assert_printed(OPTION_OF(auth_jwks_url), "https://id.example/keys", "https://id.example/keys");
    assert_printed(OPTION_OF(webhooks_url), "http://app/hook?key=secret", "http://app/hook?...");
    assert_printed(OPTION_OF(auth_jwks_url), "https://id.example/keys?code=hunter2",
                   "https://id.example/keys?...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_in_every_unit),
        cmocka_unit_test(sizes_are_read_in_every_unit),
        cmocka_unit_test(only_zero_is_a_time_without_unit),
        cmocka_unit_test(what_is_no_number_with_unit_is_refused),
        cmocka_unit_test(ends_of_a_range_belong_to_it_and_what_is_next_to_them_does_not),
        cmocka_unit_test(a_number_too_large_for_its_type_does_not_wrap_into_range),
        cmocka_unit_test(a_field_of_32_bits_leaves_its_neighbours_alone),
        cmocka_unit_test(every_default_and_every_end_of_a_range_is_a_value_of_its_option),
        cmocka_unit_test(sizes_are_shown_as_a_person_would_write_them),
        cmocka_unit_test(modes_are_octal),
        cmocka_unit_test(flags_are_six_words_in_any_case),
        cmocka_unit_test(every_word_of_every_list_is_taken),
        cmocka_unit_test(a_wrong_word_is_told_which_there_are_and_the_nearest),
        cmocka_unit_test(a_set_is_words_between_blanks_and_commas),
        cmocka_unit_test(what_is_no_word_of_a_set_is_refused),
        cmocka_unit_test(a_url_is_https_or_of_this_machine),
        cmocka_unit_test(what_is_signed_may_go_to_other_machines_in_plain_text),
        cmocka_unit_test(an_empty_url_is_none),
        cmocka_unit_test(texts_are_kept_as_they_are_and_empty_ones_as_null),
        cmocka_unit_test(a_text_is_refused_for_its_length_a_control_character_or_its_encoding),
        cmocka_unit_test(every_form_of_an_address_is_taken),
        cmocka_unit_test(a_login_in_a_url_is_not_printed),
        cmocka_unit_test(values_are_printed_as_they_could_be_written),
        cmocka_unit_test(a_url_is_printed_without_its_query_which_may_hold_a_secret),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(path_of_a_unix_socket_has_at_most_107_bytes),
        cmocka_unit_test(items_of_a_list_stand_between_blanks_and_commas),
        cmocka_unit_test(a_new_list_takes_the_place_of_the_old),
        cmocka_unit_test(a_list_holds_64_items_and_no_more),
        cmocka_unit_test(networks_are_addresses_with_or_without_bits),
        cmocka_unit_test(origins_get_the_form_that_browsers_send),
        cmocka_unit_test(what_no_browser_would_send_is_no_origin),
        cmocka_unit_test(an_item_of_256_bytes_is_too_long),
        cmocka_unit_test(a_value_is_shown_on_one_line),
        cmocka_unit_test(a_long_value_is_cut_between_two_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
