/* row_fixture.h - for test_row_check.c and test_row_value.c: a small catalogue with one column per
 * kind of rule, a right row of it, and what "is refused with this code at this column" means. */
#ifndef FB_TESTS_UNIT_ROW_FIXTURE_H
#define FB_TESTS_UNIT_ROW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "rules/row_check.h"

/* Written with ' for ", so that it can be read. */
/* clang-format off */
#define NAMED(name, en) "{'name':'" name "','label':{'en':'" en "','zh':'名" en "'},"

static const char CATALOG[] =
    "{'version':1,'modules':[{'module':'test','entities':["
    NAMED("shop", "Shop") "'class':'shared','stamps':true,'scope':[{'by':'global'}],'columns':["
    NAMED("code", "Code") "'type':'text','max':8,'required':true,'policy':'AO'},"
    NAMED("name", "Name") "'type':'text','max':60,'required':true},"
    NAMED("name_key", "Key") "'type':'text','max':12,'derived':true},"
    NAMED("name_py", "Initials") "'type':'text','max':20,'derived':true},"
    NAMED("score", "Score") "'type':'int32','derived':true},"
    NAMED("grade", "Grade") "'type':'text','policy':'SW'},"
    NAMED("licence", "Licence") "'type':'text','policy':'SW','guarded':true},"
    NAMED("serial", "Serial") "'type':'text','policy':'SEQ'},"
    NAMED("seal", "Seal") "'type':'text','policy':'SIG'},"
    NAMED("phone", "Phone") "'type':'text','max':32},"
    NAMED("office_mobile", "Mobile") "'type':'text','max':32},"
    NAMED("email", "E-mail") "'type':'text'},"
    NAMED("usc_code", "Company") "'type':'text','max':18},"
    NAMED("gtin", "Barcode") "'type':'text','max':14},"
    NAMED("lat_e7", "Latitude") "'type':'e7'},"
    NAMED("lon_e7", "Longitude") "'type':'e7'},"
    NAMED("check_in_at", "Check-in") "'type':'instant'},"
    NAMED("check_out_at", "Check-out") "'type':'instant'},"
    NAMED("next_at", "Next") "'type':'instant'},"
    NAMED("valid_from", "From") "'type':'date'},"
    NAMED("valid_to", "To") "'type':'date'},"
    NAMED("kind", "Kind") "'type':'enum','values':['retail','ka'],'default':'retail','required':true},"
    NAMED("discount_bp", "Discount") "'type':'bp','min':0,'max':10000},"
    NAMED("status", "Status") "'type':'enum','values':['draft','open','closed'],'required':true,'policy':'SM'}],"
    "'states':{'column':'status','initial':['draft','open'],'transitions':["
    "{'from':'draft','to':'open','requires':'phone'},{'from':'open','to':'closed','device':false}]},"
    "'grants':{'REP':'cruda'}},"
    NAMED("note", "Note") "'class':'shared','scope':[{'by':'global'}],'columns':["
    NAMED("body", "Body") "'type':'text','policy':'SIG'},"
    NAMED("remark", "Remark") "'type':'text'},"
    NAMED("reason", "Reason") "'type':'text'},"
    NAMED("word", "Word") "'type':'enum','values':['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',"
    "'cccccccccccccccccccccccccccccc','dddddddddddddddddddddddddddddd','eeeeeeeeeeeeeeeeeeeeeeeeeeeeee','f']},"
    NAMED("status", "Status") "'type':'enum','values':['draft','sent','void'],'policy':'SM'}],"
    "'states':{'column':'status','initial':['draft'],'sealed_from':'draft','transitions':["
    "{'from':'draft','to':'sent'},{'from':'sent','to':'void','requires':'reason'}]},"
    "'grants':{'REP':'crud'}},"
    NAMED("app_user", "User") "'class':'reference','scope':[{'by':'global'}],'columns':["
    NAMED("code", "Code") "'type':'text'}],'grants':{'REP':'r'}},"
    NAMED("device", "Device") "'class':'reference','scope':[{'by':'global'}],'columns':["
    NAMED("code", "Code") "'type':'text'}],'grants':{'REP':'r'}},"
    NAMED("product", "Product") "'class':'reference','scope':[{'by':'global'}],'columns':["
    NAMED("code", "Code") "'type':'text'}],'grants':{'REP':'crud'}}"
    "]}]}";
/* clang-format on */

enum { NOW_MS = 1700000000 };
static const int64_t now_ms = (int64_t)NOW_MS * 1000;

typedef struct fixture {
    catalog *c;
    arena *memory;
} fixture;

/* The catalogue with real quotes. */
static inline catalog *load_catalog(void)
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

