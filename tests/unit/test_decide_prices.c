/* test_decide_prices.c - which price list binds an order, and what else it is judged by: units,
 * tax, settings, lines that lie on the server, rows of the office that are gone. */
#include "decide_fixture.h"

#include "support/raw_work.h"

static decision ordered(bench *b, const raw_order_texts *texts)
{
    raw_group g;
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    raw_order(&g, "SO-1", &b->w.customers[0], texts);
    raw_end(&g);
    return decided(b);
}

static fb_id dearer_list(bench *b)
{
    company *c = &b->w.company;
    fb_id list = company_add(
        c, "price_list",
        PAIRS("code", "L2", "name", "L2", "currency", "CNY", "active", "1", "priority", "1"));
    company_add(c, "price_list_item",
                PAIRS("price_list_id", id_text(&list), "product_id", id_text(&b->w.product), "uom",
                      "EA", "price_4dp", "12.00"));
    return list;
}

/* The order is at the price of the list that is everybody's; where the dearer one binds, it is
 * wrong.
 */
static void list_that_fits_the_customer_best_binds(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id list = dearer_list(b);
    const struct {
        const char *kind, *column;
        const fb_id *id; /* in `column` of the assignment, or */
        const char *code;
        const char *customer_column, *customer_has;
        bool binds;
    } CASES[] = {
        {"customer", "customer_id", &b->w.customers[0], NULL, NULL, NULL, true},
        {"customer", "customer_id", &b->w.customers[1], NULL, NULL, NULL, false},
        {"customer", NULL, NULL, NULL, NULL, NULL, false}, /* for nobody in particular */
        {"territory", "territory_id", &b->w.territories[0], NULL, NULL, NULL, true},
        {"territory", "territory_id", &b->w.territories[1], NULL, NULL, NULL, false},
        {"channel", NULL, NULL, "horeca", NULL, NULL, false},
        {"channel", NULL, NULL, "horeca", "channel", "horeca", true},
        {"channel", NULL, NULL, NULL, "channel", "", false},
        {"grade", NULL, NULL, "A", "grade", "B", false},
        {"grade", NULL, NULL, "A", "grade", "A", true},
        {"grade", NULL, NULL, NULL, "grade", "", false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        if (CASES[i].customer_column != NULL) {
            company_set(c, "customer", &b->w.customers[0],
                        PAIRS(CASES[i].customer_column, CASES[i].customer_has));
        }
        const char *column = CASES[i].column != NULL ? CASES[i].column : "target_code";
        const char *value = CASES[i].id != NULL ? id_text(CASES[i].id) : CASES[i].code;
        fb_id a = company_add(c, "price_assignment",
                              PAIRS("target_kind", CASES[i].kind, "price_list_id", id_text(&list),
                                    value != NULL ? column : NULL, value));
        decision d = ordered(b, &RAW_GOOD);
        if (d.verdict.error != (CASES[i].binds ? FB_E_PRICE : FB_OK)) {
            fail_msg("case %zu: %s", i, fb_code_name(d.verdict.error));
        }
        company_delete(c, "price_assignment", &a);
    }
    /* Of two that fit as well, the one with the higher priority; and never one that has ended. */
    company_add(c, "price_assignment",
                PAIRS("target_kind", "global", "price_list_id", id_text(&list), "priority", "5"));
    decision d = ordered(b, &RAW_GOOD);
    is(&d, FB_E_PRICE, "sales_order_line[1].unit_price_4dp");
    company_set(c, "price_list", &list, PAIRS("active", "0"));
    d = ordered(b, &RAW_GOOD);
    is(&d, FB_OK, NULL);
    company_set(c, "price_list", &list, PAIRS("active", "1", "currency", "USD"));
    d = ordered(b, &RAW_GOOD);
    is(&d, FB_OK, NULL);
    company_set(c, "price_list", &list, PAIRS("currency", "CNY"));
    company_set(c, "customer", &b->w.customers[0], PAIRS("price_list_id", id_text(&list)));
    d = ordered(b, &RAW_GOOD);
    is(&d, FB_E_PRICE, "sales_order_line[1].unit_price_4dp"); /* the customer's own */
    company_delete(c, "price_list", &list);                   /* its item is left behind */
    d = ordered(b, &RAW_GOOD);
    is(&d, FB_OK, NULL);
}

/* Two assignments of one list that fit as well: the higher of their priorities is the list's. */
static void list_has_the_highest_of_its_priorities(void **state)
{
    static const struct {
        const char *first, *second;
        bool binds;
    } CASES[] = {{"3", "7", true}, {"7", "3", true}, {"3", "4", false}};
    bench *b = *state;
    company *c = &b->w.company;
    fb_id list = dearer_list(b);
    store_says(b, "UPDATE price_assignment SET priority = 5"); /* of everybody's list */
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fb_id a[2];
        for (int k = 0; k < 2; k++) {
            a[k] = company_add(c, "price_assignment",
                               PAIRS("target_kind", "global", "price_list_id", id_text(&list),
                                     "priority", k == 0 ? CASES[i].first : CASES[i].second));
        }
        raw_group g;
        raw_begin(&g, &b->d, "order.submit", 0, 0);
        raw_order(&g, "SO-1", &b->w.customers[0], &RAW_GOOD);
        raw_end(&g);
        decision d = asked_of(b, &b->d);
        is(&d, CASES[i].binds ? FB_E_PRICE : FB_OK,
           CASES[i].binds ? "sales_order_line[1].unit_price_4dp" : NULL);
        company_delete(c, "price_assignment", &a[0]);
        company_delete(c, "price_assignment", &a[1]);
    }
}

