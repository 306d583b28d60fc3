/* notify_item_priv.h - one notification of a POST /notify, read out of its JSON. */
#ifndef API_NOTIFY_ITEM_PRIV_H
#define API_NOTIFY_ITEM_PRIV_H
#include "base/buf.h"
#include "message/notification.h"

/* Why an item is refused; status 0 while it is not. */
struct refusal {
    int status;
    char detail[256];
};

/* What an item says. Slices point into the buffers, which are used again for the next item. */
struct notify_item {
    struct notification n; /* n.to.kind is set; n.to.name unless there are several users */
    struct slice *users;   /* with "users": user_count of them, no two the same */
    size_t user_count;
    size_t user_cap;
    struct buf names;      /* behind users, and n.to.name */
    struct buf data;
    struct buf event;
    struct buf collapse_key;
    struct buf idempotency_key;
};

enum { MAX_USERS = 1000 };

/* Reads `object`, a JSON value that json_check has passed. `at` is its offset in the body, for
 * sentences. Returns 0, or -EINVAL with `why`. All zero is a valid item before the first call. */
int notify_item_read(struct notify_item *item, struct slice object, size_t at, size_t max_payload,
                     struct refusal *why);
void notify_item_fini(struct notify_item *item);

/* Between items: gives back what a large one needed, and keeps what most need. */
void notify_item_relax(struct notify_item *item);

/* Sets the refusal; returns -EINVAL. */
int refuse(struct refusal *why, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
