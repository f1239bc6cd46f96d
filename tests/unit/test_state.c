/* test_state.c - the state machine of a row. Method: one entity with every kind of step; the whole
 * table of (from, to) is asked for a device and for the server (STA-1), then each refusal's words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "rules/row_check.h"

/* Steps: draft -> sent needs note; sent -> done by MGR or FIN; sent -> checked by the server; done
 * -> sent by MGR; sent -> void by MGR; anything -> void by the server. void is final. Written with
 * ' for ". */
/* clang-format off */
static const char CATALOG[] =
    "{'version':1,'modules':[{'module':'test','entities':[{'name':'doc',"
    "'label':{'en':'Document','zh':'单据'},'class':'shared','scope':[{'by':'global'}],'columns':["
    "{'name':'note','type':'text','label':{'en':'Note','zh':'备注'}},"
    "{'name':'status','type':'enum','values':['draft','sent','done','checked','void'],'policy':'SM',"
    "'label':{'en':'Status','zh':'状态'}}],"
    "'states':{'column':'status','initial':['draft'],'transitions':["
    "{'from':'draft','to':'sent','requires':'note'},"
    "{'from':'sent','to':'done','roles':['MGR','FIN']},"
    "{'from':'sent','to':'checked','device':false},"
    "{'from':'done','to':'sent','roles':['MGR']},"
    "{'from':'sent','to':'void','roles':['MGR']},"
    "{'from':'*','to':'void','device':false}]},"
    "'grants':{'REP':'cru','MGR':'crua','FIN':'ra'}}]}]}";
/* clang-format on */

static const char *const STATES[] = {"draft", "sent", "done", "checked", "void"};
enum { STATES_COUNT = 5 };

