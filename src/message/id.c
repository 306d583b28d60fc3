/* id.c - see the header. */
#include "message/id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include "base/buf.h"

int epoch_create(char out[EPOCH_SIZE])
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* 32: no bias */
    unsigned char random[EPOCH_LENGTH];
    ssize_t n = getrandom(random, sizeof random, 0);

    if (n != (ssize_t)sizeof random)
        return n < 0 ? -errno : -EIO;
    for (int i = 0; i < EPOCH_LENGTH; i++)
        out[i] = alphabet[random[i] & 31];
    out[EPOCH_LENGTH] = '\0';
    return 0;
}

size_t id_format(const char *epoch, uint64_t seq, char out[ID_TEXT_SIZE])
{
    size_t n = strlen(epoch);
    char *end;

    memcpy(out, epoch, n);
    out[n] = '-';
    end = format_u64(out + n + 1, seq);
    *end = '\0';
    return (size_t)(end - out);
}

int id_parse(struct slice text, const char *epoch, uint64_t *seq)
{
    struct slice rest = text;
    struct slice name = slice_cut(&rest, '-');

    if (text.n > MAX_ID_BYTES || name.n == 0 || rest.p == NULL || slice_to_u64(rest, seq) != 0)
        return -EINVAL;
    if (rest.n > 1 && rest.p[0] == '0')
        return -EINVAL; /* one place has one name */
    return slice_is(name, epoch) ? 0 : -ENOENT;
}
