/* test_catalog.c - the catalogue room: what is loaded, what is refused and why, the SQL it
 * becomes, values, and growing.
 *
 * Method: a small right catalogue, in which each refusal case replaces one run of text; the case
 * fails when the code, the place or the reason in the answer differs. The built-in catalogue is
 * loaded as it is and made into real tables on both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "catalog/catalog.h"
#include "schema/limits.h"

#define LABEL "'label':{'en':'x','zh':'甲'}"
#define COL(name, rest) "{'name':'" name "'," LABEL "," rest "}"
#define REF(name, to) COL(name, "'type':'ref','to':'" to "'")
#define GLOBAL "'scope':[{'by':'global'}]"
#define GRANTS "'grants':{'REP':'cru','MGR':'cruda'}"
#define PLAIN(name, columns)                                                          \
    "{'name':'" name "'," LABEL ",'class':'reference'," GLOBAL ",'columns':[" columns \
    "],'grants':{'IT':'cruda'}}"

/* ' stands for " to keep it readable. */
static const char fixture[] =
    "{'version':1,'modules':[{'module':'base','entities':[" PLAIN("org_unit", COL("code",
                                                                                  "'type':'text'")) "," PLAIN("territory", COL("code", "'type':'text'")) "," PLAIN("device", COL("code", "'type':'text'")) ","
                                                                                                                                                                                                           "{'name':'app_user'," LABEL
                                                                                                                                                                                                           ",'class':'reference','scope':[{'by':'region','column':'org_unit_id'},"
                                                                                                                                                                                                           "{'by':'user','column':'id'}],'columns':[" REF("org_unit_id", "org_unit") "],'grants':{'IT':'cruda'}}"
                                                                                                                                                                                                                                                                                     "]},{'module':'shop','entities':["
                                                                                                                                                                                                                                                                                     "{'name':'customer'," LABEL ",'class':'shared','stamps':true,'key':'code',"
                                                                                                                                                                                                                                                                                     "'scope':[{'by':'territory','column':'territory_id'},{'by':'assignment'},{'by':'user','column':'owner_id'}],"
                                                                                                                                                                                                                                                                                     "'columns':[" COL(
                                                                                                                                                                                                                                                                                         "code",
                                                                                                                                                                                                                                                                                         "'type':'text','max':32,'required':true,'unique':true,'policy':'AO'") "," COL("name", "'type':'text','policy':'SW','guarded':true") "," COL("grade", "'type':'enum','values':['A','B'],'default':'B'") "," COL("limit_amount", "'type':'minor','min':0,'max':'100000000000','default':0") "," COL("visits",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "'type':'int32','policy':'DELTA'") "," COL("since_date", "'type':'date','default':'2026-01-01'") "," COL("extra",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    "'type':'json'") "," COL("vip", "'type':'bool','default':false") "," COL("rate_bp",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "'type':'bp','min':0,'max':10000") "," COL("price_4dp", "'type':'price'") "," COL("qty_milli",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "'type':'milli'") "," COL("lat_e7",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "'type':'e7','min':-900000000,'max':900000000") "," COL("seen_at", "'type':'instant'") "," REF("territory_id", "territory") "," REF("owner_id", "app_user") "," REF("parent_id",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "customer") "," COL("status",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 "'type':'enum','values':['draft','active','gone'],'policy':'SM','default':'draft'") "],'indexes':[['territory_id'],['grade','name']],'server_indexes':[['owner_id']],"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "'unique_together':[['name','territory_id']],"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "'states':{'column':'status','initial':['draft'],'sealed_from':'draft','transitions':["
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "{'from':'draft','to':'active','roles':['REP'],'requires':'name'},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "{'from':'*','to':'gone','device':false}]}," GRANTS
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "{'name':'customer_assignment'," LABEL
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     ",'class':'shared','scope':[{'by':'parent','column':'customer_id'}],"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "'columns':[" REF("customer_id", "customer") "," REF(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "territory_id",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "territory") "]," GRANTS
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "},"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "{'name':'note'," LABEL
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      ",'class':'fact','scope':[{'by':'parent','column':'customer_id'}],"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "'columns':[" REF("customer_id", "customer") "," COL(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "body",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "'type':'text'") "]," GRANTS
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "}"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "]}]}";

/* The fixture with every `find` replaced by `put`, quotes made real. Caller frees. */
static char *text_with(const char *find, const char *put)
{
    size_t room = sizeof fixture + (put != NULL ? strlen(put) : 0);
    char *text = malloc(room);
    size_t size = 0;
    bool replaced = false;

    assert_non_null(text);
    for (const char *at = fixture; *at != '\0';) {
        if (find != NULL && !replaced && strncmp(at, find, strlen(find)) == 0) {
            memcpy(text + size, put, strlen(put));
            size += strlen(put);
            at += strlen(find);
            replaced = true;
        } else {
            text[size++] = *at++;
        }
    }
    text[size] = '\0';
    assert_true(find == NULL || replaced); /* else the case tests nothing */
    for (size_t i = 0; i < size; i++) {
        text[i] = text[i] == '\'' ? '"' : text[i];
    }
    return text;
}

