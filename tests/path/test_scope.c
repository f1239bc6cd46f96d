/* test_scope.c - who sees what when it changes, clause by clause, with real replicas: substitution,
 * a customer in several territories, what is below a customer, a membership or a role that ends in
 * the middle of a sync, work that comes late.
 *
 * Always the same two questions: are the rows that the person may see on the device, and no others;
 * and has every group that was saved its verdict, with nothing lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support/fleet.h"
#include "support/raw_device.h"

#include <cmocka.h>

enum { DAY_MS = 86400000, PAGES_MAX = 2000 };

static fleet f;
static fleet_device *one, *two; /* U1 of T1, U2 of T2 */
static fb_id contacts[2];       /* of C1 and C2 */

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    fleet_open(&f);
    for (int i = 0; i < 2; i++) {
        contacts[i] = company_add(
            &f.company, "contact",
            PAIRS("customer_id", id_text(&f.customers[i]), "name", i == 0 ? "Buyer 1" : "Buyer 2"));
    }
    one = fleet_device_add(&f, &f.users[0]);
    two = fleet_device_add(&f, &f.users[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_close(&f);
    return 0;
}

/* The company's calendar day, so many days from now. */
static const char *day(int from_now)
{
    static char room[4][16];
    static unsigned next;
    char *out = room[next++ % 4];
    time_t at = (time_t)(f.now_ms / 1000 + (int64_t)from_now * 86400);
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(out, sizeof room[0], "%Y-%m-%d", &tm);
    return out;
}

static void sees(fleet_device *d, bool first, bool second)
{
    fleet_sync(d);
    assert_int_equal(d->report.digest_faults_count, 0);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE code = 'C1'"), first);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM customer WHERE code = 'C2'"), second);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM contact WHERE name = 'Buyer 1'"), first);
    assert_int_equal(fleet_number(d, "SELECT count(*) FROM contact WHERE name = 'Buyer 2'"),
                     second);
}

static void visit_save(fleet_device *d, const fb_id *customer)
{
    fb_error err = {0};
    fb_visit_in visit;
    int64_t gseq = 0;
    fleet_must(fb_group_begin(d->db, "visit.done", 0, &err), &err, "begin");
    fleet_must(fb_visit_check_in(d->db, customer, NULL, &visit, &err), &err, "check in");
    fleet_must(fb_visit_check_out(d->db, &visit.visit, NULL, &err), &err, "check out");
    fleet_must(fb_group_commit(d->db, &gseq, &err), &err, "commit");
}

static int64_t on_server(const char *entity)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), entity);
    fb_id ids[64], after = {{0}};
    uint32_t count = 0;
    assert_int_equal(store_ids_after(f.admin, e, 0, &after, 64, ids, &count), FB_OK);
    return count;
}

typedef struct tray {
    int64_t held, refused;
    fb_code last;
    char who[16];
} tray;

static fb_code tray_take(void *ctx, const fb_problem *p)
{
    tray *t = ctx;
    bool held = text_is(p->state, "held");
    t->held += held;
    t->refused += !held;
    t->last = p->error;
    snprintf(t->who, sizeof t->who, "%.*s", (int)p->who.size, p->who.data);
    return FB_OK;
}

static tray tray_of(fleet_device *d)
{
    tray t = {0};
    fb_error err = {0};
    fleet_must(fb_problem_each(d->db, tray_take, &t, &err), &err, "tray");
    return t;
}

/* ---- substitution ---- */

/* U1 stands in for U2: a membership of T2 with a first and a last day. */
static void substitute(int from, int to)
{
    company_add(&f.company, "user_territory",
                PAIRS("user_id", id_text(&f.users[0]), "territory_id", id_text(&f.territories[1]),
                      "valid_from", day(from), "valid_to", day(to)));
}

