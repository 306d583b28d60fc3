/* journal_stats.c - `sse-notify journal stats`: what is in the journal; a daemon may be at it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "journal_priv.h"
#include "output_priv.h"
#include "store/replace.h"
#include "store/survey.h"

enum { MAX_BIGGEST = 1000 };

struct channel {
    uint64_t entries;
    enum channel_kind kind;
    size_t name_length;
    char name[MAX_CHANNEL_NAME];
};

struct stats {
    const struct command *command;
    struct journal_place place;
    uint64_t wanted;         /* --biggest */
    bool is_json;
    struct store_survey survey;
    bool is_live;
    uint64_t channels[3];    /* that have entries, by their kind */
    uint64_t gone;           /* that have lost all of theirs */
    struct channel *biggest; /* a heap: the smallest of them comes first */
    size_t count;
};

/* ---- the biggest ---- */

static void swap(struct channel *a, struct channel *b)
{
    struct channel c = *a;

    *a = *b;
    *b = c;
}

static void sift_down(struct stats *s, size_t at)
{
    for (;;) {
        size_t least = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < s->count; child++)
            if (s->biggest[child].entries < s->biggest[least].entries)
                least = child;
        if (least == at)
            return;
        swap(&s->biggest[at], &s->biggest[least]);
        at = least;
    }
}

