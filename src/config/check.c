/* check.c - what holds between settings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "config_priv.h"
#include "value_priv.h"

/* ---- listeners ---- */

/* Port 0 is another port each time; a Unix socket's path may end as it likes. */
static bool is_taken_once(const char *address)
{
    size_t n = strlen(address);

    return strncmp(address, "unix:", 5) == 0 || n < 2 || strcmp(address + n - 2, ":0") != 0;
}

static int check_listener(struct config *cfg, size_t i, struct config_errors *errors)
{
    struct config_listener *l = &cfg->listeners[i];
    struct config_place place = {CONFIG_SECTION_listener, l};
    const struct config_option *address = &config_options[CONFIG_listener_address];
    int rc;

    if (l->address == NULL && strcmp(l->name, CONFIG_DEFAULT_LISTENER) == 0) {
        rc = config_store(cfg, &place, address, slice_of(address->fallback), NULL, errors);
        if (rc != 0)
            return rc;
    }
    if (l->address == NULL && l->is_address_wrong)
        return -EINVAL; /* that was said already */
    if (l->address == NULL)
        return config_error(errors, l->origin,
                            "[listener.%s]: has no address; add one, such as address = %s",
                            l->name, address->fallback);
    for (size_t j = 0; j < i; j++)
        if (cfg->listeners[j].address != NULL && is_taken_once(l->address) &&
            strcmp(l->address, cfg->listeners[j].address) == 0)
            return config_error(errors, l->origin,
                                "[listener.%s] address = %s: is the address of [listener.%s] too",
                                l->name, l->address, cfg->listeners[j].name);
    return 0;
}

/* Who is believed must be known. */
static int check_proxies(const struct config *cfg, struct config_errors *errors)
{
    for (size_t i = 0; i < cfg->listener_count; i++) {
        const struct config_listener *l = &cfg->listeners[i];

        if (l->proxy_protocol && l->address != NULL && strncmp(l->address, "unix:", 5) != 0 &&
            cfg->http.trusted_proxies.count == 0)
            return config_error(errors, l->origin,
                                "[listener.%s] proxy_protocol = yes: whose header is believed must "
                                "be told too; set [http] trusted_proxies", l->name);
    }
    return 0;
}

/* ---- sizes and places ---- */

static int check_payload(const struct config *cfg, struct config_errors *errors)
{
    const char *payload_origin = cfg->origins[CONFIG_publish_max_payload];
    char payload[VALUE_FORMAT_SIZE];
    char body[VALUE_FORMAT_SIZE];

    if (cfg->publish.max_payload_bytes <= cfg->publish.max_body_bytes)
        return 0;
    value_format_size(cfg->publish.max_payload_bytes, payload);
    value_format_size(cfg->publish.max_body_bytes, body);
    if (payload_origin != NULL)
        return config_error(errors, payload_origin,
                            "[publish] max_payload = %s: must not be larger than max_body (%s)",
                            payload, body);
    return config_error(errors, cfg->origins[CONFIG_publish_max_body],
                        "[publish] max_body = %s: must not be smaller than max_payload (%s)", body,
                        payload);
}

/* Where the journal is when nothing says it (systemd.exec(5), and the XDG base directories). */
static int default_path(struct config *cfg, struct config_errors *errors)
{
    const char *state = getenv("STATE_DIRECTORY");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    struct buf path = {0};

    if (state != NULL && state[0] == '/')
        buf_add(&path, state, strcspn(state, ":"));
    else if (geteuid() == 0)
        buf_add_text(&path, "/var/lib/sse-notify");
    else if (xdg != NULL && xdg[0] == '/')
        buf_printf(&path, "%s/sse-notify", xdg);
    else if (home != NULL && home[0] == '/')
        buf_printf(&path, "%s/.local/state/sse-notify", home);
    else
        return config_error(errors, NULL,
                            "[journal] path: there is no home directory to put it in; set it, or "
                            "type = memory");
    buf_add_char(&path, '\0');
    if (path.failed)
        return config_no_memory(errors);
    cfg->journal.path = path.p;
    free(cfg->origins[CONFIG_journal_path]); /* `path =` says as much as nothing */
    cfg->origins[CONFIG_journal_path] = NULL;
    return 0;
}

/* What this daemon is called among those that share a record, when nothing says it. */
static int name_node(struct config *cfg, struct config_errors *errors)
{
    char host[256] = "node";

    if (cfg->journal.node_name != NULL)
        return 0;
    (void)gethostname(host, sizeof host - 1);
    cfg->journal.node_name = strdup(host);
    return cfg->journal.node_name == NULL ? config_no_memory(errors) : 0;
}

