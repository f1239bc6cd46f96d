/* test_decide.c - decisions without a wire: what a group becomes, and that nothing is written. */
#include "decide_fixture.h"

#include "base/text.h"

static void phone_group(bench *b, int64_t base_ver, const char *base, const char *mine)
{
    raw_group g;
    raw_begin(&g, &b->d, "customer.change", 0, 0);
    raw_update(&g, "customer", &b->w.customers[0], base_ver, PAIRS("phone", base, mine));
    raw_end(&g);
}

static fb_id contact_group(bench *b, const char *name)
{
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    fb_id id =
        raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", name));
    raw_end(&g);
    return id;
}

static void insert_is_stamped_from_the_session(void **state)
{
    bench *b = *state;
    contact_group(b, "Li");
    decision d = decided(b);
    assert_int_equal(d.verdict.code, VERDICT_APPLIED);
    assert_int_equal(d.changes_count, 1);
    const cat_entity *e = d.changes[0].entity;
    const fb_value *row = d.changes[0].values;
    assert_true(id_equal(&row[cat_column_str(e, "created_by")].u.id, &b->d.user));
    assert_true(id_equal(&row[cat_column_str(e, "created_device")].u.id, &b->d.id));
    assert_int_equal(row[cat_column_str(e, "created_at")].u.i, b->w.now_ms);
    assert_true(d.plain);
}

static void stamps_in_the_message_count_for_nothing(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    raw_insert(&g, "contact",
               PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li", "created_by",
                     id_text(&b->w.manager), "created_at", "1"));
    raw_end(&g);
    decision d = decided(b);
    const cat_entity *e = d.changes[0].entity;
    assert_true(id_equal(&d.changes[0].values[cat_column_str(e, "created_by")].u.id, &b->d.user));
    assert_int_equal(d.changes[0].values[cat_column_str(e, "created_at")].u.i, b->w.now_ms);
}

static void capture_in_the_future_is_clamped_and_echoed(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", b->w.now_ms + 1000000, 0);
    raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.changes[0].values[cat_column_str(d.changes[0].entity, "created_at")].u.i,
                     b->w.now_ms);
    assert_false(d.plain);
}

static void update_of_the_row_as_seen_is_plain(void **state)
{
    bench *b = *state;
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    phone_group(b, ver, "+861381234567", "+861380000001");
    decision d = decided(b);
    assert_true(d.plain);
    assert_int_equal(d.changes[0].kind, CHANGE_UPDATE);
    assert_non_null(d.changes[0].before);
    company_set(&b->w.company, "customer", &b->w.customers[0],
                PAIRS("remark", "seen by nobody yet"));
    phone_group(b, ver, "+861381234567", "+861380000001");
    d = decided(b); /* another column changed: it stands, but the device must hear */
    assert_int_equal(d.verdict.code, VERDICT_APPLIED);
    assert_false(d.plain);
    assert_true(d.verdict.echo);
}

static void same_question_gets_the_same_decision(void **state)
{
    bench *b = *state;
    int64_t ver = raw_server_ver(&b->w, "customer", &b->w.customers[0]);
    b->w.now_ms += 1000;
    company_set(&b->w.company, "customer", &b->w.customers[0], PAIRS("phone", "+861380000009"));
    phone_group(b, ver, "+861381234567", "+861380000001");
    decision first = decided(b);
    decide_cache_drop(b->cache);
    decision second = decided(b);
    assert_int_equal(first.verdict.code, VERDICT_MERGED);
    assert_int_equal(first.changes_count, second.changes_count);
    for (uint32_t i = 0; i < first.changes_count; i++) { /* also the id of the conflict record */
        assert_true(id_equal(&first.changes[i].id, &second.changes[i].id));
    }
    bool conflict = false;
    for (uint32_t i = 0; i < first.changes_count; i++) {
        conflict |= text_is(first.changes[i].entity->name, "conflict");
    }
    assert_true(conflict); /* DEC-3 */
}

static void row_made_and_changed_in_one_group_is_one_change(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    fb_id id =
        raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    raw_update(&g, "contact", &id, 0, PAIRS("title", "", "Buyer"));
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.changes_count, 1); /* DEC-4 */
    assert_int_equal(d.changes[0].kind, CHANGE_INSERT);
    assert_true(
        text_is(d.changes[0].values[cat_column_str(d.changes[0].entity, "title")].u.text, "Buyer"));
    assert_true(d.plain);
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    id = raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Wu"));
    raw_delete(&g, "contact", &id, 0);
    raw_end(&g);
    d = decided(b);
    assert_int_equal(d.changes_count, 0);
    assert_int_equal(d.verdict.code, VERDICT_APPLIED);
}

