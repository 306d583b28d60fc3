/* redis.c - the journal that many daemons share: a Redis Stream holds the record.
 *
 * Two connections: one for the script (redis.lua), by which every change is made, and one that
 * hears what all nodes have written, in order; that is the only way to the streams. When either is
 * lost both are given up and all begins anew: what is there (adopt), what was lost meanwhile, then
 * on from the last entry that was heard. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/log.h"
#include "redis_priv.h"

enum { SWEEP_MS = 1000, SWEEP_STEPS = 200 };

/* The script, as the assembler takes it from its file. */
__asm__(".pushsection .rodata\n"
        ".global redis_script\n"
        "redis_script: .incbin \"src/journal/redis.lua\"\n"
        ".global redis_script_end\n"
        "redis_script_end: .byte 0\n"
        ".popsection\n");
extern const char redis_script[];
extern const char redis_script_end[];

/* ---- words ---- */

static const char channel_letters[CHANNEL_KINDS] = {
    [CHANNEL_USER] = 'u', [CHANNEL_TOPIC] = 't', [CHANNEL_EVERYONE] = 'e'};

struct slice redis_channel_write(struct channel_name channel, char *out)
{
    out[0] = channel_letters[channel.kind];
    slice_put(out + 1, channel.name);
    return slice_make(out, 1 + channel.name.n);
}

bool redis_channel_read(struct slice text, struct channel_name *channel)
{
    const char *letter = text.n == 0 || text.n > REDIS_CHANNEL_SIZE
                             ? NULL
                             : memchr(channel_letters, text.p[0], sizeof channel_letters);

    if (letter == NULL)
        return false;
    channel->kind = (enum channel_kind)(letter - channel_letters);
    channel->name = slice_make(text.p + 1, text.n - 1);
    return true;
}

struct slice redis_text(const redisReply *reply)
{
    return reply->str == NULL ? slice_make("", 0) : slice_make(reply->str, (size_t)reply->len);
}

uint64_t redis_number(const redisReply *reply)
{
    uint64_t number = 0;

    if (reply->type == REDIS_REPLY_INTEGER)
        return reply->integer < 0 ? 0 : (uint64_t)reply->integer;
    (void)slice_to_u64(redis_text(reply), &number);
    return number;
}

/* ---- calls ---- */

int redis_call(struct redis *r, redisCallbackFn *fn, void *ctx, const char *operation, size_t count,
               const struct slice *arguments)
{
    enum { BEFORE = 5 };
    struct slice *parts = malloc((BEFORE + count) * sizeof *parts);
    int status;

    if (parts == NULL)
        return -ENOMEM;
    parts[0] = SLICE_LITERAL("EVALSHA");
    parts[1] = slice_of(r->script);
    parts[2] = SLICE_LITERAL("1");
    parts[3] = slice_of(r->prefix);
    parts[4] = slice_of(operation);
    memcpy(parts + BEFORE, arguments, count * sizeof *parts);
    status = redis_link_send(&r->commands, fn, ctx, BEFORE + count, parts);
    free(parts);
    return status;
}

bool redis_reply_is_good(struct redis *r, const redisAsyncContext *ac, const redisReply *reply)
{
    if (ac->data == NULL || reply == NULL)
        return false;
    if (reply->type != REDIS_REPLY_ERROR)
        return true;
    redis_go_down(r, reply->str);
    return false;
}

/* Older servers wrap what a command of the script says in words of their own. */
static int refusal_of(const redisReply *reply)
{
    if (strstr(reply->str, "OOM ") != NULL)
        return -ENOSPC;
    return strstr(reply->str, "MISCONF ") != NULL || strstr(reply->str, "NOREPLICAS ") != NULL
               ? -EIO
               : 0;
}

int redis_judge(struct redis *r, const redisReply *reply)
{
    int status = reply->type == REDIS_REPLY_ERROR ? refusal_of(reply) : 0;

    if (reply->type == REDIS_REPLY_ERROR && status == 0) {
        redis_go_down(r, reply->str);
        return -EAGAIN;
    }
    if (status != r->trouble && status != 0)
        log_error("Redis refuses what is sent: %.200s", reply->str);
    else if (status != r->trouble)
        log_info("Redis takes what is sent again");
    r->trouble = status;
    return status;
}

/* ---- going down ---- */

void redis_go_down(struct redis *r, const char *why)
{
    enum redis_state was = r->state;
    bool is_first = !r->was_up && r->down_reason[0] == '\0';

    r->state = REDIS_DOWN;
    snprintf(r->down_reason, sizeof r->down_reason, "Redis: %s", why);
    redis_link_close(&r->tail);
    r->tail.failures = 0; /* the commands' link is the one that waits */
    redis_link_fail(&r->commands, "%s", r->down_reason + strlen("Redis: "));
    redis_load_cancel(r);
    r->is_sweeping = false;
    redis_ops_fail(r);
    redis_pages_fail(r);
    if (was == REDIS_UP || is_first)
        r->base.events->on_down(r->base.ctx, r->down_reason);
}