static catalog *load_with(const char *find, const char *put)
{
    char *text = text_with(find, put);
    catalog *c = NULL;
    fb_error err = {0};

    if (catalog_load(text_of(text), &c, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    free(text);
    return c;
}

static const cat_entity *customer_of(const catalog *c)
{
    const cat_entity *e = catalog_entity_str(c, "customer");

    assert_non_null(e);
    return e;
}

/* clang-format off */
static const struct refusal {
    const char *find, *put;
    const char *field;  /* exact */
    const char *reason; /* part of the message */
} refusals[] = {
    {"{'version':1,", "{'version':0,", "", "\"version\""},
    {"{'version':1,", "{", "", "\"version\""},
    {"{'version':1,", "{'version':1,'extra':1,", "", "unknown key \"extra\""},
    {"'module':'base',", "'module':'base','colour':1,", "", "unknown key \"colour\""},
    {"'module':'base',", "'module':'base','since':2,", "base", "\"since\""},
    {"'module':'shop',", "'module':'base',", "base", "listed twice"},
    {"'module':'shop',", "'module':'Shop',", "Shop", "not allowed"},
    {"'key':'code',", "'kee':'code',", "shop.customer", "unknown key \"kee\""},
    {"'key':'code',", "'key':'cod',", "shop.customer", "\"key\" names the unknown column"},
    {"'name':'note'", "'name':'Note'", "shop.Note", "not allowed"},
    {"'name':'note'", "'name':'select'", "shop.select", "reserved word"},
    {"'name':'note'", "'name':'fb_note'", "shop.fb_note", "kept for the system"},
    {"'name':'note'", "'name':'customer'", "shop.customer", "exists already"},
    {"'name':'note'", "'name':'my__note'", "shop.my__note", "not allowed"},
    {"'class':'fact'", "'class':'facts'", "shop.note", "unknown class"},
    {"'class':'fact',", "", "shop.note", "\"class\" is missing"},
    {"'name':'grade'", "'name':'Grade'", "shop.customer.Grade", "not allowed"},
    {"'name':'grade'", "'name':'order'", "shop.customer.order", "reserved word"},
    {"'name':'grade'", "'name':'grade_'", "shop.customer.grade_", "not allowed"},
    {"'name':'grade'", "'name':'name'", "shop.customer.name", "exists already"},
    {"'name':'grade'", "'name':'ver'", "shop.customer.ver", "remove this column"},
    {"'name':'grade'", "'name':'created_by'", "shop.customer.created_by", "remove this column"},
    {"'name':'grade'", "'name':'a123456789012345678901234567890123456789012345678'",
     "shop.customer.a12345678901234567890123456789012345678901234567", "longer than"},
    {"'type':'date'", "'type':'day'", "shop.customer.since_date", "unknown type"},
    {"'type':'date','default'", "'type':'date','max':5,'default'", "shop.customer.since_date", "do not apply"},
    {"'policy':'DELTA'", "'policy':'ADD'", "shop.customer.visits", "unknown policy"},
    {"'type':'int32','policy':'DELTA'", "'type':'text','policy':'DELTA'", "shop.customer.visits", "DELTA needs a number"},
    {"'policy':'DELTA'", "'policy':'SEQ'", "shop.customer.visits", "SEQ"},
    {"'type':'json'", "'type':'json','policy':'MAX'", "shop.customer.extra", "MAX and MIN"},
    {"'type':'json'", "'type':'json','unique':true", "shop.customer.extra", "cannot be unique"},
    {"'type':'json'", "'type':'json','required':1", "shop.customer.extra", "true or false"},
    {"'type':'json'", "'type':'json','default':'{'", "shop.customer.extra", "not valid"},
    {"'policy':'SW','guarded'", "'policy':'LWW','guarded'", "shop.customer.name", "guarded"},
    {"'values':['A','B'],", "", "shop.customer.grade", "needs \"values\""},
    {"'values':['A','B']", "'values':[]", "shop.customer.grade", "needs \"values\""},
    {"'values':['A','B']", "'values':['A','A']", "shop.customer.grade", "listed twice"},
    {"'values':['A','B']", "'values':['A','b b']", "shop.customer.grade", "code of letters"},
    {"'default':'B'", "'default':'C'", "shop.customer.grade", "\"default\" is not valid"},
    {"'default':'2026-01-01'", "'default':'2026-02-30'", "shop.customer.since_date", "\"default\" is not valid"},
    {"'default':false", "'default':0", "shop.customer.vip", "wrong type"},
    {"'default':0", "'default':-1", "shop.customer.limit_amount", "\"default\" is not valid"},
    {"'default':0", "'default':0.5", "shop.customer.limit_amount", "wrong type"},
    {"'min':0,'max':'100000000000'", "'min':5,'max':4", "shop.customer.limit_amount", "swap"},
    {"'max':'100000000000'", "'max':100000000000", "shop.customer.limit_amount", "\"max\" must be an integer"},
    {"'max':'100000000000'", "'max':'9000000000000000000'", "shop.customer.limit_amount", "\"max\" must be"},
    {"'type':'text','max':32", "'type':'text','max':0", "shop.customer.code", "\"max\" of a text"},
    {"'type':'text','max':32", "'type':'text','min':1", "shop.customer.code", "numbers only"},
    {"'type':'text','max':32", "'type':'text','values':['A']", "shop.customer.code", "enum only"},
    {"'type':'text','max':32", "'type':'text','to':'customer'", "shop.customer.code", "ref only"},
    {REF("parent_id", "customer"), REF("parent_id", "client"), "shop.customer.parent_id", "unknown entity"},
    {REF("parent_id", "customer"), COL("parent_id", "'type':'ref'"), "shop.customer.parent_id", "needs \"to\""},
    {REF("parent_id", "customer"), COL("parent_id", "'type':'ref','to':'customer','default':'a'"),
     "shop.customer.parent_id", "no default"},
    {"'label':{'en':'x','zh':'甲'},'class':'fact'", "'label':{'en':'x'},'class':'fact'", "shop.note", "\"zh\" is missing"},
    {"'label':{'en':'x','zh':'甲'},'class':'fact'", "'class':'fact'", "shop.note", "\"label\" is missing"},
    {"{'by':'assignment'}", "{'by':'magic'}", "shop.customer", "unknown scope"},
    {"{'by':'assignment'}", "{'by':'global'}", "shop.customer", "stands alone"},
    {"{'by':'assignment'}", "{'by':'none'}", "shop.customer", "stands alone"},
    {"{'by':'assignment'}", "{'by':'assignment','column':'code'}", "shop.customer.code", "takes no column"},
    {"{'by':'assignment'}", "{'by':'territory'}", "shop.customer", "\"column\" is missing"},
    {"{'by':'assignment'}", "{'by':'assignment'},{'by':'assignment'},{'by':'assignment'}", "shop.customer", "scope rules"},
    {"'column':'territory_id'}", "'column':'area_id'}", "shop.customer.area_id", "unknown column"},
    {"'column':'territory_id'}", "'column':'owner_id'}", "shop.customer.owner_id", "needs a ref to territory"},
    {"'column':'territory_id'}", "'column':'code'}", "shop.customer.code", "needs a ref column"},
    {"{'by':'user','column':'owner_id'}", "{'by':'user','column':'id'}", "shop.customer.id", "needs a ref column"},
    {"{'by':'user','column':'owner_id'}", "{'by':'parent','column':'code'}", "shop.customer.code", "needs a ref column"},
    {"{'by':'user','column':'owner_id'}", "{'by':'parent','column':'parent_id'}", "shop.customer.parent_id", "circular"},
    {"'class':'fact','scope':[{'by':'parent','column':'customer_id'}]", "'class':'fact','scope':[]", "shop.note", "\"scope\""},
    {"'class':'fact','scope':[{'by':'parent','column':'customer_id'}]", "'class':'fact','scope':[{'by':'assignment'}]",
     "shop.note", "customer only"},
    {REF("customer_id", "customer") "," REF("territory_id", "territory"), REF("customer_id", "customer"),
     "shop.customer", "needs entity customer_assignment"},
    {"'column':'status','initial'", "'column':'stat','initial'", "shop.customer.stat", "unknown column"},
    {"'column':'status','initial'", "'column':'grade','initial'", "shop.customer.grade", "policy SM"},
    {"'initial':['draft']", "'initial':['new']", "shop.customer.status", "not among the column's values"},
    {"'initial':['draft']", "'initial':[]", "shop.customer.status", "\"initial\""},
    {"'sealed_from':'draft'", "'sealed_from':'closed'", "shop.customer.status", "not among"},
    {"'from':'draft','to':'active'", "'from':'draft','to':'done'", "shop.customer.status", "\"done\" is not among"},
    {"'from':'draft','to':'active'", "'from':'new','to':'active'", "shop.customer.status", "\"new\" is not among"},
    {"'from':'draft','to':'active'", "'from':'draft','to':'draft'", "shop.customer.status", "changes nothing"},
    {"'from':'draft','to':'active'", "'from':'*','to':'gone'", "shop.customer.status", "listed twice"},
    {"'requires':'name'", "'requires':'nam'", "shop.customer.status", "\"requires\" names the unknown"},
    {"'roles':['REP']", "'roles':['rep']", "shop.customer.status", "role codes"},
    {"'roles':['REP']", "'roles':['CEO']", "shop.customer.status", "neither update nor approve"},
    {"'type':'date'", "'type':'enum','values':['X'],'policy':'SM'", "shop.customer.since_date", "not valid"},
    {"'type':'date','default':'2026-01-01'", "'type':'enum','values':['X'],'policy':'SM'",
     "shop.customer.since_date", "policy SM needs this column"},
    {"'REP':'cru'", "'REP':'crux'", "shop.customer", "\"cruda\""},
    {"'REP':'cru'", "'REP':'ccru'", "shop.customer", "\"cruda\""},
    {"'REP':'cru'", "'REP':''", "shop.customer", "needs letters"},
    {"'REP':'cru'", "'rep':'cru'", "shop.customer", "not a role code"},
    {"'grants':{'IT':'cruda'}", "'grants':{}", "base.org_unit", "\"grants\""},
    {"['grade','name']", "['grade','title']", "shop.customer.title", "unknown column"},
    {"['grade','name']", "['territory_id']", "shop.customer.territory_id", "listed twice"},
    {"['grade','name']", "['code']", "shop.customer.code", "has an index already"},
    {"['grade','name']", "[]", "shop.customer", "1 to 4"},
    {"'server_indexes':[['owner_id']]", "'server_indexes':[['boss_id']]", "shop.customer.boss_id", "unknown column"},
    {"'requires':'name'", "'needs':'name'", "shop.customer.status", "unknown key \"needs\""},
    {"'sealed_from':'draft'", "'sealed':'draft'", "shop.customer", "unknown key \"sealed\""},
    {"'type':'json'", "'type':'json','personal':1", "shop.customer.extra", "true or false"},
    {"'type':'json'", "'type':'json','derived':'x'", "shop.customer.extra", "true or false"},
    {"'class':'fact'", "'class':'fact','device_writes':1", "shop.note", "true or false"},
    {"'class':'fact'", "'class':'fact','stamps':0", "shop.note", "true or false"},
    {"'module':'shop',", "'module':'shop','extend':{},", "shop", "\"extend\""},
    {"'module':'shop',", "'module':'shop','extend':[{'entity':'note','cols':[]}],", "shop", "unknown key \"cols\""},
    {"'module':'shop',", "'module':'shop','extend':[{'entity':'memo','columns':[]}],", "shop.memo", "unknown entity"},
    {"'module':'shop',", "'module':'shop','extend':[{'entity':'note','columns':[]}],", "shop.note", "at least one column"},
};
/* clang-format on */

static void catalog__refuses_each_mistake_with_place_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *r = &refusals[i];
        char *text = text_with(r->find, r->put);
        catalog *c = NULL;
        fb_error err = {0};
        fb_code rc = catalog_load(text_of(text), &c, &err);

        if (rc != FB_E_CATALOG || strcmp(err.field, r->field) != 0 ||
            strstr(err.message, r->reason) == NULL) {
            fail_msg("case %zu (%s): code %d, field \"%s\", message \"%s\"", i, r->put, (int)rc,
                     err.field, err.message);
        }
        assert_null(c);
        free(text);
    }
}

