/* journal_line.c - one row a field: its name, the function that reads its value, and the kinds of
 * lines that may and must have it. */
#include "journal_line_priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/json.h"

enum {
    CLOCKS_APART_MS = 1000, /* the journal's clock is told where it is so far from `at` */
    MAX_DATA = 64 << 20,    /* the most that publish.max_payload can allow */
};

void journal_line_fini(struct journal_line *l)
{
    buf_fini(&l->name_text);
    buf_fini(&l->event_text);
    buf_fini(&l->data_text);
    buf_fini(&l->collapse_text);
    buf_fini(&l->key_text);
    buf_fini(&l->scratch);
}

/* ---- writing ---- */

static void add_target(struct buf *out, struct channel_name to)
{
    if (to.kind == CHANNEL_EVERYONE) {
        buf_add_text(out, "\"broadcast\":true");
        return;
    }
    buf_add_text(out, to.kind == CHANNEL_USER ? "\"user\":" : "\"topic\":");
    json_add_string(out, to.name);
}

/* `,"name":"text"` */
static void add_text(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, ",\"%s\":", name);
    json_add_string(out, text);
}

static void add_time(struct buf *out, const char *name, uint64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(ms, text);
    add_text(out, name, slice_of(text));
}

static void add_number(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_id(struct buf *out, const char *name, const char *epoch, uint64_t seq)
{
    char id[ID_TEXT_SIZE];

    id_format(epoch, seq, id);
    buf_printf(out, "\"%s\":\"%s\"", name, id);
}

/* The data, which comes last: it may be long. */
static void add_data(struct buf *out, const struct record *r)
{
    buf_add_text(out, ",\"data\":");
    if (r->is_json)
        buf_add_slice(out, r->data);
    else
        json_add_string(out, r->data);
    buf_add_text(out, "}\n");
}

void journal_line_add_head(struct buf *out, const struct journal_line *head)
{
    buf_printf(out, "{\"journal\":%d", JOURNAL_LINES_FORMAT);
    add_text(out, "epoch", slice_of(head->epoch));
    add_number(out, "head", head->seq);
    add_time(out, "clock", head->clock_ms);
    if (head->lost_all > 0)
        add_number(out, "lost_all", head->lost_all);
    if (head->lost_forgotten > 0)
        add_number(out, "lost_forgotten", head->lost_forgotten);
    buf_add_text(out, "}\n");
}

void journal_line_add_entry(struct buf *out, const char *epoch, const struct record *r)
{
    uint64_t apart = r->wall_ms > r->time_ms ? r->wall_ms - r->time_ms : r->time_ms - r->wall_ms;

    buf_add_char(out, '{');
    add_id(out, "id", epoch, r->seq);
    buf_add_char(out, ',');
    add_target(out, r->to);
    add_text(out, "event", r->event);
    add_time(out, "at", r->wall_ms);
    if (apart > CLOCKS_APART_MS)
        add_time(out, "clock", r->time_ms);
    if (r->expires_ms != RECORD_KEPT)
        add_time(out, "expires", r->expires_ms);
    if (r->collapse_key.n > 0)
        add_text(out, "collapse_key", r->collapse_key);
    add_data(out, r);
}

void journal_line_add_loss(struct buf *out, const char *epoch, struct channel_name channel,
                           uint64_t seq)
{
    buf_add_char(out, '{');
    add_id(out, "lost", epoch, seq);
    buf_add_char(out, ',');
    add_target(out, channel);
    buf_add_text(out, "}\n");
}

void journal_line_add_key(struct buf *out, const char *epoch, uint64_t seq, uint64_t clock_ms,
                          struct slice key)
{
    buf_add_text(out, "{\"idempotency_key\":");
    json_add_string(out, key);
    buf_add_char(out, ',');
    add_id(out, "id", epoch, seq);
    add_time(out, "clock", clock_ms);
    buf_add_text(out, "}\n");
}

void journal_line_add_end(struct buf *out, uint64_t entries, bool is_complete)
{
    buf_add_text(out, "{\"end\":true");
    add_number(out, "entries", entries);
    buf_printf(out, ",\"complete\":%s}\n", is_complete ? "true" : "false");
}

void journal_line_add_plain(struct buf *out, const struct record *r, uint64_t now_ms)
{
    buf_add_char(out, '{');
    add_target(out, r->to);
    add_text(out, "event", r->event);
    if (r->expires_ms != RECORD_KEPT) {
        uint64_t left = r->expires_ms > now_ms ? r->expires_ms - now_ms : 0;

        buf_printf(out, ",\"ttl\":%llu.%03u", (unsigned long long)(left / 1000),
                   (unsigned)(left % 1000));
    }
    if (r->collapse_key.n > 0)
        add_text(out, "collapse_key", r->collapse_key);
    add_data(out, r);
}

/* ---- reading ---- */

struct field {
    struct journal_line *line;
    const char *name;
    struct slice value;
    struct error *why;
};

static int refuse(struct error *why, const char *name, const char *what)
{
    error_set(why, "%s %s", name, what);
    return -EINVAL;
}

/* The characters of a JSON string, in `to`. */
static int read_string(struct field *f, struct buf *to)
{
    int status;

    to->len = 0;
    if (json_type_of(f->value) != JSON_STRING)
        return refuse(f->why, f->name, "must be a string");
    status = json_add_unescaped(to, f->value);
    if (status == -EILSEQ)
        return refuse(f->why, f->name, "has half a surrogate pair, which is no text");
    if (to->p == NULL && status == 0)
        status = buf_reserve(to, 1);
    return status;
}

static int read_number(struct field *f, uint64_t *value)
{
    if (json_type_of(f->value) != JSON_NUMBER || slice_to_u64(f->value, value) != 0)
        return refuse(f->why, f->name, "must be a whole number");
    return 0;
}

static int read_flag(struct field *f, bool *value)
{
    if (json_type_of(f->value) != JSON_BOOL)
        return refuse(f->why, f->name, "must be true or false");
    *value = slice_is(f->value, "true");
    return 0;
}

static int read_time(struct field *f, uint64_t *ms)
{
    int status = read_string(f, &f->line->scratch);

    if (status == 0 && clock_parse(buf_slice(&f->line->scratch), ms) != 0)
        return refuse(f->why, f->name, "must be a time as 2026-11-24T04:05:06.789Z");
    return status;
}

static int read_journal(struct field *f)
{
    uint64_t format;

    if (read_number(f, &format) != 0)
        return -EINVAL;
    if (format == JOURNAL_LINES_FORMAT)
        return 0;
    error_set(f->why, "this export is of format %llu; this program knows %d",
              (unsigned long long)format, JOURNAL_LINES_FORMAT);
    return -EINVAL;
}

static bool epoch_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!(text.p[i] >= '0' && text.p[i] <= '9') && !(text.p[i] >= 'a' && text.p[i] <= 'z'))
            return false;
    return text.n == EPOCH_LENGTH;
}

