/* test_promote.c - PRO-1, PRO-2, PRO-3: what becomes visible, when, and in which order.
 *
 * First single promises with replies written by hand, then one device against a small model of a
 * server (promote__keeps_PRO_1...), where every step compares every row with the model. */
#include "support/lab.h"

#define DB lab_path("promote")

static void promote__shows_what_others_changed(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", NULL, 3, 50);
    stage_result got = reply_take(&l, &out);
    assert_true(got.promoted);
    assert_int_equal(got.rows, 1);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    assert_int_equal(lab_qty(&l, 1), 3);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__keeps_pending_work_on_top(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 2);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", "n", 3, 50);
    reply_take(&l, &out);
    assert_int_equal(lab_change(&l, 1, l.name, "mine"), 1);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_row(&l, &out, 1, "theirs", "other", 4, 60);
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 1, l.name), "mine");
    assert_string_equal(lab_text(&l, 1, l.note), "other");
    lab_check(&l);
    /* Refused: what others wrote meanwhile stands, not what was there when it was captured. */
    reply_begin(&l, &out, 1, 0, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 1, l.name), "theirs");
    lab_check(&l);
    lab_stop(&l);
}

static void promote__plain_groups_become_base_without_moving_a_row(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 3);
    lab_save(&l, 1, "one", 1);
    lab_change(&l, 1, l.name, "two");
    reply_begin(&l, &out, 2, 0, 7);
    verdict_run_put(&out, 1, 2, 6);
    reply_page(&out, "0.7", true, false);
    stage_result got = reply_take(&l, &out);
    assert_true(got.complete);
    assert_false(got.promoted);
    assert_string_equal(lab_text(&l, 1, l.name), "two");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_undo"), 0);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 2); /* not backed up: kept */
    lab_check(&l);
    reply_begin(&l, &out, 2, 2, 7);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 0);
    assert_int_equal(lab_save(&l, 2, "next", 0), 3); /* OUT-2 over the pruned ones */
    lab_check(&l);
    lab_stop(&l);
}

static void promote__a_page_read_before_a_group_does_not_overwrite_it(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 4);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "old", NULL, 0, 50);
    reply_take(&l, &out);
    lab_change(&l, 1, l.name, "mine");
    /* Page one was read before group 1 was applied, page two after it; the echo rule leaves the row
     * out there. */
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6+", false, false);
    reply_row(&l, &out, 1, "old", "noted", 0, 60);
    stage_result got = reply_take(&l, &out);
    assert_false(got.promoted);
    assert_string_equal(lab_text(&l, 1, l.note), ""); /* PRO-2 */
    reply_begin(&l, &out, 1, 0, 7);
    verdict_run_put(&out, 1, 1, 7);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 1, l.name), "mine");
    assert_string_equal(lab_text(&l, 1, l.note), "noted");
    lab_check(&l);
    lab_stop(&l);
}

static void promote__verdicts_have_no_effect_before_the_page_is_complete(void **state)
{
    lab l;
    buf out;
    buf token;
    (void)state;
    lab_start(&l, DB, 5);
    lab_save(&l, 1, "one", 1);
    reply_begin(&l, &out, 1, 0, 7);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.6+", false, false);
    reply_row(&l, &out, 2, "two", NULL, 0, 60);
    reply_take(&l, &out);
    lab_reopen(&l);              /* staged pages and their token survive */
    assert_true(lab_has(&l, 1)); /* PRO-3 */
    assert_false(lab_has(&l, 2));
    buf_init(&token, 100);
    assert_int_equal(stage_token(l.r, &token), FB_OK);
    assert_string_equal(buf_cstr(&token), "0.6+");
    buf_clear(&token);
    lab_check(&l);
    reply_begin(&l, &out, 1, 0, 7);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    assert_true(lab_has(&l, 2));
    lab_check(&l);
    lab_stop(&l);
}

