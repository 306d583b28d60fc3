/* record.c - the head is a struct of fixed layout, copied as it is: this program runs on
 * little-endian machines, and says so where it does not. */
#include "store/record.h"

#include <errno.h>
#include <string.h>
#include "base/crc32c.h"
#include "message/sse.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");

enum { FLAG_JSON = 1, KNOWN_FLAGS = FLAG_JSON };

struct head {
    uint32_t sum;    /* CRC-32C of all that follows it */
    uint32_t size;   /* of the whole record */
    uint64_t seq;
    uint64_t wall_ms;
    uint64_t time_ms;
    uint64_t expires_ms;
    uint32_t data_length;
    uint16_t name_length;
    uint16_t event_length;
    uint16_t key_length;
    uint8_t kind;    /* enum channel_kind */
    uint8_t flags;
    uint32_t zero;
};

_Static_assert(sizeof(struct head) == RECORD_HEAD_SIZE, "the head has no padding");

size_t record_size(const struct record *r)
{
    return sizeof(struct head) + r->to.name.n + r->event.n + r->collapse_key.n + r->data.n;
}

void record_write(const struct record *r, char *p)
{
    struct head head = {
        .size = (uint32_t)record_size(r),
        .seq = r->seq,
        .wall_ms = r->wall_ms,
        .time_ms = r->time_ms,
        .expires_ms = r->expires_ms,
        .data_length = (uint32_t)r->data.n,
        .name_length = (uint16_t)r->to.name.n,
        .event_length = (uint16_t)r->event.n,
        .key_length = (uint16_t)r->collapse_key.n,
        .kind = (uint8_t)r->to.kind,
        .flags = r->is_json ? FLAG_JSON : 0,
    };

    memcpy(p, &head, sizeof head);
    p = slice_put(p + sizeof head, r->to.name);
    p = slice_put(p, r->event);
    p = slice_put(p, r->collapse_key);
    slice_put(p, r->data);
}

static uint32_t sum_of(const char *p, size_t size)
{
    return crc32c(0, p + sizeof(uint32_t), size - sizeof(uint32_t));
}

void record_seal(char *p, size_t size)
{
    uint32_t sum = sum_of(p, size);

    memcpy(p, &sum, sizeof sum);
}

static struct slice cut(const char **p, size_t n)
{
    struct slice s = slice_make(*p, n);

    *p += n;
    return s;
}

int record_read(struct record *r, struct slice bytes)
{
    struct head head;
    const char *p;

    if (bytes.n < sizeof head)
        return -EBADMSG;
    memcpy(&head, bytes.p, sizeof head);
    if (head.size != bytes.n || head.kind > CHANNEL_EVERYONE || (head.flags & ~KNOWN_FLAGS) != 0 ||
        (uint64_t)head.data_length + head.name_length + head.event_length + head.key_length +
                sizeof head != bytes.n ||
        sum_of(bytes.p, bytes.n) != head.sum)
        return -EBADMSG;
    p = bytes.p + sizeof head;
    *r = (struct record){
        .seq = head.seq,
        .wall_ms = head.wall_ms,
        .time_ms = head.time_ms,
        .expires_ms = head.expires_ms,
        .to = {(enum channel_kind)head.kind, cut(&p, head.name_length)},
        .is_json = (head.flags & FLAG_JSON) != 0,
    };
    r->event = cut(&p, head.event_length);
    r->collapse_key = cut(&p, head.key_length);
    r->data = cut(&p, head.data_length);
    return 0;
}

struct message *record_encode(const struct record *r, const char *epoch)
{
    struct notification n = {
        .to = r->to,
        .event = r->event,
        .data = r->data,
        .is_json = r->is_json,
    };

    return sse_encode(&n, epoch, r->seq, r->wall_ms);
}

uint32_t record_sum(struct slice bytes)
{
    uint32_t sum;

    memcpy(&sum, bytes.p, sizeof sum);
    return sum;
}
