/* test_restored.c - a server that was put back, and devices that come to it in another order than
 * that in which they worked: ITK-5. Over a server and devices in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>

enum { MINUTE_MS = 60000 };

static fleet f;
static fleet_device *rep, *manager; /* who makes rows; who works on them */

static void backup_take(void)
{
    crash_vfs_copy(f.vfs, "server", "backup");
}

/* fieldbook-admin restore. */
static void backup_put_back(void)
{
    fb_error err = {0};
    int64_t commit = 0;
    const server_epoch_options o = {.path = "server/master.db", .vfs = "fleetfs", .port = &f.port};
    fleet_server_stop(&f);
    crash_vfs_remove(f.vfs, "server");
    crash_vfs_copy(f.vfs, "backup", "server");
    fleet_must(server_epoch_new(&o, &commit, &err), &err, "server_epoch_new");
    fleet_server_start(&f);
}

static fb_status status(fleet_device *d)
{
    fb_status s = FB_STATUS_INIT;
    fleet_must(fb_status_get(d->db, &s, NULL), NULL, "status");
    return s;
}

/* One sync that may leave something waiting. */
static void comes(fleet_device *d)
{
    fb_error err = {0};
    f.now_ms += 1000;
    fb_code rc = fleet_try_sync(d, &err);
    fleet_must(rc == FB_E_BUSY ? FB_OK : rc, &err, "sync");
}

static void talk(fleet_device *d, const fb_id *customer, const char *subject)
{
    fb_error err = {0};
    f.now_ms += MINUTE_MS;
    fleet_must(fb_activity_log(d->db, customer, subject, NULL, NULL, &err), &err, subject);
}

static int64_t talks(fleet_device *d, const char *subject)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM activity WHERE subject = '%s'", subject);
    return fleet_number(d, sql);
}

static fb_id shop_make_in(fleet_device *d, const char *code, const char *licence,
                          const fb_id *territory)
{
    char json[260];
    fb_error err = {0};
    fb_id id = {{0}};
    snprintf(json, sizeof json,
             "{\"code\":\"%s\",\"name\":\"Shop %s\",\"licence_no\":\"%s\",\"territory_id\":\"%s\"}",
             code, code, licence, id_text(territory));
    fleet_must(fb_record_put_json(d->db, "customer", json, &id, &err), &err, json);
    return id;
}

static fb_id shop_make(fleet_device *d, const char *code, const char *licence)
{
    return shop_make_in(d, code, licence, &f.territories[0]);
}

static void remark(fleet_device *d, const fb_id *customer, const char *json)
{
    fb_error err = {0};
    f.now_ms += MINUTE_MS;
    fleet_must(fb_customer_update(d->db, customer, json, NULL, &err), &err, json);
}

/* Its maker's backup brings back what it was; the server knows more of it than it does. */
static void phone_is_put_back(fleet_device *d)
{
    crash_vfs_remove(f.vfs, "cloud");
    crash_vfs_copy(f.vfs, "dev1", "cloud");
    talk(d, &f.customers[0], "since");
    fleet_sync(d);
    fb_db_close(d->db);
    d->db = NULL;
    crash_vfs_remove(f.vfs, "dev1");
    crash_vfs_copy(f.vfs, "cloud", "dev1");
    fleet_open_again(d);
    talk(d, &f.customers[0], "another");
    fleet_sync(d);
    assert_int_equal(d->report.rebirths_count, 1);
}

/* The rep hears that a backup holds everything. */
static void backup_is_told(void)
{
    int64_t head = 0;
    fleet_must(store_begin(f.admin), NULL, "begin");
    fleet_must(ledger_head(f.admin, &head), NULL, "head");
    fleet_must(store_meta_int_set(f.admin, "backed_up_cid", head), NULL, "backed_up_cid");
    fleet_must(store_commit(f.admin), NULL, "commit");
    server_tick(f.srv, (uint64_t)f.now_ms);
    fleet_sync(rep);
    fleet_sync(rep);
}

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    rep = fleet_device_add(&f, &f.users[0]);
    manager = fleet_device_add(&f, &f.manager);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

/* After the backup the rep opens a shop; the manager refers to it and changes it, and everything
 * was applied once. */
static fb_id work_is_lost(void)
{
    backup_take();
    fb_id shop = shop_make(rep, "C7", "L-7");
    fleet_sync(rep);
    fleet_sync(manager);
    talk(manager, &shop, "on the new one");
    remark(manager, &shop, "{\"remark\":\"by the manager\"}");
    talk(manager, &f.customers[0], "behind it");
    fleet_sync(manager);
    assert_int_equal(manager->report.applied_count, 3);
    backup_put_back();
    return shop;
}