/* One line, written out; units and prices as the group says. */
static decision ordered_line(bench *b, const char *const *more)
{
    const char *pairs[60] = {"line_no", "1", "product_id", id_text(&b->w.product)};
    size_t n = 4;
    raw_group g;
    for (; more[n - 4] != NULL; n++) {
        pairs[n] = more[n - 4];
    }
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    fb_id order = raw_insert(&g, "sales_order",
                             PAIRS("order_no", "SO-1", "customer_id", id_text(&b->w.customers[0]),
                                   "user_id", id_text(&b->d.user), "order_date", "2025-10-09",
                                   "subtotal", "10000", "tax", "1300", "total", "11300",
                                   "payment_term", "account", "status", "submitted"));
    pairs[n++] = "order_id";
    pairs[n] = id_text(&order);
    raw_insert(&g, "sales_order_line", pairs);
    raw_end(&g);
    return decided(b);
}
#define LINE_AMOUNTS "net", "10000", "tax", "1300", "gross", "11300"
#define LINE_PRICE "unit_price_4dp", "100000", "list_price_4dp", "100000"

static void units_of_a_product_are_those_it_has(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    decision d = ordered_line(b, PAIRS("uom", "BOX", "qty_milli", "1000", "base_qty_milli", "12000",
                                       LINE_PRICE, LINE_AMOUNTS));
    is(&d, FB_E_PRODUCT, "sales_order_line[1].uom");
    company_add(c, "product_uom",
                PAIRS("product_id", id_text(&b->w.product), "uom", "BOX", "num", "12", "den", "1"));
    company_add(c, "product_uom",
                PAIRS("product_id", id_text(&b->w.product), "uom", "PAL", "num", "99", "den", "1"));
    company_add(c, "price_list_item",
                PAIRS("price_list_id", id_text(&b->w.list), "product_id", id_text(&b->w.product),
                      "uom", "BOX", "price_4dp", "100.00"));
    d = ordered_line(b,
                     PAIRS("uom", "BOX", "qty_milli", "1000", "base_qty_milli", "12000",
                           "unit_price_4dp", "1000000", "list_price_4dp", "1000000", LINE_AMOUNTS));
    is(&d, FB_OK, NULL);
    d = ordered_line(b,
                     PAIRS("uom", "BOX", "qty_milli", "1000", "base_qty_milli", "10000",
                           "unit_price_4dp", "1000000", "list_price_4dp", "1000000", LINE_AMOUNTS));
    is(&d, FB_E_QUANTITY, "sales_order_line[1].base_qty_milli");
    company_add(c, "price_list_item",
                PAIRS("price_list_id", id_text(&b->w.list), "product_id", id_text(&b->w.product),
                      "uom", "PAL", "price_4dp", "100.00"));
    for (int right = 0; right < 2; right++) { /* not the other unit's number */
        d = ordered_line(b, PAIRS("uom", "PAL", "qty_milli", "1000", "base_qty_milli",
                                  right ? "99000" : "12000", "unit_price_4dp", "1000000",
                                  "list_price_4dp", "1000000", LINE_AMOUNTS));
        is(&d, right ? FB_OK : FB_E_QUANTITY, right ? NULL : "sales_order_line[1].base_qty_milli");
    }
}

