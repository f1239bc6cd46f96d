/* test_held.c - work that waits for a manager, decided on the manager's device: device to server to
 * device.
 *
 * Method: first real devices over a server in memory (fleet), where everything a person sees is
 * asked of the library; then raw devices, which send what no library would. Phones that began a new
 * life: test_held_lives.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "support/fleet.h"
#include "support/raw_trial.h"
#include "support/raw_work.h"
#include "sync-server/intake/intake.h"

#include <cmocka.h>
#undef fail

#define DAY_MS INT64_C(86400000)

/* --- people and their devices ----------------------------------------------------------------- */

static fleet f;
static fb_id shop;
static int64_t saved_ms;
static fleet_device *rep, *first, *second; /* a rep and two managers of the region */

static int people_open(void **state)
{
    fb_id mgr, other;
    (void)state;
    fleet_open(&f);
    mgr = company_find(&f.company, "role", "MGR");
    other = company_add(
        &f.company, "app_user",
        PAIRS("code", "M2", "name", "M2", "org_unit_id", id_text(&f.region), "status", "active"));
    company_add(&f.company, "user_role",
                PAIRS("user_id", id_text(&other), "role_id", id_text(&mgr)));
    shop = company_add(&f.company, "customer",
                       PAIRS("code", "K1", "name", "Corner", "remark", "as it was", "territory_id",
                             id_text(&f.territories[0])));
    rep = fleet_device_add(&f, &f.users[0]);
    first = fleet_device_add(&f, &f.manager);
    second = fleet_device_add(&f, &other);
    return 0;
}

static int people_close(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

/* Edited offline, the shop moved, met again so late that a manager must decide; he has heard. */
static void work_is_held(void)
{
    static const char *const columns[] = {"remark"};
    const fb_value values[] = {{.kind = FB_KIND_TEXT, .u.text = {"by the rep", 10}}};
    const fb_record_change c = {columns, values, 1};
    fb_error err = {0};
    saved_ms = f.now_ms;
    fleet_must(fb_record_update(rep->db, "customer", &shop, &c, &err), &err, "remark");
    f.now_ms += 40 * DAY_MS;
    company_set(&f.company, "customer", &shop, PAIRS("territory_id", id_text(&f.territories[1])));
    f.now_ms += 40 * DAY_MS;
    fleet_sync(rep);
    fleet_sync(first);
    fleet_sync(second);
}

static fb_code run(fleet_device *d, const char *name, const char *args, char *out, size_t size)
{
    fb_error err = {0};
    char *json = NULL;
    fb_code rc = fb_command_run(d->db, name, args, &json, &err);
    snprintf(out, size, "%s", rc == FB_OK ? json : err.message);
    fb_string_free(json);
    return rc;
}

static fb_code decide(fleet_device *d, const char *name, const char *reason, char *out, size_t size)
{
    char id[64], args[200];
    fleet_text(d,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\"%s%s%s}", id,
             reason != NULL ? ",\"reason\":\"" : "", reason != NULL ? reason : "",
             reason != NULL ? "\"" : "");
    return run(d, name, args, out, size);
}

static void shop_says(const char *remark)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), "customer");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    fleet_must(store_row_get(f.admin, e, &shop, memory, row), NULL, "shop");
    assert_true(text_is(row[cat_column_str(e, "remark")].u.text, remark));
    arena_free(memory);
}

static int64_t open_ones(fleet_device *d)
{
    return fleet_number(d, "SELECT count(*) FROM held_group WHERE state='open'");
}

static int64_t in_tray(fleet_device *d)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    return s.held_count + s.rejected_count + s.blocked_count;
}

static void manager_sees_who_when_what_and_why(void **state)
{
    char out[4000];
    (void)state;
    work_is_held();
    assert_int_equal(run(first, "held.list", NULL, out, sizeof out), FB_OK);
    assert_non_null(strstr(out, "\"by\":\"U1\""));
    assert_non_null(strstr(out, "\"code\":\"E_SCOPE\""));
    assert_non_null(strstr(out, "\"who\":\"MGR\""));
    assert_non_null(strstr(out, "outside your territory"));
    assert_non_null(strstr(out, "区域"));
    assert_int_equal(fleet_number(first, "SELECT captured_at FROM held_group"), saved_ms);
    char id[64], args[100];
    snprintf(id, sizeof id, "%.36s", strstr(out, "\"id\":\"") + 6);
    snprintf(args, sizeof args, "{\"held\":\"%s\"}", id);
    assert_int_equal(run(first, "held.show", args, out, sizeof out), FB_OK);
    assert_non_null(strstr(out, "\"group\":{\"k\":"));
    assert_non_null(strstr(out, "by the rep"));
}

