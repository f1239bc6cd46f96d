/* sql.c - see sql.h.
 *
 * Statements are cached by their text: first by the address of the text (a literal is found with
 * one comparison of pointer and content), then by its hash. The cache grows with the number of
 * different texts of the program, which is fixed; user queries use sql_prepare_once. A statement
 * found in the cache is reset and unbound before it is handed out, so two users of one text must
 * not step at the same time. */
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql_inside.h"

enum { SLOTS_FIRST = 64 };

/* The one mapping of SQLite's results to ours. */
fb_code sql_code_of(int rc)
{
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FB_OK;
    case SQLITE_FULL:
        return FB_E_DISK_FULL;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_SHMSIZE) { /* the file beside the database cannot grow */
            return FB_E_DISK_FULL;
        }
        return rc == SQLITE_IOERR_NOMEM ? FB_E_NO_MEMORY : FB_E_IO;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
        return FB_E_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FB_E_CORRUPT;
    case SQLITE_READONLY:
        return FB_E_READ_ONLY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return FB_E_BUSY;
    case SQLITE_NOMEM:
        return FB_E_NO_MEMORY;
    case SQLITE_TOOBIG:
        return FB_E_LIMIT;
    case SQLITE_INTERRUPT:
        return FB_E_TIMEOUT;
    case SQLITE_AUTH:
        return FB_E_FORBIDDEN;
    case SQLITE_CONSTRAINT:
        if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
            rc == SQLITE_CONSTRAINT_ROWID) {
            return FB_E_EXISTS;
        }
        return FB_E_INVALID;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return FB_E_MISUSE;
    default: /* SQLITE_ERROR and what only our own texts can cause */
        return FB_E_BUG;
    }
}

/* Remember a failure. The message names tables and columns, never values. */
fb_code sql_failed(sql_db *db, int rc)
{
    /* Some failures end the transaction inside SQLite. What the caller writes after one that it
     * takes lightly would be kept on its own: found by fb-torture. */
    if (db->begun && db->doomed == SQLITE_OK && sqlite3_get_autocommit(db->handle) != 0) {
        db->doomed = rc;
    }
    db->code = sql_code_of(rc);
    db->damaged = db->damaged || db->code == FB_E_CORRUPT;
    db->unread = db->unread || rc == SQLITE_IOERR_READ;
    bool same = db->handle != NULL && sqlite3_extended_errcode(db->handle) == rc;
    const char *text = same ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    snprintf(db->message, sizeof db->message, "%s (%d)", text, rc);
    return db->code;
}

static fb_code result(sql_db *db, int rc)
{
    return rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE ? FB_OK : sql_failed(db, rc);
}

void sql_close(sql_db *db)
{
    if (db == NULL) {
        return;
    }
    for (uint32_t i = 0; i < db->slots_count; i++) {
        if (db->slots[i] != NULL) {
            sql_finalize(db->slots[i]);
        }
    }
    free(db->slots);
    sqlite3_finalize(db->rollback);
    sqlite3_close_v2(db->handle);
    free(db);
}

/* ---- statements ---- */

static uint32_t hash_of(const char *text, size_t *size_out)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    size_t i = 0;
    for (; text[i] != '\0'; i++) {
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    }
    *size_out = i;
    return hash;
}

/* The slot of this text, or the free slot where it belongs. */
static sql_stmt **slot_of(sql_db *db, uint32_t hash, const char *text)
{
    uint32_t mask = db->slots_count - 1;
    uint32_t i = hash & mask;
    while (db->slots[i] != NULL &&
           (db->slots[i]->hash != hash || strcmp(db->slots[i]->text, text) != 0)) {
        i = (i + 1) & mask;
    }
    return &db->slots[i];
}

