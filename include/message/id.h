/* id.h - EPOCH-SEQ, the name of a place in the journal's order.
 *
 * The epoch is a short random word, new whenever continuity is lost; the number only grows. To a
 * client the whole is opaque. */
#ifndef MESSAGE_ID_H
#define MESSAGE_ID_H
#include <stdint.h>
#include "base/slice.h"

enum {
    EPOCH_LENGTH = 8,
    EPOCH_SIZE = EPOCH_LENGTH + 1,
    ID_TEXT_SIZE = EPOCH_LENGTH + 1 + 20 + 1,
    MAX_ID_BYTES = 128, /* that anybody may give us */
};

/* Draws a new epoch of letters and digits. Returns 0 or -Exxx of getrandom. */
int epoch_create(char out[EPOCH_SIZE]);

/* Writes the id, terminated; returns its length. */
size_t id_format(const char *epoch, uint64_t seq, char out[ID_TEXT_SIZE]);

/* Reads an id. Returns 0; -ENOENT where it is of another epoch; -EINVAL where it is no id of
 * ours at all. */
int id_parse(struct slice text, const char *epoch, uint64_t *seq);
#endif
