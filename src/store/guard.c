/* guard.c - each thread has its own place to go back to; without one a SIGBUS comes to what it
 * always did. */
#include "store/guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

enum { CUT = 1, FAILED = 2 };

static _Thread_local sigjmp_buf *volatile way_back;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct sigaction before;

static void on_bus(int number)
{
    sigjmp_buf *to = way_back;

    if (to != NULL) {
        way_back = NULL;
        siglongjmp(*to, CUT);
    }
    sigaction(number, &before, NULL); /* the access is made again, and is not ours any more */
}

/* Threads may have all signals blocked, and a blocked SIGBUS kills: see guard_run. */
static void install(void)
{
    struct sigaction action = {.sa_handler = on_bus, .sa_flags = SA_NODEFER};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

static void let_through(void)
{
    static _Thread_local volatile sig_atomic_t is_done;
    sigset_t bus;

    if (is_done)
        return;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
    is_done = 1;
}

int guard_run(int (*work)(void *ctx), void *ctx, bool *is_cut)
{
    sigjmp_buf *outer = way_back;
    sigjmp_buf here;
    int result;

    pthread_once(&once, install);
    let_through();
    *is_cut = true;
    switch (sigsetjmp(here, 0)) {
    case 0:
        way_back = &here;
        result = work(ctx);
        way_back = outer;
        *is_cut = false;
        return result;
    case CUT:
        way_back = outer;
        return -EIO;
    default:
        way_back = outer;
        return -EBADMSG;
    }
}

void guard_fail(void)
{
    sigjmp_buf *to = way_back;

    if (to == NULL)
        return;
    way_back = NULL;
    siglongjmp(*to, FAILED);
}