/* Keeps at least half of the slots free. */
static bool slots_grow(sql_db *db)
{
    if (db->slots_count > 0 && db->stmts_count < db->slots_count / 2) {
        return true;
    }
    sql_stmt **old = db->slots;
    uint32_t old_count = db->slots_count;
    uint32_t count = old_count > 0 ? old_count * 2 : SLOTS_FIRST;
    sql_stmt **made = calloc(count, sizeof(sql_stmt *));
    if (made == NULL) {
        return false;
    }
    db->slots = made;
    db->slots_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != NULL) {
            *slot_of(db, old[i]->hash, old[i]->text) = old[i];
        }
    }
    free(old);
    return true;
}

/* SQLite's result. SQLITE_MISUSE: not exactly one statement. */
static int stmt_new(sql_db *db, const char *text, size_t size, unsigned flags, sql_stmt **out)
{
    if (size > INT32_MAX) {
        return SQLITE_TOOBIG;
    }
    sql_stmt *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return SQLITE_NOMEM;
    }
    s->db = db;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(db->handle, text, (int)size, flags, &s->handle, &tail);
    while (rc == SQLITE_OK && tail < text + size && strchr(" \t\r\n;", *tail) != NULL) {
        tail++;
    }
    if (rc == SQLITE_OK && (s->handle == NULL || tail != text + size)) {
        rc = SQLITE_MISUSE;
    }
    if (rc != SQLITE_OK) {
        sql_finalize(s);
        return rc;
    }
    *out = s;
    return SQLITE_OK;
}

/* A rollback that failed for lack of memory is made up for before anything reads or writes. */
static bool rollback_done(sql_db *db)
{
    if (db->rollback_due) {
        sql_rollback(db);
    }
    return !db->rollback_due;
}

/* For a text that could not be prepared. */
static sql_stmt *unprepared(sql_db *db, int rc)
{
    (void)sql_failed(db, rc);
    db->nothing = (sql_stmt){.db = db, .bind_rc = rc};
    return &db->nothing;
}

sql_stmt *sql_prepare(sql_db *db, const char *text)
{
    size_t size = 0;
    uint32_t hash = hash_of(text, &size);
    if (size == 0 || !rollback_done(db) || !slots_grow(db)) {
        return unprepared(db, SQLITE_NOMEM);
    }
    sql_stmt **slot = slot_of(db, hash, text);
    if (*slot != NULL) {
        sql_reset(*slot);
        return *slot;
    }
    sql_stmt *s = NULL;
    int rc = stmt_new(db, text, size, SQLITE_PREPARE_PERSISTENT, &s);
    if (rc != SQLITE_OK) {
        return unprepared(db, rc);
    }
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        sql_finalize(s);
        return unprepared(db, SQLITE_NOMEM);
    }
    memcpy(copy, text, size + 1);
    s->text = copy;
    s->hash = hash;
    *slot = s;
    db->stmts_count++;
    return s;
}

bool sql_is_prepared(const sql_stmt *s)
{
    return s->handle != NULL;
}

fb_code sql_prepare_once(sql_db *db, fb_text text, sql_stmt **out, fb_error *err)
{
    FB_REQUIRE(db != NULL && text.data != NULL && out != NULL);
    int rc = stmt_new(db, text.data, text.size, 0, out);
    if (rc == SQLITE_OK) {
        return FB_OK;
    }
    if (rc == SQLITE_MISUSE) {
        return fail(err, FB_E_INVALID, "sql", "give exactly one SQL statement");
    }
    /* Here the text came from a person: a wrong statement is theirs, not a bug of ours. */
    fb_code code = sql_failed(db, rc);
    return fail(err, code == FB_E_BUG ? FB_E_INVALID : code, "sql", "%s", db->message);
}

void sql_finalize(sql_stmt *s)
{
    if (s != NULL) {
        sqlite3_finalize(s->handle);
        free((void *)(uintptr_t)s->text);
        free(s);
    }
}

static void bound(sql_stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK) {
        s->bind_rc = rc;
    }
}

void sql_bind_int(sql_stmt *s, int i, int64_t v)
{
    if (sql_is_prepared(s)) {
        bound(s, sqlite3_bind_int64(s->handle, i, v));
    }
}

