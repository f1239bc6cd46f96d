/* sql_file.c - see sql_file.h. */
#include "sql/sql_file.h"

#include <stdlib.h>
#include <string.h>

#include "sql/sql_inside.h"

/* SQLite's layer for Unix writes less than 128 KiB in one call and takes the rest for a full disk:
 * its own writes are no larger than a page. */
enum { COPY_BYTES = 4096, PIECE_BYTES = 64 << 10, NAME_ZEROS = 4 };

static const char LOG_SUFFIX[] = "-wal";

struct sql_file {
    sqlite3_file *file; /* behind this struct; its layer fills it */
    char *path;         /* the layer may keep the pointer */
    bool locked;
};

/* The full name, with zeros behind it: layers look for parameters there. NULL: out of memory. */
static char *full_name(sqlite3_vfs *vfs, const char *path)
{
    size_t room = (size_t)vfs->mxPathname + 1 + NAME_ZEROS;
    char *name = calloc(1, room);

    if (name != NULL &&
        (vfs->xFullPathname(vfs, path, vfs->mxPathname + 1, name) & 0xFF) != SQLITE_OK) {
        free(name);
        return NULL;
    }
    return name;
}

static sql_file *file_new(sqlite3_vfs *vfs, const char *path)
{
    size_t head = (sizeof(sql_file) + 15) / 16 * 16;
    sql_file *f = calloc(1, head + (size_t)vfs->szOsFile);

    if (f == NULL) {
        return NULL;
    }
    f->file = (sqlite3_file *)(void *)((char *)f + head);
    f->path = full_name(vfs, path);
    if (f->path == NULL) {
        free(f);
        return NULL;
    }
    return f;
}

static int try_open(sqlite3_vfs *vfs, sql_file *f, int flags)
{
    int rc = vfs->xOpen(vfs, f->path, f->file, flags, &flags);
    if (rc != SQLITE_OK) {
        if (f->file->pMethods != NULL) {
            (void)f->file->pMethods->xClose(f->file);
        }
        f->file->pMethods = NULL;
    }
    return rc;
}

static bool exists(sqlite3_vfs *vfs, const char *full)
{
    int there = 0;
    return vfs->xAccess(vfs, full, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there != 0;
}

fb_code sql_file_open(const char *vfs_name, const char *path, bool create, sql_file **out)
{
    FB_REQUIRE(path != NULL && out != NULL);
    sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
    FB_REQUIRE(vfs != NULL);
    sql_file *f = file_new(vfs, path);
    if (f == NULL) {
        return FB_E_NO_MEMORY;
    }
    /* Of a write-ahead log a layer takes the rights from the database; where that is gone it is
     * opened as what stands alone. */
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    int rc = try_open(vfs, f, flags | SQLITE_OPEN_WAL);
    if (rc != SQLITE_OK && rc != SQLITE_NOMEM) {
        rc = try_open(vfs, f, flags | SQLITE_OPEN_SUPER_JOURNAL);
    }
    if (rc != SQLITE_OK) {
        bool missing = !create && (rc & 0xFF) == SQLITE_CANTOPEN && !exists(vfs, f->path);
        sql_file_close(f);
        return missing ? FB_E_NOT_FOUND : sql_code_of(rc);
    }
    *out = f;
    return FB_OK;
}

fb_code sql_file_open_alone(const char *vfs_name, const char *path, sql_file **out)
{
    FB_REQUIRE(path != NULL && out != NULL);
    sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
    FB_REQUIRE(vfs != NULL);
    sql_file *f = file_new(vfs, path);
    if (f == NULL) {
        return FB_E_NO_MEMORY;
    }
    int rc = try_open(vfs, f, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB);
    static const int levels[] = {SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED, SQLITE_LOCK_EXCLUSIVE};
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof levels / sizeof *levels; i++) {
        rc = f->file->pMethods->xLock(f->file, levels[i]);
        f->locked = f->locked || rc == SQLITE_OK;
    }
    if (rc != SQLITE_OK) {
        sql_file_close(f);
        return sql_code_of(rc);
    }
    *out = f;
    return FB_OK;
}

void sql_file_close(sql_file *f)
{
    if (f == NULL) {
        return;
    }
    if (f->file->pMethods != NULL) {
        if (f->locked) {
            (void)f->file->pMethods->xUnlock(f->file, SQLITE_LOCK_NONE);
        }
        (void)f->file->pMethods->xClose(f->file);
    }
    free(f->path);
    free(f);
}

