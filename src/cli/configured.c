/* configured.c - see the header. */
#include "configured_priv.h"

#include <stdio.h>
#include "cli/commands.h"

int configured_read(struct configured *c)
{
    struct config_errors errors = {.count = 0};

    if (c->is_read)
        return -1;
    if (config_load(&c->config, c->file, c->overrides.items, c->overrides.count, &errors) != 0) {
        config_errors_print(&errors, stderr);
        return EXIT_USAGE;
    }
    c->is_read = true;
    return -1;
}

void configured_fini(struct configured *c)
{
    text_list_fini(&c->overrides);
    if (c->is_read)
        config_fini(&c->config);
}
