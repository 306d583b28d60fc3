/* The request reader, fed the same bytes whole and in pieces: both must come to the same result,
 * and what is taken must be readable through the request's face.
 *
 * The input's first byte seeds the lengths of the pieces, the rest is what a client sends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "http/request_priv.h"
#include "http/router_priv.h"

enum { MAX_HEAD = 512, MAX_BODY = 64 }; /* small, so that inputs reach them */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, struct http_request *r)
{
    (void)ctx;
    (void)r;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/notifications/:userID", HTTP_ALL, ignore},
    {HTTP_POST, "/notify", HTTP_ALL, ignore},
    {HTTP_DELETE, "/users/:userID/streams/:clientID", HTTP_ALL, ignore},
    {0, NULL, 0, NULL},
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static size_t next_piece(uint32_t *seed, size_t left)
{
    size_t n;

    if (*seed == 0)
        return left;
    *seed = *seed * 1103515245u + 12345u;
    n = 1 + (*seed >> 16) % 24;
    return n < left ? n : left;
}

/* Reads one request; *used is where it ended. */
static enum h1_result read_one(struct h1 *h, const char *p, size_t n, uint32_t seed, size_t *used)
{
    enum h1_result result = H1_MORE;

    *used = 0;
    while (result == H1_HEAD || (result == H1_MORE && *used < n)) {
        size_t piece = result == H1_HEAD ? 0 : next_piece(&seed, n - *used);
        char *copy = malloc(piece + 1); /* its own block, so that reading past it is seen */
        size_t taken;

        must(copy != NULL);
        memcpy(copy, p + *used, piece);
        result = h1_feed(h, copy, piece, &taken);
        free(copy);
        must(taken <= piece);
        must(result != H1_MORE || taken == piece);
        *used += taken;
    }
    return result;
}

static size_t sum(struct slice s)
{
    size_t total = 0;

    for (size_t i = 0; i < s.n; i++)
        total += (unsigned char)s.p[i];
    return total;
}

/* What a handler would do with it. */
static void use(struct http_request *r)
{
    static struct router *router;
    struct router_match match;
    struct slice name;
    struct slice value;
    const char *detail = NULL;
    size_t cursor = 0;
    size_t first = 0;
    size_t second = 0;

    if (request_on_head(r, &detail) != 0) {
        must(detail != NULL);
        return;
    }
    must(request_on_done(r) == 0);
    if (router == NULL)
        router = router_create(routes);
    must(router != NULL);
    router_match(router, http_request_path(r), HTTP_ALL, r->method, &match);
    if (match.handler != NULL)
        request_set_params(r, match.params, match.param_count);
    for (int i = 0; i < HTTP_MAX_PARAMS; i++)
        must((http_request_param(r, i).n > 0) ==
             (match.handler != NULL && (size_t)i < match.param_count));
    while (http_request_query_next(r, &cursor, &name, &value))
        first += sum(name) + sum(value);
    cursor = 0;
    while (http_request_query_next(r, &cursor, &name, &value))
        second += sum(name) + sum(value);
    must(first == second);
    must(http_request_minor(r) == 0 || http_request_header(r, "hOsT").p != NULL);
    must(http_request_body(r).n <= MAX_BODY);
}

static void must_agree(const struct h1_message *a, const struct h1_message *b)
{
    must(a->arena.len == b->arena.len);
    must(a->arena.len == 0 || memcmp(a->arena.p, b->arena.p, a->arena.len) == 0);
    must(a->is_persistent == b->is_persistent && a->framing == b->framing);
    must(a->field_count == b->field_count);
    for (size_t i = 0; i < a->field_count; i++) {
        must(a->fields[i].name.at == b->fields[i].name.at);
        must(a->fields[i].name.n == b->fields[i].name.n);
        must(a->fields[i].value.n == b->fields[i].value.n);
        must(a->fields[i].value.n == 0 || a->fields[i].value.at == b->fields[i].value.at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data + 1;
    size_t n = size - 1;
    struct http_request *whole = request_create(MAX_HEAD, MAX_BODY);
    struct http_request *pieces = request_create(MAX_HEAD, MAX_BODY);

    must(whole != NULL && pieces != NULL);
    while (size > 1 && n > 0) { /* pipelined requests, one after another */
        size_t used;
        size_t used_in_pieces;
        enum h1_result result = read_one(whole->reader, p, n, 0, &used);
        enum h1_result again = read_one(pieces->reader, p, n, data[0] + 1u, &used_in_pieces);

        must(result == again);
        must(result != H1_NO_MEMORY);
        if (result == H1_REFUSED)
            must(h1_message(whole->reader)->status >= 400);
        if (result != H1_DONE)
            break;
        must(used == used_in_pieces && used > 0);
        must_agree(h1_message(whole->reader), h1_message(pieces->reader));
        use(whole);
        p += used;
        n -= used;
        request_reset(whole);
        request_reset(pieces);
    }
    request_destroy(whole);
    request_destroy(pieces);
    return 0;
}
