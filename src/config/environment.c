/* environment.c - settings from variables such as SSE_NOTIFY_STREAMS_HEARTBEAT.
 *
 * The name space is not ours alone: the clients have variables of their own (SSE_NOTIFY_URL), and
 * Kubernetes sets some for every service that is named like one of our sections. So a variable is
 * a mistake only where it is in a section and not of Kubernetes', or very near to a setting. */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "config_priv.h"
#include "nearest_priv.h"

#define PREFIX "SSE_NOTIFY_"

enum { MAX_NAME = 128, MAX_SLIP = 2 };

/* "STREAMS_HEARTBEAT" */
static void name_of(const struct config_option *o, char out[MAX_NAME])
{
    snprintf(out, MAX_NAME, "%s_%s", config_sections[o->section].name, o->key);
    for (char *p = out; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
}

static bool is_upper_of(struct slice name, const char *lower)
{
    if (name.n != strlen(lower))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = lower[i] == '-' ? '_' : lower[i];

        if (name.p[i] != toupper((unsigned char)c))
            return false;
    }
    return true;
}

/* Takes "WORD_" off the front of `name`. */
static bool skip_word(struct slice *name, const char *lower)
{
    size_t n = strlen(lower);

    if (name->n <= n || name->p[n] != '_' || !is_upper_of(slice_make(name->p, n), lower))
        return false;
    *name = slice_make(name->p + n + 1, name->n - n - 1);
    return true;
}

static bool begins_with(struct slice name, const char *text)
{
    return name.n >= strlen(text) && memcmp(name.p, text, strlen(text)) == 0;
}

static bool is_of_kubernetes(struct slice rest)
{
    return begins_with(rest, "SERVICE_") || slice_is(rest, "PORT") || begins_with(rest, "PORT_") ||
           memmem(rest.p, rest.n, "_SERVICE_", 9) != NULL ||
           memmem(rest.p, rest.n, "_PORT", 5) != NULL;
}

/* The option that `rest` names in the section; of a family its end, and `*item` is what stands
 * before. NULL: none. */
static const struct config_option *find_option(enum config_section_id section, struct slice rest,
                                               struct slice *item)
{
    bool is_family = config_sections[section].family != NULL;

    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        size_t n = strlen(o->key);

        if (o->section != section || rest.n < n)
            continue;
        if (!is_upper_of(slice_make(rest.p + rest.n - n, n), o->key))
            continue;
        *item = slice_make(rest.p, rest.n - n);
        if (!is_family && item->n == 0)
            return o;
        if (is_family && item->n > 1 && item->p[item->n - 1] == '_') {
            item->n--;
            return o;
        }
    }
    return NULL;
}

/* The item of that name in upper case, or a new one. */
static int find_item(struct config *cfg, enum config_section_id section, struct slice upper,
                     const char *origin, struct config_errors *errors, struct config_place *out)
{
    const struct config_family *family = config_sections[section].family;
    char name[MAX_NAME];
    int n = snprintf(name, sizeof name, "%s.%.*s", config_sections[section].name, SLICE_ARG(upper));

    for (size_t i = 0; i < config_family_count(cfg, family); i++) {
        *out = (struct config_place){section, config_family_item(cfg, family, i)};
        if (is_upper_of(upper, config_item_name(family, out->item)))
            return 0;
    }
    for (char *p = name; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    if (n < 0 || (size_t)n >= sizeof name) /* cut, so it could be taken for another */
        return config_error(errors, origin, "%s's name is too long", family->one);
    return config_find_place(cfg, slice_of(name), origin, errors, out);
}

/* The option whose variable is nearest to "SSE_NOTIFY_" and `rest`, at most `most` letters away;
 * or NULL. */
static const struct config_option *near_option(struct slice rest, size_t most)
{
    const struct config_option *best = NULL;

    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        struct nearest nearest = {0};
        char name[MAX_NAME];

        name_of(o, name);
        nearest_offer(&nearest, rest, name);
        if (nearest.text != NULL && nearest.distance <= most &&
            config_sections[o->section].family == NULL) {
            best = o;
            most = nearest.distance == 0 ? 0 : nearest.distance - 1;
        }
    }
    return best;
}

static void add_upper(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_add_char(out, (char)toupper((unsigned char)*text));
}

/* A variable of a family whose end is none of its keys: says which there are. */
static int unknown_of_family(enum config_section_id section, const char *origin,
                             struct config_errors *errors)
{
    const struct config_option *end = config_options + CONFIG_OPTION_COUNT;
    const char *between = "";
    struct buf text = {0};

    buf_add_text(&text, PREFIX);
    add_upper(&text, config_sections[section].name);
    buf_add_text(&text, "_NAME");
    for (const struct config_option *o = config_options; o < end; o++) {
        if (o->section != section)
            continue;
        buf_printf(&text, "%s_", between);
        add_upper(&text, o->key);
        between = o + 2 < end && o[2].section == section ? ", " : " or ";
    }
    config_error(errors, origin, "unknown variable; write %.*s", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    return -EINVAL;
}

/* A variable that would be in `section`, NULL: in none of ours, and then it is a mistake only
 * where it looks like one. */
static int unknown_variable(const struct config_section *section, struct slice rest,
                            const char *origin, struct config_errors *errors)
{
    const struct config_option *near = near_option(rest, section == NULL ? MAX_SLIP : SIZE_MAX);
    char name[MAX_NAME];

    if (section != NULL && section->family != NULL)
        return unknown_of_family((enum config_section_id)(section - config_sections), origin,
                                 errors);
    if (near != NULL) {
        name_of(near, name);
        return config_error(errors, origin, "unknown variable; did you mean " PREFIX "%s?", name);
    }
    if (section != NULL)
        return config_error(errors, origin, "unknown variable; [%s] has no such key",
                            section->name);
    return 0;
}

static int read_variable(struct config *cfg, struct slice rest, const char *value,
                         const char *origin, struct config_errors *errors)
{
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        struct config_place place = {(enum config_section_id)i, NULL};
        struct slice key = rest;
        struct slice item;
        const struct config_option *o;
        int rc = 0;

        if (!skip_word(&key, config_sections[i].name))
            continue;
        o = find_option(place.section, key, &item);
        if (o == NULL)
            return is_of_kubernetes(key)
                       ? 0
                       : unknown_variable(&config_sections[i], rest, origin, errors);
        if (config_sections[i].family != NULL)
            rc = find_item(cfg, place.section, item, origin, errors, &place);
        return rc != 0 ? rc : config_store(cfg, &place, o, slice_of(value), origin, errors);
    }
    return is_of_kubernetes(rest) ? 0 : unknown_variable(NULL, rest, origin, errors);
}

int config_read_environment(struct config *cfg, char *const *environment,
                            struct config_errors *errors)
{
    int worst = 0;

    for (; *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        char origin[MAX_NAME];
        struct slice name;
        int rc;

        if (equals == NULL || strncmp(*environment, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        name = slice_make(*environment, (size_t)(equals - *environment));
        snprintf(origin, sizeof origin, "%.*s", SLICE_ARG(name));
        name = slice_make(name.p + sizeof PREFIX - 1, name.n - (sizeof PREFIX - 1));
        rc = read_variable(cfg, name, equals + 1, origin, errors);
        if (rc == -ENOMEM)
            return rc;
        worst = rc != 0 ? rc : worst;
    }
    return worst;
}
