/* failure.c - shared by send and tail, so that both say the same of the same failure. */
#include "failure_priv.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>
#include "base/clock.h"
#include "cli/commands.h"
#include "output_priv.h"

void failure_add(struct buf *out, enum http_outcome outcome, const struct http_answer *answer)
{
    if (outcome != HTTP_ANSWERED) {
        output_add_plain(out, slice_of(answer->why.text));
        return;
    }
    if (answer->status >= 300 && answer->status < 400 && answer->redirect[0] != '\0') {
        buf_add_text(out, "the server points to ");
        output_add_plain(out, slice_of(answer->redirect));
        buf_add_text(out, " instead; redirects are not followed, see --url");
        return;
    }
    output_add_problem(out, answer->status, buf_slice(&answer->body));
}

int failure_exit_code(enum http_outcome outcome, const struct http_answer *answer)
{
    switch (outcome) {
    case HTTP_ANSWERED:
        return answer->status >= 200 && answer->status < 300 ? EXIT_OK : EXIT_REFUSED;
    case HTTP_STOPPED:
        return EXIT_OK;
    case HTTP_BROKEN:
        return EXIT_REFUSED;
    case HTTP_UNCONNECTED:
    case HTTP_UNTRUSTED:
        return EXIT_UNREACHABLE;
    case HTTP_IMPOSSIBLE:
        return EXIT_USAGE;
    }
    return EXIT_REFUSED;
}

bool failure_wait(uint64_t wait_ms, int wake_fd)
{
    uint64_t end_ms = clock_mono_ms() + wait_ms;
    struct pollfd wake = {.fd = wake_fd, .events = POLLIN};

    for (;;) {
        uint64_t now_ms = clock_mono_ms();
        int rc = poll(&wake, 1, now_ms < end_ms ? (int)(end_ms - now_ms) : 0);

        if (rc > 0)
            return true;
        if (rc == 0 || errno != EINTR)
            return false;
    }
}

uint32_t failure_random(void)
{
    uint32_t value = 0;

    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        value = (uint32_t)clock_mono_ns(); /* cannot happen after boot; good enough for jitter */
    return value;
}
