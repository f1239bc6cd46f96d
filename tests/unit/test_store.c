/* test_store.c - the server's SQL behind its interface: opening, catalogue, rows, views, undo.
 *
 * Method: the built-in catalogue for rows (every entity, every type), the small one of
 * server_fixture.h for the rest; a second connection stands for another process. */
#include "server_fixture.h"

#include "sql/sql.h"

static fb_code try_open(const char *path, bool create, bool read_only, fb_error *err)
{
    store *s = NULL;
    fb_code rc = store_open(
        &(store_options){.path = path, .create = create, .read_only = read_only}, &s, err);
    store_close(s);
    return rc;
}

static void store__refuses_a_file_it_must_not_touch(void **state)
{
    (void)state;
    fixture f;
    fb_error err = {0};
    fixture_small(&f);
    char other[128];
    snprintf(other, sizeof other, "%s.copy", f.path);
    assert_int_equal(try_open(other, false, false, &err), FB_E_NOT_FOUND);
    sqlite3 *plain = NULL;
    assert_int_equal(sqlite3_open(other, &plain), SQLITE_OK);
    assert_int_equal(sqlite3_exec(plain, "CREATE TABLE t (a)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(try_open(other, false, false, &err), FB_E_CONFIG);
    assert_string_equal(err.field, "path");
    assert_non_null(strstr(err.message, "fieldbook-admin"));
    assert_int_equal(try_open(other, true, true, &err), FB_E_CONFIG);
    sqlite3_close(plain);
    raw_run(&f, "PRAGMA user_version = 99");
    assert_int_equal(try_open(f.path, true, false, &err), FB_E_NEWER);
    fixture_close(&f);
}

/* A value that the column's type can hold, different for each (entity, column, salt). */
static fb_value some_value(fixture *f, const cat_entity *e, uint32_t column, uint32_t salt)
{
    const cat_column *c = &e->columns[column];
    char text[64];
    if ((column + salt) % 7 == 0) {
        return null_value();
    }
    switch (cat_kind(c->type)) {
    case FB_KIND_ID:
        return id_value(id_no((uint8_t)e->number, column * 100 + salt));
    case FB_KIND_INT:
        return int_value((int64_t)column * 1000 + (int64_t)salt - 500);
    default:
        snprintf(text, sizeof text, salt % 3 == 0 ? "" : "%u 名 %u '\"", column, salt);
        return text_value(f, text);
    }
}

static void assert_row(const cat_entity *e, const fb_value *a, const fb_value *b)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (!fb_value_equal(&a[i], &b[i])) {
            print_error("%.*s.%.*s differs\n", (int)e->name.size, e->name.data,
                        (int)e->columns[i].name.size, e->columns[i].name.data);
            fail();
        }
    }
}

static void store__rows_of_every_entity_come_back_as_written(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, catalog_builtin_text());
    const catalog *c = store_catalog(f.writer);
    assert_true(c->entities_count > 20);
    ok(store_begin(f.writer));
    for (uint32_t n = 0; n < c->entities_count; n++) {
        const cat_entity *e = &c->entities[n];
        fb_value wrote[CATALOG_COLUMNS_LIMIT];
        fb_value read[CATALOG_COLUMNS_LIMIT];
        fb_id id = id_no(0x70, n + 1);
        bool exists = true;
        int64_t ver = 0;
        ok(store_row_exists(f.writer, e, &id, &exists));
        assert_false(exists);
        assert_int_equal(store_row_get(f.writer, e, &id, f.memory, read), FB_E_NOT_FOUND);
        for (uint32_t i = 0; i < e->columns_count; i++) {
            wrote[i] = some_value(&f, e, i, n);
        }
        wrote[0] = id_value(id);
        wrote[cat_ver_column(e)] = int_value((int64_t)77 << 40);
        ok(store_row_insert(f.writer, e, wrote));
        ok(store_row_get(f.writer, e, &id, f.memory, read));
        assert_row(e, wrote, read);
        ok(store_row_view(f.writer, e, &id, read));
        assert_row(e, wrote, read);
        ok(store_row_ver(f.writer, e, &id, &ver));
        assert_int_equal(ver, wrote[cat_ver_column(e)].u.i);
        assert_int_equal(store_row_insert(f.writer, e, wrote), FB_E_EXISTS);
        ok(store_row_delete(f.writer, e, &id));
        assert_int_equal(store_row_delete(f.writer, e, &id), FB_E_NOT_FOUND);
        assert_int_equal(store_row_ver(f.writer, e, &id, &ver), FB_E_NOT_FOUND);
    }
    ok(store_commit(f.writer));
    fixture_close(&f);
}

