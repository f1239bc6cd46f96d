/* test_ledger.c - the only writer: numbers, versions, feed entries and audit of each commit.
 *
 * Method: a small company; after every commit the oracle's SQL says where each feed entry must be
 * (server_fixture.h). Whatever is remembered between commits is attacked by undoing savepoints and
 * by a second writer. */
#include "server_fixture.h"

#include "support/each_site.h"

/* Two territories, two users, customer 1 in territory 1 with visit 1 and note 1. */
static void company(fixture *f)
{
    fixture_small(f);
    batch_begin(f);
    put_unit(f, 1, 0);
    put_territory(f, 1, 0, 1);
    put_territory(f, 2, 0, 1);
    put_user(f, 1, 1);
    put_user(f, 2, 1);
    batch_commit(f);
    put_customer(f, 1, 1, 0);
    put_visit(f, 1, 1);
    put_note(f, 1, 1);
    batch_commit(f);
    assert_feed_right(f);
}

static int64_t ver_of(fixture *f, const char *entity, fb_id id)
{
    int64_t ver = 0;
    ok(store_row_ver(f->writer, entity_of(f, entity), &id, &ver));
    return ver;
}

static void ledger__LED_1_every_commit_has_the_next_number(void **state)
{
    (void)state;
    fixture f;
    int64_t cid = 0;
    company(&f);
    assert_int_equal(raw_int(&f, "SELECT max(cid) FROM fs_commit"), 2);
    for (uint32_t i = 0; i < 5; i++) {
        batch_insert(&f, "product", PRODUCT(i));
        assert_int_equal(batch_commit(&f), 3 + i);
    }
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &(commit_source){.at_ms = 1}, NULL, 0, &cid));
    assert_int_equal(cid, 0);
    ok(store_commit(f.writer));
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_commit"), 7);
    ok(ledger_head(f.reader, &cid));
    assert_int_equal(cid, 7);
    fixture_close(&f);
}

static void ledger__version_is_commit_and_index(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    assert_int_equal(ver_of(&f, "customer", CUSTOMER(1)), 2 << 20);
    assert_int_equal(ver_of(&f, "note", NOTE(1)), (2 << 20) + 2);
    batch_update(&f, "note", NOTE(1));
    batch_set(&f, "text", text_value(&f, "said goodbye"));
    batch_commit(&f);
    assert_int_equal(ver_of(&f, "note", NOTE(1)), 3 << 20);
    assert_int_equal(ver_of(&f, "customer", CUSTOMER(1)), 2 << 20);
    assert_feed_right(&f);
    fixture_close(&f);
}

static void ledger__undone_commit_leaves_no_trace_in_memory(void **state)
{
    (void)state;
    fixture f;
    int64_t cid = 0;
    const commit_source from = {.at_ms = 1, .kind = text_of("test")};
    company(&f);
    ok(store_begin(f.writer));
    ok(store_savepoint(f.writer));
    put_territory(&f, 9, 0, 1);
    put_customer(&f, 9, 9, 0); /* makes the scope of territory 9 */
    put_visit(&f, 9, 9);
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    assert_int_equal(cid, 3);
    store_savepoint_undo(f.writer);
    f.count = 0;
    put_customer(&f, 8, 9, 0);
    ok(store_savepoint(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    ok(store_savepoint_release(f.writer));
    assert_int_equal(cid, 3);
    ok(store_commit(f.writer));
    assert_feed_right(&f);
    int64_t entries = 0;
    int64_t bad = 0;
    ok(audit_verify(f.reader, &entries, &bad));
    assert_int_equal(entries, 3);
    assert_int_equal(bad, 0);
    fixture_close(&f);
}

static void ledger__second_writer_is_noticed(void **state)
{
    (void)state;
    fixture f;
    store *other = NULL;
    fb_error err = {0};
    company(&f);
    ok_with(store_open(&(store_options){.path = f.path}, &other, &err), &err);
    put_visit(&f, 2, 1); /* the first writer remembers where customer 1 is */
    batch_commit(&f);
    store *first = f.writer;
    f.writer = other;
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(2)));
    assert_int_equal(batch_commit(&f), 4);
    f.writer = first;
    put_visit(&f, 3, 1);
    assert_int_equal(batch_commit(&f), 5);
    assert_feed_right(&f);
    store_close(other);
    fixture_close(&f);
}

