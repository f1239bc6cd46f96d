/* test_decide_rules.c - what the server refuses, table by table: each refusal names the field and
 * changes nothing, and the neighbour that is just right passes. */
#include "decide_fixture.h"

/* field NULL: applied. */
static void is(const decision *d, fb_code error, const char *field)
{
    verdict_code code = field == NULL ? VERDICT_APPLIED : VERDICT_REJECTED;
    if (d->verdict.error != error || d->verdict.code != code ||
        (field != NULL && !text_is(d->verdict.field, field))) {
        print_error("verdict %d %s %.*s\n", d->verdict.code, fb_code_name(d->verdict.error),
                    (int)d->verdict.field.size, d->verdict.field.data);
        print_error("expected %d %s %s\n", code, fb_code_name(error), field != NULL ? field : "");
        assert_true(false);
    }
    assert_true(field == NULL || d->changes_count == 0); /* DEC-2 */
}

static const change *change_to(const decision *d, const char *entity)
{
    for (uint32_t i = 0; i < d->changes_count; i++) {
        if (text_is(d->changes[i].entity->name, entity)) {
            return &d->changes[i];
        }
    }
    return NULL;
}

static const fb_value *value_in(const change *c, const char *column)
{
    int number = cat_column_str(c->entity, column);
    for (uint32_t i = 0; c->kind == CHANGE_UPDATE && i < c->columns_count; i++) {
        if (c->columns[i] == number) {
            return &c->values[i];
        }
    }
    return c->kind == CHANGE_INSERT ? &c->values[number] : NULL;
}

/* --- visits ------------------------------------------------------------------------------ */

static fb_id visit_in(bench *b, raw_group *g, const char *status, const char *out)
{
    char in[24];
    snprintf(in, sizeof in, "%lld", (long long)b->w.now_ms - 60000);
    return raw_insert(g, "visit",
                      PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                            id_text(&b->d.user), "visit_date", "2025-10-09", "check_in_at", in,
                            "status", status, out != NULL ? "check_out_at" : NULL, out));
}

static fb_id visit_stored(bench *b, const fb_id *user, const char *date)
{
    return company_add(&b->w.company, "visit",
                       PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id", id_text(user),
                             "visit_date", date, "check_in_at", "2025-10-09T08:00:00Z", "status",
                             "open"));
}

static void a_person_is_in_one_place(void **state)
{
    bench *b = *state;
    raw_group g;
    decision d;
    raw_begin(&g, &b->d, "visit.end", 0, 0);
    visit_in(b, &g, "completed", "1000");
    raw_end(&g);
    d = decided(b);
    is(&d, FB_E_INVALID, "visit.check_out_at");
    raw_begin(&g, &b->d, "visit.start", 0, 0);
    visit_in(b, &g, "open", NULL);
    raw_end(&g);
    d = decided(b);
    is(&d, FB_OK, NULL);
    visit_stored(b, &b->w.users[2], "2025-10-09"); /* somebody else's */
    d = decided(b);
    is(&d, FB_OK, NULL);
    visit_stored(b, &b->d.user, "2025-09-09"); /* a job will close it */
    d = decided(b);
    is(&d, FB_OK, NULL);
    fb_id other = visit_stored(b, &b->d.user, "2025-10-08");
    d = decided(b);
    is(&d, FB_E_VISIT_OPEN, "visit.status");
    raw_begin(&g, &b->d, "visit.next", 0, 0); /* closed by the same group */
    raw_update(&g, "visit", &other, raw_server_ver(&b->w, "visit", &other),
               PAIRS("status", "open", "completed", "check_out_at", "", "1760000000000"));
    visit_in(b, &g, "open", NULL);
    raw_end(&g);
    d = decided(b);
    is(&d, FB_OK, NULL);
    raw_begin(&g, &b->d, "visit.twice", 0, 0);
    raw_update(&g, "visit", &other, raw_server_ver(&b->w, "visit", &other),
               PAIRS("status", "open", "completed", "check_out_at", "", "1760000000000"));
    visit_in(b, &g, "open", NULL);
    visit_in(b, &g, "open", NULL);
    raw_end(&g);
    d = decided(b);
    is(&d, FB_E_VISIT_OPEN, "visit.status");
}

/* --- deleting, and what is unique -------------------------------------------------------- */