static void store__any_list_of_columns_is_updated(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, catalog_builtin_text());
    const cat_entity *e = entity_of(&f, "customer");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_value read[CATALOG_COLUMNS_LIMIT];
    fb_id id = CUSTOMER(1);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        row[i] = some_value(&f, e, i, 1);
    }
    row[0] = id_value(id);
    row[cat_ver_column(e)] = int_value(1);
    ok(store_begin(f.writer));
    ok(store_row_insert(f.writer, e, row));
    /* More different lists than have a statement of their own, one the beginning of another, each
     * used several times. */
    for (uint32_t n = 0; n < 120; n++) {
        uint32_t first = 1 + n % 6;
        uint32_t count = 1 + n % 5;
        int columns[5];
        fb_value values[5];
        for (uint32_t i = 0; i < count; i++) {
            columns[i] = (int)(first + i);
            values[i] = some_value(&f, e, first + i, n + 2);
            if (e->columns[first + i].unique) {
                values[i] = row[first + i];
            }
            row[first + i] = values[i];
        }
        ok(store_row_update(f.writer, e, &id, columns, values, count));
        ok(store_row_get(f.writer, e, &id, f.memory, read));
        assert_row(e, row, read);
    }
    id = CUSTOMER(2);
    assert_int_equal(store_row_update(f.writer, e, &id, (int[]){1}, row, 1), FB_E_NOT_FOUND);
    assert_int_equal(store_row_update(f.writer, e, &id, (int[]){1, 2, 5, 9}, row, 4),
                     FB_E_NOT_FOUND);
    ok(store_commit(f.writer));
    fixture_close(&f);
}

/* ---- rows by a column ---- */

typedef struct walk {
    fixture *f;
    fb_id seen[16];
    uint32_t count;
    uint32_t depth;
} walk;

static fb_code on_visit(void *ctx, const fb_value *values)
{
    walk *w = ctx;
    const cat_entity *e = entity_of(w->f, "visit");
    w->seen[w->count++] = values[0].u.id;
    if (w->depth == 0) { /* the same statement again while its rows are being walked */
        walk inner = {.f = w->f, .depth = 1};
        ok(store_rows_by(w->f->writer, e, cat_column_str(e, "customer_id"), &values[1],
                         w->f->memory, on_visit, &inner));
        assert_int_equal(inner.count, 3);
    }
    return w->count == 2 && w->depth == 2 ? FB_E_LIMIT : FB_OK;
}

static fb_code on_keys(void *ctx, const fb_value *values)
{
    walk *w = ctx;
    const cat_entity *e = entity_of(w->f, "visit");
    w->count++;
    assert_int_equal(values[cat_column_str(e, "customer_id")].kind, FB_KIND_ID);
    assert_int_equal(values[cat_column_str(e, "text")].kind, FB_KIND_NULL);
    assert_true(values[cat_ver_column(e)].u.i > 0);
    return FB_OK;
}

