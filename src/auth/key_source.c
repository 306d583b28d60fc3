/* key_source.c - old keys are kept until there are new ones. */
#include "key_source_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"

/* Reads all of `fd` into `out`, which has room for one byte more than is allowed and is not made
 * larger: nothing of a secret is left behind. */
static int slurp(int fd, struct buf *out)
{
    while (out->len <= KEY_SET_MAX_BYTES) {
        ssize_t n = read(fd, out->p + out->len, KEY_SET_MAX_BYTES + 1 - out->len);

        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            out->len += (size_t)n;
    }
    return -EFBIG;
}

/* A secret is to be read by us alone; who has made it otherwise is told. */
static void look_at_mode(int fd, const char *setting, const char *path, const struct key_set *keys)
{
    struct stat status;

    if (keys->keys[0].kind != KEY_SECRET || fstat(fd, &status) != 0 || (status.st_mode & 0007) == 0)
        return;
    log_warning("%s = %s: every user of this machine can read this secret; `chmod o= %s` mends it",
                setting, path, path);
}

static int read_keys(struct key_set *keys, int fd, bool is_set, struct error *why)
{
    struct buf text = {0};
    int status = buf_reserve(&text, KEY_SET_MAX_BYTES + 1);

    if (status != 0)
        return status;
    status = slurp(fd, &text);
    if (status != 0)
        error_set(why, "%s", status == -EFBIG ? "it is too large for keys" : strerror(-status));
    else
        status = is_set ? key_set_from_jwks(keys, buf_slice(&text), false, why)
                        : key_set_from_key(keys, buf_slice(&text), why);
    OPENSSL_cleanse(text.p, text.len);
    buf_fini(&text);
    return status;
}

int key_source_read(struct key_source *s, const char *setting, const char *path, bool is_set,
                    struct error *why)
{
    struct error sentence = {""};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int status;

    *s = (struct key_source){.url = NULL};
    if (fd < 0)
        return error_set(why, "%s = %s: cannot be read: %s", setting, path, strerror(errno));
    status = read_keys(&s->keys, fd, is_set, &sentence);
    if (status == 0)
        look_at_mode(fd, setting, path, &s->keys);
    close(fd);
    if (status == -ENOMEM)
        return error_set(why, "%s = %s: out of memory", setting, path);
    return status == 0 ? 0 : error_set(why, "%s = %s: %s", setting, path, sentence.text);
}

void key_source_begin(struct key_source *s, const char *url, uint64_t now_ms)
{
    *s = (struct key_source){.url = url, .due_ms = now_ms};
}

bool key_source_is_due(struct key_source *s, uint64_t now_ms)
{
    if (s->url == NULL || s->is_fetching || now_ms < s->due_ms)
        return false;
    s->is_fetching = true;
    return true;
}

bool key_source_ask(struct key_source *s, uint64_t now_ms)
{
    if (s->url == NULL)
        return false;
    if (s->is_fetching)
        return true;
    if (s->was_asked && now_ms - s->asked_ms < SOURCE_UNKNOWN_MS)
        return false;
    s->was_asked = true;
    s->asked_ms = now_ms;
    s->due_ms = now_ms;
    return true;
}

static uint64_t retry_ms(const struct key_source *s)
{
    unsigned doublings = s->failures <= 6 ? s->failures - 1 : 6;
    uint64_t wait_ms = (uint64_t)SOURCE_RETRY_MS << doublings;

    return s->keys.count > 0 || wait_ms > SOURCE_MOST_RETRY_MS ? SOURCE_MOST_RETRY_MS : wait_ms;
}

int key_source_on_fetched(struct key_source *s, struct slice body, uint64_t now_ms,
                          struct error *why)
{
    struct key_set fresh = {0};
    int status = body.p == NULL ? -EINVAL : key_set_from_jwks(&fresh, body, true, why);

    s->is_fetching = false;
    if (status == 0) {
        key_set_fini(&s->keys);
        s->keys = fresh;
        s->failures = 0;
        s->due_ms = now_ms + SOURCE_REFRESH_MS;
    } else {
        s->failures++;
        s->due_ms = now_ms + retry_ms(s);
    }
    return status;
}

void key_source_fini(struct key_source *s)
{
    key_set_fini(&s->keys);
    *s = (struct key_source){.url = NULL};
}
