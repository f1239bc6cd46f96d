/* test_small_catalogue.c - servers that know less than this app: their organisation and an entity
 * or two. What the device does about attachments, conflicts and erasures is left out there, groups
 * on what the server does not know stay, and catalogues come and go with the server's. */
#include <stdlib.h>

#include "replica/blob.h"
#include "sql/sql.h"
#include "support/lab.h"
#include "support/mem_files.h"
#include "wire/sync_msg.h"

#define DB lab_path("small_catalogue")

/* --- catalogues ------------------------------------------------------------------------------- */

/* clang-format off */
#define LABEL "\"label\":{\"en\":\"Thing\",\"zh\":\"物\"}"
#define ITEM_OF(columns) \
    "{\"name\":\"lab_item\"," LABEL ",\"class\":\"shared\",\"scope\":[{\"by\":\"global\"}],\"columns\":[" \
    "{\"name\":\"name\",\"type\":\"text\",\"max\":60," LABEL "}," \
    "{\"name\":\"qty\",\"type\":\"int64\",\"policy\":\"DELTA\"," LABEL "}" columns "],\"grants\":{\"LAB\":\"cruda\"}}"
#define NOTE ",{\"name\":\"note\",\"type\":\"text\",\"max\":60," LABEL "}"
#define SHELF "," SHELF_ALONE
#define SHELF_ALONE \
    "{\"name\":\"lab_shelf\"," LABEL ",\"class\":\"shared\",\"scope\":[{\"by\":\"global\"}],\"columns\":[" \
    "{\"name\":\"title\",\"type\":\"text\",\"max\":60," LABEL "}],\"grants\":{\"LAB\":\"cruda\"}}"
#define STOCK \
    ",{\"name\":\"lab_stock\"," LABEL ",\"class\":\"shared\",\"device_writes\":false,\"scope\":[{\"by\":\"global\"}]," \
    "\"columns\":[{\"name\":\"count\",\"type\":\"int64\",\"policy\":\"DELTA\"," LABEL "}],\"grants\":{\"LAB\":\"cruda\"}}"
/* clang-format on */

static buf catalog_of(int version, const char *entities)
{
    buf text;
    FILE *f = fopen(FB_SOURCE_DIR "/schema/catalog/org.json", "rb");
    assert_non_null(f);
    buf_init(&text, CATALOG_BYTES_MAX);
    buf_printf(&text, "{\"version\":%d,\"modules\":[", version);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        buf_put_char(&text, (char)c);
    }
    buf_printf(&text, ",{\"module\":\"lab\",\"entities\":[%s]}]}", entities);
    assert_int_equal(text.code, FB_OK);
    fclose(f);
    return text;
}

static void columns_find(lab *l)
{
    l->item = catalog_entity_str(replica_catalog(l->r), "lab_item");
    assert_non_null(l->item);
    l->name = cat_column_str(l->item, "name");
    l->note = cat_column_str(l->item, "note");
    l->qty = cat_column_str(l->item, "qty");
}

/* A reply with a catalogue; with `reset` the base comes anew, with nothing but rights. */
static fb_code catalog_try(lab *l, int version, const char *entities, bool reset, fb_error *err)
{
    static int64_t head = 10;
    buf out, text = catalog_of(version, entities);
    stage_result got;
    char token[24];
    head++;
    snprintf(token, sizeof token, "0.%d", (int)head);
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    reply_begin(l, &out, box.acked, 0, head);
    catalog_line_put(&out, buf_text(&text));
    reply_page(&out, token, true, reset);
    if (reset) {
        reply_rights(l, &out);
    }
    fb_code rc = reply_try(l, &out, &got, err);
    buf_clear(&text);
    return rc;
}

static void catalog_take(lab *l, int version, const char *entities, bool reset)
{
    fb_error err = {.code = FB_OK};
    if (catalog_try(l, version, entities, reset, &err) != FB_OK) {
        fail_msg("%s %s: %s", fb_code_name(err.code), err.field, err.message);
    }
    columns_find(l);
}

