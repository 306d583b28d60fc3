/* test_check.c - a store's file damaged in every page and every way, and what opening makes of it.
 *
 * What must never be: an entry that is missing or another one, under the same epoch. */
#include "store/check.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/log.h"
#include "message/message.h"
#include "store/replace.h"
#include "store/store_priv.h"
#include "store/survey.h"
#include "support/cm.h"
#include "support/scratch.h"

enum { PAGE = 4096, MAX_ENTRIES = 8192, USERS = 60 };

static char path[SCRATCH_SIZE];
static char data_file[SCRATCH_SIZE + 16];
static struct store_options options;
static struct store *store;

/* The file of a sound store, and all that can be read from it. */
static struct {
    char *bytes;
    size_t n;
    char *before;                /* the file some commits earlier */
    size_t before_n;
    char *content;               /* see dump */
    size_t content_n;
    struct slice records[MAX_ENTRIES]; /* by number */
    uint64_t entries;
    char epoch[EPOCH_SIZE];
} sound;

enum outcome { UNTOUCHED, WHOLE, LOSSY, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = {"untouched", "whole", "lossy"};

/* What the processes that open damaged files tell the test. */
static struct shared {
    char where[128];
    size_t outcomes[OUTCOMES];
} *shared;

/* What the log has to say of the last opening. */
static struct {
    int fd;
    char line[1024];
    bool is_damaged;
    bool is_lossy;
    uint64_t kept;
    char aside[64];
} told;

static struct sigaction on_bus; /* of guard.c; cmocka takes its place in each test */

static uint64_t dice_state;

static uint64_t dice(uint64_t sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return dice_state % sides;
}

/* ---- files ---- */

static char *read_file(const char *name, size_t *n)
{
    struct stat info;
    char *bytes;
    int fd = open(name, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    *n = (size_t)info.st_size;
    bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, *n), (ssize_t)*n);
    close(fd);
    return bytes;
}

static void write_file(const char *name, const char *bytes, size_t n)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

/* The damaged files that are kept; the last of them in `name`. */
static int count_asides(char name[SCRATCH_SIZE + 260])
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int count = 0;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, "data.mdb.damaged-", 17) == 0) {
            count++;
            if (name != NULL)
                snprintf(name, SCRATCH_SIZE + 260, "%s/%s", path, entry->d_name);
        }
    closedir(directory);
    return count;
}

static void remove_asides(void)
{
    char name[SCRATCH_SIZE + 260];

    while (count_asides(name) > 0)
        assert_int_equal(unlink(name), 0);
}

/* ---- a store with everything in it ---- */

static void read_log(void)
{
    ssize_t n = pread(told.fd, told.line, sizeof told.line - 1, 0);
    const char *kept;
    const char *aside;

    assert_true(n >= 0);
    told.line[n] = '\0';
    told.is_damaged = n > 0;
    told.is_lossy = strstr(told.line, "ids get a new epoch") != NULL;
    told.kept = 0;
    told.aside[0] = '\0';
    if (!told.is_damaged)
        return;
    assert_ptr_equal(strchr(told.line, '\n'), told.line + n - 1);
    assert_non_null(strstr(told.line, told.is_lossy ? "error" : "warning"));
    assert_non_null(strstr(told.line, path));
    assert_non_null(strstr(told.line, "data.mdb was damaged ("));
    kept = strstr(told.line, "); ");
    assert_non_null(kept);
    assert_non_null(strstr(kept, "entries are kept"));
    kept += strcspn(kept, "0123456789");
    told.kept = strtoull(kept, NULL, 10);
    aside = strstr(told.line, "the damaged file is ");
    if (aside != NULL)
        assert_int_equal(sscanf(aside, "the damaged file is %63s", told.aside), 1);
}

static void reopen(void)
{
    struct error why = {.text = ""};

    store_close(store);
    assert_int_equal(ftruncate(told.fd, 0), 0);
    assert_int_equal(lseek(told.fd, 0, SEEK_SET), 0);
    store = store_open(&options, &why);
    if (store == NULL)
        fail_msg("%s", why.text);
    read_log();
}

static void close_store(void)
{
    store_close(store);
    store = NULL;
}

struct sample {
    struct channel_name to;
    char name[32];
    uint64_t ttl_ms;
    char collapse_key[16];
    size_t data_size;
};

static void put(const struct sample *a, uint64_t seq, uint64_t time_ms)
{
    static char data[20000];
    struct record r = {
        .seq = seq,
        .wall_ms = 7,
        .time_ms = time_ms,
        .expires_ms = a->ttl_ms == 0 ? RECORD_KEPT : time_ms + a->ttl_ms,
        .to = {a->to.kind, slice_of(a->name)},
        .event = {"event", 5},
        .collapse_key = slice_of(a->collapse_key),
        .data = {data, a->data_size},
    };
    char *bytes = malloc(record_size(&r));

    assert_non_null(bytes);
    memset(data, 'a' + (int)(seq % 26), sizeof data);
    record_write(&r, bytes);
    assert_int_equal(store_append(store, bytes, record_size(&r)), 0);
    if (dice(3) == 0)
        assert_int_equal(store_add_key(store, seq, time_ms, slice_make(bytes + 20, 30)), 0);
    free(bytes);
}

