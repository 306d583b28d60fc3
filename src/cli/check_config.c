/* check_config.c - `sse-notify check-config`: finds every mistake before a restart does. */
#include "cli/commands.h"

#include <stdbool.h>
#include <stdio.h>
#include "base/buf.h"
#include "config/arguments.h"
#include "config/config.h"
#include "config/describe.h"

static const char help[] =
    "usage: sse-notify check-config [-c FILE] [-o SECTION.KEY=VALUE]...\n"
    "\n"
    "Reads the configuration as the daemon would, environment included, and prints\n"
    "every mistake with its line. Starts nothing.\n"
    "\n" CONFIG_ARGUMENTS_HELP "\n"
    "Examples:\n"
    "  sse-notify check-config -c sse-notify.conf\n"
    "  sse-notify check-config -o streams.heartbeat=30s\n"
    "\n"
    "Exit codes: 0 all is well, 2 there are mistakes, or wrong usage.\n";

/* Not in the help: they make the pages that the repository holds. */
static const char *const flags[] = {"example", "reference", "manual", NULL};
enum { FLAG_EXAMPLE = 1, FLAG_REFERENCE = 2, FLAG_MANUAL = 4 };

static int print_page(int (*describe)(struct buf *out))
{
    struct buf page = {0};
    bool is_written = describe(&page) == 0 &&
                      fwrite(page.p, 1, page.len, stdout) == page.len && fflush(stdout) == 0;

    buf_fini(&page);
    return is_written ? EXIT_OK : EXIT_REFUSED;
}

static int check(const struct config_arguments *arguments)
{
    const char *file = config_file_of(arguments->file);
    struct config_errors errors = {0};
    struct config cfg;

    if (config_load(&cfg, arguments->file, arguments->overrides, arguments->override_count,
                    &errors) != 0) {
        config_errors_print(&errors, stderr);
        return EXIT_USAGE;
    }
    config_fini(&cfg);
    printf("%s: ok\n", file != NULL ? file : "no configuration file, the defaults");
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_REFUSED;
}

int command_check_config(int argc, char **argv)
{
    struct config_arguments arguments;

    if (config_arguments_read(&arguments, "check-config", flags, argc, argv) != 0)
        return EXIT_USAGE;
    if (arguments.wants_help)
        return fputs(help, stdout) < 0 || fflush(stdout) != 0 ? EXIT_REFUSED : EXIT_OK;
    if (arguments.flags & FLAG_EXAMPLE)
        return print_page(config_describe_example);
    if (arguments.flags & FLAG_REFERENCE)
        return print_page(config_describe_reference);
    if (arguments.flags & FLAG_MANUAL)
        return print_page(config_describe_manual);
    return check(&arguments);
}
