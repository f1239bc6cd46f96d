/* test_capture.c - OUT-1, OUT-2, OUT-3: what a person saved is there, once, whole, and only then.
 */
#include <sqlite3.h>

#include "sql/sql.h"
#include "support/lab.h"
#include "wire/pack.h"

#define DB lab_path("capture")

static void start_with_item(lab *l)
{
    buf out;
    lab_start(l, DB, 7);
    reply_begin(l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(l, &out, 1, "one", "note", 10, 50);
    reply_take(l, &out);
}

/* The newest group as the server would read it; lives in memory. */
static group read_group(lab *l, int64_t gseq, arena *memory, digest *before)
{
    buf lines;
    group g;
    uint32_t count = 0;
    fb_error err = {.code = FB_OK};
    buf_init(&lines, 1 << 22);
    assert_int_equal(outbox_read(l->r, gseq, 1, 1, &lines, &count, before), FB_OK);
    assert_int_equal(count, 1);
    fb_text line = arena_text(memory, (fb_text){lines.data, lines.size - 1});
    assert_int_equal(lines.data[lines.size - 1], '\n');
    buf_clear(&lines);
    if (group_get(line, replica_catalog(l->r), memory, &g, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    return g;
}

static void capture__saves_rows_and_group_together(void **state)
{
    lab l;
    digest before;
    arena *memory = arena_new(1 << 22);
    (void)state;
    lab_start(&l, DB, 1);
    lab_begin(&l, "lab.save");
    lab_insert(&l, 1, "one", 1);
    lab_insert(&l, 2, "two", 2);
    assert_int_equal(lab_commit(&l), 1);
    lab_reopen(&l);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    group g = read_group(&l, 1, memory, &before);
    assert_int_equal(g.ops_count, 2);
    assert_true(text_is(g.head.kind, "lab.save"));
    assert_int_equal(g.head.catalog_version, 2);
    assert_int_equal(g.head.captured_at_ms, l.wall_ms);
    /* Stamps and derived columns are made on each side: they do not travel. */
    assert_int_equal(g.ops[0].columns_count, 2);
    assert_int_equal(g.ops[0].columns[0], l.name);
    assert_int_equal(g.ops[0].columns[1], l.qty);
    assert_int_equal(
        lab_count(
            &l,
            "SELECT count(*) FROM lab_item WHERE created_at=updated_at AND created_by IS NOT NULL"
            " AND created_device IS NOT NULL AND ver=0"),
        2);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_undo"), 0); /* inserts only: no image */
    lab_check(&l);
    arena_free(memory);
    lab_stop(&l);
}

static void capture__abort_leaves_nothing(void **state)
{
    lab l;
    outbox_state box;
    buf number;
    fb_error err;
    (void)state;
    start_with_item(&l);
    buf_init(&number, 100);
    lab_begin(&l, "lab.save");
    assert_true(capture_is_open(l.r));
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_OK);
    lab_insert(&l, 2, "two", 1);
    lab_set(&l, 1, l.name, "changed");
    assert_true(lab_has(&l, 2)); /* reads see what is being saved */
    capture_abort(l.r);
    assert_false(capture_is_open(l.r));
    assert_false(lab_has(&l, 2));
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, 0);
    buf_reset(&number);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_OK);
    assert_string_equal(buf_cstr(&number), "SO-A1-000001");
    assert_int_equal(lab_commit(&l), 0); /* nothing in it: nothing written, the number neither */
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 0);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_counter"), 0);
    buf_clear(&number);
    lab_stop(&l);
}

