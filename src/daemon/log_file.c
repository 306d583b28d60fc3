/* log_file.c - see the header. */
#include "log_file_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "daemon/server.h"

int log_file_open(const char *path, struct error *why)
{
    /* A FIFO that nobody reads is refused and not waited for. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    return fd >= 0 ? fd : error_set(why, "log.file = %s: %s", path, strerror(errno));
}

void log_file_use(const struct config *cfg, int fd)
{
    log_setup(cfg->log.level, cfg->log.format, fd >= 0 ? fd : STDERR_FILENO, true);
}

void log_file_reopen(struct server *s)
{
    struct error why;
    int fd;

    if (s->config->log.file == NULL) {
        log_info("SIGUSR1: there is no log.file to open anew");
        return;
    }
    fd = log_file_open(s->config->log.file, &why);
    if (fd < 0) {
        log_error("SIGUSR1: the log stays where it is: %s", why.text);
        return;
    }
    log_file_use(s->config, fd);
    close(s->log_fd);
    s->log_fd = fd;
    log_info("SIGUSR1: the log goes on in %s", s->config->log.file);
}
