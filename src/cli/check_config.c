/* check_config.c - `sse-notify check-config`: finds every mistake before a restart does. */
#include "cli/commands.h"

#include <stdbool.h>
#include <stdio.h>
#include "auth/from_config.h"
#include "auth/publish_keys.h"
#include "auth/webhook_secrets.h"
#include "base/buf.h"
#include "config/arguments.h"
#include "config/config.h"
#include "config/describe.h"

static const char help[] =
    "usage: sse-notify check-config [-c FILE] [-o SECTION.KEY=VALUE]...\n"
    "\n"
    "Reads the configuration as the daemon would, environment included, and prints\n"
    "every mistake with its line; reads the files of keys that it names, too. Starts\n"
    "nothing.\n"
    "\n" CONFIG_ARGUMENTS_HELP "\n"
    "Examples:\n"
    "  sse-notify check-config -c sse-notify.conf\n"
    "  sse-notify check-config -o streams.heartbeat=30s\n"
    "\n"
    "Exit codes: 0 all is well, 2 there are mistakes, or wrong usage.\n";

/* Not in the help: they make the pages that the repository holds. */
static const char *const flags[] = {"example", "reference", "manual", NULL};
enum { FLAG_EXAMPLE = 1, FLAG_REFERENCE = 2, FLAG_MANUAL = 4 };

static int print_page(int (*describe)(struct buf *out))
{
    struct buf page = {0};
    bool is_written = describe(&page) == 0 &&
                      fwrite(page.p, 1, page.len, stdout) == page.len && fflush(stdout) == 0;

    buf_fini(&page);
    return is_written ? EXIT_OK : EXIT_REFUSED;
}

static bool check_webhook_secrets(const struct config *cfg)
{
    struct webhook_secrets *secrets = NULL;
    struct error why = {""};
    bool is_right = cfg->webhooks.url == NULL ||
                    webhook_secrets_open(&secrets, cfg->webhooks.secret_file, &why) == 0;

    if (!is_right)
        fprintf(stderr, "%s\n", why.text);
    webhook_secrets_destroy(secrets);
    return is_right;
}

/* Reads the keys and secrets that the daemon would read. */
static int check_keys(const struct config *cfg)
{
    static struct stats stats;
    struct error why = {""};
    struct credentials *credentials = NULL;
    struct publish_keys *keys = NULL;
    bool is_right = credentials_from_config(cfg, NULL, NULL, 0, &stats, &credentials, &why) == 0;

    if (!is_right)
        fprintf(stderr, "%s\n", why.text);
    if ((cfg->auth.publish & CONFIG_BY_KEY) != 0) {
        keys = publish_keys_open(cfg->auth.publish_keys_file, 0, &why);
        if (keys == NULL)
            fprintf(stderr, "%s\n", why.text);
        is_right &= keys != NULL;
    }
    is_right &= check_webhook_secrets(cfg);
    credentials_destroy(credentials);
    publish_keys_close(keys);
    return is_right ? EXIT_OK : EXIT_USAGE;
}

static int check(const struct config_arguments *arguments)
{
    const char *file = config_file_of(arguments->file);
    struct config_errors errors = {0};
    struct config cfg;
    int code;

    if (config_load(&cfg, arguments->file, arguments->overrides, arguments->override_count,
                    &errors) != 0) {
        config_errors_print(&errors, stderr);
        return EXIT_USAGE;
    }
    code = check_keys(&cfg);
    config_fini(&cfg);
    if (code != EXIT_OK)
        return code;
    printf("%s: ok\n", file != NULL ? file : "no configuration file, the defaults");
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_REFUSED;
}

int command_check_config(int argc, char **argv)
{
    struct config_arguments arguments;

    if (config_arguments_read(&arguments, "check-config", flags, argc, argv) != 0)
        return EXIT_USAGE;
    if (arguments.wants_help)
        return fputs(help, stdout) < 0 || fflush(stdout) != 0 ? EXIT_REFUSED : EXIT_OK;
    if (arguments.flags & FLAG_EXAMPLE)
        return print_page(config_describe_example);
    if (arguments.flags & FLAG_REFERENCE)
        return print_page(config_describe_reference);
    if (arguments.flags & FLAG_MANUAL)
        return print_page(config_describe_manual);
    return check(&arguments);
}
