/* test_price_identity.c - the price a device finds with no network is the price the server finds.
 *
 * Method: random companies from seeds: price lists of two currencies with priorities and validity,
 * tiers, units, taxes in and out, assignments to everybody, a territory, a channel, a grade, a
 * customer. Random orders are taken offline; the server prices each line again from its own rows
 * and accepts nothing that differs by a cent. A second part: what it refuses, when the facts moved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fleet.h"

#include <cmocka.h>

enum { PRODUCTS = 6, LISTS = 7, CUSTOMERS = 6, ORDERS = 24, COMPANIES = 4 };

typedef struct market {
    fleet f;
    uint64_t random;
    fb_id products[PRODUCTS], lists[LISTS], customers[CUSTOMERS], taxes[2];
    int priced, unpriced;
} market;

static uint32_t draw(market *m, uint32_t below)
{
    m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(m->random >> 33) % below;
}

static const char *const DATES[] = {"", "2020-01-01", "2099-12-31", "2021-06-30"};

/* A number with `places` decimals, as a person writes it. */
static const char *number(market *m, uint32_t below, int places)
{
    static char text[4][24];
    static int turn;
    turn = (turn + 1) % 4;
    uint32_t whole = draw(m, below);
    if (places == 0) {
        snprintf(text[turn], sizeof text[turn], "%u", whole);
    } else {
        snprintf(text[turn], sizeof text[turn], "%u.%0*u", whole, places,
                 draw(m, places == 2 ? 100 : 10000));
    }
    return text[turn];
}

static void products_make(market *m)
{
    static const char *const RATES[] = {"13.00", "6.00"};
    for (int i = 0; i < 2; i++) {
        char code[8];
        snprintf(code, sizeof code, "T%d", i);
        m->taxes[i] = company_add(&m->f.company, "tax_code",
                                  PAIRS("code", code, "name", code, "rate_bp", RATES[i]));
    }
    for (int i = 0; i < PRODUCTS; i++) {
        char code[8];
        snprintf(code, sizeof code, "G%d", i);
        uint32_t tax = draw(m, 3);
        m->products[i] = company_add(
            &m->f.company, "product",
            PAIRS("code", code, "name", code, "base_uom", "EA", "min_order_qty",
                  draw(m, 2) ? "2" : "0", "order_multiple", draw(m, 3) ? "0" : "0.5",
                  tax < 2 ? "tax_code_id" : "spec", tax < 2 ? id_text(&m->taxes[tax]) : "plain"));
        company_add(&m->f.company, "product_uom",
                    PAIRS("product_id", id_text(&m->products[i]), "uom", "BX", "num",
                          draw(m, 2) ? "12" : "24", "den", draw(m, 3) ? "1" : "5"));
    }
}

static void items_make(market *m, const fb_id *list)
{
    for (int i = 0; i < PRODUCTS; i++) {
        int tiers = (int)draw(m, 4);
        for (int t = 0; t < tiers; t++) {
            company_add(&m->f.company, "price_list_item",
                        PAIRS("price_list_id", id_text(list), "product_id",
                              id_text(&m->products[i]), "uom", draw(m, 3) ? "EA" : "BX",
                              "min_qty_milli", number(m, 9, 0), "price_4dp", number(m, 50, 4),
                              "valid_from", DATES[draw(m, 2)], "valid_to",
                              DATES[draw(m, 4) == 0 ? 3 : 2]));
        }
    }
}

static void lists_make(market *m)
{
    for (int i = 0; i < LISTS; i++) {
        char code[8];
        snprintf(code, sizeof code, "X%d", i);
        m->lists[i] = company_add(
            &m->f.company, "price_list",
            PAIRS("code", code, "name", code, "currency", draw(m, 6) ? "CNY" : "USD",
                  "tax_included", draw(m, 2) ? "true" : "false", "priority", number(m, 3, 0),
                  "valid_from", DATES[draw(m, 2)], "valid_to", DATES[draw(m, 8) == 0 ? 3 : 2],
                  "active", draw(m, 8) ? "true" : "false"));
        items_make(m, &m->lists[i]);
    }
}