static void work_on_a_row__waits_until_the_row_has_come_again(void **state)
{
    (void)state;
    (void)work_is_lost();
    comes(manager);
    assert_true(manager->report.epoch_changed);
    assert_int_equal(status(manager).pending_count, 3);
    assert_int_equal(status(manager).rejected_count, 0);
    fleet_sync(rep);
    fleet_sync(manager);
    assert_int_equal(manager->report.applied_count, 3);
    assert_int_equal(status(manager).rejected_count, 0);
    fleet_sync(rep);
    assert_int_equal(talks(rep, "on the new one"), 1);
    assert_int_equal(talks(rep, "behind it"), 1);
    assert_int_equal(
        fleet_number(rep, "SELECT count(*) FROM customer WHERE remark = 'by the manager'"), 1);
}

/* One deletes what another made: it does not come back behind his back. What he saw of it is of the
 * lost epoch, so he is asked whether it still holds. */
static void row_that_was_deleted__does_not_come_back_unsaid(void **state)
{
    (void)state;
    fb_error err = {0};
    char json[200];
    fb_id contact = {{0}};
    backup_take();
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Li\"}",
             id_text(&f.customers[0]));
    fleet_must(fb_record_put_json(rep->db, "contact", json, &contact, &err), &err, json);
    fleet_sync(rep);
    fleet_sync(manager);
    fleet_must(fb_record_delete(manager->db, "contact", &contact, &err), &err, "delete");
    fleet_sync(manager);
    backup_put_back();
    comes(manager);
    assert_int_equal(status(manager).pending_count, 1);
    fleet_sync(rep);
    fleet_sync(manager);
    assert_int_equal(status(manager).pending_count, 0);
    assert_int_equal(status(manager).rejected_count, 1);
}

/* A server that was copied while it ran starts carefully: a group that it meets again and again is
 * no poison (intake/attempt.h). */
static void coming_again_and_again__is_no_crash(void **state)
{
    (void)state;
    (void)work_is_lost();
    for (int i = 0; i < 6; i++) {
        comes(manager);
        assert_int_equal(status(manager).pending_count, 3);
    }
    assert_int_equal(status(manager).held_count, 0);
    fleet_sync(rep);
    fleet_sync(manager);
    assert_int_equal(manager->report.applied_count, 3);
}

/* The phone with the shop is lost: an hour for every device, from when it comes, then the tray. */
static void work_on_a_row_that_does_not_come__is_refused_after_an_hour(void **state)
{
    (void)state;
    (void)work_is_lost();
    f.now_ms += 600 * MINUTE_MS;
    comes(manager);
    assert_int_equal(status(manager).pending_count, 3);
    f.now_ms += 59 * MINUTE_MS;
    comes(manager);
    assert_int_equal(status(manager).pending_count, 3);
    f.now_ms += MINUTE_MS;
    fleet_sync(manager);
    assert_int_equal(manager->report.rejected_count, 2);
    assert_int_equal(manager->report.applied_count, 1);
    assert_int_equal(status(manager).held_count, 0);
    fleet_sync(rep);
    assert_int_equal(talks(rep, "behind it"), 1);
}

/* What was deleted will not come. */
static void work_on_a_row_that_is_gone__is_refused_at_once(void **state)
{
    (void)state;
    fb_error err = {0};
    char json[200];
    fb_id contact = {{0}};
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Li\"}",
             id_text(&f.customers[0]));
    fleet_must(fb_record_put_json(rep->db, "contact", json, &contact, &err), &err, json);
    fleet_sync(rep);
    fleet_sync(manager);
    backup_take();
    backup_put_back();
    company_delete(&f.company, "contact", &contact);
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"name\":\"Li Lei\"}", id_text(&contact));
    fleet_must(fb_record_put_json(manager->db, "contact", json, &contact, &err), &err, json);
    fleet_sync(manager);
    assert_int_equal(manager->report.rejected_count, 1);
}

/* A second accident: the hour of the first is over, that of the second is not. */
static void second_restore__gives_another_hour(void **state)
{
    (void)state;
    (void)work_is_lost();
    comes(manager);
    f.now_ms += 30 * MINUTE_MS;
    backup_take();
    f.now_ms += 600 * MINUTE_MS;
    backup_put_back();
    comes(manager);
    assert_int_equal(status(manager).pending_count, 3);
    fleet_sync(rep);
    fleet_sync(manager);
    assert_int_equal(manager->report.applied_count, 3);
}

