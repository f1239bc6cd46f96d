/* test_decide_twins.c - what a new row has to do with those that are there: the same customer, the
 * same money, the same person in two places; and what two people did to one column, policy by
 * policy. */
#include "decide_fixture.h"

static void may(bench *b, const char *permission)
{
    fb_id rep = company_find(&b->w.company, "role", "REP");
    company_add(&b->w.company, "role_permission",
                PAIRS("role_id", id_text(&rep), "permission", permission));
}

/* --- customers --------------------------------------------------------------------------- */

static fb_id customer_stored(bench *b, const char *code, const char *column, const char *value,
                             int territory)
{
    return company_add(&b->w.company, "customer",
                       PAIRS("code", code, "name", "Green Shop", "status", "active", "territory_id",
                             id_text(&b->w.territories[territory]), column, value));
}

static decision customer_new(bench *b, const char *name, const char *column, const char *value)
{
    raw_group g;
    raw_begin(&g, &b->d, "customer.new", 0, 0);
    raw_insert(&g, "customer",
               PAIRS("code", "N1", "name", name, "status", "draft", "territory_id",
                     id_text(&b->w.territories[0]), column, value));
    raw_end(&g);
    return decided(b);
}

static void is_alias(const decision *d, const fb_id *to)
{
    char text[FB_ID_TEXT_BYTES];
    id_put(to, text);
    assert_int_equal(d->verdict.code, VERDICT_ALIAS);
    assert_int_equal(d->verdict.aliases_count, 1);
    assert_true(text_is(d->verdict.aliases[0].to, text));
}

static void customer_that_exists_is_the_one_that_is_there(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id first = customer_stored(b, "K1", "phone", "+861390000001", 0);
    decision d = customer_new(b, "GREEN  shop", "phone", "+861390000001");
    is_alias(&d, &first);
    d = customer_new(b, "GREEN  shop", "phone", "+861390000002");
    is(&d, FB_OK, NULL); /* the same name is not enough */
    d = customer_new(b, "Other shop", "phone", "+861390000001");
    is(&d, FB_OK, NULL); /* nor the same telephone */
    d = customer_new(b, "GREEN  shop", "licence_no", "L-77");
    is(&d, FB_OK, NULL);
    fb_id licensed = customer_stored(b, "K2", "licence_no", "L-77", 0);
    d = customer_new(b, "Quite another", "licence_no", "L-77");
    is_alias(&d, &licensed);
    /* What was merged stands for what it was merged into, also where somebody merged in a circle.
     */
    company_set(c, "customer", &licensed, PAIRS("merged_into_id", id_text(&first)));
    d = customer_new(b, "Quite another", "licence_no", "L-77");
    is_alias(&d, &first);
    company_set(c, "customer", &first, PAIRS("merged_into_id", id_text(&licensed)));
    d = customer_new(b, "Quite another", "licence_no", "L-77");
    assert_int_equal(d.verdict.code, VERDICT_ALIAS);
    company_set(c, "customer", &first, PAIRS("merged_into_id", ""));
    customer_stored(b, "K3", "phone", "+861390000001", 0); /* a third one: the first counts */
    d = customer_new(b, "GREEN  shop", "phone", "+861390000001");
    assert_int_equal(d.verdict.code, VERDICT_ALIAS);
}

/* Merged into one that is gone since: it stands for nobody. It was no verdict but trouble, three
 * times, and the new customer was held as poison. */
static void customer_that_was_merged_into_nothing_is_nobodys_twin(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id gone = customer_stored(b, "K1", "phone", "+861390000001", 0);
    fb_id merged = customer_stored(b, "K2", "licence_no", "L-77", 0);
    company_set(c, "customer", &merged, PAIRS("merged_into_id", id_text(&gone)));
    company_delete(c, "customer", &gone);
    decision d = customer_new(b, "Quite another", "licence_no", "L-77");
    is(&d, FB_OK, NULL);
    fb_id stands = customer_stored(b, "K3", "licence_no", "L-77", 0); /* as that one was accepted */
    d = customer_new(b, "Quite another", "licence_no", "L-77");
    is_alias(&d, &stands);
}

/* Entered wrongly, deleted, and entered anew: one group. */
static void customer_that_the_group_deletes_is_nobodys_twin(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id wrong = customer_stored(b, "K1", "licence_no", "L-77", 0);
    may(b, "customer.delete");
    raw_begin(&g, &b->d, "customer.anew", 0, 0);
    raw_delete(&g, "customer", &wrong, raw_server_ver(&b->w, "customer", &wrong));
    raw_insert(&g, "customer",
               PAIRS("code", "N1", "name", "Right", "status", "draft", "territory_id",
                     id_text(&b->w.territories[0]), "licence_no", "L-77"));
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
}