static void store__rows_by_column_in_order_and_nested(void **state)
{
    (void)state;
    fixture f;
    fixture_small(&f);
    put_territory(&f, 1, 0, 0);
    put_customer(&f, 1, 1, 0);
    put_visit(&f, 3, 1);
    put_visit(&f, 1, 1);
    put_visit(&f, 2, 1);
    put_customer(&f, 2, 0, 0);
    put_visit(&f, 9, 2);
    batch_commit(&f);
    const cat_entity *e = entity_of(&f, "visit");
    int column = cat_column_str(e, "customer_id");
    fb_value key = id_value(CUSTOMER(1));
    fb_value row[CATALOG_COLUMNS_LIMIT];
    walk w = {.f = &f};
    ok(store_rows_by(f.writer, e, column, &key, f.memory, on_visit, &w));
    assert_int_equal(w.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const fb_id id = VISIT(i + 1);
        assert_true(id_equal(&w.seen[i], &id));
    }
    w = (walk){.f = &f, .depth = 2};
    assert_int_equal(store_rows_by(f.writer, e, column, &key, f.memory, on_visit, &w), FB_E_LIMIT);
    assert_int_equal(w.count, 2);
    w = (walk){.f = &f};
    ok(store_keys_by(f.writer, e, column, &key, f.memory, on_keys, &w));
    assert_int_equal(w.count, 3);
    ok(store_row_by(f.writer, e, column, &key, f.memory, row));
    const fb_id first = VISIT(1);
    assert_true(id_equal(&row[0].u.id, &first));
    key = null_value();
    const cat_entity *customer = entity_of(&f, "customer");
    w = (walk){.f = &f};
    ok(store_rows_by(f.writer, customer, cat_column_str(customer, "territory_id"), &key, f.memory,
                     on_visit, &w));
    assert_int_equal(w.count, 0);
    key = id_value(CUSTOMER(5));
    assert_int_equal(store_row_by(f.writer, e, column, &key, f.memory, row), FB_E_NOT_FOUND);
    fixture_close(&f);
}

static void store__keys_hold_what_scopes_need_and_nothing_else(void **state)
{
    (void)state;
    fixture f;
    fixture_small(&f);
    put_customer(&f, 1, 1, 2);
    batch_commit(&f);
    const cat_entity *e = entity_of(&f, "customer");
    const fb_id id = CUSTOMER(1);
    const fb_id other = CUSTOMER(2);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    ok(store_row_keys(f.writer, e, &id, values));
    assert_true(id_equal(&values[0].u.id, &id));
    assert_int_equal(values[cat_column_str(e, "territory_id")].u.id.b[15], 1);
    assert_int_equal(values[cat_column_str(e, "owner_id")].u.id.b[15], 2);
    assert_int_equal(values[cat_column_str(e, "name")].kind, FB_KIND_NULL);
    assert_int_equal(store_row_keys(f.writer, e, &other, values), FB_E_NOT_FOUND);
    fixture_close(&f);
}

/* ---- transactions ---- */

static void store__snapshot_is_one_view_and_a_borrowed_row_does_not_prolong_it(void **state)
{
    (void)state;
    fixture f;
    fixture_small(&f);
    put_customer(&f, 1, 1, 0);
    batch_commit(&f);
    const cat_entity *e = catalog_entity_str(store_catalog(f.reader), "customer");
    const fb_id id = CUSTOMER(1);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    ok(store_snapshot(f.reader));
    uint64_t stamp = store_stamp(f.reader);
    ok(store_row_view(f.reader, e, &id, values)); /* its statement stands on the row */
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "name", text_value(&f, "later"));
    batch_commit(&f);
    ok(store_row_view(f.reader, e, &id, values));
    assert_true(text_is(values[1].u.text, "shop"));
    assert_int_equal(store_stamp(f.reader), stamp);
    store_snapshot_end(f.reader);
    ok(store_snapshot(f.reader));
    assert_true(store_stamp(f.reader) != stamp);
    ok(store_row_view(f.reader, e, &id, values));
    assert_true(text_is(values[1].u.text, "later"));
    store_snapshot_end(f.reader);
    fixture_close(&f);
}

static void store__undo_takes_back_rows_and_moves_the_stamp(void **state)
{
    (void)state;
    fixture f;
    fixture_small(&f);
    int64_t n = 0;
    uint64_t stamp = store_stamp(f.writer);
    ok(store_begin(f.writer));
    assert_int_equal(store_stamp(f.writer), stamp);
    ok(store_meta_int_set(f.writer, "n", 1));
    ok(store_savepoint(f.writer));
    ok(store_meta_int_set(f.writer, "n", 2));
    store_savepoint_undo(f.writer);
    assert_true(store_stamp(f.writer) != stamp);
    ok(store_meta_int(f.writer, "n", 0, &n));
    assert_int_equal(n, 1);
    ok(store_savepoint(f.writer));
    ok(store_meta_int_set(f.writer, "n", 3));
    stamp = store_stamp(f.writer);
    ok(store_savepoint_release(f.writer));
    ok(store_commit(f.writer));
    assert_int_equal(store_stamp(f.writer), stamp);
    ok(store_meta_int(f.reader, "n", 0, &n));
    assert_int_equal(n, 3);
    ok(store_begin(f.writer));
    ok(store_meta_int_set(f.writer, "n", -9223372036854775807 - 1));
    store_rollback(f.writer);
    assert_true(store_stamp(f.writer) != stamp);
    ok(store_meta_int(f.writer, "n", 0, &n));
    assert_int_equal(n, 3);
    ok(store_meta_int(f.writer, "absent", 42, &n));
    assert_int_equal(n, 42);
    buf text;
    buf_init(&text, 100);
    assert_int_equal(store_meta_get(f.writer, "absent", &text), FB_E_NOT_FOUND);
    assert_int_equal(store_begin(f.reader), FB_E_MISUSE);
    fixture_close(&f);
}

