/* test_decide_erased.c - a group that speaks of an erased person, by a device that did not know:
 * what is taken out of it, in whatever way it names the person, and that nothing that fails on the
 * way lets a value through. The whole way, to the last byte on disk: path/test_erase.c. */
#include "decide_fixture.h"

#include "support/raw_trial.h"

#define SHA256_OF_HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static fb_id person_erased(bench *b, const char *entity, const fb_id *id)
{
    return company_add(&b->w.company, "erasure", PAIRS("entity", entity, "entity_id", id_text(id)));
}

static fb_id contact_stored(bench *b, const fb_id *customer)
{
    return company_add(&b->w.company, "contact",
                       PAIRS("customer_id", id_text(customer), "name", "Li", "title", "Buyer"));
}

static decision contact_new(bench *b, const fb_id *customer)
{
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    raw_insert(&g, "contact",
               PAIRS("customer_id", id_text(customer), "name", "Wu", "title", "Cook"));
    raw_end(&g);
    return decided(b);
}

/* The person is out, the work is in, and the verdict says so. */
static void is_emptied(const decision *d)
{
    const change *made = change_to(d, "contact");
    assert_int_equal(d->verdict.code, VERDICT_MERGED);
    assert_int_equal(d->verdict.error, FB_E_ERASED);
    bool named = false;
    for (uint32_t i = 0; i < d->verdict.columns_count; i++) {
        named = named || text_is(d->verdict.columns[i].column, "name");
        assert_false(text_is(d->verdict.columns[i].column, "title"));
    }
    assert_true(named);
    assert_non_null(made);
    assert_true(text_is(value_in(made, "name")->u.text, "*"));
    assert_true(text_is(value_in(made, "title")->u.text, "Cook"));
    assert_false(d->plain);
}

static void row_below_an_erased_one_comes_without_the_person(void **state)
{
    bench *b = *state;
    decision d = contact_new(b, &b->w.customers[0]);
    is(&d, FB_OK, NULL);
    person_erased(b, "customer", &b->w.customers[1]);
    d = contact_new(b, &b->w.customers[0]); /* somebody else */
    is(&d, FB_OK, NULL);
    person_erased(b, "customer", &b->w.customers[0]);
    d = contact_new(b, &b->w.customers[0]);
    is_emptied(&d);
}

/* A file cannot be emptied: its row goes as a whole, and is named by its id. */
static void file_of_an_erased_person_goes_whole(void **state)
{
    bench *b = *state;
    raw_group g;
    person_erased(b, "customer", &b->w.customers[0]);
    raw_begin(&g, &b->d, "photo.add", 0, 0);
    raw_insert(&g, "attachment",
               PAIRS("customer_id", id_text(&b->w.customers[0]), "kind", "photo", "media_type",
                     "image/jpeg", "size_bytes", "5", "sha256", SHA256_OF_HELLO, "taken_at",
                     "1760000000000"));
    raw_end(&g);
    decision d = decided(b);
    assert_int_equal(d.changes_count, 0);
    assert_int_equal(d.verdict.error, FB_E_ERASED);
    assert_int_equal(d.verdict.columns_count, 1);
    assert_true(text_is(d.verdict.columns[0].column, "id"));
}

/* The customer was entered twice, and the other one was erased meanwhile. */
static void id_that_is_an_erased_rows_is_known(void **state)
{
    bench *b = *state;
    const fb_id first = {{7, 1}}, second = {{7, 2}};
    alias_is(b, &first, "customer", &second);
    alias_is(b, &second, "customer", &b->w.customers[0]);
    person_erased(b, "customer", &b->w.customers[1]);
    decision d = contact_new(b, &first);
    is(&d, FB_OK, NULL);
    person_erased(b, "customer", &b->w.customers[0]);
    d = contact_new(b, &first);
    is_emptied(&d);
    /* A disk that lies: they lead to each other, and to nobody. */
    alias_is(b, &second, "customer", &first);
    d = contact_new(b, &first);
    is(&d, FB_E_REFERENCE, "contact.customer_id");
}

