/* replay.c - what the write-ahead log has and the trees have not. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "base/log.h"
#include "store/check.h"
#include "store/replace.h"
#include "store_priv.h"
#include "wal_priv.h"

enum {
    COMMIT_BYTES = 8 << 20,  /* of entries in one transaction */
    SWEEP_STEPS = 2,         /* for each entry, and as much as it is, as when it was new */
    LOOK_MS = 20,
    MAX_LOOKS = 500,
};

struct replay {
    struct store *s;
    uint64_t time_ms;        /* of the newest entry */
    size_t bytes;            /* in this transaction */
    char *copy;              /* of the record, which is sealed there */
    size_t copy_n;
};

static int seal_copy(struct replay *r, struct slice record)
{
    if (record.n > r->copy_n) {
        char *copy = realloc(r->copy, record.n);

        if (copy == NULL)
            return -ENOMEM;
        r->copy = copy;
        r->copy_n = record.n;
    }
    slice_put(r->copy, record);
    record_seal(r->copy, record.n);
    return 0;
}

static int write_entry(struct replay *r, struct slice bytes, struct slice key, bool is_kept)
{
    struct store *s = r->s;
    struct record record;
    bool has_more;
    int status = record_read(&record, slice_make(r->copy, bytes.n));

    if (status != 0 || record.seq <= s->next.head)
        return status; /* the trees may have a part of a frame */
    status = is_kept ? store_append(s, r->copy, bytes.n)
                     : store_skip(s, record.seq, record.to, record.collapse_key);
    if (status == 0 && key.n > 0)
        status = store_add_key(s, record.seq, record.time_ms, key);
    if (status == 0)
        status = store_sweep(s, record.time_ms, SWEEP_STEPS, SWEEP_STEPS * bytes.n, &has_more);
    r->time_ms = record.time_ms;
    r->bytes += bytes.n;
    return status;
}

static int visit(void *ctx, struct slice bytes, struct slice key, bool is_kept)
{
    struct replay *r = ctx;
    int status = seal_copy(r, bytes);

    if (status == 0)
        status = write_entry(r, bytes, key, is_kept);
    if (status != 0 || r->bytes < COMMIT_BYTES)
        return status;
    r->bytes = 0;
    status = store_commit(r->s, r->time_ms);
    return status != 0 ? status : store_begin(r->s);
}

/* Where entries that were acknowledged are not to be had any more ids go on in a new epoch. */
static int write_all(struct replay *r, struct wal_found *found)
{
    struct store *s = r->s;
    int status = store_begin(s);

    if (status != 0)
        return status;
    status = wal_read(s->options.path, &s->stored, visit, r, found);
    if (status == 0 && found->is_broken)
        status = epoch_create(s->next.epoch);
    if (status != 0) {
        store_abort(s);
        return status;
    }
    store_note_logged(s, found->last);
    s->next.wal_size = 0;
    return store_commit(s, r->time_ms);
}

int store_replay(struct store *s)
{
    const char *path = s->options.path;
    struct replay r = {.s = s, .time_ms = s->stored.time_ms};
    struct wal_found found = {.is_broken = false};
    int status = s->stored.wal_size > 0 ? write_all(&r, &found) : 0;

    free(r.copy);
    if (status == 0 && found.is_broken) {
        wal_keep_aside(path);
        log_error("journal.path = %s: the write-ahead log is damaged, or a part of it is missing: "
                  "notifications that were acknowledged last may be lost, and ids get a new epoch; "
                  "its files are kept as %s" WAL_ASIDE " and %s" WAL_ASIDE,
                  path, wal_file_names[0], wal_file_names[1]);
    }
    return status;
}

/* ---- for those who read ---- */

void store_note_left_out(const char *path, const char *why)
{
    log_warning("journal.path = %s: what was acknowledged last is in the write-ahead log only, and "
                "left out here: %s",
                path, why);
}

bool store_await_log(struct store *s, const struct store_lock *own)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    const char *path = s->options.path;
    struct wal_found found;

    if (wal_read(path, &s->stored, NULL, NULL, &found) != 0)
        return true; /* it is not even readable: whoever writes will tell */
    for (int i = 0; i < MAX_LOOKS; i++) {
        if (store_look(s) == 0 && s->stored.wal_number >= found.last)
            return true;
        if (own != NULL || !store_is_locked(path))
            return false;
        nanosleep(&pause, NULL);
    }
    store_note_left_out(path, "the process that writes does not get it any further");
    return true;
}

/* With the lock. */
static int open_and_close(const char *path, struct error *why)
{
    const struct store_options options = store_options_without_bounds(path);
    struct store *s = store_make(&options, why);
    int status = s == NULL ? -1 : store_open_locked(s, why);

    store_close(s);
    return status;
}

int store_bring_in_log(const char *path, const struct store_lock *own, struct error *why)
{
    struct store_lock *lock = own == NULL ? store_lock(path, why) : NULL;
    struct store_report report = {.is_damaged = false};
    int status;

    if (own == NULL && lock == NULL)
        return -1;
    status = store_check(path, own != NULL ? own : lock, NULL, NULL, &report, why);
    if (status == 0 && report.is_damaged)
        status = error_set(why, "data.mdb is damaged");
    if (status == 0)
        status = open_and_close(path, why);
    store_unlock(lock);
    return status;
}