static void small_start(lab *l, int version, const char *entities)
{
    fb_error err = {.code = FB_OK};
    lab_init(l, DB, NULL, 6);
    assert_int_equal(lab_open(l, &err), FB_OK);
    lab_enrol(l);
    catalog_take(l, version, entities, true);
}

static void sql(lab *l, const char *text)
{
    if (sql_exec(replica_sql(l->r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(l->r)));
    }
}

static int64_t shelf_save(lab *l, unsigned id)
{
    fb_error err = {.code = FB_OK};
    const cat_entity *shelf = catalog_entity_str(replica_catalog(l->r), "lab_shelf");
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_ID, .u.id = lab_id(id)}};
    lab_begin(l, "lab.shelf");
    assert_int_equal(capture_insert(l->r, shelf, values, &err), FB_OK);
    return lab_commit(l);
}

/* --- less than the app ------------------------------------------------------------------------ */

/* No attachment, no conflict, no erasure, no stamps: what looks at them finds nothing to do. */
static void small_catalogue__is_worked_with(void **state)
{
    lab l;
    replica_status st;
    mem_files *files = mem_files_new(3);
    (void)state;
    small_start(&l, 9, ITEM_OF(NOTE));
    l.files = mem_files_port(files);
    lab_close(&l);
    fb_error err = {.code = FB_OK};
    assert_int_equal(lab_open(&l, &err), FB_OK);
    columns_find(&l);
    lab_save(&l, 1, "one", 1);
    lab_change(&l, 1, l.name, "changed");
    assert_int_equal(blob_round_begin(l.r, 5000), FB_OK);
    assert_int_equal(replica_status_get(l.r, &st), FB_OK);
    assert_true(st.pending == 2 && st.conflicts_open == 0);
    catalog_take(&l, 9, ITEM_OF(NOTE), false); /* it is here: the page is a page */
    assert_string_equal(lab_text(&l, 1, l.name), "changed");
    lab_check(&l);
    lab_stop(&l);
    mem_files_free(files);
}

/* Greater is not enough: with a token it must only add, and without one it replaces. */
static void catalogue__that_takes_away_is_refused_or_replaces(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE) SHELF);
    lab_save(&l, 1, "one", 1);
    assert_int_equal(catalog_try(&l, 4, ITEM_OF(NOTE), false, &err), FB_E_CATALOG);
    assert_true(err.message[0] != '\0');
    assert_non_null(catalog_entity_str(replica_catalog(l.r), "lab_shelf"));
    sql(&l, "DELETE FROM fb_meta WHERE key='token'");
    catalog_take(&l, 4, ITEM_OF(NOTE), true);
    assert_null(catalog_entity_str(replica_catalog(l.r), "lab_shelf"));
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    lab_check(&l);
    lab_stop(&l);
}

/* The database is lost: its second copy has a catalogue that takes away from the app's own. What
 * was saved is sent all the same, and shown when the server's catalogue comes. */
static void salvage__with_a_catalogue_that_takes_away(void **state)
{
    lab l;
    outbox_state box;
    fb_error err = {.code = FB_OK};
    (void)state;
    small_start(&l, 9, ITEM_OF(NOTE));
    lab_save(&l, 1, "one", 1);
    lab_close(&l);
    assert_int_equal(remove(l.path), 0);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, 1);
    catalog_take(&l, 9, ITEM_OF(NOTE), true);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    lab_check(&l);
    lab_stop(&l);
}

/* Tables are made anew under groups of every kind: those that left with a backup, a refused one,
 * one that waits. */
