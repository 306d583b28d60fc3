/* arguments.c - own code and not getopt_long, because that keeps its place in global variables,
 * writes its messages itself and knows nothing of ranges or of the help. */
#include "arguments_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/slice.h"
#include "cli/commands.h"

enum { HELP_COLUMN = 29 }; /* where the options' explanations begin */

/* The arguments still to be read. */
struct cursor {
    int argc;
    char **argv;
    int at;
};

void text_list_fini(struct text_list *list)
{
    free(list->items);
    *list = (struct text_list){0};
}

static int text_list_add(struct text_list *list, const char *text, struct error *why)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof(*items));

    if (items == NULL)
        return error_set(why, "no memory");
    list->items = items;
    list->items[list->count++] = text;
    return 0;
}

/* Cuts the decimal digits off the front of `s` and reads them. */
static bool cut_digits(struct slice *s, uint64_t *value)
{
    struct slice digits = {s->p, 0};

    while (digits.n < s->n && s->p[digits.n] >= '0' && s->p[digits.n] <= '9')
        digits.n++;
    *s = slice_make(s->p + digits.n, s->n - digits.n);
    return slice_to_u64(digits, value) == 0;
}

/* 10, 1.5, 500ms, 10s, 2min, 1h; without a unit it is seconds, as curl's --max-time. */
static bool read_time(const char *text, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"min", 60 * 1000}, {"h", 3600 * 1000}};
    struct slice s = slice_of(text);
    uint64_t whole, thousandths = 0;
    uint64_t weight = 100;

    if (!cut_digits(&s, &whole) || whole > UINT32_MAX)
        return false;
    if (s.n > 1 && s.p[0] == '.') {
        s = slice_make(s.p + 1, s.n - 1);
        for (; s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9'; s = slice_make(s.p + 1, s.n - 1)) {
            thousandths += (uint64_t)(s.p[0] - '0') * weight;
            weight /= 10;
        }
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_is(s, units[i].name)) {
            *ms = whole * units[i].ms + thousandths * units[i].ms / 1000;
            return true;
        }
    }
    return false;
}

static int take_number(const struct argument *a, const char *text, struct error *why)
{
    uint64_t value;
    bool is_time = a->type == ARGUMENT_TIME;
    bool is_read = is_time ? read_time(text, &value) : slice_to_u64(slice_of(text), &value) == 0;

    if (is_read && value >= a->min && value <= a->max) {
        *(uint64_t *)a->into = value;
        return 0;
    }
    if (is_time)
        return error_set(why, "--%s %.40s: must be a time from %g s to %g s, as 10, 1.5 or 500ms",
                         a->name, text, (double)a->min / 1000, (double)a->max / 1000);
    return error_set(why, "--%s %.40s: must be a whole number from %llu to %llu", a->name, text,
                     (unsigned long long)a->min, (unsigned long long)a->max);
}

static int take_value(const struct argument *a, const char *text, struct error *why)
{
    switch (a->type) {
    case ARGUMENT_FLAG:
        *(bool *)a->into = true;
        return 0;
    case ARGUMENT_TEXT:
        *(const char **)a->into = text;
        return 0;
    case ARGUMENT_LIST:
        return text_list_add(a->into, text, why);
    case ARGUMENT_NUMBER:
    case ARGUMENT_TIME:
        return take_number(a, text, why);
    }
    return -1;
}

/* The value that follows its option as an argument of its own. */
static int take_next(struct cursor *c, const struct argument *a, struct error *why)
{
    if (c->at + 1 >= c->argc)
        return error_set(why, "--%s needs a value: %s", a->name, a->value);
    return take_value(a, c->argv[++c->at], why);
}

/* `text` is behind the two dashes. */
static int take_long(const struct command *command, struct cursor *c, const char *text,
                     struct error *why)
{
    struct slice value = slice_of(text);
    struct slice name = slice_cut(&value, '=');

    if (slice_is(name, "help"))
        return 1;
    for (size_t i = 0; i < command->argument_count; i++) {
        const struct argument *a = &command->arguments[i];

        if (!slice_is(name, a->name))
            continue;
        if (value.p == NULL)
            return a->type == ARGUMENT_FLAG ? take_value(a, NULL, why) : take_next(c, a, why);
        if (a->type == ARGUMENT_FLAG)
            return error_set(why, "--%s takes no value", a->name);
        return take_value(a, value.p, why);
    }
    return error_set(why, "unknown option --%.*s", (int)(name.n < 80 ? name.n : 80), name.p);
}