static void tax_is_the_lines_or_the_products(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    const char *const *line = PAIRS("uom", "EA", "qty_milli", "10000", "base_qty_milli", "10000",
                                    LINE_PRICE, LINE_AMOUNTS);
    decision d = ordered_line(b, line);
    is(&d, FB_OK, NULL);
    company_delete(c, "tax_code", &b->w.tax);
    d = ordered_line(b, line);
    is(&d, FB_E_REFERENCE, "sales_order_line[1].tax_code_id");
    company_set(c, "product", &b->w.product, PAIRS("tax_code_id", ""));
    d = ordered_line(b, line); /* nobody taxes it: 13 % are too much */
    is(&d, FB_E_TOTALS, "sales_order_line[1].tax");
}

/* For this person; what binds everybody stays. */
static fb_id setting_add(bench *b, const char *key, const char *value)
{
    return company_add(
        &b->w.company, "setting",
        PAIRS("key", key, "level", "user", "target_id", id_text(&b->d.user), "value", value));
}

/* What the settings allow shows in which field is wrong first. */
static void settings_bound_what_a_person_may_grant(void **state)
{
    static const struct {
        const char *key, *value, *field;
    } CASES[] = {
        {"order.discount_max_bp", "500", "sales_order_line[1].discount_bp"},
        {"order.discount_max_bp", "1000", "sales_order_line[1].net"},
        {"order.discount_max_bp", "99999", "sales_order_line[1].net"}, /* as 10000 */
        {"order.discount_max_bp", "-7", "sales_order_line[1].discount_bp"},
    };
    bench *b = *state;
    company *c = &b->w.company;
    const char *const *line = PAIRS("uom", "EA", "qty_milli", "10000", "base_qty_milli", "10000",
                                    LINE_PRICE, LINE_AMOUNTS, "discount_bp", "1000");
    fb_id setting = setting_add(b, CASES[0].key, CASES[0].value);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        company_set(c, "setting", &setting, PAIRS("value", CASES[i].value));
        decision d = ordered_line(b, line);
        if (!text_is(d.verdict.field, CASES[i].field)) {
            fail_msg("%s: %.*s", CASES[i].value, (int)d.verdict.field.size, d.verdict.field.data);
        }
    }
    company_delete(c, "setting", &setting);
    line = PAIRS("uom", "EA", "qty_milli", "10000", "base_qty_milli", "10000", "unit_price_4dp",
                 "90000", "list_price_4dp", "100000", "price_source", "override", "reason", "new",
                 LINE_AMOUNTS);
    decision d = ordered_line(b, line);
    is(&d, FB_E_TOTALS, "sales_order_line[1].net"); /* the price itself is well */
    setting_add(b, "order.price_override", "0");
    d = ordered_line(b, line);
    is(&d, FB_E_PRICE, "sales_order_line[1].price_source");
}