static void groups__are_put_on_other_tables(void **state)
{
    lab l;
    buf out;
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE) SHELF);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "refused", 1);
    lab_save(&l, 3, "waits", 1);
    reply_begin(&l, &out, 2, 1, 400);
    verdict_run_put(&out, 1, 1, 5);
    reply_verdict(&out, 2, VERDICT_REJECTED, false);
    reply_page(&out, "0.400", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT min(gseq) FROM fb_outbox"), 2);
    sql(&l, "DELETE FROM fb_meta WHERE key='token'; UPDATE fb_meta SET value=0 WHERE key='head'");
    lab_close(&l);
    fb_error err = {.code = FB_OK};
    assert_int_equal(lab_open(&l, &err), FB_OK);
    catalog_take(&l, 4, ITEM_OF(NOTE), true);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 1);
    assert_string_equal(lab_text(&l, 3, l.name), "waits");
    lab_check(&l);
    lab_stop(&l);
}

static fb_code count_one(void *ctx, const parked_row *row)
{
    assert_true(row->changed);
    ++*(int *)ctx;
    return FB_OK;
}

/* A group on an entity that went: it waits, is passed over where others are shown, and a server
 * that takes it all the same says what cannot be. */
static void group_on_what_is_gone__stays(void **state)
{
    lab l;
    buf out;
    int seen = 0;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE) SHELF);
    reply_begin(&l, &out, 0, 0, 400);
    reply_page(&out, "0.400", true, false);
    reply_row(&l, &out, 5, "five", "of the server", 5, 50);
    reply_take(&l, &out);
    lab_change(&l, 5, l.name, "mine");
    shelf_save(&l, 70);
    reply_begin(&l, &out, 0, 0, 401);
    reply_page(&out, "0.401", true, false);
    reply_gone(&l, &out, BLOCK_LEAVE, 5);
    reply_take(&l, &out);
    sql(&l, "DELETE FROM fb_meta WHERE key='token'; UPDATE fb_meta SET value=0 WHERE key='head'");
    lab_close(&l);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    catalog_take(&l, 4, ITEM_OF(NOTE), true);
    assert_int_equal(parked_each(l.r, count_one, &seen), FB_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_warning"), 2);
    lab_check(&l);
    reply_begin(&l, &out, 2, 0, 900);
    verdict_run_put(&out, 1, 2, 20);
    reply_page(&out, "0.900", true, false);
    reply_row(&l, &out, 6, "six", NULL, 6, 60);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_E_CORRUPT);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 2);
    lab_stop(&l);
}

/* A screen still holds the entity of an earlier catalogue, which stood at another place in it or
 * behind the end of the new one: what it saves is seen to have changed. */
static void entity__of_an_earlier_catalogue_is_still_watched(void **state)
{
    static const struct {
        const char *before, *after;
        bool replaces;
    } CASES[] = {{ITEM_OF(NOTE), ITEM_OF(NOTE) SHELF, false},
                 {SHELF_ALONE "," ITEM_OF(NOTE), ITEM_OF(NOTE), true}};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        lab l;
        bool changed[256];
        int64_t stamp = 0;
        small_start(&l, 3, CASES[i].before);
        const cat_entity *earlier = l.item;
        if (CASES[i].replaces) {
            sql(&l, "DELETE FROM fb_meta WHERE key='token'");
        }
        catalog_take(&l, 4, CASES[i].after, CASES[i].replaces);
        const cat_entity *now = l.item;
        assert_ptr_not_equal(earlier, now);
        stamp = replica_stamp(l.r);
        l.item = earlier;
        lab_save(&l, 1, "one", 1);
        assert_int_equal(replica_changed_since(l.r, stamp, changed, &stamp), FB_OK);
        assert_true(changed[now->number]);
        l.item = now;
        lab_check(&l);
        lab_stop(&l);
    }
}

/* --- two handles ------------------------------------------------------------------------------ */

