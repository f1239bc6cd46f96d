/* test_ledger_odd.c - commits that are larger than usual or name what others name too: many
 * parents, huge values, one incarnation of two devices, assignments of nobody, rows without stamps.
 */
#include "server_fixture.h"

#include "fault/torture/calls.h"
#include "support/raw_device.h"
#include "sync-server/ledger/ledger_inside.h"

static void small_company(fixture *f)
{
    fixture_small(f);
    for (uint32_t n = 1; n <= 4; n++) {
        put_territory(f, n, 0, 0);
    }
    put_user(f, 1, 0);
    put_customer(f, 1, 1, 0);
    put_visit(f, 1, 1);
    batch_commit(f);
}

/* What is remembered of parents is let go of when it is much; where even that fails, nothing is
 * committed. */
static void ledger__forgets_parents_when_they_are_many(void **state)
{
    enum { MANY = 20001 };
    (void)state;
    fixture f;
    small_company(&f);
    int64_t cid = 0;
    const commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
    put_visit(&f, 8, 1);
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    ledger_state *l = store_room_get(f.writer, STORE_ROOM_LEDGER);
    f.count = 0;
    put_customer(&f, 100, 1, 0);
    fb_value *row = (fb_value *)(uintptr_t)f.changes[0].values;
    for (uint32_t i = 0; i < MANY; i++) {
        scope_list scopes;
        row[0].u.id = CUSTOMER(100 + i);
        ok(feed_scopes_of_row(f.writer, l->parents, f.changes[0].entity, row, true,
                              l->parents_memory, &scopes));
    }
    assert_true(scope_cache_count(l->parents) >= MANY);
    f.count = 0;
    put_visit(&f, 9, 1);
    calls_arm(CALL_ARENA, 1, false);
    fb_code rc = ledger_commit(f.writer, &from, f.changes, f.count, &cid);
    assert_true(calls_disarm());
    assert_int_equal(rc, FB_E_NO_MEMORY);
    store_rollback(f.writer);
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    l = store_room_get(f.writer, STORE_ROOM_LEDGER);
    assert_true(scope_cache_count(l->parents) < MANY);
    for (uint32_t i = 0; i < MANY; i++) { /* and with memory it goes on */
        scope_list scopes;
        row[0].u.id = CUSTOMER(100 + i);
        ok(feed_scopes_of_row(f.writer, l->parents, entity_of(&f, "customer"), row, true,
                              l->parents_memory, &scopes));
    }
    f.count = 0;
    put_visit(&f, 10, 1);
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    assert_ptr_equal(l, store_room_get(f.writer, STORE_ROOM_LEDGER));
    assert_true(scope_cache_count(l->parents) < MANY);
    ok(store_commit(f.writer));
    assert_feed_right(&f);
    fixture_close(&f);
}

/* A version has 20 bits for the rows of one commit; those that only follow a row above count too.
 */
static void ledger__rows_that_follow_have_a_highest_number(void **state)
{
    (void)state;
    for (uint32_t free = 1; free <= 2; free++) { /* two visits follow their customer */
        fixture f;
        ledger_state *l = NULL;
        int64_t head = 0;
        small_company(&f);
        put_visit(&f, 8, 1);
        batch_commit(&f);
        const commit_source from = {.at_ms = f.now_ms, .kind = text_of("test")};
        batch_update(&f, "customer", CUSTOMER(1));
        batch_set(&f, "territory_id", id_value(TERRITORY(2)));
        ok(store_begin(f.writer));
        ok(ledger_head(f.writer, &head));
        ok(ledger_state_get(f.writer, &l));
        arena_reset(l->memory);
        commit_job job = {.store = f.writer,
                          .state = l,
                          .from = &from,
                          .changes = f.changes,
                          .count = f.count,
                          .cid = head + 1,
                          .followers = (1u << VER_BITS) - f.count - free};
        assert_int_equal(moves_run(&job), free == 2 ? FB_OK : FB_E_LIMIT);
        store_rollback(f.writer);
        fixture_close(&f);
    }
}

