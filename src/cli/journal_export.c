/* journal_export.c - `sse-notify journal export`: the journal as lines of JSON.
 *
 * Entries are read a slice at a time, each from a snapshot of its own, and written when that has
 * ended: a reader that stands still would keep a live daemon from using pages again. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "journal_line_priv.h"
#include "journal_priv.h"
#include "store/replace.h"
#include "store/survey.h"

enum {
    SLICE_ENTRIES = 2000,
    SLICE_BYTES = 1 << 20,
    SLICE_IS_FULL = 1, /* what a visit returns to end one */
    ALL_IS_READ = 2,
};

struct export {
    const struct command *command;
    struct journal_place place;
    struct text_list users;
    struct text_list topics;
    bool is_broadcast;
    const char *after_id;    /* NULL: from the first on */
    bool is_plain;

    struct channel_name *channels;
    size_t channel_count;    /* 0: all */
    struct store *store;
    struct store_reader *reader;
    struct store_survey at_start;
    bool was_cut_short; /* at_start: its daemon was killed, and none has begun since */
    uint64_t after;          /* all up to this number is written */
    uint64_t now_ms;         /* by the journal's clock */
    uint64_t entries;        /* written */
    size_t slice;            /* visited in this one */
    struct buf out;
    struct progress progress;

    const char *file;        /* "-": stdout */
    char *part;              /* its name until it is whole; NULL: written in its place */
    int fd;
};

/* ---- where it goes ---- */

