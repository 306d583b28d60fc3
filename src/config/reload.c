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

static void *find_item(struct config *cfg, const struct config_family *family, const char *name)
{
    for (size_t i = 0; i < config_family_count(cfg, family); i++) {
        void *item = config_family_item(cfg, family, i);

        if (strcmp(config_item_name(family, item), name) == 0)
            return item;
    }
    return NULL;
}

/* Names the items of `cfg` that the other config has not got. */
static void name_missing(enum config_section_id section, struct config *cfg, struct config *other,
                         struct buf *out)
{
    const struct config_family *family = config_sections[section].family;

    for (size_t i = 0; i < config_family_count(cfg, family); i++) {
        const char *name = config_item_name(family, config_family_item(cfg, family, i));

        if (find_item(other, family, name) == NULL)
            add_name(out, config_sections[section].name, name);
    }
}

/* What is different of an item that is in both. */
static void name_different(const struct config_place *here, struct config *cfg,
                           struct config *other, struct buf *out)
{
    const struct config_family *family = config_sections[here->section].family;
    const char *name = config_item_name(family, here->item);
    struct config_place there = {here->section, find_item(other, family, name)};
    struct buf section = {0};

    if (there.item == NULL)
        return;
    buf_printf(&section, "%s.%s%c", config_sections[here->section].name, name, '\0');
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++)
        if (o->section == here->section && !section.failed &&
            !value_is_same(o, config_field(cfg, here, o), config_field(other, &there, o)))
            add_name(out, section.p, o->key);
    buf_fini(&section);
}

/* The listeners, or the issuers: what is other of them waits for a restart. */
static void compare_family(enum config_section_id section, struct config *in_force,
                           struct config *fresh, struct buf *waiting)
{
    const struct config_family *family = config_sections[section].family;

    name_missing(section, in_force, fresh, waiting);
    name_missing(section, fresh, in_force, waiting);
    for (size_t i = 0; i < config_family_count(in_force, family); i++)
        name_different(&(struct config_place){section, config_family_item(in_force, family, i)},
                       in_force, fresh, waiting);
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
    for (enum config_section_id i = 0; i < CONFIG_SECTION_COUNT; i++)
        if (config_sections[i].family != NULL)
            compare_family(i, in_force, fresh, waiting);
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        struct config_place place = {o->section, NULL};
        size_t i = config_option_index(o);

        if (config_sections[o->section].family != NULL)
            continue;
        if (is_different(in_force, fresh, o))
            add_name(o->is_live ? taken : waiting, config_sections[o->section].name, o->key);
        if (!o->is_live)
            continue;
        swap_bytes(config_field(in_force, &place, o), config_field(fresh, &place, o), o->size);
        swap_bytes(&in_force->origins[i], &fresh->origins[i], sizeof in_force->origins[i]);
    }
}
