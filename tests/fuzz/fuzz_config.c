/* fuzz_config.c - any file is either read, or refused with a sentence that names the file. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct config cfg;
    struct config_errors errors = {.count = 0};
    int rc;

    if (config_init(&cfg) != 0)
        abort();
    rc = config_read_text(&cfg, "fuzz.conf", slice_make((const char *)bytes, n), &errors);
    if ((rc == 0) != (errors.count == 0))
        abort();
    for (size_t i = 0; i < errors.count; i++)
        if (strncmp(errors.items[i].text, "fuzz.conf", 9) != 0)
            abort();
    if (rc == 0)
        (void)config_check(&cfg, &errors);
    config_fini(&cfg);
    return 0;
}
