/* template_priv.h - a text with places for numbers and the payload, cut apart once. */
#ifndef LOADGEN_TEMPLATE_PRIV_H
#define LOADGEN_TEMPLATE_PRIV_H
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "loadgen/loadgen.h"

enum { TEMPLATE_MAX_PARTS = 32 };

struct template {
    size_t count;
    struct {
        struct slice text; /* as it is, and then */
        enum template_place { PLACE_NONE, PLACE_USER, PLACE_STREAM, PLACE_PAYLOAD } place;
    } parts[TEMPLATE_MAX_PARTS];
};

struct template_values {
    uint64_t user;
    uint64_t stream;
    struct slice payload;
};

/* Those of a plan. */
struct templates {
    struct template stream_path;
    struct template stream_headers;
    struct template crowd_path;
    struct template publish_path;
    struct template publish_body;
    struct template fanout_path;
    struct template fanout_body;
};

/* Finds {user}, {stream} and {payload} in `text`, which is borrowed; other braces are text.
 * Returns 0, or -1 with a sentence in `why` where there are too many. */
int template_parse(struct template *t, const char *text, struct error *why);
int templates_parse(struct templates *t, const struct load_plan *plan, struct error *why);

/* Appends the text with its values. */
void template_add(struct buf *out, const struct template *t, const struct template_values *values);
#endif
