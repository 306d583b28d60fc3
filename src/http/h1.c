/* h1.c - llhttp decides where a message's parts begin and end; the checks here only ever refuse.
 *
 * The head is copied to the front of the arena as it comes, so an offset in the message is one in
 * the arena. The parser is paused at the end of the head and of the message, and started afresh
 * for each: it never sees two messages, and "upgrade" never takes hold of one. */
#include "h1_priv.h"

#include <llhttp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/word.h"

struct h1 {
    struct h1_message message;
    llhttp_t parser;
    size_t max_head;
    size_t max_body;
    size_t skipped;     /* bytes of empty lines before the request line */
    size_t framing;     /* bytes after the head that are not body */
    const char *base;   /* the bytes being parsed, while they are */
    size_t base_at;     /* where base[0] stands in the message */
    bool has_method;    /* the parser knew the method */
    bool has_head;
    bool is_whole;
    bool is_named;      /* the last field's name is whole, or there is no field yet */
    bool is_too_large;  /* why a callback refused: the body's length, */
    bool is_exhausted;  /* or no memory, */
    bool is_crowded;    /* or the number of fields */
};

static struct h1 *of_parser(llhttp_t *parser)
{
    return parser->data;
}

static uint32_t offset_of(const struct h1 *h, const char *at)
{
    return (uint32_t)(h->base_at + (size_t)(at - h->base));
}

static int on_method_complete(llhttp_t *parser)
{
    of_parser(parser)->has_method = true;
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct h1 *h = of_parser(parser);
    struct h1_message *m = &h->message;
    struct h1_span *name;

    if (h->has_head)
        return 0; /* a trailer: nobody here asks for them (RFC 9110 6.5.1) */
    if (m->field_count > 0 && !h->is_named) {
        name = &m->fields[m->field_count - 1].name;
        name->n = offset_of(h, at) + (uint32_t)n - name->at;
        return 0;
    }
    if (m->field_count == H1_MAX_FIELDS) {
        h->is_crowded = true;
        return HPE_USER;
    }
    m->fields[m->field_count++] =
        (struct h1_field){.name = {offset_of(h, at), (uint32_t)n}};
    h->is_named = false;
    return 0;
}

static int on_field_complete(llhttp_t *parser)
{
    struct h1 *h = of_parser(parser);

    h->is_named = true; /* an empty value has no piece at all */
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct h1 *h = of_parser(parser);
    struct h1_span *value;

    if (h->has_head || h->message.field_count == 0)
        return 0;
    value = &h->message.fields[h->message.field_count - 1].value;
    if (value->n == 0)
        value->at = offset_of(h, at);
    value->n = offset_of(h, at) + (uint32_t)n - value->at;
    return 0;
}

static int on_head(llhttp_t *parser)
{
    of_parser(parser)->has_head = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct h1 *h = of_parser(parser);
    struct h1_message *m = &h->message;

    if (n > h->max_body - m->body.n) {
        h->is_too_large = true;
        return HPE_USER;
    }
    if (buf_add(&m->arena, at, n) != 0) {
        h->is_exhausted = true;
        return HPE_USER;
    }
    m->body.n += (uint32_t)n;
    return 0;
}

static int on_message(llhttp_t *parser)
{
    of_parser(parser)->is_whole = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
    static llhttp_settings_t made;
    static bool is_made;

    if (!is_made) { /* by name: the struct differs from version to version */
        llhttp_settings_init(&made);
        made.on_method_complete = on_method_complete;
        made.on_header_field = on_field;
        made.on_header_field_complete = on_field_complete;
        made.on_header_value = on_value;
        made.on_headers_complete = on_head;
        made.on_body = on_body;
        made.on_message_complete = on_message;
        is_made = true;
    }
    return &made;
}

struct h1 *h1_create(size_t max_head, size_t max_body)
{
    struct h1 *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    h->max_head = max_head;
    h->max_body = max_body;
    h1_reset(h, 0);
    return h;
}

void h1_destroy(struct h1 *h)
{
    if (h == NULL)
        return;
    buf_fini(&h->message.arena);
    free(h);
}

void h1_set_limits(struct h1 *h, size_t max_head, size_t max_body)
{
    h->max_head = max_head;
    h->max_body = max_body;
}

