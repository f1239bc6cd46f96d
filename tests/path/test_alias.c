/* test_alias.c - a customer that was entered twice: what is on the screen, begun, or typed under
 * the id that gave way goes on under the one that stands (protocol.md 5.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>

static fleet f;
static fleet_device *d;
static fb_id mine, stands; /* two entries of one shop */

static fb_id shop_make(fleet_device *by, const char *code)
{
    char json[260];
    fb_error err = {0};
    fb_id id = {{0}};
    snprintf(json, sizeof json,
             "{\"code\":\"%s\",\"name\":\"Shop\",\"status\":\"pending\",\"licence_no\":\"L-8\","
             "\"territory_id\":\"%s\"}",
             code, id_text(&f.territories[0]));
    fleet_must(fb_record_put_json(by->db, "customer", json, &id, &err), &err, json);
    return id;
}

static int setup(void **state)
{
    (void)state;
    fleet_open(&f);
    fleet_device *other = fleet_device_add(&f, &f.users[0]);
    d = fleet_device_add(&f, &f.users[0]);
    stands = shop_make(other, "C8");
    fleet_sync(other);
    (void)company_add(&f.company, "customer_address",
                      PAIRS("customer_id", id_text(&stands), "lat_e7", "31", "lon_e7", "121"));
    mine = shop_make(d, "C9");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

static void of_the_one_that_stands(const char *entity, int64_t count)
{
    char sql[160];
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM %s x JOIN customer c ON c.id = x.customer_id WHERE c.code = 'C8'",
        entity);
    assert_int_equal(fleet_number(d, sql), count);
}

static void what_is_done_with_the_old_id__is_done_with_the_one_that_stands(void **state)
{
    (void)state;
    fb_error err = {0};
    fb_visit_in in;
    fb_visit_in_options here = FB_VISIT_IN_OPTIONS_INIT;
    char *json = NULL;
    fb_payment_receipt paid;
    fb_id found = {{0}};
    fleet_sync(d);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE code = 'C9'"), 0);
    f.now_ms += 60000;
    here.fix = true;
    here.lat_e7 = 310000000;
    here.lon_e7 = 1210000000;
    fleet_must(fb_visit_check_in(d->db, &mine, &here, &in, &err), &err, "visit");
    assert_string_equal(in.geo_result, "in_range");
    fleet_must(fb_activity_log(d->db, &mine, "spoke", NULL, NULL, &err), &err, "activity");
    fleet_must(fb_payment_add(d->db, &mine, 500, NULL, &paid, &err), &err, "payment");
    of_the_one_that_stands("visit", 1);
    of_the_one_that_stands("activity", 1);
    of_the_one_that_stands("payment", 1);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM activity WHERE visit_id IS NULL"), 0);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM payment WHERE visit_id IS NULL"), 0);
    fleet_must(fb_customer_lookup(d->db, id_text(&mine), &found, &err), &err, "lookup");
    assert_memory_equal(&found, &stands, sizeof found);
    fleet_must(fb_customer_360(d->db, &mine, &json, &err), &err, "360");
    assert_non_null(strstr(json, "\"C8\""));
    assert_non_null(strstr(json, "spoke"));
    fb_string_free(json);
    fleet_sync(d);
    assert_int_equal(d->report.rejected_count, 0);
    of_the_one_that_stands("payment", 1);
}

/* The rep is in the middle of an order when the background sync brings the verdict. */
static void order_that_was_begun_before__is_submitted(void **state)
{
    (void)state;
    fb_error err = {0};
    fb_order *o = NULL;
    fb_order_receipt done;
    fb_order_line_options line = FB_ORDER_LINE_OPTIONS_INIT;
    fleet_must(fb_order_new(d->db, &mine, NULL, &o, &err), &err, "order");
    fleet_must(fb_order_line_add(o, &f.product, NULL, 2000, &line, NULL, &err), &err, "line");
    fleet_sync(d);
    fleet_must(fb_order_submit(o, &done, &err), &err, "submit");
    fb_order_close(o);
    of_the_one_that_stands("sales_order", 1);
    fleet_sync(d);
    assert_int_equal(d->report.rejected_count, 0);
    of_the_one_that_stands("sales_order", 1);
    const fb_allocation part = {.order = done.id, .amount_minor = 500};
    fb_payment_options paid = FB_PAYMENT_OPTIONS_INIT;
    paid.allocations = &part;
    paid.allocations_count = 1;
    fleet_must(fb_payment_add(d->db, &mine, 500, &paid, NULL, &err), &err, "payment");
    of_the_one_that_stands("payment", 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_done_with_the_old_id__is_done_with_the_one_that_stands),
        CASE(order_that_was_begun_before__is_submitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