/* The operating system's clock was ahead and is put right: nobody waits for a moment of its own. */
static void clock_put_back__makes_nobody_wait_longer(void **state)
{
    (void)state;
    (void)work_is_lost();
    int64_t right_ms = f.now_ms;
    f.now_ms += 600 * MINUTE_MS;
    comes(manager);
    f.now_ms = right_ms;
    comes(manager);
    assert_int_equal(status(manager).pending_count, 3);
    f.now_ms += 60 * MINUTE_MS;
    fleet_sync(manager);
    assert_int_equal(manager->report.rejected_count, 2);
}

/* A manager approves what a rep asked for, and comes first. */
static void approval__waits_for_what_was_asked(void **state)
{
    (void)state;
    fb_error err = {0};
    char json[400];
    fb_id asked = {{0}};
    backup_take();
    snprintf(json, sizeof json,
             "{\"target_entity\":\"customer\",\"target_id\":\"%s\",\"kind\":\"update\","
             "\"diff_json\":\"{\\\"remark\\\":\\\"as "
             "asked\\\"}\",\"reason\":\"r\",\"customer_id\":\"%s\",\"status\":\"submitted\","
             "\"requested_by\":\"%s\"}",
             id_text(&f.customers[0]), id_text(&f.customers[0]), id_text(&f.users[0]));
    fleet_must(fb_record_put_json(rep->db, "change_request", json, &asked, &err), &err, json);
    fleet_sync(rep);
    fleet_sync(manager);
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"status\":\"approved\"}", id_text(&asked));
    fleet_must(fb_record_put_json(manager->db, "change_request", json, &asked, &err), &err, json);
    fleet_sync(manager);
    assert_int_equal(manager->report.rejected_count, 0);
    backup_put_back();
    comes(manager);
    assert_int_equal(status(manager).pending_count, 1);
    fleet_sync(rep);
    fleet_sync(manager);
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE remark = 'as asked'"),
                     1);
}

/* The record of a conflict is the server's own, and has the same id when the same group makes it
 * again: whoever settled it has settled it. */
static void settlement_of_a_conflict__waits_for_the_record(void **state)
{
    (void)state;
    fb_error err = {0};
    char json[200], hex[40];
    fb_id conflict = {{0}};
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    backup_take();
    remark(rep, &f.customers[0], "{\"remark\":\"earlier\"}");
    remark(other, &f.customers[0], "{\"remark\":\"later\"}");
    fleet_sync(rep);
    fleet_sync(other);
    fleet_sync(manager);
    fleet_text(manager, "SELECT lower(hex(id)) FROM conflict WHERE field = 'remark'", hex,
               sizeof hex);
    assert_true(hex_get(text_of(hex), conflict.b, sizeof conflict.b));
    for (int i = 0; i < 2; i++) {
        snprintf(json, sizeof json, "{\"id\":\"%s\",\"winner\":\"theirs\",\"state\":\"%s\"}",
                 id_text(&conflict), i == 0 ? "open" : "resolved");
        fleet_must(fb_record_put_json(manager->db, "conflict", json, &conflict, &err), &err, json);
    }
    fleet_sync(manager);
    assert_int_equal(manager->report.rejected_count, 0);
    backup_put_back();
    comes(manager);
    assert_int_equal(status(manager).pending_count, 2);
    fleet_sync(rep);
    fleet_sync(other);
    fleet_sync(manager);
    assert_int_equal(manager->report.rejected_count, 0);
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE remark = 'earlier'"),
                     1);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM conflict WHERE state = 'resolved'"),
                     1);
}

/* A second life of the phone (it was put back) keeps what the first was answered, aliases too, as
 * long as no backup holds it: the restored server may decide the other way round. */
static void alias_of_an_earlier_life__is_forgotten_with_its_answer(void **state)
{
    (void)state;
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    backup_take();
    (void)shop_make(other, "C8", "L-8");
    fleet_sync(other);
    fb_id mine = shop_make(rep, "C9", "L-8");
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code = 'C9'"), 0);
    phone_is_put_back(rep);
    backup_put_back();
    fleet_sync(rep); /* now this one was first */
    fleet_sync(other);
    fleet_sync(rep);
    talk(rep, &mine, "with the survivor");
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code = 'C9'"), 1);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity a JOIN customer c ON c.id = "
                                       "a.customer_id WHERE c.code = 'C9'"),
                     1);
    fleet_sync(rep);
    fleet_sync(other);
    assert_int_equal(talks(other, "with the survivor"), 1);
}

