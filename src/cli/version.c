/* version.c - `sse-notify version`. The first line's form is for scripts and does not change. */
#include "cli/commands.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include "arguments_priv.h"
#include "http_client_priv.h"

int command_version(int argc, char **argv)
{
    const struct command command = {
        .name = "version",
        .usage = "",
        .purpose = "Prints the version of the program and of libraries it was built with.",
        .notes = "Exit codes: 0 printed; 2 wrong usage.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0 && operands.count > 0)
        code = wrong_operands(&command, "takes no arguments");
    if (code < 0) {
        printf("sse-notify %s\n%s, cJSON %d.%d.%d\n", SSE_NOTIFY_VERSION, http_client_library(),
               CJSON_VERSION_MAJOR, CJSON_VERSION_MINOR, CJSON_VERSION_PATCH);
        code = fflush(stdout) == 0 ? EXIT_OK : EXIT_REFUSED;
    }
    text_list_fini(&operands);
    return code;
}
