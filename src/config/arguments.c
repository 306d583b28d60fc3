/* arguments.c - getopt_long with its messages replaced: they would name the program alone. */
#include "config/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FLAGS = 16, FLAG_BASE = 256 };

static int hint(const char *command, const char *what, const char *which)
{
    fprintf(stderr, "sse-notify %s: %s '%s'; see 'sse-notify %s --help'\n", command, what, which,
            command);
    return -EINVAL;
}

/* What getopt did not know: the letter, or for a long option the whole argument. */
static int hint_option(const char *command, const char *what, char **argv)
{
    char letter[] = {'-', (char)optopt, '\0'};
    int is_letter = optopt > 0 && optopt < FLAG_BASE && strncmp(argv[optind - 1], "--", 2) != 0;

    return hint(command, what, is_letter ? letter : argv[optind - 1]);
}

static int take(struct config_arguments *out, const char *command, int option, char **argv)
{
    switch (option) {
    case 'c':
        out->file = optarg;
        return 0;
    case 'o':
        if (out->override_count == CONFIG_MAX_OVERRIDES)
            return hint(command, "too many options, from", optarg);
        out->overrides[out->override_count++] = optarg;
        return 0;
    case 'h':
        out->wants_help = true;
        return 0;
    case ':':
        return hint_option(command, "a value is missing after", argv);
    case '?':
        return hint_option(command, "unknown option", argv);
    default:
        out->flags |= 1u << (option - FLAG_BASE);
        return 0;
    }
}

int config_arguments_read(struct config_arguments *out, const char *command,
                          const char *const *flags, int argc, char **argv)
{
    struct option table[3 + MAX_FLAGS + 1] = {
        {"config", required_argument, NULL, 'c'},
        {"option", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
    };
    int option;

    *out = (struct config_arguments){0};
    for (int i = 0; flags != NULL && flags[i] != NULL && i < MAX_FLAGS; i++)
        table[3 + i] = (struct option){flags[i], no_argument, NULL, FLAG_BASE + i};
    opterr = 0;
    optind = 0; /* GNU: start afresh, whoever used it before */
    while ((option = getopt_long(argc, argv, ":c:o:h", table, NULL)) != -1)
        if (take(out, command, option, argv) != 0)
            return -EINVAL;
    if (optind < argc && !out->wants_help)
        return hint(command, "unexpected argument", argv[optind]);
    return 0;
}
