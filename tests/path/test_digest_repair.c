/* test_digest_repair.c - rows that are wrong behind everybody's back: found, mended in their
 * buckets alone, counted and told; a server whose feed lost entries raises an alarm and no loop.
 * Over a server and devices in memory. Every complete sync of the ordinary cases must find nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sql/sql.h"
#include "support/fleet.h"
#include "sync-server/door/door.h"
#include "sync-server/feed/feed.h"

#include <cmocka.h>

enum { DAY = 86400000, CUSTOMERS = 400 };

static fleet f;

/* Behind the back of whoever has the file open. */
static void tamper(const char *path, const char *sql)
{
    sql_db *db = NULL;
    fb_error err = {0};
    fleet_must(sql_open(path, &(sql_options){.vfs = "fleetfs"}, &db, &err), &err, "tamper");
    if (sql_exec(db, sql) != FB_OK) {
        fail_msg("%s: %s", sql, sql_message(db));
    }
    sql_close(db);
}

static fleet_device *world(void)
{
    char code[16];
    fleet_open(&f);
    const char *territory = id_text(&f.territories[0]);
    for (int i = 0; i < CUSTOMERS; i++) {
        snprintf(code, sizeof code, "K%05d", i);
        company_add(&f.company, "customer",
                    PAIRS("code", code, "name", code, "territory_id", territory));
    }
    return fleet_device_add(&f, &f.users[0]);
}

static fb_status status_of(fleet_device *d)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    return s;
}

/* The device's rows are the server's: counted by other means. */
static void assert_mended(fleet_device *d)
{
    fb_error err = {0};
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE code LIKE 'K%'"),
                     CUSTOMERS);
    assert_int_equal(
        fleet_number(d, "SELECT count(*) FROM customer WHERE code LIKE 'K%' AND code <> name"), 0);
    fleet_must(fb_db_check(d->db, &err), &err, "check");
    assert_false(status_of(d).digest_alarm);
}

static void sync_next_day(fleet_device *d)
{
    f.now_ms += DAY;
    fleet_sync(d);
}

static void save_note(fleet_device *d)
{
    fb_error err = {0};
    fb_visit_in visit;
    int64_t gseq = 0;
    fleet_must(fb_group_begin(d->db, "visit.done", 0, &err), &err, "group");
    fleet_must(fb_visit_check_in(d->db, &f.customers[0], NULL, &visit, &err), &err, "check in");
    fleet_must(fb_visit_check_out(d->db, &visit.visit, NULL, &err), &err, "check out");
    fleet_must(fb_group_commit(d->db, &gseq, &err), &err, "commit");
}

/* Own rows take the versions that the server gave them, without their rows coming back. */
static void digest__agrees_after_own_work(void **state)
{
    (void)state;
    fleet_device *d = world();
    for (int i = 0; i < 3; i++) {
        save_note(d);
        fleet_sync(d);
    }
    save_note(d);
    sync_next_day(d);
    assert_int_equal(d->report.digest_faults_count, 0);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM visit WHERE ver = 0"), 0);
    company_set(&f.company, "customer", &f.customers[0], PAIRS("remark", "changed"));
    fleet_sync(d);
    assert_int_equal(status_of(d).digest_faults_count, 0);
    assert_mended(d);
    fleet_close(&f);
}