static int read_epoch(struct field *f)
{
    int status = read_string(f, &f->line->scratch);

    if (status != 0)
        return status;
    if (!epoch_is_valid(buf_slice(&f->line->scratch)))
        return refuse(f->why, f->name, "must be 8 small letters and digits");
    memcpy(f->line->epoch, f->line->scratch.p, EPOCH_LENGTH);
    f->line->epoch[EPOCH_LENGTH] = '\0';
    return 0;
}

/* EPOCH-NUMBER. */
static int read_id(struct field *f)
{
    int status = read_string(f, &f->line->scratch);
    struct slice text = buf_slice(&f->line->scratch);
    struct slice epoch;

    if (status != 0)
        return status;
    epoch = slice_cut(&text, '-');
    if (!epoch_is_valid(epoch) || slice_to_u64(text, &f->line->seq) != 0 || f->line->seq == 0 ||
        f->line->seq > MAX_LINE_NUMBER)
        return refuse(f->why, f->name, "must be an id, as k3v9wq2m-17");
    memcpy(f->line->epoch, epoch.p, EPOCH_LENGTH);
    f->line->epoch[EPOCH_LENGTH] = '\0';
    return 0;
}

static int read_head(struct field *f)
{
    if (read_number(f, &f->line->seq) != 0)
        return -EINVAL;
    return f->line->seq <= MAX_LINE_NUMBER ? 0 : refuse(f->why, f->name, "is too large");
}

static int read_clock(struct field *f)
{
    return read_time(f, &f->line->clock_ms);
}

static int read_lost_all(struct field *f)
{
    return read_number(f, &f->line->lost_all);
}

static int read_lost_forgotten(struct field *f)
{
    return read_number(f, &f->line->lost_forgotten);
}

static int read_name(struct field *f, enum channel_kind kind)
{
    int status = read_string(f, &f->line->name_text);

    if (status != 0)
        return status;
    f->line->to = (struct channel_name){kind, buf_slice(&f->line->name_text)};
    if (!channel_name_is_valid(f->line->to.name))
        return refuse(f->why, f->name,
                      "must be 1 to 256 bytes of UTF-8 without control characters");
    return 0;
}