static void order_may_be_deleted(bench *b, fb_id *order, fb_id *line)
{
    *order =
        company_add(&b->w.company, "sales_order",
                    PAIRS("order_no", "SO-1", "customer_id", id_text(&b->w.customers[0]), "user_id",
                          id_text(&b->d.user), "order_date", "2025-10-09", "status", "draft"));
    *line = company_add(&b->w.company, "sales_order_line",
                        PAIRS("order_id", id_text(order), "line_no", "1", "product_id",
                              id_text(&b->w.product), "uom", "EA", "qty_milli", "10",
                              "unit_price_4dp", "10"));
}

static void what_has_rows_below_stays(void **state)
{
    bench *b = *state;
    raw_group g;
    decision d;
    fb_id order, line;
    order_may_be_deleted(b, &order, &line);
    for (int with_line = 0; with_line < 2; with_line++) {
        raw_begin(&g, &b->d, "order.discard", 0, 0);
        if (with_line) {
            raw_delete(&g, "sales_order_line", &line,
                       raw_server_ver(&b->w, "sales_order_line", &line));
        }
        raw_delete(&g, "sales_order", &order, raw_server_ver(&b->w, "sales_order", &order));
        raw_end(&g);
        d = decided(b);
        is(&d, with_line ? FB_OK : FB_E_STATE, with_line ? NULL : "sales_order.id");
    }
    assert_int_equal(d.changes_count, 2);
    fb_id customer = b->w.customers[0];
    raw_begin(&g, &b->d, "customer.remove", 0, 0);
    raw_delete(&g, "customer", &customer, raw_server_ver(&b->w, "customer", &customer));
    raw_end(&g);
    d = decided(b);
    is(&d, FB_E_FORBIDDEN, "customer"); /* the role may not */
}

static void number_of_a_series_is_given_once(void **state)
{
    bench *b = *state;
    raw_group g;
    decision d;
    fb_id order, line;
    order_may_be_deleted(b, &order, &line);
    static const struct {
        const char *asked[2], *given[2];
        bool given_up; /* SO-1, by the group itself */
        verdict_code code;
    } CASES[] = {
        {{"SO-1", "SO-2"}, {"SO-1-2", "SO-2"}, false, VERDICT_MERGED},
        {{"SO-2", "SO-2"}, {"SO-2", "SO-2-2"}, false, VERDICT_MERGED},
        {{"SO-1-2", "SO-1"}, {"SO-1-2", "SO-1-3"}, false, VERDICT_MERGED},
        {{"SO-2", "SO-3"}, {"SO-2", "SO-3"}, false, VERDICT_APPLIED},
        {{"SO-1", "SO-2"}, {"SO-1", "SO-2"}, true, VERDICT_APPLIED},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        raw_begin(&g, &b->d, "order.save", 0, 0);
        if (CASES[i].given_up) {
            raw_delete(&g, "sales_order_line", &line,
                       raw_server_ver(&b->w, "sales_order_line", &line));
            raw_delete(&g, "sales_order", &order, raw_server_ver(&b->w, "sales_order", &order));
        }
        for (int n = 0; n < 2; n++) {
            raw_insert(&g, "sales_order",
                       PAIRS("order_no", CASES[i].asked[n], "customer_id",
                             id_text(&b->w.customers[0]), "user_id", id_text(&b->d.user),
                             "order_date", "2025-10-09", "status", "draft"));
        }
        raw_end(&g);
        d = decided(b);
        assert_int_equal(d.verdict.code, CASES[i].code);
        int found = 0;
        for (uint32_t c = 0; c < d.changes_count; c++) {
            bool made = d.changes[c].kind == CHANGE_INSERT &&
                        text_is(d.changes[c].entity->name, "sales_order");
            if (made) {
                assert_true(
                    text_is(value_in(&d.changes[c], "order_no")->u.text, CASES[i].given[found]));
                found++;
            }
        }
        assert_int_equal(found, 2);
    }
}

/* --- conflicts --------------------------------------------------------------------------- */