static int open_file(struct export *e)
{
    struct stat info;
    size_t n = strlen(e->file);

    if (strcmp(e->file, "-") == 0) {
        e->fd = STDOUT_FILENO;
        return 0;
    }
    if (stat(e->file, &info) == 0 && !S_ISREG(info.st_mode)) {
        e->fd = open(e->file, O_WRONLY | O_CLOEXEC); /* a pipe, a terminal, /dev/null */
        return e->fd < 0 ? -errno : 0;
    }
    e->part = malloc(n + sizeof ".part");
    if (e->part == NULL)
        return -ENOMEM;
    memcpy(e->part, e->file, n);
    memcpy(e->part + n, ".part", sizeof ".part");
    e->fd = open(e->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return e->fd < 0 ? -errno : 0;
}

/* Of what has a new name. */
static int sync_folder(const char *file)
{
    char *copy = strdup(file);
    int status = copy == NULL ? -ENOMEM : file_sync_directory(dirname(copy));

    free(copy);
    return status;
}

/* Everything is written; a file gets its name when it is safe on disk. */
static int finish_file(struct export *e)
{
    if (e->part == NULL)
        return 0;
    if (fsync(e->fd) != 0 || rename(e->part, e->file) != 0)
        return -errno;
    free(e->part);
    e->part = NULL;
    return sync_folder(e->file);
}

static void close_file(struct export *e)
{
    if (e->part != NULL && e->fd >= 0)
        unlink(e->part);
    free(e->part);
    if (e->fd > STDERR_FILENO)
        close(e->fd);
}

static int write_out(struct export *e)
{
    int status = e->out.failed ? -ENOMEM : file_write_all(e->fd, buf_slice(&e->out));

    if (status == 0)
        e->out.len = 0;
    return status;
}

/* ---- what is written ---- */

static int take_entry(void *ctx, const struct record *record, struct slice bytes)
{
    struct export *e = ctx;

    (void)bytes;
    if (record->seq > e->at_start.state.head)
        return ALL_IS_READ; /* of a live daemon; else it might never end */
    e->after = record->seq;
    if (record->expires_ms > e->now_ms) {
        if (e->is_plain)
            journal_line_add_plain(&e->out, record, e->now_ms);
        else
            journal_line_add_entry(&e->out, e->at_start.state.epoch, record);
        e->entries++;
    }
    return ++e->slice == SLICE_ENTRIES || e->out.len >= SLICE_BYTES ? SLICE_IS_FULL : 0;
}

static int write_entries(struct export *e)
{
    int status = SLICE_IS_FULL;

    while (status == SLICE_IS_FULL) {
        int written;

        e->slice = 0;
        status = e->channel_count == 0
                     ? store_each(e->reader, e->after + 1, take_entry, e)
                     : store_each_of(e->reader, e->channels, e->channel_count, e->after,
                                     take_entry, e);
        written = write_out(e);
        if (written != 0)
            return written;
        progress_show(&e->progress, e->entries);
    }
    return status == ALL_IS_READ ? 0 : status;
}

/* A reading that ends for what could not be written. */
static int flush_some(struct export *e)
{
    return e->out.len >= SLICE_BYTES ? write_out(e) : 0;
}

static int take_loss(void *ctx, struct channel_name channel, uint64_t entries, uint64_t lost)
{
    struct export *e = ctx;

    (void)entries;
    if (lost > 0)
        journal_line_add_loss(&e->out, e->at_start.state.epoch, channel, lost);
    return flush_some(e);
}

static int take_key(void *ctx, uint64_t seq, uint64_t time_ms, struct slice key)
{
    struct export *e = ctx;

    journal_line_add_key(&e->out, e->at_start.state.epoch, seq, time_ms, key);
    return flush_some(e);
}

/* Whether what has been written is all there is, and will be until a daemon is started. */
static bool is_complete(struct export *e)
{
    const struct store_state *state = &e->at_start.state;
    struct store_survey now;

    return (state->reserved <= state->head || e->was_cut_short) && e->channel_count == 0 &&
           e->after_id == NULL && !e->at_start.is_backup &&
           !store_is_locked(e->place.path) && store_survey(e->reader, &now) == 0 &&
           now.commit == e->at_start.commit;
}

/* Of a journal whose daemon was killed, with numbers handed out that it has not recorded: they are
 * not used again, and what had them is lost, as when a daemon opens it. */
static void add_head(struct export *e)
{
    const struct store_state *state = &e->at_start.state;
    struct journal_line head = {
        .seq = state->head,
        .clock_ms = state->time_ms,
        .lost_all = e->at_start.lost_all,
        .lost_forgotten = e->at_start.lost_forgotten,
    };

    e->was_cut_short = state->reserved > state->head && !store_is_locked(e->place.path);
    if (e->was_cut_short)
        head.seq = head.lost_all = state->reserved;
    memcpy(head.epoch, e->at_start.state.epoch, EPOCH_SIZE);
    journal_line_add_head(&e->out, &head);
}

static int write_all(struct export *e)
{
    int status;

    if (!e->is_plain)
        add_head(e);
    status = write_entries(e);
    if (e->is_plain || status != 0)
        return status;
    if (is_complete(e)) {
        status = store_each_channel(e->reader, take_loss, e);
        if (status == 0)
            status = store_each_key(e->reader, take_key, e);
        if (status != 0)
            return status;
    }
    journal_line_add_end(&e->out, e->entries, is_complete(e));
    return write_out(e);
}

/* ---- the command ---- */

static int add_channels(struct export *e, const struct text_list *names, enum channel_kind kind)
{
    for (size_t i = 0; i < names->count; i++) {
        struct channel_name channel = {kind, slice_of(names->items[i])};

        if (!channel_name_is_valid(channel.name))
            return wrong_usage(e->command, "--%s: must be 1 to %d bytes of UTF-8 without control "
                                           "characters",
                               kind == CHANNEL_USER ? "user" : "topic", MAX_CHANNEL_NAME);
        for (size_t k = 0; k < e->channel_count; k++)
            if (e->channels[k].kind == kind && slice_equal(e->channels[k].name, channel.name))
                return wrong_usage(e->command, "--%s %s: is given twice",
                                   kind == CHANNEL_USER ? "user" : "topic", names->items[i]);
        e->channels[e->channel_count++] = channel;
    }
    return -1;
}

/* What the options choose. Returns -1 to go on, else the exit code. */
static int choose(struct export *e)
{
    size_t count = e->users.count + e->topics.count + e->is_broadcast;
    int code;

    if (count > STORE_MAX_CHANNELS)
        return wrong_usage(e->command, "at most %d users and topics can be chosen",
                           STORE_MAX_CHANNELS);
    e->channels = calloc(count + 1, sizeof e->channels[0]);
    if (e->channels == NULL) {
        complain(e->command, "no memory");
        return EXIT_REFUSED;
    }
    code = add_channels(e, &e->users, CHANNEL_USER);
    if (code < 0)
        code = add_channels(e, &e->topics, CHANNEL_TOPIC);
    if (code < 0 && e->is_broadcast)
        e->channels[e->channel_count++] = (struct channel_name){.kind = CHANNEL_EVERYONE};
    return code;
}

static int place_cursor(struct export *e)
{
    int status;

    if (e->after_id == NULL)
        return -1;
    status = id_parse(slice_of(e->after_id), e->at_start.state.epoch, &e->after);
    if (status == 0)
        return -1;
    if (status == -ENOENT)
        complain(e->command, "--after %s: is not an id of this journal, whose epoch is %s",
                 e->after_id, e->at_start.state.epoch);
    else
        return wrong_usage(e->command, "--after %s: must be an id, as %s-17", e->after_id,
                           e->at_start.state.epoch);
    return EXIT_REFUSED;
}

/* The store is open: all of it into the file. */
static int export_to_file(struct export *e)
{
    int status = open_file(e);

    if (status == 0) {
        progress_begin(&e->progress, "entries",
                       e->channel_count == 0 && e->after_id == NULL ? e->at_start.state.entries
                                                                    : 0);
        status = write_all(e);
        progress_end(&e->progress);
    }
    if (status == 0)
        status = finish_file(e);
    close_file(e);
    if (status == 0)
        return EXIT_OK;
    if (status == -EBADMSG)
        complain(e->command, "%s is damaged behind number %llu: %llu entries were written; see "
                             "'sse-notify journal check'",
                 e->place.path, (unsigned long long)e->after, (unsigned long long)e->entries);
    else if (status != -EPIPE)
        complain(e->command, "%s: %s", strcmp(e->file, "-") == 0 ? "stdout" : e->file,
                 strerror(-status));
    return EXIT_REFUSED;
}

static int run(struct export *e)
{
    struct error why = {.text = ""};
    int status;
    int code;

    e->store = store_open_read_only(e->place.path, NULL, &why);
    if (e->store == NULL) {
        complain(e->command, "%s", why.text);
        return EXIT_REFUSED;
    }
    e->reader = store_reader_create(e->store);
    status = e->reader == NULL ? -ENOMEM : store_survey(e->reader, &e->at_start);
    if (status != 0) {
        complain(e->command, "%s cannot be read: %s", e->place.path, strerror(-status));
        return EXIT_REFUSED;
    }
    e->now_ms = clock_wall_ms();
    if (e->at_start.state.time_ms > e->now_ms)
        e->now_ms = e->at_start.state.time_ms;
    code = place_cursor(e);
    return code < 0 ? export_to_file(e) : code;
}

static const char notes[] =
    "Lines of JSON: a head with the epoch and the highest number given out; an entry a line, the\n"
    "oldest first; an end. Of a journal that no daemon is writing to also what is known to be\n"
    "lost and the idempotency keys: 'import' then goes on with its ids. See docs/journal.md.\n"
    "FILE gets its name when all of it is safe on disk.\n"
    "\n"
    "Examples:\n"
    "  sse-notify journal export journal.ndjson\n"
    "  sse-notify journal export --user alice | jq -r 'select(.id) | .at + \" \" + .event'\n"
    "  sse-notify journal export --plain --topic deploys | sse-notify send -\n"
    "\n"
    "Exit codes: 0 all is written; 1 it cannot be read or written, or stdout was closed early; 2\n"
    "wrong usage.\n";

int journal_export(int argc, char **argv)
{
    struct export e = {.fd = -1, .file = "-"};
    const struct argument arguments[] = {
        {'u', "user", ARGUMENT_LIST, "ID", &e.users, 0, 0,
         "what was sent to this user; with these three, in\nany number, nothing else"},
        {'t', "topic", ARGUMENT_LIST, "NAME", &e.topics, 0, 0, "what was sent to this topic"},
        {0, "broadcast", ARGUMENT_FLAG, NULL, &e.is_broadcast, 0, 0, "what was sent to everyone"},
        {0, "after", ARGUMENT_TEXT, "ID", &e.after_id, 0, 0, "what came behind this id"},
        {0, "plain", ARGUMENT_FLAG, NULL, &e.is_plain, 0, 0,
         "entries alone, as POST /notify takes them: without\nid and time, the ttl as what is "
         "left of it"},
        JOURNAL_PLACE_ARGUMENTS(e.place),
    };
    const struct command command = {
        .name = "journal export",
        .usage = "[options] [FILE]",
        .purpose = "Writes the journal to FILE, or to stdout. The daemon may be running.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = notes,
    };
    struct text_list operands = {0};
    int code;

    e.command = &command;
    code = arguments_begin(&command, argc, argv, &operands);
    if (code < 0 && operands.count > 1)
        code = wrong_operands(&command, "only one FILE can be written");
    if (code < 0 && operands.count == 1)
        e.file = operands.items[0];
    if (code < 0)
        code = journal_place_find(&e.place, &command);
    if (code < 0)
        code = choose(&e);
    if (code < 0)
        code = run(&e);
    store_reader_destroy(e.reader);
    store_close(e.store);
    buf_fini(&e.out);
    free(e.channels);
    text_list_fini(&e.users);
    text_list_fini(&e.topics);
    text_list_fini(&operands);
    journal_place_fini(&e.place);
    return code;
}