static void catalog__refuses_text_that_is_not_strict_json(void **state)
{
    static const char *const texts[] = {
        "", "{", "[1,]", "{\"version\":1,\"version\":1,\"modules\":[]}", "{\"version\":1} x"};
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        catalog *c = NULL;
        fb_error err = {0};
        assert_int_equal(catalog_load(text_of(texts[i]), &c, &err), FB_E_JSON);
        assert_null(c);
    }
}

static void catalog__refuses_too_many_columns_and_bytes(void **state)
{
    char many[20000];
    size_t size = 0;
    char *text = NULL;
    catalog *c = NULL;
    fb_error err = {0};
    (void)state;

    for (int i = 0; i < 120; i++) {
        size +=
            (size_t)snprintf(many + size, sizeof many - size, COL("c%d", "'type':'bool'") ",", i);
    }
    (void)snprintf(many + size, sizeof many - size, "%s", COL("body", "'type':'text'"));
    text = text_with(COL("body", "'type':'text'"), many);
    assert_int_equal(catalog_load(text_of(text), &c, &err), FB_E_CATALOG);
    assert_string_equal(err.field, "shop.note");
    assert_non_null(strstr(err.message, "too many"));
    free(text);

    text = calloc(1, (4U << 20) + 1);
    assert_non_null(text);
    memset(text, ' ', 4U << 20);
    assert_int_equal(catalog_load((fb_text){text, (4U << 20) + 1}, &c, &err), FB_E_LIMIT);
    free(text);
}

static void catalog__refuses_a_parent_chain_that_is_too_deep(void **state)
{
    char chain[8000];
    size_t size = 0;
    char *text = NULL;
    catalog *c = NULL;
    fb_error err = {0};
    (void)state;

    /* note follows customer (1 hop); d1..d6 follow note: d6 is 7 hops from the root. */
    for (int i = 1; i <= 6; i++) {
        char parent[8] = "note";
        if (i > 1) {
            (void)snprintf(parent, sizeof parent, "d%d", i - 1);
        }
        size += (size_t)snprintf(
            chain + size, sizeof chain - size,
            "{'name':'d%d'," LABEL ",'class':'fact','scope':[{'by':'parent','column':'up_id'}],"
            "'columns':[{'name':'up_id'," LABEL ",'type':'ref','to':'%s'}]," GRANTS "},",
            i, parent);
    }
    (void)snprintf(chain + size, sizeof chain - size, "{'name':'note'");
    text = text_with("{'name':'note'", chain);
    assert_int_equal(catalog_load(text_of(text), &c, &err), FB_E_CATALOG);
    assert_non_null(strstr(err.message, "deeper than 6 hops"));
    free(text);
}

static void catalog__refuses_a_parent_that_no_device_has(void **state)
{
    char *text =
        text_with("'scope':[{'by':'territory','column':'territory_id'},{'by':'assignment'},"
                  "{'by':'user','column':'owner_id'}]",
                  "'scope':[{'by':'none'}]");
    catalog *c = NULL;
    fb_error err = {0};
    (void)state;

    assert_int_equal(catalog_load(text_of(text), &c, &err), FB_E_CATALOG);
    assert_string_equal(err.field, "shop.customer_assignment.customer_id");
    assert_non_null(strstr(err.message, "never on a device"));
    free(text);
}

