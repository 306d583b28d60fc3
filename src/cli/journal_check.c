/* journal_check.c - `sse-notify journal check` and `repair`: whether the journal is whole, and what
 * is whole of it. */
#include "base/clock.h"
#include "cli/commands.h"
#include "journal_priv.h"
#include "output_priv.h"
#include "store/check.h"
#include "store/replace.h"

/* How far a pass over the file is; the next one begins at 0. */
struct passes {
    struct progress progress;
    uint64_t done;
};

static void on_progress(void *ctx, uint64_t bytes, uint64_t of)
{
    struct passes *p = ctx;

    if (bytes < p->done)
        p->progress.start_ms = clock_mono_ms();
    p->done = bytes;
    p->progress.of = of;
    progress_show(&p->progress, bytes);
}

/* The directory is --path or the operand. Returns -1 to go on, else the exit code. */
static int find_place(const struct command *command, struct journal_place *place,
                      const struct text_list *operands)
{
    if (operands->count > 1 || (operands->count == 1 && place->path != NULL))
        return wrong_operands(command, "only one directory can be given");
    if (operands->count == 1)
        place->path = operands->items[0];
    return journal_place_find(place, command);
}

int journal_require_whole(const struct command *command, const char *path,
                          const struct store_lock *lock)
{
    struct store_report report;
    struct error why = {.text = ""};

    if (store_check(path, lock, NULL, NULL, &report, &why) != 0) {
        complain(command, "%s", why.text);
        return EXIT_REFUSED;
    }
    if (!report.is_damaged)
        return 0;
    complain(command, "%s is damaged (%s); see 'sse-notify journal repair'", path,
             report.findings[0]);
    return EXIT_REFUSED;
}

/* ---- check ---- */

static void add_findings(struct buf *out, const struct store_report *r)
{
    for (size_t i = 0; i < STORE_MAX_FINDINGS && i < r->faults; i++) {
        buf_add_text(out, "  ");
        output_add_plain(out, slice_of(r->findings[i]));
        buf_add_char(out, '\n');
    }
    if (r->faults > STORE_MAX_FINDINGS)
        buf_printf(out, "  and %llu more\n", (unsigned long long)r->faults - STORE_MAX_FINDINGS);
}

static void add_report(struct buf *out, const char *path, const struct store_report *r)
{
    output_add_plain(out, slice_of(path));
    buf_add_text(out, r->is_damaged ? " is damaged: " : " is whole");
    if (r->is_damaged)
        output_add_count(out, r->faults, "fault", "faults");
    if (r->is_live)
        buf_add_text(out, ", as of the last commit of the daemon that writes to it");
    buf_add_char(out, '\n');
    if (r->is_damaged)
        add_findings(out, r);
    output_add_count(out, r->entries, "entry", "entries");
    buf_add_text(out, ", ");
    output_add_count(out, r->channels, "channel", "channels");
    buf_add_text(out, ", ");
    output_add_count(out, r->keys, "idempotency key", "idempotency keys");
    buf_add_text(out, r->is_damaged ? " can be read; " : "; ");
    output_add_size(out, r->bytes);
    buf_add_text(out, ", ");
    output_add_size(out, r->free_bytes);
    buf_add_text(out, " of it free\n");
    if (r->is_damaged)
        buf_add_text(out, r->is_live ? "The daemon repairs it when it is started again\n"
                                     : "The daemon repairs it when it starts, and so does "
                                       "'sse-notify journal repair'\n");
}

static int check(const struct command *command, const char *path)
{
    struct store_report report;
    struct passes passes = {.done = 0};
    struct error why = {.text = ""};
    struct buf out = {0};
    int status;
    int code;

    progress_begin(&passes.progress, NULL, 0);
    status = store_check(path, NULL, on_progress, &passes, &report, &why);
    progress_end(&passes.progress);
    if (status != 0) {
        complain(command, "%s", why.text);
        return EXIT_USAGE; /* which also says that nothing can be said */
    }
    add_report(&out, path, &report);
    code = output_print(command, &out);
    buf_fini(&out);
    if (code != EXIT_OK)
        return EXIT_USAGE; /* 1 would mean damage */
    return report.is_damaged ? EXIT_REFUSED : EXIT_OK;
}

int journal_check(int argc, char **argv)
{
    struct journal_place place = {0};
    const struct argument arguments[] = {JOURNAL_PLACE_ARGUMENTS(place)};
    const struct command command = {
        .name = "journal check",
        .usage = "[options] [DIR]",
        .purpose = "Looks at every page and every record of the journal, or of a backup in DIR, "
                   "and\nchanges nothing. The daemon may be running.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = "Beside a daemon its last commit is checked; what that leaves alone, free pages "
                 "and the\nhead of the commit before, is not.\n"
                 "\n"
                 "Examples:\n"
                 "  sse-notify journal check\n"
                 "  sse-notify journal check /backup/sse-notify-2026-11-25\n"
                 "\n"
                 "Exit codes: 0 it is whole; 1 it is damaged; 2 that cannot be told: there is "
                 "none, it\ncannot be read or is of a newer version; or wrong usage.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0)
        code = find_place(&command, &place, &operands);
    if (code < 0)
        code = check(&command, place.path);
    text_list_fini(&operands);
    journal_place_fini(&place);
    return code;
}

/* ---- repair ---- */

/* With the lock. Returns the exit code. */
static int repair(const struct command *command, const char *path, struct store_lock *lock)
{
    struct store_repair done;
    struct passes passes = {.done = 0};
    struct error why = {.text = ""};
    struct buf out = {0};
    int status;
    int code;

    progress_begin(&passes.progress, NULL, 0);
    status = store_repair(lock, on_progress, &passes, &done, &why);
    progress_end(&passes.progress);
    if (status != 0) {
        complain(command, "%s", why.text);
        return EXIT_REFUSED;
    }
    output_add_plain(&out, slice_of(path));
    buf_add_text(&out, done.was_damaged ? ": " : " is whole: there is nothing to repair");
    if (done.was_damaged)
        output_add_plain(&out, slice_of(done.what));
    buf_add_char(&out, '\n');
    code = output_print(command, &out);
    buf_fini(&out);
    return code;
}

int journal_repair(int argc, char **argv)
{
    struct journal_place place = {0};
    const struct argument arguments[] = {JOURNAL_PLACE_ARGUMENTS(place)};
    const struct command command = {
        .name = "journal repair",
        .usage = "[options] [DIR]",
        .purpose = "Does at once what the daemon does when it starts: checks the journal, and puts "
                   "what\nis whole of a damaged one into a new file. The daemon must be stopped.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = "The damaged file stays beside it as data.mdb.damaged-TIME, of which the newest "
                 "three\nare kept. Where anything is lost the journal gets a new epoch, so that "
                 "streams which\ncome back are told by a gap.\n"
                 "\n"
                 "Exit codes: 0 it is whole, or repaired; 1 a daemon has it open, or it cannot be "
                 "read\nor written: then it is as it was; 2 wrong usage.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0)
        code = find_place(&command, &place, &operands);
    if (code < 0)
        code = journal_do_locked(&command, place.path, repair);
    text_list_fini(&operands);
    journal_place_fini(&place);
    return code;
}
