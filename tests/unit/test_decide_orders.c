/* test_decide_orders.c - orders that lay on the server: submitted as the group leaves them, within
 * the credit, and steps from where the office has brought them meanwhile. */
#include "decide_fixture.h"

static fb_id draft_stored(bench *b, const char *no, fb_id *line)
{
    company *c = &b->w.company;
    fb_id order = company_add(c, "sales_order",
                              PAIRS("order_no", no, "customer_id", id_text(&b->w.customers[0]),
                                    "user_id", id_text(&b->d.user), "order_date", "2025-10-09",
                                    "subtotal", "100.00", "tax", "13.00", "total", "113.00",
                                    "payment_term", "account", "status", "draft"));
    *line = company_add(c, "sales_order_line",
                        PAIRS("order_id", id_text(&order), "line_no", "1", "product_id",
                              id_text(&b->w.product), "uom", "EA", "qty_milli", "10",
                              "base_qty_milli", "10", "unit_price_4dp", "10", "list_price_4dp",
                              "10", "net", "100.00", "tax", "13.00", "gross", "113.00"));
    return order;
}

/* What the group does to the line beside submitting its order. */
typedef enum touch { LEAVES, DELETES, CHANGES } touch;

static decision submitted(bench *b, const fb_id *order, const fb_id *line, touch how)
{
    raw_group g;
    int64_t ver = raw_server_ver(&b->w, "sales_order_line", line);
    raw_begin(&g, &b->d, "order.submit", 0, 0);
    if (how == DELETES) {
        raw_delete(&g, "sales_order_line", line, ver);
    } else if (how == CHANGES) {
        raw_update(&g, "sales_order_line", line, ver, PAIRS("net", "10000", "10001"));
    }
    raw_update(&g, "sales_order", order, raw_server_ver(&b->w, "sales_order", order),
               PAIRS("status", "draft", "submitted"));
    raw_end(&g);
    return decided(b);
}

static void draft_is_submitted_as_the_group_leaves_it(void **state)
{
    static const struct {
        touch how;
        fb_code error;
        const char *where;
    } CASES[] = {
        {LEAVES, FB_OK, NULL},
        {DELETES, FB_E_REQUIRED, "sales_order_line"},
        {CHANGES, FB_E_FORBIDDEN, "sales_order_line.net"}, /* taken out and entered anew */
    };
    bench *b = *state;
    fb_id line, order = draft_stored(b, "SO-1", &line);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        decision d = submitted(b, &order, &line, CASES[i].how);
        is(&d, CASES[i].error, CASES[i].where);
    }
    company_set(&b->w.company, "product", &b->w.product, PAIRS("status", "suspended"));
    decision d = submitted(b, &order, &line, LEAVES);
    is(&d, FB_E_PRODUCT, "sales_order_line[1].product_id");
}

/* The closest setting counts: a person's before a role's before everybody's. */
static void credit_follows_the_closest_setting(void **state)
{
    static const char KEY[] = "order.credit_limit_minor";
    bench *b = *state;
    company *c = &b->w.company;
    fb_id line, order = draft_stored(b, "SO-1", &line);
    const struct {
        const char *level, *code;
        const fb_id *id; /* the target, instead of a code */
        const char *value;
        bool held;
    } CASES[] = {
        {"role", "MGR", NULL, "100", false},
        {"user", NULL, &b->w.users[1], "100", false},
        {"user", "nobody", NULL, "100", false},
        {"territory", NULL, &b->w.territories[0], "100", false}, /* for devices only */
        {"global", NULL, NULL, "no number", false},
        {"role", "REP", NULL, "100", true},
        {"user", NULL, &b->d.user, "11300", false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *target = CASES[i].id != NULL ? id_text(CASES[i].id) : CASES[i].code;
        company_add(c, "setting",
                    PAIRS("key", KEY, "level", CASES[i].level, "value", CASES[i].value,
                          target != NULL ? "target_id" : NULL, target));
        decision d = submitted(b, &order, &line, LEAVES);
        assert_int_equal(d.verdict.code, CASES[i].held ? VERDICT_HELD : VERDICT_APPLIED);
        assert_int_equal(d.verdict.error, CASES[i].held ? FB_E_CREDIT : FB_OK);
    }
}

/* Just enough for one order. */
static void credit_is(bench *b, const char *limit)
{
    company_add(&b->w.company, "setting",
                PAIRS("key", "order.credit_limit_minor", "level", "global", "value", limit));
}

static void credit_is_used_by_what_is_under_way(void **state)
{
    static const struct {
        const char *status;
        bool uses;
    } OTHERS[] = {
        {"draft", false},    {"closed", false},   {"cancelled", false}, {"rejected", false},
        {"submitted", true}, {"confirmed", true}, {"invoiced", true},
    };
    bench *b = *state;
    fb_id line, other_line, order = draft_stored(b, "SO-1", &line);
    fb_id other = draft_stored(b, "SO-2", &other_line);
    credit_is(b, "11300");
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        company_set(&b->w.company, "sales_order", &other, PAIRS("status", OTHERS[i].status));
        decision d = submitted(b, &order, &line, LEAVES);
        assert_int_equal(d.verdict.code, OTHERS[i].uses ? VERDICT_HELD : VERDICT_APPLIED);
        assert_true(!OTHERS[i].uses || text_is(d.verdict.who, "MGR"));
        assert_true(!OTHERS[i].uses || d.changes_count == 0);
    }
}