static void catalog__reads_what_the_text_says(void **state)
{
    catalog *c = load_with(NULL, NULL);
    const cat_entity *e = customer_of(c);
    const cat_column *limit = &e->columns[cat_column_str(e, "limit_amount")];
    (void)state;

    assert_int_equal(c->version, 1);
    assert_int_equal(c->entities_count, 7);
    assert_true(text_is(e->columns[0].name, "id")); /* CAT_2 */
    assert_int_equal(e->columns[0].type, CAT_ID);
    assert_true(text_is(e->columns[cat_ver_column(e)].name, "ver"));
    assert_true(text_is(e->columns[cat_ver_column(e) - 1].name, "updated_at"));
    assert_true(e->columns[cat_column_str(e, "created_by")].derived);
    assert_int_equal(e->columns[cat_column_str(e, "created_by")].to_entity,
                     catalog_entity_str(c, "app_user")->number);
    assert_int_equal(e->business_key, cat_column_str(e, "code"));
    assert_true(e->device_writes);
    assert_false(catalog_entity_str(c, "territory")->device_writes);
    assert_int_equal(limit->max, INT64_C(100000000000));
    assert_int_equal(limit->min, 0);
    assert_int_equal(limit->default_value.kind, FB_KIND_INT);
    assert_int_equal(e->columns[cat_column_str(e, "code")].max_bytes, 32);
    assert_int_equal(e->columns[cat_column_str(e, "name")].max_bytes, 400);
    assert_int_equal(catalog_entity_str(c, "note")->columns[2].policy, CAT_AO);
    assert_int_equal(catalog_entity_str(c, "territory")->columns[1].policy, CAT_SW);
    assert_int_equal(e->columns[cat_column_str(e, "grade")].policy, CAT_LWW);
    assert_int_equal(e->states.transitions_count, 2);
    assert_true(e->states.transitions[0].device);
    assert_false(e->states.transitions[1].device);
    assert_int_equal(e->indexes_count, 5); /* listed, on the server, together, unique */
    assert_true(e->indexes[2].server_only);
    assert_int_equal(e->indexes[2].columns[0], cat_column_str(e, "owner_id"));
    assert_true(e->grants[0].update && !e->grants[0].remove && e->grants[1].approve);
    assert_null(catalog_entity_str(c, "custome"));
    assert_int_equal(cat_column_str(e, "nam"), -1);
    catalog_free(c);
}

static void catalog__knows_who_follows_whom(void **state)
{
    catalog *c = load_with(NULL, NULL);
    const cat_entity *e = customer_of(c);
    (void)state;

    assert_int_equal(e->children_count, 2);
    for (uint32_t i = 0; i < e->children_count; i++) {
        const cat_entity *child = &c->entities[e->children[i].entity];
        assert_true(text_is(child->columns[e->children[i].column].name, "customer_id"));
        assert_int_equal(child->indexes_count, 1); /* the automatic one */
        assert_int_equal(child->indexes[0].columns[0], e->children[i].column);
        assert_true(child->indexes[0].server_only);
    }
    catalog_free(c);
}

static void catalog__has_one_hash_however_it_is_laid_out(void **state)
{
    catalog *a = load_with(NULL, NULL);
    catalog *b = load_with("{'version':1,", "{ 'version' :\t1 ,\n\r");
    catalog *other = load_with("'zh':'甲'", "'zh':'甲 '");
    (void)state;

    assert_memory_equal(&a->hash, &b->hash, sizeof a->hash);
    assert_true(text_equal(a->text, b->text));
    assert_memory_not_equal(&a->hash, &other->hash,
                            sizeof a->hash); /* a blank inside a text counts */
    assert_int_equal(a->text.data[a->text.size], '\0');
    catalog_free(a);
    catalog_free(b);
    catalog_free(other);
}

/* Run on a real database; the context of catalog_migrate. */
static fb_code execute(void *ctx, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(ctx, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", message, sql);
    }
    return FB_OK;
}

static int64_t count(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t value = -1;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

static catalog *load_builtin(void)
{
    catalog *c = NULL;
    fb_error err = {0};

    if (catalog_load(catalog_builtin_text(), &c, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    return c;
}

static void check_tables(const catalog *c, cat_side side)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(catalog_migrate(NULL, c, side, execute, db), FB_OK);
    assert_int_equal(count(db, "SELECT count(*) FROM sqlite_schema WHERE type='table'"),
                     c->entities_count);
    assert_int_equal(count(db, "SELECT count(*) FROM sqlite_schema t, pragma_table_info(t.name) p "
                               "WHERE t.type='table' AND p.type NOT IN ('INTEGER','TEXT','BLOB')"),
                     0);
    assert_int_equal(count(db, "SELECT count(*) FROM pragma_table_list WHERE schema='main' "
                               "AND name NOT LIKE 'sqlite_%' AND (strict=0 OR wr=0)"),
                     0);
    assert_int_equal(
        count(db, "SELECT count(*) FROM sqlite_schema WHERE type='index' AND sql LIKE '%UNIQUE%'") >
            0,
        side == CAT_SERVER);
    sqlite3_close(db);
}

static void builtin__makes_strict_tables_on_both_sides(void **state)
{
    catalog *c = load_builtin();
    (void)state;

    check_tables(c, CAT_DEVICE);
    check_tables(c, CAT_SERVER);
    catalog_free(c);
}

static void builtin__has_the_entities_others_build_on(void **state)
{
    static const char *const names[] = {"org_unit",
                                        "territory",
                                        "app_user",
                                        "role",
                                        "role_permission",
                                        "user_role",
                                        "user_territory",
                                        "device",
                                        "number_range",
                                        "setting",
                                        "enum_value",
                                        "customer",
                                        "customer_address",
                                        "contact",
                                        "customer_assignment",
                                        "customer_tag",
                                        "product",
                                        "product_category",
                                        "product_uom",
                                        "price_list",
                                        "price_list_item",
                                        "price_assignment",
                                        "tax_code",
                                        "visit_plan",
                                        "visit",
                                        "visit_action",
                                        "activity",
                                        "task",
                                        "attachment",
                                        "sales_order",
                                        "sales_order_line",
                                        "payment",
                                        "payment_allocation",
                                        "change_request",
                                        "conflict"};
    catalog *c = load_builtin();
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(catalog_entity_str(c, names[i]));
    }
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        assert_true(e->scopes_count > 0);
        for (uint32_t n = 0; n < e->columns_count; n++) {
            assert_true(e->columns[n].label_en.size > 0 && e->columns[n].label_zh.size > 0);
            assert_int_equal(e->columns[n].type == CAT_REF, e->columns[n].to_entity >= 0);
        }
    }
    assert_int_equal(customer_of(c)->columns[cat_column_str(customer_of(c), "name")].guarded, true);
    catalog_free(c);
}

static void ddl__unique_is_partial_on_the_server_and_plain_on_devices(void **state)
{
    catalog *c = load_with(NULL, NULL);
    const cat_entity *e = customer_of(c);
    buf sql;
    int seen = 0;
    (void)state;

    buf_init(&sql, 1 << 16);
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        if (!e->indexes[i].unique) {
            continue;
        }
        catalog_index_sql(e, i, CAT_DEVICE, &sql);
        buf_put_str(&sql, "\n");
        catalog_index_sql(e, i, CAT_SERVER, &sql);
        buf_put_str(&sql, "\n");
        seen++;
    }
    assert_int_equal(seen, 2);
    assert_string_equal(
        buf_cstr(&sql),
        "CREATE INDEX ix_customer__name__territory_id ON customer (name, territory_id)\n"
        "CREATE UNIQUE INDEX ix_customer__name__territory_id ON customer "
        "(coalesce(name, ''), coalesce(territory_id, x''))\n"
        "CREATE INDEX ix_customer__code ON customer (code)\n"
        "CREATE UNIQUE INDEX ix_customer__code ON customer (code) WHERE code IS NOT NULL\n");
    buf_clear(&sql);
    catalog_free(c);
}