static void refused_group_changes_nothing_and_names_what_it_would_have_made(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "customer.add", 0, 0);
    fb_id id = raw_insert(
        &g, "customer",
        PAIRS("code", "N1", "name", "New", "status", "draft", "owner_id", id_text(&b->d.user)));
    raw_insert(&g, "contact",
               PAIRS("customer_id", id_text(&id), "name", "Li", "email", "nonsense"));
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.verdict.code, VERDICT_REJECTED);
    assert_true(text_is(d.verdict.field, "contact.email"));
    assert_int_equal(d.changes_count, 0); /* DEC-2 */
    assert_false(d.plain);
    assert_true(d.blocked_count >= 1);
    assert_true(id_equal(&d.blocked[0].id, &id));
    assert_true(text_is(d.blocked[0].entity->name, "customer"));
}

static void delete_of_a_row_that_changed_is_refused(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id contact = company_add(&b->w.company, "contact",
                                PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    int64_t ver = raw_server_ver(&b->w, "contact", &contact);
    raw_begin(&g, &b->d, "contact.remove", 0, 0);
    raw_delete(&g, "contact", &contact, ver);
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.changes[0].kind, CHANGE_DELETE);
    assert_true(d.plain);
    company_set(&b->w.company, "contact", &contact, PAIRS("title", "Buyer"));
    d = decided(b);
    assert_int_equal(d.verdict.code, VERDICT_REJECTED);
    assert_int_equal(d.verdict.error, FB_E_STATE);
    company_delete(&b->w.company, "contact", &contact);
    d = decided(b); /* gone already: both agree */
    assert_int_equal(d.verdict.code, VERDICT_APPLIED);
    assert_int_equal(d.changes_count, 0);
}

