/* test_api_order.c - the order from draft to submission, and what happens when it comes back
 * refused. */
#include "api_fixture.h"

static fb_order *order_new(world *w, const shop *s)
{
    fb_order *o = NULL;
    OK(fb_order_new(w->db, &s->customer, NULL, &o, &w->err));
    return o;
}

static void order__price_comes_from_the_list_of_the_day(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_order *o = order_new(w, &s);
    fb_order_totals_out t;
    int32_t line_no = 0;
    OK(fb_order_line_add(o, &s.product, NULL, 3000, NULL, &line_no, &w->err));
    assert_int_equal(line_no, 1);
    OK(fb_order_totals(o, &t, &w->err));
    assert_string_equal(t.currency, "CNY");
    assert_int_equal(t.subtotal_minor, 4200);
    assert_int_equal(t.tax_minor, 546); /* 13 % */
    assert_int_equal(t.total_minor, 4746);
    REFUSED(FB_E_PRICE, "sales_order_line[2].unit_price_4dp",
            fb_order_line_add(o, &s.product, "CT", 1000, NULL, NULL, &w->err));
    fb_order_close(o);
}

/* A better list, assigned to the customer's grade, beats the global one from the day it is valid.
 */
static void order__assignment_rank_and_dates_decide(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_id better =
        world_row(w, "price_list",
                  PAIRS("code", "L2", "name", "A", "currency", "CNY", "valid_from", "2023-11-15"));
    world_row(w, "price_list_item",
              PAIRS("price_list_id", idt(&better), "product_id", idt(&s.product), "uom", "EA",
                    "price_4dp", "10"));
    world_row(w, "price_assignment",
              PAIRS("target_kind", "grade", "target_code", "A", "price_list_id", idt(&better)));
    world_sync(w);
    fb_order_options opts = FB_ORDER_OPTIONS_INIT;
    fb_order_totals_out t;
    const char *const dates[] = {"2023-11-14", "2023-11-15"};
    const int64_t net[] = {1400, 1000};
    for (int i = 0; i < 2; i++) {
        fb_order *o = NULL;
        opts.order_date = dates[i];
        OK(fb_order_new(w->db, &s.customer, &opts, &o, &w->err));
        OK(fb_order_line_add(o, &s.product, "EA", 1000, NULL, NULL, &w->err));
        OK(fb_order_totals(o, &t, &w->err));
        assert_int_equal(t.net_minor, net[i]);
        fb_order_close(o);
    }
}

static void order__override_needs_a_reason_and_discount_is_applied(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_order *o = order_new(w, &s);
    fb_order_line_options l = FB_ORDER_LINE_OPTIONS_INIT;
    fb_order_totals_out t;
    l.has_price = true;
    l.unit_price_4dp = 120000;
    REFUSED(FB_E_REQUIRED, "sales_order_line[1].reason",
            fb_order_line_add(o, &s.product, NULL, 1000, &l, NULL, &w->err));
    l.reason = "agreed";
    l.discount_bp = 1500;
    OK(fb_order_line_add(o, &s.product, NULL, 1000, &l, NULL, &w->err));
    OK(fb_order_totals(o, &t, &w->err));
    assert_int_equal(t.net_minor, 1020);
    l.discount_bp = 10001;
    REFUSED(FB_E_DISCOUNT, "sales_order_line[2].discount_bp",
            fb_order_line_add(o, &s.product, NULL, 1000, &l, NULL, &w->err));
    l = (fb_order_line_options)FB_ORDER_LINE_OPTIONS_INIT;
    l.is_free = true;
    REFUSED(FB_E_REQUIRED, "sales_order_line[2].reason",
            fb_order_line_add(o, &s.product, NULL, 1000, &l, NULL, &w->err));
    l.reason = "sample";
    OK(fb_order_line_add(o, &s.product, NULL, 1000, &l, NULL, &w->err));
    OK(fb_order_totals(o, &t, &w->err));
    assert_int_equal(t.net_minor, 1020);
    fb_order_close(o);
}