/* ---- catalogue ---- */

static const char MORE[] = "{'module':'acme','entities':[{'name':'aaa_first'," LABEL
                           ",'class':'reference','scope':[{'by':'global'}],'columns':[" TEXT(
                               "name") "],'grants':{'REP':'r'}}],'extend':[{'entity':'customer','"
                                       "columns':[" TEXT("acme_no") "]}]}";

static fb_text grown_catalog(fixture *f, buf *out)
{
    fb_error err = {0};
    buf_init(out, 4 << 20);
    ok_with(catalog_add(store_catalog(f->writer), quoted(f->memory, MORE), out, &err), &err);
    return buf_text(out);
}

static void store__catalogue_grows_while_entity_numbers_stay(void **state)
{
    (void)state;
    fixture f;
    fb_error err = {0};
    buf text;
    fixture_small(&f);
    put_customer(&f, 1, 1, 0);
    batch_commit(&f);
    int64_t before = store_entity_number(f.writer, entity_of(&f, "customer"));
    fb_text next = grown_catalog(&f, &text);
    ok(store_begin(f.writer));
    ok_with(store_catalog_install(f.writer, next, &err), &err);
    ok(store_commit(f.writer));
    const cat_entity *e = entity_of(&f, "customer");
    assert_int_equal(store_entity_number(f.writer, e), before);
    assert_ptr_equal(store_entity_by_number(f.writer, before), e);
    assert_null(store_entity_by_number(f.writer, 9999));
    assert_null(store_entity_by_number(f.writer, 0));
    /* The new column is written and read; the old row is still there. */
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "acme_no", text_value(&f, "A1"));
    batch_insert(&f, "aaa_first", id_no(0x50, 1));
    batch_commit(&f);
    assert_int_equal(
        raw_int(&f, "SELECT count(*) FROM customer WHERE acme_no = 'A1' AND name = 'shop'"), 1);
    /* Another connection sees it when it looks. */
    assert_null(catalog_entity_str(store_catalog(f.reader), "aaa_first"));
    ok_with(store_catalog_refresh(f.reader, &err), &err);
    assert_non_null(catalog_entity_str(store_catalog(f.reader), "aaa_first"));
    const catalog *same = store_catalog(f.reader);
    ok_with(store_catalog_refresh(f.reader, &err), &err);
    assert_ptr_equal(store_catalog(f.reader), same);
    ok(store_begin(f.writer));
    assert_int_equal(store_catalog_install(f.writer, next, &err), FB_E_CATALOG);
    store_rollback(f.writer);
    /* A greater version that lacks what the active one has. */
    char *lacking = arena_str(f.memory, SMALL_CATALOG);
    lacking[strcspn(lacking, "1")] = '9';
    ok(store_begin(f.writer));
    assert_int_equal(store_catalog_install(f.writer, quoted(f.memory, lacking), &err),
                     FB_E_CATALOG);
    assert_string_not_equal(err.field, "version");
    store_rollback(f.writer);
    buf_clear(&text);
    fixture_close(&f);
}

static void store__undone_catalogue_is_the_old_one_again(void **state)
{
    (void)state;
    fixture f;
    fb_error err = {0};
    buf text;
    fixture_small(&f);
    fb_text next = grown_catalog(&f, &text);
    for (int undo_all = 0; undo_all < 2; undo_all++) {
        ok(store_begin(f.writer));
        ok(store_savepoint(f.writer));
        ok_with(store_catalog_install(f.writer, next, &err), &err);
        assert_non_null(catalog_entity_str(store_catalog(f.writer), "aaa_first"));
        if (undo_all == 0) {
            store_savepoint_undo(f.writer);
            assert_null(catalog_entity_str(store_catalog(f.writer), "aaa_first"));
            ok(store_commit(f.writer));
        } else {
            store_rollback(f.writer);
        }
        assert_null(catalog_entity_str(store_catalog(f.writer), "aaa_first"));
        put_customer(&f, (uint32_t)undo_all + 1, 1, 0);
        batch_commit(&f);
    }
    assert_feed_right(&f);
    buf_clear(&text);
    fixture_close(&f);
}