static void ledger__many_new_rows_in_one_commit(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    for (uint32_t i = 0; i < 60; i++) {
        if (i < 35 || i > 52) {
            batch_insert(&f, "product", PRODUCT(i));
        } else {
            put_visit(&f, 100 + i, 1);
        }
    }
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE pos >> 20 = 3"), 60);
    fixture_close(&f);
}

static void ledger__children_move_with_their_customer(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    put_visit(&f, 2, 1);
    batch_commit(&f);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(2)));
    int64_t cid = batch_commit(&f);
    assert_feed_right(&f);
    /* Only the customer changed; its two visits and the note came along as they were. */
    assert_int_equal(ver_of(&f, "customer", CUSTOMER(1)), cid << 20);
    assert_true(ver_of(&f, "visit", VISIT(1)) >> 20 < cid);
    assert_true(ver_of(&f, "visit", VISIT(2)) >> 20 < cid);
    assert_true(ver_of(&f, "note", NOTE(1)) >> 20 < cid);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind = 3"), 3);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind = 1"), 4);
    /* Back again: what left is there, no tombstone stays. */
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(1)));
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f,
                             "SELECT count(*) FROM fs_feed f JOIN fs_scope s ON s.scope = f.scope"
                             " WHERE f.kind = 1 AND substr(s.ref, 16, 1) = x'02'"),
                     4);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind = 1"), 4);
    fixture_close(&f);
}

static void ledger__row_that_stays_in_its_scopes_moves_no_child(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    int64_t before = ver_of(&f, "visit", VISIT(1));
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "name", text_value(&f, "new name"));
    batch_commit(&f);
    /* Written again with the same territory: a scope column, but no move. */
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(1)));
    batch_commit(&f);
    assert_int_equal(ver_of(&f, "visit", VISIT(1)), before);
    assert_feed_right(&f);
    fixture_close(&f);
}

static void ledger__delete_is_told_and_children_leave(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    batch_delete(&f, "visit", VISIT(1));
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind = 2"), 1);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind = 1"), 1);
    const fb_id visit = VISIT(1);
    bool exists = true;
    ok(store_row_exists(f.writer, entity_of(&f, "visit"), &visit, &exists));
    assert_false(exists);
    fixture_close(&f);
}

static void ledger__order_inside_a_commit_does_not_matter(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    put_note(&f, 5, 5); /* before its visit, which is before its customer */
    put_visit(&f, 5, 5);
    put_customer(&f, 5, 2, 1);
    batch_commit(&f);
    assert_feed_right(&f);
    /* Insert and change, insert and delete, change twice, move and delete: in one commit each. */
    put_customer(&f, 6, 1, 0);
    batch_insert(&f, "product", PRODUCT(7));
    batch_commit(&f);
    batch_update(&f, "customer", CUSTOMER(6));
    batch_set(&f, "territory_id", id_value(TERRITORY(2)));
    put_visit(&f, 6, 6);
    batch_update(&f, "customer", CUSTOMER(5));
    batch_set(&f, "name", text_value(&f, "x"));
    batch_delete(&f, "product", PRODUCT(7));
    batch_delete(&f, "note", NOTE(5));
    batch_update(&f, "visit", VISIT(5));
    batch_set(&f, "customer_id", id_value(CUSTOMER(6)));
    batch_commit(&f);
    assert_feed_right(&f);
    fixture_close(&f);
}

static void ledger__insert_and_change_of_one_row_in_one_commit(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    const cat_entity *e = entity_of(&f, "customer");
    put_customer(&f, 7, 1, 0);
    fb_value before[CATALOG_COLUMNS_LIMIT];
    memcpy(before, f.changes[0].values, e->columns_count * sizeof *before);
    before[cat_ver_column(e)] = int_value(3 << 20);
    int column = cat_column_str(e, "territory_id");
    fb_value territory = id_value(TERRITORY(2));
    change *c = batch_add(&f, CHANGE_UPDATE, "customer", CUSTOMER(7));
    c->columns = &column;
    c->values = &territory;
    c->columns_count = 1;
    c->before = before;
    put_visit(&f, 7, 7);
    batch_commit(&f);
    assert_int_equal(ver_of(&f, "customer", CUSTOMER(7)), (3 << 20) + 1);
    assert_feed_right(&f);
    put_customer(&f, 8, 1, 0);
    c = batch_add(&f, CHANGE_DELETE, "customer", CUSTOMER(8));
    c->before = before;
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind <> 0"), 0);
    fixture_close(&f);
}

