/* message.c - see the header. */
#include "message/message.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"

char *message_put_size_line(char *p, size_t size)
{
    return slice_put(format_hex(p, size, 1), SLICE_LITERAL("\r\n"));
}

struct message *message_create(size_t body_length)
{
    char size_line[MESSAGE_SIZE_LINE];
    size_t prefix = (size_t)(message_put_size_line(size_line, body_length) - size_line);
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
    memcpy(m->wire, size_line, prefix);
    memcpy(m->wire + prefix + body_length, "\r\n", 2);
    return m;
}

void message_unref(struct message *m)
{
    if (m != NULL && --m->refs == 0)
        free(m);
}
