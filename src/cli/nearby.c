/* nearby.c - see the header. */
#include "nearby_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "auth/signer.h"
#include "cli/commands.h"
#include "token_claims_priv.h"

enum { TOKEN_TTL_MS = 24 * 3600 * 1000 };

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* A configuration that nobody has named need not be there, nor be for our eyes. */
static bool is_readable(const struct configured *c)
{
    const char *path = config_file_of(c->file);

    return configured_is_named(c) || (path != NULL && access(path, R_OK) == 0);
}

static const struct config_listener *find_listener(const struct config *cfg, enum config_role role)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        if ((cfg->listeners[i].role & role) != 0)
            return &cfg->listeners[i];
    return NULL;
}

/* The address as a client has it: what listens everywhere is reached on the loopback. */
static void add_url(struct buf *out, const char *address)
{
    static const struct {
        const char *any;
        const char *loopback;
    } hosts[] = {{"*:", "127.0.0.1:"}, {"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}};
    const char *host = "";

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t n = strlen(hosts[i].any);

        if (strncmp(address, hosts[i].any, n) == 0) {
            host = hosts[i].loopback;
            address += n;
            break;
        }
    }
    buf_printf(out, "http://%s%s", host, address);
}

static int take_address(struct nearby *n, const struct command *command, struct remote *remote)
{
    const struct config_listener *l = find_listener(&n->configured.config, n->role);
    const char *path;

    if (l == NULL) {
        complain(command, "no listener of the configuration has the role %s; --url or --unix says "
                          "where to connect",
                 n->role == CONFIG_ROLE_INTERNAL ? "internal" : "public");
        return EXIT_USAGE;
    }
    path = strncmp(l->address, "unix:", 5) == 0 ? l->address + 5 : NULL;
    if (path != NULL)
        buf_add_text(&n->address, path);
    else
        add_url(&n->address, l->address);
    buf_add_char(&n->address, '\0');
    if (n->address.failed) {
        complain(command, "no memory");
        return EXIT_REFUSED;
    }
    *(path != NULL ? &remote->unix_path : &remote->url) = n->address.p;
    return -1;
}

static bool wants_tokens(const struct config_auth *auth, enum config_role role)
{
    return role == CONFIG_ROLE_INTERNAL ? (auth->publish & CONFIG_BY_JWT) != 0
                                        : auth->subscribe == CONFIG_SUBSCRIBE_JWT;
}

/* Nothing is made where the configuration has no secret, or none that we may read: the daemon tells
 * then what it wants. */
static void make_token(struct nearby *n, struct remote *remote)
{
    static const char *everything[] = {"user:*", "topic:*", "broadcast"};
    const struct config_tokens *wanted = &n->configured.config.auth.tokens;
    struct token_claims claims = {.ttl_ms = TOKEN_TTL_MS, .user = n->user};
    struct error why;
    struct signer *s;
    struct buf text = {0};

    if (wanted->jwt_key_file == NULL || !wants_tokens(&n->configured.config.auth, n->role) ||
        (s = signer_open(wanted->jwt_key_file, &why)) == NULL)
        return;
    if (n->topics != NULL)
        claims.topics = *n->topics;
    if (n->role == CONFIG_ROLE_INTERNAL)
        claims.publish = (struct text_list){.items = everything, .count = 3};
    n->token.len = 0;
    token_claims_add(&claims, wanted, &text);
    if (!text.failed &&
        signer_sign(s, slice_make(NULL, 0), buf_slice(&text), &n->token) == 0 &&
        buf_add_char(&n->token, '\0') == 0) {
        remote->token = n->token.p;
        n->has_made_token = true;
    }
    signer_destroy(s);
    buf_fini(&text);
}

int nearby_settle(struct nearby *n, const struct command *command, struct remote *remote)
{
    const char *env_url = getenv("SSE_NOTIFY_URL");
    const char *env_token = getenv("SSE_NOTIFY_TOKEN");
    bool has_address = remote->url != NULL || remote->unix_path != NULL || is_set(env_url);
    struct error why;
    int code = -1;

    if (has_address && configured_is_named(&n->configured))
        return wrong_usage(command, "--config is for where no address is given by --url, --unix or "
                                    "SSE_NOTIFY_URL");
    if (!has_address && is_readable(&n->configured)) {
        code = configured_read(&n->configured);
        if (code < 0)
            code = take_address(n, command, remote);
        if (code < 0 && remote->token == NULL && !is_set(env_token))
            make_token(n, remote);
    }
    if (code < 0 && remote_settle(remote, env_url, env_token, &why) != 0)
        code = wrong_usage(command, "%s", why.text);
    return code;
}

void nearby_renew(struct nearby *n, struct remote *remote)
{
    if (n->has_made_token)
        make_token(n, remote);
}

void nearby_fini(struct nearby *n)
{
    configured_fini(&n->configured);
    buf_fini(&n->address);
    if (n->token.p != NULL)
        explicit_bzero(n->token.p, n->token.len);
    buf_fini(&n->token);
}