/* ---- people's queries, upkeep ---- */

static void store__query_of_a_person_cannot_write(void **state)
{
    (void)state;
    static const char *const writing[] = {
        "DELETE FROM product", "INSERT INTO product (id) VALUES (x'00')",
        "DROP TABLE product",  "UPDATE fs_meta SET value = x''",
        "CREATE TABLE t (a)",
    };
    fixture f;
    fb_error err = {0};
    sql_stmt *q = NULL;
    bool row = false;
    fixture_small(&f);
    batch_insert(&f, "product", PRODUCT(1));
    batch_commit(&f);
    store *const stores[] = {f.writer, f.reader};
    for (size_t i = 0; i < 2; i++) {
        ok_with(store_query(stores[i], text_of("SELECT count(*) FROM product"), &q, &err), &err);
        ok(sql_step(q, &row));
        assert_true(row);
        assert_int_equal(sql_int(q, 0), 1);
        sql_finalize(q);
        for (size_t n = 0; n < sizeof writing / sizeof writing[0]; n++) {
            fb_code rc = store_query(stores[i], text_of(writing[n]), &q, &err);
            if (rc == FB_OK) {
                rc = sql_step(q, &row);
                sql_finalize(q);
            }
            assert_int_not_equal(rc, FB_OK);
        }
        assert_int_not_equal(
            store_query(stores[i], text_of("SELECT 1; DELETE FROM product"), &q, &err), FB_OK);
    }
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM product"), 1);
    fixture_close(&f);
}

static void store__backup_is_a_whole_database(void **state)
{
    (void)state;
    fixture f;
    fb_error err = {0};
    store *copy = NULL;
    int64_t cid = 0;
    char path[128];
    fixture_small(&f);
    batch_insert(&f, "product", PRODUCT(1));
    batch_commit(&f);
    snprintf(path, sizeof path, "%s.copy", f.path);
    ok_with(store_backup(f.writer, path, NULL, NULL, &err), &err);
    ok_with(store_open(&(store_options){.path = path, .read_only = true}, &copy, &err), &err);
    ok_with(store_check(copy, &err), &err);
    ok(ledger_head(copy, &cid));
    assert_int_equal(cid, 1);
    store_close(copy);
    fixture_close(&f);
}

/* BAK-2: what a device lets go of is in a backup that was hold_ms old, so any moment since can be
 * restored. A backup a day; the hold is three days. */
static void store__devices_let_go_of_what_an_old_backup_holds(void **state)
{
    enum { DAYS = 40, HOLD = 3 };
    const int64_t day_ms = 86400000;
    (void)state;
    fixture f;
    int64_t told = 0, before = 0;
    fixture_small(&f);
    for (int64_t day = 1; day <= DAYS; day++) {
        ok(store_begin(f.writer));
        ok(store_backup_counts(f.writer, 10 * day, day * day_ms, HOLD * day_ms));
        ok(store_commit(f.writer));
        ok(store_meta_int(f.writer, "backed_up_cid", 0, &told));
        assert_true(told >= before && told <= 10 * (day > HOLD ? day - HOLD : 0));
        assert_true(day <= 2 * HOLD || told >= 10 * (day - 2 * HOLD));
        before = told;
    }
    ok(store_begin(f.writer));
    ok(store_backup_counts(f.writer, 1000, 5 * day_ms, HOLD * day_ms)); /* the clock was ahead */
    ok(store_backup_counts(f.writer, 1010, (5 + HOLD) * day_ms, HOLD * day_ms));
    ok(store_meta_int(f.writer, "backed_up_cid", 0, &told));
    assert_int_equal(told, 1000);
    ok(store_backup_counts(f.writer, 1020, 6 * day_ms, 0));
    ok(store_meta_int(f.writer, "backed_up_cid", 0, &told));
    assert_int_equal(told, 1020);
    ok(store_commit(f.writer));
    fixture_close(&f);
}

