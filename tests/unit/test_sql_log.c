/* test_sql_log.c - the log's file: what a failed sync forgot is on the disk before a later sync
 * says so (sql_log.h LOG-1, LOG-2). */
#include "disk_fixture.h"
#include "sql/sql.h"

#define LOG_DB "phone/log.db"
#define LOG_FILE LOG_DB "-wal"

static sql_db *opened(void)
{
    sql_db *db = NULL;
    fb_error err = {.code = FB_OK};
    const sql_options o = {.create = true, .vfs = VFS};
    if (sql_open(LOG_DB, &o, &db, &err) != FB_OK) {
        fail_msg("open: %s", err.message);
    }
    sql_checkpoint_by_hand(db);
    return db;
}

static int64_t value_of(sql_db *db, const char *text)
{
    bool row = false;
    sql_stmt *s = sql_prepare(db, text);
    assert_non_null(s);
    assert_int_equal(sql_step(s, &row), FB_OK);
    assert_true(row);
    int64_t value = sql_int(s, 0);
    sql_reset(s);
    return value;
}

/* The same number on two pages. */
static fb_code put(sql_db *db, int64_t value)
{
    char text[120];
    assert_int_equal(sql_begin(db), FB_OK);
    snprintf(text, sizeof text, "UPDATE a SET v=%lld; UPDATE b SET v=%lld", (long long)value,
             (long long)value);
    assert_int_equal(sql_exec(db, text), FB_OK);
    return sql_commit(db);
}

/* 1 is on the disk, 2 was not waited for, 3 failed at its sync. */
static sql_db *troubled(uint64_t seed)
{
    crash_vfs_remove(disk, "phone");
    crash_vfs_reseed(disk, seed);
    sql_db *db = opened();
    assert_int_equal(sql_exec(db, "CREATE TABLE a (v); CREATE TABLE b (v);"
                                  "INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)"),
                     FB_OK);
    assert_int_equal(sql_checkpoint_all(db), FB_OK);
    assert_int_equal(put(db, 1), FB_OK);
    assert_int_equal(sql_exec(db, "PRAGMA synchronous=NORMAL"), FB_OK);
    assert_int_equal(put(db, 2), FB_OK);
    assert_int_equal(sql_exec(db, "PRAGMA synchronous=FULL"), FB_OK);
    crash_vfs_fail_sync(disk, "phone", 1);
    assert_int_equal(put(db, 3), FB_E_IO);
    return db;
}

static sql_db *after_power_loss(sql_db *db)
{
    crash_vfs_crash(disk, "phone");
    sql_close(db);
    crash_vfs_reboot(disk, "phone");
    crash_vfs_crash_after(disk, "phone", 0);
    return opened();
}

static void commit_after_failed_sync__is_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        sql_db *db = troubled(seed);
        assert_int_equal(put(db, 4), FB_OK);
        db = after_power_loss(db);
        assert_int_equal(value_of(db, "SELECT v FROM a"), 4);
        assert_int_equal(value_of(db, "SELECT v FROM b"), 4);
        sql_close(db);
    }
}

/* What stood in the log is in the database whole or not at all, wherever the power goes. */
static void checkpoint_after_failed_sync__is_never_half_there(void **state)
{
    (void)state;
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 0; seed < 16; seed++) {
            sql_db *db = troubled(seed);
            crash_vfs_crash_after(disk, "phone", call);
            finished = sql_checkpoint_all(db) == FB_OK;
            db = after_power_loss(db);
            int64_t a = value_of(db, "SELECT v FROM a"), b = value_of(db, "SELECT v FROM b");
            if (a != b || a == 0) {
                fail_msg("call %u, seed %u: %d and %d", (unsigned)call, (unsigned)seed, (int)a,
                         (int)b);
            }
            sql_close(db);
        }
    }
}

typedef struct seen {
    uint64_t lowest, end; /* where the first and the last write of the log stood */
    uint64_t synced;      /* `end` at its last sync */
} seen;

