/* redis_link.c - one connection to Redis on the daemon's loop, made again whenever it is gone.
 *
 * hiredis frees a context by itself behind its callbacks of a failed connect or a disconnect; one
 * that is given up is freed here, never from within those (it would be freed twice). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
/* The adapter's functions are in the header itself. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <hiredis/adapters/libev.h>
#pragma GCC diagnostic pop
#include "redis_priv.h"

/* Seconds between attempts: doubled each time, and by chance up to half shorter, so that nodes that
 * lost the server at the same moment do not come back at the same moment. */
static const double first_pause_s = 0.1, longest_pause_s = 5;

static double by_chance(double seconds)
{
    uint32_t random = 0;

    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return seconds * (0.5 + 0.5 * random / UINT32_MAX);
}

static void start_timer(struct redis_link *link, double seconds)
{
    ev_timer_stop(link->ev, &link->timer);
    ev_timer_set(&link->timer, seconds, 0);
    ev_timer_start(link->ev, &link->timer);
}

static void try_later(struct redis_link *link)
{
    double pause = first_pause_s * (double)(1u << (link->failures < 6 ? link->failures : 6));

    link->failures++;
    start_timer(link, by_chance(pause < longest_pause_s ? pause : longest_pause_s));
}

static struct redis_link *link_of(const redisAsyncContext *ac)
{
    return ac->data;
}

/* The context is gone, or will be by itself. */
static void lose(struct redis_link *link)
{
    link->ac = NULL;
    link->is_ready = false;
    try_later(link);
    link->on_lost(link);
}

static void note_trouble(struct redis_link *link, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note_trouble(struct redis_link *link, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(link->trouble, sizeof link->trouble, format, list);
    va_end(list);
}

void redis_link_fail(struct redis_link *link, const char *format, ...)
{
    redisAsyncContext *ac = link->ac;
    va_list list;

    va_start(list, format);
    vsnprintf(link->trouble, sizeof link->trouble, format, list);
    va_end(list);
    if (ac == NULL)
        return;
    ac->data = NULL; /* its callbacks find nobody */
    lose(link);
    redisAsyncFree(ac);
}

/* ---- being let in ---- */

/* Whether the reply to a step of the greeting lets it go on. */
static bool is_let_in(struct redis_link *link, const redisReply *reply, const char *step)
{
    if (link == NULL || reply == NULL)
        return false;
    if (reply->type != REDIS_REPLY_ERROR)
        return true;
    redis_link_fail(link, "%s: %.*s", step, (int)(reply->len < 120 ? reply->len : 120),
                    reply->str);
    return false;
}

static void on_auth(redisAsyncContext *ac, void *reply, void *ctx)
{
    (void)ctx;
    (void)is_let_in(link_of(ac), reply, "AUTH");
}

static void on_select(redisAsyncContext *ac, void *reply, void *ctx)
{
    (void)ctx;
    (void)is_let_in(link_of(ac), reply, "SELECT");
}

/* What stands behind `name:`, which begins a line, in an answer to INFO. */
static void copy_info(const redisReply *info, const char *name, char *out, size_t size)
{
    const char *at = info->str == NULL ? NULL : strstr(info->str, name);
    size_t n;

    out[0] = '\0';
    while (at != NULL && at != info->str && at[-1] != '\n')
        at = strstr(at + 1, name);
    if (at == NULL)
        return;
    at += strlen(name);
    n = strcspn(at, "\r\n");
    if (n >= size)
        n = size - 1;
    memcpy(out, at, n);
    out[n] = '\0';
}

static void on_info(redisAsyncContext *ac, void *reply, void *ctx)
{
    struct redis_link *link = link_of(ac);
    char role[16];

    (void)ctx;
    if (!is_let_in(link, reply, "INFO"))
        return;
    copy_info(reply, "run_id:", link->run_id, sizeof link->run_id);
    copy_info(reply, "role:", role, sizeof role);
    if (link->run_id[0] == '\0') {
        redis_link_fail(link, "INFO does not tell the server's run_id");
        return;
    }
    if (strcmp(role, "slave") == 0) {
        redis_link_fail(link, "this server is a replica, which takes nothing");
        return;
    }
    ev_timer_stop(link->ev, &link->timer);
    link->is_ready = true;
    link->on_ready(link);
}

static void greet(struct redis_link *link)
{
    const struct redis_url *url = link->url;
    char db[16];
    struct slice auth[3] = {SLICE_LITERAL("AUTH")};
    struct slice select[2] = {SLICE_LITERAL("SELECT"), {db, 0}};
    struct slice info[1] = {SLICE_LITERAL("INFO")};
    size_t n = 1;
    int status = 0;

    select[1].n = (size_t)snprintf(db, sizeof db, "%u", url->db);
    if (url->user != NULL)
        auth[n++] = slice_of(url->user);
    if (url->password != NULL)
        auth[n++] = slice_of(url->password);
    if (n > 1)
        status = redis_link_send(link, on_auth, NULL, n, auth);
    if (status == 0 && url->db != 0)
        status = redis_link_send(link, on_select, NULL, 2, select);
    if (status == 0)
        status = redis_link_send(link, on_info, NULL, 1, info);
    if (status != 0)
        start_timer(link, 0); /* this is a callback of hiredis' that must not end the connection */
}

/* ---- the connection ---- */

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct redis_link *link = link_of(ac);

    if (link == NULL)
        return;
    if (status == REDIS_OK) {
        greet(link);
        return;
    }
    note_trouble(link, "%s", ac->errstr[0] != '\0' ? ac->errstr : "it cannot be reached");
    lose(link);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct redis_link *link = link_of(ac);

    if (link == NULL)
        return;
    note_trouble(link, "the connection has ended%s%s", status == REDIS_OK ? "" : ": ",
                 status == REDIS_OK ? "" : ac->errstr);
    lose(link);
}

