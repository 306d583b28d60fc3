/* arguments.h - the arguments of the commands that read the configuration:
 * [-c FILE] [-o SECTION.KEY=VALUE]... [-h]. */
#ifndef CONFIG_ARGUMENTS_H
#define CONFIG_ARGUMENTS_H
#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_MAX_OVERRIDES = 128 };

/* The strings are argv's. The three in the middle are as config_load takes them. */
struct config_arguments {
    bool wants_help; /* -h: print a help text and end with 0; nothing else counts */
    const char *file;
    const char *overrides[CONFIG_MAX_OVERRIDES];
    size_t override_count;
    unsigned flags; /* bit i: flags[i] was given */
};

/* The lines of a help text that describe these arguments. */
#define CONFIG_ARGUMENTS_HELP                                                                      \
    "  -c, --config FILE               read FILE; without it, when it exists,\n"                   \
    "                                  /etc/sse-notify/sse-notify.conf\n"                          \
    "  -o, --option SECTION.KEY=VALUE  set one option over the file and the\n"                     \
    "                                  environment; may be repeated\n"                             \
    "  -h, --help                      show this help\n"

/* Reads argv[1] and on; argv[0] does not matter, and argv's order may be changed. `command` names
 * the command in hints ("serve"). `flags` are further long options without a value, up to 16 and
 * ending in NULL; NULL: none. Returns 0; or -EINVAL after a line on stderr that says what is wrong:
 * end with exit code 2. */
int config_arguments_read(struct config_arguments *out, const char *command,
                          const char *const *flags, int argc, char **argv);
#endif
