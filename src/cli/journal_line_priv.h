/* journal_line_priv.h - a line of an exported journal, written and read.
 *
 * An export is NDJSON: a head, then one line an entry, the oldest first; then, of a journal that
 * no daemon was writing, what is known to be lost and the idempotency keys; and an end. Other
 * programs may write the entries alone: all but the target and the data may be left out. */
#ifndef CLI_JOURNAL_LINE_PRIV_H
#define CLI_JOURNAL_LINE_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "message/id.h"
#include "store/record.h"

enum { JOURNAL_LINES_FORMAT = 1 }; /* what the head says; a newer one is refused */

/* The highest number of an id: the store keeps a bit of each for itself, and there must be room
 * for those that follow. */
#define MAX_LINE_NUMBER (UINT64_MAX >> 8)

enum journal_line_kind {
    LINE_HEAD,  /* {"journal":1,"epoch":E,"head":N,"clock":TIME} and what is lost of all channels */
    LINE_ENTRY, /* {"id":E-N,"user":U,"event":...,"at":TIME,"data":...} and more */
    LINE_LOSS,  /* {"lost":E-N,"user":U}: a bound took entries up to that number */
    LINE_KEY,   /* {"idempotency_key":K,"id":E-N,"clock":TIME} */
    LINE_END,   /* {"end":true,"entries":N,"complete":true} */
};

/* What was not given is 0 or empty. */
struct journal_line {
    enum journal_line_kind kind;
    char epoch[EPOCH_SIZE];   /* head; entry, loss, key: of the id */
    uint64_t seq;             /* entry, loss, key: of the id; head: the highest given out */
    uint64_t at_ms;           /* entry: when it was accepted, by the system's clock */
    uint64_t clock_ms;        /* head, entry, key: by the journal's clock, which never goes back */
    uint64_t lost_all;        /* head */
    uint64_t lost_forgotten;  /* head */
    uint64_t entries;         /* end: lines of entries before it */
    bool is_complete;         /* end: all of a journal that nobody was writing */
    bool has_ttl;
    uint64_t ttl_ms;          /* entry: TTL_DEFAULT unless has_ttl */
    uint64_t expires_ms;      /* entry: RECORD_KEPT without an own end */
    struct channel_name to;   /* entry, loss; slices point into the buffers */
    struct slice event;
    struct slice data;        /* compact JSON, or text */
    bool is_json;
    struct slice collapse_key;
    struct slice idempotency_key; /* entry, key */

    struct buf name_text;     /* the line's memory, kept for the next */
    struct buf event_text;
    struct buf data_text;
    struct buf collapse_text;
    struct buf key_text;
    struct buf scratch;
};

void journal_line_fini(struct journal_line *l);

/* Reads one line into `l`, all zero or used before. Returns 0; -EINVAL with the cause in `why`;
 * -ENOMEM. */
int journal_line_read(struct journal_line *l, struct slice text, struct error *why);

/* Each appends a line; a failed allocation is remembered in `out`. */
void journal_line_add_head(struct buf *out, const struct journal_line *head);
void journal_line_add_entry(struct buf *out, const char *epoch, const struct record *r);
void journal_line_add_loss(struct buf *out, const char *epoch, struct channel_name channel,
                           uint64_t seq);
void journal_line_add_key(struct buf *out, const char *epoch, uint64_t seq, uint64_t clock_ms,
                          struct slice key);
void journal_line_add_end(struct buf *out, uint64_t entries, bool is_complete);

/* The entry as POST /notify takes it, with what is left of its ttl at `now_ms`. */
void journal_line_add_plain(struct buf *out, const struct record *r, uint64_t now_ms);
#endif