void h1_reset(struct h1 *h, size_t keep)
{
    struct h1_message *m = &h->message;

    if (m->arena.cap > keep)
        buf_fini(&m->arena);
    m->arena.len = 0;
    m->arena.failed = false;
    m->method = m->target = m->host = m->body = (struct h1_span){0};
    m->minor = 1;
    m->is_persistent = false;
    m->framing = H1_NO_BODY;
    m->expect = H1_EXPECT_NOTHING;
    m->field_count = 0;
    m->status = 0;
    h->skipped = h->framing = 0;
    h->has_method = h->has_head = h->is_whole = false;
    h->is_named = true;
    h->is_too_large = h->is_exhausted = h->is_crowded = false;
    llhttp_init(&h->parser, HTTP_REQUEST, settings());
    h->parser.data = h;
}

struct h1_message *h1_message(struct h1 *h)
{
    return &h->message;
}

bool h1_has_begun(const struct h1 *h)
{
    return h->message.arena.len > 0;
}

__attribute__((format(printf, 3, 4)))
static enum h1_result refuse(struct h1 *h, int status, const char *format, ...)
{
    va_list args;

    h->message.status = status;
    va_start(args, format);
    vsnprintf(h->message.detail, sizeof h->message.detail, format, args);
    va_end(args);
    return H1_REFUSED;
}

/* ---- the request line, read a second time for what llhttp lets through ---- */

/* Cuts the line at its single blanks; what is missing stays {0, 0}. Returns its third word. */
static struct slice split_line(struct h1_message *m, size_t line_n)
{
    struct slice rest = slice_make(m->arena.p, line_n);
    struct slice method = slice_cut(&rest, ' ');
    struct slice target;

    if (rest.p == NULL)
        return rest;
    m->method = (struct h1_span){0, (uint32_t)method.n};
    target = slice_cut(&rest, ' ');
    if (rest.p != NULL)
        m->target = (struct h1_span){(uint32_t)(target.p - m->arena.p), (uint32_t)target.n};
    return rest;
}

/* "HTTP/d.d"; *is_ours: 1.0 or 1.1. */
static bool is_version(struct slice s, bool *is_ours)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.' || s.p[5] < '0' ||
        s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
        return false;
    *is_ours = s.p[5] == '1' && s.p[7] <= '1';
    return true;
}

static enum h1_result refuse_version(struct h1 *h)
{
    return refuse(h, 505, "This server speaks HTTP/1.1 and HTTP/1.0 only.");
}

/* 0, or H1_REFUSED. */
static int check_line(struct h1 *h, size_t line_n)
{
    struct h1_message *m = &h->message;
    struct slice version = split_line(m, line_n);
    bool is_ours = false;

    if (m->method.n == 0 || m->target.n == 0 || !is_version(version, &is_ours))
        return (int)refuse(h, 400, "The request line must be a method, a target and HTTP/1.1, "
                                   "with one blank between them.");
    if (!is_ours)
        return (int)refuse_version(h);
    m->minor = version.p[7] - '0';
    if (slice_is(h1_slice(m, m->method), "CONNECT"))
        return (int)refuse(h, 501, "CONNECT is not served: this is no proxy.");
    return 0;
}

/* ---- the head ---- */

/* One header line, [p, p+n) without its CRLF. 0, or H1_REFUSED. */
static int check_field_line(struct h1 *h, const char *p, size_t n)
{
    unsigned char all = 0;

    if (n == 0)
        return 0; /* the end */
    if (p[0] == ' ' || p[0] == '\t')
        return (int)refuse(h, 400, "A header must stand on one line: a line must not begin with a "
                                   "blank.");
    if (p[0] == ':')
        return (int)refuse(h, 400, "A header has no name before its colon.");
    for (size_t i = 0; i < n; i++)
        all |= (unsigned char)p[i];
    if (all >= 0x80)
        return (int)refuse(h, 400, "Headers must be ASCII: percent-encode other characters.");
    return 0;
}

/* Index of the first byte from `i` on that is a control character or not ASCII, or n. */
static size_t find_odd(const char *p, size_t i, size_t n)
{
    for (; n - i >= WORD_SIZE; i += WORD_SIZE) {
        uint64_t w = word_load(p + i);
        uint64_t marks = word_below(w, 0x20) | word_high(w);

        if (marks != 0)
            return i + word_first(marks);
    }
    while (i < n && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80)
        i++;
    return i;
}

/* Whether the head is such that check_lines would find nothing to refuse behind its first line, by
 * one look at it: nearly all are. */
static bool is_plain(const char *p, size_t n)
{
    size_t i = 0;

    while ((i = find_odd(p, i, n)) < n) {
        if (p[i] == '\t') {
            i++;
            continue;
        }
        if (p[i] != '\r' || n - i < 2 || p[i + 1] != '\n')
            return false;
        i += 2;
        if (i == n)
            return true;
        if (p[i] == ' ' || p[i] == '\t' || p[i] == ':')
            return false;
    }
    return false; /* the last line has no end */
}

