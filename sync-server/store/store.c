/* store.c - see store.h: opening, transactions, named statements, fs_meta, upkeep.
 * Entity rows are in store_row.c, the active catalogue in store_catalog.c. */
#include "sync-server/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "sync-server/store/store_inside.h"

enum { BUSY_TIMEOUT_MS = 10000, PRAGMA_BYTES_MAX = 64, ZONE_MINUTES_DEFAULT = 480 };

static const char *const statement_texts[] = {
#define X(name, sql) sql,
#include "sync-server/store/statements.def"
#undef X
};
_Static_assert(sizeof statement_texts / sizeof statement_texts[0] == STORE_NAMES,
               "one text per statement name");

/* ---- opening ---- */

static fb_code read_int(sql_db *db, const char *text, int64_t *out)
{
    sql_stmt *q = sql_prepare(db, text);
    bool row = false;
    FB_TRY(sql_step(q, &row));
    *out = row ? sql_int(q, 0) : 0;
    sql_reset(q);
    return FB_OK;
}

static fb_code schema_step(store *s, int step)
{
    char text[PRAGMA_BYTES_MAX];
    FB_TRY(sql_exec(s->db, store_schema_steps[step]));
    snprintf(text, sizeof text, "PRAGMA user_version=%d", step + 1);
    return sql_exec(s->db, text);
}

/* Every missing step in one transaction: an interrupted upgrade leaves the file as it was. */
static fb_code schema_upgrade(store *s, int64_t from, fb_error *err)
{
    fb_code rc = sql_begin(s->db);
    for (int step = (int)from; rc == FB_OK && step < store_schema_steps_count; step++) {
        rc = schema_step(s, step);
    }
    if (rc == FB_OK) {
        rc = sql_commit(s->db);
    }
    if (rc != FB_OK) {
        fail(err, rc, "path",
             "cannot create or upgrade the tables: %s; check free space and rights",
             sql_message(s->db));
        sql_rollback(s->db);
    }
    return rc;
}

static fb_code schema_open(store *s, const store_options *o, fb_error *err)
{
    int64_t version = 0;
    fb_code rc = read_int(s->db, "PRAGMA user_version", &version);
    if (rc != FB_OK) {
        return fail(err, rc, "path", "cannot read the database: %s", sql_message(s->db));
    }
    if (version > store_schema_steps_count) {
        return fail(err, FB_E_NEWER, "path",
                    "the database has step %lld, this program knows %d: use the newer program",
                    (long long)version, store_schema_steps_count);
    }
    if (version == store_schema_steps_count) {
        return FB_OK;
    }
    if (o->read_only || (version == 0 && !o->create)) {
        return fail(err, FB_E_CONFIG, "path",
                    "the file is not a Fieldbook server database of this version: "
                    "create or upgrade it with fieldbook-admin");
    }
    return schema_upgrade(s, version, err);
}

static fb_code open_parts(store *s, const store_options *o, fb_error *err)
{
    sql_options sql = {.read_only = o->read_only,
                       .create = o->create,
                       .vfs = o->vfs,
                       .cache_kib = o->cache_kib,
                       .busy_timeout_ms = BUSY_TIMEOUT_MS};
    FB_TRY(sql_open(o->path, &sql, &s->db, err));
    /* A savepoint per group copies every page it touches first: into memory, not into a temporary
     * file. */
    fb_code rc = o->spills ? FB_OK : sql_exec(s->db, "PRAGMA temp_store=MEMORY");
    if (rc != FB_OK) {
        return fail(err, rc, "path", "cannot set up the database: %s", sql_message(s->db));
    }
    FB_TRY(schema_open(s, o, err));
    for (int i = 0; i < STORE_NAMES; i++) {
        s->stmts[i].store = s;
    }
    FB_TRY(read_int(s->db, "PRAGMA data_version", &s->data_version));
    return store_catalog_load(s, err);
}

fb_code store_open(const store_options *o, store **out, fb_error *err)
{
    FB_REQUIRE(o != NULL && o->path != NULL && out != NULL);
    store *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->path = strdup(o->path);
    }
    if (s == NULL || s->path == NULL) {
        free(s);
        return fail(err, FB_E_NO_MEMORY, "path", "out of memory while opening the database");
    }
    s->vfs = o->vfs;
    s->read_only = o->read_only;
    s->stamp = 1;
    fb_code rc = open_parts(s, o, err);
    if (rc != FB_OK) {
        store_close(s);
        return rc;
    }
    *out = s;
    return FB_OK;
}