static void put_any(uint64_t seq, uint64_t time_ms)
{
    struct sample a = {.data_size = dice(40) == 0 ? 2000 + dice(9000) : dice(60)};
    uint64_t which = dice(20);

    a.to.kind = which < 8 ? CHANNEL_USER : which < 19 ? CHANNEL_TOPIC : CHANNEL_EVERYONE;
    if (a.to.kind == CHANNEL_USER)
        snprintf(a.name, sizeof a.name, "user%llu", (unsigned long long)dice(USERS));
    if (a.to.kind == CHANNEL_TOPIC)
        snprintf(a.name, sizeof a.name, "topic%llu", (unsigned long long)(dice(5) == 0));
    if (dice(4) == 0)
        a.ttl_ms = 1 + dice(100000);
    if (dice(5) == 0)
        snprintf(a.collapse_key, sizeof a.collapse_key, "key%llu", (unsigned long long)dice(4));
    put(&a, seq, time_ms);
}

/* Some thousand entries, of which bounds, ttl, collapse keys and people take most. */
static void fill(uint64_t commits)
{
    const struct channel_name topic = {CHANNEL_TOPIC, {"topic1", 6}};
    uint64_t seq = store_state(store)->head;
    uint64_t now_ms = store_state(store)->time_ms;
    size_t count;
    bool has_more;

    for (uint64_t i = 0; i < commits; i++, now_ms += 100) {
        assert_int_equal(store_begin(store), 0);
        for (int k = 0; k < 40; k++)
            put_any(++seq, now_ms);
        for (uint64_t old = seq - 40; old < seq - 30 && seq > 100; old++)
            assert_int_equal(store_retract(store, topic, old, &count), 0);
        assert_int_equal(store_sweep(store, now_ms, 500, 0, &has_more), 0);
        assert_int_equal(store_commit(store, now_ms), 0);
    }
}

static void add_to_text(void *ctx, const void *bytes, size_t n)
{
    assert_int_equal(fwrite(bytes, 1, n, (FILE *)ctx), n);
}

static int dump_record(void *ctx, const struct record *record, struct slice bytes)
{
    (void)record;
    add_to_text(ctx, bytes.p, bytes.n);
    return 0;
}

static int dump_key(void *ctx, uint64_t seq, uint64_t time_ms, struct slice key)
{
    add_to_text(ctx, &seq, sizeof seq);
    add_to_text(ctx, &time_ms, sizeof time_ms);
    add_to_text(ctx, key.p, key.n);
    return 0;
}

static int dump_lost(void *ctx, struct channel_name channel, uint64_t lost)
{
    add_to_text(ctx, channel.name.p, channel.name.n);
    add_to_text(ctx, &lost, sizeof lost);
    return 0;
}

/* One channel, as who comes back to it reads it. */
static void dump_channel(FILE *out, struct store_reader *r, struct channel_name channel)
{
    static struct message *messages[MAX_ENTRIES];
    struct store_query q = {.channels = &channel, .channel_count = 1, .until = UINT64_MAX,
                            .max_entries = MAX_ENTRIES, .max_bytes = SIZE_MAX};
    struct store_page page = {.messages = messages};

    assert_int_equal(store_read(r, &q, &page), 0);
    for (size_t i = 0; i < page.count; i++) {
        add_to_text(out, &messages[i]->seq, sizeof messages[i]->seq);
        message_unref(messages[i]);
    }
    add_to_text(out, &page.lost[0], sizeof page.lost[0]);
    add_to_text(out, &page.covered, sizeof page.covered);
}

/* All that can be read. */
static char *dump(size_t *n)
{
    struct store_reader *r = store_reader_create(store);
    char *text = NULL;
    FILE *out = open_memstream(&text, n);
    char name[32];

    assert_non_null(out);
    assert_non_null(r);
    assert_int_equal(store_each(r, 0, dump_record, out), 0);
    assert_int_equal(store_each_key(r, dump_key, out), 0);
    assert_int_equal(store_each_lost(r, 0, dump_lost, out), 0);
    for (int i = 0; i < USERS + 2; i++) {
        bool is_user = i < USERS;

        snprintf(name, sizeof name, is_user ? "user%d" : "topic%d", is_user ? i : i - USERS);
        dump_channel(out, r, (struct channel_name){is_user ? CHANNEL_USER : CHANNEL_TOPIC,
                                                   slice_of(name)});
    }
    dump_channel(out, r, (struct channel_name){CHANNEL_EVERYONE, {NULL, 0}});
    store_reader_destroy(r);
    assert_int_equal(fclose(out), 0);
    return text;
}

static int keep_record(void *ctx, const struct record *record, struct slice bytes)
{
    char *copy = malloc(bytes.n);

    (void)ctx;
    assert_non_null(copy);
    assert_true(record->seq < MAX_ENTRIES);
    memcpy(copy, bytes.p, bytes.n);
    sound.records[record->seq] = slice_make(copy, bytes.n);
    sound.entries++;
    return 0;
}

static int make_sound(void **state)
{
    struct store_reader *r;

    (void)state;
    dice_state = 88172645463325252u;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    told.fd = memfd_create("log", 0);
    assert_true(told.fd >= 0);
    log_setup(LOG_WARNING, LOG_TEXT, told.fd, false);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* what is on a disk is no matter here */
    scratch_make(path);
    snprintf(data_file, sizeof data_file, "%s/data.mdb", path);
    options = (struct store_options){
        .path = path,
        .keep_ms = 6000,
        .keep_per_user = 5,
        .keep_bytes = 350000,
        .keys_ms = 5000,
        .is_unsynced = true,
    };
    reopen();
    fill(90);
    close_store();
    sound.before = read_file(data_file, &sound.before_n);
    reopen();
    fill(10);
    reopen();
    assert_int_equal(sigaction(SIGBUS, NULL, &on_bus), 0);
    sound.content = dump(&sound.content_n);
    strcpy(sound.epoch, store_state(store)->epoch);
    r = store_reader_create(store);
    assert_non_null(r);
    assert_int_equal(store_each(r, 0, keep_record, NULL), 0);
    store_reader_destroy(r);
    close_store();
    sound.bytes = read_file(data_file, &sound.n);
    return 0;
}