static void substitute_has_the_territory_from_the_first_day_to_the_last(void **state)
{
    (void)state;
    substitute(1, 2);
    sees(one, true, false);
    f.now_ms += DAY_MS;
    sees(one, true, true);
    sees(two, false, true); /* the absent one keeps it */
    f.now_ms += DAY_MS;
    sees(one, true, true);
    f.now_ms += DAY_MS;
    sees(one, true, false);
    sees(two, false, true);
}

static void substitutes_work_counts_when_it_arrives_after_the_last_day(void **state)
{
    (void)state;
    substitute(0, 1);
    sees(one, true, true);
    visit_save(one, &f.customers[1]);
    f.now_ms += 3 * (int64_t)DAY_MS;
    sees(one, true, false);
    assert_int_equal(one->report.applied_count, 1);
    assert_int_equal(tray_of(one).held + tray_of(one).refused, 0);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 0);
    fleet_sync(two);
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM visit"), 1);
}

/* Taken by grace only: no page will ever drop it, so the device must not keep it either. */
static void what_was_taken_by_grace_leaves_the_device(void **state)
{
    char json[160];
    fb_id id;
    fb_error err = {0};
    (void)state;
    substitute(0, 1);
    sees(one, true, true);
    snprintf(json, sizeof json, "{\"customer_id\":\"%s\",\"name\":\"Buyer 3\"}",
             id_text(&f.customers[1]));
    fleet_must(fb_record_put_json(one->db, "contact", json, &id, &err), &err, "contact");
    f.now_ms += 3 * (int64_t)DAY_MS;
    sees(one, true, false);
    assert_int_equal(one->report.applied_count, 1);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM contact WHERE name = 'Buyer 3'"), 0);
    fleet_sync(two);
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM contact WHERE name = 'Buyer 3'"), 1);
}

/* The device has not heard that it is over: the customer is still there when the visit is saved. */
static void work_after_the_last_day_is_held_for_the_manager(void **state)
{
    (void)state;
    substitute(0, 1);
    sees(one, true, true);
    f.now_ms += 3 * (int64_t)DAY_MS;
    visit_save(one, &f.customers[1]);
    fleet_sync(one);
    tray t = tray_of(one);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.last, FB_E_SCOPE);
    assert_string_equal(t.who, "MGR");
    assert_int_equal(on_server("visit"), 0);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 1); /* nothing is dropped */
}

/* Beyond the grace of 30 days also what was captured in time asks the manager. */
static void work_that_is_a_month_late_is_held(void **state)
{
    (void)state;
    substitute(0, 1);
    sees(one, true, true);
    visit_save(one, &f.customers[1]);
    f.now_ms += 40 * (int64_t)DAY_MS;
    fleet_sync(one);
    assert_int_equal(tray_of(one).held, 1);
    assert_int_equal(tray_of(one).last, FB_E_SCOPE);
}

/* ---- a customer in several territories ---- */

static const char *hour_text(int64_t at_ms, char room[32])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(room, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return room;
}

static fb_id assign_second(void)
{
    char from[32];
    return company_add(&f.company, "customer_assignment",
                       PAIRS("customer_id", id_text(&f.customers[0]), "territory_id",
                             id_text(&f.territories[1]), "from_at", hour_text(f.now_ms, from)));
}

static void customer_of_two_territories_is_with_both_reps(void **state)
{
    (void)state;
    fb_id assignment = assign_second();
    sees(one, true, false);
    sees(two, true, true);
    visit_save(one, &f.customers[0]);
    visit_save(two, &f.customers[0]);
    sees(one, true, false);
    sees(two, true, true);
    sees(one, true, false);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 2);
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM visit"), 2);
    company_delete(&f.company, "customer_assignment", &assignment);
    sees(one, true, false);
    sees(two, false, true);
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM visit"), 0);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 2);
}

