/* read_priv.h - a reader's parts, for the files that read. */
#ifndef STORE_READ_PRIV_H
#define STORE_READ_PRIV_H
#include "store_priv.h"

struct store_reader {
    struct store *s;
    MDB_txn *txn;        /* reset between the calls */
    MDB_cursor *entries;
    MDB_cursor *channels[STORE_MAX_CHANNELS]; /* made when they are needed first */
};

/* Where the reading of one channel is. */
struct place {
    MDB_cursor *cursor;
    uint64_t next; /* number of the next entry, or UINT64_MAX */
};

/* All return LMDB's codes. A snapshot begins; mdb_txn_reset(r->txn) ends it, also after failure. */
int reader_begin(struct store_reader *r);

int reader_read_state(struct store_reader *r, struct stored_state *state);

/* The i-th cursor in `channels`. */
int reader_channel_cursor(struct store_reader *r, size_t i, MDB_cursor **cursor);

/* The entry of that number, which must be there. */
int reader_read_entry(struct store_reader *r, uint64_t seq, struct record *record,
                      struct slice *bytes);

/* To the channel's first entry behind `after`, by the i-th cursor; *mark is the channel's, or 0. */
int place_find(struct store_reader *r, size_t i, struct channel_name channel, uint64_t after,
               struct place *p, uint64_t *mark);
int place_step(struct place *p);
struct place *place_nearest(struct place *places, size_t count);
#endif