static int free_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < MAX_ENTRIES; i++)
        free((char *)(uintptr_t)sound.records[i].p);
    free(sound.bytes);
    free(sound.before);
    free(sound.content);
    munmap(shared, sizeof *shared);
    scratch_remove(path);
    return 0;
}

/* ---- what opening a damaged file must come to ---- */

static int check_record(void *ctx, const struct record *record, struct slice bytes)
{
    uint64_t *count = ctx;

    assert_true(record->seq < MAX_ENTRIES);
    assert_true(slice_equal(sound.records[record->seq], bytes));
    ++*count;
    return 0;
}

static bool is_as_before(void)
{
    size_t n;
    char *content = dump(&n);
    bool is_same = n == sound.content_n && memcmp(content, sound.content, n) == 0;

    free(content);
    return is_same && strcmp(store_state(store)->epoch, sound.epoch) == 0;
}

static void check_lossy(void)
{
    struct store_reader *r = store_reader_create(store);
    uint64_t count = 0;

    assert_non_null(r);
    assert_int_equal(store_each(r, 0, check_record, &count), 0);
    store_reader_destroy(r);
    assert_true(count == told.kept);
    assert_string_not_equal(store_state(store)->epoch, sound.epoch);
}

/* What is written later finds nothing damaged, and damages nothing. */
static void check_that_it_goes_on(void)
{
    struct store_report report;
    struct error why = {.text = ""};

    fill(3);
    close_store();
    assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), 0);
    if (report.is_damaged)
        fail_msg("after some commits: %s", report.findings[0]);
}

/* Puts the file in the store's place and opens that. */
static enum outcome open_damaged(const char *bytes, size_t n)
{
    enum outcome outcome;

    remove_asides();
    write_file(data_file, bytes, n);
    reopen();
    outcome = !told.is_damaged ? UNTOUCHED : told.is_lossy ? LOSSY : WHOLE;
    if (outcome == LOSSY)
        check_lossy();
    else if (!is_as_before())
        fail_msg("something is missing, under the same epoch (%s)", told.line);
    assert_int_equal(count_asides(NULL), outcome != UNTOUCHED && n > 0 ? 1 : 0);
    if (outcome != UNTOUCHED && n > 0) {
        char aside[SCRATCH_SIZE + 260];
        size_t aside_n;
        char *kept;

        snprintf(aside, sizeof aside, "%s/%s", path, told.aside);
        kept = read_file(aside, &aside_n);
        assert_true(aside_n == n && memcmp(kept, bytes, n) == 0);
        free(kept);
    }
    /* A file that was made anew is like any other: some of them will do. */
    if (outcome == UNTOUCHED || dice(8) == 0)
        check_that_it_goes_on();
    close_store();
    return outcome;
}

/* ---- many of them ---- */

/* Damages `bytes`, which are those of the sound file, and says where; *n may become less. */
typedef void damage_fn(size_t i, char *bytes, size_t *n, char *where, size_t size);

static void open_some(damage_fn *damage, size_t from, size_t to)
{
    char *copy = malloc(sound.n);

    assert_non_null(copy);
    alarm(300); /* it must not go round in circles */
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* or it would go on with the next test */
    for (size_t i = from; i < to; i++) {
        size_t n = sound.n;

        dice_state = 88172645463325252u + i * 0x9e3779b97f4a7c15u;
        memcpy(copy, sound.bytes, sound.n);
        damage(i, copy, &n, shared->where, sizeof shared->where);
        shared->outcomes[open_damaged(copy, n)]++;
    }
    free(copy);
}

/* In processes of their own: the test can tell the place when one of them dies. */
static void check_damages(damage_fn *damage, size_t count, const char *name)
{
    enum { BATCH = 16 };
    int status;

    memset(shared, 0, sizeof *shared);
    for (size_t i = 0; i < count; i += BATCH) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            open_some(damage, i, count < i + BATCH ? count : i + BATCH);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("%s: the process ended with status %x", shared->where, (unsigned)status);
    }
    printf("%s:", name);
    for (int i = 0; i < OUTCOMES; i++)
        printf(" %zu %s", shared->outcomes[i], outcome_names[i]);
    printf("\n");
    fflush(stdout); /* before the next fork */
}

#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 3 }; /* it looks at each byte of a map, and maps are large */
#else
enum { STRIDE = 1 };
#endif

/* Under valgrind one in ten is enough. */
static size_t stride(void)
{
    return getenv("TEST_IS_SLOW") != NULL ? 10 : STRIDE;
}

static size_t pages(void)
{
    return sound.n / PAGE;
}

/* How many cases it takes to come to every page. */
static size_t page_cases(void)
{
    return (pages() + stride() - 1) / stride();
}

static size_t page_of(size_t i)
{
    return i * stride();
}

static void flip(char *bytes, size_t page, size_t at, char *where, size_t size)
{
    int bit = (int)dice(8);

    bytes[page * PAGE + at] ^= (char)(1 << bit);
    snprintf(where, size, "page %zu, byte %zu, bit %d", page, at, bit);
}

static int note_biggest(void *ctx, struct channel_name channel, uint64_t entries, uint64_t lost)
{
    uint64_t *most = ctx;

    (void)channel;
    (void)lost;
    *most = entries > *most ? entries : *most;
    return 0;
}

