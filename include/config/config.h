/* config.h - what the daemon was told to do: one struct, filled from four places.
 *
 * Weakest first: the defaults of options.def, the file, the environment, -o. Mistakes are
 * collected as sentences, so that a person mends a file in one go. All strings and lists here are
 * owned by the config and live until config_fini. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"

#define CONFIG_DEFAULT_PATH "/etc/sse-notify/sse-notify.conf"
#define CONFIG_DEFAULT_LISTENER "default"

enum {
    CONFIG_MAX_LISTENERS = 16,
    CONFIG_MAX_ISSUERS = 8,        /* besides the one of [auth] */
    CONFIG_MAX_FILE = 1024 * 1024, /* bytes */
    CONFIG_MAX_LIST = 64,          /* items in a list */
    CONFIG_MAX_ERRORS = 20,        /* sentences kept; more are counted */
};

/* One name an option: CONFIG_streams_heartbeat. */
enum config_option_id {
#define SECTION(section, help)
#define OPTION(section, key, type, field, fallback, allowed, help) CONFIG_##section##_##key,
#include "config/options.def"
#undef SECTION
#undef OPTION
    CONFIG_OPTION_COUNT
};

enum config_role { CONFIG_ROLE_PUBLIC = 1, CONFIG_ROLE_INTERNAL = 2, CONFIG_ROLE_ALL = 3 };
enum config_overflow {
    CONFIG_OVERFLOW_CATCHUP,
    CONFIG_OVERFLOW_DROP_OLDEST,
    CONFIG_OVERFLOW_DISCONNECT
};
#define CONFIG_MIN_DISK_BYTES ((uint64_t)1 << 20)

enum config_journal_type { CONFIG_JOURNAL_DISK, CONFIG_JOURNAL_MEMORY, CONFIG_JOURNAL_REDIS };
enum config_uring { CONFIG_URING_AUTO, CONFIG_URING_ON, CONFIG_URING_OFF };
enum config_sync { CONFIG_SYNC_ALWAYS, CONFIG_SYNC_INTERVAL, CONFIG_SYNC_NEVER };

enum config_proxy_header { CONFIG_X_FORWARDED_FOR, CONFIG_FORWARDED };

enum config_subscribe { CONFIG_SUBSCRIBE_NONE, CONFIG_SUBSCRIBE_JWT };

/* Sets of bits: what a publish may show, and the algorithms of tokens. */
enum config_publish_by { CONFIG_BY_KEY = 1, CONFIG_BY_JWT = 2 };
enum config_algorithm {
    CONFIG_HS256 = 1 << 0,
    CONFIG_HS384 = 1 << 1,
    CONFIG_HS512 = 1 << 2,
    CONFIG_RS256 = 1 << 3,
    CONFIG_RS384 = 1 << 4,
    CONFIG_RS512 = 1 << 5,
    CONFIG_PS256 = 1 << 6,
    CONFIG_PS384 = 1 << 7,
    CONFIG_PS512 = 1 << 8,
    CONFIG_ES256 = 1 << 9,
    CONFIG_ES384 = 1 << 10,
    CONFIG_EDDSA = 1 << 11,
};

struct config_list {
    char **items; /* `count` terminated strings */
    size_t count;
};

struct config_listener {
    char *name;
    char *origin;  /* where it was first named, as in sentences: "FILE:12" */
    char *address; /* after config_check never NULL: HOST:PORT, *:PORT or unix:/PATH */
    enum config_role role;
    mode_t mode;   /* of a Unix socket's file */
    bool proxy_protocol;
    bool is_address_wrong; /* one was given and refused, which is among the errors */
};

struct config_streams {
    uint64_t heartbeat_ms;
    uint64_t retry_ms;
    uint32_t queue;                /* messages */
    enum config_overflow overflow;
    uint64_t max_streams;          /* this and the next two: 0 is no limit */
    uint64_t max_streams_per_user;
    uint64_t max_streams_per_ip;
    uint64_t max_age_ms;           /* 0: for ever */
    bool allow_anonymous;
};

struct config_journal {
    enum config_journal_type type;
    char *path;                    /* after config_check not NULL with a journal on disk */
    enum config_sync sync;
    uint64_t keep_ms;
    uint64_t keep_per_user;        /* messages */
    uint64_t keep_bytes;           /* of a journal on disk at least 1 MiB */
    uint64_t window_bytes;         /* after config_check at most keep_bytes */
    char *redis_url;               /* never NULL, nor are the names */
    char *redis_sentinels;         /* NULL: none */
    char *redis_sentinel_name;
    char *redis_prefix;
    uint64_t redis_timeout_ms;
    char *node_name;               /* after config_check not NULL */
};

struct config_publish {
    uint64_t max_payload_bytes;    /* after config_check at most max_body_bytes */
    uint64_t max_body_bytes;
    uint64_t idempotency_window_ms; /* 0: off */
    bool allow_anonymous;
};

/* Who makes tokens, and how they are to be. Texts are NULL where they are empty. */
struct config_tokens {
    char *jwt_key_file;            /* after config_check at most one of these three */
    char *jwks_file;
    char *jwks_url;                /* https, or http of this machine */
    char *issuer;
    char *audience;
    char *user_claim;
    uint64_t leeway_ms;
    unsigned algorithms;           /* CONFIG_HS256 and so on; 0: all that the keys are for */
};

