/* test_horizon.c - a device that was away for longer than the server remembers what is gone: the
 * server forgets by itself, the device begins anew and keeps what it has saved, and nobody who came
 * in time notices.
 *
 * Method: a server and devices in memory, whose clock goes on by years; what the server still knows
 * is counted in its tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sql/sql.h"
#include "support/fleet.h"

#include <cmocka.h>

#define DAY_MS INT64_C(86400000)
enum { SHOPS = 6, GONE_DAYS = 90 };

static fleet f;
static fb_id shops[SHOPS];
static fleet_device *away, *here;

static int begin(void **state)
{
    (void)state;
    f = (fleet){.gone_days = GONE_DAYS};
    fleet_open(&f);
    for (int i = 0; i < SHOPS; i++) {
        char code[8];
        snprintf(code, sizeof code, "K%d", i);
        shops[i] = company_add(&f.company, "customer",
                               PAIRS("code", code, "name", code, "status", "active", "territory_id",
                                     id_text(&f.territories[0])));
    }
    away = fleet_device_add(&f, &f.users[0]);
    here = fleet_device_add(&f, &f.users[0]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

/* One that left, one that was deleted. */
static void two_shops_go(void)
{
    company_set(&f.company, "customer", &shops[1],
                PAIRS("territory_id", id_text(&f.territories[1])));
    company_delete(&f.company, "customer", &shops[2]);
}

static void days_pass(int days)
{
    f.now_ms += days * DAY_MS;
    server_tick(f.srv, (uint64_t)f.now_ms);
}

static int64_t server_number(const char *sql)
{
    fb_error err = {0};
    sql_db *db = NULL;
    bool row = false;
    const sql_options o = {.vfs = "fleetfs"};
    fleet_must(sql_open("server/master.db", &o, &db, &err), &err, "master");
    sql_stmt *s = sql_prepare(db, sql);
    fleet_must(sql_step(s, &row), NULL, sql);
    int64_t v = row ? sql_int(s, 0) : -1;
    sql_close(db);
    return v;
}

static int64_t remembered(void)
{
    return server_number("SELECT count(*) FROM fs_feed WHERE kind IN (1, 2)");
}

static int64_t shops_of(fleet_device *d)
{
    return fleet_number(d, "SELECT count(*) FROM customer WHERE code GLOB 'K*'");
}

static void horizon__who_was_away_longer_begins_anew_and_keeps_its_work(void **state)
{
    fb_error err = {0};
    fb_status s = FB_STATUS_INIT;
    (void)state;
    fleet_must(fb_activity_log(away->db, &shops[0], "saved long ago", NULL, NULL, &err), &err,
               "log");
    two_shops_go();
    fleet_sync(here);
    f.now_ms += (GONE_DAYS - 1) * DAY_MS;
    company_set(&f.company, "customer", &shops[3], PAIRS("name", "in time"));
    days_pass(0);
    assert_true(remembered() >= 2);
    f.now_ms += 2 * DAY_MS;
    company_set(&f.company, "customer", &shops[4], PAIRS("name", "later"));
    days_pass(1);
    assert_int_equal(remembered(), 0);

    fleet_sync(away);
    assert_int_equal(away->report.applied_count, 1);
    assert_true(away->report.rows_count > 50); /* everything */
    assert_int_equal(shops_of(away), SHOPS - 2);
    assert_int_equal(fleet_number(away, "SELECT count(*) FROM activity"), 1);
    fleet_must(fb_status_get(away->db, &s, &err), &err, "status");
    assert_int_equal(s.pending_count + s.rejected_count + s.held_count, 0);
    fleet_must(fb_db_check(away->db, &err), &err, "check");
    assert_int_equal(shops_of(here), SHOPS - 2);
}

/* Nothing was committed for years: whoever stands at the head has everything. */
static void horizon__nobody_who_has_everything_begins_anew(void **state)
{
    (void)state;
    two_shops_go();
    fleet_sync(here);
    days_pass(3 * GONE_DAYS);
    company_set(&f.company, "customer", &shops[4], PAIRS("name", "after years"));
    days_pass(1);
    assert_int_equal(remembered(), 0);
    fleet_sync(here);
    assert_int_equal(here->report.rows_count, 1);
    assert_int_equal(shops_of(here), SHOPS - 2);
    fleet_sync(away);
    assert_true(away->report.rows_count > 50);
    assert_int_equal(shops_of(away), SHOPS - 2);
}

/* The battery of its clock is empty, or somebody set it to 2099: nothing is forgotten for that. */
static void horizon__a_clock_that_runs_ahead_forgets_nothing(void **state)
{
    (void)state;
    two_shops_go();
    int64_t now = f.now_ms;
    days_pass(70 * 365);
    assert_true(remembered() >= 2);
    f.now_ms = now + DAY_MS;
    fleet_sync(away);
    assert_true(away->report.rows_count < 10);
    assert_int_equal(shops_of(away), SHOPS - 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(horizon__who_was_away_longer_begins_anew_and_keeps_its_work),
        TEST(horizon__nobody_who_has_everything_begins_anew),
        TEST(horizon__a_clock_that_runs_ahead_forgets_nothing),
    };
    return cmocka_run_group_tests_name("horizon", tests, NULL, NULL);
}
