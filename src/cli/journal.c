/* journal.c - `sse-notify journal`: the commands for the record on disk. */
#include "journal_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/commands.h"
#include "store/replace.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"check", journal_check, "whether it is whole"},
    {"stats", journal_stats, "what is in it"},
    {"export", journal_export, "write it as lines of JSON"},
    {"import", journal_import, "read such lines"},
    {"backup", journal_backup, "copy it, also while the daemon runs"},
    {"repair", journal_repair, "save what is whole of a damaged one"},
    {"compact", journal_compact, "make its file as small as it can be"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fputs("usage: sse-notify journal COMMAND [-c FILE] [-o SECTION.KEY=VALUE]... [--path DIR] ...\n"
          "\n"
          "Looks after the journal that the daemon keeps on disk (journal.path).\n"
          "\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].help);
    fputs("\n"
          "'sse-notify journal COMMAND --help' tells more of each. Exit codes: 0 all is well,\n"
          "1 damaged, refused or failed, 2 wrong usage or configuration.\n",
          to);
}

/* A file that is damaged can lead LMDB to where there is nothing. Those that only read do not look
 * at all of it first. */
static void on_fault(int signal_number)
{
    static const char text[] = "sse-notify journal: the file is damaged and cannot be read on (see "
                               "'sse-notify journal check')\n";

    (void)signal_number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_REFUSED);
}

int command_journal(int argc, char **argv)
{
    if (argc < 2) {
        fputs("sse-notify journal: which command?\n\n", stderr);
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_REFUSED;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a disk that is full */
        signal(SIGBUS, on_fault);
        signal(SIGSEGV, on_fault);
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "sse-notify journal: there is no command '%s'\n\n", argv[1]);
    print_help(stderr);
    return EXIT_USAGE;
}

/* ---- where the journal is ---- */

int journal_place_find(struct journal_place *place, const struct command *command)
{
    int code;

    if (place->path != NULL && place->path[0] == '\0')
        return wrong_usage(command, "--path: the journal's directory is needed");
    if (place->path != NULL && !configured_is_named(&place->daemon))
        return -1;
    code = configured_read(&place->daemon);
    if (code >= 0 || place->path != NULL)
        return code;
    if (place->daemon.config.journal.type != CONFIG_JOURNAL_DISK) {
        complain(command, "the configuration has journal.type = memory, of which nothing is on "
                          "disk; --path DIR names a directory");
        return EXIT_USAGE;
    }
    place->path = place->daemon.config.journal.path;
    return -1;
}

void journal_place_fini(struct journal_place *place)
{
    configured_fini(&place->daemon);
}

int journal_do_locked(const struct command *command, const char *path,
                      int (*work)(const struct command *command, const char *path,
                                  struct store_lock *lock))
{
    struct error why = {.text = ""};
    struct store_lock *lock = NULL;
    int code;

    if (store_find(path, &why) == 0)
        lock = store_lock(path, &why);
    if (lock == NULL) {
        complain(command, "%s", why.text);
        return EXIT_REFUSED;
    }
    code = work(command, path, lock);
    store_unlock(lock);
    return code;
}

/* ---- how far it is ---- */

enum { PROGRESS_AFTER_MS = 1000, PROGRESS_EVERY_MS = 200 };

void progress_begin(struct progress *p, const char *what, uint64_t of)
{
    *p = (struct progress){
        .what = what,
        .of = of,
        .start_ms = clock_mono_ms(),
        .is_terminal = isatty(STDERR_FILENO),
    };
}

static void add_amount(struct buf *out, const char *what, uint64_t amount)
{
    if (what == NULL)
        buf_printf(out, "%.1f", (double)amount / (1 << 20));
    else
        buf_add_u64(out, amount);
}

void progress_add_text(struct buf *out, const char *what, uint64_t done, uint64_t of,
                       uint64_t elapsed_ms)
{
    double rate = elapsed_ms == 0 ? 0 : (double)done * 1000 / (double)elapsed_ms;

    if (of > 0 && done > of)
        of = done; /* it was a guess */
    add_amount(out, what, done);
    if (of > 0) {
        buf_add_text(out, " of ");
        add_amount(out, what, of);
    }
    buf_printf(out, " %s, ", what == NULL ? "MiB" : what);
    add_amount(out, what, (uint64_t)rate);
    buf_add_text(out, what == NULL ? " MiB/s" : "/s");
    if (of > 0 && rate > 0)
        buf_printf(out, ", %.0f s left", (double)(of - done) / rate);
}

void progress_show(struct progress *p, uint64_t done)
{
    struct buf text = {0};
    uint64_t now_ms;

    if (!p->is_terminal)
        return;
    now_ms = clock_mono_ms();
    if (now_ms - p->start_ms < PROGRESS_AFTER_MS || now_ms - p->shown_ms < PROGRESS_EVERY_MS)
        return;
    p->shown_ms = now_ms;
    buf_add_text(&text, "\r\x1b[K");
    progress_add_text(&text, p->what, done, p->of, now_ms - p->start_ms);
    fwrite(text.p, 1, text.len, stderr);
    fflush(stderr);
    buf_fini(&text);
}

void progress_end(struct progress *p)
{
    if (p->shown_ms != 0)
        fputs("\r\x1b[K", stderr);
    p->shown_ms = 0;
}

/* ---- what is printed ---- */
