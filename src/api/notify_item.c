/* notify_item.c - one row a field: its name, and the function that reads its value. */
#include "notify_item_priv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/hash.h"
#include "base/json.h"

enum { KEEP_BYTES = 65536 };

struct field {
    struct notify_item *item;
    struct slice value;
    const char *name;
    size_t at;          /* of the value in the body */
    size_t max_payload;
    struct refusal *why;
};

int refuse(struct refusal *why, int status, const char *format, ...)
{
    va_list args;

    why->status = status;
    va_start(args, format);
    vsnprintf(why->detail, sizeof why->detail, format, args);
    va_end(args);
    return -EINVAL;
}

static int refuse_memory(struct refusal *why)
{
    return refuse(why, 503, "The daemon is out of memory; try again later.");
}

/* Appends the characters of a JSON string to `to`. */
static int read_string(const struct field *f, struct slice value, struct buf *to)
{
    int status;

    if (json_type_of(value) != JSON_STRING)
        return refuse(f->why, 400, "%s must be a string (byte %zu).", f->name, f->at);
    status = json_add_unescaped(to, value);
    if (status == -EILSEQ)
        return refuse(f->why, 400,
                      "The string in %s (byte %zu) has half a surrogate pair, which cannot be sent "
                      "as UTF-8.",
                      f->name, f->at);
    return status == 0 ? 0 : refuse_memory(f->why);
}

static int read_channel_name(const struct field *f, struct slice value, struct slice *name)
{
    struct buf *to = &f->item->names;
    size_t start = to->len;

    if (read_string(f, value, to) != 0)
        return -EINVAL;
    *name = slice_make(to->p + start, to->len - start);
    if (!channel_name_is_valid(*name))
        return refuse(f->why, 400,
                      "%s (byte %zu) must be 1 to 256 bytes of UTF-8 without control characters.",
                      f->name, f->at);
    return 0;
}

static int read_user(struct field *f)
{
    f->item->n.to.kind = CHANNEL_USER;
    return read_channel_name(f, f->value, &f->item->n.to.name);
}

static int read_topic(struct field *f)
{
    f->item->n.to.kind = CHANNEL_TOPIC;
    return read_channel_name(f, f->value, &f->item->n.to.name);
}

static int read_broadcast(struct field *f)
{
    f->item->n.to = (struct channel_name){.kind = CHANNEL_EVERYONE};
    if (!slice_is(f->value, "true"))
        return refuse(f->why, 400, "broadcast can only be true; leave it out otherwise.");
    return 0;
}

static struct slice user_key(const void *item)
{
    return *(const struct slice *)item;
}

/* Drops the repeated names: nobody gets a notification twice. */
static int unique_users(struct notify_item *item)
{
    struct hash_table seen;
    size_t kept = 0;
    int status = 0;

    hash_table_init(&seen, user_key);
    for (size_t i = 0; i < item->user_count && status == 0; i++) {
        if (hash_table_find(&seen, item->users[i]) != NULL)
            continue;
        item->users[kept] = item->users[i];
        status = hash_table_insert(&seen, &item->users[kept++]);
    }
    hash_table_fini(&seen);
    item->user_count = kept;
    return status;
}

static int grow_users(struct notify_item *item)
{
    size_t cap = item->user_cap == 0 ? 16 : item->user_cap * 2;
    struct slice *users = realloc(item->users, cap * sizeof *users);

    if (users == NULL)
        return -ENOMEM;
    item->users = users;
    item->user_cap = cap;
    return 0;
}

static int read_users(struct field *f)
{
    struct notify_item *item = f->item;
    struct slice element;
    size_t cursor = 0;

    item->n.to.kind = CHANNEL_USER;
    if (json_type_of(f->value) != JSON_ARRAY)
        return refuse(f->why, 400, "users must be an array of user ids (byte %zu).", f->at);
    /* Names do not grow by unescaping, so their bytes stay where they are. */
    if (buf_reserve(&item->names, f->value.n) != 0)
        return refuse_memory(f->why);
    while (json_array_next(f->value, &cursor, &element)) {
        if (item->user_count == MAX_USERS)
            return refuse(f->why, 413, "users can hold at most %d ids; send several notifications.",
                          MAX_USERS);
        if (item->user_count == item->user_cap && grow_users(item) != 0)
            return refuse_memory(f->why);
        if (read_channel_name(f, element, &item->users[item->user_count]) != 0)
            return -EINVAL;
        item->user_count++;
    }
    if (item->user_count == 0)
        return refuse(f->why, 400, "users must name at least one user (byte %zu).", f->at);
    return unique_users(item) == 0 ? 0 : refuse_memory(f->why);
}

static int read_data(struct field *f)
{
    struct notify_item *item = f->item;

    item->n.is_json = json_type_of(f->value) != JSON_STRING;
    if (!item->n.is_json) {
        if (read_string(f, f->value, &item->data) != 0)
            return -EINVAL;
    } else if (json_add_compact(&item->data, f->value) != 0) {
        return refuse_memory(f->why);
    }
    if (item->data.len > f->max_payload)
        return refuse(f->why, 413,
                      "data has %zu bytes; publish.max_payload allows at most %zu.",
                      item->data.len, f->max_payload);
    item->n.data = buf_slice(&item->data);
    return 0;
}

static int read_event(struct field *f)
{
    struct notify_item *item = f->item;

    if (read_string(f, f->value, &item->event) != 0)
        return -EINVAL;
    item->n.event = buf_slice(&item->event);
    if (event_name_is_reserved(item->n.event))
        return refuse(f->why, 400, "event \"%.*s\" is a name that the daemon itself uses.",
                      SLICE_ARG(item->n.event));
    if (!event_name_is_valid(item->n.event))
        return refuse(f->why, 400,
                      "event must be 1 to 128 bytes of UTF-8 without control characters (byte "
                      "%zu).",
                      f->at);
    return 0;
}

