/* journal_copy.c - `sse-notify journal backup` and `compact`: a copy without free pages, beside the
 * journal or in its place. */
#include <errno.h>
#include <string.h>
#include "cli/commands.h"
#include "journal_priv.h"
#include "output_priv.h"
#include "store/replace.h"
#include "store/survey.h"

static void on_progress(void *ctx, uint64_t bytes, uint64_t of)
{
    struct progress *p = ctx;

    p->of = of;
    progress_show(p, bytes);
}

/* What is in the store at `path`. Returns 0, or the exit code after a complaint. */
static int survey(const struct command *command, const char *path, const struct store_lock *own,
                  struct store_survey *out)
{
    struct error why = {.text = ""};
    struct store *store = store_open_read_only(path, own, &why);
    struct store_reader *reader;
    int status;

    if (store == NULL) {
        complain(command, "%s", why.text);
        return EXIT_REFUSED;
    }
    reader = store_reader_create(store);
    status = reader == NULL ? -ENOMEM : store_survey(reader, out);
    store_reader_destroy(reader);
    store_close(store);
    if (status == 0)
        return 0;
    complain(command, "%s cannot be read: %s", path, strerror(-status));
    return EXIT_REFUSED;
}

/* Copies the store at `from`. Returns 0, or the exit code after a complaint. */
static int copy(const struct command *command, const char *from, const struct store_lock *own,
                const char *to, bool is_backup)
{
    struct error why = {.text = ""};
    struct store *store = store_open_read_only(from, own, &why);
    struct progress progress;
    int status = -1;

    if (store != NULL) {
        progress_begin(&progress, NULL, 0);
        status = store_copy(store, to, is_backup, on_progress, &progress, &why);
        progress_end(&progress);
    }
    store_close(store);
    if (status == 0)
        return 0;
    complain(command, "%s", why.text);
    return EXIT_REFUSED;
}

/* ---- backup ---- */

static int back_up(const struct command *command, const char *from, const char *to)
{
    struct store_survey now;
    struct buf out = {0};
    int code = copy(command, from, NULL, to, true);

    if (code == 0)
        code = survey(command, to, NULL, &now);
    if (code != 0)
        return code;
    store_forget_readers(to);
    output_add_plain(&out, slice_of(to));
    buf_add_text(&out, ": ");
    output_add_count(&out, now.state.entries, "entry, ", "entries, ");
    output_add_size(&out, now.file_bytes);
    buf_add_char(&out, '\n');
    code = output_print(command, &out);
    buf_fini(&out);
    return code;
}

int journal_backup(int argc, char **argv)
{
    struct journal_place place = {0};
    const struct argument arguments[] = {JOURNAL_PLACE_ARGUMENTS(place)};
    const struct command command = {
        .name = "journal backup",
        .usage = "[options] DIR",
        .purpose = "Copies the journal, as it is now, into DIR, which must be empty or absent.\n"
                   "The daemon may be running.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes =
            "To restore: stop the daemon, put DIR's data.mdb in the place of the one in\n"
            "journal.path, start it. What was sent after the backup is gone, and its ids must not\n"
            "come to mean something else: a daemon that opens a backup gives the journal a new\n"
            "epoch, and streams that come back with an old id get a gap and all that is kept.\n"
            "\n"
            "Examples:\n"
            "  sse-notify journal backup /backup/sse-notify-$(date +%F)\n"
            "\n"
            "Exit codes: 0 copied, and safe on disk; 1 it cannot be read or written, or DIR is "
            "not\nempty; 2 wrong usage.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0 && operands.count != 1)
        code = wrong_operands(&command, "where to? Give one directory");
    if (code < 0)
        code = journal_place_find(&place, &command);
    if (code < 0)
        code = back_up(&command, place.path, operands.items[0]);
    text_list_fini(&operands);
    journal_place_fini(&place);
    return code;
}

/* ---- compact ---- */

/* With the lock. Returns the exit code. */
static int compact(const struct command *command, const char *path, struct store_lock *lock)
{
    struct store_survey before;
    struct store_survey after;
    struct error why = {.text = ""};
    struct buf out = {0};
    int code = journal_require_whole(command, path, lock);

    if (code == 0)
        code = survey(command, path, lock, &before);
    if (code == 0)
        code = copy(command, path, lock, store_draft(lock), false);
    if (code != 0)
        return code;
    if (store_replace(lock, &why) != 0) {
        complain(command, "%s", why.text);
        return EXIT_REFUSED;
    }
    code = survey(command, path, lock, &after);
    if (code != 0)
        return code;
    output_add_plain(&out, slice_of(path));
    buf_add_text(&out, ": ");
    output_add_size(&out, before.file_bytes);
    buf_add_text(&out, " before, ");
    output_add_size(&out, after.file_bytes);
    buf_add_text(&out, " now\n");
    code = output_print(command, &out);
    buf_fini(&out);
    return code;
}

int journal_compact(int argc, char **argv)
{
    struct journal_place place = {0};
    const struct argument arguments[] = {JOURNAL_PLACE_ARGUMENTS(place)};
    const struct command command = {
        .name = "journal compact",
        .usage = "[options]",
        .purpose = "Makes the journal's file as small as what is in it. The daemon must be "
                   "stopped.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = "The file is written anew beside the old one, which takes as much room as is in "
                 "use, and\nthen takes its name: whenever the machine stops, one of them is "
                 "there.\n"
                 "It is seldom needed: the daemon uses free pages again before the file grows.\n"
                 "\n"
                 "Exit codes: 0 done; 1 a daemon or another command has it open, or it cannot be "
                 "read\nor written: then it is as it was; 2 wrong usage.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0 && operands.count > 0)
        code = wrong_operands(&command, "takes no operands; --path names a directory");
    if (code < 0)
        code = journal_place_find(&place, &command);
    if (code < 0)
        code = journal_do_locked(&command, place.path, compact);
    text_list_fini(&operands);
    journal_place_fini(&place);
    return code;
}
