/* fuzz_check.c - any bytes at all in the place of a store's file: the check reads none that are not
 * there, what it passes LMDB can read and go on writing to, and what it does not pass is repaired;
 * and nothing is missing under the epoch that was there.
 *
 * An input whose first byte is odd is a list of changes to a sound file, four bytes each: the page,
 * the offset in it (two bytes), and what that byte is xored with. Another is a file itself. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "base/log.h"
#include "store/check_priv.h"

enum { PAGE = 4096, MAX_ENTRIES = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char path[128];
static char file[160];
static struct store_options options = {
    .path = path,
    .keep_ms = 1000000,
    .keep_per_user = 4,
    .keep_bytes = 1 << 20,
    .keys_ms = 1000000,
    .is_unsynced = true,
};
static uint8_t *sound;
static size_t sound_n;
static char epoch[EPOCH_SIZE];
static uint32_t sums[MAX_ENTRIES]; /* of the records, by number; 0: there is none */
static uint64_t entries;

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

static void clear(void)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf '%s'", path);
    must(system(command) == 0);
}

static void put(struct store *s, uint64_t seq)
{
    static char data[9000];
    char name[16];
    char bytes[10000];
    struct record r = {
        .seq = seq,
        .time_ms = seq,
        .expires_ms = seq % 5 == 0 ? 10000 + seq : RECORD_KEPT,
        .to = {CHANNEL_TOPIC, {"topic", 5}},
        .event = {"e", 1},
        .data = {data, seq == 77 ? sizeof data : seq % 20},
    };

    if (seq % 10 == 0)
        r.to = (struct channel_name){
            CHANNEL_USER, {name, (size_t)snprintf(name, sizeof name, "u%d", (int)(seq % 70))}};
    if (seq % 7 == 0)
        r.collapse_key = slice_make("key", 1 + seq % 3);
    record_write(&r, bytes);
    must(store_append(s, bytes, record_size(&r)) == 0);
    if (seq % 4 == 0)
        must(store_add_key(s, seq, seq, slice_make("0123456789", seq % 10)) == 0);
}

static int note_sum(void *ctx, const struct record *record, struct slice bytes)
{
    (void)ctx;
    must(record->seq < MAX_ENTRIES);
    sums[record->seq] = record_sum(bytes);
    entries++;
    return 0;
}

static void read_sound(void)
{
    FILE *f = fopen(file, "rb");

    must(f != NULL && fseek(f, 0, SEEK_END) == 0);
    sound_n = (size_t)ftell(f);
    rewind(f);
    sound = malloc(sound_n);
    must(sound != NULL && fread(sound, 1, sound_n, f) == sound_n);
    fclose(f);
}

static void make_sound(void)
{
    const char *base = getenv("TMPDIR");
    struct store_reader *r;
    struct error why;
    struct store *s;

    if (base == NULL)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/fuzz-check-XXXXXX", base);
    must(mkdtemp(path) != NULL);
    atexit(clear);
    log_setup(LOG_ERROR, LOG_TEXT, open("/dev/null", O_WRONLY), false);
    snprintf(file, sizeof file, "%s/data.mdb", path);
    s = store_open(&options, &why);
    must(s != NULL);
    for (uint64_t seq = 1; seq < 400;) {
        must(store_begin(s) == 0);
        for (int i = 0; i < 57; i++)
            put(s, seq++);
        must(store_commit(s, seq) == 0);
    }
    snprintf(epoch, sizeof epoch, "%s", store_state(s)->epoch);
    r = store_reader_create(s);
    must(r != NULL && store_each(r, 0, note_sum, NULL) == 0);
    store_reader_destroy(r);
    store_close(s);
    read_sound();
}

static int check_record(void *ctx, const struct record *record, struct slice bytes)
{
    uint64_t *count = ctx;

    ++*count;
    return record->seq < MAX_ENTRIES && sums[record->seq] == record_sum(bytes) ? 0 : 1;
}

/* A file that was made by somebody else may hold anything; it is read and goes on all the same. */
static void open_it(const uint8_t *bytes, size_t n)
{
    struct store_reader *r;
    struct error why;
    struct store *s;
    uint64_t count = 0;
    int status;
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    must(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
    s = store_open(&options, &why);
    if (s == NULL)
        return; /* of a newer version */
    r = store_reader_create(s);
    must(r != NULL);
    status = store_each(r, 0, check_record, &count);
    must(strcmp(store_state(s)->epoch, epoch) != 0 || (status == 0 && count == entries));
    store_reader_destroy(r);
    must(store_begin(s) == 0);
    for (uint64_t seq = store_state(s)->head + 1, end = seq + 20; seq < end && seq > 0; seq++)
        put(s, seq);
    must(store_commit(s, 0) == 0);
    store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const struct pass quiet = {NULL, NULL};
    struct findings f;
    bool is_worth_it;
    uint8_t *copy;
    size_t size = n == 0 ? 0 : n - 1;

    if (sound == NULL)
        make_sound();
    if (n > 0 && bytes[0] % 2 == 1)
        size = sound_n;
    copy = malloc(size + 1);
    must(copy != NULL);
    if (n > 0 && bytes[0] % 2 == 1) {
        memcpy(copy, sound, sound_n);
        for (size_t i = 1; i + 4 <= n; i += 4)
            copy[((size_t)bytes[i] * PAGE + (bytes[i + 1] | (size_t)bytes[i + 2] << 8) % PAGE) %
                 sound_n] ^= bytes[i + 3];
    } else if (n > 1) {
        memcpy(copy, bytes + 1, size);
    }
    copy = realloc(copy, size > 0 ? size : 1); /* so that a read past its end is seen */
    must(copy != NULL);
    must(findings_init(&f, copy, size, NULL, &quiet) == 0);
    /* To open one takes long, to repair one longer: some of them will do. */
    is_worth_it = crc32c(0, bytes, n) % (findings_are_bad(&f) ? 16 : 4) == 0;
    findings_fini(&f);
    if (is_worth_it)
        open_it(copy, size);
    free(copy);
    return 0;
}
