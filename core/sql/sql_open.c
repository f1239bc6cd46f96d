/* sql_open.c - opening a database: the file, then what every connection is set to. See sql.h. */
#include "sql/sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql_inside.h"
#include "sql/sql_sum.h"

enum { JOURNAL_BYTES_MAX = 16 << 20 };

static fb_code pragma_is(sql_db *db, const char *text, const char *wanted)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->handle, text, -1, &s, NULL);
    bool equal = false;
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
        const unsigned char *got = rc == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
        equal = got != NULL && sqlite3_stricmp((const char *)got, wanted) == 0;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        fb_code code = sql_failed(db, rc);
        sqlite3_finalize(s);
        return code;
    }
    sqlite3_finalize(s);
    if (!equal) {
        db->code = FB_E_IO;
        snprintf(db->message, sizeof db->message, "%s was refused", text);
    }
    return equal ? FB_OK : FB_E_IO;
}

static fb_code configure_safety(sql_db *db)
{
    int defensive = 0;
    int rc = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, &defensive);
    if (rc == SQLITE_OK) {
        rc = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    }
    if (rc != SQLITE_OK) {
        return sql_failed(db, rc);
    }
    return sql_exec(db, "PRAGMA cell_size_check=ON; PRAGMA foreign_keys=OFF;");
}

static fb_code configure_writing(sql_db *db, const char *path, const sql_options *o)
{
    char text[160];
    bool on_disk = strcmp(path, ":memory:") != 0;
    if (o->page_sums && o->create) { /* without effect on a file that has pages */
        (void)sql_sum_reserve(db->handle);
    }
    FB_TRY(pragma_is(db, "PRAGMA journal_mode=WAL", on_disk ? "wal" : "memory"));
    snprintf(text, sizeof text,
             "PRAGMA synchronous=%s; PRAGMA secure_delete=%s; PRAGMA journal_size_limit=%d;",
             o->sync_normal ? "NORMAL" : "FULL", o->secure ? "ON" : "FAST", (int)JOURNAL_BYTES_MAX);
    return sql_exec(db, text);
}

static fb_code configure(sql_db *db, const char *path, const sql_options *o)
{
    int rc = sqlite3_extended_result_codes(db->handle, 1);
    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_timeout(db->handle, o->busy_timeout_ms);
        db->busy_timeout_ms = o->busy_timeout_ms;
    }
    if (rc != SQLITE_OK) {
        return sql_failed(db, rc);
    }
    FB_TRY(configure_safety(db));
    if (o->cache_kib > 0) {
        char text[64];
        snprintf(text, sizeof text, "PRAGMA cache_size=-%d", o->cache_kib);
        FB_TRY(sql_exec(db, text));
    }
    if (!o->read_only) {
        return configure_writing(db, path, o);
    }
    /* Read the header now: a file that is no database is found here, not at the first query. */
    return sql_exec(db, "PRAGMA query_only=ON; SELECT count(*) FROM sqlite_schema;");
}

/* --- a rollback journal that is not ours --------------------------------------------- */

static bool exists_beside(sqlite3_vfs *vfs, const char *full_path, const char *suffix, char *name,
                          size_t room)
{
    int there = 0;
    int size = snprintf(name, room, "%s%s", full_path, suffix);
    return size > 0 && (size_t)size < room &&
           vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there != 0;
}

/* The header says WAL, and the file is more than the one page with which it became so. */
static bool keeps_a_log(sqlite3_file *file, bool has_log)
{
    enum { VERSIONS_AT = 18, WAL_VERSION = 2, HEAD_BYTES = 100, PAGE_BYTES_MAX = 65536 };
    unsigned char head[HEAD_BYTES];
    sqlite3_int64 size = 0;
    if (file->pMethods->xRead(file, head, sizeof head, 0) != SQLITE_OK ||
        file->pMethods->xFileSize(file, &size) != SQLITE_OK) {
        return false;
    }
    unsigned page = (unsigned)head[16] << 8 | head[17];
    bool is_wal = head[VERSIONS_AT] == WAL_VERSION && head[VERSIONS_AT + 1] == WAL_VERSION;
    return is_wal && (has_log || size > (page == 1 ? PAGE_BYTES_MAX : (sqlite3_int64)page));
}