/* Found by the soak: the administrator's program had read the row before its transaction, a
 * device's group came in between, and the feed kept an entry that no longer fitted its row. */
static void ledger__change_made_from_an_older_row_is_refused(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    const cat_entity *e = entity_of(&f, "customer");
    put_customer(&f, 7, 1, 0);
    fb_value before[CATALOG_COLUMNS_LIMIT];
    memcpy(before, f.changes[0].values, e->columns_count * sizeof *before);
    batch_commit(&f);
    before[cat_ver_column(e)] = int_value(ver_of(&f, "customer", CUSTOMER(7)));
    int column = cat_column_str(e, "territory_id");
    fb_value territory = id_value(TERRITORY(2));
    for (int i = 0; i < 2; i++) {
        commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
        int64_t cid = 0;
        change *c = batch_add(&f, CHANGE_UPDATE, "customer", CUSTOMER(7));
        c->columns = &column;
        c->values = &territory;
        c->columns_count = 1;
        c->before = before; /* the second time it is what the row was once */
        ok(store_begin(f.writer));
        fb_code rc = ledger_commit(f.writer, &from, f.changes, f.count, &cid);
        assert_int_equal(rc, i == 0 ? FB_OK : FB_E_BUSY);
        if (rc == FB_OK) {
            ok(store_commit(f.writer));
        } else {
            store_rollback(f.writer);
        }
        f.count = 0;
        assert_feed_right(&f);
    }
    fixture_close(&f);
}

static void ledger__assignment_shows_the_customer_while_it_is_active(void **state)
{
    (void)state;
    fixture f;
    int64_t cid = 0;
    company(&f);
    put_assignment(&f, 1, 1, 2, 0, f.now_ms, 0);                      /* at once, open end */
    put_assignment(&f, 2, 1, 0, 1, f.now_ms + 1000, f.now_ms + 2000); /* later, for a while */
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM row_scope WHERE entity = 'note'"), 2);
    ok(store_begin(f.writer));
    ok(ledger_time(f.writer, f.now_ms + 999, &cid));
    assert_int_equal(cid, 0);
    ok(ledger_time(f.writer, f.now_ms + 1000, &cid));
    assert_int_equal(cid, 4);
    ok(store_commit(f.writer));
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM row_scope WHERE entity = 'note'"), 3);
    /* The end comes with an ordinary commit that has nothing to do with it. */
    f.now_ms += 5000;
    batch_insert(&f, "product", PRODUCT(1));
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM row_scope WHERE entity = 'note'"), 2);
    /* A closed assignment takes the customer away; a deleted one too. */
    batch_update(&f, "customer_assignment", ASSIGNMENT(1));
    batch_set(&f, "to_at", int_value(f.now_ms));
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM row_scope WHERE entity = 'note'"), 1);
    put_assignment(&f, 3, 1, 2, 2, f.now_ms, 0);
    batch_commit(&f);
    assert_feed_right(&f);
    batch_delete(&f, "customer_assignment", ASSIGNMENT(3));
    batch_commit(&f);
    assert_feed_right(&f);
    fixture_close(&f);
}

static void ledger__assignment_and_its_customer_in_one_commit(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    put_assignment(&f, 1, 5, 2, 1, f.now_ms, 0);
    put_visit(&f, 5, 5);
    put_customer(&f, 5, 1, 0);
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(
        raw_int(
            &f,
            "SELECT count(*) FROM row_scope WHERE entity = 'visit' AND id = (SELECT id FROM visit"
            " WHERE customer_id = (SELECT customer_id FROM customer_assignment))"),
        3);
    fixture_close(&f);
}