fb_code sql_file_read(sql_file *f, uint64_t offset, void *out, size_t size, size_t *got_out)
{
    uint64_t end = 0;
    FB_REQUIRE(f != NULL && out != NULL && got_out != NULL && size <= INT32_MAX);
    *got_out = 0;
    if (size == 0) {
        return FB_OK;
    }
    int rc = f->file->pMethods->xRead(f->file, out, (int)size, (sqlite3_int64)offset);
    if (rc == SQLITE_OK) {
        *got_out = size;
        return FB_OK;
    }
    if (rc != SQLITE_IOERR_SHORT_READ) {
        return sql_code_of(rc);
    }
    FB_TRY(sql_file_size(f, &end));
    *got_out = end <= offset ? 0 : end - offset < size ? (size_t)(end - offset) : size;
    return FB_OK;
}

fb_code sql_file_write(sql_file *f, uint64_t offset, const void *data, size_t size)
{
    FB_REQUIRE(f != NULL && data != NULL && size <= INT32_MAX);
    int rc = SQLITE_OK;
    for (size_t at = 0; rc == SQLITE_OK && at < size; at += PIECE_BYTES) {
        int n = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
        rc = f->file->pMethods->xWrite(f->file, (const char *)data + at, n,
                                       (sqlite3_int64)(offset + at));
    }
    return sql_code_of(rc);
}

fb_code sql_file_truncate(sql_file *f, uint64_t size)
{
    return sql_code_of(f->file->pMethods->xTruncate(f->file, (sqlite3_int64)size));
}

fb_code sql_file_sync(sql_file *f)
{
    return sql_code_of(f->file->pMethods->xSync(f->file, SQLITE_SYNC_NORMAL));
}

fb_code sql_file_size(sql_file *f, uint64_t *out)
{
    sqlite3_int64 size = 0;
    FB_TRY(sql_code_of(f->file->pMethods->xFileSize(f->file, &size)));
    *out = (uint64_t)size;
    return FB_OK;
}

bool sql_file_exists(const char *vfs_name, const char *path)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
    char *name = vfs != NULL ? full_name(vfs, path) : NULL;
    bool there = name != NULL && exists(vfs, name);
    free(name);
    return there;
}

bool sql_log_exists(const char *vfs_name, const char *path)
{
    size_t size = strlen(path);
    char *log = malloc(size + sizeof LOG_SUFFIX);
    if (log == NULL) {
        return false;
    }
    memcpy(log, path, size);
    memcpy(log + size, LOG_SUFFIX, sizeof LOG_SUFFIX);
    bool there = sql_file_exists(vfs_name, log);
    free(log);
    return there;
}

fb_code sql_file_delete(const char *vfs_name, const char *path)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
    char *name = vfs != NULL ? full_name(vfs, path) : NULL;
    if (name == NULL) {
        return FB_E_NO_MEMORY;
    }
    int rc = vfs->xDelete(vfs, name, 1);
    free(name);
    return rc == SQLITE_IOERR_DELETE_NOENT ? FB_OK : sql_code_of(rc);
}

static fb_code copy_bytes(sql_file *from, sql_file *to, bool *unread)
{
    char bytes[COPY_BYTES];
    uint64_t size = 0;
    FB_TRY(sql_file_size(from, &size));
    for (uint64_t at = 0; at < size; at += COPY_BYTES) {
        size_t got = 0;
        size_t wanted = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        fb_code rc = sql_file_read(from, at, bytes, wanted, &got);
        if (rc == FB_E_IO) {
            memset(bytes, 0, wanted);
            *unread = true;
        }
        FB_TRY(rc == FB_E_IO ? FB_OK : rc);
        FB_TRY(sql_file_write(to, at, bytes, wanted));
    }
    FB_TRY(sql_file_truncate(to, size));
    return sql_file_sync(to);
}

fb_code sql_file_copy(sql_file *from, const char *vfs, const char *to, bool *unread_out)
{
    FB_REQUIRE(from != NULL && to != NULL && unread_out != NULL);
    sql_file *target = NULL;
    *unread_out = false;
    FB_TRY(sql_file_open(vfs, to, true, &target));
    fb_code rc = copy_bytes(from, target, unread_out);
    sql_file_close(target);
    return rc;
}
