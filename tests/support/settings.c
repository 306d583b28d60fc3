/* settings.c - see the header. */
#include "support/settings.h"

#include <stdlib.h>
#include "support/cm.h"

void settings_init(struct settings *s)
{
    *s = (struct settings){.errors = {.count = 0}};
    assert_int_equal(config_init(&s->cfg), 0);
}

void settings_fini(struct settings *s)
{
    config_fini(&s->cfg);
}

void support_assert_sentences(const struct settings *s, const char *expected, const char *file,
                              int line)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    bool is_same;

    assert_non_null(out);
    config_errors_print(&s->errors, out);
    assert_int_equal(fclose(out), 0);
    is_same = strcmp(text, expected) == 0;
    if (!is_same)
        print_error("said:\n%sexpected:\n%s", text, expected);
    free(text);
    if (!is_same)
        _fail(file, line);
}
