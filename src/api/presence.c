/* presence.c - GET /users/:userID, and the two ways to end a user's streams. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/clock.h"

struct listing {
    const struct api *api;
    cJSON *streams;
    bool has_failed;
};

bool presence_add_stream(const struct api *api, cJSON *to, const struct client_info *info)
{
    const struct peer *from = http_stream_peer(info->sink);
    char id[17];
    char since[CLOCK_TEXT_SIZE];
    char peer[PEER_TEXT_SIZE];
    char last[ID_TEXT_SIZE] = "";

    snprintf(id, sizeof id, "%016llx", (unsigned long long)info->id);
    clock_format(loop_wall_ms(api->loop) - (loop_now_ms(api->loop) - info->opened_ms), since);
    peer_format(from, from->port != 0, peer); /* a proxy may not know the port */
    if (info->last_seq > 0)
        id_format(manager_epoch(api->nm), info->last_seq, last);
    return cJSON_AddStringToObject(to, "client_id", id) != NULL &&
           cJSON_AddStringToObject(to, "since", since) != NULL &&
           cJSON_AddStringToObject(to, "peer", peer) != NULL &&
           cJSON_AddStringToObject(to, "user_agent", info->user_agent) != NULL &&
           cJSON_AddNumberToObject(to, "queued", (double)info->queued) != NULL &&
           cJSON_AddBoolToObject(to, "lagging", info->is_lagging) != NULL &&
           (last[0] != '\0' ? cJSON_AddStringToObject(to, "last_id", last)
                            : cJSON_AddNullToObject(to, "last_id")) != NULL;
}

static void list_stream(void *ctx, const struct client_info *info)
{
    struct listing *l = ctx;
    cJSON *stream = cJSON_CreateObject();

    if (stream == NULL || !cJSON_AddItemToArray(l->streams, stream)) {
        cJSON_Delete(stream);
        l->has_failed = true;
    } else if (!presence_add_stream(l->api, stream, info)) {
        l->has_failed = true;
    }
}

bool presence_add_name(cJSON *to, const char *name, struct slice s)
{
    char text[MAX_CHANNEL_NAME + 1];

    snprintf(text, sizeof text, "%.*s", SLICE_ARG(s));
    return cJSON_AddStringToObject(to, name, text) != NULL;
}

void api_presence(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct listing l = {.api = api};
    struct slice user;
    cJSON *tree;

    if (!api_user(r, &user) || !access_manage(api, r, user, api_presence))
        return;
    tree = cJSON_CreateObject();
    l.has_failed = tree == NULL || !presence_add_name(tree, "user", user) ||
                   cJSON_AddBoolToObject(tree, "online",
                                         manager_user_stream_count(api->nm, user) > 0) == NULL ||
                   (l.streams = cJSON_AddArrayToObject(tree, "streams")) == NULL;
    if (!l.has_failed)
        manager_presence(api->nm, user, list_stream, &l);
    if (l.has_failed) {
        cJSON_Delete(tree);
        tree = NULL;
    }
    api_respond_cjson(r, tree);
}

static void respond_closed(struct http_request *r, size_t closed)
{
    struct buf text = {0};

    buf_printf(&text, "{\"closed\":%zu}", closed);
    api_respond_json(r, &text);
}

void api_kick(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct slice user;

    if (api_user(r, &user) && access_manage(api, r, user, api_kick))
        respond_closed(r, manager_kick(api->nm, user, 0));
}

void api_kick_one(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct slice user;
    uint64_t id;

    if (!api_user(r, &user) || !access_manage(api, r, user, api_kick_one))
        return;
    if (!api_client_id(http_request_param(r, 1), &id))
        http_problem(r, 400, "A client id is sixteen hexadecimal digits, as presence shows it.");
    else if (manager_kick(api->nm, user, id) == 0)
        http_problem(r, 404, "This user has no open stream with that client id.");
    else
        respond_closed(r, 1);
}
