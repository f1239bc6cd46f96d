/* file.c - see file.h. */
#include "platform/posix/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

static fb_code io_failure(fb_error *err, const char *path, const char *what, int error)
{
    fb_code code = FB_E_IO;
    if (error == ENOENT) {
        code = FB_E_NOT_FOUND;
    } else if (error == EEXIST) {
        code = FB_E_EXISTS;
    } else if (error == ENOSPC || error == EDQUOT) {
        code = FB_E_DISK_FULL;
    }
    return fail(err, code, path, "%s failed: %s: check the path and its rights", what,
                strerror(error));
}

static fb_code read_all(int fd, const char *path, buf *out, fb_error *err)
{
    char block[4096];
    ssize_t got = 0;
    do {
        got = read(fd, block, sizeof block);
        if (got < 0 && errno != EINTR) {
            return io_failure(err, path, "reading", errno);
        }
        if (got > 0) {
            buf_put(out, block, (size_t)got);
        }
    } while (got != 0 && out->code == FB_OK);
    bytes_wipe(block, sizeof block); /* it may have been a key */
    if (out->code != FB_OK) {
        return fail(err, out->code, path, "the file is larger than %zu bytes or memory is short",
                    out->max);
    }
    return FB_OK;
}

fb_code file_get(const char *path, buf *out, fb_error *err)
{
    FB_REQUIRE(path != NULL && out != NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return io_failure(err, path, "opening", errno);
    }
    fb_code rc = read_all(fd, path, out, err);
    close(fd);
    return rc;
}

static int write_all(int fd, fb_text content)
{
    while (content.size > 0) {
        ssize_t put = write(fd, content.data, content.size);
        if (put < 0 && errno != EINTR) {
            return -1;
        }
        if (put > 0) {
            content.data += put;
            content.size -= (size_t)put;
        }
    }
    return fsync(fd);
}

/* The name of a new file is on disk only when its folder is. */
static void sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int size = slash == NULL
                   ? snprintf(folder, sizeof folder, ".")
                   : snprintf(folder, sizeof folder, "%.*s", (int)(slash - path + 1), path);
    if (size < 0 || (size_t)size >= sizeof folder) {
        return;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        /* Some file systems refuse to sync a folder; the file itself is safe by then. */
        int ignored = fsync(fd);
        (void)ignored;
        close(fd);
    }
}

fb_code file_create(const char *path, fb_text content, bool is_private, fb_error *err)
{
    FB_REQUIRE(path != NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_private ? 0600 : 0644);
    if (fd < 0) {
        return io_failure(err, path, "creating", errno);
    }
    int rc = write_all(fd, content);
    int error = errno;
    close(fd);
    if (rc != 0) {
        unlink(path);
        return io_failure(err, path, "writing", error);
    }
    sync_folder_of(path);
    return FB_OK;
}

fb_code file_replace(const char *path, fb_text content, bool is_private, fb_error *err)
{
    FB_REQUIRE(path != NULL);
    char beside[PATH_MAX];
    int size = snprintf(beside, sizeof beside, "%s.new", path);
    if (size < 0 || (size_t)size >= sizeof beside) {
        return fail(err, FB_E_RANGE, path, "the path is too long");
    }
    unlink(beside); /* left by a run that died between the two steps */
    FB_TRY(file_create(beside, content, is_private, err));
    if (rename(beside, path) != 0) {
        int error = errno;
        unlink(beside);
        return io_failure(err, path, "renaming", error);
    }
    sync_folder_of(path);
    return FB_OK;
}

fb_code file_require_private(const char *path, fb_error *err)
{
    FB_REQUIRE(path != NULL);
    struct stat s;
    if (stat(path, &s) != 0) {
        return io_failure(err, path, "looking at", errno);
    }
    if ((s.st_mode & 077) != 0) {
        return fail(err, FB_E_CONFIG, path,
                    "others may read or write this private file (mode %03o): run chmod 600 on it",
                    (unsigned)(s.st_mode & 0777));
    }
    return FB_OK;
}