static void ddl__migration_adds_columns_with_their_default_and_indexes(void **state)
{
    catalog *a = load_with(NULL, NULL);
    catalog *b = load_with(
        COL("body", "'type':'text'"),
        COL("body", "'type':'text'") "," COL("mood", "'type':'text','default':'it\\u0027s ok'"));
    sqlite3 *db = NULL;
    (void)state;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(catalog_migrate(NULL, a, CAT_SERVER, execute, db), FB_OK);
    assert_int_equal(execute(db, "INSERT INTO note(id, body) VALUES (x'01', 'old')"), FB_OK);
    assert_int_equal(catalog_migrate(a, b, CAT_SERVER, execute, db), FB_OK);
    assert_int_equal(count(db, "SELECT count(*) FROM note WHERE mood = 'it''s ok' AND ver = 0"), 1);
    assert_int_equal(catalog_migrate(b, b, CAT_SERVER, execute, db),
                     FB_OK); /* nothing left to do */
    sqlite3_close(db);
    catalog_free(a);
    catalog_free(b);
}

/* clang-format off */
static const struct form {
    const char *column, *text;
    bool human;
    fb_code code;
    int64_t value;
    const char *printed; /* NULL: as text */
} forms[] = {
    {"limit_amount", "12.5",  true,  FB_OK, 1250, "12.50"},
    {"limit_amount", "1250",  false, FB_OK, 1250, NULL},
    {"limit_amount", "12.5",  false, FB_E_FORMAT, 0, NULL},
    {"limit_amount", "12.345", true, FB_E_FORMAT, 0, NULL},
    {"limit_amount", "-1",    true,  FB_E_RANGE, 0, NULL},
    {"price_4dp",    "3.1",   true,  FB_OK, 31000, "3.1000"},
    {"qty_milli",    "1.5",   true,  FB_OK, 1500, "1.500"},
    {"rate_bp",      "12.5",  true,  FB_OK, 1250, "12.50"},
    {"lat_e7",       "31.2304167", true, FB_OK, 312304167, NULL},
    {"lat_e7",       "91",    true,  FB_E_RANGE, 0, NULL},
    {"visits",       "-3",    true,  FB_OK, -3, NULL},
    {"visits",       "2147483648", true, FB_E_RANGE, 0, NULL},
    {"vip",          "是",    true,  FB_OK, 1, "true"},
    {"vip",          "0",     false, FB_OK, 0, NULL},
    {"vip",          "yes",   false, FB_E_FORMAT, 0, NULL},
    {"seen_at",      "2024-02-29T23:59:59.123Z", true, FB_OK, INT64_C(1709251199123), NULL},
    {"seen_at",      "2026-01-01T00:00:00Z", true, FB_OK, INT64_C(1767225600000), "2026-01-01T00:00:00.000Z"},
    {"seen_at",      "2026-02-29T00:00:00Z", true, FB_E_FORMAT, 0, NULL},
    {"seen_at",      "2026-01-01T24:00:00Z", true, FB_E_FORMAT, 0, NULL},
    {"seen_at",      "2026-01-01", true, FB_E_FORMAT, 0, NULL},
    {"seen_at",      "1767225600000", false, FB_OK, INT64_C(1767225600000), NULL},
};
/* clang-format on */

static void value__numbers_are_read_and_printed_exactly(void **state)
{
    catalog *c = load_with(NULL, NULL);
    const cat_entity *e = customer_of(c);
    buf out;
    (void)state;

    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const struct form *f = &forms[i];
        int column = cat_column_str(e, f->column);
        fb_value v = {0};
        fb_error err = {0};

        if (cat_value_parse(e, column, text_of(f->text), f->human, &v, &err) != f->code) {
            fail_msg("case %zu: %s", i, err.message);
        }
        if (f->code == FB_OK) {
            assert_int_equal(v.kind, FB_KIND_INT);
            assert_int_equal(v.u.i, f->value);
            buf_reset(&out);
            cat_value_print(e, column, &v, f->human, &out);
            assert_string_equal(buf_cstr(&out), f->printed != NULL ? f->printed : f->text);
        }
    }
    buf_clear(&out);
    catalog_free(c);
}

static fb_code parse(const cat_entity *e, const char *column, const char *text, fb_value *out)
{
    fb_error err = {0};
    fb_code rc = cat_value_parse(e, cat_column_str(e, column), text_of(text), true, out, &err);

    if (rc != FB_OK) {
        char field[64];
        (void)snprintf(field, sizeof field, "customer.%s", column);
        assert_string_equal(err.field, field);
    }
    return rc;
}

static void value__texts_are_checked_against_their_column(void **state)
{
    catalog *c = load_with(NULL, NULL);
    const cat_entity *e = customer_of(c);
    fb_value v = {0};
    fb_error err = {0};
    buf out;
    (void)state;

    assert_int_equal(parse(e, "code", "", &v), FB_OK);
    assert_int_equal(v.kind, FB_KIND_NULL);
    assert_int_equal(parse(e, "code", "12345678901234567890123456789012", &v), FB_OK);
    assert_int_equal(parse(e, "code", "123456789012345678901234567890123", &v), FB_E_LENGTH);
    assert_int_equal(parse(e, "code", "\xff", &v), FB_E_FORMAT);
    assert_int_equal(parse(e, "grade", "A", &v), FB_OK);
    assert_int_equal(parse(e, "grade", "C", &v), FB_E_ENUM);
    assert_int_equal(parse(e, "since_date", "2024-02-29", &v), FB_OK);
    assert_int_equal(parse(e, "since_date", "2023-02-29", &v), FB_E_FORMAT);
    assert_int_equal(parse(e, "extra", "{\"a\":[1,2]}", &v), FB_OK);
    assert_int_equal(parse(e, "extra", "{'a'}", &v), FB_E_FORMAT);
    assert_int_equal(parse(e, "owner_id", "01890a5d-ac96-774b-bcce-b302099a8057", &v), FB_OK);
    buf_init(&out, 100);
    cat_value_print(e, cat_column_str(e, "owner_id"), &v, true, &out);
    assert_string_equal(buf_cstr(&out), "01890a5d-ac96-774b-bcce-b302099a8057");
    buf_clear(&out);
    assert_int_equal(parse(e, "owner_id", "01890A5D-ac96-774b-bcce-b302099a8057", &v), FB_E_FORMAT);
    assert_int_equal(
        cat_value_parse(e, cat_column_str(e, "seen_at"), text_of("noon"), true, &v, &err),
        FB_E_FORMAT);
    assert_non_null(strstr(err.message, "2026-11-22T08:00:00Z"));
    assert_int_equal(cat_value_parse(e, cat_column_str(e, "vip"), text_of("maybe"), true, &v, &err),
                     FB_E_FORMAT);
    assert_non_null(strstr(err.message, "1 or 0"));
    assert_int_equal(
        cat_value_parse(e, cat_column_str(e, "rate_bp"), text_of("1300"), true, &v, &err),
        FB_E_RANGE);
    assert_string_equal(err.message, "percent between 0 and 100 is expected: 13 means 13 %");
    assert_int_equal(cat_value_parse(e, cat_column_str(e, "lat_e7"), text_of("91"), true, &v, &err),
                     FB_E_RANGE);
    assert_string_equal(err.message, "the number must be between -90 and 90: correct it");
    assert_int_equal(parse(e, "owner_id", "00000000-0000-0000-0000-000000000000", &v) != FB_OK,
                     true);
    v = (fb_value){.kind = FB_KIND_INT, .u.i = 1};
    assert_int_equal(cat_value_check(e, cat_column_str(e, "code"), &v, NULL), FB_E_INVALID);
    catalog_free(c);
}

