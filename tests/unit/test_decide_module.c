/* test_decide_module.c - entities and columns that IT added: counters, numbers of a series of its
 * own, signatures, lists that are unique together, columns that took the place of older ones. The
 * built-in catalogue has some of these policies nowhere. */
#include "decide_fixture.h"

#define LABEL "\"label\":{\"en\":\"x\",\"zh\":\"名\"}"
#define COLUMN(name, more) "{\"name\":\"" name "\"," LABEL "," more "}"

static const char
    MODULE
        [] = "{\"module\":\"acme\",\"entities\":[{\"name\":\"acme_item\"," LABEL
             ",\"class\":\"shared\",\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],"
             "\"columns\":[" COLUMN("customer_id", "\"type\":\"ref\",\"to\":\"customer\"") "," COLUMN("series", "\"type\":\"text\",\"max\":200,\"policy\":\"SEQ\",\"unique\":true") "," COLUMN(
                 "code",
                 "\"type\":\"text\",\"unique\":true") "," COLUMN("place",
                                                                 "\"type\":\"text\"") "," COLUMN("s"
                                                                                                 "h"
                                                                                                 "e"
                                                                                                 "l"
                                                                                                 "f",
                                                                                                 "\"type\":\"text\"") "," COLUMN("facts", "\"type\":\"json\"") "," COLUMN("pieces", "\"type\":\"int32\",\"policy\":\"DELTA\"") "," COLUMN("signed_by", "\"type\":\"text\",\"policy\":\"SIG\"") "," COLUMN("status", "\"type\":\"enum\",\"values\":[\"draft\",\"done\"],\"policy\":\"SM\"") "],\"states\":{\"column\":\"status\",\"initial\":[\"draft\"],\"sealed_from\":\"draft\","
                                                                                                                                                                                                                                                                                                                                                                                           "\"transitions\":[{\"from\":\"draft\",\"to\":\"done\"}]},"
                                                                                                                                                                                                                                                                                                                                                                                           "\"unique_together\":[[\"place\",\"shelf\"]],\"grants\":{\"REP\":\"cru\"}},"
                                                                                                                                                                                                                                                                                                                                                                                           "{\"name\":\"acme_rack\"," LABEL ",\"class\":\"shared\",\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],\"columns\":[" COLUMN("customer_id",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "\"type\":\"ref\",\"to\":\"customer\"") "],\"grants\":{\"MGR\":\"cruda\"}},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "{\"name\":\"acme_slot\"," LABEL
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            ",\"class\":\"shared\",\"scope\":[{\"by\":\"parent\",\"column\":\"rack_id\"}],\"columns\":[" COLUMN("rack_id",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "\"type\":\"ref\",\"to\":\"acme_rack\"") "],\"grants\":{\"MGR\":\"cruda\"}}],"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "\"extend\":[{\"entity\":\"customer\",\"columns\":[" COLUMN(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "acme_facts",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "\"type\":\"json\"") "]}]}";

static void module_install(bench *b, const char *module)
{
    buf text;
    fb_error err = {0};
    buf_init(&text, 4 << 20);
    if (catalog_add(store_catalog(b->w.admin), text_of(module), &text, &err) != FB_OK) {
        print_error("%s: %s\n", err.field, err.message);
        assert_true(false);
    }
    assert_int_equal(store_begin(b->w.admin), FB_OK);
    assert_int_equal(store_catalog_install(b->w.admin, buf_text(&text), &err), FB_OK);
    assert_int_equal(store_commit(b->w.admin), FB_OK);
    buf_clear(&text);
}

static void acme(bench *b)
{
    static const char *const MAY[] = {"acme_item.create", "acme_item.update", "customer.delete"};
    fb_id rep = company_find(&b->w.company, "role", "REP");
    module_install(b, MODULE);
    for (size_t i = 0; i < sizeof MAY / sizeof MAY[0]; i++) {
        company_add(&b->w.company, "role_permission",
                    PAIRS("role_id", id_text(&rep), "permission", MAY[i]));
    }
}

static fb_id item_stored(bench *b, const char *column, const char *value)
{
    static int count;
    char shelf[16]; /* each on its own */
    snprintf(shelf, sizeof shelf, "%d", ++count);
    return company_add(&b->w.company, "acme_item",
                       PAIRS("customer_id", id_text(&b->w.customers[0]), "status", "draft", column,
                             value, "shelf", shelf));
}

static decision item_new(bench *b, const fb_id *id, const char *const *more)
{
    const char *pairs[20] = {"customer_id", id_text(&b->w.customers[0])};
    raw_group g;
    for (size_t n = 0; more[n] != NULL; n++) {
        pairs[2 + n] = more[n];
    }
    raw_begin(&g, &b->d, "item.add", 0, 0);
    if (id != NULL) {
        raw_insert_id(&g, "acme_item", id, pairs);
    } else {
        raw_insert(&g, "acme_item", pairs);
    }
    raw_end(&g);
    return decided(b);
}

static decision item_changed(bench *b, const fb_id *id, int64_t seen, const char *const *triples)
{
    raw_group g;
    raw_begin(&g, &b->d, "item.change", 0, 0);
    raw_update(&g, "acme_item", id, seen, triples);
    raw_end(&g);
    return decided(b);
}

/* --- policies ----------------------------------------------------------------------------- */

/* A difference has no base: it is added to whatever is there. */
static void differences_are_added_up(void **state)
{
    static const struct {
        const char *there;
        int64_t becomes;
    } CASES[] = {{"", 5}, {"7", 12}};
    bench *b = *state;
    acme(b);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[300];
        fb_id item = item_stored(b, "pieces", CASES[i].there);
        snprintf(line, sizeof line,
                 "{\"k\":\"item.add\",\"at\":\"1760000000000\",\"cv\":2,\"ops\":[[\"^\",\"acme_"
                 "item\",\"%s\",[\"pieces\"],[5]]]}",
                 id_text(&item));
        raw_line(&b->d, line);
        decision d = decided(b);
        is(&d, FB_OK, NULL);
        assert_int_equal(value_in(change_to(&d, "acme_item"), "pieces")->u.i, CASES[i].becomes);
        assert_null(change_to(&d, "conflict"));
    }
}

