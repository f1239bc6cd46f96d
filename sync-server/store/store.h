/* store.h - the server's SQL behind one interface. SQLite stands here; PostgreSQL could.
 *
 * The only room of sync-server that includes sql/sql.h. One `store` = one connection = one thread
 * at a time: one writer, any number of readers with snapshots. Statements are named, their text
 * lives in this room. Entity rows are read and written by catalogue.
 *
 *   fs_meta(key, value)                     epoch, epoch_cid, backed_up_cid, secrets' salts
 *   fs_catalog(version, body)
 *   fs_entity(number, name)                 stable numbers of entity names
 *   fs_column_time(entity, id, name, at_ms, user_id)       last change of one column
 *   fs_commit(cid PRIMARY KEY, at_ms, incarnation, gseq, plain, user_id)   one row per commit
 *   fs_device(...)                          credentials, current incarnation number, scope set
 *   fs_incarnation(no, device, incarnation, applied, chain, acked, settled, ...)
 *   fs_verdict(incarnation, gseq, upto, cid, code, plain, marks, verdict, payload, state, ...)
 *     incarnation is fs_incarnation.no there and in fs_commit (0: the server itself)
 *   fs_scope(scope INTEGER PRIMARY KEY, kind, ref)  numbers of scopes
 *   fs_feed(scope, pos, entity, id, kind, since) PRIMARY KEY(scope, pos) WITHOUT ROWID
 *   fs_scope_set(device, number, scopes)    what a device's token means
 *   fs_enrol(code_hash, user_id, expires_ms, token_hash, device)
 *   fs_blocked(id, entity, incarnation, gseq)   rows that refused groups would have made
 *   fs_alias(from_id, entity, to_id)
 *   fs_audit(seq, at_ms, ..., prev_hash, hash)
 *
 *   STO-1  ver of a row = cid << 20 | index in the commit: unique; fs_feed.pos is such a number too
 *   STO-2  a row has exactly one feed entry in each scope it is in, none of these kinds elsewhere:
 * ROW at its ver, or CAME, at the later move that brought it there as it was. Scopes it left hold
 * one entry of kind LEAVE or DELETE until the tombstone horizon */
#ifndef FB_STORE_STORE_H
#define FB_STORE_STORE_H

#include "base/bytes.h"
#include "base/digest.h"
#include "base/port.h"
#include "catalog/catalog.h"

typedef struct store store;
typedef struct store_stmt store_stmt;

typedef struct store_options {
    const char *path;
    const char *vfs;
    bool create, read_only;
    bool spills; /* large sorts go to a temporary file instead of memory */
    int cache_kib;
} store_options;
FB_MUST_USE fb_code store_open(const store_options *o, store **out, fb_error *err);
void store_close(store *s);
/* The writer, before anything is read or served: a commit that was killed before its sync, or
 * failed there, may stand in the log and is read like all others; from now on it lasts
 * (sql_settle_log). */
FB_MUST_USE fb_code store_settle(store *s);
/* The active catalogue (from fs_catalog); reloaded when another connection changed it. Borrowed
 * until the next store_catalog_refresh or close. */
const catalog *store_catalog(store *s); /* NULL before the first store_catalog_install */
FB_MUST_USE fb_code store_catalog_refresh(store *s, fb_error *err);
/* Writer, inside a transaction: migrate tables and make `text` the active catalogue. */
FB_MUST_USE fb_code store_catalog_install(store *s, fb_text text, fb_error *err);

FB_MUST_USE fb_code store_begin(store *s);  /* write transaction */
FB_MUST_USE fb_code store_commit(store *s); /* synced; on failure rolled back */
void store_rollback(store *s);
FB_MUST_USE fb_code store_savepoint(store *s);
FB_MUST_USE fb_code store_savepoint_release(store *s);
void store_savepoint_undo(store *s);
FB_MUST_USE fb_code store_snapshot(store *s); /* read transaction: one consistent view */
void store_snapshot_end(store *s);

/* Entity rows. values[columns_count] in catalogue order incl. id and ver. */
FB_MUST_USE fb_code store_row_get(store *s, const cat_entity *e, const fb_id *id, arena *memory,
                                  fb_value *values);
