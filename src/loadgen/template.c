/* template.c - see the header. */
#include "template_priv.h"

static const struct {
    const char *name;
    enum template_place place;
} places[] = {{"{user}", PLACE_USER}, {"{stream}", PLACE_STREAM}, {"{payload}", PLACE_PAYLOAD}};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

/* The place that `text` begins with. */
static enum template_place place_at(const char *text, size_t *length)
{
    for (size_t i = 0; i < PLACES; i++) {
        *length = strlen(places[i].name);
        if (strncmp(text, places[i].name, *length) == 0)
            return places[i].place;
    }
    return PLACE_NONE;
}

int template_parse(struct template *t, const char *text, struct error *why)
{
    const char *start = text;
    size_t length;

    t->count = 0;
    for (const char *p = text; *p != '\0';) {
        enum template_place place = place_at(p, &length);

        if (place == PLACE_NONE) {
            p++;
            continue;
        }
        if (t->count + 1 == TEMPLATE_MAX_PARTS)
            return error_set(why, "over %d places in a template: %.40s", TEMPLATE_MAX_PARTS - 1,
                             text);
        t->parts[t->count].text = slice_make(start, (size_t)(p - start));
        t->parts[t->count++].place = place;
        p += length;
        start = p;
    }
    t->parts[t->count].text = slice_of(start);
    t->parts[t->count++].place = PLACE_NONE;
    return 0;
}

int templates_parse(struct templates *t, const struct load_plan *plan, struct error *why)
{
    const struct {
        struct template *into;
        const char *text;
    } all[] = {
        {&t->stream_path, plan->stream_path},   {&t->stream_headers, plan->stream_headers},
        {&t->crowd_path, plan->crowd_path},     {&t->publish_path, plan->publish_path},
        {&t->publish_body, plan->publish_body}, {&t->fanout_path, plan->fanout_path},
        {&t->fanout_body, plan->fanout_body},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (template_parse(all[i].into, all[i].text, why) != 0)
            return -1;
    }
    return 0;
}

void template_add(struct buf *out, const struct template *t, const struct template_values *values)
{
    for (size_t i = 0; i < t->count; i++) {
        buf_add_slice(out, t->parts[i].text);
        switch (t->parts[i].place) {
        case PLACE_NONE:
            break;
        case PLACE_USER:
            buf_add_u64(out, values->user);
            break;
        case PLACE_STREAM:
            buf_add_u64(out, values->stream);
            break;
        case PLACE_PAYLOAD:
            buf_add_slice(out, values->payload);
            break;
        }
    }
}
