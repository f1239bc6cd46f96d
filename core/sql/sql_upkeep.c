/* sql_upkeep.c - the rare calls of sql.h: restricted reading, backup, check, checkpoint. */
#include <stdio.h>
#include <string.h>

#include "sql/sql_inside.h"
#include "sql/sql_sum.h"

enum { BACKUP_PAGES_PER_STEP = 1024, PATH_BYTES_MAX = 4096 };

/* Reading our own tables (fb_*), the schema, pragmas and everything that writes is refused. */
static int allow_read(void *ctx, int action, const char *a, const char *b, const char *database,
                      const char *trigger)
{
    const sql_db *db = ctx;
    (void)database;
    (void)trigger;
    if (db->inside) {
        return SQLITE_OK;
    }
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return b != NULL && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_READ:
        if (a != NULL &&
            (sqlite3_strnicmp(a, "fb_", 3) == 0 || sqlite3_strnicmp(a, "sqlite_", 7) == 0 ||
             sqlite3_strnicmp(a, "pragma_", 7) == 0 || sqlite3_stricmp(a, "dbstat") == 0)) {
            return SQLITE_DENY;
        }
        return SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

void sql_restrict_reads(sql_db *db)
{
    int rc = sqlite3_set_authorizer(db->handle, allow_read, db);
    FB_ASSERT(rc == SQLITE_OK);
}

/* Copy all pages; a busy source is tried again by the caller, nothing waits here. */
static int copy_pages(sqlite3 *from, sqlite3 *to, void (*progress)(void *, int, int), void *ctx)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
    if (copy == NULL) {
        return sqlite3_extended_errcode(to);
    }
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK) {
        rc = sqlite3_backup_step(copy, BACKUP_PAGES_PER_STEP);
        int total = sqlite3_backup_pagecount(copy);
        if (progress != NULL) {
            progress(ctx, total - sqlite3_backup_remaining(copy), total);
        }
    }
    int rc_end = sqlite3_backup_finish(copy);
    return rc == SQLITE_DONE ? rc_end : rc;
}

fb_code sql_backup(sql_db *db, const char *to_path,
                   void (*progress)(void *ctx, int done, int total), void *ctx, fb_error *err)
{
    FB_REQUIRE(db != NULL && to_path != NULL);
    sqlite3 *to = NULL;
    /* One snapshot for all steps: without it every commit of another process begins the copy anew.
     */
    FB_TRY(sql_begin_read(db));
    int rc = sqlite3_open_v2(to_path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (rc == SQLITE_OK) {
        rc = copy_pages(db->handle, to, progress, ctx);
    }
    sql_rollback(db);
    /* The copy is one file without a WAL beside it, complete and synced when close returns. */
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    }
    int rc_close = sqlite3_close(to);
    rc = rc == SQLITE_OK ? rc_close : rc;
    if (rc != SQLITE_OK) {
        db->code = sql_code_of(rc);
        snprintf(db->message, sizeof db->message, "backup: %s (%d)", sqlite3_errstr(rc), rc);
        return fail(err, db->code, "path", "%s; check path, rights and free space", db->message);
    }
    return FB_OK;
}

fb_code sql_check(sql_db *db, fb_error *err)
{
    FB_REQUIRE(db != NULL);
    db->inside = true;
    sql_stmt *s = sql_prepare(db, "PRAGMA quick_check(1)");
    bool row = false;
    fb_code code = sql_step(s, &row);
    bool good = code == FB_OK && row && text_is(sql_text(s, 0), "ok");
    sql_reset(s);
    db->inside = false;
    if (good) {
        return FB_OK;
    }
    if (code == FB_OK || code == FB_E_BUG) {
        code = FB_E_CORRUPT;
        db->damaged = true; /* told in a row of text, not as a failure */
    }
    return fail(err, code, "database", "the check found damage: restore the newest good backup");
}

fb_code sql_checkpoint(sql_db *db)
{
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    db->log_pages = 0;
    /* Passive: what is in use stays for later. */
    return rc == SQLITE_OK || rc == SQLITE_BUSY ? FB_OK : sql_failed(db, rc);
}

fb_code sql_checkpoint_all(sql_db *db)
{
    (void)sqlite3_busy_timeout(db->handle, 0);
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(db->handle, db->busy_timeout_ms);
    if (rc != SQLITE_OK) {
        return sql_failed(db, rc);
    }
    db->log_pages = 0;
    return FB_OK;
}

fb_code sql_compact(sql_db *db)
{
    FB_TRY(sql_exec(db, "VACUUM"));
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    db->log_pages = 0;
    return rc == SQLITE_OK ? FB_OK : sql_failed(db, rc);
}

fb_code sql_sync_log(sql_db *db)
{
    sqlite3_file *log = NULL;
    int rc = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log);
    if (rc == SQLITE_OK && log != NULL && log->pMethods != NULL) {
        rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    }
    return rc == SQLITE_OK ? FB_OK : sql_failed(db, rc);
}

/* A sync that failed once may have forgotten what it should have written, and the next one says
 * that all is well: so the frames are written once more, into the database. */
fb_code sql_settle_log(sql_db *db)
{
    return sql_checkpoint_all(db) == FB_OK ? FB_OK : sql_sync_log(db);
}

static int note_log_pages(void *ctx, sqlite3 *handle, const char *database, int pages)
{
    sql_db *db = ctx;
    (void)handle;
    (void)database;
    db->log_pages = pages;
    return SQLITE_OK;
}

void sql_checkpoint_by_hand(sql_db *db)
{
    (void)sqlite3_wal_hook(db->handle, note_log_pages, db);
}

int sql_log_pages(const sql_db *db)
{
    return db->log_pages;
}

bool sql_has_sums(const sql_db *db)
{
    return sql_sum_is_on(db->handle);
}

bool sql_saw_damage(const sql_db *db)
{
    return db->damaged;
}

bool sql_saw_unread(const sql_db *db)
{
    return db->unread;
}

fb_code sql_remove(const char *path, const char *vfs)
{
    static const char *const ENDINGS[] = {"", "-wal", "-shm", "-journal"};
    sqlite3_vfs *files = sqlite3_vfs_find(vfs);
    char name[PATH_BYTES_MAX];
    FB_REQUIRE(path != NULL && files != NULL);
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        int size = snprintf(name, sizeof name, "%s%s", path, ENDINGS[i]);
        FB_REQUIRE(size > 0 && (size_t)size < sizeof name);
        int rc = files->xDelete(files, name, 0);
        if (rc != SQLITE_OK && rc != SQLITE_IOERR_DELETE_NOENT) {
            return FB_E_IO;
        }
    }
    return FB_OK;
}
