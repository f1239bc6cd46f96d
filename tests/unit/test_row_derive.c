/* test_row_derive.c - what the core fills by itself. Goal: defaults, first states, search keys and
 * phone forms appear on insert and travel with an update, in memory of the caller's arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "rules/row_check.h"

/* Written with ' for ", so that it can be read. */
/* clang-format off */
#define NAMED(name) "{'name':'" name "','label':{'en':'" name "','zh':'名'},"

static const char CATALOG[] =
    "{'version':1,'modules':[{'module':'test','entities':["
    NAMED("shop") "'class':'shared','scope':[{'by':'global'}],'columns':["
    NAMED("code") "'type':'text'},"
    NAMED("name") "'type':'text','max':60},"
    NAMED("name_key") "'type':'text','max':12,'derived':true},"
    NAMED("name_py") "'type':'text','max':20,'derived':true},"
    NAMED("score") "'type':'int32','derived':true},"
    NAMED("office_mobile") "'type':'text','max':32},"
    NAMED("kind") "'type':'enum','values':['retail','ka'],'default':'retail'},"
    NAMED("status") "'type':'enum','values':['draft','open'],'policy':'SM'}],"
    "'states':{'column':'status','initial':['draft','open'],'transitions':[{'from':'draft','to':'open'}]},"
    "'grants':{'REP':'cru'}},"
    NAMED("plain") "'class':'shared','scope':[{'by':'global'}],'columns':["
    NAMED("name") "'type':'text'}],'grants':{'REP':'cru'}}]}]}";
/* clang-format on */

typedef struct fixture {
    catalog *c;
    arena *memory;
} fixture;

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
    static fixture f;
    f.c = load_catalog();
    f.memory = arena_new(1 << 20);
    assert_non_null(f.memory);
    *state = &f;
    return 0;
}

static int close_catalog(void **state)
{
    fixture *f = *state;
    catalog_free(f->c);
    arena_free(f->memory);
    return 0;
}

static fb_value text_v(const char *s)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(s)};
}

static fb_value null_v(void)
{
    return (fb_value){.kind = FB_KIND_NULL};
}

/* A row of one entity, by column name. */
typedef struct row {
    const cat_entity *e;
    fb_value v[CATALOG_COLUMNS_LIMIT];
} row;

static int at(const row *r, const char *column)
{
    int i = cat_column_str(r->e, column);
    if (i < 0) {
        fail_msg("no column %s", column);
    }
    return i;
}

static void set(row *r, const char *column, fb_value v)
{
    r->v[at(r, column)] = v;
}

static row right_shop(void **state)
{
    const fixture *f = *state;
    row r = {.e = catalog_entity_str(f->c, "shop")};
    set(&r, "name", text_v("Muller AG"));
    return r;
}

static void row_derive__fills_keys_defaults_and_first_state(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    char name[] = "北京大学";
    set(&r, "name", (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(name)});
    set(&r, "status", null_v());
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    memset(name, 'x', sizeof name - 1); /* derived texts are the arena's own */
    assert_true(text_is(r.v[at(&r, "name_py")].u.text, "bjdx"));
    assert_true(text_is(r.v[at(&r, "name_key")].u.text, "北京大学"));
    assert_true(text_is(r.v[at(&r, "kind")].u.text, "retail"));
    assert_true(text_is(r.v[at(&r, "status")].u.text, "draft"));
    assert_int_equal(r.v[at(&r, "score")].kind, FB_KIND_NULL);
    set(&r, "kind", text_v("ka"));
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    assert_true(text_is(r.v[at(&r, "kind")].u.text, "ka")); /* only where null */
}

static void row_derive__key_is_cut_between_characters(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    set(&r, "name", text_v("a北京大学")); /* the column holds 12 bytes: a + three characters */
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    assert_true(text_is(r.v[at(&r, "name_key")].u.text, "a北京大"));
}

static void row_derive_update__brings_the_keys_along(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    int columns[8] = {at(&r, "name")};
    fb_value values[8] = {text_v("上海")};
    uint32_t count = 1;
    assert_int_equal(row_derive_update(r.e, columns, values, &count, 8, f->memory), FB_OK);
    assert_int_equal(count, 3);
    assert_int_equal(columns[1], at(&r, "name_key"));
    assert_int_equal(columns[2], at(&r, "name_py"));
    assert_true(text_is(values[1].u.text, "上海"));
    assert_true(text_is(values[2].u.text, "sh"));
    values[0] = text_v("广州");
    assert_int_equal(row_derive_update(r.e, columns, values, &count, 8, f->memory), FB_OK);
    assert_int_equal(count, 3); /* replaced, not appended again */
    assert_true(text_is(values[2].u.text, "gz"));
}