static void ledger__commit_stays_plain_when_rows_follow(void **state)
{
    (void)state;
    fixture f;
    int64_t cid = 0;
    company(&f);
    put_device(&f, 1, 1);
    commit_source from = {.device = DEVICE(1),
                          .incarnation = INCARNATION(1),
                          .user = USER(1),
                          .gseq = 1,
                          .at_ms = f.now_ms,
                          .plain = true,
                          .kind = text_of("visit.add")};
    put_visit(&f, 2, 1);
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    f.count = 0;
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(2)));
    from.gseq = 2;
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    ok(store_commit(f.writer));
    assert_int_equal(raw_int(&f, "SELECT plain FROM fs_commit WHERE gseq = 1 AND incarnation = 1"),
                     1);
    assert_int_equal(raw_int(&f, "SELECT plain FROM fs_commit WHERE gseq = 2 AND incarnation = 1"),
                     1);
    fixture_close(&f);
}

static void ledger__refuses_what_does_not_exist(void **state)
{
    (void)state;
    fixture f;
    int64_t cid = 7;
    commit_source from = {.device = DEVICE(1), .incarnation = INCARNATION(1), .gseq = 1};
    company(&f);
    put_visit(&f, 2, 1);
    ok(store_begin(f.writer));
    ok(store_savepoint(f.writer));
    assert_int_equal(ledger_commit(f.writer, &from, f.changes, f.count, &cid), FB_E_NOT_FOUND);
    assert_int_equal(cid, 7);
    store_savepoint_undo(f.writer);
    ok(store_savepoint(f.writer));
    f.count = 0;
    put_visit(&f, 1, 1); /* is there already */
    from = (commit_source){.at_ms = 1};
    assert_int_equal(ledger_commit(f.writer, &from, f.changes, f.count, &cid), FB_E_EXISTS);
    store_savepoint_undo(f.writer);
    ok(store_savepoint(f.writer));
    f.count = 0;
    batch_delete(&f, "note", NOTE(1));
    f.changes[0].id = NOTE(99);
    assert_int_equal(ledger_commit(f.writer, &from, f.changes, f.count, &cid), FB_E_NOT_FOUND);
    store_savepoint_undo(f.writer);
    ok(store_commit(f.writer));
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_commit"), 2);
    assert_feed_right(&f);
    fixture_close(&f);
}

/* ---- audit ---- */

static void audit__keeps_old_and_new_values_but_nothing_personal(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "name", text_value(&f, "Müller"));
    batch_set(&f, "phone", text_value(&f, "+8613811111111"));
    batch_commit(&f);
    assert_int_equal(
        raw_int(&f,
                "SELECT count(*) FROM fs_audit WHERE entity = 'customer' AND rows = 1 AND cid = 3"
                " AND detail LIKE '%\"name\":[\"shop\",\"Müller\"]%'"
                " AND detail LIKE '%\"phone\":[\"*\",\"*\"]%' AND length(digest) = 32"),
        1);
    batch_delete(&f, "customer", CUSTOMER(1));
    batch_commit(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_audit WHERE detail LIKE '%Müller%'"), 2);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_audit WHERE detail LIKE '%+86%'"), 0);
    fixture_close(&f);
}

