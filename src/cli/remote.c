/* remote.c - nothing here connects; http_client.c does. */
#include "remote_priv.h"

#include <errno.h>
#include <string.h>

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* Refuses what would end a header line, or the part of the address that we add to. The URL is not
 * repeated in the complaint: it may hold a password. */
static int check_url(const char *url, struct error *why)
{
    const char *scheme_end = strstr(url, "://");

    if (scheme_end != NULL && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return error_set(why, "--url and SSE_NOTIFY_URL must begin with http:// or https://");
    if (slice_has_control(slice_of(url)) || strpbrk(url, " ?#") != NULL)
        return error_set(why, "--url and SSE_NOTIFY_URL take no query, no fragment and no blanks");
    return 0;
}

int remote_settle(struct remote *remote, const char *env_url, const char *env_token,
                  struct error *why)
{
    if (remote->url == NULL && is_set(env_url))
        remote->url = env_url;
    if (remote->url == NULL)
        remote->url = is_set(remote->unix_path) ? "http://localhost" : "http://127.0.0.1:8080";
    if (remote->token == NULL && is_set(env_token))
        remote->token = env_token;
    if (remote->unix_path != NULL && remote->unix_path[strspn(remote->unix_path, "@")] == '\0')
        return error_set(why, "--unix needs the path of a socket");
    if (remote->token != NULL && (!is_set(remote->token) || strchr(remote->token, ' ') != NULL ||
                                  slice_has_control(slice_of(remote->token))))
        return error_set(why, "the token must be one word without control characters");
    return check_url(remote->url, why);
}

static void add_base(const struct remote *remote, struct buf *out)
{
    struct slice base = slice_of(remote->url);

    while (base.n > 0 && base.p[base.n - 1] == '/')
        base.n--;
    if (strstr(remote->url, "://") == NULL)
        buf_add_text(out, "http://");
    buf_add_slice(out, base);
}

/* Percent-encodes all but the unreserved characters of RFC 3986 2.3. */
static void add_encoded(struct buf *out, const char *text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    /* A path segment of only dots would be taken for a step between folders. */
    bool is_dots = text[strspn(text, ".")] == '\0';

    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL && !is_dots)
            buf_add_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

static int finish(struct buf *out)
{
    buf_add_char(out, '\0');
    return out->failed ? -ENOMEM : 0;
}

int remote_url(const struct remote *remote, const char *path, struct buf *out)
{
    out->len = 0;
    add_base(remote, out);
    buf_add_text(out, path);
    return finish(out);
}

int remote_stream_url(const struct remote *remote, const char *user,
                      const struct text_list *topics, bool from_earliest, struct buf *out)
{
    char mark = '?';

    out->len = 0;
    add_base(remote, out);
    buf_add_text(out, "/notifications/");
    add_encoded(out, user);
    for (size_t i = 0; i < topics->count; i++) {
        buf_add_char(out, mark);
        buf_add_text(out, "topic=");
        add_encoded(out, topics->items[i]);
        mark = '&';
    }
    if (from_earliest) {
        buf_add_char(out, mark);
        buf_add_text(out, "last_event_id=earliest");
    }
    return finish(out);
}