/* SQLite binds NULL for data that is NULL. */
void sql_bind_text(sql_stmt *s, int i, fb_text v)
{
    if (sql_is_prepared(s)) {
        bound(s, sqlite3_bind_text64(s->handle, i, v.data, v.size, SQLITE_STATIC, SQLITE_UTF8));
    }
}

void sql_bind_blob(sql_stmt *s, int i, const void *data, size_t size)
{
    if (sql_is_prepared(s)) {
        bound(s, sqlite3_bind_blob64(s->handle, i, data, size, SQLITE_STATIC));
    }
}

void sql_bind_id(sql_stmt *s, int i, const fb_id *id)
{
    static const fb_id none;
    bool empty = id == NULL || memcmp(id, &none, sizeof none) == 0;
    sql_bind_blob(s, i, empty ? NULL : id->b, sizeof none.b);
}

void sql_bind_null(sql_stmt *s, int i)
{
    sql_bind_blob(s, i, NULL, 0);
}

void sql_bind_value(sql_stmt *s, int i, const fb_value *v)
{
    switch (v->kind) {
    case FB_KIND_INT:
        sql_bind_int(s, i, v->u.i);
        return;
    case FB_KIND_TEXT: /* an empty text without data is still a text */
        sql_bind_text(s, i, v->u.text.data != NULL ? v->u.text : (fb_text){"", 0});
        return;
    case FB_KIND_ID:
        sql_bind_id(s, i, &v->u.id);
        return;
    case FB_KIND_NULL:
        break;
    }
    sql_bind_null(s, i);
}

fb_code sql_step(sql_stmt *s, bool *row_out)
{
    *row_out = false;
    int rc = s->bind_rc;
    if (s->db->doomed != SQLITE_OK) {
        rc = s->db->doomed;
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_step(s->handle);
    }
    if (rc == SQLITE_ROW) {
        *row_out = true;
        return FB_OK;
    }
    fb_code code = result(s->db, rc); /* before the reset, which clears the message */
    sql_reset(s);
    return code;
}

fb_code sql_run(sql_stmt *s)
{
    bool row = true;
    while (row) {
        FB_TRY(sql_step(s, &row));
    }
    return FB_OK;
}

void sql_reset(sql_stmt *s)
{
    if (!sql_is_prepared(s)) {
        return;
    }
    sqlite3_reset(s->handle); /* repeats the code of the last step: it is known already */
    sqlite3_clear_bindings(s->handle);
    s->bind_rc = SQLITE_OK;
}

/* ---- columns ---- */

int sql_columns(const sql_stmt *s)
{
    return sqlite3_column_count(s->handle);
}

const char *sql_column_name(const sql_stmt *s, int i)
{
    const char *name = sqlite3_column_name(s->handle, i);
    return name != NULL ? name : "";
}

bool sql_is_null(sql_stmt *s, int i)
{
    return sqlite3_column_type(s->handle, i) == SQLITE_NULL;
}

int64_t sql_int(sql_stmt *s, int i)
{
    return sqlite3_column_int64(s->handle, i);
}

fb_text sql_text(sql_stmt *s, int i)
{
    const char *data = (const char *)sqlite3_column_text(s->handle, i);
    return (fb_text){data, data != NULL ? (size_t)sqlite3_column_bytes(s->handle, i) : 0};
}

fb_text sql_blob(sql_stmt *s, int i)
{
    const char *data = sqlite3_column_blob(s->handle, i);
    return (fb_text){data, data != NULL ? (size_t)sqlite3_column_bytes(s->handle, i) : 0};
}

fb_id sql_id(sql_stmt *s, int i)
{
    fb_id id = {{0}};
    fb_text blob = sql_blob(s, i);
    if (blob.size == sizeof id.b) {
        memcpy(id.b, blob.data, sizeof id.b);
    }
    return id;
}

bool sql_is_blob(sql_stmt *s, int i)
{
    return sqlite3_column_type(s->handle, i) == SQLITE_BLOB;
}