/* One incarnation, copied with the phone: each device has commits of its own. */
static void ledger__incarnation_of_two_devices_is_two(void **state)
{
    (void)state;
    fixture f;
    small_company(&f);
    put_device(&f, 1, 1);
    put_device(&f, 2, 1);
    raw_run(&f, "UPDATE fs_incarnation SET incarnation = x'00000000000000000000000000000007'");
    for (uint32_t n = 1; n <= 4; n++) {
        const commit_source from = {.device = DEVICE(1 + n % 2),
                                    .incarnation = {{[15] = 7}},
                                    .user = USER(1),
                                    .gseq = n,
                                    .at_ms = f.now_ms,
                                    .kind = text_of("test")};
        int64_t cid = 0;
        f.count = 0;
        put_visit(&f, 10 + n, 1);
        ok(store_begin(f.writer));
        ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
        ok(store_commit(f.writer));
    }
    assert_int_equal(raw_int(&f,
                             "SELECT count(*) FROM fs_commit c JOIN fs_incarnation i ON i.no = "
                             "c.incarnation WHERE unicode(CAST(substr(i.device, 16) AS TEXT)) = "
                             "1 + c.gseq % 2"),
                     4);
    fixture_close(&f);
}

static void ledger__assignment_of_no_customer_moves_nobody(void **state)
{
    (void)state;
    fixture f;
    small_company(&f);
    put_assignment(&f, 1, 1, 2, 0, f.now_ms, 0);
    batch_set(&f, "customer_id", null_value());
    batch_commit(&f);
    assert_feed_right(&f);
    batch_update(&f, "customer_assignment", ASSIGNMENT(1));
    batch_set(&f, "customer_id", id_value(CUSTOMER(1)));
    batch_commit(&f);
    assert_feed_right(&f);
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed f JOIN fs_scope s ON s.scope = "
                                 "f.scope WHERE s.kind = 2 AND unicode(CAST(substr(s.ref, 16) AS "
                                 "TEXT)) = 2 AND f.kind IN (0, 3)"),
                     3); /* the assignment, the customer and the visit below it */
    fixture_close(&f);
}

/* Two changes of one row in one commit: it moved, if both did nothing else. */
static void ledger__row_that_is_changed_twice_moves_if_it_only_moved(void **state)
{
    static const struct {
        const char *first, *second;
        bool moves;
    } CASES[] = {{"territory_id", "owner_id", true},
                 {"name", "owner_id", false},
                 {"territory_id", "name", false}};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        fixture f;
        small_company(&f);
        const char *const columns[] = {CASES[i].first, CASES[i].second};
        for (int k = 0; k < 2; k++) {
            batch_update(&f, "customer", CUSTOMER(1));
            batch_set(&f, columns[k],
                      strcmp(columns[k], "name") == 0       ? text_value(&f, "new")
                      : strcmp(columns[k], "owner_id") == 0 ? id_value(USER(1))
                                                            : id_value(TERRITORY(2)));
        }
        batch_commit(&f);
        assert_feed_right(&f);
        /* Where it came to: from elsewhere, or as a row that is new. */
        assert_int_equal(raw_int(&f, "SELECT count(*) > 0 FROM fs_feed f JOIN fs_entity e ON "
                                     "e.number = f.entity WHERE e.name = 'customer' AND f.kind = 0 "
                                     "AND f.since <> 0"),
                         CASES[i].moves);
        fixture_close(&f);
    }
}

static fb_code verify(void *ctx)
{
    int64_t entries = 0, bad = 0;
    fb_code rc = audit_verify(((fixture *)ctx)->writer, &entries, &bad);
    assert_true(rc != FB_OK || (entries > 0 && bad == 0));
    return rc;
}

/* What cannot be looked at is not called false. */
static void audit__verifying_fails_as_a_whole(void **state)
{
    (void)state;
    fixture f;
    small_company(&f);
    each_site_fails(&(each_site){verify, NULL, &f});
    fixture_close(&f);
}

static fb_value long_text(fixture *f, size_t size)
{
    char *text = arena_take(f->memory, size + 1);
    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = {text, size}};
}