static void capture__numbers_and_chains_groups_without_gaps(void **state)
{
    lab l;
    replica_identity me;
    digest chain;
    digest before;
    outbox_state box;
    buf lines;
    uint32_t count = 0;
    (void)state;
    lab_start(&l, DB, 3);
    assert_int_equal(replica_identity_get(l.r, &me), FB_OK);
    digest_of(me.incarnation.b, sizeof me.incarnation.b, &chain);
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(lab_save(&l, i, "x", i), i);
        if (i == 3) {
            lab_reopen(&l);
        }
    }
    buf_init(&lines, 1 << 20);
    assert_int_equal(outbox_read(l.r, 1, 100, 1 << 20, &lines, &count, &before), FB_OK);
    assert_int_equal(count, 5);
    assert_memory_equal(before.b, chain.b, DIGEST_BYTES);
    line_reader r;
    fb_text line;
    line_reader_init(&r, buf_text(&lines));
    while (line_next(&r, &line)) {
        digest was = chain;
        digest_chain(&was, line.data, line.size, &chain);
    }
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_memory_equal(box.chain_last.b, chain.b, DIGEST_BYTES);
    /* At least one, then as many as fit. */
    buf_reset(&lines);
    assert_int_equal(outbox_read(l.r, 2, 100, 1, &lines, &count, &before), FB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(outbox_read(l.r, 2, 2, 1 << 20, &lines, &count, &before), FB_OK);
    assert_int_equal(count, 2);
    buf_clear(&lines);
    lab_stop(&l);
}

static void capture__update_carries_base_and_drops_what_is_unchanged(void **state)
{
    lab l;
    digest before;
    fb_error err;
    arena *memory = arena_new(1 << 22);
    (void)state;
    start_with_item(&l);
    const int columns[] = {l.note, l.name};
    const fb_value values[] = {{.kind = FB_KIND_TEXT, .u.text = T("note")},
                               {.kind = FB_KIND_TEXT, .u.text = T("new")}};
    fb_id one = lab_id(1);
    lab_begin(&l, "lab.change");
    assert_int_equal(capture_update(l.r, l.item, &one, columns, values, 2, &err), FB_OK);
    assert_int_equal(capture_update(l.r, l.item, &one, columns, values, 2, &err),
                     FB_OK); /* no op */
    assert_int_equal(lab_commit(&l), 1);
    group g = read_group(&l, 1, memory, &before);
    assert_int_equal(g.ops_count, 1);
    assert_int_equal(g.ops[0].kind, OP_UPDATE);
    assert_int_equal(g.ops[0].base_ver, 50);
    assert_int_equal(g.ops[0].columns_count, 1);
    assert_int_equal(g.ops[0].columns[0], l.name);
    assert_true(text_is(g.ops[0].base[0].u.text, "one"));
    assert_true(text_is(g.ops[0].mine[0].u.text, "new"));
    assert_int_equal(lab_count(&l, "SELECT ver FROM lab_item"), 50);
    lab_check(&l);
    arena_free(memory);
    lab_stop(&l);
}

static void capture__delta_and_delete_are_undone_exactly(void **state)
{
    lab l;
    buf out;
    fb_error err;
    fb_id one = lab_id(1);
    (void)state;
    start_with_item(&l);
    lab_begin(&l, "lab.take");
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, -3, &err), FB_OK);
    assert_int_equal(lab_qty(&l, 1), 7);
    assert_int_equal(capture_delete(l.r, l.item, &one, &err), FB_OK);
    assert_int_equal(lab_commit(&l), 1);
    assert_false(lab_has(&l, 1));
    lab_check(&l);
    reply_begin(&l, &out, 1, 0, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_qty(&l, 1), 10);
    assert_string_equal(lab_text(&l, 1, l.note), "note");
    assert_int_equal(lab_count(&l, "SELECT ver FROM lab_item"), 50);
    lab_stop(&l);
}

static fb_code try_insert(lab *l, unsigned id, fb_value name, fb_error *err)
{
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(id)};
    values[l->name] = name;
    return capture_insert(l->r, l->item, values, err);
}

static void capture__a_refused_op_leaves_the_group_as_it_was(void **state)
{
    lab l;
    digest before;
    char long_text[70];
    fb_error err = {.code = FB_OK};
    fb_id nine = lab_id(9);
    arena *memory = arena_new(1 << 22);
    (void)state;
    start_with_item(&l);
    memset(long_text, 'x', sizeof long_text);
    const fb_value too_long = {.kind = FB_KIND_TEXT, .u.text = {long_text, sizeof long_text}};
    const fb_value good = {.kind = FB_KIND_TEXT, .u.text = T("good")};
    lab_begin(&l, "lab.save");
    assert_int_equal(try_insert(&l, 2, too_long, &err), FB_E_LENGTH);
    assert_string_equal(err.field, "lab_item.name");
    assert_int_equal(try_insert(&l, 1, good, &err), FB_E_EXISTS);
    assert_int_equal(capture_delete(l.r, l.item, &nine, &err), FB_E_NOT_FOUND);
    assert_int_equal(capture_delta(l.r, l.item, &nine, l.qty, 1, &err), FB_E_NOT_FOUND);
    nine = lab_id(1);
    assert_int_equal(capture_delta(l.r, l.item, &nine, l.name, 1, &err), FB_E_FORBIDDEN);
    assert_int_equal(capture_delta(l.r, l.item, &nine, l.qty, 2000000, &err), FB_E_RANGE);
    assert_int_equal(capture_update(l.r, l.item, &nine, &l.name, &too_long, 1, &err), FB_E_LENGTH);
    assert_int_equal(try_insert(&l, 2, good, &err), FB_OK);
    assert_int_equal(lab_commit(&l), 1);
    group g = read_group(&l, 1, memory, &before);
    assert_int_equal(g.ops_count, 1);
    lab_check(&l);
    arena_free(memory);
    lab_stop(&l);
}