static void value__equal_means_same_kind_and_content(void **state)
{
    fb_value null = {0};
    fb_value one = {.kind = FB_KIND_INT, .u.i = 1};
    fb_value two = {.kind = FB_KIND_INT, .u.i = 2};
    fb_value a = {.kind = FB_KIND_TEXT, .u.text = text_of("a")};
    fb_value b = {.kind = FB_KIND_TEXT, .u.text = text_of("b")};
    fb_value id = {.kind = FB_KIND_ID, .u.id = {{1}}};
    fb_value other = {.kind = FB_KIND_ID, .u.id = {{2}}};
    (void)state;

    assert_true(fb_value_equal(&null, &null) && fb_value_equal(&one, &one) &&
                fb_value_equal(&a, &a) && fb_value_equal(&id, &id));
    assert_false(fb_value_equal(&null, &one) || fb_value_equal(&one, &two) ||
                 fb_value_equal(&a, &b) || fb_value_equal(&id, &other) || fb_value_equal(&one, &a));
}

static void extends__additions_and_widening_pass(void **state)
{
    static const struct pass {
        const char *find, *put;
    } passes[] = {
        {"'values':['A','B']", "'values':['A','B','C']"},
        {"'type':'text','max':32", "'type':'text','max':64"},
        {"'REP':'cru'", "'REP':'crud','NEW':'r'"},
        {"{'from':'*'", "{'from':'active','to':'draft'},{'from':'*'"},
        {COL("body", "'type':'text'"),
         COL("body", "'type':'text'") "," COL("more", "'type':'bool'")},
        {COL("body", "'type':'text'"),
         COL("body", "'type':'text'") "," COL("more",
                                              "'type':'bool','required':true,'default':false")},
    };
    catalog *a = load_with(NULL, NULL);
    (void)state;

    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        catalog *b = load_with(passes[i].find, passes[i].put);
        fb_error err = {0};
        b->version = 2;
        if (catalog_extends(a, b, &err) != FB_OK) {
            fail_msg("case %zu: %s: %s", i, err.field, err.message);
        }
        catalog_free(b);
    }
    catalog_free(a);
}

/* clang-format off */
static const struct refusal losses[] = {
    {"'name':'note'", "'name':'memo'", "shop.note", "entity was removed"},
    {"'class':'fact'", "'class':'own'", "shop.note", "class was changed"},
    {"'name':'body'", "'name':'text'", "shop.note.body", "column was removed"},
    {"'type':'bool','default':false", "'type':'int32'", "shop.customer.vip", "type was changed"},
    {REF("parent_id", "customer"), REF("parent_id", "territory"), "shop.customer.parent_id", "points elsewhere"},
    {"'policy':'DELTA'", "'policy':'LWW'", "shop.customer.visits", "policy was changed"},
    {"'type':'text','max':32", "'type':'text','max':31", "shop.customer.code", "narrower"},
    {"'min':0,'max':'100000000000'", "'min':0,'max':'99999999999'", "shop.customer.limit_amount", "narrower"},
    {"'values':['A','B']", "'values':['B']", "shop.customer.grade", "value was removed"},
    {"'type':'json'", "'type':'json','required':true", "shop.customer.extra", "became required"},
    {"'type':'int32'", "'type':'int32','unique':true", "shop.customer.visits", "required or unique"},
    {COL("body", "'type':'text'"), COL("body", "'type':'text'") "," COL("more", "'type':'text','required':true"),
     "shop.note.more", "cannot be required"},
    {"{'by':'assignment'},", "", "shop.customer", "scope was changed"},
    {"'REP':'cru'", "'REP':'ru'", "shop.customer", "lost a right"},
    {"'sealed_from':'draft',", "", "shop.customer", "state machine"},
    {",{'from':'*','to':'gone','device':false}", "", "shop.customer.status", "transition was removed"},
    {"'to':'active','roles'", "'to':'active','device':false,'roles'", "shop.customer.status", "transition was removed"},
};
/* clang-format on */

static void extends__CAT_4_refuses_every_loss(void **state)
{
    catalog *a = load_with(NULL, NULL);
    (void)state;

    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        catalog *b = load_with(losses[i].find, losses[i].put);
        fb_error err = {0};
        fb_code rc = FB_OK;
        b->version = 2;
        rc = catalog_extends(a, b, &err);
        if (rc != FB_E_CATALOG || strcmp(err.field, losses[i].field) != 0 ||
            strstr(err.message, losses[i].reason) == NULL) {
            fail_msg("case %zu: code %d, %s: %s", i, (int)rc, err.field, err.message);
        }
        catalog_free(b);
    }
    assert_int_equal(catalog_extends(a, a, NULL), FB_E_CATALOG); /* the version must rise */
    catalog_free(a);
}

#define ADDED                                                                                      \
    "{\"module\":\"acme\",\"entities\":[{\"name\":\"fridge\",\"label\":{\"en\":\"Fridge\",\"zh\":" \
    "\"冰柜\"},"                                                                                 \
    "\"class\":\"shared\",\"scope\":[{\"by\":\"parent\",\"column\":\"customer_id\"}],\"columns\":" \
    "["                                                                                            \
    "{\"name\":\"customer_id\",\"label\":{\"en\":\"c\",\"zh\":\"客\"},\"type\":\"ref\",\"to\":"   \
    "\"customer\"}],"                                                                              \
    "\"grants\":{\"REP\":\"cru\"}}],\"extend\":[{\"entity\":\"customer\",\"columns\":["            \
    "{\"name\":\"shelf_count\",\"label\":{\"en\":\"s\",\"zh\":\"货架\"},\"type\":\"int32\"}]}]}"

