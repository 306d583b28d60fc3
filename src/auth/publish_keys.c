/* publish_keys.c - a few dozen lines at most: each look-up compares them all. */
#include "auth/publish_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "base/slurp.h"
#include "base64url_priv.h"

#define KEY_PREFIX "snk_" /* so that a scan for secrets knows one when it sees it */

enum {
    MAX_KEYS = 1000,
    MAX_FILE = 1 << 20,
    MAX_NAME = 64,
    MAX_RATE = 1000000,
    RANDOM_BYTES = 32,
    HASH_BYTES = 32,
    LOOK_MS = 1000, /* between two looks at the file */
};

/* The keys of one reading of the file. */
struct key_list {
    struct publish_key *at;
    size_t count;
};

struct publish_keys {
    const char *path;
    uint64_t default_rate;
    struct key_list list;
    struct stat seen;     /* the file as it was read */
    struct error trouble; /* why it could not be read again, as it was told; empty: it could */
    uint64_t looked_ms;   /* when it was looked at last */
};

/* ---- one line ---- */

static bool is_name(struct slice name)
{
    if (name.n == 0 || name.n > MAX_NAME)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
                   name.p[i]) == NULL ||
            name.p[i] == '\0')
            return false;
    return true;
}

/* Cuts the next word off; false at the end. */
static bool next_word(struct slice *rest, struct slice *word)
{
    *rest = slice_trim(*rest);
    word->p = rest->p;
    word->n = 0;
    while (word->n < rest->n && word->p[word->n] != ' ' && word->p[word->n] != '\t')
        word->n++;
    *rest = slice_make(rest->p + word->n, rest->n - word->n);
    return word->n > 0;
}

static int read_hash(struct slice word, unsigned char hash[HASH_BYTES])
{
    static const char prefix[] = "sha256:";
    const size_t n = sizeof prefix - 1;

    if (word.n != n + 2 * HASH_BYTES || memcmp(word.p, prefix, n) != 0)
        return -EINVAL;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = hex_lower_value(word.p[n + 2 * i]);
        int low = hex_lower_value(word.p[n + 2 * i + 1]);

        if (high < 0 || low < 0)
            return -EINVAL;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static void key_free(struct publish_key *key)
{
    for (size_t i = 0; i < key->grants.count; i++)
        free((void *)(uintptr_t)key->grants.patterns[i].p);
    free((void *)(uintptr_t)key->grants.patterns);
    free(key->name);
}

static int add_pattern(struct publish_key *key, struct slice word)
{
    size_t count = key->grants.count;
    struct slice *patterns = realloc((void *)(uintptr_t)key->grants.patterns,
                                     (count + 1) * sizeof *patterns);

    if (patterns == NULL)
        return -ENOMEM;
    key->grants.patterns = patterns;
    patterns[count] = slice_make(strndup(word.p, word.n), word.n);
    if (patterns[count].p == NULL)
        return -ENOMEM;
    key->grants.count++;
    key->is_restricted = true;
    return 0;
}

/* "rate=100", or a pattern. */
static int read_option(struct publish_key *key, struct slice word, struct error *why)
{
    if (word.n > 5 && memcmp(word.p, "rate=", 5) == 0) {
        struct slice number = slice_make(word.p + 5, word.n - 5);

        if (slice_to_u64(number, &key->rate) == 0 && key->rate >= 1 && key->rate <= MAX_RATE)
            return 0;
        error_set(why, "rate must be a number from 1 to %d", MAX_RATE);
        return -EINVAL;
    }
    if (grants_is_pattern(word))
        return add_pattern(key, word);
    error_set(why, "what follows the hash must be rate=N, or one of user:NAME, user:*, topic:NAME, "
                   "topic:* and broadcast");
    return -EINVAL;
}

/* Reads a line into `key`, which is empty, and is to be freed in any case. */
static int read_line(struct publish_key *key, struct slice line, struct error *why)
{
    struct slice word;
    int status = 0;

    if (!next_word(&line, &word) || !is_name(word)) {
        error_set(why, "it must begin with a name: 1 to %d letters, digits, '.', '_' and '-'",
                  MAX_NAME);
        return -EINVAL;
    }
    key->name = strndup(word.p, word.n);
    if (key->name == NULL)
        return -ENOMEM;
    if (!next_word(&line, &word) || read_hash(word, key->hash) != 0) {
        error_set(why, "behind the name must be the key's hash, sha256: and 64 hexadecimal digits; "
                       "`sse-notify key add NAME` writes such a line");
        return -EINVAL;
    }
    while (status == 0 && next_word(&line, &word))
        status = read_option(key, word, why);
    return status;
}

/* ---- the file ---- */

static void list_fini(struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        key_free(&list->at[i]);
    free(list->at);
    *list = (struct key_list){0};
}

static struct publish_key *find_name(const struct key_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->at[i].name, name) == 0)
            return &list->at[i];
    return NULL;
}

