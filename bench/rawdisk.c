/*
 * rawdisk - what a bare program gets from this disk with LMDB: records by
 * number into one tree, nothing else, and one commit, synced as LMDB syncs
 * it, for all that wait.
 *
 * --publishers N threads hand in a record each, wait until it is safe on
 * disk, and hand in the next; one thread writes.  With --no-wait there is
 * that one thread only: each commit has N records, and nobody is woken.
 */
#include <errno.h>
#include <getopt.h>
#include <lmdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ULL
#define MAX_PUBLISHERS 4096

static int publishers = 64, size = 300;
static double secs = 4;
static const char *path;
static bool no_wait;

static MDB_env *env;
static MDB_dbi entries;
static uint64_t head; /* number of the newest record */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t to_writer = PTHREAD_COND_INITIALIZER;
static sem_t committed[MAX_PUBLISHERS];
static int waiting[MAX_PUBLISHERS], nwaiting; /* whose records are to be written */

__attribute__((format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("rawdisk: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static uint64_t clk(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void check(int code, const char *what)
{
    if (code != 0)
        die("%s: %s", what, mdb_strerror(code));
}

static void open_database(void)
{
    MDB_txn *txn;

    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_mapsize(env, 16ULL << 30), "mdb_env_set_mapsize");
    check(mdb_env_set_maxdbs(env, 1), "mdb_env_set_maxdbs");
    check(mdb_env_open(env, path, 0, 0600), path);
    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, "entries", MDB_CREATE | MDB_INTEGERKEY, &entries), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void commit(int n)
{
    static char record[1 << 20];
    MDB_txn *txn;
    MDB_cursor *cursor;

    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_cursor_open(txn, entries, &cursor), "mdb_cursor_open");
    for (int i = 0; i < n; i++) {
        uint64_t number = ++head;
        MDB_val k = {sizeof number, &number}, v = {(size_t)size, record};
        memcpy(record, &number, sizeof number);
        check(mdb_cursor_put(cursor, &k, &v, MDB_APPEND), "mdb_cursor_put");
    }
    mdb_cursor_close(cursor);
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void *publish(void *ctx)
{
    int me = (int)(intptr_t)ctx;
    for (;;) {
        pthread_mutex_lock(&lock);
        waiting[nwaiting++] = me;
        if (nwaiting == 1)
            pthread_cond_signal(&to_writer);
        pthread_mutex_unlock(&lock);
        while (sem_wait(&committed[me]) != 0)
            ;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option o[] = {{"path", 1, 0, 'p'}, {"publishers", 1, 0, 'n'},
                                      {"size", 1, 0, 's'}, {"secs", 1, 0, 't'},
                                      {"no-wait", 0, 0, 'w'}, {0, 0, 0, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", o, NULL)) != -1)
        switch (c) {
        case 'p':
            path = optarg;
            break;
        case 'n':
            publishers = atoi(optarg);
            break;
        case 's':
            size = atoi(optarg);
            break;
        case 't':
            secs = atof(optarg);
            break;
        case 'w':
            no_wait = true;
            break;
        default:
            path = NULL;
            optind = argc;
        }
    if (path == NULL || publishers < 1 || publishers > MAX_PUBLISHERS || size < 8 ||
        size > 1 << 20 || secs <= 0) {
        fputs("usage: rawdisk --path DIR [--publishers N] [--size BYTES] [--secs S] [--no-wait]\n"
              "DIR must be there; its data.mdb is written to.\n",
              stderr);
        return 2;
    }
    open_database();
    for (int i = 0; i < publishers && !no_wait; i++) {
        pthread_t thread;
        sem_init(&committed[i], 0, 0);
        if (pthread_create(&thread, NULL, publish, (void *)(intptr_t)i) != 0)
            die("pthread_create");
    }
    uint64_t t0 = clk(CLOCK_MONOTONIC), cpu0 = clk(CLOCK_PROCESS_CPUTIME_ID), t, commits = 0;
    while ((t = clk(CLOCK_MONOTONIC)) < t0 + (uint64_t)(secs * 1e9)) {
        int group[MAX_PUBLISHERS], n = publishers;
        if (!no_wait) {
            pthread_mutex_lock(&lock);
            while (nwaiting == 0)
                pthread_cond_wait(&to_writer, &lock);
            n = nwaiting;
            memcpy(group, waiting, (size_t)n * sizeof *group);
            nwaiting = 0;
            pthread_mutex_unlock(&lock);
        }
        commit(n);
        commits++;
        for (int i = 0; i < n && !no_wait; i++)
            sem_post(&committed[group[i]]);
    }
    double dt = (double)(t - t0) / 1e9;
    double cpu = (double)(clk(CLOCK_PROCESS_CPUTIME_ID) - cpu0) / 1e3;
    printf("{\"tool\":\"rawdisk\",\"publishers\":%d,\"size\":%d,\"seconds\":%.3f,\"records\":%llu,"
           "\"records_per_s\":%.1f,\"commits_per_s\":%.1f,\"us_per_record\":%.2f}\n",
           publishers, size, dt, (unsigned long long)head, (double)head / dt,
           (double)commits / dt, cpu / (double)head);
    fflush(stdout);
    _exit(0); /* the threads wait for ever */
}
