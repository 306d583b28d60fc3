/* serve.c - the subcommand that is the daemon. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "cli/commands.h"
#include "config/arguments.h"
#include "config/describe.h"
#include "daemon/commands.h"
#include "daemon/server.h"
#include "log_file_priv.h"
#include "systemd_priv.h"

enum { LOG_DRAIN_MS = 1000 };

static int print_help(void)
{
    struct buf options = {0};

    if (config_describe_help(&options) != 0)
        return EXIT_REFUSED;
    printf("usage: sse-notify [serve] [-c FILE] [-o SECTION.KEY=VALUE]...\n"
           "\n"
           "Runs the daemon in the foreground until SIGTERM or SIGINT, which end it when\n"
           "its streams are told goodbye. SIGHUP reads the configuration again, SIGUSR1\n"
           "opens log.file anew.\n"
           "\n" CONFIG_ARGUMENTS_HELP "\n%.*s",
           (int)options.len, options.p);
    buf_fini(&options);
    return EXIT_OK;
}

static int start(struct server *server, struct config *config,
                 const struct config_arguments *arguments, struct error *why)
{
    struct server_start from = {.config = config, .arguments = arguments, .log_fd = -1};

    if (config->log.file != NULL) {
        from.log_fd = log_file_open(config->log.file, why);
        if (from.log_fd < 0)
            return -1;
    }
    log_file_use(config, from.log_fd);
    if (hash_seed() != 0)
        return error_set(why, "no random numbers from the system");
    return server_init(server, &from, why);
}

static int run(struct config *config, const struct config_arguments *arguments)
{
    static struct server server;
    struct error why = {.text = ""};

    log_file_use(config, -1);
    if (start(&server, config, arguments, &why) != 0) {
        log_error("%s", why.text);
        log_drain(LOG_DRAIN_MS);
        if (config->log.file != NULL) /* whoever starts it looks here */
            fprintf(stderr, "sse-notify: %s\n", why.text);
        return EXIT_USAGE;
    }
    log_info("sse-notify %s is ready", SSE_NOTIFY_VERSION);
    systemd_notify("READY=1\nSTATUS=ready");
    server_run(&server);
    server_fini(&server);
    log_info("ended");
    log_drain(LOG_DRAIN_MS);
    return EXIT_OK;
}

int command_serve(int argc, char **argv)
{
    static struct config config;
    struct config_arguments arguments;
    struct config_errors errors = {.count = 0};
    int code;

    if (config_arguments_read(&arguments, "serve", NULL, argc, argv) != 0)
        return EXIT_USAGE;
    if (arguments.wants_help)
        return print_help();
    if (config_load(&config, arguments.file, arguments.overrides, arguments.override_count,
                    &errors) != 0) {
        config_errors_print(&errors, stderr);
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a disk that is full */
    code = run(&config, &arguments);
    config_fini(&config);
    return code;
}
