/* describe.h - what is written from the table of options. */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H
#include "base/buf.h"

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
