/* test_odd_groups.c - groups at the edge of what a person can do: too many changes, many drafts in
 * one of them, a disk that fails twice, a device that is nobody's, a file in memory alone; and a
 * tray that has lost its reasons. */
#include "rules/row_check.h"
#include "schema/limits.h"
#include "sql/sql.h"
#include "support/lab.h"
#include "wire/sync_msg.h"

#define DB lab_path("odd_groups")

static void sql(lab *l, const char *text)
{
    if (sql_exec(replica_sql(l->r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(l->r)));
    }
}

/* --- saving --------------------------------------------------------------------------------- */

static void changes__beyond_the_limit_are_refused(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    const fb_id one = lab_id(1);
    (void)state;
    lab_start(&l, DB, 1);
    lab_save(&l, 1, "one", 0);
    lab_begin(&l, "lab.save");
    for (int i = 0; i < GROUP_OPS_MAX; i++) {
        assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, 1, &err), FB_OK);
    }
    assert_int_equal(capture_delta(l.r, l.item, &one, l.qty, 1, &err), FB_E_LIMIT);
    assert_non_null(strstr(err.message, "split it"));
    assert_int_equal(lab_commit(&l), 2); /* what was there before is saved */
    assert_int_equal(lab_qty(&l, 1), GROUP_OPS_MAX);
    lab_check(&l);
    lab_stop(&l);
}

static void drafts__of_any_number_go_with_their_group(void **state)
{
    enum { DRAFTS = 6 };
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    for (unsigned i = 0; i < DRAFTS; i++) {
        const draft d = {
            .id = lab_id(500 + i), .kind = T("order"), .updated_ms = 5, .body = T("{}")};
        assert_int_equal(draft_put(l.r, &d), FB_OK);
    }
    lab_begin(&l, "lab.save");
    lab_insert(&l, 1, "one", 1);
    for (unsigned i = 0; i < DRAFTS; i++) {
        const fb_id id = lab_id(500 + i);
        assert_int_equal(draft_delete(l.r, &id), FB_OK);
    }
    lab_commit(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_draft"), 0);
    lab_check(&l);
    lab_stop(&l);
}

/* Another program writes: nothing waits here, and the person is told. */
static void save__while_another_writes_is_told(void **state)
{
    lab l;
    sql_db *db = NULL;
    fb_error err = {.code = FB_OK};
    const sql_options o = {.page_sums = true};
    (void)state;
    lab_start(&l, DB, 1);
    sql(&l, "PRAGMA busy_timeout=0");
    assert_int_equal(sql_open(DB, &o, &db, &err), FB_OK);
    assert_int_equal(sql_begin(db), FB_OK);
    assert_int_equal(capture_begin(l.r, "lab.save", 0, 0, &err), FB_E_BUSY);
    assert_non_null(strstr(err.message, "try again"));
    sql_rollback(db);
    sql_close(db);
    lab_save(&l, 1, "one", 1);
    lab_check(&l);
    lab_stop(&l);
}

/* --- nobody's device -------------------------------------------------------------------------- */

static void device__of_nobody_takes_and_gives_nothing(void **state)
{
    lab l;
    row_rights rights;
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&l, DB, NULL, 1);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    const cat_entity *any = &replica_catalog(l.r)->entities[0];
    assert_int_equal(replica_rights(l.r, any, &rights), FB_E_AUTH);
    assert_int_equal(rescue_take(l.r, T("{}"), &gseq, &err), FB_E_AUTH);
    const draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{}")};
    assert_int_equal(draft_put(l.r, &d), FB_OK);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    assert_int_equal(replica_meta_set(l.r, "colour", (fb_text){NULL, 0}), FB_OK);
    assert_int_equal(lab_count(&l, "SELECT value='' FROM fb_meta WHERE key='colour'"), 1);
    lab_enrol(&l);
    lab_first_sync(&l);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_draft"), 1);
    lab_save(&l, 1, "one", 1);
    lab_check(&l);
    lab_stop(&l);
}

