/* shared_priv.h - what the process that publishes and those that hold the streams share.
 *
 * Each reader writes its own part alone; the others read it. Commands go down by number, and a
 * reader answers with that number once it has done what was asked. */
#ifndef LOADGEN_SHARED_PRIV_H
#define LOADGEN_SHARED_PRIV_H
#include <stdatomic.h>
#include <stdint.h>
#include "loadgen/histogram.h"

enum { MAX_READERS = 256, FAILURE_SIZE = 512 };

enum reader_command {
    COMMAND_NONE,
    COMMAND_OPEN,   /* open all streams; done when each has opened or failed */
    COMMAND_DROP,   /* reset all, as a network would; they come back with their last ids */
    COMMAND_CLEAR,  /* the histograms */
    COMMAND_RESYNC, /* what has been sent so far counts as seen */
    COMMAND_REREAD, /* from now on, a stream that has read `reread_at` begins anew */
    COMMAND_END,    /* the process ends */
};

/* Each of the two kinds of channels is counted for itself. */
enum channel_class { CLASS_UNICAST, CLASS_FANOUT, CLASSES };

struct reader_part {
    _Atomic unsigned done;                 /* number of the last command done */
    _Atomic uint64_t delivered[CLASSES];   /* events with a mark, all of them */
    _Atomic uint64_t doubled, reordered, gaps, misrouted;
    _Atomic uint64_t open, failed, closed; /* streams */
    _Atomic uint64_t reread; /* streams that began anew */
    _Atomic uint64_t bytes, reads;
    _Atomic uint64_t opened_ns;    /* when the last stream opened */
    _Atomic uint64_t delivered_ns; /* when the last event came */
    struct histogram latency[CLASSES];
    struct histogram head;
    _Atomic bool has_failed; /* `failure` is written */
    char failure[FAILURE_SIZE];
} __attribute__((aligned(64)));

struct load_shared {
    _Atomic unsigned command;        /* enum reader_command */
    _Atomic unsigned command_number; /* grows with each */
    _Atomic bool wants_news;         /* the publisher sleeps: write to news_fd when events came */
    _Atomic unsigned look_us[2];     /* readers look for events this often, 0: they are woken; [1]:
                                        the prompt one, which has the streams of LOAD_MIXED */
    _Atomic uint32_t reread_at;      /* notifications; 0: streams go on */
    int news_fd;                     /* eventfd */
    int command_fd[MAX_READERS];     /* eventfd of each */
    struct reader_part part[MAX_READERS];
    _Atomic uint32_t sent[]; /* number of the last one, by channel: users, then fan-outs */
};
#endif
