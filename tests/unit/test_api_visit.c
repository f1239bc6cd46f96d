/* test_api_visit.c - visits, activities, tasks, payments: what a rep does on a day without a
 * network. */
#include "api_fixture.h"

static fb_id check_in(world *w, const fb_id *customer, int64_t at_ms)
{
    fb_visit_in_options o = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_in in;
    o.at_ms = at_ms;
    OK(fb_visit_check_in(w->db, customer, &o, &in, &w->err));
    return in.visit;
}

static void visit__distance_decides_the_geo_result(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    static const struct {
        bool fix, mock;
        int32_t lat_e7, lon_e7, accuracy_m;
        const char *result;
        int64_t distance_m;
    } CASES[] = {
        {false, false, 0, 0, 0, "no_fix", -1},
        {true, false, 312304000, 1214737000, 10, "in_range", 0},
        {true, false, 312313000, 1214737000, 5, "in_range", 100},
        {true, false, 312331000, 1214737000, 5, "out_of_range", 300},
        {true, false, 312331000, 1214737000, 150, "in_range",
         300}, /* the circle touches the fence */
        {true, true, 312304000, 1214737000, 10, "mock", 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fb_visit_in_options o = FB_VISIT_IN_OPTIONS_INIT;
        fb_visit_in in;
        o.fix = CASES[i].fix;
        o.mock = CASES[i].mock;
        o.lat_e7 = CASES[i].lat_e7;
        o.lon_e7 = CASES[i].lon_e7;
        o.accuracy_m = CASES[i].accuracy_m;
        OK(fb_visit_check_in(w->db, &s.customer, &o, &in, &w->err));
        assert_string_equal(in.geo_result, CASES[i].result);
        assert_int_equal(in.distance_known, CASES[i].distance_m >= 0);
        if (in.distance_known) {
            assert_in_range(in.distance_m, CASES[i].distance_m, CASES[i].distance_m + 1);
        }
        OK(fb_visit_check_out(w->db, &in.visit, NULL, &w->err));
    }
    assert_int_equal(count_of(w, "SELECT count(*) FROM visit WHERE status = 'completed'"), 6);
}

static void visit__only_one_is_open(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_visit_in in;
    fb_id open, visit = check_in(w, &s.customer, 0);
    REFUSED(FB_E_VISIT_OPEN, "visit", fb_visit_check_in(w->db, &s.customer, NULL, &in, &w->err));
    world_reopen(w);
    OK(fb_visit_get_open(w->db, &open, &w->err));
    assert_memory_equal(open.b, visit.b, 16);
    OK(fb_visit_cancel(w->db, &visit, "wrong door", &w->err));
    REFUSED(FB_E_NOT_FOUND, "visit", fb_visit_get_open(w->db, &open, &w->err));
    REFUSED(FB_E_STATE, "visit.status", fb_visit_check_out(w->db, &visit, NULL, &w->err));
    (void)check_in(w, &s.customer, 0);
}

static void visit__records_duration_actions_and_sale(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_visit_out_options out = FB_VISIT_OUT_OPTIONS_INIT;
    fb_id visit = check_in(w, &s.customer, NOW_MS - 3600000);
    OK(fb_visit_action(w->db, &visit, "presentation", NULL, NULL, &w->err));
    REFUSED(FB_E_ENUM, "visit_action.type",
            fb_visit_action(w->db, &visit, "dancing", NULL, NULL, &w->err));
    OK(fb_payment_add(w->db, &s.customer, 5000, NULL, NULL, &w->err)); /* hangs on the open visit */
    out.at_ms = NOW_MS - 7200000;
    REFUSED(FB_E_RANGE, "visit.check_out_at", fb_visit_check_out(w->db, &visit, &out, &w->err));
    out.at_ms = NOW_MS;
    out.next_visit_date = "2023-12-01";
    OK(fb_visit_check_out(w->db, &visit, &out, &w->err));
    assert_int_equal(count_of(w, "SELECT duration_s FROM visit"), 3600);
    assert_int_equal(count_of(w, "SELECT productive FROM visit"), 1);
    assert_int_equal(
        count_of(w, "SELECT count(*) FROM visit_action WHERE status = 'done' AND seq = 1"), 1);
    assert_int_equal(count_of(w, "SELECT count(*) FROM visit WHERE visit_no = 'VI-A1-000001' AND "
                                 "next_visit_date = '2023-12-01'"),
                     1);
}

static void visit__future_is_refused_and_nothing_changed(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_visit_in_options o = FB_VISIT_IN_OPTIONS_INIT;
    fb_visit_in in;
    o.at_ms = NOW_MS + 11 * 60000;
    REFUSED(FB_E_FUTURE, "visit.check_in_at",
            fb_visit_check_in(w->db, &s.customer, &o, &in, &w->err));
    fb_id nobody = {{9}};
    REFUSED(FB_E_NOT_FOUND, "customer", fb_visit_check_in(w->db, &nobody, NULL, &in, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM visit"), 0);
    fb_status st = FB_STATUS_INIT;
    OK(fb_status_get(w->db, &st, &w->err));
    assert_int_equal(st.pending_count, 0);
}

static void group__stands_or_falls_as_a_whole(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    int64_t gseq = 0;
    fb_visit_in in;
    OK(fb_group_begin(w->db, "visit.done", 0, &w->err));
    OK(fb_visit_check_in(w->db, &s.customer, NULL, &in, &w->err));
    REFUSED(FB_E_ENUM, "visit_action.type",
            fb_visit_action(w->db, &in.visit, "dancing", NULL, NULL, &w->err));
    REFUSED(FB_E_STATE, "group", fb_task_add(w->db, "x", NULL, NULL, &w->err));
    REFUSED(FB_E_STATE, "group", fb_group_commit(w->db, &gseq, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM visit"), 0);
    OK(fb_group_begin(w->db, "visit.done", 0, &w->err));
    REFUSED(FB_E_STATE, "group", fb_group_begin(w->db, NULL, 0, &w->err));
    OK(fb_visit_check_in(w->db, &s.customer, NULL, &in, &w->err));
    OK(fb_visit_check_out(w->db, &in.visit, NULL, &w->err));
    OK(fb_group_commit(w->db, &gseq, &w->err));
    assert_int_equal(gseq, 1);
    REFUSED(FB_E_STATE, "group", fb_group_commit(w->db, &gseq, &w->err));
    world_reopen(w);
    assert_int_equal(count_of(w, "SELECT count(*) FROM visit WHERE status = 'completed'"), 1);
    OK(fb_db_check(w->db, &w->err));
}

static void group__empty_one_writes_nothing(void **state)
{
    world *w = *state;
    int64_t gseq = 7;
    OK(fb_group_begin(w->db, NULL, 0, &w->err));
    OK(fb_group_commit(w->db, &gseq, &w->err));
    assert_int_equal(gseq, 0);
    REFUSED(FB_E_FORMAT, "kind", fb_group_begin(w->db, "Bad Kind", 0, &w->err));
}

static void payment__allocations_never_exceed_it(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_payment_options o = FB_PAYMENT_OPTIONS_INIT;
    fb_payment_receipt r;
    fb_id stranger = {{7}};
    fb_allocation a[2] = {{.invoice_no = "INV1", .amount_minor = 600},
                          {.invoice_no = "INV2", .amount_minor = 500}};
    o.allocations = a;
    o.allocations_count = 2;
    REFUSED(FB_E_RANGE, "payment.amount", fb_payment_add(w->db, &s.customer, 0, &o, &r, &w->err));
    REFUSED(FB_E_OVERPAID, "payment_allocation[2].amount",
            fb_payment_add(w->db, &s.customer, 1000, &o, &r, &w->err));
    a[1].order = stranger;
    REFUSED(FB_E_REQUIRED, "payment_allocation[2].order_id",
            fb_payment_add(w->db, &s.customer, 1100, &o, &r, &w->err));
    a[1].invoice_no = NULL;
    REFUSED(FB_E_REFERENCE, "payment_allocation[2].order_id",
            fb_payment_add(w->db, &s.customer, 1100, &o, &r, &w->err));
    a[1].order = (fb_id){{0}};
    a[1].invoice_no = "INV2";
    OK(fb_payment_add(w->db, &s.customer, 1100, &o, &r, &w->err));
    assert_string_equal(r.payment_no, "PM-A1-000001"); /* refused ones used no number */
    assert_int_equal(count_of(w, "SELECT sum(amount) FROM payment_allocation"), 1100);
    assert_int_equal(
        count_of(w, "SELECT amount FROM payment WHERE currency = 'CNY' AND status = 'recorded'"),
        1100);
}

static void activity__is_corrected_by_a_successor_once(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_id first, second, third;
    REFUSED(FB_E_REQUIRED, "activity.subject",
            fb_activity_log(w->db, &s.customer, "", NULL, NULL, &w->err));
    OK(fb_activity_log(w->db, &s.customer, "offer", NULL, &first, &w->err));
    OK(fb_activity_correct(w->db, &first, "{\"subject\": \"new offer\"}", &second, &w->err));
    REFUSED(FB_E_STATE, "activity.supersedes_id",
            fb_activity_void(w->db, &first, "twice", NULL, &w->err));
    OK(fb_activity_void(w->db, &second, "never happened", &third, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM activity"), 3);
    assert_int_equal(
        count_of(w,
                 "SELECT count(*) FROM activity a JOIN activity b ON b.supersedes_id = a.id "
                 "WHERE a.subject = 'offer' AND b.subject = 'new offer' AND b.void_reason IS NULL"),
        1);
    assert_int_equal(count_of(w, "SELECT count(*) FROM activity WHERE void_reason = 'never "
                                 "happened' AND subject = 'new offer'"),
                     1);
}

static void task__is_done_once(void **state)
{
    world *w = *state;
    fb_id task;
    OK(fb_task_add(w->db, "call back", NULL, &task, &w->err));
    OK(fb_task_done(w->db, &task, "reached", 0, &w->err));
    REFUSED(FB_E_STATE, "task.status", fb_task_done(w->db, &task, NULL, 0, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM task WHERE status = 'done' AND result = "
                                 "'reached' AND done_at IS NOT NULL"),
                     1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(visit__distance_decides_the_geo_result),
        TEST(visit__only_one_is_open),
        TEST(visit__records_duration_actions_and_sale),
        TEST(visit__future_is_refused_and_nothing_changed),
        TEST(group__stands_or_falls_as_a_whole),
        TEST(group__empty_one_writes_nothing),
        TEST(payment__allocations_never_exceed_it),
        TEST(activity__is_corrected_by_a_successor_once),
        TEST(task__is_done_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
