/* key.c - `sse-notify key`: the keys by which backends may send (auth.publish_keys_file). */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "arguments_priv.h"
#include "auth/publish_keys.h"
#include "base/file.h"
#include "base/slurp.h"
#include "configured_priv.h"

enum { MAX_FILE = 1 << 20 };

struct key_options {
    struct configured daemon;
    const char *file;
    struct text_list allow;
    uint64_t rate;
};

/* Puts the line behind what is there; what could not be written whole is taken back. */
static int append(int fd, const struct buf *old, struct slice line)
{
    bool is_ended = old->len == 0 || old->p[old->len - 1] == '\n';
    struct buf text = {0};
    int status;

    buf_add_text(&text, is_ended ? "" : "\n");
    buf_add_slice(&text, line);
    status = text.failed ? -ENOMEM : file_write_all(fd, buf_slice(&text));
    if (status == 0 && fsync(fd) != 0)
        status = -errno;
    if (status != 0)
        (void)!ftruncate(fd, (off_t)old->len);
    buf_fini(&text);
    return status;
}

/* The file, open and locked against another `key add`; -1 after a sentence. */
static int open_file(const struct command *command, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (fd >= 0 && flock(fd, LOCK_EX) == 0)
        return fd;
    complain(command, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int add_to(const struct command *command, const struct key_options *o, const char *path,
                  const char *name, int fd)
{
    struct buf old = {0};
    struct buf line = {0};
    struct error why = {"out of memory"};
    char key[PUBLISH_KEY_SIZE];
    int code = EXIT_REFUSED;
    int status = slurp(fd, MAX_FILE, &old);

    if (status == 0 && publish_keys_have_name(buf_slice(&old), name)) {
        complain(command, "%s: there is a key %s already; take its line out first", path, name);
    } else if (status == 0 && publish_key_make(name, o->allow.items, o->allow.count, o->rate, key,
                                               &line, &why) != 0) {
        complain(command, "%s", why.text);
        code = EXIT_USAGE;
    } else {
        if (status == 0)
            status = append(fd, &old, buf_slice(&line));
        if (status != 0)
            complain(command, "%s: %s", path, strerror(-status));
        else
            code = printf("%s\n", key) < 0 || fflush(stdout) != 0 ? EXIT_REFUSED : EXIT_OK;
    }
    explicit_bzero(key, sizeof key);
    buf_fini(&old);
    buf_fini(&line);
    return code;
}

static int add(const struct command *command, struct key_options *o, const char *name)
{
    const char *path = o->file;
    int code = path != NULL ? -1 : configured_read(&o->daemon);
    int fd;

    if (code >= 0)
        return code;
    if (path == NULL)
        path = o->daemon.config.auth.publish_keys_file;
    if (path == NULL) {
        complain(command, "into which file? --file FILE, or set auth.publish_keys_file");
        return EXIT_USAGE;
    }
    fd = open_file(command, path);
    if (fd < 0)
        return EXIT_REFUSED;
    code = add_to(command, o, path, name, fd);
    close(fd);
    return code;
}

int command_key(int argc, char **argv)
{
    struct key_options o = {.file = NULL};
    const struct argument arguments[] = {
        {'a', "allow", ARGUMENT_LIST, "PATTERN", &o.allow, 0, 0,
         "it may send to these only: user:NAME, user:*,\ntopic:NAME, topic:*, broadcast; may be "
         "repeated"},
        {0, "rate", ARGUMENT_NUMBER, "N", &o.rate, 1, 1000000,
         "notifications that it may send a second"},
        {'f', "file", ARGUMENT_TEXT, "FILE", &o.file, 0, 0,
         "the file with the keys; default auth.publish_keys_file"},
        CONFIGURED_ARGUMENTS(o.daemon),
    };
    const struct command command = {
        .name = "key",
        .usage = "add NAME [options]",
        .purpose = "Makes a key by which a backend may send, prints it, this once, and adds a\n"
                   "line with its name and its hash to the file, which a running daemon reads\n"
                   "again.",
        .arguments = arguments,
        .argument_count = sizeof arguments / sizeof arguments[0],
        .notes = "To take a key back, take its line out of the file.\n"
                 "\n"
                 "Examples:\n"
                 "  sse-notify key add billing\n"
                 "  sse-notify key add deploys --allow topic:deploys --rate 10\n"
                 "  curl -H \"Authorization: Bearer $KEY\" -d '{\"user\":\"a\",\"data\":1}' ...\n"
                 "\n"
                 "Exit codes: 0 added; 1 it could not be; 2 wrong usage or configuration.\n",
    };
    struct text_list operands = {0};
    int code = arguments_begin(&command, argc, argv, &operands);

    if (code < 0 && (operands.count != 2 || strcmp(operands.items[0], "add") != 0))
        code = wrong_operands(&command, operands.count == 1 ? "the key needs a name"
                                                            : "write add and a name");
    if (code < 0)
        code = add(&command, &o, operands.items[1]);
    text_list_fini(&operands);
    text_list_fini(&o.allow);
    configured_fini(&o.daemon);
    return code;
}