/* The office moved the order on while the person asked to cancel it: what may still be asked from
 * where it stands is asked, the rest is lost and kept in a conflict record. */
static void step_is_taken_from_where_the_order_stands(void **state)
{
    static const struct {
        const char *moved_to, *reason;
        bool stands;
    } CASES[] = {
        {"received", "too late", true},   {"confirmed", "too late", true},
        {"confirmed", "", false}, /* the step asks for a reason */
        {"delivered", "too late", false}, {"rejected", "too late", false},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char no[24];
        raw_group g;
        snprintf(no, sizeof no, "SO-%zu", i + 1);
        fb_id line, order = draft_stored(b, no, &line);
        company_set(&b->w.company, "sales_order", &order, PAIRS("status", "submitted"));
        int64_t seen = raw_server_ver(&b->w, "sales_order", &order);
        b->w.now_ms += 1000;
        company_set(&b->w.company, "sales_order", &order, PAIRS("status", CASES[i].moved_to));
        raw_begin(&g, &b->d, "order.cancel", 0, 0);
        raw_update(
            &g, "sales_order", &order, seen,
            PAIRS("status", "submitted", "cancel_requested", "cancel_reason", "", CASES[i].reason));
        raw_end(&g);
        decision d = decided(b);
        const change *made = change_to(&d, "sales_order");
        const fb_value *status = made != NULL ? value_in(made, "status") : NULL;
        bool stands = status != NULL && text_is(status->u.text, "cancel_requested");
        if (stands != CASES[i].stands || (!stands && d.verdict.code == VERDICT_APPLIED)) {
            fail_msg("%s: verdict %d %s %.*s", CASES[i].moved_to, d.verdict.code,
                     fb_code_name(d.verdict.error), (int)d.verdict.field.size,
                     d.verdict.field.data);
        }
    }
}

/* A catalogue that lets an order come back: its old total is no second claim on the credit. */
static void order_that_is_submitted_again_counts_once(void **state)
{
    static const char FIRST[] = "{\"from\": \"submitted\", \"to\": \"received\"";
    static const char BACK[] = "{\"from\": \"confirmed\", \"to\": \"submitted\"},";
    bench *b = *state;
    buf text;
    raw_group g;
    fb_error err = {.code = FB_OK};
    fb_text now = catalog_builtin_text();
    size_t begin = strlen("{\"version\":1");
    const char *at = memmem(now.data, now.size, FIRST, strlen(FIRST));
    assert_non_null(at);
    buf_init(&text, 1 << 20);
    buf_put_str(&text, "{\"version\":2");
    buf_put_text(&text, (fb_text){now.data + begin, (size_t)(at - now.data) - begin});
    buf_put_str(&text, BACK);
    buf_put_text(&text, (fb_text){at, now.size - (size_t)(at - now.data)});
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(store_catalog_install(b->w.admin, buf_text(&text), &err), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    buf_clear(&text);
    fb_id line, order = draft_stored(b, "SO-1", &line);
    company_set(&b->w.company, "sales_order", &order, PAIRS("status", "confirmed"));
    credit_is(b, "11300");
    raw_begin(&g, &b->d, "order.again", 0, 0);
    raw_update(&g, "sales_order", &order, raw_server_ver(&b->w, "sales_order", &order),
               PAIRS("status", "confirmed", "submitted"));
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(draft_is_submitted_as_the_group_leaves_it),
        CASE(credit_follows_the_closest_setting),
        CASE(credit_is_used_by_what_is_under_way),
        CASE(step_is_taken_from_where_the_order_stands),
        CASE(order_that_is_submitted_again_counts_once),
    };
    return cmocka_run_group_tests_name("decide_orders", tests, NULL, NULL);
}
