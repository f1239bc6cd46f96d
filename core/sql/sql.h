/* sql.h - SQLite behind twenty functions: one connection, cached statements, one error mapping.
 *
 * The only header that names sqlite3 below the replica and the store. SQLITE_FULL becomes
 * E_DISK_FULL here and nowhere else. A connection is used by one thread at a time. */
#ifndef FB_SQL_SQL_H
#define FB_SQL_SQL_H

#include "base/bytes.h"
#include "base/check.h"

typedef struct sql_db sql_db;
typedef struct sql_stmt sql_stmt; /* owned by the connection's cache */

typedef struct sql_options {
    bool read_only;
    bool create;
    const char *vfs; /* NULL: default; the simulator gives its own */
    bool page_sums;  /* check every page read, and put sums into a new file: sql_sum.h */
    int cache_kib;   /* 0: SQLite's default */
    int busy_timeout_ms;
    bool sync_normal; /* synchronous=NORMAL instead of FULL: benches only */
    bool secure; /* secure_delete=ON instead of FAST: what is deleted is gone from free pages too */
} sql_options;

/* WAL, synchronous=FULL, foreign_keys=OFF (checked by our rules), secure_delete=FAST unless
 * `secure`, trusted_schema=OFF, cell_size_check=ON, defensive. E_NOT_FOUND: there is no file and
 * `create` is false; E_IO: it cannot be opened or made. */
FB_MUST_USE fb_code sql_open(const char *path, const sql_options *o, sql_db **out, fb_error *err);
void sql_close(sql_db *db); /* NULL is fine; finalises every statement */

/* Statement for this exact text, prepared once and kept; reset and unbound. The pointer `text`
 * need not live on. Never NULL and never fails silently: a statement that could not be prepared
 * takes values like any other, and its step or run fails for the reason that sql_code has too. An
 * empty text, as a buffer gives when memory did not suffice for it (buf_cstr), is E_NO_MEMORY. */
sql_stmt *sql_prepare(sql_db *db, const char *text);
bool sql_is_prepared(const sql_stmt *s); /* for who keeps it: false, ask for it again */
/* A private statement outside the cache (read-only user queries): caller finalises. */
FB_MUST_USE fb_code sql_prepare_once(sql_db *db, fb_text text, sql_stmt **out, fb_error *err);
void sql_finalize(sql_stmt *s);

void sql_bind_int(sql_stmt *s, int i, int64_t v); /* i from 1 */
void sql_bind_text(sql_stmt *s, int i,
                   fb_text v); /* borrowed until the next reset; NULL data = NULL */
void sql_bind_blob(sql_stmt *s, int i, const void *data, size_t size); /* borrowed */
void sql_bind_id(sql_stmt *s, int i, const fb_id *id); /* borrowed; none or NULL = NULL */
void sql_bind_null(sql_stmt *s, int i);
void sql_bind_value(sql_stmt *s, int i, const fb_value *v); /* borrowed */

/* FB_OK with *row_out true: columns may be read until the next step or reset. On the last row or
 * a failure the statement is reset at once. */
FB_MUST_USE fb_code sql_step(sql_stmt *s, bool *row_out);
/* Step to the end, ignoring rows; resets. */
FB_MUST_USE fb_code sql_run(sql_stmt *s);
void sql_reset(sql_stmt *s);

int sql_columns(const sql_stmt *s);
const char *sql_column_name(const sql_stmt *s, int i); /* i from 0 */
bool sql_is_null(sql_stmt *s, int i);
int64_t sql_int(sql_stmt *s, int i);
fb_text sql_text(sql_stmt *s, int i); /* borrowed until step/reset */
fb_text sql_blob(sql_stmt *s, int i); /* borrowed */
bool sql_is_blob(sql_stmt *s, int i);
fb_id sql_id(sql_stmt *s, int i);       /* none for NULL or a wrong size */
fb_value sql_value(sql_stmt *s, int i); /* by stored type; BLOB(16) = id; borrowed */

FB_MUST_USE fb_code sql_exec(sql_db *db, const char *text); /* one or more statements, no rows */
/* Between the two a commit waits for no disk. What could not be put back is put back by the next
 * sql_begin, which fails until then: nothing is called saved that is not synced. */
FB_MUST_USE fb_code sql_relax(sql_db *db);
FB_MUST_USE fb_code sql_restore(sql_db *db);
FB_MUST_USE fb_code sql_begin(sql_db *db);      /* BEGIN IMMEDIATE */
FB_MUST_USE fb_code sql_begin_read(sql_db *db); /* snapshot */
FB_MUST_USE fb_code sql_commit(sql_db *db);     /* on failure the transaction is rolled back */
void sql_rollback(sql_db *db);                  /* no-op outside a transaction */
bool sql_is_begun(const sql_db *db);            /* a transaction is open */
FB_MUST_USE fb_code sql_savepoint(sql_db *db);  /* one fixed name, not nested */
FB_MUST_USE fb_code sql_savepoint_release(sql_db *db);
void sql_savepoint_undo(sql_db *db); /* rollback to and release */
int64_t sql_changes(sql_db *db);
fb_code sql_code(sql_db *db); /* code of the last failure */
const char *sql_message(sql_db *db);
/* Allow only reading of tables whose names do not start with fb_ or sqlite_ (user queries). */
void sql_restrict_reads(sql_db *db);
FB_MUST_USE fb_code sql_backup(sql_db *db, const char *to_path,
                               void (*progress)(void *ctx, int done, int total), void *ctx,
                               fb_error *err);
FB_MUST_USE fb_code sql_check(sql_db *db, fb_error *err); /* quick_check */
FB_MUST_USE fb_code sql_checkpoint(sql_db *db);           /* passive */
/* All of the write-ahead log into the database, and the log cut to nothing. Waits for nobody:
 * E_BUSY while another connection reads. */
/* Write every page anew, so that nothing that was deleted or replaced is left in the file, its free
 * pages and its log. Waits for other connections; E_BUSY: they read for longer, the log is still
 * there: try again. No statement may be open. */
FB_MUST_USE fb_code sql_compact(sql_db *db);
FB_MUST_USE fb_code sql_checkpoint_all(sql_db *db);
/* After an open that found a write-ahead log: what this connection reads outlives a power loss. A
 * commit that failed at its sync, or was killed before it, left frames there that are read like all
 * others. One checkpoint, or only a sync of the log while another connection uses it. */
FB_MUST_USE fb_code sql_settle_log(sql_db *db);
/* The second half alone, for who may not write. */
FB_MUST_USE fb_code sql_sync_log(sql_db *db);
/* From now on nothing is checkpointed by itself before the connection ends: sql_log_pages says how
 * long the write-ahead log was at this connection's last commit, and sql_checkpoint is called. */
void sql_checkpoint_by_hand(sql_db *db);
int sql_log_pages(const sql_db *db);
bool sql_has_sums(const sql_db *db);   /* of its pages */
bool sql_saw_damage(const sql_db *db); /* a call failed because the file is damaged */
bool sql_saw_unread(const sql_db *db); /* ... because a place of it could not be read */
/* Delete a database's files; nobody may have it open. E_IO. */
FB_MUST_USE fb_code sql_remove(const char *path, const char *vfs);
void *sql_handle(sql_db *db); /* sqlite3 *, for the replica room and tests only */

#endif
