/* test_sql_gone.c - what was deleted stands in no file any more (sql_sum.h SUM-3).
 *
 * Method: rows of all sizes come, grow, shrink and go at random places of a table and an index, so
 * that their cells move from page to page; then all that hold a word lose it. Once the log is in
 * the database, no byte of any file may spell it. */
#include "disk_fixture.h"
#include "sql/sql.h"

#define GONE_DB "phone/gone.db"
#define WORD "zqcanary"

enum { SEEDS = 12, CHANGES = 400, ROWS = 60 };

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void run(sql_db *db, const char *format, unsigned a, unsigned b)
{
    char text[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, format, a, b);
#pragma GCC diagnostic pop
    assert_int_equal(sql_exec(db, text), FB_OK);
}

static void change(sql_db *db, uint64_t *random)
{
    static const char *const CHANGE[] = {
        "INSERT OR REPLACE INTO t VALUES (%u, '" WORD "' || hex(zeroblob(%u)))",
        "INSERT OR REPLACE INTO t VALUES (%u, 'other' || hex(zeroblob(%u)))",
        "UPDATE t SET v='" WORD "' || hex(zeroblob(%2$u)) WHERE id=%1$u",
        "DELETE FROM t WHERE id=%u"};
    unsigned kind = (unsigned)(next(random) % 5) % 4;
    unsigned row = (unsigned)(next(random) % ROWS) * 7919 % 100000;
    run(db, CHANGE[kind], row, (unsigned)(next(random) % 400));
}

static void count_word(void *ctx, const char *file, const void *data, size_t size)
{
    const char *at = data, *end = at + size;
    (void)file;
    while (size > 0 && (at = memmem(at, (size_t)(end - at), WORD, sizeof WORD - 1)) != NULL) {
        ++*(int *)ctx;
        at++;
    }
}

static void deleted_text__is_in_no_file(void **state)
{
    (void)state;
    int before = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        sql_db *db = NULL;
        fb_error err = {.code = FB_OK};
        uint64_t random = seed;
        int after = 0;
        const sql_options o = {.create = true, .vfs = VFS, .secure = true};
        crash_vfs_remove(disk, "phone");
        assert_int_equal(sql_open(GONE_DB, &o, &db, &err), FB_OK);
        sql_checkpoint_by_hand(db);
        run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX t_v ON t (v)", 0, 0);
        for (int i = 0; i < CHANGES; i++) {
            change(db, &random);
        }
        assert_int_equal(sql_checkpoint_all(db), FB_OK);
        crash_vfs_each(disk, count_word, &before);
        run(db, "UPDATE t SET v='x' WHERE v LIKE '" WORD "%%'", 0, 0);
        assert_int_equal(sql_checkpoint_all(db), FB_OK);
        crash_vfs_each(disk, count_word, &after);
        if (after != 0) {
            fail_msg("seed %u: %d times", (unsigned)seed, after);
        }
        assert_int_equal(sql_check(db, &err), FB_OK);
        sql_close(db);
    }
    assert_true(before > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deleted_text__is_in_no_file, setup, teardown),
    };
    return cmocka_run_group_tests_name("sql_gone", tests, NULL, NULL);
}
