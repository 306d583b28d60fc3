/* describe.c - the table of options as help, as an example file and as a page of markdown. */
#include "config/describe.h"

#include <errno.h>
#include <string.h>
#include "config/options.h"

enum { WIDTH = 78 };

/* Adds `text` in lines of at most WIDTH, each after `indent`. */
static void add_wrapped(struct buf *out, const char *indent, struct slice text)
{
    size_t column = 0;

    while (text.n > 0) {
        struct slice word = slice_cut(&text, ' ');

        if (column > 0 && column + 1 + word.n > WIDTH) {
            buf_add_char(out, '\n');
            column = 0;
        }
        buf_add_text(out, column == 0 ? indent : " ");
        buf_add_slice(out, word);
        column += word.n + (column == 0 ? strlen(indent) : 1);
    }
    buf_add_char(out, '\n');
}

/* What the option does, what it may be, and whether it can be changed while the daemon runs. */
static void add_meaning(struct buf *out, const char *indent, const struct config_option *o)
{
    struct buf text = {0};

    buf_printf(&text, "%s (", o->help);
    config_option_allowed(o, &text);
    buf_add_text(&text, o->is_live ? ")" : "; takes a restart)");
    out->failed |= text.failed;
    add_wrapped(out, indent, buf_slice(&text));
    buf_fini(&text);
}

/* "key = default", or "key =" */
static void add_default(struct buf *out, const struct config_option *o)
{
    buf_printf(out, "%s =%s%s\n", o->key, o->fallback[0] == '\0' ? "" : " ", o->fallback);
}

/* "streams", or "listener." and `name` of a family. */
static void add_title(struct buf *out, const struct config_section *section, const char *name)
{
    buf_add_text(out, section->name);
    if (section->family != NULL)
        buf_printf(out, ".%s", name);
}

static bool is_in(const struct config_option *o, size_t section)
{
    return (size_t)o->section == section;
}

#define EACH_OPTION(o)                                                                             \
    const struct config_option *o = config_options;                                                \
    o < config_options + CONFIG_OPTION_COUNT;                                                      \
    o++

int config_describe_help(struct buf *out)
{
    buf_add_text(out,
                 "Settings by section, with their defaults. In a file, [section] on a line and\n"
                 "key = value below it; on the command line, -o section.key=value; in the\n"
                 "environment, SSE_NOTIFY_SECTION_KEY. Times take ms, s, min, h or d, sizes B,\n"
                 "KiB, MiB, GiB or TiB. SIGHUP reads all of it again; where it says so, a change\n"
                 "takes a restart.\n");
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        buf_add_text(out, "\n[");
        add_title(out, &config_sections[i], "NAME");
        buf_add_text(out, "]\n");
        add_wrapped(out, "  ", slice_of(config_sections[i].help));
        for (EACH_OPTION(o)) {
            if (!is_in(o, i))
                continue;
            buf_add_text(out, "  ");
            add_default(out, o);
            add_meaning(out, "      ", o);
        }
    }
    return out->failed ? -ENOMEM : 0;
}

int config_describe_example(struct buf *out)
{
    buf_add_text(out,
                 "# sse-notify.conf - all settings of sse-notify, at their defaults.\n"
                 "#\n"
                 "# To change one, take away the '#' in front of it. Stronger than this file are\n"
                 "# the environment (SSE_NOTIFY_STREAMS_HEARTBEAT=30s) and the command line\n"
                 "# (-o streams.heartbeat=30s). `sse-notify check-config -c FILE` finds mistakes,\n"
                 "# and SIGHUP makes the daemon read it again.\n"
                 "# Made by `sse-notify check-config --example`.\n");
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        buf_add_char(out, '\n');
        add_wrapped(out, "# ", slice_of(config_sections[i].help));
        buf_add_char(out, '[');
        add_title(out, &config_sections[i],
                  config_sections[i].family == NULL ? "" : config_sections[i].family->example);
        buf_add_text(out, "]\n");
        for (EACH_OPTION(o)) {
            if (!is_in(o, i))
                continue;
            buf_add_char(out, '\n');
            add_meaning(out, "# ", o);
            buf_add_char(out, '#');
            add_default(out, o);
        }
    }
    return out->failed ? -ENOMEM : 0;
}

/* Adds text for a cell of a markdown table. */
static void add_cell(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (memchr("*|<\\", text.p[i], 4) != NULL)
            buf_add_char(out, '\\');
        buf_add_char(out, text.p[i]);
    }
}