static void credit_is_asked_of_whom_it_binds(void **state)
{
    static const struct {
        const char *status, *term, *check;
        verdict_code code;
        fb_code error;
    } CASES[] = {
        {"active", "account", "1", VERDICT_HELD, FB_E_CREDIT},
        {"active", "account", "0", VERDICT_APPLIED, FB_OK},
        {"active", "cash", "1", VERDICT_APPLIED, FB_OK},
        {"pending", "account", "1", VERDICT_HELD, FB_E_CREDIT},
        {"pending", "cash", "1", VERDICT_APPLIED, FB_OK},
        {"suspended", "cash", "1", VERDICT_REJECTED, FB_E_STATE},
    };
    bench *b = *state;
    company *c = &b->w.company;
    setting_add(b, "order.credit_limit_minor", "1");
    fb_id check = setting_add(b, "order.credit_check", "1");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        raw_order_texts texts = RAW_GOOD;
        texts.term = CASES[i].term;
        company_set(c, "customer", &b->w.customers[0], PAIRS("status", CASES[i].status));
        company_set(c, "setting", &check, PAIRS("value", CASES[i].check));
        decision d = ordered(b, &texts);
        if (d.verdict.code != CASES[i].code || d.verdict.error != CASES[i].error) {
            fail_msg("case %zu: %d %s", i, d.verdict.code, fb_code_name(d.verdict.error));
        }
    }
}

static fb_id order_stored(bench *b, const char *no, const char *status)
{
    return company_add(&b->w.company, "sales_order",
                       PAIRS("order_no", no, "customer_id", id_text(&b->w.customers[0]), "user_id",
                             id_text(&b->d.user), "order_date", "2025-10-09", "subtotal", "100.00",
                             "tax", "13.00", "total", "113.00", "payment_term", "account", "status",
                             status));
}

static fb_id line_stored(bench *b, const fb_id *order)
{
    return company_add(&b->w.company, "sales_order_line",
                       PAIRS("order_id", id_text(order), "line_no", "1", "product_id",
                             id_text(&b->w.product), "uom", "EA", "qty_milli", "10",
                             "base_qty_milli", "10", "unit_price_4dp", "10", "list_price_4dp", "10",
                             "net", "100.00", "tax", "13.00", "gross", "113.00"));
}

/* A disk that lies about two totals: no sum of them lets the next order pass. */
static void credit_that_cannot_be_summed_up_is_used_up(void **state)
{
    bench *b = *state;
    order_stored(b, "SO-8", "confirmed");
    order_stored(b, "SO-9", "confirmed");
    setting_add(b, "order.credit_limit_minor", "9000000000000000000");
    decision d = ordered(b, &RAW_GOOD);
    is(&d, FB_OK, NULL);
    store_says(b, "UPDATE sales_order SET total = 9223372036854775807");
    d = ordered(b, &RAW_GOOD);
    assert_int_equal(d.verdict.code, VERDICT_HELD);
    assert_int_equal(d.verdict.error, FB_E_CREDIT);
}

/* More lines than anybody made room for, in the group and on the server. */
static void order_of_many_lines_is_judged_whole(void **state)
{
    enum { LINES = 18 };
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    fb_id order = raw_insert(&g, "sales_order",
                             PAIRS("order_no", "SO-1", "customer_id", id_text(&b->w.customers[0]),
                                   "user_id", id_text(&b->d.user), "order_date", "2025-10-09",
                                   "subtotal", "180000", "tax", "23400", "total", "203400",
                                   "payment_term", "account", "status", "submitted"));
    for (int i = 1; i <= LINES; i++) {
        char no[8];
        snprintf(no, sizeof no, "%d", i);
        raw_insert(&g, "sales_order_line",
                   PAIRS("order_id", id_text(&order), "line_no", no, "product_id",
                         id_text(&b->w.product), "uom", "EA", "qty_milli", "10000",
                         "base_qty_milli", "10000", LINE_PRICE, LINE_AMOUNTS));
    }
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
    assert_int_equal(d.changes_count, 1 + LINES);
}

