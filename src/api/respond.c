/* respond.c - answers that several endpoints give. */
#include <cjson/cJSON.h>
#include <string.h>
#include "api_priv.h"
#include "base/json.h"
#include "message/notification.h"

void api_respond_json(struct http_request *r, struct buf *text)
{
    if (text->failed)
        api_out_of_memory(r);
    else
        http_respond(r, 200, "application/json", buf_slice(text));
    buf_fini(text);
}

void api_respond_cjson(struct http_request *r, struct cJSON *tree)
{
    char *text = tree == NULL ? NULL : cJSON_PrintUnformatted(tree);

    cJSON_Delete(tree);
    if (text == NULL)
        api_out_of_memory(r);
    else
        http_respond(r, 200, "application/json", slice_of(text));
    cJSON_free(text);
}

bool api_user(struct http_request *r, struct slice *user)
{
    *user = http_request_param(r, 0);
    if (channel_name_is_valid(*user))
        return true;
    http_problem(r, 400,
                 "The user id in the path must be 1 to 256 bytes of UTF-8 without control "
                 "characters, percent-encoded.");
    return false;
}

bool api_client_id(struct slice text, uint64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = hex_lower_value(text.p[i]);

        if (digit < 0)
            return false;
        *id = *id << 4 | (uint64_t)digit;
    }
    return text.n == 16 && *id != 0;
}

void api_add_problem(struct buf *b, int status, const char *detail)
{
    buf_add_text(b, "{\"type\":\"about:blank\",\"title\":");
    json_add_string(b, slice_of(http_status_title(status)));
    buf_printf(b, ",\"status\":%d,\"detail\":", status);
    json_add_string(b, slice_of(detail));
    buf_add_char(b, '}');
}

bool api_refuse_body(struct http_request *r, const char *detail)
{
    http_problem(r, 400, "%s", detail);
    return false;
}

bool api_refuse_member(struct http_request *r, struct slice key)
{
    http_problem(r, 400, "Unknown field %.*s.", key.n > 80 ? 80 : (int)key.n, key.p);
    return false;
}

bool api_read_object(struct http_request *r, const char *members, api_take_member *take, void *ctx)
{
    struct slice body = http_request_body(r);
    struct slice key;
    struct slice value;
    size_t cursor = 0;
    size_t offset;
    const char *reason;

    if (json_check(body, &offset, &reason) != 0) {
        http_problem(r, 400, "The body is not JSON: expected %s at byte %zu.", reason, offset);
        return false;
    }
    body = json_trim(body);
    if (json_type_of(body) != JSON_OBJECT) {
        http_problem(r, 400, "The body must be a JSON object with %s.", members);
        return false;
    }
    while (json_object_next(body, &cursor, &key, &value))
        if (!take(ctx, r, key, value))
            return false;
    return true;
}

void api_out_of_memory(struct http_request *r)
{
    http_problem(r, 503, "The daemon is out of memory; try again later.");
}

void api_note_refusal(struct api *api, const struct http_request *r, enum api_gate gate,
                      struct slice who)
{
    static const char *const limits[API_GATES] = {
        [GATE_MAX_STREAMS] = "streams.max_streams",
        [GATE_MAX_STREAMS_PER_USER] = "streams.max_streams_per_user",
        [GATE_MAX_STREAMS_PER_IP] = "streams.max_streams_per_ip",
        [GATE_STREAMS_PER_SECOND] = "limits.streams_per_second_per_ip",
        [GATE_PUBLISHES_PER_SECOND] = "limits.publishes_per_second_per_key",
        [GATE_MAX_MEMORY] = "limits.max_memory",
        [GATE_HOST] = "http.server_names",
    };
    char peer[PEER_TEXT_SIZE];
    uint64_t count;

    if (!log_gate_opens(&api->gates[gate], loop_now_ms(api->loop), &count))
        return;
    peer_format(http_request_peer(r), false, peer);
    log_event(LOG_WARNING, "refused at a limit", log_text("limit", limits[gate]),
              log_u64("times", count), log_slice("last", who), log_text("peer", peer));
}

void api_refuse_for_now(struct http_request *r, int status, uint64_t retry_ms, const char *detail)
{
    char seconds[20];
    char *end = format_u64(seconds, (retry_ms + 999) / 1000);

    http_response_header(r, "Retry-After", slice_make(seconds, (size_t)(end - seconds)));
    http_problem(r, status, "%s", detail);
}