/* A device that was given no name of its own: the stamps say nothing of it. */
static void row__of_a_nameless_device_is_stamped_without_it(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&l, DB, NULL, 1);
    l.device = (fb_id){{0}};
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    lab_save(&l, 1, "one", 1);
    assert_int_equal(lab_count(&l, "SELECT created_by IS NOT NULL AND created_device IS NULL"
                                   " FROM lab_item"),
                     1);
    lab_check(&l);
    lab_stop(&l);
}

/* No second copy stands beside it: a group that is here already, or fails, has none to take back.
 */
static void memory__alone_takes_a_group_once(void **state)
{
    static const char LINE[] =
        "{\"k\":\"lab.save\",\"at\":\"1750000000000\",\"cv\":2,\"ops\":[[\"+\",\"lab_item\","
        "[\"id\",\"name\",\"qty\"],[[\"01900000-0000-7000-8000-000000000021\",\"x\",\"5\"]]]]}";
    lab l;
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, ":memory:", 1);
    assert_int_equal(rescue_take(l.r, T(LINE), &gseq, &err), FB_OK);
    assert_int_equal(gseq, 1);
    assert_int_equal(rescue_take(l.r, T(LINE), &gseq, &err), FB_OK);
    assert_int_equal(gseq, 0);
    assert_int_equal(rescue_take(l.r, T("no group"), &gseq, NULL), FB_E_JSON);
    lab_check(&l);
    lab_close(&l);
}

/* Nothing but the head was told: a new life knows that its base is of another. */
static void life__after_an_empty_base_needs_one(void **state)
{
    lab l;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&l, DB, NULL, 1);
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    reply_begin(&l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_OK);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_E_PROTOCOL);
    assert_string_equal(err.field, "reset");
    lab_stop(&l);
}

/* --- the tray ------------------------------------------------------------------------------- */

/* Rows 5 and 6 of the server; a change of 5 and a difference of 6 in one group, refused. */
static void refused_make(lab *l)
{
    buf out;
    fb_error err = {.code = FB_OK};
    const fb_id six = lab_id(6);
    lab_start(l, DB, 1);
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    reply_row(l, &out, 5, "five", NULL, 10, 50);
    reply_row(l, &out, 6, "six", NULL, 10, 51);
    reply_take(l, &out);
    lab_begin(l, "lab.save");
    lab_set(l, 5, l->name, "mine");
    assert_int_equal(capture_delta(l->r, l->item, &six, l->qty, 3, &err), FB_OK);
    lab_commit(l);
    reply_begin(l, &out, 1, 0, 7);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.7", true, false);
    reply_take(l, &out);
}

static fb_code without_reason(void *ctx, const problem *p)
{
    assert_int_equal(p->gseq, 1);
    assert_int_equal(p->code, VERDICT_REJECTED);
    assert_true(p->body.size > 0 && p->text_en.size == 0 && p->verdict_json.size == 0);
    ++*(int *)ctx;
    return FB_OK;
}

static void problem__is_shown_without_its_reason(void **state)
{
    static const char *const LOST[] = {
        "DELETE FROM fb_verdict",
        "UPDATE fb_verdict SET body='{\"m\":\"ok\",\"g\":\"1\",\"cid\":\"5\"}'",
        "UPDATE fb_verdict SET body='{\"m\":\"verdict\",\"g\":\"1\",\"code\":\"held\"}'"};
    (void)state;
    for (size_t i = 0; i < sizeof LOST / sizeof LOST[0]; i++) {
        lab l;
        int seen = 0;
        refused_make(&l);
        sql(&l, LOST[i]);
        assert_int_equal(problem_each(l.r, without_reason, &seen), FB_OK);
        assert_int_equal(seen, 1);
        lab_stop(&l);
    }
}

