/* test_decide_rules.c - what the server refuses, table by table: each refusal names the field and
 * changes nothing, and the neighbour that is just right passes. */
#include "decide_fixture.h"

#include "sync-server/door/door.h"

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

/* What the column has no room for is not written: the number is refused like any that is taken. */
static void number_of_a_series_stays_within_its_column(void **state)
{
    bench *b = *state;
    for (int size = 29; size <= 32; size++) {
        raw_group g;
        char number[33];
        memset(number, '7', sizeof number);
        number[size] = '\0';
        raw_begin(&g, &b->d, "order.save", 0, 0);
        for (int n = 0; n < 2; n++) {
            raw_insert(&g, "sales_order",
                       PAIRS("order_no", number, "customer_id", id_text(&b->w.customers[0]),
                             "user_id", id_text(&b->d.user), "order_date", "2025-10-09", "status",
                             "draft"));
        }
        raw_end(&g);
        decision d = decided(b);
        if (size + 2 <= 32) {
            assert_int_equal(d.verdict.code, VERDICT_MERGED);
        } else {
            is(&d, FB_E_EXISTS, "sales_order.order_no");
        }
    }
}

/* Who made a record, when and on what is the server's to write: what a device says of it is left
 * out, and the rest of its change stands. */
static void stamps_of_a_device_are_left_out(void **state)
{
    static const char *const STAMPS[] = {"created_by", "created_device", "updated_by"};
    bench *b = *state;
    raw_group g;
    fb_id customer = b->w.customers[0], other = b->w.users[1];
    for (size_t i = 0; i < sizeof STAMPS / sizeof STAMPS[0]; i++) {
        raw_begin(&g, &b->d, "customer.save", 0, 0);
        raw_update(&g, "customer", &customer, raw_server_ver(&b->w, "customer", &customer),
                   PAIRS("remark", "", "pays late", STAMPS[i], "", id_text(&other)));
        raw_end(&g);
        decision d = decided(b);
        is(&d, FB_OK, NULL);
        const change *made = change_to(&d, "customer");
        assert_non_null(made);
        assert_true(text_is(value_in(made, "remark")->u.text, "pays late"));
        const fb_value *stamp = value_in(made, STAMPS[i]);
        assert_true(stamp == NULL || !id_equal(&stamp->u.id, &other));
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
        {"phone", "theirs", "", FB_OK, NULL, NULL}, /* it stands already */
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
                              "mine", "+861380000001", "theirs", "+861381234567", "base",
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

/* Only the step that says which value stands decides anything, and only where the row can be found.
 */
static void conflict_is_touched_without_being_decided(void **state)
{
    static const struct {
        const char *entity_id; /* NULL: the customer's */
        const char *triple[7];
        fb_code error;
        const char *where;
        bool decided;
    } CASES[] = {
        {NULL, {"reason", "", "seen", NULL}, FB_OK, NULL, false},
        {NULL, {"state", "open", "decided", "winner", "", "theirs", NULL}, FB_OK, NULL, true},
        {"no id",
         {"state", "open", "decided", "winner", "", "theirs", NULL},
         FB_E_REFERENCE,
         "conflict.entity_id",
         false},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        raw_group g;
        fb_id customer = b->w.customers[0];
        fb_id id =
            company_add(&b->w.company, "conflict",
                        PAIRS("entity", "customer", "entity_id",
                              CASES[i].entity_id != NULL ? CASES[i].entity_id : id_text(&customer),
                              "customer_id", id_text(&customer), "field", "remark", "mine", "x",
                              "user_id", id_text(&b->d.user), "state", "open"));
        raw_begin(&g, &b->d, "conflict.touch", 0, 0);
        raw_update(&g, "conflict", &id, raw_server_ver(&b->w, "conflict", &id), CASES[i].triple);
        raw_end(&g);
        decision d = decided(b);
        is(&d, CASES[i].error, CASES[i].where);
        const change *made = change_to(&d, "conflict");
        assert_int_equal(made != NULL && value_in(made, "resolved_by") != NULL, CASES[i].decided);
    }
}

/* What the group itself made is no other person's word. */
static void row_made_by_the_group_is_changed_by_it(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    fb_id contact =
        raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    raw_update(&g, "contact", &contact, 0, PAIRS("name", "what it never was", "Li Lei"));
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.changes_count, 1 + (change_to(&d, "conflict") != NULL));
    assert_true(text_is(value_in(change_to(&d, "contact"), "name")->u.text, "Li Lei"));
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

/* --- lists of columns that are unique together ------------------------------------------- */

/* Two rows with the same values in a list that is unique: stored, in this group, or both. */
static void list_of_columns_is_unique(void **state)
{
    static const struct {
        const char *stored, *first, *second; /* tags; NULL: none */
        const char *field;
    } CASES[] = {
        {"EA", "BOX", NULL, NULL},
        {"BOX", "BOX", NULL, "pair_item.uom"},
        {"EA", "BOX", "PK", NULL},
        {"EA", "BOX", "BOX", "pair_item.uom"},
    };
    static const char MODULE[] =
        "{\"module\":\"acme\",\"entities\":[{\"name\":\"pair_item\",\"label\":{\"en\":\"Pair\","
        "\"zh\":\"对\"},\"class\":\"shared\",\"stamps\":true,\"scope\":[{\"by\":\"global\"}],"
        "\"columns\":[{\"name\":\"uom\",\"type\":\"text\",\"max\":20,\"label\":{\"en\":\"Unit\","
        "\"zh\":\"单位\"}},{\"name\":\"kind\",\"type\":\"text\",\"max\":20,\"label\":{\"en\":"
        "\"Kind\",\"zh\":\"种类\"}}],\"unique_together\":[[\"uom\",\"kind\"]],"
        "\"grants\":{\"REP\":\"crud\"}}]}";
    bench *b = *state;
    fb_error err = {.code = FB_OK};
    fb_code rc = door_catalog_grow(b->w.admin, text_of(MODULE), &b->w.port, &err);
    if (rc != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        raw_group g;
        fb_id stored =
            company_add(&b->w.company, "pair_item", PAIRS("uom", CASES[i].stored, "kind", "k"));
        raw_begin(&g, &b->d, "pair.add", 0, 0);
        raw_insert(&g, "pair_item", PAIRS("uom", CASES[i].first, "kind", "k"));
        raw_insert(&g, "pair_item", PAIRS("uom", CASES[i].first, "kind", "another"));
        if (CASES[i].second != NULL) {
            raw_insert(&g, "pair_item", PAIRS("uom", CASES[i].second, "kind", "k"));
        }
        raw_end(&g);
        decision d = decided(b);
        is(&d, CASES[i].field != NULL ? FB_E_EXISTS : FB_OK, CASES[i].field);
        raw_begin(&g, &b->d, "pair.swap", 0, 0); /* what the group takes away is free again */
        raw_delete(&g, "pair_item", &stored, raw_server_ver(&b->w, "pair_item", &stored));
        raw_insert(&g, "pair_item", PAIRS("uom", CASES[i].stored, "kind", "k"));
        raw_end(&g);
        d = decided(b);
        is(&d, FB_OK, NULL);
        company_delete(&b->w.company, "pair_item", &stored);
    }
}

/* No page will bring or drop it: the device gets what the server made of it, and nothing is taken
 * for its own word. */
static void work_accepted_by_grace_is_not_the_devices_word(void **state)
{
    bench *b = *state;
    raw_group g;
    int64_t captured_ms = b->w.now_ms;
    for (int moved = 0; moved < 2; moved++) {
        raw_begin(&g, &b->d, "activity.log", captured_ms, 0);
        raw_insert(&g, "activity",
                   PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id", id_text(&b->d.user),
                         "type", "call", "at", "1760000000000", "subject", "as ever"));
        raw_end(&g);
        decision d = decided(b);
        is(&d, FB_OK, NULL);
        assert_int_equal(d.plain, moved == 0);
        assert_int_equal(d.verdict.echo, moved == 1);
        b->w.now_ms += 86400000;
        company_set(&b->w.company, "customer", &b->w.customers[0],
                    PAIRS("territory_id", id_text(&b->w.territories[1])));
        b->w.now_ms += 86400000;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_person_is_in_one_place),
        CASE(what_has_rows_below_stays),
        CASE(number_of_a_series_is_given_once),
        CASE(number_of_a_series_stays_within_its_column),
        CASE(stamps_of_a_device_are_left_out),
        CASE(conflict_is_decided_as_the_person_says),
        CASE(conflict_of_what_is_gone_or_not_the_persons_is_refused),
        CASE(conflict_is_touched_without_being_decided),
        CASE(row_made_by_the_group_is_changed_by_it),
        CASE(approval_changes_what_was_asked_or_nothing),
        CASE(approval_gives_no_right_to_what_the_approver_may_not_change),
        CASE(list_of_columns_is_unique),
        CASE(work_accepted_by_grace_is_not_the_devices_word),
    };
    return cmocka_run_group_tests_name("decide_rules", tests, NULL, NULL);
}
