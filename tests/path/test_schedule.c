/* test_schedule.c - every reply tells the device when to come next: each one at a moment of its own
 * in the company's interval, the same one again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>

enum { INTERVAL_MS = 900000, SECOND_MS = 1000 };

static fleet f;

static int64_t next_of(fleet_device *d)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    return s.next_sync_ms;
}

static int64_t told(fleet_device *d)
{
    fleet_sync(d);
    return next_of(d) - f.now_ms;
}

static void begin(uint32_t interval_ms)
{
    memset(&f, 0, sizeof f);
    f.sync_interval_ms = interval_ms;
    fleet_open(&f);
}

static void each_device_has_a_moment_of_its_own(void **state)
{
    (void)state;
    int64_t moments[FLEET_DEVICES_MAX];
    begin(INTERVAL_MS);
    for (int i = 0; i < FLEET_DEVICES_MAX; i++) {
        fleet_device_new(&f, &f.users[i % 2]);
    }
    for (int i = 0; i < FLEET_DEVICES_MAX; i++) {
        int64_t wait = told(&f.devices[i]);
        assert_in_range(wait, INTERVAL_MS / 2 - SECOND_MS, INTERVAL_MS * 3 / 2 + SECOND_MS);
        moments[i] = next_of(&f.devices[i]) / SECOND_MS % (INTERVAL_MS / SECOND_MS);
        for (int n = 0; n < i; n++) {
            assert_int_not_equal(moments[i], moments[n]);
        }
    }
    fleet_close(&f);
}

/* Who comes when told is told the same moment of the next interval, also by a server that was
 * started anew; who comes in between keeps it. */
static void moment_stays_the_same(void **state)
{
    (void)state;
    begin(INTERVAL_MS);
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    for (int i = 0; i < 5; i++) {
        int64_t moment = next_of(d);
        f.now_ms = moment;
        if (i == 2) {
            fleet_server_restart(&f);
        }
        fleet_sync(d);
        assert_in_range(next_of(d) - moment, INTERVAL_MS - SECOND_MS, INTERVAL_MS + SECOND_MS);
        int64_t next = next_of(d);
        f.now_ms += INTERVAL_MS / 4;
        fleet_sync(d);
        assert_in_range(next_of(d) - next, 0, SECOND_MS);
    }
    fleet_reopen(d); /* it is kept */
    assert_true(next_of(d) > f.now_ms);
    fleet_close(&f);
}

static void without_an_interval_nothing_is_said(void **state)
{
    (void)state;
    begin(0);
    fleet_device *d = fleet_device_add(&f, &f.users[0]);
    assert_int_equal(next_of(d), 0);
    fleet_close(&f);
    begin(SECOND_MS); /* the least one */
    d = fleet_device_add(&f, &f.users[0]);
    fleet_sync(d);
    assert_in_range(next_of(d) - f.now_ms, 0, 2 * SECOND_MS);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_device_has_a_moment_of_its_own),
        cmocka_unit_test(moment_stays_the_same),
        cmocka_unit_test(without_an_interval_nothing_is_said),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