/* On a day on which nobody saves anything the hour comes all the same. */
static void assignment_begins_and_ends_by_itself(void **state)
{
    enum { HOUR_MS = 3600000, MINUTE_MS = 60000 };
    char from[32], to[32];
    (void)state;
    company_add(&f.company, "customer_assignment",
                PAIRS("customer_id", id_text(&f.customers[0]), "territory_id",
                      id_text(&f.territories[1]), "from_at", hour_text(f.now_ms + HOUR_MS, from),
                      "to_at", hour_text(f.now_ms + 2 * HOUR_MS, to)));
    sees(two, false, true);
    f.now_ms += HOUR_MS + MINUTE_MS;
    sees(two, true, true);
    f.now_ms += HOUR_MS + MINUTE_MS;
    sees(two, false, true);
    sees(one, true, false);
}

static void leaving_one_territory_keeps_it_for_who_has_the_other(void **state)
{
    (void)state;
    assign_second();
    sees(two, true, true);
    company_set(&f.company, "customer", &f.customers[0], PAIRS("territory_id", ""));
    sees(one, false, false);
    sees(two, true, true);
    assert_true(two->report.rows_count <= 1); /* the customer at most, not what is below it */
}

/* ---- what is below a customer ---- */

static void children_follow_their_customer(void **state)
{
    (void)state;
    fb_id parent = f.customers[0];
    visit_save(one, &parent);
    sees(one, true, false);
    company_set(&f.company, "customer", &parent, PAIRS("territory_id", id_text(&f.territories[1])));
    sees(one, false, false);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 0);
    sees(two, true, true);
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM visit"), 1);
    /* One that changes its customer goes with the new one. */
    company_set(&f.company, "customer", &parent, PAIRS("territory_id", id_text(&f.territories[0])));
    sees(one, true, false);
    sees(two, false, true);
    assert_int_equal(fleet_number(two, "SELECT count(*) FROM visit"), 0);
    fleet_sync(one);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 1);
}

/* ---- in the middle of a sync ---- */

static fb_code first_take(void *ctx, const fb_value *values)
{
    *(fb_id *)ctx = values[0].u.id;
    return FB_OK;
}

static fb_id membership_of(const char *entity, const fb_id *user)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f.admin), entity);
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *user};
    fb_id found = {{0}};
    arena *memory = arena_new(1 << 20);
    fleet_must(
        store_rows_by(f.admin, e, cat_column_str(e, "user_id"), &key, memory, first_take, &found),
        NULL, entity);
    arena_free(memory);
    return found;
}

static void membership_drop(const char *entity, const fb_id *user)
{
    fb_id id = membership_of(entity, user);
    company_delete(&f.company, entity, &id);
}

/* Sees the answer before the device: the membership ends while it is on its way. */
static void end_while_answering(void *ctx, const fb_link_request *q, fb_link_response *r)
{
    bool *ended = ctx;
    (void)q;
    (void)r;
    if (!*ended) {
        *ended = true;
        membership_drop("user_territory", &f.users[0]);
    }
}

static void membership_that_ends_between_push_and_pull(void **state)
{
    (void)state;
    bool ended = false;
    visit_save(one, &f.customers[0]);
    f.answered = end_while_answering;
    f.answered_ctx = &ended;
    fleet_sync(one);
    assert_true(ended);
    f.answered = NULL;
    assert_int_equal(one->report.applied_count, 1);
    sees(one, false, false);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 0);
    assert_int_equal(on_server("visit"), 1);
    fb_error err = {0};
    fleet_must(fb_db_check(one->db, &err), &err, "check");
}

/* Saved with the row on the screen, sent when it is out of scope: held, visible, and the manager's
 * yes makes it count. */
static void work_on_rows_that_left_is_held_and_kept(void **state)
{
    (void)state;
    visit_save(one, &f.customers[0]);
    membership_drop("user_territory", &f.users[0]);
    fleet_sync(one);
    assert_int_equal(tray_of(one).held, 1);
    assert_int_equal(tray_of(one).last, FB_E_SCOPE);
    fleet_sync(one);
    assert_int_equal(tray_of(one).held, 1);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 1);
    assert_int_equal(on_server("visit"), 0);
}

