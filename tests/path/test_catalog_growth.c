/* test_catalog_growth.c - IT adds an entity and a column; devices get them, write them, and the
 * manager sees them, without a line of C for either and without a new app. */
#include "support/fleet.h"
#include "sync-server/door/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char MODULE[] =
    "{\"module\":\"acme\",\"entities\":[{\"name\":\"fridge_check\",\"label\":{\"en\":\"Fridge "
    "check\",\"zh\":\"冰柜检查\"},"
    "\"class\":\"fact\",\"stamps\":true,\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],"
    "\"columns\":["
    "{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\",\"required\":true,\"label\":{"
    "\"en\":\"Customer\",\"zh\":\"客户\"}},"
    "{\"name\":\"degrees_e7\",\"type\":\"e7\",\"label\":{\"en\":\"Temperature\",\"zh\":\"温度\"}},"
    "{\"name\":\"state\",\"type\":\"enum\",\"values\":[\"good\",\"dirty\",\"broken\"],\"default\":"
    "\"good\","
    "\"label\":{\"en\":\"State\",\"zh\":\"状态\"}}],"
    "\"grants\":{\"REP\":\"cr\",\"MGR\":\"r\"}}],"
    "\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":\"fridge_no\",\"type\":\"text\","
    "\"max\":20,\"policy\":\"LWW\","
    "\"label\":{\"en\":\"Fridge number\",\"zh\":\"冰柜编号\"}}]}]}";

static void catalogue_grow(fleet *f)
{
    fb_error err = {0};
    fleet_must(door_catalog_grow(f->admin, text_of(MODULE), &f->port, &err), &err, "grow");
}

static void growth__entity_and_column_reach_the_manager(void **state)
{
    (void)state;
    static fleet f;
    fleet_open(&f);
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *manager = fleet_device_add(&f, &f.manager);
    fb_error err = {0};
    char json[300];

    /* Work that is pending when the catalogue grows must survive the change of tables. */
    fleet_must(fb_activity_log(rep->db, &f.customers[0], "before", NULL, NULL, &err), &err,
               "activity");
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"state\":\"dirty\"}",
             id_text(&f.customers[0]));
    assert_int_equal(fb_record_put_json(rep->db, "fridge_check", json, NULL, &err), FB_E_NOT_FOUND);

    catalogue_grow(&f);
    fleet_sync(rep);
    fleet_must(fb_record_put_json(rep->db, "fridge_check", json, NULL, &err), &err, "fridge_check");
    fleet_must(fb_customer_update(rep->db, &f.customers[0], "{\"fridge_no\":\"F-17\"}", NULL, &err),
               &err, "fridge_no");
    fleet_sync(rep);
    assert_int_equal(rep->report.applied_count, 2);
    fleet_sync(manager);

    assert_int_equal(
        fleet_number(manager, "SELECT count(*) FROM fridge_check WHERE state = 'dirty'"), 1);
    assert_int_equal(
        fleet_number(manager,
                     "SELECT count(*) FROM customer WHERE code = 'C1' AND fridge_no = 'F-17'"),
        1);
    assert_int_equal(
        fleet_number(manager, "SELECT count(*) FROM activity WHERE subject = 'before'"), 1);

    /* What the catalogue forbids is refused on the device, naming the column. */
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"state\":\"lost\"}",
             id_text(&f.customers[0]));
    assert_int_equal(fb_record_put_json(rep->db, "fridge_check", json, NULL, &err), FB_E_ENUM);
    assert_string_equal(err.field, "fridge_check.state");
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    fleet_close(&f);
}

