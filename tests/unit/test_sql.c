/* test_sql.c - the statement wrapper: options of a connection, the cache, values both ways, the
 * mapping of failures, transactions, restricted reading, backup, check.
 * Method: real files in a directory of their own; damage is done to real bytes. */
#include "support/wire_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sql/sql.h"
#include "sql/sql_inside.h"

static char folder[64], path[96], other[96];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "fb-sql-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(other, sizeof other, "%s/b.db", folder);
    return mkdir(folder, 0700);
}

static void drop_file(const char *name)
{
    char side[128];
    unlink(name);
    snprintf(side, sizeof side, "%s-wal", name);
    unlink(side);
    snprintf(side, sizeof side, "%s-shm", name);
    unlink(side);
}

static int clean(void **state)
{
    (void)state;
    drop_file(path);
    drop_file(other);
    return 0;
}

static int teardown(void **state)
{
    clean(state);
    return rmdir(folder);
}

static sql_db *open_new(void)
{
    sql_db *db = NULL;
    fb_error err = {0};
    const sql_options o = {.create = true, .busy_timeout_ms = 0};
    if (sql_open(path, &o, &db, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    return db;
}

static int64_t int_of(sql_db *db, const char *text)
{
    sql_stmt *s = sql_prepare(db, text);
    bool row = false;
    assert_non_null(s);
    assert_int_equal(sql_step(s, &row), FB_OK);
    assert_true(row);
    int64_t v = sql_int(s, 0);
    sql_reset(s);
    return v;
}

static void sql_open__sets_what_keeps_data_safe(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(int_of(db, "PRAGMA synchronous"), 2); /* FULL */
    assert_int_equal(int_of(db, "PRAGMA secure_delete"), 2);
    assert_int_equal(int_of(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(int_of(db, "PRAGMA cell_size_check"), 1);
    assert_int_equal(int_of(db, "PRAGMA foreign_keys"), 0);
    assert_int_equal(int_of(db, "PRAGMA page_size"), 4096);
    sql_stmt *s = sql_prepare(db, "PRAGMA journal_mode");
    bool row;
    assert_int_equal(sql_step(s, &row), FB_OK);
    assert_text_is(sql_text(s, 0), "wal");
    sql_reset(s);
    int defensive = 0;
    sqlite3_db_config(sql_handle(db), SQLITE_DBCONFIG_DEFENSIVE, -1, &defensive);
    assert_int_equal(defensive, 1);
    sql_close(db);
    const sql_options fast = {.sync_normal = true, .cache_kib = 512};
    assert_int_equal(sql_open(path, &fast, &db, NULL), FB_OK);
    assert_int_equal(int_of(db, "PRAGMA synchronous"), 1);
    assert_int_equal(int_of(db, "PRAGMA cache_size"), -512);
    sql_close(db);
    sql_close(NULL);
}

static void sql_open__says_what_is_wrong_with_the_file(void **state)
{
    (void)state;
    sql_db *db = NULL;
    fb_error err = {0};
    const sql_options plain = {.busy_timeout_ms = 0}, reader = {.read_only = true};
    assert_int_equal(sql_open(path, &plain, &db, &err), FB_E_NOT_FOUND); /* create not asked */
    assert_int_equal(sql_open(path, &reader, &db, &err), FB_E_NOT_FOUND);
    assert_int_equal(sql_open("/tmp", &plain, &db, &err), FB_E_IO); /* there, but no file */
    assert_string_equal(err.field, "path");
    assert_null(db);
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 4096; i++) {
        fputc('x', f);
    }
    fclose(f);
    assert_int_equal(sql_open(path, &plain, &db, &err), FB_E_CORRUPT);
    assert_int_equal(sql_open(path, &reader, &db, &err), FB_E_CORRUPT);
    assert_null(db);
    assert_int_equal(sql_open(NULL, &plain, &db, &err), FB_E_MISUSE);
}

static void sql_prepare__keeps_one_statement_per_text(void **state)
{
    (void)state;
    sql_db *db = open_new();
    char text[64];
    sql_stmt *all[300];
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "SELECT %d, ?1", i);
        all[i] = sql_prepare(db, text); /* the buffer is used again: the content counts */
        assert_non_null(all[i]);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "SELECT %d, ?1", i);
        assert_ptr_equal(sql_prepare(db, text), all[i]);
        assert_int_equal(int_of(db, text), i);
    }
    sql_bind_int(all[7], 1, 5);
    bool row;
    assert_int_equal(sql_step(all[7], &row), FB_OK);
    sql_stmt *again = sql_prepare(db, "SELECT 7, ?1");
    assert_ptr_equal(again, all[7]);
    assert_int_equal(sql_step(again, &row), FB_OK);
    assert_true(sql_is_null(again, 1)); /* reset and unbound */
    sql_close(db);
}

