/* test_order_check.c - may this order be submitted? Method: one right order; every test breaks one
 * thing in it and expects the code, the field and the numbers a person needs, in both languages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "rules/order_check.h"

typedef struct order {
    order_facts o;
    order_line_facts l[2];
} order;

/* Amounts as price.c computes them, for the order as it stands. */
static void recompute(order *x)
{
    price_totals t = {0};
    for (size_t i = 0; i < x->o.lines_count; i++) {
        order_line_facts *l = &x->l[i];
        price_line p = {.qty_milli = l->qty_milli,
                        .price_4dp = l->unit_price_4dp,
                        .discount_bp = l->discount_bp,
                        .tax_rate_bp = l->tax_rate_bp,
                        .tax_included = l->tax_included,
                        .is_free = text_is(l->price_source, "free"),
                        .currency_digits = currency_digits(x->o.currency)};
        assert_int_equal(price_line_compute(&p), FB_OK);
        assert_int_equal(price_totals_add(&t, &p), FB_OK);
        l->net_minor = p.net_minor;
        l->tax_minor = p.tax_minor;
        l->gross_minor = p.gross_minor;
    }
    t.rounding_minor = x->o.rounding_minor;
    assert_int_equal(price_totals_finish(&t, x->o.header_discount_minor, x->o.freight_minor),
                     FB_OK);
    x->o.subtotal_minor = t.subtotal_minor;
    x->o.line_discount_minor = t.line_discount_minor;
    x->o.tax_minor = t.tax_minor;
    x->o.total_minor = t.total_minor;
}

/* Line 1: 48 pieces at 10.00, 10% off, 13% tax on top. Line 3: 2 cartons of 12 at 99.9, tax inside.
 */
static void right_order(order *x)
{
    *x = (order){0};
    x->l[0] = (order_line_facts){.line_no = 1,
                                 .qty_milli = 48000,
                                 .base_qty_milli = 48000,
                                 .unit_price_4dp = 100000,
                                 .list_price_4dp = 100000,
                                 .price_source = text_of("list"),
                                 .discount_bp = 1000,
                                 .product_found = true,
                                 .product_active = true,
                                 .min_order_qty_milli = 6000,
                                 .order_multiple_milli = 12000,
                                 .uom_num = 1,
                                 .uom_den = 1,
                                 .uom_found = true,
                                 .price_found = true,
                                 .price_4dp = 100000,
                                 .tax_rate_bp = 1300,
                                 .tax_known = true};
    x->l[1] = (order_line_facts){.line_no = 3,
                                 .qty_milli = 2000,
                                 .base_qty_milli = 24000,
                                 .unit_price_4dp = 999000,
                                 .list_price_4dp = 999000,
                                 .price_source = text_of("list"),
                                 .product_found = true,
                                 .product_active = true,
                                 .uom_num = 12,
                                 .uom_den = 1,
                                 .uom_found = true,
                                 .price_found = true,
                                 .price_4dp = 999000,
                                 .tax_included = true,
                                 .tax_rate_bp = 1300,
                                 .tax_known = true};
    x->o = (order_facts){.status = text_of("submitted"),
                         .customer_found = true,
                         .customer_orderable = true,
                         .currency = text_of("CNY"),
                         .freight_minor = 1000,
                         .discount_max_bp = 2500,
                         .may_override_price = true,
                         .credit_known = true,
                         .credit_limit_minor = 100000000,
                         .lines = x->l,
                         .lines_count = 2};
    recompute(x);
}

static void is_right(const order *x)
{
    issue i;
    memset(&i, 0x5A, sizeof i);
    fb_code rc = order_check(&x->o, &i);
    if (rc != FB_OK) {
        fail_msg("%s %s: %s", fb_code_name(rc), i.field, i.text_en);
    }
    assert_int_equal(i.field[0], 0x5A); /* untouched */
}

/* Both languages say something, and neither still holds a placeholder. */
static void is_readable(const issue *i)
{
    const char *const texts[] = {i->text_en, i->text_zh, i->cure_en, i->cure_zh, i->field};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        assert_true(texts[k][0] != '\0');
        assert_null(strchr(texts[k], '{'));
        assert_true(utf8_valid(text_of(texts[k])));
    }
}

static void is_refused(const order *x, fb_code code, const char *field)
{
    issue i;
    fb_code rc = order_check(&x->o, &i);
    if (rc != code || strcmp(i.field, field) != 0) {
        fail_msg("%s %s, must be %s %s", fb_code_name(rc), rc == FB_OK ? "" : i.field,
                 fb_code_name(code), field);
    }
    assert_int_equal(i.code, code);
    is_readable(&i);
}