/* What does not fit is counted, and a row that fits nowhere is covered by the digest alone. */
static void audit__shows_as_much_as_fits(void **state)
{
    (void)state;
    fixture f;
    small_company(&f);
    for (uint32_t n = 1; n <= 3; n++) {
        put_note(&f, n, 1);
    }
    batch_commit(&f);
    for (uint32_t n = 1; n <= 3; n++) {
        batch_update(&f, "note", NOTE(n));
        batch_set(&f, "text", long_text(&f, DETAIL_BYTES_MAX / 2));
    }
    int64_t cid = batch_commit(&f);
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT detail LIKE '%%{\"more\":2}]' FROM fs_audit WHERE cid = %lld",
             (long long)cid);
    assert_int_equal(raw_int(&f, sql), 1);
    batch_update(&f, "note", NOTE(1));
    batch_set(&f, "text", long_text(&f, (size_t)DETAIL_BYTES_MAX * 5));
    cid = batch_commit(&f);
    snprintf(sql, sizeof sql,
             "SELECT detail = '' AND length(digest) = 32 FROM fs_audit WHERE cid = %lld",
             (long long)cid);
    assert_int_equal(raw_int(&f, sql), 1);
    int64_t entries = 0, bad = 0;
    ok(audit_verify(f.writer, &entries, &bad));
    assert_int_equal(bad, 0);
    assert_int_equal(audit_put(f.writer, f.now_ms, text_of("server"), text_of("test"), text_of(""),
                               NULL, long_text(&f, DETAIL_BYTES_MAX + 1).u.text),
                     FB_E_MISUSE);
    fixture_close(&f);
}

/* A device changes a row that the office made and that nobody stamped: its column is as late as the
 * commit, and its author is the device's. */
static void ledger__column_of_an_unstamped_row_has_the_commits_time(void **state)
{
    static raw_world w;
    (void)state;
    raw_world_open(&w);
    const cat_entity *e = catalog_entity_str(store_catalog(w.admin), "customer");
    arena *memory = arena_new(1 << 20);
    fb_value before[CATALOG_COLUMNS_LIMIT];
    int column = cat_column_str(e, "remark");
    const fb_value mine = {.kind = FB_KIND_TEXT, .u.text = text_of("back door")};
    const fb_id device = {{9}};
    int64_t cid = 0, at_ms = 0;
    assert_int_equal(store_row_get(w.admin, e, &w.customers[0], memory, before), FB_OK);
    const change c = {.kind = CHANGE_UPDATE,
                      .entity = e,
                      .id = w.customers[0],
                      .columns = &column,
                      .values = &mine,
                      .columns_count = 1,
                      .before = before};
    const commit_source from = {
        .device = device, .user = w.users[0], .at_ms = w.now_ms + 5, .kind = text_of("test")};
    assert_int_equal(store_begin(w.admin), FB_OK);
    assert_int_equal(ledger_commit(w.admin, &from, &c, 1, &cid), FB_OK);
    store_stmt *q = store_prepare(w.admin, STORE_decide_column_time);
    store_bind_text(q, 1, e->name);
    store_bind_id(q, 2, &w.customers[0]);
    store_bind_text(q, 3, text_of("remark"));
    bool found = false;
    assert_int_equal(store_step(q, &found), FB_OK);
    assert_true(found);
    at_ms = store_int(q, 0);
    fb_id by = store_id(q, 1);
    store_reset(q);
    assert_int_equal(at_ms, w.now_ms + 5);
    assert_true(id_equal(&by, &w.users[0]));
    store_rollback(w.admin);
    arena_free(memory);
    raw_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger__forgets_parents_when_they_are_many),
        cmocka_unit_test(ledger__incarnation_of_two_devices_is_two),
        cmocka_unit_test(ledger__assignment_of_no_customer_moves_nobody),
        cmocka_unit_test(ledger__row_that_is_changed_twice_moves_if_it_only_moved),
        cmocka_unit_test(ledger__rows_that_follow_have_a_highest_number),
        cmocka_unit_test(audit__verifying_fails_as_a_whole),
        cmocka_unit_test(audit__shows_as_much_as_fits),
        cmocka_unit_test(ledger__column_of_an_unstamped_row_has_the_commits_time),
    };
    return cmocka_run_group_tests_name("ledger_odd", tests, NULL, NULL);
}