/* Only its own lines count, and those that are still there when the group has done its work. */
static void lines_of_others_and_lines_taken_out_do_not_count(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_order_texts draft = RAW_GOOD;
    draft.status = "draft";
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    fb_id order = raw_order(&g, "SO-1", &b->w.customers[0], &RAW_GOOD);
    raw_order(&g, "SO-2", &b->w.customers[0], &draft);
    fb_id wrong = raw_insert(&g, "sales_order_line",
                             PAIRS("order_id", id_text(&order), "line_no", "2", "product_id",
                                   id_text(&b->w.product), "uom", "EA", "qty_milli", "10000",
                                   "base_qty_milli", "10000", LINE_PRICE, LINE_AMOUNTS));
    raw_delete(&g, "sales_order_line", &wrong, 0);
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
    assert_int_equal(d.changes_count, 4);
}

/* An order of two lines, each of its own product and tax. */
static void lines_are_judged_by_their_own_product_and_tax(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    raw_group g;
    fb_id other = b->w.product; /* falls on the same place in the table of products */
    char sql[200], hex[33];
    other.b[9] ^= 1;
    for (int i = 0; i < 16; i++) {
        snprintf(hex + 2 * i, 3, "%02x", other.b[i]);
    }
    store_says(b, "CREATE TABLE copy AS SELECT * FROM product");
    snprintf(sql, sizeof sql,
             "UPDATE copy SET id = x'%s', code = 'P2', base_uom = 'BX', tax_code_id = NULL;"
             "INSERT INTO product SELECT * FROM copy; DROP TABLE copy",
             hex);
    store_says(b, sql);
    fb_id zero = company_add(c, "tax_code", PAIRS("code", "V0", "name", "none", "rate_bp", "0"));
    company_add(c, "price_list_item",
                PAIRS("price_list_id", id_text(&b->w.list), "product_id", id_text(&other), "uom",
                      "BX", "price_4dp", "10.00"));
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    fb_id order = raw_insert(&g, "sales_order",
                             PAIRS("order_no", "SO-1", "customer_id", id_text(&b->w.customers[0]),
                                   "user_id", id_text(&b->d.user), "order_date", "2025-10-09",
                                   "subtotal", "30000", "tax", "2600", "total", "32600",
                                   "payment_term", "account", "status", "submitted"));
    for (int i = 0; i < 3; i++) { /* the third is taxed as the first */
        const char *no = i == 0 ? "1" : i == 1 ? "2" : "3", *uom = i == 1 ? "BX" : "EA";
        raw_insert(&g, "sales_order_line",
                   PAIRS("order_id", id_text(&order), "line_no", no, "product_id",
                         id_text(i == 1 ? &other : &b->w.product), "uom", uom, "qty_milli", "10000",
                         "base_qty_milli", "10000", LINE_PRICE, "net", "10000", "tax",
                         i == 1 ? "0" : "1300", "gross", i == 1 ? "10000" : "11300",
                         i == 1 ? "tax_code_id" : NULL, id_text(&zero)));
    }
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
}

/* A price that is on no list: whether it holds the tax says the list that the order names. */
static void list_that_is_named_says_what_a_price_holds(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id list = company_add(c, "price_list",
                             PAIRS("code", "L3", "name", "L3", "currency", "CNY", "active", "1"));
    company_add(c, "product_uom",
                PAIRS("product_id", id_text(&b->w.product), "uom", "BOX", "num", "1", "den", "1"));
    for (int included = 0; included < 2; included++) {
        raw_group g;
        company_set(c, "price_list", &list, PAIRS("tax_included", included ? "1" : "0"));
        raw_begin(&g, &b->d, "order.submit", 0, 0);
        fb_id order =
            raw_insert(&g, "sales_order",
                       PAIRS("order_no", "SO-1", "customer_id", id_text(&b->w.customers[0]),
                             "user_id", id_text(&b->d.user), "order_date", "2025-10-09",
                             "price_list_id", id_text(&list), "subtotal", "10000", "tax", "1300",
                             "total", "11300", "payment_term", "account", "status", "submitted"));
        raw_insert(&g, "sales_order_line",
                   PAIRS("order_id", id_text(&order), "line_no", "1", "product_id",
                         id_text(&b->w.product), "uom", "BOX", "qty_milli", "10000",
                         "base_qty_milli", "10000", "unit_price_4dp", "100000", "price_source",
                         "override", "reason", "new", LINE_AMOUNTS));
        raw_end(&g);
        decision d = decided(b);
        is(&d, included ? FB_E_TOTALS : FB_OK, included ? "sales_order_line[1].net" : NULL);
    }
}