/* A call that cannot be so is refused by itself: what was entered before it is saved all the same.
 */
static void capture__a_wrong_call_leaves_the_group_as_it_was(void **state)
{
    lab l;
    buf number;
    fb_error err = {.code = FB_OK};
    fb_value row[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    const fb_value text = {.kind = FB_KIND_TEXT, .u.text = T("x")};
    const fb_id one = lab_id(1);
    char long_kind[100];
    (void)state;
    start_with_item(&l);
    memset(long_kind, 'k', sizeof long_kind - 1);
    long_kind[sizeof long_kind - 1] = '\0';
    assert_int_equal(capture_begin(l.r, NULL, 0, 0, &err), FB_E_MISUSE);
    assert_int_equal(capture_begin(l.r, "", 0, 0, &err), FB_E_MISUSE);
    assert_int_equal(capture_begin(l.r, long_kind, 0, 0, &err), FB_E_MISUSE);
    assert_string_equal(err.field, "kind");
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_begin(l.r, "lab.save", 0, 0, &err), FB_E_MISUSE);
    lab_insert(&l, 2, "two", 2);

    int columns[CATALOG_COLUMNS_LIMIT + 1] = {l.name, l.name};
    fb_value values[CATALOG_COLUMNS_LIMIT + 1] = {text, text};
    const struct {
        int first;
        uint32_t count;
        fb_code code;
    } UPDATES[] = {
        {0, 1, FB_E_MISUSE},
        {cat_ver_column(l.item), 1, FB_E_MISUSE},
        {-1, 1, FB_E_MISUSE},
        {l.name, 2, FB_E_MISUSE}, /* twice the same */
        {l.name, CATALOG_COLUMNS_LIMIT + 1, FB_E_LIMIT},
    };
    for (size_t i = 0; i < sizeof UPDATES / sizeof UPDATES[0]; i++) {
        columns[0] = UPDATES[i].first;
        assert_int_equal(capture_update(l.r, l.item, &one, columns, values, UPDATES[i].count, &err),
                         UPDATES[i].code);
    }
    assert_int_equal(capture_insert(l.r, l.item, row, &err), FB_E_REQUIRED);
    row[0] = (fb_value){.kind = FB_KIND_ID};
    assert_int_equal(capture_insert(l.r, l.item, row, &err), FB_E_REQUIRED);
    assert_string_equal(err.field, "id");
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, INT64_MAX, &err), FB_E_RANGE);
    assert_int_equal(capture_delta(l.r, l.item, &one, l.name, 1, &err), FB_E_FORBIDDEN);
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, 0, &err), FB_OK); /* nothing to add */
    buf_init(&number, 5);
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_E_LIMIT);
    assert_string_equal(err.field, "prefix");
    buf_clear(&number);

    arena *memory = arena_new(1 << 20);
    digest before;
    group g = read_group(&l, lab_commit(&l), memory, &before);
    assert_int_equal(g.ops_count, 1);
    assert_true(lab_has(&l, 2));
    assert_int_equal(lab_qty(&l, 1), 10);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    arena_free(memory);
    lab_check(&l);
    lab_stop(&l);
}