/* What is bound to it and how often it is run makes no difference. */
static void unprepared(sql_db *db, const char *text, fb_code code)
{
    sql_stmt *s = sql_prepare(db, text);
    bool row = true;
    assert_false(sql_is_prepared(s));
    assert_int_equal(sql_code(db), code);
    sql_bind_int(s, 1, 7);
    sql_bind_text(s, 2, T("x"));
    sql_bind_id(s, 3, NULL);
    assert_int_equal(sql_run(s), code);
    sql_reset(s);
    assert_int_equal(sql_step(s, &row), code);
    assert_false(row);
    assert_int_equal(sql_code(db), code);
}

static void sql_prepare__failure_is_told_by_code_and_message_and_at_each_step(void **state)
{
    (void)state;
    sql_db *db = open_new();
    unprepared(db, "SELECT nonsense FROM nowhere", FB_E_BUG);
    assert_non_null(strstr(sql_message(db), "nowhere"));
    unprepared(db, "SELECT 1; SELECT 2", FB_E_MISUSE);
    unprepared(db, "", FB_E_NO_MEMORY);
    unprepared(db, " ; ", FB_E_MISUSE);
    assert_true(sql_is_prepared(sql_prepare(db, "SELECT 1 ; \n")));
    sql_stmt *s = NULL;
    fb_error err = {0};
    assert_int_equal(sql_prepare_once(db, T("SELEKT 1"), &s, &err), FB_E_INVALID);
    assert_string_equal(err.field, "sql");
    assert_null(s);
    assert_int_equal(sql_prepare_once(db, T("SELECT 1xxx"), &s, &err), FB_E_INVALID);
    assert_int_equal(sql_prepare_once(db, (fb_text){"SELECT 1xxx", 8}, &s, &err), FB_OK);
    sql_finalize(s);
    sql_finalize(NULL);
    sql_close(db);
}

static void sql_values__go_in_and_come_out(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(a INTEGER, b TEXT, c BLOB, d ANY) STRICT"),
                     FB_OK);
    sql_stmt *s = sql_prepare(db, "INSERT INTO t VALUES(?1, ?2, ?3, ?4)");
    fb_id id = id_of(9), none = {{0}};
    sql_bind_int(s, 1, INT64_MIN);
    sql_bind_text(s, 2, T("北京"));
    sql_bind_id(s, 3, &id);
    sql_bind_blob(s, 4, "xyz", 3);
    assert_int_equal(sql_run(s), FB_OK);
    assert_int_equal(sql_changes(db), 1);
    sql_bind_id(s, 1, &none);
    sql_bind_text(s, 2, (fb_text){NULL, 0});
    sql_bind_id(s, 3, NULL);
    sql_bind_null(s, 4);
    assert_int_equal(sql_run(s), FB_OK);
    const fb_value values[4] = {{FB_KIND_INT, {.i = -1}},
                                {FB_KIND_TEXT, {.text = {NULL, 0}}},
                                {FB_KIND_ID, {.id = id}},
                                {FB_KIND_NULL, {.i = 0}}};
    for (int i = 0; i < 4; i++) {
        sql_bind_value(s, i + 1, &values[i]);
    }
    assert_int_equal(sql_run(s), FB_OK);

    bool row;
    s = sql_prepare(db, "SELECT * FROM t ORDER BY rowid");
    assert_int_equal(sql_columns(s), 4);
    assert_string_equal(sql_column_name(s, 1), "b");
    assert_int_equal(sql_step(s, &row), FB_OK);
    assert_true(sql_int(s, 0) == INT64_MIN);
    assert_text_is(sql_text(s, 1), "北京");
    fb_id got = sql_id(s, 2);
    assert_true(id_equal(&got, &id));
    fb_value v = sql_value(s, 2);
    assert_int_equal(v.kind, FB_KIND_ID);
    assert_text_is(sql_blob(s, 3), "xyz");
    got = sql_id(s, 3); /* a wrong size */
    assert_true(id_is_none(&got));
    assert_int_equal(sql_step(s, &row), FB_OK);
    for (int i = 0; i < 4; i++) {
        assert_true(sql_is_null(s, i));
        assert_int_equal(sql_value(s, i).kind, FB_KIND_NULL);
    }
    assert_null(sql_text(s, 1).data);
    assert_int_equal(sql_step(s, &row), FB_OK);
    v = sql_value(s, 0);
    assert_true(v.kind == FB_KIND_INT && v.u.i == -1);
    assert_false(sql_is_null(s, 1)); /* an empty text is a text */
    v = sql_value(s, 1);
    assert_true(v.kind == FB_KIND_TEXT && v.u.text.size == 0);
    assert_int_equal(sql_step(s, &row), FB_OK);
    assert_false(row);
    sql_close(db);
}