/* Two people signed what is not sealed yet: who came first has signed. */
static void second_signature_is_too_late(void **state)
{
    bench *b = *state;
    acme(b);
    fb_id item = item_stored(b, "signed_by", "");
    int64_t seen = raw_server_ver(&b->w, "acme_item", &item);
    decision d = item_changed(b, &item, seen, PAIRS("signed_by", "", "Li"));
    is(&d, FB_OK, NULL);
    company_set(&b->w.company, "acme_item", &item, PAIRS("signed_by", "Wu"));
    d = item_changed(b, &item, seen, PAIRS("signed_by", "", "Li"));
    is(&d, FB_E_STATE, "acme_item.signed_by");
}

/* A disk lost the state: no step leads on from none. */
static void step_from_no_state_is_not_taken(void **state)
{
    bench *b = *state;
    acme(b);
    fb_id item = item_stored(b, "place", "door");
    int64_t seen = raw_server_ver(&b->w, "acme_item", &item);
    store_says(b, "UPDATE acme_item SET status = NULL");
    decision d = item_changed(b, &item, seen, PAIRS("status", "draft", "done"));
    const change *made = change_to(&d, "acme_item");
    assert_true(made == NULL || value_in(made, "status") == NULL);
}

static void text_that_is_json_is_checked_like_any_other(void **state)
{
    bench *b = *state;
    acme(b);
    fb_id item = item_stored(b, "facts", "{\"a\":1}");
    int64_t seen = raw_server_ver(&b->w, "acme_item", &item);
    decision d = item_changed(b, &item, seen, PAIRS("facts", "{\"a\":1}", "{\"a\":2}"));
    is(&d, FB_OK, NULL);
}

/* --- numbers, and what is unique ---------------------------------------------------------- */

static void number_without_a_free_successor_stays_taken(void **state)
{
    bench *b = *state;
    char given[81];
    memset(given, '9', sizeof given - 1);
    given[sizeof given - 1] = '\0';
    acme(b);
    item_stored(b, "series", given);
    decision d = item_new(b, NULL, PAIRS("series", given));
    is(&d, FB_E_EXISTS, "acme_item.series"); /* no room for more */
    item_stored(b, "series", "S");
    d = item_new(b, NULL, PAIRS("series", "S"));
    assert_int_equal(d.verdict.code, VERDICT_MERGED);
    assert_true(text_is(value_in(change_to(&d, "acme_item"), "series")->u.text, "S-2"));
    store_says(b, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
                  " INSERT INTO acme_item (id, ver, series, shelf) SELECT CAST(printf('%016d', i)"
                  " AS BLOB), 1, 'S-' || i, 'x' || i FROM n");
    d = item_new(b, NULL, PAIRS("series", "S"));
    is(&d, FB_E_EXISTS, "acme_item.series");
}