static void add__joins_a_module_and_raises_the_version(void **state)
{
    catalog *a = load_builtin();
    catalog *b = NULL;
    const cat_entity *e = NULL;
    fb_error err = {0};
    buf text;
    buf again;
    (void)state;

    buf_init(&text, 1 << 20);
    buf_init(&again, 1 << 20);
    if (catalog_add(a, text_of(ADDED), &text, &err) != FB_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
    assert_int_equal(catalog_load(buf_text(&text), &b, &err), FB_OK);
    assert_int_equal(b->version, 2);
    e = customer_of(b);
    assert_true(e->columns[cat_column_str(e, "shelf_count")].custom);
    assert_false(e->columns[cat_column_str(e, "code")].custom);
    assert_int_equal(e->added_in, 1);
    assert_int_equal(catalog_entity_str(b, "fridge")->added_in, 2);
    assert_int_equal(e->children_count, customer_of(a)->children_count + 1);
    assert_int_equal(catalog_extends(a, b, &err), FB_OK);
    assert_int_equal(catalog_add(b, text_of(ADDED), &again, &err),
                     FB_E_CATALOG); /* exists already */
    assert_int_equal(again.size, 0);
    buf_clear(&text);
    buf_clear(&again);
    catalog_free(a);
    catalog_free(b);
}

static bool adds(const catalog *a, int texts, unsigned max, catalog **out, fb_error *err)
{
    buf module, text;
    buf_init(&module, 1 << 20);
    buf_init(&text, 1 << 20);
    buf_put_str(&module, "{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[");
    for (int i = 0; i < texts; i++) {
        buf_printf(&module,
                   "%s{\"name\":\"long_%u_%d\",\"type\":\"text\",\"max\":%u,\"label\":{\"en\":"
                   "\"l\",\"zh\":\"长\"}}",
                   i > 0 ? "," : "", a->version, i, max);
    }
    buf_put_str(&module, "]}]}");
    fb_code rc = catalog_add(a, buf_text(&module), &text, err);
    assert_true(rc == FB_OK || (rc == FB_E_LIMIT && text.size == 0));
    if (rc == FB_OK) {
        assert_int_equal(catalog_load(buf_text(&text), out, err), FB_OK);
    }
    buf_clear(&module);
    buf_clear(&text);
    return rc == FB_OK;
}

/* A row that is longer than a line may be would keep every sync of its devices from going on. */
static void add__refuses_columns_of_which_a_row_fits_no_line(void **state)
{
    catalog *a = load_builtin();
    catalog *b = NULL;
    fb_error err = {0};
    (void)state;
    assert_int_equal(catalog_rows_fit(NULL, a, &err), FB_OK);
    assert_true(adds(a, 2, 65536, &b, &err));
    assert_true(cat_row_bytes_max(customer_of(b)) <= LINE_BYTES_MAX);
    assert_true(cat_row_bytes_max(customer_of(b)) > cat_row_bytes_max(customer_of(a)));
    catalog *c = NULL;
    assert_false(adds(b, 1, 65536, &c, &err));
    assert_string_equal(err.field, "customer.customer");
    assert_non_null(strstr(err.message, "smaller"));
    assert_true(adds(b, 1, 30000, &c, &err));
    catalog_free(c);
    catalog_free(b);
    catalog_free(a);
}

/* What is in use stays so, and may grow where it fits. */
static void add__leaves_what_is_in_use(void **state)
{
    catalog *a = load_builtin();
    catalog *b = NULL;
    fb_error err = {0};
    (void)state;
    cat_entity *task = (cat_entity *)(uintptr_t)catalog_entity_str(a, "task");
    cat_column *title = &task->columns[cat_column_str(task, "title")];
    uint32_t was = title->max_bytes;
    title->max_bytes = LINE_BYTES_MAX;
    assert_int_equal(catalog_rows_fit(a, a, &err), FB_OK);
    assert_int_equal(catalog_rows_fit(NULL, a, &err), FB_E_LIMIT);
    title->max_bytes = was;
    assert_true(adds(a, 1, 100, &b, &err));
    catalog_free(b);
    catalog_free(a);
}

static void add__refuses_what_is_no_module(void **state)
{
    static const struct wrong {
        const char *text;
        fb_code code;
    } wrongs[] = {
        {"{", FB_E_JSON},
        {"[]", FB_E_CATALOG},
        {"{\"module\":\"acme\"}", FB_E_CATALOG},
        {"{\"module\":\"acme\",\"since\":1,\"extend\":[]}", FB_E_CATALOG},
        {"{\"module\":\"acme\",\"extend\":[{\"entity\":\"nobody\",\"columns\":[]}]}", FB_E_CATALOG},
        {"{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[]}]}",
         FB_E_CATALOG},
        {"{\"module\":\"acme\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":\"must_"
         "have\","
         "\"label\":{\"en\":\"m\",\"zh\":\"必\"},\"type\":\"text\",\"required\":true}]}]}",
         FB_E_CATALOG},
    };
    catalog *a = load_builtin();
    buf text;
    (void)state;

    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        fb_error err = {0};
        assert_int_equal(catalog_add(a, text_of(wrongs[i].text), &text, &err), wrongs[i].code);
        assert_true(err.message[0] != '\0');
        assert_int_equal(text.size, 0);
    }
    buf_clear(&text);
    catalog_free(a);
}

/* A release's text: the built-in one with the first `old` replaced by `new`. */
static fb_text release_with(buf *out, const char *old, const char *new)
{
    fb_text builtin = catalog_builtin_text();
    size_t at = 0;
    while (at + strlen(old) <= builtin.size && memcmp(builtin.data + at, old, strlen(old)) != 0) {
        at++;
    }
    assert_true(at + strlen(old) <= builtin.size);
    buf_reset(out);
    buf_put(out, builtin.data, at);
    buf_put_str(out, new);
    buf_put(out, builtin.data + at + strlen(old), builtin.size - at - strlen(old));
    return buf_text(out);
}

static catalog *load(fb_text text)
{
    catalog *c = NULL;
    fb_error err = {0};
    if (catalog_load(text, &c, &err) != FB_OK) {
        print_error("%s: %s\n", err.field, err.message);
        fail();
    }
    return c;
}

static void release__adds_what_is_new_and_keeps_what_it_added(void **state)
{
    catalog *a = load_builtin();
    fb_error err = {0};
    bool changed = true;
    buf module, release, text;
    (void)state;

    buf_init(&module, 1 << 20);
    buf_init(&release, 1 << 20);
    buf_init(&text, 1 << 20);
    assert_int_equal(catalog_release(a, catalog_builtin_text(), &text, &changed, &err), FB_OK);
    assert_false(changed);
    assert_int_equal(text.size, 0);

    assert_int_equal(catalog_add(a, text_of(ADDED), &module, &err), FB_OK);
    catalog *b = load(buf_text(&module));
    assert_int_equal(catalog_release(b, catalog_builtin_text(), &text, &changed, &err), FB_OK);
    assert_false(changed); /* the modules of IT are not the release's to take away */

    fb_text next = release_with(&release, "\"horeca\"", "\"horeca\", \"vending\"");
    assert_int_equal(catalog_release(b, next, &text, &changed, &err), FB_OK);
    assert_true(changed);
    catalog *c = load(buf_text(&text));
    assert_int_equal(c->version, b->version + 1);
    assert_int_equal(catalog_extends(b, c, &err), FB_OK);
    assert_non_null(catalog_entity_str(c, "fridge"));
    const cat_entity *e = customer_of(c);
    assert_int_equal(e->columns[cat_column_str(e, "channel")].values_count, 7);
    assert_true(cat_column_str(e, "shelf_count") > 0);

    buf_reset(&text);
    next = release_with(&release, "\"horeca\", ", "");
    assert_int_equal(catalog_release(b, next, &text, &changed, &err), FB_E_CATALOG); /* older */
    assert_false(changed);
    assert_int_equal(text.size, 0);
    buf_clear(&module);
    buf_clear(&release);
    buf_clear(&text);
    catalog_free(a);
    catalog_free(b);
    catalog_free(c);
}

