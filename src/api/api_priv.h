/* api_priv.h - what the endpoints share. */
#ifndef API_PRIV_H
#define API_PRIV_H
#include "api/api.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "http/response.h"
#include "net/loop.h"

struct cJSON;

/* What is refused at a limit, and told in the log now and then. */
enum api_gate {
    GATE_MAX_STREAMS,
    GATE_MAX_STREAMS_PER_USER,
    GATE_MAX_STREAMS_PER_IP,
    GATE_STREAMS_PER_SECOND,
    GATE_PUBLISHES_PER_SECOND,
    GATE_MAX_MEMORY,
    GATE_HOST,
    API_GATES
};

struct notify_item; /* notify_item_priv.h */

struct api {
    struct api_options options;
    struct notification_manager *nm;
    struct http_server *server;
    struct loop *loop;
    struct stats *stats;
    uint64_t started_ms;          /* loop_now_ms at creation, ... */
    uint64_t started_wall_ms;     /* ... and since 1970 */
    uint64_t own_descriptors;     /* open ones that are no connections */
    struct hash_table addresses;  /* struct address_count, only while they are limited */
    struct list idle_addresses;   /* those of them that hold no stream */
    struct log_gate gates[API_GATES]; /* for the log lines that anybody can cause */
    char good_host[64];           /* a Host that was found to be ours, with ... */
    size_t good_host_length;      /* 0: none yet */
    struct notify_item *item;     /* the notification being read: no handler runs within another */
    struct buf answer;            /* to a publish, while it is made */
    size_t figure_streams;        /* open ones of GET /console/events */
};

/* One an endpoint; ctx is the struct api. */
http_handler api_subscribe;        /* subscribe.c: GET /notifications/:userID */
http_handler api_refresh;          /* refresh.c: POST /notifications/:userID/refresh */
http_handler api_notify;           /* notify.c: POST /notify */
http_handler api_history;          /* history.c: GET /notifications/:userID/history */
http_handler api_user_history;     /* history.c: GET /users/:userID/history */
http_handler api_erase;            /* history.c: DELETE /users/:userID/history */
http_handler api_retract;          /* history.c: DELETE /notifications/:userID/:id */
http_handler api_presence;         /* presence.c: GET /users/:userID */
http_handler api_kick;             /* presence.c: DELETE /users/:userID/streams */
http_handler api_kick_one;         /* presence.c: DELETE /users/:userID/streams/:clientID */
http_handler api_revoke;           /* revoke.c: POST /tokens/revoke */
http_handler api_stats;            /* stats.c: GET /stats */
http_handler api_metrics;          /* metrics.c: GET /metrics */
http_handler api_console;          /* console.c: GET /console, and the page's own files */
http_handler api_figures;          /* figures.c: GET /console/events */
http_handler api_log;              /* log.c: GET /log */
http_handler api_config;           /* config.c: GET /config */
http_handler api_trace;            /* trace.c: GET /users/:userID/trace */
http_handler api_healthz;          /* health.c */
http_handler api_readyz;

/* ---- api.c ---- */
/* In a pattern such as *.example.com, also behind a scheme, the star stands for one or more labels
 * of a host name. Without a star nothing matches. */
bool api_matches_star(struct slice text, struct slice pattern);

/* ---- presence.c ---- */
/* Adds what GET /users/:userID shows of a stream to an object; false: no memory. */
bool presence_add_stream(const struct api *api, struct cJSON *to, const struct client_info *info);

/* Adds a user id or topic, which hold no NUL; false: no memory. */
bool presence_add_name(struct cJSON *to, const char *name, struct slice s);

/* ---- respond.c ---- */
/* Hands each member of the JSON object that the body is to be to `take`; `members` is what the
 * object has, for a sentence. False: what is wrong was answered, here or by `take`. */
typedef bool api_take_member(void *ctx, struct http_request *r, struct slice key,
                             struct slice value);
bool api_read_object(struct http_request *r, const char *members, api_take_member *take,
                     void *ctx);

/* What `take` has to say of a member that there is not, and of one that is wrong: answers 400 and
 * returns false. */
bool api_refuse_member(struct http_request *r, struct slice key);
bool api_refuse_body(struct http_request *r, const char *detail);

/* Answers 200 with `text` as JSON, or 503 where the buffer found no memory; frees the buffer. */
void api_respond_json(struct http_request *r, struct buf *text);

/* The same with a cJSON tree, which is freed; NULL is one that found no memory. */
void api_respond_cjson(struct http_request *r, struct cJSON *tree);

/* What GET /stats answers; the caller deletes it. NULL without memory. */
struct cJSON *api_stats_tree(const struct api *api);

/* Whether streams and notifications are taken; else the reason is in `*why`. */
bool api_is_ready(const struct api *api, const char **why);

/* Whether it comes from a page that may call only because allowed_origins has "*". */
bool api_is_any_origin(const struct api *api, const struct http_request *r);

/* Path parameter 0 as a user id, or 400 is answered and false returned. */
bool api_user(struct http_request *r, struct slice *user);

/* Reads a client id, sixteen hexadecimal digits as presence shows it; false: it is none. */
bool api_client_id(struct slice text, uint64_t *id);

/* A problem (RFC 9457) as a JSON object appended to `b`, as in the answer to a batch. */
void api_add_problem(struct buf *b, int status, const char *detail);

/* Refuses for now: `status` (429, 503) with Retry-After. */
void api_refuse_for_now(struct http_request *r, int status, uint64_t retry_ms, const char *detail);

/* Tells in the log, at most once in ten seconds, what is refused at the limit, and to whom last:
 * `who` may be empty. */
void api_note_refusal(struct api *api, const struct http_request *r, enum api_gate gate,
                      struct slice who);

/* 503: an allocation failed. */
void api_out_of_memory(struct http_request *r);
#endif
