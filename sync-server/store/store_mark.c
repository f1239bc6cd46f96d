/* store_mark.c - the high-water mark beside a database: how far it had come, kept where a copy of
 * the database alone cannot take it back (see store.h).
 *
 * It is a database of one row, so that it is replaced whole or not at all, on any file layer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/store/store_inside.h"

enum { MARK_TIMEOUT_MS = 5000 };

static const char MARK_TABLE[] =
    "CREATE TABLE IF NOT EXISTS mark (one INTEGER PRIMARY KEY CHECK (one = 1), epoch BLOB NOT NULL,"
    " cid INTEGER NOT NULL, audit_seq INTEGER NOT NULL, audit BLOB NOT NULL) STRICT";

static fb_code mark_file_open(const char *path, const char *vfs, bool create, sql_db **out,
                              fb_error *err)
{
    static const char ending[] = ".high-water";
    size_t size = strlen(path) + sizeof ending;
    char *name = malloc(size);
    if (name == NULL) {
        return fail(err, FB_E_NO_MEMORY, "high-water", "out of memory");
    }
    snprintf(name, size, "%s%s", path, ending);
    const sql_options o = {.create = create, .vfs = vfs, .busy_timeout_ms = MARK_TIMEOUT_MS};
    fb_code rc = sql_open(name, &o, out, err);
    free(name);
    if (rc == FB_OK && (rc = sql_exec(*out, MARK_TABLE)) != FB_OK) {
        sql_close(*out);
        (void)fail(err, rc, "high-water",
                   "the file beside the database cannot be used: check free space and rights");
    }
    return rc;
}

static bool blob_take(fb_text blob, uint8_t *out, size_t size)
{
    if (blob.size != size) {
        return false;
    }
    memcpy(out, blob.data, size);
    return true;
}

static fb_code mark_read(sql_db *db, store_mark *out)
{
    bool row = false;
    sql_stmt *q = sql_prepare(db, "SELECT epoch, cid, audit_seq, audit FROM mark");
    FB_TRY(sql_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    bool whole = blob_take(sql_blob(q, 0), out->epoch.b, sizeof out->epoch.b) &&
                 blob_take(sql_blob(q, 3), out->audit.b, sizeof out->audit.b);
    out->cid = sql_int(q, 1);
    out->audit_seq = sql_int(q, 2);
    sql_reset(q);
    return whole ? FB_OK : FB_E_CORRUPT;
}

fb_code store_mark_get(const char *path, const char *vfs, store_mark *out, fb_error *err)
{
    sql_db *db = NULL;
    FB_TRY(mark_file_open(path, vfs, false, &db, err));
    fb_code rc = mark_read(db, out);
    if (rc != FB_OK && rc != FB_E_NOT_FOUND) {
        (void)fail(
            err, rc, "high-water",
            "%s: the file beside the database is damaged: remove it if the database is the newest",
            sql_message(db));
    }
    sql_close(db);
    return rc;
}

fb_code store_mark_put(const char *path, const char *vfs, const store_mark *mark, fb_error *err)
{
    sql_db *db = NULL;
    FB_TRY(mark_file_open(path, vfs, true, &db, err));
    sql_stmt *q = sql_prepare(db, "INSERT OR REPLACE INTO mark (one, epoch, cid, audit_seq, audit) "
                                  "VALUES (1, ?1, ?2, ?3, ?4)");
    sql_bind_blob(q, 1, mark->epoch.b, sizeof mark->epoch.b);
    sql_bind_int(q, 2, mark->cid);
    sql_bind_int(q, 3, mark->audit_seq);
    sql_bind_blob(q, 4, mark->audit.b, sizeof mark->audit.b);
    fb_code rc = sql_run(q);
    if (rc != FB_OK) {
        (void)fail(err, rc, "high-water", "%s: check free space and rights", sql_message(db));
    }
    sql_close(db);
    return rc;
}
