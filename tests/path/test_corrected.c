/* test_corrected.c - refused work that is corrected and sent again across the lives of a phone.
 *
 * A correction names the group it replaces by its number, and numbers count anew in a new life: one
 * that goes on there must not be taken to mean another group; and what an earlier life was refused
 * can be corrected and given up as well as what this one was.
 *
 * Method: devices over a server in memory; files of the phone are lost or put back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>
#undef fail

#define DAY_MS INT64_C(86400000)

#define WAITING "SELECT count(*) FROM held_group WHERE state='open'"

static fleet f;
static fb_id shop;
static fleet_device *rep, *manager;

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    shop = company_add(
        &f.company, "customer",
        PAIRS("code", "K1", "name", "Corner", "territory_id", id_text(&f.territories[0])));
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

static void talk(const char *subject)
{
    fb_error err = {0};
    f.now_ms += 60000;
    fleet_must(fb_activity_log(rep->db, &f.customers[0], subject, NULL, NULL, &err), &err, subject);
}

static int64_t talks(const char *subject)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM activity WHERE subject='%s'", subject);
    fleet_sync(manager);
    return fleet_number(manager, sql);
}

static int64_t in_tray(void)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(rep->db, &s, &err), &err, "status");
    assert_int_equal(s.pending_count, 0);
    return s.held_count * 100 + s.rejected_count * 10 + s.blocked_count;
}

static fb_code keep_number(void *ctx, const fb_problem *p)
{
    int64_t *gseq = ctx;
    if (text_is(p->state, "rejected")) {
        *gseq = p->gseq;
    }
    return FB_OK;
}

static int64_t refused_number(void)
{
    int64_t gseq = 0;
    fb_error err = {0};
    fleet_must(fb_problem_each(rep->db, keep_number, &gseq, &err), &err, "tray");
    assert_int_not_equal(gseq, 0);
    return gseq;
}

/* His role was taken while he saved, and is given back. */
static void work_is_refused(const char *subject)
{
    char hex[40], user[40], role[40];
    fb_id id;
    fleet_text(rep, "SELECT lower(hex(id)) FROM user_role", hex, sizeof hex);
    fleet_text(rep, "SELECT lower(hex(user_id)) FROM user_role", user, sizeof user);
    fleet_text(rep, "SELECT lower(hex(role_id)) FROM user_role", role, sizeof role);
    assert_true(hex_get(text_of(hex), id.b, sizeof id.b));
    talk(subject);
    company_delete(&f.company, "user_role", &id);
    fleet_sync(rep);
    assert_int_equal(rep->report.rejected_count, 1);
    fb_id who, what;
    assert_true(hex_get(text_of(user), who.b, sizeof who.b));
    assert_true(hex_get(text_of(role), what.b, sizeof what.b));
    company_add(&f.company, "user_role",
                PAIRS("user_id", id_text(&who), "role_id", id_text(&what)));
    fleet_sync(rep);
}

/* Edited offline, the shop moved, met again so late that a manager must decide. */
static void work_is_held(void)
{
    static const char *const columns[] = {"remark"};
    const fb_value value = {.kind = FB_KIND_TEXT, .u.text = {"by the rep", 10}};
    const fb_record_change c = {columns, &value, 1};
    fb_error err = {0};
    fleet_must(fb_record_update(rep->db, "customer", &shop, &c, &err), &err, "remark");
    f.now_ms += 40 * DAY_MS;
    company_set(&f.company, "customer", &shop, PAIRS("territory_id", id_text(&f.territories[1])));
    f.now_ms += 40 * DAY_MS;
    fleet_sync(rep);
}

static void send_again(int64_t gseq)
{
    fb_error err = {0};
    int64_t made = 0;
    fleet_must(fb_problem_resubmit(rep->db, gseq, NULL, 0, &made, &err), &err, "resubmit");
    assert_true(made > 0);
}

/* The copy knows of the refusal; what was saved after it is with the server alone. */
static void phone_is_put_back(void)
{
    fleet_reopen(rep);
    crash_vfs_copy(f.vfs, "dev1", "cloud");
    talk("after the copy");
    fleet_sync(rep);
    fb_db_close(rep->db);
    rep->db = NULL;
    crash_vfs_remove(f.vfs, "dev1");
    crash_vfs_copy(f.vfs, "cloud", "dev1");
    fleet_open_again(rep);
}

/* In the old life it replaces the first group; in the new one the first is the one that waits. */
static void correction_of_an_earlier_life__withdraws_nothing(void **state)
{
    (void)state;
    work_is_refused("corrected");
    work_is_held();
    assert_int_equal(in_tray(), 110);
    phone_is_put_back();
    send_again(refused_number());
    fleet_sync(rep); /* hears that it is a copy */
    assert_int_equal(in_tray(), 100);
    assert_int_equal(talks("corrected"), 1);
    assert_int_equal(fleet_number(manager, WAITING), 1);
}

static void refused_in_an_earlier_life__is_corrected_once(void **state)
{
    (void)state;
    work_is_refused("corrected");
    phone_is_put_back();
    fleet_sync(rep);
    assert_int_equal(in_tray(), 10);
    assert_true(refused_number() < 0);
    send_again(refused_number());
    fleet_lose_database(rep); /* the second copy knows what was replaced */
    fleet_sync(rep);
    assert_int_equal(in_tray(), 0);
    assert_int_equal(talks("corrected"), 1);
}

static fb_code look(void *ctx, const fb_problem *p)
{
    *(int64_t *)ctx = p->gseq;
    return FB_OK;
}

static void refused_in_an_earlier_life__is_shown_and_given_up(void **state)
{
    char args[40];
    char *json = NULL;
    int64_t seen = 0;
    fb_error err = {0};
    (void)state;
    work_is_refused("given up");
    phone_is_put_back();
    fleet_sync(rep);
    int64_t gseq = refused_number();
    assert_true(gseq < 0);
    fleet_must(fb_problem_get(rep->db, gseq, look, &seen, &err), &err, "get");
    assert_int_equal(seen, gseq);
    snprintf(args, sizeof args, "{\"gseq\":%d}", (int)gseq);
    fleet_must(fb_command_run(rep->db, "problem.show", args, &json, &err), &err, "show");
    fb_string_free(json);
    fleet_must(fb_command_run(rep->db, "problem.discard", args, &json, &err), &err, "discard");
    fb_string_free(json);
    fleet_lose_database(rep);
    fleet_sync(rep);
    assert_int_equal(in_tray(), 0);
    assert_int_equal(talks("given up"), 0);
    assert_int_equal(fb_problem_get(rep->db, 0, look, &seen, &err), FB_E_NOT_FOUND);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(correction_of_an_earlier_life__withdraws_nothing),
        T(refused_in_an_earlier_life__is_corrected_once),
        T(refused_in_an_earlier_life__is_shown_and_given_up),
    };
    return cmocka_run_group_tests_name("corrected", tests, NULL, NULL);
}
