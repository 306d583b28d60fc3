/* config.c - the struct, its defaults, single settings, and what holds between them. */
#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "config_priv.h"
#include "nearest_priv.h"
#include "value_priv.h"

enum { MAX_LISTENER_NAME = 32 };

/* ---- sentences ---- */

int config_error(struct config_errors *errors, const char *origin, const char *format, ...)
{
    struct error sentence;
    va_list args;

    if (errors->count == CONFIG_MAX_ERRORS) {
        errors->more++;
        return -EINVAL;
    }
    va_start(args, format);
    vsnprintf(sentence.text, sizeof sentence.text, format, args);
    va_end(args);
    if (origin == NULL)
        errors->items[errors->count++] = sentence;
    else
        error_set(&errors->items[errors->count++], "%s: %s", origin, sentence.text);
    return -EINVAL;
}

void config_errors_print(const struct config_errors *errors, FILE *out)
{
    for (size_t i = 0; i < errors->count; i++)
        fprintf(out, "%s\n", errors->items[i].text);
    if (errors->more > 0)
        fprintf(out, "and %zu more\n", errors->more);
}

int config_no_memory(struct config_errors *errors)
{
    config_error(errors, NULL, "out of memory");
    return -ENOMEM;
}

void config_place_show(const struct config_place *place, char out[CONFIG_PLACE_SIZE])
{
    if (place->listener != NULL)
        snprintf(out, CONFIG_PLACE_SIZE, "[listener.%s]", place->listener->name);
    else
        snprintf(out, CONFIG_PLACE_SIZE, "[%s]", config_sections[place->section].name);
}

/* ---- fields ---- */

static void *field_of(struct config *cfg, const struct config_place *place,
                      const struct config_option *o)
{
    char *base = place->listener != NULL ? (char *)place->listener
                                         : (char *)cfg + config_sections[place->section].offset;

    return base + o->offset;
}

/* Gives every option of the place its default. A listener's address stays NULL: only one listener
 * has an address by itself, and config_check gives it. */
static int set_defaults(struct config *cfg, const struct config_place *place)
{
    struct error why;

    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        int rc;

        if (o->section != place->section || o->type == CONFIG_ADDRESS)
            continue;
        rc = value_store(o, slice_of(o->fallback), field_of(cfg, place, o), &why);
        assert(rc != -EINVAL);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void free_fields(struct config *cfg, const struct config_place *place)
{
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++)
        if (o->section == place->section)
            value_free(o, field_of(cfg, place, o));
}

static void listener_fini(struct config *cfg, struct config_listener *l)
{
    free_fields(cfg, &(struct config_place){CONFIG_SECTION_listener, l});
    free(l->name);
    free(l->origin);
    *l = (struct config_listener){0};
}

int config_init(struct config *cfg)
{
    *cfg = (struct config){0};
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        struct config_place place = {(enum config_section_id)i, NULL};

        if (i != CONFIG_SECTION_listener && set_defaults(cfg, &place) != 0) {
            config_fini(cfg);
            return -ENOMEM;
        }
    }
    return 0;
}

void config_fini(struct config *cfg)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        listener_fini(cfg, &cfg->listeners[i]);
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++)
        if (i != CONFIG_SECTION_listener)
            free_fields(cfg, &(struct config_place){(enum config_section_id)i, NULL});
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++)
        free(cfg->origins[i]);
    *cfg = (struct config){0};
}

/* ---- places ---- */

static bool is_listener_name(struct slice name)
{
    if (name.n == 0 || name.n > MAX_LISTENER_NAME)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!(name.p[i] >= 'a' && name.p[i] <= 'z') && !(name.p[i] >= '0' && name.p[i] <= '9') &&
            name.p[i] != '_' && name.p[i] != '-')
            return false;
    return true;
}

static int add_listener(struct config *cfg, struct slice name, const char *origin,
                        struct config_errors *errors)
{
    struct config_listener *l = &cfg->listeners[cfg->listener_count];
    struct config_place place = {CONFIG_SECTION_listener, l};

    *l = (struct config_listener){0};
    l->name = strndup(name.p, name.n);
    l->origin = origin == NULL ? NULL : strdup(origin);
    if (l->name == NULL || (origin != NULL && l->origin == NULL) ||
        set_defaults(cfg, &place) != 0) {
        listener_fini(cfg, l);
        return config_no_memory(errors);
    }
    cfg->listener_count++;
    return 0;
}

