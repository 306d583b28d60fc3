/* in_force.c - what the daemon was told to do, as JSON for people who ask it. */
#include <errno.h>
#include "base/json.h"
#include "config/describe.h"
#include "config_priv.h"
#include "value_priv.h"

static void add_text_or_null(struct buf *out, const char *text)
{
    if (text == NULL)
        buf_add_text(out, "null");
    else
        json_add_string(out, slice_of(text));
}

/* Without memory it seems to be another one. */
static bool is_at_default(const struct config_option *o, const void *field)
{
    union {
        uint64_t number;
        char *text;
        struct config_list list;
    } fallback = {.list = {NULL, 0}};
    struct error why;
    bool is_same = value_store(o, slice_of(o->fallback), &fallback, &why) == 0 &&
                   value_is_same(o, field, &fallback);

    value_free(o, &fallback);
    return is_same;
}

static void add_option(struct config *cfg, const struct config_place *place, const char *name,
                       const struct config_option *o, const char *source, struct buf *out)
{
    const char *section = config_sections[o->section].name;
    const void *field = config_field(cfg, place, o);
    bool is_default = is_at_default(o, field);
    struct buf value = {0};

    if (is_default) /* as it is spelt there: 24h, and not 1d */
        buf_add_text(&value, o->fallback);
    else
        value_print(o, field, &value);
    if (value.failed)
        out->failed = true;
    buf_add_text(out, out->p[out->len - 1] == '[' ? "{\"name\":\"" : ",{\"name\":\"");
    if (name == NULL) /* names of items are letters, digits, _ and - */
        buf_printf(out, "%s.%s\",\"value\":", section, o->key);
    else
        buf_printf(out, "%s.%s.%s\",\"value\":", section, name, o->key);
    json_add_string(out, buf_slice(&value));
    buf_add_text(out, ",\"default\":");
    json_add_string(out, slice_of(o->fallback));
    buf_add_text(out, ",\"source\":");
    add_text_or_null(out, is_default && place->item != NULL ? NULL : source);
    buf_printf(out, ",\"live\":%s}", o->is_live ? "true" : "false");
    buf_fini(&value);
}

static void add_family(struct config *cfg, const struct config_option *o, struct buf *out)
{
    const struct config_family *family = config_sections[o->section].family;

    for (size_t i = 0; i < config_family_count(cfg, family); i++) {
        struct config_place place = {o->section, config_family_item(cfg, family, i)};
        const char *origin = *(char **)(void *)((char *)place.item + family->origin);

        add_option(cfg, &place, config_item_name(family, place.item), o, origin, out);
    }
}

int config_describe_in_force(struct config *cfg, struct buf *out)
{
    if (buf_add_text(out, "{\"options\":[") != 0)
        return -ENOMEM;
    for (const struct config_option *o = config_options; o < config_options + CONFIG_OPTION_COUNT;
         o++) {
        struct config_place place = {o->section, NULL};

        if (config_sections[o->section].family != NULL)
            add_family(cfg, o, out);
        else
            add_option(cfg, &place, NULL, o, cfg->origins[config_option_index(o)], out);
    }
    buf_add_text(out, "]}");
    return out->failed ? -ENOMEM : 0;
}