static void promote__held_groups_stay_visible_until_the_later_verdict(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 6);
    lab_save(&l, 1, "held", 1);
    lab_save(&l, 2, "plain", 1);
    reply_begin(&l, &out, 2, 0, 7);
    reply_verdict(&out, 1, VERDICT_HELD, false);
    verdict_run_put(&out, 2, 2, 7);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_true(lab_has(&l, 1));
    lab_check(&l);
    reply_begin(&l, &out, 2, 2, 8);
    reply_verdict(&out, 1, VERDICT_APPLIED, true);
    reply_page(&out, "0.8", true, false);
    reply_row(&l, &out, 1, "held, changed", NULL, 1, 80);
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 1, l.name), "held, changed");
    /* OUT-5: the backup that is known now may be older than the decision. */
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE gseq=1"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 1);
    lab_save(&l, 3, "behind it", 1);
    reply_begin(&l, &out, 3, 2, 9);
    verdict_run_put(&out, 3, 3, 9);
    reply_page(&out, "0.9", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE gseq=1"), 1);
    reply_begin(&l, &out, 3, 3, 9);
    reply_page(&out, "0.9", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 0);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key GLOB 'decided/*'"), 0);
    lab_check(&l);
    lab_stop(&l);
}

/* The decision comes as a run; the marks are those of one life (OUT-5). */
static void promote__decided_groups_go_with_a_new_life(void **state)
{
    lab l;
    buf out;
    fb_error err;
    (void)state;
    lab_start(&l, DB, 21);
    lab_save(&l, 1, "held", 1);
    reply_begin(&l, &out, 1, 1, 7);
    reply_verdict(&out, 1, VERDICT_HELD, false);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    reply_begin(&l, &out, 1, 1, 8);
    verdict_run_put(&out, 1, 1, 8);
    reply_page(&out, "0.8", true, false);
    reply_row(&l, &out, 1, "held, changed", NULL, 1, 80);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=0"), 1);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=5 AND gseq < 0"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key GLOB 'decided/*'"), 0);
    lab_check(&l);
    lab_stop(&l);
}

static int64_t marked(lab *l, int64_t gseq)
{
    char sql[120];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM fb_meta JOIN fb_outbox ON key='decided/'||gseq WHERE state=2"
             " AND gseq=%lld",
             (long long)gseq);
    return lab_count(l, sql);
}

/* Refused by a decision: the mark goes along, under the numbers of each life, until a backup holds
 * a group of it. */