static int check_journal(struct config *cfg, struct config_errors *errors)
{
    uint64_t share = cfg->limits.max_memory_bytes / 4;
    char size[VALUE_FORMAT_SIZE];

    if (cfg->journal.type == CONFIG_JOURNAL_MEMORY && share > 0 &&
        cfg->origins[CONFIG_journal_keep_bytes] == NULL && cfg->journal.keep_bytes > share)
        cfg->journal.keep_bytes = share;
    if (name_node(cfg, errors) != 0)
        return -1;
    if (cfg->journal.window_bytes > cfg->journal.keep_bytes)
        cfg->journal.window_bytes = cfg->journal.keep_bytes;
    if (cfg->journal.type != CONFIG_JOURNAL_DISK)
        return 0;
    if (cfg->journal.keep_bytes < CONFIG_MIN_DISK_BYTES) {
        value_format_size(cfg->journal.keep_bytes, size);
        return config_error(errors, cfg->origins[CONFIG_journal_keep_bytes],
                            "[journal] keep_bytes = %s: must be at least 1MiB with type = disk",
                            size);
    }
    return cfg->journal.path == NULL ? default_path(cfg, errors) : 0;
}

int config_check_memory(const struct config *cfg, const struct config_journal *journal,
                        struct config_errors *errors)
{
    bool is_kept_there = journal->type == CONFIG_JOURNAL_MEMORY;
    uint64_t kept = 2 * (journal->window_bytes + (is_kept_there ? journal->keep_bytes : 0));
    uint64_t body = 8 * cfg->publish.max_body_bytes;
    uint64_t least = kept > body ? kept : body;
    const char *origin = cfg->origins[CONFIG_limits_max_memory];
    char size[VALUE_FORMAT_SIZE];
    char needed[VALUE_FORMAT_SIZE];

    if (cfg->limits.max_memory_bytes == 0 || cfg->limits.max_memory_bytes >= least)
        return 0;
    value_format_size(cfg->limits.max_memory_bytes, size);
    value_format_size(least, needed);
    if (origin == NULL && kept > body && is_kept_there)
        origin = cfg->origins[CONFIG_journal_keep_bytes];
    if (origin == NULL)
        origin = cfg->origins[kept > body ? CONFIG_journal_window : CONFIG_publish_max_body];
    return config_error(errors, origin,
                        "[limits] max_memory = %s: must be at least %s, %s", size, needed,
                        kept <= body    ? "eight times [publish] max_body"
                        : is_kept_there ? "twice [journal] window and keep_bytes of type = memory"
                                        : "twice [journal] window");
}

/* ---- who makes tokens ---- */

/* An issuer of tokens as sentences name it. */
struct issuer_place {
    const struct config_tokens *tokens;
    char name[CONFIG_PLACE_SIZE]; /* "[auth]", "[issuer.partner]" */
    const char *origin;
};

static struct issuer_place issuer_place(const struct config *cfg, size_t i)
{
    struct issuer_place p = {&cfg->auth.tokens, "[auth]", cfg->origins[CONFIG_auth_issuer]};

    if (i == 0)
        return p;
    p.tokens = &cfg->issuers[i - 1].tokens;
    p.origin = cfg->issuers[i - 1].origin;
    snprintf(p.name, sizeof p.name, "[issuer.%s]", cfg->issuers[i - 1].name);
    return p;
}

static int count_key_sources(const struct config_tokens *t)
{
    return (t->jwt_key_file != NULL) + (t->jwks_file != NULL) + (t->jwks_url != NULL);
}

bool config_has_keys(const struct config_tokens *t)
{
    return count_key_sources(t) > 0;
}

static bool has_issuers(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->issuer_count; i++)
        if (config_has_keys(&cfg->issuers[i].tokens))
            return true;
    return false;
}

/* Looks at one alone: 0 is that of [auth]. */
static int check_issuer(const struct config *cfg, size_t i, struct config_errors *errors)
{
    struct issuer_place p = issuer_place(cfg, i);
    int sources = count_key_sources(p.tokens);

    if (sources > 1)
        return config_error(errors, p.origin,
                            "%s: has more than one of jwt_key_file, jwks_file and jwks_url; an "
                            "issuer's keys come from one place",
                            p.name);
    if (i > 0 && sources == 0 && (p.tokens->issuer != NULL || p.tokens->audience != NULL))
        return config_error(errors, p.origin,
                            "%s: needs keys to check its tokens with: one of jwt_key_file, "
                            "jwks_file and jwks_url",
                            p.name);
    if (sources == 1 && p.tokens->issuer == NULL && (i > 0 || has_issuers(cfg)))
        return config_error(errors, p.origin,
                            "%s: needs issuer, the iss of its tokens: there are several issuers",
                            p.name);
    return 0;
}

