/* record.c - any record of any entity, by name. See fieldbook/record.h. */
#include "fieldbook/record.h"

#include "api/handle.h"

/* Lends rows to the caller's callback in the form it asked for. */
typedef struct lender {
    const cat_entity *e;
    fb_form form;
    fb_row_fn fn;
    void *ctx;
    arena *memory; /* texts of one row */
    const char *names[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
} lender;

static fb_code lender_init(lender *l, const cat_entity *e, fb_form form)
{
    l->e = e;
    l->form = form;
    l->memory = arena_new(CALL_BYTES_MAX);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        l->names[i] = e->columns[i].name.data;
    }
    return l->memory == NULL ? FB_E_NO_MEMORY : FB_OK;
}

static fb_code as_text(const cat_entity *e, int column, fb_value *v, arena *memory)
{
    buf b;

    if (v->kind == FB_KIND_NULL || v->kind == FB_KIND_TEXT) {
        return FB_OK;
    }
    buf_init(&b, 256);
    cat_value_print(e, column, v, true, &b);
    fb_text text = arena_text(memory, buf_text(&b));
    buf_clear(&b);
    if (text.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    *v = (fb_value){.kind = FB_KIND_TEXT, .u.text = text};
    return FB_OK;
}

fb_code form_values_text(const cat_entity *e, fb_value *values, arena *memory)
{
    for (int i = 0; i < (int)e->columns_count; i++) {
        FB_TRY(as_text(e, i, &values[i], memory));
    }
    return FB_OK;
}

static fb_code lend(lender *l)
{
    FB_TRY(l->form == FB_FORM_TEXT ? form_values_text(l->e, l->values, l->memory) : FB_OK);
    fb_row row = {.columns_count = l->e->columns_count, .names = l->names, .values = l->values};
    return l->fn(l->ctx, &row);
}

fb_code fb_record_get(fb_db *db, const char *entity, const fb_id *id, fb_form form, fb_row_fn fn,
                      void *ctx, fb_error *err)
{
    const cat_entity *e = NULL;
    lender l = {.fn = fn, .ctx = ctx};

    FB_REQUIRE(db != NULL && id != NULL && fn != NULL &&
               (form == FB_FORM_RAW || form == FB_FORM_TEXT));
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    fb_code rc = lender_init(&l, e, form);
    if (rc == FB_OK && (rc = row_read(db->r, e, id, l.memory, l.values)) == FB_E_NOT_FOUND) {
        (void)fail(err, rc, entity,
                   "the record is not on this device: synchronise, or check the id");
    }
    if (rc == FB_OK) {
        rc = lend(&l);
    }
    arena_free(l.memory);
    return api_said(db, rc, err);
}

static fb_code lend_all(fb_db *db, lender *l, sql_stmt *s)
{
    bool row = false;
    fb_code rc = FB_OK;

    (void)db;
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        arena_reset(l->memory);
        for (int i = 0; i < (int)l->e->columns_count; i++) {
            l->values[i] = sql_value(s, i);
        }
        if ((rc = lend(l)) != FB_OK) {
            break;
        }
    }
    return rc;
}

static void select_all(const cat_entity *e, buf *out)
{
    buf_put_str(out, "SELECT ");
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ", ", e->columns[i].name.data);
    }
    buf_printf(out, " FROM \"%s\" ORDER BY id", e->name.data);
}