static void promote__refused_groups_stay_marked_in_new_lives(void **state)
{
    lab l;
    buf out;
    fb_error err;
    (void)state;
    lab_start(&l, DB, 22);
    for (unsigned g = 1; g <= 12; g++) {
        lab_save(&l, g, "held", 1);
    }
    reply_begin(&l, &out, 12, 12, 7);
    for (int64_t g = 1; g <= 12; g++) {
        reply_verdict(&out, g, VERDICT_HELD, false);
    }
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    reply_begin(&l, &out, 12, 12, 8);
    for (int64_t g = 1; g <= 12; g++) {
        reply_verdict(&out, g, VERDICT_REJECTED, false);
    }
    reply_page(&out, "0.8", true, false);
    reply_take(&l, &out);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
        for (int64_t g = 1; g <= 12; g++) {
            assert_int_equal(marked(&l, -g - life), 1);
        }
        lab_save(&l, 20 + (unsigned)life, "new", 1);
        reply_begin(&l, &out, 1, life, 9 + life);
        verdict_run_put(&out, 1, 1, 9 + life);
        reply_page(&out, "0.9", true, true);
        reply_rights(&l, &out);
        reply_take(&l, &out);
        assert_int_equal(marked(&l, -1 - life), 1 - life);
    }
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key GLOB 'decided/*'"), 0);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=2"), 12);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__alias_moves_every_reference(void **state)
{
    lab l;
    buf out;
    fb_error err;
    (void)state;
    lab_start(&l, DB, 7);
    lab_save(&l, 1, "double", 1);
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    for (unsigned id = 2; id <= 3; id++) { /* group 2 will be answered, group 3 stays pending */
        memset(values, 0, sizeof values);
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(id)};
        values[l.parent] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(1)};
        lab_begin(&l, "lab.child");
        assert_int_equal(capture_insert(l.r, l.item, values, &err), FB_OK);
        lab_commit(&l);
    }
    char text[200];
    char id[FB_ID_TEXT_BYTES];
    fb_id one = lab_id(1);
    fb_id nine = lab_id(9);
    id_put(&one, id);
    snprintf(text, sizeof text, "INSERT INTO fb_draft VALUES (x'01', 'order', 0, '{\"c\":\"%s\"}')",
             id);
    assert_int_equal(sql_exec(replica_sql(l.r), text), FB_OK);

    char to[FB_ID_TEXT_BYTES];
    id_put(&nine, to);
    struct verdict_alias alias = {T("lab_item"), text_of(id), text_of(to)};
    const verdict_msg v = {
        .gseq = 1, .code = VERDICT_ALIAS, .echo = true, .aliases = &alias, .aliases_count = 1};
    reply_begin(&l, &out, 2, 0, 7);
    verdict_put(&out, &v);
    verdict_run_put(&out, 2, 2, 7);
    reply_page(&out, "0.7", true, false);
    reply_row(&l, &out, 9, "single", NULL, 1, 70);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM lab_item WHERE parent_id=x'%s%s'",
             "01900000000070008000", "000000000009");
    assert_int_equal(lab_count(&l, sql), 2);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM fb_draft WHERE instr(body, '%s') > 0", to);
    assert_int_equal(lab_count(&l, sql), 1);
    /* New ops are rewritten when they are captured. */
    memset(values, 0, sizeof values);
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(4)};
    values[l.parent] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(1)};
    lab_begin(&l, "lab.child");
    assert_int_equal(capture_insert(l.r, l.item, values, &err), FB_OK);
    lab_commit(&l);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__warns_and_keeps_a_change_whose_row_left(void **state)
{
    lab l;
    buf out;
    outbox_state box;
    (void)state;
    lab_start(&l, DB, 8);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", NULL, 0, 50);
    reply_take(&l, &out);
    lab_change(&l, 1, l.name, "mine");
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_gone(&l, &out, BLOCK_LEAVE, 1);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_warning"), 1);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, 1);
    lab_check(&l);
    /* It comes back: the change applies again. */
    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "0.7", true, false);
    reply_row(&l, &out, 1, "back", "n", 0, 70);
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 1, l.name), "mine");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_warning"), 0);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__reset_rebuilds_the_base_and_keeps_pending_work(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 9);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", NULL, 0, 50);
    reply_row(&l, &out, 2, "two", NULL, 0, 51);
    reply_take(&l, &out);
    lab_change(&l, 1, l.name, "mine");
    lab_save(&l, 3, "new", 0);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "1.2+", false, true);
    reply_row(&l, &out, 1, "one again", NULL, 0, 60);
    reply_take(&l, &out);
    assert_true(lab_has(&l, 2));
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "1.6", true, false);
    reply_row(&l, &out, 4, "four", NULL, 0, 61);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 2));
    assert_string_equal(lab_text(&l, 1, l.name), "mine");
    assert_true(lab_has(&l, 3));
    assert_true(lab_has(&l, 4));
    lab_check(&l);
    lab_stop(&l);
}