/* Trees with branches, values on pages of their own, and runs that are trees. */
static void check_shapes(void)
{
    struct store_reader *r;
    uint64_t most = 0;
    MDB_txn *txn;
    MDB_stat stat;

    reopen();
    assert_int_equal(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_stat(txn, store->dbs.entries, &stat), 0);
    mdb_txn_abort(txn);
    assert_true(stat.ms_branch_pages > 0 && stat.ms_overflow_pages > 3);
    r = store_reader_create(store);
    assert_non_null(r);
    assert_int_equal(store_each_channel(r, note_biggest, &most), 0);
    assert_true(most * sizeof(uint64_t) > PAGE / 2);
    store_reader_destroy(r);
    close_store();
    write_file(data_file, sound.bytes, sound.n);
}

static void the_store_has_all_that_can_be_damaged(void **state)
{
    struct store_report report;
    struct error why = {.text = ""};

    (void)state;
    assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), 0);
    assert_false(report.is_damaged);
    assert_int_equal(report.bytes, sound.n);
    assert_int_equal(report.entries, sound.entries);
    assert_true(report.entries > 500);
    assert_true(report.free_bytes > 10 * PAGE);
    assert_true(report.keys > 100);
    assert_true(report.channels > 50);
    check_shapes();
    printf("%llu pages, %llu of them free, %llu entries, %llu channels, %llu keys\n",
           (unsigned long long)pages(), (unsigned long long)report.free_bytes / PAGE,
           (unsigned long long)report.entries, (unsigned long long)report.channels,
           (unsigned long long)report.keys);
    assert_int_equal(open_damaged(sound.bytes, sound.n), UNTOUCHED);
}

static void flip_start(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    (void)n;
    flip(bytes, page_of(i), dice(64), where, size);
}

static void a_flipped_bit_at_the_start_of_a_page(void **state)
{
    (void)state;
    check_damages(flip_start, page_cases(), "a bit of the first 64 bytes");
    assert_true(shared->outcomes[WHOLE] > 0);
}

static void flip_nodes(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    (void)n;
    flip(bytes, page_of(i), 64 + dice(1024), where, size);
}

static void a_flipped_bit_where_nodes_begin(void **state)
{
    (void)state;
    check_damages(flip_nodes, page_cases(), "a bit of the next kilobyte");
    assert_true(shared->outcomes[UNTOUCHED] > 0);
}

static void flip_data(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    (void)n;
    flip(bytes, page_of(i), 1088 + dice(PAGE - 1088), where, size);
}

static void a_flipped_bit_among_the_data(void **state)
{
    (void)state;
    check_damages(flip_data, page_cases(), "a bit of the rest");
    assert_true(shared->outcomes[LOSSY] > 0);
}

/* The bits of what LMDB has in the first two pages. */
enum { HEAD_BITS = 152 * 8, HEAD_STEP = 4 };

static void flip_head(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    size_t at = i * HEAD_STEP * stride();
    size_t page = at / HEAD_BITS;
    size_t bit = at % HEAD_BITS + dice(HEAD_STEP);

    (void)n;
    bytes[page * PAGE + bit / 8] ^= (char)(1 << bit % 8);
    snprintf(where, size, "head %zu, byte %zu, bit %zu", page, bit / 8, bit % 8);
}

static void every_fourth_bit_of_the_heads(void **state)
{
    (void)state;
    check_damages(flip_head, 2 * HEAD_BITS / HEAD_STEP / stride(), "a bit of the heads");
    assert_true(shared->outcomes[WHOLE] > 0);
}

static void fill_page(char *bytes, size_t page, int with, char *where, size_t size)
{
    memset(bytes + page * PAGE, with, PAGE);
    snprintf(where, size, "page %zu filled with %02x", page, (unsigned)with);
}

static void fill_with_one_byte(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    (void)n;
    fill_page(bytes, page_of(i), dice(2) == 0 ? 0 : 0xff, where, size);
}

static void a_page_of_zeros_or_ones(void **state)
{
    (void)state;
    check_damages(fill_with_one_byte, page_cases(), "a page of zeros or ones");
    assert_true(shared->outcomes[LOSSY] > 0);
}

/* As a write that came to another place leaves it, but for its own number, which is right. */
static void fill_with_another(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    size_t page = page_of(i);
    size_t from = 2 + dice(pages() - 2);

    (void)n;
    memcpy(bytes + page * PAGE + 8, sound.bytes + from * PAGE + 8, PAGE - 8);
    snprintf(where, size, "page %zu with what is in page %zu", page, from);
}

static void a_page_that_is_another(void **state)
{
    (void)state;
    check_damages(fill_with_another, page_cases(), "a page that is another");
    assert_true(shared->outcomes[LOSSY] > 0);
}

/* As a write that the disk has lost leaves it. */
static void fill_with_older(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    size_t page = page_of(i);

    (void)n;
    if ((page + 1) * PAGE <= sound.before_n)
        memcpy(bytes + page * PAGE, sound.before + page * PAGE, PAGE);
    snprintf(where, size, "page %zu as it was before", page);
}

static void a_page_as_it_was_before(void **state)
{
    (void)state;
    check_damages(fill_with_older, page_cases(), "a page as it was before");
    assert_true(shared->outcomes[LOSSY] > 0);
}

static void flip_three(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    (void)n;
    for (int k = 0; k < 3; k++)
        flip(bytes, dice(pages()), dice(PAGE), where, size);
    (void)i;
}