static int check_issuers(const struct config *cfg, struct config_errors *errors)
{
    int worst = 0;

    for (size_t i = 0; i <= cfg->issuer_count; i++) {
        struct issuer_place p = issuer_place(cfg, i);
        int rc = check_issuer(cfg, i, errors);

        worst = rc != 0 ? rc : worst;
        for (size_t j = 0; j < i && p.tokens->issuer != NULL; j++) {
            struct issuer_place other = issuer_place(cfg, j);

            if (other.tokens->issuer != NULL &&
                strcmp(p.tokens->issuer, other.tokens->issuer) == 0)
                worst = config_error(errors, p.origin, "%s issuer = %s: is the issuer of %s too",
                                     p.name, p.tokens->issuer, other.name);
        }
    }
    return worst;
}

static int check_auth(const struct config *cfg, struct config_errors *errors)
{
    bool has_keys = config_has_keys(&cfg->auth.tokens) || has_issuers(cfg);
    bool by_jwt = (cfg->auth.publish & CONFIG_BY_JWT) != 0;
    int worst = check_issuers(cfg, errors);

    if (!has_keys && (cfg->auth.subscribe == CONFIG_SUBSCRIBE_JWT || by_jwt))
        worst = config_error(errors,
                             by_jwt ? cfg->origins[CONFIG_auth_publish]
                                    : cfg->origins[CONFIG_auth_subscribe],
                             "[auth] %s = jwt: needs keys to check tokens with; set jwt_key_file, "
                             "jwks_file or jwks_url",
                             by_jwt ? "publish" : "subscribe");
    if ((cfg->auth.publish & CONFIG_BY_KEY) != 0 && cfg->auth.publish_keys_file == NULL)
        worst = config_error(errors, cfg->origins[CONFIG_auth_publish],
                             "[auth] publish = key: needs publish_keys_file; `sse-notify key add "
                             "NAME` puts the first key there");
    return worst;
}

int config_check_open(const struct config *cfg, const struct config_listener *l,
                      struct error *why)
{
    if ((l->role & CONFIG_ROLE_PUBLIC) != 0 && cfg->auth.subscribe == CONFIG_SUBSCRIBE_NONE &&
        !cfg->streams.allow_anonymous)
        return error_set(why,
                         "listener.%s.address = %s: other machines can reach it, and its streams "
                         "need no credential; set auth.subscribe = jwt, or "
                         "streams.allow_anonymous = yes if that is meant, or listen on 127.0.0.1",
                         l->name, l->address);
    if ((l->role & CONFIG_ROLE_INTERNAL) != 0 && cfg->auth.publish == 0 &&
        !cfg->publish.allow_anonymous)
        return error_set(why,
                         "listener.%s.address = %s: other machines can reach it, and publishing "
                         "needs no credential; set auth.publish = key, or "
                         "publish.allow_anonymous = yes if that is meant, or role = public, or "
                         "listen on 127.0.0.1",
                         l->name, l->address);
    return 0;
}

static int check_webhooks(const struct config *cfg, struct config_errors *errors)
{
    if (cfg->webhooks.url == NULL || cfg->webhooks.secret_file != NULL)
        return 0;
    return config_error(errors, cfg->origins[CONFIG_webhooks_url],
                        "[webhooks] url: needs secret_file, by which the receiver knows who has "
                        "sent; `(printf whsec_; openssl rand -base64 32) >FILE` makes one");
}

/* ---- all of it ---- */

int config_check(struct config *cfg, struct config_errors *errors)
{
    struct config_place place;
    int worst = 0;
    int rc;

    if (cfg->listener_count == 0)
        worst = config_find_place(cfg, SLICE_LITERAL("listener." CONFIG_DEFAULT_LISTENER), NULL,
                                  errors, &place);
    for (size_t i = 0; i < cfg->listener_count; i++) {
        rc = check_listener(cfg, i, errors);
        worst = rc != 0 ? rc : worst;
    }
    rc = check_proxies(cfg, errors);
    worst = rc != 0 ? rc : worst;
    rc = check_payload(cfg, errors);
    worst = rc != 0 ? rc : worst;
    rc = check_auth(cfg, errors);
    worst = rc != 0 ? rc : worst;
    rc = check_webhooks(cfg, errors);
    worst = rc != 0 ? rc : worst;
    rc = check_journal(cfg, errors);
    worst = rc != 0 ? rc : worst;
    rc = config_check_memory(cfg, &cfg->journal, errors);
    return rc != 0 ? rc : worst;
}
