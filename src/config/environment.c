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

/* The option that `rest` names in the section; of listeners its end, and `*listener` is what
 * stands before. NULL: none. */
static const struct config_option *find_option(enum config_section_id section, struct slice rest,
                                               struct slice *listener)
{
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        size_t n = strlen(o->key);

        if (o->section != section || rest.n < n)
            continue;
        if (!is_upper_of(slice_make(rest.p + rest.n - n, n), o->key))
            continue;
        *listener = slice_make(rest.p, rest.n - n);
        if (section != CONFIG_SECTION_listener && listener->n == 0)
            return o;
        if (section == CONFIG_SECTION_listener && listener->n > 1 &&
            listener->p[listener->n - 1] == '_') {
            listener->n--;
            return o;
        }
    }
    return NULL;
}

/* The listener of that name in upper case, or a new one. */
static int find_listener(struct config *cfg, struct slice upper, const char *origin,
                         struct config_errors *errors, struct config_place *out)
{
    char name[MAX_NAME];
    int n = snprintf(name, sizeof name, "listener.%.*s", SLICE_ARG(upper));

    for (size_t i = 0; i < cfg->listener_count; i++)
        if (is_upper_of(upper, cfg->listeners[i].name)) {
            *out = (struct config_place){CONFIG_SECTION_listener, &cfg->listeners[i]};
            return 0;
        }
    for (char *p = name; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    if (n < 0 || (size_t)n >= sizeof name) /* cut, so it could be taken for another */
        return config_error(errors, origin, "the listener's name is too long");
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
            o->section != CONFIG_SECTION_listener) {
            best = o;
            most = nearest.distance == 0 ? 0 : nearest.distance - 1;
        }
    }
    return best;
}

/* A variable that would be in `section`, NULL: in none of ours, and then it is a mistake only
 * where it looks like one. */
static int unknown_variable(const struct config_section *section, struct slice rest,
                            const char *origin, struct config_errors *errors)
{
    const struct config_option *near = near_option(rest, section == NULL ? MAX_SLIP : SIZE_MAX);
    char name[MAX_NAME];

    if (section == &config_sections[CONFIG_SECTION_listener])
        return config_error(errors, origin,
                            "unknown variable; write " PREFIX "LISTENER_NAME_ADDRESS, _ROLE or "
                            "_MODE");
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
        struct slice listener;
        const struct config_option *o;
        int rc = 0;

        if (!skip_word(&key, config_sections[i].name))
            continue;
        o = find_option(place.section, key, &listener);
        if (o == NULL)
            return is_of_kubernetes(key)
                       ? 0
                       : unknown_variable(&config_sections[i], rest, origin, errors);
        if (place.section == CONFIG_SECTION_listener)
            rc = find_listener(cfg, listener, origin, errors, &place);
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