static void sql_failures__have_their_own_codes(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE, "
                                  "n INTEGER NOT NULL CHECK(n > 0)) STRICT;"
                                  "INSERT INTO t VALUES(1, 'a', 1)"),
                     FB_OK);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(1, 'b', 1)"), FB_E_EXISTS);
    assert_int_equal(sql_code(db), FB_E_EXISTS);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(2, 'a', 1)"), FB_E_EXISTS);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(2, 'b', NULL)"), FB_E_INVALID);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(2, 'b', 0)"), FB_E_INVALID);
    sql_stmt *s = sql_prepare(db, "INSERT INTO t VALUES(?1, 'x', 1)");
    sql_bind_int(s, 9, 1); /* no such parameter */
    assert_int_equal(sql_run(s), FB_E_MISUSE);
    sql_bind_int(s, 1, 5);
    assert_int_equal(sql_run(s), FB_OK); /* the failed bind does not linger */
    assert_int_equal(sql_exec(db, "PRAGMA max_page_count=4; CREATE TABLE big(x);"
                                  "INSERT INTO big VALUES(zeroblob(100000))"),
                     FB_E_DISK_FULL);
    sql_close(db);
    sql_db *reader = NULL;
    const sql_options o = {.read_only = true};
    assert_int_equal(sql_open(path, &o, &reader, NULL), FB_OK);
    assert_int_equal(sql_exec(reader, "DELETE FROM t"), FB_E_READ_ONLY);
    sql_close(reader);
}

static void sql_begin__second_writer_is_busy(void **state)
{
    (void)state;
    sql_db *a = open_new(), *b = open_new();
    assert_int_equal(sql_exec(a, "CREATE TABLE t(x)"), FB_OK);
    assert_int_equal(sql_begin(a), FB_OK);
    assert_int_equal(sql_begin(b), FB_E_BUSY);
    sql_rollback(b);
    assert_int_equal(sql_exec(a, "INSERT INTO t VALUES(1)"), FB_OK);
    assert_int_equal(int_of(b, "SELECT count(*) FROM t"), 0);
    assert_int_equal(sql_commit(a), FB_OK);
    assert_int_equal(int_of(b, "SELECT count(*) FROM t"), 1);
    assert_int_equal(sql_begin(b), FB_OK);
    assert_int_equal(sql_exec(b, "INSERT INTO t VALUES(2)"), FB_OK);
    sql_rollback(b);
    sql_rollback(b); /* nothing to do is fine */
    assert_int_equal(int_of(a, "SELECT count(*) FROM t"), 1);
    sql_close(a);
    sql_close(b);
}

static void sql_begin_read__is_a_snapshot_from_its_start(void **state)
{
    (void)state;
    sql_db *a = open_new(), *b = open_new();
    assert_int_equal(sql_exec(a, "CREATE TABLE t(x)"), FB_OK);
    assert_int_equal(sql_begin_read(b), FB_OK);
    assert_int_equal(sql_exec(a, "INSERT INTO t VALUES(1)"), FB_OK);
    assert_int_equal(int_of(b, "SELECT count(*) FROM t"), 0);
    assert_int_equal(sql_commit(b), FB_OK);
    assert_int_equal(int_of(b, "SELECT count(*) FROM t"), 1);
    sql_close(a);
    sql_close(b);
}