/* `text` is behind the one dash: flags may stand together, a value may follow at once. */
static int take_short(const struct command *command, struct cursor *c, const char *text,
                      struct error *why)
{
    for (; *text != '\0'; text++) {
        const struct argument *a = NULL;

        if (*text == 'h')
            return 1;
        for (size_t i = 0; i < command->argument_count && a == NULL; i++) {
            if (command->arguments[i].letter == *text)
                a = &command->arguments[i];
        }
        if (a == NULL)
            return error_set(why, "unknown option -%c", *text);
        if (a->type != ARGUMENT_FLAG)
            return text[1] != '\0' ? take_value(a, text + 1, why) : take_next(c, a, why);
        take_value(a, NULL, why);
    }
    return 0;
}

int arguments_parse(const struct command *command, int argc, char **argv,
                    struct text_list *operands, struct error *why)
{
    struct cursor c = {argc, argv, 1};
    bool is_options = true;
    int rc = 0;

    for (; c.at < argc && rc == 0; c.at++) {
        const char *text = argv[c.at];

        if (!is_options || text[0] != '-' || text[1] == '\0')
            rc = text_list_add(operands, text, why);
        else if (text[1] != '-')
            rc = take_short(command, &c, text + 1, why);
        else if (text[2] != '\0')
            rc = take_long(command, &c, text + 2, why);
        else
            is_options = false;
    }
    return rc;
}

/* `left` in its column, `help` beside it, or below it where there is no room. */
static void add_row(struct buf *out, const char *left, const char *help)
{
    struct slice rest = slice_of(help);
    size_t width = strlen(left);

    buf_add_text(out, left);
    if (width + 2 > HELP_COLUMN) {
        buf_add_char(out, '\n');
        width = 0;
    }
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');

        buf_printf(out, "%*s%.*s\n", (int)(HELP_COLUMN - width), "", SLICE_ARG(line));
        width = 0;
    }
}

static void add_usage(const struct command *command, struct buf *out)
{
    struct slice forms = slice_of(command->usage);
    const char *lead = "usage:";

    while (forms.p != NULL) {
        struct slice form = slice_cut(&forms, '\n');

        buf_printf(out, "%-6s sse-notify %s%s%.*s\n", lead, command->name, form.n > 0 ? " " : "",
                   SLICE_ARG(form));
        lead = "";
    }
}

void arguments_add_help(const struct command *command, struct buf *out)
{
    char left[80];

    add_usage(command, out);
    buf_printf(out, "\n%s\n\nOptions:\n", command->purpose);
    for (size_t i = 0; i < command->argument_count; i++) {
        const struct argument *a = &command->arguments[i];
        char letter[4] = {a->letter == 0 ? ' ' : '-', a->letter == 0 ? ' ' : a->letter,
                          a->letter == 0 ? ' ' : ',', '\0'};

        snprintf(left, sizeof(left), "  %s --%s%s%s", letter, a->name, a->value == NULL ? "" : " ",
                 a->value == NULL ? "" : a->value);
        add_row(out, left, a->help);
    }
    add_row(out, "  -h, --help", "print this and exit");
    if (command->notes != NULL)
        buf_printf(out, "\n%s", command->notes);
}

int arguments_begin(const struct command *command, int argc, char **argv,
                    struct text_list *operands)
{
    struct error why = {0};
    struct buf help = {0};
    int rc = arguments_parse(command, argc, argv, operands, &why);

    if (rc == 0)
        return -1;
    if (rc < 0)
        return wrong_usage(command, "%s", why.text);
    arguments_add_help(command, &help);
    fwrite(help.p, 1, help.len, stdout);
    fflush(stdout);
    buf_fini(&help);
    return EXIT_OK;
}

static void print_line(const struct command *command, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void print_line(const struct command *command, const char *format, va_list ap)
{
    fprintf(stderr, "sse-notify %s: ", command->name);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
}

void complain(const struct command *command, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_line(command, format, ap);
    va_end(ap);
}

int wrong_usage(const struct command *command, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_line(command, format, ap);
    va_end(ap);
    fprintf(stderr, "See `sse-notify %s --help`.\n", command->name);
    return EXIT_USAGE;
}

int wrong_operands(const struct command *command, const char *what)
{
    struct buf usage = {0};

    add_usage(command, &usage);
    complain(command, "%s", what);
    fwrite(usage.p, 1, usage.len, stderr);
    fprintf(stderr, "See `sse-notify %s --help`.\n", command->name);
    buf_fini(&usage);
    return EXIT_USAGE;
}