static void promote__many_rows_keep_their_indexes(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 10);
    int64_t before = lab_count(&l, "SELECT count(*) FROM sqlite_schema WHERE type='index'");
    lab_save(&l, 1000000, "mine", 0);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, true);
    for (unsigned i = 0; i < 5000; i++) {
        reply_row(&l, &out, i, "row", NULL, i, 50);
    }
    stage_result got = reply_take(&l, &out);
    assert_int_equal(got.rows, 5000);
    assert_int_equal(
        lab_count(&l,
                  "SELECT count(*) FROM lab_item INDEXED BY ix_lab_item__name WHERE name='row'"),
        5000);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM sqlite_schema WHERE type='index'"),
                     before);
    assert_int_equal(sql_check(replica_sql(l.r), NULL), FB_OK);
    lab_check(&l);
    lab_stop(&l);
}

/* No page repeats what this device itself has changed meanwhile (echo rule): what is kept of a row
 * must not bring it back, nor a row that it has deleted. */
static void promote__own_work_on_a_row_with_an_unknown_column_stays(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 11);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    buf_put_str(&out,
                "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"name\",\"extra\",\"ver\"]}\n");
    buf_put_str(&out, "[\"01900000-0000-7000-8000-000000000001\",\"one\",\"more\",\"6\"]\n");
    buf_put_str(&out, "[\"01900000-0000-7000-8000-000000000002\",\"two\",\"gone\",\"7\"]\n");
    reply_take(&l, &out);
    lab_change(&l, 1, l.name, "mine");
    fb_id second = lab_id(2);
    lab_begin(&l, "lab.delete");
    assert_int_equal(capture_delete(l.r, l.item, &second, NULL), FB_OK);
    lab_commit(&l);
    reply_begin(&l, &out, 2, 0, 9);
    verdict_run_put(&out, 1, 2, 8);
    reply_page(&out, "0.9", true, false);
    reply_take(&l, &out);

    buf more = lab_catalog(true);
    reply_begin(&l, &out, 2, 0, 9);
    catalog_line_put(&out, buf_text(&more));
    reply_page(&out, "0.9", true, false);
    reply_take(&l, &out);
    buf_clear(&more);
    assert_int_equal(
        lab_count(&l, "SELECT count(*) FROM lab_item WHERE extra='more' AND name='mine'"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 0);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__rows_of_an_unknown_entity_wait_for_the_catalogue(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 11);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    buf_put_str(&out, "{\"e\":\"lab_more\",\"k\":\"row\",\"c\":[\"title\",\"id\",\"ver\"]}\n");
    buf_put_str(&out, "[\"hello\",\"01900000-0000-7000-8000-000000000001\",\"5\"]\n");
    buf_put_str(&out,
                "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"name\",\"extra\",\"ver\"]}\n");
    buf_put_str(&out, "[\"01900000-0000-7000-8000-000000000001\",\"one\",\"more\",\"6\"]\n");
    buf_put_str(&out, "[\"01900000-0000-7000-8000-000000000002\",\"two\",\"gone\",\"7\"]\n");
    reply_take(&l, &out);
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 3);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_gone(&l, &out, BLOCK_DELETE, 2);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 2);
    lab_change(&l, 1, l.name, "mine");

    const cat_entity *old = l.item;
    buf more = lab_catalog(true);
    reply_begin(&l, &out, 0, 0, 6);
    catalog_line_put(&out, buf_text(&more));
    reply_page(&out, "0.6", true, false);
    stage_result got = reply_take(&l, &out);
    buf_clear(&more);
    assert_true(got.catalog_changed);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 0);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_more WHERE title='hello'"), 1);
    assert_int_equal(
        lab_count(&l, "SELECT count(*) FROM lab_item WHERE extra='more' AND name='mine'"), 1);
    /* An entity of the catalogue before still works, with its own columns. */
    assert_ptr_equal(l.item, old);
    lab_change(&l, 1, l.note, "by the old catalogue");
    assert_int_equal(
        lab_count(
            &l, "SELECT count(*) FROM lab_item WHERE extra='more' AND note='by the old catalogue'"),
        1);
    lab_reopen(&l);
    assert_ptr_not_equal(l.item, old);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__new_epoch_sends_again_what_was_not_backed_up(void **state)
{
    lab l;
    buf out;
    outbox_state box;
    buf token;
    (void)state;
    lab_start(&l, DB, 12);
    lab_save(&l, 1, "in the backup", 10);
    lab_save(&l, 2, "applied, lost by the server", 20);
    lab_save(&l, 3, "never sent", 30);
    reply_begin(&l, &out, 2, 1, 7);
    verdict_run_put(&out, 1, 2, 6);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);

    l.epoch = lab_id(0xE00002);
    reply_begin(&l, &out, 1, 1, 6);
    stage_result got = reply_take(&l, &out); /* no page yet */
    assert_true(got.epoch_changed);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.acked, 1);
    assert_int_equal(box.old_base, 3);
    buf_init(&token, 100);
    assert_int_equal(stage_token(l.r, &token), FB_OK);
    assert_int_equal(token.size, 0);
    buf_clear(&token);
    assert_true(lab_has(&l, 2)); /* nothing disappears meanwhile */
    lab_check(&l);

    reply_begin(&l, &out, 1, 1, 6);
    reply_page(&out, "0.6", true, true);
    reply_row(&l, &out, 1, "in the backup", NULL, 10, 60);
    reply_rights(&l, &out);
    reply_take(&l, &out);
    assert_true(lab_has(&l, 1) && lab_has(&l, 2) && lab_has(&l, 3));
    lab_save(&l, 4, "saved over the base of the new epoch", 40);
    assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
    assert_int_equal(box.last, 4);
    assert_int_equal(box.old_base, 3);
    lab_check(&l);
    lab_stop(&l);
}

