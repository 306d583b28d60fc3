/* config_priv.h - finding the place of a setting and putting it there; for the readers. */
#ifndef CONFIG_CONFIG_PRIV_H
#define CONFIG_CONFIG_PRIV_H
#include "config/options.h"

/* A section, and of a family which one. */
struct config_place {
    enum config_section_id section;
    void *item; /* of the family; NULL where there is none */
};

/* How many there are of a family, and item `i`. */
size_t config_family_count(const struct config *cfg, const struct config_family *family);
void *config_family_item(struct config *cfg, const struct config_family *family, size_t i);

/* Which item of its family the place is, counted from 0; 0 where there is none. */
size_t config_place_index(const struct config *cfg, const struct config_place *place);

/* The name of an item. */
const char *config_item_name(const struct config_family *family, const void *item);

/* Finds [name], and makes the item of a family when it names a new one. Returns 0, or -EINVAL or
 * -ENOMEM after a sentence. */
int config_find_place(struct config *cfg, struct slice name, const char *origin,
                      struct config_errors *errors, struct config_place *out);

/* The option of that key there, or NULL after a sentence. */
const struct config_option *config_find_option(const struct config_place *place, struct slice key,
                                               const char *origin, struct config_errors *errors);

/* Sets it. Returns 0, or -EINVAL or -ENOMEM after a sentence. */
int config_store(struct config *cfg, const struct config_place *place,
                 const struct config_option *o, struct slice value, const char *origin,
                 struct config_errors *errors);

/* Where the value of `o` is, in the struct of its place. */
void *config_field(struct config *cfg, const struct config_place *place,
                   const struct config_option *o);

/* What config_load reads, into a config at its defaults; nothing is completed or checked between
 * settings yet. Returns as config_read_file. */
int config_read_sources(struct config *cfg, const char *file, const char *const *overrides,
                        size_t count, struct config_errors *errors);

/* "[streams]" or "[listener.public]" as in sentences. */
enum { CONFIG_PLACE_SIZE = 64 };
void config_place_show(const struct config_place *place, char out[CONFIG_PLACE_SIZE]);

/* Adds the sentence for want of memory. Returns -ENOMEM. */
int config_no_memory(struct config_errors *errors);

/* The id by which arrays are indexed. */
static inline size_t config_option_index(const struct config_option *o)
{
    return (size_t)(o - config_options);
}
#endif