static void role_that_ends_leaves_the_work_in_the_tray(void **state)
{
    (void)state;
    visit_save(one, &f.customers[0]);
    membership_drop("user_role", &f.users[0]);
    fleet_sync(one);
    tray t = tray_of(one);
    assert_int_equal(t.held + t.refused, 1);
    assert_int_equal(t.last, FB_E_FORBIDDEN);
    assert_int_equal(on_server("visit"), 0);
}

/* The last day of the person's role; IT says so at the server, the device has not heard. */
static void role_ends(company *c, const fb_id *user, const char *last_day)
{
    const cat_entity *e = catalog_entity_str(store_catalog(c->db), "user_role");
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *user};
    fb_id found = {{0}};
    arena *memory = arena_new(1 << 20);
    assert_int_equal(
        store_rows_by(c->db, e, cat_column_str(e, "user_id"), &key, memory, first_take, &found),
        FB_OK);
    arena_free(memory);
    company_set(c, "user_role", &found, PAIRS("valid_to", last_day));
}

static void manager_accepts(void)
{
    fleet_device *m = fleet_device_add(&f, &f.manager);
    char id[64], args[100], *json = NULL;
    fb_error err = {0};
    fleet_text(m,
               "SELECT lower(substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||"
               "substr(h,17,4)||'-'||substr(h,21)) FROM (SELECT hex(id) AS h FROM held_group)",
               id, sizeof id);
    snprintf(args, sizeof args, "{\"held\":\"%s\"}", id);
    fleet_must(fb_command_run(m->db, "held.accept", args, &json, &err), &err, "accept");
    fb_string_free(json);
    fleet_sync(m);
    fleet_sync(one);
}

static void work_of_a_role_that_ended_on_the_way_is_held(void **state)
{
    (void)state;
    visit_save(one, &f.customers[0]);
    role_ends(&f.company, &f.users[0], day(0));
    f.now_ms += 2 * (int64_t)DAY_MS;
    fleet_sync(one);
    tray t = tray_of(one);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.last, FB_E_FORBIDDEN);
    assert_string_equal(t.who, "MGR");
    assert_int_equal(on_server("visit"), 0);
    assert_int_equal(fleet_number(one, "SELECT count(*) FROM visit"), 1); /* nothing is dropped */
    manager_accepts();
    assert_int_equal(on_server("visit"), 1);
    assert_int_equal(tray_of(one).held + tray_of(one).refused, 0);
}

static void work_after_the_role_ended_is_refused(void **state)
{
    (void)state;
    role_ends(&f.company, &f.users[0], day(-1));
    visit_save(one, &f.customers[0]);
    fleet_sync(one);
    assert_int_equal(tray_of(one).refused, 1);
    assert_int_equal(tray_of(one).last, FB_E_FORBIDDEN);
}

static void work_of_a_person_disabled_on_the_way_is_held(void **state)
{
    (void)state;
    visit_save(one, &f.customers[0]);
    f.now_ms += 60000;
    company_set(&f.company, "app_user", &f.users[0], PAIRS("status", "disabled"));
    f.now_ms += 60000;
    fleet_sync(one);
    assert_int_equal(tray_of(one).held, 1);
    assert_int_equal(tray_of(one).last, FB_E_FORBIDDEN);
}

/* What the group saw was there only after the role had ended. */
static void forged_capture_time_gains_nothing(void **state)
{
    (void)state;
    static raw_world w;
    static raw_device d;
    raw_group g;
    raw_reply r;
    raw_world_open(&w);
    raw_enrol(&w, &d, &w.users[0], 1);
    raw_exchange(&d, &r);
    raw_reply_clear(&r);
    int64_t then = w.now_ms, old = raw_server_ver(&w, "customer", &w.customers[0]);
    f.now_ms = then;
    role_ends(&w.company, &w.users[0], day(0));
    w.now_ms += 3 * (int64_t)DAY_MS;
    company_set(&w.company, "customer", &w.customers[0], PAIRS("remark", "later"));
    const int64_t seen[] = {old, raw_server_ver(&w, "customer", &w.customers[0])};
    for (int i = 0; i < 2; i++) {
        raw_begin(&g, &d, "customer.change", then, 0);
        raw_update(&g, "customer", &w.customers[0], seen[i], PAIRS("phone", "", "021-5550"));
        int64_t gseq = raw_end(&g);
        raw_exchange(&d, &r);
        assert_int_equal(raw_verdict(&r, gseq).error, FB_E_FORBIDDEN);
        assert_int_equal(raw_verdict(&r, gseq).code, i == 0 ? VERDICT_HELD : VERDICT_REJECTED);
        raw_reply_clear(&r);
    }
    raw_device_clear(&d);
    raw_world_close(&w);
}