/* The catalogue with real quotes. */
static catalog *load_catalog(void)
{
    static char json[sizeof CATALOG];
    catalog *c = NULL;
    fb_error err = {.code = FB_OK};
    for (size_t i = 0; i < sizeof CATALOG; i++) {
        json[i] = CATALOG[i] == '\'' ? '"' : CATALOG[i];
    }
    if (catalog_load(text_of(json), &c, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    return c;
}

static int open_catalog(void **state)
{
    *state = load_catalog();
    return 0;
}

static int close_catalog(void **state)
{
    catalog_free(*state);
    return 0;
}

typedef struct asked {
    fb_code rc;
    issue i;
} asked;

/* role NULL: none. note "": null. */
static asked ask(void **state, const char *from, const char *to, row_actor actor, const char *role,
                 const char *note)
{
    const cat_entity *e = catalog_entity_str(*state, "doc");
    fb_text roles[] = {text_of("OTHER"), text_of(role)};
    row_rights who = {
        .update = true, .actor = actor, .roles = roles, .roles_count = role != NULL ? 2 : 0};
    fb_value row[CATALOG_COLUMNS_LIMIT] = {{0}};
    asked a;
    if (note[0] != '\0') {
        row[cat_column_str(e, "note")] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(note)};
    }
    memset(&a, 0x5A, sizeof a);
    a.rc = state_check(e, text_of(from), text_of(to), &who, row, &a.i);
    if (a.rc == FB_OK) {
        assert_int_equal(a.i.field[0], 0x5A); /* untouched */
    } else {
        assert_int_equal(a.i.code, a.rc);
        assert_null(strchr(a.i.text_en, '{'));
        assert_null(strchr(a.i.cure_zh, '{'));
        assert_true(a.i.text_zh[0] != '\0' && a.i.cure_en[0] != '\0');
    }
    return a;
}

/* Every pair of states: + allowed, . refused. A step to itself is none. */
static void table_is(void **state, row_actor actor, const char *role,
                     const char *const table[STATES_COUNT])
{
    for (int from = 0; from < STATES_COUNT; from++) {
        for (int to = 0; to < STATES_COUNT; to++) {
            asked a = ask(state, STATES[from], STATES[to], actor, role, "n");
            if ((a.rc == FB_OK) != (table[from][to] == '+')) {
                fail_msg("%s -> %s as %s: %s", STATES[from], STATES[to], role != NULL ? role : "-",
                         fb_code_name(a.rc));
            }
        }
    }
}

static void state_check__only_rows_of_the_table_are_steps_STA_1(void **state)
{
    static const char *const rep[] = {"++...", ".+...", "..+..", "...+.", "....+"};
    static const char *const mgr[] = {"++...", ".++.+", ".++..", "...+.", "....+"};
    static const char *const fin[] = {"++...", ".++..", "..+..", "...+.", "....+"};
    static const char *const job[] = {"++..+", ".++++", ".++.+", "...++", "....+"};
    static const char *const office_rep[] = {"++..+", ".+.++", "..+.+", "...++", "....+"};
    table_is(state, ACTOR_DEVICE, "REP", rep);
    table_is(state, ACTOR_DEVICE, "MGR", mgr);
    table_is(state, ACTOR_DEVICE, "FIN", fin);
    table_is(state, ACTOR_DEVICE, NULL, rep);
    table_is(state, ACTOR_SERVER, NULL, job); /* jobs have no role and need none */
    table_is(state, ACTOR_SERVER, "REP", office_rep);
}

static void state_check__unknown_step_names_the_possible_ones(void **state)
{
    asked a = ask(state, "sent", "draft", ACTOR_DEVICE, "MGR", "");
    assert_int_equal(a.rc, FB_E_STATE);
    assert_string_equal(a.i.field, "doc.status");
    assert_string_equal(a.i.text_en, "sent cannot become draft");
    assert_string_equal(a.i.cure_en, "from sent it may become: done, void");
    assert_string_equal(a.i.text_zh, "状态sent不能变为draft");
    a = ask(state, "sent", "draft", ACTOR_SERVER, NULL, "");
    assert_string_equal(a.i.cure_en, "from sent it may become: done, checked, void");
}

static void state_check__final_state_says_so(void **state)
{
    asked a = ask(state, "void", "draft", ACTOR_SERVER, NULL, "");
    assert_int_equal(a.rc, FB_E_STATE);
    assert_string_equal(a.i.text_en, "void cannot become draft: void is final");
    a = ask(state, "checked", "done", ACTOR_DEVICE, "REP", "");
    assert_string_equal(a.i.cure_en, "make a new record");
}

static void state_check__server_step_is_not_for_devices(void **state)
{
    asked a = ask(state, "sent", "checked", ACTOR_DEVICE, "MGR", "");
    assert_int_equal(a.rc, FB_E_STATE);
    assert_string_equal(a.i.text_en, "the step from sent to checked is not taken on a device");
    a = ask(state, "draft", "void", ACTOR_DEVICE, "MGR", "");
    assert_int_equal(a.rc, FB_E_STATE);
    assert_string_equal(a.i.text_en, "the step from draft to void is not taken on a device");
}

static void state_check__missing_role_names_the_roles(void **state)
{
    asked a = ask(state, "sent", "done", ACTOR_DEVICE, "REP", "");
    assert_int_equal(a.rc, FB_E_FORBIDDEN);
    assert_string_equal(a.i.field, "doc.status");
    assert_string_equal(a.i.text_en, "the step from sent to done needs one of the roles MGR, FIN");
    assert_int_equal(ask(state, "sent", "done", ACTOR_SERVER, "REP", "").rc, FB_E_FORBIDDEN);
}

static void state_check__required_column_is_named_with_its_label(void **state)
{
    asked a = ask(state, "draft", "sent", ACTOR_DEVICE, "REP", "");
    assert_int_equal(a.rc, FB_E_REQUIRED);
    assert_string_equal(a.i.field, "doc.note");
    assert_string_equal(a.i.text_en, "Note is missing for the step to sent");
    assert_string_equal(a.i.text_zh, "变为sent前须填写“备注”");
    assert_int_equal(ask(state, "draft", "sent", ACTOR_SERVER, NULL, "").rc, FB_E_REQUIRED);
}

static void state_check__entity_without_states_is_a_misuse(void **state)
{
    cat_entity e = *catalog_entity_str(*state, "doc");
    row_rights who = {.actor = ACTOR_SERVER};
    issue i;
    e.states.column = -1;
    assert_int_equal(state_check(&e, text_of("a"), text_of("b"), &who, NULL, &i), FB_E_MISUSE);
}

static void state_check__without_a_row_nothing_is_filled(void **state)
{
    const cat_entity *e = catalog_entity_str(*state, "doc");
    row_rights who = {.actor = ACTOR_SERVER};
    issue i;
    assert_int_equal(state_check(e, text_of("draft"), text_of("sent"), &who, NULL, &i),
                     FB_E_REQUIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_check__only_rows_of_the_table_are_steps_STA_1),
        cmocka_unit_test(state_check__unknown_step_names_the_possible_ones),
        cmocka_unit_test(state_check__final_state_says_so),
        cmocka_unit_test(state_check__server_step_is_not_for_devices),
        cmocka_unit_test(state_check__missing_role_names_the_roles),
        cmocka_unit_test(state_check__required_column_is_named_with_its_label),
        cmocka_unit_test(state_check__entity_without_states_is_a_misuse),
        cmocka_unit_test(state_check__without_a_row_nothing_is_filled),
    };
    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
