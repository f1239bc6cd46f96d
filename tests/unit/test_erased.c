/* test_erased.c - what a line says of an erased person is taken out of it, and nothing else
 * (ERA-1..3): lines of groups and of verdicts in, lines out.
 *
 * Method: a small catalogue with a personal column of every kind, a few rows, person 1 is listed.
 * Each line of the tables runs through the rule; then every request to an arena fails once. */
#include "support/wire_fixture.h"

#include "support/each_site.h"
#include "wire/erased.h"
#include "wire/sync_msg.h"

/* Written with ' for ", so that it can be read. */
/* clang-format off */
#define NAMED(name) "{'name':'" name "','label':{'en':'" name "','zh':'名'},"
#define ENTITY(name, scope) NAMED(name) "'class':'shared','scope':[" scope "],'columns':["
#define OF(column) "{'by':'parent','column':'" column "'}"
#define GLOBAL "{'by':'global'}"
static const char CATALOG[] =
    "{'version':1,'modules':[{'module':'test','entities':["
    ENTITY("person", GLOBAL)
    NAMED("name") "'type':'text','required':true,'personal':true},"
    NAMED("login") "'type':'text','required':true,'personal':true,'unique':true},"
    NAMED("age") "'type':'int32','min':5,'max':200,'required':true,'personal':true},"
    NAMED("debt") "'type':'int32','min':-9,'max':-2,'required':true,'personal':true},"
    NAMED("born") "'type':'date','required':true,'personal':true},"
    NAMED("extra") "'type':'json','required':true,'personal':true},"
    NAMED("kind") "'type':'enum','values':['guest','host'],'required':true,'personal':true},"
    NAMED("score") "'type':'int64','policy':'DELTA','personal':true},"
    NAMED("points") "'type':'int64','policy':'DELTA'},"
    NAMED("phone") "'type':'text','personal':true},"
    NAMED("friend") "'type':'ref','to':'person','required':true,'personal':true},"
    NAMED("name_key") "'type':'text','required':true,'personal':true,'derived':true},"
    NAMED("remark") "'type':'text'}],'grants':{'REP':'crud'}},"
    ENTITY("address", OF("person_id"))
    NAMED("person_id") "'type':'ref','to':'person'},"
    NAMED("street") "'type':'text','personal':true}],'grants':{'REP':'crud'}},"
    ENTITY("note", OF("thing_id") "," OF("address_id"))
    NAMED("thing_id") "'type':'ref','to':'thing'},"
    NAMED("address_id") "'type':'ref','to':'address'},"
    NAMED("body") "'type':'text','personal':true}],'grants':{'REP':'crud'}},"
    ENTITY("thing", GLOBAL)
    NAMED("title") "'type':'text'}],'grants':{'REP':'crud'}},"
    ENTITY("attachment", OF("person_id"))
    NAMED("person_id") "'type':'ref','to':'person'},"
    NAMED("title") "'type':'text','personal':true},"
    NAMED("size") "'type':'int32'}],'grants':{'REP':'crud'}},"
    ENTITY("conflict", GLOBAL)
    NAMED("entity") "'type':'text'},"
    NAMED("entity_id") "'type':'text'},"
    NAMED("field") "'type':'text'},"
    NAMED("mine") "'type':'text','personal':true},"
    NAMED("state") "'type':'text'}],'grants':{'REP':'crud'}},"
    ENTITY("change_request", GLOBAL)
    NAMED("target_entity") "'type':'text'},"
    NAMED("target_id") "'type':'text'},"
    NAMED("diff_json") "'type':'json','personal':true}],'grants':{'REP':'crud'}},"
    ENTITY("held_group", OF("person_id"))
    NAMED("person_id") "'type':'ref','to':'person'},"
    NAMED("content") "'type':'text','personal':true}],'grants':{'REP':'crud'}}"
    "]}]}";

#define I(n) "'018bcfe5-6800-7000-8000-00000000000" #n "'"
#define GROUP(ops) "{'k':'a.b','at':'1','cv':1,'ops':[" ops "]}"
#define CONFLICT "['+','conflict',['id','entity','entity_id','field','mine']"
/* What there is. Person 1 is listed; row f cannot be read. */
static const char ROWS[] = GROUP(
    "['+','person',['id','name'],[[" I(1) ",'one'],[" I(2) ",'two']]],"
    "['+','address',['id','person_id'],[[" I(3) "," I(1) "],[" I(4) "," I(2) "],[" I(5) ",null]]],"
    "['+','note',['id','thing_id','address_id'],[[" I(6) ",null," I(3) "]]],"
    "['+','attachment',['id','person_id','title'],[[" I(7) "," I(1) ",'picture']]],"
    CONFLICT ",[[" I(8) ",'person'," I(1) ",'phone','123'],[" I(9) ",'person'," I(1) ",'remark','x'],"
    "[" I(a) ",'person'," I(2) ",'phone','456'],[" I(b) ",'nobody'," I(1) ",'phone','x'],"
    "[" I(c) ",'person','no id','phone','x'],[" I(d) ",null,null,null,'x'],"
    "[" I(e) ",'person'," I(1) ",'nothing','x']]]");

