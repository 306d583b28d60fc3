/* arguments_priv.h - the options of one command: a table that parses and writes the help. */
#ifndef CLI_ARGUMENTS_PRIV_H
#define CLI_ARGUMENTS_PRIV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"

/* Texts of the command line, in its order. All zero is empty. */
struct text_list {
    const char **items; /* the texts are borrowed from argv */
    size_t count;
};

void text_list_fini(struct text_list *list);

enum argument_type {
    ARGUMENT_FLAG,   /* into a bool, set to true */
    ARGUMENT_TEXT,   /* into a const char *; the last one given counts */
    ARGUMENT_LIST,   /* into a struct text_list; may be given several times */
    ARGUMENT_NUMBER, /* into a uint64_t, min to max */
    ARGUMENT_TIME,   /* into a uint64_t of ms, min to max: 10, 1.5 (seconds), 500ms, 2min, 1h */
};

struct argument {
    char letter;      /* the short form, 0: none */
    const char *name; /* without the dashes */
    enum argument_type type;
    const char *value; /* what the help calls the value; NULL for a flag */
    void *into;
    uint64_t min;
    uint64_t max;
    const char *help; /* lines parted by LF */
};

struct command {
    const char *name;
    const char *usage;   /* what follows "sse-notify NAME"; a line for each form, parted by LF */
    const char *purpose; /* one sentence or two */
    const struct argument *arguments;
    size_t argument_count;
    const char *notes; /* behind the options: environment, examples, exit codes */
};

/* Reads argv[1] and on into the table's targets and what is no option into `operands`, which the
 * caller ends with text_list_fini in any case. `--name value`, `--name=value`, `-n value`,
 * `-nvalue`; behind `--` nothing is an option, and `-` never is.
 * Returns 0; 1 if --help or -h was given; -1 with a sentence in `why`. */
int arguments_parse(const struct command *command, int argc, char **argv,
                    struct text_list *operands, struct error *why);

/* Appends the help text. */
void arguments_add_help(const struct command *command, struct buf *out);

/* arguments_parse for a command's beginning: prints the help or the complaint where there is
 * one. Returns -1 to go on, else the exit code to end with. */
int arguments_begin(const struct command *command, int argc, char **argv,
                    struct text_list *operands);

/* Prints "sse-notify NAME: ..." on stderr, as one line. wrong_usage adds where the help is,
 * wrong_operands the usage lines too; both return EXIT_USAGE. */
void complain(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int wrong_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int wrong_operands(const struct command *command, const char *what);
#endif
