/* answer_priv.h - HTTP/1.1 answers as they come in pieces: status, body without its framing, end.
 *
 * This and its .c are the only files here that know llhttp. The struct is small, since every stream
 * has one. */
#ifndef LOADGEN_ANSWER_PRIV_H
#define LOADGEN_ANSWER_PRIV_H
#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/slice.h"

struct answer_handlers {
    void (*on_head)(void *arg, int status);
    void (*on_body)(void *arg, struct slice piece);
    void (*on_end)(void *arg); /* the next answer may follow in the same piece; may be NULL */
};

struct answer {
    llhttp_t parser;                        /* its `data` is what the handlers get */
    const struct answer_handlers *handlers; /* borrowed */
    bool is_whole;                          /* one has come to its end */
    bool closes;                            /* the server does, behind that one */
};

/* At the beginning of a connection. */
void answer_init(struct answer *a, const struct answer_handlers *handlers, void *arg);

/* Reads the next bytes. Returns false where they are not HTTP. */
bool answer_feed(struct answer *a, struct slice bytes);
#endif
