/* json.h - reading JSON without changing it: where its parts stand, byte for byte.
 *
 * cJSON is not used for reading: it takes what is no JSON (01, 1., raw control characters), loses
 * big integers and the spelling of numbers, and cuts strings at \u0000. Here a text is checked
 * against RFC 8259 once, and then walked as slices of itself. Nothing recurses; nesting is bounded
 * by JSON_MAX_DEPTH. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/slice.h"

enum { JSON_MAX_DEPTH = 256 };

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Whether `text` is exactly one JSON value, white space around it aside, in UTF-8.
 * Returns 0; or -EINVAL, with the offset of the first byte that is wrong (text.n: the end came too
 * early) and what was expected there. */
int json_check(struct slice text, size_t *error_offset, const char **reason);

/* The rest take only what json_check has passed. */

/* The value in `text` without the white space around it. */
struct slice json_trim(struct slice text);

enum json_type json_type_of(struct slice value);

/* Walks an object's members or an array's elements: start with *cursor = 0, false is the end.
 * `key` keeps its quotes and escapes. */
bool json_object_next(struct slice object, size_t *cursor, struct slice *key, struct slice *value);
bool json_array_next(struct slice array, size_t *cursor, struct slice *value);

/* Whether the string `key` (with quotes) spells `name`; escapes are undone. */
bool json_string_is(struct slice key, const char *name);

/* Appends the string's characters as UTF-8, quotes off and escapes undone; \u0000 becomes a NUL
 * byte. Returns 0, -ENOMEM, or -EILSEQ for a surrogate without its other half, which UTF-8 cannot
 * hold. */
int json_add_unescaped(struct buf *b, struct slice string);

/* Appends the value without white space outside of strings: all other bytes as they are. */
int json_add_compact(struct buf *b, struct slice value);

/* Appends a quoted JSON string of the bytes `utf8`; bytes that are not UTF-8 become U+FFFD. */
int json_add_string(struct buf *b, struct slice utf8);
#endif
