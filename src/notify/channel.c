/* channel.c - users and topics by name. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "manager_priv.h"

static struct slice name_of(const void *item)
{
    const struct channel *channel = item;

    return slice_make(channel->name, channel->name_length);
}

/* The pool of channels with such a name, of which the struct itself has room for a part. */
static struct pool *pool_of(struct notification_manager *nm, size_t name_length)
{
    size_t size = offsetof(struct channel, name) + name_length;
    size_t more = size > sizeof(struct channel) ? size - sizeof(struct channel) : 0;

    return &nm->channels[(more + CHANNEL_STEP - 1) / CHANNEL_STEP];
}

static void channel_free(struct notification_manager *nm, struct channel *channel)
{
    pool_give(pool_of(nm, channel->name_length), channel);
}

static struct channel *channel_create(struct notification_manager *nm, struct channel_name name)
{
    struct channel *channel;

    assert(name.name.n <= MAX_CHANNEL_NAME);
    channel = pool_take(pool_of(nm, name.name.n));
    if (channel == NULL)
        return NULL;
    channel->name_length = (uint16_t)name.name.n;
    channel->kind = (uint8_t)name.kind;
    if (name.name.n > 0)
        memcpy(channel->name, name.name.p, name.name.n);
    list_init(&channel->clients);
    return channel;
}

int channels_init(struct notification_manager *nm)
{
    hash_table_init(&nm->users, name_of);
    hash_table_init(&nm->topics, name_of);
    for (size_t i = 0; i < CHANNEL_SIZES; i++)
        pool_init(&nm->channels[i], sizeof(struct channel) + i * CHANNEL_STEP);
    nm->everyone = channel_create(nm, (struct channel_name){.kind = CHANNEL_EVERYONE});
    return nm->everyone == NULL ? -ENOMEM : 0;
}

void channels_fini(struct notification_manager *nm)
{
    hash_table_fini(&nm->users);
    hash_table_fini(&nm->topics);
    for (size_t i = 0; i < CHANNEL_SIZES; i++)
        pool_fini(&nm->channels[i]);
}

static const struct hash_table *table_of(const struct notification_manager *nm,
                                         struct channel_name name)
{
    return name.kind == CHANNEL_USER ? &nm->users : &nm->topics;
}

struct channel *channel_find(const struct notification_manager *nm, struct channel_name name)
{
    if (name.kind == CHANNEL_EVERYONE)
        return nm->everyone;
    return hash_table_find(table_of(nm, name), name.name);
}

void channel_fetch(const struct notification_manager *nm, struct channel_name name, bool is_begun)
{
    if (name.kind == CHANNEL_EVERYONE)
        return;
    if (is_begun)
        hash_table_fetch_item(table_of(nm, name), name.name);
    else
        hash_table_fetch_slot(table_of(nm, name), name.name);
}

struct channel *channel_need(struct notification_manager *nm, struct channel_name name)
{
    struct channel *channel = channel_find(nm, name);

    if (channel != NULL)
        return channel;
    channel = channel_create(nm, name);
    if (channel == NULL)
        return NULL;
    if (hash_table_insert(name.kind == CHANNEL_USER ? &nm->users : &nm->topics, channel) != 0) {
        channel_free(nm, channel);
        return NULL;
    }
    return channel;
}

void channel_release(struct notification_manager *nm, struct channel *channel)
{
    if (channel->count > 0 || channel->kind == CHANNEL_EVERYONE)
        return;
    if (channel->fanout != NULL)
        fanout_end(nm, channel->fanout);
    hash_table_remove(channel->kind == CHANNEL_USER ? &nm->users : &nm->topics, channel);
    channel_free(nm, channel);
}

void channel_add(struct channel *channel, struct list *link)
{
    list_add_last(&channel->clients, link);
    channel->count++;
}

void channel_remove(struct channel *channel, struct list *link)
{
    if (channel->fanout != NULL)
        fanout_skip(channel->fanout, link);
    list_remove(link);
    channel->count--;
}

struct client *channel_client(const struct channel *channel, struct list *link)
{
    switch (channel->kind) {
    case CHANNEL_USER:
        return LIST_HOLDER(link, struct client, in_user);
    case CHANNEL_EVERYONE:
        return LIST_HOLDER(link, struct client, in_everyone);
    default:
        return LIST_HOLDER(link, struct topic_link, link)->client;
    }
}
