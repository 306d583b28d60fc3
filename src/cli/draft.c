/* draft.c - JSON is put together by hand, so that numbers in the data keep their spelling. */
#include "draft_priv.h"

#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "message/notification.h"

void draft_fini(struct draft *draft)
{
    text_list_fini(&draft->users);
    text_list_fini(&draft->topics);
}

bool draft_has_target(const struct draft *draft)
{
    return draft->users.count > 0 || draft->topics.count > 0 || draft->is_broadcast;
}

bool draft_has_fields(const struct draft *draft)
{
    return draft_has_target(draft) || draft->event != NULL || draft->ttl_s != DRAFT_TTL_UNSET ||
           draft->collapse_key != NULL || draft->is_text;
}

static int check_names(const struct text_list *names, const char *option, struct error *why)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!channel_name_is_valid(slice_of(names->items[i])))
            return error_set(why,
                             "--%s: must be 1 to %d bytes of UTF-8 without control characters",
                             option, MAX_CHANNEL_NAME);
    }
    return 0;
}

static int check_event(const char *event, struct error *why)
{
    struct slice name = slice_of(event);

    if (event == NULL || event_name_is_valid(name))
        return 0;
    if (event_name_is_reserved(name))
        return error_set(why, "--event %s: the daemon itself uses this name", event);
    return error_set(why, "--event: must be 1 to %d bytes of UTF-8 without control characters",
                     MAX_EVENT_NAME);
}

int draft_check(const struct draft *draft, struct error *why)
{
    int kinds = (draft->users.count > 0) + (draft->topics.count > 0) + draft->is_broadcast;

    if (kinds == 0)
        return error_set(why, "to whom? Give --user, --topic or --broadcast");
    if (kinds > 1 || draft->topics.count > 1)
        return error_set(why, "only one of --user (which may be repeated), --topic and "
                              "--broadcast can be given");
    if (check_names(&draft->users, "user", why) != 0 ||
        check_names(&draft->topics, "topic", why) != 0)
        return -1;
    if (draft->collapse_key != NULL &&
        (draft->collapse_key[0] == '\0' || strlen(draft->collapse_key) > MAX_KEY))
        return error_set(why, "--collapse-key: must be 1 to %d bytes", MAX_KEY);
    return check_event(draft->event, why);
}

bool draft_is_json(const struct draft *draft, struct slice data)
{
    size_t offset;
    const char *reason;

    return !draft->is_text && json_check(data, &offset, &reason) == 0;
}

/* Appends `,"name":"text"`. */
static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    json_add_string(out, slice_of(text));
}

static void add_target(const struct draft *draft, struct buf *out)
{
    if (draft->is_broadcast) {
        buf_add_text(out, "{\"broadcast\":true");
        return;
    }
    if (draft->users.count <= 1) {
        const struct text_list *names = draft->users.count > 0 ? &draft->users : &draft->topics;

        buf_printf(out, "{\"%s\":", names == &draft->users ? "user" : "topic");
        json_add_string(out, slice_of(names->items[0]));
        return;
    }
    buf_add_text(out, "{\"users\":");
    for (size_t i = 0; i < draft->users.count; i++) {
        buf_add_char(out, i == 0 ? '[' : ',');
        json_add_string(out, slice_of(draft->users.items[i]));
    }
    buf_add_char(out, ']');
}

int draft_add(const struct draft *draft, struct slice data, struct slice key, struct buf *out)
{
    if (!slice_is_utf8(data))
        return -EILSEQ;
    add_target(draft, out);
    if (draft->event != NULL)
        add_text(out, "event", draft->event);
    if (draft->ttl_s != DRAFT_TTL_UNSET) {
        buf_add_text(out, ",\"ttl\":");
        buf_add_u64(out, draft->ttl_s);
    }
    if (draft->collapse_key != NULL)
        add_text(out, "collapse_key", draft->collapse_key);
    if (key.n > 0) {
        buf_add_text(out, ",\"idempotency_key\":");
        json_add_string(out, key);
    }
    buf_add_text(out, ",\"data\":");
    if (draft_is_json(draft, data))
        buf_add_slice(out, data);
    else
        json_add_string(out, data);
    buf_add_char(out, '}');
    return out->failed ? -ENOMEM : 0;
}

int draft_add_keyed(struct slice object, struct slice key, struct buf *out, struct error *why)
{
    size_t offset = 0;
    size_t cursor = 0;
    const char *reason = "";
    struct slice name, value;
    bool has_key = false;
    bool is_empty = true;

    if (json_check(object, &offset, &reason) != 0) {
        error_set(why, "no JSON at byte %zu: %s", offset, reason);
        return -EINVAL;
    }
    object = json_trim(object);
    if (json_type_of(object) != JSON_OBJECT) {
        error_set(why, "must be a JSON object with at least a target and data");
        return -EINVAL;
    }
    while (json_object_next(object, &cursor, &name, &value)) {
        is_empty = false;
        has_key = has_key || json_string_is(name, "idempotency_key");
    }
    if (has_key || key.n == 0)
        return buf_add_slice(out, object);
    buf_add_text(out, "{\"idempotency_key\":");
    json_add_string(out, key);
    if (!is_empty)
        buf_add_char(out, ',');
    buf_add(out, object.p + 1, object.n - 1);
    return out->failed ? -ENOMEM : 0;
}