fb_value sql_value(sql_stmt *s, int i)
{
    fb_value v = {.kind = FB_KIND_NULL};
    switch (sqlite3_column_type(s->handle, i)) {
    case SQLITE_INTEGER:
        v.kind = FB_KIND_INT;
        v.u.i = sql_int(s, i);
        break;
    case SQLITE_BLOB:
        if (sqlite3_column_bytes(s->handle, i) == (int)sizeof v.u.id.b) {
            v.kind = FB_KIND_ID;
            v.u.id = sql_id(s, i);
            break;
        }
        v.kind = FB_KIND_TEXT;
        v.u.text = sql_blob(s, i);
        break;
    case SQLITE_NULL:
        break;
    default: /* text; a computed real of a user query is shown as its text */
        v.kind = FB_KIND_TEXT;
        v.u.text = sql_text(s, i);
        break;
    }
    return v;
}

/* ---- transactions and the rest ---- */

fb_code sql_exec(sql_db *db, const char *text)
{
    int rc = db->doomed;
    return result(db, rc != SQLITE_OK ? rc : sqlite3_exec(db->handle, text, NULL, NULL, NULL));
}

static fb_code run_text(sql_db *db, const char *text)
{
    db->inside = true;
    sql_stmt *s = sql_prepare(db, text);
    fb_code code = sql_run(s);
    db->inside = false;
    return code;
}

/* SQLite sets it while it reads the text: it may be so although the call failed. */
fb_code sql_relax(sql_db *db)
{
    fb_code code = run_text(db, "PRAGMA synchronous=NORMAL");
    db->strict_due = code != FB_OK;
    return code;
}

fb_code sql_restore(sql_db *db)
{
    fb_code code = run_text(db, "PRAGMA synchronous=FULL");
    db->strict_due = code != FB_OK;
    return code;
}

fb_code sql_begin(sql_db *db)
{
    FB_TRY(db->strict_due ? sql_restore(db) : FB_OK);
    fb_code code = run_text(db, "BEGIN IMMEDIATE");
    db->begun = db->begun || code == FB_OK;
    return code;
}

fb_code sql_begin_read(sql_db *db)
{
    FB_TRY(run_text(db, "BEGIN"));
    /* BEGIN alone takes no snapshot: the first read does. */
    fb_code code = run_text(db, "SELECT 1 FROM sqlite_schema LIMIT 1");
    if (code != FB_OK) {
        sql_rollback(db);
    }
    return code;
}

fb_code sql_commit(sql_db *db)
{
    fb_code code = run_text(db, "COMMIT");
    if (code != FB_OK) {
        sql_rollback(db);
    }
    db->begun = false;
    return code;
}

bool sql_is_begun(const sql_db *db)
{
    return sqlite3_get_autocommit(db->handle) == 0;
}

void sql_rollback(sql_db *db)
{
    if (sql_is_begun(db)) {
        /* A failing rollback has already happened inside SQLite, unless memory is gone; keep the
         * code of the cause. Found by fb-torture. */
        db->inside = true;
        (void)sqlite3_step(db->rollback);
        (void)sqlite3_reset(db->rollback);
        if (sql_is_begun(db)) {
            (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        }
        db->inside = false;
    }
    db->rollback_due = sql_is_begun(db);
    db->begun = false;
    db->doomed = SQLITE_OK;
}

fb_code sql_savepoint(sql_db *db)
{
    return run_text(db, "SAVEPOINT step");
}

fb_code sql_savepoint_release(sql_db *db)
{
    return run_text(db, "RELEASE step");
}

void sql_savepoint_undo(sql_db *db)
{
    if (sqlite3_get_autocommit(db->handle) == 0 &&
        sqlite3_exec(db->handle, "ROLLBACK TO step; RELEASE step", NULL, NULL, NULL) != SQLITE_OK) {
        db->doomed =
            SQLITE_NOMEM; /* half a step must not be committed: the caller's commit fails */
    }
}

int64_t sql_changes(sql_db *db)
{
    return sqlite3_changes64(db->handle);
}

fb_code sql_code(sql_db *db)
{
    return db->code;
}

const char *sql_message(sql_db *db)
{
    return db->message;
}

void *sql_handle(sql_db *db)
{
    return db->handle;
}