#define CHANGE(entity, id, column) "['~','" entity "'," id ",'7',['" column "'],['old'],['new']]"
#define BOTH(entity, id, column, other) \
    "['~','" entity "'," id ",'7',['" column "','" other "'],['old','was'],['new','is']]"
#define REST(entity, id, other) "['~','" entity "'," id ",'7',['" other "'],['was'],['is']]"
#define FACTS "['id','name','login','age','debt','born','extra','kind','phone','friend','remark']"
#define REQUEST(id, diff) \
    "['+','change_request',['id','target_entity','target_id','diff_json'],[[" I(0) ",'person'," id "," diff "]]]"
#define STREETS(street) \
    "[" I(0) "," I(1) "," street "],[" I(9) "," I(1) "," street "],[" I(a) "," I(1) "," street "]," \
    "[" I(b) "," I(1) "," street "],[" I(c) "," I(1) "," street "],[" I(d) "," I(1) "," street "]," \
    "[" I(e) "," I(1) "," street "],[" I(7) "," I(1) "," street "],[" I(8) "," I(1) "," street "]"
#define ADDRESSES(street) "['+','address',['id','person_id','street'],[" STREETS(street) "," STREETS(street) "]]"

typedef struct line_case {
    const char *why, *in, *out; /* out NULL: as it was */
} line_case;
static const line_case GROUPS[] = {
    {"another person", GROUP(CHANGE("person", I(2), "phone")), NULL},
    {"a row without personal columns", GROUP(CHANGE("thing", I(1), "title")), NULL},
    {"the person", GROUP(CHANGE("person", I(1), "phone")), GROUP("")},
    {"the person, and something else", GROUP(BOTH("person", I(1), "phone", "remark")), GROUP(REST("person", I(1), "remark"))},
    {"a difference", GROUP("['^','person'," I(1) ",['score'],['3']]"), GROUP("")},
    {"two differences", GROUP("['^','person'," I(1) ",['score','points'],['3','4']]"),
     GROUP("['^','person'," I(1) ",['points'],['4']]")},
    {"a deletion", GROUP("['-','person'," I(1) ",'7']"), NULL},
    {"what hangs on the person", GROUP(CHANGE("address", I(3), "street")), GROUP("")},
    {"what hangs on another", GROUP(CHANGE("address", I(4), "street")), NULL},
    {"what hangs on nobody", GROUP(CHANGE("address", I(5), "street")), NULL},
    {"what hangs on that", GROUP(CHANGE("note", I(6), "body")), GROUP("")},
    {"the person anew, with everything",
     GROUP("['+','person'," FACTS ",[[" I(1) ",'a','b',30,-5,'1980-01-01','{1}','host','5'," I(2) ",'r']]]"),
     GROUP("['+','person'," FACTS ",[[" I(1) ",'*','*018bcfe5-6800-7000-8000-000000000001',5,-2,'1900-01-01','{}','guest',null,null,'r']]]")},
    {"an address anew", GROUP("['+','address',['id','person_id','street'],[[" I(0) "," I(1) ",'here']]]"),
     GROUP("['+','address',['id','person_id','street'],[[" I(0) "," I(1) ",null]]]")},
    {"an address anew that says nothing", GROUP("['+','address',['id','person_id','street'],[[" I(0) "," I(1) ",null]]]"), NULL},
    {"a note on an address of the same group",
     GROUP("['+','address',['id','person_id'],[[" I(0) "," I(1) "]]],['+','note',['id','address_id','body'],[[" I(b) "," I(0) ",'x']]]"),
     GROUP("['+','address',['id','person_id'],[[" I(0) "," I(1) "]]],['+','note',['id','address_id','body'],[[" I(b) "," I(0) ",null]]]")},
    {"many addresses", GROUP(ADDRESSES("'s'")), GROUP(ADDRESSES("null"))},
    {"a picture anew", GROUP("['+','attachment',['id','person_id'],[[" I(0) "," I(1) "]]]"), GROUP("")},
    {"another's picture anew", GROUP("['+','attachment',['id','person_id'],[[" I(0) "," I(2) "]]]"), NULL},
    {"a picture", GROUP(CHANGE("attachment", I(7), "title")), GROUP("")},
    {"a row that is gone", GROUP(CHANGE("address", I(0), "street")), NULL},
    {"a row that is gone, beside the person", GROUP(CHANGE("address", I(0), "street") "," CHANGE("person", I(1), "phone")), GROUP("")},
    {"another person, beside the person", GROUP(CHANGE("person", I(2), "phone") "," CHANGE("person", I(1), "phone")), GROUP(CHANGE("person", I(2), "phone"))},
    {"a conflict about the person", GROUP(BOTH("conflict", I(8), "mine", "state")), GROUP(REST("conflict", I(8), "state"))},
    {"one about what is not personal", GROUP(CHANGE("conflict", I(9), "mine")), NULL},
    {"one about another", GROUP(CHANGE("conflict", I(a), "mine")), NULL},
    {"one about no entity", GROUP(CHANGE("conflict", I(b), "mine")), NULL},
    {"one about no row", GROUP(CHANGE("conflict", I(c), "mine")), NULL},
    {"one about nothing", GROUP(CHANGE("conflict", I(d), "mine")), NULL},
    {"one about no column", GROUP(CHANGE("conflict", I(e), "mine")), NULL},
    {"a request about the person", GROUP(REQUEST(I(1), "'{\\'phone\\':\\'5\\',\\'remark\\':\\'r\\',\\'what\\':1}'")),
     GROUP(REQUEST(I(1), "'{\\'remark\\':\\'r\\'}'"))},
    {"one that is no object", GROUP(REQUEST(I(1), "'[1]'")), GROUP(REQUEST(I(1), "'{}'"))},
    {"one that ends early", GROUP(REQUEST(I(1), "'{\\'remark\\':'")), GROUP(REQUEST(I(1), "'{}'"))},
    {"one that asks for nothing", GROUP(REQUEST(I(1), "null")), NULL},
    {"one about another", GROUP(REQUEST(I(2), "'{\\'phone\\':\\'5\\'}'")), NULL},
    {"a held group", GROUP("['+','held_group',['id','person_id','content'],[[" I(0) "," I(1) ",'x']]]"), NULL},
    {"a line of another catalogue that names the person", GROUP("['-','nobody'," I(1) ",'7']"), "{'k':'erased','at':'0','cv':0,'ops':[]}"},
    {"one that does not", GROUP("['-','nobody'," I(2) ",'7']"), NULL},
    {"no line", "018bcfe5", NULL},
};

