/* commands.h - the subcommand that is the daemon itself; the others are in cli/commands.h. */
#ifndef DAEMON_COMMANDS_H
#define DAEMON_COMMANDS_H

/* Runs the daemon until it is told to end; returns the program's exit code (cli/commands.h). */
int command_serve(int argc, char **argv);
#endif