/* What a backup had of the first life stays in the second, whatever epoch comes. */
static void alias_that_a_backup_holds__stays(void **state)
{
    (void)state;
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    (void)shop_make(other, "C8", "L-8");
    fleet_sync(other);
    fb_id mine = shop_make(rep, "C9", "L-8");
    fleet_sync(rep);
    talk(rep, &mine, "a commit behind the verdict");
    fleet_sync(rep);
    backup_take();
    backup_is_told();
    phone_is_put_back(rep);
    talk(rep, &f.customers[0], "in the second life");
    fleet_sync(rep);
    phone_is_put_back(rep);
    backup_put_back();
    fleet_sync(rep);
    assert_true(rep->report.epoch_changed);
    talk(rep, &mine, "by its old name");
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity a JOIN customer c ON c.id = "
                                       "a.customer_id WHERE c.code = 'C8' AND a.subject = "
                                       "'by its old name'"),
                     1);
}

/* Enrolled anew, it does not wait to be told of the epoch. */
static void alias__is_forgotten_when_enrolled_at_a_restored_server(void **state)
{
    (void)state;
    fb_error err = {0};
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    backup_take();
    (void)shop_make(other, "C8", "L-8");
    fleet_sync(other);
    fb_id mine = shop_make(rep, "C9", "L-8");
    fleet_sync(rep);
    backup_put_back();
    fleet_must(fleet_enrol_again(rep, &f.users[0], &err), &err, "enrol again");
    fleet_sync(rep); /* now this one was first */
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code = 'C9'"), 1);
    talk(rep, &mine, "on its own");
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity a JOIN customer c ON c.id = "
                                       "a.customer_id WHERE c.code = 'C9'"),
                     1);
    fleet_sync(rep);
    fleet_sync(other);
    assert_int_equal(talks(other, "on its own"), 1);
}

static void manager_accepts(void)
{
    char id[64], args[200];
    fb_error err = {0};
    char *json = NULL;
    fleet_sync(manager);
    fleet_text(manager,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\",\"reason\":\"\"}", id);
    fleet_must(fb_command_run(manager->db, "held.accept", args, &json, &err), &err, "accept");
    fb_string_free(json);
    fleet_sync(manager);
}

/* The backup has the group and not its decision, with which an alias came: it waits again, and its
 * author sees his customer again. */
static void alias_of_a_decision__is_forgotten_with_it(void **state)
{
    (void)state;
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    fb_id mine = shop_make_in(rep, "C9", "L-8", &f.territories[1]); /* not the rep's */
    fleet_sync(rep);
    assert_int_equal(status(rep).held_count, 1);
    talk(rep, &f.customers[0], "settled");
    fleet_sync(rep);
    backup_is_told();
    backup_take();
    (void)shop_make(other, "C8", "L-8");
    fleet_sync(other);
    manager_accepts();
    fleet_sync(rep);
    assert_int_equal(status(rep).held_count, 0);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code = 'C9'"), 0);
    backup_put_back();
    fleet_sync(rep);
    assert_int_equal(status(rep).held_count, 1);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM customer WHERE code = 'C9'"), 1);
    fleet_sync(other);
    fleet_sync(manager); /* what was decided comes again */
    fleet_sync(rep);
    assert_int_equal(status(rep).held_count, 0);
    talk(rep, &mine, "by its old name");
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity a JOIN customer c ON c.id = "
                                       "a.customer_id WHERE c.code = 'C8'"),
                     1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(work_on_a_row__waits_until_the_row_has_come_again),
        CASE(row_that_was_deleted__does_not_come_back_unsaid),
        CASE(coming_again_and_again__is_no_crash),
        CASE(work_on_a_row_that_does_not_come__is_refused_after_an_hour),
        CASE(work_on_a_row_that_is_gone__is_refused_at_once),
        CASE(second_restore__gives_another_hour),
        CASE(clock_put_back__makes_nobody_wait_longer),
        CASE(approval__waits_for_what_was_asked),
        CASE(alias_of_an_earlier_life__is_forgotten_with_its_answer),
        CASE(alias_that_a_backup_holds__stays),
        CASE(alias__is_forgotten_when_enrolled_at_a_restored_server),
        CASE(alias_of_a_decision__is_forgotten_with_it),
        CASE(settlement_of_a_conflict__waits_for_the_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