static void add_row(struct buf *out, const struct config_option *o)
{
    struct buf allowed = {0};

    config_option_allowed(o, &allowed);
    out->failed |= allowed.failed;
    buf_printf(out, "| `%s` | ", o->key);
    if (o->fallback[0] == '\0')
        buf_add_text(out, "empty");
    else
        buf_printf(out, "`%s`", o->fallback);
    buf_add_text(out, " | ");
    add_cell(out, buf_slice(&allowed));
    buf_add_text(out, o->is_live ? " | reload | " : " | restart | ");
    add_cell(out, slice_of(o->help));
    buf_add_text(out, " |\n");
    buf_fini(&allowed);
}

static const char reference_sources[] =
    "# Configuration\n"
    "\n"
    "Made by `sse-notify check-config --reference` from the table that the parser uses, so it is\n"
    "complete. `sse-notify.conf.example` holds the same settings, ready to be edited.\n"
    "\n"
    "## Where settings come from\n"
    "\n"
    "Each overrides those above it:\n"
    "\n"
    "1. the defaults below;\n"
    "2. the file: `-c FILE`, or else `" CONFIG_DEFAULT_PATH "` when it exists;\n"
    "3. the environment: `SSE_NOTIFY_STREAMS_HEARTBEAT=30s` sets `heartbeat` of `[streams]`,\n"
    "   `SSE_NOTIFY_LISTENER_PUBLIC_ADDRESS=*:8080` sets `address` of `[listener.public]` (a `-`\n"
    "   of the name is written `_`);\n"
    "4. the command line: `-o streams.heartbeat=30s`, `-o listener.public.address=*:8080`.\n"
    "\n"
    "`sse-notify check-config` reads all four as the daemon would and prints every mistake, one a\n"
    "line, without starting anything:\n"
    "\n"
    "```text\n"
    "sse-notify.conf:4: [streams] heartbeat = 15: must be a time from 1s to 1h; units are ms, s, "
    "min, h and d\n"
    "sse-notify.conf:9: [streams] hartbeat: unknown key; did you mean heartbeat?\n"
    "```\n"
    "\n"
    "A key or section that is not known is a mistake, and so is an environment variable that\n"
    "names a section of ours and no key of it. The daemon does not start with a mistake.\n"
    "\n"
    "## Changing settings of a daemon that runs\n"
    "\n"
    "SIGHUP (`systemctl reload`) makes the daemon read all four again. Settings whose `change`\n"
    "below is `reload` are in force at once, also for the streams that are open, of which none\n"
    "is touched; those that are `restart` stay as they are, and one line of the log names the\n"
    "ones that have changed. The files of keys that `[auth]` names are read again, too. With\n"
    "any mistake nothing is taken over at all: the log has every sentence of it, and what was\n"
    "in force stays so.\n";

static const char reference_syntax[] =
    "\n"
    "## The file\n"
    "\n"
    "```ini\n"
    "# A comment, as is a line that begins with ';'.\n"
    "[listener.public]\n"
    "address = *:8080        # A comment behind a value needs a blank before its '#'.\n"
    "role = public\n"
    "\n"
    "[listener.backend]\n"
    "address = \"unix:/run/sse-notify/backend sock\"\n"
    "role = internal\n"
    "mode = 0660\n"
    "```\n"
    "\n"
    "UTF-8, at most 1 MiB. A value may stand in double quotes, then all between them belongs to\n"
    "it; there are no escapes. A key may be set once in a file.\n"
    "\n"
    "| kind of value | how it is written |\n"
    "|---|---|\n"
    "| time | a whole number with `ms`, `s`, `min`, `h` or `d`: `15s`; `0` needs no unit |\n"
    "| size | a whole number of bytes, or with `B`, `KiB`, `MiB`, `GiB`, `TiB`: `64KiB`; `KB`, "
    "`MB`, `GB`, `TB` are powers of 1000 |\n"
    "| yes or no | also `true`, `false`, `on`, `off` |\n"
    "| list | items with blanks or commas between them; empty is none |\n"
    "\n"
    "Without any listener there is one, `[listener.default]` on `127.0.0.1:8080` with role `all`.\n"
    "As soon as a listener is named anywhere, only those that are named exist.\n";

int config_describe_reference(struct buf *out)
{
    buf_add_text(out, reference_sources);
    buf_add_text(out, reference_syntax);
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        buf_add_text(out, "\n## [");
        add_title(out, &config_sections[i], "NAME");
        buf_add_text(out, "]\n\n");
        add_wrapped(out, "", slice_of(config_sections[i].help));
        buf_add_text(out, "\n| key | default | allowed | change | what it does |\n"
                          "|---|---|---|---|---|\n");
        for (EACH_OPTION(o))
            if (is_in(o, i))
                add_row(out, o);
    }
    return out->failed ? -ENOMEM : 0;
}