FB_MUST_USE fb_code store_row_exists(store *s, const cat_entity *e, const fb_id *id, bool *out);
FB_MUST_USE fb_code store_row_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                                 arena *memory, fb_value *values); /* E_NOT_FOUND */
/* Whole row; texts are borrowed until the next store_row_* call on this entity. For the hot read
 * path. */
FB_MUST_USE fb_code store_row_view(store *s, const cat_entity *e, const fb_id *id,
                                   fb_value *values);
/* Only the columns its scope rules name, and ver; the others are KIND_NULL. Borrowed like
 * store_row_view. */
FB_MUST_USE fb_code store_row_keys(store *s, const cat_entity *e, const fb_id *id,
                                   fb_value *values);
FB_MUST_USE fb_code store_row_ver(store *s, const cat_entity *e, const fb_id *id, int64_t *ver_out);
/* fn for each row whose column equals, in the order of ids; stops at the first failure. All rows
 * are read before the first call, so fn may read and write the same entity. A NULL equals nothing.
 */
FB_MUST_USE fb_code store_rows_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                                  arena *memory, fb_code (*fn)(void *ctx, const fb_value *values),
                                  void *ctx);
/* The same for each row that has no value in any of these columns. */
FB_MUST_USE fb_code store_rows_without(store *s, const cat_entity *e, const int *columns,
                                       uint32_t count, arena *memory,
                                       fb_code (*fn)(void *ctx, const fb_value *values), void *ctx);
/* The same with only the columns that the scope rules name, and ver; the others are KIND_NULL. */
FB_MUST_USE fb_code store_keys_by(store *s, const cat_entity *e, int column, const fb_value *equal,
                                  arena *memory, fb_code (*fn)(void *ctx, const fb_value *values),
                                  void *ctx);
/* Ids of at most `most` rows behind `after` whose column is not NULL, ascending. */
FB_MUST_USE fb_code store_ids_after(store *s, const cat_entity *e, int column, const fb_id *after,
                                    uint32_t most, fb_id *ids_out, uint32_t *count_out);
FB_MUST_USE fb_code store_row_insert(store *s, const cat_entity *e, const fb_value *values);
FB_MUST_USE fb_code store_row_update(store *s, const cat_entity *e, const fb_id *id,
                                     const int *columns, const fb_value *values, uint32_t count);
FB_MUST_USE fb_code store_row_delete(store *s, const cat_entity *e, const fb_id *id);
/* Number of an entity in fs_* tables, stable over catalogues; and back (NULL: not in this
 * catalogue). */
int64_t store_entity_number(store *s, const cat_entity *e);
const cat_entity *store_entity_by_number(store *s, int64_t number);

/* A number that changes whenever what a room remembers of this database may be wrong: another
 * connection wrote, something was rolled back, or the catalogue changed. */
uint64_t store_stamp(const store *s);
/* What a room remembers per connection; release is called at store_close. */
typedef enum store_room { STORE_ROOM_FEED, STORE_ROOM_LEDGER, STORE_ROOMS } store_room;
void *store_room_get(store *s, store_room room);
void store_room_set(store *s, store_room room, void *state, void (*release)(void *state));
/* fn writes what the room keeps in memory during a write transaction: before it ends, and before a
 * savepoint, so that an undo takes back exactly what came after. */
void store_room_flush(store *s, store_room room, fb_code (*fn)(store *s));
/* How often something was undone or rolled back here: what was not flushed then is void. */
uint64_t store_undos(const store *s);

/* Named statements (store/statements.def): prepared once per connection, returned reset. */
typedef enum store_name {
#define X(name, sql) STORE_##name,
#include "sync-server/store/statements.def"
#undef X
    STORE_NAMES
} store_name;
store_stmt *store_prepare(store *s, store_name name);
void store_bind_int(store_stmt *q, int i, int64_t v);  /* i from 1 */
void store_bind_text(store_stmt *q, int i, fb_text v); /* borrowed until reset */
void store_bind_blob(store_stmt *q, int i, const void *data, size_t size);
void store_bind_id(store_stmt *q, int i, const fb_id *id);
FB_MUST_USE fb_code store_step(store_stmt *q, bool *row_out);
/* The number in the only column of the only row, and its end; 0 where there is no row, or a NULL.
 */