static void sql_commit__failure_rolls_back(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(
        sql_exec(db, "PRAGMA foreign_keys=ON; CREATE TABLE p(id INTEGER PRIMARY KEY);"
                     "CREATE TABLE c(p INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"),
        FB_OK);
    assert_int_equal(sql_begin(db), FB_OK);
    assert_int_equal(sql_exec(db, "INSERT INTO c VALUES(7)"), FB_OK);
    assert_int_equal(sql_commit(db), FB_E_INVALID);
    assert_int_equal(sql_begin(db), FB_OK); /* no transaction was left open */
    assert_int_equal(int_of(db, "SELECT count(*) FROM c"), 0);
    sql_rollback(db);
    sql_close(db);
}

static void sql_savepoint__undoes_only_its_own_part(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(x)"), FB_OK);
    assert_int_equal(sql_begin(db), FB_OK);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(1)"), FB_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sql_savepoint(db), FB_OK);
        assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(2)"), FB_OK);
        sql_savepoint_undo(db);
        assert_int_equal(sql_savepoint(db), FB_OK);
        assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(3)"), FB_OK);
        assert_int_equal(sql_savepoint_release(db), FB_OK);
    }
    assert_int_equal(sql_commit(db), FB_OK);
    assert_int_equal(int_of(db, "SELECT sum(x) FROM t"), 10);
    sql_savepoint_undo(db); /* outside of a transaction: nothing */
    sql_close(db);
}

static void restricted_is(sql_db *db, const char *text, bool allowed)
{
    sql_stmt *s = NULL;
    fb_error err = {0};
    fb_code code = sql_prepare_once(db, text_of(text), &s, &err);
    if ((code == FB_OK) != allowed) {
        fail_msg("\"%s\" gave %s", text, fb_code_name(code));
    }
    sql_finalize(s);
}

static void sql_restrict_reads__shows_plain_tables_only(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE customer(id, name); CREATE TABLE fb_outbox(x);"
                                  "INSERT INTO customer VALUES(1,'a')"),
                     FB_OK);
    sql_restrict_reads(db);
    restricted_is(db, "SELECT name FROM customer", true);
    restricted_is(db, "SELECT count(*) FROM customer", true);
    restricted_is(db,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3) "
                  "SELECT upper(name), i FROM customer, n",
                  true);
    restricted_is(db, "SELECT * FROM fb_outbox", false);
    restricted_is(db, "SELECT count(*) FROM fb_outbox", false);
    restricted_is(db, "SELECT * FROM FB_OUTBOX", false);
    restricted_is(db, "SELECT (SELECT x FROM fb_outbox) FROM customer", false);
    restricted_is(db, "SELECT * FROM sqlite_schema", false);
    restricted_is(db, "SELECT * FROM sqlite_master", false);
    restricted_is(db, "INSERT INTO customer VALUES(2,'b')", false);
    restricted_is(db, "DELETE FROM customer", false);
    restricted_is(db, "UPDATE customer SET name='x'", false);
    restricted_is(db, "DROP TABLE customer", false);
    restricted_is(db, "CREATE TABLE x(y)", false);
    restricted_is(db, "CREATE TEMP TABLE x(y)", false);
    restricted_is(db, "ATTACH 'c.db' AS c", false);
    restricted_is(db, "PRAGMA journal_mode", false);
    restricted_is(db, "SELECT * FROM pragma_table_info('fb_outbox')", false);
    restricted_is(db, "BEGIN", false);
    restricted_is(db, "SELECT load_extension('x')", false);
    assert_int_equal(sql_begin_read(db), FB_OK); /* our own texts still work */
    assert_int_equal(int_of(db, "SELECT count(*) FROM customer"), 1);
    assert_int_equal(sql_commit(db), FB_OK);
    assert_int_equal(sql_check(db, NULL), FB_OK);
    sql_close(db);
}

static void note_progress(void *ctx, int done, int total)
{
    int *calls = ctx;
    assert_true(done >= 0 && done <= total);
    (*calls)++;
}

