/* store_pack.c - see store_pack.h. */
#include "sync-server/store/store_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

enum { PACK_TIMEOUT_MS = 5000, PACK_CACHE_KIB = 512 };

struct pack_store {
    sql_db *db;
};

static const char TABLES[] =
    "CREATE TABLE IF NOT EXISTS pack (no INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB UNIQUE,"
    " scope INTEGER NOT NULL, pos INTEGER NOT NULL DEFAULT 0, epoch BLOB,"
    " catalog INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0, chunks INTEGER NOT NULL DEFAULT 0,"
    " made_ms INTEGER NOT NULL DEFAULT 0, manifest TEXT, sig BLOB) STRICT;"
    "CREATE INDEX IF NOT EXISTS pack_scope ON pack (scope, no);"
    "CREATE TABLE IF NOT EXISTS chunk (pack INTEGER NOT NULL, n INTEGER NOT NULL,"
    " hash BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (pack, n)) STRICT;";
#define INFO "no, name, scope, pos, epoch, catalog, rows, bytes, chunks, made_ms, sig"

/* ---- opening ---- */

static fb_code open_at(const char *path, const char *vfs, bool create, pack_store *p, fb_error *err)
{
    const sql_options o = {.create = create,
                           .vfs = vfs,
                           .cache_kib = PACK_CACHE_KIB,
                           .busy_timeout_ms = PACK_TIMEOUT_MS,
                           .secure = true, /* rows of people: nothing is left in free pages */
                           .sync_normal = true};
    FB_TRY(sql_open(path, &o, &p->db, err));
    fb_code rc = sql_exec(p->db, TABLES);
    if (rc != FB_OK) {
        (void)fail(err, rc, "packs", "%s: check free space and rights", sql_message(p->db));
        sql_close(p->db);
        p->db = NULL;
    }
    return rc;
}

static fb_code open_or_replace(const char *path, const char *vfs, bool create, pack_store *p,
                               fb_error *err)
{
    fb_code rc = open_at(path, vfs, create, p, err);
    if (rc == FB_E_CORRUPT && create) {
        FB_TRY(sql_remove(path, vfs));
        rc = open_at(path, vfs, create, p, err);
    }
    return rc;
}

char *pack_store_path(const char *db_path)
{
    static const char ending[] = ".packs";
    size_t size = strlen(db_path) + sizeof ending;
    char *name = malloc(size);
    if (name != NULL) {
        snprintf(name, size, "%s%s", db_path, ending);
    }
    return name;
}

fb_code pack_store_open(const char *path, const char *vfs, bool create, pack_store **out,
                        fb_error *err)
{
    FB_REQUIRE(path != NULL && out != NULL);
    pack_store *p = calloc(1, sizeof *p);
    fb_code rc = p != NULL ? open_or_replace(path, vfs, create, p, err) : FB_E_NO_MEMORY;
    if (rc != FB_OK) {
        free(p);
        return rc;
    }
    *out = p;
    return FB_OK;
}

void pack_store_close(pack_store *p)
{
    if (p != NULL) {
        sql_close(p->db);
        free(p);
    }
}

/* ---- small statements ---- */

static fb_code run_int(pack_store *p, const char *text, int64_t a)
{
    sql_stmt *q = sql_prepare(p->db, text);
    sql_bind_int(q, 1, a);
    return sql_run(q);
}

/* Several statements with one number, all or none. */
static fb_code run_all(pack_store *p, const char *const *texts, int count, int64_t a)
{
    FB_TRY(sql_begin(p->db));
    for (int i = 0; i < count; i++) {
        fb_code rc = run_int(p, texts[i], a);
        if (rc != FB_OK) {
            sql_rollback(p->db);
            return rc;
        }
    }
    return sql_commit(p->db);
}

static bool blob_take(fb_text blob, void *out, size_t size)
{
    if (blob.size == size) {
        memcpy(out, blob.data, size);
    }
    return blob.size == size;
}

