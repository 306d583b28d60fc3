/* options.h - the table of settings, as options.def lists them. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "config/config.h"

enum config_type {
    CONFIG_TIME,     /* uint64_t milliseconds */
    CONFIG_SIZE,     /* uint64_t bytes */
    CONFIG_COUNT,    /* uint32_t or uint64_t */
    CONFIG_FLAG,     /* bool */
    CONFIG_WORD,     /* an enum */
    CONFIG_SET,      /* unsigned: the values of several words, or-ed */
    CONFIG_MODE,     /* mode_t */
    CONFIG_ADDRESS,  /* char *, NULL until set */
    CONFIG_TEXT,     /* char *, NULL when empty */
    CONFIG_URL,      /* char *, NULL when empty */
    CONFIG_WEB_URL,  /* the same; may be http of other machines */
    CONFIG_LOGIN,    /* like URL; what may be a user and a password in it is never shown */
    CONFIG_ORIGINS,  /* struct config_list */
    CONFIG_HOSTS,    /* struct config_list */
    CONFIG_NETWORKS, /* struct config_list */
};

struct config_word {
    const char *text; /* NULL ends a list of words */
    unsigned value;
};

enum config_section_id {
#define SECTION(section, help) CONFIG_SECTION_##section,
#define OPTION(section, key, type, field, fallback, allowed, help)
#include "config/options.def"
#undef SECTION
#undef OPTION
    CONFIG_SECTION_COUNT
};

/* What there may be several of, each with a name of its own: [listener.NAME]. */
struct config_family {
    size_t items;        /* offset of the array in struct config, ... */
    size_t count;        /* ... and of the size_t that tells how many there are */
    size_t item_size;
    size_t max;
    size_t name;         /* offset in an item of the char * that is its name, ... */
    size_t origin;       /* ... and of the one that tells where it was named first */
    const char *one;     /* "a listener" */
    const char *many;    /* "listeners" */
    const char *sample;  /* the name that stands in sentences, ... */
    const char *example; /* ... and in the example file */
};

struct config_section {
    const char *name;
    const char *help;
    size_t offset; /* of its struct in struct config; of no use in a family */
    const struct config_family *family; /* NULL: there is one of it */
};

struct config_option {
    enum config_section_id section;
    const char *key;
    enum config_type type;
    size_t offset; /* of the field in the section's struct */
    size_t size;   /* of the field */
    const char *fallback;
    const char *low; /* RANGE, as a person writes it; or NULL */
    const char *high;
    const struct config_word *words; /* WORDS, or NULL */
    bool is_live; /* a reload puts it in force */
    const char *help;
};

/* In the order of options.def, so indexed by enum config_section_id and config_option_id. */
extern const struct config_section config_sections[CONFIG_SECTION_COUNT];
extern const struct config_option config_options[CONFIG_OPTION_COUNT];

/* Appends what a value of `o` may be, as in "must be ...": "a time from 1s to 1h, such as 15s". */
void config_option_allowed(const struct config_option *o, struct buf *out);

#endif
