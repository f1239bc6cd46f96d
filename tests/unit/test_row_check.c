/* test_row_check.c - rows against the catalogue: rights, policies, required columns, states.
 * Method: a right row (row_fixture.h); each test changes one thing and expects code, field and
 * words. */
#include "unit/row_fixture.h"

static void row_check__right_row_passes(void **state)
{
    row r = right_shop(state);
    inserts(&r, FB_OK, "");
    inserts_by(&r, &SERVER, FB_OK, "");
    updates(&r, "name", text_v("Other"), FB_OK);
}

static void row_check__rights_name_entity_and_verb(void **state)
{
    row r = right_shop(state);
    row_rights none = {.actor = ACTOR_DEVICE};
    issue i = blank_issue();
    inserts_by(&r, &none, FB_E_FORBIDDEN, "");
    (void)!row_check_insert(r.e, r.v, &none, now_ms, &i);
    assert_string_equal(i.text_en, "your role may not create shop");
    assert_string_equal(i.text_zh, "您的角色无权新建“名Shop”");
    int column = at(&r, "name");
    fb_value mine = text_v("x");
    i = blank_issue();
    verdict(&r, row_check_update(r.e, r.v, &column, &mine, 1, &none, now_ms, &i), &i,
            FB_E_FORBIDDEN, "");
    assert_string_equal(i.text_en, "your role may not update shop");
    i = blank_issue();
    verdict(&r, row_check_delete(r.e, r.v, &none, &i), &i, FB_E_FORBIDDEN, "");
    assert_string_equal(i.text_en, "your role may not delete shop");
    i = blank_issue();
    verdict(&r, row_check_delete(r.e, r.v, &DEVICE, &i), &i, FB_OK, "");
}

static void row_check__reference_rows_are_not_written_on_devices(void **state)
{
    const fixture *f = *state;
    row r = {.e = catalog_entity_str(f->c, "product")};
    r.v[0] = (fb_value){.kind = FB_KIND_ID, .u.id = {{1}}};
    inserts(&r, FB_E_FORBIDDEN, "");
    inserts_by(&r, &SERVER, FB_OK, "");
    updates_by(&r, "code", text_v("x"), &SERVER, FB_OK); /* it has no states either */
    issue i = blank_issue();
    verdict(&r, row_check_delete(r.e, r.v, &SERVER, &i), &i, FB_OK, "");
    verdict(&r, row_check_delete(r.e, r.v, &DEVICE, &i), &i, FB_E_FORBIDDEN, "");
}

static void row_check__who_may_only_approve_takes_steps_only(void **state)
{
    row r = right_shop(state);
    row_rights approver = {.approve = true, .actor = ACTOR_DEVICE};
    updates_by(&r, "status", text_v("open"), &approver, FB_OK);
    issue i = blank_issue();
    int step[] = {at(&r, "status"), at(&r, "updated_at")};
    const fb_value to[] = {text_v("open"), int_v(1)};
    fb_code rc = row_check_update(r.e, r.v, step, to, 2, &approver, now_ms, &i);
    verdict(&r, rc, &i, FB_OK, "");
    int column = at(&r, "name");
    fb_value mine = text_v("x");
    verdict(&r, row_check_update(r.e, r.v, &column, &mine, 1, &approver, now_ms, &i), &i,
            FB_E_FORBIDDEN, "");
}

static void row_check__id_and_version_are_not_for_hands(void **state)
{
    row r = right_shop(state);
    updates(&r, "id", (fb_value){.kind = FB_KIND_ID, .u.id = {{2}}}, FB_E_FORBIDDEN);
    updates_by(&r, "ver", int_v(9), &SERVER, FB_E_FORBIDDEN);
    r.v[0] = null_v();
    inserts(&r, FB_E_REQUIRED, "id");
}

static void row_check__required_means_not_null_and_not_empty(void **state)
{
    row r = right_shop(state);
    set(&r, "name", null_v());
    inserts(&r, FB_E_REQUIRED, "name");
    set(&r, "name", text_v(""));
    inserts(&r, FB_E_REQUIRED, "name");
    r = right_shop(state);
    updates(&r, "name", null_v(), FB_E_REQUIRED);
    updates(&r, "name", text_v(""), FB_E_REQUIRED);
    updates_by(&r, "name", text_v(""), &SERVER, FB_E_REQUIRED);
    set(&r, "kind", null_v()); /* its default comes with row_derive */
    set(&r, "status", null_v());
    inserts(&r, FB_OK, "");
    set(&r, "kind", text_v(""));
    inserts(&r, FB_E_REQUIRED, "kind");
}