static void accepted_offline_stands_and_its_author_is_told(void **state)
{
    char out[400], told[40];
    (void)state;
    work_is_held();
    assert_int_equal(decide(first, "held.accept", "seen", out, sizeof out), FB_OK);
    assert_int_equal(open_ones(first), 0); /* at once */
    assert_int_equal(decide(first, "held.accept", NULL, out, sizeof out), FB_E_STATE);
    fleet_sync(rep);
    assert_int_equal(in_tray(rep), 1); /* nothing has travelled */
    shop_says("as it was");
    fleet_sync(first);
    shop_says("by the rep");
    assert_int_equal(in_tray(first), 0);
    fleet_sync(rep);
    assert_int_equal(in_tray(rep), 0);
    fleet_text(rep, "SELECT state||' '||result||' '||reason FROM held_group", told, sizeof told);
    assert_string_equal(told, "accepted applied seen");
    assert_int_equal(fleet_number(rep,
                                  "SELECT decided_by IS NOT NULL AND decided_at > captured_at FROM "
                                  "held_group"),
                     1);
}

static fb_code keep_text(void *ctx, const fb_problem *p)
{
    snprintf(ctx, 200, "%.*s|%s|%.*s", (int)p->state.size, p->state.data, fb_code_name(p->error),
             (int)p->text_en.size, p->text_en.data);
    return FB_OK;
}

static void rejected_offline_its_author_reads_the_reason(void **state)
{
    char out[400], told[200] = "";
    fb_error err = {0};
    (void)state;
    work_is_held();
    assert_int_equal(decide(first, "held.reject", NULL, out, sizeof out), FB_E_REQUIRED);
    assert_int_equal(decide(first, "held.reject", "not ours any more", out, sizeof out), FB_OK);
    fleet_sync(first);
    fleet_sync(rep);
    shop_says("as it was");
    fleet_must(fb_problem_each(rep->db, keep_text, told, &err), &err, "tray");
    assert_string_equal(told, "rejected|E_FORBIDDEN|not ours any more");
}

static void first_decision_counts_and_the_second_manager_is_told(void **state)
{
    char out[400], told[200] = "";
    fb_error err = {0};
    (void)state;
    work_is_held();
    assert_int_equal(decide(second, "held.reject", "no", out, sizeof out), FB_OK);
    f.now_ms += 1000;
    assert_int_equal(decide(first, "held.accept", "yes", out, sizeof out), FB_OK);
    fleet_sync(first); /* decided later, arrived earlier */
    fleet_sync(second);
    shop_says("by the rep");
    fleet_must(fb_problem_each(second->db, keep_text, told, &err), &err, "tray");
    assert_string_equal(told, "rejected|E_STATE|it has been decided already");
    fleet_text(second, "SELECT state||' '||reason FROM held_group", out, sizeof out);
    assert_string_equal(out, "accepted yes");
    assert_int_equal(fleet_number(second, "SELECT count(*) FROM conflict"), 0);
}

static fb_value said(const char *text)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = {text, strlen(text)}};
}

static fb_id record_new(fleet_device *d, const char *entity, const fb_record_change *c)
{
    fb_error err = {0};
    fb_id id = {{0}};
    fleet_must(fb_record_insert(d->db, entity, c, &id, &err), &err, entity);
    return id;
}

/* The other shop is met elsewhere, so a manager decides; until he does it has come into the rep's
 * own territory. What the rep wrote about his shop meanwhile is about that one. */
