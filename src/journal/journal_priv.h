/* journal_priv.h - what a journal is made of: one table of functions an implementation. */
#ifndef JOURNAL_PRIV_H
#define JOURNAL_PRIV_H
#include "journal/journal.h"

struct journal_ops {
    const char *type;
    struct journal *(*open)(const struct journal_options *options, struct ev_loop *ev,
                            struct stats *stats, struct error *why);
    void (*start)(struct journal *j);
    int (*give_to)(struct journal *j, uid_t uid, gid_t gid); /* NULL: it has no files */
    void (*close)(struct journal *j);
    void (*append)(struct journal *j, const struct notification *n, uint64_t wall_ms,
                   struct journal_append *append);
    void (*read)(struct journal *j, struct journal_read *read);
    void (*cancel)(struct journal *j, struct journal_read *read);
    void (*retract)(struct journal *j, struct channel_name channel, uint64_t seq,
                    struct journal_removal *removal);
    void (*erase)(struct journal *j, struct channel_name channel,
                  struct journal_removal *removal);
    void (*get_status)(const struct journal *j, struct journal_status *out);
    void (*tick)(struct journal *j, uint64_t now_ms);
};

/* The start of every implementation's own struct. */
struct journal {
    const struct journal_ops *ops;
    const struct journal_events *events;
    void *ctx; /* of the events */
};

extern const struct journal_ops journal_memory_ops;
extern const struct journal_ops journal_disk_ops;
extern const struct journal_ops journal_redis_ops;
#endif
