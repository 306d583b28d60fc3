/* addresses.c - an address is in the table while it holds a stream or has opened one, or tried to,
 * within the last second; those without a stream are also in the list of idle ones. */
#include "addresses_priv.h"

#include <stdlib.h>
#include <string.h>
#include "api_priv.h"

struct address_count {
    struct list idle;
    uint8_t key[16];
    uint64_t streams;
    double allowance;     /* streams that it may open now */
    uint64_t counted_ms;  /* when that was counted */
};

enum { LOOKS_A_TICK = 1000, QUIET_MS = 1000 };

static struct slice key_of(const void *item)
{
    const struct address_count *a = item;

    return slice_make((const char *)a->key, sizeof a->key);
}

static struct address_count key_for(const struct peer *peer)
{
    static const uint8_t mapped_ipv4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct address_count a = {.streams = 0};
    bool is_ipv4 = memcmp(peer->ip, mapped_ipv4, sizeof mapped_ipv4) == 0;

    memcpy(a.key, peer->ip, is_ipv4 ? 16 : 8);
    return a;
}

void addresses_init(struct api *api)
{
    hash_table_init(&api->addresses, key_of);
    list_init(&api->idle_addresses);
}

bool addresses_are_counted(const struct api *api)
{
    return api->options.max_streams_per_ip > 0 || api->options.streams_per_second_per_ip > 0;
}

void addresses_fini(struct api *api)
{
    struct address_count *a;
    size_t cursor = 0;

    while ((a = hash_table_next(&api->addresses, &cursor)) != NULL)
        free(a);
    hash_table_fini(&api->addresses);
}

/* The peer's row, made if need be, and then idle; NULL without memory. */
static struct address_count *need(struct api *api, const struct peer *peer)
{
    struct address_count wanted = key_for(peer);
    struct address_count *a = hash_table_find(&api->addresses, key_of(&wanted));

    if (a != NULL)
        return a;
    a = malloc(sizeof *a);
    if (a == NULL)
        return NULL;
    *a = wanted;
    a->allowance = (double)api->options.streams_per_second_per_ip;
    a->counted_ms = loop_now_ms(api->loop);
    if (hash_table_insert(&api->addresses, a) != 0) {
        free(a);
        return NULL;
    }
    list_add_last(&api->idle_addresses, &a->idle);
    return a;
}

static void add_stream(struct address_count *a)
{
    list_remove(&a->idle);
    a->streams++;
}

static void count_stream(void *ctx, const struct http_stream *s)
{
    struct address_count *a = need(ctx, http_stream_peer(s));

    if (a != NULL)
        add_stream(a);
}

void addresses_restart(struct api *api)
{
    addresses_fini(api);
    addresses_init(api);
    if (addresses_are_counted(api))
        http_server_each_stream(api->server, count_stream, api);
}

/* A second's worth at once, and then as they come back. */
static bool takes_its_turn(const struct api *api, struct address_count *a)
{
    double rate = (double)api->options.streams_per_second_per_ip;
    uint64_t now_ms = loop_now_ms(api->loop);

    if (rate == 0)
        return true;
    a->allowance += rate * (double)(now_ms - a->counted_ms) / 1000;
    a->allowance = a->allowance > rate ? rate : a->allowance;
    a->counted_ms = now_ms;
    if (a->allowance < 1)
        return false;
    a->allowance--;
    return true;
}

enum address_verdict addresses_take(struct api *api, const struct peer *peer)
{
    uint64_t most = api->options.max_streams_per_ip;
    struct address_count *a;

    if (!addresses_are_counted(api))
        return ADDRESS_TAKEN;
    a = need(api, peer);
    if (a == NULL || (most > 0 && a->streams >= most))
        return ADDRESS_FULL;
    if (!takes_its_turn(api, a))
        return ADDRESS_TOO_FAST;
    add_stream(a);
    return ADDRESS_TAKEN;
}

void addresses_give_back(struct api *api, const struct peer *peer)
{
    struct address_count wanted;
    struct address_count *a;

    if (api->addresses.now.cap == 0) /* nothing is counted */
        return;
    wanted = key_for(peer);
    a = hash_table_find(&api->addresses, key_of(&wanted));
    if (a != NULL && a->streams > 0 && --a->streams == 0)
        list_add_last(&api->idle_addresses, &a->idle);
}

void addresses_tick(struct api *api, uint64_t now_ms)
{
    for (int i = 0; i < LOOKS_A_TICK && !list_is_empty(&api->idle_addresses); i++) {
        struct address_count *a =
            LIST_HOLDER(api->idle_addresses.next, struct address_count, idle);

        list_remove(&a->idle);
        if (now_ms - a->counted_ms < QUIET_MS) { /* looked at again when all others were */
            list_add_last(&api->idle_addresses, &a->idle);
            continue;
        }
        hash_table_remove(&api->addresses, a);
        free(a);
    }
}
