/* nearby_priv.h - the daemon of this machine, as its configuration tells: where it listens, and a
 * credential for it. */
#ifndef CLI_NEARBY_PRIV_H
#define CLI_NEARBY_PRIV_H
#include "base/buf.h"
#include "configured_priv.h"
#include "remote_priv.h"

struct nearby {
    enum config_role role;          /* of the routes that are to be used */
    const char *user;               /* with the public ones: whose stream, ... */
    const struct text_list *topics; /* ... and what he follows */

    struct configured configured;
    struct buf address; /* what remote's address points into */
    struct buf token;
    bool has_made_token;
};

#define NEARBY_ARGUMENTS(nearby)                                                                   \
    {'c', "config", ARGUMENT_TEXT, "FILE", &(nearby).configured.file, 0, 0,                        \
     "where no URL is given: the daemon's configuration,\nfor its address and, if it has a "       \
     "secret for tokens,\na credential; default " CONFIG_DEFAULT_PATH}

/* Completes `remote`: the command line counts first, then SSE_NOTIFY_URL and SSE_NOTIFY_TOKEN, then
 * the configuration, which is read where no address was given or the command line names it. A
 * token is made of its secret, and goes to no other address. Returns -1 to go on, else the exit
 * code, after sentences on stderr. */
int nearby_settle(struct nearby *n, const struct command *command, struct remote *remote);

/* Makes the token anew if it was made here: it does not last for ever. */
void nearby_renew(struct nearby *n, struct remote *remote);

void nearby_fini(struct nearby *n);
#endif