void store_close(store *s)
{
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < STORE_ROOMS; i++) {
        if (s->release[i] != NULL) {
            s->release[i](s->rooms[i]);
        }
    }
    store_catalog_drop(s);
    sql_close(s->reports);
    sql_close(s->db);
    free(s->path);
    free(s);
}

fb_code store_settle(store *s)
{
    FB_REQUIRE(!s->read_only);
    return sql_settle_log(s->db);
}

/* ---- transactions ---- */

uint64_t store_undos(const store *s)
{
    return s->undos;
}

uint64_t store_stamp(const store *s)
{
    return s->stamp;
}

/* Inside a transaction: did another connection write since we looked? */
static fb_code look_for_changes(store *s)
{
    int64_t version = 0;
    FB_TRY(read_int(s->db, "PRAGMA data_version", &version));
    if (version != s->data_version) {
        s->data_version = version;
        s->stamp++;
    }
    return FB_OK;
}

fb_code store_begin(store *s)
{
    FB_REQUIRE(!s->read_only);
    FB_TRY(sql_begin(s->db));
    fb_code rc = look_for_changes(s);
    if (rc != FB_OK) {
        sql_rollback(s->db);
    }
    return rc;
}

/* What was installed or remembered inside the transaction is gone with it. */
static void forget(store *s)
{
    s->stamp++;
    s->undos++;
    if (s->installed && store_catalog_load(s, NULL) != FB_OK) {
        store_catalog_drop(s); /* the next refresh tries again */
    }
}

static fb_code flush_rooms(store *s)
{
    for (int i = 0; i < STORE_ROOMS; i++) {
        if (s->flush[i] != NULL) {
            FB_TRY(s->flush[i](s));
        }
    }
    return FB_OK;
}

fb_code store_commit(store *s)
{
    fb_code rc = flush_rooms(s);
    if (rc != FB_OK) {
        store_rollback(s);
        return rc;
    }
    store_views_end(s);
    rc = sql_commit(s->db);
    if (rc != FB_OK) {
        forget(s);
    }
    s->installed = false;
    return rc;
}

void store_rollback(store *s)
{
    store_views_end(s);
    sql_rollback(s->db);
    forget(s);
    s->installed = false;
}

fb_code store_savepoint(store *s)
{
    FB_TRY(flush_rooms(s));
    return sql_savepoint(s->db);
}

fb_code store_savepoint_release(store *s)
{
    store_views_end(s);
    return sql_savepoint_release(s->db);
}

void store_savepoint_undo(store *s)
{
    store_views_end(s);
    sql_savepoint_undo(s->db);
    forget(s);
}

fb_code store_snapshot(store *s)
{
    FB_TRY(sql_begin_read(s->db));
    fb_code rc = look_for_changes(s);
    if (rc != FB_OK) {
        sql_rollback(s->db);
    }
    return rc;
}

void store_snapshot_end(store *s)
{
    store_views_end(s);
    fb_code rc = sql_commit(s->db); /* nothing was written; unlike ROLLBACK it is prepared */
    (void)rc;                       /* a failed commit was rolled back */
}

/* ---- named statements ---- */

store_stmt *store_prepare(store *s, store_name name)
{
    FB_ASSERT(name >= 0 && name < STORE_NAMES);
    store_stmt *q = &s->stmts[name];
    if (q->sql == NULL || !sql_is_prepared(q->sql)) {
        q->sql = sql_prepare(s->db, statement_texts[name]);
        return q;
    }
    sql_reset(q->sql);
    return q;
}

void store_bind_int(store_stmt *q, int i, int64_t v)
{
    sql_bind_int(q->sql, i, v);
}

void store_bind_text(store_stmt *q, int i, fb_text v)
{
    sql_bind_text(q->sql, i, v);
}

void store_bind_blob(store_stmt *q, int i, const void *data, size_t size)
{
    sql_bind_blob(q->sql, i, data, size);
}

void store_bind_id(store_stmt *q, int i, const fb_id *id)
{
    sql_bind_id(q->sql, i, id);
}

fb_code store_step(store_stmt *q, bool *row_out)
{
    return sql_step(q->sql, row_out);
}

fb_code store_one(store_stmt *q, int64_t *out)
{
    bool row = false;
    FB_TRY(store_step(q, &row));
    *out = row ? store_int(q, 0) : 0;
    store_reset(q);
    return FB_OK;
}

fb_code store_run(store_stmt *q)
{
    return sql_run(q->sql);
}

int64_t store_changes(store *s)
{
    return sql_changes(s->db);
}

void store_reset(store_stmt *q)
{
    if (q->sql != NULL) {
        sql_reset(q->sql);
    }
}

int64_t store_int(store_stmt *q, int i)
{
    return sql_int(q->sql, i);
}

