/* settings.h - a configuration under test, and the sentences that reading it gave. */
#ifndef SUPPORT_SETTINGS_H
#define SUPPORT_SETTINGS_H
#include "config/config.h"

struct settings {
    struct config cfg;
    struct config_errors errors;
};

/* At the defaults, without a sentence. */
void settings_init(struct settings *s);
void settings_fini(struct settings *s);

/* Fails unless the sentences are exactly these: one a line, each with its line end. */
#define assert_sentences(s, expected)                                                              \
    support_assert_sentences((s), (expected), __FILE__, __LINE__)
void support_assert_sentences(const struct settings *s, const char *expected, const char *file,
                              int line);
#endif