/* Group 1 was saved over the base of an earlier epoch, group 2 over that of this one. */
static void two_epochs(lab *l)
{
    buf out;
    lab_start(l, DB, 12);
    lab_save(l, 1, "over the lost base", 10);
    for (int with_page = 0; with_page < 2; with_page++) {
        l->epoch = lab_id(0xE00002);
        reply_begin(l, &out, 0, 0, 6);
        if (with_page == 1) {
            reply_page(&out, "0.6", true, true);
            reply_rights(l, &out);
        }
        reply_take(l, &out);
    }
    lab_save(l, 2, "over the new one", 20);
}

/* A new life carries over what waits. What was answered before it says nothing of the rest: for
 * years after a restore each new life had all its deletions refused. */
static void rebirth__knows_whether_an_old_base_is_left(void **state)
{
    lab l;
    buf out;
    fb_error err;
    outbox_state box;
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        two_epochs(&l);
        if (answered == 1) {
            reply_begin(&l, &out, 1, 0, 7);
            verdict_run_put(&out, 1, 1, 7);
            reply_page(&out, "0.7", true, false);
            reply_take(&l, &out);
        }
        for (int64_t lives = 0; lives < 2; lives++) { /* restored twice in a row */
            assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
            assert_int_equal(outbox_state_get(l.r, &box), FB_OK);
            assert_int_equal(box.last, 2 - answered);
            assert_int_equal(box.old_base, answered == 0 ? 2 : 0);
        }
        lab_check(&l);
        lab_stop(&l);
    }
}

static void promote__a_restored_server_may_accept_what_it_had_refused(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 16);
    lab_save(&l, 1, "refused at first", 1);
    reply_begin(&l, &out, 1, 0, 7);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    l.epoch = lab_id(0xE00002);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, true);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    reply_begin(&l, &out, 1, 0,
                8); /* nothing but a plain answer: the row must come from the outbox */
    verdict_run_put(&out, 1, 1, 8);
    reply_page(&out, "0.8", true, false);
    reply_take(&l, &out);
    assert_true(lab_has(&l, 1));
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state<>0"), 0);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_verdict"), 0);
    lab_check(&l);
    lab_stop(&l);
}