static int find_listener(struct config *cfg, struct slice name, const char *origin,
                         struct config_errors *errors, struct config_place *out)
{
    char shown[VALUE_SHOWN_SIZE];
    int rc;

    *out = (struct config_place){CONFIG_SECTION_listener, NULL};
    for (size_t i = 0; i < cfg->listener_count; i++)
        if (slice_is(name, cfg->listeners[i].name)) {
            out->listener = &cfg->listeners[i];
            return 0;
        }
    value_show(name, shown);
    if (!is_listener_name(name))
        return config_error(errors, origin,
                            "[listener.%s]: a listener's name is 1 to %d of a-z, 0-9, _ and -",
                            name.n == 0 ? "" : shown, MAX_LISTENER_NAME);
    if (cfg->listener_count == CONFIG_MAX_LISTENERS)
        return config_error(errors, origin, "[listener.%s]: there may be at most %d listeners",
                            shown, CONFIG_MAX_LISTENERS);
    rc = add_listener(cfg, name, origin, errors);
    if (rc == 0)
        out->listener = &cfg->listeners[cfg->listener_count - 1];
    return rc;
}

static int unknown_section(struct slice name, const char *origin, struct config_errors *errors)
{
    struct nearest nearest = {0};
    struct slice kind = name;
    char shown[VALUE_SHOWN_SIZE];

    value_show(name, shown);
    kind = slice_cut(&kind, '.');
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        nearest_offer(&nearest, name, config_sections[i].name);
        if (i == CONFIG_SECTION_listener)
            nearest_offer(&nearest, kind, config_sections[i].name);
    }
    if (nearest.text == NULL)
        return config_error(errors, origin,
                            "[%s]: unknown section; there are listener.NAME, streams, journal, "
                            "publish, http, log and server", name.n == 0 ? "" : shown);
    return config_error(errors, origin, "[%s]: unknown section; did you mean [%s%s]?", shown,
                        nearest.text, strcmp(nearest.text, "listener") == 0 ? ".NAME" : "");
}

int config_find_place(struct config *cfg, struct slice name, const char *origin,
                      struct config_errors *errors, struct config_place *out)
{
    struct slice rest = name;
    struct slice kind = slice_cut(&rest, '.');

    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++)
        if (i != CONFIG_SECTION_listener && slice_is(name, config_sections[i].name)) {
            *out = (struct config_place){(enum config_section_id)i, NULL};
            return 0;
        }
    if (!slice_is(kind, "listener"))
        return unknown_section(name, origin, errors);
    if (rest.p == NULL)
        return config_error(errors, origin,
                            "[listener]: needs a name, such as [listener.public]");
    return find_listener(cfg, rest, origin, errors, out);
}

/* Of a key of another section, or of several: says which. False: no section has it. */
static bool misplaced_key(struct slice key, const char *where, const char *shown,
                          const char *origin, struct config_errors *errors)
{
    struct buf sections = {0};
    bool is_found;

    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++)
        if (slice_is(key, o->key))
            buf_printf(&sections, "%s[%s%s]", sections.len > 0 ? " or " : "",
                       config_sections[o->section].name,
                       o->section == CONFIG_SECTION_listener ? ".NAME" : "");
    is_found = sections.len > 0;
    if (is_found)
        config_error(errors, origin, "%s %s: unknown key; it belongs to %.*s", where, shown,
                     SLICE_ARG(buf_slice(&sections)));
    buf_fini(&sections);
    return is_found;
}

/* Of a key that resembles none: says which there are. */
static void unknown_key(enum config_section_id section, const char *where, const char *shown,
                        const char *origin, struct config_errors *errors)
{
    struct buf keys = {0};

    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++)
        if (o->section == section)
            buf_printf(&keys, "%s%s", keys.len > 0 ? ", " : "", o->key);
    config_error(errors, origin, "%s %s: unknown key; there are %.*s", where, shown,
                 SLICE_ARG(buf_slice(&keys)));
    buf_fini(&keys);
}

const struct config_option *config_find_option(const struct config_place *place, struct slice key,
                                               const char *origin, struct config_errors *errors)
{
    struct nearest nearest = {0};
    char where[CONFIG_PLACE_SIZE];
    char shown[VALUE_SHOWN_SIZE];

    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        if (o->section != place->section)
            continue;
        if (slice_is(key, o->key))
            return o;
        nearest_offer(&nearest, key, o->key);
    }
    config_place_show(place, where);
    value_show(key, shown);
    if (misplaced_key(key, where, shown, origin, errors))
        return NULL;
    if (nearest.text != NULL)
        config_error(errors, origin, "%s %s: unknown key; did you mean %s?", where, shown,
                     nearest.text);
    else
        unknown_key(place->section, where, shown, origin, errors);
    return NULL;
}

