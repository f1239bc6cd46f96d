/* store_erased.c - the list of erased persons beside a database (see store.h).
 *
 * Ids and reasons only. A database of its own, so that it is whole on any file layer; what is in it
 * never goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/store/store_inside.h"

enum { ERASED_TIMEOUT_MS = 5000 };

static const char ERASED_TABLE[] =
    "CREATE TABLE IF NOT EXISTS erased (id BLOB NOT NULL PRIMARY KEY, entity TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL, reason TEXT NOT NULL) STRICT, WITHOUT ROWID";

static fb_code list_open(const char *path, const char *vfs, bool create, sql_db **out,
                         fb_error *err)
{
    static const char ending[] = ".erased";
    size_t size = strlen(path) + sizeof ending;
    char *name = malloc(size);
    if (name == NULL) {
        return fail(err, FB_E_NO_MEMORY, "erased", "out of memory");
    }
    snprintf(name, size, "%s%s", path, ending);
    const sql_options o = {.create = create, .vfs = vfs, .busy_timeout_ms = ERASED_TIMEOUT_MS};
    fb_code rc = sql_open(name, &o, out, err);
    free(name);
    if (rc == FB_OK && (rc = sql_exec(*out, ERASED_TABLE)) != FB_OK) {
        sql_close(*out);
        (void)fail(err, rc, "erased",
                   "the list beside the database cannot be used: check free space and rights");
    }
    return rc;
}

static fb_code one_put(sql_db *db, const store_erasure *one)
{
    sql_stmt *q = sql_prepare(
        db, "INSERT OR IGNORE INTO erased (id, entity, at_ms, reason) VALUES (?1, ?2, ?3, ?4)");
    if (q == NULL) {
        return sql_code(db);
    }
    sql_bind_id(q, 1, &one->id);
    sql_bind_text(q, 2, one->entity);
    sql_bind_int(q, 3, one->at_ms);
    sql_bind_text(q, 4, one->reason.data != NULL ? one->reason : text_of(""));
    return sql_run(q);
}

fb_code store_erased_put(const char *path, const char *vfs, const store_erasure *all,
                         uint32_t count, fb_error *err)
{
    sql_db *db = NULL;
    if (count == 0) {
        return FB_OK;
    }
    FB_TRY(list_open(path, vfs, true, &db, err));
    fb_code rc = sql_begin(db);
    for (uint32_t i = 0; rc == FB_OK && i < count; i++) {
        rc = one_put(db, &all[i]);
    }
    rc = rc == FB_OK ? sql_commit(db) : rc;
    if (rc != FB_OK) {
        (void)fail(err, rc, "erased", "%s: check free space and rights", sql_message(db));
    }
    sql_close(db);
    return rc;
}

fb_code store_erased_each(const char *path, const char *vfs,
                          fb_code (*fn)(void *ctx, const store_erasure *one), void *ctx,
                          fb_error *err)
{
    sql_db *db = NULL;
    bool row = true;
    fb_code rc = list_open(path, vfs, false, &db, err);
    if (rc == FB_E_NOT_FOUND) {
        return FB_OK;
    }
    FB_TRY(rc);
    sql_stmt *q =
        sql_prepare(db, "SELECT id, entity, at_ms, reason FROM erased ORDER BY at_ms, id");
    rc = q != NULL ? sql_step(q, &row) : sql_code(db);
    while (rc == FB_OK && row) {
        const store_erasure one = {.id = sql_id(q, 0),
                                   .entity = sql_text(q, 1),
                                   .at_ms = sql_int(q, 2),
                                   .reason = sql_text(q, 3)};
        rc = fn(ctx, &one);
        rc = rc == FB_OK ? sql_step(q, &row) : rc;
    }
    if (rc != FB_OK) {
        (void)fail(err, rc, "erased",
                   "the list of erased persons beside the database cannot be read: put it back "
                   "from the newest backup");
    }
    sql_close(db);
    return rc;
}
