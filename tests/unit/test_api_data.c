/* test_api_data.c - finding, records, queries, customers, observers, exports, commands by name. */
#include "api_fixture.h"

/* Great-circle distances computed apart (haversine, 6371008.8 m). */
static void distance__is_within_two_per_mille_of_the_great_circle(void **state)
{
    static const struct {
        int32_t lat1, lon1, lat2, lon2;
        int64_t metres;
    } CASES[] = {
        {312304000, 1214737000, 312313000, 1214737000, 100},
        {312304000, 1214737000, 312404000, 1214937000, 2203},
        {0, 0, 0, 10000000, 111195},
        {0, 0, 10000000, 0, 111195},
        {399042000, 1164074000, 391000000, 1172000000, 112342},
        {600000000, 100000000, 605000000, 130000000, 174599},
        {-339000000, 1512000000, -345000000, 1503000000, 106311},
        {699000000, 200000000, 699000000, 250000000, 191013},
        {100000000, 1799000000, 101000000, -1799000000, 24559},
        {450000000, 70000000, 450000100, 70000100, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int64_t d = fb_distance_m(CASES[i].lat1, CASES[i].lon1, CASES[i].lat2, CASES[i].lon2);
        int64_t off = d > CASES[i].metres ? d - CASES[i].metres : CASES[i].metres - d;
        if (off > 1 && off * 500 > CASES[i].metres) {
            fail_msg("case %zu: %lld, not %lld", i, (long long)d, (long long)CASES[i].metres);
        }
        assert_int_equal(d,
                         fb_distance_m(CASES[i].lat2, CASES[i].lon2, CASES[i].lat1, CASES[i].lon1));
    }
    assert_int_equal(fb_distance_m(1, 2, 1, 2), 0);
}

typedef struct hits {
    char codes[200], matches[200];
    int count;
} hits;

static fb_code keep_hit(void *ctx, const fb_row *row)
{
    hits *h = ctx;
    assert_string_equal(row->names[1], "code");
    snprintf(h->codes + strlen(h->codes), sizeof h->codes - strlen(h->codes), "%.*s ",
             (int)row->values[1].u.text.size, row->values[1].u.text.data);
    snprintf(h->matches + strlen(h->matches), sizeof h->matches - strlen(h->matches), "%.*s ",
             (int)row->values[6].u.text.size, row->values[6].u.text.data);
    h->count++;
    return FB_OK;
}

static void assert_found(world *w, const char *text, const char *codes, const char *matches)
{
    hits h = {.count = 0};
    OK(fb_customer_find(w->db, text, NULL, keep_hit, &h, &w->err));
    assert_string_equal(h.codes, codes);
    assert_string_equal(h.matches, matches);
}

static void find__by_code_name_pinyin_phone(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    fb_id b = world_row(w, "customer",
                        PAIRS("code", "C12", "name", "Müller AG", "name_key", "mullerag", "name_py",
                              "mag", "party_type", "customer", "status", "active", "phone",
                              "+49 30 1234"));
    world_row(w, "contact", PAIRS("customer_id", idt(&b), "name", "Eva", "mobile", "0177-5554"));
    world_sync(w);
    assert_found(w, "c1", "C1 C12 ", "code code ");
    assert_found(w, "ＭÜＬＬＥＲ", "C12 ", "name ");
    assert_found(w, "bjdx", "C1 ", "pinyin ");
    assert_found(w, "大学", "C1 ", "name ");
    assert_found(w, "1390001", "C1 ", "phone ");
    assert_found(w, "5554", "C12 ", "phone ");
    assert_found(w, "nobody%", "", "");
    assert_found(w, "", "C12 C1 ", "near near ");
}

static void find__nearest_first_within_the_radius(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    const char *const lons[] = {"121.4837", "121.4787", "121.5737"};
    for (int i = 0; i < 3; i++) {
        char code[16];
        snprintf(code, sizeof code, "N%d", i);
        fb_id id = world_row(
            w, "customer",
            PAIRS("code", code, "name", code, "party_type", "customer", "status", "active"));
        world_row(w, "customer_address",
                  PAIRS("customer_id", idt(&id), "kind", "visit", "lat_e7", "31.2304", "lon_e7",
                        lons[i]));
    }
    world_sync(w);
    fb_find_options o = FB_FIND_OPTIONS_INIT;
    hits h = {.count = 0};
    o.near = true;
    o.lat_e7 = 312304000;
    o.lon_e7 = 1214737000;
    o.radius_m = 2000;
    OK(fb_customer_find(w->db, NULL, &o, keep_hit, &h, &w->err));
    assert_string_equal(h.codes, "C1 N1 N0 ");
    o.radius_m = 300000;
    REFUSED(FB_E_RANGE, "radius_m", fb_customer_find(w->db, NULL, &o, keep_hit, &h, &w->err));
}

static void customer__guarded_columns_become_a_request(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_customer_change done;
    OK(fb_customer_update(w->db, &s.customer,
                          "{\"phone\": \"+861381112222\", \"grade\": \"B\", \"remark\": \"x\"}",
                          &done, &w->err));
    assert_int_equal(done.columns_written, 2);
    assert_int_equal(done.columns_requested, 1);
    assert_int_equal(
        count_of(w, "SELECT count(*) FROM customer WHERE grade = 'A' AND phone = '+861381112222'"),
        1);
    assert_int_equal(
        count_of(w,
                 "SELECT count(*) FROM change_request WHERE status = 'submitted' AND diff_json = "
                 "'{\"grade\":{\"base\":\"A\",\"mine\":\"B\"}}'"),
        1);
    OK(fb_customer_update(w->db, &s.customer, "{\"grade\": \"A\"}", &done, &w->err));
    assert_int_equal(done.columns_written + done.columns_requested, 0);
    REFUSED(FB_E_INVALID, "customer.nonsense",
            fb_customer_update(w->db, &s.customer, "{\"nonsense\": 1}", &done, &w->err));
    REFUSED(FB_E_JSON, "json",
            fb_customer_update(w->db, &s.customer, "{\"phone\": ", &done, &w->err));
}

static void customer__new_one_is_pending_and_has_a_number(void **state)
{
    world *w = *state;
    fb_id id;
    char *json = NULL;
    REFUSED(FB_E_REQUIRED, "customer.name",
            fb_customer_create(w->db, "{\"phone\": \"+861381112222\"}", &id, &w->err));
    OK(fb_customer_create(w->db, "{\"name\": \"新客户\"}", &id, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM customer WHERE code = 'CU-A1-000001' AND "
                                 "status = 'pending' AND name_py = 'xkh' "
                                 "AND territory_id = (SELECT id FROM territory) AND owner_id = "
                                 "(SELECT id FROM app_user)"),
                     1);
    OK(fb_activity_log(w->db, &id, "first talk", NULL, NULL, &w->err));
    OK(fb_customer_360(w->db, &id, &json, &w->err));
    assert_non_null(strstr(json, "\"name\":\"新客户\""));
    assert_non_null(strstr(json, "\"subject\":\"first talk\""));
    fb_string_free(json);
    w->reject_with = FB_E_DUPLICATE;
    w->reject_field = "customer.name";
    fb_id shown = id;
    world_sync(w);
    REFUSED(FB_E_NOT_FOUND, "customer", fb_customer_360(w->db, &shown, &json, &w->err));
}

static void customer__360_knows_unsent_payments_and_problems(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    char *json = NULL;
    OK(fb_payment_add(w->db, &s.customer, 12345, NULL, NULL, &w->err));
    OK(fb_customer_360(w->db, &s.customer, &json, &w->err));
    assert_non_null(strstr(json, "\"own_unsent_payments\":\"123.45\""));
    assert_non_null(strstr(json, "\"problems\":[]"));
    fb_string_free(json);
    w->reject_with = FB_E_FORBIDDEN;
    w->reject_field = "payment.amount";
    world_sync(w);
    OK(fb_customer_360(w->db, &s.customer, &json, &w->err));
    assert_non_null(strstr(json, "\"own_unsent_payments\":\"0.00\""));
    assert_non_null(strstr(json, "\"kind\":\"payment.add\""));
    fb_string_free(json);
}

static void record__json_goes_in_and_comes_out(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_id id;
    char *json = NULL;
    OK(fb_record_put_json(w->db, "contact",
                          "{\"customer_id\": \"C1\", \"name\": \"Eva\", \"is_primary\": true}", &id,
                          &w->err));
    OK(fb_record_get_json(w->db, "contact", &id, &json, &w->err));
    assert_non_null(strstr(json, idt(&s.customer)));
    assert_non_null(strstr(json, "\"is_primary\":true"));
    fb_string_free(json);
    char change[200];
    snprintf(change, sizeof change, "{\"id\": \"%s\", \"title\": \"buyer\"}", idt(&id));
    OK(fb_record_put_json(w->db, "contact", change, &id, &w->err));
    assert_int_equal(
        count_of(w, "SELECT count(*) FROM contact WHERE name = 'Eva' AND title = 'buyer'"), 1);
    REFUSED(FB_E_REFERENCE, "contact.customer_id",
            fb_record_put_json(w->db, "contact", "{\"customer_id\": \"C99\", \"name\": \"X\"}",
                               NULL, &w->err));
    REFUSED(FB_E_NOT_FOUND, "nothing", fb_record_put_json(w->db, "nothing", "{}", NULL, &w->err));
    REFUSED(FB_E_FORBIDDEN, "product",
            fb_record_put_json(w->db, "product",
                               "{\"code\": \"X\", \"name\": \"X\", \"base_uom\": \"EA\"}", NULL,
                               &w->err));
    OK(fb_record_delete(w->db, "contact", &id, &w->err));
    REFUSED(FB_E_NOT_FOUND, "contact", fb_record_get_json(w->db, "contact", &id, &json, &w->err));
}

static fb_code keep_price(void *ctx, const fb_row *row)
{
    for (uint32_t i = 0; i < row->columns_count; i++) {
        if (strcmp(row->names[i], "price_4dp") == 0) {
            ((fb_value *)ctx)[0] = row->values[i];
            ((fb_value *)ctx)[1].kind = row->values[0].kind;
        }
    }
    return FB_OK;
}

static void record__each_lends_storage_units_or_text(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    fb_value v[2] = {{.kind = FB_KIND_NULL}};
    OK(fb_record_each(w->db, "price_list_item", FB_FORM_RAW, keep_price, v, &w->err));
    assert_int_equal(v[0].u.i, 140000);
    assert_int_equal(v[1].kind, FB_KIND_ID);
    OK(fb_record_each(w->db, "price_list_item", FB_FORM_TEXT, keep_price, v, &w->err));
    assert_int_equal(v[0].kind, FB_KIND_TEXT);
    assert_int_equal(v[0].u.text.size, 7); /* 14.0000 */
    assert_int_equal(v[1].kind, FB_KIND_TEXT);
}

static void record__typed_values_are_checked(void **state)
{
    world *w = *state;
    const char *const columns[] = {"title", "assignee_id"};
    fb_value values[2] = {{.kind = FB_KIND_TEXT, .u.text = TEXT("t")},
                          {.kind = FB_KIND_ID, .u.id = w->user}};
    fb_record_change c = {columns, values, 2};
    fb_id id;
    OK(fb_record_insert(w->db, "task", &c, &id, &w->err));
    values[0] = (fb_value){.kind = FB_KIND_INT, .u.i = 1};
    REFUSED(FB_E_INVALID, "task.title", fb_record_update(w->db, "task", &id, &c, &w->err));
    values[0] = (fb_value){.kind = FB_KIND_TEXT, .u.text = TEXT("new")};
    OK(fb_record_update(w->db, "task", &id, &c, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM task WHERE title = 'new'"), 1);
    REFUSED(FB_E_INVALID, "title", fb_record_add(w->db, "task", &id, "title", 1, &w->err));
}

/* A quarter past six in the morning of the 15th in Shanghai, the evening of the 14th in UTC. */
static void role__begins_with_the_business_day(void **state)
{
    world *w = *state;
    const struct {
        int32_t tz_offset_min;
        const char *from, *to;
        bool may;
    } days[] = {{480, "2023-11-15", "", true},
                {0, "2023-11-15", "", false},
                {480, "", "2023-11-14", false},
                {0, "", "2023-11-14", true}};
    const char *const columns[] = {"title", "assignee_id"};
    fb_value values[2] = {{.kind = FB_KIND_TEXT, .u.text = TEXT("t")},
                          {.kind = FB_KIND_ID, .u.id = w->user}};
    fb_record_change c = {columns, values, 2};
    char *json = NULL;
    fb_id grant, role, id;
    OK(fb_query_json(w->db, "SELECT id FROM user_role", NULL, &json, &w->err));
    assert_true(id_get((fb_text){strstr(json, "\"0") + 1, 36}, &grant));
    fb_string_free(json);
    OK(fb_query_json(w->db, "SELECT role_id FROM user_role", NULL, &json, &w->err));
    assert_true(id_get((fb_text){strstr(json, "\"0") + 1, 36}, &role));
    fb_string_free(json);
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        fb_db_options o = FB_DB_OPTIONS_INIT;
        o.port = &w->port;
        o.tz_offset_min = days[i].tz_offset_min;
        world_row_id(w, "user_role", &grant,
                     PAIRS("user_id", idt(&w->user), "role_id", idt(&role), "valid_from",
                           days[i].from, "valid_to", days[i].to));
        world_sync(w);
        fb_db_close(w->db);
        OK(fb_db_open(w->path, &o, &w->db, &w->err));
        fb_code rc = fb_record_insert(w->db, "task", &c, &id, &w->err);
        assert_int_equal(rc, days[i].may ? FB_OK : FB_E_FORBIDDEN);
    }
}

static void query__reads_entities_and_nothing_else(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    char *json = NULL;
    char params[128];
    static const char *const FORBIDDEN[] = {
        "SELECT * FROM fb_outbox",
        "DELETE FROM customer",
        "SELECT 1; SELECT 2",
        "PRAGMA journal_mode=DELETE",
        "ATTACH '/tmp/x' AS y",
        "SELECT name FROM sqlite_master",
        "INSERT INTO customer(id) VALUES(x'00')",
        "not sql",
        "SELECT load_extension('x')",
    };
    for (size_t i = 0; i < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; i++) {
        REFUSED(FB_E_INVALID, "sql", fb_query_json(w->db, FORBIDDEN[i], NULL, &json, &w->err));
    }
    snprintf(params, sizeof params, "[\"%s\", 5, null, {\"text\": \"%s\"}]", idt(&s.customer),
             "C1");
    OK(fb_query_json(
        w->db, "SELECT id, ?2 + 1 AS six, ?3 AS none FROM customer WHERE id = ?1 AND code = ?4",
        params, &json, &w->err));
    char wanted[128];
    snprintf(wanted, sizeof wanted, "[{\"id\":\"%s\",\"six\":6,\"none\":null}]", idt(&s.customer));
    assert_string_equal(json, wanted);
    fb_string_free(json);
    REFUSED(FB_E_JSON, "params", fb_query_json(w->db, "SELECT 1", "{}", &json, &w->err));
}

static void snapshot__stands_still_while_others_write(void **state)
{
    world *w = *state;
    OK(fb_snapshot_begin(w->db, &w->err));
    REFUSED(FB_E_STATE, "snapshot", fb_snapshot_begin(w->db, &w->err));
    OK(fb_task_add(w->db, "x", NULL, NULL, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM task"), 0);
    fb_snapshot_end(w->db);
    assert_int_equal(count_of(w, "SELECT count(*) FROM task"), 1);
}

static void count_call(void *ctx, const char *entity)
{
    int *calls = ctx;
    assert_string_equal(entity, "task");
    (*calls)++;
}

static void observe__calls_once_per_poll_and_entity(void **state)
{
    world *w = *state;
    int calls = 0, all = 0;
    uint32_t id = 0, id_all = 0, called = 0;
    REFUSED(FB_E_NOT_FOUND, "nothing",
            fb_observe_add(w->db, "nothing", count_call, &calls, &id, &w->err));
    OK(fb_observe_poll(w->db, NULL, &w->err));
    OK(fb_observe_add(w->db, "task", count_call, &calls, &id, &w->err));
    OK(fb_observe_add(w->db, NULL, count_call, &all, &id_all, &w->err));
    OK(fb_task_add(w->db, "x", NULL, NULL, &w->err));
    OK(fb_task_add(w->db, "y", NULL, NULL, &w->err));
    OK(fb_observe_poll(w->db, &called, &w->err));
    assert_int_equal(calls, 1);
    assert_int_equal(all, 1);
    assert_int_equal(called, 2);
    OK(fb_observe_poll(w->db, &called, &w->err));
    assert_int_equal(called, 0);
    fb_observe_remove(w->db, id);
    OK(fb_task_add(w->db, "z", NULL, NULL, &w->err));
    OK(fb_observe_poll(w->db, &called, &w->err));
    assert_int_equal(called, 1);
    assert_int_equal(calls, 1);
    OK(fb_observe_add(w->db, "task", count_call, &calls, NULL,
                      &w->err)); /* for the handle's life */
    OK(fb_task_add(w->db, "u", NULL, NULL, &w->err));
    OK(fb_observe_poll(w->db, NULL, &w->err));
    assert_int_equal(calls, 2);
}

static void export__is_a_plain_file_with_text_ids(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    char path[128], command[300], line[80] = "";
    fb_export_report r;
    snprintf(path, sizeof path, "%s/plain.db", w->folder);
    OK(fb_export_sqlite(w->db, path, &r, &w->err));
    assert_true(r.entities_count > 20 && r.rows_count > 10);
    REFUSED(FB_E_EXISTS, "path", fb_export_sqlite(w->db, path, &r, &w->err));
    fb_db *none = NULL;
    fb_db_options o = FB_DB_OPTIONS_INIT;
    o.port = &w->port;
    assert_true(fb_db_open(path, &o, &none, &w->err) != FB_OK); /* it is no replica */
    snprintf(command, sizeof command,
             "python3 -c \"import sqlite3;print(sqlite3.connect('%s').execute('select id from "
             "customer').fetchone()[0])\"",
             path);
    FILE *p = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, p));
    pclose(p);
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, idt(&s.customer));
}

static void command__runs_by_name_and_checks_arguments(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    char *json = NULL;
    REFUSED(FB_E_NOT_FOUND, "op", fb_command_run(w->db, "no.such", NULL, &json, &w->err));
    REFUSED(FB_E_REQUIRED, "title", fb_command_run(w->db, "task.add", "{}", &json, &w->err));
    REFUSED(
        FB_E_INVALID, "colour",
        fb_command_run(w->db, "task.add", "{\"title\":\"x\",\"colour\":\"red\"}", &json, &w->err));
    REFUSED(FB_E_JSON, "args", fb_command_run(w->db, "task.add", "[1]", &json, &w->err));
    OK(fb_command_run(w->db, "task.add",
                      "{\"title\":\"x\",\"customer\":\"C1\",\"due\":\"2023-12-01\"}", &json,
                      &w->err));
    fb_string_free(json);
    assert_int_equal(count_of(w, "SELECT due_at FROM task"), INT64_C(1701432000000)); /* noon */
    OK(fb_command_run(w->db, "status", NULL, &json, &w->err));
    assert_non_null(strstr(json, "\"pending\":1"));
    fb_string_free(json);
}

static void command__group_is_one_atomic_visit(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    char *json = NULL;
    static const char GROUP[] =
        "{\"kind\":\"visit.done\",\"ops\":["
        "{\"op\":\"visit.check_in\",\"customer\":\"C1\",\"at\":\"1996-07-04T09:00:00Z\"},"
        "{\"op\":\"order.submit\",\"customer\":\"C1\",\"date\":\"1996-07-04\",\"remark\":\"10248\","
        "\"lines\":["
        "{\"product\":\"P1\",\"qty\":\"12\",\"discount\":\"15\"},{\"product\":\"P1\",\"qty\":\"1\","
        "\"price\":\"9.80\",\"reason\":\"old\"}]},"
        "{\"op\":\"visit.check_out\",\"at\":\"1996-07-04T09:30:00Z\"}]}";
    OK(fb_command_group(w->db, GROUP, &json, &w->err));
    assert_non_null(strstr(json, "\"gseq\":\"1\""));
    fb_string_free(json);
    assert_int_equal(
        count_of(w,
                 "SELECT duration_s FROM visit WHERE productive = 1 AND visit_date = '1996-07-04'"),
        1800);
    assert_int_equal(count_of(w, "SELECT sum(net) FROM sales_order_line"), 14280 + 980);
    assert_int_equal(count_of(w, "SELECT count(*) FROM sales_order WHERE note = '10248' AND "
                                 "order_date = '1996-07-04' AND visit_id = (SELECT id FROM visit)"),
                     1);
    static const char BROKEN[] =
        "{\"ops\":[{\"op\":\"task.add\",\"title\":\"t\"},{\"op\":\"order\",\"customer\":\"C1\","
        "\"lines\":[{\"product\":\"P9\",\"qty\":\"1\"}]}]}";
    REFUSED(FB_E_NOT_FOUND, "ops[1].product", fb_command_group(w->db, BROKEN, &json, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM task"), 0);
    REFUSED(FB_E_NOT_FOUND, "ops[0].op",
            fb_command_group(w->db, "{\"ops\":[{\"op\":\"status\"}]}", &json, &w->err));
    OK(fb_db_check(w->db, &w->err));
}

static fb_code run_with_nothing(void *ctx, const fb_command_info *info)
{
    world *w = ctx;
    char *json = NULL;
    fb_code rc = fb_command_run(w->db, info->name, "{}", &json, &w->err);
    assert_true(rc == FB_OK || w->err.message[0] != '\0');
    fb_string_free(json);
    assert_true(info->help[0] != '\0');
    return FB_OK;
}

/* Every command answers an empty object with a result or a reason, and changes nothing. */
static void command__each_answers_without_arguments(void **state)
{
    world *w = *state;
    fb_status s = FB_STATUS_INIT;
    OK(fb_command_each(run_with_nothing, w));
    OK(fb_status_get(w->db, &s, &w->err));
    assert_int_equal(s.pending_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance__is_within_two_per_mille_of_the_great_circle),
        TEST(find__by_code_name_pinyin_phone),
        TEST(find__nearest_first_within_the_radius),
        TEST(customer__guarded_columns_become_a_request),
        TEST(customer__new_one_is_pending_and_has_a_number),
        TEST(customer__360_knows_unsent_payments_and_problems),
        TEST(record__json_goes_in_and_comes_out),
        TEST(record__each_lends_storage_units_or_text),
        TEST(record__typed_values_are_checked),
        TEST(role__begins_with_the_business_day),
        TEST(query__reads_entities_and_nothing_else),
        TEST(snapshot__stands_still_while_others_write),
        TEST(observe__calls_once_per_poll_and_entity),
        TEST(export__is_a_plain_file_with_text_ids),
        TEST(command__runs_by_name_and_checks_arguments),
        TEST(command__group_is_one_atomic_visit),
        TEST(command__each_answers_without_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
