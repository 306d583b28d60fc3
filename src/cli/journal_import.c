/* journal_import.c - `sse-notify journal import`: lines of JSON become a journal.
 *
 * They are written to a draft beside the journal (an empty one, or with --append a copy of it),
 * which takes its place when the last line was good and all is safe on disk: until then nothing
 * has changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/commands.h"
#include "journal_line_priv.h"
#include "journal_priv.h"
#include "lines_priv.h"
#include "output_priv.h"
#include "store/replace.h"
#include "store/survey.h"

enum {
    MAX_LINE = 512 << 20, /* bytes: 64 MiB of data, all of it as \u00xx, and more */
    MAX_TOLD = 20,        /* bad lines that are told one by one */
    GROUP_LINES = 2000,   /* of one transaction ... */
    GROUP_BYTES = 4 << 20,
    CHUNK = 256 << 10,
};

/* The draft's map, of which only the pages that are written are more than a number. */
#define DRAFT_BYTES ((uint64_t)1 << 39)

struct import {
    const struct command *command;
    struct journal_place place;
    bool is_append;
    bool is_new_epoch;       /* wanted, whatever FILE says */
    const char *file;        /* "-": stdin */

    struct store_lock *lock;
    struct store *store;     /* the draft */
    struct journal_line line;
    struct buf record;
    struct progress progress;
    uint64_t bytes;          /* read */

    bool has_head;           /* what the first line said: */
    char epoch[EPOCH_SIZE];
    uint64_t head;
    uint64_t lost_all;
    uint64_t lost_forgotten;
    bool has_end;            /* and the last: */
    bool is_complete;

    uint64_t now_ms;
    uint64_t clock_ms;       /* the journal's clock: no entry is younger */
    uint64_t last_seq;
    uint64_t last_time_ms;
    uint64_t last_key;       /* number of the newest idempotency key */
    uint64_t lines;          /* that were not empty */
    uint64_t entries;        /* lines that are one */
    uint64_t written;
    uint64_t expired;        /* entries whose ttl was over */
    uint64_t bad;
    size_t group;            /* lines in the transaction that is open; 0: none is */
    size_t group_bytes;
};

/* ---- a bad line ---- */

static int tell_bad(struct import *i, uint64_t number, const char *what)
{
    struct buf text = {0};

    if (++i->bad > MAX_TOLD)
        return 0;
    progress_end(&i->progress);
    buf_printf(&text, "line %llu: ", (unsigned long long)number);
    output_add_plain(&text, slice_of(what));
    complain(i->command, "%.*s", (int)text.len, text.p);
    buf_fini(&text);
    return 0;
}

/* ---- writing to the draft ---- */

/* Returns 0 or -errno, as all that follow. */
static int commit(struct import *i)
{
    if (i->group == 0)
        return 0;
    i->group = i->group_bytes = 0;
    return store_commit(i->store, i->last_time_ms);
}

/* A transaction is open for one line more, of `bytes`. */
static int begin(struct import *i, size_t bytes)
{
    int status = i->group >= GROUP_LINES || i->group_bytes >= GROUP_BYTES ? commit(i) : 0;

    if (status == 0 && i->group == 0)
        status = store_begin(i->store);
    if (status != 0)
        return status;
    i->group++;
    i->group_bytes += bytes;
    return 0;
}

static int write_record(struct import *i, const struct record *r)
{
    size_t size = record_size(r);
    int status = begin(i, size);

    i->record.len = 0;
    if (status == 0)
        status = buf_reserve(&i->record, size);
    if (status != 0)
        return status;
    record_write(r, i->record.p);
    return store_append(i->store, i->record.p, size);
}

static int write_key(struct import *i, uint64_t seq, uint64_t time_ms, struct slice key)
{
    int status = begin(i, key.n);

    i->last_key = seq;
    return status != 0 ? status : store_add_key(i->store, seq, time_ms, key);
}

/* ---- lines, by their kinds ---- */

static int take_head(struct import *i, uint64_t number)
{
    const struct journal_line *l = &i->line;

    if (i->lines > 1)
        return tell_bad(i, number, "the head of an export must be its first line: import each "
                                   "export by itself");
    if (l->lost_all > l->seq || l->lost_forgotten > l->seq)
        return tell_bad(i, number, "lost_all and lost_forgotten cannot be over head");
    i->has_head = true;
    memcpy(i->epoch, l->epoch, EPOCH_SIZE);
    i->head = l->seq;
    i->lost_all = l->lost_all;
    i->lost_forgotten = l->lost_forgotten;
    if (!i->is_append)
        i->clock_ms = l->clock_ms;
    return 0;
}