static void accepted_as_a_duplicate_its_references_follow(void **state)
{
    static const char name[] = "Corner Two", phone[] = "13900000001";
    char out[400], told[100];
    (void)state;
    fb_id twin = company_add(&f.company, "customer",
                             PAIRS("code", "K2", "name", name, "phone", phone, "territory_id",
                                   id_text(&f.territories[1])));
    static const char *const shop_columns[] = {"code", "name", "phone", "territory_id"};
    const fb_value shop_values[] = {
        said("K3"), said(name), said(phone), {.kind = FB_KIND_ID, .u.id = f.territories[0]}};
    fb_id mine = record_new(rep, "customer", &(fb_record_change){shop_columns, shop_values, 4});
    fleet_sync(rep);
    fleet_sync(first);
    assert_int_equal(open_ones(first), 1);
    company_set(&f.company, "customer", &twin, PAIRS("territory_id", id_text(&f.territories[0])));
    assert_int_equal(decide(first, "held.accept", NULL, out, sizeof out), FB_OK);
    static const char *const contact_columns[] = {"customer_id", "name"};
    const fb_value contact_values[] = {{.kind = FB_KIND_ID, .u.id = mine}, said("Ms Wu")};
    (void)record_new(rep, "contact", &(fb_record_change){contact_columns, contact_values, 2});
    fleet_sync(first);
    fleet_sync(rep);
    fleet_sync(rep);
    assert_int_equal(in_tray(rep), 0);
    fleet_text(rep,
               "SELECT c.code FROM contact t JOIN customer c ON c.id=t.customer_id WHERE "
               "t.name='Ms Wu'",
               told, sizeof told);
    assert_string_equal(told, "K2");
    fleet_sync(first);
    fleet_text(first,
               "SELECT c.code FROM contact t JOIN customer c ON c.id=t.customer_id WHERE "
               "t.name='Ms Wu'",
               told, sizeof told);
    assert_string_equal(told, "K2");
}

static void its_author_and_a_colleague_cannot_decide(void **state)
{
    char out[400];
    (void)state;
    work_is_held();
    assert_int_equal(decide(rep, "held.accept", NULL, out, sizeof out), FB_E_FORBIDDEN);
    fleet_device *colleague = fleet_device_add(&f, &f.users[1]);
    assert_int_equal(decide(colleague, "held.accept", NULL, out, sizeof out), FB_E_FORBIDDEN);
}

/* --- what no library would send --------------------------------------------------------------- */

typedef struct bench {
    raw_world w;
    raw_device a, b, m; /* two reps of a territory, and their manager */
    fb_id record;
    int64_t held; /* number of a's group that waits */
} bench;

static void hear(raw_device *d)
{
    raw_reply r;
    raw_exchange(d, &r);
    assert_int_equal(r.status, 200);
    raw_reply_clear(&r);
}

static fb_id record_of(bench *b, const raw_device *of, int64_t number)
{
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "held_group");
    const fb_value equal = {.kind = FB_KIND_INT, .u.i = number};
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    assert_int_equal(store_row_by(b->w.admin, e, cat_column_str(e, "number"), &equal, memory, row),
                     FB_OK);
    assert_true(id_equal(&row[cat_column_str(e, "user_id")].u.id, &of->user));
    fb_id id = row[0].u.id;
    arena_free(memory);
    return id;
}

/* The second order is over the limit. */
static int bench_open(void **state)
{
    static bench b;
    fb_id order;
    raw_world_open(&b.w);
    b.w.trial = raw_trial;
    company_add(&b.w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "global", "value", "12000"));
    raw_enrol(&b.w, &b.a, &b.w.users[0], 1);
    raw_enrol(&b.w, &b.b, &b.w.users[2], 2);
    raw_enrol(&b.w, &b.m, &b.w.manager, 3);
    (void)raw_push_order(&b.a, "SO-A1-1", &RAW_GOOD, 0, &order);
    b.held = raw_push_order(&b.a, "SO-A1-2", &RAW_GOOD, 0, &order);
    hear(&b.a);
    hear(&b.b);
    hear(&b.m);
    b.record = record_of(&b, &b.a, b.held);
    *state = &b;
    return 0;
}

static int bench_close(void **state)
{
    bench *b = *state;
    raw_device_clear(&b->a);
    raw_device_clear(&b->b);
    raw_device_clear(&b->m);
    raw_world_close(&b->w);
    return 0;
}

static void state_is(bench *b, const char *text)
{
    char room[256];
    raw_server_text(&b->w, "held_group", &b->record, "state", room);
    assert_string_equal(room, text);
}

/* The device decides, as it last saw the row; the server's answer. */
static verdict_code decide_raw(bench *b, raw_device *d, const char *to, fb_code *error_out)
{
    raw_group g;
    raw_reply r;
    raw_begin(&g, d, "held.decide", 0, 0);
    raw_update(&g, "held_group", &b->record, raw_server_ver(&b->w, "held_group", &b->record),
               PAIRS("state", "open", to, "reason", "", "because"));
    int64_t gseq = raw_end(&g);
    raw_exchange(d, &r);
    verdict_msg v = raw_verdict(&r, gseq);
    *error_out = v.error;
    assert_true(v.error == FB_OK || (v.cure_en.size > 0 && v.cure_zh.size > 0));
    raw_reply_clear(&r);
    return v.code;
}