/* Once more within this process, for who watches its memory. */
static void some_of_it_in_one_process(void **state)
{
    char *copy = malloc(sound.n);
    size_t count = 20 / stride();

    (void)state;
    assert_non_null(copy);
    for (size_t i = 0; i < count; i++) {
        size_t n = sound.n;

        memcpy(copy, sound.bytes, sound.n);
        flip_three(i, copy, &n, shared->where, sizeof shared->where);
        open_damaged(copy, n);
    }
    free(copy);
    check_damages(flip_three, page_cases(), "three bits anywhere");
}

static void cut(size_t i, char *bytes, size_t *n, char *where, size_t size)
{
    (void)bytes;
    *n = page_of(i) * PAGE + (i % 2 == 0 ? 0 : 1 + dice(PAGE - 1));
    snprintf(where, size, "cut after %zu bytes", *n);
}

static void a_file_that_is_cut_off(void **state)
{
    (void)state;
    check_damages(cut, page_cases(), "cut off");
    assert_true(shared->outcomes[LOSSY] > 0);
}

static void garbage_is_kept_aside(void **state)
{
    char *copy = malloc(sound.n);

    (void)state;
    assert_non_null(copy);
    for (size_t i = 0; i < sound.n; i++)
        copy[i] = (char)dice(256);
    assert_int_equal(open_damaged(copy, sound.n), LOSSY);
    assert_int_equal(open_damaged("no store", 8), LOSSY);
    assert_int_equal(open_damaged("", 0), LOSSY);
    assert_int_equal(open_damaged(copy, PAGE), LOSSY);
    free(copy);
}

/* ---- single places ---- */

/* Where the record of that number stands. */
static size_t find_record(uint64_t seq)
{
    struct slice record = sound.records[seq];
    const char *p;

    assert_non_null(record.p);
    p = memmem(sound.bytes, sound.n, record.p, record.n);
    assert_non_null(p);
    return (size_t)(p - sound.bytes);
}

static uint64_t newest(void)
{
    for (uint64_t seq = MAX_ENTRIES - 1; seq > 0; seq--)
        if (sound.records[seq].p != NULL)
            return seq;
    fail_msg("there is no entry");
    return 0;
}

static int note_seq(void *ctx, const struct record *record, struct slice bytes)
{
    (void)bytes;
    *(uint64_t *)ctx = record->seq;
    return 0;
}

static void one_damaged_record_costs_itself_alone(void **state)
{
    char *copy = malloc(sound.n);
    uint64_t seq = newest();
    uint64_t last = 0;
    struct store_reader *r;

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(seq) + 50] ^= 4;
    remove_asides();
    write_file(data_file, copy, sound.n);
    reopen();
    assert_true(told.is_lossy);
    assert_int_equal(told.kept, sound.entries - 1);
    assert_int_equal(store_state(store)->entries, sound.entries - 1);
    assert_non_null(strstr(told.line, "new epoch; the damaged file is data.mdb.damaged-"));
    /* Its number is not given again, and all are told that they may have missed it. */
    assert_true(store_state(store)->head >= seq);
    r = store_reader_create(store);
    assert_non_null(r);
    assert_int_equal(store_each(r, 0, note_seq, &last), 0);
    assert_true(last < seq && last > 0);
    {
        const struct channel_name nobody = {CHANNEL_USER, {"nobody", 6}};
        struct store_query q = {.channels = &nobody, .channel_count = 1, .until = UINT64_MAX,
                                .max_entries = 1, .max_bytes = 1};
        struct message *m;
        struct store_page page = {.messages = &m};

        assert_int_equal(store_read(r, &q, &page), 0);
        assert_true(page.lost[0] == store_state(store)->head);
    }
    store_reader_destroy(r);
    /* It is found once. */
    reopen();
    assert_false(told.is_damaged);
    close_store();
    free(copy);
}

static void put_user(const char *user, uint64_t seq)
{
    struct sample a = {.to = {.kind = CHANNEL_USER}, .data_size = 700};

    snprintf(a.name, sizeof a.name, "%s", user);
    put(&a, seq, 0);
}

static size_t count_in_file(const char *bytes, size_t n, const char *word)
{
    size_t count = 0;
    const char *p = bytes;

    while ((p = memmem(p, n - (size_t)(p - bytes), word, strlen(word))) != NULL) {
        count++;
        p++;
    }
    return count;
}

/* Pages that were left hold what was removed, and must not give it back. */
static void what_was_erased_stays_erased(void **state)
{
    const struct channel_name secret = {CHANNEL_USER, {"secret", 6}};
    char *bytes;
    size_t count;
    size_t n;

    (void)state;
    assert_int_equal(unlink(data_file), 0);
    reopen();
    assert_int_equal(store_begin(store), 0);
    for (uint64_t seq = 1; seq <= 200; seq++)
        put_user(seq % 40 == 0 ? "secret" : "someone", seq);
    assert_int_equal(store_commit(store, 0), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_erase(store, secret, &count), 0);
    assert_int_equal(count, 5);
    assert_int_equal(store_commit(store, 0), 0);
    /* The file goes back one commit at most. */
    assert_int_equal(store_begin(store), 0);
    put_user("someone", 201);
    assert_int_equal(store_commit(store, 0), 0);
    close_store();
    bytes = read_file(data_file, &n);
    assert_true(count_in_file(bytes, n, "secret") >= 5); /* in pages that are free */
    for (size_t page = 0; page < n / PAGE; page++) {
        char *copy = malloc(n);
        uint64_t last = 0;
        struct store_reader *r;

        assert_non_null(copy);
        memcpy(copy, bytes, n);
        memset(copy + page * PAGE, 0, PAGE);
        write_file(data_file, copy, n);
        free(copy);
        reopen();
        r = store_reader_create(store);
        assert_non_null(r);
        assert_int_equal(store_each(r, 0, note_seq, &last), 0);
        {
            struct store_query q = {.channels = &secret, .channel_count = 1, .until = UINT64_MAX,
                                    .max_entries = 1, .max_bytes = 1};
            struct message *m = NULL;
            struct store_page found = {.messages = &m};

            assert_int_equal(store_read(r, &q, &found), 0);
            assert_int_equal(found.count, 0);
        }
        store_reader_destroy(r);
        close_store();
        remove_asides();
    }
    free(bytes);
}