static int add_line(struct key_list *list, struct slice line, struct error *why)
{
    struct publish_key key = {.name = NULL};
    int status = read_line(&key, line, why);

    if (status == 0 && find_name(list, key.name) != NULL) {
        error_set(why, "the name %s is there already", key.name);
        status = -EINVAL;
    }
    if (status == 0 && list->count == MAX_KEYS) {
        error_set(why, "there may be at most %d keys", MAX_KEYS);
        status = -EINVAL;
    }
    if (status != 0) {
        key_free(&key);
        return status;
    }
    list->at[list->count++] = key;
    return 0;
}

/* Cuts off the next line that says something; false at the end. */
static bool next_line(struct slice *rest, struct slice *line, size_t *number)
{
    while (rest->p != NULL) {
        *line = slice_cut(rest, '\n');
        ++*number;
        if (line->n > 0 && line->p[line->n - 1] == '\r')
            line->n--;
        *line = slice_trim(*line);
        if (line->n > 0 && line->p[0] != '#')
            return true;
    }
    return false;
}

static int read_text(struct key_list *list, struct slice text, struct error *why)
{
    struct error sentence = {""};
    struct slice line;
    size_t number = 0;
    int status = 0;

    list->at = calloc(MAX_KEYS, sizeof *list->at);
    if (list->at == NULL)
        return -ENOMEM;
    while (status == 0 && next_line(&text, &line, &number))
        status = add_line(list, line, &sentence);
    if (status == -EINVAL)
        error_set(why, "line %zu: %s", number, sentence.text);
    return status;
}

/* Reads the file as it is now; what a key may still send is taken over. */
static int read_file(struct publish_keys *keys, struct error *why)
{
    struct key_list list = {0};
    struct buf text = {0};
    int fd = open(keys->path, O_RDONLY | O_CLOEXEC);
    struct stat file = {0};
    int status = fd < 0 || fstat(fd, &file) != 0 ? -errno : slurp(fd, MAX_FILE, &text);

    if (fd >= 0)
        close(fd);
    if (status != 0)
        error_set(why, "cannot be read: %s%s", strerror(-status),
                  status == -ENOENT ? "; `sse-notify key add NAME` makes it" : "");
    else
        status = read_text(&list, buf_slice(&text), why);
    buf_fini(&text);
    if (status != 0) {
        list_fini(&list);
        return status;
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct publish_key *old = find_name(&keys->list, list.at[i].name);

        if (old == NULL)
            continue;
        list.at[i].allowance = old->allowance;
        list.at[i].counted_ms = old->counted_ms;
    }
    list_fini(&keys->list);
    keys->list = list;
    keys->seen = file;
    return 0;
}

struct publish_keys *publish_keys_open(const char *path, uint64_t default_rate, struct error *why)
{
    struct publish_keys *keys = calloc(1, sizeof *keys);
    struct error sentence = {"out of memory"};

    if (keys == NULL) {
        error_set(why, "out of memory for the publish keys");
        return NULL;
    }
    keys->path = path;
    keys->default_rate = default_rate;
    if (read_file(keys, &sentence) != 0) {
        error_set(why, "auth.publish_keys_file = %s: %s", path, sentence.text);
        publish_keys_close(keys);
        return NULL;
    }
    if (keys->list.count == 0)
        log_warning("auth.publish_keys_file = %s: there is no key in it; `sse-notify key add NAME` "
                    "adds one",
                    path);
    return keys;
}

void publish_keys_close(struct publish_keys *keys)
{
    if (keys == NULL)
        return;
    list_fini(&keys->list);
    free(keys);
}