static void says(const order *x, const char *text_en, const char *cure_en, const char *text_zh,
                 const char *cure_zh)
{
    issue i;
    assert_int_not_equal(order_check(&x->o, &i), FB_OK);
    assert_string_equal(i.text_en, text_en);
    assert_string_equal(i.cure_en, cure_en);
    assert_string_equal(i.text_zh, text_zh);
    assert_string_equal(i.cure_zh, cure_zh);
}

static void order_check__right_order_passes(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    is_right(&x);
}

/* Facts that only need to be wrong; amounts stay as they were. */
/* clang-format off */
static void break_status(order *x) { x->o.status = text_of("draft"); }
static void break_customer(order *x) { x->o.customer_found = false; }
static void break_orderable(order *x) { x->o.customer_orderable = false; }
static void break_currency(order *x) { x->o.currency = text_of(""); }
static void break_lines(order *x) { x->o.lines_count = 0; }
static void break_product(order *x) { x->l[1].product_found = false; }
static void break_active(order *x) { x->l[1].product_active = false; }
static void break_uom(order *x) { x->l[1].uom_found = false; }
static void break_uom_den(order *x) { x->l[1].uom_den = 0; }
static void break_uom_num(order *x) { x->l[1].uom_num = 0; }
static void break_qty(order *x) { x->l[1].qty_milli = 0; }
static void break_qty_negative(order *x) { x->l[1].qty_milli = -2000; }
static void break_base_qty(order *x) { x->l[1].base_qty_milli = 24001; }
static void break_base_range(order *x) { x->l[1].qty_milli = INT64_MAX; }
static void break_source(order *x) { x->l[1].price_source = text_of("guess"); }
static void break_no_source(order *x) { x->l[1].price_source = (fb_text){NULL, 0}; }
static void break_negative_price(order *x) { x->l[1].unit_price_4dp = -1; }
static void break_no_price(order *x) { x->l[1].price_found = false; }
static void break_discount_low(order *x) { x->l[1].discount_bp = -1; }
static void break_discount_high(order *x) { x->l[1].discount_bp = 10001; }
static void break_tax_known(order *x) { x->l[1].tax_known = false; }
static void break_tax_negative(order *x) { x->l[1].tax_rate_bp = -1; }
static void break_net(order *x) { x->l[1].net_minor++; }
static void break_tax(order *x) { x->l[1].tax_minor--; }
static void break_gross(order *x) { x->l[1].gross_minor++; }
static void break_header_negative(order *x) { x->o.header_discount_minor = -1; }
static void break_freight(order *x) { x->o.freight_minor = -1; }
static void break_rounding(order *x) { x->o.rounding_minor = -100; }
static void break_rounding_up(order *x) { x->o.rounding_minor = 100; }
static void break_total_range(order *x) { x->o.freight_minor = INT64_MAX; }
static void break_subtotal(order *x) { x->o.subtotal_minor++; }
static void break_line_discount(order *x) { x->o.line_discount_minor--; }
static void break_order_tax(order *x) { x->o.tax_minor++; }
static void break_total(order *x) { x->o.total_minor--; }
static void break_promo(order *x) { x->l[1].price_source = text_of("promo"); }

/* clang-format on */

#define LINE3(column) "sales_order_line[3]." column