/* What a device may do to each column once the row exists. */
static void row_check__policies_bind_devices_only(void **state)
{
    static const struct {
        const char *column;
        fb_code device;
    } rows[] = {
        /* clang-format off */
        {"code", FB_E_FORBIDDEN}, {"grade", FB_E_FORBIDDEN}, {"licence", FB_E_GUARDED},
        {"serial", FB_E_FORBIDDEN}, {"seal", FB_E_FORBIDDEN}, {"name_key", FB_E_FORBIDDEN},
        {"name", FB_OK},
        /* clang-format on */
    };
    row r = right_shop(state);
    set(&r, "seal", text_v("signed"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        updates(&r, rows[i].column, text_v("new"), rows[i].device);
        updates_by(&r, rows[i].column, text_v("new"), &SERVER, FB_OK);
    }
    updates(&r, "score", int_v(5), FB_E_FORBIDDEN);
    updates(&r, "created_at", int_v(5), FB_E_FORBIDDEN);
}

static void row_check__guarded_column_asks_for_a_change_request(void **state)
{
    row r = right_shop(state);
    issue i;
    int column = at(&r, "licence");
    fb_value mine = text_v("x");
    assert_int_equal(row_check_update(r.e, r.v, &column, &mine, 1, &DEVICE, now_ms, &i),
                     FB_E_GUARDED);
    assert_string_equal(i.text_en, "Licence changes only after approval");
    assert_string_equal(i.cure_en, "send a change request");
    assert_string_equal(i.cure_zh, "请提交变更申请");
}

static void row_check__unchanged_value_is_never_a_breach_ROW_1(void **state)
{
    row r = right_shop(state);
    set(&r, "licence", text_v("A"));
    set(&r, "phone", text_v("call me")); /* from before the rule */
    updates(&r, "licence", text_v("A"), FB_OK);
    updates(&r, "code", text_v("S1"), FB_OK);
    updates(&r, "phone", text_v("call me"), FB_OK);
    updates(&r, "status", text_v("draft"), FB_OK);
}

static void row_check__insert_may_hold_what_devices_cannot_change(void **state)
{
    row r = right_shop(state);
    set(&r, "grade", text_v("A"));
    set(&r, "licence", text_v("L"));
    set(&r, "serial", text_v("7"));
    set(&r, "created_at", int_v(now_ms * 2)); /* ignored, whatever it says */
    set(&r, "updated_at", text_v("nonsense"));
    inserts(&r, FB_OK, "");
    r = right_shop(state);
    updates(&r, "updated_at", int_v(1), FB_OK);
}

static void row_check__seal_without_states_closes_when_written(void **state)
{
    row r = right_shop(state);
    updates(&r, "seal", text_v("signed"), FB_OK);
    set(&r, "seal", text_v("signed"));
    updates(&r, "seal", text_v("again"), FB_E_FORBIDDEN);
}

static void row_check__sealed_row_keeps_its_content(void **state)
{
    row draft = right_note(state, "draft"), sent = right_note(state, "sent");
    updates(&draft, "body", text_v("c"), FB_OK);
    updates(&sent, "body", text_v("c"), FB_E_STATE);
    updates(&sent, "remark", text_v("c"), FB_E_STATE);
    updates_by(&sent, "remark", text_v("c"), &SERVER, FB_OK);
    updates_two(&draft, "body", text_v("c"), "status", text_v("sent"), FB_OK, "");
    updates_two(&sent, "status", text_v("void"), "remark", text_v("c"), FB_E_REQUIRED, "reason");
    updates_two(&sent, "reason", text_v("why"), "remark", text_v("c"), FB_E_STATE, "reason");
    updates_two(&sent, "remark", text_v("c"), "status", text_v("void"), FB_E_STATE, "remark");
    updates_two(&sent, "reason", text_v("why"), "status", text_v("void"), FB_OK,
                ""); /* the step asks for it */
    issue i = blank_issue();
    verdict(&sent, row_check_delete(sent.e, sent.v, &DEVICE, &i), &i, FB_E_STATE, "");
    i = blank_issue();
    verdict(&draft, row_check_delete(draft.e, draft.v, &DEVICE, &i), &i, FB_OK, "");
    i = blank_issue();
    verdict(&sent, row_check_delete(sent.e, sent.v, &SERVER, &i), &i, FB_OK, "");
}

static void row_check__new_rows_start_in_an_initial_state(void **state)
{
    row r = right_shop(state);
    issue i;
    set(&r, "status", text_v("open"));
    inserts(&r, FB_OK, "");
    set(&r, "status", text_v("closed"));
    inserts(&r, FB_E_STATE, "status");
    inserts_by(&r, &SERVER, FB_OK, ""); /* imports bring history */
    (void)!row_check_insert(r.e, r.v, &DEVICE, now_ms, &i);
    assert_string_equal(i.cure_en, "start it as: draft, open");
}

static void row_check__update_obeys_the_state_machine(void **state)
{
    row r = right_shop(state);
    updates(&r, "status", text_v("open"), FB_OK);
    updates(&r, "status", text_v("closed"), FB_E_STATE);
    updates_by(&r, "status", text_v("closed"), &SERVER, FB_E_STATE); /* no such step, for nobody */
    set(&r, "status", text_v("open"));
    updates(&r, "status", text_v("closed"), FB_E_STATE);
    updates_by(&r, "status", text_v("closed"), &SERVER, FB_OK);
}

static void row_check__column_sent_twice_is_refused(void **state)
{
    row r = right_shop(state);
    updates_two(&r, "name", text_v("a"), "name", text_v("b"), FB_E_INVALID, "name");
    issue i;
    int column = (int)r.e->columns_count;
    fb_value mine = text_v("x");
    assert_int_equal(row_check_update(r.e, r.v, &column, &mine, 1, &DEVICE, now_ms, &i),
                     FB_E_MISUSE);
}

static void row_check__derived_change_is_accepted_with_its_source(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    int columns[3] = {at(&r, "name")};
    fb_value values[3] = {text_v("a北京大学")};
    uint32_t count = 1;
    issue i = blank_issue();
    assert_int_equal(row_derive_update(r.e, columns, values, &count, 3, f->memory), FB_OK);
    fb_code rc = row_check_update(r.e, r.v, columns, values, count, &DEVICE, now_ms, &i);
    verdict(&r, rc, &i, FB_OK, "");
    values[0] = text_v("other"); /* the keys no longer belong to it */
    rc = row_check_update(r.e, r.v, columns, values, count, &DEVICE, now_ms, &i);
    verdict(&r, rc, &i, FB_E_FORBIDDEN, "name_key");
}

static void row_check__derived_value_is_accepted_only_when_right(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    inserts(&r, FB_OK, ""); /* derive then check: what a device keeps and sends */
    set(&r, "name_key", text_v("forged"));
    inserts(&r, FB_E_FORBIDDEN, "name_key");
    r = right_shop(state);
    set(&r, "score", int_v(100));
    inserts(&r, FB_E_FORBIDDEN, "score");
    inserts_by(&r, &SERVER, FB_OK, "");
}

static void row_check__missing_arguments_are_a_misuse(void **state)
{
    row r = right_shop(state);
    issue i;
    int c = 1;
    assert_int_equal(row_check_insert(r.e, NULL, &DEVICE, 0, &i), FB_E_MISUSE);
    assert_int_equal(row_check_update(r.e, NULL, &c, r.v, 1, &DEVICE, 0, &i), FB_E_MISUSE);
    assert_int_equal(row_check_update(r.e, r.v, NULL, r.v, 1, &DEVICE, 0, &i), FB_E_MISUSE);
    assert_int_equal(row_check_update(r.e, r.v, &c, NULL, 1, &DEVICE, 0, &i), FB_E_MISUSE);
    assert_int_equal(row_check_update(r.e, r.v, NULL, NULL, 0, &DEVICE, 0, &i), FB_OK);
    assert_int_equal(row_check_delete(r.e, r.v, NULL, &i), FB_E_MISUSE);
}

/* Whatever stands in the built-in catalogue, a row of nulls is answered in words, never by a crash.
 */
static void row_check__every_builtin_entity_answers(void **state)
{
    (void)state;
    catalog *c = NULL;
    assert_int_equal(catalog_load(catalog_builtin_text(), &c, NULL), FB_OK);
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        fb_value values[CATALOG_COLUMNS_LIMIT] = {{0}};
        issue is = blank_issue();
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = {{1}}};
        fb_code rc = row_check_insert(e, values, &SERVER, now_ms, &is);
        assert_true(rc == FB_OK || rc == FB_E_REQUIRED);
        if (rc != FB_OK) {
            is_readable(&is);
        }
    }
    catalog_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_check__right_row_passes),
        cmocka_unit_test(row_check__rights_name_entity_and_verb),
        cmocka_unit_test(row_check__reference_rows_are_not_written_on_devices),
        cmocka_unit_test(row_check__who_may_only_approve_takes_steps_only),
        cmocka_unit_test(row_check__id_and_version_are_not_for_hands),
        cmocka_unit_test(row_check__required_means_not_null_and_not_empty),
        cmocka_unit_test(row_check__policies_bind_devices_only),
        cmocka_unit_test(row_check__guarded_column_asks_for_a_change_request),
        cmocka_unit_test(row_check__unchanged_value_is_never_a_breach_ROW_1),
        cmocka_unit_test(row_check__insert_may_hold_what_devices_cannot_change),
        cmocka_unit_test(row_check__seal_without_states_closes_when_written),
        cmocka_unit_test(row_check__sealed_row_keeps_its_content),
        cmocka_unit_test(row_check__new_rows_start_in_an_initial_state),
        cmocka_unit_test(row_check__update_obeys_the_state_machine),
        cmocka_unit_test(row_check__column_sent_twice_is_refused),
        cmocka_unit_test(row_check__derived_value_is_accepted_only_when_right),
        cmocka_unit_test(row_check__derived_change_is_accepted_with_its_source),
        cmocka_unit_test(row_check__missing_arguments_are_a_misuse),
        cmocka_unit_test(row_check__every_builtin_entity_answers),
    };
    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