static bool has_changed(const struct stat *a, const struct stat *b)
{
    return a->st_dev != b->st_dev || a->st_ino != b->st_ino || a->st_size != b->st_size ||
           a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

/* A file that cannot be read is tried at each look; what is wrong with it is told once. */
static void look_at_file(struct publish_keys *keys, uint64_t now_ms)
{
    struct error sentence = {"out of memory"};
    struct stat now;

    if (now_ms - keys->looked_ms < LOOK_MS)
        return;
    keys->looked_ms = now_ms;
    if (keys->trouble.text[0] == '\0' && stat(keys->path, &now) == 0 &&
        !has_changed(&now, &keys->seen))
        return;
    if (read_file(keys, &sentence) == 0) {
        keys->trouble.text[0] = '\0';
        log_info("auth.publish_keys_file = %s: read again, %zu keys", keys->path, keys->list.count);
    } else if (strcmp(sentence.text, keys->trouble.text) != 0) {
        keys->trouble = sentence;
        log_warning("auth.publish_keys_file = %s: %s; the keys of before are used", keys->path,
                    sentence.text);
    }
}

/* ---- keys ---- */

static int hash_key(struct slice text, unsigned char hash[HASH_BYTES])
{
    return EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

struct publish_key *publish_keys_find(struct publish_keys *keys, struct slice text,
                                      uint64_t now_ms)
{
    struct publish_key *found = NULL;
    unsigned char hash[HASH_BYTES];

    look_at_file(keys, now_ms);
    if (hash_key(text, hash) != 0)
        return NULL;
    for (size_t i = 0; i < keys->list.count; i++)
        if (CRYPTO_memcmp(keys->list.at[i].hash, hash, sizeof hash) == 0)
            found = &keys->list.at[i];
    return found;
}

bool publish_keys_take(const struct publish_keys *keys, struct publish_key *key, size_t count,
                       uint64_t now_ms)
{
    uint64_t rate = key->rate != 0 ? key->rate : keys->default_rate;

    if (rate == 0)
        return true;
    if (key->counted_ms == 0) /* never yet: a second's worth */
        key->allowance = (double)rate;
    else
        key->allowance += (double)(now_ms - key->counted_ms) * (double)rate / 1000;
    if (key->allowance > (double)rate)
        key->allowance = (double)rate;
    key->counted_ms = now_ms;
    if (key->allowance < 1)
        return false;
    key->allowance -= (double)count;
    return true;
}

/* ---- making keys ---- */

static void add_hex(struct buf *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", bytes[i]);
}

static int draw(char key[PUBLISH_KEY_SIZE])
{
    unsigned char bytes[RANDOM_BYTES];
    struct buf text = {0};
    int status = 0;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return -EIO;
    buf_add_text(&text, KEY_PREFIX);
    base64url_encode(&text, slice_make((const char *)bytes, sizeof bytes));
    if (text.failed)
        status = -ENOMEM;
    else
        snprintf(key, PUBLISH_KEY_SIZE, "%.*s", SLICE_ARG(buf_slice(&text)));
    if (text.p != NULL)
        OPENSSL_cleanse(text.p, text.cap);
    OPENSSL_cleanse(bytes, sizeof bytes);
    buf_fini(&text);
    return status;
}

int publish_key_make(const char *name, const char *const *patterns, size_t pattern_count,
                     uint64_t rate, char key[PUBLISH_KEY_SIZE], struct buf *line,
                     struct error *why)
{
    struct publish_key check = {.name = NULL};
    unsigned char hash[HASH_BYTES];
    size_t start = line->len;
    int status = draw(key);

    if (status == 0)
        status = hash_key(slice_of(key), hash);
    if (status != 0)
        return status;
    buf_printf(line, "%s sha256:", name);
    add_hex(line, hash, sizeof hash);
    if (rate > 0)
        buf_printf(line, " rate=%llu", (unsigned long long)rate);
    for (size_t i = 0; i < pattern_count; i++)
        buf_printf(line, " %s", patterns[i]);
    if (line->failed)
        return -ENOMEM;
    status = read_line(&check, slice_make(line->p + start, line->len - start), why);
    if (status == 0 && (strcmp(check.name, name) != 0 || check.grants.count != pattern_count)) {
        error_set(why, "a name or pattern with blanks cannot stand in the file");
        status = -EINVAL;
    }
    key_free(&check);
    buf_add_char(line, '\n');
    return line->failed ? -ENOMEM : status;
}

bool publish_keys_have_name(struct slice text, const char *name)
{
    struct slice line;
    struct slice word;
    size_t number = 0;

    while (next_line(&text, &line, &number))
        if (next_word(&line, &word) && slice_is(word, name))
            return true;
    return false;
}
