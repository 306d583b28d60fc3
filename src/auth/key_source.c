/* key_source.c - old keys are kept until there are new ones. */
#include "key_source_priv.h"

#include <errno.h>
#include "base/log.h"
#include "key_file_priv.h"

/* Returns 0, -1 with `why`, or -EACCES without. */
static int read_file(const struct key_source *s, const char *setting, struct key_set *keys,
                     struct error *why)
{
    struct error sentence = {""};
    struct buf text = {0};
    bool is_open_to_all = false;
    int status = key_file_read(s->path, &text, &is_open_to_all, &sentence);

    if (status == 0)
        status = s->is_set ? key_set_from_jwks(keys, buf_slice(&text), false, &sentence)
                           : key_set_from_key(keys, buf_slice(&text), &sentence);
    key_file_fini(&text);
    if (status != 0) {
        error_set(why, "%s = %s: %s", setting, s->path,
                  status == -ENOMEM ? "out of memory" : sentence.text);
        return status == -EACCES ? status : -1;
    }
    if (is_open_to_all && keys->keys[0].kind == KEY_SECRET)
        key_file_warn_is_open(setting, s->path);
    return 0;
}

int key_source_open(struct key_source *s, const char *setting, const char *path, bool is_set,
                    struct error *why)
{
    *s = (struct key_source){.path = path, .is_set = is_set};
    return read_file(s, setting, &s->keys, why) == 0 ? 0 : -1;
}

int key_source_read_again(struct key_source *s, const char *setting, struct error *why)
{
    struct error sentence = {""};
    int status = s->path == NULL ? 0 : read_file(s, setting, &s->fresh, &sentence);

    if (status == -EACCES) {
        log_warning("%s; the key of before is used, and a restart reads it", sentence.text);
        return 0;
    }
    return status == 0 ? 0 : error_set(why, "%s", sentence.text);
}

void key_source_take(struct key_source *s)
{
    if (s->fresh.count == 0)
        return;
    key_set_fini(&s->keys);
    s->keys = s->fresh;
    s->fresh = (struct key_set){0};
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

void key_source_ask(struct key_source *s, uint64_t now_ms)
{
    if (s->is_fetching || (s->was_asked && now_ms - s->asked_ms < SOURCE_UNKNOWN_MS))
        return;
    s->was_asked = true;
    s->asked_ms = now_ms;
    s->due_ms = now_ms;
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
    key_set_fini(&s->fresh);
    *s = (struct key_source){.url = NULL};
}
