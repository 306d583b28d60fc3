/* reload.h - reads the configuration again while one is in force, and takes over what can be. */
#ifndef CONFIG_RELOAD_H
#define CONFIG_RELOAD_H
#include "base/buf.h"
#include "config/config.h"

/* As config_load, into `fresh`, beside the config in force, which is not touched. A default that
 * depends on who the process is stays what it was. */
int config_load_again(struct config *fresh, const struct config *in_force, const char *file,
                      const char *const *overrides, size_t count, struct config_errors *errors);

/* Moves every setting of `fresh` that a reload can change into `in_force`; what was there is in
 * `fresh` afterwards, which ends in config_fini as ever. Appends the names of the settings that are
 * different, with a blank between: to `taken` those moved, to `waiting` those that take a restart
 * ("streams.heartbeat", "listener.public.address", "listener.public" for one that comes or goes).
 * Never fails: without memory names are missing. */
void config_take_over(struct config *in_force, struct config *fresh, struct buf *taken,
                      struct buf *waiting);
#endif