/* Each line must end in CRLF. 0, or H1_REFUSED. */
static int check_lines(struct h1 *h)
{
    const char *p = h->message.arena.p;
    const char *end = p + h->message.arena.len;
    bool is_first = true;

    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        size_t n = lf == NULL ? 0 : (size_t)(lf - p);

        if (n == 0 || lf[-1] != '\r')
            return (int)refuse(h, 400, "A line of the request does not end in CRLF.");
        n--;
        if (memchr(p, '\0', n) != NULL || memchr(p, '\r', n) != NULL)
            return (int)refuse(h, 400, "The request's head has a zero byte or a bare CR.");
        if ((is_first ? check_line(h, n) : check_field_line(h, p, n)) != 0)
            return H1_REFUSED;
        is_first = false;
        p = lf + 1;
    }
    return 0;
}

/* The fields that say how the message is framed, as far as they were seen. */
struct framing {
    unsigned hosts;
    unsigned codings;
    bool has_length;
    bool is_chunked;
    uint64_t length;
};

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.n; i++) {
        switch (host.p[i]) {
        case '/':
        case '?':
        case '#':
        case '@':
        case '\\':
        case '"':
        case '<':
        case '>':
            return false;
        default:
            if (host.p[i] <= ' ')
                return false;
        }
    }
    return true;
}

/* 0, or H1_REFUSED. */
static int note_field(struct h1 *h, const struct h1_field *field, struct framing *f)
{
    struct h1_message *m = &h->message;
    struct slice name = h1_slice(m, field->name);
    struct slice value = slice_trim(h1_slice(m, field->value));

    if (name.n == 4 && slice_is_nocase(name, "Host")) {
        f->hosts++;
        m->host.at = value.n == 0 ? field->name.at : (uint32_t)(value.p - m->arena.p);
        m->host.n = (uint32_t)value.n;
        if (!is_host(value))
            return (int)refuse(h, 400, "The Host header is not a host name.");
    } else if (name.n == 6 && slice_is_nocase(name, "Expect") && m->minor > 0) {
        m->expect = slice_is_nocase(value, "100-continue") ? H1_EXPECT_CONTINUE
                                                           : H1_EXPECT_UNKNOWN;
    } else if (name.n == 14 && slice_is_nocase(name, "Content-Length")) {
        if (f->has_length || slice_to_u64(value, &f->length) != 0)
            return (int)refuse(h, 400, "Content-Length must be there once, as a decimal number.");
        f->has_length = true;
    } else if (name.n == 17 && slice_is_nocase(name, "Transfer-Encoding")) {
        f->codings++;
        f->is_chunked = slice_is_nocase(value, "chunked");
    }
    return 0;
}

static enum h1_result check_framing(struct h1 *h, const struct framing *f)
{
    struct h1_message *m = &h->message;

    if (f->hosts > 1 || (f->hosts == 0 && m->minor > 0))
        return refuse(h, 400, f->hosts > 1 ? "The Host header is repeated: send it once."
                                           : "The Host header is missing: HTTP/1.1 needs it.");
    if (f->codings > 0 && m->minor == 0)
        return refuse(h, 400, "Transfer-Encoding needs HTTP/1.1.");
    if (f->codings > 0 && f->has_length)
        return refuse(h, 400, "Content-Length and Transfer-Encoding exclude each other: send one.");
    if (f->codings > 1 || (f->codings == 1 && !f->is_chunked))
        return refuse(h, 501, "The only transfer coding served is \"chunked\", once.");
    if (f->length > h->max_body)
        return refuse(h, 413, "The body is longer than the %zu bytes that are taken.",
                      h->max_body);
    if (f->codings > 0)
        m->framing = H1_CHUNKED;
    else if (f->length > 0)
        m->framing = H1_LENGTH;
    return H1_HEAD;
}

/* Length of a whole head's first line without its CRLF. */
static size_t first_line(const struct h1_message *m)
{
    const char *cr = memchr(m->arena.p, '\r', m->arena.len);

    return (size_t)(cr - m->arena.p);
}

static enum h1_result check_head(struct h1 *h)
{
    struct h1_message *m = &h->message;
    struct framing framing = {0};
    int status;

    if (is_plain(m->arena.p, m->arena.len))
        status = check_line(h, first_line(m));
    else
        status = check_lines(h);
    if (status != 0)
        return H1_REFUSED;
    for (size_t i = 0; i < m->field_count; i++)
        if (note_field(h, &m->fields[i], &framing) != 0)
            return H1_REFUSED;
    m->is_persistent = llhttp_should_keep_alive(&h->parser) != 0;
    m->body.at = (uint32_t)m->arena.len;
    return check_framing(h, &framing);
}

