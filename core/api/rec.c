/* rec.c - one row or one change, filled column by column. See handle.h. */
#include <stdio.h>

#include "api/handle.h"

static int column_of(const cat_entity *e, const char *column, fb_code *code, char *wrong,
                     size_t size)
{
    int i = e == NULL ? -1 : cat_column_str(e, column);

    if (i < 0 && *code == FB_OK) {
        *code = FB_E_CATALOG;
        (void)snprintf(wrong, size, "%s", column);
    }
    return i;
}

static fb_code wrong_column(fb_error *err, const cat_entity *e, const char *wrong)
{
    char field[96];

    (void)snprintf(field, sizeof field, "%.*s.%s", e == NULL ? 0 : (int)e->name.size,
                   e == NULL ? "" : e->name.data, wrong);
    return fail(err, FB_E_CATALOG, field,
                "the catalogue lacks this column: load a complete catalogue");
}

static fb_value text_value(fb_text v)
{
    if (v.size == 0) {
        return (fb_value){.kind = FB_KIND_NULL};
    }
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = v};
}

void rec_new(rec *r, fb_db *db, const char *entity)
{
    r->db = db;
    r->e = catalog_entity_str(replica_catalog(db->r), entity);
    r->code = FB_OK;
    r->wrong[0] = '\0';
    for (uint32_t i = 0; r->e != NULL && i < r->e->columns_count; i++) {
        r->values[i] = (fb_value){.kind = FB_KIND_NULL};
    }
    if (r->e == NULL) {
        r->code = FB_E_CATALOG;
        (void)snprintf(r->wrong, sizeof r->wrong, "%s", entity);
        return;
    }
    r->values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = api_id(db)};
}

static void rec_set(rec *r, const char *column, fb_value v)
{
    int i = column_of(r->e, column, &r->code, r->wrong, sizeof r->wrong);

    if (i >= 0) {
        r->values[i] = v;
    }
}

void rec_text(rec *r, const char *column, fb_text v)
{
    rec_set(r, column, text_value(v));
}

void rec_str(rec *r, const char *column, const char *v)
{
    rec_set(r, column, text_value(text_of(v)));
}

void rec_int(rec *r, const char *column, int64_t v)
{
    rec_set(r, column, (fb_value){.kind = FB_KIND_INT, .u.i = v});
}

void rec_id(rec *r, const char *column, const fb_id *v)
{
    if (v == NULL || id_is_none(v)) {
        rec_set(r, column, (fb_value){.kind = FB_KIND_NULL});
        return;
    }
    rec_set(r, column, (fb_value){.kind = FB_KIND_ID, .u.id = *v});
}

fb_code rec_insert(rec *r, fb_error *err)
{
    if (r->code != FB_OK) {
        return wrong_column(err, r->e, r->wrong);
    }
    return capture_insert(r->db->r, r->e, r->values, err);
}

fb_code rec_read(rec *r, fb_db *db, const char *entity, const fb_id *id, arena *memory,
                 fb_error *err)
{
    r->db = db;
    r->code = FB_OK;
    FB_TRY(api_entity(db, entity, &r->e, err));
    fb_code rc = row_read(db->r, r->e, id, memory, r->values);
    if (rc == FB_E_NOT_FOUND) {
        return fail(err, rc, entity,
                    "the record is not on this device: synchronise, or check the id");
    }
    return rc;
}

/* A column that is not there reads as empty: reading never needs what an old catalogue lacks. */
static const fb_value *value_of(const rec *r, const char *column)
{
    static const fb_value NOTHING = {.kind = FB_KIND_NULL};
    int i = cat_column_str(r->e, column);

    return i < 0 ? &NOTHING : &r->values[i];
}

fb_text rec_get_text(const rec *r, const char *column)
{
    const fb_value *v = value_of(r, column);

    return v->kind == FB_KIND_TEXT ? v->u.text : (fb_text){NULL, 0};
}

int64_t rec_get_int(const rec *r, const char *column, int64_t otherwise)
{
    const fb_value *v = value_of(r, column);

    return v->kind == FB_KIND_INT ? v->u.i : otherwise;
}

fb_id rec_get_id(const rec *r, const char *column)
{
    const fb_value *v = value_of(r, column);

    return v->kind == FB_KIND_ID ? v->u.id : (fb_id){{0}};
}

void change_new(change *c, fb_db *db, const char *entity)
{
    c->db = db;
    c->e = catalog_entity_str(replica_catalog(db->r), entity);
    c->count = 0;
    c->code = c->e == NULL ? FB_E_CATALOG : FB_OK;
    (void)snprintf(c->wrong, sizeof c->wrong, "%s", entity);
}

static void change_set(change *c, const char *column, fb_value v)
{
    int i = column_of(c->e, column, &c->code, c->wrong, sizeof c->wrong);

    if (i >= 0 && c->count < CATALOG_COLUMNS_LIMIT) {
        c->columns[c->count] = i;
        c->values[c->count] = v;
        c->count++;
    }
}

void change_text(change *c, const char *column, fb_text v)
{
    change_set(c, column, text_value(v));
}

void change_str(change *c, const char *column, const char *v)
{
    if (v != NULL) {
        change_text(c, column, text_of(v));
    }
}

void change_int(change *c, const char *column, int64_t v)
{
    change_set(c, column, (fb_value){.kind = FB_KIND_INT, .u.i = v});
}

fb_code change_apply(change *c, const fb_id *id, fb_error *err)
{
    if (c->code != FB_OK) {
        return wrong_column(err, c->e, c->wrong);
    }
    return capture_update(c->db->r, c->e, id, c->columns, c->values, c->count, err);
}
