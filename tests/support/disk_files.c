/* disk_files.c - see disk_files.h. */
#include "support/disk_files.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLE_BYTES_MAX = 256, NAME_BYTES = 160, NAMES_ROOM = 64 };

/* crash_vfs begins with its sqlite3_vfs. */
static sqlite3_vfs *vfs_of(void *ctx)
{
    return ctx;
}

static fb_code code_of(int rc)
{
    return rc == SQLITE_OK ? FB_OK : rc == SQLITE_FULL ? FB_E_DISK_FULL : FB_E_IO;
}

static void machine_of(const char *path, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%.*s", (int)strcspn(path, "/"), path);
}

static bool is_dead(void *ctx, const char *path)
{
    char machine[NAME_BYTES];
    machine_of(path, machine);
    return crash_vfs_is_crashed(ctx, machine);
}

static bool is_there(void *ctx, const char *path)
{
    int there = 0;
    (void)vfs_of(ctx)->xAccess(vfs_of(ctx), path, SQLITE_ACCESS_READWRITE, &there);
    return there != 0;
}

/* An open file for the length of one call. */
typedef union disk_handle {
    sqlite3_file file;
    char room[HANDLE_BYTES_MAX];
} disk_handle;

static int handle_open(void *ctx, const char *path, bool create, disk_handle *h)
{
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    if (vfs_of(ctx)->szOsFile > (int)sizeof *h) {
        abort();
    }
    memset(h, 0, sizeof *h);
    return vfs_of(ctx)->xOpen(vfs_of(ctx), path, &h->file, flags, NULL);
}

/* Names hold their folders; making one costs nothing and cannot be torn. */
static fb_code disk_folder(void *ctx, const char *path)
{
    return is_dead(ctx, path) ? FB_E_IO : FB_OK;
}

static fb_code disk_write(void *ctx, const char *path, int64_t offset, fb_text bytes, bool sync)
{
    disk_handle h;
    sqlite3_int64 size = 0;
    int rc = handle_open(ctx, path, true, &h);
    if (rc != SQLITE_OK) {
        return code_of(rc);
    }
    const sqlite3_io_methods *m = h.file.pMethods;
    rc = m->xFileSize(&h.file, &size);
    if (rc == SQLITE_OK && (offset < 0 || offset > size)) {
        rc = SQLITE_IOERR_WRITE;
    }
    if (rc == SQLITE_OK && offset < size) {
        rc = m->xTruncate(&h.file, offset);
    }
    if (rc == SQLITE_OK && bytes.size > 0) {
        rc = m->xWrite(&h.file, bytes.data, (int)bytes.size, offset);
    }
    if (rc == SQLITE_OK && sync) {
        rc = m->xSync(&h.file, SQLITE_SYNC_FULL);
    }
    (void)m->xClose(&h.file);
    return code_of(rc);
}

static fb_code disk_size(void *ctx, const char *path, int64_t *size_out)
{
    disk_handle h;
    sqlite3_int64 size = 0;
    if (!is_dead(ctx, path) && !is_there(ctx, path)) {
        return FB_E_NOT_FOUND;
    }
    int rc = handle_open(ctx, path, false, &h);
    if (rc == SQLITE_OK) {
        rc = h.file.pMethods->xFileSize(&h.file, &size);
        (void)h.file.pMethods->xClose(&h.file);
    }
    *size_out = size;
    return code_of(rc);
}

static fb_code disk_read(void *ctx, const char *path, int64_t offset, void *out, size_t size,
                         size_t *got_out)
{
    disk_handle h;
    int64_t whole = 0;
    fb_code sized = disk_size(ctx, path, &whole);
    if (sized != FB_OK) {
        return sized;
    }
    int64_t left = offset < whole ? whole - offset : 0;
    *got_out = (int64_t)size < left ? size : (size_t)left;
    int rc = handle_open(ctx, path, false, &h);
    if (rc == SQLITE_OK) {
        rc = h.file.pMethods->xRead(&h.file, out, (int)*got_out, offset);
        (void)h.file.pMethods->xClose(&h.file);
    }
    return code_of(rc);
}

static fb_code disk_rename(void *ctx, const char *from, const char *to)
{
    int rc = crash_vfs_rename(ctx, from, to);
    return rc == SQLITE_NOTFOUND ? FB_E_NOT_FOUND : code_of(rc);
}

static fb_code disk_remove(void *ctx, const char *path)
{
    int rc = vfs_of(ctx)->xDelete(vfs_of(ctx), path, 1);
    return rc == SQLITE_IOERR_DELETE_NOENT ? FB_OK : code_of(rc);
}

/* The names first: fn may remove and rename. */
typedef struct listing {
    const char *folder;
    char (*names)[NAME_BYTES];
    size_t count, room;
} listing;

static void list_one(void *ctx, const char *file, const void *data, size_t size)
{
    listing *l = ctx;
    size_t n = strlen(l->folder);
    (void)data;
    (void)size;
    if (strncmp(file, l->folder, n) != 0 || file[n] != '/' || strchr(file + n + 1, '/') != NULL) {
        return;
    }
    if (l->count == l->room) {
        l->room = l->room * 2 + NAMES_ROOM;
        l->names = realloc(l->names, l->room * sizeof *l->names);
        if (l->names == NULL) {
            abort();
        }
    }
    snprintf(l->names[l->count++], NAME_BYTES, "%s", file + n + 1);
}

static fb_code disk_each(void *ctx, const char *folder, fb_file_fn fn, void *fn_ctx)
{
    listing l = {.folder = folder};
    fb_code rc = is_dead(ctx, folder) ? FB_E_IO : FB_OK;
    crash_vfs_each(ctx, list_one, &l);
    for (size_t i = 0; rc == FB_OK && i < l.count; i++) {
        rc = fn(fn_ctx, l.names[i]);
    }
    free(l.names);
    return rc;
}

static fb_code disk_free_bytes(void *ctx, const char *folder, int64_t *bytes_out)
{
    char machine[NAME_BYTES];
    machine_of(folder, machine);
    *bytes_out = crash_vfs_room(ctx, machine);
    return is_dead(ctx, folder) ? FB_E_IO : FB_OK;
}

fb_files disk_files(crash_vfs *v)
{
    return (fb_files){.ctx = v,
                      .folder = disk_folder,
                      .write = disk_write,
                      .read = disk_read,
                      .size = disk_size,
                      .rename = disk_rename,
                      .remove = disk_remove,
                      .each = disk_each,
                      .free_bytes = disk_free_bytes};
}