/* A new customer turns out to be one that was merged into an erased one: only then is it known
 * whose the rest of the group is. */
static void group_that_learns_whose_its_rows_are_forgets_them(void **state)
{
    bench *b = *state;
    raw_group g;
    fb_id shop = b->w.customers[0];
    fb_id twin = company_add(&b->w.company, "customer",
                             PAIRS("code", "K1", "name", "Green", "status", "active", "licence_no",
                                   "L-77", "territory_id", id_text(&b->w.territories[0])));
    company_set(&b->w.company, "customer", &twin, PAIRS("merged_into_id", id_text(&shop)));
    fb_id other = contact_stored(b, &shop), gone = contact_stored(b, &shop);
    fb_id elsewhere = company_add(&b->w.company, "customer",
                                  PAIRS("code", "K2", "name", "Blue", "status", "active",
                                        "territory_id", id_text(&b->w.territories[0])));
    fb_id third = contact_stored(b, &elsewhere);
    fb_id rep = company_find(&b->w.company, "role", "REP");
    company_add(&b->w.company, "role_permission",
                PAIRS("role_id", id_text(&rep), "permission", "attachment.update"));
    fb_id photo = company_add(&b->w.company, "attachment",
                              PAIRS("customer_id", id_text(&shop), "kind", "photo", "media_type",
                                    "image/jpeg", "size_bytes", "5", "sha256", SHA256_OF_HELLO,
                                    "taken_at", "2025-10-09T08:00:00Z"));
    person_erased(b, "customer", &b->w.customers[1]);
    for (int erased = 0; erased < 2; erased++) {
        raw_begin(&g, &b->d, "customer.new", 0, 0);
        fb_id mine = raw_insert(&g, "customer",
                                PAIRS("code", "N1", "name", "Mine", "status", "draft", "licence_no",
                                      "L-77", "territory_id", id_text(&b->w.territories[0])));
        raw_insert(&g, "contact", PAIRS("customer_id", id_text(&mine), "name", "Wu"));
        raw_insert(&g, "attachment",
                   PAIRS("customer_id", id_text(&mine), "kind", "photo", "media_type", "image/jpeg",
                         "size_bytes", "5", "sha256", SHA256_OF_HELLO, "taken_at",
                         "1760000000000"));
        raw_insert(&g, "activity",
                   PAIRS("user_id", id_text(&b->d.user), "type", "call", "at", "1760000000000",
                         "customer_id", id_text(&mine), "subject", "hello"));
        raw_update(&g, "contact", &other, 0, PAIRS("title", "Buyer", "Owner"));
        raw_update(&g, "contact", &third, 0, PAIRS("title", "Buyer", "Owner"));
        raw_delete(&g, "contact", &gone, raw_server_ver(&b->w, "contact", &gone));
        /* one that is stored is emptied by the erasure itself */
        raw_update(&g, "attachment", &photo, 0, PAIRS("media_type", "image/jpeg", "image/jpeg"));
        raw_end(&g);
        decision d = decided(b);
        assert_int_equal(d.verdict.code, VERDICT_ALIAS);
        const change *contact = change_to(&d, "contact");
        assert_non_null(contact);
        assert_int_equal(change_to(&d, "attachment") == NULL, erased);
        assert_true(text_is(value_in(change_to(&d, "activity"), "subject")->u.text, "hello"));
        for (uint32_t i = 0; i < d.changes_count; i++) {
            const fb_value *name =
                text_is(d.changes[i].entity->name, "contact") && d.changes[i].kind == CHANGE_INSERT
                    ? value_in(&d.changes[i], "name")
                    : NULL;
            assert_true(name == NULL || text_is(name->u.text, erased ? "*" : "Wu"));
        }
        person_erased(b, "customer", &b->w.customers[0]);
    }
}

