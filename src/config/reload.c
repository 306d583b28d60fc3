/* reload.c - compares setting by setting, as the table of options lists them. */
#include "config/reload.h"

#include <errno.h>
#include <string.h>
#include "config_priv.h"
#include "value_priv.h"

/* The directory of the journal is found by the user's id and home where nothing names it, and the
 * daemon may have become another user since. */
static int keep_path(struct config *fresh, const struct config *in_force)
{
    if (fresh->journal.path != NULL || in_force->journal.path == NULL ||
        in_force->origins[CONFIG_journal_path] != NULL)
        return 0;
    fresh->journal.path = strdup(in_force->journal.path);
    return fresh->journal.path == NULL ? -ENOMEM : 0;
}

int config_load_again(struct config *fresh, const struct config *in_force, const char *file,
                      const char *const *overrides, size_t count, struct config_errors *errors)
{
    int worst;
    int rc;

    if (config_init(fresh) != 0)
        return config_no_memory(errors);
    worst = config_read_sources(fresh, file, overrides, count, errors);
    rc = keep_path(fresh, in_force) != 0 ? config_no_memory(errors) : config_check(fresh, errors);
    worst = rc != 0 ? rc : worst;
    if (worst != 0)
        config_fini(fresh);
    return worst;
}

static void swap_bytes(void *a, void *b, size_t n)
{
    char *x = a;
    char *y = b;

    for (size_t i = 0; i < n; i++) {
        char byte = x[i];

        x[i] = y[i];
        y[i] = byte;
    }
}

static void add_name(struct buf *out, const char *section, const char *key)
{
    if (out->len > 0)
        buf_add_char(out, ' ');
    buf_printf(out, "%s.%s", section, key);
}

static struct config_listener *find_listener(struct config *cfg, const char *name)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        if (strcmp(cfg->listeners[i].name, name) == 0)
            return &cfg->listeners[i];
    return NULL;
}

/* Names the listeners of `cfg` that the other config has not got. */
static void name_missing(struct config *cfg, struct config *other, struct buf *out)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        if (find_listener(other, cfg->listeners[i].name) == NULL)
            add_name(out, "listener", cfg->listeners[i].name);
}

/* What is different of a listener that is in both. */
static void name_different(struct config *cfg, struct config_listener *l, struct config *other,
                           struct buf *out)
{
    struct config_place here = {CONFIG_SECTION_listener, l};
    struct config_place there = {CONFIG_SECTION_listener, find_listener(other, l->name)};
    struct buf section = {0};

    if (there.listener == NULL)
        return;
    buf_printf(&section, "listener.%s%c", l->name, '\0');
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++)
        if (o->section == CONFIG_SECTION_listener && !section.failed &&
            !value_is_same(o, config_field(cfg, &here, o), config_field(other, &there, o)))
            add_name(out, section.p, o->key);
    buf_fini(&section);
}

/* Not by the values where both are defaults: some defaults follow other settings. */
static bool is_different(struct config *a, struct config *b, const struct config_option *o)
{
    struct config_place place = {o->section, NULL};
    size_t i = config_option_index(o);

    return (a->origins[i] != NULL || b->origins[i] != NULL) &&
           !value_is_same(o, config_field(a, &place, o), config_field(b, &place, o));
}

void config_take_over(struct config *in_force, struct config *fresh, struct buf *taken,
                      struct buf *waiting)
{
    name_missing(in_force, fresh, waiting);
    name_missing(fresh, in_force, waiting);
    for (size_t i = 0; i < in_force->listener_count; i++)
        name_different(in_force, &in_force->listeners[i], fresh, waiting);
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        struct config_place place = {o->section, NULL};
        size_t i = config_option_index(o);

        if (o->section == CONFIG_SECTION_listener)
            continue;
        if (is_different(in_force, fresh, o))
            add_name(o->is_live ? taken : waiting, config_sections[o->section].name, o->key);
        if (!o->is_live)
            continue;
        swap_bytes(config_field(in_force, &place, o), config_field(fresh, &place, o), o->size);
        swap_bytes(&in_force->origins[i], &fresh->origins[i], sizeof in_force->origins[i]);
    }
}