#define WEBSITE "\"name\": \"website\", \"type\": \"text\", \"max\": 254"

/* What IT added and what the release adds fit a line each alone. */
static void release__refuses_to_make_rows_that_fit_no_line(void **state)
{
    catalog *a = load_builtin();
    catalog *b = NULL;
    fb_error err = {0};
    bool changed = true;
    buf release, text;
    (void)state;
    buf_init(&release, 1 << 20);
    buf_init(&text, 1 << 20);
    fb_text longer = release_with(&release, WEBSITE,
                                  "\"name\": \"website\", \"type\": \"text\", \"max\": 65536");
    assert_int_equal(catalog_release(a, longer, &text, &changed, &err), FB_OK);
    assert_true(changed);
    buf_reset(&text);
    assert_true(adds(a, 2, 65536, &b, &err));
    assert_int_equal(catalog_release(b, longer, &text, &changed, &err), FB_E_LIMIT);
    assert_string_equal(err.field, "customer.customer");
    assert_false(changed);
    assert_int_equal(text.size, 0);
    buf_clear(&release);
    buf_clear(&text);
    catalog_free(a);
    catalog_free(b);
}

/* The built-in catalogue, version `version`, with `more` added to the column website. */
static fb_code load_website(const char *version, const char *more, catalog **out, fb_error *err)
{
    buf text, numbered;
    char column[300];
    buf_init(&text, 1 << 20);
    buf_init(&numbered, 1 << 20);
    snprintf(column, sizeof column, WEBSITE "%s", more);
    fb_text with = release_with(&text, WEBSITE, column);
    const char *at = strstr(buf_cstr(&text), "\"version\":1");
    assert_non_null(at);
    buf_put(&numbered, with.data, (size_t)(at - with.data));
    buf_printf(&numbered, "\"version\":%s", version);
    buf_put_str(&numbered, at + strlen("\"version\":1"));
    fb_code rc = catalog_load(buf_text(&numbered), out, err);
    buf_clear(&text);
    buf_clear(&numbered);
    return rc;
}

static void from__CAT_5_a_source_fits_and_never_changes(void **state)
{
    static const char *const wrong[] = {
        ",\"from\":{\"column\":\"nobody\"}",
        ",\"from\":{\"column\":\"id\"}",
        ",\"from\":{\"column\":\"website\"}",
        ",\"from\":{\"column\":\"remark\"}",
        ",\"from\":{\"column\":\"name\"}",
        ",\"from\":{\"column\":\"is_key_account\"}",
        ",\"from\":{\"column\":\"name_key\"}",
        ",\"from\":{}",
        ",\"from\":{\"column\":\"email\",\"part\":2}",
        ",\"from\":{\"column\":\"email\",\"separator\":\"@\",\"part\":0}",
        ",\"from\":{\"column\":\"email\",\"values\":[]}",
        ",\"from\":{\"column\":\"email\",\"colour\":1}"};
    static const char plain[] = ",\"from\":{\"column\":\"email\"}";
    static const char *const others[] = {
        "", ",\"from\":{\"column\":\"phone\"}",
        ",\"from\":{\"column\":\"email\",\"separator\":\"@\",\"part\":2}"};
    catalog *a = NULL;
    catalog *b = NULL;
    fb_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(load_website("1", wrong[i], &a, &err), FB_E_CATALOG);
        assert_non_null(strstr(err.field, "website"));
    }
    assert_int_equal(load_website("1", plain, &a, &err), FB_OK);
    assert_int_equal(load_website("2", plain, &b, &err), FB_OK);
    assert_int_equal(catalog_extends(a, b, &err), FB_OK);
    catalog_free(b);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(load_website("2", others[i], &b, &err), FB_OK);
        assert_int_equal(catalog_extends(a, b, &err), FB_E_CATALOG);
        catalog_free(b);
    }
    catalog_free(a);
}

/* Else an erased person's number would live on under its new name. */
static void from__CAT_5_personal_stays_personal(void **state)
{
    static const struct {
        const char *more;
        bool personal;
    } cases[] = {{",\"from\":{\"column\":\"email\"}", true}, {"", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        catalog *c = NULL;
        fb_error err = {0};
        assert_int_equal(load_website("1", cases[i].more, &c, &err), FB_OK);
        const cat_entity *e = customer_of(c);
        assert_true(e->columns[cat_column_str(e, "email")].personal);
        assert_int_equal(e->columns[cat_column_str(e, "website")].personal, cases[i].personal);
        catalog_free(c);
    }
}

static void builtin__finds_every_column_by_its_name_and_no_other(void **state)
{
    (void)state;
    catalog *c = load_builtin();
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        assert_non_null(e->column_slots);
        for (uint32_t n = 0; n < e->columns_count; n++) {
            fb_text name = e->columns[n].name;
            assert_int_equal(cat_column_find(e, name), (int)n);
            assert_int_equal(cat_column_find(e, (fb_text){name.data, name.size - 1}),
                             text_is(name, "ids") ? 0 : -1);
        }
        assert_int_equal(cat_column_str(e, ""), -1);
        assert_int_equal(cat_column_str(e, "no_such_column"), -1);
    }
    catalog_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(catalog__refuses_each_mistake_with_place_and_reason),
        cmocka_unit_test(catalog__refuses_text_that_is_not_strict_json),
        cmocka_unit_test(catalog__refuses_too_many_columns_and_bytes),
        cmocka_unit_test(catalog__refuses_a_parent_chain_that_is_too_deep),
        cmocka_unit_test(catalog__refuses_a_parent_that_no_device_has),
        cmocka_unit_test(catalog__reads_what_the_text_says),
        cmocka_unit_test(catalog__knows_who_follows_whom),
        cmocka_unit_test(catalog__has_one_hash_however_it_is_laid_out),
        cmocka_unit_test(builtin__makes_strict_tables_on_both_sides),
        cmocka_unit_test(builtin__has_the_entities_others_build_on),
        cmocka_unit_test(builtin__finds_every_column_by_its_name_and_no_other),
        cmocka_unit_test(ddl__unique_is_partial_on_the_server_and_plain_on_devices),
        cmocka_unit_test(ddl__migration_adds_columns_with_their_default_and_indexes),
        cmocka_unit_test(value__numbers_are_read_and_printed_exactly),
        cmocka_unit_test(value__texts_are_checked_against_their_column),
        cmocka_unit_test(value__equal_means_same_kind_and_content),
        cmocka_unit_test(extends__additions_and_widening_pass),
        cmocka_unit_test(extends__CAT_4_refuses_every_loss),
        cmocka_unit_test(add__joins_a_module_and_raises_the_version),
        cmocka_unit_test(add__refuses_what_is_no_module),
        cmocka_unit_test(add__refuses_columns_of_which_a_row_fits_no_line),
        cmocka_unit_test(add__leaves_what_is_in_use),
        cmocka_unit_test(release__adds_what_is_new_and_keeps_what_it_added),
        cmocka_unit_test(release__refuses_to_make_rows_that_fit_no_line),
        cmocka_unit_test(from__CAT_5_a_source_fits_and_never_changes),
        cmocka_unit_test(from__CAT_5_personal_stays_personal),
    };
    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