static void note(void *ctx, const crash_vfs_event *e)
{
    seen *l = ctx;
    if (strcmp(e->file, LOG_FILE) != 0) {
        return;
    }
    if (e->op == CRASH_VFS_WRITE) {
        l->lowest = e->offset < l->lowest ? e->offset : l->lowest;
        l->end = e->offset + e->size;
    } else if (e->op == CRASH_VFS_SYNC) {
        l->synced = l->end;
    }
}

/* A write that the power interrupts may spoil what stood there. */
static void kept_commit__is_not_written_again(void **state)
{
    seen log = {.lowest = UINT64_MAX};
    (void)state;
    sql_db *db = troubled(1);
    crash_vfs_listen(disk, note, &log);
    assert_int_equal(put(db, 4), FB_OK);
    assert_true(log.lowest > 32 && log.lowest < log.synced);
    uint64_t safe = log.synced;
    log.lowest = UINT64_MAX;
    crash_vfs_fail_sync(disk, "phone", 1);
    assert_int_equal(put(db, 5), FB_E_IO);
    assert_int_equal(put(db, 6), FB_OK);
    assert_true(log.lowest >= safe);
    crash_vfs_listen(disk, NULL, NULL);
    sql_close(db);
}

/* Another connection began the log anew: where this one knew it to be safe says nothing. */
static void log_begun_by_another__is_written_again_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        sql_db *db = troubled(seed);
        assert_int_equal(put(db, 4), FB_OK);
        sql_db *other = opened();
        assert_int_equal(sql_checkpoint_all(other), FB_OK);
        assert_int_equal(sql_exec(other, "PRAGMA synchronous=NORMAL"), FB_OK);
        assert_int_equal(put(other, 5), FB_OK);
        crash_vfs_fail_sync(disk, "phone", 1);
        assert_int_equal(put(db, 6), FB_E_IO);
        assert_int_equal(put(db, 7), FB_OK);
        crash_vfs_crash(disk, "phone");
        sql_close(other);
        db = after_power_loss(db);
        assert_int_equal(value_of(db, "SELECT v FROM a"), 7);
        assert_int_equal(value_of(db, "SELECT v FROM b"), 7);
        sql_close(db);
    }
}

/* The simulator's seed 6: a second program's sync failed when it opened the file, and what the
 * first one had written, and not waited for, was forgotten. */
static void sync_that_failed_for_another__is_made_good(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        sql_db *db = troubled(seed);
        assert_int_equal(put(db, 4), FB_OK);
        assert_int_equal(sql_exec(db, "PRAGMA synchronous=NORMAL"), FB_OK);
        assert_int_equal(put(db, 5), FB_OK);
        assert_int_equal(sql_exec(db, "PRAGMA synchronous=FULL"), FB_OK);
        sql_db *other = opened();
        assert_int_equal(value_of(other, "SELECT v FROM a"), 5);
        crash_vfs_fail_sync(disk, "phone", 1);
        assert_int_equal(sql_sync_log(other), FB_E_IO);
        sql_close(other);
        assert_int_equal(put(db, 6), FB_E_IO); /* the system tells it too */
        assert_int_equal(put(db, 7), FB_OK);
        db = after_power_loss(db);
        assert_int_equal(value_of(db, "SELECT v FROM a"), 7);
        assert_int_equal(value_of(db, "SELECT v FROM b"), 7);
        sql_close(db);
    }
}

/* Frames of a transaction that was taken back stand behind the log's end, with its salts. */
#define SPILL                                                                                      \
    "PRAGMA cache_size=2; BEGIN; CREATE TABLE c (v); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL " \
    "SELECT i + 1 FROM n WHERE i < 40) INSERT INTO c SELECT zeroblob(2000) FROM n; ROLLBACK"

/* 1 to 20 were saved and are on the disk; then the program was killed, and the disk is too full to
 * bring its log into the database whole. */
static sql_db *opened_full(uint64_t seed, bool spilled)
{
    enum { SAVED = 20 };
    crash_vfs_remove(disk, "phone");
    crash_vfs_reseed(disk, seed);
    sql_db *db = opened();
    assert_int_equal(sql_exec(db, "CREATE TABLE a (v); CREATE TABLE b (v);"
                                  "INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)"),
                     FB_OK);
    for (int64_t value = 1; value <= SAVED; value++) {
        assert_int_equal(put(db, value), FB_OK);
    }
    if (spilled) {
        assert_int_equal(sql_exec(db, SPILL), FB_OK);
    }
    crash_vfs_kill(disk, "phone");
    sql_close(db);
    db = opened();
    crash_vfs_quota(disk, "phone", crash_vfs_used(disk, "phone"));
    assert_int_equal(sql_settle_log(db), FB_OK);
    crash_vfs_quota(disk, "phone", 0);
    return db;
}