static void audit__every_tampering_is_found(void **state)
{
    (void)state;
    static const char *const tampering[] = {
        "UPDATE fs_audit SET at_ms = at_ms + 1 WHERE seq = 3",
        "UPDATE fs_audit SET actor = 'user x' WHERE seq = 3",
        "UPDATE fs_audit SET action = 'other' WHERE seq = 3",
        "UPDATE fs_audit SET entity = 'visit' WHERE seq = 3",
        "UPDATE fs_audit SET row_id = zeroblob(16) WHERE seq = 3",
        "UPDATE fs_audit SET cid = cid + 1 WHERE seq = 3",
        "UPDATE fs_audit SET rows = 2 WHERE seq = 3",
        "UPDATE fs_audit SET digest = zeroblob(32) WHERE seq = 3",
        "UPDATE fs_audit SET detail = '[]' WHERE seq = 3",
        "UPDATE fs_audit SET hash = zeroblob(32) WHERE seq = 3",
        "UPDATE fs_audit SET hash = x'00' WHERE seq = 3",
        "DELETE FROM fs_audit WHERE seq = 3",
        "DELETE FROM fs_audit WHERE seq = 3; UPDATE fs_audit SET seq = 3 WHERE seq = 4",
    };
    int64_t entries = 0;
    int64_t bad = 0;
    fixture f;
    digest head = {{0}};
    digest head_again = {{0}};
    company(&f);
    batch_insert(&f, "product", PRODUCT(1));
    batch_commit(&f);
    ok(store_begin(f.writer));
    ok(audit_put(f.writer, f.now_ms, text_of("admin"), text_of("login"), (fb_text){NULL, 0}, NULL,
                 text_of("{}")));
    ok(store_commit(f.writer));
    ok(audit_verify(f.reader, &entries, &bad));
    assert_int_equal(entries, 4);
    assert_int_equal(bad, 0);
    ok(audit_head(f.reader, &head));
    for (size_t i = 0; i < sizeof tampering / sizeof tampering[0]; i++) {
        char sql[256];
        raw_run(&f, "CREATE TABLE kept AS SELECT * FROM fs_audit");
        snprintf(sql, sizeof sql, "%s", tampering[i]);
        raw_run(&f, sql);
        ok(audit_verify(f.reader, &entries, &bad));
        if (bad != 3) {
            print_error("not found: %s\n", tampering[i]);
        }
        assert_int_equal(bad, 3);
        raw_run(&f,
                "DELETE FROM fs_audit; INSERT INTO fs_audit SELECT * FROM kept; DROP TABLE kept");
    }
    ok(audit_verify(f.reader, &entries, &bad));
    assert_int_equal(bad, 0);
    ok(audit_head(f.reader, &head_again));
    assert_memory_equal(head.b, head_again.b, sizeof head.b);
    fixture_close(&f);
}

static void audit__digest_covers_what_is_inserted(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    for (uint32_t i = 1; i <= 2; i++) {
        batch_insert(&f, "product", PRODUCT(i));
        batch_set(&f, "name", text_value(&f, "same"));
        f.changes[0].id = PRODUCT(1);
        ((fb_value *)(uintptr_t)f.changes[0].values)[0] = id_value(PRODUCT(1));
        batch_set(&f, "price", int_value(i));
        batch_commit(&f);
        batch_delete(&f, "product", PRODUCT(1));
        batch_commit(&f);
    }
    assert_int_equal(raw_int(&f, "SELECT count(DISTINCT digest) FROM fs_audit WHERE seq IN (3, 5)"),
                     2);
    assert_int_equal(raw_int(&f, "SELECT count(DISTINCT digest) FROM fs_audit WHERE seq IN (4, 6)"),
                     1);
    fixture_close(&f);
}

/* Nothing is put behind an entry that cannot be the last one. */
static void audit__last_entry_that_is_damaged_stops_the_ledger(void **state)
{
    (void)state;
    fixture f;
    digest head;
    int64_t cid = 0, entries = 0, bad = 0;
    const fb_id nobody = {{0}};
    company(&f);
    ok(audit_head(f.reader, &head));
    raw_run(&f, "CREATE TABLE kept AS SELECT * FROM fs_audit; UPDATE fs_audit SET hash = x'0102'");
    const commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
    batch_begin(&f);
    put_unit(&f, 9, 0);
    ok(store_begin(f.writer));
    assert_int_equal(ledger_commit(f.writer, &from, f.changes, f.count, &cid), FB_E_CORRUPT);
    store_rollback(f.writer);
    ok(audit_head(f.reader, &head));
    for (size_t i = 0; i < sizeof head.b; i++) {
        assert_int_equal(head.b[i], 0); /* a device has nothing to witness */
    }
    raw_run(&f, "DELETE FROM fs_audit; INSERT INTO fs_audit SELECT * FROM kept; DROP TABLE kept");
    f.now_ms = -86400000; /* a server whose clock stands before 1970 goes on all the same */
    batch_commit(&f);
    ok(store_begin(f.writer));
    ok(audit_put(f.writer, f.now_ms, text_of("admin"), text_of("x"), text_of("y"), &nobody,
                 (fb_text){NULL, 0}));
    ok(store_commit(f.writer));
    ok(audit_verify(f.reader, &entries, &bad));
    assert_int_equal(bad, 0);
    raw_run(&f, "DELETE FROM fs_audit");
    ok(audit_head(f.reader, &head));
    assert_int_equal(head.b[0], 0);
    ok(audit_verify(f.reader, &entries, &bad));
    assert_int_equal(entries, 0);
    fixture_close(&f);
}