/* Two customers of whom nobody knows a licence are not the same one. */
static void customer_without_a_licence_is_nobodys_twin(void **state)
{
    bench *b = *state;
    customer_stored(b, "K1", "licence_no", "L-77", 0);
    store_says(b, "UPDATE customer SET licence_no = ''");
    raw_group g;
    raw_begin(&g, &b->d, "customer.new", 0, 0);
    const cat_entity *e = catalog_entity_str(g.cat, "customer");
    const int columns[] = {cat_column_str(e, "code"), cat_column_str(e, "name"),
                           cat_column_str(e, "status"), cat_column_str(e, "territory_id"),
                           cat_column_str(e, "licence_no")};
    const fb_value mine[] = {{.kind = FB_KIND_TEXT, .u.text = text_of("N1")},
                             {.kind = FB_KIND_TEXT, .u.text = text_of("Another")},
                             {.kind = FB_KIND_TEXT, .u.text = text_of("draft")},
                             {.kind = FB_KIND_ID, .u.id = b->w.territories[0]},
                             {.kind = FB_KIND_TEXT, .u.text = text_of("")}}; /* and not null */
    const group_op op = {.kind = OP_INSERT,
                         .entity = e,
                         .id = {{7, 9}},
                         .columns = columns,
                         .mine = mine,
                         .columns_count = 5};
    group_put_op(&g.writer, &op);
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
}

/* A manager says whether it is the same; if he lets it stand, it is another one. */
static void customer_that_exists_elsewhere_is_for_the_manager(void **state)
{
    bench *b = *state;
    customer_stored(b, "K1", "licence_no", "L-77", 1);
    decision d = customer_new(b, "Mine", "licence_no", "L-77");
    assert_int_equal(d.verdict.code, VERDICT_HELD);
    assert_int_equal(d.verdict.error, FB_E_DUPLICATE);
    assert_true(text_is(d.verdict.who, "MGR"));
    b->waived = true;
    d = customer_new(b, "Mine", "licence_no", "L-77");
    b->waived = false;
    is(&d, FB_OK, NULL);
}

/* --- payments ---------------------------------------------------------------------------- */

static fb_id payment_stored(bench *b, const char *no)
{
    return company_add(&b->w.company, "payment",
                       PAIRS("payment_no", no, "customer_id", id_text(&b->w.customers[0]),
                             "collected_by", id_text(&b->d.user), "method", "cash", "amount",
                             "10.00", "currency", "CNY", "payment_date", "2025-10-09",
                             "received_at", "2025-10-09T08:00:00Z", "status", "recorded"));
}

static decision allocated(bench *b, const fb_id *first, const char *amount, const fb_id *second)
{
    raw_group g;
    raw_begin(&g, &b->d, "payment.allocate", 0, 0);
    raw_insert(&g, "payment_allocation", PAIRS("payment_id", id_text(first), "amount", amount));
    if (second != NULL) {
        raw_insert(&g, "payment_allocation", PAIRS("payment_id", id_text(second), "amount", "900"));
    }
    raw_end(&g);
    return decided(b);
}

static void payment_is_allocated_once(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id paid = payment_stored(b, "PM-1"), other = payment_stored(b, "PM-2");
    fb_id used = company_add(&b->w.company, "payment_allocation",
                             PAIRS("payment_id", id_text(&paid), "amount", "6.00"));
    decision d = allocated(b, &paid, "400", NULL);
    is(&d, FB_OK, NULL);
    d = allocated(b, &paid, "401", NULL);
    is(&d, FB_E_OVERPAID, "payment_allocation.amount");
    d = allocated(b, &paid, "400", &other); /* each has its own */
    is(&d, FB_OK, NULL);
    d = allocated(b, &other, "200", &other);
    is(&d, FB_E_OVERPAID, "payment_allocation.amount");
    store_says(b, "UPDATE payment_allocation SET amount = 9223372036854775807");
    d = allocated(b, &paid, "1", NULL); /* a disk that lies gives no room */
    is(&d, FB_E_OVERPAID, "payment_allocation.amount");
    may(b, "payment_allocation.delete");
    raw_begin(&g, &b->d, "payment.free", 0, 0);
    raw_delete(&g, "payment_allocation", &used, raw_server_ver(&b->w, "payment_allocation", &used));
    raw_insert(&g, "payment_allocation", PAIRS("payment_id", id_text(&paid), "amount", "1000"));
    raw_end(&g);
    d = decided(b);
    is(&d, FB_OK, NULL); /* what the group takes away is free again */
}

/* --- visits ------------------------------------------------------------------------------ */