static void catalogue__that_another_handle_brought_is_followed(void **state)
{
    lab l, m;
    fb_error err = {.code = FB_OK};
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE));
    m = l;
    m.r = NULL;
    lab_port(&m);
    assert_int_equal(lab_open(&m, &err), FB_OK);
    catalog_take(&l, 4, ITEM_OF(NOTE) SHELF, false);
    assert_null(catalog_entity_str(replica_catalog(m.r), "lab_shelf"));
    assert_int_equal(replica_refresh(m.r), FB_OK);
    assert_non_null(catalog_entity_str(replica_catalog(m.r), "lab_shelf"));
    shelf_save(&m, 70);
    lab_check(&m);
    lab_close(&m);
    lab_stop(&l);
}

/* Another program took the mark of it away: what stands in the file counts. */
static void catalogue__whose_mark_is_gone_is_read_again(void **state)
{
    lab l, m;
    fb_error err = {.code = FB_OK};
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE));
    m = l;
    m.r = NULL;
    lab_port(&m);
    assert_int_equal(lab_open(&m, &err), FB_OK);
    sql(&l, "DELETE FROM fb_meta WHERE key='adopted'");
    assert_int_equal(replica_refresh(m.r), FB_OK);
    columns_find(&m);
    lab_save(&m, 1, "one", 1);
    lab_check(&m);
    lab_close(&m);
    lab_stop(&l);
}

static void file_without_catalogue__is_not_shown(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE));
    sql(&l, "DELETE FROM fb_catalog");
    lab_close(&l);
    const replica_options o = {.path = DB, .port = &l.port, .read_only = true};
    assert_int_equal(replica_open(&o, &l.r, &err), FB_E_CORRUPT);
    assert_string_equal(err.field, "fb_catalog");
    lab_stop(&l);
}

/* --- rights ----------------------------------------------------------------------------------- */

static void difference__needs_a_right_and_an_entity_of_devices(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    const fb_id one = lab_id(1);
    (void)state;
    small_start(&l, 3, ITEM_OF(NOTE) STOCK);
    const cat_entity *stock = catalog_entity_str(replica_catalog(l.r), "lab_stock");
    reply_begin(&l, &out, 0, 0, 400);
    reply_page(&out, "0.400", true, false);
    reply_row(&l, &out, 1, "one", NULL, 5, 50);
    buf_put_str(&out, "{\"e\":\"lab_stock\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"count\"]}\n"
                      "[\"01900000-0000-7000-8000-000000000001\",\"51\",\"7\"]\n");
    reply_take(&l, &out);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_delta(l.r, stock, &one, cat_column_str(stock, "count"), 1, &err),
                     FB_E_FORBIDDEN);
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, 1, &err), FB_OK);
    lab_commit(&l);
    reply_begin(&l, &out, 0, 0, 401);
    reply_page(&out, "0.401", true, true);
    reply_role(&l, &out, "REP"); /* which the catalogue grants nothing */
    reply_row(&l, &out, 1, "one", NULL, 5, 50);
    reply_take(&l, &out);
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, 1, &err), FB_E_FORBIDDEN);
    assert_int_equal(capture_delete(l.r, l.item, &one, &err), FB_E_FORBIDDEN);
    assert_int_equal(lab_commit(&l), 0); /* nothing was done */
    assert_int_equal(lab_qty(&l, 1), 6);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_catalogue__is_worked_with),
        cmocka_unit_test(catalogue__that_takes_away_is_refused_or_replaces),
        cmocka_unit_test(salvage__with_a_catalogue_that_takes_away),
        cmocka_unit_test(groups__are_put_on_other_tables),
        cmocka_unit_test(group_on_what_is_gone__stays),
        cmocka_unit_test(entity__of_an_earlier_catalogue_is_still_watched),
        cmocka_unit_test(catalogue__that_another_handle_brought_is_followed),
        cmocka_unit_test(catalogue__whose_mark_is_gone_is_read_again),
        cmocka_unit_test(file_without_catalogue__is_not_shown),
        cmocka_unit_test(difference__needs_a_right_and_an_entity_of_devices),
    };
    return cmocka_run_group_tests_name("small_catalogue", tests, NULL, NULL);
}
