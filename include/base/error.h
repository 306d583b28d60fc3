/* error.h - one sentence for the person who must mend the cause. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

struct error {
    char text[512]; /* without a line end; empty: no error */
};

/* Sets the sentence, cut where it is too long. `why` may be NULL. Always returns -1, so that a
 * caller can `return error_set(...)`. */
int error_set(struct error *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
