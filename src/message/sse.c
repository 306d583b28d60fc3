/* sse.c - sizes are counted first, so that a message is one allocation of the right size. */
#include "message/sse.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/word.h"
#include "message/id.h"

/* Where the first line of `s` ends, without its line end. */
static size_t line_length(struct slice s)
{
    size_t i = 0;

    for (; s.n - i >= WORD_SIZE; i += WORD_SIZE) {
        uint64_t w = word_load(s.p + i);
        uint64_t marks = word_equal(w, '\n') | word_equal(w, '\r');

        if (marks != 0)
            return i + word_first(marks);
    }
    while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r')
        i++;
    return i;
}

/* Cuts the next line off `*rest`; false at the end. A text always has one line more than it has
 * line ends. */
static bool next_line(struct slice *rest, struct slice *line)
{
    size_t i;

    if (rest->p == NULL)
        return false;
    i = line_length(*rest);
    *line = slice_make(rest->p, i);
    if (i == rest->n) {
        *rest = (struct slice){NULL, 0};
        return true;
    }
    if (rest->p[i] == '\r' && i + 1 < rest->n && rest->p[i + 1] == '\n')
        i++;
    *rest = slice_make(rest->p + i + 1, rest->n - i - 1);
    return true;
}

static struct slice not_null(struct slice s)
{
    return s.p == NULL ? slice_make("", 0) : s;
}

static size_t data_size(struct slice data)
{
    struct slice rest = not_null(data);
    struct slice line;
    size_t n = 0;

    while (next_line(&rest, &line))
        n += sizeof "data: \n" - 1 + line.n;
    return n;
}

static char *put_field(char *p, const char *name, struct slice value)
{
    p = slice_put(p, slice_of(name));
    p = slice_put(p, value);
    *p++ = '\n';
    return p;
}

/* `size` is data_size's, which tells a single line, as most payloads are: each line adds more to it
 * than its line end takes away. */
static char *put_data(char *p, struct slice data, size_t size)
{
    struct slice rest = not_null(data);
    struct slice line;

    if (size == sizeof "data: \n" - 1 + data.n)
        return put_field(p, "data: ", data);
    while (next_line(&rest, &line))
        p = put_field(p, "data: ", line);
    return p;
}

struct message *sse_encode(const struct notification *n, const char *epoch, uint64_t seq,
                           uint64_t at_ms)
{
    char id[ID_TEXT_SIZE];
    size_t id_length = id_format(epoch, seq, id);
    size_t lines = data_size(n->data);
    struct message *m = message_create(sizeof "id: \nevent: \n\n" - 1 + id_length + n->event.n +
                                       lines);
    char *p;

    if (m == NULL)
        return NULL;
    p = put_field(m->wire + m->body_at, "id: ", slice_make(id, id_length));
    m->event_at = (uint32_t)(p - m->wire + 7);
    m->event_length = (uint32_t)n->event.n;
    p = put_field(p, "event: ", n->event);
    m->data_at = (uint32_t)(p - m->wire);
    p = put_data(p, n->data, lines);
    *p++ = '\n';
    assert(p == m->wire + m->body_at + m->body_length);
    m->seq = seq;
    m->at_ms = at_ms;
    m->is_json = n->is_json;
    return m;
}

struct message *sse_encode_control(const char *event, struct slice id, uint64_t retry_ms,
                                   struct slice data)
{
    char head[64 + MAX_ID_BYTES];
    size_t lines = data_size(data);
    size_t n = 0;
    struct message *m;
    char *p;

    if (retry_ms > 0)
        n += (size_t)snprintf(head + n, sizeof head - n, "retry: %llu\n",
                              (unsigned long long)retry_ms);
    if (id.n > 0 && id.n <= MAX_ID_BYTES)
        n += (size_t)snprintf(head + n, sizeof head - n, "id: %.*s\n", SLICE_ARG(id));
    m = message_create(n + sizeof "event: \n\n" - 1 + strlen(event) + lines);
    if (m == NULL)
        return NULL;
    p = slice_put(m->wire + m->body_at, slice_make(head, n));
    p = put_field(p, "event: ", slice_of(event));
    p = put_data(p, data, lines);
    *p = '\n';
    return m;
}

/* Every stream begins with it, and printf would take half as long as all else that opens one. */
static char *put_preamble(char *p, uint64_t retry_ms, uint64_t client_id, struct slice id)
{
    p = slice_put(p, SLICE_LITERAL("retry: "));
    p = format_u64(p, retry_ms);
    p = slice_put(p, SLICE_LITERAL("\n: connected "));
    p = format_hex(p, client_id, 16);
    p = slice_put(p, SLICE_LITERAL("\nid: "));
    p = slice_put(p, id);
    return slice_put(p, SLICE_LITERAL("\n\n"));
}

struct message *sse_encode_preamble(struct slice head, bool is_chunked, uint64_t retry_ms,
                                    uint64_t client_id, struct slice id)
{
    char body[160 + MAX_ID_BYTES];
    char size_line[MESSAGE_SIZE_LINE];
    size_t n = (size_t)(put_preamble(body, retry_ms, client_id, id) - body);
    size_t prefix = is_chunked ? (size_t)(message_put_size_line(size_line, n) - size_line) : 0;
    struct message *m = message_create(head.n + prefix + n + (is_chunked ? 2 : 0));
    char *p;

    if (m == NULL)
        return NULL;
    /* The head stands before the first chunk, so this one message is its own framing. */
    m->length = m->body_length;
    m->body_at = 0;
    p = slice_put(m->wire, head);
    p = slice_put(p, slice_make(size_line, prefix));
    p = slice_put(p, slice_make(body, n));
    if (is_chunked)
        slice_put(p, SLICE_LITERAL("\r\n"));
    return m;
}

struct message *sse_encode_comment(void)
{
    struct message *m = message_create(3);

    if (m != NULL)
        memcpy(m->wire + m->body_at, ":\n\n", 3);
    return m;
}

struct slice sse_event(const struct message *m)
{
    return slice_make(m->wire + m->event_at, m->event_length);
}

int sse_add_data(struct buf *b, const struct message *m)
{
    const char *p = m->wire + m->data_at;
    bool is_first = true;

    if (m->data_at == 0)
        return 0;
    while (*p != '\n') { /* the blank line that ends the event */
        /* Not strchr: data may hold NUL. */
        const char *end = memchr(p, '\n', (size_t)(m->wire + m->length - p));

        p += sizeof "data: " - 1;
        if (!is_first)
            buf_add_char(b, '\n');
        buf_add(b, p, (size_t)(end - p));
        is_first = false;
        p = end + 1;
    }
    return b->failed ? -ENOMEM : 0;
}