static void conflict_is_decided_as_the_person_says(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    raw_group g;
    const char *const customer = "customer";
    static const struct {
        const char *field, *winner, *typed;
        fb_code error;
        const char *where, *becomes; /* becomes NULL: the row keeps what it has */
    } CASES[] = {
        {"phone", "mine", "", FB_OK, NULL, "+861380000001"},
        {"phone", "theirs", "", FB_OK, NULL, "+861380000002"},
        {"phone", "base", "", FB_OK, NULL, "+861380000003"},
        {"phone", "person", "+861380000004", FB_OK, NULL, "+861380000004"},
        {"phone", "person", "+861381234567", FB_OK, NULL, NULL},
        {"email", "person", "nonsense", FB_E_FORMAT, "customer.email", NULL},
        {"last_visit_at", "person", "soon", FB_E_FORMAT, "conflict.resolved_value", NULL},
        {"no_such_field", "mine", "", FB_E_REFERENCE, "conflict.entity_id", NULL},
        {"id", "mine", "", FB_E_REFERENCE, "conflict.entity_id", NULL},
        {"phone", "", "", FB_E_REQUIRED, "conflict.winner", NULL},
        {"code", "person", "C2", FB_E_EXISTS, "customer.code", NULL},
        {"owner_id", "person", "00000000-0000-0000-0000-000000000009", FB_E_REFERENCE,
         "customer.owner_id", NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fb_id id =
            company_add(c, "conflict",
                        PAIRS("entity", customer, "entity_id", id_text(&b->w.customers[0]),
                              "customer_id", id_text(&b->w.customers[0]), "field", CASES[i].field,
                              "mine", "+861380000001", "theirs", "+861380000002", "base",
                              "+861380000003", "user_id", id_text(&b->d.user), "state", "open"));
        raw_begin(&g, &b->d, "conflict.decide", 0, 0);
        raw_update(&g, "conflict", &id, raw_server_ver(&b->w, "conflict", &id),
                   PAIRS("state", "open", "resolved", "winner", "", CASES[i].winner,
                         "resolved_value", "", CASES[i].typed));
        raw_end(&g);
        decision d = decided(b);
        is(&d, CASES[i].error, CASES[i].where);
        const change *made = change_to(&d, customer);
        assert_int_equal(made != NULL, CASES[i].becomes != NULL);
        assert_true(made == NULL || text_is(value_in(made, "phone")->u.text, CASES[i].becomes));
    }
}

static void conflict_of_what_is_gone_or_not_the_persons_is_refused(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    raw_group g;
    fb_id nobody = {{9}}, currency = b->w.list;
    const struct {
        const char *entity, *field;
        const fb_id *id;
        fb_code error;
    } CASES[] = {
        {"customer", "phone", &nobody, FB_E_REFERENCE},
        {"no_such_entity", "phone", &b->w.customers[0], FB_E_REFERENCE},
        {"price_list", "name", &currency, FB_E_FORBIDDEN},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fb_id id =
            company_add(c, "conflict",
                        PAIRS("entity", CASES[i].entity, "entity_id", id_text(CASES[i].id),
                              "customer_id", id_text(&b->w.customers[0]), "field", CASES[i].field,
                              "mine", "x", "user_id", id_text(&b->d.user), "state", "open"));
        raw_begin(&g, &b->d, "conflict.decide", 0, 0);
        raw_update(&g, "conflict", &id, raw_server_ver(&b->w, "conflict", &id),
                   PAIRS("state", "open", "resolved", "winner", "", "mine"));
        raw_end(&g);
        decision d = decided(b);
        is(&d, CASES[i].error, "conflict.entity_id");
    }
}

/* --- change requests --------------------------------------------------------------------- */

typedef struct asked {
    const char *entity, *kind, *diff;
    const fb_id *id;
    fb_code error;
    const char *where;
} asked;

static decision approved(bench *b, const asked *a)
{
    raw_group g;
    fb_id id = company_add(&b->w.company, "change_request",
                           PAIRS("target_entity", a->entity, "target_id", id_text(a->id),
                                 "customer_id", id_text(&b->w.customers[0]), "kind", a->kind,
                                 "requested_by", id_text(&b->d.user), "status", "submitted",
                                 a->diff != NULL ? "diff_json" : NULL, a->diff));
    raw_begin(&g, &b->manager, "request.approve", 0, 0);
    raw_update(&g, "change_request", &id, raw_server_ver(&b->w, "change_request", &id),
               PAIRS("status", "submitted", "approved"));
    raw_end(&g);
    return decided_of(b, &b->manager);
}

static void approval_changes_what_was_asked_or_nothing(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id nobody = {{9}};
    fb_id contact =
        company_add(c, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    fb_id customer = b->w.customers[0];
    fb_id visit = visit_stored(b, &b->d.user, "2025-10-09");
    const asked CASES[] = {
        {"customer", "update", "{\"grade\":\"A\"}", &customer, FB_OK, NULL},
        {"customer", "update", "{\"name\":{\"base\":\"C1\",\"mine\":\"New\",\"why\":[1]}}",
         &customer, FB_OK, NULL},
        {"customer", "update", "{\"name\":{\"base\":\"Old\",\"mine\":\"C1\"}}", &customer, FB_OK,
         NULL}, /* it is so already */
        {"customer", "update", "{\"name\":{\"base\":\"Old\",\"mine\":\"New\"}}", &customer,
         FB_E_STATE, "customer.id"},
        {"customer", "update", "{\"no_such\":\"A\"}", &customer, FB_E_INVALID,
         "change_request.diff_json"},
        {"customer", "update", "{\"id\":\"A\"}", &customer, FB_E_INVALID,
         "change_request.diff_json"},
        {"customer", "update", "{\"ver\":1}", &customer, FB_E_INVALID, "change_request.diff_json"},
        {"customer", "update", "{\"grade\":7}", &customer, FB_E_INVALID,
         "change_request.diff_json"},
        {"customer", "update", "{}", &customer, FB_E_INVALID, "change_request.diff_json"},
        {"customer", "update", NULL, &customer, FB_E_INVALID, "change_request.diff_json"},
        {"customer", "update", "{\"grade\":\"no such grade\"}", &customer, FB_E_ENUM,
         "customer.grade"},
        {"customer", "update", "{\"code\":\"C2\"}", &customer, FB_E_EXISTS, "customer.code"},
        {"customer", "update", "{\"owner_id\":\"00000000-0000-0000-0000-000000000009\"}", &customer,
         FB_E_REFERENCE, "customer.owner_id"},
        {"customer", "update", "{\"grade\":\"A\"}", &nobody, FB_E_REFERENCE,
         "change_request.target_id"},
        {"no_such_entity", "update", "{\"grade\":\"A\"}", &customer, FB_E_REFERENCE,
         "change_request.target_id"},
        {"customer", "create", NULL, &customer, FB_OK, NULL},
        {"customer", "delete", NULL, &customer, FB_OK, NULL},
        {"contact", "delete", NULL, &contact, FB_OK, NULL},
        {"visit", "delete", NULL, &visit, FB_E_ENUM, "visit.status"}, /* it has no such state */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        decision d = approved(b, &CASES[i]);
        is(&d, CASES[i].error, CASES[i].where);
        const change *made = change_to(&d, CASES[i].entity);
        if (CASES[i].error == FB_OK && strcmp(CASES[i].kind, "delete") == 0) {
            bool kept = strcmp(CASES[i].entity, "customer") == 0;
            assert_int_equal(made->kind, kept ? CHANGE_UPDATE : CHANGE_DELETE);
            assert_true(!kept || text_is(value_in(made, "status")->u.text, "inactive"));
        }
        assert_int_equal(change_to(&d, "change_request") != NULL, CASES[i].error == FB_OK);
    }
}

/* Who may approve requests does not become who may do everything. */
static void approval_gives_no_right_to_what_the_approver_may_not_change(void **state)
{
    bench *b = *state;
    fb_id mgr = company_find(&b->w.company, "role", "MGR");
    fb_id permission = company_add(&b->w.company, "role_permission",
                                   PAIRS("role_id", id_text(&mgr), "permission", "note.read"));
    fb_id setting = company_add(&b->w.company, "setting", PAIRS("key", "order.acme", "value", "1"));
    const asked CASES[] = {
        {"role_permission", "update", "{\"permission\":\"app_user.update\"}", &permission,
         FB_E_FORBIDDEN, "change_request.target_entity"},
        {"role_permission", "delete", NULL, &permission, FB_E_FORBIDDEN,
         "change_request.target_entity"},
        {"setting", "update", "{\"value\":\"0\"}", &setting, FB_E_FORBIDDEN,
         "change_request.target_entity"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        decision d = approved(b, &CASES[i]);
        is(&d, CASES[i].error, CASES[i].where);
    }
}

/* --- orders that lay on the server as drafts ---------------------------------------------- */

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
        CASE(a_person_is_in_one_place),
        CASE(what_has_rows_below_stays),
        CASE(number_of_a_series_is_given_once),
        CASE(conflict_is_decided_as_the_person_says),
        CASE(conflict_of_what_is_gone_or_not_the_persons_is_refused),
        CASE(approval_changes_what_was_asked_or_nothing),
        CASE(approval_gives_no_right_to_what_the_approver_may_not_change),
        CASE(draft_is_submitted_as_the_group_leaves_it),
        CASE(credit_follows_the_closest_setting),
        CASE(credit_is_used_by_what_is_under_way),
        CASE(order_that_is_submitted_again_counts_once),
    };
    return cmocka_run_group_tests_name("decide_rules", tests, NULL, NULL);
}
