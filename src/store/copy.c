/* copy.c - a consistent copy of a store that may be written to meanwhile.
 *
 * LMDB copies in a thread of its own, so that the caller can be told how far it is. The file has
 * another name until it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "store_priv.h"

enum { TICK_MS = 100, MARK_MAP_HEADROOM = 1 << 20 };

struct copying {
    MDB_env *env;
    int fd;
    int code;
    bool is_done;
    pthread_mutex_t lock;
    pthread_cond_t done;
};

static void *copy_body(void *ctx)
{
    struct copying *c = ctx;
    int code = mdb_env_copyfd2(c->env, c->fd, MDB_CP_COMPACT);

    pthread_mutex_lock(&c->lock);
    c->code = code;
    c->is_done = true;
    pthread_cond_signal(&c->done);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void wait_a_tick(struct copying *c)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at); /* of a wait so short that a step of it does no harm */
    at.tv_nsec += TICK_MS * 1000000L;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&c->done, &c->lock, &at);
}

/* Returns LMDB's code. */
static int copy_to_fd(struct store *s, int fd, store_progress_fn *on_progress, void *ctx)
{
    struct copying c = {.env = s->env, .fd = fd};
    struct stat file;
    pthread_t thread;
    int code;

    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.done, NULL);
    code = pthread_create(&thread, NULL, copy_body, &c);
    if (code == 0) {
        pthread_mutex_lock(&c.lock);
        while (!c.is_done) {
            wait_a_tick(&c);
            if (on_progress != NULL && fstat(fd, &file) == 0)
                on_progress(ctx, (uint64_t)file.st_size, s->state.bytes);
        }
        pthread_mutex_unlock(&c.lock);
        pthread_join(thread, NULL);
        code = c.code;
    }
    pthread_cond_destroy(&c.done);
    pthread_mutex_destroy(&c.lock);
    return code != 0 ? code : fsync(fd) != 0 ? errno : 0;
}

/* ---- a copy knows what it is ---- */

static int put_state(MDB_txn *txn, bool is_backup)
{
    MDB_val key = val_of("state", 5);
    struct stored_state state;
    MDB_val value;
    MDB_dbi dbi;
    int code = mdb_dbi_open(txn, "state", 0, &dbi);

    if (code == 0)
        code = mdb_get(txn, dbi, &key, &value);
    if (code != 0)
        return code;
    if (value.mv_size != sizeof state)
        return MDB_CORRUPTED;
    memcpy(&state, value.mv_data, sizeof state);
    if (!stored_state_is_sound(&state))
        return MDB_CORRUPTED;
    state.txn = mdb_txn_id(txn);
    state.is_backup = is_backup || state.is_backup != 0;
    stored_state_seal(&state);
    value = val_of(&state, sizeof state);
    return mdb_put(txn, dbi, &key, &value, 0);
}

/* A commit syncs. */
static int commit_state(MDB_env *env, bool is_backup)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(env, NULL, 0, &txn);

    if (code != 0)
        return code;
    code = put_state(txn, is_backup);
    if (code == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

/* LMDB numbers the transactions of a compact copy from 1 on: both heads of the file get a state
 * that knows its number. */
static int mark_copy(const char *file, uint64_t size, bool is_backup)
{
    MDB_env *env;
    int code = mdb_env_create(&env);

    if (code != 0)
        return code;
    code = mdb_env_set_mapsize(env, size + MARK_MAP_HEADROOM);
    if (code == 0)
        code = mdb_env_set_maxdbs(env, 1);
    if (code == 0)
        code = mdb_env_open(env, file, MDB_NOSUBDIR | MDB_NOLOCK, FILE_MODE);
    for (int i = 0; code == 0 && i < 2; i++)
        code = commit_state(env, is_backup);
    mdb_env_close(env);
    return code;
}

/* ---- the whole of it ---- */

static int copy_to_part(struct store *s, const char *part, bool is_backup,
                        store_progress_fn *on_progress, void *ctx)
{
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    struct stat file;
    int code;

    if (fd < 0)
        return errno;
    code = copy_to_fd(s, fd, on_progress, ctx);
    if (code == 0 && fstat(fd, &file) != 0)
        code = errno;
    close(fd);
    return code == 0 ? mark_copy(part, (uint64_t)file.st_size, is_backup) : code;
}

int store_copy(struct store *s, const char *to, bool is_backup, store_progress_fn *on_progress,
               void *ctx, struct error *why)
{
    char part[MAX_FILE];
    char file[MAX_FILE];
    int code;

    if (directory_make(to, why) != 0 || directory_check_empty(to, PART_FILE, why) != 0)
        return -1;
    snprintf(part, sizeof part, "%s/" PART_FILE, to);
    snprintf(file, sizeof file, "%s/" DATA_FILE, to);
    code = copy_to_part(s, part, is_backup, on_progress, ctx);
    if (code == 0 && rename(part, file) != 0)
        code = errno;
    if (code != 0) {
        unlink(part);
        return error_set(why, "cannot copy %s to %s: %s", s->options.path, to,
                         code == EIO ? "the disk is full, or fails" : mdb_strerror(code));
    }
    code = -file_sync_directory(to);
    if (code == 0)
        code = directory_sync_parent(to);
    return code == 0 ? 0 : error_set(why, "cannot write %s: %s", to, strerror(code));
}