static void digest__deleted_changed_and_added_rows_are_mended(void **state)
{
    (void)state;
    static const char *const deeds[] = {
        "DELETE FROM customer WHERE code IN ('K00007', 'K00011')",
        "UPDATE customer SET name = 'wrong', ver = ver - 1 WHERE code = 'K00020'",
        "INSERT INTO customer SELECT * FROM customer WHERE 0", /* replaced below */
    };
    fleet_device *d = world();
    fleet_sync(d);
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        int64_t rows = d->report.rows_count;
        (void)rows;
        if (i == 2) {
            tamper(d->path, "CREATE TEMP TABLE t AS SELECT * FROM customer WHERE code = 'K00030';"
                            "UPDATE t SET id = x'0190000000007000800000000000ABCD', code = 'K9',"
                            " ver = 77; INSERT INTO customer SELECT * FROM t");
        } else {
            tamper(d->path, deeds[i]);
        }
        save_note(d); /* pending work is not touched by any of it */
        sync_next_day(d);
        assert_int_equal(d->report.digest_faults_count, 1);
        assert_true(d->report.digest_buckets_count >= 1 && d->report.digest_buckets_count <= 2);
        assert_true(d->report.rows_count < CUSTOMERS / 4); /* not everything again */
        assert_mended(d);
        assert_int_equal(status_of(d).digest_faults_count, (int64_t)i + 1);
    }
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM visit"), 3);
    sync_next_day(d);
    assert_int_equal(d->report.digest_faults_count, 0);
    int64_t devices = 0, faults = 0;
    fleet_must(door_device_faults(f.admin, &devices, &faults), NULL, "faults");
    assert_int_equal(devices, 1);
    assert_true(faults >= 3);
    fleet_close(&f);
}

/* The rows are right and the sum is not: told, but nothing is fetched. */
static void digest__wrong_sum_is_told_and_costs_no_row(void **state)
{
    (void)state;
    fleet_device *d = world();
    tamper(d->path, "UPDATE fb_digest SET rows = rows + 1");
    sync_next_day(d);
    assert_int_equal(d->report.digest_faults_count, 1);
    assert_int_equal(d->report.digest_buckets_count, 0);
    assert_mended(d);
    fleet_close(&f);
}

static void sync_in_pages(fleet_device *d, uint32_t page_bytes)
{
    fb_error err = {0};
    fb_link link = fleet_link(d);
    fb_sync *sync = NULL;
    fb_sync_options o = FB_SYNC_OPTIONS_INIT;
    o.page_bytes = page_bytes;
    f.now_ms += DAY;
    fleet_must(fb_sync_open(d->db, &o, &sync, &err), &err, "open");
    for (int i = 0; i < 4 && !d->report.complete; i++) {
        fleet_must(fb_sync_step(sync, &link, 60000, &d->report, &err), &err, "step");
    }
    fb_sync_close(sync);
}

/* Most is wrong: one download from the start, in one page and in many. */
static void digest__ruin_is_fetched_anew(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 8000};
    fleet_device *d = world();
    for (size_t i = 0; i < 2; i++) {
        tamper(d->path, "DELETE FROM customer WHERE code LIKE 'K%'");
        d->report.complete = false;
        sync_in_pages(d, sizes[i]);
        assert_true(d->report.complete);
        assert_int_equal(d->report.digest_faults_count, 1);
        assert_true(i == 0 || (d->report.requests_count > 5 && d->report.requests_count < 100));
        assert_mended(d);
    }
    fleet_close(&f);
}

/* The server's feed lost entries: nothing the device can do mends that. */
static void digest__lost_feed_entries_raise_an_alarm_and_no_loop(void **state)
{
    (void)state;
    fb_error err = {0};
    world();
    tamper("server/master.db", "DELETE FROM fs_feed WHERE id = (SELECT id FROM customer WHERE code "
                               "= 'K00042')");
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    fleet_sync(d);
    assert_true(status_of(d).digest_alarm);
    assert_true(status_of(d).digest_faults_count > 0);
    fleet_sync(d);
    assert_int_equal(d->report.requests_count, 1);
    fleet_must(store_snapshot(f.admin), NULL, "snapshot");
    assert_int_equal(feed_digest_check(f.admin, &err), FB_E_CORRUPT);
    store_snapshot_end(f.admin);
    save_note(d); /* and work goes on */
    fleet_sync(d);
    assert_int_equal(status_of(d).pending_count, 0);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest__agrees_after_own_work),
        cmocka_unit_test(digest__deleted_changed_and_added_rows_are_mended),
        cmocka_unit_test(digest__wrong_sum_is_told_and_costs_no_row),
        cmocka_unit_test(digest__ruin_is_fetched_anew),
        cmocka_unit_test(digest__lost_feed_entries_raise_an_alarm_and_no_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