static void promote__an_alias_removes_a_row_of_the_base(void **state)
{
    lab l;
    buf out;
    char from[FB_ID_TEXT_BYTES];
    char to[FB_ID_TEXT_BYTES];
    (void)state;
    lab_start(&l, DB, 17);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "one", NULL, 0, 50);
    reply_row(&l, &out, 2, "the same", NULL, 0, 51);
    reply_take(&l, &out);
    lab_change(&l, 1, l.name, "mine");
    fb_id id = lab_id(1);
    id_put(&id, from);
    id = lab_id(2);
    id_put(&id, to);
    struct verdict_alias alias = {T("lab_item"), text_of(from), text_of(to)};
    const verdict_msg v = {
        .gseq = 1, .code = VERDICT_ALIAS, .echo = true, .aliases = &alias, .aliases_count = 1};
    reply_begin(&l, &out, 1, 0, 6);
    verdict_put(&out, &v);
    reply_page(&out, "0.6", true, false);
    reply_row(&l, &out, 2, "mine", NULL, 0, 60);
    reply_take(&l, &out);
    assert_false(lab_has(&l, 1));
    lab_change(&l, 1, l.note, "by the old id");
    assert_string_equal(lab_text(&l, 2, l.note), "by the old id");
    lab_check(&l);
    lab_stop(&l);
}

static void promote__what_the_reset_base_holds_is_not_added_twice(void **state)
{
    lab l;
    buf out;
    fb_error err;
    fb_id one = lab_id(1);
    (void)state;
    lab_start(&l, DB, 13);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(&l, &out, 1, "stock", NULL, 100, 50);
    reply_take(&l, &out);
    lab_begin(&l, "lab.take");
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, -5, &err), FB_OK);
    lab_commit(&l);
    assert_int_equal(lab_qty(&l, 1), 95);
    reply_begin(&l, &out, 1, 0, 7);
    verdict_run_put(&out, 1, 1, 7);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    /* Restored from a backup that holds group 1 although the device was never told. */
    l.epoch = lab_id(0xE00002);
    reply_begin(&l, &out, 1, 1, 6);
    reply_page(&out, "0.6", true, true);
    reply_row(&l, &out, 1, "stock", NULL, 95, 60);
    reply_take(&l, &out);
    assert_int_equal(lab_qty(&l, 1), 95);
    lab_check(&l);
    reply_begin(&l, &out, 1, 1, 6);
    verdict_run_put(&out, 1, 1, 7);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    assert_int_equal(lab_qty(&l, 1), 95);
    lab_check(&l);
    lab_stop(&l);
}

static void expect_refused(lab *l, buf *out, fb_code wanted)
{
    stage_result got;
    fb_error err = {.code = FB_OK};
    fb_code rc = reply_try(l, out, &got, &err);
    assert_int_equal(rc, wanted);
    assert_int_equal(err.code, wanted);
    assert_true(err.message[0] != '\0');
}

