/* answer.c - see the header. */
#include "answer_priv.h"

/* The parser is the first member. */
static struct answer *of_parser(llhttp_t *parser)
{
    return (struct answer *)parser;
}

static int on_head(llhttp_t *parser)
{
    of_parser(parser)->handlers->on_head(parser->data, parser->status_code);
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    of_parser(parser)->handlers->on_body(parser->data, slice_make(at, n));
    return 0;
}

static int on_message(llhttp_t *parser)
{
    struct answer *a = of_parser(parser);

    a->is_whole = true;
    a->closes = llhttp_should_keep_alive(parser) == 0;
    if (a->handlers->on_end != NULL)
        a->handlers->on_end(parser->data);
    return 0;
}

static const llhttp_settings_t *settings(void)
{
    static llhttp_settings_t made;
    static bool is_made;

    if (!is_made) { /* by name: the struct differs from version to version */
        llhttp_settings_init(&made);
        made.on_headers_complete = on_head;
        made.on_body = on_body;
        made.on_message_complete = on_message;
        is_made = true;
    }
    return &made;
}

void answer_init(struct answer *a, const struct answer_handlers *handlers, void *arg)
{
    llhttp_init(&a->parser, HTTP_RESPONSE, settings());
    a->parser.data = arg;
    a->handlers = handlers;
    a->is_whole = false;
    a->closes = false;
}

bool answer_feed(struct answer *a, struct slice bytes)
{
    return llhttp_execute(&a->parser, bytes.p, bytes.n) == HPE_OK;
}