static void price_becomes(bench *b, const char *price)
{
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "price_list_item");
    const fb_value equal = {.kind = FB_KIND_ID, .u.id = b->w.product};
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    assert_int_equal(
        store_row_by(b->w.admin, e, cat_column_str(e, "product_id"), &equal, memory, row), FB_OK);
    company_set(&b->w.company, "price_list_item", &row[0].u.id, PAIRS("price_4dp", price));
    arena_free(memory);
}

static void accepted_over_the_wire_the_author_hears_the_verdict(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_code error = FB_OK;
    assert_int_equal(decide_raw(b, &b->m, "accepted", &error), VERDICT_APPLIED);
    raw_exchange(&b->a, &r);
    verdict_msg v = raw_verdict(&r, b->held);
    assert_int_equal(v.code, VERDICT_APPLIED);
    assert_true(v.echo && v.cid > 0);
    assert_true(raw_page_has(&r, &b->record));
    raw_reply_clear(&r);
    raw_exchange(&b->a, &r);
    assert_false(raw_has_verdict(&r, b->held));
    raw_reply_clear(&r);
    int64_t entries = 0, bad = 0;
    assert_int_equal(audit_verify(b->w.admin, &entries, &bad), FB_OK);
    assert_int_equal(bad, 0);
}

/* The price changed while the order waited: what the manager accepted cannot stand, and no page
 * brings rows of it. */
static void accepted_but_no_longer_right_is_refused_without_echo(void **state)
{
    bench *b = *state;
    raw_reply r;
    fb_code error = FB_OK;
    price_becomes(b, "11.00");
    assert_int_equal(decide_raw(b, &b->m, "accepted", &error), VERDICT_APPLIED);
    raw_exchange(&b->a, &r);
    verdict_msg v = raw_verdict(&r, b->held);
    assert_int_equal(v.code, VERDICT_REJECTED);
    assert_int_equal(v.error, FB_E_PRICE);
    assert_false(v.echo);
    raw_reply_clear(&r);
}

static void right_to_decide_is_checked_at_the_server(void **state)
{
    bench *b = *state;
    fb_code error = FB_OK;
    assert_int_equal(decide_raw(b, &b->b, "accepted", &error), VERDICT_REJECTED);
    assert_int_equal(error, FB_E_FORBIDDEN);
    fb_id mgr = company_find(&b->w.company, "role", "MGR");
    company_add(&b->w.company, "user_role",
                PAIRS("user_id", id_text(&b->a.user), "role_id", id_text(&mgr)));
    assert_int_equal(decide_raw(b, &b->a, "accepted", &error), VERDICT_REJECTED);
    assert_int_equal(error, FB_E_FORBIDDEN); /* his own */
    assert_int_equal(decide_raw(b, &b->m, "withdrawn", &error), VERDICT_REJECTED);
    company_set(&b->w.company, "held_group", &b->record, PAIRS("role", "IT"));
    assert_int_equal(decide_raw(b, &b->m, "accepted", &error), VERDICT_REJECTED);
    assert_int_equal(error, FB_E_FORBIDDEN); /* a poisonous one is not run by a device */
    state_is(b, "open");
}

/* Another rule's way to the row: what it says would not be done. */
static void change_request_cannot_decide(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    raw_begin(&g, &b->m, "request", 0, 0);
    fb_id request =
        raw_insert(&g, "change_request",
                   PAIRS("target_entity", "held_group", "target_id", id_text(&b->record), "kind",
                         "update", "diff_json", "{\"state\":\"accepted\"}", "requested_by",
                         id_text(&b->m.user), "status", "submitted"));
    raw_end(&g);
    raw_begin(&g, &b->m, "approve", 0, 0);
    raw_update(&g, "change_request", &request, 0, PAIRS("status", "submitted", "approved"));
    int64_t gseq = raw_end(&g);
    raw_exchange(&b->m, &r);
    assert_int_equal(raw_verdict(&r, gseq).code, VERDICT_REJECTED);
    assert_int_equal(raw_verdict(&r, gseq).error, FB_E_FORBIDDEN);
    raw_reply_clear(&r);
    state_is(b, "open");
}