fb_code fb_record_each(fb_db *db, const char *entity, fb_form form, fb_row_fn fn, void *ctx,
                       fb_error *err)
{
    const cat_entity *e = NULL;
    lender l = {.fn = fn, .ctx = ctx};
    sql_stmt *s = NULL;
    sql_db *reader = NULL;
    buf sql;

    FB_REQUIRE(db != NULL && fn != NULL && (form == FB_FORM_RAW || form == FB_FORM_TEXT));
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    buf_init(&sql, 64 << 10);
    select_all(e, &sql);
    fb_code rc = sql.code; /* memory may be gone already here: found by fb-torture */
    if (rc == FB_OK && (rc = lender_init(&l, e, form)) == FB_OK &&
        (rc = api_reader(db, &reader, err)) == FB_OK &&
        (rc = sql_prepare_once(reader, buf_text(&sql), &s, err)) == FB_OK) {
        rc = lend_all(db, &l, s);
    }
    sql_finalize(s);
    buf_clear(&sql);
    arena_free(l.memory);
    return api_said(db, rc, err);
}

/* --- writing in storage units ------------------------------------------------------------------
 */

static fb_code column_by_name(const cat_entity *e, const char *name, int *out, fb_error *err)
{
    *out = name == NULL ? -1 : cat_column_str(e, name);
    if (*out < 0) {
        return fail(err, FB_E_INVALID, name == NULL ? "column" : name,
                    "the entity has no such column: correct the name");
    }
    return FB_OK;
}

static fb_code fill_values(fb_db *db, const cat_entity *e, const fb_record_change *c,
                           fb_value *values, fb_error *err)
{
    for (uint32_t i = 0; i < e->columns_count; i++) {
        values[i] = (fb_value){.kind = FB_KIND_NULL};
    }
    for (uint32_t i = 0; i < c->count; i++) {
        int column = -1;
        FB_TRY(column_by_name(e, c->columns[i], &column, err));
        values[column] = c->values[i];
    }
    if (values[0].kind == FB_KIND_NULL) {
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = api_id(db)};
    }
    return values[0].kind == FB_KIND_ID
               ? FB_OK
               : fail(err, FB_E_INVALID, "id", "an id is expected: correct it");
}

fb_code fb_record_insert(fb_db *db, const char *entity, const fb_record_change *c, fb_id *id_out,
                         fb_error *err)
{
    const cat_entity *e = NULL;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    api_write w;

    FB_REQUIRE(db != NULL && c != NULL &&
               (c->count == 0 || (c->columns != NULL && c->values != NULL)));
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    FB_TRY(write_begin(db, "record.insert", 0, &w, err));
    fb_code rc = fill_values(db, e, c, values, err);
    if (rc == FB_OK) {
        rc = capture_insert(db->r, e, values, err);
    }
    rc = write_end(&w, rc, NULL, err);
    if (rc == FB_OK && id_out != NULL) {
        *id_out = values[0].u.id;
    }
    return rc;
}

fb_code fb_record_update(fb_db *db, const char *entity, const fb_id *id, const fb_record_change *c,
                         fb_error *err)
{
    const cat_entity *e = NULL;
    int columns[CATALOG_COLUMNS_LIMIT];
    api_write w;

    FB_REQUIRE(db != NULL && id != NULL && c != NULL &&
               (c->count == 0 || (c->columns != NULL && c->values != NULL)));
    FB_REQUIRE(c->count <= CATALOG_COLUMNS_LIMIT);
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    for (uint32_t i = 0; i < c->count; i++) {
        FB_TRY(column_by_name(e, c->columns[i], &columns[i], err));
    }
    FB_TRY(write_begin(db, "record.update", 0, &w, err));
    return write_end(&w, capture_update(db->r, e, id, columns, c->values, c->count, err), NULL,
                     err);
}

fb_code fb_record_delete(fb_db *db, const char *entity, const fb_id *id, fb_error *err)
{
    const cat_entity *e = NULL;
    api_write w;

    FB_REQUIRE(db != NULL && id != NULL);
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    FB_TRY(write_begin(db, "record.delete", 0, &w, err));
    return write_end(&w, capture_delete(db->r, e, id, err), NULL, err);
}