FB_MUST_USE fb_code store_one(store_stmt *q, int64_t *out);
FB_MUST_USE fb_code store_run(store_stmt *q);
int64_t store_changes(store *s); /* rows that the last store_run wrote or deleted */
void store_reset(store_stmt *q);
int64_t store_int(store_stmt *q, int i); /* i from 0 */
fb_text store_text(store_stmt *q, int i);
fb_text store_blob(store_stmt *q, int i);
fb_id store_id(store_stmt *q, int i);
bool store_is_null(store_stmt *q, int i);

FB_MUST_USE fb_code store_meta_get(store *s, const char *key, buf *out); /* appends; E_NOT_FOUND */
FB_MUST_USE fb_code store_meta_set(store *s, const char *key, fb_text value);
/* Whole numbers in fs_meta: `absent` where the key is missing. */
FB_MUST_USE fb_code store_meta_int(store *s, const char *key, int64_t absent, int64_t *out);
FB_MUST_USE fb_code store_meta_int_set(store *s, const char *key, int64_t value);
/* What the company's clocks show beyond UTC: its calendar days begin then. */
FB_MUST_USE fb_code store_zone_minutes(store *s, int64_t *out);
FB_MUST_USE fb_code store_backup(store *s, const char *to_path,
                                 void (*progress)(void *ctx, int done, int total), void *ctx,
                                 fb_error *err);
/* A good backup that reaches the commit `head` was made. In a transaction.
 *
 *   BAK-2  backed_up_cid, up to which devices let go of what they sent, moves only to the commit of
 *          a backup that is hold_ms old: whoever restores any moment since gets the rest from them
 *
 * hold_ms 0: at once. It moves every hold_ms, so devices keep a group up to twice as long. */
FB_MUST_USE fb_code store_backup_counts(store *s, int64_t head, int64_t now_ms, int64_t hold_ms);
/* On a connection of its own, outside every transaction: nothing that was erased is left in the
 * file, its free pages and its log. Writers wait meanwhile. E_BUSY: somebody reads for long. */
FB_MUST_USE fb_code store_compact(const char *path, const char *vfs, fb_error *err);
FB_MUST_USE fb_code store_check(store *s, fb_error *err);
/* The high-water mark: PATH.high-water, a small file of its own beside the database, so that a
 * database put back from an older copy is noticed. Each call opens and closes it. E_NOT_FOUND. */
typedef struct store_mark {
    fb_id epoch;
    int64_t cid, audit_seq; /* newest commit and audit entry */
    digest audit;           /* hash of that entry */
} store_mark;
FB_MUST_USE fb_code store_mark_get(const char *path, const char *vfs, store_mark *out,
                                   fb_error *err);
FB_MUST_USE fb_code store_mark_put(const char *path, const char *vfs, const store_mark *mark,
                                   fb_error *err);
/* Who was erased, once more: PATH.erased, beside the database like the mark, and beside backups, so
 * that a database put back from an older copy is erased again (sync-server/erase). Each call opens
 * and closes it. */
typedef struct store_erasure {
    fb_text entity, reason; /* borrowed */
    fb_id id;
    int64_t at_ms;
} store_erasure;
/* One that is there stays as it is. */
FB_MUST_USE fb_code store_erased_put(const char *path, const char *vfs, const store_erasure *all,
                                     uint32_t count, fb_error *err);
/* In the order in which they were erased; no file: none. */
FB_MUST_USE fb_code store_erased_each(const char *path, const char *vfs,
                                      fb_code (*fn)(void *ctx, const store_erasure *one), void *ctx,
                                      fb_error *err);
/* Read-only SQL for the administrator's and manager's reports (never from a device). */
typedef struct sql_stmt sql_stmt;
FB_MUST_USE fb_code store_query(store *s, fb_text sql, sql_stmt **out, fb_error *err);

#endif