#define VERDICT(rest) "{'m':'verdict','g':'2','code':'rejected'" rest "}"
#define COLUMN(entity, id, column, values) "['" entity "'," id ",'" column "','LWW',0," values "]"
#define COLS(list) VERDICT(",'cols':[" list "]")
static const line_case VERDICTS[] = {
    {"nothing of anybody", VERDICT(",'field':'person.phone'"), NULL},
    {"the person's row", VERDICT(",'field':'person.phone','row':{'phone':'5','id':" I(1) "}"), VERDICT(",'field':'person.phone'")},
    {"another's row", VERDICT(",'field':'person[1].phone','row':{'phone':'5','id':" I(2) "}"), NULL},
    {"a row of the person", VERDICT(",'field':'address[1].street','row':{'id':" I(3) "}"), VERDICT(",'field':'address[1].street'")},
    {"the person's row, of no entity", VERDICT(",'field':'nobody','row':{'id':" I(1) "}"), VERDICT(",'field':'nobody'")},
    {"another's row, of no entity", VERDICT(",'row':{'id':" I(2) "}"), NULL},
    {"a row without an id", VERDICT(",'row':{'phone':'5'}"), VERDICT("")},
    {"a row with a number for an id", VERDICT(",'row':{'id':5}"), VERDICT("")},
    {"a row that is none", VERDICT(",'row':[1]"), VERDICT("")},
    {"a column of the person", COLS(COLUMN("person", I(1), "phone", "'1','2','3'")), COLS(COLUMN("person", I(1), "phone", "null,null,null"))},
    {"only mine", COLS(COLUMN("person", I(1), "phone", "null,'2',null")), COLS(COLUMN("person", I(1), "phone", "null,null,null"))},
    {"only theirs", COLS(COLUMN("person", I(1), "phone", "null,null,'3'")), COLS(COLUMN("person", I(1), "phone", "null,null,null"))},
    {"a column that is empty already", COLS(COLUMN("person", I(1), "phone", "null,null,null")), NULL},
    {"two columns", COLS(COLUMN("person", I(1), "phone", "'1','2','3'") "," COLUMN("person", I(1), "name", "'1','2','3'")),
     COLS(COLUMN("person", I(1), "phone", "null,null,null") "," COLUMN("person", I(1), "name", "null,null,null"))},
    {"a column of another", COLS(COLUMN("person", I(2), "phone", "'1','2','3'")), NULL},
    {"a column that is not personal", COLS(COLUMN("person", I(1), "remark", "'1','2','3'")), NULL},
    {"a column that nobody knows", COLS(COLUMN("person", I(1), "nothing", "'1','2','3'")), NULL},
    {"of no entity", COLS(COLUMN("nobody", I(1), "phone", "'1','2','3'")), NULL},
    {"of no row", COLS(COLUMN("person", "'no id'", "phone", "'1','2','3'")), NULL},
    {"a line about many", "{'m':'ok','g':'1','to':'2','cid':'6'}", NULL},
};
/* clang-format on */

