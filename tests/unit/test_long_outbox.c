/* test_long_outbox.c - a phone whose answered groups wait for a backup, thousands of them: a save,
 * an exchange and a look at the status do not read them all.
 *
 * Method: SQLite counts the rows that a statement stepped over without an index
 * (SQLITE_STMTSTATUS_FULLSCAN_STEP); no statement of the day may have as many as there are groups.
 */
#include <sqlite3.h>

#include "sql/sql_inside.h"
#include "support/lab.h"

enum { GROUPS = 120 };

static int note_scan(unsigned what, void *ctx, void *statement, void *elapsed)
{
    (void)what;
    (void)elapsed;
    sqlite3_stmt *q = statement;
    const char *sql = sqlite3_sql(q);
    int steps = sqlite3_stmt_status(q, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    if (sql != NULL && steps >= GROUPS / 2) {
        print_error("%d rows: %s\n", steps, sql);
        ++*(int *)ctx;
    }
    return 0;
}

static fb_code no_problem(void *ctx, const problem *p)
{
    (void)p;
    ++*(int *)ctx;
    return FB_OK;
}

static void count_from_now(sqlite3 *db)
{
    for (sqlite3_stmt *q = sqlite3_next_stmt(db, NULL); q != NULL; q = sqlite3_next_stmt(db, q)) {
        (void)sqlite3_stmt_status(q, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    }
}

static void answered(lab *l, int64_t from, int64_t to, int64_t backed_up, verdict_code last)
{
    buf out;
    reply_begin(l, &out, to, backed_up, to);
    for (int64_t i = from; i <= to; i++) {
        bool is_last = i == to;
        reply_verdict(&out, i, is_last ? last : VERDICT_APPLIED,
                      !is_last || last == VERDICT_APPLIED);
    }
    reply_page(&out, "0.3", true, false);
    reply_take(l, &out);
}

static void kept_groups__are_not_read_every_day(void **state)
{
    static const verdict_code LAST[] = {VERDICT_APPLIED, VERDICT_REJECTED, VERDICT_HELD,
                                        VERDICT_APPLIED};
    lab l;
    int scans = 0, problems = 0;
    replica_status status;
    (void)state;
    lab_start(&l, lab_path("long_outbox"), 4);
    for (unsigned i = 1; i <= GROUPS; i++) {
        lab_save(&l, i, "kept", (int64_t)i);
    }
    answered(&l, 1, GROUPS, 0, VERDICT_APPLIED);
    sqlite3 *db = replica_sql(l.r)->handle;
    count_from_now(db);
    sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, note_scan, &scans);
    int64_t last = GROUPS;
    for (int64_t day = 1; day <= (int64_t)(sizeof LAST / sizeof LAST[0]); day++) {
        lab_save(&l, (unsigned)(GROUPS + day), "today", day);
        lab_change(&l, (unsigned)(GROUPS + day), l.note, "changed");
        answered(&l, last + 1, last + 2, day, LAST[day - 1]);
        last += 2;
        assert_int_equal(replica_status_get(l.r, &status), FB_OK);
        assert_int_equal(problem_each(l.r, no_problem, &problems), FB_OK);
    }
    sqlite3_trace_v2(db, 0, NULL, NULL);
    assert_int_equal(status.rejected, 1);
    assert_int_equal(status.held, 1);
    assert_int_equal(status.pending, 0);
    assert_int_equal(scans, 0);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_groups__are_not_read_every_day),
    };
    return cmocka_run_group_tests_name("long_outbox", tests, NULL, NULL);
}
