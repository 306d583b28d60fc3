/* describe.h - what is written from the table of options. */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H
#include "base/buf.h"
#include "config/config.h"

/* Appends, as JSON, every setting of a config that config_check has passed, with its value, its
 * default and where it was set: {"options":[{"name":"streams.heartbeat","value":"15s",
 * "default":"15s","source":null,"live":true}, ...]}. Of what is in a family, and not at
 * its default, `source` tells where that was named first. A URL's query may hold a secret, and is
 * left out; the settings hold no other. Returns 0 or -ENOMEM. */
int config_describe_in_force(struct config *cfg, struct buf *out);

/* Each appends a whole text and returns 0 or -ENOMEM.
 *
 * The settings as a part of --help: plain text of at most 80 columns. */
int config_describe_help(struct buf *out);

/* sse-notify.conf.example. Prose begins with "# "; a line that begins with '#' and a letter is a
 * setting at its default, valid once the '#' is taken away. */
int config_describe_example(struct buf *out);

/* docs/configuration.md. */
int config_describe_reference(struct buf *out);

/* docs/man/sse-notify.conf.5, as roff. */
int config_describe_manual(struct buf *out);
#endif