static void sql_backup__is_a_whole_database_in_one_file(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                                  "SELECT i+1 FROM n WHERE i<2000) INSERT INTO t "
                                  "SELECT zeroblob(4000) FROM n"),
                     FB_OK);
    int calls = 0;
    fb_error err = {0};
    assert_int_equal(sql_backup(db, other, note_progress, &calls, &err), FB_OK);
    assert_true(calls >= 2);
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", other);
    assert_int_not_equal(access(wal, F_OK), 0);
    assert_int_equal(sql_backup(db, "no/such/folder/x.db", NULL, NULL, &err), FB_E_IO);
    assert_string_equal(err.field, "path");
    sql_close(db);
    const sql_options o = {.busy_timeout_ms = 0};
    assert_int_equal(sql_open(other, &o, &db, &err), FB_OK);
    assert_int_equal(int_of(db, "SELECT count(*) FROM t"), 2000);
    assert_int_equal(sql_check(db, &err), FB_OK);
    assert_int_equal(sql_checkpoint(db), FB_OK);
    sql_close(db);
}

static void sql_check__finds_a_damaged_page(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(x INTEGER PRIMARY KEY, y TEXT);"
                                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n "
                                  "WHERE i<5000) INSERT INTO t SELECT i, 'text ' || i FROM n"),
                     FB_OK);
    sql_close(db);
    FILE *f = fopen(path, "r+b");
    fseek(f, 4096 * 3, SEEK_SET);
    for (int i = 0; i < 4096; i++) {
        fputc(0xA5, f);
    }
    fclose(f);
    const sql_options o = {.busy_timeout_ms = 0};
    fb_error err = {0};
    assert_int_equal(sql_open(path, &o, &db, &err), FB_OK);
    assert_int_equal(sql_check(db, &err), FB_E_CORRUPT);
    assert_int_equal(err.code, FB_E_CORRUPT);
    sql_stmt *s = sql_prepare(db, "SELECT sum(length(y)) FROM t");
    assert_int_equal(sql_run(s), FB_E_CORRUPT);
    sql_close(db);
}

/* Found by fb-torture: a text that could not be put together was taken for no failure at all, and a
 * record was saved in the outbox without its row. */
static int part_of(sqlite3_file *f, int at, int amount, unsigned char *out)
{
    return f->pMethods->xRead(f, out, amount, 2 * 4096 + at);
}

/* SQLite 3.45 and newer read the front of a page of a long value directly from the file. */
static void page_read_in_part__is_checked_as_a_whole(void **state)
{
    (void)state;
    enum { WHOLE = 4096, LONG = 9000 };
    static const int PARTS[][2] = {{0, 4}, {0, 100}, {0, 1000}, {0, 4088}, {4, 4092}, {4095, 1}};
    unsigned char whole[WHOLE], part[WHOLE];
    const sql_options sums = {.create = true, .page_sums = true};
    fb_error err;
    sql_db *db = NULL;
    sqlite3_file *f = NULL;
    assert_int_equal(sql_open(path, &sums, &db, &err), FB_OK);
    assert_int_equal(sql_exec(db, "CREATE TABLE t (x); INSERT INTO t VALUES (hex(zeroblob(4500)));"
                                  "PRAGMA wal_checkpoint(TRUNCATE)"),
                     FB_OK);
    sql_close(db);
    assert_int_equal(sql_open(path, &sums, &db, &err), FB_OK);
    assert_int_equal(int_of(db, "SELECT length(x) FROM t WHERE x IS NOT NULL AND x = "
                                "replace(x, '1', '0')"),
                     LONG);
    assert_int_equal(
        sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&f), SQLITE_OK);
    assert_int_equal(part_of(f, 0, WHOLE, whole), SQLITE_OK);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        assert_int_equal(part_of(f, PARTS[i][0], PARTS[i][1], part), SQLITE_OK);
        assert_memory_equal(part, whole + PARTS[i][0], (size_t)PARTS[i][1]);
    }
    assert_int_equal(part_of(f, 4, WHOLE, part), SQLITE_CORRUPT); /* of two pages */
    assert_int_equal(part_of(f, -2 * WHOLE, 512, part), SQLITE_CORRUPT);
    FILE *bytes = fopen(path, "r+b");
    fseek(bytes, 2 * WHOLE + 4000, SEEK_SET);
    fputc(whole[4000] ^ 1, bytes);
    fclose(bytes);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        assert_int_equal(part_of(f, PARTS[i][0], PARTS[i][1], part), SQLITE_CORRUPT);
    }
    sql_close(db);
}