/* ---- settings ---- */

int config_store(struct config *cfg, const struct config_place *place,
                 const struct config_option *o, struct slice value, const char *origin,
                 struct config_errors *errors)
{
    char where[CONFIG_PLACE_SIZE];
    char shown[VALUE_SHOWN_SIZE];
    struct error why = {""};
    char *copy;
    int rc = value_store(o, value, field_of(cfg, place, o), &why);

    if (rc == -EINVAL) {
        if (o->type == CONFIG_ADDRESS)
            place->listener->is_address_wrong = true;
        config_place_show(place, where);
        value_show(value, shown);
        return config_error(errors, origin, "%s %s = %s: %s", where, o->key, shown, why.text);
    }
    if (rc != 0)
        return config_no_memory(errors);
    if (place->listener != NULL || origin == NULL)
        return 0;
    copy = strdup(origin);
    if (copy == NULL)
        return config_no_memory(errors);
    free(cfg->origins[config_option_index(o)]);
    cfg->origins[config_option_index(o)] = copy;
    return 0;
}

int config_set(struct config *cfg, const char *path, const char *value, const char *origin,
               struct config_errors *errors)
{
    const char *dot = strrchr(path, '.');
    const struct config_option *o;
    struct config_place place;
    char shown[VALUE_SHOWN_SIZE];
    int rc;

    if (dot == NULL) {
        value_show(slice_of(path), shown);
        return config_error(errors, origin,
                            "%s: names no section; write SECTION.KEY, such as streams.heartbeat",
                            shown);
    }
    rc = config_find_place(cfg, slice_make(path, (size_t)(dot - path)), origin, errors, &place);
    if (rc != 0)
        return rc;
    o = config_find_option(&place, slice_of(dot + 1), origin, errors);
    if (o == NULL)
        return -EINVAL;
    return config_store(cfg, &place, o, slice_of(value), origin, errors);
}

/* ---- what holds between settings ---- */

/* Port 0 is another port each time; a Unix socket's path may end as it likes. */
static bool is_taken_once(const char *address)
{
    size_t n = strlen(address);

    return strncmp(address, "unix:", 5) == 0 || n < 2 || strcmp(address + n - 2, ":0") != 0;
}

static int check_listener(struct config *cfg, size_t i, struct config_errors *errors)
{
    struct config_listener *l = &cfg->listeners[i];
    struct config_place place = {CONFIG_SECTION_listener, l};
    const struct config_option *address = &config_options[CONFIG_listener_address];
    int rc;

    if (l->address == NULL && strcmp(l->name, CONFIG_DEFAULT_LISTENER) == 0) {
        rc = config_store(cfg, &place, address, slice_of(address->fallback), NULL, errors);
        if (rc != 0)
            return rc;
    }
    if (l->address == NULL && l->is_address_wrong)
        return -EINVAL; /* that was said already */
    if (l->address == NULL)
        return config_error(errors, l->origin,
                            "[listener.%s]: has no address; add one, such as address = %s",
                            l->name, address->fallback);
    for (size_t j = 0; j < i; j++)
        if (cfg->listeners[j].address != NULL && is_taken_once(l->address) &&
            strcmp(l->address, cfg->listeners[j].address) == 0)
            return config_error(errors, l->origin,
                                "[listener.%s] address = %s: is the address of [listener.%s] too",
                                l->name, l->address, cfg->listeners[j].name);
    return 0;
}

static int check_payload(const struct config *cfg, struct config_errors *errors)
{
    const char *payload_origin = cfg->origins[CONFIG_publish_max_payload];
    char payload[VALUE_FORMAT_SIZE];
    char body[VALUE_FORMAT_SIZE];

    if (cfg->publish.max_payload_bytes <= cfg->publish.max_body_bytes)
        return 0;
    value_format_size(cfg->publish.max_payload_bytes, payload);
    value_format_size(cfg->publish.max_body_bytes, body);
    if (payload_origin != NULL)
        return config_error(errors, payload_origin,
                            "[publish] max_payload = %s: must not be larger than max_body (%s)",
                            payload, body);
    return config_error(errors, cfg->origins[CONFIG_publish_max_body],
                        "[publish] max_body = %s: must not be smaller than max_payload (%s)", body,
                        payload);
}

