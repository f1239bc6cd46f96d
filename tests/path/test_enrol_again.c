/* test_enrol_again.c - a replica whose device the server refuses goes on under a new code.
 *
 * What happened in the field: a phone was wiped by mistake, the rep's week of work was in it, and
 * the library answered "enrolled already". Method: the whole server and real replicas; the oracle
 * counts rows on the server. */
#include "support/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sync-server/door/door.h"

#include <cmocka.h>

static void note(fleet_device *d, const fb_id *customer, const char *subject)
{
    fb_error err = {0};
    fleet_must(fb_activity_log(d->db, customer, subject, NULL, NULL, &err), &err, "activity");
}

static void wipe(fleet *f, fleet_device *d)
{
    fb_identity who = {.size_bytes = sizeof who};
    fb_error err = {0};
    fleet_must(fb_db_identity(d->db, &who, &err), &err, "identity");
    fleet_must(store_begin(f->admin), NULL, "begin");
    fleet_must(door_device_wipe(f->admin, &who.device, f->now_ms), NULL, "wipe");
    fleet_must(store_commit(f->admin), NULL, "commit");
}

static void wiped_device_goes_on_and_its_work_arrives_once(void **state)
{
    static fleet f;
    fb_error err = {0};
    char code[8], code_before[8];
    (void)state;
    fleet_open(&f);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    note(rep, &f.customers[0], "sent");
    fleet_sync(rep);
    note(rep, &f.customers[0], "pending one");
    note(rep, &f.customers[0], "pending two");
    wipe(&f, rep);
    assert_int_equal(fleet_try_sync(rep, &err), FB_E_DEVICE);
    assert_non_null(strstr(err.message, "enrol it again"));            /* the cure leads here */
    assert_null(strstr(err.message, fb_code_text(FB_E_DEVICE, "en"))); /* said once, by the code */
    fb_identity who = {.size_bytes = sizeof who};
    fleet_must(fb_db_identity(rep->db, &who, &err), &err, "identity");
    memcpy(code_before, who.device_code, sizeof code_before);

    fleet_must(fleet_enrol_again(rep, &f.users[0], &err), &err, "enrol again");
    fleet_must(fb_db_identity(rep->db, &who, &err), &err, "identity");
    memcpy(code, who.device_code, sizeof code);
    assert_string_not_equal(code, code_before);
    fleet_sync(rep);
    assert_int_equal(rep->report.groups_sent, 2);
    assert_int_equal(rep->report.applied_count, 2);
    fleet_sync(rep);
    assert_int_equal(rep->report.groups_sent, 0);
    fleet_sync(other);
    assert_int_equal(fleet_number(other, "SELECT count(*) FROM activity"), 3);
    assert_int_equal(fleet_number(other, "SELECT count(DISTINCT subject) FROM activity"), 3);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM activity"), 3);
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    fleet_must(fb_db_check(other->db, &err), &err, "check");
    fleet_close(&f);
}

static void another_persons_code_is_refused_while_work_is_pending(void **state)
{
    static fleet f;
    fb_error err = {0};
    fb_identity before = {.size_bytes = sizeof before}, after = {.size_bytes = sizeof after};
    (void)state;
    fleet_open(&f);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    note(rep, &f.customers[0], "pending");
    fleet_must(fb_db_identity(rep->db, &before, &err), &err, "identity");
    assert_int_equal(fleet_enrol_again(rep, &f.users[1], &err), FB_E_STATE);
    assert_string_equal(err.field, "user");
    fleet_must(fb_db_identity(rep->db, &after, &err), &err, "identity");
    assert_memory_equal(&before, &after, sizeof before);
    fleet_sync(rep); /* still the person's device */
    assert_int_equal(rep->report.applied_count, 1);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wiped_device_goes_on_and_its_work_arrives_once),
        cmocka_unit_test(another_persons_code_is_refused_while_work_is_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
