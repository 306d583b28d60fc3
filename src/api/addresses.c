/* addresses.c - an address is in the table while it holds a stream. */
#include "addresses_priv.h"

#include <stdlib.h>
#include <string.h>
#include "api_priv.h"

struct address_count {
    uint8_t key[16];
    uint64_t streams;
};

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
}

void addresses_fini(struct api *api)
{
    struct address_count *a;
    size_t cursor = 0;

    while ((a = hash_table_next(&api->addresses, &cursor)) != NULL)
        free(a);
    hash_table_fini(&api->addresses);
}

/* The peer's row, made if need be; NULL without memory. */
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
    if (hash_table_insert(&api->addresses, a) == 0)
        return a;
    free(a);
    return NULL;
}

static void count_stream(void *ctx, const struct http_stream *s)
{
    struct address_count *a = need(ctx, http_stream_peer(s));

    if (a != NULL)
        a->streams++;
}

void addresses_restart(struct api *api)
{
    addresses_fini(api);
    addresses_init(api);
    if (api->options.max_streams_per_ip > 0)
        http_server_each_stream(api->server, count_stream, api);
}

bool addresses_take(struct api *api, const struct peer *peer)
{
    struct address_count *a;

    if (api->options.max_streams_per_ip == 0)
        return true;
    a = need(api, peer);
    if (a == NULL || a->streams >= api->options.max_streams_per_ip)
        return false;
    a->streams++;
    return true;
}

void addresses_give_back(struct api *api, const struct peer *peer)
{
    struct address_count wanted = key_for(peer);
    struct address_count *a;

    if (api->options.max_streams_per_ip == 0)
        return;
    a = hash_table_find(&api->addresses, key_of(&wanted));
    if (a == NULL || --a->streams > 0)
        return;
    hash_table_remove(&api->addresses, a);
    free(a);
}