static const char OLDER[] =
    "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":["
    "{\"name\":\"second_phone\",\"type\":\"text\",\"max\":30,\"label\":{\"en\":\"Phone "
    "2\",\"zh\":\"电话2\"}},"
    "{\"name\":\"buyer\",\"type\":\"text\",\"max\":60,\"label\":{\"en\":\"Buyer\",\"zh\":"
    "\"采购员\"}},"
    "{\"name\":\"shelf_class\",\"type\":\"enum\",\"values\":[\"A\",\"B\",\"C\"],"
    "\"label\":{\"en\":\"Class\",\"zh\":\"等级\"}}]}]}";
static const char NEWER[] =
    "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":["
    "{\"name\":\"mobile\",\"type\":\"text\",\"max\":20,\"from\":{\"column\":\"second_phone\"},"
    "\"label\":{\"en\":\"Mobile\",\"zh\":\"手机\"}},"
    "{\"name\":\"buyer_last\",\"type\":\"text\",\"max\":60,\"from\":{\"column\":\"buyer\","
    "\"separator\":\" \",\"part\":2},\"label\":{\"en\":\"Last name\",\"zh\":\"姓\"}},"
    "{\"name\":\"shelf_level\",\"type\":\"enum\",\"values\":[\"gold\",\"plain\"],"
    "\"from\":{\"column\":\"shelf_class\",\"values\":{\"A\":\"gold\",\"B\":\"plain\"}},"
    "\"label\":{\"en\":\"Level\",\"zh\":\"级别\"}}]}]}";

/* Once more: what took the place of another has its own taken. */
static const char NEWEST[] =
    "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":["
    "{\"name\":\"cell\",\"type\":\"text\",\"max\":20,\"from\":{\"column\":\"mobile\"},"
    "\"label\":{\"en\":\"Cell\",\"zh\":\"手机号\"}},"
    "{\"name\":\"shelf_rank\",\"type\":\"enum\",\"values\":[\"first\"],"
    "\"from\":{\"column\":\"shelf_level\",\"values\":{\"gold\":\"first\"}},"
    "\"label\":{\"en\":\"Rank\",\"zh\":\"位次\"}}]}]}";

static void expect_customer(fleet_device *d, const char *code, const char *where)
{
    char sql[300];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM customer WHERE code='%s' AND %s", code, where);
    if (fleet_number(d, sql) != 1) {
        fail_msg("customer %s is not as it should be: %s", code, where);
    }
}

static void edit(fleet_device *d, int customer, const char *json)
{
    fb_error err = {0};
    fleet_must(fb_customer_update(d->db, &d->world->customers[customer], json, NULL, &err), &err,
               json);
}

static void growth__a_column_takes_the_place_of_an_older_one(void **state)
{
    (void)state;
    static fleet f;
    fb_error err = {0};
    fleet_open(&f);
    fleet_must(door_catalog_grow(f.admin, text_of(OLDER), &f.port, &err), &err, "older");
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *other = fleet_device_add(&f, &f.users[1]);
    fleet_device *manager = fleet_device_add(&f, &f.manager);
    edit(other, 1, "{\"second_phone\":\"333\",\"buyer\":\"Ann\",\"shelf_class\":\"C\"}");
    fleet_sync(other);
    edit(rep, 0, "{\"second_phone\":\"111\",\"buyer\":\"Ann Lee\",\"shelf_class\":\"A\"}");

    fleet_must(door_catalog_grow(f.admin, text_of(NEWER), &f.port, &err), &err, "newer");
    fleet_sync(rep); /* captured before the newer columns were thought of */
    assert_int_equal(rep->report.applied_count, 1);
    fleet_sync(manager);
    expect_customer(manager, "C1", "mobile='111' AND buyer_last='Lee' AND shelf_level='gold'");
    expect_customer(manager, "C2", "mobile='333' AND buyer_last IS NULL AND shelf_level IS NULL");
    expect_customer(rep, "C1", "mobile='111' AND second_phone='111'");

    /* An old app under the new catalogue; and a new app, whose word stands. */
    edit(rep, 0, "{\"second_phone\":\"222\",\"shelf_class\":\"B\"}");
    fleet_sync(rep);
    edit(rep, 0, "{\"buyer\":\"Ann Wu\",\"buyer_last\":\"Wu-Lee\"}");
    fleet_sync(rep);
    edit(rep, 0, "{\"second_phone\":null}");
    fleet_sync(rep);
    expect_customer(rep, "C1", "mobile IS NULL AND shelf_level='plain' AND buyer_last='Wu-Lee'");
    fleet_sync(manager);
    expect_customer(manager, "C1", "mobile IS NULL AND shelf_level='plain'");
    fleet_must(fb_db_check(rep->db, &err), &err, "check");
    fleet_close(&f);
}

/* The value before follows from the older column's: what nobody else touched is no conflict, only
 * because another column of the row changed meanwhile. */
static void growth__an_old_app_does_not_make_conflicts_of_newer_columns(void **state)
{
    (void)state;
    static fleet f;
    fb_error err = {0};
    fleet_open(&f);
    fleet_must(door_catalog_grow(f.admin, text_of(OLDER), &f.port, &err), &err, "older");
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    edit(rep, 0, "{\"second_phone\":\"111\"}");
    fleet_sync(rep);
    fleet_must(door_catalog_grow(f.admin, text_of(NEWER), &f.port, &err), &err, "newer");
    fleet_sync(rep);
    edit(rep, 0, "{\"second_phone\":\"222\"}");
    company_set(&f.company, "customer", &f.customers[0], PAIRS("website", "www.example.com"));
    fleet_sync(rep);
    assert_int_equal(rep->report.merged_count, 0);
    expect_customer(rep, "C1", "mobile='222' AND website='www.example.com'");
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM conflict"), 0);
    fleet_close(&f);
}

/* An app that is two changes behind writes what the newest one reads. */
static void growth__a_column_is_replaced_twice(void **state)
{
    (void)state;
    static fleet f;
    fb_error err = {0};
    fleet_open(&f);
    fleet_must(door_catalog_grow(f.admin, text_of(OLDER), &f.port, &err), &err, "older");
    fleet_device *rep = fleet_device_add(&f, &f.users[0]);
    fleet_device *manager = fleet_device_add(&f, &f.manager);
    edit(rep, 0, "{\"second_phone\":\"111\",\"shelf_class\":\"A\"}");
    fleet_must(door_catalog_grow(f.admin, text_of(NEWER), &f.port, &err), &err, "newer");
    fleet_must(door_catalog_grow(f.admin, text_of(NEWEST), &f.port, &err), &err, "newest");
    fleet_sync(rep); /* captured before both */
    fleet_sync(manager);
    expect_customer(manager, "C1", "mobile='111' AND cell='111' AND shelf_rank='first'");

    edit(rep, 0, "{\"second_phone\":\"222\",\"shelf_class\":\"B\"}");
    company_set(&f.company, "customer", &f.customers[0], PAIRS("website", "www.example.com"));
    fleet_sync(rep);
    assert_int_equal(fleet_number(rep, "SELECT count(*) FROM conflict"), 0);
    expect_customer(rep, "C1", "mobile='222' AND cell='222' AND shelf_level='plain'");
    expect_customer(rep, "C1", "shelf_rank='first'"); /* it has no such value */
    edit(rep, 0, "{\"mobile\":\"333\"}");             /* the app between */
    fleet_sync(rep);
    expect_customer(rep, "C1", "second_phone='222' AND mobile='333' AND cell='333'");
    edit(rep, 0, "{\"second_phone\":null}");
    fleet_sync(rep);
    expect_customer(rep, "C1", "mobile IS NULL AND cell IS NULL");
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth__a_column_takes_the_place_of_an_older_one),
        cmocka_unit_test(growth__an_old_app_does_not_make_conflicts_of_newer_columns),
        cmocka_unit_test(growth__a_column_is_replaced_twice),
        cmocka_unit_test(growth__entity_and_column_reach_the_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