static void stage__a_reply_that_breaks_the_protocol_changes_nothing(void **state)
{
    lab l;
    buf out;
    fb_error err = {.code = FB_OK};
    stage_result got;
    (void)state;
    lab_start(&l, DB, 14);
    lab_save(&l, 1, "one", 1);
    lab_save(&l, 2, "two", 1);

    reply_begin(&l, &out, 2, 0, 7); /* a gap */
    verdict_run_put(&out, 2, 2, 7);
    reply_page(&out, "x", true, false);
    expect_refused(&l, &out, FB_E_PROTOCOL);
    reply_begin(&l, &out, 2, 0, 7); /* too few */
    verdict_run_put(&out, 1, 1, 7);
    reply_page(&out, "x", true, false);
    expect_refused(&l, &out, FB_E_PROTOCOL);
    reply_begin(&l, &out, 2, 0, 7); /* never written */
    verdict_run_put(&out, 1, 3, 7);
    reply_page(&out, "x", true, false);
    expect_refused(&l, &out, FB_E_PROTOCOL);
    reply_begin(&l, &out, 3, 0, 7); /* the server knows more than we wrote */
    reply_page(&out, "x", true, false);
    expect_refused(&l, &out, FB_E_FORK);
    reply_begin(&l, &out, 0, 0, 7); /* a bad row behind good ones */
    reply_page(&out, "x", true, false);
    reply_row(&l, &out, 5, "five", NULL, 0, 70);
    buf_put_str(&out, "[1,2]\n");
    expect_refused(&l, &out, FB_E_PROTOCOL);
    reply_begin(&l, &out, 0, 0, 7); /* the same, staged */
    reply_page(&out, "x", false, false);
    reply_row(&l, &out, 5, "five", NULL, 0, 70);
    buf_put_str(&out, "[1,2]\n");
    expect_refused(&l, &out, FB_E_PROTOCOL);
    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "x", true, false);
    buf_put_str(&out, "[\"row without a block\"]\n");
    expect_refused(&l, &out, FB_E_PROTOCOL);

    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "x", true, false);
    reply_row(&l, &out, 5, "five", NULL, 0, 70);
    for (size_t cut = 0; cut < out.size; cut++) { /* every truncation, without its end line */
        assert_int_not_equal(stage_reply(l.r, (fb_text){out.data, cut}, 0, &got, &err), FB_OK);
    }
    buf_clear(&out);
    assert_false(lab_has(&l, 5));
    assert_true(lab_has(&l, 1) && lab_has(&l, 2));
    assert_int_equal(
        lab_count(&l, "SELECT (SELECT count(*) FROM fb_stage) + (SELECT count(*) FROM fb_verdict) +"
                      " (SELECT count(*) FROM fb_ack)"),
        0);
    lab_check(&l);
    lab_stop(&l);
}

static void stage__an_older_reply_is_refused(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 15);
    reply_begin(&l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    reply_row(&l, &out, 1, "new", NULL, 0, 90);
    reply_take(&l, &out);
    reply_begin(&l, &out, 0, 0, 8);
    reply_page(&out, "0.8", true, false);
    reply_row(&l, &out, 1, "old", NULL, 0, 80);
    expect_refused(&l, &out, FB_E_BUSY);
    assert_string_equal(lab_text(&l, 1, l.name), "new");
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promote__shows_what_others_changed),
        cmocka_unit_test(promote__keeps_pending_work_on_top),
        cmocka_unit_test(promote__plain_groups_become_base_without_moving_a_row),
        cmocka_unit_test(promote__a_page_read_before_a_group_does_not_overwrite_it),
        cmocka_unit_test(promote__verdicts_have_no_effect_before_the_page_is_complete),
        cmocka_unit_test(promote__held_groups_stay_visible_until_the_later_verdict),
        cmocka_unit_test(promote__decided_groups_go_with_a_new_life),
        cmocka_unit_test(promote__refused_groups_stay_marked_in_new_lives),
        cmocka_unit_test(promote__alias_moves_every_reference),
        cmocka_unit_test(promote__warns_and_keeps_a_change_whose_row_left),
        cmocka_unit_test(promote__reset_rebuilds_the_base_and_keeps_pending_work),
        cmocka_unit_test(promote__many_rows_keep_their_indexes),
        cmocka_unit_test(promote__own_work_on_a_row_with_an_unknown_column_stays),
        cmocka_unit_test(promote__rows_of_an_unknown_entity_wait_for_the_catalogue),
        cmocka_unit_test(promote__new_epoch_sends_again_what_was_not_backed_up),
        cmocka_unit_test(rebirth__knows_whether_an_old_base_is_left),
        cmocka_unit_test(promote__a_restored_server_may_accept_what_it_had_refused),
        cmocka_unit_test(promote__an_alias_removes_a_row_of_the_base),
        cmocka_unit_test(promote__what_the_reset_base_holds_is_not_added_twice),
        cmocka_unit_test(stage__a_reply_that_breaks_the_protocol_changes_nothing),
        cmocka_unit_test(stage__an_older_reply_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
