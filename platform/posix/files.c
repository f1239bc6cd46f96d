/* files.c - see files.h. */
#include "platform/posix/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"

static fb_code code_of(int error)
{
    switch (error) {
    case ENOENT:
        return FB_E_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return FB_E_DISK_FULL;
    case ENOMEM:
        return FB_E_NO_MEMORY;
    default:
        return FB_E_IO;
    }
}

static fb_code sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return code_of(errno);
    }
    /* Some file systems refuse to sync a folder; EINVAL is their way of saying so. */
    fb_code rc = fsync(fd) == 0 || errno == EINVAL ? FB_OK : code_of(errno);
    close(fd);
    return rc;
}

static fb_code sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int size = slash == NULL
                   ? snprintf(folder, sizeof folder, ".")
                   : snprintf(folder, sizeof folder, "%.*s", (int)(slash - path + 1), path);
    return size > 0 && (size_t)size < sizeof folder ? sync_folder(folder) : FB_E_IO;
}

static fb_code make_folder(void *ctx, const char *path)
{
    (void)ctx;
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? FB_OK : code_of(errno);
    }
    return sync_folder_of(path);
}

static fb_code write_all(int fd, int64_t offset, fb_text bytes)
{
    size_t done = 0;
    while (done < bytes.size) {
        ssize_t put =
            pwrite(fd, bytes.data + done, bytes.size - done, (off_t)(offset + (int64_t)done));
        if (put < 0 && errno != EINTR) {
            return code_of(errno);
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return FB_OK;
}

static fb_code write_open(int fd, int64_t offset, fb_text bytes, bool sync)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return code_of(errno);
    }
    if (offset < 0 || offset > (int64_t)st.st_size) {
        return FB_E_IO; /* a hole would read as zeros */
    }
    FB_TRY(write_all(fd, offset, bytes));
    if (ftruncate(fd, (off_t)(offset + (int64_t)bytes.size)) != 0 || (sync && fsync(fd) != 0)) {
        return code_of(errno);
    }
    return FB_OK;
}

static fb_code write_file(void *ctx, const char *path, int64_t offset, fb_text bytes, bool sync)
{
    (void)ctx;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return code_of(errno);
    }
    fb_code rc = write_open(fd, offset, bytes, sync);
    if (close(fd) != 0 && rc == FB_OK) {
        rc = code_of(errno);
    }
    /* The bytes are worth nothing without their name. */
    return rc == FB_OK && sync && offset == 0 ? sync_folder_of(path) : rc;
}

static fb_code read_file(void *ctx, const char *path, int64_t offset, void *out, size_t size,
                         size_t *got_out)
{
    (void)ctx;
    size_t done = 0;
    fb_code rc = FB_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return code_of(errno);
    }
    while (done < size) {
        ssize_t got = pread(fd, (char *)out + done, size - done, (off_t)(offset + (int64_t)done));
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            rc = code_of(errno);
            break;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    *got_out = done;
    return rc;
}

static fb_code size_of(void *ctx, const char *path, int64_t *size_out)
{
    struct stat st;
    (void)ctx;
    if (lstat(path, &st) != 0) {
        return code_of(errno);
    }
    if (!S_ISREG(st.st_mode)) {
        return FB_E_IO;
    }
    *size_out = (int64_t)st.st_size;
    return FB_OK;
}

static fb_code rename_file(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    if (rename(from, to) != 0) {
        return code_of(errno);
    }
    return sync_folder_of(to);
}

static fb_code remove_file(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) == 0 || errno == ENOENT ? FB_OK : code_of(errno);
}

static fb_code each_file(void *ctx, const char *folder, fb_file_fn fn, void *fn_ctx)
{
    (void)ctx;
    fb_code rc = FB_OK;
    DIR *d = opendir(folder);
    if (d == NULL) {
        return errno == ENOENT ? FB_OK : code_of(errno);
    }
    for (const struct dirent *e = readdir(d); e != NULL && rc == FB_OK; e = readdir(d)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            rc = fn(fn_ctx, e->d_name);
        }
    }
    closedir(d);
    return rc;
}

static fb_code free_bytes(void *ctx, const char *folder, int64_t *bytes_out)
{
    struct statvfs s;
    (void)ctx;
    if (statvfs(folder, &s) != 0) {
        return code_of(errno);
    }
    *bytes_out = (int64_t)s.f_bavail * (int64_t)s.f_frsize;
    return FB_OK;
}

const fb_files *fb_files_posix(void)
{
    static const fb_files FILES = {.folder = make_folder,
                                   .write = write_file,
                                   .read = read_file,
                                   .size = size_of,
                                   .rename = rename_file,
                                   .remove = remove_file,
                                   .each = each_file,
                                   .free_bytes = free_bytes};
    return &FILES;
}
