/* remote_priv.h - which daemon to talk to, and the addresses of what it offers. */
#ifndef CLI_REMOTE_PRIV_H
#define CLI_REMOTE_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "arguments_priv.h"
#include "base/buf.h"
#include "base/error.h"

struct remote {
    const char *url;       /* scheme, host, port, perhaps a path: what the routes are put behind */
    const char *unix_path; /* a Unix socket to go through, @NAME for an abstract one; NULL: none */
    const char *token;     /* a secret: never printed; NULL: none */
    const char *ca_file;   /* PEM certificates to trust instead of the system's; NULL: those */
};

/* The rows of an argument table that fill a struct remote. */
#define REMOTE_ARGUMENTS(remote)                                                                   \
    {0, "url", ARGUMENT_TEXT, "URL", &(remote).url, 0, 0,                                          \
     "where the daemon is; default $SSE_NOTIFY_URL,\nelse http://127.0.0.1:8080"},                 \
    {0, "unix", ARGUMENT_TEXT, "PATH", &(remote).unix_path, 0, 0,                                  \
     "connect to this Unix socket; @NAME: an abstract one"},                                       \
    {0, "token", ARGUMENT_TEXT, "TOKEN", &(remote).token, 0, 0,                                    \
     "the credential; default $SSE_NOTIFY_TOKEN, which\nother users of the machine cannot see"},   \
    {0, "cacert", ARGUMENT_TEXT, "FILE", &(remote).ca_file, 0, 0,                                  \
     "trust the certificates in this PEM file"}

/* Fills in what the command line left out: `env_url` and `env_token` are the environment's values
 * or NULL. Returns 0, or -1 with a sentence in `why` where a value cannot be used. */
int remote_settle(struct remote *remote, const char *env_url, const char *env_token,
                  struct error *why);

/* Each puts the address in `out` as a terminated string. Returns 0 or -ENOMEM. */
int remote_url(const struct remote *remote, const char *path, struct buf *out);
int remote_stream_url(const struct remote *remote, const char *user,
                      const struct text_list *topics, bool from_earliest, struct buf *out);
#endif
