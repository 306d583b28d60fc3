/* response.c - a response's head is made in the server's one buffer and leaves with its body in
 * one system call. */
#include "http/response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include "conn_priv.h"
#include "response_priv.h"

enum {
    MAX_DETAIL = 1024,
    SMALL_BODY = 4096, /* is copied behind its head: one piece is cheaper to send than two */
};

static const struct {
    int status;
    const char *title;
} titles[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

_Static_assert(sizeof titles / sizeof titles[0] == STATUS_SLOTS - 1, "a slot a title");

size_t status_slot(int status)
{
    size_t i = 0;

    while (i < STATUS_SLOTS - 1 && titles[i].status != status)
        i++;
    return i;
}

int status_of_slot(size_t slot)
{
    return slot < STATUS_SLOTS - 1 ? titles[slot].status : 0;
}

const char *http_status_title(int status)
{
    size_t slot = status_slot(status);

    return slot < STATUS_SLOTS - 1 ? titles[slot].title : "Unknown";
}

void http_response_header(struct http_request *r, const char *name, struct slice value)
{
    static const struct {
        const char *name;
        unsigned bit;
    } usual[] = {
        {"Cache-Control", GIVEN_CACHE_CONTROL},
        {"Content-Type", GIVEN_CONTENT_TYPE},
        {"X-Content-Type-Options", GIVEN_CONTENT_TYPE_OPTIONS},
    };

    if (slice_has_control(value))
        return;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (strcasecmp(name, usual[i].name) == 0)
            r->given |= usual[i].bit;
    buf_add_text(&r->headers, name);
    buf_add_text(&r->headers, ": ");
    buf_add_slice(&r->headers, value);
    buf_add_text(&r->headers, "\r\n");
}

static inline void add_field(struct buf *b, const char *name, const char *value)
{
    buf_add_text(b, name);
    buf_add_text(b, ": ");
    buf_add_text(b, value);
    buf_add_text(b, "\r\n");
}

void response_begin(struct buf *b, struct http_request *r, int status)
{
    buf_add_text(b, "HTTP/1.1 ");
    buf_add_u64(b, (uint64_t)status);
    buf_add_char(b, ' ');
    buf_add_text(b, http_status_title(status));
    buf_add_text(b, "\r\n");
    buf_add_slice(b, server_date_line(conn_server(r->conn)));
}

void response_end(struct buf *b, struct http_request *r, const char *content_type,
                  const char *cache_control)
{
    if (content_type != NULL && (r->given & GIVEN_CONTENT_TYPE) == 0)
        add_field(b, "Content-Type", content_type);
    if ((r->given & GIVEN_CACHE_CONTROL) == 0)
        add_field(b, "Cache-Control", cache_control);
    if ((r->given & GIVEN_CONTENT_TYPE_OPTIONS) == 0)
        add_field(b, "X-Content-Type-Options", "nosniff");
    buf_add_slice(b, buf_slice(&r->headers));
    buf_add_text(b, "\r\n");
    if (r->headers.failed)
        b->failed = true;
}

/* Also of a request that was refused before its method was understood. */
static bool is_head(const struct http_request *r)
{
    const struct h1_message *m = h1_message(r->reader);

    return slice_is(h1_slice(m, m->method), "HEAD");
}

static void respond(struct http_request *r, int status, const char *content_type,
                    struct slice body, bool may_keep)
{
    struct conn *c = r->conn;
    const struct h1_message *m = h1_message(r->reader);
    bool is_kept = may_keep && m->is_persistent && conn_may_keep(c);
    struct buf *b = &conn_server(c)->head;

    buf_clear(b);
    response_begin(b, r, status);
    if (status != 204 && status != 304 && !(is_head(r) && body.p == NULL)) {
        buf_add_text(b, "Content-Length: ");
        buf_add_u64(b, body.n);
        buf_add_text(b, "\r\n");
    }
    if (!is_kept)
        add_field(b, "Connection", "close");
    else if (m->minor == 0)
        add_field(b, "Connection", "keep-alive");
    response_end(b, r, content_type, "no-store");
    if (is_head(r) || status == 204 || status == 304)
        body.n = 0;
    if (body.n <= SMALL_BODY) {
        buf_add_slice(b, body);
        body.n = 0;
    }
    if (b->failed) {
        r->on_abandoned = NULL; /* the handler has answered */
        conn_cut_for_memory(c);
        return;
    }
    conn_answer(c, status, buf_slice(b), body, is_kept);
}

void http_respond(struct http_request *r, int status, const char *content_type, struct slice body)
{
    assert(r->conn->state == CONN_HANDLING && r->conn->request == r);
    respond(r, status, content_type, body, true);
}

static void add_json_text(struct buf *b, struct slice s)
{
    bool is_utf8 = slice_is_utf8(s);

    buf_add_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\') {
            buf_add_char(b, '\\');
            buf_add_char(b, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(b, "\\u%04x", c);
        } else if (c >= 0x80 && !is_utf8) {
            buf_add_text(b, "\xef\xbf\xbd"); /* U+FFFD */
        } else {
            buf_add_char(b, (char)c);
        }
    }
    buf_add_char(b, '"');
}

static void problem(struct http_request *r, int status, struct slice detail, bool may_keep)
{
    struct buf body = {0};

    buf_add_text(&body, "{\"type\":\"about:blank\",\"title\":");
    add_json_text(&body, slice_of(http_status_title(status)));
    buf_add_text(&body, ",\"status\":");
    buf_add_u64(&body, (uint64_t)status);
    buf_add_text(&body, ",\"detail\":");
    add_json_text(&body, detail);
    buf_add_text(&body, "}\n");
    if (body.failed)
        r->headers.failed = true; /* respond ends the connection then */
    respond(r, status, "application/problem+json", buf_slice(&body), may_keep);
    buf_fini(&body);
}

void http_problem(struct http_request *r, int status, const char *detail, ...)
{
    char text[MAX_DETAIL];
    va_list args;

    assert(r->conn->state == CONN_HANDLING && r->conn->request == r);
    va_start(args, detail);
    vsnprintf(text, sizeof text, detail, args);
    va_end(args);
    problem(r, status, slice_of(text), true);
}

void response_refuse(struct http_request *r, int status, const char *detail)
{
    problem(r, status, slice_of(detail), false);
}
