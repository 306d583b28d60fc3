/* options.c - options.def as tables. */
#include "config/options.h"

#include <stddef.h>

static const struct config_word role_words[] = {
    {"public", CONFIG_ROLE_PUBLIC},
    {"internal", CONFIG_ROLE_INTERNAL},
    {"all", CONFIG_ROLE_ALL},
    {NULL, 0},
};

static const struct config_word overflow_words[] = {
    {"catchup", CONFIG_OVERFLOW_CATCHUP},
    {"drop-oldest", CONFIG_OVERFLOW_DROP_OLDEST},
    {"disconnect", CONFIG_OVERFLOW_DISCONNECT},
    {NULL, 0},
};

/* A new engine is one row here, one enumerator, and one row in daemon/'s list. */
static const struct config_word journal_words[] = {
    {"disk", CONFIG_JOURNAL_DISK},
    {"memory", CONFIG_JOURNAL_MEMORY},
    {"redis", CONFIG_JOURNAL_REDIS},
    {NULL, 0},
};

static const struct config_word sync_words[] = {
    {"always", CONFIG_SYNC_ALWAYS},
    {"interval", CONFIG_SYNC_INTERVAL},
    {"never", CONFIG_SYNC_NEVER},
    {NULL, 0},
};

static const struct config_word level_words[] = {
    {"debug", LOG_DEBUG},
    {"info", LOG_INFO},
    {"warning", LOG_WARNING},
    {"error", LOG_ERROR},
    {NULL, 0},
};

static const struct config_word format_words[] = {
    {"text", LOG_TEXT},
    {"json", LOG_JSON},
    {NULL, 0},
};

/* A listener's fields are found from the listener, so its section begins at no offset. */
#define OFFSET_listener 0
#define OFFSET_streams offsetof(struct config, streams)
#define OFFSET_journal offsetof(struct config, journal)
#define OFFSET_publish offsetof(struct config, publish)
#define OFFSET_http offsetof(struct config, http)
#define OFFSET_log offsetof(struct config, log)
#define OFFSET_server offsetof(struct config, server)

const struct config_section config_sections[CONFIG_SECTION_COUNT] = {
#define SECTION(section, help) {#section, help, OFFSET_##section},
#define OPTION(section, key, type, field, fallback, allowed, help)
#include "config/options.def"
#undef SECTION
#undef OPTION
};

#define RANGE(least, most) .low = (least), .high = (most)
#define WORDS(list) .words = (list)
#define ANY .low = NULL

const struct config_option config_options[CONFIG_OPTION_COUNT] = {
#define SECTION(section, help)
#define OPTION(section_, key_, type_, field, fallback_, allowed, help_)                            \
    {.section = CONFIG_SECTION_##section_,                                                         \
     .key = #key_,                                                                                 \
     .type = CONFIG_##type_,                                                                       \
     .offset = offsetof(struct config_##section_, field),                                          \
     .size = sizeof(((struct config_##section_ *)NULL)->field),                                    \
     .fallback = (fallback_),                                                                      \
     .help = (help_),                                                                              \
     allowed},
#include "config/options.def"
#undef SECTION
#undef OPTION
};