static fb_code administrator_decides(bench *b, bool accept)
{
    intake in = {.db = b->w.admin, .cache = decide_cache_new(), .work = arena_new(16 << 20)};
    char reason[3 * 150 + 1] = ""; /* more than the row holds, three bytes each */
    for (int i = 0; i < 150; i++) {
        memcpy(reason + 3 * i, "\xe9\xa9\xb3", 4);
    }
    const intake_decision how = {.device = b->a.id,
                                 .gseq = b->held,
                                 .now_ms = b->w.now_ms,
                                 .accept = accept,
                                 .reason = text_of(accept ? "" : reason)};
    int64_t head = 0;
    char state[256];
    raw_server_text(&b->w, "held_group", &b->record, "state", state);
    if (strcmp(state, "open") == 0) {
        raw_trial_held(&b->w, &how);
    }
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(ledger_head(b->w.admin, &head), FB_OK);
    assert_int_equal(decide_cache_begin(in.cache, b->w.admin, head, b->w.now_ms), FB_OK);
    fb_code rc = intake_held_decide(&in, &how);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    decide_cache_free(in.cache);
    arena_free(in.work);
    return rc;
}

static void administrator_was_first(void **state)
{
    bench *b = *state;
    fb_code error = FB_OK;
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "held_group");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    assert_int_equal(administrator_decides(b, false), FB_OK);
    state_is(b, "rejected");
    assert_int_equal(store_row_get(b->w.admin, e, &b->record, memory, row), FB_OK);
    assert_int_equal(row[cat_column_str(e, "reason")].u.text.size, 399); /* whole characters */
    arena_free(memory);
    assert_int_equal(decide_raw(b, &b->m, "accepted", &error), VERDICT_REJECTED);
    assert_int_equal(error, FB_E_STATE);
    state_is(b, "rejected");
}

static void device_was_first(void **state)
{
    bench *b = *state;
    fb_code error = FB_OK;
    assert_int_equal(decide_raw(b, &b->m, "rejected", &error), VERDICT_APPLIED);
    assert_int_equal(administrator_decides(b, true), FB_E_STATE);
    state_is(b, "rejected");
}

/* A phone that begins a new life sends the same bytes again: the same row, which stays as it was
 * for everybody; the verdict comes under the new number. */
static void reborn_device_waits_under_its_new_number(void **state)
{
    bench *b = *state;
    fb_code error = FB_OK;
    raw_reply r;
    fb_id order;
    char number[256];
    int64_t version = raw_server_ver(&b->w, "held_group", &b->record);
    b->a.settled = b->held - 1; /* put back to before the answer */
    raw_incarnation(&b->a);
    (void)raw_push_order(&b->a, "SO-A1-3", &RAW_GOOD, 0, &order);
    hear(&b->a);
    raw_server_text(&b->w, "held_group", &b->record, "number", number);
    int64_t now = 1, told = 0;
    assert_true(i64_get(text_of(number), &told) && told == b->held && b->held == 2);
    assert_int_equal(raw_server_ver(&b->w, "held_group", &b->record), version);
    state_is(b, "open");
    assert_int_equal(decide_raw(b, &b->m, "accepted", &error), VERDICT_APPLIED);
    raw_exchange(&b->a, &r);
    assert_int_equal(raw_verdict(&r, now).code, VERDICT_APPLIED);
    raw_reply_clear(&r);
}

static void group_that_was_replaced_waits_no_more(void **state)
{
    bench *b = *state;
    fb_code error = FB_OK;
    fb_id order;
    (void)raw_push_order(&b->a, "SO-A1-4", &RAW_GOOD, b->held, &order);
    hear(&b->a);
    state_is(b, "withdrawn");
    assert_int_equal(decide_raw(b, &b->m, "accepted", &error), VERDICT_REJECTED);
    assert_int_equal(error, FB_E_STATE);
}

#define PEOPLE(name) cmocka_unit_test_setup_teardown(name, people_open, people_close)
#define BENCH(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEOPLE(manager_sees_who_when_what_and_why),
        PEOPLE(accepted_offline_stands_and_its_author_is_told),
        PEOPLE(rejected_offline_its_author_reads_the_reason),
        PEOPLE(first_decision_counts_and_the_second_manager_is_told),
        PEOPLE(accepted_as_a_duplicate_its_references_follow),
        PEOPLE(its_author_and_a_colleague_cannot_decide),
        BENCH(accepted_over_the_wire_the_author_hears_the_verdict),
        BENCH(accepted_but_no_longer_right_is_refused_without_echo),
        BENCH(right_to_decide_is_checked_at_the_server),
        BENCH(change_request_cannot_decide),
        BENCH(administrator_was_first),
        BENCH(device_was_first),
        BENCH(reborn_device_waits_under_its_new_number),
        BENCH(group_that_was_replaced_waits_no_more),
    };
    return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