static void sift_up(struct stats *s, size_t at)
{
    while (at > 0 && s->biggest[at].entries < s->biggest[(at - 1) / 2].entries) {
        swap(&s->biggest[at], &s->biggest[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static int take_channel(void *ctx, struct channel_name channel, uint64_t entries, uint64_t lost)
{
    struct stats *s = ctx;
    struct channel c = {entries, channel.kind, channel.name.n, ""};

    (void)lost;
    if (channel.kind > CHANNEL_EVERYONE || channel.name.n > MAX_CHANNEL_NAME)
        return -EBADMSG;
    if (entries == 0) {
        s->gone++;
        return 0;
    }
    s->channels[channel.kind]++;
    memcpy(c.name, channel.name.p, channel.name.n);
    if (s->count < s->wanted) {
        s->biggest[s->count] = c;
        sift_up(s, s->count++);
    } else if (s->count > 0 && entries > s->biggest[0].entries) {
        s->biggest[0] = c;
        sift_down(s, 0);
    }
    return 0;
}

static int more_first(const void *a, const void *b)
{
    const struct channel *x = a;
    const struct channel *y = b;
    size_t n = x->name_length < y->name_length ? x->name_length : y->name_length;
    int order;

    if (x->entries != y->entries)
        return x->entries > y->entries ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    order = memcmp(x->name, y->name, n);
    return order != 0 ? order : x->name_length < y->name_length ? -1 : 1;
}

/* ---- for people ---- */

static void add_row(struct buf *out, const char *name)
{
    buf_printf(out, "%-18s", name);
}

static void add_number_row(struct buf *out, const char *name, uint64_t value)
{
    add_row(out, name);
    buf_printf(out, "%llu\n", (unsigned long long)value);
}

static void add_size_row(struct buf *out, const char *name, uint64_t bytes)
{
    add_row(out, name);
    output_add_size(out, bytes);
    buf_add_char(out, '\n');
}

static void add_entry_row(struct buf *out, const char *name, const char *epoch, uint64_t seq,
                          uint64_t wall_ms)
{
    char when[CLOCK_TEXT_SIZE];

    if (seq == 0)
        return;
    clock_format(wall_ms, when);
    add_row(out, name);
    buf_printf(out, "%s  %s-%llu\n", when, epoch, (unsigned long long)seq);
}

static void add_channel_row(struct buf *out, const struct channel *c)
{
    static const char *const kinds[] = {"user ", "topic ", "everyone"};

    buf_printf(out, "  %10llu  %s", (unsigned long long)c->entries, kinds[c->kind]);
    output_add_plain(out, slice_make(c->name, c->name_length));
    buf_add_char(out, '\n');
}

static void add_text(struct buf *out, const struct stats *s)
{
    const struct store_survey *v = &s->survey;

    add_row(out, "journal");
    output_add_plain(out, slice_of(s->place.path));
    buf_add_text(out, s->is_live ? "  (a daemon writes to it)\n" : "\n");
    if (v->is_backup)
        buf_printf(out, "%18sa backup: it gets a new epoch when a daemon opens it\n", "");
    add_row(out, "epoch");
    buf_printf(out, "%s\n", v->state.epoch);
    add_number_row(out, "head", v->state.head);
    add_number_row(out, "entries", v->state.entries);
    add_entry_row(out, "  oldest", v->state.epoch, v->first_seq, v->first_wall_ms);
    add_entry_row(out, "  newest", v->state.epoch, v->last_seq, v->last_wall_ms);
    add_row(out, "channels");
    output_add_count(out, s->channels[CHANNEL_USER], "user, ", "users, ");
    output_add_count(out, s->channels[CHANNEL_TOPIC], "topic", "topics");
    buf_add_text(out, s->channels[CHANNEL_EVERYONE] > 0 ? ", everyone\n" : "\n");
    add_number_row(out, "  all lost", s->gone);
    add_number_row(out, "idempotency keys", v->keys);
    add_size_row(out, "in use", v->state.bytes);
    add_size_row(out, "file", v->file_bytes);
    add_size_row(out, "  free in it", v->free_bytes);
    if (s->count > 0)
        buf_add_text(out, "biggest channels, by entries\n");
    for (size_t i = 0; i < s->count; i++)
        add_channel_row(out, &s->biggest[i]);
}

/* ---- for programs ---- */

static void add_member(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_end(struct buf *out, const char *name, const char *epoch, uint64_t seq,
                    uint64_t wall_ms)
{
    char when[CLOCK_TEXT_SIZE];

    if (seq == 0) {
        buf_printf(out, ",\"%s\":null", name);
        return;
    }
    clock_format(wall_ms, when);
    buf_printf(out, ",\"%s\":{\"id\":\"%s-%llu\",\"at\":\"%s\"}", name, epoch,
               (unsigned long long)seq, when);
}

static void add_channel(struct buf *out, const struct channel *c)
{
    if (c->kind == CHANNEL_EVERYONE) {
        buf_add_text(out, "{\"broadcast\":true");
    } else {
        buf_add_text(out, c->kind == CHANNEL_USER ? "{\"user\":" : "{\"topic\":");
        json_add_string(out, slice_make(c->name, c->name_length));
    }
    add_member(out, "entries", c->entries);
    buf_add_char(out, '}');
}

static void add_json(struct buf *out, const struct stats *s)
{
    const struct store_survey *v = &s->survey;

    buf_add_text(out, "{\"path\":");
    json_add_string(out, slice_of(s->place.path));
    buf_printf(out, ",\"live\":%s,\"backup\":%s,\"epoch\":\"%s\"", s->is_live ? "true" : "false",
               v->is_backup ? "true" : "false", v->state.epoch);
    add_member(out, "head", v->state.head);
    add_member(out, "entries", v->state.entries);
    add_end(out, "oldest", v->state.epoch, v->first_seq, v->first_wall_ms);
    add_end(out, "newest", v->state.epoch, v->last_seq, v->last_wall_ms);
    buf_printf(out, ",\"channels\":{\"users\":%llu,\"topics\":%llu,\"everyone\":%llu,"
                    "\"all_lost\":%llu}",
               (unsigned long long)s->channels[CHANNEL_USER],
               (unsigned long long)s->channels[CHANNEL_TOPIC],
               (unsigned long long)s->channels[CHANNEL_EVERYONE], (unsigned long long)s->gone);
    add_member(out, "idempotency_keys", v->keys);
    add_member(out, "bytes", v->state.bytes);
    add_member(out, "file_bytes", v->file_bytes);
    add_member(out, "free_bytes", v->free_bytes);
    buf_add_text(out, ",\"biggest\":[");
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_channel(out, &s->biggest[i]);
    }
    buf_add_text(out, "]}\n");
}

/* ---- the command ---- */

/* Returns 0 or -errno. */
static int look(struct stats *s, struct store *store)
{
    struct store_reader *reader = store_reader_create(store);
    int status = reader == NULL ? -ENOMEM : store_survey(reader, &s->survey);

    if (status == 0)
        status = store_each_channel(reader, take_channel, s);
    store_reader_destroy(reader);
    qsort(s->biggest, s->count, sizeof s->biggest[0], more_first);
    return status;
}

static int run(struct stats *s)
{
    struct error why = {.text = ""};
    struct buf out = {0};
    struct store *store;
    int status;
    int code;

    s->biggest = calloc(s->wanted + 1, sizeof s->biggest[0]);
    s->is_live = store_is_locked(s->place.path);
    store = store_open_read_only(s->place.path, NULL, &why);
    if (store == NULL || s->biggest == NULL) {
        complain(s->command, "%s", store == NULL ? why.text : "no memory");
        store_close(store);
        return EXIT_REFUSED;
    }
    status = look(s, store);
    store_close(store);
    if (status != 0) {
        complain(s->command, "%s cannot be read: %s", s->place.path, strerror(-status));
        return EXIT_REFUSED;
    }
    if (s->is_json)
        add_json(&out, s);
    else
        add_text(&out, s);
    code = output_print(s->command, &out);
    buf_fini(&out);
    return code;
}

int journal_stats(int argc, char **argv)
{
    struct stats s = {.wanted = 5};
    const struct argument arguments[] = {
        {'n', "biggest", ARGUMENT_NUMBER, "N", &s.wanted, 0, MAX_BIGGEST,
         "show so many of the channels with the most\nentries; default 5"},
        {'j', "json", ARGUMENT_FLAG, NULL, &s.is_json, 0, 0, "print one JSON object"},
        JOURNAL_PLACE_ARGUMENTS(s.place),
    };
    const struct command command = {
        .name = "journal stats",
        .usage = "[options]",
        .purpose = "Prints what is in the journal. The daemon may be running.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = "Examples:\n"
                 "  sse-notify journal stats\n"
                 "  sse-notify journal stats --json --path /var/lib/sse-notify | jq .file_bytes\n"
                 "\n"
                 "Exit codes: 0 printed; 1 there is no journal, or it cannot be read; 2 wrong "
                 "usage.\n",
    };
    struct text_list operands = {0};
    int code;

    s.command = &command;
    code = arguments_begin(&command, argc, argv, &operands);
    if (code < 0 && operands.count > 0)
        code = wrong_operands(&command, "takes no operands; --path names a directory");
    if (code < 0)
        code = journal_place_find(&s.place, &command);
    if (code < 0)
        code = run(&s);
    free(s.biggest);
    text_list_fini(&operands);
    journal_place_fini(&s.place);
    return code;
}
