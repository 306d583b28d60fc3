/* request.c - a decoded part stands in `scratch` where the raw one stands in path and query, so
 * that walking the query again writes the same bytes to the same place. */
#include "http/request.h"

#include <errno.h>
#include <stdlib.h>
#include "base/uri.h"
#include "base/word.h"
#include "request_priv.h"

struct http_request *request_create(size_t max_head, size_t max_body)
{
    struct http_request *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->reader = h1_create(max_head, max_body);
    if (r->reader == NULL) {
        free(r);
        return NULL;
    }
    r->method = HTTP_OTHER;
    return r;
}

void request_destroy(struct http_request *r)
{
    if (r == NULL)
        return;
    h1_destroy(r->reader);
    buf_fini(&r->headers);
    free(r);
}

void request_reset(struct http_request *r)
{
    struct h1 *reader = r->reader;
    struct buf headers = r->headers;
    size_t counted = r->counted;

    h1_reset(reader, REQUEST_KEEP_ARENA);
    if (headers.cap > REQUEST_KEEP_ARENA)
        buf_fini(&headers);
    headers.len = 0;
    headers.failed = false;
    *r = (struct http_request){
        .reader = reader, .headers = headers, .counted = counted, .method = HTTP_OTHER};
}

static enum http_method method_of(struct slice name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {
        {"GET", HTTP_GET},     {"POST", HTTP_POST},       {"HEAD", HTTP_HEAD}, {"PUT", HTTP_PUT},
        {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS}, {"PATCH", HTTP_PATCH},
    };

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (slice_is(name, methods[i].name))
            return methods[i].method;
    return HTTP_OTHER;
}

/* Cuts the scheme and the authority off an absolute-form target ("http://host:1/path?query");
 * {NULL, 0} if it has none. Source: RFC 9112 3.2.2. */
static struct slice cut_authority(struct slice *target)
{
    size_t from = 0;
    size_t n;

    if (target->n > 7 && strncasecmp(target->p, "http://", 7) == 0)
        from = 7;
    else if (target->n > 8 && strncasecmp(target->p, "https://", 8) == 0)
        from = 8;
    n = from;
    while (from > 0 && n < target->n && target->p[n] != '/' && target->p[n] != '?')
        n++;
    if (n == from)
        return slice_make(NULL, 0);
    *target = slice_make(target->p + n, target->n - n);
    return slice_make(target->p - (n - from), n - from);
}

static bool has_odd_byte(struct slice s)
{
    size_t i = 0;

    for (; s.n - i >= WORD_SIZE; i += WORD_SIZE) {
        uint64_t w = word_load(s.p + i);

        if ((word_below(w, 0x21) | word_high(w) | word_equal(w, 0x7f) | word_equal(w, '#')) != 0)
            return true;
    }
    for (; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '#')
            return true;
    return false;
}

static struct h1_span span_of(const struct h1_message *m, struct slice s)
{
    if (s.n == 0)
        return (struct h1_span){0, 0};
    return (struct h1_span){(uint32_t)(s.p - m->arena.p), (uint32_t)s.n};
}

static int refuse(const char **detail, const char *line)
{
    *detail = line;
    return 400;
}

/* A whole URL as the target: its authority counts, and not what Host says. */
static int read_absolute(struct h1_message *m, struct slice *target, const char **detail)
{
    struct slice authority = cut_authority(target);

    if (authority.p == NULL)
        return refuse(detail, "The target must begin with a slash, or be a whole http URL.");
    if (!h1_is_host(authority))
        return refuse(detail, "The target's authority is not a host name.");
    m->host = span_of(m, authority);
    return 0;
}

int request_on_head(struct http_request *r, const char **detail)
{
    struct h1_message *m = h1_message(r->reader);
    struct slice target = h1_slice(m, m->target);
    struct slice path;

    r->method = method_of(h1_slice(m, m->method));
    if (has_odd_byte(target))
        return refuse(detail, "The target must be ASCII without blanks and fragment: "
                              "percent-encode other characters.");
    if (target.p[0] != '/' && !(slice_is(target, "*") && r->method == HTTP_OPTIONS) &&
        read_absolute(m, &target, detail) != 0)
        return 400;
    path = slice_cut(&target, '?');
    if (!percent_is_valid(path))
        return refuse(detail, "A percent sign in the path must be followed by two hex digits.");
    r->path = span_of(m, path);
    r->query = span_of(m, target);
    return 0;
}