/* Found by fb-torture: ROLLBACK had to be prepared, which failed too when memory was gone. The
 * transaction stayed open, and everything after it on this handle failed or saw what had been given
 * up. */
static void sql_rollback__works_when_memory_is_gone(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(x)"), FB_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sql_begin(db), FB_OK);
        assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(1)"), FB_OK);
        sqlite3_hard_heap_limit64(1);
        sql_rollback(db);
        sqlite3_hard_heap_limit64(0);
        assert_int_equal(int_of(db, "SELECT count(*) FROM t"), 0);
    }
    sql_close(db);
}

/* The same for a savepoint: when its part cannot be taken back, nothing of the transaction may
 * stand. */
static void sql_savepoint_undo__without_memory_gives_up_the_transaction(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(x)"), FB_OK);
    assert_int_equal(sql_begin(db), FB_OK);
    assert_int_equal(sql_savepoint(db), FB_OK);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(1)"), FB_OK);
    sqlite3_hard_heap_limit64(1);
    sql_savepoint_undo(db);
    sqlite3_hard_heap_limit64(0);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(2)"),
                     FB_E_NO_MEMORY); /* not on its own either */
    assert_int_equal(sql_commit(db), FB_E_NO_MEMORY);
    assert_int_equal(int_of(db, "SELECT count(*) FROM t"), 0);
    sql_close(db);
}

/* SQLite ends the transaction itself: a caller that takes the failure lightly writes nothing more.
 */
static void sql_failure__that_ended_the_transaction_ends_it_for_all(void **state)
{
    (void)state;
    sql_db *db = open_new();
    assert_int_equal(sql_exec(db, "CREATE TABLE t(x UNIQUE)"), FB_OK);
    assert_int_equal(sql_begin(db), FB_OK);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(1)"), FB_OK);
    assert_int_equal(sql_savepoint(db), FB_OK);
    assert_int_equal(sql_exec(db, "INSERT OR ROLLBACK INTO t VALUES(1)"), FB_E_EXISTS);
    sql_savepoint_undo(db);
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(2)"), FB_E_EXISTS);
    sql_stmt *s = sql_prepare(db, "INSERT INTO t VALUES(3)");
    assert_int_equal(sql_run(s), FB_E_EXISTS);
    assert_int_equal(sql_commit(db), FB_E_EXISTS);
    assert_int_equal(int_of(db, "SELECT count(*) FROM t"), 0);
    assert_int_equal(sql_begin(db), FB_OK); /* and all is well again */
    assert_int_equal(sql_exec(db, "INSERT INTO t VALUES(4)"), FB_OK);
    assert_int_equal(sql_commit(db), FB_OK);
    assert_int_equal(int_of(db, "SELECT count(*) FROM t"), 1);
    sql_close(db);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

/* On a full disk an open in WAL mode fails here first: the person must read that it is full. */
static void sql_code_of__shared_memory_that_cannot_grow_is_a_full_disk(void **state)
{
    (void)state;
    assert_int_equal(sql_code_of(SQLITE_IOERR_SHMSIZE), FB_E_DISK_FULL);
    assert_int_equal(sql_code_of(SQLITE_IOERR_SHMOPEN), FB_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sql_open__sets_what_keeps_data_safe),
        TEST(sql_open__says_what_is_wrong_with_the_file),
        TEST(sql_prepare__keeps_one_statement_per_text),
        TEST(sql_prepare__failure_is_told_by_code_and_message_and_at_each_step),
        TEST(sql_values__go_in_and_come_out),
        TEST(sql_failures__have_their_own_codes),
        TEST(sql_begin__second_writer_is_busy),
        TEST(sql_begin_read__is_a_snapshot_from_its_start),
        TEST(sql_commit__failure_rolls_back),
        TEST(sql_savepoint__undoes_only_its_own_part),
        TEST(sql_rollback__works_when_memory_is_gone),
        TEST(sql_savepoint_undo__without_memory_gives_up_the_transaction),
        TEST(sql_failure__that_ended_the_transaction_ends_it_for_all),
        TEST(sql_restrict_reads__shows_plain_tables_only),
        TEST(sql_backup__is_a_whole_database_in_one_file),
        TEST(sql_check__finds_a_damaged_page),
        TEST(page_read_in_part__is_checked_as_a_whole),
        TEST(sql_code_of__shared_memory_that_cannot_grow_is_a_full_disk),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
