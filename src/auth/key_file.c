/* key_file.c - the buffer has its full size from the beginning: growing would leave copies. */
#include "key_file_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "base/slurp.h"
#include "key_set_priv.h"

int key_file_read(const char *path, struct buf *out, bool *is_open_to_all, struct error *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat mode;
    int status = fd < 0 ? -errno : buf_reserve(out, KEY_SET_MAX_BYTES + 1);

    if (status == 0)
        status = slurp(fd, KEY_SET_MAX_BYTES, out);
    if (status == 0 && is_open_to_all != NULL)
        *is_open_to_all = fstat(fd, &mode) == 0 && (mode.st_mode & S_IROTH) != 0;
    if (fd >= 0)
        close(fd);
    if (status == -EFBIG)
        error_set(why, "it is too large for keys");
    else if (status != 0)
        error_set(why, "cannot be read: %s", strerror(-status));
    return status;
}

void key_file_fini(struct buf *text)
{
    if (text->p != NULL)
        OPENSSL_cleanse(text->p, text->len);
    buf_fini(text);
}

void key_file_warn_is_open(const char *setting, const char *path)
{
    log_warning("%s = %s: every user of this machine can read this secret; `chmod o= %s` mends "
                "that",
                setting, path, path);
}