static decision submitted(bench *b, const fb_id *order, const fb_id *line)
{
    raw_group g;
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    if (line != NULL) { /* as it is */
        raw_update(&g, "sales_order_line", line, raw_server_ver(&b->w, "sales_order_line", line),
                   PAIRS("net", "10000", "10000"));
    }
    raw_update(&g, "sales_order", order, raw_server_ver(&b->w, "sales_order", order),
               PAIRS("status", "draft", "submitted"));
    raw_end(&g);
    return decided(b);
}

/* What a stored draft names may be gone when it is submitted. */
static void stored_draft_is_judged_by_what_there_is_now(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id order = order_stored(b, "SO-1", "draft");
    fb_id line = line_stored(b, &order);
    fb_id list = dearer_list(b);
    decision d = submitted(b, &order, &line);
    is(&d, FB_OK, NULL);
    company_set(c, "sales_order", &order, PAIRS("price_list_id", id_text(&list)));
    d = submitted(b, &order, NULL);
    is(&d, FB_E_PRICE, "sales_order_line[1].unit_price_4dp");
    company_delete(c, "price_list", &list);
    d = submitted(b, &order, NULL); /* everybody's list is left */
    is(&d, FB_OK, NULL);
    company_add(c, "price_assignment",
                PAIRS("target_kind", "customer", "customer_id", id_text(&b->w.customers[0]),
                      "price_list_id", id_text(&b->w.list)));
    store_says(b, "UPDATE price_assignment SET target_kind = 'moon' WHERE target_kind = 'global'");
    d = submitted(b, &order, NULL); /* the one that is nobody's is no one's */
    is(&d, FB_OK, NULL);
    company_delete(c, "price_list", &b->w.list);
    d = submitted(b, &order, NULL);
    is(&d, FB_E_PRICE, "sales_order_line[1].unit_price_4dp");
    company_delete(c, "product", &b->w.product);
    d = submitted(b, &order, NULL);
    is(&d, FB_E_REFERENCE, "sales_order_line[1].product_id");
    setting_add(b, "order.credit_limit_minor", "1");
    company_delete(c, "customer", &b->w.customers[0]);
    d = submitted(b, &order, NULL);
    assert_int_not_equal(d.verdict.code, VERDICT_APPLIED);
}

/* The customer alone is gone: what is for some customers is for nobody. */
static void draft_of_a_customer_that_is_gone_is_refused(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id order = order_stored(b, "SO-1", "draft");
    line_stored(b, &order);
    company_add(c, "price_assignment",
                PAIRS("target_kind", "customer", "customer_id", id_text(&b->w.customers[0]),
                      "price_list_id", id_text(&b->w.list)));
    company_delete(c, "customer", &b->w.customers[0]);
    b->waived = true; /* nobody asks whose it is */
    decision d = submitted(b, &order, NULL);
    b->waived = false;
    is(&d, FB_E_REFERENCE, "sales_order.customer_id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(list_that_fits_the_customer_best_binds),
        CASE(list_has_the_highest_of_its_priorities),
        CASE(units_of_a_product_are_those_it_has),
        CASE(tax_is_the_lines_or_the_products),
        CASE(settings_bound_what_a_person_may_grant),
        CASE(credit_is_asked_of_whom_it_binds),
        CASE(credit_that_cannot_be_summed_up_is_used_up),
        CASE(order_of_many_lines_is_judged_whole),
        CASE(lines_of_others_and_lines_taken_out_do_not_count),
        CASE(lines_are_judged_by_their_own_product_and_tax),
        CASE(list_that_is_named_says_what_a_price_holds),
        CASE(draft_of_a_customer_that_is_gone_is_refused),
        CASE(stored_draft_is_judged_by_what_there_is_now),
    };
    return cmocka_run_group_tests_name("decide_prices", tests, NULL, NULL);
}