/* The columns INFO of the row the statement stands on. */
static fb_code info_read(sql_stmt *q, pack_info *out)
{
    pack_info i = {.no = sql_int(q, 0),
                   .scope = sql_int(q, 2),
                   .position = sql_int(q, 3),
                   .catalog_version = (uint32_t)sql_int(q, 5),
                   .rows = sql_int(q, 6),
                   .bytes = sql_int(q, 7),
                   .chunks = (uint32_t)sql_int(q, 8),
                   .made_ms = sql_int(q, 9)};
    bool whole = blob_take(sql_blob(q, 1), i.name.b, sizeof i.name.b) &&
                 blob_take(sql_blob(q, 4), i.epoch.b, sizeof i.epoch.b) &&
                 blob_take(sql_blob(q, 10), i.sig.b, sizeof i.sig.b);
    *out = i;
    return whole ? FB_OK : FB_E_CORRUPT;
}

/* ---- building ---- */

static const char *const FORGET_UNFINISHED[] = {
    "DELETE FROM chunk WHERE ?1 = ?1 AND pack IN (SELECT no FROM pack WHERE name IS NULL)",
    "DELETE FROM pack WHERE ?1 = ?1 AND name IS NULL"};

fb_code pack_store_begin(pack_store *p, int64_t scope, int64_t *no_out)
{
    bool row = false;
    FB_TRY(run_all(p, FORGET_UNFINISHED, 2, 0));
    sql_stmt *q = sql_prepare(p->db, "INSERT INTO pack (scope) VALUES (?1) RETURNING no");
    sql_bind_int(q, 1, scope);
    FB_TRY(sql_step(q, &row));
    *no_out = row ? sql_int(q, 0) : 0;
    sql_reset(q);
    return row ? FB_OK : FB_E_CORRUPT;
}

fb_code pack_store_chunk_put(pack_store *p, int64_t no, uint32_t n, const digest *hash,
                             fb_text body)
{
    sql_stmt *q =
        sql_prepare(p->db, "INSERT INTO chunk (pack, n, hash, body) VALUES (?1, ?2, ?3, ?4)");
    sql_bind_int(q, 1, no);
    sql_bind_int(q, 2, n);
    sql_bind_blob(q, 3, hash->b, sizeof hash->b);
    sql_bind_blob(q, 4, body.data, body.size);
    return sql_run(q);
}

static fb_code info_write(pack_store *p, const pack_info *i)
{
    sql_stmt *q = sql_prepare(
        p->db, "UPDATE pack SET name=?2, pos=?3, epoch=?4, catalog=?5, rows=?6, bytes=?7,"
               " chunks=?8, made_ms=?9, manifest=?10, sig=?11 WHERE no=?1");
    sql_bind_int(q, 1, i->no);
    sql_bind_blob(q, 2, i->name.b, sizeof i->name.b);
    sql_bind_int(q, 3, i->position);
    sql_bind_blob(q, 4, i->epoch.b, sizeof i->epoch.b);
    sql_bind_int(q, 5, i->catalog_version);
    sql_bind_int(q, 6, i->rows);
    sql_bind_int(q, 7, i->bytes);
    sql_bind_int(q, 8, i->chunks);
    sql_bind_int(q, 9, i->made_ms);
    sql_bind_text(q, 10, i->manifest);
    sql_bind_blob(q, 11, i->sig.b, sizeof i->sig.b);
    FB_TRY(sql_run(q));
    return sql_changes(p->db) == 1 ? FB_OK : FB_E_BUSY; /* another builder took its place */
}

static fb_code old_drop(pack_store *p, int64_t scope)
{
    sql_stmt *q = sql_prepare(
        p->db, "DELETE FROM pack WHERE scope=?1 AND name IS NOT NULL AND no NOT IN"
               " (SELECT no FROM pack WHERE scope=?1 AND name IS NOT NULL ORDER BY no DESC"
               " LIMIT ?2)");
    sql_bind_int(q, 1, scope);
    sql_bind_int(q, 2, PACKS_KEPT);
    FB_TRY(sql_run(q));
    return run_int(p, "DELETE FROM chunk WHERE ?1 = ?1 AND pack NOT IN (SELECT no FROM pack)", 0);
}

fb_code pack_store_finish(pack_store *p, const pack_info *info)
{
    FB_TRY(sql_begin(p->db));
    fb_code rc = info_write(p, info); /* PCK-1 */
    if (rc == FB_OK) {
        rc = old_drop(p, info->scope); /* PCK-2 */
    }
    if (rc != FB_OK) {
        sql_rollback(p->db);
        return rc;
    }
    return sql_commit(p->db);
}