static int read_ttl(struct field *f)
{
    enum { MAX_TTL_S = 10 * 366 * 86400 };
    char text[64];
    double seconds;

    if (json_type_of(f->value) != JSON_NUMBER || f->value.n >= sizeof text)
        return refuse(f->why, 400, "ttl must be a number of seconds (byte %zu).", f->at);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(f->value));
    seconds = strtod(text, NULL);
    if (!(seconds >= 0 && seconds <= MAX_TTL_S))
        return refuse(f->why, 400, "ttl must be from 0 to %d seconds (byte %zu).", MAX_TTL_S,
                      f->at);
    f->item->n.ttl_ms = (uint64_t)ceil(seconds * 1000);
    return 0;
}

static int read_key(struct field *f, struct buf *to, struct slice *key)
{
    if (read_string(f, f->value, to) != 0)
        return -EINVAL;
    *key = buf_slice(to);
    if (key->n < 1 || key->n > MAX_KEY || slice_has_control(*key))
        return refuse(f->why, 400,
                      "%s must be 1 to %d bytes without control characters (byte %zu).", f->name,
                      MAX_KEY, f->at);
    return 0;
}

static int read_collapse_key(struct field *f)
{
    return read_key(f, &f->item->collapse_key, &f->item->n.collapse_key);
}

static int read_idempotency_key(struct field *f)
{
    return read_key(f, &f->item->idempotency_key, &f->item->n.idempotency_key);
}

#define FIELD(name, read, is_target) {name, sizeof(name) - 1, read, is_target}

static const struct {
    const char *name;
    size_t name_length;
    int (*read)(struct field *f);
    bool is_target;
} fields[] = {
    FIELD("user", read_user, true),
    FIELD("users", read_users, true),
    FIELD("topic", read_topic, true),
    FIELD("broadcast", read_broadcast, true),
    FIELD("data", read_data, false),
    FIELD("event", read_event, false),
    FIELD("ttl", read_ttl, false),
    FIELD("collapse_key", read_collapse_key, false),
    FIELD("idempotency_key", read_idempotency_key, false),
};

enum { FIELDS = sizeof fields / sizeof fields[0], DATA_FIELD = 4 };

static int find_field(struct slice key)
{
    for (int i = 0; i < FIELDS; i++) /* `key` has its quotes */
        if (key.n == fields[i].name_length + 2 &&
            memcmp(key.p + 1, fields[i].name, fields[i].name_length) == 0)
            return i;
    if (memchr(key.p, '\\', key.n) == NULL)
        return -1;
    for (int i = 0; i < FIELDS; i++)
        if (json_string_is(key, fields[i].name))
            return i;
    return -1;
}

/* The key as it was written, cut: it goes into a sentence. */
static int refuse_unknown(struct slice key, size_t at, struct refusal *why)
{
    return refuse(why, 400, "Unknown field %.*s (byte %zu).", key.n > 80 ? 80 : (int)key.n, key.p,
                  at);
}

static int check_whole(const bool seen[FIELDS], struct refusal *why)
{
    int targets = 0;

    for (int i = 0; i < FIELDS; i++)
        targets += seen[i] && fields[i].is_target;
    if (targets != 1)
        return refuse(why, 400,
                      "A notification needs exactly one of user, users, topic and broadcast; this "
                      "one has %d.",
                      targets);
    if (!seen[DATA_FIELD])
        return refuse(why, 400, "A notification needs data.");
    return 0;
}

static void reset(struct notify_item *item)
{
    item->n = (struct notification){
        .event = SLICE_LITERAL("notification"),
        .ttl_ms = TTL_DEFAULT,
    };
    item->user_count = 0;
    buf_clear(&item->names);
    buf_clear(&item->data);
    buf_clear(&item->event);
    buf_clear(&item->collapse_key);
    buf_clear(&item->idempotency_key);
}

int notify_item_read(struct notify_item *item, struct slice object, size_t at, size_t max_payload,
                     struct refusal *why)
{
    struct field f = {.item = item, .max_payload = max_payload, .why = why};
    bool seen[FIELDS] = {false};
    struct slice key;
    size_t cursor = 0;

    reset(item);
    if (json_type_of(object) != JSON_OBJECT)
        return refuse(why, 400, "A notification must be a JSON object (byte %zu).", at);
    while (json_object_next(object, &cursor, &key, &f.value)) {
        int i = find_field(key);

        f.at = at + (size_t)(f.value.p - object.p);
        if (i < 0)
            return refuse_unknown(key, at + (size_t)(key.p - object.p), why);
        if (seen[i])
            return refuse(why, 400, "%s is given twice (byte %zu).", fields[i].name, f.at);
        seen[i] = true;
        f.name = fields[i].name;
        if (fields[i].read(&f) != 0)
            return -EINVAL;
    }
    return check_whole(seen, why);
}

void notify_item_relax(struct notify_item *item)
{
    size_t held = item->user_cap * sizeof *item->users + item->names.cap + item->data.cap +
                  item->event.cap + item->collapse_key.cap + item->idempotency_key.cap;

    if (held <= KEEP_BYTES)
        return;
    notify_item_fini(item);
    *item = (struct notify_item){.user_count = 0};
}

void notify_item_fini(struct notify_item *item)
{
    free(item->users);
    buf_fini(&item->names);
    buf_fini(&item->data);
    buf_fini(&item->event);
    buf_fini(&item->collapse_key);
    buf_fini(&item->idempotency_key);
}