/* The group holds a difference of that column, but of another row: here it is a new value. */
static void correction__of_another_row_is_a_value(void **state)
{
    lab l;
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    refused_make(&l);
    sql(&l, "UPDATE fb_outbox SET kind='a kind that is longer than any kind this library would"
            " have let a group have' WHERE gseq=1");
    const problem_patch patch = {l.item, lab_id(5), l.qty, {.kind = FB_KIND_INT, .u.i = 77}};
    assert_int_equal(problem_resubmit(l.r, 1, &patch, 1, &gseq, &err), FB_E_MISUSE);
    assert_string_equal(err.field, "kind");
    sql(&l, "UPDATE fb_outbox SET kind='lab.save' WHERE gseq=1");
    if (problem_resubmit(l.r, 1, &patch, 1, &gseq, &err) != FB_OK) {
        assert_string_equal(err.message, ""); /* not settable by this entity: told */
    }
    assert_int_equal(lab_qty(&l, 5), 77);
    assert_int_equal(lab_qty(&l, 6), 13);
    lab_check(&l);
    lab_stop(&l);
}

static fb_code stop_here(void *ctx, const warning *w)
{
    (void)w;
    ++*(int *)ctx;
    return FB_E_BUSY;
}

static fb_code close_it(void *ctx, const problem *p)
{
    fb_error err;
    return problem_discard(ctx, p->gseq, &err);
}

static void list__may_be_stopped_or_changed_by_its_reader(void **state)
{
    lab l;
    int seen = 0;
    (void)state;
    refused_make(&l);
    sql(&l, "INSERT INTO fb_warning (gseq, text) VALUES (1, 'gone'), (1, 'gone')");
    assert_int_equal(warning_each(l.r, stop_here, &seen), FB_E_BUSY);
    assert_int_equal(seen, 1);
    assert_int_equal(problem_each(l.r, close_it, l.r), FB_OK);
    assert_int_equal(problem_each(l.r, without_reason, &seen), FB_OK);
    assert_int_equal(seen, 1); /* nothing is left */
    lab_check(&l);
    lab_stop(&l);
}

/* The disk fails twice in one group: the first failure is the one that its commit tells. */
static void number__after_a_failure_fails_too(void **state)
{
    lab l;
    buf number;
    int64_t gseq = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 1);
    buf_init(&number, 100);
    lab_begin(&l, "lab.save");
    lab_insert(&l, 1, "one", 1);
    sql(&l, "DROP TABLE fb_counter"); /* rolled back with the group */
    assert_true(capture_number(l.r, "SO", &number, &err) != FB_OK);
    assert_true(capture_number(l.r, "SO", &number, &err) != FB_OK);
    assert_true(capture_commit(l.r, &gseq, &err) != FB_OK);
    assert_non_null(strstr(err.message, "a step of this action failed before"));
    lab_begin(&l, "lab.save");
    assert_int_equal(capture_number(l.r, "SO", &number, &err), FB_OK);
    lab_insert(&l, 1, "one", 1);
    lab_commit(&l);
    buf_clear(&number);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes__beyond_the_limit_are_refused),
        cmocka_unit_test(drafts__of_any_number_go_with_their_group),
        cmocka_unit_test(save__while_another_writes_is_told),
        cmocka_unit_test(number__after_a_failure_fails_too),
        cmocka_unit_test(device__of_nobody_takes_and_gives_nothing),
        cmocka_unit_test(row__of_a_nameless_device_is_stamped_without_it),
        cmocka_unit_test(memory__alone_takes_a_group_once),
        cmocka_unit_test(life__after_an_empty_base_needs_one),
        cmocka_unit_test(problem__is_shown_without_its_reason),
        cmocka_unit_test(correction__of_another_row_is_a_value),
        cmocka_unit_test(list__may_be_stopped_or_changed_by_its_reader),
    };
    return cmocka_run_group_tests_name("odd_groups", tests, NULL, NULL);
}