fb_text store_text(store_stmt *q, int i)
{
    return sql_text(q->sql, i);
}

fb_text store_blob(store_stmt *q, int i)
{
    return sql_blob(q->sql, i);
}

fb_id store_id(store_stmt *q, int i)
{
    return sql_id(q->sql, i);
}

bool store_is_null(store_stmt *q, int i)
{
    return sql_is_null(q->sql, i);
}

/* ---- fs_meta ---- */

fb_code store_meta_get(store *s, const char *key, buf *out)
{
    store_stmt *q = store_prepare(s, STORE_store_meta_get);
    bool row = false;
    store_bind_text(q, 1, text_of(key));
    FB_TRY(store_step(q, &row));
    if (!row) {
        return FB_E_NOT_FOUND;
    }
    buf_put_text(out, store_blob(q, 0));
    store_reset(q);
    return out->code;
}

fb_code store_meta_set(store *s, const char *key, fb_text value)
{
    store_stmt *q = store_prepare(s, STORE_store_meta_set);
    store_bind_text(q, 1, text_of(key));
    store_bind_blob(q, 2, value.data != NULL ? value.data : "", value.size);
    return store_run(q);
}

fb_code store_meta_int(store *s, const char *key, int64_t absent, int64_t *out)
{
    store_stmt *q = store_prepare(s, STORE_store_meta_get);
    bool row = false;
    store_bind_text(q, 1, text_of(key));
    FB_TRY(store_step(q, &row));
    if (!row) {
        *out = absent;
        return FB_OK;
    }
    bool good = i64_get(store_blob(q, 0), out);
    store_reset(q);
    return good ? FB_OK : FB_E_CORRUPT;
}

fb_code store_meta_int_set(store *s, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return store_meta_set(s, key, text_of(text));
}

fb_code store_zone_minutes(store *s, int64_t *out)
{
    return store_meta_int(s, "zone_minutes", ZONE_MINUTES_DEFAULT, out);
}

/* ---- rooms' memory, upkeep, people's queries ---- */

void *store_room_get(store *s, store_room room)
{
    return s->rooms[room];
}

void store_room_set(store *s, store_room room, void *state, void (*release)(void *state))
{
    FB_ASSERT(s->rooms[room] == NULL);
    s->rooms[room] = state;
    s->release[room] = release;
}

void store_room_flush(store *s, store_room room, fb_code (*fn)(store *s))
{
    s->flush[room] = fn;
}

fb_code store_backup(store *s, const char *to_path,
                     void (*progress)(void *ctx, int done, int total), void *ctx, fb_error *err)
{
    return sql_backup(s->db, to_path, progress, ctx, err);
}

fb_code store_backup_counts(store *s, int64_t head, int64_t now_ms, int64_t hold_ms)
{
    int64_t before = 0, next = 0, next_ms = 0;
    FB_TRY(store_meta_int(s, "backed_up_cid", 0, &before));
    FB_TRY(store_meta_int(s, "backup_next_cid", 0, &next));
    FB_TRY(store_meta_int(s, "backup_next_ms", 0, &next_ms));
    bool due = next > 0 && now_ms - next_ms >= hold_ms;
    int64_t counts = hold_ms == 0 ? head : due ? next : 0;
    if (counts > before) {
        FB_TRY(store_meta_int_set(s, "backed_up_cid", counts));
    }
    if (next == 0 || due || now_ms < next_ms) { /* a clock that was ahead must not hold it up */
        FB_TRY(store_meta_int_set(s, "backup_next_cid", head));
        FB_TRY(store_meta_int_set(s, "backup_next_ms", now_ms));
    }
    return FB_OK;
}

fb_code store_compact(const char *path, const char *vfs, fb_error *err)
{
    store *s = NULL;
    FB_TRY(store_open(&(store_options){.path = path, .vfs = vfs, .spills = true}, &s, err));
    fb_code rc = sql_compact(s->db);
    if (rc != FB_OK) {
        (void)fail(err, rc, "database", "%s: the file could not be written anew",
                   sql_message(s->db));
    }
    store_close(s);
    return rc;
}

fb_code store_check(store *s, fb_error *err)
{
    return sql_check(s->db, err);
}

/* A person's query runs on a connection that cannot write, whatever its text says. */
fb_code store_query(store *s, fb_text sql, sql_stmt **out, fb_error *err)
{
    if (s->reports == NULL && !s->read_only) {
        sql_options o = {.read_only = true, .vfs = s->vfs, .busy_timeout_ms = BUSY_TIMEOUT_MS};
        FB_TRY(sql_open(s->path, &o, &s->reports, err));
    }
    return sql_prepare_once(s->read_only ? s->db : s->reports, sql, out, err);
}