static void visit_put(bench *b, raw_group *g, const fb_id *user, const char *status)
{
    raw_insert(g, "visit",
               PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id", id_text(user),
                     "visit_date", "2025-10-09", "check_in_at", "1759999000000", "status", status));
}

static void visits_of_two_people_or_of_none_are_no_collision(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id open = company_add(&b->w.company, "visit",
                             PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                   id_text(&b->d.user), "visit_date", "2025-10-09", "check_in_at",
                                   "2025-10-09T08:00:00Z", "status", "open"));
    int64_t ver = raw_server_ver(&b->w, "visit", &open);
    raw_begin(&g, &b->d, "visit.pause", 0, 0);
    raw_update(&g, "visit", &open, ver, PAIRS("status", "open", "paused"));
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL); /* it is the one that is open */
    raw_begin(&g, &b->d, "visit.next", 0, 0);
    raw_update(&g, "visit", &open, ver, PAIRS("status", "open", "paused"));
    visit_put(b, &g, &b->d.user, "open");
    raw_end(&g);
    d = decided(b);
    is(&d, FB_E_VISIT_OPEN, "visit.status"); /* a pause is no end */
    raw_begin(&g, &b->d, "visit.both", 0, 0);
    raw_update(&g, "visit", &open, ver,
               PAIRS("status", "open", "completed", "check_out_at", "", "1760000000000"));
    visit_put(b, &g, &b->w.users[2], "open");
    visit_put(b, &g, &b->d.user, "open");
    raw_end(&g);
    d = decided(b);
    is(&d, FB_OK, NULL);
    may(b, "visit.delete");
    raw_begin(&g, &b->d, "visit.instead", 0, 0);
    raw_delete(&g, "visit", &open, ver);
    visit_put(b, &g, &b->d.user, "open");
    raw_end(&g);
    d = decided(b);
    is(&d, FB_OK, NULL);
}

static void allocation_comes_with_its_payment(void **state)
{
    bench *b = *state;
    for (int over = 0; over < 2; over++) {
        raw_group g;
        raw_begin(&g, &b->d, "payment.new", 0, 0);
        fb_id paid =
            raw_insert(&g, "payment",
                       PAIRS("payment_no", "PM-1", "customer_id", id_text(&b->w.customers[0]),
                             "collected_by", id_text(&b->d.user), "method", "cash", "amount",
                             "1000", "currency", "CNY", "payment_date", "2025-10-09", "received_at",
                             "1759999000000", "status", "recorded"));
        raw_insert(&g, "payment_allocation",
                   PAIRS("payment_id", id_text(&paid), "amount", over ? "1001" : "1000"));
        raw_end(&g);
        decision d = asked_of(b, &b->d);
        is(&d, over ? FB_E_OVERPAID : FB_OK, over ? "payment_allocation.amount" : NULL);
    }
}

/* It was judged when it began, and is not judged again for a word that is added. */
static void visit_that_is_open_may_be_annotated(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id open[2];
    for (int i = 0; i < 2; i++) {
        open[i] = company_add(&b->w.company, "visit",
                              PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                    id_text(&b->d.user), "visit_date", "2025-10-09", "check_in_at",
                                    "2025-10-09T08:00:00Z", "status", "open"));
    }
    raw_begin(&g, &b->d, "visit.note", 0, 0);
    raw_update(&g, "visit", &open[0], raw_server_ver(&b->w, "visit", &open[0]),
               PAIRS("note", "", "closed at noon"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
}

static void visit_that_pauses_is_open(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id open = company_add(&b->w.company, "visit",
                             PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                   id_text(&b->d.user), "visit_date", "2025-10-09", "check_in_at",
                                   "2025-10-09T08:00:00Z", "status", "open"));
    raw_begin(&g, &b->d, "visit.next", 0, 0);
    raw_insert(&g, "visit",
               PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id", id_text(&b->d.user),
                     "visit_date", "2025-10-09", "check_in_at", "1759999000000", "status", "open"));
    raw_update(&g, "visit", &open, raw_server_ver(&b->w, "visit", &open),
               PAIRS("status", "open", "paused"));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_E_VISIT_OPEN, "visit.status");
}

/* Nothing is left of its name by which it could be told from another one without a name. */
static void customer_of_signs_alone_has_no_twin(void **state)
{
    bench *b = *state;
    raw_group g;
    company_add(&b->w.company, "customer",
                PAIRS("code", "K1", "name", "!!!", "status", "active", "phone", "+861390000001",
                      "territory_id", id_text(&b->w.territories[0])));
    store_says(b, "UPDATE customer SET usc_code = '' WHERE code = 'K1'");
    raw_begin(&g, &b->d, "customer.new", 0, 0);
    raw_insert(&g, "customer",
               PAIRS("code", "N1", "name", "???", "status", "draft", "usc_code", "", "phone",
                     "+861390000001", "territory_id", id_text(&b->w.territories[0])));
    raw_end(&g);
    decision d = asked_of(b, &b->d);
    is(&d, FB_OK, NULL);
}