static void draft__survives_a_crash_and_is_opened_by_id(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_order_options opts = FB_ORDER_OPTIONS_INIT;
    fb_order *o = NULL;
    fb_order_totals_out before, after;
    char *json = NULL;
    opts.note = "say \"hello\"";
    OK(fb_order_new(w->db, &s.customer, &opts, &o, &w->err));
    fb_id id = *fb_order_id(o);
    OK(fb_order_line_add(o, &s.product, NULL, 2000, NULL, NULL, &w->err));
    OK(fb_order_line_add(o, &s.product, NULL, 5000, NULL, NULL, &w->err));
    OK(fb_order_line_set(o, 2, 1000, NULL, &w->err));
    OK(fb_order_line_remove(o, 1, &w->err));
    OK(fb_order_totals(o, &before, &w->err));
    fb_order_close(o);
    world_reopen(w);
    OK(fb_order_drafts(w->db, &json, &w->err));
    assert_non_null(strstr(json, idt(&id)));
    fb_string_free(json);
    OK(fb_order_open(w->db, &id, &o, &w->err));
    OK(fb_order_totals(o, &after, &w->err));
    assert_int_equal(after.lines_count, 1);
    assert_int_equal(after.total_minor, before.total_minor);
    OK(fb_order_json(o, &json, &w->err));
    assert_non_null(strstr(json, "say \\\"hello\\\""));
    fb_string_free(json);
    OK(fb_order_discard(o, &w->err));
    REFUSED(FB_E_STATE, "sales_order.status", fb_order_line_remove(o, 2, &w->err));
    fb_order_close(o);
    REFUSED(FB_E_NOT_FOUND, "draft", fb_order_open(w->db, &id, &o, &w->err));
}

static void order__is_submitted_with_its_lines_in_one_group(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_order *o = order_new(w, &s);
    fb_order_receipt r;
    fb_status st = FB_STATUS_INIT;
    REFUSED(FB_E_REQUIRED, "sales_order_line", fb_order_submit(o, &r, &w->err));
    OK(fb_order_line_add(o, &s.product, NULL, 3000, NULL, NULL, &w->err));
    OK(fb_order_line_add(o, &s.product, NULL, 1000, NULL, NULL, &w->err));
    OK(fb_order_line_remove(o, 1, &w->err));
    fb_id id = *fb_order_id(o);
    OK(fb_order_submit(o, &r, &w->err));
    assert_string_equal(r.order_no, "SO-A1-000001");
    assert_int_equal(r.gseq, 1);
    assert_int_equal(r.totals.total_minor, 1582);
    REFUSED(FB_E_STATE, "sales_order.status", fb_order_submit(o, &r, &w->err));
    fb_order_close(o);
    world_reopen(w);
    assert_int_equal(
        count_of(w, "SELECT count(*) FROM sales_order WHERE status = 'submitted' AND total = 1582"),
        1);
    assert_int_equal(count_of(w, "SELECT count(*) FROM sales_order_line WHERE line_no = 1 AND net "
                                 "= 1400 AND base_qty_milli = 1000"),
                     1);
    OK(fb_status_get(w->db, &st, &w->err));
    assert_int_equal(st.drafts_count, 0);
    assert_int_equal(st.pending_count, 1);
    REFUSED(FB_E_REQUIRED, "sales_order.cancel_reason", fb_order_cancel(w->db, &id, "", &w->err));
    OK(fb_order_cancel(w->db, &id, "changed mind", &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM sales_order WHERE status = "
                                 "'cancel_requested' AND cancel_reason = 'changed mind'"),
                     1);
    OK(fb_db_check(w->db, &w->err));
}

static void order__belongs_to_the_visit_of_its_group(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_visit_in in;
    fb_order_receipt r;
    OK(fb_group_begin(w->db, "visit.done", 0, &w->err));
    OK(fb_visit_check_in(w->db, &s.customer, NULL, &in, &w->err));
    fb_order *o = order_new(w, &s);
    OK(fb_order_line_add(o, &s.product, NULL, 3000, NULL, NULL, &w->err));
    OK(fb_order_submit(o, &r, &w->err));
    fb_order_close(o);
    OK(fb_visit_check_out(w->db, &in.visit, NULL, &w->err));
    OK(fb_group_commit(w->db, NULL, &w->err));
    assert_int_equal(count_of(w, "SELECT count(*) FROM sales_order o JOIN visit v ON v.id = "
                                 "o.visit_id WHERE v.productive = 1"),
                     1);
    assert_int_equal(count_of(w, "SELECT count(*) FROM sales_order"), 1);
    OK(fb_db_check(w->db, &w->err));
}

static void order__product_rules_name_the_line(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_id old =
        world_row(w, "product",
                  PAIRS("code", "P2", "name", "Old", "base_uom", "EA", "status", "discontinued"));
    fb_id box = world_row(w, "product",
                          PAIRS("code", "P3", "name", "Box", "base_uom", "EA", "status", "active",
                                "min_order_qty", "6", "order_multiple", "6"));
    world_row(w, "price_list_item",
              PAIRS("price_list_id", idt(&s.list), "product_id", idt(&box), "uom", "EA",
                    "price_4dp", "1"));
    world_sync(w);
    fb_id nothing = {{5}};
    fb_order *o = order_new(w, &s);
    REFUSED(FB_E_PRODUCT, "sales_order_line[1].product_id",
            fb_order_line_add(o, &old, NULL, 1000, NULL, NULL, &w->err));
    REFUSED(FB_E_REFERENCE, "sales_order_line[1].product_id",
            fb_order_line_add(o, &nothing, NULL, 1000, NULL, NULL, &w->err));
    REFUSED(FB_E_QUANTITY, "sales_order_line[1].qty_milli",
            fb_order_line_add(o, &box, NULL, 7000, NULL, NULL, &w->err));
    REFUSED(FB_E_QUANTITY, "sales_order_line[1].qty_milli",
            fb_order_line_add(o, &box, NULL, 0, NULL, NULL, &w->err));
    OK(fb_order_line_add(o, &box, NULL, 12000, NULL, NULL, &w->err));
    fb_order_close(o);
}