/* --- the view ------------------------------------------------------------------------------- */

typedef struct world {
    catalog *cat;
    arena *memory, *scratch;
    group rows;
    fb_id listed, unreadable;
    bool list_unreadable;
} world;

static fb_text quoted(arena *memory, const char *text)
{
    fb_text out = arena_text(memory, text_of(text));
    assert_non_null(out.data);
    for (size_t i = 0; i < out.size; i++) {
        if (out.data[i] == '\'') {
            ((char *)(uintptr_t)out.data)[i] = '"';
        }
    }
    return out;
}

static fb_code listed(void *ctx, const fb_id *id, bool *out)
{
    const world *w = ctx;
    *out = id_equal(id, &w->listed);
    return w->list_unreadable ? FB_E_IO : FB_OK;
}

static fb_code row_of(void *ctx, const cat_entity *e, const fb_id *id, arena *memory,
                      fb_value *values)
{
    const world *w = ctx;
    (void)memory;
    if (id_equal(id, &w->unreadable)) {
        return FB_E_IO;
    }
    for (uint32_t i = 0; i < w->rows.ops_count; i++) {
        const group_op *op = &w->rows.ops[i];
        if (op->entity == e && id_equal(&op->id, id)) {
            memset(values, 0, e->columns_count * sizeof *values);
            values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = *id};
            for (uint32_t c = 0; c < op->columns_count; c++) {
                values[op->columns[c]] = op->mine[c];
            }
            return FB_OK;
        }
    }
    return FB_E_NOT_FOUND;
}