static const struct {
    void (*breaks)(order *x);
    fb_code code;
    const char *field;
} BREACHES[] = {
    {break_status, FB_E_STATE, "sales_order.status"},
    {break_customer, FB_E_REFERENCE, "sales_order.customer_id"},
    {break_orderable, FB_E_STATE, "sales_order.customer_id"},
    {break_currency, FB_E_REQUIRED, "sales_order.currency"},
    {break_lines, FB_E_REQUIRED, "sales_order_line"},
    {break_product, FB_E_REFERENCE, LINE3("product_id")},
    {break_active, FB_E_PRODUCT, LINE3("product_id")},
    {break_uom, FB_E_PRODUCT, LINE3("uom")},
    {break_uom_den, FB_E_PRODUCT, LINE3("uom")},
    {break_uom_num, FB_E_PRODUCT, LINE3("uom")},
    {break_qty, FB_E_QUANTITY, LINE3("qty_milli")},
    {break_qty_negative, FB_E_QUANTITY, LINE3("qty_milli")},
    {break_base_qty, FB_E_QUANTITY, LINE3("base_qty_milli")},
    {break_base_range, FB_E_RANGE, LINE3("qty_milli")},
    {break_source, FB_E_PRICE, LINE3("price_source")},
    {break_no_source, FB_E_PRICE, LINE3("price_source")},
    {break_negative_price, FB_E_PRICE, LINE3("unit_price_4dp")},
    {break_no_price, FB_E_PRICE, LINE3("unit_price_4dp")},
    {break_promo, FB_E_PRICE, LINE3("price_source")},
    {break_discount_low, FB_E_DISCOUNT, LINE3("discount_bp")},
    {break_discount_high, FB_E_DISCOUNT, LINE3("discount_bp")},
    {break_tax_known, FB_E_REFERENCE, LINE3("tax_code_id")},
    {break_tax_negative, FB_E_RANGE, LINE3("qty_milli")},
    {break_net, FB_E_TOTALS, LINE3("net")},
    {break_tax, FB_E_TOTALS, LINE3("tax")},
    {break_gross, FB_E_TOTALS, LINE3("gross")},
    {break_header_negative, FB_E_DISCOUNT, "sales_order.header_discount"},
    {break_freight, FB_E_RANGE, "sales_order.freight_amount"},
    {break_rounding, FB_E_TOTALS, "sales_order.rounding"},
    {break_rounding_up, FB_E_TOTALS, "sales_order.rounding"},
    {break_total_range, FB_E_RANGE, "sales_order.total"},
    {break_subtotal, FB_E_TOTALS, "sales_order.subtotal"},
    {break_line_discount, FB_E_TOTALS, "sales_order.line_discount"},
    {break_order_tax, FB_E_TOTALS, "sales_order.tax"},
    {break_total, FB_E_TOTALS, "sales_order.total"},
};

static void order_check__every_breach_names_its_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BREACHES / sizeof BREACHES[0]; i++) {
        order x;
        right_order(&x);
        BREACHES[i].breaks(&x);
        is_refused(&x, BREACHES[i].code, BREACHES[i].field);
    }
}

/* ORD-1: the earlier line wins over the earlier rule, lines over totals, totals over credit. */
static void order_check__first_breach_in_line_order_wins_ORD_1(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.l[1].product_found = false;
    x.l[0].gross_minor++;
    is_refused(&x, FB_E_TOTALS, "sales_order_line[1].gross");
    right_order(&x);
    x.l[1].gross_minor++;
    x.o.total_minor++;
    is_refused(&x, FB_E_TOTALS, LINE3("gross"));
    right_order(&x);
    x.o.credit_limit_minor = 0;
    x.o.total_minor++;
    is_refused(&x, FB_E_TOTALS, "sales_order.total");
}

static void order_check__discount_above_limit_names_both(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.l[0].discount_bp = 3000;
    recompute(&x);
    is_refused(&x, FB_E_DISCOUNT, "sales_order_line[1].discount_bp");
    says(&x, "line 1: discount 30.00% is above your limit of 25.00%",
         "lower it to 25.00% or ask your manager", "第1行：折扣30.00%超过您的上限25.00%",
         "请降到25.00%或联系经理");
    x.l[0].discount_bp = 2500;
    recompute(&x);
    is_right(&x);
}

static void order_check__whoever_may_give_all_away_may(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.o.discount_max_bp = 10000;
    x.l[0].discount_bp = 10000;
    recompute(&x);
    is_right(&x);
}

static void order_check__sum_that_leaves_the_range_is_refused(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    for (int i = 0; i < 2; i++) { /* each line fits, both do not */
        order_line_facts *l = &x.l[i];
        l->qty_milli = l->base_qty_milli = 1000000000;
        l->uom_num = l->uom_den = 1;
        l->order_multiple_milli = 0;
        l->discount_bp = l->tax_rate_bp = 0;
        l->unit_price_4dp = l->price_4dp = 600000000000000;
        l->net_minor = l->gross_minor = 6000000000000000000;
        l->tax_minor = 0;
    }
    is_refused(&x, FB_E_RANGE, "sales_order.total");
}

static void set_qty(order *x, int64_t qty_milli)
{
    x->l[0].qty_milli = qty_milli;
    x->l[0].base_qty_milli = qty_milli;
    recompute(x);
}