static int read_user(struct field *f)
{
    return read_name(f, CHANNEL_USER);
}

static int read_topic(struct field *f)
{
    return read_name(f, CHANNEL_TOPIC);
}

static int read_broadcast(struct field *f)
{
    f->line->to = (struct channel_name){.kind = CHANNEL_EVERYONE};
    return slice_is(f->value, "true") ? 0 : refuse(f->why, f->name, "can only be true");
}

static int read_event(struct field *f)
{
    int status = read_string(f, &f->line->event_text);

    if (status != 0)
        return status;
    f->line->event = buf_slice(&f->line->event_text);
    if (event_name_is_reserved(f->line->event))
        return refuse(f->why, f->name, "is a name that the daemon itself uses");
    if (!event_name_is_valid(f->line->event))
        return refuse(f->why, f->name,
                      "must be 1 to 128 bytes of UTF-8 without control characters");
    return 0;
}

static int read_at(struct field *f)
{
    return read_time(f, &f->line->at_ms);
}

static int read_expires(struct field *f)
{
    return read_time(f, &f->line->expires_ms);
}

static int read_ttl(struct field *f)
{
    enum { MAX_TTL_S = 10 * 366 * 86400 };
    char text[64];
    double seconds;

    if (json_type_of(f->value) != JSON_NUMBER || f->value.n >= sizeof text)
        return refuse(f->why, f->name, "must be a number of seconds");
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(f->value));
    seconds = strtod(text, NULL);
    if (!(seconds >= 0 && seconds <= MAX_TTL_S))
        return refuse(f->why, f->name, "must be from 0 to ten years, in seconds");
    f->line->ttl_ms = (uint64_t)ceil(seconds * 1000);
    f->line->has_ttl = true;
    return 0;
}

static int read_key(struct field *f, struct buf *text, struct slice *key)
{
    int status = read_string(f, text);

    if (status != 0)
        return status;
    *key = buf_slice(text);
    if (key->n < 1 || key->n > MAX_KEY || slice_has_control(*key))
        return refuse(f->why, f->name, "must be 1 to 256 bytes without control characters");
    return 0;
}

static int read_collapse_key(struct field *f)
{
    return read_key(f, &f->line->collapse_text, &f->line->collapse_key);
}

static int read_idempotency_key(struct field *f)
{
    return read_key(f, &f->line->key_text, &f->line->idempotency_key);
}

static int read_data(struct field *f)
{
    struct journal_line *l = f->line;
    int status;

    l->is_json = json_type_of(f->value) != JSON_STRING;
    if (!l->is_json) {
        status = read_string(f, &l->data_text);
    } else {
        l->data_text.len = 0;
        status = json_add_compact(&l->data_text, f->value);
    }
    l->data = buf_slice(&l->data_text);
    if (status == 0 && l->data.n > MAX_DATA)
        return refuse(f->why, f->name, "has more than 64 MiB");
    return status;
}

static int read_end(struct field *f)
{
    bool is_so;

    if (read_flag(f, &is_so) != 0)
        return -EINVAL;
    return is_so ? 0 : refuse(f->why, f->name, "can only be true");
}

static int read_entries(struct field *f)
{
    return read_number(f, &f->line->entries);
}

static int read_complete(struct field *f)
{
    return read_flag(f, &f->line->is_complete);
}

enum { HEAD = 1 << LINE_HEAD, ENTRY = 1 << LINE_ENTRY, LOSS = 1 << LINE_LOSS, KEY = 1 << LINE_KEY,
       END = 1 << LINE_END };