/* --- one column, two people -------------------------------------------------------------- */

static fb_id task_stored(bench *b, const fb_id *assigner)
{
    return company_add(&b->w.company, "task",
                       PAIRS("title", "Call", "kind", "todo", "priority", "normal", "assignee_id",
                             id_text(&b->d.user), "assigner_id", id_text(assigner), "customer_id",
                             id_text(&b->w.customers[0]), "status", "todo", "note", "a"));
}

/* Written in the same instant: who is in charge of the task is right. */
static void person_in_charge_wins_a_tie(void **state)
{
    bench *b = *state;
    for (int mine = 0; mine < 2; mine++) {
        raw_group g;
        fb_id task = task_stored(b, mine ? &b->d.user : &b->w.users[2]);
        int64_t seen = raw_server_ver(&b->w, "task", &task);
        company_set(&b->w.company, "task", &task, PAIRS("note", "theirs"));
        raw_begin(&g, &b->d, "task.note", 0, 0);
        raw_update(&g, "task", &task, seen, PAIRS("note", "a", "mine"));
        raw_end(&g);
        decision d = decided(b);
        const change *made = change_to(&d, "task");
        assert_int_equal(d.verdict.code, VERDICT_MERGED);
        assert_true(!mine || (made != NULL && text_is(value_in(made, "note")->u.text, "mine")));
    }
}

/* The larger value stands without a record of the smaller one. */
static void larger_value_stands(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id customer = b->w.customers[0];
    int64_t seen = raw_server_ver(&b->w, "customer", &customer);
    company_set(&b->w.company, "customer", &customer,
                PAIRS("last_visit_at", "2025-10-09T08:00:00Z"));
    for (int larger = 0; larger < 2; larger++) {
        raw_begin(&g, &b->d, "customer.seen", 0, 0);
        raw_update(&g, "customer", &customer, seen,
                   PAIRS("last_visit_at", "", larger ? "1760000000000" : "1700000000000"));
        raw_end(&g);
        decision d = decided(b);
        assert_null(change_to(&d, "conflict"));
        assert_int_equal(change_to(&d, "customer") != NULL, larger);
    }
}

/* A difference to what has none, and a state that is taken away. */
static void change_that_a_column_does_not_know_is_refused(void **state)
{
    bench *b = *state;
    char line[400];
    fb_id task = task_stored(b, &b->w.users[2]);
    fb_id visit = company_add(&b->w.company, "visit",
                              PAIRS("customer_id", id_text(&b->w.customers[0]), "user_id",
                                    id_text(&b->d.user), "visit_date", "2025-10-09", "check_in_at",
                                    "2025-10-09T08:00:00Z", "status", "open"));
    snprintf(line, sizeof line,
             "{\"k\":\"visit.add\",\"at\":\"1760000000000\",\"cv\":1,\"ops\":[[\"^\",\"visit\","
             "\"%s\",[\"duration_s\"],[60]]]}",
             id_text(&visit));
    raw_line(&b->d, line);
    decision d = decided(b);
    is(&d, FB_E_INVALID, "visit.duration_s");
    raw_group g;
    int64_t seen = raw_server_ver(&b->w, "task", &task);
    company_set(&b->w.company, "task", &task, PAIRS("status", "doing"));
    raw_begin(&g, &b->d, "task.nothing", 0, 0);
    raw_update(&g, "task", &task, seen, PAIRS("status", "todo", ""));
    raw_end(&g);
    d = decided(b);
    assert_null(change_to(&d, "task")); /* it has a state, whatever happens */
    assert_int_not_equal(d.verdict.code, VERDICT_APPLIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(customer_that_exists_is_the_one_that_is_there),
        CASE(customer_that_was_merged_into_nothing_is_nobodys_twin),
        CASE(customer_that_the_group_deletes_is_nobodys_twin),
        CASE(customer_without_a_licence_is_nobodys_twin),
        CASE(customer_that_exists_elsewhere_is_for_the_manager),
        CASE(payment_is_allocated_once),
        CASE(visits_of_two_people_or_of_none_are_no_collision),
        CASE(allocation_comes_with_its_payment),
        CASE(visit_that_is_open_may_be_annotated),
        CASE(visit_that_pauses_is_open),
        CASE(customer_of_signs_alone_has_no_twin),
        CASE(person_in_charge_wins_a_tie),
        CASE(larger_value_stands),
        CASE(change_that_a_column_does_not_know_is_refused),
    };
    return cmocka_run_group_tests_name("decide_twins", tests, NULL, NULL);
}