static void order_check__multiple_offers_the_two_neighbours(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    set_qty(&x, 50000);
    is_refused(&x, FB_E_QUANTITY, "sales_order_line[1].qty_milli");
    says(&x, "line 1: 50 is not a multiple of 12", "order 48 or 60", "第1行：50不是12的倍数",
         "请订购48或60");
    set_qty(&x, 11999); /* 0 is no order */
    says(&x, "line 1: 11.999 is not a multiple of 12", "order 12", "第1行：11.999不是12的倍数",
         "请订购12");
    x.l[0].min_order_qty_milli = 12000;
    set_qty(&x, 20000);
    says(&x, "line 1: 20 is not a multiple of 12", "order 12 or 24", "第1行：20不是12的倍数",
         "请订购12或24");
    x.l[0].min_order_qty_milli = 13000;
    set_qty(&x, 20000); /* 12 would be below the minimum */
    says(&x, "line 1: 20 is not a multiple of 12", "order 24", "第1行：20不是12的倍数", "请订购24");
}

static void order_check__minimum_offers_what_also_fits_the_multiple(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    set_qty(&x, 5000);
    is_refused(&x, FB_E_QUANTITY, "sales_order_line[1].qty_milli");
    says(&x, "line 1: 5 is below the minimum of 6", "order at least 12", "第1行：5低于起订量6",
         "请至少订购12");
    x.l[0].order_multiple_milli = 0;
    says(&x, "line 1: 5 is below the minimum of 6", "order at least 6", "第1行：5低于起订量6",
         "请至少订购6");
    set_qty(&x, 6000);
    is_right(&x);
    right_order(&x);
    x.l[1].min_order_qty_milli = 36000;
    says(&x, "line 3: 24 is below the minimum of 36", "order at least 36 (counted in base units)",
         "第3行：24低于起订量36", "请至少订购36（按基本单位）");
}

static void order_check__list_price_must_be_the_one_picked(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.l[0].unit_price_4dp = 90000;
    recompute(&x);
    is_refused(&x, FB_E_PRICE, "sales_order_line[1].unit_price_4dp");
    says(&x, "line 1: price 9.00 is not the list price 10.00 valid on the order date",
         "use the list price, or mark it as an override and give a reason",
         "第1行：单价9.00不是订单日期有效的价目价10.00", "请使用价目价，或标为改价并填写原因");
}

static void order_check__override_needs_the_right_and_a_reason(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.l[0].price_source = text_of("override");
    x.l[0].unit_price_4dp = 90000;
    x.l[0].price_found = false; /* not asked for */
    recompute(&x);
    is_refused(&x, FB_E_REQUIRED, "sales_order_line[1].reason");
    x.l[0].reason = text_of("damaged box");
    is_right(&x);
    x.l[0].unit_price_4dp = 0; /* nothing is a price too */
    recompute(&x);
    is_right(&x);
    x.o.may_override_price = false;
    is_refused(&x, FB_E_PRICE, "sales_order_line[1].price_source");
}

static void order_check__promotion_brings_its_own_price_and_discount(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.l[0].price_source = text_of("promo");
    x.l[0].promo_found = true;
    x.l[0].promo_price_4dp = 80000;
    is_refused(&x, FB_E_PRICE, "sales_order_line[1].unit_price_4dp");
    x.l[0].unit_price_4dp = 80000;
    x.l[0].discount_bp = 4000;
    recompute(&x);
    is_refused(&x, FB_E_DISCOUNT, "sales_order_line[1].discount_bp");
    x.l[0].promo_discount_bp = 4000;
    is_right(&x);
    x.l[0].price_source = text_of("list"); /* the promotion's discount is for its price only */
    x.l[0].price_4dp = 80000;
    is_refused(&x, FB_E_DISCOUNT, "sales_order_line[1].discount_bp");
}

static void order_check__free_goods_cost_nothing(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.l[1].price_source = text_of("free");
    x.l[1].price_found = false;
    is_refused(&x, FB_E_TOTALS, LINE3("net"));
    recompute(&x);
    assert_int_equal(x.l[1].gross_minor, 0);
    is_right(&x);
}

static void order_check__totals_agree_to_the_cent_ORD_2(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.o.total_minor++;
    says(&x, "the total 697.97 must be 697.96", "recalculate the order", "合计697.97应为697.96",
         "请重新计算订单");
    right_order(&x);
    x.l[0].net_minor--;
    says(&x, "line 1: the net amount 431.99 must be 432.00", "recalculate the line",
         "第1行：不含税金额431.99应为432.00", "请重新计算该行");
}