static const struct {
    const char *name;
    int (*read)(struct field *f);
    unsigned may;  /* lines of these kinds have it, ... */
    unsigned must; /* ... and these always */
    bool is_target;
} fields[] = {
    {"journal", read_journal, HEAD, HEAD, false},
    {"epoch", read_epoch, HEAD, HEAD, false},
    {"head", read_head, HEAD, HEAD, false},
    {"clock", read_clock, HEAD | ENTRY | KEY, HEAD | KEY, false},
    {"lost_all", read_lost_all, HEAD, 0, false},
    {"lost_forgotten", read_lost_forgotten, HEAD, 0, false},
    {"id", read_id, ENTRY | KEY, KEY, false},
    {"lost", read_id, LOSS, LOSS, false},
    {"user", read_user, ENTRY | LOSS, 0, true},
    {"topic", read_topic, ENTRY | LOSS, 0, true},
    {"broadcast", read_broadcast, ENTRY | LOSS, 0, true},
    {"event", read_event, ENTRY, 0, false},
    {"at", read_at, ENTRY, 0, false},
    {"expires", read_expires, ENTRY, 0, false},
    {"ttl", read_ttl, ENTRY, 0, false},
    {"collapse_key", read_collapse_key, ENTRY, 0, false},
    {"idempotency_key", read_idempotency_key, ENTRY | KEY, KEY, false},
    {"data", read_data, ENTRY, ENTRY, false},
    {"end", read_end, END, END, false},
    {"entries", read_entries, END, END, false},
    {"complete", read_complete, END, END, false},
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

static int find_field(struct slice key)
{
    for (int i = 0; i < FIELDS; i++)
        if (json_string_is(key, fields[i].name))
            return i;
    return -1;
}

static bool has(const bool seen[FIELDS], const char *name)
{
    for (int i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0)
            return seen[i];
    return false;
}

static enum journal_line_kind kind_of(const bool seen[FIELDS])
{
    if (has(seen, "journal"))
        return LINE_HEAD;
    if (has(seen, "end"))
        return LINE_END;
    if (has(seen, "lost"))
        return LINE_LOSS;
    return has(seen, "idempotency_key") && !has(seen, "data") ? LINE_KEY : LINE_ENTRY;
}

static const char *const kind_names[] = {
    [LINE_HEAD] = "the head of an export",
    [LINE_ENTRY] = "a notification",
    [LINE_LOSS] = "a line with lost",
    [LINE_KEY] = "a line with idempotency_key alone",
    [LINE_END] = "the end of an export",
};

/* Whether the fields that were seen make a line of its kind. */
static int check_whole(const struct journal_line *l, const bool seen[FIELDS], struct error *why)
{
    unsigned bit = 1u << l->kind;
    int targets = 0;

    for (int i = 0; i < FIELDS; i++) {
        targets += seen[i] && fields[i].is_target;
        if (seen[i] && (fields[i].may & bit) == 0)
            return error_set(why, "%s cannot have %s", kind_names[l->kind], fields[i].name);
        if (!seen[i] && (fields[i].must & bit) != 0)
            return error_set(why, "%s needs %s", kind_names[l->kind], fields[i].name);
    }
    if (((ENTRY | LOSS) & bit) != 0 && targets != 1)
        return error_set(why, "%s needs exactly one of user, topic and broadcast; this has %d",
                         kind_names[l->kind], targets);
    if (has(seen, "ttl") && has(seen, "expires"))
        return error_set(why, "ttl and expires say the same: give one of them");
    return 0;
}

static void reset(struct journal_line *l)
{
    struct journal_line fresh = {
        .event = SLICE_LITERAL("notification"),
        .ttl_ms = TTL_DEFAULT,
        .expires_ms = RECORD_KEPT,
        .name_text = l->name_text,
        .event_text = l->event_text,
        .data_text = l->data_text,
        .collapse_text = l->collapse_text,
        .key_text = l->key_text,
        .scratch = l->scratch,
    };

    *l = fresh;
}

static int read_members(struct journal_line *l, struct slice object, bool seen[FIELDS],
                        struct error *why)
{
    struct field f = {.line = l, .why = why};
    struct slice key;
    size_t cursor = 0;

    while (json_object_next(object, &cursor, &key, &f.value)) {
        int i = find_field(key);
        int status;

        if (i < 0) {
            error_set(why, "unknown field %.*s", key.n > 80 ? 80 : (int)key.n, key.p);
            return -EINVAL;
        }
        f.name = fields[i].name;
        if (seen[i])
            return refuse(why, f.name, "is given twice");
        seen[i] = true;
        status = fields[i].read(&f);
        if (status != 0)
            return status;
    }
    return 0;
}

int journal_line_read(struct journal_line *l, struct slice text, struct error *why)
{
    bool seen[FIELDS] = {false};
    const char *reason;
    size_t offset;
    int status;

    reset(l);
    if (json_check(text, &offset, &reason) != 0) {
        error_set(why, "no JSON at byte %zu: %s", offset, reason);
        return -EINVAL;
    }
    text = json_trim(text);
    if (json_type_of(text) != JSON_OBJECT) {
        error_set(why, "must be a JSON object");
        return -EINVAL;
    }
    status = read_members(l, text, seen, why);
    if (status != 0)
        return status;
    l->kind = kind_of(seen);
    return check_whole(l, seen, why) == 0 ? 0 : -EINVAL;
}