static void epoch_shares(bench *b, int64_t cid)
{
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(store_meta_int_set(b->w.admin, "epoch_cid", cid), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
}

/* A restored server gives the numbers of lost commits again: what was seen of those is not this
 * row, though it has its version. */
static void version_of_a_lost_commit_is_not_the_row_that_has_it_now(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id contact = company_add(&b->w.company, "contact",
                                PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    int64_t ver = raw_server_ver(&b->w, "contact", &contact);
    raw_begin(&g, &b->d, "contact.remove", 0, 0);
    raw_delete(&g, "contact", &contact, ver);
    raw_end(&g);
    b->old_base = true;
    epoch_shares(b, ver >> 20); /* the backup had it: both epochs mean the same */
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    epoch_shares(b, (ver >> 20) - 1);
    assert_int_equal(decided(b).verdict.error, FB_E_STATE);
    b->old_base = false;
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
}

/* What was captured since the accident, and what is known to be deleted, waits for nobody. */
static void row_that_a_restore_may_have_lost_is_awaited(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id contact = company_add(&b->w.company, "contact",
                                PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    int64_t ver = raw_server_ver(&b->w, "contact", &contact);
    fb_id unknown = contact;
    unknown.b[15] ^= 1;
    const fb_id *rows[] = {&unknown, &contact};
    company_delete(&b->w.company, "contact", &contact);
    for (int i = 0; i < 4; i++) {
        raw_begin(&g, &b->d, "contact.edit", 0, 0);
        if (i % 2 == 0) {
            raw_update(&g, "contact", rows[i / 2], ver, PAIRS("title", "", "Buyer"));
        } else {
            raw_delete(&g, "contact", rows[i / 2], ver);
        }
        raw_end(&g);
        b->old_base = true;
        decision d = decided(b);
        assert_int_equal(d.awaits, i < 2);
        assert_int_equal(d.verdict.code, i % 2 == 0 ? VERDICT_REJECTED : VERDICT_APPLIED);
        b->old_base = false;
        assert_false(decided(b).awaits);
    }
}

static void rights_follow_role_permission_day_and_person(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    contact_group(b, "Li");
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    company_set(c, "app_user", &b->d.user, PAIRS("status", "locked"));
    decision d = decided(b); /* the commit of reference data made the cache forget */
    assert_int_equal(d.verdict.code, VERDICT_REJECTED);
    assert_int_equal(d.verdict.error, FB_E_FORBIDDEN);
    company_set(c, "app_user", &b->d.user, PAIRS("status", "active"));
    fb_id fin = company_find(c, "role", "FIN"), rep = company_find(c, "role", "REP");
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "user_role");
    fb_value equal = {.kind = FB_KIND_ID, .u.id = b->d.user}, row[CATALOG_COLUMNS_LIMIT];
    assert_int_equal(
        store_row_by(b->w.admin, e, cat_column_str(e, "user_id"), &equal, b->memory, row), FB_OK);
    company_set(c, "user_role", &row[0].u.id, PAIRS("role_id", id_text(&fin)));
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
    company_set(c, "user_role", &row[0].u.id,
                PAIRS("role_id", id_text(&rep), "valid_to", "2020-01-01"));
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
    company_set(c, "user_role", &row[0].u.id, PAIRS("valid_to", ""));
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
}

/* One in the morning in the company's zone, while it is still the day before in UTC. */
static void role_begins_with_the_companys_day(void **state)
{
    bench *b = *state;
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "user_role");
    fb_value equal = {.kind = FB_KIND_ID, .u.id = b->d.user}, row[CATALOG_COLUMNS_LIMIT];
    assert_int_equal(
        store_row_by(b->w.admin, e, cat_column_str(e, "user_id"), &equal, b->memory, row), FB_OK);
    fb_id grant = row[0].u.id;
    b->w.now_ms = (b->w.now_ms / 86400000 + 1) * 86400000 - 7 * 3600000;
    char tomorrow[TEXT_DATE_BYTES];
    text_date_put(b->w.now_ms / 86400000 + 1, tomorrow);
    company_set(&b->w.company, "user_role", &grant, PAIRS("valid_from", tomorrow));
    contact_group(b, "Li");
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    b->w.now_ms -= 2 * 3600000; /* eleven in the evening: not yet */
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
}

/* CCH-1: of a batch that goes on the cache is told what was committed; of others' commits it learns
 * when the next batch begins. */
static void cache_forgets_what_a_commit_changed(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    const catalog *cat = store_catalog(b->w.admin);
    fb_id contact = contact_group(b, "Li");
    deciding t = {.b = b, .from = &b->d, .memory = b->memory, .going_on = true};
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    company_set(c, "app_user", &b->d.user, PAIRS("status", "locked"));
    assert_int_equal(newest_decide(&t), FB_OK);
    assert_int_equal(t.d.verdict.code, VERDICT_APPLIED); /* nobody has told it */
    const change told = {
        .kind = CHANGE_UPDATE, .entity = catalog_entity_str(cat, "app_user"), .id = b->d.user};
    decide_cache_committed(b->cache, &told, 1, 0);
    assert_int_equal(newest_decide(&t), FB_OK);
    assert_int_equal(t.d.verdict.error, FB_E_FORBIDDEN);
    company_set(c, "app_user", &b->d.user, PAIRS("status", "active"));
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    /* A row that went is not known any more; one that nobody knew is no matter. */
    company_delete(c, "customer", &b->w.customers[0]);
    const change gone[] = {
        {.kind = CHANGE_DELETE,
         .entity = catalog_entity_str(cat, "customer"),
         .id = b->w.customers[0]},
        {.kind = CHANGE_DELETE, .entity = catalog_entity_str(cat, "contact"), .id = contact},
        {.kind = CHANGE_INSERT,
         .entity = catalog_entity_str(cat, "customer_assignment"),
         .id = contact}};
    decide_cache_committed(b->cache, gone, 3, 0);
    assert_int_equal(newest_decide(&t), FB_OK);
    assert_int_equal(t.d.verdict.error, FB_E_REFERENCE);
}

/* A permission that names nothing gives nothing; a role that is not active, or gone, neither. */
static void role_gives_what_it_names_while_it_is_there(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id rep = company_find(c, "role", "REP");
    contact_group(b, "Li");
    company_add(c, "role_permission", PAIRS("role_id", id_text(&rep), "permission", "nonsense"));
    company_add(c, "role_permission",
                PAIRS("role_id", id_text(&rep), "permission", "nothing.create"));
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    company_set(c, "role", &rep, PAIRS("active", "0"));
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
    company_set(c, "role", &rep, PAIRS("active", "1"));
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    company_delete(c, "role", &rep);
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
    company_delete(c, "app_user", &b->d.user);
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
}

static void role_without_permissions_has_the_catalogues_grants(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id rep = company_find(c, "role", "REP");
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "role_permission");
    fb_value equal = {.kind = FB_KIND_ID, .u.id = rep}, row[CATALOG_COLUMNS_LIMIT];
    contact_group(b, "Li");
    while (store_row_by(b->w.admin, e, cat_column_str(e, "role_id"), &equal, b->memory, row) ==
           FB_OK) {
        company_delete(c, "role_permission", &row[0].u.id);
    }
    assert_int_equal(decided(b).verdict.code, VERDICT_APPLIED);
    company_add(c, "role_permission",
                PAIRS("role_id", id_text(&rep), "permission", "contact.read"));
    assert_int_equal(decided(b).verdict.error, FB_E_FORBIDDEN);
}