static void row_derive_update__needs_room_and_leaves_other_columns(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    int columns[2] = {at(&r, "name")};
    fb_value values[2] = {text_v("上海")};
    uint32_t count = 1;
    assert_int_equal(row_derive_update(r.e, columns, values, &count, 2, f->memory), FB_E_LIMIT);
    assert_int_equal(count, 1);
    columns[0] = at(&r, "code");
    assert_int_equal(row_derive_update(r.e, columns, values, &count, 2, f->memory), FB_OK);
    assert_int_equal(count, 1);
}

static void row_derive__phones_are_brought_to_one_form(void **state)
{
    static const struct {
        const char *typed, *kept;
    } rows[] = {
        {"+86 138-0013-8000", "+8613800138000"},
        {"0086 138 0013 8000", "+8613800138000"},
        {" ０３０  0074321 ", "030 0074321"},
        {"(5) 555-4729", "(5) 555-4729"},
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row r = right_shop(state);
        set(&r, "office_mobile", text_v(rows[i].typed));
        assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
        assert_true(text_is(r.v[at(&r, "office_mobile")].u.text, rows[i].kept));
        int column = at(&r, "office_mobile");
        fb_value v = text_v(rows[i].typed);
        uint32_t count = 1;
        assert_int_equal(row_derive_update(r.e, &column, &v, &count, 1, f->memory), FB_OK);
        assert_true(text_is(v.u.text, rows[i].kept));
    }
}

static void row_derive__other_texts_stay_as_typed(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    char endless[3000];
    memset(endless, '5', sizeof endless);
    fb_value number = {.kind = FB_KIND_TEXT, .u.text = {endless, sizeof endless}};
    set(&r, "name", text_v(" +86  138"));
    set(&r, "office_mobile", number); /* for row_check to refuse */
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    assert_true(text_is(r.v[at(&r, "name")].u.text, " +86  138"));
    assert_true(fb_value_equal(&r.v[at(&r, "office_mobile")], &number));
}

static void row_derive__no_name_no_keys(void **state)
{
    const fixture *f = *state;
    row r = right_shop(state);
    set(&r, "name_key", text_v("old"));
    set(&r, "name", null_v());
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    assert_int_equal(r.v[at(&r, "name_key")].kind, FB_KIND_NULL);
    assert_int_equal(r.v[at(&r, "name_py")].kind, FB_KIND_NULL);
    set(&r, "name", text_v(""));
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    assert_int_equal(r.v[at(&r, "name_key")].kind, FB_KIND_NULL);
}

static void row_derive__leaves_entities_without_keys_and_states(void **state)
{
    const fixture *f = *state;
    row r = {.e = catalog_entity_str(f->c, "plain")};
    int columns[4] = {at(&r, "name")};
    fb_value values[4] = {text_v("北京")};
    uint32_t count = 1;
    set(&r, "name", text_v("北京"));
    assert_int_equal(row_derive(r.e, r.v, f->memory), FB_OK);
    assert_int_equal(r.v[0].kind, FB_KIND_NULL);
    assert_true(text_is(r.v[at(&r, "name")].u.text, "北京"));
    assert_int_equal(row_derive_update(r.e, columns, values, &count, 4, f->memory), FB_OK);
    assert_int_equal(count, 1);
}

static void row_derive__runs_out_of_memory_cleanly(void **state)
{
    row r = right_shop(state);
    arena *tiny = arena_new(16);
    assert_non_null(tiny);
    assert_int_equal(row_derive(r.e, r.v, tiny), FB_E_NO_MEMORY);
    arena_free(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_derive__fills_keys_defaults_and_first_state),
        cmocka_unit_test(row_derive__key_is_cut_between_characters),
        cmocka_unit_test(row_derive_update__brings_the_keys_along),
        cmocka_unit_test(row_derive_update__needs_room_and_leaves_other_columns),
        cmocka_unit_test(row_derive__phones_are_brought_to_one_form),
        cmocka_unit_test(row_derive__other_texts_stay_as_typed),
        cmocka_unit_test(row_derive__no_name_no_keys),
        cmocka_unit_test(row_derive__leaves_entities_without_keys_and_states),
        cmocka_unit_test(row_derive__runs_out_of_memory_cleanly),
    };
    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
