/* fuzz_json.c - what json_check passes can be walked, unescaped and compacted without a byte read
 * past its end, and compacting changes no meaning: it is JSON again, and compact already. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "../../src/api/notify_item_priv.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_compact(struct slice value)
{
    struct buf once = {0};
    struct buf twice = {0};
    size_t offset;
    const char *reason;

    if (json_add_compact(&once, value) != 0 ||
        json_check(buf_slice(&once), &offset, &reason) != 0 ||
        json_add_compact(&twice, buf_slice(&once)) != 0 ||
        !slice_equal(buf_slice(&once), buf_slice(&twice)))
        abort();
    buf_fini(&once);
    buf_fini(&twice);
}

/* A string that can be unescaped is the same text after being escaped again and read back. */
static void check_string(struct slice string)
{
    struct buf text = {0};
    struct buf again = {0};
    struct buf back = {0};

    if (json_add_unescaped(&text, string) == 0) {
        if (!slice_is_utf8(buf_slice(&text)) || json_add_string(&again, buf_slice(&text)) != 0 ||
            json_add_unescaped(&back, buf_slice(&again)) != 0 ||
            !slice_equal(buf_slice(&text), buf_slice(&back)))
            abort();
    }
    buf_fini(&text);
    buf_fini(&again);
    buf_fini(&back);
}

static void walk(struct slice value)
{
    struct slice key;
    struct slice member;
    size_t cursor = 0;

    switch (json_type_of(value)) {
    case JSON_STRING:
        check_string(value);
        break;
    case JSON_OBJECT:
        while (json_object_next(value, &cursor, &key, &member)) {
            check_string(key);
            check_compact(member);
        }
        break;
    case JSON_ARRAY:
        while (json_array_next(value, &cursor, &member))
            check_compact(member);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice text = slice_make((const char *)bytes, n);
    struct notify_item item = {.user_count = 0};
    struct refusal why = {.status = 0};
    size_t offset = 0;
    const char *reason = NULL;

    if (json_check(text, &offset, &reason) != 0) {
        if (offset > n || reason == NULL)
            abort();
        return 0;
    }
    text = json_trim(text);
    check_compact(text);
    walk(text);
    if (notify_item_read(&item, text, 0, 1000, &why) == 0) {
        if (why.status != 0 || !event_name_is_valid(item.n.event) || item.n.data.n > 1000)
            abort();
    } else if (why.status < 400 || why.detail[0] == '\0') {
        abort();
    }
    notify_item_fini(&item);
    return 0;
}