static int setup(void **state)
{
    static world w;
    fb_error err = {.code = FB_OK};
    w = (world){.memory = arena_new(16 << 20), .scratch = arena_new(16 << 20)};
    w.listed = id_of(1);
    w.unreadable = id_of(15);
    if (catalog_load(quoted(w.memory, CATALOG), &w.cat, &err) != FB_OK ||
        group_get(quoted(w.memory, ROWS), w.cat, w.memory, &w.rows, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    catalog_free(w->cat);
    arena_free(w->memory);
    arena_free(w->scratch);
    return 0;
}

/* --- the loop ------------------------------------------------------------------------------- */

typedef struct trial {
    world *w;
    const line_case *c;
    bool is_verdict;
    buf out;
    bool changed;
} trial;

static fb_code take_out(void *ctx)
{
    trial *t = ctx;
    const erased_view v = {t->w, t->w->cat, listed, row_of};
    char room[4096];
    snprintf(room, sizeof room, "%s", t->c->in);
    for (char *p = room; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    buf_reset(&t->out);
    arena_reset(t->w->scratch);
    return (t->is_verdict ? erased_verdict : erased_line)(&v, text_of(room), t->w->scratch, &t->out,
                                                          &t->changed);
}

static void is_right(void *ctx)
{
    trial *t = ctx;
    fb_text got = buf_text(&t->out);
    if (t->is_verdict && got.size > 0) {
        got.size--; /* its "\n" */
    }
    fb_text wanted = t->c->out != NULL ? quoted(t->w->memory, t->c->out) : text_of("");
    if (t->changed != (t->c->out != NULL) || !text_equal(got, wanted)) {
        fail_msg("%s: changed %d\n  got    %.*s\n  wanted %.*s", t->c->why, t->changed,
                 (int)got.size, got.data, (int)wanted.size, wanted.data);
    }
}

static void try_all(world *w, const line_case *cases, size_t count, bool is_verdict)
{
    for (size_t i = 0; i < count; i++) {
        trial t = {.w = w, .c = &cases[i], .is_verdict = is_verdict};
        buf_init(&t.out, 1 << 20);
        each_site_fails(&(each_site){take_out, is_right, &t});
        buf_clear(&t.out);
    }
}

static void group__loses_the_person_and_nothing_else(void **state)
{
    try_all(*state, GROUPS, sizeof GROUPS / sizeof GROUPS[0], false);
}

static void verdict__loses_the_person_and_nothing_else(void **state)
{
    try_all(*state, VERDICTS, sizeof VERDICTS / sizeof VERDICTS[0], true);
}

/* What cannot be asked is not taken for "no": the line stays as it was, and it is said. */
static void trouble__is_passed_on(void **state)
{
    static const struct {
        const char *in;
        bool is_verdict, list;
        fb_code code;
    } TROUBLES[] = {
        {GROUP(CHANGE("address", I(f), "street")), false, false, FB_E_IO},
        {GROUP(CHANGE("person", I(2), "phone")), false, true, FB_E_IO},
        {GROUP("['-','nobody'," I(1) ",'7']"), false, true, FB_E_IO},
        {GROUP(CHANGE("conflict", I(8), "mine")), false, true, FB_E_IO},
        {VERDICT(",'field':'person','row':{'id':" I(2) "}"), true, true, FB_E_IO},
        {COLS(COLUMN("person", I(2), "phone", "'1','2','3'")), true, true, FB_E_IO},
        {"no line", true, false, FB_E_JSON},
    };
    world *w = *state;
    for (size_t i = 0; i < sizeof TROUBLES / sizeof TROUBLES[0]; i++) {
        const line_case c = {.in = TROUBLES[i].in};
        trial t = {.w = w, .c = &c, .is_verdict = TROUBLES[i].is_verdict};
        buf_init(&t.out, 1 << 20);
        w->list_unreadable = TROUBLES[i].list;
        fb_code rc = take_out(&t);
        w->list_unreadable = false;
        if (rc != TROUBLES[i].code || t.out.size > 0) {
            fail_msg("%s: %s", TROUBLES[i].in, fb_code_name(rc));
        }
        buf_clear(&t.out);
    }
}

/* What stands where something stood, asked for one column: rows that no group makes, as a disk may
 * give them back, are asked for too. */
static void value__is_the_least_that_may_stand_there(void **state)
{
    static const struct {
        const char *entity, *column, *was, *left; /* left NULL: nothing */
        bool nameless;                            /* the row has no id */
    } VALUES[] = {
        {"person", "login", "one", "*018bcfe5-6800-7000-8000-000000000001", false},
        {"person", "login", "one", "*", true},
        {"person", "name_key", "one", NULL, false},
        {"person", "extra", "{\"a\":1}", "{}", false},
        {"change_request", "diff_json", "{\"phone\":\"1\",\"remark\":\"r\"}", "{\"remark\":\"r\"}",
         false},
        {"change_request", "diff_json", NULL, NULL, false},
    };
    world *w = *state;
    const erased_view v = {w, w->cat, listed, row_of};
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        const cat_entity *e = catalog_entity_str(w->cat, VALUES[i].entity);
        int column = cat_column_str(e, VALUES[i].column);
        int target = cat_column_str(e, "target_entity");
        fb_value row[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
        fb_value left = {.kind = FB_KIND_INT};
        if (!VALUES[i].nameless) {
            row[0] = (fb_value){.kind = FB_KIND_ID, .u.id = id_of(1)};
        }
        if (target > 0) {
            row[target] = (fb_value){.kind = FB_KIND_TEXT, .u.text = T("person")};
        }
        if (VALUES[i].was != NULL) {
            row[column] = (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(VALUES[i].was)};
        }
        assert_int_equal(erased_value(&v, e, column, row, w->scratch, &left), FB_OK);
        bool right = VALUES[i].left == NULL
                         ? left.kind == FB_KIND_NULL
                         : left.kind == FB_KIND_TEXT && text_is(left.u.text, VALUES[i].left);
        if (!right) {
            fail_msg("%s.%s, case %zu: %.*s", VALUES[i].entity, VALUES[i].column, i,
                     left.kind == FB_KIND_TEXT ? (int)left.u.text.size : 0,
                     left.kind == FB_KIND_TEXT ? left.u.text.data : "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(group__loses_the_person_and_nothing_else),
        TEST(verdict__loses_the_person_and_nothing_else),
        TEST(trouble__is_passed_on),
        TEST(value__is_the_least_that_may_stand_there),
    };
    return cmocka_run_group_tests_name("erased", tests, NULL, NULL);
}