/* The file as it is when the n-th commit of the first opening is not made yet. */
static void begin_file(int commits)
{
    MDB_env *env;

    assert_int_equal(unlink(data_file), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, data_file, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
    for (int i = 0; i < commits; i++) {
        struct dbs dbs;
        MDB_txn *txn;

        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(dbs_open(&dbs, txn, true), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
    }
    mdb_env_close(env);
}

static void a_store_whose_making_was_cut_short_is_a_new_one(void **state)
{
    (void)state;
    remove_asides();
    for (int commits = 0; commits < 2; commits++) {
        struct store_report report;
        struct error why = {.text = ""};

        begin_file(commits);
        assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), 0);
        assert_false(report.is_damaged);
        reopen();
        assert_false(told.is_damaged);
        check_that_it_goes_on();
    }
    write_file(data_file, sound.bytes, sound.n);
}

static void a_new_store_is_no_damaged_one(void **state)
{
    struct store_report report;
    struct error why = {.text = ""};

    (void)state;
    remove_asides();
    assert_int_equal(unlink(data_file), 0);
    assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), -1);
    assert_non_null(strstr(why.text, "there is no journal"));
    reopen();
    assert_false(told.is_damaged);
    close_store();
    reopen();
    assert_false(told.is_damaged);
    close_store();
    assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), 0);
    assert_false(report.is_damaged);
    assert_int_equal(report.entries, 0);
    write_file(data_file, sound.bytes, sound.n);
}

/* By this program, or by LMDB's own tool; with free pages and without. */
static void copy_to(const char *to, int way)
{
    struct error why = {.text = ""};

    if (way == 0) {
        assert_int_equal(store_copy(store, to, false, NULL, NULL, &why), 0);
        return;
    }
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(mdb_env_copy2(store->env, to, way == 1 ? MDB_CP_COMPACT : 0), 0);
}

static void a_copy_is_sound_and_goes_on(void **state)
{
    static char to[SCRATCH_SIZE + 16]; /* a failure leaves it in the options of the next tests */

    (void)state;
    for (int way = 0; way < 3; way++) {
        struct store_report report;
        struct error why = {.text = ""};

        write_file(data_file, sound.bytes, sound.n);
        reopen();
        snprintf(to, sizeof to, "%s/copy%d", path, way);
        copy_to(to, way);
        close_store();
        assert_int_equal(store_check(to, NULL, NULL, NULL, &report, &why), 0);
        assert_int_equal(report.faults, 0);
        assert_int_equal(report.entries, sound.entries);
        options.path = to;
        for (int i = 0; i < 3; i++) {
            reopen();
            assert_false(told.is_damaged);
        }
        assert_true(is_as_before());
        close_store();
        options.path = path;
    }
}

static void check_that_it_is_refused(const char *bytes, size_t bytes_n, const char *with)
{
    struct store_report report;
    struct error why = {.text = ""};
    char *after;
    size_t n;

    remove_asides();
    write_file(data_file, bytes, bytes_n);
    assert_null(store_open(&options, &why));
    assert_non_null(strstr(why.text, path));
    assert_non_null(strstr(why.text, with));
    assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), -1);
    assert_non_null(strstr(why.text, with));
    assert_int_equal(count_asides(NULL), 0);
    after = read_file(data_file, &n);
    assert_true(n == bytes_n && memcmp(after, bytes, n) == 0);
    free(after);
}

/* Sets the format of each state in the file, with a sum that fits or one that does not. */
static void set_format(char *bytes, uint32_t format, bool is_sealed)
{
    char *end = bytes + sound.n;
    size_t count = 0;

    for (char *p = bytes;; p++) {
        struct stored_state state;
        char *at;

        p = memmem(p, (size_t)(end - p), sound.epoch, EPOCH_SIZE);
        if (p == NULL)
            break;
        at = p - offsetof(struct stored_state, epoch);
        memcpy(&state, at, sizeof state);
        if (!stored_state_is_sound(&state))
            continue;
        state.format = format;
        if (is_sealed)
            stored_state_seal(&state);
        memcpy(at, &state, sizeof state);
        count++;
    }
    assert_true(count >= 2);
}

static void what_is_newer_is_left_alone(void **state)
{
    char *copy = malloc(sound.n);

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[20] = copy[PAGE + 20] = 2; /* the version of LMDB's file */
    check_that_it_is_refused(copy, sound.n, "another version of LMDB (2,");
    copy[PAGE + 10] ^= 1; /* which a damaged head does not change */
    check_that_it_is_refused(copy, sound.n, "another version of LMDB (2,");
    memcpy(copy, sound.bytes, sound.n);
    set_format(copy, STORE_FORMAT + 1, true);
    check_that_it_is_refused(copy, sound.n, "newer sse-notify");
    copy[10] ^= 1;
    check_that_it_is_refused(copy, sound.n, "newer sse-notify");
    memcpy(copy, sound.bytes, sound.n);
    set_format(copy, STORE_FORMAT + 1, false); /* that is damage */
    assert_int_equal(open_damaged(copy, sound.n), LOSSY);
    free(copy);
}

