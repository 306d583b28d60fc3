/* commands.h - the subcommands of the program that are not the daemon.
 *
 * Each is called with the arguments from its own name on (argv[0] is "send", "tail", ...), reads
 * its options, does its work and returns the program's exit code; none of them ends the process. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

enum exit_code {
    EXIT_OK = 0,
    EXIT_REFUSED = 1,      /* the server refused, the request failed, a journal is damaged */
    EXIT_USAGE = 2,        /* wrong usage or wrong configuration */
    EXIT_UNREACHABLE = 3,  /* could not connect, after the retries asked for */
};

int command_send(int argc, char **argv);
int command_tail(int argc, char **argv);
int command_status(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_journal(int argc, char **argv);
int command_token(int argc, char **argv);
int command_key(int argc, char **argv);
int command_check_config(int argc, char **argv);
int command_version(int argc, char **argv);
#endif
