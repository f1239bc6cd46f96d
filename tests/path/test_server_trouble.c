/* test_server_trouble.c - the server's disk fills up, fails or loses power at every single call,
 * and the reply is lost at every point: nothing is acknowledged that is not kept, nothing is taken
 * twice, and no restart is needed where the process lives.
 *
 * Method: one device sends one group again and again; the n-th mutating file call of the server
 * fails, for n from 1 until no call is left to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "sql/sql.h"
#include "support/fleet.h"

#include <cmocka.h>
#undef fail

enum { CALLS_MAX = 400 };

static fleet f;

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static void talk(fleet_device *d, int number)
{
    char subject[32];
    fb_error err = {0};
    snprintf(subject, sizeof subject, "talk %d", number);
    fleet_must(fb_activity_log(d->db, &f.customers[0], subject, NULL, NULL, &err), &err,
               "fb_activity_log");
}

/* Rows on the server with this subject, straight from its tables. */
static int64_t on_server(int number)
{
    sql_stmt *q = NULL;
    fb_error err = {0};
    bool row = false;
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM activity WHERE subject = 'talk %d'", number);
    fleet_must(store_query(f.admin, text_of(sql), &q, &err), &err, sql);
    fleet_must(sql_step(q, &row), NULL, sql);
    int64_t count = sql_int(q, 0);
    sql_finalize(q);
    return count;
}

static int64_t pending(fleet_device *d)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    return s.pending_count;
}

/* What a device must be told while the server has trouble of its own. */
static void is_told_to_come_back(fleet_device *d, fb_code rc, const fb_error *err)
{
    fb_class c = fb_code_class(rc);
    if (rc != FB_OK && c != FB_CLASS_RETRY && c != FB_CLASS_STORAGE) {
        print_error("%s: %s %s\n", fb_code_name(rc), err->field, err->message);
    }
    assert_true(rc == FB_OK || c == FB_CLASS_RETRY || c == FB_CLASS_STORAGE);
    if (!d->report.complete) {
        assert_true(d->report.waiting && d->report.retry_ms > 0);
    }
}

static void call_fails_and_heals(int result, bool for_ever)
{
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    int fired = 0, told = 0;
    for (int n = 1; n <= CALLS_MAX; n++) {
        fb_error err = {0};
        talk(d, n);
        f.now_ms += 1000;
        crash_vfs_fail(f.vfs, "server", (uint64_t)n, result, for_ever);
        fb_code rc = fleet_try_sync(d, &err);
        bool hit = crash_vfs_failed(f.vfs, "server");
        is_told_to_come_back(d, rc, &err);
        assert_true(pending(d) > 0 || on_server(n) == 1); /* SRV-1 */
        fired += hit;
        told += !d->report.complete;
        crash_vfs_fail(f.vfs, "server", 0, 0, false);
        fleet_sync(d); /* the same process */
        assert_int_equal(on_server(n), 1);
        assert_int_equal(pending(d), 0);
        if (!hit) {
            break;
        }
    }
    assert_in_range(fired, 4, CALLS_MAX - 1);
    assert_true(told > 0);
}

static void disk_full_at_every_call(void **state)
{
    (void)state;
    call_fails_and_heals(SQLITE_FULL, true);
}

static void disk_full_once_at_every_call(void **state)
{
    (void)state;
    call_fails_and_heals(SQLITE_FULL, false);
}

static void disk_error_once_at_every_call(void **state)
{
    (void)state;
    call_fails_and_heals(SQLITE_IOERR_WRITE, false);
}

/* Power is lost instead of the n-th call. (Between commit and reply no call is left: test_poison.c
 * kills the process there.) */
