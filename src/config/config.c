/* config.c - the struct, its defaults, and single settings; check.c has what holds between them. */
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

enum { MAX_NAME = 32 };

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
    const struct config_section *section = &config_sections[place->section];

    if (section->family != NULL)
        snprintf(out, CONFIG_PLACE_SIZE, "[%s.%s]", section->name,
                 config_item_name(section->family, place->item));
    else
        snprintf(out, CONFIG_PLACE_SIZE, "[%s]", section->name);
}

/* ---- families ---- */

static size_t *count_of(struct config *cfg, const struct config_family *family)
{
    return (size_t *)(void *)((char *)cfg + family->count);
}

size_t config_family_count(const struct config *cfg, const struct config_family *family)
{
    return *(const size_t *)(const void *)((const char *)cfg + family->count);
}

void *config_family_item(struct config *cfg, const struct config_family *family, size_t i)
{
    return (char *)cfg + family->items + i * family->item_size;
}

size_t config_place_index(const struct config *cfg, const struct config_place *place)
{
    const struct config_family *family = config_sections[place->section].family;

    if (family == NULL)
        return 0;
    return (size_t)((const char *)place->item - ((const char *)cfg + family->items)) /
           family->item_size;
}

/* The text at an offset of an item. */
static char **text_of(void *item, size_t offset)
{
    return (char **)(void *)((char *)item + offset);
}

const char *config_item_name(const struct config_family *family, const void *item)
{
    return *(char *const *)(const void *)((const char *)item + family->name);
}

/* ---- fields ---- */

void *config_field(struct config *cfg, const struct config_place *place,
                   const struct config_option *o)
{
    char *base = place->item != NULL ? place->item
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
        rc = value_store(o, slice_of(o->fallback), config_field(cfg, place, o), &why);
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
            value_free(o, config_field(cfg, place, o));
}

static void item_fini(struct config *cfg, const struct config_place *place)
{
    const struct config_family *family = config_sections[place->section].family;

    free_fields(cfg, place);
    free(*text_of(place->item, family->name));
    free(*text_of(place->item, family->origin));
    memset(place->item, 0, family->item_size);
}

int config_init(struct config *cfg)
{
    *cfg = (struct config){0};
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        struct config_place place = {(enum config_section_id)i, NULL};

        if (config_sections[i].family == NULL && set_defaults(cfg, &place) != 0) {
            config_fini(cfg);
            return -ENOMEM;
        }
    }
    return 0;
}

static void section_fini(struct config *cfg, enum config_section_id section)
{
    const struct config_family *family = config_sections[section].family;

    if (family == NULL)
        free_fields(cfg, &(struct config_place){section, NULL});
    for (size_t i = 0; family != NULL && i < config_family_count(cfg, family); i++)
        item_fini(cfg, &(struct config_place){section, config_family_item(cfg, family, i)});
}

void config_fini(struct config *cfg)
{
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++)
        section_fini(cfg, (enum config_section_id)i);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++)
        free(cfg->origins[i]);
    *cfg = (struct config){0};
}

/* ---- places ---- */

static bool is_name(struct slice name)
{
    if (name.n == 0 || name.n > MAX_NAME)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!(name.p[i] >= 'a' && name.p[i] <= 'z') && !(name.p[i] >= '0' && name.p[i] <= '9') &&
            name.p[i] != '_' && name.p[i] != '-')
            return false;
    return true;
}

/* Makes one more of the family, and the place that it is. */
static int add_item(struct config *cfg, enum config_section_id section, struct slice name,
                    const char *origin, struct config_errors *errors, struct config_place *out)
{
    const struct config_family *family = config_sections[section].family;
    void *item = config_family_item(cfg, family, config_family_count(cfg, family));

    *out = (struct config_place){section, item};
    memset(item, 0, family->item_size);
    *text_of(item, family->name) = strndup(name.p, name.n);
    *text_of(item, family->origin) = origin == NULL ? NULL : strdup(origin);
    if (config_item_name(family, item) == NULL ||
        (origin != NULL && *text_of(item, family->origin) == NULL) ||
        set_defaults(cfg, out) != 0) {
        item_fini(cfg, out);
        return config_no_memory(errors);
    }
    ++*count_of(cfg, family);
    return 0;
}