static void order_check__amounts_are_shown_in_the_digits_of_the_currency(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.o.currency = text_of("JPY");
    recompute(&x);
    is_right(&x);
    x.o.rounding_minor = 10; /* where there are no decimals, below ten */
    says(&x, "the rounding 10 is not below 10", "round by less, or enter a discount",
         "抹零金额10必须小于10", "请减小抹零金额，或改填折扣");
    right_order(&x);
    x.o.currency = text_of("KWD");
    recompute(&x);
    x.o.total_minor++;
    says(&x, "the total 688.961 must be 688.960", "recalculate the order", "合计688.961应为688.960",
         "请重新计算订单");
}

static void order_check__order_discount_is_bound_like_a_line(void **state)
{
    (void)state;
    order x;
    right_order(&x); /* net of lines 432.00 + 176.81 = 608.81; a quarter is 152.20 */
    x.o.header_discount_minor = 15220;
    recompute(&x);
    is_right(&x);
    x.o.header_discount_minor = 15221;
    recompute(&x);
    is_refused(&x, FB_E_DISCOUNT, "sales_order.header_discount");
    says(&x, "the order discount 152.21 is above your limit of 25.00% of the order, 152.20",
         "lower it to 152.20 or ask your manager",
         "整单折扣152.21超过您的上限：订单的25.00%即152.20", "请降到152.20或联系经理");
}

static void order_check__small_rounding_passes(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.o.rounding_minor = -96;
    recompute(&x);
    is_right(&x);
    assert_int_equal(x.o.total_minor, 69700);
    x.o.rounding_minor = 99;
    recompute(&x);
    is_right(&x);
}

static void order_check__credit_is_asked_last_and_to_the_cent(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.o.credit_limit_minor = 100000;
    x.o.credit_used_minor = 100000 - x.o.total_minor;
    is_right(&x);
    x.o.credit_used_minor++;
    is_refused(&x, FB_E_CREDIT, "sales_order.total");
    says(&x, "697.96 on top of 302.05 already used is above the credit limit of 1000.00",
         "take a payment first, or wait until your manager has decided",
         "已用额度302.05加上本单697.96超过信用额度1000.00", "请先收款，或等待经理审批");
    x.o.credit_known = false; /* the phone does not know: the server will */
    is_right(&x);
    x.o.credit_known = true;
    x.o.credit_used_minor = INT64_MAX;
    is_refused(&x, FB_E_CREDIT, "sales_order.total");
}

static void order_check__customer_not_yet_approved_has_no_credit(void **state)
{
    (void)state;
    order x;
    right_order(&x);
    x.o.customer_cash_only = true;
    x.o.credit_known = false;
    is_refused(&x, FB_E_CREDIT, "sales_order.total");
    x.o.freight_minor = 0;
    x.l[0].price_source = text_of("free");
    x.l[1].price_source = text_of("free");
    recompute(&x);
    is_right(&x); /* samples ask for no credit */
}

static void order_check__missing_arguments_are_a_misuse(void **state)
{
    (void)state;
    order x;
    issue i;
    right_order(&x);
    assert_int_equal(order_check(NULL, &i), FB_E_MISUSE);
    assert_int_equal(order_check(&x.o, NULL), FB_E_MISUSE);
    x.o.lines = NULL;
    assert_int_equal(order_check(&x.o, &i), FB_E_MISUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_check__right_order_passes),
        cmocka_unit_test(order_check__every_breach_names_its_field),
        cmocka_unit_test(order_check__first_breach_in_line_order_wins_ORD_1),
        cmocka_unit_test(order_check__discount_above_limit_names_both),
        cmocka_unit_test(order_check__whoever_may_give_all_away_may),
        cmocka_unit_test(order_check__sum_that_leaves_the_range_is_refused),
        cmocka_unit_test(order_check__multiple_offers_the_two_neighbours),
        cmocka_unit_test(order_check__minimum_offers_what_also_fits_the_multiple),
        cmocka_unit_test(order_check__list_price_must_be_the_one_picked),
        cmocka_unit_test(order_check__override_needs_the_right_and_a_reason),
        cmocka_unit_test(order_check__promotion_brings_its_own_price_and_discount),
        cmocka_unit_test(order_check__free_goods_cost_nothing),
        cmocka_unit_test(order_check__totals_agree_to_the_cent_ORD_2),
        cmocka_unit_test(order_check__amounts_are_shown_in_the_digits_of_the_currency),
        cmocka_unit_test(order_check__order_discount_is_bound_like_a_line),
        cmocka_unit_test(order_check__small_rounding_passes),
        cmocka_unit_test(order_check__credit_is_asked_last_and_to_the_cent),
        cmocka_unit_test(order_check__customer_not_yet_approved_has_no_credit),
        cmocka_unit_test(order_check__missing_arguments_are_a_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
