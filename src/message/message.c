/* message.c - see the header. */
#include "message/message.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE_LINE = 2 * sizeof(size_t) + 2 };

/* Writes a chunk's size line (RFC 9112 7.1) at the end of `line`; returns its length. Every
 * notification has one, and printf takes as long for it as encoding all the rest. */
static size_t put_size_line(char line[SIZE_LINE], size_t size)
{
    char *p = line + SIZE_LINE;

    *--p = '\n';
    *--p = '\r';
    do {
        *--p = "0123456789abcdef"[size & 15];
        size >>= 4;
    } while (size > 0);
    return (size_t)(line + SIZE_LINE - p);
}

struct message *message_create(size_t body_length)
{
    char size_line[SIZE_LINE];
    size_t prefix = put_size_line(size_line, body_length);
    size_t length = prefix + body_length + 2;
    struct message *m;

    if (length < body_length || length > UINT32_MAX)
        return NULL;
    m = malloc(sizeof *m + length);
    if (m == NULL)
        return NULL;
    *m = (struct message){
        .refs = 1,
        .length = (uint32_t)length,
        .body_at = (uint32_t)prefix,
        .body_length = (uint32_t)body_length,
    };
    memcpy(m->wire, size_line + SIZE_LINE - prefix, prefix);
    memcpy(m->wire + prefix + body_length, "\r\n", 2);
    return m;
}

void message_unref(struct message *m)
{
    if (m != NULL && --m->refs == 0)
        free(m);
}