/* What somebody else keeps with LMDB, in trees with names or without. */
static void make_foreign(const char *name)
{
    MDB_val text = val_of("text", 4);
    MDB_env *env;

    assert_int_equal(unlink(data_file), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
    assert_int_equal(mdb_env_open(env, data_file, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
    for (int i = 0; i < 3; i++) {
        MDB_txn *txn;
        MDB_dbi dbi;

        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, name, MDB_CREATE, &dbi), 0);
        assert_int_equal(mdb_put(txn, dbi, &text, &text, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
    }
    mdb_env_close(env);
}

static void the_database_of_another_program_is_left_alone(void **state)
{
    static const char *const names[] = {"theirs", NULL};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *bytes;
        size_t n;

        make_foreign(names[i]);
        bytes = read_file(data_file, &n);
        check_that_it_is_refused(bytes, n, "another program's");
        free(bytes);
    }
}

static void what_a_repair_has_left_is_removed(void **state)
{
    char work[SCRATCH_SIZE + 16];
    char file[SCRATCH_SIZE + 32];
    char *copy = malloc(sound.n);

    (void)state;
    assert_non_null(copy);
    snprintf(work, sizeof work, "%s/draft", path);
    snprintf(file, sizeof file, "%s/data.mdb", work);
    assert_int_equal(mkdir(work, 0700), 0);
    write_file(file, sound.bytes, sound.n / 2);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(newest())] ^= 1;
    assert_int_equal(open_damaged(copy, sound.n), LOSSY);
    assert_int_equal(access(work, F_OK), -1);
    free(copy);
}

/* A process that is killed while it repairs, after some time. */
static void kill_while_it_repairs(const char *bytes, useconds_t after_us)
{
    int status;
    pid_t pid;

    write_file(data_file, bytes, sound.n);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error why;

        _exit(store_open(&options, &why) == NULL);
    }
    usleep(after_us);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void a_repair_that_is_killed_is_done_again(void **state)
{
    char *copy = malloc(sound.n);

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(newest())] ^= 1;
    for (useconds_t us = 0; us < 40000; us += (useconds_t)(1000 * stride())) {
        uint64_t count = 0;
        struct store_reader *r;

        remove_asides();
        kill_while_it_repairs(copy, us);
        reopen();
        r = store_reader_create(store);
        assert_non_null(r);
        assert_int_equal(store_each(r, 0, check_record, &count), 0);
        store_reader_destroy(r);
        assert_int_equal(count, sound.entries - 1);
        assert_string_not_equal(store_state(store)->epoch, sound.epoch);
        assert_true(count_asides(NULL) >= 1);
        close_store();
    }
    free(copy);
}

static void three_damaged_files_are_kept(void **state)
{
    char *copy = malloc(sound.n);
    char first[64] = "";

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(newest())] ^= 1;
    remove_asides();
    for (int i = 0; i < 5; i++) {
        write_file(data_file, copy, sound.n);
        reopen();
        assert_true(told.is_damaged);
        if (i == 0)
            strcpy(first, told.aside);
        else
            assert_string_not_equal(told.aside, first);
        assert_int_equal(count_asides(NULL), i < STORE_MAX_DAMAGED ? i + 1 : STORE_MAX_DAMAGED);
    }
    close_store();
    remove_asides();
    free(copy);
}

/* Where a file may not grow, as on a full disk. */
static int open_without_room(struct error *why)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return -1;
    limit.rlim_cur = 100000;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return -1;
    store = store_open(&options, why);
    return store == NULL ? 0 : -1;
}

static void a_repair_without_room_is_refused_and_changes_nothing(void **state)
{
    char *copy = malloc(sound.n);
    char *after;
    size_t n;
    int status;
    pid_t pid;

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(newest())] ^= 1;
    remove_asides();
    write_file(data_file, copy, sound.n);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error why = {.text = ""};

        free(copy);
        if (open_without_room(&why) != 0)
            _exit(1);
        _exit(strstr(why.text, "cannot be repaired") == NULL ||
                      strstr(why.text, "MB of room") == NULL || strstr(why.text, path) == NULL
                  ? 2
                  : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    after = read_file(data_file, &n);
    assert_true(n == sound.n && memcmp(after, copy, n) == 0);
    assert_int_equal(count_asides(NULL), 0);
    free(after);
    assert_int_equal(open_damaged(copy, sound.n), LOSSY);
    free(copy);
}

static void a_check_only_looks(void **state)
{
    struct store_report report;
    struct error why = {.text = ""};
    char *copy = malloc(sound.n);
    char *after;
    size_t n;

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(newest())] ^= 1;
    remove_asides();
    write_file(data_file, copy, sound.n);
    assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), 0);
    assert_true(report.is_damaged);
    assert_true(report.faults >= 1);
    assert_true(report.findings[0][0] != '\0');
    assert_int_equal(report.entries, sound.entries - 1);
    after = read_file(data_file, &n);
    assert_true(n == sound.n && memcmp(after, copy, n) == 0);
    assert_int_equal(count_asides(NULL), 0);
    free(after);
    free(copy);
    write_file(data_file, sound.bytes, sound.n);
}

/* A process that writes to the store as fast as it can. */
static pid_t start_writer(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(300);
        reopen();
        for (;;)
            fill(1000);
    }
    while (!store_is_locked(path))
        usleep(1000);
    return pid;
}

