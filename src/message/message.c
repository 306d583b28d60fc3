/* message.c - see the header. */
#include "message/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message *message_create(size_t body_length)
{
    char size_line[24];
    size_t prefix = (size_t)snprintf(size_line, sizeof size_line, "%zx\r\n", body_length);
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