/* ---- reading ---- */

fb_code pack_store_newest(pack_store *p, int64_t scope, arena *memory, pack_info *out)
{
    bool row = false;
    pack_info info;
    sql_stmt *q = sql_prepare(p->db, "SELECT " INFO ", manifest FROM pack WHERE scope=?1 AND name"
                                     " IS NOT NULL ORDER BY no DESC LIMIT 1");
    sql_bind_int(q, 1, scope);
    FB_TRY(sql_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    fb_code rc = info_read(q, &info);
    if (rc == FB_OK) {
        info.manifest = arena_text(memory, sql_text(q, 11));
        rc = info.manifest.data == NULL ? FB_E_NO_MEMORY : FB_OK;
    }
    sql_reset(q);
    FB_TRY(rc);
    *out = info;
    return FB_OK;
}

fb_code pack_store_find(pack_store *p, const digest *name, pack_info *out)
{
    bool row = false;
    sql_stmt *q = sql_prepare(p->db, "SELECT " INFO " FROM pack WHERE name=?1");
    sql_bind_blob(q, 1, name->b, sizeof name->b);
    FB_TRY(sql_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    fb_code rc = info_read(q, out);
    sql_reset(q);
    return rc;
}

fb_code pack_store_chunk_get(pack_store *p, int64_t no, uint32_t n, buf *out)
{
    bool row = false;
    digest hash, made;
    sql_stmt *q = sql_prepare(p->db, "SELECT hash, body FROM chunk WHERE pack=?1 AND n=?2");
    sql_bind_int(q, 1, no);
    sql_bind_int(q, 2, n);
    FB_TRY(sql_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    fb_text body = sql_blob(q, 1);
    digest_of(body.data, body.size, &made);
    bool whole = blob_take(sql_blob(q, 0), hash.b, sizeof hash.b) &&
                 memcmp(hash.b, made.b, sizeof hash.b) == 0;
    if (whole) {
        buf_put_text(out, body);
    }
    sql_reset(q);
    return whole ? out->code : FB_E_CORRUPT;
}

fb_code pack_store_each(pack_store *p, fb_code (*fn)(void *ctx, const pack_info *i), void *ctx)
{
    bool row = false;
    sql_stmt *q =
        sql_prepare(p->db, "SELECT " INFO " FROM pack WHERE name IS NOT NULL ORDER BY scope, no");
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        pack_info info;
        rc = info_read(q, &info);
        if (rc == FB_OK) {
            rc = fn(ctx, &info);
        }
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    return rc;
}

/* ---- dropping ---- */

fb_code pack_store_drop(pack_store *p, int64_t no)
{
    static const char *const TEXTS[] = {"DELETE FROM chunk WHERE ?1 IN (0, pack)",
                                        "DELETE FROM pack WHERE ?1 IN (0, no)"};
    return run_all(p, TEXTS, 2, no);
}

fb_code pack_store_forget(pack_store *p, int64_t before)
{
    bool any = false;
    sql_stmt *q = sql_prepare(p->db, "SELECT 1 FROM pack WHERE pos < ?1 LIMIT 1");
    if (q == NULL) {
        return sql_code(p->db);
    }
    sql_bind_int(q, 1, before);
    FB_TRY(sql_step(q, &any));
    sql_reset(q);
    if (!any) {
        return FB_OK;
    }
    FB_TRY(run_int(p, "DELETE FROM pack WHERE pos < ?1", before));
    FB_TRY(run_int(p, "DELETE FROM chunk WHERE ?1 = ?1 AND pack NOT IN (SELECT no FROM pack)", 0));
    return sql_compact(p->db);
}

fb_code pack_store_keep_epoch(pack_store *p, const fb_id *epoch)
{
    sql_stmt *q = sql_prepare(p->db, "DELETE FROM pack WHERE name IS NOT NULL AND epoch <> ?1");
    sql_bind_blob(q, 1, epoch->b, sizeof epoch->b);
    FB_TRY(sql_run(q));
    return run_int(p, "DELETE FROM chunk WHERE ?1 = ?1 AND pack NOT IN (SELECT no FROM pack)", 0);
}