static void end_writer(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void a_check_beside_a_writer_looks_at_its_last_commit(void **state)
{
    uint64_t free_bytes = 0;
    pid_t pid;

    (void)state;
    write_file(data_file, sound.bytes, sound.n);
    pid = start_writer();
    for (int i = 0; i < 40; i++) {
        struct store_report report;
        struct error why = {.text = ""};

        if (store_check(path, NULL, NULL, NULL, &report, &why) != 0)
            fail_msg("%s", why.text);
        if (report.is_damaged)
            fail_msg("%s", report.findings[0]);
        assert_true(report.is_live);
        assert_true(report.entries > 100);
        free_bytes += report.free_bytes;
    }
    end_writer(pid);
    assert_true(free_bytes > 0);
}

/* ---- a file that is cut short while it is looked at ---- */

struct cutting {
    int calls;
    int at;   /* the call that cuts */
};

static void cut_file(void *ctx, uint64_t bytes, uint64_t of)
{
    struct cutting *c = ctx;

    (void)bytes;
    (void)of;
    if (++c->calls == c->at)
        assert_int_equal(truncate(data_file, 3 * PAGE), 0);
}

static void what_is_cut_short_while_it_is_checked_is_damaged(void **state)
{
    struct cutting cutting = {.at = 1};
    struct store_report report;
    struct error why = {.text = ""};

    (void)state;
    assert_int_equal(sigaction(SIGBUS, &on_bus, NULL), 0);
    write_file(data_file, sound.bytes, sound.n);
    assert_int_equal(store_check(path, NULL, cut_file, &cutting, &report, &why), 0);
    assert_true(cutting.calls > 0);
    assert_true(report.is_damaged);
    write_file(data_file, sound.bytes, sound.n);
}

static void what_is_cut_short_while_it_is_repaired_is_repaired(void **state)
{
    char *copy = malloc(sound.n);
    struct cutting cutting;

    (void)state;
    assert_non_null(copy);
    memcpy(copy, sound.bytes, sound.n);
    copy[find_record(newest())] ^= 1;
    assert_int_equal(sigaction(SIGBUS, &on_bus, NULL), 0);
    cutting.at = 0;
    do {
        struct error why = {.text = ""};
        struct store_repair repair;
        struct store_lock *lock;

        remove_asides();
        write_file(data_file, copy, sound.n);
        lock = store_lock(path, &why);
        assert_non_null(lock);
        cutting.calls = 0;
        cutting.at++;
        if (store_repair(lock, cut_file, &cutting, &repair, &why) != 0)
            fail_msg("cut at %d: %s", cutting.at, why.text);
        store_unlock(lock);
        assert_true(repair.was_damaged && repair.is_lossy);
        assert_int_equal(count_asides(NULL), 1);
        reopen();
        assert_false(told.is_damaged);
        told.kept = repair.entries;
        check_lossy();
        check_that_it_goes_on();
    } while (cutting.calls >= cutting.at);
    assert_true(cutting.at >= 4); /* at first, after the entries, after the keys, never */
    assert_int_equal(told.kept, sound.entries - 1);
    remove_asides();
    free(copy);
}

/* ---- what is no damage ---- */

static void a_process_that_is_killed_leaves_a_sound_file(void **state)
{
    (void)state;
    write_file(data_file, sound.bytes, sound.n);
    for (int i = 0; i < 20; i++) {
        struct store_report report;
        struct error why = {.text = ""};
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            reopen();
            fill(100000);
            _exit(0);
        }
        usleep((useconds_t)(20000 + 3000 * i));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(store_check(path, NULL, NULL, NULL, &report, &why), 0);
        if (report.is_damaged)
            fail_msg("%s", report.findings[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_has_all_that_can_be_damaged),
        cmocka_unit_test(a_flipped_bit_at_the_start_of_a_page),
        cmocka_unit_test(a_flipped_bit_where_nodes_begin),
        cmocka_unit_test(a_flipped_bit_among_the_data),
        cmocka_unit_test(every_fourth_bit_of_the_heads),
        cmocka_unit_test(a_page_of_zeros_or_ones),
        cmocka_unit_test(a_page_that_is_another),
        cmocka_unit_test(a_page_as_it_was_before),
        cmocka_unit_test(some_of_it_in_one_process),
        cmocka_unit_test(a_file_that_is_cut_off),
        cmocka_unit_test(garbage_is_kept_aside),
        cmocka_unit_test(one_damaged_record_costs_itself_alone),
        cmocka_unit_test(what_was_erased_stays_erased),
        cmocka_unit_test(a_new_store_is_no_damaged_one),
        cmocka_unit_test(a_store_whose_making_was_cut_short_is_a_new_one),
        cmocka_unit_test(a_copy_is_sound_and_goes_on),
        cmocka_unit_test(what_is_newer_is_left_alone),
        cmocka_unit_test(the_database_of_another_program_is_left_alone),
        cmocka_unit_test(what_a_repair_has_left_is_removed),
        cmocka_unit_test(a_repair_that_is_killed_is_done_again),
        cmocka_unit_test(three_damaged_files_are_kept),
        cmocka_unit_test(a_repair_without_room_is_refused_and_changes_nothing),
        cmocka_unit_test(a_check_only_looks),
        cmocka_unit_test(a_check_beside_a_writer_looks_at_its_last_commit),
        cmocka_unit_test(what_is_cut_short_while_it_is_checked_is_damaged),
        cmocka_unit_test(what_is_cut_short_while_it_is_repaired_is_repaired),
        cmocka_unit_test(a_process_that_is_killed_leaves_a_sound_file),
    };

    return cmocka_run_group_tests(tests, make_sound, free_sound);
}
