/* record.h - one notification as the bytes that are kept on disk.
 *
 * Little-endian, in one run: a head of fixed size, then the channel's name, the event's name, the
 * collapse key and the data. A checksum over all of it tells a damaged record from a whole one.
 * The bytes hold no number of their own until record_seal gives them one: they are made on the
 * loop and numbered there, and sealed by the thread that writes them. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"
#include "message/notification.h"

struct message; /* message/message.h */

struct record {
    uint64_t seq;
    uint64_t wall_ms;    /* when it was accepted, by the system's clock: for people */
    uint64_t time_ms;    /* the same by the journal's clock, which never goes back: for its age */
    uint64_t expires_ms; /* by the journal's clock; RECORD_KEPT: with age, like all others */
    struct channel_name to;
    struct slice event;
    struct slice collapse_key; /* empty: none */
    struct slice data;
    bool is_json;
};

#define RECORD_KEPT UINT64_MAX

enum { RECORD_HEAD_SIZE = 56 };

/* Bytes that record_write needs. */
size_t record_size(const struct record *r);

/* Writes the record at `p`, without its checksum. */
void record_write(const struct record *r, char *p);

/* Puts the checksum in. */
void record_seal(char *p, size_t size);

/* Reads a record whose slices point into `bytes`. Returns 0, or -EBADMSG where it is damaged: cut
 * short, of another length, with parts that do not fit or a wrong checksum. */
int record_read(struct record *r, struct slice bytes);

/* The record as its event on the wire: a message with one reference, or NULL without memory. */
struct message *record_encode(const struct record *r, const char *epoch);

/* The checksum that a sealed record carries. */
uint32_t record_sum(struct slice bytes);
#endif
