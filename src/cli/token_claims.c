/* token_claims.c - see the header. */
#include "token_claims_priv.h"

#include <string.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/json.h"

/* What parts an item from those before it in the object or list that was begun last. */
static void add_comma(struct buf *out)
{
    char last = out->len > 0 ? out->p[out->len - 1] : '{';

    if (last != '{' && last != '[')
        buf_add_char(out, ',');
}

static void add_member(struct buf *out, const char *name, const char *text)
{
    add_comma(out);
    json_add_string(out, slice_of(name));
    buf_add_char(out, ':');
    json_add_string(out, slice_of(text));
}

/* Whether the user's claim is that one, so that it must not stand there twice. */
static bool is_taken(const struct token_claims *c, const struct config_tokens *wanted,
                     const char *name)
{
    return c->user != NULL && strcmp(wanted->user_claim, name) == 0;
}

static void add_id(struct buf *out)
{
    uint64_t number[2] = {0};
    char text[33];

    out->failed |= getrandom(number, sizeof number, 0) != (ssize_t)sizeof number;
    *format_hex(format_hex(text, number[0], 16), number[1], 16) = '\0';
    add_member(out, "jti", text);
}

static void add_patterns(struct buf *out, const char *before, const struct text_list *patterns)
{
    for (size_t i = 0; i < patterns->count; i++) {
        struct buf pattern = {0};

        buf_printf(&pattern, "%s%s", before, patterns->items[i]);
        add_comma(out);
        json_add_string(out, buf_slice(&pattern));
        out->failed |= pattern.failed;
        buf_fini(&pattern);
    }
}

static void add_grants(struct buf *out, const struct token_claims *c)
{
    if (c->topics.count + c->subscribe.count + c->publish.count == 0)
        return;
    buf_add_text(out, ",\"sse_notify\":{\"subscribe\":[");
    add_patterns(out, "topic:", &c->topics);
    add_patterns(out, "", &c->subscribe);
    buf_add_text(out, "],\"publish\":[");
    add_patterns(out, "", &c->publish);
    buf_add_text(out, "]}");
}

void token_claims_add(const struct token_claims *c, const struct config_tokens *wanted,
                      struct buf *out)
{
    uint64_t now_s = clock_wall_ms() / 1000;

    buf_add_char(out, '{');
    if (c->user != NULL)
        add_member(out, wanted->user_claim, c->user);
    if (wanted->issuer != NULL && !is_taken(c, wanted, "iss"))
        add_member(out, "iss", wanted->issuer);
    if (wanted->audience != NULL && !is_taken(c, wanted, "aud"))
        add_member(out, "aud", wanted->audience);
    if (!is_taken(c, wanted, "jti"))
        add_id(out);
    buf_printf(out, ",\"iat\":%llu,\"exp\":%llu", (unsigned long long)now_s,
               (unsigned long long)(now_s + (c->ttl_ms + 999) / 1000));
    add_grants(out, c);
    buf_add_char(out, '}');
}
