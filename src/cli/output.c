/* output.c - whatever came from outside is made harmless before a terminal sees it. */
#include "output_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"

/* How one control character is shown. */
static void add_control(struct buf *out, unsigned c)
{
    if (c == '\n')
        buf_add_text(out, "\\n");
    else if (c == '\r')
        buf_add_text(out, "\\r");
    else if (c == '\t')
        buf_add_text(out, "\\t");
    else
        buf_printf(out, c < 0x80 ? "\\x%02x" : "\\u%04x", c);
}

void output_add_plain(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        unsigned char next = i + 1 < text.n ? (unsigned char)text.p[i + 1] : 0;

        if (c < 0x20 || c == 0x7f)
            add_control(out, c);
        else if (c == 0xc2 && next >= 0x80 && next <= 0x9f)
            add_control(out, (unsigned char)text.p[++i]); /* U+0080 to U+009F */
        else
            buf_add_char(out, (char)c);
    }
}

void output_add_event(struct buf *out, uint64_t wall_ms, const struct sse_event *event)
{
    char when[CLOCK_TEXT_SIZE];

    clock_format(wall_ms, when);
    buf_printf(out, "%s  ", when);
    if (event->last_event_id.n == 0)
        buf_add_char(out, '-');
    output_add_plain(out, event->last_event_id);
    buf_add_text(out, "  ");
    output_add_plain(out, event->type);
    buf_add_text(out, "  ");
    output_add_plain(out, event->data);
    buf_add_char(out, '\n');
}

void output_add_event_json(struct buf *out, const struct sse_event *event)
{
    buf_add_text(out, "{\"id\":");
    json_add_string(out, event->last_event_id);
    buf_add_text(out, ",\"event\":");
    json_add_string(out, event->type);
    buf_add_text(out, ",\"data\":");
    json_add_string(out, event->data);
    buf_add_text(out, "}\n");
}

bool output_find(struct slice object, const char *name, struct slice *value)
{
    size_t offset;
    const char *reason;
    struct slice key;

    if (json_check(object, &offset, &reason) != 0)
        return false;
    object = json_trim(object);
    if (json_type_of(object) != JSON_OBJECT)
        return false;
    for (size_t cursor = 0; json_object_next(object, &cursor, &key, value);) {
        if (json_string_is(key, name))
            return true;
    }
    return false;
}

/* Appends the text of a string, or a number as it is written. */
static int add_value(struct buf *out, struct slice value)
{
    struct buf text = {0};
    int rc = 0;

    if (json_type_of(value) == JSON_STRING) {
        rc = json_add_unescaped(&text, value);
        output_add_plain(out, buf_slice(&text));
        buf_fini(&text);
    } else {
        buf_add_slice(out, value);
    }
    return rc;
}

int output_add_receipt(struct buf *out, struct slice item)
{
    struct slice value;

    if (!output_find(item, "id", &value) || json_type_of(value) != JSON_STRING)
        return -EINVAL;
    add_value(out, value);
    if (output_find(item, "streams", &value)) {
        buf_add_text(out, "  ");
        add_value(out, value);
        buf_add_text(out, slice_is(value, "1") ? " stream" : " streams");
    }
    if (output_find(item, "count", &value)) {
        buf_add_text(out, "  ");
        add_value(out, value);
        buf_add_text(out, slice_is(value, "1") ? " notification" : " notifications");
    }
    if (output_find(item, "duplicate", &value) && slice_is(value, "true"))
        buf_add_text(out, "  duplicate");
    buf_add_char(out, '\n');
    return 0;
}

void output_add_problem(struct buf *out, int status, struct slice body)
{
    struct slice value;

    if ((output_find(body, "detail", &value) || output_find(body, "title", &value)) &&
        json_type_of(value) == JSON_STRING && value.n > 2) {
        add_value(out, value);
        return;
    }
    buf_printf(out, "the server answered with status %d", status);
}

void output_add_count(struct buf *out, uint64_t count, const char *one, const char *many)
{
    buf_add_u64(out, count);
    buf_add_char(out, ' ');
    buf_add_text(out, count == 1 ? one : many);
}

void output_add_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        output_add_count(out, bytes, "byte", "bytes");
        return;
    }
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    buf_printf(out, "%.1f %s", value, units[unit]);
}

int output_print(const struct command *command, const struct buf *text)
{
    if (text->failed) {
        complain(command, "no memory");
        return EXIT_REFUSED;
    }
    if (fwrite(text->p, 1, text->len, stdout) == text->len && fflush(stdout) == 0)
        return EXIT_OK;
    if (errno != EPIPE)
        complain(command, "cannot write to stdout: %s", strerror(errno));
    return EXIT_REFUSED;
}