static int find_item(struct config *cfg, enum config_section_id section, struct slice name,
                     const char *origin, struct config_errors *errors, struct config_place *out)
{
    const char *kind = config_sections[section].name;
    const struct config_family *family = config_sections[section].family;
    size_t count = config_family_count(cfg, family);
    char shown[VALUE_SHOWN_SIZE];

    for (size_t i = 0; i < count; i++) {
        *out = (struct config_place){section, config_family_item(cfg, family, i)};
        if (slice_is(name, config_item_name(family, out->item)))
            return 0;
    }
    value_show(name, shown);
    if (!is_name(name))
        return config_error(errors, origin, "[%s.%s]: %s's name is 1 to %d of a-z, 0-9, _ and -",
                            kind, name.n == 0 ? "" : shown, family->one, MAX_NAME);
    if (count == family->max)
        return config_error(errors, origin, "[%s.%s]: there may be at most %zu %s", kind, shown,
                            family->max, family->many);
    return add_item(cfg, section, name, origin, errors, out);
}

/* "listener.NAME" or "streams" of every section, as a sentence lists them. */
static void add_sections(struct buf *out)
{
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++)
        buf_printf(out, "%s%s%s",
                   i == 0                          ? ""
                   : i + 1 == CONFIG_SECTION_COUNT ? " and "
                                                   : ", ",
                   config_sections[i].name, config_sections[i].family == NULL ? "" : ".NAME");
}

static int unknown_section(struct slice name, const char *origin, struct config_errors *errors)
{
    struct nearest nearest = {0};
    struct slice kind = name;
    struct buf sections = {0};
    char shown[VALUE_SHOWN_SIZE];
    const char *behind = "";

    value_show(name, shown);
    kind = slice_cut(&kind, '.');
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        nearest_offer(&nearest, name, config_sections[i].name);
        if (config_sections[i].family != NULL)
            nearest_offer(&nearest, kind, config_sections[i].name);
        if (config_sections[i].family != NULL && nearest.text == config_sections[i].name)
            behind = ".NAME";
        else if (nearest.text == config_sections[i].name)
            behind = "";
    }
    if (nearest.text != NULL)
        return config_error(errors, origin, "[%s]: unknown section; did you mean [%s%s]?", shown,
                            nearest.text, behind);
    add_sections(&sections);
    config_error(errors, origin, "[%s]: unknown section; there are %.*s", name.n == 0 ? "" : shown,
                 SLICE_ARG(buf_slice(&sections)));
    buf_fini(&sections);
    return -EINVAL;
}

int config_find_place(struct config *cfg, struct slice name, const char *origin,
                      struct config_errors *errors, struct config_place *out)
{
    struct slice rest = name;
    struct slice kind = slice_cut(&rest, '.');

    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        const struct config_section *section = &config_sections[i];

        *out = (struct config_place){(enum config_section_id)i, NULL};
        if (section->family == NULL && slice_is(name, section->name))
            return 0;
        if (section->family == NULL || !slice_is(kind, section->name))
            continue;
        if (rest.p == NULL)
            return config_error(errors, origin, "[%s]: needs a name, such as [%s.%s]",
                                section->name, section->name, section->family->sample);
        return find_item(cfg, out->section, rest, origin, errors, out);
    }
    return unknown_section(name, origin, errors);
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
                       config_sections[o->section].family != NULL ? ".NAME" : "");
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
    int rc = value_store(o, value, config_field(cfg, place, o), &why);

    if (rc == -EINVAL) {
        if (o->type == CONFIG_ADDRESS)
            ((struct config_listener *)place->item)->is_address_wrong = true;
        config_place_show(place, where);
        value_show(value, shown);
        if (o->type == CONFIG_LOGIN ||
            ((o->type == CONFIG_URL || o->type == CONFIG_WEB_URL) && strchr(shown, '@') != NULL))
            strcpy(shown, "..."); /* there may be a password in it */
        return config_error(errors, origin, "%s %s = %s: %s", where, o->key, shown, why.text);
    }
    if (rc != 0)
        return config_no_memory(errors);
    if (place->item != NULL || origin == NULL)
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

int config_read_sources(struct config *cfg, const char *file, const char *const *overrides,
                        size_t count, struct config_errors *errors)
{
    const char *path = config_file_of(file);
    int worst = 0;
    int rc;

    if (path != NULL)
        worst = config_read_file(cfg, path, errors);
    rc = config_read_environment(cfg, environ, errors);
    worst = rc != 0 ? rc : worst;
    for (size_t i = 0; i < count; i++) {
        rc = set_override(cfg, overrides[i], errors);
        worst = rc != 0 ? rc : worst;
    }
    return worst;
}

int config_load(struct config *cfg, const char *file, const char *const *overrides, size_t count,
                struct config_errors *errors)
{
    int worst;
    int rc;

    if (config_init(cfg) != 0)
        return config_no_memory(errors);
    worst = config_read_sources(cfg, file, overrides, count, errors);
    rc = config_check(cfg, errors);
    worst = rc != 0 ? rc : worst;
    if (worst != 0)
        config_fini(cfg);
    return worst;
}
