/* redis_url.c - where Redis is, as one line of the configuration has it. */
#include <stdlib.h>
#include <string.h>
#include "base/uri.h"
#include "redis_priv.h"

enum { DEFAULT_PORT = 6379, SENTINEL_PORT = 26379, MAX_DB = 1000000, MAX_SOCKET_PATH = 100 };

/* The text behind its percent-encoding, for the caller to free; NULL without memory, or where the
 * encoding is wrong, or hides a NUL. */
static char *decode(struct slice s)
{
    char *out = percent_is_valid(s) ? malloc(s.n + 1) : NULL;

    if (out == NULL)
        return NULL;
    s.n = percent_decode(s, false, out);
    out[s.n] = '\0';
    if (strlen(out) == s.n)
        return out;
    free(out);
    return NULL;
}

static int read_number(struct slice text, unsigned least, unsigned most, unsigned *out)
{
    uint64_t value;

    if (slice_to_u64(text, &value) != 0 || value < least || value > most)
        return -1;
    *out = (unsigned)value;
    return 0;
}

static int bad(struct error *why, const char *what)
{
    return error_set(why,
                     "journal.redis_url: %s; it looks like redis://user:password@host:6379/0 or "
                     "unix:///run/redis/redis.sock?db=0",
                     what);
}

static int read_login(struct redis_url *url, struct slice login, struct error *why)
{
    struct slice password = login;
    struct slice user = slice_cut(&password, ':');

    if (password.p == NULL) { /* redis://PASSWORD@host, as old clients have it */
        password = user;
        user = slice_make(NULL, 0);
    }
    if (user.n > 0 && (url->user = decode(user)) == NULL)
        return bad(why, "the user before the @ is not percent-encoded right");
    if (password.n > 0 && (url->password = decode(password)) == NULL)
        return bad(why, "the password before the @ is not percent-encoded right");
    return 0;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; url->port is the one without. */
static int read_host(struct redis_url *url, struct slice host, struct error *why)
{
    struct slice port;

    switch (authority_split(host, &host, &port)) {
    case AUTHORITY_UNCLOSED:
        return bad(why, "the ] behind the IPv6 address is missing");
    case AUTHORITY_BEHIND_BRACKET:
        return bad(why, "a :PORT is expected behind the ]");
    case AUTHORITY_GOOD:
        break;
    }
    if (port.n > 0 && read_number(port, 1, 65535, &url->port) != 0)
        return bad(why, "the port must be a number from 1 to 65535");
    if (host.n == 0)
        return bad(why, "the host is missing");
    url->host = decode(host);
    return url->host != NULL ? 0 : bad(why, "the host is not percent-encoded right");
}

static int read_tcp(struct redis_url *url, struct slice rest, struct error *why)
{
    const char *at = memrchr(rest.p, '@', rest.n);
    struct slice db;

    if (at != NULL) {
        if (read_login(url, slice_make(rest.p, (size_t)(at - rest.p)), why) != 0)
            return -1;
        rest = slice_make(at + 1, (size_t)(rest.p + rest.n - at - 1));
    }
    db = rest;
    rest = slice_cut(&db, '/');
    if (db.n > 0 && read_number(db, 0, MAX_DB, &url->db) != 0)
        return bad(why, "the database behind the / must be a number");
    return read_host(url, rest, why);
}

static int read_unix(struct redis_url *url, struct slice rest, struct error *why)
{
    struct slice query = rest;
    struct slice path = slice_cut(&query, '?');

    if (query.n > 0 && (query.n < 4 || memcmp(query.p, "db=", 3) != 0 ||
                        read_number(slice_make(query.p + 3, query.n - 3), 0, MAX_DB, &url->db)))
        return bad(why, "only ?db=NUMBER may stand behind the path");
    if (path.n < 2 || path.p[0] != '/' || path.n > MAX_SOCKET_PATH)
        return bad(why, "the socket needs an absolute path of at most 100 bytes");
    url->path = decode(path);
    return url->path != NULL ? 0 : bad(why, "the path is not percent-encoded right");
}

/* Takes `start` off the text, if it is there. */
static bool begins_with(struct slice *text, const char *start)
{
    size_t n = strlen(start);

    if (text->n < n || memcmp(text->p, start, n) != 0)
        return false;
    *text = slice_make(text->p + n, text->n - n);
    return true;
}

static int refuse_tls(const char *option, struct error *why)
{
    return error_set(why, "%s: the hiredis of this system has no TLS: let stunnel speak TLS to the "
                          "server, and give its local address as redis://127.0.0.1:PORT",
                     option);
}

int redis_url_read(struct redis_url *url, struct slice text, struct error *why)
{
    int status;

    *url = (struct redis_url){.port = DEFAULT_PORT};
    if (begins_with(&text, "redis://"))
        status = read_tcp(url, text, why);
    else if (begins_with(&text, "unix://"))
        status = read_unix(url, text, why);
    else if (begins_with(&text, "rediss://"))
        status = refuse_tls("journal.redis_url", why);
    else
        status = bad(why, "it must begin with redis:// or unix://");
    if (status != 0)
        redis_url_fini(url);
    return status;
}

int redis_url_read_sentinel(struct redis_url *url, struct slice text, struct error *why)
{
    struct error detail;
    int status;

    *url = (struct redis_url){.port = SENTINEL_PORT};
    if (begins_with(&text, "rediss://"))
        return refuse_tls("journal.redis_sentinels", why);
    (void)begins_with(&text, "redis://");
    status = read_tcp(url, text, &detail);
    if (status != 0 || url->db != 0) {
        redis_url_fini(url);
        return error_set(why, "journal.redis_sentinels: each must look like 10.0.0.5:26379, or "
                              "redis://user:password@10.0.0.5:26379 with parts percent-encoded");
    }
    return 0;
}

void redis_url_fini(struct redis_url *url)
{
    if (url->password != NULL)
        explicit_bzero(url->password, strlen(url->password));
    free(url->host);
    free(url->path);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){.port = 0};
}