static void nothing_is_written_by_deciding(void **state)
{
    bench *b = *state;
    int64_t before = 0, after = 0;
    fb_id id = contact_group(b, "Li");
    bool exists = true;
    assert_int_equal(ledger_head(b->w.admin, &before), FB_OK);
    (void)decided(b);
    assert_int_equal(ledger_head(b->w.admin, &after), FB_OK);
    assert_int_equal(before, after);
    const cat_entity *e = catalog_entity_str(store_catalog(b->w.admin), "contact");
    assert_int_equal(store_row_exists(b->w.admin, e, &id, &exists), FB_OK);
    assert_false(exists);
}

static void line_of_a_submitted_order_is_fixed(void **state)
{
    bench *b = *state;
    raw_world *w = &b->w;
    raw_group g;
    fb_id order =
        company_add(&w->company, "sales_order",
                    PAIRS("order_no", "SO-1", "customer_id", id_text(&w->customers[0]), "user_id",
                          id_text(&b->d.user), "order_date", "2025-10-09", "status", "submitted"));
    raw_begin(&g, &b->d, "order.sneak", 0, 0);
    raw_insert(&g, "sales_order_line",
               PAIRS("order_id", id_text(&order), "line_no", "9", "product_id",
                     id_text(&w->product), "uom", "EA", "qty_milli", "1000", "unit_price_4dp",
                     "1"));
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.verdict.code, VERDICT_REJECTED);
    assert_int_equal(d.verdict.error, FB_E_STATE);
    assert_true(text_is(d.verdict.field, "sales_order_line.order_id"));
}