static void on_link_lost(struct redis_link *link)
{
    redis_go_down(link->ctx, link->trouble);
}

/* ---- coming up ---- */

/* What is behind that place of the log is heard next. */
static void begin_at(struct redis *r, struct slice epoch, struct slice id)
{
    struct slice number = id;

    slice_put(r->epoch, epoch);
    r->epoch[epoch.n] = '\0';
    snprintf(r->tail_id, sizeof r->tail_id, "%.*s", SLICE_ARG(id));
    number = slice_cut(&id, '-');
    (void)slice_to_u64(number, &r->emitted);
}

/* The newest hole comes first. */
static void take_holes(struct redis *r, struct slice holes)
{
    struct slice hole = slice_cut(&holes, ' ');
    struct slice begin = slice_cut(&hole, '-');

    r->hole_begin = r->hole_end = 0;
    if (slice_to_u64(hole, &r->hole_end) == 0)
        (void)slice_to_u64(begin, &r->hole_begin);
}

/* Of a record that this node has not known before, or no more: the newest is read into the window
 * at the start; later all streams are told, and hear it from its beginning. */
static void begin_anew(struct redis *r, const redisReply *adopted)
{
    struct slice epoch = redis_text(adopted->element[0]);
    char end[48];

    if (r->was_up) {
        begin_at(r, epoch, redis_text(adopted->element[8]));
        log_warning("Redis has another record than before (epoch %s): streams are told of a gap",
                    r->epoch);
        r->base.events->on_break(r->base.ctx, r->emitted);
        redis_begin_tail(r);
        return;
    }
    snprintf(end, sizeof end, "%llu-%llu", (unsigned long long)r->adopted_head,
             (unsigned long long)redis_number(adopted->element[2]));
    begin_at(r, epoch, slice_of(end));
    redis_load(r);
}

static void on_adopted(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;

    if (!redis_reply_is_good(r, ac, reply))
        return;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 10 ||
        reply->element[0]->len != EPOCH_LENGTH || reply->element[8]->type != REDIS_REPLY_STRING) {
        redis_go_down(r, "what is under journal.redis_prefix is not a record of this program's");
        return;
    }
    r->adopted_head = redis_number(reply->element[1]);
    r->transient = redis_number(reply->element[3]);
    r->entries = redis_number(reply->element[4]);
    r->bytes = redis_number(reply->element[5]);
    r->evicted = redis_number(reply->element[6]);
    r->server_ms = redis_number(reply->element[7]);
    r->server_at_ms = r->heard_ms = r->now_ms;
    take_holes(r, redis_text(reply->element[9]));
    r->state = REDIS_LOADING;
    if (r->was_up && slice_is(redis_text(reply->element[0]), r->epoch))
        redis_find_losses(r);
    else
        begin_anew(r, reply);
}

static void adopt(struct redis *r)
{
    char fresh[EPOCH_SIZE];
    char seen[REDIS_NUMBER_SIZE];
    struct slice arguments[] = {
        slice_of(r->commands.run_id),
        slice_of(r->was_up ? r->epoch : ""),
        redis_decimal(seen, r->was_up ? r->emitted : 0),
        {fresh, EPOCH_LENGTH},
    };

    if (epoch_create(fresh) != 0 || redis_call(r, on_adopted, r, "adopt", 4, arguments) != 0)
        redis_go_down(r, "out of memory");
}

static void on_script_loaded(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;

    if (!redis_reply_is_good(r, ac, reply))
        return;
    snprintf(r->script, sizeof r->script, "%.*s", (int)reply->len, reply->str);
    adopt(r);
}

static void on_commands_ready(struct redis_link *link)
{
    struct redis *r = link->ctx;
    struct slice parts[] = {
        SLICE_LITERAL("SCRIPT"),
        SLICE_LITERAL("LOAD"),
        slice_make(redis_script, (size_t)(redis_script_end - redis_script)),
    };

    r->state = REDIS_ADOPTING;
    r->heard_ms = r->now_ms;
    if (redis_link_send(link, on_script_loaded, r, 3, parts) != 0)
        redis_go_down(r, "out of memory");
}

static void on_tail_link_ready(struct redis_link *link)
{
    redis_on_tail_ready(link->ctx);
}

/* ---- life ---- */

/* The name that this process has among all, of all times. */
static int name_node(struct redis *r)
{
    uint32_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -1;
    snprintf(r->node, sizeof r->node, "%.40s-%08x", r->options.node_name, random);
    return 0;
}

static void redis_close(struct journal *j);

static struct journal *redis_open(const struct journal_options *options, struct ev_loop *ev,
                                  struct stats *stats, struct error *why)
{
    struct redis *r = calloc(1, sizeof *r);