struct config_auth {
    enum config_subscribe subscribe;
    unsigned publish;              /* CONFIG_BY_KEY, CONFIG_BY_JWT; 0: nothing is to be shown */
    char *cookie;                  /* NULL: none is looked for */
    char *publish_keys_file;
    uint64_t revocation_time_ms;
    struct config_tokens tokens;
};

struct config_issuer {
    char *name;
    char *origin;                  /* where it was first named, as in sentences: "FILE:12" */
    struct config_tokens tokens;   /* after config_check with keys and an issuer, or without any */
};

struct config_limits {
    uint64_t publishes_per_second_per_key; /* notifications; 0: no limit */
    uint64_t streams_per_second_per_ip;    /* 0: no limit */
    uint64_t max_memory_bytes;             /* 0: no limit; else as config_check_memory has it */
};

struct config_http {
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t max_header_bytes;
    /* Lower case, without the scheme's own port: "https://app.example.com:8443"; the host may
     * begin with "*." for all below it; or "*" alone for all. */
    struct config_list allowed_origins;
    struct config_list server_names;    /* lower case; "*.example.com" and "*" as above */
    struct config_list trusted_proxies; /* "192.0.2.1", "10.0.0.0/8", "fd00::/8" */
    enum config_proxy_header proxy_header;
};

struct config_webhooks {
    char *url;                     /* NULL: nobody is told */
    char *secret_file;             /* after config_check not NULL where there is a URL */
    uint64_t grace_ms;
    uint64_t timeout_ms;
    uint64_t keep_trying_ms;
    uint64_t queue;                /* users */
};

struct config_log {
    enum log_level level;
    enum log_format format;
    char *file;                    /* NULL: standard error */
};

struct config_server {
    uint64_t drain_time_ms;
    char *user;                    /* NULL: stay who we are */
    enum config_uring io_uring;
};

struct config {
    struct config_listener listeners[CONFIG_MAX_LISTENERS];
    size_t listener_count;         /* after config_check at least 1 */
    struct config_streams streams;
    struct config_journal journal;
    struct config_publish publish;
    struct config_auth auth;
    struct config_issuer issuers[CONFIG_MAX_ISSUERS];
    size_t issuer_count;
    struct config_limits limits;
    struct config_http http;
    struct config_webhooks webhooks;
    struct config_log log;
    struct config_server server;
    char *origins[CONFIG_OPTION_COUNT]; /* where each was last set ("FILE:12"); NULL: a default */
};

/* Sentences for the person who wrote the settings, in the order of the mistakes. All zero is
 * empty; owns nothing. */
struct config_errors {
    struct error items[CONFIG_MAX_ERRORS];
    size_t count;                  /* items filled */
    size_t more;                   /* mistakes past those */
};

/* Adds "ORIGIN: sentence"; a NULL origin leaves it and the colon out. Returns -EINVAL. */
int config_error(struct config_errors *errors, const char *origin, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes one sentence a line, and how many more there are. */
void config_errors_print(const struct config_errors *errors, FILE *out);

/* Sets everything to its default, without any listener: config_check adds the default one.
 * Returns 0, or -ENOMEM, and then there is nothing to end. Pair: config_fini. */
int config_init(struct config *cfg);

/* Frees what the config owns. All zero is allowed. */
void config_fini(struct config *cfg);

/* Each of the next four returns 0; -EINVAL when it added sentences to `errors`, and then the
 * settings that were right are made; or -ENOMEM, also with a sentence. */

/* Reads the file at `path`: at most CONFIG_MAX_FILE bytes. */
int config_read_file(struct config *cfg, const char *path, struct config_errors *errors);

/* Reads a file's content; `file` is its name in sentences. */
int config_read_text(struct config *cfg, const char *file, struct slice text,
                     struct config_errors *errors);

/* Reads SSE_NOTIFY_SECTION_KEY=value and SSE_NOTIFY_LISTENER_NAME_KEY=value of `environment`
 * (ends in NULL). A '-' of a listener's name is written '_'. Other variables are passed over, but
 * not those that look like a misspelt setting. */
int config_read_environment(struct config *cfg, char *const *environment,
                            struct config_errors *errors);

/* Sets one option: `path` is "section.key" or "listener.NAME.key". `origin` begins the sentences
 * and is remembered. */
int config_set(struct config *cfg, const char *path, const char *value, const char *origin,
               struct config_errors *errors);

/* Completes the config and checks what depends on several settings; to be called when all is
 * read. Without a listener there is then one, and the listener CONFIG_DEFAULT_LISTENER without
 * address has its default; a journal in memory keeps a quarter of max_memory by default, and the
 * window is cut to keep_bytes. Returns as the four above. */
int config_check(struct config *cfg, struct config_errors *errors);

/* Of a listener that other machines can reach: one whose routes ask for no credential is opened
 * only where the configuration says that it is meant so. Returns 0, or -1 with a sentence in
 * `why`. */
int config_check_open(const struct config *cfg, const struct config_listener *l,
                      struct error *why);

/* Whether it names a place for keys; without one nobody makes such tokens. */
bool config_has_keys(const struct config_tokens *tokens);

/* All of it, for a program's start: config_init, then `file` (NULL: CONFIG_DEFAULT_PATH if it
 * exists), the process's environment, the `count` overrides ("section.key=value"), config_check.
 * Returns 0; or -EINVAL or -ENOMEM with sentences in `errors`, and then `cfg` needs no
 * config_fini. */
int config_load(struct config *cfg, const char *file, const char *const *overrides, size_t count,
                struct config_errors *errors);

/* The file that config_load reads for `file`; NULL when it reads none. */
const char *config_file_of(const char *file);
#endif