static void assignments_make(market *m)
{
    static const char *const KINDS[] = {"global", "territory", "channel", "grade", "customer"};
    static const char *const CODES[] = {"retail", "ka", "A", "B"};
    for (int i = 0; i < 2 * LISTS; i++) {
        const char *kind = KINDS[draw(m, 5)];
        const fb_id *list = &m->lists[draw(m, LISTS)];
        bool coded = kind[0] == 'g' ? kind[1] == 'r' : kind[1] == 'h';
        const char *code = CODES[(kind[1] == 'r' ? 2 : 0) + draw(m, 2)];
        const char *to = strcmp(kind, "territory") == 0 ? "territory_id" : "customer_id";
        bool referring = !coded && strcmp(kind, "global") != 0;
        const char *whom = to[0] == 't' ? id_text(&m->f.territories[draw(m, 2)])
                                        : id_text(&m->customers[draw(m, CUSTOMERS)]);
        company_add(&m->f.company, "price_assignment",
                    PAIRS("target_kind", kind, "price_list_id", id_text(list), "priority",
                          number(m, 3, 0),
                          coded       ? "target_code"
                          : referring ? to
                                      : NULL,
                          coded ? code : whom));
    }
}

static void customers_make(market *m)
{
    for (int i = 0; i < CUSTOMERS; i++) {
        char code[8];
        snprintf(code, sizeof code, "K%d", i);
        m->customers[i] = company_add(
            &m->f.company, "customer",
            PAIRS("code", code, "name", code, "status", "active", "territory_id",
                  id_text(&m->f.territories[0]), "channel", draw(m, 2) ? "retail" : "ka", "grade",
                  draw(m, 2) ? "A" : "B", draw(m, 3) ? NULL : "price_list_id",
                  id_text(&m->lists[draw(m, LISTS)])));
    }
}

static void line_take(market *m, fb_order *order)
{
    fb_order_line_options o = FB_ORDER_LINE_OPTIONS_INIT;
    o.discount_bp = (int32_t)(draw(m, 3) == 0 ? draw(m, 2500) : 0);
    if (draw(m, 8) == 0) {
        o.is_free = true;
        o.reason = "gift";
    }
    fb_error err = {0};
    fb_code rc = fb_order_line_add(order, &m->products[draw(m, PRODUCTS)], draw(m, 3) ? NULL : "BX",
                                   500 * (1 + (int64_t)draw(m, 30)), &o, NULL, &err);
    m->priced += rc == FB_OK;
    m->unpriced += rc == FB_E_PRICE;
    if (rc != FB_OK && rc != FB_E_PRICE && rc != FB_E_QUANTITY) {
        fail_msg("%s %s %s", fb_code_name(rc), err.field, err.message);
    }
}

/* Returns 1 when it was submitted. */
static int order_take(market *m, fleet_device *d)
{
    fb_order_options o = FB_ORDER_OPTIONS_INIT;
    fb_order_totals_out totals;
    fb_order *order = NULL;
    fb_error err = {0};
    o.header_discount_minor = draw(m, 4) == 0 ? (int64_t)draw(m, 100) : 0;
    o.freight_minor = draw(m, 4) == 0 ? (int64_t)draw(m, 3000) : 0;
    o.currency = draw(m, 6) == 0 ? "USD" : NULL;
    if (draw(m, 4) == 0) {
        o.price_list = m->lists[draw(m, LISTS)];
    }
    fleet_must(fb_order_new(d->db, &m->customers[draw(m, CUSTOMERS)], &o, &order, &err), &err,
               "order");
    for (uint32_t lines = 1 + draw(m, 6); lines > 0; lines--) {
        line_take(m, order);
    }
    fleet_must(fb_order_totals(order, &totals, &err), &err, "totals");
    fb_code rc = totals.lines_count > 0 ? fb_order_submit(order, NULL, &err) : FB_E_REQUIRED;
    fb_order_close(order);
    if (rc != FB_OK && rc != FB_E_REQUIRED && rc != FB_E_DISCOUNT) { /* above the sum */
        fail_msg("%s %s %s", fb_code_name(rc), err.field, err.message);
    }
    return rc == FB_OK;
}