/* IT's own entity whose rows are unique by two columns. */
static void columns_that_are_unique_together_name_the_field(void **state)
{
    static const char module[] =
        "{\"module\":\"acme\",\"entities\":[{\"name\":\"acme_shelf\",\"label\":{\"en\":\"Shelf\","
        "\"zh\":\"货架\"},"
        "\"class\":\"shared\",\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],"
        "\"columns\":["
        "{\"name\":\"customer_id\",\"type\":\"ref\",\"to\":\"customer\",\"label\":{\"en\":"
        "\"Customer\",\"zh\":\"客户\"}},"
        "{\"name\":\"place\",\"type\":\"text\",\"label\":{\"en\":\"Place\",\"zh\":\"位置\"}}],"
        "\"unique_together\":[[\"customer_id\",\"place\"]],\"grants\":{\"REP\":\"cru\"}}]}";
    bench *b = *state;
    raw_group g;
    buf text;
    fb_error err = {0};
    buf_init(&text, 4 << 20);
    assert_int_equal(catalog_add(store_catalog(b->w.admin), text_of(module), &text, &err), FB_OK);
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(store_catalog_install(b->w.admin, buf_text(&text), &err), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    buf_clear(&text);
    fb_id rep = company_find(&b->w.company, "role", "REP");
    company_add(&b->w.company, "role_permission",
                PAIRS("role_id", id_text(&rep), "permission", "acme_shelf.create"));
    fb_id shelf = company_add(&b->w.company, "acme_shelf",
                              PAIRS("customer_id", id_text(&b->w.customers[0]), "place", "door"));
    for (int i = 0; i < 2; i++) {
        raw_begin(&g, &b->d, "shelf.add", 0, 0);
        raw_insert(
            &g, "acme_shelf",
            PAIRS("customer_id", id_text(&b->w.customers[0]), "place", i == 0 ? "till" : "door"));
        raw_end(&g);
        decision d = decided(b);
        assert_int_equal(d.verdict.error, i == 0 ? FB_OK : FB_E_EXISTS);
    }
    company_add(&b->w.company, "role_permission",
                PAIRS("role_id", id_text(&rep), "permission", "acme_shelf.update"));
    for (int i = 0; i < 2; i++) { /* a row is not in its own way */
        raw_begin(&g, &b->d, "shelf.move", 0, 0);
        raw_update(&g, "acme_shelf", &shelf, raw_server_ver(&b->w, "acme_shelf", &shelf),
                   PAIRS("place", "door", i == 0 ? "till" : "door"));
        if (i == 0) {
            raw_insert(&g, "acme_shelf",
                       PAIRS("customer_id", id_text(&b->w.customers[0]), "place", "door"));
        }
        raw_end(&g);
        decision d = decided(b);
        assert_int_equal(d.verdict.error, FB_OK);
    }
}

static void module_install(bench *b, const char *module)
{
    buf text;
    fb_error err = {0};
    buf_init(&text, 4 << 20);
    assert_int_equal(catalog_add(store_catalog(b->w.admin), text_of(module), &text, &err), FB_OK);
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(store_catalog_install(b->w.admin, buf_text(&text), &err), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    buf_clear(&text);
}

/* An app that does not know the newer columns enters a customer: it has what follows from the older
 * ones, where anything does, and the app is told what became of its row. */
static void row_of_an_older_app_has_the_newer_columns(void **state)
{
    static const char OLDER[] =
        "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":"
        "\"second_phone\",\"type\":\"text\",\"max\":30,\"label\":{\"en\":\"Phone 2\",\"zh\":"
        "\"电话2\"}},{\"name\":\"shelf_class\",\"type\":\"enum\",\"values\":[\"A\",\"B\","
        "\"C\"],\"label\":{\"en\":\"Class\",\"zh\":\"等级\"}}]}]}";
    static const char NEWER[] =
        "{\"module\":\"later\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":"
        "\"mobile\",\"type\":\"text\",\"max\":20,\"from\":{\"column\":\"second_phone\"},"
        "\"label\":{\"en\":\"Mobile\",\"zh\":\"手机\"}},{\"name\":\"shelf_level\",\"type\":"
        "\"enum\",\"values\":[\"gold\",\"plain\"],\"from\":{\"column\":\"shelf_class\","
        "\"values\":{\"A\":\"gold\",\"B\":\"plain\"}},\"label\":{\"en\":\"Level\",\"zh\":"
        "\"级别\"}}]}]}";
    static const struct {
        const char *column, *value, *newer, *becomes; /* becomes NULL: nothing follows */
    } CASES[] = {
        {"second_phone", "13800000001", "mobile", "13800000001"},
        {"shelf_class", "A", "shelf_level", "gold"},
        {"shelf_class", "C", "shelf_level", NULL},
        {"remark", "none of them", "mobile", NULL},
    };
    bench *b = *state;
    module_install(b, OLDER);
    module_install(b, NEWER);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        raw_group g;
        raw_begin(&g, &b->d, "customer.new", 0, 0);
        fb_id id =
            raw_insert(&g, "customer",
                       PAIRS("code", "N1", "name", "New", "status", "draft", "territory_id",
                             id_text(&b->w.territories[0]), CASES[i].column, CASES[i].value));
        fb_id contact = raw_insert(&g, "contact", PAIRS("customer_id", id_text(&id), "name", "Li"));
        raw_delete(&g, "contact", &contact, 0);
        raw_end(&g);
        decision d = decided(b);
        assert_int_equal(d.verdict.error, FB_OK);
        const fb_value *newer = value_in(change_to(&d, "customer"), CASES[i].newer);
        assert_int_equal(newer->kind != FB_KIND_NULL, CASES[i].becomes != NULL);
        assert_true(CASES[i].becomes == NULL || text_is(newer->u.text, CASES[i].becomes));
        assert_true(CASES[i].becomes == NULL || !d.plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(insert_is_stamped_from_the_session),
        CASE(stamps_in_the_message_count_for_nothing),
        CASE(capture_in_the_future_is_clamped_and_echoed),
        CASE(update_of_the_row_as_seen_is_plain),
        CASE(same_question_gets_the_same_decision),
        CASE(row_made_and_changed_in_one_group_is_one_change),
        CASE(refused_group_changes_nothing_and_names_what_it_would_have_made),
        CASE(delete_of_a_row_that_changed_is_refused),
        CASE(version_of_a_lost_commit_is_not_the_row_that_has_it_now),
        CASE(row_that_a_restore_may_have_lost_is_awaited),
        CASE(rights_follow_role_permission_day_and_person),
        CASE(role_begins_with_the_companys_day),
        CASE(cache_forgets_what_a_commit_changed),
        CASE(role_gives_what_it_names_while_it_is_there),
        CASE(row_of_an_older_app_has_the_newer_columns),
        CASE(role_without_permissions_has_the_catalogues_grants),
        CASE(nothing_is_written_by_deciding),
        CASE(line_of_a_submitted_order_is_fixed),
        CASE(columns_that_are_unique_together_name_the_field),
    };
    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
