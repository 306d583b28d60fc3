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

enum { LOG_DRAIN_MS = 1000 };

static int print_help(void)
{
    struct buf options = {0};

    if (config_describe_help(&options) != 0)
        return EXIT_REFUSED;
    printf("usage: sse-notify [serve] [-c FILE] [-o SECTION.KEY=VALUE]...\n"
           "\n"
           "Runs the daemon in the foreground until SIGTERM or SIGINT.\n"
           "\n" CONFIG_ARGUMENTS_HELP "\n%.*s",
           (int)options.len, options.p);
    buf_fini(&options);
    return EXIT_OK;
}

static int run(const struct config *config)
{
    static struct server server;
    struct error why = {.text = ""};

    log_setup(config->log.level, config->log.format, STDERR_FILENO, true);
    if (hash_seed() != 0 || server_init(&server, config, &why) != 0) {
        log_error("%s", why.text[0] != '\0' ? why.text : "no random numbers from the system");
        log_drain(LOG_DRAIN_MS);
        return EXIT_USAGE;
    }
    log_info("sse-notify %s is ready", SSE_NOTIFY_VERSION);
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
    code = run(&config);
    config_fini(&config);
    return code;
}