static void power_lost_at_every_call(void **state)
{
    (void)state;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    int crashes = 0;
    for (int n = 1; n <= CALLS_MAX; n++) {
        fb_error err = {0};
        talk(d, n);
        f.now_ms += 61000; /* the mark is due too */
        crash_vfs_crash_after(f.vfs, "server", (uint64_t)n);
        fb_code rc = fleet_try_sync(d, &err);
        bool hit = crash_vfs_is_crashed(f.vfs, "server");
        is_told_to_come_back(d, rc, &err);
        bool answered = pending(d) == 0;
        if (hit) {
            fleet_server_stop(&f);
            crash_vfs_reboot(f.vfs, "server");
            fleet_server_start(&f);
            crashes++;
            assert_true(!answered || on_server(n) == 1); /* SRV-1 */
            assert_false(server_is_suspect(f.srv));      /* MRK-1 */
        }
        crash_vfs_crash_after(f.vfs, "server", 0);
        fleet_sync(d);
        assert_int_equal(on_server(n), 1);
        assert_int_equal(pending(d), 0);
        if (!hit) {
            break;
        }
    }
    assert_in_range(crashes, 4, CALLS_MAX - 1);
}

/* I2: a commit fails at its sync and the process ends before anything else is written. What the
 * next one finds in the log, and answers for, is there after the power went. */
static void unsynced_log__is_made_to_last_before_it_is_answered_for(void **state)
{
    (void)state;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    int answered = 0;
    bool hit = true;
    for (int n = 1; n <= CALLS_MAX && hit; n++) {
        fb_error err = {0};
        talk(d, n);
        f.now_ms += 1000;
        crash_vfs_fail(f.vfs, "server", (uint64_t)n, SQLITE_IOERR_FSYNC, true);
        (void)fleet_try_sync(d, &err);
        hit = crash_vfs_failed(f.vfs, "server");
        crash_vfs_kill(f.vfs, "server");
        fleet_server_stop(&f);
        crash_vfs_fail(f.vfs, "server", 0, 0, false);
        fleet_server_start(&f);
        bool there = on_server(n) == 1;
        crash_vfs_crash(f.vfs, "server");
        fleet_server_stop(&f);
        crash_vfs_reboot(f.vfs, "server");
        fleet_server_start(&f);
        assert_true(!there || on_server(n) == 1);
        assert_false(server_is_suspect(f.srv));
        answered += there && hit;
        fleet_sync(d);
        assert_int_equal(on_server(n), 1);
    }
    assert_true(answered > 0);
}

/* A careful server whose disk is full again and again: no attempt was made, nothing is held. */
static void full_disk_is_no_attempt(void **state)
{
    (void)state;
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    crash_vfs_crash(f.vfs, "server");
    fleet_server_stop(&f);
    crash_vfs_reboot(f.vfs, "server");
    fleet_server_start(&f);
    talk(d, 1);
    for (int i = 0; i < 200; i++) {
        fb_error err = {0};
        f.now_ms += 1000;
        crash_vfs_fail(f.vfs, "server", 1 + (uint64_t)i % 40, SQLITE_FULL, false);
        (void)fleet_try_sync(d, &err);
        crash_vfs_fail(f.vfs, "server", 0, 0, false);
        if (pending(d) == 0) {
            talk(d, i + 2);
        }
    }
    fleet_sync(d);
    assert_int_equal(pending(d), 0);
    assert_int_equal(d->report.held_count, 0);
    sql_stmt *q = NULL;
    bool row = false;
    fleet_must(
        store_query(f.admin, text_of("SELECT count(*) FROM fs_verdict WHERE code = 4"), &q, NULL),
        NULL, "held");
    fleet_must(sql_step(q, &row), NULL, "held");
    assert_int_equal(sql_int(q, 0), 0);
    sql_finalize(q);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(disk_full_at_every_call),
        CASE(disk_full_once_at_every_call),
        CASE(disk_error_once_at_every_call),
        CASE(power_lost_at_every_call),
        CASE(unsynced_log__is_made_to_last_before_it_is_answered_for),
        CASE(full_disk_is_no_attempt),
    };
    return cmocka_run_group_tests_name("server trouble", tests, NULL, NULL);
}