/* More of them than one page holds, and rows that name nobody. */
static void many_are_erased_and_some_are_nobody(void **state)
{
    bench *b = *state;
    fb_id last;
    assert_true(id_get(text_of("01900000-0000-7000-8000-000000000600"), &last));
    store_says(b, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)"
                  " INSERT INTO erasure (id, ver, entity, entity_id) SELECT CAST(printf('%016d', i)"
                  " AS BLOB), i, 'customer', printf('01900000-0000-7000-8000-%012d', i) FROM n");
    store_says(b, "UPDATE erasure SET entity_id = 'nobody' WHERE ver = 1");
    store_says(b, "UPDATE erasure SET entity_id = '00000000-0000-0000-0000-000000000000'"
                  " WHERE ver = 2");
    decision d = contact_new(b, &b->w.customers[0]);
    is(&d, FB_OK, NULL);
    const fb_id given = {{7, 1}};
    alias_is(b, &given, "customer", &last);
    person_erased(b, "contact", &given); /* the newest of all */
    raw_group g;
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    raw_insert_id(&g, "contact", &given,
                  PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Wu", "title", "Cook"));
    raw_end(&g);
    d = asked_of(b, &b->d);
    is_emptied(&d);
    raw_begin(&g, &b->d, "contact.add", 0, 0);
    raw_insert_id(&g, "contact", &last,
                  PAIRS("customer_id", id_text(&b->w.customers[0]), "name", "Wu", "title", "Cook"));
    raw_end(&g);
    d = asked_of(b, &b->d);
    is_emptied(&d);
}

/* What is kept of a group that does not stand is kept without the person; the row by which a
 * manager decides it is still the one of the group as it was sent. */
static void what_is_kept_of_a_refused_group_is_without_the_person(void **state)
{
    bench *b = *state;
    raw_reply r;
    raw_group g;
    person_erased(b, "customer", &b->w.customers[1]);
    b->w.trial = raw_trial;
    for (int i = 0; i < 2; i++) { /* the second speaks of nobody who was erased */
        raw_begin(&g, &b->d, "contact.add", 0, 0);
        raw_insert(&g, "contact",
                   PAIRS("customer_id", id_text(&b->w.customers[1 - i]), "name", "Wu zq-canary"));
        raw_insert(&g, "task",
                   PAIRS("title", "Call", "kind", "todo", "priority", "normal", "assignee_id",
                         id_text(&b->w.users[1]), "status", "todo"));
        raw_end(&g);
    }
    raw_exchange(&b->d, &r);
    assert_int_equal(raw_verdict(&r, 1).code, VERDICT_HELD);
    assert_int_equal(raw_verdict(&r, 2).code, VERDICT_HELD);
    raw_reply_clear(&r);
    sqlite3 *raw = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open(b->w.path, &raw), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(raw,
                           "SELECT instr(CAST(payload AS TEXT), 'zq-canary') > 0, held_row,"
                           " held_row IN (SELECT id FROM held_group) FROM fs_verdict ORDER BY gseq",
                           -1, &q, NULL),
        SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        fb_id row = held_row_id(&b->d.user, buf_text(&b->d.groups[i]));
        assert_int_equal(sqlite3_step(q), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(q, 0), i);
        assert_int_equal(sqlite3_column_bytes(q, 1), sizeof row.b);
        assert_memory_equal(sqlite3_column_blob(q, 1), row.b, sizeof row.b);
        assert_int_equal(sqlite3_column_int(q, 2), 1);
    }
    sqlite3_finalize(q);
    sqlite3_close(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(row_below_an_erased_one_comes_without_the_person),
        CASE(file_of_an_erased_person_goes_whole),
        CASE(id_that_is_an_erased_rows_is_known),
        CASE(group_that_learns_whose_its_rows_are_forgets_them),
        CASE(many_are_erased_and_some_are_nobody),
        CASE(what_is_kept_of_a_refused_group_is_without_the_person),
    };
    return cmocka_run_group_tests_name("decide_erased", tests, NULL, NULL);
}