static inline int open_catalog(void **state)
{
    static fixture f;
    f.c = load_catalog();
    f.memory = arena_new(1 << 20);
    assert_non_null(f.memory);
    *state = &f;
    return 0;
}

static inline int close_catalog(void **state)
{
    fixture *f = *state;
    catalog_free(f->c);
    arena_free(f->memory);
    return 0;
}

static const row_rights DEVICE = {
    .create = true, .update = true, .remove = true, .actor = ACTOR_DEVICE};
static const row_rights SERVER = {
    .create = true, .update = true, .remove = true, .actor = ACTOR_SERVER};

static inline fb_value text_v(const char *s)
{
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(s)};
}

static inline fb_value int_v(int64_t i)
{
    return (fb_value){.kind = FB_KIND_INT, .u.i = i};
}

static inline fb_value null_v(void)
{
    return (fb_value){.kind = FB_KIND_NULL};
}

/* A row of one entity, by column name. */
typedef struct row {
    const cat_entity *e;
    fb_value v[CATALOG_COLUMNS_LIMIT];
} row;

static inline int at(const row *r, const char *column)
{
    int i = cat_column_str(r->e, column);
    if (i < 0) {
        fail_msg("no column %s", column);
    }
    return i;
}

static inline void set(row *r, const char *column, fb_value v)
{
    r->v[at(r, column)] = v;
}

static inline row right_shop(void **state)
{
    const fixture *f = *state;
    row r = {.e = catalog_entity_str(f->c, "shop")};
    r.v[0] = (fb_value){.kind = FB_KIND_ID, .u.id = {{1}}};
    set(&r, "code", text_v("S1"));
    set(&r, "name", text_v("Muller AG"));
    set(&r, "phone", text_v("+86 138 0013 8000"));
    set(&r, "status", text_v("draft"));
    return r;
}

static inline row right_note(void **state, const char *status)
{
    const fixture *f = *state;
    row r = {.e = catalog_entity_str(f->c, "note")};
    r.v[0] = (fb_value){.kind = FB_KIND_ID, .u.id = {{1}}};
    set(&r, "body", text_v("b"));
    set(&r, "status", text_v(status));
    return r;
}

static inline void is_readable(const issue *i)
{
    const char *const texts[] = {i->text_en, i->text_zh, i->cure_en, i->cure_zh, i->field};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        assert_true(texts[k][0] != '\0');
        assert_null(strchr(texts[k], '{'));
        assert_true(utf8_valid(text_of(texts[k])));
    }
}

/* code FB_OK: the issue must be untouched; else the field must be entity.column. */
static inline void verdict(const row *r, fb_code rc, const issue *i, fb_code code,
                           const char *column)
{
    char field[96];
    (void)snprintf(field, sizeof field, "%.*s%s%s", (int)r->e->name.size, r->e->name.data,
                   column[0] != '\0' ? "." : "", column);
    if (rc != code) {
        fail_msg("%s (%s), must be %s %s", fb_code_name(rc), rc == FB_OK ? "" : i->field,
                 fb_code_name(code), field);
    }
    if (code == FB_OK) {
        assert_int_equal(i->field[0], 0x5A);
        return;
    }
    assert_int_equal(i->code, code);
    assert_string_equal(i->field, field);
    is_readable(i);
}

static inline issue blank_issue(void)
{
    issue i;
    memset(&i, 0x5A, sizeof i);
    return i;
}

static inline void inserts_by(const row *r, const row_rights *who, fb_code code, const char *column)
{
    issue i = blank_issue();
    verdict(r, row_check_insert(r->e, r->v, who, now_ms, &i), &i, code, column);
}

static inline void inserts(const row *r, fb_code code, const char *column)
{
    inserts_by(r, &DEVICE, code, column);
}

static inline void updates_by(const row *r, const char *column, fb_value mine,
                              const row_rights *who, fb_code code)
{
    issue i = blank_issue();
    int columns[] = {at(r, column)};
    verdict(r, row_check_update(r->e, r->v, columns, &mine, 1, who, now_ms, &i), &i, code, column);
}

static inline void updates(const row *r, const char *column, fb_value mine, fb_code code)
{
    updates_by(r, column, mine, &DEVICE, code);
}

static inline void updates_two(const row *r, const char *one, fb_value a, const char *two,
                               fb_value b, fb_code code, const char *field)
{
    issue i = blank_issue();
    int columns[] = {at(r, one), at(r, two)};
    const fb_value mine[] = {a, b};
    verdict(r, row_check_update(r->e, r->v, columns, mine, 2, &DEVICE, now_ms, &i), &i, code,
            field);
}

#endif
