/* one_store.h - the store that a test of this folder works on: on a real disk, in a directory of
 * its own for each test, with bounds that are soon reached. */
#ifndef TESTS_ONE_STORE_H
#define TESTS_ONE_STORE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "message/message.h"
#include "store/record.h"
#include "store/store.h"
#include "support/cm.h"
#include "support/scratch.h"

static char path[SCRATCH_SIZE];
static struct store_options options;
static struct store *store;

static const struct channel_name alice = {CHANNEL_USER, {"alice", 5}};
static const struct channel_name bob = {CHANNEL_USER, {"bob", 3}};
static const struct channel_name news = {CHANNEL_TOPIC, {"news", 4}};
static const struct channel_name everyone = {CHANNEL_EVERYONE, {NULL, 0}};

static void reopen(void)
{
    struct error why = {.text = ""};

    store_close(store);
    store = store_open(&options, &why);
    if (store == NULL)
        fail_msg("%s", why.text);
}

static int begin(void **state)
{
    (void)state;
    scratch_make(path);
    options = (struct store_options){
        .path = path,
        .keep_ms = 10000,
        .keep_per_user = 3,
        .keep_bytes = 1 << 20,
        .keys_ms = 5000,
    };
    store = NULL;
    reopen();
    return 0;
}

static int end(void **state)
{
    (void)state;
    store_close(store);
    store = NULL;
    scratch_remove(path);
    return 0;
}

/* One entry in the transaction that is open. */
static int put(struct channel_name to, uint64_t seq, uint64_t time_ms, uint64_t ttl_ms,
               const char *collapse_key, size_t data_size)
{
    static char data[65536];
    struct record r = {
        .seq = seq,
        .wall_ms = 7,
        .time_ms = time_ms,
        .expires_ms = ttl_ms == 0 ? RECORD_KEPT : time_ms + ttl_ms,
        .to = to,
        .event = {"e", 1},
        .collapse_key = slice_of(collapse_key),
        .data = {data, data_size},
    };
    char *bytes = malloc(record_size(&r));
    int status;

    assert_non_null(bytes);
    memset(data, 'd', sizeof data);
    record_write(&r, bytes);
    status = store_append(store, bytes, record_size(&r));
    free(bytes);
    return status;
}

static void commit(uint64_t time_ms)
{
    assert_int_equal(store_commit(store, time_ms), 0);
}

static void add(struct channel_name to, uint64_t seq, uint64_t time_ms)
{
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(put(to, seq, time_ms, 0, NULL, 10), 0);
    commit(time_ms);
}

/* The last page read, the numbers of its entries, and how far a page may go. */
static struct store_page page;
static uint64_t seen[64];
static uint64_t until = UINT64_MAX;

/* The numbers of a page as text: "2 5 | 9 | 1" is two entries, what it covers, what was lost. */
static const char *read_of(const struct channel_name *channels, size_t count, uint64_t after,
                           size_t most, uint64_t now_ms)
{
    static char text[256];
    struct message *messages[64];
    struct store_reader *r = store_reader_create(store);
    struct store_query q = {.channels = channels, .channel_count = count, .after = after,
                            .until = until, .time_ms = now_ms, .max_entries = most,
                            .max_bytes = 1 << 20};
    size_t n = 0;

    assert_non_null(r);
    page = (struct store_page){.messages = messages};
    assert_int_equal(store_read(r, &q, &page), 0);
    for (size_t i = 0; i < page.count; i++) {
        seen[i] = messages[i]->seq;
        n += (size_t)snprintf(text + n, sizeof text - n, "%llu ", (unsigned long long)seen[i]);
        message_unref(messages[i]);
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "| %llu |", (unsigned long long)page.covered);
    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " %llu",
                              (unsigned long long)page.lost[i]);
    store_reader_destroy(r);
    return text;
}
#endif