/* One page of a few rows; the device believes it. */
static void page_take(raw_device *d, raw_reply *r)
{
    sync_request q = raw_request(d);
    q.page_bytes = 1;
    raw_sync_with(d, &q, r);
    assert_int_equal(r->status, 200);
    fb_text token = r->items[RAW_VERDICTS_MAX - 1].page.token;
    snprintf(d->page_token, sizeof d->page_token, "%.*s", (int)token.size, token.data);
    d->epoch = r->sync.epoch;
    d->catalog_version = store_catalog(d->w->admin)->version;
}

static void raw_membership_drop(raw_world *w, const fb_id *user)
{
    const cat_entity *e = catalog_entity_str(store_catalog(w->admin), "user_territory");
    const fb_value key = {.kind = FB_KIND_ID, .u.id = *user};
    fb_id found = {{0}};
    arena *memory = arena_new(1 << 20);
    assert_int_equal(
        store_rows_by(w->admin, e, cat_column_str(e, "user_id"), &key, memory, first_take, &found),
        FB_OK);
    arena_free(memory);
    company_delete(&w->company, "user_territory", &found);
}

/* Page by page: what the first pages brought is taken back by a later one. */
static void membership_that_ends_between_two_pages(void **state)
{
    (void)state;
    static raw_world w;
    static raw_device d;
    raw_reply r;
    int came = 0, left = 0;
    bool complete = false;
    raw_world_open(&w);
    raw_enrol(&w, &d, &w.users[0], 1);
    for (int i = 0; !complete && i < PAGES_MAX; i++) {
        page_take(&d, &r);
        fb_text body = buf_text(&r.body);
        bool leaves = memmem(body.data, body.size, "\"k\":\"leave\"", 11) != NULL;
        bool named = raw_page_has(&r, &w.customers[0]);
        left += named && leaves;
        if (named && !leaves) {
            assert_false(r.complete);
            raw_membership_drop(&w, &w.users[0]);
            came++;
        }
        complete = r.complete;
        raw_reply_clear(&r);
    }
    assert_true(complete);
    assert_int_equal(came, 1);
    assert_int_equal(left, 1);
    raw_device_clear(&d);
    raw_world_close(&w);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(substitute_has_the_territory_from_the_first_day_to_the_last),
        CASE(substitutes_work_counts_when_it_arrives_after_the_last_day),
        CASE(what_was_taken_by_grace_leaves_the_device),
        CASE(work_after_the_last_day_is_held_for_the_manager),
        CASE(work_that_is_a_month_late_is_held),
        CASE(customer_of_two_territories_is_with_both_reps),
        CASE(assignment_begins_and_ends_by_itself),
        CASE(leaving_one_territory_keeps_it_for_who_has_the_other),
        CASE(children_follow_their_customer),
        CASE(work_of_a_role_that_ended_on_the_way_is_held),
        CASE(work_after_the_role_ended_is_refused),
        CASE(work_of_a_person_disabled_on_the_way_is_held),
        CASE(forged_capture_time_gains_nothing),
        CASE(membership_that_ends_between_push_and_pull),
        CASE(work_on_rows_that_left_is_held_and_kept),
        CASE(role_that_ends_leaves_the_work_in_the_tray),
        cmocka_unit_test(membership_that_ends_between_two_pages),
    };
    return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