/* SQLite would roll it back into any database: pages of another moment, or of another file. A
 * database with a write-ahead log has no rollback journal, except while it is being made. */
static void drop_stray_journal(sql_db *db)
{
    enum { NAME_BYTES_MAX = 4096 };
    static const char main_name[] = "main";
    char name[NAME_BYTES_MAX];
    sqlite3_file *file = NULL;
    sqlite3_vfs *vfs = NULL;
    const char *path = sqlite3_db_filename(db->handle, main_name);
    int rc = sqlite3_file_control(db->handle, main_name, SQLITE_FCNTL_FILE_POINTER, (void *)&file);
    if (rc == SQLITE_OK) {
        rc = sqlite3_file_control(db->handle, main_name, SQLITE_FCNTL_VFS_POINTER, (void *)&vfs);
    }
    if (rc != SQLITE_OK || file == NULL || file->pMethods == NULL || vfs == NULL || path == NULL) {
        return;
    }
    bool has_log = exists_beside(vfs, path, "-wal", name, sizeof name);
    if (exists_beside(vfs, path, "-journal", name, sizeof name) && keeps_a_log(file, has_log)) {
        (void)vfs->xDelete(vfs, name, 1); /* one that stays is met again */
    }
}

static fb_code prepare_rollback(sql_db *db)
{
    int rc = sqlite3_prepare_v3(db->handle, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT,
                                &db->rollback, NULL);
    return rc == SQLITE_OK ? FB_OK : sql_failed(db, rc);
}

/* SQLite says CANTOPEN for a missing file and for missing rights: only the first is "not found". */
static bool is_missing(const char *path, const sql_options *o, sql_db *db)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(o->vfs);
    int exists = 1;

    if (vfs == NULL || db->handle == NULL || sqlite3_system_errno(db->handle) == EACCES ||
        vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &exists) != SQLITE_OK) {
        return false;
    }
    return exists == 0;
}

static fb_code open_failed(const char *path, const sql_options *o, sql_db *db, int rc)
{
    fb_code code = sql_failed(db, rc);
    bool makes = o->create && !o->read_only;

    if ((rc & 0xFF) == SQLITE_CANTOPEN && !makes && is_missing(path, o, db)) {
        code = db->code = FB_E_NOT_FOUND;
    }
    return code;
}

fb_code sql_open(const char *path, const sql_options *o, sql_db **out, fb_error *err)
{
    FB_REQUIRE(path != NULL && o != NULL && out != NULL);
    sql_db *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return fail(err, FB_E_NO_MEMORY, "path", "out of memory while opening the database");
    }
    int flags = o->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (o->create && !o->read_only) {
        flags |= SQLITE_OPEN_CREATE;
    }
    const char *vfs = sql_sum_layer(o->vfs);
    int rc = vfs == NULL ? SQLITE_NOMEM
                         : sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, vfs);
    if (rc == SQLITE_OK && !o->read_only) {
        drop_stray_journal(db);
    }
    fb_code code = rc == SQLITE_OK ? configure(db, path, o) : open_failed(path, o, db, rc);
    if (code == FB_OK) {
        code = prepare_rollback(db);
    }
    if (code == FB_E_NOT_FOUND) {
        fail(err, code, "path", "there is no such database: check the path, or create it");
        sql_close(db);
        return code;
    }
    if (code != FB_OK) {
        fail(
            err, code, "path",
            "cannot open the database: %s; check path, rights and free space, also of PATH-wal and "
            "PATH-shm",
            db->message);
        sql_close(db);
        return code;
    }
    *out = db;
    return FB_OK;
}