/* Whether the line's id is one of this export; else it is told. */
static bool check_id(struct import *i, uint64_t number)
{
    const struct journal_line *l = &i->line;

    if (l->epoch[0] == '\0')
        return true;
    if (i->has_head && strcmp(l->epoch, i->epoch) != 0) {
        tell_bad(i, number, "the id is of another epoch than the export");
        return false;
    }
    if (i->has_head && l->seq > i->head) {
        tell_bad(i, number, "the id's number is over the export's head");
        return false;
    }
    return true;
}

/* The number that the entry gets, or 0 after a complaint. */
static uint64_t number_of(struct import *i, uint64_t number)
{
    const struct journal_line *l = &i->line;

    if (i->is_append || l->seq == 0)
        return i->last_seq + 1;
    if (l->seq > i->last_seq)
        return l->seq;
    tell_bad(i, number, "the id's number must be over that of the entry before");
    return 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When the entry's own ttl is over. */
static uint64_t end_of(const struct import *i)
{
    const struct journal_line *l = &i->line;

    return l->has_ttl ? (l->at_ms > 0 ? l->at_ms : i->now_ms) + l->ttl_ms : l->expires_ms;
}

static const char disorder_of_keys[] =
    "idempotency keys must be in the order of their ids, and one an id";

static int take_entry(struct import *i, uint64_t number)
{
    const struct journal_line *l = &i->line;
    uint64_t time_ms = l->clock_ms > 0 ? l->clock_ms : l->at_ms > 0 ? l->at_ms : i->now_ms;
    struct record r = {
        .wall_ms = l->at_ms > 0 ? l->at_ms : i->now_ms,
        .expires_ms = end_of(i),
        .to = l->to,
        .event = l->event,
        .collapse_key = l->collapse_key,
        .data = l->data,
        .is_json = l->is_json,
    };
    int status = 0;

    i->entries++;
    if (!check_id(i, number))
        return 0;
    r.seq = number_of(i, number);
    if (r.seq == 0 || i->bad > 0)
        return 0;
    if (l->idempotency_key.n > 0 && r.seq <= i->last_key)
        return tell_bad(i, number, disorder_of_keys);
    r.time_ms = most(i->last_time_ms, least(time_ms, i->clock_ms));
    if (r.expires_ms <= most(most(i->now_ms, i->clock_ms), r.time_ms)) {
        i->expired++;
    } else {
        i->last_time_ms = r.time_ms;
        status = write_record(i, &r);
        i->written++;
    }
    i->last_seq = r.seq;
    if (status == 0 && l->idempotency_key.n > 0)
        status = write_key(i, r.seq, r.time_ms, l->idempotency_key);
    return status;
}

static bool check_known(struct import *i, uint64_t number)
{
    if (i->has_head || i->line.seq <= i->last_seq)
        return check_id(i, number);
    tell_bad(i, number, "the id's number is over those of all entries");
    return false;
}

static int take_loss(struct import *i, uint64_t number)
{
    int status;

    if (!check_known(i, number) || i->is_append || i->bad > 0)
        return 0;
    status = begin(i, i->line.to.name.n);
    if (status == 0)
        status = store_add_loss(i->store, i->line.to, i->line.seq);
    return status == -EINVAL ? tell_bad(i, number, "what is lost of a channel must be older than "
                                                   "its entries")
                             : status;
}

static int take_key(struct import *i, uint64_t number)
{
    const struct journal_line *l = &i->line;

    if (!check_known(i, number) || i->is_append || i->bad > 0)
        return 0;
    if (l->seq <= i->last_key)
        return tell_bad(i, number, disorder_of_keys);
    return write_key(i, l->seq, least(l->clock_ms, i->clock_ms), l->idempotency_key);
}

static int take_end(struct import *i, uint64_t number)
{
    char text[120];

    i->has_end = true;
    i->is_complete = i->line.is_complete && !i->is_new_epoch;
    if (i->line.entries == i->entries)
        return 0;
    snprintf(text, sizeof text, "%llu entries should stand before it, %llu do",
             (unsigned long long)i->line.entries, (unsigned long long)i->entries);
    return tell_bad(i, number, text);
}

static int take_line(struct import *i, uint64_t number)
{
    switch (i->line.kind) {
    case LINE_HEAD:
        return take_head(i, number);
    case LINE_ENTRY:
        return take_entry(i, number);
    case LINE_LOSS:
        return take_loss(i, number);
    case LINE_KEY:
        return take_key(i, number);
    case LINE_END:
        return take_end(i, number);
    }
    return 0;
}

static int on_line(void *arg, uint64_t number, struct slice text)
{
    struct import *i = arg;
    struct error why = {.text = ""};
    int status;

    if (text.p != NULL && slice_trim(text).n == 0)
        return 0;
    i->lines++;
    if (text.p == NULL)
        return tell_bad(i, number, "is too long");
    if (i->has_end)
        return tell_bad(i, number, "nothing may follow the end of an export: import each export "
                                   "by itself");
    status = journal_line_read(&i->line, text, &why);
    if (status == -EINVAL)
        return tell_bad(i, number, why.text);
    return status == 0 ? take_line(i, number) : status;
}

/* ---- reading ---- */

static int open_input(struct import *i)
{
    int fd = strcmp(i->file, "-") == 0 ? STDIN_FILENO : open(i->file, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (fd < 0) {
        complain(i->command, "%s: %s", i->file, strerror(errno));
        return -1;
    }
    progress_begin(&i->progress, NULL,
                   fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0);
    return fd;
}

static int read_lines(struct import *i, int fd)
{
    struct line_reader reader = {.max_bytes = MAX_LINE, .on_line = on_line, .arg = i};
    char *chunk = malloc(CHUNK);
    int status = chunk == NULL ? -ENOMEM : 0;

    while (status == 0) {
        ssize_t n = read(fd, chunk, CHUNK);

        if (n == 0) {
            status = line_reader_end(&reader);
            break;
        }
        if (n < 0) {
            status = errno == EINTR ? 0 : -errno;
            continue;
        }
        i->bytes += (uint64_t)n;
        status = line_reader_feed(&reader, slice_make(chunk, (size_t)n));
        progress_show(&i->progress, i->bytes);
    }
    line_reader_fini(&reader);
    free(chunk);
    return status;
}

/* ---- before and after ---- */

/* What is in the journal now; all zero where there is none. Returns 0, or -1 after a complaint. */
static int survey(struct import *i, struct store_survey *out)
{
    struct error why = {.text = ""};
    struct store *store;
    struct store_reader *reader;
    int status;

    *out = (struct store_survey){.keys = 0};
    if (store_find(i->place.path, NULL) != 0)
        return 0;
    if (journal_require_whole(i->command, i->place.path, i->lock) != 0)
        return -1;
    store = store_open_read_only(i->place.path, i->lock, &why);
    if (store == NULL) {
        complain(i->command, "%s", why.text);
        return -1;
    }
    reader = store_reader_create(store);
    status = reader == NULL ? -ENOMEM : store_survey(reader, out);
    store_reader_destroy(reader);
    if (status == 0 && i->is_append &&
        store_copy(store, store_draft(i->lock), false, NULL, NULL, &why) != 0)
        status = -EIO;
    store_close(store);
    if (status != 0)
        complain(i->command, "%s", why.text[0] != '\0' ? why.text : strerror(-status));
    return status == 0 ? 0 : -1;
}

/* Takes the lock and opens the draft. Returns 0, or -1 after a complaint. */
static int prepare(struct import *i)
{
    const struct store_options options = {
        .keep_ms = UINT64_MAX / 4, /* bounds are the daemon's: it applies them when it starts */
        .keep_per_user = SIZE_MAX,
        .keep_bytes = DRAFT_BYTES,
        .keys_ms = UINT64_MAX / 4,
        .is_unsynced = true,
    };
    struct store_options draft = options;
    struct store_survey now;
    struct error why = {.text = ""};

    i->lock = store_lock(i->place.path, &why);
    if (i->lock == NULL) {
        complain(i->command, "%s", why.text);
        return -1;
    }
    if (survey(i, &now) != 0)
        return -1;
    if (!i->is_append && now.state.head > 0) {
        complain(i->command,
                 "%s is in use already: it has %llu entries, and gave out ids up to %s-%llu. "
                 "--append adds to it, with new ids; to replace it, move its data.mdb away",
                 i->place.path, (unsigned long long)now.state.entries, now.state.epoch,
                 (unsigned long long)now.state.head);
        return -1;
    }
    draft.path = store_draft(i->lock);
    i->store = store_open(&draft, &why);
    if (i->store == NULL) {
        complain(i->command, "%s", why.text);
        return -1;
    }
    i->now_ms = clock_wall_ms();
    i->clock_ms = i->now_ms;
    if (i->is_append) {
        i->last_seq = store_state(i->store)->head;
        i->last_time_ms = store_state(i->store)->time_ms;
        i->clock_ms = most(i->now_ms, i->last_time_ms);
    }
    return 0;
}

/* The last of the draft: where the numbers go on. */
static int complete(struct import *i)
{
    struct store_origin origin = {
        .head = i->head,
        .time_ms = i->clock_ms,
        .lost_all = i->lost_all,
        .lost_forgotten = i->lost_forgotten,
    };
    int status = 0;

    if (i->has_head && !i->is_append) {
        status = begin(i, 0);
        memcpy(origin.epoch, i->epoch, EPOCH_SIZE);
        if (status == 0 && i->is_complete)
            status = store_continue(i->store, &origin);
        else if (status == 0 && i->head > i->last_seq)
            status = store_skip(i->store, i->head,
                                (struct channel_name){.kind = CHANNEL_EVERYONE},
                                slice_make(NULL, 0));
    }
    if (status == 0)
        status = commit(i);
    return status == 0 ? store_sync(i->store) : status;
}

static void say_what(struct import *i, struct buf *out)
{
    output_add_count(out, i->written, "entry is", "entries are");
    buf_add_text(out, i->is_append ? " added" : " imported");
    if (i->is_append && i->written > 0)
        buf_printf(out, ", the last with the id %s-%llu", i->epoch,
                   (unsigned long long)i->last_seq);
    if (!i->is_append)
        buf_printf(out, i->is_complete ? "; ids go on as %s-%llu"
                                       : "; ids are new, from %s-%llu on, and old ones get a gap",
                   i->epoch, (unsigned long long)most(i->head, i->last_seq) + 1);
    if (i->expired > 0)
        buf_printf(out, "; %llu had expired", (unsigned long long)i->expired);
    buf_add_char(out, '\n');
}

/* Every line is read. Returns the exit code. */
static int finish(struct import *i)
{
    struct error why = {.text = ""};
    struct buf out = {0};
    int status;
    int code;

    if (i->bad > MAX_TOLD)
        complain(i->command, "and %llu more", (unsigned long long)(i->bad - MAX_TOLD));
    if (i->bad == 0 && i->lines == 0) {
        complain(i->command, "there is no line in it");
        i->bad++;
    } else if (i->bad == 0 && i->has_head && !i->has_end) {
        complain(i->command, "the export was cut short: its last line is missing");
        i->bad++;
    }
    if (i->bad > 0) {
        complain(i->command, "nothing was imported");
        return EXIT_REFUSED;
    }
    status = complete(i);
    memcpy(i->epoch, store_state(i->store)->epoch, EPOCH_SIZE);
    store_close(i->store);
    i->store = NULL;
    if (status != 0 || store_replace(i->lock, &why) != 0) {
        complain(i->command, "%s; nothing was imported",
                 status != 0 ? strerror(-status) : why.text);
        return EXIT_REFUSED;
    }
    say_what(i, &out);
    code = output_print(i->command, &out);
    buf_fini(&out);
    return code;
}

static int run(struct import *i)
{
    int fd = -1;
    int code = EXIT_REFUSED;

    if (prepare(i) == 0)
        fd = open_input(i);
    if (fd >= 0) {
        int status = read_lines(i, fd);

        progress_end(&i->progress);
        if (status == 0)
            code = finish(i);
        else
            complain(i->command, "%s; nothing was imported", strerror(-status));
        if (fd != STDIN_FILENO)
            close(fd);
    }
    store_close(i->store);
    store_unlock(i->lock);
    journal_line_fini(&i->line);
    buf_fini(&i->record);
    return code;
}

static const char notes[] =
    "An empty journal keeps numbers and times as they are in FILE. It goes on with the epoch,\n"
    "and what streams know of it, where FILE is the whole export of a journal that no daemon\n"
    "was writing to; else ids could be given out twice, and it gets a new epoch. Lines that\n"
    "other programs write need user, topic or broadcast, and data; what the daemon's bounds do\n"
    "not keep goes when it starts. See docs/journal.md.\n"
    "\n"
    "All of FILE is imported, or nothing: every bad line is named.\n"
    "\n"
    "Examples:\n"
    "  sse-notify journal import journal.ndjson\n"
    "  zcat old.ndjson.gz | sse-notify journal import --append -\n"
    "\n"
    "Exit codes: 0 imported, and safe on disk; 1 refused or failed: nothing has changed; 2 wrong\n"
    "usage.\n";

int journal_import(int argc, char **argv)
{
    struct import i = {.file = "-"};
    const struct argument arguments[] = {
        {0, "append", ARGUMENT_FLAG, NULL, &i.is_append, 0, 0,
         "add to a journal that is in use: entries get new\nids, behind all others"},
        {0, "new-epoch", ARGUMENT_FLAG, NULL, &i.is_new_epoch, 0, 0,
         "draw a new epoch in any case: FILE is older than\nids that streams may come back with"},
        JOURNAL_PLACE_ARGUMENTS(i.place),
    };
    const struct command command = {
        .name = "journal import",
        .usage = "[options] [FILE]",
        .purpose = "Reads what 'journal export' writes from FILE, or from stdin. The daemon must "
                   "be\nstopped.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = notes,
    };
    struct text_list operands = {0};
    int code;

    i.command = &command;
    code = arguments_begin(&command, argc, argv, &operands);
    if (code < 0 && operands.count > 1)
        code = wrong_operands(&command, "only one FILE can be read");
    if (code < 0 && operands.count == 1)
        i.file = operands.items[0];
    if (code < 0)
        code = journal_place_find(&i.place, &command);
    if (code < 0)
        code = run(&i);
    text_list_fini(&operands);
    journal_place_fini(&i.place);
    return code;
}