/* Statements that read a whole table, or a whole scope, and may: none of them runs for a group, a
 * row or a request. */
static const struct {
    const char *name, *why;
} WHOLE[] = {
    {"blob_count", "fieldbook-admin status"},
    {"blob_part_old", "upkeep; parts that have not come to their end"},
    {"blob_parts_size", "at the start"},
    {"blob_table", "the schema"},
    {"blob_unnamed", "upkeep"},
    {"blob_waiting", "fieldbook-admin status"},
    {"door_codes_expire", "codes that nobody has used yet"},
    {"door_device_faults", "fieldbook-admin device list"},
    {"door_devices_count", "fieldbook-admin status"},
    {"erase_aliases", "an erasure"},
    {"feed_class_all", "the digests' check"},
    {"feed_entries_all", "the digests' check"},
    {"feed_gone_prune", "upkeep; entries of rows that left"},
    {"feed_rows_sorted", "a pack is made"},
    {"feed_scopes_all", "at the start"},
    {"intake_attempts_count", "a device's newest group alone"},
    {"intake_old_marks", "a phone that was copied; lives, not verdicts"},
    {"ledger_assignments_due", "something began or ended"},
    {"ledger_assignments_next", "something began or ended"},
    {"ledger_audit_all", "the audit's check"},
    {"ledger_audit_last", "the newest row"},
    {"store_catalog_newest", "the newest row"},
    {"store_entity_all", "at the start"},
};

static bool reads_whole(sqlite3 *db, const char *sql)
{
    char text[4096];
    bool whole = false;
    sqlite3_stmt *q = NULL;
    snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &q, NULL), SQLITE_OK);
    while (sqlite3_step(q) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(q, 3);
        bool scan = strncmp(step, "SCAN ", 5) == 0 && strstr(step, "CONSTANT") == NULL &&
                    strstr(step, "(subquery") == NULL;
        whole = whole || scan || strstr(step, "PRIMARY KEY (scope=?)") != NULL;
    }
    sqlite3_finalize(q);
    return whole;
}

static bool may_read_whole(const char *name)
{
    for (size_t i = 0; i < sizeof WHOLE / sizeof WHOLE[0]; i++) {
        if (strcmp(WHOLE[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void store__every_named_statement_fits_the_tables_and_finds_its_rows(void **state)
{
    (void)state;
    static const struct {
        const char *name, *sql;
    } statements[] = {
#define X(name, sql) {#name, sql},
#include "sync-server/store/statements.def"
#undef X
    };
    fixture f;
    int bad = 0;
    fixture_open(&f, catalog_builtin_text());
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        sqlite3_stmt *q = NULL;
        if (sqlite3_prepare_v2(f.raw, statements[i].sql, -1, &q, NULL) != SQLITE_OK) {
            print_error("%s: %s\n", statements[i].name, sqlite3_errmsg(f.raw));
            fail();
        }
        sqlite3_finalize(q);
        if (reads_whole(f.raw, statements[i].sql) != may_read_whole(statements[i].name)) {
            print_error("%s: does it read a whole table?\n", statements[i].name);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store__refuses_a_file_it_must_not_touch),
        cmocka_unit_test(store__rows_of_every_entity_come_back_as_written),
        cmocka_unit_test(store__any_list_of_columns_is_updated),
        cmocka_unit_test(store__rows_by_column_in_order_and_nested),
        cmocka_unit_test(store__keys_hold_what_scopes_need_and_nothing_else),
        cmocka_unit_test(store__snapshot_is_one_view_and_a_borrowed_row_does_not_prolong_it),
        cmocka_unit_test(store__undo_takes_back_rows_and_moves_the_stamp),
        cmocka_unit_test(store__catalogue_grows_while_entity_numbers_stay),
        cmocka_unit_test(store__undone_catalogue_is_the_old_one_again),
        cmocka_unit_test(store__query_of_a_person_cannot_write),
        cmocka_unit_test(store__backup_is_a_whole_database),
        cmocka_unit_test(store__devices_let_go_of_what_an_old_backup_holds),
        cmocka_unit_test(store__every_named_statement_fits_the_tables_and_finds_its_rows),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
