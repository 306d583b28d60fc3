/* manual.c - the table of options as the manual page sse-notify.conf(5), in roff. */
#include <errno.h>
#include "config/describe.h"
#include "config/options.h"

/* Adds text so that roff shows every byte of it: its own escapes, and '-' as one that can be
 * copied. The caller sees to it that no line begins with a request. */
static void add_text(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\')
            buf_add_text(out, "\\e");
        else if (*p == '-')
            buf_add_text(out, "\\-");
        else
            buf_add_char(out, *p);
    }
}

static void add_paragraph(struct buf *out, const char *text)
{
    if (text[0] == '.' || text[0] == '\'')
        buf_add_text(out, "\\&");
    add_text(out, text);
    buf_add_char(out, '\n');
}

static const char head[] =
    ".\\\" Made by `sse-notify check-config --manual`.\n"
    ".TH SSE\\-NOTIFY.CONF 5 \"\" \"sse\\-notify " SSE_NOTIFY_VERSION "\" \"File Formats\"\n"
    ".SH NAME\n"
    "sse\\-notify.conf \\- configuration of sse\\-notify\n"
    ".SH SYNOPSIS\n"
    ".I " CONFIG_DEFAULT_PATH "\n"
    ".SH DESCRIPTION\n"
    "Settings of\n"
    ".BR sse\\-notify (8).\n"
    "Each source overrides those before it: the defaults below; this file, or the one given with\n"
    ".BR \\-c ;\n"
    "the environment, as in\n"
    ".IR SSE_NOTIFY_STREAMS_HEARTBEAT=30s ;\n"
    "the command line, as in\n"
    ".BR \"\\-o streams.heartbeat=30s\" .\n"
    ".PP\n"
    "The file is UTF\\-8 text of at most 1 MiB.\n"
    ".B [section]\n"
    "on a line begins a section,\n"
    ".B key = value\n"
    "sets one of its settings; a key may be set once. A line that begins with # or ; is a\n"
    "comment, and so is what stands behind a # with a blank before it. A value may stand in\n"
    "double quotes.\n"
    "Times are whole numbers with ms, s, min, h or d; sizes are bytes, or have B, KiB, MiB, GiB\n"
    "or TiB behind them; the items of a list are separated by blanks or commas.\n"
    ".PP\n"
    "An unknown section or key is a mistake.\n"
    ".B sse\\-notify check\\-config\n"
    "names every mistake with its line; with one, the daemon does not start, and a reload\n"
    "(SIGHUP) changes nothing.\n";

static const char tail[] =
    ".SH EXAMPLE\n"
    ".EX\n"
    "[listener.public]\n"
    "address = *:8080\n"
    "role = public\n"
    "\n"
    "[listener.backend]\n"
    "address = unix:/run/sse\\-notify/backend.sock\n"
    "role = internal\n"
    "mode = 0660\n"
    ".EE\n"
    ".SH SEE ALSO\n"
    ".BR sse\\-notify (8)\n";

static void add_option(struct buf *out, const struct config_option *o)
{
    struct buf text = {0};

    buf_add_text(out, ".TP\n.BR ");
    add_text(out, o->key);
    buf_add_text(out, " \" = ");
    add_text(out, o->fallback);
    buf_add_text(out, "\"\n");
    buf_printf(&text, "%s (", o->help);
    config_option_allowed(o, &text);
    buf_add_text(&text, o->is_live ? ")" : "; takes a restart)");
    buf_add_char(&text, '\0');
    if (!text.failed)
        add_paragraph(out, text.p);
    out->failed |= text.failed;
    buf_fini(&text);
}

int config_describe_manual(struct buf *out)
{
    buf_add_text(out, head);
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        const struct config_section *section = &config_sections[i];

        buf_printf(out, ".SH [%s%s]\n", section->name,
                   section->family != NULL ? ".NAME" : "");
        add_paragraph(out, section->help);
        for (const struct config_option *o = config_options;
             o < config_options + CONFIG_OPTION_COUNT; o++)
            if ((size_t)o->section == i)
                add_option(out, o);
    }
    buf_add_text(out, tail);
    return out->failed ? -ENOMEM : 0;
}