/* There and back in one group: what is stored is not what the group leaves, and the row is never in
 * its own way. */
static void value_is_given_back_within_a_group(void **state)
{
    bench *b = *state;
    raw_group g;
    acme(b);
    fb_id item = item_stored(b, "code", "A");
    raw_begin(&g, &b->d, "item.change", 0, 0);
    raw_update(&g, "acme_item", &item, raw_server_ver(&b->w, "acme_item", &item),
               PAIRS("code", "A", "B"));
    raw_update(&g, "acme_item", &item, 0, PAIRS("code", "B", "A"));
    raw_insert(&g, "acme_item", PAIRS("customer_id", id_text(&b->w.customers[0]), "code", "B"));
    raw_end(&g);
    decision d = decided(b);
    is(&d, FB_OK, NULL);
}

/* NULLs are equal in such a list: of two rows that have neither, the second is refused with its
 * field, before the database would say so. */
static void list_without_any_value_is_unique_too(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_reply r;
    acme(b);
    decision d = item_new(b, NULL, PAIRS("code", "A"));
    is(&d, FB_OK, NULL);
    fb_id there = company_add(&b->w.company, "acme_item",
                              PAIRS("customer_id", id_text(&b->w.customers[0]), "code", "A"));
    d = item_new(b, NULL, PAIRS("code", "B"));
    is(&d, FB_E_EXISTS, "acme_item.place");
    d = item_new(b, &there, PAIRS("code", "A")); /* the row itself, once more */
    decide_cache_check_ids(b->cache, true);
    d = asked_of(b, &b->d);
    decide_cache_check_ids(b->cache, false);
    is(&d, FB_E_EXISTS, "acme_item.id");
    b->d.last = 0;
    raw_begin(&g, &b->d, "item.add", 0, 0);
    raw_insert(&g, "acme_item", PAIRS("customer_id", id_text(&b->w.customers[0]), "code", "C"));
    raw_end(&g);
    raw_exchange(&b->d, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(raw_verdict(&r, 1).error, FB_E_EXISTS);
    raw_reply_clear(&r);
}

/* --- change requests ---------------------------------------------------------------------- */

static decision approved(bench *b, const char *entity, const char *id, const char *kind,
                         const char *diff)
{
    raw_group g;
    fb_id request = company_add(&b->w.company, "change_request",
                                PAIRS("target_entity", entity, "target_id", id, "customer_id",
                                      id_text(&b->w.customers[0]), "kind", kind, "requested_by",
                                      id_text(&b->d.user), "status", "submitted",
                                      diff != NULL ? "diff_json" : NULL, diff));
    raw_begin(&g, &b->manager, "request.approve", 0, 0);
    raw_update(&g, "change_request", &request, raw_server_ver(&b->w, "change_request", &request),
               PAIRS("status", "submitted", "approved"));
    raw_end(&g);
    return asked_of(b, &b->manager);
}

static void request_is_read_by_what_its_columns_are(void **state)
{
    bench *b = *state;
    company *c = &b->w.company;
    fb_id mgr = company_find(c, "role", "MGR");
    acme(b);
    company_add(c, "role_permission",
                PAIRS("role_id", id_text(&mgr), "permission", "acme_rack.delete"));
    const char *customer = id_text(&b->w.customers[0]);
    decision d = approved(b, "customer", customer, "update",
                          "{\"acme_facts\":{\"base\":null,\"mine\":\"{\\\"a\\\":1}\"}}");
    is(&d, FB_OK, NULL); /* a text that is JSON comes with its base like any other */
    assert_true(text_is(value_in(change_to(&d, "customer"), "acme_facts")->u.text, "{\"a\":1}"));
    d = approved(b, "customer", id_text(&b->w.customers[0]), "update", "{\"code\":\"C1\"}");
    is(&d, FB_OK, NULL); /* as it is: it is not in its own way */
    d = approved(b, "customer", "nobody", "update", "{\"grade\":\"A\"}");
    is(&d, FB_E_REFERENCE, "change_request.target_id");
    fb_id rack = company_add(c, "acme_rack", PAIRS("customer_id", id_text(&b->w.customers[0])));
    d = approved(b, "acme_rack", id_text(&rack), "delete", NULL);
    is(&d, FB_E_INVALID, "change_request.kind"); /* things may hang on it */
}

/* --- older apps --------------------------------------------------------------------------- */

static const char OLDER[] =
    "{\"module\":\"older\",\"extend\":[{\"entity\":\"acme_item\",\"columns\":[" COLUMN(
        "first_phone", "\"type\":\"text\"") "," COLUMN("second_phone", "\"type\":\"text\"") "]}]}";
static const char NEWER[] =
    "{\"module\":\"newer\",\"extend\":[{\"entity\":\"acme_item\",\"columns\":[" COLUMN(
        "mobile",
        "\"type\":\"text\",\"from\":{\"column\":\"first_phone\"}") "," COLUMN("landline",
                                                                              "\"type\":\"text\","
                                                                              "\"from\":{"
                                                                              "\"column\":\"second_"
                                                                              "phone\"}") "]}]}";

static const fb_value *phone_after(const decision *d, const char *column)
{
    const change *c = change_to(d, "acme_item");
    return c != NULL ? value_in(c, column) : NULL;
}

/* Changes of an app that does not know the newer columns: both at once, one of them cleared, and
 * one by an app that knows both. */
static void change_by_an_older_app_reaches_the_newer_columns(void **state)
{
    bench *b = *state;
    raw_group g;
    acme(b);
    module_install(b, OLDER);
    module_install(b, NEWER);
    fb_id item = company_add(&b->w.company, "acme_item",
                             PAIRS("customer_id", id_text(&b->w.customers[0]), "status", "draft",
                                   "first_phone", "111", "mobile", "111", "second_phone", "222",
                                   "landline", "222"));
    int64_t seen = raw_server_ver(&b->w, "acme_item", &item);
    decision d = item_changed(b, &item, seen,
                              PAIRS("first_phone", "111", "1111", "second_phone", "222", "2222"));
    is(&d, FB_OK, NULL);
    assert_true(text_is(phone_after(&d, "mobile")->u.text, "1111"));
    assert_true(text_is(phone_after(&d, "landline")->u.text, "2222"));
    assert_false(d.plain);
    d = item_changed(b, &item, seen, PAIRS("first_phone", "111", ""));
    is(&d, FB_OK, NULL);
    assert_int_equal(phone_after(&d, "mobile")->kind, FB_KIND_NULL);
    assert_null(phone_after(&d, "landline"));
    d = item_changed(b, &item, seen, PAIRS("first_phone", "111", "1111", "mobile", "111", "3333"));
    is(&d, FB_OK, NULL);
    assert_true(text_is(phone_after(&d, "mobile")->u.text, "3333"));
    assert_true(d.plain);
    raw_begin(&g, &b->d, "item.drop", 0, 0);
    raw_delete(&g, "acme_item", &item, seen);
    raw_end(&g);
    d = decided(b); /* nothing of it has newer columns, and he may not */
    is(&d, FB_E_FORBIDDEN, "acme_item");
}

/* --- the cache ---------------------------------------------------------------------------- */

/* CCH-1: what was read of one catalogue is not taken for another's. */
static void cache_is_of_one_catalogue(void **state)
{
    bench *b = *state;
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    raw_insert(&g, "contact", PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Li"));
    raw_end(&g);
    deciding t = {.b = b, .from = &b->d, .memory = b->memory};
    assert_int_equal(newest_decide(&t), FB_OK);
    module_install(b, MODULE);
    assert_int_equal(newest_decide(&t), FB_OK);
    is(&t.d, FB_OK, NULL);
    assert_int_equal(t.d.changes[0].entity->columns_count,
                     catalog_entity_str(store_catalog(b->w.admin), "contact")->columns_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(differences_are_added_up),
        CASE(second_signature_is_too_late),
        CASE(step_from_no_state_is_not_taken),
        CASE(text_that_is_json_is_checked_like_any_other),
        CASE(number_without_a_free_successor_stays_taken),
        CASE(value_is_given_back_within_a_group),
        CASE(list_without_any_value_is_unique_too),
        CASE(request_is_read_by_what_its_columns_are),
        CASE(change_by_an_older_app_reaches_the_newer_columns),
        CASE(cache_is_of_one_catalogue),
    };
    return cmocka_run_group_tests_name("decide_module", tests, NULL, NULL);
}