fb_code fb_record_add(fb_db *db, const char *entity, const fb_id *id, const char *column,
                      int64_t difference, fb_error *err)
{
    const cat_entity *e = NULL;
    int index = -1;
    api_write w;

    FB_REQUIRE(db != NULL && id != NULL);
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    FB_TRY(column_by_name(e, column, &index, err));
    if (e->columns[index].policy != CAT_DELTA) {
        return fail(err, FB_E_INVALID, column,
                    "the column is no counter: change it with fb_record_update");
    }
    FB_TRY(write_begin(db, "record.add", 0, &w, err));
    return write_end(&w, capture_delta(db->r, e, id, index, difference, err), NULL, err);
}

/* --- JSON ----------------------------------------------------------------------------------------
 */

static fb_code row_json(fb_db *db, const cat_entity *e, const fb_id *id, buf *out, fb_error *err)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    json_writer w;
    arena *memory = arena_new(CALL_BYTES_MAX);

    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : row_read(db->r, e, id, memory, values);
    if (rc == FB_E_NOT_FOUND) {
        (void)fail(err, rc, e->name.data,
                   "the record is not on this device: synchronise, or check the id");
    }
    if (rc == FB_OK) {
        json_writer_init(&w, out);
        form_put_row(&w, e, values, false);
        rc = out->code;
    }
    arena_free(memory);
    return rc;
}

fb_code fb_record_get_json(fb_db *db, const char *entity, const fb_id *id, char **json_out,
                           fb_error *err)
{
    const cat_entity *e = NULL;
    buf out;

    FB_REQUIRE(db != NULL && id != NULL && json_out != NULL);
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    buf_init(&out, JSON_OUT_BYTES_MAX);
    fb_code rc = row_json(db, e, id, &out, err);
    if (rc == FB_OK) {
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&out);
    return api_said(db, rc, err);
}

/* Whether the object names a record that is here already. */
static fb_code is_known(fb_db *db, const cat_entity *e, const fb_value *id, arena *memory,
                        bool *out)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];

    *out = false;
    if (id->kind != FB_KIND_ID) {
        return FB_OK;
    }
    fb_code rc = row_read(db->r, e, &id->u.id, memory, values);
    *out = rc == FB_OK;
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static fb_code update_given(fb_db *db, const cat_entity *e, const fb_value *values,
                            const bool *given, fb_error *err)
{
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value mine[CATALOG_COLUMNS_LIMIT];
    uint32_t count = 0;

    for (int i = 1; i < cat_ver_column(e); i++) {
        if (given[i]) {
            columns[count] = i;
            mine[count] = values[i];
            count++;
        }
    }
    return capture_update(db->r, e, &values[0].u.id, columns, mine, count, err);
}

static fb_code put_values(fb_db *db, const cat_entity *e, fb_value *values, const bool *given,
                          arena *memory, fb_error *err)
{
    bool known = false;
    api_write w;

    FB_TRY(write_begin(db, "record.put", 0, &w, err));
    fb_code rc = is_known(db, e, &values[0], memory, &known);
    if (rc == FB_OK && known) {
        rc = update_given(db, e, values, given, err);
    } else if (rc == FB_OK) {
        if (values[0].kind == FB_KIND_NULL) {
            values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = api_id(db)};
        }
        rc = capture_insert(db->r, e, values, err);
    }
    return write_end(&w, rc, NULL, err);
}

fb_code fb_record_put_json(fb_db *db, const char *entity, const char *json, fb_id *id_out,
                           fb_error *err)
{
    const cat_entity *e = NULL;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    bool given[CATALOG_COLUMNS_LIMIT];

    FB_REQUIRE(db != NULL && json != NULL);
    api_clear(err);
    FB_TRY(api_entity(db, entity, &e, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY
                                : form_get_row(db, text_of(json), e, memory, values, given, err);
    if (rc == FB_OK) {
        rc = put_values(db, e, values, given, memory, err);
    }
    if (rc == FB_OK && id_out != NULL) {
        *id_out = values[0].u.id;
    }
    arena_free(memory);
    return api_said(db, rc, err);
}
