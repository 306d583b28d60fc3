/* pressure.c - when queues and window are near the memory they may take, the streams that are
 * furthest behind make room: their peers take nothing, and resume when they come back.
 *
 * The clients are walked twice, some at each turn's end: for who is furthest behind, and for those
 * that are little better. What nobody is slow for (the window) is held to bounds of its own. */
#include "base/log.h"
#include "manager_priv.h"

enum {
    LOOKS_A_TURN = 4000,
    TELL_MS = 10000,  /* between two lines in the log */
};

static bool is_relieved(const struct notification_manager *nm)
{
    return nm->stats->memory_held < nm->options.max_memory - nm->options.max_memory / 4;
}

static void look_again(struct notification_manager *nm)
{
    nm->pressure = PRESSURE_LOOKS;
    nm->ends_until = UINT64_MAX;
    pool_walk_start(&nm->clients);
}

static void tell(struct notification_manager *nm)
{
    if (nm->pressure_ended == 0 ||
        (nm->pressure_told_ms != 0 && nm->now_ms - nm->pressure_told_ms < TELL_MS))
        return;
    nm->pressure_told_ms = nm->now_ms;
    log_event(LOG_WARNING, "queues are near limits.max_memory: the slowest streams were ended",
              log_u64("streams", nm->pressure_ended), log_u64("held", nm->stats->memory_held),
              log_u64("max_memory", nm->options.max_memory));
    nm->pressure_ended = 0;
}

/* The end of a walk. */
static void turn(struct notification_manager *nm)
{
    if (nm->pressure == PRESSURE_ENDS) {
        look_again(nm);
        return;
    }
    if (nm->ends_until == UINT64_MAX) { /* nobody is slow: there is nothing to be had now */
        nm->pressure = PRESSURE_NONE;
        return;
    }
    nm->pressure = PRESSURE_ENDS;
    if (nm->ends_until < nm->head)
        nm->ends_until += (nm->head - nm->ends_until) / 4;
    pool_walk_start(&nm->clients);
}

static void step(struct notification_manager *nm)
{
    struct client *c = pool_walk_next(&nm->clients);
    uint64_t position;

    if (c == NULL) {
        turn(nm);
        return;
    }
    position = client_position(c);
    if (position == UINT64_MAX)
        return;
    if (nm->pressure == PRESSURE_LOOKS) {
        if (position < nm->ends_until)
            nm->ends_until = position;
    } else if (position <= nm->ends_until) {
        nm->pressure_ended++;
        client_cut_for_pressure(c);
    }
}

void pressure_begin(struct notification_manager *nm)
{
    uint64_t max = nm->options.max_memory;

    if (max == 0 || nm->stats->memory_held < max - max / 8 || nm->has_walk)
        return;
    nm->has_walk = true;
    look_again(nm);
}

void pressure_relieve(struct notification_manager *nm)
{
    for (int i = 0; i < LOOKS_A_TURN && nm->pressure != PRESSURE_NONE; i++) {
        if (is_relieved(nm))
            nm->pressure = PRESSURE_NONE;
        else
            step(nm);
    }
    tell(nm);
}