/* Whether percent_decode would change something. */
static bool is_encoded(struct slice s)
{
    return s.n > 0 && (memchr(s.p, '%', s.n) != NULL || memchr(s.p, '+', s.n) != NULL);
}

int request_on_done(struct http_request *r)
{
    struct buf *arena = &h1_message(r->reader)->arena;

    if (!is_encoded(http_request_path(r)) && !is_encoded(http_request_query(r)))
        return 0;
    if (buf_reserve(arena, (size_t)r->path.n + r->query.n) != 0)
        return -ENOMEM;
    r->scratch = arena->p + arena->len;
    return 0;
}

void request_set_params(struct http_request *r, const struct slice *raw, size_t count)
{
    struct slice path = http_request_path(r);

    r->param_count = count;
    for (size_t i = 0; i < count; i++) {
        r->params[i] = raw[i];
        if (memchr(raw[i].p, '%', raw[i].n) != NULL) {
            r->params[i].p = r->scratch + (raw[i].p - path.p);
            r->params[i].n = percent_decode(raw[i], false, r->scratch + (raw[i].p - path.p));
        }
    }
}

enum http_method http_request_method(const struct http_request *r)
{
    return r->method;
}

struct slice http_request_path(const struct http_request *r)
{
    return r->path.n == 0 ? SLICE_LITERAL("/") : h1_slice(h1_message(r->reader), r->path);
}

struct slice http_request_query(const struct http_request *r)
{
    return h1_slice(h1_message(r->reader), r->query);
}

struct slice http_request_body(const struct http_request *r)
{
    const struct h1_message *m = h1_message(r->reader);

    return h1_slice(m, m->body);
}

int http_request_minor(const struct http_request *r)
{
    return h1_message(r->reader)->minor;
}

enum http_role http_request_role(const struct http_request *r)
{
    return r->role;
}

bool http_request_is_local(const struct http_request *r)
{
    return r->is_local;
}

const struct peer *http_request_peer(const struct http_request *r)
{
    return &r->peer;
}

struct slice http_request_param(const struct http_request *r, int i)
{
    if (i < 0 || (size_t)i >= r->param_count)
        return slice_make(NULL, 0);
    return r->params[i];
}

static struct slice header_value(const struct h1_message *m, size_t i)
{
    struct slice value = slice_trim(h1_slice(m, m->fields[i].value));

    return value.p == NULL ? slice_make("", 0) : value; /* empty is not absent */
}

struct slice http_request_header(const struct http_request *r, const char *name)
{
    const struct h1_message *m = h1_message(r->reader);
    size_t n = strlen(name);

    for (size_t i = 0; i < m->field_count; i++)
        if (m->fields[i].name.n == n &&
            strncasecmp(m->arena.p + m->fields[i].name.at, name, n) == 0)
            return header_value(m, i);
    return slice_make(NULL, 0);
}

struct slice http_request_host(const struct http_request *r)
{
    const struct h1_message *m = h1_message(r->reader);

    return slice_make(m->host.at == 0 ? NULL : m->arena.p + m->host.at, m->host.n);
}

struct slice http_request_header_last(const struct http_request *r, const char *name)
{
    const struct h1_message *m = h1_message(r->reader);

    for (size_t i = m->field_count; i > 0; i--)
        if (slice_is_nocase(h1_slice(m, m->fields[i - 1].name), name))
            return header_value(m, i - 1);
    return slice_make(NULL, 0);
}

void http_request_set_peer(struct http_request *r, const struct peer *peer)
{
    r->peer = *peer;
}

static struct slice decoded(const struct http_request *r, struct slice query, struct slice raw)
{
    char *out;

    if (!is_encoded(raw))
        return raw;
    out = r->scratch + r->path.n + (raw.p - query.p);
    return slice_make(out, percent_decode(raw, true, out));
}

bool http_request_query_next(const struct http_request *r, size_t *cursor, struct slice *name,
                             struct slice *value)
{
    struct slice query = http_request_query(r);

    while (*cursor < query.n) {
        struct slice rest = slice_make(query.p + *cursor, query.n - *cursor);
        struct slice member = slice_cut(&rest, '&');

        *cursor += member.n + 1;
        if (member.n == 0)
            continue;
        *name = decoded(r, query, slice_cut(&member, '='));
        *value = decoded(r, query, member);
        return true;
    }
    return false;
}

void http_request_on_abandoned(struct http_request *r, http_abandoned_fn *on_abandoned, void *ctx)
{
    r->on_abandoned = on_abandoned;
    r->abandoned_ctx = ctx;
}
