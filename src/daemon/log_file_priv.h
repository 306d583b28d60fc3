/* log_file_priv.h - the file that log.file names. */
#ifndef DAEMON_LOG_FILE_PRIV_H
#define DAEMON_LOG_FILE_PRIV_H
#include "base/error.h"
#include "config/config.h"

struct server;

/* Opens it to append to. Returns the descriptor, or -1 with `why`. */
int log_file_open(const char *path, struct error *why);

/* The log goes there from now on, with the level and the format of the config; -1: to standard
 * error. */
void log_file_use(const struct config *cfg, int fd);

/* Opens it anew, for it may have been renamed. Where that fails the old one stays in use. */
void log_file_reopen(struct server *s);
#endif
