/* main.c - one binary, one word for what it is to do. */
#include <stdio.h>
#include <string.h>
#include "cli/commands.h"
#include "daemon/commands.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve", command_serve, "run the daemon (what happens without a command)"},
    {"send", command_send, "send a notification"},
    {"tail", command_tail, "follow a user's stream and print what comes"},
    {"status", command_status, "show how the daemon is, once or again and again"},
    {"token", command_token, "make a token for development"},
    {"key", command_key, "make a key by which a backend may send"},
    {"journal", command_journal, "check, export, back up or repair the journal on disk"},
    {"bench", command_bench, "measure what streams and notifications cost on this machine"},
    {"check-config", command_check_config, "check the configuration and end"},
    {"version", command_version, "print the version"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fputs("usage: sse-notify [COMMAND] [OPTIONS]\n"
          "\n"
          "Notifications to signed-in people, now: backends POST them, browsers hold a\n"
          "Server-Sent Events stream.\n"
          "\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-14s%s\n", commands[i].name, commands[i].help);
    fputs("\n"
          "'sse-notify COMMAND --help' tells more of each. Exit codes: 0 all went well, 1 the\n"
          "request failed or was refused, 2 wrong usage or configuration, 3 no connection.\n",
          to);
}

int main(int argc, char **argv)
{
    if (argc < 2 || (argv[1][0] == '-' && strcmp(argv[1], "--help") != 0 &&
                     strcmp(argv[1], "-h") != 0 && strcmp(argv[1], "--version") != 0))
        return command_serve(argc, argv);
    if (strcmp(argv[1], "--version") == 0)
        return command_version(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "sse-notify: there is no command '%s'\n\n", argv[1]);
    print_help(stderr);
    return EXIT_USAGE;
}
