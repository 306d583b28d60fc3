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

static const struct config_word proxy_header_words[] = {
    {"x-forwarded-for", CONFIG_X_FORWARDED_FOR},
    {"forwarded", CONFIG_FORWARDED},
    {NULL, 0},
};

static const struct config_word uring_words[] = {
    {"auto", CONFIG_URING_AUTO},
    {"on", CONFIG_URING_ON},
    {"off", CONFIG_URING_OFF},
    {NULL, 0},
};

static const struct config_word subscribe_words[] = {
    {"none", CONFIG_SUBSCRIBE_NONE},
    {"jwt", CONFIG_SUBSCRIBE_JWT},
    {NULL, 0},
};

static const struct config_word publish_words[] = {
    {"none", 0},
    {"key", CONFIG_BY_KEY},
    {"jwt", CONFIG_BY_JWT},
    {NULL, 0},
};

static const struct config_word algorithm_words[] = {
    {"HS256", CONFIG_HS256},
    {"HS384", CONFIG_HS384},
    {"HS512", CONFIG_HS512},
    {"RS256", CONFIG_RS256},
    {"RS384", CONFIG_RS384},
    {"RS512", CONFIG_RS512},
    {"PS256", CONFIG_PS256},
    {"PS384", CONFIG_PS384},
    {"PS512", CONFIG_PS512},
    {"ES256", CONFIG_ES256},
    {"ES384", CONFIG_ES384},
    {"EdDSA", CONFIG_EDDSA},
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

static const struct config_family listeners = {
    .items = offsetof(struct config, listeners),
    .count = offsetof(struct config, listener_count),
    .item_size = sizeof(struct config_listener),
    .max = CONFIG_MAX_LISTENERS,
    .name = offsetof(struct config_listener, name),
    .origin = offsetof(struct config_listener, origin),
    .one = "a listener",
    .many = "listeners",
    .sample = "public",
    .example = CONFIG_DEFAULT_LISTENER,
};

static const struct config_family issuers = {
    .items = offsetof(struct config, issuers),
    .count = offsetof(struct config, issuer_count),
    .item_size = sizeof(struct config_issuer),
    .max = CONFIG_MAX_ISSUERS,
    .name = offsetof(struct config_issuer, name),
    .origin = offsetof(struct config_issuer, origin),
    .one = "an issuer",
    .many = "issuers",
    .sample = "partner",
    .example = "partner",
};

/* The fields of one of a family are found from it, so its section begins at no offset. */
#define OFFSET_listener 0
#define OFFSET_issuer 0
#define OFFSET_streams offsetof(struct config, streams)
#define OFFSET_journal offsetof(struct config, journal)
#define OFFSET_publish offsetof(struct config, publish)
#define OFFSET_auth offsetof(struct config, auth)
#define OFFSET_limits offsetof(struct config, limits)
#define OFFSET_http offsetof(struct config, http)
#define OFFSET_webhooks offsetof(struct config, webhooks)
#define OFFSET_log offsetof(struct config, log)
#define OFFSET_server offsetof(struct config, server)

#define FAMILY_listener &listeners
#define FAMILY_issuer &issuers
#define FAMILY_streams NULL
#define FAMILY_journal NULL
#define FAMILY_publish NULL
#define FAMILY_auth NULL
#define FAMILY_limits NULL
#define FAMILY_http NULL
#define FAMILY_webhooks NULL
#define FAMILY_log NULL
#define FAMILY_server NULL

const struct config_section config_sections[CONFIG_SECTION_COUNT] = {
#define SECTION(section, help) {#section, help, OFFSET_##section, FAMILY_##section},
#define OPTION(section, key, type, field, fallback, allowed, help)
#include "config/options.def"
#undef SECTION
#undef OPTION
};

#define RANGE(least, most) .low = (least), .high = (most)
#define WORDS(list) .words = (list)
#define ANY .low = NULL
#define LIVE .is_live = true,

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