static fb_code verify_try(void *ctx)
{
    const fixture *f = ctx;
    int64_t entries = 0, bad = 0;
    digest head;
    FB_TRY(audit_head(f->reader, &head));
    FB_TRY(audit_verify(f->reader, &entries, &bad));
    assert_int_equal(bad, 0); /* what could not be read is not called tampered with */
    fb_error err = {0};
    FB_TRY(store_snapshot(f->reader));
    fb_code rc = feed_digest_check(f->reader, &err);
    store_snapshot_end(f->reader);
    return rc;
}

static void audit__what_cannot_be_read_is_not_called_wrong(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    each_site_fails(&(each_site){verify_try, NULL, &f});
    fixture_close(&f);
}

static fb_code time_try(void *ctx)
{
    fixture *f = ctx;
    int64_t cid = 0;
    FB_TRY(store_begin(f->writer));
    fb_code rc = ledger_time(f->writer, f->now_ms + 1000, &cid);
    store_rollback(f->writer);
    return rc;
}

/* The digests are counted anew when a database comes from before there were any (CLS-2), and the
 * time of an assignment passes: a site that fails leaves both as they were. */
static void ledger__work_of_its_own_fails_as_a_whole(void **state)
{
    (void)state;
    fixture f;
    int64_t cid = 0;
    company(&f);
    put_customer(&f, 2, 2, 1);
    put_assignment(&f, 1, 1, 2, 0, f.now_ms + 500, 0);
    batch_commit(&f);
    batch_update(&f, "customer", CUSTOMER(2));
    batch_set(&f, "territory_id", id_value(TERRITORY(1)));
    batch_commit(&f);
    each_site_fails(&(each_site){time_try, NULL, &f});
    raw_run(&f, "DELETE FROM fs_meta WHERE key = 'digest_built'");
    put_customer(&f, 3, 1, 0);
    batch_commit(&f);
    assert_feed_right(&f);
    ok(store_begin(f.writer));
    ok(ledger_time(f.writer, f.now_ms + 1000, &cid));
    ok(store_commit(f.writer));
    assert_true(cid > 0);
    assert_feed_right(&f);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger__LED_1_every_commit_has_the_next_number),
        cmocka_unit_test(ledger__version_is_commit_and_index),
        cmocka_unit_test(ledger__undone_commit_leaves_no_trace_in_memory),
        cmocka_unit_test(ledger__second_writer_is_noticed),
        cmocka_unit_test(ledger__many_new_rows_in_one_commit),
        cmocka_unit_test(ledger__children_move_with_their_customer),
        cmocka_unit_test(ledger__row_that_stays_in_its_scopes_moves_no_child),
        cmocka_unit_test(ledger__delete_is_told_and_children_leave),
        cmocka_unit_test(ledger__order_inside_a_commit_does_not_matter),
        cmocka_unit_test(ledger__insert_and_change_of_one_row_in_one_commit),
        cmocka_unit_test(ledger__change_made_from_an_older_row_is_refused),
        cmocka_unit_test(ledger__assignment_shows_the_customer_while_it_is_active),
        cmocka_unit_test(ledger__assignment_and_its_customer_in_one_commit),
        cmocka_unit_test(ledger__commit_stays_plain_when_rows_follow),
        cmocka_unit_test(ledger__refuses_what_does_not_exist),
        cmocka_unit_test(audit__keeps_old_and_new_values_but_nothing_personal),
        cmocka_unit_test(audit__every_tampering_is_found),
        cmocka_unit_test(audit__digest_covers_what_is_inserted),
        cmocka_unit_test(audit__last_entry_that_is_damaged_stops_the_ledger),
        cmocka_unit_test(audit__what_cannot_be_read_is_not_called_wrong),
        cmocka_unit_test(ledger__work_of_its_own_fails_as_a_whole),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