/* The simulator's seed 160: part of the log was in the database already, and the power spoiled what
 * was written once more. */
static void log_that_was_there__is_not_written_again(void **state)
{
    (void)state;
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 0; seed < 16; seed++) {
            sql_db *db = opened_full(seed, false);
            crash_vfs_fail_sync(disk, "phone", 1);
            assert_int_equal(put(db, 21), FB_E_IO);
            crash_vfs_crash_after(disk, "phone", call);
            finished = put(db, 22) == FB_OK;
            db = after_power_loss(db);
            int64_t a = value_of(db, "SELECT v FROM a"), b = value_of(db, "SELECT v FROM b");
            if (a != b || a < 20) {
                fail_msg("call %u, seed %u: %d and %d", (unsigned)call, (unsigned)seed, (int)a,
                         (int)b);
            }
            sql_close(db);
        }
    }
}

static void frames_taken_back__are_not_the_log(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        sql_db *db = opened_full(seed, true);
        assert_int_equal(sql_exec(db, "PRAGMA synchronous=NORMAL"), FB_OK);
        assert_int_equal(put(db, 21), FB_OK);
        assert_int_equal(sql_exec(db, "PRAGMA synchronous=FULL"), FB_OK);
        crash_vfs_fail_sync(disk, "phone", 1);
        assert_int_equal(put(db, 22), FB_E_IO);
        assert_int_equal(put(db, 23), FB_OK);
        db = after_power_loss(db);
        assert_int_equal(value_of(db, "SELECT v FROM a"), 23);
        assert_int_equal(value_of(db, "SELECT v FROM b"), 23);
        sql_close(db);
    }
}

/* The simulator's seed 611: somebody read an older state, so a checkpoint ended in the middle of
 * the log, without a sync; then the sync of the next one failed. */
static void pages_of_a_checkpoint_cut_short__are_written_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        crash_vfs_remove(disk, "phone");
        crash_vfs_reseed(disk, seed);
        sql_db *db = opened();
        assert_int_equal(sql_exec(db, "CREATE TABLE a (v); CREATE TABLE b (v);"
                                      "INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)"),
                         FB_OK);
        assert_int_equal(sql_checkpoint_all(db), FB_OK);
        assert_int_equal(sql_exec(db, "UPDATE a SET v=1"), FB_OK);
        sql_db *reader = opened();
        assert_int_equal(sql_begin_read(reader), FB_OK);
        assert_int_equal(value_of(reader, "SELECT v FROM a"), 1);
        assert_int_equal(sql_exec(db, "UPDATE b SET v=1"), FB_OK);
        assert_int_equal(sql_checkpoint(db), FB_OK);
        sql_rollback(reader);
        crash_vfs_fail_sync(disk, "phone", 2); /* the log's, then the database's */
        assert_int_equal(sql_checkpoint(db), FB_E_IO);
        assert_int_equal(sql_checkpoint(db), FB_OK);
        assert_int_equal(sql_exec(db, "UPDATE b SET v=2"), FB_OK); /* the log begins anew */
        crash_vfs_crash(disk, "phone");
        sql_close(reader);
        db = after_power_loss(db);
        assert_int_equal(value_of(db, "SELECT v FROM a"), 1);
        assert_int_equal(value_of(db, "SELECT v FROM b"), 2);
        sql_close(db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commit_after_failed_sync__is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(checkpoint_after_failed_sync__is_never_half_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(kept_commit__is_not_written_again, setup, teardown),
        cmocka_unit_test_setup_teardown(log_that_was_there__is_not_written_again, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_taken_back__are_not_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_of_a_checkpoint_cut_short__are_written_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(sync_that_failed_for_another__is_made_good, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(log_begun_by_another__is_written_again_whole, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