/* Where the journal is when nothing says it (systemd.exec(5), and the XDG base directories). */
static int default_path(struct config *cfg, struct config_errors *errors)
{
    const char *state = getenv("STATE_DIRECTORY");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    struct buf path = {0};

    if (state != NULL && state[0] == '/')
        buf_add(&path, state, strcspn(state, ":"));
    else if (geteuid() == 0)
        buf_add_text(&path, "/var/lib/sse-notify");
    else if (xdg != NULL && xdg[0] == '/')
        buf_printf(&path, "%s/sse-notify", xdg);
    else if (home != NULL && home[0] == '/')
        buf_printf(&path, "%s/.local/state/sse-notify", home);
    else
        return config_error(errors, NULL,
                            "[journal] path: there is no home directory to put it in; set it, or "
                            "type = memory");
    buf_add_char(&path, '\0');
    if (path.failed)
        return config_no_memory(errors);
    cfg->journal.path = path.p;
    return 0;
}

static int name_node(struct config *cfg, struct config_errors *errors)
{
    char host[256] = "node";

    if (cfg->journal.node_name != NULL)
        return 0;
    (void)gethostname(host, sizeof host - 1);
    cfg->journal.node_name = strdup(host);
    return cfg->journal.node_name == NULL ? config_no_memory(errors) : 0;
}

static int check_journal(struct config *cfg, struct config_errors *errors)
{
    char size[VALUE_FORMAT_SIZE];

    if (name_node(cfg, errors) != 0)
        return -1;
    if (cfg->journal.window_bytes > cfg->journal.keep_bytes)
        cfg->journal.window_bytes = cfg->journal.keep_bytes;
    if (cfg->journal.type != CONFIG_JOURNAL_DISK)
        return 0;
    if (cfg->journal.keep_bytes < CONFIG_MIN_DISK_BYTES) {
        value_format_size(cfg->journal.keep_bytes, size);
        return config_error(errors, cfg->origins[CONFIG_journal_keep_bytes],
                            "[journal] keep_bytes = %s: must be at least 1MiB with type = disk",
                            size);
    }
    return cfg->journal.path == NULL ? default_path(cfg, errors) : 0;
}

int config_check(struct config *cfg, struct config_errors *errors)
{
    int worst = 0;
    int rc;

    if (cfg->listener_count == 0)
        worst = add_listener(cfg, SLICE_LITERAL(CONFIG_DEFAULT_LISTENER), NULL, errors);
    for (size_t i = 0; i < cfg->listener_count; i++) {
        rc = check_listener(cfg, i, errors);
        worst = rc != 0 ? rc : worst;
    }
    rc = check_payload(cfg, errors);
    worst = rc != 0 ? rc : worst;
    rc = check_journal(cfg, errors);
    return rc != 0 ? rc : worst;
}

/* ---- all of it ---- */

const char *config_file_of(const char *file)
{
    if (file != NULL)
        return file;
    return access(CONFIG_DEFAULT_PATH, F_OK) == 0 ? CONFIG_DEFAULT_PATH : NULL;
}

/* One -o argument, "section.key=value". */
static int set_override(struct config *cfg, const char *text, struct config_errors *errors)
{
    const char *equals = strchr(text, '=');
    char shown[VALUE_SHOWN_SIZE];
    char *path;
    int rc;

    if (equals == NULL) {
        value_show(slice_of(text), shown);
        return config_error(errors, "-o", "%s: must be SECTION.KEY=VALUE, such as "
                                          "streams.heartbeat=15s", shown);
    }
    path = strndup(text, (size_t)(equals - text));
    if (path == NULL)
        return config_no_memory(errors);
    rc = config_set(cfg, path, equals + 1, "-o", errors);
    free(path);
    return rc;
}

int config_load(struct config *cfg, const char *file, const char *const *overrides, size_t count,
                struct config_errors *errors)
{
    const char *path = config_file_of(file);
    int worst = 0;
    int rc;

    if (config_init(cfg) != 0)
        return config_no_memory(errors);
    if (path != NULL)
        worst = config_read_file(cfg, path, errors);
    rc = config_read_environment(cfg, environ, errors);
    worst = rc != 0 ? rc : worst;
    for (size_t i = 0; i < count; i++) {
        rc = set_override(cfg, overrides[i], errors);
        worst = rc != 0 ? rc : worst;
    }
    rc = config_check(cfg, errors);
    worst = rc != 0 ? rc : worst;
    if (worst != 0)
        config_fini(cfg);
    return worst;
}