static fb_code keep_problem(void *ctx, const fb_problem *p)
{
    int64_t *gseq = ctx;
    *gseq = p->gseq;
    assert_int_equal(p->error, FB_E_DISCOUNT);
    assert_memory_equal(p->state.data, "rejected", 8);
    return FB_OK;
}

/* The cure of a refused discount is one number: taxes and sums follow by themselves. */
static void problem__corrected_order_is_priced_again(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    fb_order *o = order_new(w, &s);
    fb_order_line_options l = FB_ORDER_LINE_OPTIONS_INIT;
    fb_order_receipt r;
    int64_t gseq = 0, again = 0;
    l.discount_bp = 3000;
    OK(fb_order_line_add(o, &s.product, NULL, 3000, NULL, NULL, &w->err));
    OK(fb_order_line_add(o, &s.product, NULL, 10000, &l, NULL, &w->err));
    OK(fb_order_submit(o, &r, &w->err));
    fb_order_close(o);
    w->reject_with = FB_E_DISCOUNT;
    w->reject_field = "sales_order_line[2].discount_bp";
    world_sync(w);
    w->reject_with = FB_OK;
    assert_int_equal(count_of(w, "SELECT count(*) FROM sales_order"), 0);
    OK(fb_problem_each(w->db, keep_problem, &gseq, &w->err));
    assert_int_equal(gseq, 1);
    REFUSED(FB_E_NOT_FOUND, "line",
            fb_problem_resubmit_json(w->db, gseq,
                                     "[{\"entity\":\"sales_order_line\",\"line\":3,\"column\":"
                                     "\"discount_bp\",\"value\":\"25\"}]",
                                     &again, &w->err));
    REFUSED(FB_E_REQUIRED, "id",
            fb_problem_resubmit_json(
                w->db, gseq,
                "[{\"entity\":\"sales_order_line\",\"column\":\"discount_bp\",\"value\":\"25\"}]",
                &again, &w->err));
    OK(fb_problem_resubmit_json(w->db, gseq,
                                "[{\"entity\":\"sales_order_line\",\"line\":2,\"column\":"
                                "\"discount_bp\",\"value\":\"25\"}]",
                                &again, &w->err));
    assert_int_equal(again, 2);
    assert_int_equal(count_of(w, "SELECT net FROM sales_order_line WHERE line_no = 2"), 10500);
    assert_int_equal(count_of(w, "SELECT line_discount FROM sales_order"), 3500);
    assert_int_equal(count_of(w, "SELECT total FROM sales_order"), 4746 + 10500 + 1365);
    world_sync(w);
    fb_status st = FB_STATUS_INIT;
    OK(fb_status_get(w->db, &st, &w->err));
    assert_int_equal(st.rejected_count, 0);
    assert_int_equal(st.pending_count, 0);
    OK(fb_db_check(w->db, &w->err));
}

static void problem__is_discarded_for_good(void **state)
{
    world *w = *state;
    shop s = world_shop(w);
    (void)s;
    OK(fb_task_add(w->db, "x", NULL, NULL, &w->err));
    w->reject_with = FB_E_FORBIDDEN;
    w->reject_field = "task.title";
    world_sync(w);
    REFUSED(FB_E_NOT_FOUND, "gseq", fb_problem_get(w->db, 99, keep_problem, NULL, &w->err));
    OK(fb_problem_discard(w->db, 1, &w->err));
    assert_true(fb_problem_discard(w->db, 1, &w->err) != FB_OK);
    fb_status st = FB_STATUS_INIT;
    OK(fb_status_get(w->db, &st, &w->err));
    assert_int_equal(st.rejected_count, 0);
    assert_int_equal(count_of(w, "SELECT count(*) FROM task"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(order__price_comes_from_the_list_of_the_day),
        TEST(order__assignment_rank_and_dates_decide),
        TEST(order__override_needs_a_reason_and_discount_is_applied),
        TEST(draft__survives_a_crash_and_is_opened_by_id),
        TEST(order__is_submitted_with_its_lines_in_one_group),
        TEST(order__belongs_to_the_visit_of_its_group),
        TEST(order__product_rules_name_the_line),
        TEST(problem__corrected_order_is_priced_again),
        TEST(problem__is_discarded_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