static redisAsyncContext *connect_to(const struct redis_url *url)
{
    return url->host != NULL ? redisAsyncConnect(url->host, (int)url->port)
                             : redisAsyncConnectUnix(url->path);
}

void redis_link_open(struct redis_link *link)
{
    if (link->find != NULL)
        link->find(link);
    else
        redis_link_connect(link);
}

void redis_link_expect(struct redis_link *link)
{
    start_timer(link, link->timeout_s);
}

void redis_link_connect(struct redis_link *link)
{
    redisAsyncContext *ac;

    if (link->ac != NULL)
        return;
    ac = connect_to(link->url);
    if (ac == NULL || ac->err != 0) {
        note_trouble(link, "%s", ac == NULL ? "out of memory" : ac->errstr);
        if (ac != NULL)
            redisAsyncFree(ac); /* it has no callbacks yet */
        lose(link);
        return;
    }
    link->ac = ac;
    ac->data = link;
    redisLibevAttach(link->ev, ac);
    redis_link_expect(link);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    redisAsyncSetConnectCallback(ac, on_connect);
}

void redis_link_close(struct redis_link *link)
{
    redisAsyncContext *ac = link->ac;

    ev_timer_stop(link->ev, &link->timer);
    link->ac = NULL;
    link->is_ready = false;
    if (ac == NULL)
        return;
    ac->data = NULL;
    redisAsyncFree(ac);
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct redis_link *link = timer->data;

    (void)ev;
    (void)events;
    if (link->ac == NULL)
        redis_link_open(link);
    else
        redis_link_fail(link, "it does not answer");
}

void redis_link_init(struct redis_link *link, const struct redis_url *url, struct ev_loop *ev,
                     uint64_t timeout_ms)
{
    *link = (struct redis_link){.url = url, .ev = ev, .timeout_s = (double)timeout_ms / 1000};
    ev_timer_init(&link->timer, on_timer, 0, 0);
    link->timer.data = link;
}

int redis_link_send(struct redis_link *link, redisCallbackFn *fn, void *ctx, size_t count,
                    const struct slice *parts)
{
    enum { FEW = 32 };
    const char *few[FEW];
    size_t few_sizes[FEW];
    const char **texts = few;
    size_t *sizes = few_sizes;
    int status = -ENOTCONN;

    if (link->ac == NULL)
        return -ENOTCONN;
    if (count > FEW) {
        texts = malloc(count * (sizeof *texts + sizeof *sizes));
        if (texts == NULL)
            return -ENOMEM;
        sizes = (size_t *)(void *)(texts + count);
    }
    for (size_t i = 0; i < count; i++) {
        texts[i] = parts[i].n == 0 ? "" : parts[i].p;
        sizes[i] = parts[i].n;
    }
    if (redisAsyncCommandArgv(link->ac, fn, ctx, (int)count, texts, sizes) == REDIS_OK)
        status = 0;
    if (texts != few)
        free(texts);
    return status;
}
