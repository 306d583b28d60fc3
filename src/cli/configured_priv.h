/* configured_priv.h - the options by which a command finds the daemon's configuration. */
#ifndef CLI_CONFIGURED_PRIV_H
#define CLI_CONFIGURED_PRIV_H
#include <stdbool.h>
#include "arguments_priv.h"
#include "config/config.h"

/* All zero is the beginning. */
struct configured {
    const char *file;
    struct text_list overrides;
    struct config config; /* where it was read */
    bool is_read;
};

#define CONFIGURED_ARGUMENTS(configured)                                                           \
    {'c', "config", ARGUMENT_TEXT, "FILE", &(configured).file, 0, 0,                               \
     "the daemon's configuration; default\n" CONFIG_DEFAULT_PATH},                                 \
        {'o', "option", ARGUMENT_LIST, "S.K=VALUE", &(configured).overrides, 0, 0,                 \
         "set one option over the file and the environment;\nmay be repeated"}

/* Reads the configuration that the daemon would read, unless that was done. Returns -1 to go on,
 * else the exit code, after sentences on stderr. */
int configured_read(struct configured *c);

/* Whether the options say where it is. */
static inline bool configured_is_named(const struct configured *c)
{
    return c->file != NULL || c->overrides.count > 0;
}

void configured_fini(struct configured *c);
#endif
