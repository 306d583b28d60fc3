/* refresh.c - POST /notifications/:userID/refresh: a new token prolongs an open stream. */
#include <errno.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/json.h"
#include "notify/client.h"

/* What the body says. */
struct refreshing {
    uint64_t client_id;
    bool has_client_id;
    struct slice token; /* {NULL, 0}: it is where tokens usually are */
    struct buf text;    /* of the token */
};

static bool read_member(void *ctx, struct http_request *r, struct slice key, struct slice value)
{
    struct refreshing *out = ctx;
    struct buf id = {0};
    bool is_string = json_type_of(value) == JSON_STRING;

    if (json_string_is(key, "token")) {
        buf_clear(&out->text);
        if (!is_string || json_add_unescaped(&out->text, value) != 0)
            return api_refuse_body(r, "token must be a string.");
        out->token = out->text.len > 0 ? buf_slice(&out->text) : slice_make("", 0);
        return true;
    }
    if (!json_string_is(key, "client_id"))
        return api_refuse_member(r, key);
    out->has_client_id = is_string && json_add_unescaped(&id, value) == 0 &&
                         api_client_id(buf_slice(&id), &out->client_id);
    buf_fini(&id);
    return out->has_client_id ||
           api_refuse_body(
               r, "client_id must be sixteen hexadecimal digits, as the stream told them.");
}

/* False: what is wrong was answered. */
static bool read_body(struct http_request *r, struct refreshing *out)
{
    if (!api_read_object(r, "client_id", read_member, out))
        return false;
    return out->has_client_id ||
           api_refuse_body(r, "The body must have the client_id of the stream.");
}

/* Whether the new token covers all that the stream listens to. */
static bool has_all(const struct client *c, const struct listener_access *access)
{
    struct slice topic;

    for (size_t i = 0; (topic = client_topic(c, i)).p != NULL; i++)
        if (!access_has_topic(access, topic))
            return false;
    return true;
}

static void respond(struct api *api, struct http_request *r, uint64_t client_id, uint64_t end_ms)
{
    uint64_t now_ms = loop_now_ms(api->loop);
    struct buf text = {0};

    buf_printf(&text, "{\"client_id\":\"%016llx\",\"expires_in\":", (unsigned long long)client_id);
    if (end_ms == 0)
        buf_add_text(&text, "null}");
    else
        buf_printf(&text, "%llu}",
                   (unsigned long long)(end_ms > now_ms ? (end_ms - now_ms) / 1000 : 0));
    api_respond_json(r, &text);
}

static void renew(struct api *api, struct http_request *r, struct slice user,
                  const struct refreshing *what, const struct listener_access *access)
{
    struct client *c = manager_find_client(api->nm, user, what->client_id);
    struct client_credential credential = access_credential(access);
    uint64_t end_ms = access_end_ms(api, access);

    if (c == NULL) {
        http_problem(r, 404, "This user has no open stream with that client id.");
    } else if (!has_all(c, access)) {
        access_forbid(api, r, "The token's sse_notify.subscribe does not list a topic of the "
                              "stream.");
    } else if (client_renew(c, end_ms, &credential, loop_now_ms(api->loop)) != 0) {
        api_out_of_memory(r);
    } else {
        respond(api, r, what->client_id, end_ms);
    }
}

void api_refresh(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct refreshing what = {.has_client_id = false};
    struct listener_access access;
    struct slice user;

    if (api_user(r, &user) && read_body(r, &what) &&
        access_listen_with(api, r, what.token, user, api_refresh, &access))
        renew(api, r, user, &what, &access);
    buf_fini(&what.text);
}