static void capture__a_group_beyond_its_limits_saves_nothing(void **state)
{
    lab l;
    char text[1900];
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    fb_code rc = FB_OK;
    (void)state;
    start_with_item(&l);
    memset(text, 'x', sizeof text);
    const fb_value value = {.kind = FB_KIND_TEXT, .u.text = {text, sizeof text}};
    lab_begin(&l, "lab.save");
    for (unsigned i = 2; i < 700 && rc == FB_OK; i++) {
        fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(i)};
        values[l.note] = value;
        rc = capture_insert(l.r, l.item, values, &err);
    }
    assert_int_equal(capture_commit(l.r, &gseq, &err), FB_E_LIMIT);
    assert_false(capture_is_open(l.r));
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 0);
    lab_check(&l);
    lab_stop(&l);
}

/* SQLite rolls the whole transaction back when the disk is full; a trigger does the same here. */
static void capture__nothing_is_saved_after_the_database_gave_up(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    (void)state;
    start_with_item(&l);
    assert_int_equal(sql_exec(replica_sql(l.r),
                              "CREATE TRIGGER bad BEFORE INSERT ON lab_item WHEN new.name='bad'"
                              " BEGIN SELECT raise(ROLLBACK, 'no'); END"),
                     FB_OK);
    const fb_value good = {.kind = FB_KIND_TEXT, .u.text = T("good")};
    const fb_value bad = {.kind = FB_KIND_TEXT, .u.text = T("bad")};
    lab_begin(&l, "lab.save");
    assert_int_equal(try_insert(&l, 2, good, &err), FB_OK);
    assert_int_not_equal(try_insert(&l, 3, bad, &err), FB_OK);
    assert_int_equal(try_insert(&l, 4, good, &err), FB_E_STATE);
    assert_int_not_equal(capture_commit(l.r, &gseq, &err), FB_OK);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 0);
    assert_int_equal(lab_save(&l, 5, "good", 1), 1);
    lab_check(&l);
    lab_stop(&l);
}

static int deny_items(void *ctx, int what, const char *table, const char *b, const char *c,
                      const char *d)
{
    (void)ctx;
    (void)what;
    (void)b;
    (void)c;
    (void)d;
    return table != NULL && strcmp(table, "lab_item") == 0 ? SQLITE_DENY : SQLITE_OK;
}

static fb_code change_all(lab *l)
{
    fb_error err;
    const fb_id id = lab_id(1);
    fb_value row[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_ID, .u.id = lab_id(2)}};
    const fb_value text = {.kind = FB_KIND_TEXT, .u.text = T("again")};
    row[l->name] = text;
    fb_code rc = capture_update(l->r, l->item, &id, &l->name, &text, 1, &err);
    rc = rc == FB_OK ? capture_insert(l->r, l->item, row, &err) : rc;
    return rc == FB_OK ? capture_delete(l->r, l->item, &id, &err) : rc;
}

/* A statement that could not be prepared is not kept in the place of the one that was asked for:
 * found by fb-torture. */
static void capture__goes_on_after_statements_that_could_not_be_prepared(void **state)
{
    lab l;
    (void)state;
    start_with_item(&l);
    lab_reopen(&l); /* nothing is prepared yet */
    lab_begin(&l, "lab.save");
    sqlite3_set_authorizer(sql_handle(replica_sql(l.r)), deny_items, NULL);
    assert_int_equal(change_all(&l), FB_E_FORBIDDEN);
    sqlite3_set_authorizer(sql_handle(replica_sql(l.r)), NULL, NULL);
    capture_abort(l.r);
    lab_begin(&l, "lab.save");
    assert_int_equal(change_all(&l), FB_OK);
    capture_abort(l.r);
    lab_check(&l);
    lab_stop(&l);
}