static enum h1_result refuse_long_head(struct h1 *h)
{
    bool has_line = memchr(h->message.arena.p, '\n', h->message.arena.len) != NULL;

    if (!has_line)
        return refuse(h, 414, "The request line is longer than the %zu bytes that are taken.",
                      h->max_head);
    return refuse(h, 431, "Request line and headers are longer than the %zu bytes that are taken.",
                  h->max_head);
}

/* llhttp stopped in the head: says why in the caller's terms, as far as they can be told. */
static enum h1_result refuse_head(struct h1 *h)
{
    struct h1_message *m = &h->message;
    const char *reason = llhttp_get_error_reason(&h->parser);
    const char *lf = memchr(m->arena.p, '\n', m->arena.len);
    size_t line_n = lf == NULL ? m->arena.len : (size_t)(lf - m->arena.p);
    struct slice version;
    bool is_ours = true;

    if (h->is_crowded)
        return refuse(h, 431, "More than the %d headers that are taken.", H1_MAX_FIELDS);
    if (!h->has_method) {
        if (m->arena.p[0] >= 'A' && m->arena.p[0] <= 'Z')
            return refuse(h, 501, "The method is not known here: see the Allow header of an "
                                  "OPTIONS request.");
        return refuse(h, 400, "This is not an HTTP/1.1 request.");
    }
    if (line_n > 0 && m->arena.p[line_n - 1] == '\r')
        line_n--;
    version = split_line(m, line_n);
    if (is_version(version, &is_ours) && !is_ours)
        return refuse_version(h);
    return refuse(h, 400, "The request is malformed: %s.", reason == NULL ? "no reason" : reason);
}

static size_t empty_lines(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && (p[i] == '\r' || p[i] == '\n'))
        i++;
    return i;
}

static enum h1_result feed_head(struct h1 *h, const char *p, size_t n, size_t *used)
{
    struct h1_message *m = &h->message;
    size_t skip = m->arena.len == 0 ? empty_lines(p, n) : 0;
    size_t take;
    llhttp_errno_t error;

    h->skipped += skip;
    if (h->skipped > h->max_head)
        return refuse(h, 400, "Empty lines come in place of a request.");
    p += skip;
    n -= skip;
    *used = skip;
    if (n == 0)
        return H1_MORE;
    take = h->max_head - m->arena.len < n ? h->max_head - m->arena.len : n;
    h->base = p;
    h->base_at = m->arena.len;
    if (buf_add(&m->arena, p, take) != 0)
        return H1_NO_MEMORY;
    error = llhttp_execute(&h->parser, p, take);
    if (error == HPE_OK) {
        *used += take;
        return m->arena.len == h->max_head ? refuse_long_head(h) : H1_MORE;
    }
    if (!h->has_head || error != HPE_PAUSED)
        return refuse_head(h);
    take = (size_t)(llhttp_get_error_pos(&h->parser) - p);
    *used += take;
    m->arena.len = h->base_at + take;
    llhttp_resume(&h->parser);
    return check_head(h);
}

static enum h1_result feed_body(struct h1 *h, const char *p, size_t n, size_t *used)
{
    size_t before = h->message.body.n;
    llhttp_errno_t error = llhttp_execute(&h->parser, p, n);
    bool is_done = error == HPE_PAUSED && h->is_whole;
    const char *reason;

    *used = is_done && n > 0 ? (size_t)(llhttp_get_error_pos(&h->parser) - p) : n;
    if (h->is_exhausted)
        return H1_NO_MEMORY;
    if (h->is_too_large)
        return refuse(h, 413, "The body is longer than the %zu bytes that are taken.",
                      h->max_body);
    if (error != HPE_OK && !is_done) {
        reason = llhttp_get_error_reason(&h->parser);
        return refuse(h, 400, "The body is malformed: %s.", reason == NULL ? "no reason" : reason);
    }
    /* Chunks of one byte cost five each; extensions and trailers get what the head may have. Not
     * measured by the body so far: the pieces in which it comes must make no difference. */
    h->framing += *used - (h->message.body.n - before);
    if (h->framing > h->max_head + 8 * h->max_body)
        return refuse(h, 400, "The body's chunks are framed too wastefully: send larger ones.");
    return is_done ? H1_DONE : H1_MORE;
}

enum h1_result h1_feed(struct h1 *h, const char *p, size_t n, size_t *used)
{
    *used = 0;
    return h->has_head ? feed_body(h, p, n, used) : feed_head(h, p, n, used);
}
