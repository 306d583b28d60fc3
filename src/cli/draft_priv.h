/* draft_priv.h - from the options of `send` to the JSON that POST /notify takes. */
#ifndef CLI_DRAFT_PRIV_H
#define CLI_DRAFT_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "arguments_priv.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#define DRAFT_TTL_UNSET UINT64_MAX

/* All of a notification but its data. */
struct draft {
    struct text_list users; /* one: user; several: users */
    struct text_list topics; /* at most one; a list so that a second is noticed */
    bool is_broadcast;
    const char *event;        /* NULL: the server's default */
    uint64_t ttl_s;           /* DRAFT_TTL_UNSET: the server's default */
    const char *collapse_key; /* NULL: none */
    bool is_text;             /* data is always sent as a string */
};

void draft_fini(struct draft *draft);

/* Whether the options say anything about the notification. */
bool draft_has_target(const struct draft *draft);
bool draft_has_fields(const struct draft *draft);

/* Whether there is exactly one kind of target, and names and keys are such as the server takes.
 * Returns 0, or -1 with a sentence in `why`. */
int draft_check(const struct draft *draft, struct error *why);

/* Whether `data` is sent as the JSON it is, byte for byte. What is not, is sent as a string. */
bool draft_is_json(const struct draft *draft, struct slice data);

/* Appends the notification as one JSON object; an empty `key` is left out. Returns 0, -ENOMEM, or
 * -EILSEQ where `data` is not UTF-8 (nothing useful is then in `out`). */
int draft_add(const struct draft *draft, struct slice data, struct slice key, struct buf *out);

/* Appends a copy of `object`, a whole notification as a caller wrote it, with `key` as its
 * idempotency_key unless it has one or `key` is empty. Returns 0; -ENOMEM; -EINVAL with a sentence
 * in `why` where it is no JSON object. */
int draft_add_keyed(struct slice object, struct slice key, struct buf *out, struct error *why);
#endif
