/* failure_priv.h - what the end of a request means for a person, the exit code and a retry. */
#ifndef CLI_FAILURE_PRIV_H
#define CLI_FAILURE_PRIV_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "http_client_priv.h"

/* Appends the cause in one clause without a line end. */
void failure_add(struct buf *out, enum http_outcome outcome, const struct http_answer *answer);

/* EXIT_OK for an answer with a 2xx status. */
int failure_exit_code(enum http_outcome outcome, const struct http_answer *answer);

/* Waits, at most until `wake_fd` (-1: none) is readable. Returns whether it became readable. */
bool failure_wait(uint64_t wait_ms, int wake_fd);

/* A number nobody can guess; for jitter and keys. */
uint32_t failure_random(void);
#endif