static fb_code show_problem(void *ctx, const fb_problem *p)
{
    ++*(int *)ctx;
    fprintf(stderr, "refused: %s %.*s: %.*s\n", fb_code_name(p->error), (int)p->field.size,
            p->field.data, (int)p->text_en.size, p->text_en.data);
    return FB_OK;
}

static int problems(fleet_device *d)
{
    int count = 0;
    fleet_must(fb_problem_each(d->db, show_problem, &count, NULL), NULL, "problems");
    return count;
}

static void market_make(market *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->random = seed;
    fleet_open(&m->f);
    products_make(m);
    lists_make(m);
    customers_make(m);
    assignments_make(m);
}

static const char TOTALS[] = "SELECT sum(total) FROM sales_order";

static void device_and_server__find_the_same_price(void **state)
{
    static market m;
    (void)state;
    int priced = 0, unpriced = 0;
    for (uint64_t seed = 1; seed <= COMPANIES; seed++) {
        market_make(&m, seed);
        fleet_device *d = fleet_device_add(&m.f, &m.f.users[0]);
        int taken = 0;
        for (int i = 0; i < ORDERS; i++) {
            taken += order_take(&m, d);
        }
        assert_true(taken > 0);
        fleet_sync(d);
        assert_int_equal(problems(d), 0);
        fleet_device *manager = fleet_device_add(&m.f, &m.f.manager);
        assert_int_equal(fleet_number(manager, "SELECT count(*) FROM sales_order"), taken);
        assert_int_equal(fleet_number(manager, TOTALS), fleet_number(d, TOTALS));
        priced += m.priced;
        unpriced += m.unpriced;
        fleet_close(&m.f);
    }
    assert_true(priced > 100 && unpriced > 5); /* both happen */
}

static void setting(market *m, const char *key, const char *value)
{
    company_add(&m->f.company, "setting", PAIRS("key", key, "value", value));
}

static fb_code order_of(fleet_device *d, const fb_id *customer, const fb_id *product,
                        int64_t qty_milli)
{
    fb_error err = {0};
    fb_order *order = NULL;
    fleet_must(fb_order_new(d->db, customer, NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, product, NULL, qty_milli, NULL, NULL, &err), &err, "line");
    fb_code rc = fb_order_submit(order, NULL, &err);
    fb_order_close(order);
    return rc;
}

static fb_code problem_code(void *ctx, const fb_problem *p)
{
    *(fb_code *)ctx = p->error;
    return FB_OK;
}

/* The limit counts what is open: the order that goes above it waits for the manager. */
static void credit__what_goes_above_the_limit_is_held(void **state)
{
    static market m;
    (void)state;
    memset(&m, 0, sizeof m);
    fleet_open(&m.f);
    setting(&m, "order.credit_limit_minor", "5000");
    fleet_device *d = fleet_device_add(&m.f, &m.f.users[0]);
    fb_code last = FB_OK;
    for (int i = 0; i < 3; i++) { /* 2 x 10.00 each: 20.00, 40.00, 60.00 of 50.00 */
        assert_int_equal(order_of(d, &m.f.customers[0], &m.f.product, 2000), FB_OK);
        fleet_sync(d);
        last = FB_OK;
        fleet_must(fb_problem_each(d->db, problem_code, &last, NULL), NULL, "problems");
        assert_int_equal(last, i < 2 ? FB_OK : FB_E_CREDIT);
    }
    fleet_close(&m.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_and_server__find_the_same_price),
        cmocka_unit_test(credit__what_goes_above_the_limit_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
