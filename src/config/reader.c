/* reader.c - the file's syntax, line by line; a mistake costs its line, not those after it. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/slurp.h"
#include "config_priv.h"
#include "value_priv.h"

enum { ORIGIN_SIZE = 300 };

/* `seen` has a row for each item of the largest family. */
enum { SEEN_ROWS = CONFIG_MAX_LISTENERS };

struct reader {
    struct config *cfg;
    struct config_errors *errors;
    const char *file;
    unsigned line;               /* from 1 */
    char origin[ORIGIN_SIZE];    /* "FILE:LINE" of that line */
    struct config_place place;   /* where keys go now */
    bool is_placed;              /* a [section] was met and found */
    bool is_skipping;            /* a [section] was met and is wrong: its keys say nothing new */
    unsigned seen[SEEN_ROWS][CONFIG_OPTION_COUNT]; /* the line that set it, or 0 */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Whether nothing but a comment follows; `text` begins behind what was read. */
static bool is_end(struct slice text)
{
    struct slice rest = slice_trim(text);

    return rest.n == 0 || (rest.p[0] == '#' && is_blank(text.p[0]));
}

static int read_section(struct reader *r, struct slice line)
{
    const char *end = memchr(line.p, ']', line.n);
    char shown[VALUE_SHOWN_SIZE];
    struct slice name;
    int rc;

    r->is_placed = false;
    r->is_skipping = true;
    value_show(line, shown);
    if (end == NULL)
        return config_error(r->errors, r->origin, "%s: the closing ] is missing", shown);
    name = slice_trim(slice_make(line.p + 1, (size_t)(end - line.p) - 1));
    if (!is_end(slice_make(end + 1, line.n - (size_t)(end + 1 - line.p))))
        return config_error(r->errors, r->origin, "%s: only a comment may follow the ]", shown);
    rc = config_find_place(r->cfg, name, r->origin, r->errors, &r->place);
    r->is_placed = rc == 0;
    r->is_skipping = rc != 0;
    return rc;
}

/* Takes the quotes or the comment off what stands behind the '='. Returns 0 or -EINVAL. */
static int read_value(struct reader *r, const struct config_option *o, struct slice text,
                      struct slice *value)
{
    struct slice trimmed = slice_trim(text);
    char where[CONFIG_PLACE_SIZE];
    char shown[VALUE_SHOWN_SIZE];
    const char *end;

    config_place_show(&r->place, where);
    value_show(trimmed, shown);
    if (trimmed.n > 0 && trimmed.p[0] == '"') {
        end = memchr(trimmed.p + 1, '"', trimmed.n - 1);
        if (end == NULL)
            return config_error(r->errors, r->origin, "%s %s = %s: the closing quote is missing",
                                where, o->key, shown);
        *value = slice_make(trimmed.p + 1, (size_t)(end - trimmed.p) - 1);
        if (!is_end(slice_make(end + 1, trimmed.n - value->n - 2)))
            return config_error(r->errors, r->origin,
                                "%s %s = %s: only a comment may follow the closing quote", where,
                                o->key, shown);
        return 0;
    }
    for (size_t i = 1; i < text.n; i++)
        if (text.p[i] == '#' && is_blank(text.p[i - 1])) {
            text.n = i;
            break;
        }
    *value = slice_trim(text);
    return 0;
}

/* Remembers that this line sets `o`. Returns 0, or -EINVAL when another line did. */
static int mark_seen(struct reader *r, const struct config_option *o)
{
    unsigned *seen = &r->seen[config_place_index(r->cfg, &r->place)][config_option_index(o)];
    char where[CONFIG_PLACE_SIZE];

    config_place_show(&r->place, where);
    if (*seen != 0)
        return config_error(r->errors, r->origin, "%s %s: was set before, in line %u", where,
                            o->key, *seen);
    *seen = r->line;
    return 0;
}

static int read_setting(struct reader *r, struct slice line)
{
    struct slice value = line;
    struct slice key = slice_trim(slice_cut(&value, '='));
    const struct config_option *o;
    char shown[VALUE_SHOWN_SIZE];
    int rc;

    value_show(value.p == NULL ? line : key, shown);
    if (value.p == NULL)
        return config_error(r->errors, r->origin, "%s: is neither [section] nor key = value",
                            shown);
    if (r->is_skipping)
        return 0;
    if (!r->is_placed)
        return config_error(r->errors, r->origin, "%s: stands before any [section]", shown);
    o = config_find_option(&r->place, key, r->origin, r->errors);
    if (o == NULL || mark_seen(r, o) != 0)
        return -EINVAL;
    rc = read_value(r, o, value, &value);
    if (rc != 0)
        return rc;
    return config_store(r->cfg, &r->place, o, value, r->origin, r->errors);
}

static int read_line(struct reader *r, struct slice line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    line = slice_trim(line);
    if (line.n == 0)
        return 0;
    if (memchr(line.p, '\0', line.n) != NULL)
        return config_error(r->errors, r->origin, "holds a zero byte; this is no text file");
    if (line.p[0] == '#' || line.p[0] == ';')
        return 0;
    if (!slice_is_utf8(line))
        return config_error(r->errors, r->origin, "is not UTF-8");
    return line.p[0] == '[' ? read_section(r, line) : read_setting(r, line);
}

/* "FILE:LINE"; of a name that is too long, its end. */
static void set_origin(struct reader *r)
{
    const size_t room = ORIGIN_SIZE - 16;
    size_t n = strlen(r->file);
    const char *name = n > room ? r->file + n - room : r->file;

    snprintf(r->origin, sizeof r->origin, "%s:%u", name, r->line);
}

int config_read_text(struct config *cfg, const char *file, struct slice text,
                     struct config_errors *errors)
{
    struct reader r = {.cfg = cfg, .errors = errors, .file = file};
    int worst = 0;

    if (text.n > CONFIG_MAX_FILE)
        return config_error(errors, file, "is larger than %d KiB", CONFIG_MAX_FILE / 1024);
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = slice_make(text.p + 3, text.n - 3);
    while (text.n > 0) {
        struct slice line = slice_cut(&text, '\n');
        int rc;

        r.line++;
        set_origin(&r);
        rc = read_line(&r, line);
        if (rc == -ENOMEM)
            return rc;
        worst = rc != 0 ? rc : worst;
    }
    return worst;
}

int config_read_file(struct config *cfg, const char *path, struct config_errors *errors)
{
    struct buf text = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : slurp(fd, CONFIG_MAX_FILE, &text);

    if (fd >= 0)
        close(fd);
    if (rc == -ENOMEM)
        rc = config_no_memory(errors);
    else if (rc == -EFBIG)
        rc = config_error(errors, path, "is larger than %d KiB", CONFIG_MAX_FILE / 1024);
    else if (rc != 0)
        rc = config_error(errors, path, "cannot be read: %s", strerror(-rc));
    else
        rc = config_read_text(cfg, path, buf_slice(&text), errors);
    buf_fini(&text);
    return rc;
}
