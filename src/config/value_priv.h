/* value_priv.h - one value's text, read into its field. */
#ifndef CONFIG_VALUE_PRIV_H
#define CONFIG_VALUE_PRIV_H
#include <stdint.h>
#include "base/error.h"
#include "base/slice.h"
#include "config/options.h"

enum { VALUE_SHOWN_SIZE = 80, VALUE_FORMAT_SIZE = 32 };

/* Reads `text` as a value of `o` into `field`, and frees what the field held.
 * Returns 0; -EINVAL with "must be ..." in `why`, or -ENOMEM, and then the field is unchanged. */
int value_store(const struct config_option *o, struct slice text, void *field, struct error *why);

/* Whether two fields of `o` hold the same value. */
bool value_is_same(const struct config_option *o, const void *a, const void *b);

/* Appends the value as it could stand in a file; of a URL without its query. Returns 0 or
 * -ENOMEM. */
int value_print(const struct config_option *o, const void *field, struct buf *out);

/* Frees what a field of `o` holds and empties it. */
void value_free(const struct config_option *o, void *field);

/* Writes `text` for a sentence: on one line, cut where it is long, `""` when it is empty. */
void value_show(struct slice text, char out[VALUE_SHOWN_SIZE]);

/* Writes bytes as a person would: 64KiB. */
void value_format_size(uint64_t bytes, char out[VALUE_FORMAT_SIZE]);
#endif
