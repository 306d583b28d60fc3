/* log.c - GET /log: the last warnings and errors. */
#include "base/log.h"
#include "access_priv.h"
#include "api_priv.h"
#include "base/clock.h"
#include "base/json.h"

static void add_line(void *ctx, const struct log_kept *line)
{
    struct buf *b = ctx;
    char at[CLOCK_TEXT_SIZE];

    clock_format(line->at_ms, at);
    if (b->len > 0 && b->p[b->len - 1] == '}')
        buf_add_char(b, ',');
    buf_printf(b, "{\"at\":\"%s\",\"level\":\"%s\",\"text\":", at,
               log_level_name(line->level));
    json_add_string(b, line->text);
    buf_add_char(b, '}');
}

void api_log(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct buf text = {0};

    if (!access_oversee(api, r, api_log))
        return;
    buf_printf(&text, "{\"total\":%llu,\"lines\":[", (unsigned long long)log_kept_total());
    log_each_kept(add_line, &text);
    buf_add_text(&text, "]}");
    api_respond_json(r, &text);
}