    if (r == NULL) {
        error_set(why, "out of memory for the journal");
        return NULL;
    }
    r->base.ops = &journal_redis_ops;
    r->options = *options;
    r->ev = ev;
    r->stats = stats;
    r->now_ms = options->now_ms;
    snprintf(r->prefix, sizeof r->prefix, "{%s}", options->redis_prefix);
    list_init(&r->pages);
    list_init(&r->pages_under_way);
    redis_append_init(r);
    redis_link_init(&r->commands, &r->url, ev, options->redis_timeout_ms);
    redis_link_init(&r->tail, &r->url, ev, options->redis_timeout_ms);
    r->commands.on_ready = on_commands_ready;
    r->tail.on_ready = on_tail_link_ready;
    r->commands.on_lost = r->tail.on_lost = on_link_lost;
    r->commands.ctx = r->tail.ctx = r;
    if (redis_sentinels_init(r, why) != 0 ||
        redis_url_read(&r->url, slice_of(options->redis_url), why) != 0 ||
        (name_node(r) != 0 && error_set(why, "no random numbers for the journal") != 0)) {
        redis_close(&r->base);
        return NULL;
    }
    return &r->base;
}

static void redis_start(struct journal *j)
{
    redis_link_open(&redis_of(j)->commands);
}

static void redis_close(struct journal *j)
{
    struct redis *r = redis_of(j);

    r->state = REDIS_DOWN;
    redis_link_close(&r->tail);
    redis_link_close(&r->commands);
    redis_load_cancel(r);
    redis_append_fini(r);
    redis_pages_fail(r);
    redis_sentinels_fini(r);
    redis_url_fini(&r->url);
    free(r);
}

static void redis_get_status(const struct journal *j, struct journal_status *out)
{
    const struct redis *r = (const struct redis *)j;

    *out = (struct journal_status){
        .type = "redis",
        .epoch = r->epoch,
        .head = r->emitted,
        .is_up = r->state == REDIS_UP,
        .is_shared = true,
        .trouble = r->trouble,
        .hole_begin = r->hole_begin,
        .hole_end = r->hole_end,
        .entries = r->entries,
        .bytes = r->bytes,
        .oldest_ms = r->oldest_ms,
    };
}

/* ---- the clock ---- */

static void on_swept(redisAsyncContext *ac, void *data, void *ctx)
{
    const redisReply *reply = data;
    struct redis *r = ctx;

    if (ac->data == NULL || reply == NULL)
        return;
    r->is_sweeping = false;
    if (redis_judge(r, reply) != 0 || reply->type != REDIS_REPLY_ARRAY || reply->elements != 5)
        return;
    r->entries = redis_number(reply->element[1]);
    r->bytes = redis_number(reply->element[2]);
    r->evicted = redis_number(reply->element[3]);
    r->oldest_ms = redis_number(reply->element[4]);
    if (redis_number(reply->element[0]) >= SWEEP_STEPS)
        r->swept_ms = 0; /* there is more */
}

/* Every node does it, so that it is done while any is there; what is done already costs little. And
 * it tells whether the server answers and takes what is sent when nothing else does. */
static void sweep(struct redis *r)
{
    char keep[REDIS_NUMBER_SIZE];
    char steps[REDIS_NUMBER_SIZE];
    struct slice arguments[] = {
        redis_decimal(keep, r->options.keep_ms),
        redis_decimal(steps, SWEEP_STEPS),
    };

    if (r->is_sweeping || r->now_ms - r->swept_ms < SWEEP_MS)
        return;
    r->swept_ms = r->now_ms;
    r->is_sweeping = redis_call(r, on_swept, r, "sweep", 2, arguments) == 0;
}

/* Whether anything that was asked for is overdue. Without a connection the links see to it. */
static bool is_silent(const struct redis *r)
{
    uint64_t patience_ms = r->options.redis_timeout_ms;

    if (r->state == REDIS_DOWN)
        return false;
    return r->now_ms - r->heard_ms > patience_ms || redis_ops_are_overdue(r) ||
           (r->is_sweeping && r->now_ms - r->swept_ms > patience_ms);
}

static void redis_tick(struct journal *j, uint64_t now_ms)
{
    struct redis *r = redis_of(j);

    r->now_ms = now_ms;
    if (is_silent(r)) {
        redis_go_down(r, "it does not answer");
        return;
    }
    if (r->state != REDIS_UP)
        return;
    sweep(r);
    r->stats->journal_entries = r->entries;
    r->stats->journal_bytes = r->bytes;
    r->stats->journal_evicted = r->evicted;
}

const struct journal_ops journal_redis_ops = {
    .type = "redis",
    .open = redis_open,
    .start = redis_start,
    .close = redis_close,
    .append = redis_do_append,
    .read = redis_do_read,
    .cancel = redis_do_cancel,
    .retract = redis_do_retract,
    .erase = redis_do_erase,
    .get_status = redis_get_status,
    .tick = redis_tick,
};