static void capture__asks_for_rights(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    const fb_value good = {.kind = FB_KIND_TEXT, .u.text = T("good")};
    (void)state;
    lab_init(&l, DB, NULL, 5);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    assert_int_equal(capture_begin(l.r, "lab.save", 0, 0, &err), FB_E_AUTH); /* not enrolled */
    lab_enrol(&l);
    const cat_entity *tag = catalog_entity_str(replica_catalog(l.r), "customer_tag");
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(1)};
    assert_int_equal(capture_begin(l.r, "lab.save", 0, 0, &err), FB_OK);
    assert_int_equal(capture_insert(l.r, tag, values, &err), FB_E_AUTH); /* nothing synced */
    capture_abort(l.r);
    lab_first_sync(&l);
    tag = catalog_entity_str(replica_catalog(l.r), "customer_tag");
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_insert(l.r, tag, values, &err),
                     FB_E_FORBIDDEN); /* role LAB has no grant there */
    assert_int_equal(try_insert(&l, 1, good, &err), FB_OK);
    capture_abort(l.r);

    /* Rows of role_permission replace the catalogue's grants. */
    const cat_entity *permission = catalog_entity_str(replica_catalog(l.r), "role_permission");
    const int columns[] = {0, cat_column_str(permission, "role_id"),
                           cat_column_str(permission, "permission")};
    const fb_value row[] = {{.kind = FB_KIND_ID, .u.id = lab_id(77)},
                            {.kind = FB_KIND_ID, .u.id = l.role},
                            {.kind = FB_KIND_TEXT, .u.text = T("lab_item.update")}};
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    block_head_put(&out, permission, BLOCK_ROW, columns, 3);
    row_put(&out, permission, columns, 3, row);
    reply_row(&l, &out, 2, "two", NULL, 0, 50);
    reply_take(&l, &out);
    lab_begin(&l, "lab.save");
    assert_int_equal(try_insert(&l, 1, good, &err), FB_E_FORBIDDEN);
    lab_set(&l, 2, l.name, "allowed");
    assert_int_equal(lab_commit(&l), 1);
    lab_stop(&l);
}

static void capture__long_bodies_are_stored_packed_and_read_exactly(void **state)
{
    lab l;
    digest before;
    arena *memory = arena_new(1 << 22);
    (void)state;
    lab_start(&l, DB, 9);
    lab_begin(&l, "lab.save");
    for (unsigned i = 1; i <= 50; i++) {
        lab_insert(&l, i, "the same text again and again", i);
    }
    lab_commit(&l);
    group g = read_group(&l, 1, memory, &before);
    assert_int_equal(g.ops_count, 50);
    assert_true(lab_count(&l, "SELECT length(body) FROM fb_outbox") < 1500);
    lab_check(&l);
    arena_free(memory);
    lab_stop(&l);
}

static void capture__two_connections_share_one_file(void **state)
{
    lab a;
    lab b;
    fb_error err = {.code = FB_OK};
    int64_t stamp = 0;
    bool changed[400];
    (void)state;
    lab_start(&a, DB, 10);
    b = a;
    b.port.ctx = &b;
    assert_int_equal(lab_open(&b, &err), FB_OK);
    lab_find_columns(&b);
    assert_int_equal(lab_save(&a, 1, "a", 1), 1);
    assert_int_equal(lab_save(&b, 2, "b", 1), 2);
    assert_int_equal(lab_save(&a, 3, "a", 1), 3);
    assert_int_equal(lab_change(&b, 1, b.name, "b"), 4);
    stamp = replica_stamp(b.r);
    assert_int_equal(replica_changed_since(b.r, stamp, changed, &stamp), FB_OK);
    assert_false(changed[b.item->number]);
    assert_int_equal(lab_change(&a, 2, a.name, "a"), 5);
    assert_int_equal(replica_changed_since(b.r, stamp, changed, &stamp), FB_OK);
    assert_true(changed[b.item->number]);
    lab_check(&a);
    lab_check(&b);
    lab_close(&b);
    lab_stop(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture__saves_rows_and_group_together),
        cmocka_unit_test(capture__abort_leaves_nothing),
        cmocka_unit_test(capture__numbers_and_chains_groups_without_gaps),
        cmocka_unit_test(capture__update_carries_base_and_drops_what_is_unchanged),
        cmocka_unit_test(capture__delta_and_delete_are_undone_exactly),
        cmocka_unit_test(capture__a_refused_op_leaves_the_group_as_it_was),
        cmocka_unit_test(capture__a_wrong_call_leaves_the_group_as_it_was),
        cmocka_unit_test(capture__a_group_beyond_its_limits_saves_nothing),
        cmocka_unit_test(capture__nothing_is_saved_after_the_database_gave_up),
        cmocka_unit_test(capture__goes_on_after_statements_that_could_not_be_prepared),
        cmocka_unit_test(capture__asks_for_rights),
        cmocka_unit_test(capture__long_bodies_are_stored_packed_and_read_exactly),
        cmocka_unit_test(capture__two_connections_share_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
